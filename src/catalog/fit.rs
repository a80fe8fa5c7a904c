//! How well fitted figures do.

use schemars::JsonSchema;
use serde::Deserialize;

/// How well a fitted form did on shapes it was not fitted to, in per cent.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FitError {
    /// Median absolute error.
    pub median: f64,
    /// Mean absolute error.
    pub mean: f64,
    /// 90th percentile of the absolute error.
    pub p90: f64,
    /// Measured points behind these figures.
    pub points: u32,
}
