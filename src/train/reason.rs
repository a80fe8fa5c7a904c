//! Why a training plan is not an answer.

use crate::catalog::framework::Technique;
use crate::plan::ledger::{Fallen, Numbered};
use crate::plan::why::reasons;
use crate::units::Bytes;

use super::plan::{Precision, Sharding, TrainingPlan};

/// A reason, how many plans fell for it, and the one that came nearest.
pub type Rejected = Fallen<Misfit, TrainingPlan>;

impl Numbered for TrainingPlan {
    fn number(&self) -> u64 {
        0
    }
}

/// What can lie in the host's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offloaded {
    /// Weights.
    Weights,
    /// Master weights and optimizer states.
    Optimizer,
    /// Activations between forward and backward.
    Activations,
}

impl Offloaded {
    /// Its name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Offloaded::Weights => "weights",
            Offloaded::Optimizer => "optimizer",
            Offloaded::Activations => "activations",
        }
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Offloaded::Weights => "weights",
            Offloaded::Optimizer => "optimizer states",
            Offloaded::Activations => "activations",
        }
    }
}

/// What a plan lacks for something to lie with the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffloadLack {
    /// The framework leaves it there in no plan.
    Everywhere,
    /// Another sharding: those of [`Sharding::ALL`] that do.
    Sharding {
        /// Which do.
        fits: [bool; 5],
    },
    /// The other of weights and optimizer states.
    Together,
    /// Another recomputation.
    Recompute,
    /// One stage.
    SingleStage,
    /// A GPU whose memory is not the host's.
    OwnMemory,
}

impl OffloadLack {
    fn key(self) -> &'static str {
        match self {
            OffloadLack::Everywhere => "",
            OffloadLack::Sharding { .. } => "sharding",
            OffloadLack::Together => "alone",
            OffloadLack::Recompute => "recompute",
            OffloadLack::SingleStage => "pipeline",
            OffloadLack::OwnMemory => "shared",
        }
    }

    fn message(self, what: Offloaded) -> String {
        let words = what.words();
        match self {
            OffloadLack::Everywhere => format!("the framework leaves no {words} in the host's memory"),
            OffloadLack::Sharding { fits } => {
                let names = Sharding::ALL.iter().zip(fits).filter(|(_, fits)| *fits).map(|(s, _)| s.name());
                let names: Vec<&str> = names.collect();
                format!(
                    "the framework leaves {words} in the host's memory over several data-parallel ranks with {} alone",
                    names.join(", ")
                )
            }
            OffloadLack::Together => {
                "the framework leaves weights and optimizer states in the host's memory together or not at all".to_owned()
            }
            OffloadLack::Recompute => {
                format!("the framework does not leave {words} of this recomputation in the host's memory")
            }
            OffloadLack::SingleStage => {
                format!("the framework leaves {words} in the host's memory in a single stage alone")
            }
            OffloadLack::OwnMemory => "the GPU's memory is the host's own: nothing is gained".to_owned(),
        }
    }
}

reasons! {
    /// A reason.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub enum Misfit {
        /// Heads or widths do not divide by the tensor-parallel degree.
        Heads {
            /// Attention heads.
            heads: u64,
            /// Tensor-parallel degree.
            tp: u32,
        } => {
            stage: Illegal,
            key: ["heads", "", ""],
            distance: 1.0,
            message: format!("tp = {tp} does not divide {heads} attention heads"),
            guide: ("heads are not cut", "a TP that divides them"),
            examples: [Misfit::Heads { heads: 1, tp: 2 }],
        }

        /// Layers do not divide by stages and chunks.
        Layers {
            /// Layers.
            layers: u64,
            /// Stages.
            pp: u32,
            /// Chunks of each stage.
            chunks: u32,
        } => {
            stage: Illegal,
            key: ["layers", "", ""],
            distance: 1.0,
            message: format!(
                "{layers} layers do not divide into {pp} stages of {chunks} chunks, embedding and head counted or not"
            ),
            guide: (
                "a stage would be empty, or interleaved chunks would differ",
                "stages and chunks that divide the layers",
            ),
            examples: [Misfit::Layers { layers: 1, pp: 2, chunks: 1 }],
        }

        /// Sequences do not divide by the context-parallel degree and its two halves.
        Sequence {
            /// Tokens of a sequence.
            tokens: u64,
            /// Context-parallel degree.
            cp: u32,
        } => {
            stage: Illegal,
            key: ["sequence", "", ""],
            distance: 1.0,
            message: format!("{tokens} tokens do not divide into two halves for each of cp = {cp} ranks"),
            guide: (
                "each context-parallel rank takes a part from either end, so that causal attention is even",
                "a CP of which twice divides the sequence",
            ),
            examples: [Misfit::Sequence { tokens: 1, cp: 2 }],
        }

        /// The global batch does not divide by data-parallel ranks and microbatch.
        Batch {
            /// Sequences of a step.
            batch: u64,
            /// Data-parallel ranks.
            dp: u32,
            /// Sequences of a microbatch.
            micro_batch: u32,
        } => {
            stage: Illegal,
            key: ["batch", "", ""],
            distance: 1.0,
            message: format!("a global batch of {batch} does not divide by dp = {dp} × {micro_batch}"),
            guide: (
                "ranks would compute unequal numbers of sequences",
                "a smaller microbatch, or a global batch that divides",
            ),
            examples: [Misfit::Batch { batch: 1, dp: 2, micro_batch: 1 }],
        }

        /// Interleaved stages need as many microbatches as stages, or a multiple.
        Microbatches {
            /// Microbatches of a step.
            microbatches: u64,
            /// Stages.
            pp: u32,
        } => {
            stage: Illegal,
            key: ["microbatches", "", ""],
            distance: 1.0,
            message: format!("{microbatches} microbatches are no multiple of {pp} interleaved stages"),
            guide: (
                "interleaved schedules go round all stages with as many microbatches at a time",
                "one chunk, or microbatches in multiples of the stages",
            ),
            examples: [Misfit::Microbatches { microbatches: 1, pp: 2 }],
        }

        /// The schedule needs stages in pairs, and one chunk.
        Schedule {
            /// Its name.
            name: &'static str,
            /// Stages.
            pp: u32,
            /// Chunks of each stage.
            chunks: u32,
        } => {
            stage: Illegal,
            key: ["schedule", "", ""],
            distance: 1.0,
            message: format!(
                "{name} needs an even number of stages with one chunk each, found {pp} of {chunks}"
            ),
            guide: ("the schedule is not made for such stages", "an even number of stages, one chunk; 1f1b"),
            examples: [Misfit::Schedule { name: "dualpipe", pp: 3, chunks: 1 }],
        }

        /// Sharded parameters need data-parallel ranks, and no pipeline of chunks.
        Sharding {
            /// Its name.
            name: &'static str,
        } => {
            stage: Illegal,
            key: ["sharding", "", ""],
            distance: 1.0,
            message: format!("{name} divides nothing over one data-parallel rank"),
            guide: ("there is nobody to share with", "no sharding, or more data-parallel ranks"),
            examples: [Misfit::Sharding { name: "zero1" }],
        }

        /// The framework does not run on such GPUs.
        Platform => {
            stage: Illegal,
            key: ["platform", "", ""],
            distance: 1.0,
            message: "the framework does not run on GPUs of this kind".to_owned(),
            guide: (
                "its description lists the platforms that it runs on under `vendors`",
                "--framework with one that does, or none: the usual one on the GPU is taken",
            ),
            examples: [Misfit::Platform],
        }

        /// The framework has no such technique.
        Framework {
            /// Which.
            lacks: Technique,
        } => {
            stage: Illegal,
            key: ["framework", lacks.key(), ""],
            distance: 1.0,
            message: format!("the framework has no {}", lacks.name()),
            guide: (
                "its description lists what it does not have under `lacks`",
                "a plan without it, or --framework with one that has it",
            ),
            examples: [Misfit::Framework { lacks: Technique::ExpertParallel }],
        }

        /// The framework has both techniques and does not combine them.
        Apart {
            /// The one.
            one: Technique,
            /// The other.
            other: Technique,
        } => {
            stage: Illegal,
            key: ["apart", one.key(), other.key()],
            distance: 1.0,
            message: format!("the framework does not combine {} with {}", one.name(), other.name()),
            guide: (
                "its description lists what it has and does not combine under `apart`",
                "a plan with one of them, or --framework with one that combines them",
            ),
            examples: [Misfit::Apart { one: Technique::Lora, other: Technique::TensorParallel }],
        }

        /// The framework does not leave this in the host's memory, or not in such a plan.
        Offload {
            /// What.
            what: Offloaded,
            /// What the plan lacks for it.
            lacks: OffloadLack,
        } => {
            stage: Illegal,
            key: ["offload", what.name(), lacks.key()],
            distance: 1.0,
            message: lacks.message(*what),
            guide: (
                "its description lists what it can leave in the host's memory, and in which plans, under `offloads`",
                "the sharding or recomputation that it takes, or --framework with one that can",
            ),
            examples: [
                Misfit::Offload { what: Offloaded::Weights, lacks: OffloadLack::Everywhere },
                Misfit::Offload { what: Offloaded::Optimizer, lacks: OffloadLack::Sharding { fits: [true; 5] } },
                Misfit::Offload { what: Offloaded::Weights, lacks: OffloadLack::Together },
                Misfit::Offload { what: Offloaded::Activations, lacks: OffloadLack::Recompute },
                Misfit::Offload { what: Offloaded::Activations, lacks: OffloadLack::SingleStage },
                Misfit::Offload { what: Offloaded::Weights, lacks: OffloadLack::OwnMemory },
            ],
        }

        /// The GPU has no products in this number format, with the scales that it has.
        Products {
            /// The format.
            precision: Precision,
        } => {
            stage: Illegal,
            key: ["products", precision.name(), ""],
            distance: 1.0,
            message: {
                let other = if *precision == Precision::Bf16 { ": such cards train in fp16, the loss scaled" } else { "" };
                format!("the GPU has no {} products{other}", precision.name())
            },
            guide: (
                "frameworks stop at the start or at the first layer: BF16 needs compute capability 8.0 or CDNA, FP8 needs compute capability 8.9 or CDNA3, MXFP8 products that scale \
                 blocks themselves (10.0, CDNA4), NVFP4 10.0",
                "bf16, fp16 where the GPU has no BF16; fp8 where it has it",
            ),
            examples: [Misfit::Products { precision: Precision::Nvfp4 }],
        }

        /// The network inside nodes does not reach that far.
        Network {
            /// GPUs of a node.
            per_node: u32,
        } => {
            stage: Illegal,
            key: ["network", "", ""],
            distance: 1.0,
            message: format!("the network inside nodes reaches {per_node} GPUs, and a group is larger"),
            guide: ("a group was asked to stay inside a node that is too small for it", "a smaller group"),
            examples: [Misfit::Network { per_node: 8 }],
        }

        /// Memory of a node's host.
        HostMemory {
            /// What its GPUs leave there.
            need: Bytes,
            /// What it has.
            capacity: Bytes,
        } => {
            stage: OutOfMemory,
            key: ["host_memory", "", ""],
            distance: need.as_f64() / capacity.as_f64(),
            message: {
                let short = need.saturating_sub(*capacity);
                format!("leaves {need} with a host of {capacity}: {short} too much")
            },
            guide: (
                "what the GPUs of a node leave in its host's memory takes more than it has",
                "less offloading, more nodes to divide over; --host states what a node has",
            ),
            examples: [Misfit::HostMemory { need: Bytes::ZERO, capacity: Bytes::ZERO }],
        }

        /// Memory of the fullest stage.
        Memory {
            /// What it takes.
            need: Bytes,
            /// What the GPU has.
            capacity: Bytes,
        } => {
            stage: OutOfMemory,
            key: ["memory", "", ""],
            distance: need.as_f64() / capacity.as_f64(),
            message: {
                let short = need.saturating_sub(*capacity);
                format!("takes {need} of {capacity}: {short} too much")
            },
            guide: (
                "the fullest stage takes more than the GPU has",
                "more sharding, recomputation, stages or TP; a smaller microbatch; offloading",
            ),
            examples: [Misfit::Memory { need: Bytes::ZERO, capacity: Bytes::ZERO }],
        }
    }
}
