//! Measured kernels for the clusters of a scenario.

use itertools::Itertools as _;

use crate::catalog::{Catalog, Engine};
use crate::diagnostic::Diagnostic;
use crate::estimate::measured;

use super::Scenario;

impl Scenario {
    /// Gives the GPUs of the scenario's clusters what the catalogue's kernel database has, if there is
    /// one. Returns what it knows nothing of: engine and GPU.
    ///
    /// # Errors
    /// A table that is damaged.
    pub fn measure(&mut self, catalog: &Catalog) -> Result<Vec<(String, String)>, Diagnostic> {
        if !catalog.has_kernels() {
            return Ok(Vec::new());
        }
        let wanted: Vec<_> = self.models.iter().flat_map(measured::operations).unique().collect();
        let mut unknown = Vec::new();
        for (number, (_, pools)) in self.clusters.iter_mut().enumerate() {
            let engines: &[Engine] = self.usual_engines.get(number).unwrap_or(&self.engines);
            for pool in &mut pools.pools {
                for engine in catalog.measure(pool, engines, &wanted)? {
                    unknown.push((engine.name.clone(), pool.gpu.name.clone()));
                }
            }
        }
        Ok(unknown.into_iter().unique().collect())
    }
}
