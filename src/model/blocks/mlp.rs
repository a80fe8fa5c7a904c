//! Dense feed-forward layer, gated (SwiGLU) or plain.

use crate::model::node::Each;
use crate::model::node::{Cut, Held, Linear, Node, Part, Pointwise, Small, Stream, Width};
use crate::model::tensor::{Component, Role};

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

    /// The products, the activation between them, and the sum over ranks.
    pub(super) fn nodes(&self, each: Each) {
        self.products(&Labels::DENSE, each);
        each(Node::sum("mlp_all_reduce", Component::Mlp, self.hidden));
    }

    /// The products of an expert that every token uses: they may run beside the routed ones.
    pub(super) fn shared_nodes(&self, each: Each) {
        self.products(&Labels::SHARED, each);
    }

    /// The products and the activation, without the sum over ranks.
    fn products(&self, labels: &Labels, each: Each) {
        let (part, inner) = (Component::Mlp, self.inner);
        let product = |name, k| Linear {
            weights: self.component,
            beside_experts: labels.beside_experts,
            ..Linear::new(name, part, k).held(Held::Mlp)
        };
        let up = Part::new("mlp.up_proj.weight", inner).over(inner).biased("mlp.up_proj.bias", self.up_bias);
        let gate = Part::new("mlp.gate_proj.weight", inner).over(inner);
        let gate = gate.biased("mlp.gate_proj.bias", self.up_bias).shown(labels.gate);
        let ups = [self.gated.then_some(gate), Some(up.shown(labels.up).joined())];
        each(product("up_proj", self.hidden).of(ups.into_iter().flatten()).into());
        let (small, elements) = if self.gated { (Small::GatedActivation, 3) } else { (Small::Activation, 2) };
        each(Node::Pointwise(Pointwise {
            shown: labels.activation,
            beside_experts: labels.beside_experts,
            ..Pointwise::new("activation", part, small, Width::over(inner, elements * 2))
        }));
        let down = Part::new("mlp.down_proj.weight", self.hidden).cut(Cut::Rows(inner));
        let down = down.biased("mlp.down_proj.bias", self.down_bias).shown(labels.down);
        each(product("down_proj", inner).of([down]).reading(Role::Return, Stream::Inner).into());
    }
}

/// What a feed-forward layer's parts are called where a model is taken apart: shared experts apart from dense layers.
struct Labels {
    gate: &'static str,
    up: &'static str,
    activation: &'static str,
    down: &'static str,
    beside_experts: bool,
}

impl Labels {
    const DENSE: Labels = Labels {
        gate: "gate_proj",
        up: "up_proj",
        activation: "activation",
        down: "down_proj",
        beside_experts: false,
    };
    const SHARED: Labels = Labels {
        gate: "shared_gate_proj",
        up: "shared_up_proj",
        activation: "shared_activation",
        down: "shared_down_proj",
        beside_experts: true,
    };
}
