//! Stages of a pipeline as parts of the whole model, and what launches change in its operators.

use crate::model::operator::{CollectiveKind, ExpertsShape, Operator, OperatorKind, RankGroup, Rows};
use crate::powers::power;

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
    /// The kind of card that it lies on, by its place among those of the replica.
    pub(super) kind: usize,
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

/// Tokens go to their experts alone, in place of all tokens to all ranks: FP8 on the way there (one byte an
/// element), 16 bits on the way back. Decoding sequences' go straight to each expert; prompts' go once to each node
/// and are forwarded inside it (low-latency and normal kernels of DeepEP's README).
pub(super) fn exchange(operators: &mut Vec<Operator>, nodes: u32) {
    let shape = operators.iter().find_map(|o| match o.kind {
        OperatorKind::GroupedGemm(e) => Some(e),
        _ => None,
    });
    let Some(experts) = shape else { return };
    let places = if nodes > 1 { nodes.into() } else { experts.expert_ranks };
    let routes = [
        (Rows::PrefillTokens, distinct(experts.top_k, places)),
        (Rows::DecodeSequences, experts.top_k as f64),
    ];
    let all = std::mem::take(operators);
    for operator in all {
        match operator.kind {
            OperatorKind::Collective { kind, group: RankGroup::Experts, .. } => {
                let width = if kind == CollectiveKind::AllGather { 1.0 } else { 2.0 };
                operators.extend(routes.map(|(rows, copies)| Operator {
                    kind: OperatorKind::Collective {
                        kind: CollectiveKind::AllToAll,
                        group: RankGroup::Experts,
                        rows,
                        bytes_per_row: (width * experts.hidden as f64 * copies).round() as u64,
                    },
                    ..operator
                }));
            }
            OperatorKind::GroupedGemm(e) => {
                let kind = OperatorKind::GroupedGemm(ExpertsShape { exchanged: true, ..e });
                operators.push(Operator { kind, ..operator });
            }
            _ => operators.push(operator),
        }
    }
}

/// How many of `places` the experts of one token are expected at, if each is as likely anywhere.
fn distinct(experts: u64, places: u64) -> f64 {
    let places = places as f64;
    places * (1.0 - power(1.0 - 1.0 / places, experts as f64))
}
