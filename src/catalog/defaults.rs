//! What an engine is launched with unless told otherwise.

use schemars::JsonSchema;
use serde::Deserialize;

use super::gpu::Gpu;
use super::patch::with_patch;
use crate::units::Bytes;

with_patch! {
    /// Launch defaults of an engine.
    EngineDefaults, EngineDefaultsPatch {
        /// Sequences in one batch.
        max_sequences: u32,
        /// The most that a launch may usefully state, where that is more.
        #[serde(default)]
        most_sequences: Option<u32>,
        /// Tokens in one step, prompts and decodes together.
        max_batched_tokens: u32,
        /// Whether a prompt is never cut: a step takes at least the longest request.
        #[serde(default)]
        whole_prompts: bool,
        /// Models whose prompts are never cut, whatever their length.
        #[serde(default)]
        never_cut: Vec<NeverCut>,
        /// Whether the ranks of an attention-data-parallel group divide the tokens of a step among them; else
        /// each takes as many.
        #[serde(default)]
        tokens_of_all_ranks: bool,
        /// What becomes of a launch whose steps have fewer tokens than its batches have sequences.
        #[serde(default)]
        small_steps: SmallSteps,
        /// Whether no batch is captured that is larger than the most sequences, where those are stated.
        #[serde(default)]
        graphs_within_sequences: bool,
        /// Whether a launch that states its sequences states the largest batch that is captured beside them; else that
        /// follows from them.
        #[serde(default)]
        graphs_stated: bool,
        /// Whether graphs are named by the tokens of a step, drafted ones with them; else by its sequences.
        #[serde(default)]
        graphs_of_tokens: bool,
        /// What differs by GPU, the most general first; each entry that applies overwrites.
        #[serde(default)]
        by_gpu: Vec<DefaultsByGpu>,
    }
}

/// What an engine makes of steps that have fewer tokens than its batches have sequences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SmallSteps {
    /// It starts.
    #[default]
    Allowed,
    /// It takes as many sequences as tokens where the sequences are not stated, and refuses to start where they are.
    Lowered,
    /// It refuses to start.
    Refused,
}

/// Models whose prompts an engine computes whole where it cuts long ones of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NeverCut {
    /// With latent attention.
    Latent,
    /// With an encoder of images.
    Images,
}

/// Defaults that hold on some GPUs. What it does not name stays.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DefaultsByGpu {
    /// Smallest memory.
    pub at_least: Option<Bytes>,
    /// Only GPUs whose identifier contains one of these.
    pub only: Vec<String>,
    /// Not GPUs whose identifier contains one of these.
    pub except: Vec<String>,
    /// Smallest tensor-parallel degree; only for what depends on it (`graph_batch`, `fraction`).
    pub tp: Option<u32>,
    /// Sequences in one batch.
    pub max_sequences: Option<u32>,
    /// Tokens in one step.
    pub max_batched_tokens: Option<u32>,
    /// Prompt tokens that the engine sets memory aside for, where that is not the tokens of a step.
    pub reserved_tokens: Option<u32>,
    /// Largest batch with a captured CUDA graph.
    pub graph_batch: Option<u32>,
    /// Memory fraction.
    pub fraction: Option<f64>,
    /// Instead of the memory rule's `reserved.fixed`.
    pub reserved: Option<Bytes>,
    /// Instead of the memory rule's `reserved.per_rank`.
    pub reserved_per_rank: Option<Bytes>,
}

impl DefaultsByGpu {
    pub(super) fn applies(&self, gpu: &Gpu, tp: u32) -> bool {
        let named = |list: &[String]| list.iter().any(|name| gpu.id.contains(name.as_str()));
        self.at_least.is_none_or(|least| gpu.memory >= least)
            && (self.only.is_empty() || named(&self.only))
            && !named(&self.except)
            && self.tp.is_none_or(|least| tp >= least)
    }
}

/// The launch defaults of an engine on a GPU, resolved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LaunchDefaults {
    /// Sequences in one batch.
    pub max_sequences: u32,
    /// Tokens in one step.
    pub max_batched_tokens: u32,
    /// Prompt tokens that memory is set aside for, if not those of a step.
    pub reserved_tokens: Option<u32>,
    /// Largest batch with a captured CUDA graph.
    pub graph_batch: Option<u32>,
    /// Memory fraction on such GPUs, if it is fixed.
    pub fraction: Option<f64>,
    /// Memory kept free whatever else, where the fraction is worked out.
    pub reserved: Option<Bytes>,
    /// Memory kept free for each rank, where the fraction is worked out.
    pub reserved_per_rank: Option<Bytes>,
}

/// What a worked-out memory fraction depends on beside the GPU.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Launch {
    /// Tensor-parallel degree.
    pub tp: u32,
    /// Ranks of a replica without attention data parallelism.
    pub ranks: u64,
    /// Attention-data-parallel degree.
    pub attention_dp: u32,
    /// Tokens of a step, if the user sets them.
    pub batched_tokens: Option<u64>,
    /// Sequences of the largest batch with a CUDA graph, if that is not the default.
    pub graph_batch: Option<u64>,
    /// Whether attention is latent.
    pub latent: bool,
    /// Whether tokens go to their experts alone, instead of to every rank.
    pub exchanges: bool,
    /// Whether a model drafts tokens.
    pub drafts: bool,
    /// Size of the image encoder, of ViT-L's, if the model sees.
    pub encoder_size: Option<f64>,
    /// Whether it says itself what lies on the GPUs.
    pub placed: bool,
}
