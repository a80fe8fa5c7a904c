//! Recurrent mixers: projections, a short convolution, and a state of fixed size that every token
//! updates. What sets one kind apart is which tensors it has and how large its state is.

use super::{Cache, RankView, all_reduce, elementwise, gemm, per_rank};
use crate::model::operator::{Operator, OperatorKind, ScanShape};
use crate::model::tensor::{Component, Tensor, TensorClass};

/// Bytes of one element of the state, 16 bits like the rest of the cache.
pub(in crate::model) const STATE_BYTES: u64 = 2;

/// A causal convolution of one filter per channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Convolution {
    /// Channels.
    pub channels: u64,
    /// Taps. The cache keeps the last `kernel − 1` inputs.
    pub kernel: u64,
}

/// A recurrent mixer. See [`super::mixers`] for the kinds.
#[derive(Clone, Debug, PartialEq)]
pub struct Recurrent {
    /// What it is, e.g. `mamba2`.
    pub kind: &'static str,
    /// Model width.
    pub hidden: u64,
    /// What its weights count as.
    pub component: Component,
    /// Projections whose rows are divided over ranks.
    pub inputs: Vec<Tensor>,
    /// Everything between: convolution, decay, small projections, norms.
    pub inner: Vec<Tensor>,
    /// Projections back to the model's width, whose columns are divided over ranks.
    pub outputs: Vec<Tensor>,
    /// Heads (or channels) that the mixer divides over.
    pub heads: u64,
    /// Short convolution before the state update.
    pub convolution: Convolution,
    /// State elements per sequence, without the convolution's.
    pub state: u64,
    /// Bytes of one of them as engines keep it: 4 where the configuration's `mamba_ssm_dtype` says so (Qwen3.5).
    pub state_bytes: u64,
    /// FLOPs of the state update per token.
    pub flops_per_token: u64,
}

impl Recurrent {
    /// Elements that a sequence keeps: state and convolution inputs.
    pub fn kept(&self) -> u64 {
        let inputs = self.convolution.channels * self.convolution.kernel.saturating_sub(1);
        self.state.saturating_add(inputs)
    }

    pub(super) fn tensors(&self, out: &mut Vec<Tensor>) {
        out.extend(self.inputs.iter().chain(&self.inner).chain(&self.outputs).cloned());
    }

    pub(super) fn operators(&self, view: &RankView, out: &mut Vec<Operator>) {
        let part = self.component;
        let tp = view.groups.tensor;
        let format = if part == Component::Ssm { view.formats.ssm } else { view.formats.mlp };
        let input = self.inputs.iter().map(|t| per_rank(t.rows, tp)).sum();
        out.push(gemm("in_proj", part, input, self.hidden, format));
        if self.convolution.kernel > 0 {
            let channels = per_rank(self.convolution.channels, tp);
            // Reads the new input and the kept ones, writes one output and shifts the kept ones.
            out.push(elementwise("convolution", part, channels * 4 * self.convolution.kernel, 1));
        }
        let products = self.inner.iter().filter(|t| t.class == TensorClass::Linear);
        out.extend(products.map(|t| gemm("inner_proj", part, per_rank(t.rows, tp), t.columns, format)));
        if self.state > 0 {
            let scan = ScanShape {
                kind: self.kind,
                state: self.state.div_ceil(tp.min(self.heads)),
                state_bytes: self.state_bytes,
                flops_per_token: self.flops_per_token.div_ceil(tp.min(self.heads)),
            };
            out.push(Operator::new("state_update", part, OperatorKind::Scan(scan)));
        }
        for t in &self.outputs {
            out.push(elementwise("gate", part, per_rank(t.columns, tp) * 6, 1));
            out.push(gemm("out_proj", part, t.rows, per_rank(t.columns, tp), format));
        }
        if tp > 1 {
            out.push(all_reduce("mixer_all_reduce", part, self.hidden));
        }
    }

    pub(super) fn cache(&self) -> Option<Cache> {
        let bytes = self.kept().saturating_mul(STATE_BYTES);
        let wider = self.state.saturating_mul(self.state_bytes.saturating_sub(STATE_BYTES));
        (bytes > 0).then_some(Cache::State { bytes, wider, heads: self.heads })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::blocks::mixers::GatedDelta;

    /// Qwen3.5-397B: `mamba_ssm_dtype: float32`.
    #[test]
    fn a_state_in_32_bits_takes_twice_as_much_and_its_convolution_does_not() {
        let sizes = GatedDelta {
            hidden: 4096,
            key_heads: 16,
            value_heads: 64,
            key_dim: 128,
            value_dim: 128,
            kernel: 4,
            state_bytes: 4,
        };
        let (state, inputs) = (64 * 128 * 128, (2 * 16 + 64) * 128 * 3);
        let cache = Recurrent::from(sizes).cache().unwrap();
        assert_eq!(cache, Cache::State { bytes: (state + inputs) * 2, wider: state * 2, heads: 64 });
        let narrow = Recurrent::from(GatedDelta { state_bytes: 2, ..sizes }).cache().unwrap();
        assert_eq!(narrow, Cache::State { bytes: (state + inputs) * 2, wider: 0, heads: 64 });
    }
}
