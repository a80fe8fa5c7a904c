//! The models and clusters of a scenario.

use crate::catalog::{Engine, Pools};
use crate::model::Model;
use crate::plan::Precision;

/// A model of a scenario.
#[derive(Clone, Debug)]
pub struct NamedModel {
    /// What results call it.
    pub name: String,
    /// What selections call it.
    pub written: String,
    /// The model.
    pub model: Model,
    /// How it is stored.
    pub precision: Precision,
}

/// A cluster of a scenario.
#[derive(Clone, Debug)]
pub struct NamedCluster {
    /// What results and selections call it.
    pub name: String,
    /// Its pools, at the scenario's prices.
    pub pools: Pools,
    /// The engines that compete on it.
    pub engines: Vec<Engine>,
}
