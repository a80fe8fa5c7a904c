//! Plans: how a model is divided over GPUs, the space of all plans, which of them are legal, and which
//! links their rank groups cross.

mod axis;
pub mod degrees;
pub mod divisors;
pub mod ledger;
pub mod offload;
pub mod placement;
mod practice;
pub mod reason;
pub mod rules;
pub mod space;
pub(crate) mod why;

use crate::catalog::Engine;
use crate::catalog::launch::ExpertExchange;
use crate::dtype::{DType, WeightFormat};
use crate::model::RankGroups;

pub use axis::Axis;
pub use degrees::Degrees;
pub use ledger::{Counts, Fallen, Ledger};
pub use offload::{Offload, Shares};
pub use placement::{GroupLink, Placement};
pub use practice::{Practice, UNPROVEN};
pub use reason::{Metric, Reason, Rejection};
pub use space::{Axes, BatchPoint, Layout, Plan, PlanSpace, PrefillPool};
pub use why::{Stage, Why};

/// How one replica of the engine is divided over GPUs.
///
/// A stage has `tp × attention_dp` ranks; the experts are spread over all of them, so
/// `ep × expert_tp = tp × attention_dp`. Dense models have `ep = 1` and `attention_dp = 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Parallelism {
    /// Tensor parallel (of attention and dense layers).
    pub tp: u32,
    /// Pipeline stages.
    pub pp: u32,
    /// Expert parallel.
    pub ep: u32,
    /// Attention data parallel.
    pub attention_dp: u32,
    /// Decode context parallel: the tensor-parallel ranks that hold the same key-value heads, in groups of so
    /// many, divide the tokens of each sequence among them. They take no GPUs of their own.
    pub dcp: u32,
}

impl Parallelism {
    /// One GPU.
    pub const SINGLE: Parallelism = Parallelism { tp: 1, pp: 1, ep: 1, attention_dp: 1, dcp: 1 };

    /// Ranks of one stage.
    pub fn stage_ranks(self) -> u64 {
        u64::from(self.tp) * u64::from(self.attention_dp)
    }

    /// GPUs of one replica.
    pub fn gpus(self) -> u64 {
        self.stage_ranks() * u64::from(self.pp)
    }

    /// Tensor parallel inside each expert, if `ep` divides the ranks of a stage and a count holds what that leaves.
    pub fn expert_tp(self) -> Option<u32> {
        let ranks = self.stage_ranks();
        let ep = u64::from(self.ep);
        if ep == 0 || !ranks.is_multiple_of(ep) { None } else { u32::try_from(ranks / ep).ok() }
    }

    /// How tokens go to their experts alone, where the engine is launched so and ranks have tokens and experts of
    /// their own.
    pub fn exchange(self, engine: &Engine) -> Option<ExpertExchange> {
        let groups = self.groups();
        engine.launch.expert_exchange.filter(|_| groups.attention_data > 1 && groups.expert > 1)
    }

    /// The rank groups of a stage. Where `ep` does not divide the ranks, experts count as unsplit
    /// inside; such plans are illegal and never reach an estimate.
    pub fn groups(self) -> RankGroups {
        RankGroups {
            tensor: u64::from(self.tp),
            attention_data: u64::from(self.attention_dp),
            expert: u64::from(self.ep),
            expert_tensor: u64::from(self.expert_tp().unwrap_or(1)),
            context: u64::from(self.dcp),
        }
    }
}

/// How weights and cache are stored in a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Precision {
    /// Weights re-quantised to this format; the checkpoint's own when `None`.
    pub weights: Option<WeightFormat>,
    /// Type of the KV cache; the engine's default when `None`.
    pub kv: Option<DType>,
}

impl Precision {
    /// The checkpoint's weights and the engine's default cache.
    pub const OWN: Precision = Precision { weights: None, kv: None };
}
