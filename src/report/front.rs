//! A Pareto front as a chart for the terminal.

use std::fmt::Write as _;

use crate::estimate::estimated::Estimate;
use crate::estimate::figures::Figures;
use crate::rank::{Front, Measure};
use crate::search::{Answer, WhatIf};

use super::json::describe;

/// Characters across and lines down.
const WIDTH: usize = 60;
const HEIGHT: usize = 14;

/// Plans of a Pareto front as points over two measures.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// The measure upwards.
    up: Measure,
    /// The measure along the bottom.
    along: Measure,
    /// Each plan: along, up.
    points: Vec<(f64, f64)>,
}

impl Chart {
    /// The front of an answer over its first two measures, the second along the bottom; none for fewer than two plans.
    pub(super) fn of(answer: &Answer) -> Option<Chart> {
        let points: Vec<Figures> = answer.pareto.iter().map(Figures::from).collect();
        let (up, along) = axes(&answer.front);
        let finite = |f: &&Figures| up.of(f).is_finite() && along.of(f).is_finite();
        let points: Vec<(f64, f64)> = points.iter().filter(finite).map(|f| (along.of(f), up.of(f))).collect();
        (points.len() >= 2).then_some(Chart { up, along, points })
    }

    /// As wide as a terminal allows.
    pub(super) fn draw(&self, terminal: Option<u16>) -> String {
        let Chart { up, along, points } = self;
        // What stands left of the chart takes twelve characters.
        let width = terminal.map_or(WIDTH, |t| usize::from(t).saturating_sub(12)).clamp(20, WIDTH);
        let ((left, right), (low, high)) =
            (range(points.iter().map(|p| p.0)), range(points.iter().map(|p| p.1)));
        let place = |x: f64, (from, to): (f64, f64), cells: usize| {
            let share = if to > from { (x - from) / (to - from) } else { 0.0 };
            ((share * (cells - 1) as f64).round() as usize).min(cells - 1)
        };
        let mut grid = vec![vec![' '; width]; HEIGHT];
        for (x, y) in points {
            grid[HEIGHT - 1 - place(*y, (low, high), HEIGHT)][place(*x, (left, right), width)] = '●';
        }
        let mut out = format!("\n{} ({})\n", up.name(), up.unit());
        for (i, line) in grid.iter().enumerate() {
            let label = match i {
                0 => number(high),
                _ if i == HEIGHT - 1 => number(low),
                _ => String::new(),
            };
            let _ = writeln!(out, "{label:>10} │{}", line.iter().collect::<String>().trim_end());
        }
        let (from, to) = (number(left), number(right));
        let _ = writeln!(out, "{:>10} └{}", "", "─".repeat(width));
        let gap = width.saturating_sub(from.len() + to.len());
        let _ = writeln!(out, "{:>12}{from}{}{to}", "", " ".repeat(gap));
        let _ = writeln!(out, "{:>12}{} ({})", "", along.name(), along.unit());
        out
    }
}

fn axes(front: &Front) -> (Measure, Measure) {
    match front.measures() {
        [up, along, ..] => (*up, *along),
        // A front has two or three measures.
        _ => (Measure::PerGpu, Measure::Tpot),
    }
}

fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)))
}

/// Three digits.
fn number(x: f64) -> String {
    match x.abs() {
        a if a >= 100.0 => format!("{x:.0}"),
        a if a >= 10.0 => format!("{x:.1}"),
        _ => format!("{x:.2}"),
    }
}

/// How the best plan moves when GPUs differ.
pub fn what_if_text(answer: &Answer, moved: &[(WhatIf, Option<Estimate>)]) -> String {
    let mut out = String::new();
    for (change, best) in moved {
        let name = format!("{} {:+}%", change.knob.name(), change.percent);
        let _ = match (answer.best.first(), best) {
            (_, None) => writeln!(out, "With {name}: nothing feasible"),
            (None, Some(now)) => writeln!(out, "With {name}: feasible, {}", describe(&now.plan)),
            (Some(was), Some(now)) => {
                let (was, f) = (Figures::from(was), Figures::from(now));
                let shift = |m: Measure| {
                    let percent = 100.0 * (m.of(&f) / m.of(&was) - 1.0);
                    if percent.is_finite() { format!("{} {percent:+.1} %", m.name()) } else { String::new() }
                };
                let all = [Measure::Throughput, Measure::Ttft, Measure::Tpot, Measure::Cost].map(shift);
                let all: Vec<String> = all.into_iter().filter(|s| !s.is_empty()).collect();
                writeln!(
                    out,
                    "With {name}: {}, batch {:.0}: {}",
                    describe(&now.plan),
                    now.batch,
                    all.join(", ")
                )
            }
        };
    }
    out
}
