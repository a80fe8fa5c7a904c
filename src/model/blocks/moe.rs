//! Mixture of experts: router, routed experts, shared experts.

use super::{Mlp, RankView, all_reduce, collective, elementwise, gemm, per_rank};
use crate::model::operator::{CollectiveKind, ExpertsShape, Operator, OperatorKind, RankGroup};
use crate::model::tensor::{Component, Tensor, TensorClass};

/// An expert that every token uses.
#[derive(Clone, Debug, PartialEq)]
pub struct SharedExpert {
    /// The feed-forward layer.
    pub mlp: Mlp,
    /// Whether a learned gate scales it (one vector of the model's width).
    pub gate: bool,
}

/// Routed experts. Weights of each: `up` (and `gate`): `inner × hidden`, `down: hidden × inner`.
#[derive(Clone, Debug, PartialEq)]
pub struct Moe {
    /// Model width.
    pub hidden: u64,
    /// Routed experts.
    pub experts: u64,
    /// Experts one token uses.
    pub top_k: u64,
    /// Inner width of an expert.
    pub inner: u64,
    /// Whether experts are gated.
    pub gated: bool,
    /// Biases on the experts' projections.
    pub expert_bias: bool,
    /// Bias on the router's logits.
    pub router_bias: bool,
    /// Experts that every token uses.
    pub shared: Option<SharedExpert>,
}

impl Moe {
    /// Gated experts without biases or shared experts.
    pub fn new(hidden: u64, experts: u64, top_k: u64, inner: u64) -> Moe {
        Moe {
            hidden,
            experts,
            top_k,
            inner,
            gated: true,
            expert_bias: false,
            router_bias: false,
            shared: None,
        }
    }

    /// Matrices per expert.
    fn matrices(&self) -> u64 {
        if self.gated { 3 } else { 2 }
    }

    pub(super) fn tensors(&self, out: &mut Vec<Tensor>) {
        let router = |t: Tensor| t.class(TensorClass::Router);
        out.push(router(Tensor::matrix("mlp.gate.weight", self.experts, self.hidden, Component::Router)));
        if self.router_bias {
            out.push(Tensor::vector("mlp.gate.bias", self.experts, Component::Router));
        }
        self.expert_tensors(out);
        if let Some(shared) = &self.shared {
            shared.mlp.tensors(out);
            if shared.gate {
                let gate = Tensor::matrix("mlp.shared_expert_gate.weight", 1, self.hidden, Component::Router);
                out.push(router(gate));
            }
        }
    }

    fn expert_tensors(&self, out: &mut Vec<Tensor>) {
        let routed = |t: Tensor, class| t.experts(self.experts, self.top_k, self.inner).class(class);
        let matrix = |name, rows, columns| {
            routed(Tensor::matrix(name, rows, columns, Component::Experts), TensorClass::Expert)
        };
        let bias = |name, n| routed(Tensor::vector(name, n, Component::Experts), TensorClass::Vector);
        let ups = if self.gated { 2 } else { 1 };
        for (weight, b) in [
            ("mlp.experts.up_proj.weight", "mlp.experts.up_proj.bias"),
            ("mlp.experts.gate_proj.weight", "mlp.experts.gate_proj.bias"),
        ]
        .into_iter()
        .take(ups)
        {
            out.push(matrix(weight, self.inner, self.hidden));
            if self.expert_bias {
                out.push(bias(b, self.inner));
            }
        }
        out.push(matrix("mlp.experts.down_proj.weight", self.hidden, self.inner));
        if self.expert_bias {
            out.push(bias("mlp.experts.down_proj.bias", self.hidden));
        }
    }

    pub(super) fn operators(&self, view: &RankView, out: &mut Vec<Operator>) {
        let groups = view.groups;
        if let Some(shared) = &self.shared {
            shared.mlp.products(view, out);
        }
        out.push(gemm("router", Component::Router, self.experts, self.hidden, view.formats.base));
        out.push(elementwise("router_top_k", Component::Router, self.experts * 4 + self.top_k * 8, 1));
        let gather = 2 * self.hidden * groups.attention_data;
        if groups.attention_data > 1 {
            let kind = CollectiveKind::AllGather;
            out.push(collective("dispatch", Component::Experts, kind, RankGroup::Experts, gather));
        }
        let shape = ExpertsShape {
            experts: self.experts,
            top_k: self.top_k,
            hidden: self.hidden,
            inner: per_rank(self.inner, groups.expert_tensor),
            matrices: self.matrices(),
            expert_ranks: groups.expert,
            attention_data: groups.attention_data,
            format: view.formats.experts,
        };
        out.push(Operator::new("experts", Component::Experts, OperatorKind::GroupedGemm(shape)));
        if groups.attention_data > 1 {
            let kind = CollectiveKind::ReduceScatter;
            out.push(collective("combine", Component::Experts, kind, RankGroup::Experts, gather));
        } else if groups.tensor > 1 {
            out.push(all_reduce("experts_all_reduce", Component::Experts, self.hidden));
        }
    }
}
