//! What renting a GPU costs.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::units::UsdPerHour;

/// An indicative price and the day it was seen.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Per GPU and hour.
    pub on_demand: UsdPerHour,
    /// ISO date.
    pub date: String,
    /// Who asks it.
    pub source: String,
}
