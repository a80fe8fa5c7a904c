//! What servers count of themselves: `/metrics` in Prometheus' text form.
//!
//! Names: `vllm/v1/metrics/loggers.py` (0.11 to 0.33), `sglang/srt/metrics/collector.py`, llama.cpp
//! `tools/server/server-context.cpp`, TensorRT-LLM `metrics/collector.py`.

use std::collections::BTreeMap;

/// Longest text that is read.
pub const LONGEST: u64 = 8 << 20;

/// Counts and gauges of a server; what it does not say is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counters {
    /// Prompt tokens that were looked up in the prefix cache.
    pub looked_up: Option<f64>,
    /// Those that were found.
    pub found: Option<f64>,
    /// Share of prompts that was found, where that alone is told.
    pub hit_rate: Option<f64>,
    /// Sequences that lost their cache to others.
    pub preemptions: Option<f64>,
    /// Tokens that were drafted.
    pub drafted: Option<f64>,
    /// Those that were accepted.
    pub accepted: Option<f64>,
    /// Sequences that run.
    pub running: Option<f64>,
    /// Sequences that wait.
    pub waiting: Option<f64>,
    /// Share of the KV cache in use.
    pub cache_use: Option<f64>,
    /// Tokens that the KV cache holds.
    pub cache_tokens: Option<f64>,
}

/// Reads a text; names are summed over their labels, since each data parallel rank counts for itself.
pub fn read(text: &str) -> Counters {
    let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
    let mut blocks = None;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (name, labels, value) = parts(line);
        let Some(value) = value else { continue };
        if name == "vllm:cache_config_info" {
            let label = |key: &str| label(labels, key)?.parse::<f64>().ok();
            if let (Some(count), Some(size)) = (label("num_gpu_blocks"), label("block_size")) {
                *blocks.get_or_insert(0.0) += count * size;
            }
        }
        *sums.entry(name).or_default() += value;
    }
    let any = |names: &[&str]| names.iter().find_map(|name| sums.get(name)).copied();
    Counters {
        looked_up: any(&["vllm:prefix_cache_queries_total", "vllm:gpu_prefix_cache_queries_total"]),
        found: any(&["vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total"]),
        hit_rate: any(&["sglang:cache_hit_rate", "trtllm_kv_cache_hit_rate"]),
        preemptions: any(&["vllm:num_preemptions_total", "sglang:num_retracted_requests_total"]),
        drafted: any(&["vllm:spec_decode_num_draft_tokens_total"]),
        accepted: any(&["vllm:spec_decode_num_accepted_tokens_total"]),
        running: any(&[
            "vllm:num_requests_running",
            "sglang:num_running_reqs",
            "llamacpp:requests_processing",
        ]),
        waiting: any(&["vllm:num_requests_waiting", "sglang:num_queue_reqs", "llamacpp:requests_deferred"]),
        cache_use: any(&[
            "vllm:kv_cache_usage_perc",
            "vllm:gpu_cache_usage_perc",
            "sglang:token_usage",
            "trtllm_kv_cache_utilization",
            "llamacpp:kv_cache_usage_ratio",
        ]),
        cache_tokens: blocks.or_else(|| any(&["sglang:max_total_num_tokens"])).filter(|n| *n > 0.0),
    }
}

/// Name, labels and value of a line.
fn parts(line: &str) -> (&str, &str, Option<f64>) {
    let (head, labels, tail) = match (line.find('{'), line.rfind('}')) {
        (Some(open), Some(close)) if open < close => {
            (&line[..open], &line[open + 1..close], &line[close + 1..])
        }
        _ => match line.split_once(char::is_whitespace) {
            Some((name, value)) => (name, "", value),
            None => (line, "", ""),
        },
    };
    let value = tail.split_whitespace().next().and_then(|v| v.parse().ok()).filter(|v: &f64| v.is_finite());
    (head.trim(), labels, value)
}

/// The value of a label: `num_gpu_blocks="1024"`.
fn label<'a>(labels: &'a str, key: &str) -> Option<&'a str> {
    let at = labels.find(&format!("{key}=\""))?;
    labels[at + key.len() + 2..].split('"').next()
}

impl Counters {
    /// What was counted between two readings; gauges are those of the later one.
    pub fn since(&self, before: &Counters) -> Counters {
        let more = |now: Option<f64>, then: Option<f64>| now.map(|n| (n - then.unwrap_or(0.0)).max(0.0));
        Counters {
            looked_up: more(self.looked_up, before.looked_up),
            found: more(self.found, before.found),
            preemptions: more(self.preemptions, before.preemptions),
            drafted: more(self.drafted, before.drafted),
            accepted: more(self.accepted, before.accepted),
            ..*self
        }
    }

    /// The larger of two readings of what goes up and down.
    pub fn peak(&self, other: &Counters) -> Counters {
        let larger = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
        Counters {
            running: larger(self.running, other.running),
            waiting: larger(self.waiting, other.waiting),
            cache_use: larger(self.cache_use, other.cache_use),
            ..*self
        }
    }

    /// Share of prompt tokens that came from the prefix cache.
    pub fn hits(&self) -> Option<f64> {
        match (self.found, self.looked_up) {
            (Some(found), Some(all)) if all > 0.0 => Some((found / all).clamp(0.0, 1.0)),
            _ => self.hit_rate.map(|rate| rate.clamp(0.0, 1.0)),
        }
    }

    /// Share of drafted tokens that were accepted.
    pub fn acceptance(&self) -> Option<f64> {
        let (accepted, drafted) = (self.accepted?, self.drafted?);
        (drafted > 0.0).then(|| (accepted / drafted).clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_summed_and_blocks_are_tokens() {
        let c = read(
            "# HELP vllm:num_requests_running x\n\
             vllm:num_requests_running{engine=\"0\",model_name=\"m\"} 3.0\n\
             vllm:num_requests_running{engine=\"1\",model_name=\"m\"} 4.0\n\
             vllm:cache_config_info{block_size=\"16\",num_gpu_blocks=\"1000\",engine=\"0\"} 1.0\n\
             vllm:prefix_cache_queries_total{engine=\"0\"} 100\nvllm:prefix_cache_hits_total{engine=\"0\"} 25\n\
             vllm:kv_cache_usage_perc NaN\n",
        );
        assert_eq!((c.running, c.cache_tokens, c.hits()), (Some(7.0), Some(16_000.0), Some(0.25)));
        assert_eq!(c.cache_use, None);
        let later = Counters { found: Some(75.0), looked_up: Some(200.0), ..c };
        assert_eq!(later.since(&c).hits(), Some(0.5));
    }
}
