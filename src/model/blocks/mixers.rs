//! The kinds of recurrent mixers, each with its sizes and the paper it comes from.

mod rwkv;

use super::{Convolution, Recurrent};
use crate::model::node::{Linear, Part, STATE_BYTES};
use crate::model::operator::ScanKind;
use crate::model::tensor::{Component, Role, Tensor};
pub use rwkv::{ChannelMix, TimeMix};

const SSM: Component = Component::Ssm;

fn vector(name: &'static str, length: u64) -> Tensor {
    Tensor::vector(name, length, SSM)
}

/// Filters of a convolution: one row of taps per channel, never quantised.
fn filters(name: &'static str, convolution: Convolution) -> Tensor {
    Tensor { columns: convolution.kernel, ..vector(name, convolution.channels) }
}

fn norm(name: &'static str, width: u64) -> Tensor {
    Tensor::vector(name, width, Component::Norm)
}

/// `a·b·c`; an impossible size saturates, and the projections of such a mixer overflow the count.
fn product(a: u64, b: u64, c: u64) -> u64 {
    a.saturating_mul(b).saturating_mul(c)
}

/// Mamba (Gu and Dao 2023, arXiv:2312.00752, §3): a selective diagonal state space.
#[derive(Clone, Copy, Debug)]
pub struct Mamba {
    /// Model width.
    pub hidden: u64,
    /// Inner channels.
    pub inner: u64,
    /// State per channel.
    pub state: u64,
    /// Taps of the convolution.
    pub kernel: u64,
    /// Rank of the step size's projection.
    pub step_rank: u64,
    /// Bias on the input and output projections.
    pub bias: bool,
    /// Bias on the convolution.
    pub convolution_bias: bool,
    /// Norms on step size, B and C (Jamba).
    pub inner_norms: bool,
}

impl From<Mamba> for Recurrent {
    fn from(m: Mamba) -> Recurrent {
        let convolution = Convolution { channels: m.inner, kernel: m.kernel };
        let mut inner = vec![
            filters("mixer.conv1d.weight", convolution).split_over(m.inner),
            vector("mixer.dt_proj.bias", m.inner).split_over(m.inner),
            Tensor { columns: m.state, ..vector("mixer.A_log", m.inner) }.split_over(m.inner),
            vector("mixer.D", m.inner).split_over(m.inner),
        ];
        let products = vec![
            Recurrent::product(SSM, "mixer.x_proj.weight", (m.step_rank + 2 * m.state, m.inner), m.inner),
            Recurrent::product(SSM, "mixer.dt_proj.weight", (m.inner, m.step_rank), m.inner),
        ];
        if m.convolution_bias {
            inner.push(vector("mixer.conv1d.bias", m.inner).split_over(m.inner));
        }
        if m.bias {
            inner.push(vector("mixer.in_proj.bias", 2 * m.inner).split_over(m.inner));
            inner.push(vector("mixer.out_proj.bias", m.hidden));
        }
        if m.inner_norms {
            inner.push(norm("mixer.dt_layernorm.weight", m.step_rank));
            inner.push(norm("mixer.b_layernorm.weight", m.state));
            inner.push(norm("mixer.c_layernorm.weight", m.state));
        }
        Recurrent {
            kind: Some(ScanKind::Mamba),
            hidden: m.hidden,
            component: SSM,
            inputs: vec![Part::new("mixer.in_proj.weight", 2 * m.inner).over(m.inner)],
            inner,
            products,
            outputs: vec![Recurrent::output(SSM, "mixer.out_proj.weight", (m.hidden, m.inner), m.inner)],
            heads: m.inner,
            shared: m.inner,
            convolution,
            state: m.inner * m.state,
            state_bytes: STATE_BYTES,
            // As the reference implementation counts the selective scan.
            flops_per_token: product(9, m.inner, m.state),
        }
    }
}

/// Mamba-2 (Dao and Gu 2024, arXiv:2405.21060, §7): scalar decay per head, B and C shared by groups.
#[derive(Clone, Copy, Debug)]
pub struct Mamba2 {
    /// Model width.
    pub hidden: u64,
    /// Heads.
    pub heads: u64,
    /// Channels of a head.
    pub head_dim: u64,
    /// Groups of heads that share B and C.
    pub groups: u64,
    /// State per channel.
    pub state: u64,
    /// Taps of the convolution.
    pub kernel: u64,
    /// Bias on the input projection.
    pub in_bias: bool,
    /// Bias on the output projection.
    pub out_bias: bool,
    /// Bias on the convolution.
    pub convolution_bias: bool,
    /// A gated norm before the output projection.
    pub norm: bool,
    /// Bytes of one element of the state as engines keep it.
    pub state_bytes: u64,
}

impl From<Mamba2> for Recurrent {
    fn from(m: Mamba2) -> Recurrent {
        let channels = m.heads * m.head_dim;
        let shared = m.groups.saturating_mul(m.state);
        let convolution =
            Convolution { channels: channels.saturating_add(shared.saturating_mul(2)), kernel: m.kernel };
        let projected = convolution.channels.saturating_add(channels).saturating_add(m.heads);
        let mut inner = vec![
            filters("mixer.conv1d.weight", convolution).split_over(m.heads),
            vector("mixer.A_log", m.heads).split_over(m.heads),
            vector("mixer.D", m.heads).split_over(m.heads),
            vector("mixer.dt_bias", m.heads).split_over(m.heads),
        ];
        if m.convolution_bias {
            inner.push(vector("mixer.conv1d.bias", convolution.channels).split_over(m.heads));
        }
        if m.in_bias {
            inner.push(vector("mixer.in_proj.bias", projected).split_over(m.heads));
        }
        if m.out_bias {
            inner.push(vector("mixer.out_proj.bias", m.hidden));
        }
        if m.norm {
            inner.push(norm("mixer.norm.weight", channels).split_over(m.heads));
        }
        Recurrent {
            kind: Some(ScanKind::Mamba2),
            hidden: m.hidden,
            component: SSM,
            inputs: vec![Part::new("mixer.in_proj.weight", projected).over(m.heads)],
            inner,
            products: Vec::new(),
            outputs: vec![Recurrent::output(SSM, "mixer.out_proj.weight", (m.hidden, channels), m.heads)],
            heads: m.heads,
            shared: m.groups,
            convolution,
            state: channels.saturating_mul(m.state),
            state_bytes: m.state_bytes,
            // Decay, add the outer product of B and x, multiply by C.
            flops_per_token: product(5, channels, m.state),
        }
    }
}

/// Gated delta net (Yang et al. 2024, arXiv:2412.06464; Qwen3-Next, OLMo-Hybrid).
#[derive(Clone, Copy, Debug)]
pub struct GatedDelta {
    /// Model width.
    pub hidden: u64,
    /// Heads of queries and keys.
    pub key_heads: u64,
    /// Heads of values; each has a state.
    pub value_heads: u64,
    /// Dimension of a key head.
    pub key_dim: u64,
    /// Dimension of a value head.
    pub value_dim: u64,
    /// Taps of the convolution over queries, keys and values.
    pub kernel: u64,
    /// Bytes of one element of the state as engines keep it.
    pub state_bytes: u64,
}

impl From<GatedDelta> for Recurrent {
    fn from(d: GatedDelta) -> Recurrent {
        let keys = d.key_heads * d.key_dim;
        let values = d.value_heads * d.value_dim;
        let convolution = Convolution { channels: 2 * keys + values, kernel: d.kernel };
        let heads = d.value_heads;
        Recurrent {
            kind: Some(ScanKind::GatedDelta),
            hidden: d.hidden,
            component: SSM,
            inputs: vec![
                Part::new("linear_attn.in_proj_qkvz.weight", convolution.channels + values).over(d.key_heads),
                Part::new("linear_attn.in_proj_ba.weight", 2 * heads).over(heads),
            ],
            inner: vec![
                filters("linear_attn.conv1d.weight", convolution).split_over(d.key_heads),
                vector("linear_attn.A_log", heads).split_over(heads),
                vector("linear_attn.dt_bias", heads).split_over(heads),
                norm("linear_attn.norm.weight", d.value_dim),
            ],
            products: Vec::new(),
            outputs: vec![Recurrent::output(SSM, "linear_attn.out_proj.weight", (d.hidden, values), heads)],
            heads,
            shared: d.key_heads,
            convolution,
            state: product(heads, d.key_dim, d.value_dim),
            state_bytes: d.state_bytes,
            flops_per_token: product(7 * heads, d.key_dim, d.value_dim),
        }
    }
}

/// Kimi delta attention (Kimi Linear, arXiv:2510.26692 §3): a delta rule with a decay per channel.
#[derive(Clone, Copy, Debug)]
pub struct KimiDelta {
    /// Model width.
    pub hidden: u64,
    /// Heads.
    pub heads: u64,
    /// Dimension of a head.
    pub head_dim: u64,
    /// Taps of the convolution over queries, keys and values.
    pub kernel: u64,
    /// Rank of the decay's projection; `None` when it is full.
    pub decay_rank: Option<u64>,
    /// Rank of the output gate's projection; `None` when it is full.
    pub gate_rank: Option<u64>,
}

impl From<KimiDelta> for Recurrent {
    fn from(d: KimiDelta) -> Recurrent {
        let width = d.heads * d.head_dim;
        let convolution = Convolution { channels: 3 * width, kernel: d.kernel };
        let mut products = Vec::new();
        let mut inputs = vec![
            Part::new("self_attn.qkv_proj.weight", 3 * width).over(d.heads),
            Part::new("self_attn.b_proj.weight", d.heads).over(d.heads),
        ];
        let inner = vec![
            filters("self_attn.conv1d.weight", convolution).split_over(d.heads),
            vector("self_attn.A_log", d.heads).split_over(d.heads),
            vector("self_attn.dt_bias", width).split_over(d.heads),
            norm("self_attn.o_norm.weight", d.head_dim),
        ];
        let projections = [
            (
                d.decay_rank,
                ["self_attn.f_proj.weight", "self_attn.f_a_proj.weight", "self_attn.f_b_proj.weight"],
            ),
            (
                d.gate_rank,
                ["self_attn.g_proj.weight", "self_attn.g_a_proj.weight", "self_attn.g_b_proj.weight"],
            ),
        ];
        for (rank, [full, narrow, expand]) in projections {
            match rank {
                Some(rank) => {
                    inputs.push(Part::new(narrow, rank));
                    products.push(Recurrent::product(SSM, expand, (width, rank), d.heads));
                }
                None => inputs.push(Part::new(full, width).over(d.heads)),
            }
        }
        Recurrent {
            kind: Some(ScanKind::KimiDelta),
            hidden: d.hidden,
            component: SSM,
            inputs,
            inner,
            products,
            outputs: vec![Recurrent::output(SSM, "self_attn.o_proj.weight", (d.hidden, width), d.heads)],
            heads: d.heads,
            shared: d.heads,
            convolution,
            state: product(d.heads, d.head_dim, d.head_dim),
            // Whatever the model's type (vLLM `layers/mamba/mamba_utils.py`, `kda_state_dtype`).
            state_bytes: 4,
            flops_per_token: product(7 * d.heads, d.head_dim, d.head_dim),
        }
    }
}

/// Lightning attention (MiniMax-01, arXiv:2501.08313 §2.2): linear attention with a fixed decay, an
/// output norm and a gate.
#[derive(Clone, Copy, Debug)]
pub struct Lightning {
    /// Model width.
    pub hidden: u64,
    /// Heads.
    pub heads: u64,
    /// Dimension of a head.
    pub head_dim: u64,
}

impl From<Lightning> for Recurrent {
    fn from(l: Lightning) -> Recurrent {
        let width = l.heads * l.head_dim;
        Recurrent {
            kind: Some(ScanKind::Lightning),
            hidden: l.hidden,
            component: Component::Attention,
            inputs: vec![
                Part::new("self_attn.qkv_proj.weight", 3 * width).over(l.heads),
                Part::new("self_attn.output_gate.weight", width).over(l.heads),
            ],
            inner: vec![norm("self_attn.norm.weight", width).split_over(l.heads)],
            products: Vec::new(),
            outputs: vec![Recurrent::output(
                Component::Attention,
                "self_attn.out_proj.weight",
                (l.hidden, width),
                l.heads,
            )],
            heads: l.heads,
            shared: l.heads,
            convolution: Convolution::default(),
            state: product(l.heads, l.head_dim, l.head_dim),
            state_bytes: STATE_BYTES,
            flops_per_token: product(5 * l.heads, l.head_dim, l.head_dim),
        }
    }
}

/// Recurrent block of Griffin (De et al. 2024, arXiv:2402.19427 §2.3–2.4) with the RG-LRU: two gates
/// whose matrices are block-diagonal over heads.
#[derive(Clone, Copy, Debug)]
pub struct RgLru {
    /// Model width.
    pub hidden: u64,
    /// Channels of the recurrence.
    pub width: u64,
    /// Blocks of the gates.
    pub heads: u64,
    /// Taps of the convolution.
    pub kernel: u64,
}

impl From<RgLru> for Recurrent {
    fn from(r: RgLru) -> Recurrent {
        let (width, heads) = (r.width, r.heads);
        let block = width / heads.max(1);
        let gate = |weight| {
            let product = Recurrent::product(SSM, weight, (heads * block, block), heads);
            Linear { role: Role::Diagonal, ..product }
        };
        let convolution = Convolution { channels: width, kernel: r.kernel };
        Recurrent {
            kind: Some(ScanKind::RgLru),
            hidden: r.hidden,
            component: SSM,
            inputs: vec![
                Part::new("temporal_block.linear_x.weight", width).over(heads),
                Part::new("temporal_block.linear_y.weight", width).over(heads),
            ],
            inner: vec![
                vector("temporal_block.linear_x.bias", width).split_over(heads),
                vector("temporal_block.linear_y.bias", width).split_over(heads),
                vector("temporal_block.linear_out.bias", r.hidden),
                filters("temporal_block.conv_1d.weight", convolution).split_over(heads),
                vector("temporal_block.conv_1d.bias", width).split_over(heads),
                vector("temporal_block.rg_lru.recurrent_param", width).split_over(heads),
                vector("temporal_block.rg_lru.input_gate_bias", heads * block).split_over(heads),
                vector("temporal_block.rg_lru.recurrent_gate_bias", heads * block).split_over(heads),
            ],
            products: vec![
                gate("temporal_block.rg_lru.input_gate_weight"),
                gate("temporal_block.rg_lru.recurrent_gate_weight"),
            ],
            outputs: vec![Recurrent::output(
                SSM,
                "temporal_block.linear_out.weight",
                (r.hidden, width),
                heads,
            )],
            heads,
            shared: heads,
            convolution,
            state: width,
            state_bytes: STATE_BYTES,
            flops_per_token: 10 * width,
        }
    }
}

/// mLSTM cell of xLSTM-7B (Beck et al. 2025, arXiv:2503.13427 §3): a matrix memory per head with
/// exponential input and forget gates.
#[derive(Clone, Copy, Debug)]
pub struct MatrixLstm {
    /// Model width.
    pub hidden: u64,
    /// Heads.
    pub heads: u64,
    /// Width of queries and keys over all heads.
    pub key_width: u64,
    /// Width of values over all heads.
    pub value_width: u64,
    /// Biases on all projections; the gates have them always.
    pub bias: bool,
}

impl From<MatrixLstm> for Recurrent {
    fn from(l: MatrixLstm) -> Recurrent {
        let heads = l.heads.max(1);
        let inputs = vec![
            Part::new("mlstm_layer.q.weight", l.key_width).over(heads),
            Part::new("mlstm_layer.k.weight", l.key_width).over(heads),
            Part::new("mlstm_layer.v.weight", l.value_width).over(heads),
            Part::new("mlstm_layer.ogate_preact.weight", l.value_width).over(heads),
            Part::new("mlstm_layer.if_gate_preact.weight", 2 * heads).over(heads),
        ];
        let mut inner = vec![
            vector("mlstm_layer.if_gate_preact.bias", 2 * heads).split_over(heads),
            norm("mlstm_layer.multihead_norm.weight", l.value_width).split_over(heads),
        ];
        if l.bias {
            let biases = 2 * (l.key_width + l.value_width);
            inner.push(vector("mlstm_layer.qkvo.bias", biases).split_over(heads));
            inner.push(vector("mlstm_layer.multihead_norm.bias", l.value_width).split_over(heads));
            inner.push(vector("mlstm_layer.out_proj.bias", l.hidden));
        }
        let memory = product(1, l.key_width, l.value_width) / heads;
        Recurrent {
            kind: Some(ScanKind::MatrixLstm),
            hidden: l.hidden,
            component: SSM,
            inputs,
            inner,
            products: Vec::new(),
            outputs: vec![Recurrent::output(
                SSM,
                "mlstm_layer.out_proj.weight",
                (l.hidden, l.value_width),
                heads,
            )],
            heads,
            shared: heads,
            convolution: Convolution::default(),
            state: memory.saturating_add(l.key_width + heads),
            state_bytes: STATE_BYTES,
            flops_per_token: memory.saturating_mul(5),
        }
    }
}

/// Gated short convolution (LFM2, arXiv:2511.23404 §2): the convolution is the whole memory.
#[derive(Clone, Copy, Debug)]
pub struct ShortConvolution {
    /// Model width.
    pub hidden: u64,
    /// Taps.
    pub kernel: u64,
    /// Biases on projections and convolution.
    pub bias: bool,
}

impl From<ShortConvolution> for Recurrent {
    fn from(c: ShortConvolution) -> Recurrent {
        let h = c.hidden;
        let convolution = Convolution { channels: h, kernel: c.kernel };
        let mut inner = vec![filters("conv.conv.weight", convolution).split_over(h)];
        if c.bias {
            inner.push(vector("conv.conv.bias", h).split_over(h));
            inner.push(vector("conv.in_proj.bias", 3 * h).split_over(h));
            inner.push(vector("conv.out_proj.bias", h));
        }
        Recurrent {
            kind: None,
            hidden: h,
            component: SSM,
            inputs: vec![Part::new("conv.in_proj.weight", 3 * h).over(h)],
            inner,
            products: Vec::new(),
            outputs: vec![Recurrent::output(SSM, "conv.out_proj.weight", (h, h), h)],
            heads: h,
            shared: h,
            convolution,
            state: 0,
            state_bytes: STATE_BYTES,
            flops_per_token: 0,
        }
    }
}
