//! A measured latency over what a step varies: interpolated between measurements in logarithms.

use crate::model::operator::OperatorKind;

/// Latencies of one operator over sequences and tokens, or over rows alone.
///
/// Times are interpolated linearly in the logarithms of time and of both axes: exact at every
/// measurement, and never outside what surrounds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Surface {
    /// The operator, at what its analytical form is scaled from outside the measurements.
    pub template: OperatorKind,
    /// Whether its very shape was measured, or shapes on all sides of it.
    pub interpolated: bool,
    axes: [Vec<f64>; 2],
    /// Logarithms of seconds, the second axis innermost.
    times: Vec<f64>,
    known: Vec<bool>,
}

/// What a surface says of a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// Seconds at `at`.
    pub seconds: f64,
    /// The nearest point inside the measurements.
    pub at: [f64; 2],
    /// Whether that is the point that was asked for.
    pub inside: bool,
    /// Whether all measurements around it were really made.
    pub known: bool,
}

/// Where a coordinate lies on an axis: the nodes around it and how far between them.
#[derive(Clone, Copy)]
struct Place {
    low: usize,
    high: usize,
    share: f64,
    /// The coordinate, moved to the axis' end if it lies beyond.
    log: f64,
    inside: bool,
}

/// How far beyond an end counts as at it: rounding of logarithms.
const ROUNDING: f64 = 1e-9;

impl Surface {
    /// A surface through measurements. Combinations of coordinates that were not measured get the
    /// analytical time, scaled to the nearest measurement. `None` without measurements.
    pub fn through(
        template: OperatorKind,
        interpolated: bool,
        points: &[([f64; 2], f64)],
        analytic: impl Fn([f64; 2]) -> f64,
    ) -> Option<Surface> {
        let axis = |i: usize| {
            let mut all: Vec<f64> = points.iter().map(|(at, _)| at[i].ln()).collect();
            all.sort_by(f64::total_cmp);
            all.dedup();
            all
        };
        let axes = [axis(0), axis(1)];
        let cells = axes[0].len() * axes[1].len();
        let (mut times, mut known) = (vec![0.0; cells], vec![false; cells]);
        for (at, seconds) in points {
            let node = |i: usize| axes[i].partition_point(|x| *x < at[i].ln());
            let cell = node(0) * axes[1].len() + node(1);
            (times[cell], known[cell]) = (seconds.ln(), true);
        }
        let mut surface = Surface { template, interpolated, axes, times, known };
        surface.fill(analytic);
        (!points.is_empty()).then_some(surface)
    }

    /// Gives every cell that was not measured a time.
    fn fill(&mut self, analytic: impl Fn([f64; 2]) -> f64) {
        let width = self.axes[1].len();
        let logs = |cell: usize| [self.axes[0][cell / width], self.axes[1][cell % width]];
        let form = |cell: usize| analytic(logs(cell).map(f64::exp)).ln();
        let measured: Vec<usize> = (0..self.times.len()).filter(|cell| self.known[*cell]).collect();
        let mut filled = Vec::new();
        for cell in (0..self.times.len()).filter(|cell| !self.known[*cell]) {
            let distance = |other: usize| {
                let (a, b) = (logs(cell), logs(other));
                (a[0] - b[0]).abs() + (a[1] - b[1]).abs()
            };
            let near = measured.iter().copied().min_by(|a, b| distance(*a).total_cmp(&distance(*b)));
            if let Some(near) = near {
                filled.push((cell, form(cell) + self.times[near] - form(near)));
            }
        }
        filled.into_iter().for_each(|(cell, time)| self.times[cell] = time);
    }

    /// The time at a point, or at the nearest one inside the measurements.
    pub fn read(&self, at: [f64; 2]) -> Reading {
        let [x, y] = [place(&self.axes[0], at[0]), place(&self.axes[1], at[1])];
        let width = self.axes[1].len();
        let along = |i: usize| {
            let (a, b) = (self.times[i * width + y.low], self.times[i * width + y.high]);
            a + (b - a) * y.share
        };
        let (low, high) = (along(x.low), along(x.high));
        let corners = [(x.low, y.low), (x.low, y.high), (x.high, y.low), (x.high, y.high)];
        Reading {
            seconds: (low + (high - low) * x.share).exp(),
            at: [if x.inside { at[0] } else { x.log.exp() }, if y.inside { at[1] } else { y.log.exp() }],
            inside: x.inside && y.inside,
            known: corners.iter().all(|(i, j)| self.known[i * width + j]),
        }
    }

    /// Points of the axes, for tests and reports.
    pub fn cells(&self) -> usize {
        self.times.len()
    }
}

fn place(axis: &[f64], at: f64) -> Place {
    let log = at.ln();
    let last = axis.len().saturating_sub(1);
    let above = axis.partition_point(|x| *x <= log);
    let (first, end) = (axis.first().copied().unwrap_or(0.0), axis.last().copied().unwrap_or(0.0));
    let inside = log >= first - ROUNDING && log <= end + ROUNDING;
    match above {
        // NaN stands before everything too.
        0 => Place { low: 0, high: 0, share: 0.0, log: first, inside },
        n if n > last => Place { low: last, high: last, share: 0.0, log: end, inside },
        n => {
            let (a, b) = (axis[n - 1], axis[n]);
            let share = (log - a) / (b - a);
            // At a node only the node counts, so that a gap beside it does not matter.
            let (low, high) = if share <= 0.0 { (n - 1, n - 1) } else { (n - 1, n) };
            Place { low, high, share, log, inside }
        }
    }
}
