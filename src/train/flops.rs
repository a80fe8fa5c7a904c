//! FLOPs of a token in training, and what MFU and HFU count.

use crate::estimate::breakdown::{AttentionKernels, Breakdown, Mode, Setting, Trained};
use crate::model::Model;
use crate::units::Flops;

pub use crate::catalog::framework::Convention;

impl Convention {
    /// Every convention.
    pub const ALL: [Convention; 4] =
        [Convention::Model, Convention::WholeSquare, Convention::Recomputed, Convention::SixN];
    /// Names as on the command line.
    pub const NAMES: [&'static str; 4] = ["model", "whole-square", "recomputed", "6n"];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

impl std::str::FromStr for Convention {
    type Err = crate::diagnostic::Diagnostic;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Convention::ALL.into_iter().find(|c| c.name() == text).ok_or_else(|| {
            let list = format!("allowed: {}", Convention::NAMES.join(", "));
            crate::diagnostic::Diagnostic::unknown("FLOP convention", text, Convention::NAMES, &list)
        })
    }
}

/// FLOPs of one token, forward and backward.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenFlops {
    /// Products with weights. Backward differentiates each by its input and by its weights, unless those are
    /// frozen.
    pub products: Flops,
    /// Attention between tokens, causal: forward, and twice as much backward.
    pub attention: Flops,
    /// Of the products, the forward pass: a third, or more where weights are frozen.
    pub products_forward: Flops,
}

impl TokenFlops {
    /// Of a model on sequences of `sequence` tokens, of which `trained` weights change; `with_prediction` adds
    /// multi-token prediction.
    pub fn of(model: &Model, sequence: u64, trained: Trained, with_prediction: bool) -> TokenFlops {
        let setting = Setting {
            tokens: sequence,
            attention: AttentionKernels { flash: true, ..AttentionKernels::DEFAULT },
            trained,
            ..Setting::new(Mode::Pretrain)
        };
        let tokens = sequence as f64;
        let of = |setting: &Setting| {
            let breakdown = Breakdown::of(model, setting, None);
            let between = breakdown.flops_between_tokens();
            ((breakdown.flops() - between) / tokens, between / tokens)
        };
        let (products, attention) = of(&setting);
        let (all_trained, _) = of(&Setting { trained: Trained::All, ..setting });
        let mut flops = TokenFlops { products, attention, products_forward: all_trained / 3.0 };
        if with_prediction && !model.mtp.is_empty() {
            let mut alone = model.clone();
            alone.before.clear();
            alone.groups.truncate(1);
            alone.groups[0].layers.truncate(1);
            alone.groups[0].blocks.clone_from(&model.mtp);
            let more = TokenFlops::of(&alone, sequence, trained, false);
            flops.products += more.products;
            flops.attention += more.attention;
            flops.products_forward += more.products_forward;
        }
        flops
    }

    /// As a convention counts them.
    pub fn counted(&self, convention: Convention) -> Flops {
        match convention {
            Convention::Model => self.products + self.attention,
            Convention::WholeSquare => self.products + self.attention * 2.0,
            Convention::Recomputed => {
                self.products + self.products_forward + self.attention * 2.0 * (4.0 / 3.0)
            }
            Convention::SixN => self.products,
        }
    }

    /// Share of the forward pass in forward and backward.
    pub fn forward_share(&self) -> f64 {
        (self.products_forward + self.attention / 3.0) / (self.products + self.attention)
    }
}
