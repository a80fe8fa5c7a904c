//! How many sequences of each length fit beside the weights, under an engine's own memory rule.

use crate::estimate::memory::{MemoryQuestion, MemoryUse, Verdict};
use crate::model::Model;
use crate::units::Bytes;
use crate::workload::Workload;

/// One length.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rung {
    /// Tokens of each sequence, prompt and output together.
    pub context: u64,
    /// Cache and state of one sequence on one GPU.
    pub per_sequence: Bytes,
    /// Sequences of that length that fit at once in one replica.
    pub sequences: u64,
    /// Whether weights and one sequence fit.
    pub verdict: Verdict,
    /// Memory of the fullest GPU.
    pub memory: MemoryUse,
}

/// Shortest context of the ladder.
const FIRST: u64 = 4096;

/// Longest context without a known limit.
const LAST: u64 = 1 << 20;

/// 4k, 8k, 16k, … up to the model's longest context, which ends the ladder.
pub fn ladder_contexts(model: &Model) -> Vec<u64> {
    let last = model.max_context.unwrap_or(LAST);
    let mut all: Vec<u64> =
        std::iter::successors(Some(FIRST), |c| c.checked_mul(2)).take_while(|c| *c < last).collect();
    all.push(last);
    all
}

/// The ladder of a question; its workload is replaced by each context in turn. Attention data parallelism
/// serves sequences of its own on each of its groups.
pub fn context_ladder(question: &MemoryQuestion) -> Vec<Rung> {
    let rung = |context: u64| {
        // Sequences at full length: no output is left to reserve.
        let workload = Workload::new(context, 0);
        let memory = MemoryQuestion { workload: &workload, ..*question }.answer();
        let held = match memory.per_request.get() {
            0 => 0,
            each => memory.kv_cache.get() / each,
        };
        let groups = question.parallelism.groups().attention_data;
        Rung {
            context,
            per_sequence: memory.per_request,
            sequences: held.saturating_mul(groups),
            verdict: memory.verdict(),
            memory,
        }
    };
    ladder_contexts(question.model).into_iter().map(rung).collect()
}
