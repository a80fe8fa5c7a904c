//! All that is said of one plan: what it needs, what it delivers, and how sure that is.

use crate::catalog::residuals::Class;
use crate::catalog::version::Version;
use crate::dtype::{DType, WeightFormat};
use crate::plan::{Parallelism, Plan, Practice};
use crate::units::{Bytes, RequestsPerSecond, Seconds, TokensPerSecond, Usd, UsdPerHour};
use crate::workload::{Load, Purpose, Speculation, Targets, Tier};

use super::figures::{Figures, Verified};
use super::memory::{Limits, MemoryUse, Verdict};
use super::power::Energy;
use super::range::{Chances, Ranges, Times};
use super::service::Service;
use super::sessions::Reuse;

/// A plan with everything it needs and delivers.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    /// The point of the space.
    pub plan: Plan,
    /// The GPU of the pool that it runs on.
    pub gpu: String,
    /// Engine, with how it is launched ([`Engine::label`](crate::catalog::Engine::label)).
    pub engine: String,
    /// Its version.
    pub engine_version: Version,
    /// The split.
    pub parallelism: Parallelism,
    /// Tensor parallel inside each expert; 1 for dense models.
    pub expert_tp: u32,
    /// Format of most weights.
    pub weights: WeightFormat,
    /// Type of the KV cache.
    pub kv: DType,
    /// Launch limits.
    pub limits: Limits,
    /// Speculative decoding, if it is on.
    pub speculation: Option<Speculation>,
    /// What answers are made of.
    pub purpose: Purpose,
    /// Prompt tokens of a request.
    pub prompt_tokens: u64,
    /// What encoding the images and sound of one prompt takes.
    pub encoding: Seconds,
    /// Replicas.
    pub replicas: u32,
    /// GPUs used.
    pub gpus: u64,
    /// GPUs of the cluster left idle, those of other pools among them.
    pub idle_gpus: u64,
    /// Requests in flight on each replica (the mean, under a given load).
    pub batch: f64,
    /// Most requests in flight on one replica that the KV cache and the engine allow.
    pub max_batch: u64,
    /// Memory of the fullest rank.
    pub memory: MemoryUse,
    /// KV cache left over at this batch.
    pub headroom: Bytes,
    /// Whether it fits.
    pub verdict: Verdict,
    /// Whether servers are launched so.
    pub practice: Practice,
    /// What one replica delivers.
    pub service: Service,
    /// Output tokens per second of all replicas.
    pub output: TokensPerSecond,
    /// The same per GPU used.
    pub output_per_gpu: TokensPerSecond,
    /// What it draws.
    pub energy: Energy,
    /// The part of `cost_output` that electricity makes, where it is not in the rental price.
    pub electricity_output: Option<Usd>,
    /// Dollars per million output tokens, for the GPUs used.
    pub cost_output: Option<Usd>,
    /// Dollars per million tokens, input and output together.
    pub cost_total: Option<Usd>,
    /// What the GPUs used cost, electricity included.
    pub price: Option<UsdPerHour>,
    /// Requests in flight over the deployment.
    pub in_flight: f64,
    /// The pool that computes prompts, where the replicas decode alone.
    pub prefill: Option<PrefillFacts>,
    /// What a simulation of it came to, if it was simulated.
    pub verified: Option<Verified>,
    /// How far measured servers of its kind lie from what is estimated.
    pub class: &'static Class,
    /// Where they lie, if any were measured.
    pub ranges: Option<Ranges>,
    /// The chance that a server keeps each limit on a time, around what was simulated where it was.
    pub holds: Chances,
    /// What it does not start without, beside what it is.
    pub needs: Option<NeededFlag>,
    /// Share of the prompt tokens that are in the prefix cache, where some are; as it is given, or as sessions find it.
    pub prefix_hit: Option<f64>,
    /// What the caches do for sessions, where requests are turns of them.
    pub reuse: Option<Reuse>,
    /// What each tier below the GPUs' cache is worth, the fastest first.
    pub tiers: Vec<TierWorth>,
}

/// What a tier is worth: the plan under its load with the tiers down to this one, and with those above it alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TierWorth {
    /// The tier.
    pub tier: Tier,
    /// Whether loading from it is faster than computing again.
    pub used: bool,
    /// With the tiers above it alone.
    pub without: TierFigures,
    /// With it.
    pub with: TierFigures,
}

/// What a plan delivers with some tiers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TierFigures {
    /// Share of prompt tokens that are not computed.
    pub hit: f64,
    /// Time to first token, mean.
    pub ttft: Seconds,
    /// Requests per second of all replicas.
    pub requests: RequestsPerSecond,
    /// Dollars per million output tokens.
    pub cost_output: Option<Usd>,
}

/// A flag that a plan does not start without: one request of the model's whole context, the engine's default, finds no
/// room.
#[derive(Clone, Debug, PartialEq)]
pub struct NeededFlag {
    /// What the engine calls it.
    pub flag: String,
    /// A length that finds room with some to spare.
    pub tokens: u64,
    /// The model's context.
    pub context: u64,
}

impl std::fmt::Display for NeededFlag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.flag, self.tokens)
    }
}

/// The prefill pool of a plan with split pools.
#[derive(Clone, Debug, PartialEq)]
pub struct PrefillFacts {
    /// GPU of its pool.
    pub gpu: String,
    /// Split of one worker.
    pub parallelism: Parallelism,
    /// Workers.
    pub workers: u32,
    /// Share of its time that a worker computes.
    pub load: f64,
    /// What a first token waits for the transfer of the cache.
    pub transfer: Seconds,
}

impl Estimate {
    /// The estimate with the chances that a server keeps the limits on its times; without any where nothing is generated,
    /// whose residuals nobody has measured.
    #[must_use]
    pub fn judged(self, targets: &Targets) -> Estimate {
        let holds = match self.ranges {
            Some(_) => Chances::of(self.class, Times::of(&self.service), targets),
            None => Chances::default(),
        };
        Estimate { holds, ..self }
    }
}

impl Figures {
    /// What an estimate is ranked by: what was simulated of it, if it was.
    pub fn ranked(estimate: &Estimate, load: Load) -> Figures {
        let own = Figures::from(estimate);
        estimate.verified.as_ref().map_or(own, |v| own.as_simulated(v, load))
    }
}

impl From<&Estimate> for Figures {
    fn from(e: &Estimate) -> Figures {
        Figures {
            plan: e.plan,
            verdict: e.verdict,
            practice: e.practice,
            gpus: e.gpus,
            output: e.output,
            ttft: e.service.ttft,
            tpot: e.service.tpot,
            e2e: e.service.e2e,
            in_flight: e.in_flight,
            price: e.price,
            power: e.energy.power * e.gpus as f64,
            per_output: e.energy.per_output,
            class: e.class,
        }
    }
}
