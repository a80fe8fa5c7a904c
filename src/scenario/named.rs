//! The models and clusters of a scenario.

use crate::catalog::{Engine, Pools};
use crate::dtype::WeightFormat;
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
    /// Those that compete where weights are stored in a format that none of them takes.
    pub others: Vec<(WeightFormat, Vec<Engine>)>,
}

impl NamedCluster {
    /// The engines that compete for a model that is stored so.
    pub fn engines_for(&self, precision: Precision) -> &[Engine] {
        let stored = |(format, _): &&(WeightFormat, Vec<Engine>)| precision.weights == Some(*format);
        self.others.iter().find(stored).map_or(&self.engines, |(_, engines)| engines)
    }

    /// Every engine that competes on it.
    pub fn all_engines(&self) -> impl Iterator<Item = &Engine> {
        self.engines.iter().chain(self.others.iter().flat_map(|(_, engines)| engines))
    }
}
