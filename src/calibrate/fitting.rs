//! One group of rows: its fit, the errors of that on rows left out of it, and whether it is worth having.

use std::collections::BTreeMap;

use itertools::Itertools as _;

use crate::catalog::kernels::{Collective, FitError, FitRange};
use crate::validate::{Key, Measured, Metric};

use super::coefficients::Coefficients;
use super::outcome::{FEWEST, Group, Outcome};
use super::solver::{self, Bounds};

/// Parts that rows are dealt into; each is predicted by a fit to the others.
const FOLDS: usize = 5;

/// Kernels of an engine get coefficients of their own where that leaves at most this share of the loss.
const WORTH_SPLITTING: f64 = 0.8;

/// New coefficients may have a median error up to this multiple of the present ones' if their loss is less.
const WORSE_MEDIAN: f64 = 1.02;

/// With less than this share of the present loss they may have any.
const CLEARLY: f64 = 0.7;

/// One measured row.
#[derive(Clone, Debug)]
pub struct Point {
    gpu: String,
    measured: Measured,
    latency_us: f64,
    /// Which of an engine's kernels it was.
    kernel: Option<String>,
    /// Whether the GPU has coefficients of its own for it.
    own: bool,
}

impl Point {
    /// A row of a GPU.
    pub fn new(
        gpu: &str,
        measured: Measured,
        latency_us: f64,
        (kernel, own): (Option<String>, bool),
    ) -> Point {
        Point { gpu: gpu.to_owned(), measured, latency_us, kernel, own }
    }

    /// Has an engine's own all-reduce compete with these coefficients of the library.
    pub fn settle_library(&mut self, library: Collective) {
        if let Measured::Collective(timer, ..) = &mut self.measured {
            *timer = timer.with_library(library);
        }
    }

    /// Under the coefficients that it was read with.
    fn residual_now(&self) -> f64 {
        (self.measured.time().as_micros().max(1e-6) / self.latency_us).ln()
    }

    fn residual(&self, coefficients: &Coefficients) -> f64 {
        (coefficients.time(&self.measured).max(1e-6) / self.latency_us).ln()
    }
}

/// Fits a group, or says why not; several groups where an engine's kernels differ.
pub fn groups(key: &Key, points: &[Point], pooled: bool) -> Vec<Group> {
    let all: Vec<&Point> = points.iter().collect();
    if all.len() < FEWEST {
        return vec![group(key.clone(), &all)];
    }
    let whole = Trial::of(key, &all, pooled);
    match (!pooled).then(|| by_kernel(key, &all, &whole)).flatten() {
        Some(apart) => apart,
        None => vec![whole.concluded(key.clone(), &all, pooled)],
    }
}

/// A group by kernel where that predicts much better: the most frequent kernel stands for the format.
fn by_kernel(key: &Key, all: &[&Point], whole: &Trial) -> Option<Vec<Group>> {
    let mut kernels: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, point) in all.iter().enumerate() {
        kernels.entry(point.kernel.as_deref()?).or_default().push(i);
    }
    let mut parts: Vec<(&str, Vec<usize>)> =
        kernels.into_iter().filter(|(_, rows)| rows.len() >= FEWEST).collect();
    parts.sort_by_key(|(_, rows)| std::cmp::Reverse(rows.len()));
    let among: Vec<&Point> = all.to_vec();
    let rows_of = |rows: &[usize]| -> Vec<&Point> { rows.iter().map(|i| among[*i]).collect() };
    let trials: Vec<Trial> = parts.iter().map(|(_, rows)| Trial::of(key, &rows_of(rows), false)).collect();
    let together: f64 =
        parts.iter().flat_map(|(_, rows)| rows).map(|i| solver::loss(whole.residuals[*i])).sum();
    let apart: f64 = trials.iter().map(Trial::loss).sum();
    if apart >= WORTH_SPLITTING * together {
        return None;
    }
    let conclude = |(i, (trial, (kernel, rows))): (usize, (&Trial, &(&str, Vec<usize>)))| {
        let kernel = (i > 0).then(|| (*kernel).to_owned());
        trial.concluded(Key { kernel, ..key.clone() }, &rows_of(rows), false)
    };
    Some(trials.iter().zip(&parts).enumerate().map(conclude).collect())
}

/// A fit, and what fits to parts of the rows say of the others.
struct Trial {
    fitted: Coefficients,
    /// Of each row, under a fit that it was no part of.
    residuals: Vec<f64>,
}

impl Trial {
    fn of(key: &Key, points: &[&Point], pooled: bool) -> Trial {
        let quantised = matches!(key.format.as_str(), "fp8" | "fp8_block" | "int8" | "nvfp4");
        let present = present(points);
        let gpus: Vec<&str> = points.iter().map(|p| p.gpu.as_str()).sorted().dedup().collect();
        let folds = if pooled && gpus.len() > 1 { gpus.len() } else { FOLDS };
        let fold = |i: usize, point: &Point| match folds == gpus.len() && pooled {
            true => gpus.iter().position(|gpu| *gpu == point.gpu).unwrap_or(0),
            false => ((solver::scattered(i as u64, 1) + 1.0) / 2.0 * folds as f64) as usize % folds,
        };
        let folds_of: Vec<usize> = points.iter().enumerate().map(|(i, p)| fold(i, p)).collect();
        let mut residuals = vec![0.0; points.len()];
        for left_out in 0..folds {
            let others: Vec<&Point> = points
                .iter()
                .zip(&folds_of)
                .filter(|(_, fold)| **fold != left_out)
                .map(|(p, _)| *p)
                .collect();
            let fitted = fit(present, quantised, &others);
            for (i, point) in points.iter().enumerate().filter(|(i, _)| folds_of[*i] == left_out) {
                residuals[i] = point.residual(&fitted);
            }
        }
        Trial { fitted: fit(present, quantised, points), residuals }
    }

    fn loss(&self) -> f64 {
        self.residuals.iter().map(|r| solver::loss(*r)).sum()
    }

    /// What becomes of the group.
    fn concluded(&self, key: Key, points: &[&Point], pooled: bool) -> Group {
        let mut group = group(key, points);
        let after = errors(&self.residuals);
        group.after = Some(after);
        if pooled {
            for (gpu, rows) in &points.iter().zip(&self.residuals).into_group_map_by(|(p, _)| p.gpu.clone()) {
                let residuals: Vec<f64> = rows.iter().map(|(_, r)| **r).collect();
                group.left_out.insert(gpu.clone(), errors(&residuals));
            }
        }
        group.reached = points.first().and_then(|p| self.fitted.reached(&p.measured));
        if let Some(reached) = group.reached.filter(|reached| !reached.is_plausible()) {
            group.outcome = Outcome::Refused(reached);
            return group;
        }
        let before: f64 = points.iter().map(|p| solver::loss(p.residual_now())).sum();
        let own = !pooled && group.key.kernel.is_none() && points.iter().all(|p| p.own);
        let better = self.loss() < before && after.median_ape <= WORSE_MEDIAN * group.before.median_ape;
        if own && !better && self.loss() > CLEARLY * before {
            group.outcome = Outcome::Kept;
            return group;
        }
        let error = FitError {
            median: after.median_ape,
            mean: after.mape,
            p90: after.p90_ape,
            points: u32::try_from(points.len()).unwrap_or(u32::MAX),
        };
        group.at_edge = at_edge(&self.fitted);
        group.outcome = Outcome::Fitted(self.fitted.noting(error, group.range));
        group
    }
}

/// A group of rows under the present coefficients.
fn group(key: Key, points: &[&Point]) -> Group {
    let sizes: Vec<f64> = points.iter().map(|p| p.measured.size()).collect();
    let range = FitRange {
        from: sizes.iter().copied().fold(f64::INFINITY, f64::min),
        to: sizes.iter().copied().fold(0.0, f64::max),
    };
    let residuals: Vec<f64> = points.iter().map(|p| p.residual_now()).collect();
    Group {
        key,
        points: points.len(),
        range,
        before: errors(&residuals),
        after: None,
        left_out: BTreeMap::new(),
        outcome: Outcome::TooFew,
        at_edge: Vec::new(),
        reached: None,
    }
}

/// What the rows are predicted with now. Every row of a group was read with the same coefficients, except
/// for those of kernels that have their own, of which the first speaks for all.
fn present(points: &[&Point]) -> Coefficients {
    let first = points.iter().find_map(|p| Coefficients::of(&p.measured));
    first.expect("rows without coefficients are left out when they are read, and groups are not empty")
}

/// The best fit from every start.
fn fit(present: Coefficients, quantised: bool, points: &[&Point]) -> Coefficients {
    let fits = present.starts(quantised).into_iter().map(|start| fit_from(start, points));
    let best = fits.min_by(|a, b| a.1.total_cmp(&b.1));
    best.map_or(present, |(fitted, _)| fitted)
}

fn fit_from(start: Coefficients, points: &[&Point]) -> (Coefficients, f64) {
    let (free, fields) = (start.free(), start.fields());
    let numbers = start.numbers();
    let moved = || free.iter().enumerate().filter(|(_, free)| **free).map(|(i, _)| i);
    let bounds: Vec<Bounds> = moved().map(|i| fields[i].bounds).collect();
    let from: Vec<f64> = moved().map(|i| numbers[i].unwrap_or_default()).collect();
    let with = |values: &[f64]| {
        let mut numbers = vec![None; fields.len()];
        moved().zip(values).for_each(|(i, value)| numbers[i] = Some(*value));
        start.with(&numbers)
    };
    let residuals = |values: &[f64], out: &mut [f64]| {
        let coefficients = with(values);
        out.iter_mut().zip(points).for_each(|(slot, point)| *slot = point.residual(&coefficients));
    };
    let best = solver::fit(&from, &bounds, points.len(), solver::PRIOR, &residuals);
    (with(&best.values), best.loss)
}

/// Coefficients that ended at the edge of what makes sense, where that is no natural one such as zero.
fn at_edge(fitted: &Coefficients) -> Vec<&'static str> {
    let close = |a: f64, b: f64| (a - b).abs() <= 1e-3 * b.abs();
    let edge = |(field, number): (&super::coefficients::Field, &Option<f64>)| {
        let value = (*number)?;
        let high = close(value, field.bounds.high) && field.name != "sharpness";
        let low = close(value, field.bounds.low) && field.name.ends_with("efficiency");
        (high || low).then_some(field.name)
    };
    let free = fitted.free();
    let (fields, numbers) = (fitted.fields(), fitted.numbers());
    let moved = fields.iter().zip(&numbers).zip(free).filter(|(_, free)| *free).map(|(pair, _)| pair);
    moved.filter_map(edge).collect()
}

/// Errors in per cent from logarithms of predicted over measured.
fn errors(residuals: &[f64]) -> Metric {
    let pairs: Vec<(f64, f64)> = residuals.iter().map(|r| (r.exp(), 1.0)).collect();
    Metric::of(&pairs).unwrap_or_default()
}
