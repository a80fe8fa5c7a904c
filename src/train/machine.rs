//! What a training step runs on: kernels with what training leaves of their speed, links, and the framework.

use crate::catalog::framework::{Attention, Framework};
use crate::catalog::kernels::TrainingShares;
use crate::catalog::{Cluster, Engine};
use crate::diagnostic::Diagnostic;
use crate::dtype::{DType, WeightFormat};
use crate::estimate::Provenance;
use crate::estimate::collectives::CollectiveTimer;
use crate::estimate::kernels::{GemmKernel, Kernels};
use crate::model::operator::{AttentionShape, CollectiveKind, ExpertsShape, Operator, OperatorKind, Step};
use crate::plan::GroupLink;
use crate::units::{BytesPerSecond, Seconds, Traffic};

use super::plan::{Network, Precision};

/// Shares where neither the GPU nor its class states any.
const PLAIN: TrainingShares = TrainingShares {
    products: 0.85,
    products_8bit: 0.75,
    products_4bit: 0.7,
    attention: 0.9,
    attention_backward: 0.75,
    experts: 0.7,
};

/// FLOPs of attention backward ÷ forward: five products for two, scores being computed again (Dao 2023,
/// arXiv:2307.08691 §3.1.2).
const ATTENTION_BACKWARD: f64 = 2.5;

/// Shares of the peak that FlashAttention-2 reaches on GPUs after the A100, forward and backward: it does not
/// use their asynchronous products (35 % on an H100, arXiv:2407.08608 §1; backward as in its figure 6). On an
/// A100 the measured kernels are slower than this.
const FLASH2: (f64, f64) = (0.35, 0.3);

/// Traffic of a small kernel backward ÷ forward: it reads its input and a gradient and writes one.
const SMALL_BACKWARD: f64 = 1.5;

/// Share of the inter-node bandwidth that large messages reach, as in `estimate::collectives`.
const SCALE_OUT_EFFICIENCY: f64 = 0.8;

/// The three times of an operator: forward, gradient of its input, gradient of its weights.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Times {
    /// Forward.
    pub forward: Seconds,
    /// Backward, what earlier layers wait for.
    pub input: Seconds,
    /// Backward, what only the optimizer waits for.
    pub weight: Seconds,
}

/// A cluster, a framework, and the kernels that it runs there.
#[derive(Clone, Debug)]
pub struct Machine<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// The framework.
    pub framework: &'a Framework,
    engine: &'a Engine,
    kernels: Kernels<'a>,
    shares: TrainingShares,
    per_node: u32,
    peak_16bit: f64,
}

impl<'a> Machine<'a> {
    /// A cluster under a framework whose kernels are those of `engine`.
    ///
    /// # Errors
    /// As [`Kernels::new`].
    pub fn new(
        cluster: &'a Cluster,
        framework: &'a Framework,
        engine: &'a Engine,
    ) -> Result<Machine<'a>, Diagnostic> {
        let gpu = &cluster.gpu;
        let kernels = Kernels::new(gpu, engine)?;
        let shares = gpu.tables().into_iter().find_map(|tables| tables.training).unwrap_or(PLAIN);
        // Jobs use a node or domain only as far as all of them can be used alike.
        let most = cluster.gpus_per_node.min(cluster.gpus).max(1);
        let per_node = (most / 2..=most).rev().find(|n| *n > 0 && cluster.gpus.is_multiple_of(*n));
        let per_node = per_node.unwrap_or(most);
        // Known to be there: the kernels ask for it.
        let peak_16bit = gpu.peak_16bit().map_or(0.0, |peak| peak.get());
        Ok(Machine { cluster, framework, engine, kernels, shares, per_node, peak_16bit })
    }

    /// Where its times come from: the shares of kernels' speed that training leaves were fitted to runs on this very GPU, its
    /// kernels alone were measured, or neither.
    pub fn provenance(&self) -> Provenance {
        let gpu = &self.cluster.gpu;
        match (gpu.kernels.training.is_some(), gpu.is_measured()) {
            (true, true) => Provenance::Fitted,
            (false, false) => Provenance::Uncalibrated,
            _ => Provenance::Mixed,
        }
    }

    /// What the link between a GPU and its host carries in a second, per direction: what is known of it, else what is typical of
    /// the framework's machines.
    pub fn host_link(&self) -> BytesPerSecond {
        self.cluster.stated_host_link().unwrap_or(self.framework.time.host_link)
    }

    /// GPUs that share a host.
    pub fn per_host(&self) -> u32 {
        self.cluster.gpus_per_node.min(self.cluster.gpus).max(1)
    }

    /// What each GPU has of the bandwidth of its host's memory, where that is known.
    pub fn host_bandwidth(&self) -> Option<BytesPerSecond> {
        Some(self.cluster.host?.bandwidth * (1.0 / f64::from(self.per_host())))
    }

    /// GPUs that share the fast link and are used alike.
    pub fn per_node(&self) -> u32 {
        self.per_node
    }

    /// Time of a memory-bound kernel.
    pub fn small(&self, bytes: f64) -> Seconds {
        self.kernels.elementwise().time(1.0, crate::units::Flops::ZERO, Traffic::new(bytes)).time
    }

    /// Time of a pass over memory at full tilt: the optimizer's.
    pub fn sweep(&self, bytes: f64) -> Seconds {
        Seconds::new(bytes / (self.cluster.gpu.bandwidth.get() * 0.85))
    }

    /// Forward and backward of a memory-bound kernel.
    pub fn elementwise(&self, bytes: f64) -> Times {
        let bytes = bytes * self.framework.time.small_kernels;
        if bytes <= 0.0 {
            return Times::default();
        }
        Times { forward: self.small(bytes), input: self.small(bytes * SMALL_BACKWARD), weight: Seconds::ZERO }
    }

    fn share(&self, format: WeightFormat) -> f64 {
        match self.narrow(format) {
            None => self.shares.products,
            Some(DType::Fp4) => self.shares.products_4bit,
            Some(_) => self.shares.products_8bit,
        }
    }

    /// The narrow type that products in a format compute in, if the GPU has it.
    pub fn narrow(&self, format: WeightFormat) -> Option<DType> {
        let dtype = match format {
            WeightFormat::Fp8 | WeightFormat::Fp8Block | WeightFormat::Mxfp8 => DType::Fp8,
            WeightFormat::Nvfp4 => DType::Fp4,
            _ => return None,
        };
        self.cluster.gpu.peak(dtype).map(|_| dtype)
    }

    /// Whether the GPU has the products of a precision. BF16 came with Ampere and CDNA, and frameworks stop where it is not.
    /// Products that scale blocks themselves came with those in 4 bits, in
    /// Blackwell as in CDNA4: a GPU without the latter has no MXFP8 either, whatever its FP8 (Transformer Engine's
    /// `check_mxfp8_support` and `check_nvfp4_support` ask for compute capability 10.0, `check_fp8_support` for 8.9). NVFP4's
    /// scales, FP8 for blocks of 16, are NVIDIA's alone.
    pub fn multiplies(&self, precision: Precision) -> bool {
        let gpu = &self.cluster.gpu;
        let has = |dtype: DType| gpu.peak(dtype).is_some();
        match precision {
            Precision::Bf16 => self.framework.has_bf16(gpu),
            Precision::Fp16 => has(DType::Fp16),
            Precision::Fp8 => has(DType::Fp8),
            Precision::Mxfp8 => has(DType::Fp8) && has(DType::Fp4),
            Precision::Nvfp4 => has(DType::Fp4) && gpu.vendor == "nvidia",
        }
    }

    /// The form of a product without the quantisation of serving engines.
    fn gemm(&self, format: WeightFormat) -> GemmKernel {
        let format = if self.narrow(format).is_some() { format } else { WeightFormat::Bf16 };
        let (kernel, _) = self.kernels.gemm(format);
        let mut form = kernel.form();
        (form.quantise_bytes, form.quantise_row) = (0.0, Seconds::ZERO);
        kernel.with_form(form)
    }

    /// A product of `m × k` by `k × n`: forward, and by each of its factors. Narrow products cast the input,
    /// and backward the gradient.
    pub fn product(&self, m: f64, n: f64, k: f64, format: WeightFormat) -> Times {
        self.product_at(&self.gemm(format), (m, n, k), self.share(format), self.narrow(format).is_some())
    }

    fn product_at(&self, kernel: &GemmKernel, (m, n, k): (f64, f64, f64), share: f64, narrow: bool) -> Times {
        let time = |m: f64, n: f64, k: f64| kernel.time(m, n, k).time / share;
        let cast = |elements: f64| {
            if narrow { self.sweep(elements * self.framework.time.cast_bytes) } else { Seconds::ZERO }
        };
        Times {
            forward: time(m, n, k) + cast(m * k),
            input: time(m, k, n) + cast(m * n),
            weight: time(n, k, m),
        }
    }

    /// Attention over whole sequences in one kernel, or the operator's latent form.
    pub fn attention(&self, op: &Operator, step: &Step) -> Times {
        let (flops, traffic) = (op.flops(step), op.traffic(step));
        let alone = match &op.kind {
            OperatorKind::PrefillAttention(a) => {
                self.kernels.prefill_attention(DType::Bf16).0.time(a, flops, traffic, step)
            }
            OperatorKind::LatentPrefill(l) => {
                // Training expands the latent: attention with as many key as query heads.
                let head_dim = (l.nope_dim + l.rope_dim + l.v_dim) / 2;
                let (heads, kv) = (l.heads, DType::Bf16);
                let shape = AttentionShape {
                    heads,
                    kv_heads: heads,
                    head_dim,
                    window: None,
                    both_ways: false,
                    sinks: false,
                    kv,
                    context_ranks: 1,
                };
                self.kernels.prefill_attention(DType::Bf16).0.time(&shape, flops, traffic, step)
            }
            _ => return Times::default(),
        };
        let (mut forward, mut input) = (
            alone.time / self.shares.attention,
            alone.time * ATTENTION_BACKWARD / self.shares.attention_backward,
        );
        if self.framework.attention == Attention::Flash2 {
            let at = |share: f64| Seconds::new(flops.get() / (self.peak_16bit * share));
            let (ahead, back) = FLASH2;
            (forward, input) = (forward.max(at(ahead)), input.max(at(back) * ATTENTION_BACKWARD));
        }
        Times { forward, input, weight: Seconds::ZERO }
    }

    /// Attention as two batched products with softmax and dropout between them, all scores stored:
    /// `heads · batch` matrices of `n × n`.
    pub fn stored_attention(&self, matrices: f64, n: f64, head_dim: f64, dropout: bool) -> Times {
        let kernel = self.gemm(WeightFormat::Bf16);
        let one = |m: f64, n: f64, k: f64| {
            (kernel.time(m, n, k).time - kernel.launch()).max(Seconds::ZERO) / self.shares.products
        };
        let products = one(n, n, head_dim) + one(n, head_dim, n);
        let pairs = matrices * n * n;
        // Softmax reads and writes; dropout reads, writes, and writes its mask. Backward reads two factors.
        let (forward, backward) = if dropout { (9.0, 11.0) } else { (4.0, 6.0) };
        let both = products * matrices;
        Times {
            forward: both + self.small(pairs * forward),
            input: both * 2.0 + self.small(pairs * backward),
            weight: Seconds::ZERO,
        }
    }

    /// Products of the routed experts of a rank, `rows` token copies in all, balanced.
    pub fn experts(&self, e: &ExpertsShape, rows: f64) -> Times {
        let kernel = self.gemm(e.format);
        let experts = e.local_experts().max(1.0);
        let (m, narrow) = (rows / experts, self.narrow(e.format).is_some());
        let (hidden, inner) = (e.hidden as f64, e.inner as f64);
        let share = self.share(e.format) * self.shares.experts / self.shares.products;
        let ups = (e.matrices - 1) as f64;
        let up = self.product_at(&kernel, (m, ups * inner, hidden), share, narrow);
        let down = self.product_at(&kernel, (m, hidden, inner), share, narrow);
        // One launch for all experts.
        let rest = kernel.launch() / share * (experts - 1.0);
        let all = |up: Seconds, down: Seconds| ((up + down) * experts - rest * 2.0).max(Seconds::ZERO);
        Times {
            forward: all(up.forward, down.forward),
            input: all(up.input, down.input),
            weight: all(up.weight, down.weight),
        }
    }

    /// A group of `ranks` whose neighbours stand `stride` GPUs apart.
    pub fn group(&self, ranks: u64, stride: u64) -> GroupLink {
        let inside = (u64::from(self.per_node) / stride.max(1)).clamp(1, ranks.max(1));
        // As many in each node as divides the group.
        let inside = (1..=inside).rev().find(|n| ranks.is_multiple_of(*n)).unwrap_or(1);
        let count = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        GroupLink { ranks: count(ranks.max(1)), nodes: count(ranks.max(1) / inside), bridged: false }
    }

    /// The same on a network; far ones leave every rank in a node of its own.
    pub fn group_on(&self, network: Network, ranks: u64, stride: u64) -> GroupLink {
        let group = self.group(ranks, stride);
        if network == Network::Far { GroupLink { nodes: group.ranks, ..group } } else { group }
    }

    /// A collective over a full buffer of `bytes`.
    pub fn collective(&self, kind: CollectiveKind, group: GroupLink, bytes: f64) -> Seconds {
        let timer = CollectiveTimer::new(kind, group, self.cluster, self.engine).library_only();
        timer.time(Traffic::new(bytes))
    }

    /// Tokens to their experts and back, one way: each rank sends `copies` rows of `row` bytes, a token once
    /// to each node that has one of its `top_k` experts.
    pub fn exchange(&self, group: GroupLink, tokens: f64, top_k: f64, row: f64) -> Seconds {
        if group.ranks <= 1 || tokens <= 0.0 {
            return Seconds::ZERO;
        }
        let inside = GroupLink { ranks: group.ranks_per_node().max(1), nodes: 1, bridged: false };
        let near = self.collective(CollectiveKind::AllToAll, inside, tokens * top_k * row);
        if group.nodes <= 1 {
            return near;
        }
        let nodes = f64::from(group.nodes);
        let reached = nodes * (1.0 - (1.0 - 1.0 / nodes).powf(top_k)) * (nodes - 1.0) / nodes;
        let out = &self.cluster.scale_out;
        let far = Seconds::new(tokens * reached * row / (out.under_load().get() * SCALE_OUT_EFFICIENCY));
        near.max(far) + out.latency
    }

    /// One hand-off of `bytes` between stages `stride` GPUs apart.
    pub fn hand_off(&self, network: Network, stride: u64, bytes: f64) -> Seconds {
        let near = stride < u64::from(self.per_node) && network != Network::Far;
        let link = if near { &self.cluster.scale_up } else { &self.cluster.scale_out };
        link.latency + Seconds::new(bytes / (link.under_load().get() * SCALE_OUT_EFFICIENCY))
    }
}
