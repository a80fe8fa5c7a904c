//! Ways to launch an engine that are asked for by name beside its defaults, as its file says them.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::units::{Bytes, Seconds};

/// What a way to launch an engine changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LaunchMode {
    /// How tokens get to their experts.
    #[serde(default)]
    pub expert_exchange: Option<ExpertExchange>,
    /// Whether a load balancer with redundant experts spreads the hot ones.
    #[serde(default)]
    pub expert_balancer: bool,
    /// Whether a step runs as two half batches, of which one computes while the other's tokens are exchanged.
    #[serde(default)]
    pub batch_overlap: bool,
    /// Whether steps that only decode are launched kernel by kernel too.
    #[serde(default)]
    pub eager: bool,
    /// Steps for which attention-data-parallel ranks that have prompts wait for the others to have one too, in place of
    /// the engine's default.
    #[serde(default)]
    pub rank_wait_steps: Option<f64>,
    /// Sequences in one batch, in place of the engine's default.
    #[serde(default)]
    pub max_sequences: Option<u32>,
    /// Tokens of the longest request that the server takes unless it is told, where that is not the model's context.
    #[serde(default)]
    pub length: Option<ServedLength>,
}

/// Tokens of the longest request that a server takes unless it is told, by the memory of its GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServedLength {
    /// With less memory than what follows says.
    pub tokens: u64,
    /// From this memory on the next.
    #[serde(default)]
    pub more_from: Option<Bytes>,
    /// Tokens then.
    #[serde(default)]
    pub more: Option<u64>,
    /// From this memory on the most.
    #[serde(default)]
    pub most_from: Option<Bytes>,
    /// Tokens then.
    #[serde(default)]
    pub most: Option<u64>,
}

impl ServedLength {
    /// Tokens on a GPU of so much memory.
    pub fn on(self, memory: Bytes) -> u64 {
        let reached = |from: Option<Bytes>, tokens: Option<u64>| {
            tokens.filter(|_| from.is_some_and(|from| memory >= from))
        };
        reached(self.most_from, self.most).or(reached(self.more_from, self.more)).unwrap_or(self.tokens)
    }
}

/// Tokens that go to the ranks of their experts alone (all-to-all) in place of all tokens to all ranks, where
/// attention is data-parallel.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpertExchange {
    /// Tokens of a rank for which each expert has room in the buffers.
    #[serde(default)]
    pub buffer_tokens: u64,
    /// A buffer of this size in place of room at every expert, and as large a one again where ranks are on several nodes.
    #[serde(default)]
    pub buffer: Option<Bytes>,
    /// What an exchange takes beside its bytes.
    pub latency: Seconds,
    /// Share of the bandwidth inside a node that it reaches.
    pub link_efficiency: f64,
    /// Share of a GPU's bandwidth between nodes that it reaches.
    pub fabric_efficiency: f64,
}

impl LaunchMode {
    /// Both together.
    pub(super) fn with(self, more: &LaunchMode) -> LaunchMode {
        LaunchMode {
            expert_exchange: more.expert_exchange.or(self.expert_exchange),
            expert_balancer: self.expert_balancer || more.expert_balancer,
            batch_overlap: self.batch_overlap || more.batch_overlap,
            eager: self.eager || more.eager,
            rank_wait_steps: more.rank_wait_steps.or(self.rank_wait_steps),
            max_sequences: more.max_sequences.or(self.max_sequences),
            length: more.length.or(self.length),
        }
    }
}
