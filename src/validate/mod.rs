//! Validation: predictions for measured rows, and how far off they are. Predictions never read a
//! measured column.
//!
//! Rows are read by a [`Reader`]. [`Columns`] knows what columns say; one that also knows what its sources leave
//! unsaid puts that into columns, or predicts such rows itself.

mod base;
mod cells;
mod choice;
mod clients;
mod columns;
mod kernel_rows;
mod kernels;
mod kind;
mod known;
pub mod memory;
mod metrics;
mod params;
mod prediction;
mod results;
mod rows;
pub mod serving;
mod tables;
pub mod training;

use std::collections::BTreeMap;
use std::path::Path;

use itertools::Itertools as _;

use crate::catalog::Catalog;
use crate::diagnostic::Diagnostic;
use crate::load;
use crate::search::in_parallel;

pub use choice::{Choice, choices};
pub use columns::{Unread, unreadable};
pub use kernels::{Heads, Key, Measured, Work};
pub use kind::Kind;
pub use known::{KnownSize, known_sizes};
pub use metrics::{Metric, collect};
pub use prediction::Prediction;
pub use results::{COLUMNS as RESULT_COLUMNS, Server, is_results, read as read_results, row as result_row};
pub use rows::{Row, Table, figure};
pub use serving::Estimator;

/// What rows are predicted with.
#[derive(Clone, Copy)]
pub struct Predictor<'a> {
    /// What kind of measurements they are.
    pub kind: Kind,
    /// Models, GPUs, engines and frameworks.
    pub catalog: &'a Catalog,
    /// How servers are estimated.
    pub estimator: Estimator,
    /// Who reads them.
    pub reader: &'a dyn Reader,
}

impl Predictor<'_> {
    /// Predicts a row, if all of its cells hold what their columns do.
    pub fn predict(&self, row: &Row) -> Prediction {
        match unreadable(row, self.kind) {
            Some(why) => Err(why),
            None => self.reader.predict(row, self),
        }
    }
}

/// Who understands measured rows.
pub trait Reader: Sync {
    /// A file's rows with all that the reader knows of them in their columns.
    fn told(&self, _kind: Kind, table: Table) -> Table {
        table
    }

    /// Predicts a row.
    fn predict(&self, row: &Row, predictor: &Predictor) -> Prediction {
        let catalog = predictor.catalog;
        match predictor.kind {
            Kind::Params => params::predict(row, row.folder(), catalog),
            Kind::Memory => memory::predict(row, catalog),
            Kind::Kernels => kernels::predict(row, catalog),
            Kind::Serving => serving::predict(row, catalog, predictor.estimator),
            Kind::Training => training::predict(row, catalog),
        }
    }
}

/// Reads what the columns say and nothing else.
#[derive(Clone, Copy, Debug, Default)]
pub struct Columns;

impl Reader for Columns {}

/// A validated file.
#[derive(Clone, Debug)]
pub struct Validation {
    /// The file as read.
    pub table: Table,
    /// Columns of it that nobody reads.
    pub unread: Vec<Unread>,
    /// One prediction per row.
    pub predictions: Vec<Prediction>,
    /// Error of each column over all rows.
    pub metrics: BTreeMap<String, Metric>,
    /// The same by group: `column=value`, then metric.
    pub groups: BTreeMap<String, BTreeMap<String, Metric>>,
    /// Of memory: the rows that are off most.
    pub worst: Vec<memory::Worst>,
    /// Of memory: how far off the cache is by engine and version.
    pub spreads: Vec<memory::Spread>,
    /// What choosing a layout by prediction costs, for servers measured in several layouts.
    pub choices: Vec<Choice>,
    /// Whether the rows are few enough to be shown one by one: a benchmark's own result files.
    pub one_by_one: bool,
}

/// Rows to show of those that are off most.
const WORST: usize = 10;

impl Validation {
    /// Rows that were predicted.
    pub fn predicted(&self) -> usize {
        self.predictions.iter().filter(|p| p.is_ok()).count()
    }

    /// Columns that are predicted for some row, in a fixed order.
    pub fn predicted_columns(&self) -> Vec<&'static str> {
        let mut columns = Vec::new();
        for (column, _) in self.predictions.iter().flatten().flatten() {
            if !columns.contains(column) {
                columns.push(*column);
            }
        }
        columns
    }
}

/// Predicts every row of a file and compares with what it measured.
///
/// # Errors
/// A file that cannot be read, is no CSV, or lacks a column named in `by`. Kernels have a column `decade`
/// without stating it: the power of ten of their size.
pub fn validate(file: &Path, predictor: &Predictor, by: &[String]) -> Result<Validation, Diagnostic> {
    let table = Table::parse(&load::text(file)?, &file.display().to_string())?;
    validate_table(predictor.reader.told(predictor.kind, table), predictor, by)
}

/// Predicts a benchmark's result file, or of a folder of them, with what is told of the server.
///
/// # Errors
/// A file that is of no known benchmark; a column of `by` that there is not.
pub fn validate_results(
    path: &Path,
    server: &Server,
    predictor: &Predictor,
    by: &[String],
) -> Result<Validation, Diagnostic> {
    let found = validate_table(results::read(path, server)?, predictor, by)?;
    Ok(Validation { one_by_one: true, ..found })
}

fn validate_table(table: Table, predictor: &Predictor, by: &[String]) -> Result<Validation, Diagnostic> {
    let (kind, catalog) = (predictor.kind, predictor.catalog);
    let derived = |column: &String| kind == Kind::Kernels && column == kernels::DECADE;
    let stated: Vec<String> = by.iter().filter(|column| !derived(column)).cloned().collect();
    table.require(&stated)?;
    let predictions = in_parallel(table.len(), |i| Ok(predictor.predict(&table.row(i))))?;
    let metrics = metrics::collect(&table, &predictions, |_| true);
    let mut groups = BTreeMap::new();
    for column in by {
        let values = in_parallel(table.len(), |i| {
            let row = table.row(i);
            Ok(if derived(column) {
                kernels::decade(&row, catalog)
            } else {
                row.text(column).map(str::to_owned)
            })
        })?;
        for value in values.iter().flatten().sorted().dedup() {
            let of_group = |row: &Row| values[row.index()].as_ref() == Some(value);
            groups.insert(format!("{column}={value}"), metrics::collect(&table, &predictions, of_group));
        }
    }
    let (mut worst, mut spreads) = (Vec::new(), Vec::new());
    if kind == Kind::Memory {
        groups.extend(memory::configurations(&table, catalog, &predictions));
        spreads = memory::spreads(&table, catalog, &predictions);
        worst = memory::worst(&table, catalog, &predictions, WORST);
    }
    if kind == Kind::Training {
        for value in [training::DENSE, training::ROUTED] {
            let of_group = |row: &Row| training::architecture(row) == value;
            groups.insert(format!("architecture={value}"), metrics::collect(&table, &predictions, of_group));
        }
    }
    let choices = if kind == Kind::Serving { choice::choices(&table, &predictions) } else { Vec::new() };
    let unread = Unread::of(&table, kind, &stated);
    Ok(Validation { table, unread, predictions, metrics, groups, worst, spreads, choices, one_by_one: false })
}
