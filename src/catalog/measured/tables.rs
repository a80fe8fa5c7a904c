//! The tables of engines on a GPU, as a question holds them.

use std::sync::Arc;

use super::table::{Operation, Table};
use crate::catalog::version::Version;

/// The tables of one engine on one GPU.
#[derive(Clone, Debug, PartialEq)]
pub struct Tables {
    /// The engine that they are of, by the name of its kernels.
    pub engine: String,
    pub(super) tables: Vec<Arc<Table>>,
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

/// What was measured for an engine in a version.
#[derive(Clone, Debug, PartialEq)]
pub struct OfEngine {
    pub(in crate::catalog) engine: String,
    pub(in crate::catalog) version: Version,
    pub(in crate::catalog) tables: Arc<Tables>,
}
