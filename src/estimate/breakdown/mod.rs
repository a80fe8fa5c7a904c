//! A model taken apart on one device that holds it all: FLOPs, traffic and memory of each part in
//! pre-training, prefill and decode, what bounds each, and which memory is enough.
//!
//! Everything derives from the blocks' tensors and operators; `docs/model.md` has the equations.

pub(crate) mod attention;
mod device;
mod experts;
mod ladder;
mod memory;
mod parts;
mod precision;
pub(crate) mod saved;
mod size;

use std::str::FromStr;

pub use device::Device;
pub use ladder::{Rung, context_ladder, ladder_contexts};
pub use memory::{MemoryPart, memory_parts};
pub use parts::{Breakdown, Part};
pub(crate) use parts::{attention_shape, is_of_decoding, stored};
pub use precision::{
    Footprint, HOST_SHARE, PRECISIONS, Precision, Speed, footprint, precisions, recommended_memory,
    widest_that_fits,
};
pub use size::{LargeTensor, large_tensors};

use crate::diagnostic::{Code, Diagnostic};
use crate::dtype::DType;
use crate::model::blocks::Block;
use crate::model::{Operator, Step};

/// What the model does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One training step: forward and backward over whole sequences.
    Pretrain,
    /// Prompts computed from their start.
    Prefill,
    /// One token for each sequence.
    Decode,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Mode; 3] = [Mode::Pretrain, Mode::Prefill, Mode::Decode];

    /// Name on the command line and as JSON value.
    pub const fn name(self) -> &'static str {
        match self {
            Mode::Pretrain => "pretrain",
            Mode::Prefill => "prefill",
            Mode::Decode => "decode",
        }
    }
}

impl FromStr for Mode {
    type Err = Diagnostic;
    fn from_str(text: &str) -> Result<Mode, Diagnostic> {
        Mode::ALL.into_iter().find(|m| m.name() == text).ok_or_else(|| {
            let names = Mode::ALL.map(Mode::name);
            Diagnostic::unknown("mode", text, names, &format!("allowed: {}", names.join(", ")))
        })
    }
}

/// How attention is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionKernels {
    /// One kernel that never stores the scores; otherwise three that write and read them.
    pub flash: bool,
    /// Whether decoding divides the context among thread blocks (flash decoding, split-k).
    pub flash_decoding: bool,
    /// Queries that share one pass over keys and values.
    pub query_block: u64,
    /// Parts of the context; without a number, what the kernel's own heuristic picks.
    pub splits: Option<u64>,
}

impl AttentionKernels {
    /// FlashAttention-2 with its own block sizes: 128 queries (`kBlockM` for head dimensions of 64 and
    /// more, `flash_fwd_launch_template.h`).
    pub const DEFAULT: AttentionKernels =
        AttentionKernels { flash: true, flash_decoding: true, query_block: 128, splits: None };
}

/// How many rows the experts compute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Routing {
    /// Every routed token, nothing else.
    Dropless,
    /// Every expert `⌈factor · tokens · top_k / experts⌉` rows, padded or cut (GShard, Switch).
    Capacity(f64),
}

/// Which weights a training step changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trained {
    /// All of them.
    All,
    /// Low-rank adapters alone; the model's own weights are frozen.
    Adapters,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setting {
    /// What the model does.
    pub mode: Mode,
    /// Sequences.
    pub batch: u64,
    /// Tokens of each: computed, or in the cache when decoding.
    pub tokens: u64,
    /// Type of the KV cache.
    pub kv: DType,
    /// Type of activations.
    pub activations: DType,
    /// Attention kernels.
    pub attention: AttentionKernels,
    /// Experts.
    pub routing: Routing,
    /// Whether training keeps dropout masks.
    pub dropout: bool,
    /// Which weights training changes.
    pub trained: Trained,
}

/// Largest batch and length accepted: their product still fits in 64 bits.
const MOST: u64 = 1 << 30;

impl Setting {
    /// One sequence of 2048 tokens, 16-bit cache and activations.
    pub fn new(mode: Mode) -> Setting {
        Setting {
            mode,
            batch: 1,
            tokens: crate::workload::Workload::DEFAULT_ISL,
            kv: DType::Bf16,
            activations: DType::Bf16,
            attention: AttentionKernels::DEFAULT,
            routing: Routing::Dropless,
            dropout: false,
            trained: Trained::All,
        }
    }

    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Code::Range`] naming the option.
    pub fn validate(&self) -> Result<(), Diagnostic> {
        let whole = [
            ("--batch", self.batch),
            ("--seq", self.tokens),
            ("--query-block", self.attention.query_block),
            ("--splits", self.attention.splits.unwrap_or(1)),
        ];
        for (flag, n) in whole {
            if n == 0 || n > MOST {
                let cause = format!("{n} is out of range: at least 1 and at most {MOST}");
                return Err(Diagnostic::new(Code::Range, cause).at(flag));
            }
        }
        match self.routing {
            Routing::Capacity(x) if !(x.is_finite() && x > 0.0 && x <= 1e6) => {
                Err(Diagnostic::new(Code::Range, "must be above 0 and at most 1,000,000")
                    .at("--capacity-factor")
                    .help("1.25 is usual; leave it out for dropless experts"))
            }
            _ => Ok(()),
        }
    }

    /// Tokens computed in one step.
    pub fn computed_tokens(&self) -> f64 {
        match self.mode {
            Mode::Decode => self.batch as f64,
            Mode::Pretrain | Mode::Prefill => self.batch as f64 * self.tokens as f64,
        }
    }

    /// The step of the layers.
    fn step(&self) -> Step {
        let (batch, tokens) = (self.batch as f64, self.tokens as f64);
        match self.mode {
            Mode::Decode => Step::decode(batch, tokens),
            Mode::Pretrain | Mode::Prefill => Step::prefill(batch, tokens),
        }
    }

    /// Forward and backward work per forward work of an operator of a block: the backward pass differentiates
    /// each product by both factors (Kaplan et al. 2020, §2.1), those with frozen weights by their input alone.
    fn passes(&self, op: &Operator, block: &Block) -> f64 {
        let frozen = self.trained == Trained::Adapters && !matches!(block, Block::Adapters(_));
        match (self.mode, op.has_weights()) {
            (Mode::Prefill | Mode::Decode, _) => 1.0,
            (Mode::Pretrain, true) if frozen => 2.0,
            (Mode::Pretrain, _) => 3.0,
        }
    }
}
