//! All that is said of one plan: what it needs, what it delivers, and how sure that is.

use crate::catalog::residuals::Class;
use crate::catalog::version::Version;
use crate::dtype::{DType, WeightFormat};
use crate::plan::{Parallelism, Plan, Practice};
use crate::units::{Bytes, RequestsPerSecond, Seconds, TokensPerSecond, Usd, UsdPerHour};
use crate::workload::{Load, Purpose, Speculation, Targets, Tier, Workload};

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
    /// KV cache that the engine allocates, and the tokens that it holds: the whole room for it, but of engines that allocate
    /// slots.
    pub cache: (Bytes, u64),
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
    /// What the closed form says of it, if it was simulated; see [`Estimate::as_simulated`].
    pub closed: Option<ClosedForm>,
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

/// What the closed form says of a plan that was simulated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClosedForm {
    /// Means.
    pub times: Times,
    /// Output tokens per second of the deployment.
    pub output: TokensPerSecond,
    /// Whether the simulation is more than [`AGREED`] away from any of them, so that its figures are the plan's.
    pub refuted: bool,
}

/// Share by which the simulation of a plan may differ from the closed form where the closed form's figures stand for it: what
/// the first token of a closed loop strays by in a run of a few hundred requests that a run of twenty thousand mends.
pub const AGREED: f64 = 0.3;

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

impl Estimate {
    /// The estimate with what a simulation of it came to. Where that is more than [`AGREED`] away from the closed form in any
    /// mean time or in throughput, times, throughput and what follows from them are the simulation's.
    #[must_use]
    pub fn as_simulated(self, v: &Verified, workload: &Workload) -> Estimate {
        let (load, own) = (workload.load, Figures::from(&self));
        let means = Verified { ttft: v.means.ttft, tpot: v.means.tpot, e2e: v.means.e2e, ..*v };
        let found = own.as_simulated(&means, load);
        let apart = |closed: f64, found: f64| (found - closed).abs() > AGREED * closed.abs();
        let refuted = apart(own.ttft.get(), found.ttft.get())
            || apart(own.tpot.get(), found.tpot.get())
            || apart(own.e2e.get(), found.e2e.get())
            || apart(own.output.get(), found.output.get());
        let times = Times { ttft: own.ttft, tpot: own.tpot, e2e: own.e2e };
        let closed = Some(ClosedForm { times, output: own.output, refuted });
        let verified = Some(*v);
        if !refuted || found.output.get() <= 0.0 {
            return Estimate { verified, closed, ..self };
        }
        let slower = own.output / found.output;
        // As many come as before, and each is there for so much longer (Little's law).
        let longer = match (load, &self.prefill) {
            (Load::Rate(_), None) => found.e2e / own.e2e,
            _ => 1.0,
        };
        let energy = self.energy;
        let service = Service {
            ttft: found.ttft,
            tpot: found.tpot,
            e2e: found.e2e,
            output: self.service.output / slower,
            requests: self.service.requests / slower,
            running: (self.service.running * longer).min(self.batch * longer),
            decoding: (self.service.decoding * longer).min(self.batch * longer),
            ..self.service
        };
        Estimate {
            service,
            output: found.output,
            output_per_gpu: self.output_per_gpu / slower,
            energy: Energy {
                per_output: energy.per_output * slower,
                per_token: energy.per_token * slower,
                ..energy
            },
            electricity_output: self.electricity_output.map(|cost| cost * slower),
            cost_output: self.cost_output.map(|cost| cost * slower),
            cost_total: self.cost_total.map(|cost| cost * slower),
            batch: self.batch * longer,
            in_flight: self.in_flight * longer,
            ranges: self.ranges.map(|r| Ranges::new(self.class, &service, (workload, r.least), found.output)),
            closed,
            verified,
            ..self
        }
    }

    /// Its figures in closed form.
    pub fn in_closed_form(&self) -> Figures {
        let own = Figures::from(self);
        self.closed.map_or(own, |closed| {
            let Times { ttft, tpot, e2e } = closed.times;
            let per_output = own.per_output * (own.output / closed.output);
            Figures { ttft, tpot, e2e, output: closed.output, per_output, ..own }
        })
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
