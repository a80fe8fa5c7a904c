//! A training framework as its file describes it: whose kernels it runs, what it keeps, what it overlaps.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::gpu::Gpu;
use crate::diagnostic::{Code, Diagnostic};
use crate::dtype::DType;
use crate::units::{Bytes, BytesPerSecond, Seconds};

/// One training framework.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Framework {
    /// Identifier; the file's name without its extension.
    pub id: String,
    /// Full name.
    pub name: String,
    /// Other names that people use.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Engine whose kernel coefficients stand for its own.
    #[schemars(extend("x-names" = "engine"))]
    pub kernels: String,
    /// How attention is computed.
    pub attention: Attention,
    /// Whether models are trained with dropout.
    #[serde(default)]
    pub dropout: bool,
    /// Bytes of one gradient that is summed up over microbatches.
    pub gradient_bytes: u32,
    /// Whether gradients are reduced over data-parallel ranks in 16 bits, whatever they are kept in.
    #[serde(default)]
    pub reduces_in_16_bits: bool,
    /// Bytes of the weights that forward and backward read, beside the master copy; 0 where the master copy is
    /// cast on the fly.
    pub working_weight_bytes: u32,
    /// Whether it keeps FP32 master weights beside 16-bit ones.
    #[serde(default = "yes")]
    pub master_weights: bool,
    /// Platforms that it runs on, as engines name theirs: GPU vendors, and what classes of other devices are called; any when
    /// left out.
    #[serde(default)]
    pub vendors: Vec<String>,
    /// Techniques that it does not have: no plan is made of them.
    #[serde(default)]
    pub lacks: Vec<Technique>,
    /// Pairs of techniques that it has and does not combine: no plan is made of both.
    #[serde(default)]
    pub apart: Vec<(Technique, Technique)>,
    /// What differs where products are in FP16, with the loss scaled; as in BF16 when left out.
    #[serde(default)]
    pub fp16: HalfPrecision,
    /// Platforms on which it computes in BF16 whatever the GPU multiplies in, as `vendors` names them.
    #[serde(default)]
    pub emulates_bf16: Vec<String>,
    /// What it can leave in the host's memory; nothing when left out.
    #[serde(default)]
    pub offloads: Offloads,
    /// What its counter of TFLOP/s and MFU counts.
    #[serde(default)]
    pub counts: Convention,
    /// What its kernels and transfers cost.
    pub time: TrainingTime,
    /// What it takes beside the tensors.
    pub memory: TrainingMemory,
    /// Where the figures come from: its repository, reports of runs with it.
    pub sources: Vec<String>,
}

/// What mixed precision in FP16 takes of a framework.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HalfPrecision {
    /// Bytes of one gradient that is summed up over microbatches; as in BF16 when left out.
    #[serde(default)]
    pub gradient_bytes: Option<u32>,
    /// Whether the optimizer steps over copies of the gradients in FP32, which it keeps beside its states.
    #[serde(default)]
    pub gradient_copies: bool,
    /// What has to stand in the environment on GPUs of an architecture.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
}

/// What a framework can leave in the host's memory, and in which plans.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Offloads {
    /// What data-parallel ranks divide where master weights and optimizer states lie there; empty where they cannot.
    #[serde(default)]
    pub optimizer: Vec<Divided>,
    /// What they divide where weights do.
    #[serde(default)]
    pub weights: Vec<Divided>,
    /// Whether weights and optimizer states go together or not at all.
    #[serde(default)]
    pub together: bool,
    /// Whether gradients go with the optimizer states, as they are made.
    #[serde(default)]
    pub gradients: bool,
    /// Whether a single data-parallel rank, which divides nothing, can too.
    #[serde(default)]
    pub alone: bool,
    /// Which activations can: those that are kept where nothing is computed again, the inputs of layers that are.
    #[serde(default)]
    pub activations: Vec<Left>,
    /// Whether activations can in a pipeline.
    #[serde(default)]
    pub pipelines: bool,
}

/// What data-parallel ranks divide, by the names of `train --sharding`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Divided {
    /// Nothing.
    Ddp,
    /// Optimizer states.
    Zero1,
    /// Gradients too.
    Zero2,
    /// Parameters too.
    Zero3,
    /// Parameters inside a node.
    Hsdp,
}

impl Divided {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Divided::Ddp => "ddp",
            Divided::Zero1 => "zero1",
            Divided::Zero2 => "zero2",
            Divided::Zero3 => "zero3",
            Divided::Hsdp => "hsdp",
        }
    }
}

/// Activations that a backward pass finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Left {
    /// All of them: nothing is computed again.
    All,
    /// Those that a part of each layer's recomputation leaves.
    Some,
    /// The inputs of layers that are computed again whole.
    Inputs,
}

/// A way to divide work over GPUs, to save memory, to tune or to multiply that not every framework has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Technique {
    /// Replicas that share nothing (DDP).
    Ddp,
    /// Optimizer states over data-parallel ranks, parameters and gradients whole (ZeRO-1, Megatron's distributed
    /// optimizer).
    Zero1,
    /// The same with gradients (ZeRO-2).
    Zero2,
    /// Parameters too (ZeRO-3, FSDP).
    Zero3,
    /// Parameters inside a node, which nodes replicate (HSDP).
    Hsdp,
    /// Tensor parallel.
    TensorParallel,
    /// Pipeline stages.
    PipelineParallel,
    /// Several chunks of layers on a stage, taken in turn.
    InterleavedStages,
    /// Gradients of weights that fill the pipeline's bubble.
    ZeroBubble,
    /// Microbatches that enter the pipeline at both ends.
    Dualpipe,
    /// Context parallel.
    ContextParallel,
    /// Expert parallel.
    ExpertParallel,
    /// Attention scores computed again in the backward pass.
    SelectiveRecompute,
    /// Norms and activation functions computed again.
    LightRecompute,
    /// Everything computed again but attention and every second product.
    OperatorRecompute,
    /// Low-rank adapters beside frozen weights.
    Lora,
    /// The same beside weights in NF4.
    Qlora,
    /// Products in FP16, the loss scaled.
    Fp16,
    /// Products in FP8.
    Fp8,
    /// Products in FP8 in blocks that share a scale.
    Mxfp8,
    /// Products in NVFP4.
    Nvfp4,
}

impl Technique {
    /// The axis or the sharding, as options name it.
    pub fn key(self) -> &'static str {
        match self {
            Technique::Ddp => "ddp",
            Technique::Zero1 => "zero1",
            Technique::Zero2 => "zero2",
            Technique::Zero3 => "zero3",
            Technique::Hsdp => "hsdp",
            Technique::TensorParallel => "tp",
            Technique::PipelineParallel => "pp",
            Technique::InterleavedStages => "vp",
            Technique::ZeroBubble => "zero-bubble",
            Technique::Dualpipe => "dualpipe",
            Technique::ContextParallel => "cp",
            Technique::ExpertParallel => "ep",
            Technique::SelectiveRecompute => "selective",
            Technique::LightRecompute => "light",
            Technique::OperatorRecompute => "operators",
            Technique::Lora => "lora",
            Technique::Qlora => "qlora",
            Technique::Fp16 => "fp16",
            Technique::Fp8 => "fp8",
            Technique::Mxfp8 => "mxfp8",
            Technique::Nvfp4 => "nvfp4",
        }
    }

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Technique::Ddp => "replicas that divide nothing (ddp)",
            Technique::Zero1 => "sharding of optimizer states alone (zero1)",
            Technique::Zero2 => "sharding of optimizer states and gradients alone (zero2)",
            Technique::Zero3 => "sharding of parameters (zero3)",
            Technique::Hsdp => "sharding of parameters inside nodes alone (hsdp)",
            Technique::TensorParallel => "tensor parallelism",
            Technique::PipelineParallel => "pipeline stages",
            Technique::InterleavedStages => "interleaved stages (vp)",
            Technique::ZeroBubble => "schedule without bubbles (zero-bubble)",
            Technique::Dualpipe => "schedule from both ends (dualpipe)",
            Technique::ContextParallel => "context parallelism",
            Technique::ExpertParallel => "expert parallelism",
            Technique::SelectiveRecompute => "recomputation of attention scores alone (selective)",
            Technique::LightRecompute => "recomputation of norms and activation functions alone (light)",
            Technique::OperatorRecompute => "recomputation by operator (operators)",
            Technique::Lora => "adapters (lora)",
            Technique::Qlora => "adapters beside weights in NF4 (qlora)",
            Technique::Fp16 => "mixed precision in FP16 (fp16)",
            Technique::Fp8 => "products in FP8 (fp8)",
            Technique::Mxfp8 => "products in FP8 with scales of blocks (mxfp8)",
            Technique::Nvfp4 => "products in NVFP4 (nvfp4)",
        }
    }
}

fn yes() -> bool {
    true
}

fn two() -> f64 {
    2.0
}

/// What a source counts when it states TFLOP/s or MFU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Convention {
    /// Products forward and backward, causal attention at what it really computes (PaLM, arXiv:2204.02311
    /// appendix B, with half of the square; Megatron Bridge).
    #[default]
    Model,
    /// The same with the whole square of attention (NeMo 24.07, llm-foundry, arXiv:2204.02311 as published).
    WholeSquare,
    /// The whole square, and forward a second time (Narayanan et al. 2021, arXiv:2104.04473 equation 3).
    Recomputed,
    /// 6 FLOPs for each active parameter, 4 for each that is frozen, attention left out (Kaplan et al. 2020,
    /// arXiv:2001.08361 §2.1).
    SixN,
}

/// How a framework computes attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Attention {
    /// In three kernels that store the scores.
    Stored,
    /// FlashAttention-2, made for Ampere (arXiv:2307.08691).
    Flash2,
    /// The GPU's own best: FlashAttention-3, cuDNN.
    Native,
}

impl Attention {
    /// Whether no scores are stored.
    pub fn is_flash(self) -> bool {
        self != Attention::Stored
    }
}

/// What a framework's kernels and transfers cost.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrainingTime {
    /// Traffic of its small kernels ÷ that of fully fused ones.
    pub small_kernels: f64,
    /// Bytes moved to cast one activation to 8 or 4 bits, both layouts together.
    pub cast_bytes: f64,
    /// Share of the transfers inside tensor-parallel groups that products can hide.
    pub tensor_overlap: f64,
    /// Share of the transfers of experts' tokens that other work can hide.
    pub expert_overlap: f64,
    /// Bytes of an element on its way to the experts; results come back in 16 bits.
    #[serde(default = "two")]
    pub dispatch_bytes: f64,
    /// Share of the transfers of gradients and parameters that compute can hide.
    pub data_overlap: f64,
    /// Share of hand-offs between stages that compute hides.
    pub pipeline_overlap: f64,
    /// What a second of hidden transfers still costs compute: multiprocessors and bandwidth that it takes.
    pub contention: f64,
    /// What the host takes to launch a dense layer, forward and backward: no microbatch is faster.
    pub host_layer: Seconds,
    /// The same for a layer of routed experts.
    pub host_routed_layer: Seconds,
    /// Of a step, beside its kernels: data, gradient norm, logs.
    pub step: Seconds,
    /// Between GPU and host, per direction, for what is offloaded.
    pub host_link: BytesPerSecond,
}

/// What a framework takes of a GPU's memory beside the tensors.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrainingMemory {
    /// Contexts of CUDA and NCCL, which PyTorch's counters leave out.
    pub outside: Bytes,
    /// What the loss holds at its peak ÷ its logits in FP32: 3.5 where 16-bit logits, FP32 ones, their softmax
    /// and both gradients meet, about 1 where it is fused or computed in pieces.
    pub loss_copies: f64,
    /// Share of what comes and goes in the allocator's memory that fragmentation loses.
    pub fragmentation: f64,
    /// Whether small kernels run one by one, as PyTorch's do without a compiler: norms keep their input in FP32
    /// and what they make of it, gated activation functions both factors.
    #[serde(default)]
    pub eager: bool,
    /// Whether gradients stand in buffers of their own (Megatron's `main_grad`), and not only from backward to
    /// the optimizer.
    #[serde(default = "yes")]
    pub keeps_gradients: bool,
    /// Whether frozen weights that were gathered stay until the step ends.
    #[serde(default)]
    pub keeps_gathered: bool,
    /// How it computes with weights in NF4.
    #[serde(default)]
    pub nf4: Nf4,
}

/// How products read weights in NF4 (QLoRA, arXiv:2305.14314).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nf4 {
    /// Whether the scales are quantised too.
    pub double: bool,
    /// Whether the output projection is in NF4; embeddings and norms never are.
    pub head: bool,
    /// Whether products keep their input, though only the gradient of a weight needs it.
    pub keeps_inputs: bool,
}

impl Default for Nf4 {
    fn default() -> Nf4 {
        Nf4 { double: true, head: false, keeps_inputs: false }
    }
}

impl Nf4 {
    /// Bytes of a weight: half a byte, and for each 64 a scale in FP32, or in 8 bits with one in FP32 for each
    /// 64 × 256 (arXiv:2305.14314 §3).
    pub fn bytes(self) -> f64 {
        0.5 + if self.double { 1.0 / 64.0 + 4.0 / (64.0 * 256.0) } else { 4.0 / 64.0 }
    }
}

impl Framework {
    /// Whether it runs on a GPU.
    pub fn runs_on(&self, gpu: &Gpu) -> bool {
        self.vendors.is_empty() || self.vendors.iter().any(|v| v == gpu.platform())
    }

    /// Whether it computes in BF16 on a GPU.
    pub fn has_bf16(&self, gpu: &Gpu) -> bool {
        gpu.peak(DType::Bf16).is_some() || self.emulates_bf16.iter().any(|v| v == gpu.platform())
    }

    /// Whether it trains in mixed precision in FP16 on a GPU.
    pub fn has_fp16(&self, gpu: &Gpu) -> bool {
        gpu.peak(DType::Fp16).is_some() && !self.lacks.contains(&Technique::Fp16)
    }

    /// Figures that make no sense, [`Code::Catalog`] naming the field.
    pub fn problems(&self) -> Vec<Diagnostic> {
        let t = &self.time;
        let wrong = |field: &str, why: &str| {
            Diagnostic::new(Code::Catalog, format!("{field}: {why}"))
                .at(format!("framework {}", self.id))
                .field(field.to_owned())
        };
        let shares = [
            ("time.tensor_overlap", t.tensor_overlap),
            ("time.expert_overlap", t.expert_overlap),
            ("time.data_overlap", t.data_overlap),
            ("time.pipeline_overlap", t.pipeline_overlap),
            ("time.contention", t.contention),
            ("memory.fragmentation", self.memory.fragmentation),
        ];
        let out = shares.into_iter().filter(|(_, x)| !(0.0..=1.0).contains(x));
        let mut problems: Vec<_> =
            out.map(|(field, _)| wrong(field, "must be a share from 0 to 1")).collect();
        let counts = [
            ("time.small_kernels", t.small_kernels),
            ("time.cast_bytes", t.cast_bytes),
            ("time.dispatch_bytes", t.dispatch_bytes),
            ("memory.loss_copies", self.memory.loss_copies),
        ];
        let negative = counts.into_iter().filter(|(_, x)| !(*x >= 0.0 && x.is_finite()));
        problems.extend(negative.map(|(field, _)| wrong(field, "must not be negative")));
        if t.host_link.get() <= 0.0 {
            problems.push(wrong("time.host_link", "must be positive"));
        }
        if !matches!(self.gradient_bytes, 2 | 4) {
            problems.push(wrong("gradient_bytes", "must be 2 or 4"));
        }
        if !matches!(self.fp16.gradient_bytes, None | Some(2 | 4)) {
            problems.push(wrong("fp16.gradient_bytes", "must be 2 or 4"));
        }
        if !matches!(self.working_weight_bytes, 0 | 2 | 4) {
            problems.push(wrong("working_weight_bytes", "must be 0, 2 or 4"));
        }
        problems
    }

    /// The first of [`Framework::problems`].
    ///
    /// # Errors
    /// [`Code::Catalog`].
    pub fn validate(&self) -> Result<(), Diagnostic> {
        self.problems().into_iter().next().map_or(Ok(()), Err)
    }
}
