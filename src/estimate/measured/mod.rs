//! Latencies from measured tables in place of analytical forms.
//!
//! A table holds the latency of shapes at sizes of a step. For the shape of an operator a [`Surface`] is
//! made once per layout: from the measurements of this very shape, else from those of the nearest shapes,
//! scaled by the analytical form's ratio between the two shapes. Between measurements times are
//! interpolated in logarithms; outside, the analytical form is scaled to the nearest of them.

mod shape;
mod surface;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::catalog::measured::{Key, Operation, Point, SIZES, Table, Tables};
use crate::model::Model;
use crate::model::blocks::Block;
use crate::model::operator::{OperatorKind, Step};
use crate::units::Seconds;

pub use shape::Setting;
use shape::{candidates, coordinates, step_at, template, with_sizes};
pub use surface::{Reading, Surface};

/// Weights of the sizes in the distance between two shapes of experts: another spread of the load matters
/// less than any other size.
const EXPERT_WEIGHTS: [f64; SIZES] = [1.0, 1.0, 1.0, 1.0, 1.0, 0.01];

/// Surfaces by operation and shape.
type Made = HashMap<(Operation, Key), Option<Arc<Surface>>>;

/// The measured kernels of one engine on one GPU; surfaces are made once.
#[derive(Clone, Debug)]
pub struct MeasuredKernels {
    tables: Arc<Tables>,
    made: Arc<Mutex<Made>>,
}

/// A table of measured latencies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableName {
    /// What it times.
    pub operation: &'static str,
    /// The engine or library that was measured.
    pub engine: String,
    /// Its version.
    pub version: String,
}

/// The operations that a model executes, for which tables are wanted.
pub fn operations(model: &Model) -> Vec<Operation> {
    fn is_latent(block: &Block) -> bool {
        match block {
            Block::Latent(_) => true,
            Block::Reused(inner) => is_latent(inner),
            _ => false,
        }
    }
    let latent = model.groups.iter().flat_map(|g| &g.blocks).any(is_latent);
    let attends = model
        .groups
        .iter()
        .flat_map(|g| &g.blocks)
        .any(|b| matches!(b, Block::Attention(_) | Block::Reused(_)));
    let mut wanted = vec![Operation::Gemm, Operation::AllReduce, Operation::Library];
    if attends {
        wanted.extend([Operation::PrefillAttention, Operation::DecodeAttention]);
    }
    if latent {
        wanted.extend([Operation::LatentPrefill, Operation::LatentDecode, Operation::Absorb]);
    }
    if model.is_moe() {
        wanted.push(Operation::Experts);
    }
    wanted
}

impl MeasuredKernels {
    /// The kernels of these tables.
    pub fn new(tables: Arc<Tables>) -> MeasuredKernels {
        MeasuredKernels { tables, made: Arc::default() }
    }

    /// Which tables there are.
    pub fn names(&self) -> impl Iterator<Item = TableName> {
        self.tables.iter().map(|table| TableName {
            operation: table.operation.name(),
            engine: table.operation.library().unwrap_or(&self.tables.engine).to_owned(),
            version: table.version.clone(),
        })
    }

    /// The surface of an operator, if a table has its kernel. `form` is its analytical time, also in
    /// other sizes.
    pub fn surface(
        &self,
        kind: &OperatorKind,
        setting: &Setting,
        form: impl Fn(&OperatorKind, &Step) -> Seconds,
    ) -> Option<Arc<Surface>> {
        candidates(kind, setting).into_iter().find_map(|(operation, key)| {
            let table = self.tables.get(operation).filter(|t| t.has_types(key.types))?;
            // Surfaces differ only in what the key says: each kernel has one analytical form. Those of
            // latent attention of other sizes than the measured ones are not kept.
            let measured_sizes = with_sizes(kind, &key) == template(kind);
            let known = |made: &Made| made.get(&(operation, key)).cloned().filter(|_| measured_sizes);
            if let Some(found) = known(&self.made.lock().unwrap_or_else(PoisonError::into_inner)) {
                return found;
            }
            let made = make(table, &key, kind, &form).map(Arc::new);
            if measured_sizes {
                let mut all = self.made.lock().unwrap_or_else(PoisonError::into_inner);
                all.insert((operation, key), made.clone());
            }
            made
        })
    }
}

/// The surface of a shape from the measured shapes around it.
fn make(
    table: &Table,
    key: &Key,
    kind: &OperatorKind,
    form: &impl Fn(&OperatorKind, &Step) -> Seconds,
) -> Option<Surface> {
    let own = template(kind);
    let time = |kind: &OperatorKind, at: [f64; 2]| form(kind, &step_at(kind, at)).get();
    let (around, interpolated) = neighbours(table, key)?;
    let exact = around.len() == 1 && around[0].0 == *key && with_sizes(kind, key) == own;
    let points = if exact {
        table.shape(key)?.iter().map(|p| (p.at, p.time.get())).collect()
    } else {
        let shapes: Vec<(OperatorKind, &[Point], f64)> = around
            .iter()
            .filter_map(|(near, weight)| Some((with_sizes(kind, near), table.shape(near)?, *weight)))
            .collect();
        blend(&shapes, |at| time(&own, at), time)
    };
    // What the analytical form has no time for cannot be scaled.
    let points: Vec<_> = points.into_iter().filter(|(_, s): &(_, f64)| *s > 0.0 && s.is_finite()).collect();
    Surface::through(own, interpolated && (exact || around.len() > 1), &points, |at| time(&own, at))
}

/// Measurements of several shapes as those of another one: the analytical time of that one, times the
/// weighted geometric mean of measured over analytical time.
fn blend(
    shapes: &[(OperatorKind, &[Point], f64)],
    own: impl Fn([f64; 2]) -> f64,
    form: impl Fn(&OperatorKind, [f64; 2]) -> f64,
) -> Vec<([f64; 2], f64)> {
    let Some((_, points, _)) = shapes.iter().max_by(|a, b| a.2.total_cmp(&b.2)) else { return Vec::new() };
    let at_point = |at: [f64; 2]| {
        let (mut ratio, mut weights) = (0.0, 0.0);
        for (kind, points, weight) in shapes {
            let order = |p: &Point| p.at[0].total_cmp(&at[0]).then(p.at[1].total_cmp(&at[1]));
            if let Ok(found) = points.binary_search_by(order) {
                ratio += weight * (points[found].time.get() / form(kind, at)).ln();
                weights += weight;
            }
        }
        (at, own(at) * (ratio / weights).exp())
    };
    points.iter().map(|p| at_point(p.at)).collect()
}

/// The measured shapes to take for a shape, with weights, and whether it lies among them. Only products
/// are measured densely enough to lie between; collectives over other ranks say nothing.
fn neighbours(table: &Table, key: &Key) -> Option<(Vec<(Key, f64)>, bool)> {
    if table.shape(key).is_some() {
        return Some((vec![(*key, 1.0)], true));
    }
    match table.operation {
        Operation::AllReduce | Operation::Library => None,
        Operation::Gemm => corners(table, key).or_else(|| nearest(table, key, [1.0; SIZES])),
        Operation::Experts => nearest(table, key, EXPERT_WEIGHTS),
        _ => nearest(table, key, [1.0; SIZES]),
    }
}

fn nearest(table: &Table, key: &Key, weights: [f64; SIZES]) -> Option<(Vec<(Key, f64)>, bool)> {
    table.nearest(key, weights).map(|near| (vec![(*near, 1.0)], false))
}

/// The four measured products around one, by output and input features.
fn corners(table: &Table, key: &Key) -> Option<(Vec<(Key, f64)>, bool)> {
    let [n, k, ..] = key.sizes;
    let ((n0, n1, x), (k0, k1, y)) = (table.bracket(0, n)?, table.bracket(1, k)?);
    let inside = n0 <= n && n <= n1 && k0 <= k && k <= k1;
    let mut all: Vec<(Key, f64)> = Vec::with_capacity(4);
    for (n, wx) in [(n0, 1.0 - x), (n1, x)] {
        for (k, wy) in [(k0, 1.0 - y), (k1, y)] {
            let mut near = *key;
            (near.sizes[0], near.sizes[1]) = (n, k);
            if wx * wy > 0.0 && table.shape(&near).is_some() {
                all.push((near, wx * wy));
            }
        }
    }
    (!all.is_empty()).then_some((all, inside))
}

impl Surface {
    /// The time of a step, `form` being the operator's analytical time, and whether it was measured:
    /// interpolated, or scaled from the nearest measurement.
    pub fn time(
        &self,
        kind: &OperatorKind,
        step: &Step,
        analytic: Seconds,
        form: impl Fn(&OperatorKind, &Step) -> Seconds,
    ) -> (Seconds, bool) {
        let (at, whole) = coordinates(kind, step);
        let reading = self.read(at);
        if reading.inside && whole {
            return (Seconds::new(reading.seconds), self.interpolated && reading.known);
        }
        let reference = form(&self.template, &step_at(&self.template, reading.at));
        let scale = if reference.get() > 0.0 { reading.seconds / reference.get() } else { 1.0 };
        (analytic * scale, false)
    }
}
