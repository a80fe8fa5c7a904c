//! How a public benchmark launched a server: flags that its rows do not state, from its scripts.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::catalog::version::{Asked, Version};
use crate::catalog::{Catalog, Engine};
use crate::dtype::DType;
use crate::estimate::memory::LimitOverrides;
use crate::load;
use crate::plan::Parallelism;
use crate::request::{Counts, Request};
use crate::units::Seconds;

use super::super::Row;

/// A launch: what it is of, and what it sets.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Launch {
    engine: String,
    /// Parts of the model's name, any of them.
    #[serde(default)]
    models: Vec<String>,
    #[serde(default)]
    gpus: Vec<String>,
    #[serde(default)]
    weights: Vec<String>,
    #[serde(default)]
    tp: Vec<u64>,
    #[serde(default)]
    ep: Vec<u64>,
    #[serde(default)]
    isl: Vec<u64>,
    #[serde(default)]
    osl: Vec<u64>,
    #[serde(default)]
    concurrency: Span,
    #[serde(default)]
    attention_dp: Option<bool>,
    /// Engine versions, both ends included; runs that state none are older than all that do.
    #[serde(default)]
    from: Option<Version>,
    #[serde(default)]
    until: Option<Version>,
    /// Dates of the runs. Rows do not state theirs, so that such an entry is for readers.
    #[serde(default)]
    measured: Option<serde_json::Value>,
    set: Flags,
    /// The script.
    #[expect(dead_code, reason = "for readers of the file")]
    source: String,
}

/// A range of concurrencies, both ends included.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Span {
    from: Option<u64>,
    to: Option<u64>,
}

/// A figure, or `concurrency` for that of the run.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
enum Figure {
    Number(u64),
    Concurrency(Concurrency),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Concurrency {
    Concurrency,
}

/// What a launch sets.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Flags {
    max_sequences: Option<Figure>,
    max_batched_tokens: Option<u64>,
    memory_fraction: Option<f64>,
    kv: Option<DType>,
    poll_steps: Option<f64>,
    prefill_graphs: Option<bool>,
    batch_wait_steps: Option<f64>,
    batch_wait_ratio: Option<f64>,
    rank_wait_steps: Option<f64>,
    rank_gather_steps: Option<f64>,
    /// The script spreads the experts over all ranks, whatever the run is labelled.
    expert_parallel: Option<bool>,
    /// The script gives every rank sequences of its own, whatever the run is labelled.
    attention_data_parallel: Option<bool>,
    /// The script ignores attention-DP and expert parallelism: all ranks are tensor parallel.
    tensor_parallel_only: Option<bool>,
    /// The engine version, where the runs do not state theirs.
    version: Option<String>,
    /// Why such runs cannot be compared.
    leave_out: Option<String>,
}

/// The launches of InferenceX.
static INFERENCEX: LazyLock<Vec<Launch>> = LazyLock::new(|| {
    // The file is part of the program; a test reads it.
    load::yaml(include_str!("../../../protocols/inferencex.yaml"), "inferencex.yaml").unwrap_or_default()
});

impl Launch {
    fn is_of(&self, row: &Row, engine: &Engine) -> bool {
        let named = |list: &[String], column: &str| {
            list.is_empty() || row.text(column).is_some_and(|t| list.iter().any(|name| t == name))
        };
        let listed = |list: &[u64], column: &str| {
            list.is_empty() || row.whole(column).is_some_and(|n| list.contains(&n))
        };
        let model = row.text("model").unwrap_or("");
        let at = row.whole("concurrency").unwrap_or(0);
        let data_parallel = row.degree("attention_dp") > 1;
        let version = Asked::read(row.text("engine_version").unwrap_or("")).version;
        self.engine == engine.id
            && (self.models.is_empty() || self.models.iter().any(|part| model.contains(part.as_str())))
            && named(&self.gpus, "gpu")
            && named(&self.weights, "weight_dtype")
            && listed(&self.tp, "tp")
            && listed(&self.ep, "ep")
            && listed(&self.isl, "isl")
            && listed(&self.osl, "osl")
            && self.concurrency.from.is_none_or(|from| at >= from)
            && self.concurrency.to.is_none_or(|to| at <= to)
            && self.attention_dp.is_none_or(|dp| dp == data_parallel)
            && self.from.is_none_or(|from| version.is_some_and(|v| v >= from))
            && self.until.is_none_or(|until| version.is_none_or(|v| v <= until))
            && self.measured.is_none()
    }
}

/// A server's launch.
pub struct Launched {
    /// The engine with the flags that change how it schedules.
    pub engine: Engine,
    /// The limits that it states, as a request has them.
    options: Request,
    /// Type of the KV cache, if it was named.
    pub kv: Option<DType>,
    /// The split that ran.
    pub split: Parallelism,
    /// Whether a script of the benchmark is known.
    pub scripted: bool,
}

/// The launch of a row: the engine's defaults, what the benchmark's scripts set, then what the row says.
///
/// # Errors
/// Why the run cannot be compared.
pub fn of(row: &Row, catalog: &Catalog, protocol: &str) -> Result<Launched, String> {
    let engine = row.engine(catalog)?;
    let of_row: Vec<&Launch> = match protocol {
        "inferencex" | "closed-loop-unstated" => {
            INFERENCEX.iter().filter(|l| l.is_of(row, &engine)).collect()
        }
        _ => Vec::new(),
    };
    let scripted = !of_row.is_empty();
    let engine = match of_row.iter().find_map(|launch| launch.set.version.as_deref()) {
        Some(version) => catalog.every_version(&engine.id).map_err(|d| d.cause)?.logged(version),
        None => engine,
    };
    let split = Parallelism {
        tp: row.degree("tp"),
        pp: row.degree("pp"),
        ep: row.degree("ep"),
        attention_dp: row.degree("attention_dp"),
        dcp: row.degree("dcp"),
    };
    let mut launched = Launched { engine, options: Request::default(), kv: None, split, scripted };
    if matches!(protocol, "trtllm-bench" | "static") {
        // All requests are handed over at once and answered when they are done.
        launched.engine.scheduling.stream_overhead = Seconds::ZERO;
    }
    of_row.into_iter().try_for_each(|launch| launch.set.apply(row, &mut launched))?;
    let (own, scripted) = (row.options(), launched.options);
    launched.options = Request {
        max_sequences: own.max_sequences.or(scripted.max_sequences),
        max_batched_tokens: own.max_batched_tokens.or(scripted.max_batched_tokens),
        memory_fraction: own.memory_fraction.or(scripted.memory_fraction),
        ..own
    };
    launched.kv = row.kv().or(launched.kv);
    Ok(launched)
}

impl Launched {
    /// The limits that it states.
    ///
    /// # Errors
    /// One that no engine takes.
    pub fn limits(&self) -> Result<LimitOverrides, String> {
        let launch = self.options.launch_of_one_plan(self.split.pp).map_err(|d| d.cause)?;
        Ok(launch.limits)
    }
}

impl Flags {
    fn apply(&self, row: &Row, to: &mut Launched) -> Result<(), String> {
        if let Some(why) = &self.leave_out {
            return Err(why.clone());
        }
        let sequences = self.max_sequences.and_then(|figure| match figure {
            Figure::Number(n) => Some(n),
            Figure::Concurrency(_) => row.whole("concurrency"),
        });
        let count = |n: Option<u64>| n.map(|n| Counts(vec![n]));
        let before = std::mem::take(&mut to.options);
        to.options = Request {
            max_sequences: count(sequences).or(before.max_sequences),
            max_batched_tokens: count(self.max_batched_tokens).or(before.max_batched_tokens),
            memory_fraction: self.memory_fraction.or(before.memory_fraction),
            ..Request::default()
        };
        to.kv = self.kv.or(to.kv);
        let s = &mut to.engine.scheduling;
        s.arrival_poll_steps = self.poll_steps.unwrap_or(s.arrival_poll_steps);
        s.prefill_graphs = self.prefill_graphs.unwrap_or(s.prefill_graphs);
        s.prompt_wait_steps = self.batch_wait_steps.unwrap_or(s.prompt_wait_steps);
        s.prompt_wait_share = self.batch_wait_ratio.unwrap_or(s.prompt_wait_share);
        s.rank_wait_steps = self.rank_wait_steps.unwrap_or(s.rank_wait_steps);
        s.rank_gather_steps = self.rank_gather_steps.unwrap_or(s.rank_gather_steps);
        let split = &mut to.split;
        if self.tensor_parallel_only == Some(true) {
            *split = Parallelism { tp: split.tp * split.attention_dp, ep: 1, attention_dp: 1, ..*split };
        }
        if self.attention_data_parallel == Some(true) {
            *split = Parallelism { tp: 1, attention_dp: split.tp * split.attention_dp, ..*split };
        }
        if self.expert_parallel == Some(true) {
            split.ep = split.tp * split.attention_dp;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_launches_of_inferencex_are_read() {
        let text = include_str!("../../../protocols/inferencex.yaml");
        let launches: Vec<Launch> = load::yaml(text, "inferencex.yaml").unwrap();
        assert!(!launches.is_empty());
    }
}
