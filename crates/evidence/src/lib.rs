//! What files of public measurements leave to their notes, their sources and the scripts that made them.
//!
//! `shardfit validate` and `shardfit calibrate` read columns. [`Evidence`] reads the same files and puts what is only
//! said beside the columns into columns, or reads such a row itself where there is no column for it: the flags of a
//! test, the steps of a recipe, the waves of a short benchmark.

#![warn(missing_docs)]
#![forbid(unsafe_code)]

mod memory;
pub mod residuals;
mod serving;
mod training;
pub mod waves;

use shardfit::validate::{Columns, Estimator, Kind, Prediction, Predictor, Reader, Row, Table};

/// Reads files of public measurements.
#[derive(Clone, Copy, Debug, Default)]
pub struct Evidence;

impl Reader for Evidence {
    fn told(&self, kind: Kind, table: Table) -> Table {
        match kind {
            Kind::Memory => memory::told(table),
            Kind::Serving => serving::told(table),
            Kind::Params | Kind::Kernels | Kind::Training => table,
        }
    }

    fn predict(&self, row: &Row, predictor: &Predictor) -> Prediction {
        match (predictor.kind, predictor.estimator) {
            (Kind::Training, _) => training::predict(row, predictor.catalog),
            (Kind::Serving, Estimator::Steady) => serving::steady(row, predictor.catalog),
            _ => Columns.predict(row, predictor),
        }
    }
}
