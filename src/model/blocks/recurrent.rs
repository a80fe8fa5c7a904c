//! Recurrent mixers: projections, a short convolution, and a state of fixed size that every token
//! updates. What sets one kind apart is which tensors it has and how large its state is.

use crate::model::node::Each;
use crate::model::node::{Cut, Filter, Held, Linear, Node, Part, Pointwise, Scan, Small, Stream, Width};
use crate::model::operator::ScanKind;
use crate::model::tensor::{Component, Role, Tensor};

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
    /// What updates its state, if it has one besides the convolution's.
    pub kind: Option<ScanKind>,
    /// Model width.
    pub hidden: u64,
    /// What its weights count as.
    pub component: Component,
    /// Projections of the model's width, computed together.
    pub inputs: Vec<Part>,
    /// Weights between that are no products: of the convolution, decays, norms, biases.
    pub inner: Vec<Tensor>,
    /// Small products between.
    pub products: Vec<Linear>,
    /// Projections back to the model's width.
    pub outputs: Vec<Linear>,
    /// Heads (or channels) that the mixer divides over.
    pub heads: u64,
    /// Groups of them that share inputs (B and C of Mamba-2), or heads of queries and keys: ranks divide them too, or
    /// each holds the only one.
    pub shared: u64,
    /// Short convolution before the state update.
    pub convolution: Convolution,
    /// State elements per sequence, without the convolution's.
    pub state: u64,
    /// Bytes of one of them as engines keep it: 4 where the configuration says so (Qwen3.5, Nemotron-H), or the engine
    /// by itself (Kimi delta attention).
    pub state_bytes: u64,
    /// FLOPs of the state update per token.
    pub flops_per_token: u64,
}

impl Recurrent {
    /// A small product inside a mixer of this component: `n × k`, divided by its output over `units`.
    pub(super) fn product(
        component: Component,
        weight: &'static str,
        (n, k): (u64, u64),
        units: u64,
    ) -> Linear {
        let product = Linear::new("inner_proj", component, k).held(held(component));
        product.of([Part::new(weight, n).over(units)]).reading(Role::Project, Stream::Mixed)
    }

    /// A projection back to the model's width: `n × k`, divided by its input over `units`.
    pub(super) fn output(
        component: Component,
        weight: &'static str,
        (n, k): (u64, u64),
        units: u64,
    ) -> Linear {
        let product = Linear::new("out_proj", component, k).held(held(component));
        product.of([Part::new(weight, n).cut(Cut::Rows(units))]).reading(Role::Return, Stream::Mixed)
    }

    /// Input projections, convolution, small products, the state's update, gates and output projections, their sum.
    pub(super) fn nodes(&self, each: Each) {
        let (component, heads) = (self.component, self.heads);
        let inputs = Linear::new("in_proj", component, self.hidden).held(held(component));
        each(inputs.of(self.inputs.iter().copied()).reading(Role::Mix, Stream::Hidden).into());
        self.inner.iter().for_each(|t| each(t.clone().into()));
        let Convolution { channels, kernel } = self.convolution;
        if kernel > 0 {
            each(Node::Filter(Filter { component, channels, kernel, heads }));
        }
        self.products.iter().for_each(|product| each((*product).into()));
        if let Some(kind) = self.kind {
            let (state, state_bytes, flops_per_token) = (self.state, self.state_bytes, self.flops_per_token);
            each(Node::Scan(Scan { kind, component, state, state_bytes, flops_per_token, heads }));
        }
        for output in &self.outputs {
            let width = Width::divided(output.k.saturating_mul(6), heads);
            each(Pointwise::new("gate", component, Small::Gate, width).into());
            each((*output).into());
        }
        each(Node::sum("mixer_all_reduce", component, self.hidden));
    }
}

/// Whose storage a mixer's products compute with: RWKV's channel mixing is a feed-forward layer, Lightning's attention
/// is stored like one.
fn held(component: Component) -> Held {
    if component == Component::Ssm { Held::Ssm } else { Held::Mlp }
}

#[cfg(test)]
mod tests {
    use crate::model::blocks::mixers::GatedDelta;
    use crate::model::blocks::{Block, Cache};

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
        let cache = Block::Recurrent(sizes.into()).cache().unwrap();
        assert_eq!(cache, Cache::State { bytes: (state + inputs) * 2, wider: state * 2, heads: 64 });
        let narrow = Block::Recurrent(GatedDelta { state_bytes: 2, ..sizes }.into()).cache().unwrap();
        assert_eq!(narrow, Cache::State { bytes: (state + inputs) * 2, wider: 0, heads: 64 });
    }
}
