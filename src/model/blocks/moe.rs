//! Mixture of experts: router, routed experts, shared experts.

use super::{Mlp, RankView, all_reduce, collective, elementwise, gemm, per_rank};
use crate::dtype::WeightFormat;
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
    /// One value per expert that is added when experts are chosen. Where it is a buffer and not a
    /// parameter (DeepSeek-V3, `e_score_correction_bias`), this is false.
    pub choice_bias: bool,
    /// Width the experts work on, if it is narrower than the model: a projection to it and one back
    /// (Nemotron-3).
    pub latent: Option<u64>,
    /// Biases on the projections to and from that width.
    pub latent_bias: bool,
    /// Experts that pass their input on (LongCat-Flash). The router scores them, and the fused gate and
    /// up projection has rows for them (`LongcatFlashExperts`).
    pub zero_experts: u64,
    /// Whether the router's matrix is here; Zaya's router is a network of its own.
    pub router: bool,
    /// Whether it is computed in 32 bits, outside of the tensor cores: by the model's own code, and by engines
    /// (`minimax_m2.py` and `glm4_moe.py` of vLLM and SGLang).
    pub router_fp32: bool,
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
            choice_bias: false,
            latent: None,
            latent_bias: false,
            zero_experts: 0,
            router: true,
            router_fp32: false,
            shared: None,
        }
    }

    /// Matrices per expert.
    fn matrices(&self) -> u64 {
        if self.gated { 3 } else { 2 }
    }

    pub(super) fn tensors(&self, out: &mut Vec<Tensor>) {
        let router = |t: Tensor| t.class(TensorClass::Router);
        let scored = self.experts + self.zero_experts;
        if self.router {
            out.push(router(Tensor::matrix("mlp.gate.weight", scored, self.hidden, Component::Router)));
        }
        if self.router_bias {
            out.push(Tensor::vector("mlp.gate.bias", scored, Component::Router));
        }
        if self.choice_bias {
            let bias = Tensor::vector("mlp.gate.e_score_correction_bias", scored, Component::Router);
            out.push(bias);
        }
        if let Some(latent) = self.latent {
            let part = Component::Mlp;
            out.push(Tensor::matrix("mlp.fc1_latent_proj.weight", latent, self.hidden, part));
            out.push(Tensor::matrix("mlp.fc2_latent_proj.weight", self.hidden, latent, part));
            if self.latent_bias {
                out.push(Tensor::vector("mlp.fc1_latent_proj.bias", latent, part));
                out.push(Tensor::vector("mlp.fc2_latent_proj.bias", self.hidden, part));
            }
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
        let routed = |t: Tensor, n, class| t.experts(n, self.top_k, self.inner).class(class);
        let matrix = |name, rows, columns, n| {
            routed(Tensor::matrix(name, rows, columns, Component::Experts), n, TensorClass::Expert)
        };
        let bias = |name, width| {
            routed(Tensor::vector(name, width, Component::Experts), self.experts, TensorClass::Vector)
        };
        let ups = if self.gated { 2 } else { 1 };
        let width = self.latent.unwrap_or(self.hidden);
        for (weight, b) in [
            ("mlp.experts.up_proj.weight", "mlp.experts.up_proj.bias"),
            ("mlp.experts.gate_proj.weight", "mlp.experts.gate_proj.bias"),
        ]
        .into_iter()
        .take(ups)
        {
            out.push(matrix(weight, self.inner, width, self.experts + self.zero_experts));
            if self.expert_bias {
                out.push(bias(b, self.inner));
            }
        }
        out.push(matrix("mlp.experts.down_proj.weight", width, self.inner, self.experts));
        if self.expert_bias {
            out.push(bias("mlp.experts.down_proj.bias", width));
        }
    }

    pub(super) fn operators(&self, view: &RankView, out: &mut Vec<Operator>) {
        let groups = view.groups;
        if let Some(shared) = &self.shared {
            let first = out.len();
            shared.mlp.products(view, out);
            out[first..].iter_mut().for_each(|o| o.beside_experts = true);
        }
        let scored = self.experts + self.zero_experts;
        if self.router {
            let gate = u64::from(self.shared.as_ref().is_some_and(|shared| shared.gate));
            let format = if self.router_fp32 { WeightFormat::Fp32 } else { view.formats.base };
            out.push(gemm("router", Component::Router, scored + gate, self.hidden, format));
        }
        out.push(elementwise("router_top_k", Component::Router, scored * 4 + self.top_k * 8, 1));
        let width = self.latent.unwrap_or(self.hidden);
        if let Some(latent) = self.latent {
            out.push(gemm("latent_down", Component::Mlp, latent, self.hidden, view.formats.mlp));
        }
        let gather = 2 * width * groups.attention_data;
        if groups.attention_data > 1 {
            let kind = CollectiveKind::AllGather;
            out.push(collective("dispatch", Component::Experts, kind, RankGroup::Experts, gather));
        }
        let shape = ExpertsShape {
            experts: self.experts,
            top_k: self.top_k,
            hidden: width,
            inner: per_rank(self.inner, groups.expert_tensor),
            matrices: self.matrices(),
            expert_ranks: groups.expert,
            attention_data: groups.attention_data,
            exchanged: false,
            format: view.formats.experts,
        };
        out.push(Operator::new("experts", Component::Experts, OperatorKind::GroupedGemm(shape)));
        if self.shared.is_some() {
            out.push(elementwise("shared_sum", Component::Experts, self.hidden * 6, 1));
        }
        if groups.attention_data > 1 {
            let kind = CollectiveKind::ReduceScatter;
            out.push(collective("combine", Component::Experts, kind, RankGroup::Experts, gather));
        } else if groups.tensor > 1 {
            out.push(all_reduce("experts_all_reduce", Component::Experts, self.hidden));
        }
        if let Some(latent) = self.latent {
            out.push(gemm("latent_up", Component::Mlp, self.hidden, latent, view.formats.mlp));
        }
    }
}
