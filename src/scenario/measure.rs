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
        let models = self.models.iter().map(|named| &named.model);
        let wanted: Vec<_> = models.flat_map(measured::operations).unique().collect();
        let mut unknown = Vec::new();
        for cluster in &mut self.clusters {
            let engines: Vec<Engine> = cluster.all_engines().cloned().collect();
            for pool in &mut cluster.pools.pools {
                for engine in catalog.measure(pool, &engines, &wanted)? {
                    unknown.push((engine.name.clone(), pool.gpu.name.clone()));
                }
            }
        }
        Ok(unknown.into_iter().unique().collect())
    }
}
