//! Why a plan is not an answer: reasons are values, and the nearest miss of each is kept.

use crate::dtype::{DType, WeightFormat};
use crate::units::{Bytes, RequestsPerSecond, Seconds};

/// Which limit a plan breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Time to first token.
    Ttft,
    /// Time per output token.
    Tpot,
    /// End to end.
    E2e,
}

impl Metric {
    /// As printed.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Ttft => "TTFT",
            Metric::Tpot => "TPOT",
            Metric::E2e => "end-to-end time",
        }
    }
}

/// Why a plan is rejected.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// A parallel degree does not divide what it splits.
    NotDivisible {
        /// What is split.
        what: &'static str,
        /// How many there are.
        count: u64,
        /// By which degree.
        by: u32,
        /// Its name.
        degree: &'static str,
    },
    /// More stages than layers.
    TooManyStages {
        /// Layers.
        layers: u64,
        /// Stages.
        pp: u32,
    },
    /// The engine lacks the mode.
    ModeUnsupported {
        /// Which mode.
        mode: &'static str,
    },
    /// The mode makes no sense for a dense model.
    DenseModel {
        /// Which mode.
        mode: &'static str,
    },
    /// The replica needs more GPUs than there are, or straddles nodes without filling them.
    NoPlace {
        /// GPUs of one replica.
        gpus: u64,
    },
    /// More replicas than the cluster holds.
    TooManyReplicas {
        /// Replicas asked for.
        replicas: u32,
        /// Replicas that fit.
        most: u32,
    },
    /// Neither the GPU computes in the format nor the engine runs it at 16 bits.
    FormatUnsupported {
        /// The format.
        format: WeightFormat,
    },
    /// The engine has no such cache, or the GPU cannot hold it.
    CacheUnsupported {
        /// The type.
        kv: DType,
    },
    /// The engine does not run on GPUs of this vendor.
    VendorUnsupported,
    /// Not even one request fits.
    OutOfMemory {
        /// What one request at full length needs with everything else.
        need: Bytes,
        /// What the engine may use.
        have: Bytes,
    },
    /// What is left to the host does not fit there.
    HostOutOfMemory {
        /// Weights and the cache of one request.
        need: Bytes,
        /// What the server may use.
        have: Bytes,
    },
    /// The batch needs more KV cache than is left.
    CacheTooSmall {
        /// KV cache of the batch.
        need: Bytes,
        /// KV cache there is.
        have: Bytes,
    },
    /// The batch exceeds the engine's limit on sequences.
    BatchLimit {
        /// Sequences asked for.
        batch: u64,
        /// The engine's limit.
        limit: u64,
    },
    /// A limit is broken.
    TargetMissed {
        /// Which.
        metric: Metric,
        /// The limit.
        want: Seconds,
        /// The estimate.
        got: Seconds,
    },
    /// More than the budget allows.
    BudgetExceeded {
        /// Of what.
        unit: &'static str,
        /// The limit.
        want: f64,
        /// The estimate.
        got: f64,
    },
    /// Fewer requests in flight than asked for.
    ConcurrencyMissed {
        /// Requests asked for.
        want: f64,
        /// The estimate.
        got: f64,
    },
    /// The deployment cannot keep up with the rate.
    RateMissed {
        /// The rate.
        want: RequestsPerSecond,
        /// The most it serves.
        got: RequestsPerSecond,
    },
}

/// At which stage of the funnel a reason arises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Legality rules.
    Illegal,
    /// Memory.
    OutOfMemory,
    /// Targets.
    TargetMissed,
}

impl Reason {
    /// The stage that rejects.
    pub fn stage(&self) -> Stage {
        match self {
            Reason::NotDivisible { .. }
            | Reason::TooManyStages { .. }
            | Reason::ModeUnsupported { .. }
            | Reason::DenseModel { .. }
            | Reason::NoPlace { .. }
            | Reason::TooManyReplicas { .. }
            | Reason::FormatUnsupported { .. }
            | Reason::CacheUnsupported { .. }
            | Reason::VendorUnsupported => Stage::Illegal,
            Reason::OutOfMemory { .. }
            | Reason::HostOutOfMemory { .. }
            | Reason::CacheTooSmall { .. }
            | Reason::BatchLimit { .. } => Stage::OutOfMemory,
            Reason::TargetMissed { .. }
            | Reason::BudgetExceeded { .. }
            | Reason::ConcurrencyMissed { .. }
            | Reason::RateMissed { .. } => Stage::TargetMissed,
        }
    }

    /// What equal reasons are counted under: a name, and what it concerns.
    pub fn key(&self) -> (&'static str, &'static str) {
        match self {
            Reason::NotDivisible { what, degree, .. } => (degree, what),
            Reason::TooManyStages { .. } => ("more_stages_than_layers", ""),
            Reason::ModeUnsupported { mode } => ("engine_lacks", mode),
            Reason::DenseModel { mode } => ("dense_model_has_no", mode),
            Reason::NoPlace { .. } => ("no_place_on_cluster", ""),
            Reason::TooManyReplicas { .. } => ("more_replicas_than_fit", ""),
            Reason::FormatUnsupported { .. } => ("weight_format_unsupported", ""),
            Reason::CacheUnsupported { .. } => ("kv_type_unsupported", ""),
            Reason::VendorUnsupported => ("engine_lacks_vendor", ""),
            Reason::OutOfMemory { .. } => ("out_of_memory", ""),
            Reason::HostOutOfMemory { .. } => ("host_out_of_memory", ""),
            Reason::CacheTooSmall { .. } => ("kv_cache_too_small_for_batch", ""),
            Reason::BatchLimit { .. } => ("batch_beyond_engine_limit", ""),
            Reason::TargetMissed { metric: Metric::Ttft, .. } => ("ttft_missed", ""),
            Reason::TargetMissed { metric: Metric::Tpot, .. } => ("tpot_missed", ""),
            Reason::TargetMissed { metric: Metric::E2e, .. } => ("e2e_missed", ""),
            Reason::BudgetExceeded { unit: "GPUs", .. } => ("gpu_budget_exceeded", ""),
            Reason::BudgetExceeded { unit: "W", .. } => ("power_budget_exceeded", ""),
            Reason::BudgetExceeded { unit: "USD/h", .. } => ("price_budget_exceeded", ""),
            Reason::BudgetExceeded { .. } => ("cost_budget_exceeded", ""),
            Reason::ConcurrencyMissed { .. } => ("concurrency_missed", ""),
            Reason::RateMissed { .. } => ("rate_missed", ""),
        }
    }

    /// The key as one identifier, e.g. `tp_does_not_divide_attention_heads`.
    pub fn name(&self) -> String {
        let (name, about) = self.key();
        let joined = match self {
            Reason::NotDivisible { .. } => format!("{name}_does_not_divide_{about}"),
            _ if about.is_empty() => name.to_owned(),
            _ => format!("{name}_{about}"),
        };
        joined.replace([' ', '-'], "_")
    }

    /// How far from legal, as a ratio above 1; 1 where there is no measure.
    pub fn distance(&self) -> f64 {
        match self {
            Reason::OutOfMemory { need, have }
            | Reason::HostOutOfMemory { need, have }
            | Reason::CacheTooSmall { need, have } => need.as_f64() / have.as_f64().max(1.0),
            Reason::BatchLimit { batch, limit } => *batch as f64 / (*limit).max(1) as f64,
            Reason::TooManyReplicas { replicas, most } => f64::from(*replicas) / f64::from((*most).max(1)),
            Reason::TargetMissed { want, got, .. } => *got / *want,
            Reason::BudgetExceeded { want, got, .. } => got / want,
            Reason::ConcurrencyMissed { want, got } => want / got.max(f64::MIN_POSITIVE),
            Reason::RateMissed { want, got } => want.get() / got.get().max(f64::MIN_POSITIVE),
            _ => 1.0,
        }
    }

    /// One sentence.
    pub fn message(&self) -> String {
        match self {
            Reason::NotDivisible { what, count, by, degree } => {
                let near: Vec<String> =
                    (1..=64).filter(|d| count.is_multiple_of(*d)).map(|d| d.to_string()).take(8).collect();
                format!("{degree}={by} does not divide {count} {what}; divisors: {}", near.join(", "))
            }
            Reason::TooManyStages { layers, pp } => format!("pp={pp} exceeds {layers} layers"),
            Reason::ModeUnsupported { mode } => format!("the engine has no {mode}"),
            Reason::DenseModel { mode } => format!("{mode} needs a mixture of experts"),
            Reason::NoPlace { gpus } => {
                format!(
                    "a replica of {gpus} GPUs has no place: too few GPUs, or a stage would straddle nodes"
                )
            }
            Reason::TooManyReplicas { replicas, most } => {
                format!("{replicas} replicas are too many: the cluster holds {most}")
            }
            Reason::FormatUnsupported { format } => {
                format!("the GPU does not compute in {format} and the engine has no 16-bit fallback")
            }
            Reason::CacheUnsupported { kv } => format!("the engine or GPU has no {kv} KV cache"),
            Reason::VendorUnsupported => "the engine does not run on such GPUs".into(),
            Reason::OutOfMemory { need, have } => format!(
                "one request needs {need} per GPU and {have} may be used: {} short",
                need.saturating_sub(*have)
            ),
            Reason::HostOutOfMemory { need, have } => {
                format!("what is left to the host needs {need} of its memory and {have} may be used")
            }
            Reason::CacheTooSmall { need, have } => {
                format!("the batch needs {need} of KV cache per GPU and {have} is left")
            }
            Reason::BatchLimit { batch, limit } => {
                format!("{batch} sequences exceed the engine's limit of {limit}")
            }
            Reason::TargetMissed { metric, want, got } => {
                let beyond = 100.0 * (*got / *want - 1.0);
                format!("{} {got} misses the target of {want} by {beyond:.1} %", metric.name())
            }
            Reason::BudgetExceeded { unit, want, got } => {
                format!("{got:.2} {unit} exceed the {want:.2} allowed")
            }
            Reason::ConcurrencyMissed { want, got } => {
                format!("{got:.0} requests in flight fall short of {want:.0}")
            }
            Reason::RateMissed { want, got } => format!(
                "each replica serves at most {:.3} req/s of its share of {:.3}",
                got.get(),
                want.get()
            ),
        }
    }
}

/// A reason with the plan that came nearest and how many fell for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejection {
    /// The reason of the nearest miss.
    pub reason: Reason,
    /// Plans rejected for it.
    pub count: u64,
    /// The plan that came nearest.
    pub nearest: super::Plan,
}
