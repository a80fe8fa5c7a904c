//! Kernel latencies that were measured: a database in AIConfigurator's layout, of which a question reads
//! the tables that it needs.
//!
//! `data/<gpu>/<operation>/<engine>/<version>/<file>.parquet`, as `pip download aiconfigurator-core`
//! brings it. Which rows mean what stands in `schema`.

mod columns;
mod folder;
mod schema;
mod table;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::diagnostic::{Code, Diagnostic};

use super::{Catalog, Cluster, Engine, Gpu};
pub use table::{Key, Operation, Point, SIZES, Table, Types};

/// The variable that names a kernel database.
pub const VARIABLE: &str = "SHARDFIT_KERNELS";

/// A folder of measured kernel latencies; tables are read once.
#[derive(Debug)]
pub struct Database {
    /// Holds a folder per GPU.
    data: PathBuf,
    read: Mutex<HashMap<PathBuf, Arc<Table>>>,
}

/// The tables of one engine on one GPU.
#[derive(Clone, Debug, PartialEq)]
pub struct Tables {
    /// The engine that they are of, by the name of its kernels.
    pub engine: String,
    tables: Vec<Arc<Table>>,
}

impl Tables {
    /// The table of an operation.
    pub fn get(&self, operation: Operation) -> Option<&Arc<Table>> {
        self.tables.iter().find(|table| table.operation == operation)
    }

    /// Every table.
    pub fn iter(&self) -> impl Iterator<Item = &Table> {
        self.tables.iter().map(Arc::as_ref)
    }
}

impl Database {
    /// Finds the database in a folder: AIConfigurator's `systems` or its `data`, an unpacked wheel, or
    /// where pip installed it. Nothing is read yet.
    ///
    /// # Errors
    /// [`Code::File`] with everything that was looked for.
    pub fn open(path: &Path) -> Result<Database, Diagnostic> {
        Ok(Database { data: folder::data(path)?, read: Mutex::default() })
    }

    /// The tables of an engine on a GPU; `None` when the database has none of either.
    ///
    /// # Errors
    /// [`Code::File`] for a table that is damaged or has not the columns of its kind.
    pub fn tables(
        &self,
        gpu: &Gpu,
        engine: &Engine,
        wanted: &[Operation],
    ) -> Result<Option<Tables>, Diagnostic> {
        let Some(folder) = folder::of_gpu(&self.data, gpu)? else { return Ok(None) };
        let mut found = Vec::new();
        for operation in wanted {
            let schema = schema::of(*operation);
            let versions =
                folder.join(schema.folder).join(operation.library().unwrap_or(engine.kernel_key()));
            let newest = operation.library().is_some();
            let file = format!("{}.parquet", schema.file);
            if let Some((version, path)) = folder::version(&versions, &file, engine.version, newest)? {
                found.push((schema, version, path));
            }
        }
        if found.iter().all(|(schema, ..)| schema.operation.library().is_some()) {
            return Ok(None);
        }
        // Files are independent, and unpacking them is what a warm start waits for.
        let tables: Vec<Arc<Table>> = std::thread::scope(|scope| {
            let read = |(schema, version, path)| scope.spawn(move || self.table(schema, version, path));
            let threads: Vec<_> = found.into_iter().map(read).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect::<Result<_, _>>()
        })?;
        Ok(Some(Tables { engine: engine.kernel_key().to_owned(), tables }))
    }

    fn table(
        &self,
        schema: &schema::Schema,
        version: String,
        path: PathBuf,
    ) -> Result<Arc<Table>, Diagnostic> {
        if let Some(table) = self.read().get(&path) {
            return Ok(table.clone());
        }
        let numbers: Vec<&'static str> = schema.numbers.iter().copied().chain([schema::LATENCY]).collect();
        let columns = columns::read(&path, schema.texts, &numbers)?;
        let rows = schema.collect(&columns).map_err(|why| {
            let cause = format!("this is no kernel table of AIConfigurator: {why}");
            Diagnostic::new(Code::File, cause).at(path.display().to_string())
        })?;
        let table = Arc::new(rows.table(schema.operation, version));
        Ok(self.read().entry(path).or_insert(table).clone())
    }

    /// What was read so far; a panic elsewhere leaves whole tables behind.
    fn read(&self) -> MutexGuard<'_, HashMap<PathBuf, Arc<Table>>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Catalog {
    /// The same with a kernel database: the folder that is named, else that of `$SHARDFIT_KERNELS`.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub fn with_kernels(self, named: Option<&Path>) -> Result<Catalog, Diagnostic> {
        let variable = std::env::var_os(VARIABLE).filter(|f| !f.is_empty());
        let database = match (named, variable) {
            (Some(folder), _) => Some(Database::open(folder).map_err(|d| d.within("--kernels"))?),
            (None, Some(folder)) => {
                Some(Database::open(Path::new(&folder)).map_err(|d| d.within(format!("${VARIABLE}")))?)
            }
            (None, None) => None,
        };
        Ok(Catalog { measured: database.map(Arc::new), ..self })
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

    /// The same for one GPU and engine: false when there is a kernel database that has nothing for them.
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

/// What was measured for an engine in a version.
#[derive(Clone, Debug, PartialEq)]
pub struct OfEngine {
    engine: String,
    version: super::version::Version,
    tables: Arc<Tables>,
}
