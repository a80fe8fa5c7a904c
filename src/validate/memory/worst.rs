//! The rows that are furthest off, and which part of the memory is to blame.

use super::{CACHE, assumed, unknowns};
use crate::catalog::Catalog;
use crate::validate::{Prediction, Table};

/// A row that is far off.
#[derive(Clone, Debug, PartialEq)]
pub struct Worst {
    /// The row.
    pub id: String,
    /// Engine and version, as the row writes them.
    pub engine: String,
    /// Model.
    pub model: String,
    /// What is off: the KV cache, or the weights where the row has no KV cache.
    pub column: &'static str,
    /// As measured, GiB.
    pub measured: f64,
    /// As predicted, GiB.
    pub predicted: f64,
    /// The part that is off most among those that were measured, and by how much.
    pub part: Option<(&'static str, f64)>,
    /// Every measured part that is off by more than a tenth of a GiB, and by how much.
    pub parts: Vec<(&'static str, f64)>,
    /// Settings that the row leaves out.
    pub assumed: Vec<&'static str>,
    /// Why its configuration is not known.
    pub unknowns: Vec<String>,
}

impl Worst {
    /// Predicted less measured.
    pub fn difference(&self) -> f64 {
        self.predicted - self.measured
    }

    /// What explains it: why the configuration is not known, else which parts differ and which settings
    /// are the engine's defaults.
    pub fn explanation(&self) -> String {
        let parts = self.parts.iter().map(|(part, off)| format!("{part} is off by {off:+.2} GiB"));
        let mut said: Vec<String> = self.unknowns.iter().cloned().chain(parts).collect();
        let defaults: Vec<&str> =
            self.assumed.iter().copied().filter(|s| *s != "gpu_memory_utilization").collect();
        if !defaults.is_empty() {
            said.push(format!("{} by default", defaults.join(" and ")));
        }
        if said.is_empty() { "nothing that the row says".into() } else { said.join("; ") }
    }
}

/// Parts that are off by less explain nothing, GiB.
const SMALL: f64 = 0.1;

const WEIGHTS: &str = "weights_gib_per_gpu";

/// The parts that the cache is what is left of. Graphs are not among them: where they count inside the
/// fraction, they come from an estimate that the log does not show.
const PARTS: [&str; 3] = [WEIGHTS, "activation_peak_gib", "non_torch_gib"];

/// The `most` rows that are off most, by GiB of KV cache.
pub fn worst(table: &Table, catalog: &Catalog, predictions: &[Prediction], most: usize) -> Vec<Worst> {
    let mut all: Vec<Worst> = predictions
        .iter()
        .enumerate()
        .filter_map(|(i, prediction)| {
            let (row, values) = (table.row(i), prediction.as_ref().ok()?);
            let predicted = |column: &str| values.iter().find(|(c, _)| *c == column).map(|(_, x)| *x);
            let off = |column: &str| Some(predicted(column)? - row.number(column)?);
            let column = [CACHE, WEIGHTS].into_iter().find(|c| off(c).is_some())?;
            let parts: Vec<(&str, f64)> =
                PARTS.into_iter().filter_map(|part| Some((part, off(part)?))).collect();
            let text = |column: &str| row.text(column).unwrap_or("").to_owned();
            Some(Worst {
                id: row.id(),
                engine: [text("engine"), text("engine_version")].join(" "),
                model: text("model"),
                column,
                measured: row.number(column)?,
                predicted: predicted(column)?,
                part: parts.iter().copied().max_by(|a, b| a.1.abs().total_cmp(&b.1.abs())),
                parts: parts.into_iter().filter(|(_, off)| off.abs() > SMALL).collect(),
                assumed: assumed(&row),
                unknowns: unknowns(&row, catalog),
            })
        })
        .collect();
    all.sort_by(|a, b| b.difference().abs().total_cmp(&a.difference().abs()).then(a.id.cmp(&b.id)));
    all.truncate(most);
    all
}
