//! A GPU as its file describes it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::kernels::{KernelTables, is_kernel_set};
use super::link::Link;
use super::measured::OfEngine;
use super::price::Price;
use super::variant::{Slice, Variant};
use crate::diagnostic::{Code, Diagnostic};
use crate::dtype::DType;
use crate::units::{Bytes, BytesPerSecond, FlopsPerSecond, Watts};

/// One accelerator: what it holds, how fast it computes and moves data, what it costs.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gpu {
    /// Identifier; the file's name without its extension.
    pub id: String,
    /// Full name.
    pub name: String,
    /// Other names that people use.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// `nvidia`, `amd`, …
    pub vendor: String,
    /// Architecture, e.g. `hopper`.
    pub architecture: String,
    /// Class of GPUs whose pooled kernel coefficients fill the gaps (`fits/classes`).
    #[schemars(extend("x-names" = "class"))]
    pub class: String,
    /// Device memory as the driver reports it (`cudaMemGetInfo` total), not the marketing figure.
    pub memory: Bytes,
    /// What nvidia-smi counts: the driver's own part with it. Engines that work a memory fraction out of what they
    /// keep free start from here; without it, from `memory`.
    #[serde(default)]
    pub board_memory: Option<Bytes>,
    /// Whether that is the host's memory, soldered beside one chip: nothing can be added to it.
    #[serde(default)]
    pub unified_memory: bool,
    /// Datasheet memory bandwidth.
    pub bandwidth: BytesPerSecond,
    /// Datasheet dense peak by number type. An absent type is unsupported, never derived.
    #[schemars(extend("propertyNames" = serde_json::json!({ "enum": DType::ALL.map(DType::name) })))]
    pub peak: BTreeMap<DType, FlopsPerSecond>,
    /// Datasheet dense peak of FP16 products that are summed in FP16, where sums in FP32 are slower: GeForce halves
    /// those. The rates of INT8 stand to it as to the peak of other boards.
    #[serde(default)]
    pub half_sums: Option<FlopsPerSecond>,
    /// Streaming multiprocessors or compute units.
    #[schemars(range(min = 1))]
    pub multiprocessors: u32,
    /// Last-level cache.
    pub cache: Bytes,
    /// Link between the host's memory and one GPU, per direction, where that is not the link inside a node; PCIe 5.0 of 16
    /// lanes when left out.
    #[serde(default)]
    pub host_link: Option<BytesPerSecond>,
    /// The link inside a node, per direction and GPU.
    pub scale_up: Link,
    /// The link between nodes, per direction and GPU, in the usual server.
    pub scale_out: Link,
    /// GPUs in the usual server.
    #[schemars(range(min = 1))]
    pub gpus_per_node: u32,
    /// Board power limit.
    pub tdp: Watts,
    /// Power when idle.
    pub idle_power: Watts,
    /// Indicative on-demand rental price.
    pub price: Option<Price>,
    /// Where the figures come from.
    pub sources: Vec<String>,
    /// Another GPU of the same architecture whose kernel coefficients stand in for missing ones; they
    /// are shares of this GPU's own peak and bandwidth, and count as uncalibrated.
    #[serde(default)]
    #[schemars(extend("x-names" = "gpu"))]
    pub kernels_from: Option<String>,
    /// Kernel coefficients that its own file states. Those that measurements gave stand apart, in `fits/kernels`;
    /// [`crate::catalog::gpu()`] fills them in.
    #[serde(default)]
    pub kernels: KernelTables,
    /// Boards of the same chip, each an entry of its own: what they are called and what differs.
    #[serde(default)]
    pub variants: Vec<Variant>,
    /// Its profile, if it is one of those slices, which work alone.
    #[serde(skip)]
    pub slice: Option<String>,
    /// Slices that the driver can cut, by profile (`3g.40gb`), each an entry of its own: `h100-sxm-mig-3g.40gb`.
    #[serde(default)]
    pub mig: BTreeMap<String, Slice>,
    /// Those of the GPU that `kernels_from` names, which fill the gaps in `kernels` first. Filled in by
    /// [`crate::catalog::gpu()`].
    #[serde(skip)]
    pub twin: KernelTables,
    /// Those of the class, which fill what is left. Filled in by [`crate::catalog::gpu()`].
    #[serde(skip)]
    pub stand_ins: KernelTables,
    /// What engines must support to run on it, where its class says that this is not the vendor's GPUs.
    /// Filled in by [`crate::catalog::gpu()`].
    #[serde(skip)]
    pub platform: Option<String>,
    /// Measured latencies of kernels by engine. Filled in by [`crate::catalog::Catalog::measure`].
    #[serde(skip)]
    pub measured: Vec<OfEngine>,
}

impl Gpu {
    /// The memory of the board, of which the driver keeps some for itself: at least what the driver reports, which
    /// logs and scenarios may state otherwise.
    pub fn board(&self) -> Bytes {
        self.board_memory.map_or(self.memory, |board| board.max(self.memory))
    }

    /// Dense peak for a number type, if the GPU has it. BF16 and FP16 stand in for each other only
    /// where the file lists both.
    pub fn peak(&self, dtype: DType) -> Option<FlopsPerSecond> {
        self.peak.get(&dtype).copied()
    }

    /// What engines must support to run on it: its class's platform (`cpu`, `gaudi`), else its vendor.
    pub fn platform(&self) -> &str {
        self.platform.as_deref().unwrap_or(&self.vendor)
    }

    /// What one of it is called where some are counted.
    pub fn unit(&self) -> &'static str {
        if self.platform() == "cpu" { "socket" } else { "GPU" }
    }

    /// The 16-bit peak: BF16 where there is one, else FP16 (Volta, Turing).
    pub fn peak_16bit(&self) -> Option<FlopsPerSecond> {
        self.peak(DType::Bf16).or_else(|| self.peak(DType::Fp16))
    }

    /// Kernel coefficients that may be had for it, the nearest first: its own, those of the GPU that lends it its, those of
    /// its class.
    pub fn tables(&self) -> [&KernelTables; 3] {
        [&self.kernels, &self.twin, &self.stand_ins]
    }

    /// Whether its own kernels were measured, not just large products or those of an engine's old versions.
    pub fn is_measured(&self) -> bool {
        let (mut products, mut attention) = (self.kernels.gemm.keys(), self.kernels.decode_attention.keys());
        products.any(|key| !is_kernel_set(key)) && attention.any(|key| !is_kernel_set(key))
    }

    /// Checks that the figures make sense together.
    ///
    /// # Errors
    /// The first of [`Gpu::problems`].
    pub fn validate(&self) -> Result<(), Diagnostic> {
        self.problems().into_iter().next().map_or(Ok(()), Err)
    }

    /// Figures that make no sense, [`Code::Catalog`] naming the field.
    pub fn problems(&self) -> Vec<Diagnostic> {
        let mut problems = Vec::new();
        let mut fail = |field: &str, why: &str| {
            let problem = Diagnostic::new(Code::Catalog, format!("{field}: {why}"));
            let first = field.split(", ").next().unwrap_or(field);
            problems.push(problem.at(format!("GPU {}", self.id)).field(first));
        };
        if self.memory == Bytes::ZERO {
            fail("memory", "must be positive");
        }
        if self.board_memory.is_some_and(|board| board < self.memory) {
            fail("board_memory", "must be at least `memory`, which is what the driver leaves of it");
        }
        if self.bandwidth.get() <= 0.0 {
            fail("bandwidth", "must be positive");
        }
        if self.peak_16bit().is_none() {
            fail("peak", "needs at least bf16 or fp16");
        }
        if self.peak.values().any(|p| p.get() <= 0.0) {
            fail("peak", "must be positive; leave out what the GPU does not support");
        }
        if self.peak.keys().any(|t| matches!(t, DType::Q8_0 | DType::Q4_0)) {
            fail("peak", "q8_0 and q4_0 are ways to store; no GPU computes in them");
        }
        if self.gpus_per_node == 0 || self.multiprocessors == 0 {
            fail("gpus_per_node, multiprocessors", "must be at least 1");
        }
        for (field, link, between_nodes) in
            [("scale_up", &self.scale_up, false), ("scale_out", &self.scale_out, true)]
        {
            if let Err(why) = link.validate(between_nodes) {
                fail(field, why);
            }
        }
        if self.idle_power.get() > self.tdp.get() {
            fail("idle_power", "exceeds tdp");
        }
        if let Err(cause) = self.kernels.validate() {
            let (field, why) = cause.split_once(": ").unwrap_or((&cause, ""));
            fail(field, why);
        }
        let whole = |slice: &Slice| {
            (0.0..=1.0).contains(&slice.memory_share)
                && slice.memory_share > 0.0
                && slice.memory <= self.memory
                && slice.multiprocessors <= self.multiprocessors
        };
        if !self.mig.values().all(whole) {
            fail("mig", "a slice has at most the memory and the multiprocessors of the whole");
        }
        problems.extend(self.all_variants().iter().flat_map(Gpu::problems));
        problems
    }
}
