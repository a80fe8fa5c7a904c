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
}

impl Captured {
    /// Whether a step that only decodes is launched kernel by kernel, of so many tokens or sequences as the engine names its
    /// graphs.
    pub fn leaves_out(&self, size: f64) -> bool {
        self.largest.is_some_and(|largest| size > largest as f64)
    }
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
    fn modes_are_read_in_any_case() {
        assert_eq!("FULL_DECODE_ONLY".parse::<GraphMode>().unwrap(), GraphMode::FullDecodeOnly);
        assert!("FULL_DECODE".parse::<GraphMode>().unwrap_err().to_string().contains("full_decode_only"));
    }
}
