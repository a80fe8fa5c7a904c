//! How far off the KV cache is by engine and version, beside the uncertainty that its profile states.

use itertools::Itertools as _;

use super::unknowns;
use crate::catalog::Catalog;
use crate::validate::{Prediction, Table};

/// The residuals of one engine and version.
#[derive(Clone, Debug, PartialEq)]
pub struct Spread {
    /// Engine.
    pub engine: String,
    /// The first two parts of its version, and its backend.
    pub version: String,
    /// Servers of known configuration.
    pub servers: usize,
    /// Median of the absolute error of the KV cache, GiB.
    pub median: f64,
    /// The largest, GiB.
    pub worst: f64,
    /// The uncertainty that the profile states, GiB.
    pub band: f64,
}

/// Of each engine and version with servers of known configuration that logged their cache.
pub fn spreads(table: &Table, catalog: &Catalog, predictions: &[Prediction]) -> Vec<Spread> {
    let residual = |i: usize| {
        let (row, values) = (table.row(i), predictions[i].as_ref().ok()?);
        let (_, predicted) = values.iter().find(|(column, _)| *column == super::CACHE)?;
        let off = (predicted - row.number(super::CACHE)?).abs();
        if !unknowns(&row, catalog).is_empty() {
            return None;
        }
        let engine = row.engine(catalog).ok()?;
        let backend = engine.backend.as_deref().map_or(String::new(), |b| format!(" {b}"));
        let version = engine.version.family() + &backend;
        Some(((engine.id, version), (off, engine.memory.band.as_gib())))
    };
    let by_version = (0..table.len()).filter_map(residual).into_group_map();
    let one = |((engine, version), rows): ((String, String), Vec<(f64, f64)>)| {
        let off: Vec<f64> = rows.iter().map(|(off, _)| *off).sorted_by(f64::total_cmp).collect();
        let band = rows.iter().map(|(_, band)| *band).fold(0.0, f64::max);
        let (median, worst) = (off[off.len() / 2], off[off.len() - 1]);
        Spread { engine, version, servers: off.len(), median, worst, band }
    };
    by_version.into_iter().sorted_by(|a, b| a.0.cmp(&b.0)).map(one).collect()
}
