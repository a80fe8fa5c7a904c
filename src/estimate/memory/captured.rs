//! Which steps are captured as CUDA graphs, as a launch says it.

use std::str::FromStr;

use crate::diagnostic::Diagnostic;

/// What a launch says of the steps that are captured as CUDA graphs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    /// The largest step: tokens of it (vLLM `--max-cudagraph-capture-size`) or sequences (SGLang `--cuda-graph-max-bs`,
    /// TensorRT-LLM `cuda_graph_config.max_batch_size`), as the engine counts.
    pub largest: Option<u64>,
    /// Which steps; the engine's own where it is not said.
    pub mode: Option<GraphMode>,
    /// Whether a step replays a graph of exactly its size or none (TensorRT-LLM without `enable_padding`); else it is
    /// rounded up to the next size.
    pub unpadded: bool,
}

impl Captured {
    /// Whether a step that only decodes is launched kernel by kernel, of so many tokens or sequences as the engine names its
    /// graphs.
    pub fn leaves_out(&self, size: f64) -> bool {
        self.largest.is_some_and(|largest| size > largest as f64) || self.unpadded && !has_own_graph(size)
    }
}

/// Whether TensorRT-LLM captures a batch of just this size where none are rounded up: all up to 32, then powers of two
/// (`llmapi/llm_args.py`, `CudaGraphConfig`, 1.0 to 1.4).
fn has_own_graph(size: f64) -> bool {
    let size = size.round() as u64;
    size <= 32 || size.is_power_of_two()
}

/// Which steps vLLM captures (`config/compilation.py`, `CUDAGraphMode`, 0.11 to 0.33).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GraphMode {
    /// None: every step is launched kernel by kernel.
    None,
    /// Pieces of every step between its attentions.
    Piecewise,
    /// Every step whole, those with prompts too.
    Full,
    /// Steps that only decode, whole.
    FullDecodeOnly,
    /// Steps that only decode whole, pieces of the others.
    FullAndPiecewise,
}

impl GraphMode {
    /// Every mode.
    pub const ALL: [GraphMode; 5] = [
        GraphMode::None,
        GraphMode::Piecewise,
        GraphMode::Full,
        GraphMode::FullDecodeOnly,
        GraphMode::FullAndPiecewise,
    ];

    /// In vLLM's word, in small letters.
    pub fn name(self) -> &'static str {
        match self {
            GraphMode::None => "none",
            GraphMode::Piecewise => "piecewise",
            GraphMode::Full => "full",
            GraphMode::FullDecodeOnly => "full_decode_only",
            GraphMode::FullAndPiecewise => "full_and_piecewise",
        }
    }

    /// Whether steps with prompts replay graphs.
    pub fn has_prompts(self) -> bool {
        matches!(self, GraphMode::Piecewise | GraphMode::Full | GraphMode::FullAndPiecewise)
    }
}

impl FromStr for GraphMode {
    type Err = Diagnostic;

    fn from_str(text: &str) -> Result<GraphMode, Diagnostic> {
        let known = GraphMode::ALL.into_iter().find(|mode| mode.name().eq_ignore_ascii_case(text.trim()));
        known.ok_or_else(|| {
            let names = GraphMode::ALL.map(GraphMode::name);
            Diagnostic::unknown("mode of CUDA graphs", text, names, &format!("allowed: {}", names.join(", ")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_padding_a_batch_needs_a_graph_of_its_own() {
        // llm_args.py: list(range(1, 32)) + [32, 64, 128] by default.
        let plain = Captured { largest: Some(128), unpadded: true, ..Captured::default() };
        let eager =
            [1.0, 31.0, 32.0, 33.0, 63.0, 64.0, 100.0, 128.0, 129.0, 256.0].map(|n| plain.leaves_out(n));
        assert_eq!(eager, [false, false, false, true, true, false, true, false, true, true]);
        let padded = Captured { unpadded: false, ..plain };
        assert!(!padded.leaves_out(100.0) && padded.leaves_out(129.0));
    }

    #[test]
    fn modes_are_read_in_any_case() {
        assert_eq!("FULL_DECODE_ONLY".parse::<GraphMode>().unwrap(), GraphMode::FullDecodeOnly);
        assert!("FULL_DECODE".parse::<GraphMode>().unwrap_err().to_string().contains("full_decode_only"));
    }
}
