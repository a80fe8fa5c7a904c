//! Mixture of experts: router, routed experts, shared experts.

use super::Mlp;
use crate::model::node::Each;
use crate::model::node::{
    Exchange, Experts, Held, Linear, Node, Part, Pointwise, Region, Small, Stream, Transfer, Width,
};
use crate::model::tensor::{Component, Role, Tensor, TensorClass};

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
    /// Experts that pass their input on (LongCat-Flash): the router scores them.
    pub zero_experts: u64,
    /// How many of them the fused gate and up projection has rows for: all in the Transformers class
    /// (`LongcatFlashExperts`), none in the published checkpoints.
    pub zero_rows: u64,
    /// Whether they stand beside the layer's dense feed-forward layer and not inside it, which a list of modules that
    /// names the latter does not mean then (Gemma 4).
    pub beside_dense: bool,
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
            zero_rows: 0,
            beside_dense: false,
            router: true,
            router_fp32: false,
            shared: None,
        }
    }

    /// Shared experts, the router and its choice, the way to the experts' width, the experts, their sums, the way back.
    pub(super) fn nodes(&self, each: Each) {
        if let Some(shared) = &self.shared {
            shared.mlp.shared_nodes(each);
        }
        self.router_nodes(each);
        let width = self.latent.unwrap_or(self.hidden);
        let narrow = |name, k, reads, part: Part| Linear {
            region: Region::Between,
            ..Linear::new(name, Component::Mlp, k).held(Held::Mlp).of([part]).reading(Role::Project, reads)
        };
        if let Some(latent) = self.latent {
            let down = Part::new("mlp.fc1_latent_proj.weight", latent);
            let down = down.biased("mlp.fc1_latent_proj.bias", self.latent_bias);
            each(narrow("latent_down", self.hidden, Stream::Hidden, down).into());
        }
        let exchange = |name, transfer, elements| {
            let component = Component::Experts;
            Node::Exchange(Exchange { name, component, transfer, bytes: 2 * elements })
        };
        each(exchange("dispatch", Transfer::Dispatch, width));
        each(Node::Experts(Experts {
            experts: self.experts,
            zero_experts: self.zero_rows,
            beside_dense: self.beside_dense,
            top_k: self.top_k,
            width,
            inner: self.inner,
            gated: self.gated,
            bias: self.expert_bias,
        }));
        if self.shared.is_some() {
            let bytes = Width::whole(self.hidden * 6);
            each(Pointwise::new("shared_sum", Component::Experts, Small::Linear, bytes).into());
        }
        each(exchange("combine", Transfer::Combine, width));
        each(exchange("experts_all_reduce", Transfer::SumOfExperts, self.hidden));
        if let Some(latent) = self.latent {
            let up = Part::new("mlp.fc2_latent_proj.weight", self.hidden);
            let up = up.biased("mlp.fc2_latent_proj.bias", self.latent_bias);
            each(narrow("latent_up", latent, Stream::ExpertSum, up).into());
        }
    }

    fn router_nodes(&self, each: Each) {
        let part = Component::Router;
        let scored = self.experts + self.zero_experts;
        let gates = self.shared.as_ref().is_some_and(|shared| shared.gate);
        if self.router {
            let gate = gates.then_some(Part::new("mlp.shared_expert_gate.weight", 1));
            let held = if self.router_fp32 { Held::Fp32 } else { Held::Base };
            let scores = Some(Part::new("mlp.gate.weight", scored)).into_iter().chain(gate);
            let product = Linear::new("router", part, self.hidden).held(held).of(scores);
            each(Linear { class: TensorClass::Router, ..product }.into());
        } else if gates {
            let gate = Tensor::matrix("mlp.shared_expert_gate.weight", 1, self.hidden, part);
            each(gate.class(TensorClass::Router).into());
        }
        if self.router_bias {
            each(Tensor::vector("mlp.gate.bias", scored, part).into());
        }
        if self.choice_bias {
            each(Tensor::vector("mlp.gate.e_score_correction_bias", scored, part).into());
        }
        let bytes = Width::whole(scored * 4 + self.top_k * 8);
        each(Pointwise::new("router_top_k", part, Small::Choice, bytes).between().into());
    }
}
