//! What is needed to compile a layout.

use crate::catalog::{Cluster, Host};
use crate::dtype::DType;
use crate::estimate::kernels::Kernels;
use crate::model::Model;
use crate::model::media::Media;
use crate::plan::{Offload, Parallelism, Placement};

use super::streamed::Stream;

/// What is needed to compile a layout.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The model, at the plan's precision.
    pub model: &'a Model,
    /// The kernels of the engine on the GPU.
    pub kernels: &'a Kernels<'a>,
    /// The same on each kind of card, in their order, where stages lie on several kinds; else empty.
    pub kinds: &'a [Kernels<'a>],
    /// The cluster.
    pub cluster: &'a Cluster,
    /// The split.
    pub parallelism: Parallelism,
    /// Where the ranks stand.
    pub placement: Placement,
    /// Type of the KV cache.
    pub kv: DType,
    /// Tokens that the model's own prediction layers, or its draft model, draft for each step.
    pub drafted: u32,
    /// What stays in the host's memory.
    pub offload: Offload,
    /// The replica's part of the host's memory, if it is known.
    pub host: Option<Host>,
    /// What of the weights is with the host, where the GPUs compute everything.
    pub stream: Option<Stream>,
    /// What prompts bring beside text.
    pub media: Media,
    /// Tokens of a prompt that are computed, with those of what it brings.
    pub prompt_tokens: u64,
}
