//! What kernels draw of a board's power.

use schemars::JsonSchema;
use serde::Deserialize;

use super::fit::FitError;

/// What running kernels draw of the power between idle and the board's limit: shares that add up, and
/// together never exceed 1. The form is in `estimate::kernels`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PowerShares {
    /// While any kernel runs, whatever it does: clocks, instruction issue, links.
    pub active: f64,
    /// At the datasheet bandwidth; in proportion below it.
    pub memory: f64,
    /// At the datasheet peak; in proportion below it.
    pub compute: f64,
    /// Error on measured servers.
    pub error: Option<FitError>,
}

impl PowerShares {
    pub(super) fn validate(self) -> Result<(), String> {
        let shares = [("active", self.active), ("memory", self.memory), ("compute", self.compute)];
        match shares.iter().find(|(_, share)| !(*share >= 0.0 && share.is_finite())) {
            Some((name, _)) => Err(format!("kernels.power.{name}: must not be negative")),
            None => Ok(()),
        }
    }
}
