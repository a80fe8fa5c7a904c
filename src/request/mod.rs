//! What a person asks, all of it optional, and the only place where defaults, engines, limits and prices are resolved.
//!
//! The command line fills in a [`Request`], a program reads one from JSON. [`Request::resolve`] looks up every name
//! and answers for what was left out; a [`Resolved`] then plans, estimates, sizes or simulates.
//!
//! ```
//! use shardfit::catalog::Catalog;
//! use shardfit::request::{Request, Task};
//!
//! # fn main() -> Result<(), shardfit::diagnostic::Diagnostic> {
//! let text = r#"{"model": "llama-3.1-70b", "cluster": "8xh100-sxm", "isl": 2048, "ttft": "1s", "top": 3}"#;
//! let resolved = Request::from_json(text)?.resolve(Task::Plan, &Catalog::built_in())?;
//! let planned = resolved.plan()?;
//! assert_eq!(planned.answer.best.len(), 3);
//! assert!(planned.answer.best[0].service.ttft.get() <= 1.0);
//! # Ok(())
//! # }
//! ```

mod answers;
mod any;
pub mod budget;
mod checks;
pub mod drafted;
pub mod fit;
pub mod form;
pub mod inspect;
pub mod launched;
pub mod layout;
pub mod meanings;
mod media;
mod model;
mod overrides;
mod points;
mod resolve;
mod split;
pub mod train;
pub mod trainer;
mod values;
mod ways;
pub mod words;
mod written;

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::catalog::Catalog;
use crate::diagnostic::{Code, Diagnostic};
use crate::hub::Hub;
use crate::model::Model;
use crate::plan::Axis;
use crate::units::Seconds;

pub use answers::{Better, Estimated, Planned, Simulated, SizedFleets};
pub use budget::BudgetRequest;
pub use fit::FitRequest;
pub use form::SCHEMA_VERSION;
pub use inspect::InspectRequest;
pub use model::ModelRequest;
pub use points::{Lists, MAX_POINTS, Point};
pub use resolve::{
    Deployed, MAX_LAYERS, MAX_LIMIT, MAX_REQUESTS, NO_DRAFT, Resolved, Source, check_price, of_gpus, priced,
};
pub use split::SplitWorkers;
pub use train::TrainRequest;
pub use values::{
    Amount, Chosen, Counts, Explain, LengthEntry, Prices, RateEntry, ShareEntry, Texts, TimeTarget, Values,
};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Every plan, ranked.
    Plan,
    /// One plan in every detail.
    Estimate,
    /// The smallest or cheapest fleet for a rate.
    Size,
    /// One plan in discrete events.
    Simulate,
}

impl Task {
    /// Every task.
    pub const ALL: [Task; 4] = [Task::Plan, Task::Estimate, Task::Size, Task::Simulate];

    /// Name as of the command.
    pub fn name(self) -> &'static str {
        match self {
            Task::Plan => "plan",
            Task::Estimate => "estimate",
            Task::Size => "size",
            Task::Simulate => "simulate",
        }
    }

    /// Whether it is about one plan that is given.
    pub fn is_of_one_plan(self) -> bool {
        matches!(self, Task::Estimate | Task::Simulate)
    }
}

impl FromStr for Task {
    type Err = Diagnostic;
    fn from_str(text: &str) -> Result<Task, Diagnostic> {
        let names = Task::ALL.map(Task::name);
        let found = Task::ALL.into_iter().find(|task| task.name() == text);
        found.ok_or_else(|| {
            Diagnostic::unknown("task", text, names, &format!("allowed: {}", names.join(", ")))
        })
    }
}

/// What a person asks: the options of the command line with underscores in their names. What is left out is answered
/// for when the request is resolved, by the engine where it has a default of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Request {
    /// Version of this form of a request; 1 is the only one.
    pub schema_version: Option<u64>,
    /// Which model.
    #[serde(flatten)]
    pub model: ModelRequest,
    /// Cluster: `8xh100-sxm`, `2x8xh200-sxm`, a name, a YAML file, or several kinds,
    /// `8xh100-sxm+8xa100-sxm-80gb`. Of a search also `any`, a usual server of each GPU that has a price, with filters:
    /// `any,vendor=nvidia,memory=80GiB,price=3,cloud=aws,measured`.
    pub cluster: Option<String>,
    /// GPU by name or YAML file: as many as the plan needs; several kinds to choose from where a fleet is
    /// sized, or a server of each in a search, or `any` with filters, as `cluster` has them.
    pub gpu: Option<Texts>,
    /// Clusters to choose from, bought whole.
    pub clusters: Option<Texts>,
    /// Price per GPU and hour in dollars, over the catalogue's: `{"h100-sxm": 2.10}`.
    pub price: Option<Prices>,
    /// Prompt tokens: a number or a distribution, 2,048 when left out, less in a shorter context.
    pub isl: Option<LengthEntry>,
    /// Images of each prompt, `8x768x768` (number, width, height): their tokens come to those of `isl`.
    pub images: Option<String>,
    /// A video of each prompt, `60s@1fps`, or `60s@1fps@1280x720`; frames of 640 by 360 when left out.
    pub video: Option<String>,
    /// Sound of each prompt, `30s`.
    pub audio: Option<String>,
    /// What answers are made of: `generate`, `embed` or `rerank`; what the model does when left out.
    pub task: Option<String>,
    /// How long an embedding or reranking server holds a batch that is not full for more inputs, such as `5ms`; not at
    /// all when left out.
    pub batch_window: Option<String>,
    /// Output tokens: a number or a distribution, 512 when left out, less in a shorter context.
    pub osl: Option<LengthEntry>,
    /// Requests in flight over the whole deployment; without any load, as many as are best.
    pub concurrency: Option<u64>,
    /// Requests per second over the whole deployment: a number, or a text such as `300 req/min`.
    pub rate: Option<RateEntry>,
    /// Share of each prompt that is in the prefix cache and not computed, from 0 to 1.
    pub prefix_hit: Option<ShareEntry>,
    /// Sessions of turns in place of lengths: `turns=12,system=4000,new=600,output=300,think=20s[,first=…,branches=…]`, or
    /// `chat`, `coding-agent`, `rag`, `deep-research`, each with what differs after it; what is in the prefix cache then
    /// follows from its size.
    pub sessions: Option<String>,
    /// Users of sessions over the whole deployment, in place of a load.
    pub users: Option<u64>,
    /// Tiers below the GPUs' cache: `cpu=1TiB,nvme=4TB,shared=20TB`, of each node but for the shared one, each with
    /// `@BANDWIDTH` where that is known.
    pub kv_tiers: Option<String>,
    /// How turns are sent to replicas: `prefix-aware` (when left out), `round-robin` or `least-load`.
    pub routing: Option<String>,
    /// Whether prompts and outputs beyond the model's context are accepted.
    pub allow_long_context: Option<bool>,
    /// Longest time to first token, such as `1s` or `500ms` on the mean, `p95:1s` at a percentile.
    pub ttft: Option<TimeTarget>,
    /// Longest time per output token after the first, such as `50ms`.
    pub tpot: Option<TimeTarget>,
    /// Longest time from request to last token, such as `20s`.
    pub e2e: Option<TimeTarget>,
    /// What drafts tokens: `mtp`, `eagle3`, `ngram` or `model`; `off,mtp` looks at plans without and with.
    pub speculate: Option<Texts>,
    /// Tokens to draft for each step; when left out 1, of `eagle3` 3.
    pub draft_tokens: Option<u64>,
    /// How likely a drafted token is accepted when those before it were, from 0 to 1; as published of `mtp` and `eagle3`
    /// when left out.
    #[schemars(extend("x-unit" = "share"))]
    pub acceptance: Option<f64>,
    /// Engines: `vllm`, a version `vllm@0.19`, a launch `sglang@deepep-eplb`, several, `any`, or a YAML file;
    /// what runs on the GPU when left out.
    pub engine: Option<Texts>,
    /// Formats of linear layers and experts, such as `fp8`; the checkpoint's own when left out.
    pub weights: Option<Texts>,
    /// Types of the KV cache, such as `fp8`; the engine's when left out.
    pub kv: Option<Texts>,
    /// Sequences in one batch; the engine's when left out.
    #[schemars(extend("x-unit" = "sequences"))]
    pub max_sequences: Option<Counts>,
    /// Tokens in one step; the engine's when left out.
    #[schemars(extend("x-unit" = "tokens"))]
    pub max_batched_tokens: Option<Counts>,
    /// The engine's memory fraction, above 0 and at most 1; the engine's own when left out.
    #[schemars(extend("x-unit" = "share"))]
    pub memory_fraction: Option<f64>,
    /// Tokens of the longest request that the server takes, prompt and output together: vLLM refuses to start where
    /// one finds no room; the model's context when left out.
    #[schemars(extend("x-unit" = "tokens"))]
    pub max_model_len: Option<u64>,
    /// Whether the server starts without CUDA graphs.
    pub enforce_eager: Option<bool>,
    /// The largest step with a CUDA graph, in tokens, or sequences of a step that only decodes; the engine's when left out.
    #[schemars(extend("x-unit" = "tokens"))]
    pub max_cudagraph_capture_size: Option<u64>,
    /// Which steps have CUDA graphs: `none`, `piecewise`, `full`, `full_decode_only` or `full_and_piecewise`; the engine's when
    /// left out.
    pub cudagraph_mode: Option<String>,
    /// GiB of weights of each GPU that stay in the host's memory and are read from there in every step.
    pub cpu_offload_gb: Option<f64>,
    /// Memory of the KV cache on each GPU, such as `49GiB`, in place of what the memory fraction leaves.
    pub kv_cache_memory_bytes: Option<String>,
    /// Tokens of a block of the KV cache; the engine's when left out.
    #[schemars(extend("x-unit" = "tokens"))]
    pub block_size: Option<u64>,
    /// Whether prefixes are kept; the engine's when left out.
    pub enable_prefix_caching: Option<bool>,
    /// Whether the server takes text alone and loads no image encoder.
    pub language_model_only: Option<bool>,
    /// Images that a prompt may have; 0 for none.
    pub limit_mm_per_prompt: Option<u64>,
    /// Experts of each layer that are held a second time, over all ranks.
    pub redundant_experts: Option<u64>,
    /// How the engine schedules where it was launched otherwise: `arrival_poll_steps=10,prefill_graphs=true`.
    pub scheduling: Option<String>,
    /// How fast the hosts are beside those of the published runs: 0.5 doubles what the engine's host adds to
    /// steps and requests; 1 when left out.
    pub host_speed: Option<f64>,
    /// Folder of measured kernel latencies in AIConfigurator's layout, in place of fitted forms where they have
    /// data.
    pub kernels: Option<String>,
    /// Memory of each node's host: `memory=64GiB,bandwidth=83.2GB/s[,link=32GB/s]`; the cluster's when left
    /// out.
    pub host: Option<String>,
    /// Layers on the GPUs, the output projection counted as one more; all that find room when left out.
    pub gpu_layers: Option<u64>,
    /// First layers whose routed experts stay with the host; as few as find no room when left out.
    pub n_cpu_moe: Option<u64>,
    /// Whether all routed experts stay with the host.
    pub cpu_moe: Option<bool>,
    /// How layers are dealt out over pipeline stages: layers of each, such as `21,19`, of llama.cpp proportions, such as
    /// `3,1`; evenly when left out. It says the stages where `pp` does not.
    pub tensor_split: Option<Texts>,
    /// How a model is divided over GPUs: `layer`.
    pub split_mode: Option<String>,
    /// Routed experts of the first layers that stay with the host, in llama.cpp's patterns, such as `exps=CPU`.
    pub override_tensor: Option<Texts>,
    /// Tensor parallel: of one plan a degree, of a search also a list or a range; free when left out of a
    /// search.
    pub tp: Option<Values>,
    /// Pipeline stages, as `tp`.
    pub pp: Option<Values>,
    /// Expert parallel, as `tp`.
    pub ep: Option<Values>,
    /// Attention data parallel, as `tp`.
    pub attention_dp: Option<Values>,
    /// Decode context parallel, as `tp`.
    pub dcp: Option<Values>,
    /// Replicas, between which requests go round, as `tp`.
    pub replicas: Option<Values>,
    /// Requests in flight on each replica.
    pub batch: Option<Values>,
    /// Tensor parallel of the prefill workers.
    pub prefill_tp: Option<Values>,
    /// Pipeline stages of the prefill workers.
    pub prefill_pp: Option<Values>,
    /// Expert parallel of the prefill workers.
    pub prefill_ep: Option<Values>,
    /// Attention data parallel of the prefill workers.
    pub prefill_attention_dp: Option<Values>,
    /// Workers that compute prompts and hand their cache on, `tp=2,replicas=3`; beside `decode`, in place of
    /// `tp` and the like.
    pub prefill: Option<String>,
    /// Workers that decode, in the same form; their keys include dcp.
    pub decode: Option<String>,
    /// Electricity in dollars per kWh, added to the rental price, which includes it when this is left out.
    pub electricity: Option<f64>,
    /// Power of the site over power of its computers; 1.54 when left out.
    pub pue: Option<f64>,
    /// Power of the server beside its GPUs, in watts per GPU; 0 when left out.
    pub host_watts: Option<f64>,
    /// What the best plan is best at: throughput, per-gpu, latency, cost, energy or weights
    /// `throughput=2,ttft=1`; of a fleet, cost or gpus.
    pub objective: Option<String>,
    /// Plans to keep, one per layout, 10 when left out; of a fleet, of each kind of GPU, 1.
    pub top: Option<u64>,
    /// Whether every feasible batch of the layouts that are kept is listed, and not the best of each alone.
    pub batches: Option<bool>,
    /// Measures that the front is drawn over: `per-gpu,tpot` when left out.
    pub pareto: Option<String>,
    /// Plans from the first that are made sure to hold the targets as simulated, 0 for the closed form alone; when
    /// left out, the first, and more where that takes little.
    pub verify: Option<u64>,
    /// Percentile that limits on times are on where they say none themselves, such as `p90`; the mean when left out.
    pub percentile: Option<String>,
    /// Chance with which limits on times are to hold on a real server, by those measured, such as `90%`; as
    /// estimated when left out.
    pub confidence: Option<String>,
    /// How the best plan moves when GPUs differ: `hbm=+20%`.
    pub what_if: Option<Texts>,
    /// What runs today: `tp=4,replicas=2`.
    pub current: Option<String>,
    /// Tokens per second that each user sees at least, after the first token.
    pub tokens_per_user: Option<f64>,
    /// Requests in flight that the deployment holds at least.
    pub min_concurrency: Option<u64>,
    /// Tokens of the longest request that must fit in memory, prompt and output together.
    #[schemars(extend("x-unit" = "tokens"))]
    pub min_context: Option<u64>,
    /// GPUs used at most.
    pub max_gpus: Option<u64>,
    /// Dollars per hour for the GPUs used at most.
    pub max_price: Option<f64>,
    /// Dollars per million output tokens at most.
    pub max_cost: Option<f64>,
    /// Watts that the GPUs used draw at most, all together.
    pub max_power: Option<f64>,
    /// `aggregated` (every replica does everything, when left out), `split` (pools of prefill and decode
    /// workers) or `any`.
    pub mode: Option<String>,
    /// Whether plans are looked at even where they are proven to be no better than others.
    pub exhaustive: Option<bool>,
    /// Time after which the search stops with the best found by then.
    #[serde(serialize_with = "values::seconds")]
    pub time_limit: Option<Seconds>,
    /// GPUs that are bought together; 1 when left out.
    pub unit: Option<u64>,
    /// Most GPUs of one replica, up to four usual servers, as many when left out.
    pub max_replica: Option<u64>,
    /// CSV file with the columns month and rate_per_s, in place of a rate: the fleet of each month.
    pub forecast: Option<String>,
    /// Capacity above the rate, such as `20%`; 25 % when left out.
    #[serde(default, with = "values::on_top")]
    #[schemars(with = "Option<ShareEntry>")]
    pub headroom: Option<ShareEntry>,
    /// Replicas beyond those needed; none when left out.
    pub spare: Option<u64>,
    /// Gamma shape of the gaps under a rate: 1 (when left out) is Poisson, less is burstier.
    pub burstiness: Option<f64>,
    /// File of requests, in place of lengths and a load.
    pub trace: Option<String>,
    /// Columns of the trace: `arrival=…,prompt=…,output=…[,session=…]`, `arrival_ms` for milliseconds; those of published
    /// traces are known.
    pub columns: Option<String>,
    /// Whether every prompt of a trace is computed whole, though it says what prompts have in common.
    pub no_prefix_cache: Option<bool>,
    /// How many times as fast the trace is played; 1 when left out.
    pub speed: Option<f64>,
    /// How the server is driven: steady (when left out), inferencex, trtllm-bench or mlperf-server.
    pub protocol: Option<String>,
    /// Requests to send; the protocol's when left out, of a trace all.
    pub requests: Option<u64>,
    /// Requests in the beginning that do not count; the protocol's when left out.
    pub warmup: Option<u64>,
    /// Seed of what is drawn; 1 when left out.
    pub seed: Option<u64>,
    /// What starts the server, as text or a file: `vllm serve …`, a script, manifests. Fields that are given win over
    /// it.
    pub launch: Option<String>,
    /// Of a search the plan of this rank, of one plan whether it is explained, operator by operator, in place of the
    /// answer.
    pub explain: Option<Explain>,
    /// A layout, such as `tp=2,pp=1`, and why it is not an answer, in place of the ranking.
    pub why_not: Option<String>,
    /// What starts the plan, in place of the answer: command, docker, k8s, llm-d, dynamo, kserve, slurm, skypilot or
    /// ray, or several.
    pub emit: Option<Texts>,
    /// The plan that `emit` writes, by its rank, or where no limit is named by what it is best at; when left out 1, or all
    /// parts of what several pools, or replicas of different sizes, deliver together where that is more.
    pub rank: Option<Chosen>,
    /// Whether this is a launch as it stands: what it leaves out is what the server starts with.
    #[serde(skip)]
    pub launched: bool,
    /// Whether the longest request of that launch is as long as there is room for.
    #[serde(skip)]
    pub length_by_room: bool,
    /// Whether its slots share one cache in place of a part each.
    #[serde(skip)]
    pub shares_cells: bool,
}

/// The fields of a request, and the tasks that each has a meaning for.
const FIELDS: &[(&str, &[Task])] = &[
    ("schema_version", &Task::ALL),
    ("model", &Task::ALL),
    ("config", &Task::ALL),
    ("shape", &Task::ALL),
    ("models", &Task::ALL),
    ("scope", &Task::ALL),
    ("lora", &Task::ALL),
    ("draft_model", &Task::ALL),
    ("offline", &Task::ALL),
    ("cluster", &[Task::Plan, Task::Estimate, Task::Simulate]),
    ("gpu", &Task::ALL),
    ("clusters", &[Task::Size]),
    ("price", &[Task::Plan, Task::Estimate, Task::Size]),
    ("isl", &Task::ALL),
    ("images", &Task::ALL),
    ("video", &Task::ALL),
    ("audio", &Task::ALL),
    ("task", &Task::ALL),
    ("batch_window", &Task::ALL),
    ("osl", &Task::ALL),
    ("concurrency", &[Task::Plan, Task::Estimate, Task::Simulate]),
    ("rate", &Task::ALL),
    ("prefix_hit", &Task::ALL),
    ("sessions", &Task::ALL),
    ("users", &Task::ALL),
    ("kv_tiers", &Task::ALL),
    ("routing", &Task::ALL),
    ("allow_long_context", &[Task::Plan, Task::Estimate, Task::Simulate]),
    ("ttft", &Task::ALL),
    ("tpot", &Task::ALL),
    ("e2e", &Task::ALL),
    ("speculate", &Task::ALL),
    ("draft_tokens", &Task::ALL),
    ("acceptance", &Task::ALL),
    ("engine", &Task::ALL),
    ("weights", &Task::ALL),
    ("kv", &Task::ALL),
    ("max_sequences", &Task::ALL),
    ("max_batched_tokens", &Task::ALL),
    ("memory_fraction", &Task::ALL),
    ("max_model_len", &Task::ALL),
    ("enforce_eager", &Task::ALL),
    ("max_cudagraph_capture_size", &Task::ALL),
    ("cudagraph_mode", &Task::ALL),
    ("cpu_offload_gb", &Task::ALL),
    ("kv_cache_memory_bytes", &Task::ALL),
    ("block_size", &Task::ALL),
    ("enable_prefix_caching", &Task::ALL),
    ("language_model_only", &Task::ALL),
    ("limit_mm_per_prompt", &Task::ALL),
    ("redundant_experts", &Task::ALL),
    ("scheduling", &Task::ALL),
    ("host_speed", &Task::ALL),
    ("kernels", &Task::ALL),
    ("host", &Task::ALL),
    ("gpu_layers", &Task::ALL),
    ("n_cpu_moe", &Task::ALL),
    ("cpu_moe", &Task::ALL),
    ("tensor_split", &Task::ALL),
    ("split_mode", &Task::ALL),
    ("override_tensor", &Task::ALL),
    ("tp", &[Task::Plan, Task::Estimate, Task::Simulate]),
    ("pp", &[Task::Plan, Task::Estimate, Task::Simulate]),
    ("ep", &[Task::Plan, Task::Estimate, Task::Simulate]),
    ("attention_dp", &[Task::Plan, Task::Estimate, Task::Simulate]),
    ("dcp", &[Task::Plan, Task::Estimate, Task::Simulate]),
    ("replicas", &[Task::Plan, Task::Estimate, Task::Simulate]),
    ("batch", &[Task::Plan]),
    ("prefill_tp", &[Task::Plan]),
    ("prefill_pp", &[Task::Plan]),
    ("prefill_ep", &[Task::Plan]),
    ("prefill_attention_dp", &[Task::Plan]),
    ("prefill", &[Task::Estimate, Task::Simulate]),
    ("decode", &[Task::Estimate, Task::Simulate]),
    ("electricity", &[Task::Plan, Task::Estimate]),
    ("pue", &[Task::Plan, Task::Estimate]),
    ("host_watts", &[Task::Plan, Task::Estimate]),
    ("objective", &[Task::Plan, Task::Size]),
    ("top", &[Task::Plan, Task::Size]),
    ("batches", &[Task::Plan]),
    ("pareto", &[Task::Plan]),
    ("verify", &[Task::Plan]),
    ("percentile", &[Task::Plan, Task::Size]),
    ("confidence", &[Task::Plan, Task::Size]),
    ("what_if", &[Task::Plan]),
    ("current", &[Task::Plan]),
    ("tokens_per_user", &[Task::Plan]),
    ("min_concurrency", &[Task::Plan]),
    ("min_context", &[Task::Plan]),
    ("max_gpus", &[Task::Plan]),
    ("max_price", &[Task::Plan]),
    ("max_cost", &[Task::Plan]),
    ("max_power", &[Task::Plan]),
    ("mode", &[Task::Plan]),
    ("exhaustive", &[Task::Plan]),
    ("time_limit", &[Task::Plan]),
    ("unit", &[Task::Size]),
    ("max_replica", &[Task::Size]),
    ("forecast", &[Task::Size]),
    ("headroom", &[Task::Size]),
    ("spare", &[Task::Size]),
    ("burstiness", &[Task::Simulate]),
    ("trace", &[Task::Simulate]),
    ("columns", &[Task::Simulate]),
    ("no_prefix_cache", &[Task::Simulate]),
    ("speed", &[Task::Simulate]),
    ("protocol", &[Task::Simulate]),
    ("requests", &[Task::Simulate]),
    ("warmup", &[Task::Simulate]),
    ("seed", &[Task::Simulate]),
    ("launch", &[Task::Plan, Task::Estimate, Task::Simulate]),
    ("explain", &[Task::Plan, Task::Estimate]),
    ("why_not", &[Task::Plan]),
    ("emit", &[Task::Plan, Task::Estimate]),
    ("rank", &[Task::Plan]),
];

form::asked!(Request);

impl Request {
    /// The JSON Schema of requests for some of the tasks: the fields that have a meaning for one of them.
    pub fn schema_of(tasks: &[Task]) -> Value {
        let mut schema = Request::schema();
        if let Some(fields) = schema.get_mut("properties").and_then(Value::as_object_mut) {
            fields
                .retain(|name, _| tasks.iter().any(|task| Request::fields(*task).any(|field| field == name)));
        }
        schema
    }

    /// The names of the fields that have a meaning for a task, in order.
    pub fn fields(task: Task) -> impl Iterator<Item = &'static str> {
        FIELDS.iter().filter(move |(_, tasks)| tasks.contains(&task)).map(|(name, _)| *name)
    }

    /// What it says of a degree of a replica, or of a decode worker.
    pub fn degrees(&self, axis: Axis) -> &Option<Values> {
        match axis {
            Axis::Tensor => &self.tp,
            Axis::Pipeline => &self.pp,
            Axis::Expert => &self.ep,
            Axis::AttentionData => &self.attention_dp,
            Axis::DecodeContext => &self.dcp,
        }
    }

    /// The same, to be set.
    pub fn degrees_mut(&mut self, axis: Axis) -> &mut Option<Values> {
        match axis {
            Axis::Tensor => &mut self.tp,
            Axis::Pipeline => &mut self.pp,
            Axis::Expert => &mut self.ep,
            Axis::AttentionData => &mut self.attention_dp,
            Axis::DecodeContext => &mut self.dcp,
        }
    }

    /// What it says of a degree of a prefill worker, which decodes nothing.
    pub fn prefill_degrees(&self, axis: Axis) -> &Option<Values> {
        match axis {
            Axis::Tensor => &self.prefill_tp,
            Axis::Pipeline => &self.prefill_pp,
            Axis::Expert => &self.prefill_ep,
            Axis::AttentionData => &self.prefill_attention_dp,
            Axis::DecodeContext => &None,
        }
    }

    /// Whether it gives a plan, by its degrees or by the launch of a server, in place of asking for one.
    pub fn gives_a_plan(&self) -> bool {
        let mut degrees = Axis::ALL.map(|axis| self.degrees(axis)).into_iter().chain([&self.replicas]);
        degrees.any(Option::is_some) || self.decode.is_some() || self.launch.is_some()
    }

    /// Finds the model, with its adapters and the model that drafts for it.
    ///
    /// # Errors
    /// What is wrong with the model or not found, in the names of the command line's options.
    pub fn find_model(&self, catalog: &Catalog, hub: &Hub) -> Result<Model, Diagnostic> {
        self.model.find(catalog, hub)
    }

    /// Checks that every field that is given has a meaning for the task.
    fn fits(&self, task: Task) -> Result<(), Diagnostic> {
        let given = self.given();
        let strange = FIELDS.iter().find(|(name, tasks)| given.contains_key(*name) && !tasks.contains(&task));
        match strange {
            Some((name, tasks)) => {
                let others: Vec<String> = tasks.iter().map(|task| format!("`{}`", task.name())).collect();
                let cause = format!("`{name}` means nothing to `{}`", task.name());
                Err(Diagnostic::new(Code::Usage, cause)
                    .at(format!("`{name}`"))
                    .help(format!("it belongs to {}", others.join(", "))))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
