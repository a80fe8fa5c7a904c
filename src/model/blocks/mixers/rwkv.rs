//! RWKV-4: what mixes over time, and what mixes channels.

use super::{Convolution, Recurrent, SSM, STATE_BYTES, vector};
use crate::model::node::Part;
use crate::model::operator::ScanKind;
use crate::model::tensor::{Component, Tensor};

/// Time mixing of RWKV-4 (Peng et al. 2023, arXiv:2305.13048 §3.1).
#[derive(Clone, Copy, Debug)]
pub struct TimeMix {
    /// Model width.
    pub hidden: u64,
    /// Channels of the recurrence.
    pub width: u64,
}

impl From<TimeMix> for Recurrent {
    fn from(t: TimeMix) -> Recurrent {
        let (hidden, width) = (t.hidden, t.width);
        Recurrent {
            kind: Some(ScanKind::TimeMix),
            hidden,
            component: SSM,
            inputs: vec![
                Part::new("attention.key.weight", width).over(width),
                Part::new("attention.value.weight", width).over(width),
                Part::new("attention.receptance.weight", width).over(width),
            ],
            inner: vec![
                vector("attention.time_decay", width).split_over(width),
                vector("attention.time_first", width).split_over(width),
                vector("attention.time_mix", 3 * hidden),
            ],
            products: Vec::new(),
            outputs: vec![Recurrent::output(SSM, "attention.output.weight", (hidden, width), width)],
            heads: width,
            shared: width,
            convolution: Convolution::default(),
            // Numerator, denominator, running maximum; and the previous token for both mixings.
            state: 3 * width + 2 * hidden,
            state_bytes: STATE_BYTES,
            flops_per_token: 20 * width,
        }
    }
}

/// Channel mixing of RWKV-4 (Peng et al. 2023, arXiv:2305.13048 §3.1): the feed-forward layer.
#[derive(Clone, Copy, Debug)]
pub struct ChannelMix {
    /// Model width.
    pub hidden: u64,
    /// Inner width.
    pub inner: u64,
}

impl From<ChannelMix> for Recurrent {
    fn from(c: ChannelMix) -> Recurrent {
        let part = Component::Mlp;
        Recurrent {
            kind: None,
            hidden: c.hidden,
            component: part,
            inputs: vec![
                Part::new("feed_forward.key.weight", c.inner).over(c.inner),
                Part::new("feed_forward.receptance.weight", c.hidden),
            ],
            inner: vec![Tensor::vector("feed_forward.time_mix", 2 * c.hidden, part)],
            products: Vec::new(),
            outputs: vec![Recurrent::output(part, "feed_forward.value.weight", (c.hidden, c.inner), c.inner)],
            heads: c.inner,
            shared: c.inner,
            convolution: Convolution::default(),
            state: 0,
            state_bytes: STATE_BYTES,
            flops_per_token: 0,
        }
    }
}
