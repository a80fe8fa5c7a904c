//! Why a training plan is not an answer.

use crate::units::Bytes;

use super::plan::TrainingPlan;

/// A reason.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Misfit {
    /// Heads or widths do not divide by the tensor-parallel degree.
    Heads {
        /// Attention heads.
        heads: u64,
    },
    /// Layers do not divide by stages and chunks.
    Layers {
        /// Layers.
        layers: u64,
    },
    /// Sequences do not divide by the context-parallel degree and its two halves.
    Sequence {
        /// Tokens of a sequence.
        tokens: u64,
    },
    /// The global batch does not divide by data-parallel ranks and microbatch.
    Batch {
        /// Sequences of a step.
        batch: u64,
    },
    /// Interleaved stages need as many microbatches as stages, or a multiple.
    Microbatches {
        /// Microbatches of a step.
        microbatches: u64,
    },
    /// The schedule needs stages in pairs, and one chunk.
    Schedule,
    /// Sharded parameters need data-parallel ranks, and no pipeline of chunks.
    Sharding,
    /// The network inside nodes does not reach that far.
    Network {
        /// GPUs of a node.
        per_node: u32,
    },
    /// Memory of the fullest stage.
    Memory {
        /// What it takes.
        need: Bytes,
        /// What the GPU has.
        capacity: Bytes,
    },
}

/// How many kinds there are.
pub const KINDS: usize = 9;

impl Misfit {
    /// Number of its kind.
    pub fn kind(&self) -> usize {
        match self {
            Misfit::Heads { .. } => 0,
            Misfit::Layers { .. } => 1,
            Misfit::Sequence { .. } => 2,
            Misfit::Batch { .. } => 3,
            Misfit::Microbatches { .. } => 4,
            Misfit::Schedule => 5,
            Misfit::Sharding => 6,
            Misfit::Network { .. } => 7,
            Misfit::Memory { .. } => 8,
        }
    }

    /// Key to count under.
    pub fn key(&self) -> &'static str {
        const KEYS: [&str; KINDS] = [
            "heads",
            "layers",
            "sequence",
            "batch",
            "microbatches",
            "schedule",
            "sharding",
            "network",
            "memory",
        ];
        KEYS[self.kind()]
    }

    /// How far it is from fitting; 0 where that has no measure.
    pub fn distance(&self) -> f64 {
        match self {
            Misfit::Memory { need, capacity } => need.as_f64() / capacity.as_f64() - 1.0,
            _ => 0.0,
        }
    }

    /// A sentence.
    pub fn message(&self, plan: &TrainingPlan) -> String {
        let s = &plan.split;
        match self {
            Misfit::Heads { heads } => format!("tp = {} does not divide {heads} attention heads", s.tp),
            Misfit::Layers { layers } => format!(
                "{layers} layers do not divide into {} stages of {} chunks, embedding and head counted or not",
                s.pp, plan.chunks
            ),
            Misfit::Sequence { tokens } => {
                format!("{tokens} tokens do not divide into two halves for each of cp = {} ranks", s.cp)
            }
            Misfit::Batch { batch } => {
                format!("a global batch of {batch} does not divide by dp = {} × {}", s.dp, plan.micro_batch)
            }
            Misfit::Microbatches { microbatches } => {
                format!("{microbatches} microbatches are no multiple of {} interleaved stages", s.pp)
            }
            Misfit::Schedule => format!(
                "{} needs an even number of stages with one chunk each, found {} of {}",
                plan.schedule.name(),
                s.pp,
                plan.chunks
            ),
            Misfit::Sharding => {
                format!("{} divides nothing over one data-parallel rank", plan.sharding.name())
            }
            Misfit::Network { per_node } => {
                format!("the network inside nodes reaches {per_node} GPUs, and a group is larger")
            }
            Misfit::Memory { need, capacity } => {
                let short = need.saturating_sub(*capacity);
                format!("takes {need} of {capacity}: {short} too much")
            }
        }
    }
}

/// A reason, how many plans fell for it, and the one that came nearest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rejected {
    /// The reason, of the nearest plan.
    pub misfit: Misfit,
    /// Plans.
    pub count: u64,
    /// The nearest.
    pub nearest: TrainingPlan,
}
