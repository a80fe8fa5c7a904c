//! Residuals of servers as linear functions of constants, and the constants under which they are least.
//!
//! A server's times are close to linear in these constants over the changes that fits make, so that leaving
//! out a part of the rows takes no further predictions to fit; what is reported of it is predicted anew.

use super::super::solver::{self, Bounds};
use super::subject::{FEWEST, Subject};

/// Farthest that a fit goes from where the derivatives were taken, in steps of the constant.
const REACH: f64 = 3.0;

/// Weight of a step away from where a fit starts, as the residual of one row. Weaker ones fit their rows a
/// little better and rows of models left out much worse: constants trade against each other.
const STAY: f64 = 0.25;

/// A residual moves with a constant when a step of the constant changes it by this much.
const MOVES: f64 = 1e-3;

/// One measured figure of one row.
#[derive(Clone, Debug)]
pub struct Observation {
    /// Table and row.
    pub at: (usize, usize),
    /// Engine.
    pub engine: usize,
    /// Column.
    pub column: &'static str,
    /// What was measured.
    pub measured: f64,
    /// How much it counts.
    pub weight: f64,
}

/// Mean loss of residuals.
pub fn loss(residuals: &[f64], observations: &[Observation]) -> f64 {
    let losses = residuals.iter().zip(observations).map(|(r, o)| solver::loss(r * o.weight));
    losses.sum::<f64>() / residuals.len().max(1) as f64
}

/// Residuals around a place.
pub struct Linear<'a> {
    /// Values of the constants, by engine.
    at: Vec<Vec<f64>>,
    /// Their steps, and largest values.
    steps: Vec<Vec<f64>>,
    most: Vec<Vec<f64>>,
    observations: &'a [Observation],
    residuals: Vec<f64>,
    /// Change of each residual with a step of constant `k` of its engine.
    slopes: Vec<Vec<f64>>,
    closed: Vec<(usize, usize)>,
}

impl<'a> Linear<'a> {
    /// Of no residuals yet.
    pub fn new(subjects: &[Subject], at: &[Vec<f64>], closed: Vec<(usize, usize)>) -> Linear<'a> {
        let each = |figure: fn(super::Field) -> f64| {
            let of = |s: &Subject| s.constants.iter().map(|c| figure(c.field)).collect();
            subjects.iter().map(of).collect::<Vec<Vec<f64>>>()
        };
        let (steps, most) = (each(super::Field::step), each(super::Field::most));
        let (residuals, slopes) = (Vec::new(), Vec::new());
        Linear { at: at.to_vec(), steps, most, observations: &[], residuals, slopes, closed }
    }

    /// Takes the residuals at the place itself.
    pub fn observe(&mut self, observations: &'a [Observation], residuals: Vec<f64>) {
        let widest = self.at.iter().map(Vec::len).max().unwrap_or(0);
        self.slopes = vec![vec![0.0; residuals.len()]; widest];
        (self.observations, self.residuals) = (observations, residuals);
    }

    /// The place with constant `k` of each engine moved by a step, inward at its largest value.
    pub fn moved(&self, k: usize) -> Vec<Vec<f64>> {
        let mut moved = self.at.clone();
        for (e, values) in moved.iter_mut().enumerate() {
            if let Some(value) = values.get_mut(k) {
                let step = self.steps[e][k];
                *value += if *value + step > self.most[e][k] { -step } else { step };
            }
        }
        moved
    }

    /// Takes the residuals at a moved place.
    pub fn differentiate(&mut self, k: usize, moved: &[Vec<f64>], residuals: &[f64]) {
        for (i, o) in self.observations.iter().enumerate() {
            if self.is_open(o.engine, k) {
                let value = moved[o.engine][k];
                let steps = (value - self.at[o.engine][k]) / self.steps[o.engine][k];
                self.slopes[k][i] = (residuals[i] - self.residuals[i]) / steps;
            }
        }
    }

    /// Whether an engine has a constant `k`, and it is not known that too few rows move with it.
    pub fn is_open(&self, engine: usize, k: usize) -> bool {
        k < self.at[engine].len() && self.closed.iter().all(|closed| *closed != (engine, k))
    }

    /// The constants that too few rows move with.
    pub fn closed(&self) -> Vec<(usize, usize)> {
        let all = self.at.iter().enumerate().flat_map(|(e, at)| (0..at.len()).map(move |k| (e, k)));
        all.filter(|(e, k)| self.moving(*e, *k) < FEWEST).collect()
    }

    /// Rows that move with a constant.
    pub fn moving(&self, engine: usize, k: usize) -> usize {
        let moving =
            |(o, slope): (&Observation, &f64)| (o.engine == engine && slope.abs() > MOVES).then_some(o.at);
        let mut rows: Vec<_> = match self.slopes.get(k) {
            Some(slopes) => self.observations.iter().zip(slopes).filter_map(moving).collect(),
            None => Vec::new(),
        };
        rows.dedup();
        rows.len()
    }

    /// The constants under which the residuals that pass are least. Those that too few rows move with stay.
    pub fn fit(&self, keep: impl Fn(&Observation) -> bool) -> Vec<Vec<f64>> {
        let of_engine = |(e, start): (usize, &Vec<f64>)| {
            let free: Vec<usize> = (0..start.len()).filter(|k| self.moving(e, *k) >= FEWEST).collect();
            let rows: Vec<usize> = (0..self.observations.len())
                .filter(|i| self.observations[*i].engine == e && keep(&self.observations[*i]))
                .collect();
            if free.is_empty() || rows.is_empty() {
                return start.clone();
            }
            self.fit_engine(e, &free, &rows)
        };
        self.at.iter().enumerate().map(of_engine).collect()
    }

    fn fit_engine(&self, e: usize, free: &[usize], rows: &[usize]) -> Vec<f64> {
        let bounds: Vec<Bounds> = free
            .iter()
            .map(|k| {
                let (at, step) = (self.at[e][*k], self.steps[e][*k]);
                let low = (-at / step).max(-REACH);
                let high = ((self.most[e][*k] - at) / step).min(REACH);
                Bounds { low, high, logarithmic: false }
            })
            .collect();
        let residuals = |by: &[f64], out: &mut [f64]| {
            for (slot, i) in out.iter_mut().zip(rows) {
                let moved: f64 = free.iter().zip(by).map(|(k, by)| self.slopes[*k][*i] * by).sum();
                *slot = (self.residuals[*i] + moved) * self.observations[*i].weight;
            }
        };
        let found = solver::fit(&vec![0.0; free.len()], &bounds, rows.len(), STAY, &residuals);
        let mut values = self.at[e].clone();
        for (k, by) in free.iter().zip(&found.values) {
            values[*k] = (values[*k] + by * self.steps[e][*k]).clamp(0.0, self.most[e][*k]);
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibrate::engine::constants::constants;
    use crate::catalog::Catalog;

    /// Residuals of a made-up engine that are linear in its first two constants: nothing is left once these
    /// are moved by +1 and −0.5 steps. Every tenth row is an outlier.
    fn linear(subjects: &[Subject], observations: &'static [Observation]) -> Linear<'static> {
        let at: Vec<Vec<f64>> = subjects.iter().map(|s| s.constants.iter().map(|_| 10.0).collect()).collect();
        let mut linear = Linear::new(subjects, &at, Vec::new());
        let slope = |k: usize, i: usize| 0.03 + 0.06 * ((i * (k + 3)) % 7) as f64;
        let residual = |i: usize| {
            let outlier = if i.is_multiple_of(10) { 0.8 } else { 0.0 };
            outlier - slope(0, i) + 0.5 * slope(1, i)
        };
        linear.observe(observations, (0..observations.len()).map(residual).collect());
        for k in 0..2 {
            let moved = linear.moved(k);
            let there: Vec<f64> = (0..observations.len()).map(|i| residual(i) + slope(k, i)).collect();
            linear.differentiate(k, &moved, &there);
        }
        linear
    }

    #[test]
    fn moves_that_explain_the_rows_are_found_and_the_rest_stays() {
        let engine = Catalog::built_in().every_version("sglang").unwrap();
        let constants = constants(&engine).into_iter().take(3).collect();
        let subjects = [Subject { id: engine.id, constants }];
        let one = |i| Observation { at: (0, i), engine: 0, column: "tpot_ms", measured: 1.0, weight: 1.0 };
        let observations: &'static [Observation] = (0..200).map(one).collect::<Vec<_>>().leak();
        let linear = linear(&subjects, observations);
        let found = linear.fit(|_| true);
        let steps = |k: usize| (found[0][k] - 10.0) / linear.steps[0][k];
        assert!((steps(0) - 1.0).abs() < 0.1, "{}", steps(0));
        assert!((steps(1) + 0.5).abs() < 0.1, "{}", steps(1));
        assert_eq!(steps(2), 0.0, "no row moves with it");
        assert_eq!((linear.moving(0, 0), linear.moving(0, 2)), (200, 0));
    }
}
