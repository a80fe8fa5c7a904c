//! A scenario file as it is written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::entry::{ClusterEntry, ModelEntry, Names};
use super::search::Search;
use super::training::TrainingEntry;
use crate::diagnostic::Diagnostic;
use crate::load::Located;
use crate::rank::Objective;
use crate::request::{Counts, LengthEntry, RateEntry, Request, Task, TimeTarget, Values};
use crate::units::{RequestsPerSecond, Seconds, UsdPerHour};
use crate::workload::Purpose;

/// A scenario file.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScenarioFile {
    /// What the review is about; unless said, the file's name.
    pub name: Option<String>,
    /// More about it, for the report.
    pub about: Option<String>,
    /// Catalogue names, paths to `config.json` files, or `shape: layers=32,…`; with `name:`, `weights:` and
    /// `kv:` where they are not the usual ones.
    #[schemars(with = "Vec<ModelEntry>", length(min = 1))]
    pub models: Vec<Located<ModelEntry>>,
    /// Cluster names or shorthands; with `name:` and `price:` where they have their own.
    #[schemars(with = "Vec<ClusterEntry>", length(min = 1))]
    pub clusters: Vec<Located<ClusterEntry>>,
    /// Lengths and loads.
    #[serde(default)]
    #[schemars(with = "Vec<WorkloadEntry>", length(min = 1))]
    pub workloads: Vec<Located<WorkloadEntry>>,
    /// What is trained in which steps, instead of workloads: every model on every cluster in each of them.
    #[serde(default)]
    #[schemars(with = "Vec<TrainingEntry>", length(min = 1))]
    pub training: Vec<Located<TrainingEntry>>,
    /// Latency targets; none when left out.
    #[serde(default)]
    #[schemars(with = "Vec<TargetsEntry>")]
    pub targets: Vec<Located<TargetsEntry>>,
    /// Engines, as `--engine` takes them (`vllm@0.19`); all compete in each case. The usual ones of the
    /// cluster's GPUs when left out.
    #[serde(default)]
    #[schemars(with = "Vec<String>", extend("x-names" = "engine"))]
    pub engines: Vec<Located<String>>,
    /// What the best plan is best at; when left out, cost where a rate is given and throughput elsewhere.
    #[serde(default)]
    #[schemars(with = "Option<Objective>")]
    pub objective: Option<Located<String>>,
    /// Several objectives: a case for each.
    #[serde(default)]
    #[schemars(with = "Vec<Objective>")]
    pub objectives: Vec<Located<String>>,
    /// Price per GPU and hour, over that of the catalogue, by GPU.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, UsdPerHour>")]
    pub prices: BTreeMap<String, Located<UsdPerHour>>,
    /// Where plans are looked for.
    #[serde(default)]
    #[schemars(with = "Option<SearchEntry>")]
    pub search: Option<Located<SearchEntry>>,
    /// What entries have that do not say otherwise.
    #[serde(default)]
    pub defaults: Defaults,
    /// Grids of cases: every combination of the names listed, all of them where an axis is left out.
    /// Without `matrix` and `include`, every combination there is.
    #[serde(default)]
    #[schemars(with = "Vec<Selection>")]
    pub matrix: Vec<Located<Selection>>,
    /// Cases beside those of `matrix`.
    #[serde(default)]
    #[schemars(with = "Vec<Selection>")]
    pub include: Vec<Located<Selection>>,
    /// Cases to leave out: those that have all the names of an entry.
    #[serde(default)]
    #[schemars(with = "Vec<Selection>")]
    pub exclude: Vec<Located<Selection>>,
}

/// Where plans are looked for: axes that are left out are free.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchEntry {
    /// `aggregated` (every replica does everything), `split` (pools of prefill and decode workers) or `any`.
    #[schemars(regex(pattern = "^(aggregated|split|any)$"))]
    pub mode: Option<String>,
    /// Tensor parallel; with split pools, as those below, of the decode workers.
    #[serde(default)]
    pub tp: Values,
    /// Pipeline stages.
    #[serde(default)]
    pub pp: Values,
    /// Expert parallel.
    #[serde(default)]
    pub ep: Values,
    /// Attention data parallel.
    #[serde(default)]
    pub attention_dp: Values,
    /// Decode context parallel.
    #[serde(default)]
    pub dcp: Values,
    /// Replicas.
    #[serde(default)]
    pub replicas: Values,
    /// Requests in flight on each replica, where no load is given.
    #[serde(default)]
    pub batch: Values,
    /// Tensor parallel of the prefill workers.
    #[serde(default)]
    pub prefill_tp: Values,
    /// Pipeline stages of the prefill workers.
    #[serde(default)]
    pub prefill_pp: Values,
    /// Expert parallel of the prefill workers.
    #[serde(default)]
    pub prefill_ep: Values,
    /// Attention data parallel of the prefill workers.
    #[serde(default)]
    pub prefill_attention_dp: Values,
    /// Sequences in one batch; the engine's default when left out.
    #[serde(default)]
    pub max_sequences: Values,
    /// Tokens in one step; the engine's default when left out.
    #[serde(default)]
    pub max_batched_tokens: Values,
    /// Tiers below the GPUs' cache of sessions: `cpu=1TiB,nvme=4TB,shared=20TB`, of each node but for the shared one.
    pub kv_tiers: Option<String>,
    /// How turns of sessions are sent to replicas: `prefix-aware` (when left out), `round-robin` or `least-load`.
    pub routing: Option<String>,
    /// Plans of each case that are simulated, so that what is found keeps its targets in discrete events too: the best
    /// one when left out, none with 0, which is several times as fast.
    pub verify: Option<u64>,
}

impl SearchEntry {
    /// What it asks for.
    fn request(&self) -> Request {
        // An empty list leaves an axis free.
        let axis = |values: &Values| Some(values.clone()).filter(|values| !values.0.is_empty());
        let counts = |values: &Values| {
            axis(values).map(|values| Counts(values.0.into_iter().map(u64::from).collect()))
        };
        Request {
            mode: self.mode.clone(),
            tp: axis(&self.tp),
            pp: axis(&self.pp),
            ep: axis(&self.ep),
            attention_dp: axis(&self.attention_dp),
            dcp: axis(&self.dcp),
            replicas: axis(&self.replicas),
            batch: axis(&self.batch),
            prefill_tp: axis(&self.prefill_tp),
            prefill_pp: axis(&self.prefill_pp),
            prefill_ep: axis(&self.prefill_ep),
            prefill_attention_dp: axis(&self.prefill_attention_dp),
            max_sequences: counts(&self.max_sequences),
            max_batched_tokens: counts(&self.max_batched_tokens),
            kv_tiers: self.kv_tiers.clone(),
            routing: self.routing.clone(),
            verify: self.verify,
            ..Request::default()
        }
    }

    /// It, checked.
    ///
    /// # Errors
    /// An unknown mode, tier or routing; a limit out of range; prefill workers that are pinned where there are none.
    pub fn search(&self) -> Result<Search, Diagnostic> {
        let request = self.request();
        let (mode, pins) = request.space(Task::Plan)?;
        let (launches, verification) = (request.launches(Task::Plan)?, request.verification()?);
        Ok(Search { mode, pins, launches, verification })
    }
}

/// What entries have that do not say otherwise.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Defaults {
    /// Of workloads.
    pub workload: Option<WorkloadEntry>,
    /// Of targets.
    pub targets: Option<TargetsEntry>,
}

/// Speculative decoding: tokens that are drafted and verified together.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpeculationEntry {
    /// `mtp` (the checkpoint's own prediction layers) or `ngram` (found in the text so far, at no cost).
    pub draft: String,
    /// Tokens to draft for each step; 1 when left out.
    #[schemars(range(min = 1, max = 32))]
    pub tokens: Option<u32>,
    /// How likely a drafted token is accepted when those before it were.
    #[schemars(range(min = 0, max = 1))]
    pub acceptance: f64,
}

/// Lengths and load. What is left out is that of `like`, then that of the `defaults`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkloadEntry {
    /// What results call it.
    pub name: Option<String>,
    /// A workload above whose fields this one has where it does not say otherwise.
    pub like: Option<String>,
    /// A remark that results repeat.
    pub comment: Option<String>,
    /// Prompt tokens: a number, `uniform:LOW..HIGH` or `lognormal:MEAN,SIGMA`.
    pub isl: Option<LengthEntry>,
    /// Output tokens, in the same forms; none with a task that makes no text.
    pub osl: Option<LengthEntry>,
    /// What answers are made of: `generate` (when left out), `embed` or `rerank`.
    pub task: Option<Purpose>,
    /// How long an embedding or reranking server holds a batch that is not full for more inputs.
    pub batch_window: Option<Seconds>,
    /// Sessions in place of lengths: `turns=12,system=4000,new=600,output=300,think=20s`, or `chat`, `coding-agent`, `rag`,
    /// `deep-research`, each with what differs after it. `users` alone is then the load.
    pub sessions: Option<String>,
    /// A trace of requests, beside this file, for the lengths and, without a load, the rate.
    pub trace: Option<String>,
    /// Share of each prompt that is in the prefix cache and not computed.
    #[schemars(range(min = 0, max = 1))]
    pub prefix_hit: Option<f64>,
    /// Speculative decoding.
    pub speculation: Option<SpeculationEntry>,
    /// Requests in flight over the whole deployment; without any load, as many as are best.
    #[schemars(range(min = 1))]
    pub concurrency: Option<u64>,
    /// Requests per second over the whole deployment.
    pub rate: Option<RateEntry>,
    /// People who use it, each with `requests_per_user`.
    #[schemars(range(min = 1))]
    pub users: Option<u64>,
    /// What each of them asks, mean of a day: `20 req/day`.
    pub requests_per_user: Option<RequestsPerSecond>,
    /// Requests of one day, together.
    #[schemars(range(min = 1))]
    pub requests_per_day: Option<u64>,
    /// The busiest hour over the mean one; the deployment is made for the busiest.
    #[schemars(range(min = 1))]
    pub peak_factor: Option<f64>,
    /// The load of each hour of a day against the others, 24 numbers; the peak factor follows.
    #[schemars(length(min = 24, max = 24))]
    pub profile: Option<Vec<f64>>,
    /// A CSV file of months and rates, beside this one: a workload for each month.
    pub forecast: Option<String>,
}

/// Latency targets. What is left out is that of `like`, then that of the `defaults`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetsEntry {
    /// What results call it.
    pub name: Option<String>,
    /// Targets above that these have where they do not say otherwise.
    pub like: Option<String>,
    /// Longest time to first token: `1s` on the mean, `p95:1s` at a percentile.
    pub ttft: Option<TimeTarget>,
    /// Longest time per output token after the first, the same.
    pub tpot: Option<TimeTarget>,
    /// Longest time from request to last token, the same.
    pub e2e: Option<TimeTarget>,
    /// What limits are on that do not say it, `p95`; the mean when left out.
    pub percentile: Option<String>,
    /// The chance with which they are to hold on a real server, by those measured: `90%`.
    pub confidence: Option<String>,
}

/// Cases, by the names of what they are made of.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// Models, by the names in `models`.
    pub model: Option<Names>,
    /// Clusters, by the names in `clusters`.
    pub cluster: Option<Names>,
    /// Workloads, by the names in `workloads`; that of a forecast stands for all its months.
    pub workload: Option<Names>,
    /// Targets, by the names in `targets`.
    pub targets: Option<Names>,
    /// Objectives.
    pub objective: Option<Names>,
    /// A remark that results repeat.
    pub comment: Option<String>,
}
