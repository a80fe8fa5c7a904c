//! How a public benchmark launched a server: flags that its rows do not state, from its scripts.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::catalog::version::{Asked, Version};
use crate::catalog::{Catalog, Engine, Gpu};
use crate::dtype::DType;
use crate::estimate::memory::{Captured, LimitOverrides};
use crate::load;
use crate::plan::Parallelism;
use crate::request::{Counts, Request};
use crate::units::Seconds;

use super::super::Row;

/// What of a sequence's time on the host remains in every step where several are scheduled at once: its token is still
/// read and made text. Seven of eight saturated runs of Llama 3.1 on eight MI300X (vLLM 0.6.6, ten steps at once) lie within a fifth.
const ANSWERED: f64 = 0.26;

/// A launch: what it is of, and what it sets.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Launch {
    /// What the rows' `source` begins with, any of them, where rows of any protocol are meant.
    #[serde(default)]
    sources: Vec<String>,
    /// Entries of the column `protocol`.
    #[serde(default)]
    protocols: Vec<String>,
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
    /// Requests per second of an open loop.
    #[serde(default)]
    rate: Span,
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

/// A range of concurrencies or rates, both ends included.
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
    /// The GPU, where the rows name a relative of it.
    gpu: Option<String>,
    /// How fast the host is, as a share of one that the engine's overheads were measured on.
    host_speed: Option<f64>,
    /// Steps that vLLM's V0 schedules at once (`--num-scheduler-steps`).
    scheduler_steps: Option<f64>,
    /// The largest batch that is captured as a graph, and whether batches are rounded up to the next that is.
    largest_graph: Option<u64>,
    graphs_padded: Option<bool>,
    /// What the front end takes for each request before the engine sees it: messages made a prompt, its tokens. Of requests
    /// that come all at once it does each part for all of them before the next, so that none goes on before the last.
    front_end: Option<Seconds>,
    /// The same prompts were sent to the same server before, whose engine keeps prefixes.
    prompts_repeat: Option<bool>,
    /// Why such runs cannot be compared.
    leave_out: Option<String>,
}

/// The launches of InferenceX.
static INFERENCEX: LazyLock<Vec<Launch>> = LazyLock::new(|| {
    // The file is part of the program; a test reads it.
    load::yaml(include_str!("../../../protocols/inferencex.yaml"), "inferencex.yaml").unwrap_or_default()
});

/// The launches of other sources.
static OTHERS: LazyLock<Vec<Launch>> = LazyLock::new(|| {
    // As above.
    load::yaml(include_str!("../../../protocols/others.yaml"), "others.yaml").unwrap_or_default()
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
        let source = row.text("source").unwrap_or("");
        let rate = row.stated("qps").or_else(|| row.stated("rate")).unwrap_or(0.0);
        let data_parallel = row.degree("attention_dp") > 1;
        let version = Asked::read(row.text("engine_version").unwrap_or("")).version;
        self.engine == engine.id
            && (self.sources.is_empty()
                || self.sources.iter().any(|start| source.starts_with(start.as_str())))
            && self.rate.from.is_none_or(|from| rate >= from as f64)
            && self.rate.to.is_none_or(|to| rate <= to as f64)
            && (self.models.is_empty() || self.models.iter().any(|part| model.contains(part.as_str())))
            && named(&self.gpus, "gpu")
            && named(&self.protocols, "protocol")
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
    /// The GPU, where the row names a relative of it.
    pub gpu: Option<String>,
    /// Whether the same prompts were sent before, to a server that keeps prefixes.
    pub prompts_repeat: bool,
    /// Which steps have CUDA graphs, as far as the benchmark or its script says.
    captured: Captured,
    /// What the front end takes for each request before the engine sees it, beyond the engine's own figures.
    front_end: Option<Seconds>,
}

/// The launch of a row: the engine's defaults, what the benchmark's scripts set, then what the row says.
///
/// # Errors
/// Why the run cannot be compared.
pub fn of(row: &Row, catalog: &Catalog, protocol: &str) -> Result<Launched, String> {
    let engine = row.engine(catalog)?;
    let mut of_row: Vec<&Launch> = match protocol {
        "inferencex" | "closed-loop-unstated" => {
            INFERENCEX.iter().filter(|l| l.is_of(row, &engine)).collect()
        }
        _ => Vec::new(),
    };
    let scripted = !of_row.is_empty();
    of_row.extend(OTHERS.iter().filter(|launch| launch.is_of(row, &engine)));
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
    let options = Request::default();
    let (kv, gpu, captured) = (None, None, Captured::default());
    let mut launched = Launched {
        engine,
        options,
        kv,
        split,
        scripted,
        gpu,
        prompts_repeat: false,
        captured,
        front_end: None,
    };
    of_row.into_iter().try_for_each(|launch| launch.set.apply(row, &mut launched))?;
    if scripted {
        // InferenceX turns prefix caching off.
        launched.engine.scheduling.preempted_kept = false;
    }
    if let Some(each) = launched.front_end {
        let at_once = row.stated("num_requests").filter(|_| protocol == "trtllm-bench");
        let s = &mut launched.engine.scheduling;
        *s = s.clone().keeping_requests(each * at_once.unwrap_or(1.0));
    }
    if matches!(protocol, "trtllm-bench" | "static") {
        // All requests are handed over at once and answered when they are done.
        launched.engine.scheduling.stream_overhead = Seconds::ZERO;
    }
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

/// Whether a script of the benchmark sent the same prompts to the same servers before, which keep prefixes.
pub fn repeats_prompts(row: &Row, engine: &Engine) -> bool {
    let of_row = OTHERS.iter().filter(|launch| launch.is_of(row, engine));
    of_row.fold(false, |repeats, launch| launch.set.prompts_repeat.unwrap_or(repeats))
}

impl Launched {
    /// The limits that it states on a GPU. A server that no script is known of captures what its engine does by itself.
    ///
    /// # Errors
    /// One that no engine takes.
    pub fn limits(&self, gpu: &Gpu) -> Result<LimitOverrides, String> {
        let launch = self.options.launch_of_one_plan(self.split.pp).map_err(|d| d.cause)?;
        let mut limits = launch.limits;
        let captured = &mut limits.start.captured;
        let ranks = self.split.tp * self.split.attention_dp;
        let by_default = self.engine.launch_defaults(gpu, ranks).graph_batch.map(u64::from);
        let by_default = by_default.filter(|_| !self.scripted);
        captured.largest = captured.largest.or(self.captured.largest).or(by_default);
        captured.unpadded = self.captured.unpadded;
        Ok(limits)
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
        to.gpu = self.gpu.clone().or(to.gpu.take());
        to.prompts_repeat = self.prompts_repeat.unwrap_or(to.prompts_repeat);
        if let Some(steps) = self.scheduler_steps {
            let s = &mut to.engine.scheduling;
            s.step_overhead = s.step_overhead / steps;
            s.lone_step_overhead = s.lone_step_overhead.map(|lone| lone / steps);
            s.block_overhead = s.block_overhead / steps;
            s.sequence_overhead = s.sequence_overhead * (ANSWERED + (1.0 - ANSWERED) / steps);
        }
        to.captured.largest = self.largest_graph.or(to.captured.largest);
        to.captured.unpadded = self.graphs_padded.map_or(to.captured.unpadded, |padded| !padded);
        to.front_end = self.front_end.or(to.front_end);
        if let Some(speed) = self.host_speed {
            to.engine.scheduling = to.engine.scheduling.clone().on_host(speed);
        }
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

    #[test]
    fn launches_of_other_sources_are_read_and_each_says_whose_rows_it_is_of() {
        let text = include_str!("../../../protocols/others.yaml");
        let launches: Vec<Launch> = load::yaml(text, "others.yaml").unwrap();
        assert!(!launches.is_empty() && launches.iter().all(|launch| !launch.sources.is_empty()));
    }

    /// The launch of a row of GPUStack's laboratory.
    fn of_gpustack(engine: &str, version: &str, model: &str) -> Launched {
        let names = ["engine", "engine_version", "model", "protocol", "num_requests", "source", "tp"];
        let source = "gpustack/gpustack:docs/performance-lab/a/b.md@0";
        let row = [engine, version, model, "trtllm-bench", "1000", source, "8"].map(str::to_owned).to_vec();
        let rows = [row];
        let table = crate::validate::Table::of_rows(&names, &rows, "rows");
        of(&table.row(0), &Catalog::built_in(), "trtllm-bench").unwrap_or_else(|why| panic!("{why}"))
    }

    #[test]
    fn requests_that_come_all_at_once_wait_for_the_front_end_together() {
        // Until the first token of 1,000: 10.6 to 13.4 s with Qwen3-32B, 0.3 to 2.3 with gpt-oss, 1.4 to 2.4 under SGLang.
        let waits = |engine: &str, version: &str, model: &str| {
            let own = Catalog::built_in().engine(&format!("{engine}@{version}")).unwrap().scheduling;
            let launched = of_gpustack(engine, version, model).engine.scheduling;
            (launched.request_overhead - own.request_overhead).get()
        };
        assert!((waits("vllm", "0.11.0", "Qwen/Qwen3-32B") - 11.0).abs() < 1e-9);
        assert!((waits("vllm", "0.11.0", "openai/gpt-oss-20b") - 2.0).abs() < 1e-9);
        assert!((waits("sglang", "0.5.3", "Qwen/Qwen3-32B") - 2.0).abs() < 1e-9);
    }

    #[test]
    fn a_server_without_a_script_captures_what_its_engine_does_by_itself() {
        let gpu = Catalog::built_in().gpu("h200-sxm").unwrap();
        let captured = |engine: &str, version: &str| {
            of_gpustack(engine, version, "deepseek-ai/DeepSeek-R1").limits(&gpu).unwrap().start.captured
        };
        let sglang = captured("sglang", "0.5.3");
        assert_eq!((sglang.largest, sglang.unpadded), (Some(256), false));
        let trtllm = captured("trtllm", "1.2.0rc5");
        assert_eq!((trtllm.largest, trtllm.unpadded), (Some(128), true));
    }
}
