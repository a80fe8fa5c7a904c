//! What CUDA graphs take.

use super::captured::GraphMode;
use super::question::MemoryQuestion;
use super::stages::StageLayers;
use crate::dtype::WeightFormat;
use crate::model::LayerGroup;
use crate::model::blocks::Block;
use crate::units::Bytes;

impl MemoryQuestion<'_> {
    /// What the graphs of a stage take.
    pub(super) fn cuda_graphs(&self, stage: &StageLayers) -> Bytes {
        if self.is_eager() {
            return Bytes::ZERO;
        }
        let rule = &self.engine.memory;
        let moe = if self.model.is_moe() { rule.graphs_moe } else { Bytes::ZERO };
        let batch = self.engine.launch_defaults(self.gpu, self.parallelism.tp).graph_batch.unwrap_or(0);
        let most = self.largest_graph().map_or(batch, |most| u32::try_from(most).unwrap_or(u32::MAX));
        let each = rule.graphs_per_layer + rule.graph_of_layer * graph_sizes(most);
        (rule.graphs + each * stage.count() + moe + self.first_graph()).scaled(self.captured())
    }

    /// Whether nothing is captured.
    pub(super) fn is_eager(&self) -> bool {
        let start = self.limits.start;
        start.eager || self.engine.launch.eager || start.captured.mode == Some(GraphMode::None)
    }

    /// Sequences of the largest captured step, where the launch says or the engine captures none beyond those that are
    /// stated; the engine's default is the most then.
    pub(super) fn largest_graph(&self) -> Option<u64> {
        let by_default = self.engine.launch_defaults(self.gpu, self.parallelism.tp).graph_batch;
        let stated = self.limits.stated_sequences.filter(|_| self.engine.defaults.graphs_within_sequences);
        let within = |most: u64| most.min(by_default.map_or(most, u64::from));
        self.limits.start.captured.largest.or(stated.map(within))
    }

    /// What the graphs of experts' kernels take at the usual sizes beside what each adds; fewer sizes take less: eight RTX
    /// PRO 6000 with 32 sequences (vLLM 0.27, Qwen3-235B) left 2.5 GiB for everything around weights and cache.
    /// Kernels of experts in INT4 take none: on a RTX 3090 a model of 35B has 2.44 GiB around weights and cache in all (0.22).
    fn first_graph(&self) -> Bytes {
        let kernels = |group: &LayerGroup| {
            let routes = group.blocks.iter().any(|block| matches!(block, Block::Moe(_)));
            routes && group.formats.experts != WeightFormat::Int4
        };
        let rule = &self.engine.memory;
        match self.model.groups.iter().any(kernels) {
            true => rule.graphs_per_token * self.step_tokens().min(rule.graphs_tokens),
            false => Bytes::ZERO,
        }
    }

    /// Graphs that vLLM captures, of those that its figures were measured with: pieces of steps up to twice the most
    /// sequences, 512 at most, and whole decode steps up to the most sequences (`vllm/config/vllm.py`,
    /// `_set_cudagraph_sizes`), neither beyond the largest that is stated. A mode may leave out the one or the other;
    /// whole steps of every kind are captured once.
    fn captured(&self) -> f64 {
        let captured = self.limits.start.captured;
        let largest = captured.largest.map_or(u32::MAX, |n| u32::try_from(n).unwrap_or(u32::MAX));
        let Some(rule) = self.engine.memory.graphs_measured else { return 1.0 };
        let (most, measured) = match rule {
            // As many always: every size up to 512, in pieces.
            0 => (512, f64::from(ALL_SIZES)),
            measured => (u32::try_from(self.limits.max_sequences).unwrap_or(u32::MAX), measured as f64),
        };
        let sizes = |n: u32| graph_sizes(n.min(512).min(largest)) as f64;
        let (pieces, whole) = match (rule, captured.mode) {
            (0, _) | (_, Some(GraphMode::Piecewise | GraphMode::Full)) => (true, false),
            (_, Some(GraphMode::FullDecodeOnly)) => (false, true),
            (_, Some(GraphMode::None)) => (false, false),
            (_, None | Some(GraphMode::FullAndPiecewise)) => (true, true),
        };
        let of = |is: bool, n: u32| if is { sizes(n) } else { 0.0 };
        (of(pieces, most.saturating_mul(2)) + of(whole, most)) / measured
    }
}

/// Sizes up to 512.
const ALL_SIZES: u32 = 51;

/// Batch sizes up to `largest` that SGLang and vLLM capture: 1, 2, 4, then steps of 8, from 256 on of 16
/// (`cuda_graph_runner.py`, `get_batch_sizes_to_capture`).
fn graph_sizes(largest: u32) -> u64 {
    let fine = largest.min(256);
    let rest = largest - fine;
    u64::from(if fine < 8 { fine.min(3) } else { 3 + fine / 8 } + rest / 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_that_engines_log() {
        // vLLM 0.19 with 1,024 sequences: "Capturing CUDA graphs (mixed prefill-decode, PIECEWISE): 51/51".
        assert_eq!(graph_sizes(512), u64::from(ALL_SIZES));
        assert_eq!([1, 2, 4, 8, 256].map(graph_sizes), [1, 2, 3, 4, 35]);
    }
}
