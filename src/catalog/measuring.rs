//! Kernel databases in the catalogue: which tables the GPU of a question gets.

use std::path::Path;
use std::sync::Arc;

use super::measured::{Database, OfEngine, Operation, Tables, VARIABLE};
use super::{Catalog, Cluster, Engine, Gpu};
use crate::diagnostic::Diagnostic;

impl Catalog {
    /// The catalogue with a kernel database: the folder that is named, else that of `$SHARDFIT_KERNELS`.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub fn with_kernels(mut self, named: Option<&Path>) -> Result<Catalog, Diagnostic> {
        let variable = std::env::var_os(VARIABLE).filter(|f| !f.is_empty());
        let database = match (named, variable) {
            (Some(folder), _) => Some(Database::open(folder).map_err(|d| d.within("--kernels"))?),
            (None, Some(folder)) => {
                Some(Database::open(Path::new(&folder)).map_err(|d| d.within(format!("${VARIABLE}")))?)
            }
            (None, None) => None,
        };
        self.measured = database.map(Arc::new);
        Ok(self)
    }

    /// Gives a cluster's GPU the measured tables of these engines, if there is a kernel database and it
    /// has them. Returns the engines that it knows nothing of on this GPU.
    ///
    /// # Errors
    /// As [`Database::tables`].
    pub fn measure<'a>(
        &self,
        cluster: &mut Cluster,
        engines: &'a [Engine],
        wanted: &[Operation],
    ) -> Result<Vec<&'a Engine>, Diagnostic> {
        let mut unknown = Vec::new();
        for engine in engines {
            if !self.measure_gpu(&mut cluster.gpu, engine, wanted)? {
                unknown.push(engine);
            }
        }
        Ok(unknown)
    }

    /// Hangs the measured tables of one engine on a GPU: false when there is a kernel database that has nothing for them.
    ///
    /// # Errors
    /// As [`Database::tables`].
    pub fn measure_gpu(
        &self,
        gpu: &mut Gpu,
        engine: &Engine,
        wanted: &[Operation],
    ) -> Result<bool, Diagnostic> {
        let Some(database) = &self.measured else { return Ok(true) };
        let tables = database.tables(gpu, engine, wanted)?;
        let found = tables.is_some();
        tables.into_iter().for_each(|tables| gpu.add_tables(tables, engine));
        Ok(found)
    }

    /// Whether there is a kernel database.
    pub fn has_kernels(&self) -> bool {
        self.measured.is_some()
    }
}

impl Gpu {
    /// The measured tables of an engine on this GPU.
    pub fn tables_of(&self, engine: &Engine) -> Option<&Arc<Tables>> {
        let asked = (engine.kernel_key(), engine.version);
        self.measured.iter().find(|m| (m.engine.as_str(), m.version) == asked).map(|m| &m.tables)
    }

    fn add_tables(&mut self, tables: Tables, engine: &Engine) {
        if self.tables_of(engine).is_none() {
            let tables = Arc::new(tables);
            let name = engine.kernel_key().to_owned();
            self.measured.push(OfEngine { engine: name, version: engine.version, tables });
        }
    }
}
