//! Dense feed-forward layer, gated (SwiGLU) or plain.

use super::{RankView, all_reduce, elementwise, gemm, per_rank};
use crate::model::operator::Operator;
use crate::model::tensor::{Component, Tensor};

/// Dense feed-forward layer. Weights: `up` (and `gate`): `inner × hidden`, `down: hidden × inner`.
#[derive(Clone, Debug, PartialEq)]
pub struct Mlp {
    /// Model width.
    pub hidden: u64,
    /// Inner width.
    pub inner: u64,
    /// Whether a gate multiplies the up-projection.
    pub gated: bool,
    /// Bias on the up (and gate) projections.
    pub up_bias: bool,
    /// Bias on the down projection.
    pub down_bias: bool,
    /// What its weights count as: `Mlp`, but where it is part of a shared attention block (Zamba).
    pub component: Component,
}

impl Mlp {
    /// Gated, without biases.
    pub fn gated(hidden: u64, inner: u64) -> Mlp {
        Mlp { hidden, inner, gated: true, up_bias: false, down_bias: false, component: Component::Mlp }
    }

    pub(super) fn tensors(&self, out: &mut Vec<Tensor>) {
        let part = self.component;
        let mut up = |weight, bias| {
            out.push(Tensor::matrix(weight, self.inner, self.hidden, part).split_over(self.inner));
            if self.up_bias {
                out.push(Tensor::vector(bias, self.inner, part).split_over(self.inner));
            }
        };
        if self.gated {
            up("mlp.gate_proj.weight", "mlp.gate_proj.bias");
        }
        up("mlp.up_proj.weight", "mlp.up_proj.bias");
        out.push(
            Tensor::matrix("mlp.down_proj.weight", self.hidden, self.inner, part).split_over(self.inner),
        );
        if self.down_bias {
            out.push(Tensor::vector("mlp.down_proj.bias", self.hidden, part));
        }
    }

    /// The products and the activation, without the sum over ranks.
    pub(super) fn products(&self, view: &RankView, out: &mut Vec<Operator>) {
        let part = Component::Mlp;
        let inner = per_rank(self.inner, view.groups.tensor);
        let ups = if self.gated { 2 } else { 1 };
        out.push(gemm("up_proj", part, ups * inner, self.hidden, view.formats.mlp));
        out.push(elementwise("activation", part, (ups + 1) * inner * 2, 1));
        out.push(gemm("down_proj", part, self.hidden, inner, view.formats.mlp));
    }

    pub(super) fn operators(&self, view: &RankView, out: &mut Vec<Operator>) {
        self.products(view, out);
        if view.groups.tensor > 1 {
            out.push(all_reduce("mlp_all_reduce", Component::Mlp, self.hidden));
        }
    }
}
