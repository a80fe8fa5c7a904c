//! Stages of a pipeline as parts of the whole model, and what launches change in its operators.

use crate::model::operator::{CollectiveKind, Operator, OperatorKind, RankGroup};

/// A part of the model that a stage holds or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// What comes before the layers.
    Before,
    /// A group of equal layers, and executions in one of them.
    Group(usize, u64),
    /// The same of the routed experts, where some layers' are elsewhere.
    Experts(usize, u64),
    /// What comes after the layers.
    After,
}

/// What one stage holds of the whole.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pace {
    /// Layers of each group.
    pub(super) layers: Vec<u64>,
    /// Those of them whose routed experts it holds.
    pub(super) experts: Vec<u64>,
    pub(super) first: bool,
    pub(super) last: bool,
}

impl Pace {
    /// How often it executes an operator that the whole model executes `all` times.
    pub(super) fn count(&self, part: Part, all: u64) -> f64 {
        let held = match part {
            Part::Before => u64::from(self.first) * all,
            Part::Group(group, each) => each * self.layers.get(group).copied().unwrap_or(0),
            Part::Experts(group, each) => each * self.experts.get(group).copied().unwrap_or(0),
            Part::After => u64::from(self.last) * all,
        };
        held as f64
    }
}

/// With wide expert parallelism each token goes to its experts alone: FP8 on the way there (one byte an
/// element), 16 bits on the way back (DeepEP's low-latency kernels), in place of all tokens to all ranks.
pub(super) fn exchange(operators: &mut [Operator]) {
    let shape = operators.iter().find_map(|o| match o.kind {
        OperatorKind::GroupedGemm(e) => Some(e),
        _ => None,
    });
    let Some(experts) = shape.filter(|e| e.expert_ranks > 1) else { return };
    let copies = experts.top_k.min(experts.expert_ranks) * experts.hidden;
    for operator in operators {
        if let OperatorKind::Collective { kind, group: RankGroup::Experts, bytes_per_row, .. } =
            &mut operator.kind
        {
            let gathers = *kind == CollectiveKind::AllGather;
            *bytes_per_row = if gathers { copies } else { 2 * copies };
            *kind = CollectiveKind::AllToAll;
        }
    }
}
