//! A folder of tables, of which those that a question needs are read.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::table::{Operation, Table};
use super::tables::Tables;
use super::{folder, reader, schema};
use crate::catalog::{Engine, Gpu};
use crate::diagnostic::{Code, Diagnostic};

/// A folder of measured kernel latencies; tables are read once.
#[derive(Debug)]
pub struct Database {
    /// Holds a folder per GPU.
    data: PathBuf,
    read: Mutex<HashMap<PathBuf, Arc<Table>>>,
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
        let columns = reader::read(&path, schema.texts, &numbers)?;
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
