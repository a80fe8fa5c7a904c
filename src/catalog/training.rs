//! What training leaves of the speed of a GPU's kernels.

use schemars::JsonSchema;
use serde::Deserialize;

/// What is left of a kernel's speed inside a training step, where the GPU runs at its power limit for hours:
/// its time alone ÷ its time there. The form is in `train::kernels`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrainingShares {
    /// 16-bit products.
    pub products: f64,
    /// 8-bit products.
    pub products_8bit: f64,
    /// 4-bit products.
    pub products_4bit: f64,
    /// Attention forward.
    pub attention: f64,
    /// Attention backward, which has 2.5 times the FLOPs of forward.
    pub attention_backward: f64,
    /// Products of routed experts.
    pub experts: f64,
}

impl TrainingShares {
    pub(super) fn validate(self) -> Result<(), String> {
        let shares = [
            ("products", self.products),
            ("products_8bit", self.products_8bit),
            ("products_4bit", self.products_4bit),
            ("attention", self.attention),
            ("attention_backward", self.attention_backward),
            ("experts", self.experts),
        ];
        match shares.iter().find(|(_, share)| !(*share > 0.0 && share.is_finite())) {
            Some((name, _)) => Err(format!("kernels.training.{name}: must be positive")),
            None => Ok(()),
        }
    }
}
