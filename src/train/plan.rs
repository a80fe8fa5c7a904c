//! How a model is trained on a cluster: the split, the schedule, what is sharded, recomputed and offloaded.

use std::fmt;

use crate::catalog::Gpu;
use crate::catalog::framework::{Framework, Technique};
use crate::diagnostic::{Code, Diagnostic, same_letters};
use crate::dtype::WeightFormat;
use crate::estimate::breakdown::Trained;
use crate::model::Model;

/// Over how many ranks each kind of parallelism divides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Split {
    /// Tensor parallel.
    pub tp: u32,
    /// Pipeline stages.
    pub pp: u32,
    /// Context parallel: each rank has a part of every sequence.
    pub cp: u32,
    /// Data parallel.
    pub dp: u32,
    /// Expert parallel, of the ranks of a stage.
    pub ep: u32,
    /// Tensor parallel inside each expert.
    pub expert_tp: u32,
}

impl Split {
    /// One GPU.
    pub const SINGLE: Split = Split { tp: 1, pp: 1, cp: 1, dp: 1, ep: 1, expert_tp: 1 };

    /// GPUs in all.
    pub fn gpus(&self) -> u64 {
        [self.tp, self.pp, self.cp, self.dp].iter().map(|n| u64::from(*n)).fold(1, u64::saturating_mul)
    }

    /// Ranks of a stage.
    pub fn stage_ranks(&self) -> u64 {
        [self.tp, self.cp, self.dp].iter().map(|n| u64::from(*n)).fold(1, u64::saturating_mul)
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tp={} pp={} dp={}", self.tp, self.pp, self.dp)?;
        for (name, n) in [("cp", self.cp), ("ep", self.ep), ("expert_tp", self.expert_tp)] {
            if n > 1 {
                write!(f, " {name}={n}")?;
            }
        }
        Ok(())
    }
}

impl Tuning {
    /// What a framework needs for it; nothing to train all weights.
    pub fn technique(self) -> Option<Technique> {
        match self {
            Tuning::Full => None,
            Tuning::Lora => Some(Technique::Lora),
            Tuning::Qlora => Some(Technique::Qlora),
        }
    }

    /// The weights that change.
    pub fn trained(self) -> Trained {
        match self {
            Tuning::Full => Trained::All,
            Tuning::Lora | Tuning::Qlora => Trained::Adapters,
        }
    }

    /// Whether a model has the adapters that are trained, and none that are not.
    ///
    /// # Errors
    /// [`Code::Usage`].
    pub fn check(self, model: &Model) -> Result<(), Diagnostic> {
        match (self, model.lora_parameters()) {
            (Tuning::Full, 1..) => Err(Diagnostic::new(Code::Usage, "--lora without adapters to train")
                .help("add --tuning lora or --tuning qlora")),
            (Tuning::Lora | Tuning::Qlora, 0) => Err(Diagnostic::new(Code::Usage, "no adapters to train")
                .help("say which: --lora rank=16,targets=q,k,v,o")),
            _ => Ok(()),
        }
    }
}

/// What frameworks call our values: the noun, their word, ours.
const OTHER_NAMES: &[(&str, &[&str], &str)] = &[
    (
        "optimizer",
        &[
            "adamw",
            "adamw_torch",
            "adamw_torch_fused",
            "adamw_hf",
            "fused_adam",
            "fusedadam",
            "distributed_fused_adam",
            "paged_adamw_32bit",
        ],
        "adam",
    ),
    (
        "optimizer",
        &["adamw_8bit", "adamw8bit", "adamw_bnb_8bit", "paged_adamw_8bit", "adam8bit", "pagedadamw8bit"],
        "adam-8bit",
    ),
    ("tuning", &["sft", "dpo", "full-finetune", "finetune", "freeze-none"], "full"),
    ("sharding", &["fsdp", "fsdp2", "full_shard", "zero-3", "stage3"], "zero3"),
    ("sharding", &["shard_grad_op", "zero-2", "stage2"], "zero2"),
    ("sharding", &["distributed-optimizer", "zero-1", "stage1"], "zero1"),
    ("sharding", &["hybrid_shard"], "hsdp"),
    ("sharding", &["no_shard", "none"], "ddp"),
    ("precision", &["bfloat16", "bf16-mixed"], "bf16"),
    ("precision", &["float16", "half", "16-mixed", "fp16-mixed", "amp_fp16"], "fp16"),
    ("precision", &["fp8_e4m3", "float8", "fp8-mixed"], "fp8"),
];

/// Our word for a value that a framework has another one for.
fn in_own_words<'a>(noun: &str, text: &'a str) -> &'a str {
    let is = |(of, words, _): &&(&str, &[&str], &'static str)| {
        *of == noun && words.iter().any(|word| same_letters(word, text))
    };
    OTHER_NAMES.iter().find(is).map_or(text, |(.., ours)| ours)
}

/// Defines an enumeration whose values have names on the command line.
macro_rules! named {
    ($(#[$doc:meta])* $name:ident, $noun:literal { $($(#[$value_doc:meta])* $value:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$value_doc])* $value),+ }

        impl $name {
            /// Every value.
            pub const ALL: &[$name] = &[$($name::$value),+];
            /// Names as on the command line and in results.
            pub const NAMES: &[&str] = &[$($text),+];

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self { $($name::$value => $text),+ }
            }
        }

        impl std::str::FromStr for $name {
            type Err = Diagnostic;
            fn from_str(text: &str) -> Result<Self, Diagnostic> {
                let text = in_own_words($noun, text);
                $name::ALL.iter().copied().find(|v| v.name() == text).ok_or_else(|| {
                    let list = format!("allowed: {}", $name::NAMES.join(", "));
                    Diagnostic::unknown($noun, text, $name::NAMES.iter().copied(), &list)
                })
            }
        }
    };
}

named! {
    /// The order in which stages run microbatches.
    Schedule, "schedule" {
        /// One forward, one backward (Narayanan et al. 2021, arXiv:2104.04473 §2.2); interleaved where a rank
        /// holds several chunks of layers.
        OneForwardOneBackward = "1f1b",
        /// ZB-H1: the gradients of weights fill the bubble, with the memory of 1F1B (Qi et al. 2023,
        /// arXiv:2401.10241 §2.3).
        ZeroBubble = "zero-bubble",
        /// ZB-H2: more microbatches start before the first backward, so that almost no bubble is left
        /// (arXiv:2401.10241 §2.4).
        ZeroBubble2 = "zero-bubble-h2",
        /// DualPipe: microbatches enter at both ends, each rank holds two copies of its parameters
        /// (arXiv:2412.19437 §3.2.1, table 2).
        DualPipe = "dualpipe",
    }
}

named! {
    /// What data-parallel ranks divide instead of each holding it (ZeRO, arXiv:1910.02054).
    Sharding, "sharding" {
        /// Nothing (DDP).
        None = "ddp",
        /// Optimizer states (ZeRO-1, the distributed optimizer).
        Optimizer = "zero1",
        /// Gradients too (ZeRO-2).
        Gradients = "zero2",
        /// Parameters too (ZeRO-3, FSDP).
        Parameters = "zero3",
        /// As FSDP inside a node, replicated between nodes (HSDP).
        Hybrid = "hsdp",
    }
}

named! {
    /// What the backward pass computes again instead of reading it.
    Recompute, "recomputation" {
        /// Nothing.
        None = "none",
        /// Attention scores, softmax and dropout (arXiv:2205.05198 §5).
        Selective = "selective",
        /// Norms, activation functions and the expansion of latent attention: little time for much memory
        /// (arXiv:2412.19437 §3.2.3; Megatron's `layernorm`, `moe_act` and `mla_up_proj`).
        Light = "light",
        /// Everything but attention and every second product (selective activation checkpointing by
        /// operator, torchtitan).
        Operators = "operators",
        /// Whole layers, from their input.
        Full = "full",
    }
}

named! {
    /// How tensor-parallel ranks add up and share activations.
    TensorTransfers, "tensor-parallel transfers" {
        /// All-reduce: every rank has the sequence whole between the layers.
        AllReduce = "all-reduce",
        /// Reduce-scatter and all-gather: the sequence is divided too (sequence parallel), and gathered inputs
        /// are kept.
        Kept = "sequence",
        /// The same, gathering inputs again in the backward pass (arXiv:2205.05198 §4.2.2).
        Gathered = "sequence-again",
        /// As `sequence`, every reduce-scatter and all-gather a ring of messages between neighbours.
        PointToPoint = "sequence-p2p",
    }
}

named! {
    /// What number format products compute in.
    Precision, "precision" {
        /// BF16.
        Bf16 = "bf16",
        /// FP16, the loss scaled so that small gradients are not lost (Micikevicius et al. 2017, arXiv:1710.03740).
        Fp16 = "fp16",
        /// FP8, one scale per tensor or row.
        Fp8 = "fp8",
        /// FP8 in blocks of 32 that share a scale.
        Mxfp8 = "mxfp8",
        /// NVFP4.
        Nvfp4 = "nvfp4",
    }
}

impl Precision {
    /// The one that a framework trains in on a GPU where none is named: BF16, or FP16 where the GPU has none.
    pub fn usual(framework: &Framework, gpu: &Gpu) -> Precision {
        if !framework.has_bf16(gpu) && framework.has_fp16(gpu) { Precision::Fp16 } else { Precision::Bf16 }
    }

    /// Whether products are in 16 bits.
    pub fn is_wide(self) -> bool {
        matches!(self, Precision::Bf16 | Precision::Fp16)
    }

    /// The format whose products stand for it.
    pub fn format(self) -> WeightFormat {
        match self {
            // As wide, and as fast wherever both are.
            Precision::Bf16 | Precision::Fp16 => WeightFormat::Bf16,
            Precision::Fp8 | Precision::Mxfp8 => WeightFormat::Fp8,
            Precision::Nvfp4 => WeightFormat::Nvfp4,
        }
    }
}

named! {
    /// The optimizer, and what it keeps.
    Optimizer, "optimizer" {
        /// Adam with FP32 master weights and moments.
        Adam = "adam",
        /// Adam with FP32 master weights and BF16 moments.
        AdamBf16 = "adam-bf16",
        /// Adam with FP32 master weights and 8-bit moments (Dettmers et al. 2021, arXiv:2110.02861).
        Adam8bit = "adam-8bit",
        /// Adafactor: factored second moment, no first (Shazeer and Stern 2018, arXiv:1804.04235).
        Adafactor = "adafactor",
        /// Momentum alone.
        Sgd = "sgd",
        /// Muon: one momentum (Jordan et al. 2024).
        Muon = "muon",
    }
}

impl Optimizer {
    /// Bytes of its states for one parameter, the FP32 master weight apart. Adafactor's rows and columns are
    /// too few to count.
    pub fn state_bytes(self) -> f64 {
        match self {
            Optimizer::Adam => 8.0,
            Optimizer::AdamBf16 | Optimizer::Sgd | Optimizer::Muon => 4.0,
            Optimizer::Adam8bit => 2.0,
            Optimizer::Adafactor => 0.0,
        }
    }
}

named! {
    /// Which weights are trained.
    Tuning, "tuning" {
        /// All.
        Full = "full",
        /// Low-rank adapters beside frozen weights (arXiv:2106.09685).
        Lora = "lora",
        /// The same beside weights in NF4 (arXiv:2305.14314).
        Qlora = "qlora",
    }
}

named! {
    /// How products hide the transfers of tensor-parallel ranks.
    TensorHiding, "hiding of tensor-parallel transfers" {
        /// Not at all.
        None = "none",
        /// In two halves.
        Pipe = "pipe",
        /// In as many pieces as ranks.
        Ring = "ring",
    }
}

named! {
    /// Which network a group of ranks uses.
    Network, "network" {
        /// The fastest that its ranks share.
        Placed = "placed",
        /// The one inside nodes.
        Near = "near",
        /// The one between nodes.
        Far = "far",
    }
}

/// Which transfers are hidden behind compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hiding {
    /// Those of tensor-parallel ranks.
    pub tensor: TensorHiding,
    /// Those of data-parallel ranks, and all others.
    pub data: bool,
}

impl Hiding {
    /// All that the framework can hide.
    pub const ALL: Hiding = Hiding { tensor: TensorHiding::Ring, data: true };
}

/// Which network each kind of group uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Networks {
    /// Tensor-parallel ranks.
    pub tensor: Network,
    /// Neighbouring stages.
    pub pipeline: Network,
    /// Data-parallel ranks.
    pub data: Network,
}

impl Networks {
    /// As the ranks are placed.
    pub const PLACED: Networks =
        Networks { tensor: Network::Placed, pipeline: Network::Placed, data: Network::Placed };
}

/// What lies in the host's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Offload {
    /// Weights, but for the layer that computes and the next.
    pub weights: bool,
    /// Master weights and optimizer states.
    pub optimizer: bool,
    /// Activations between forward and backward.
    pub activations: bool,
}

impl fmt::Display for Offload {
    /// As `--offload` names it; nothing where nothing lies there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all =
            [(self.weights, "weights"), (self.optimizer, "optimizer"), (self.activations, "activations")];
        let named: Vec<&str> = all.iter().filter_map(|(is, name)| is.then_some(*name)).collect();
        f.write_str(&named.join(","))
    }
}

/// One plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TrainingPlan {
    /// The split.
    pub split: Split,
    /// Sequences of one microbatch.
    pub micro_batch: u32,
    /// Chunks of layers on each rank.
    pub chunks: u32,
    /// Order of microbatches.
    pub schedule: Schedule,
    /// What data-parallel ranks divide.
    pub sharding: Sharding,
    /// What is computed again.
    pub recompute: Recompute,
    /// How tensor-parallel ranks exchange.
    pub transfers: TensorTransfers,
    /// What is hidden.
    pub hiding: Hiding,
    /// Which networks are used.
    pub networks: Networks,
    /// What lies on the host.
    pub offload: Offload,
    /// Number format of products.
    pub precision: Precision,
}

impl TrainingPlan {
    /// A plan with nothing but a split: one chunk, 1F1B, the distributed optimizer, sequence parallel.
    pub fn new(split: Split) -> TrainingPlan {
        TrainingPlan {
            split,
            micro_batch: 1,
            chunks: 1,
            schedule: Schedule::OneForwardOneBackward,
            sharding: Sharding::Optimizer,
            recompute: Recompute::None,
            transfers: if split.tp > 1 { TensorTransfers::Gathered } else { TensorTransfers::AllReduce },
            hiding: Hiding::ALL,
            networks: Networks::PLACED,
            offload: Offload::default(),
            precision: Precision::Bf16,
        }
    }

    /// Microbatches that each rank runs in a step; `None` where the global batch does not divide.
    pub fn microbatches(&self, global_batch: u64) -> Option<u64> {
        let at_once = u64::from(self.split.dp) * u64::from(self.micro_batch);
        (at_once > 0 && global_batch >= at_once && global_batch.is_multiple_of(at_once))
            .then(|| global_batch / at_once)
    }
}

impl fmt::Display for TrainingPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} mbs={}", self.split, self.micro_batch)?;
        if self.chunks > 1 {
            write!(f, " vp={}", self.chunks)?;
        }
        if self.split.pp > 1 && self.schedule != Schedule::OneForwardOneBackward {
            write!(f, " {}", self.schedule.name())?;
        }
        write!(f, " {} recompute={} {}", self.sharding.name(), self.recompute.name(), self.precision.name())?;
        if self.offload != Offload::default() {
            write!(f, " offload={}", self.offload)?;
        }
        Ok(())
    }
}
