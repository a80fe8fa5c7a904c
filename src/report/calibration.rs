//! A calibration group by group: errors before and after.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value as Json;

use crate::calibrate::{Calibration, FEWEST, Group, Outcome, name};
use crate::estimate::kernels::Reached;
use crate::validate::Metric;

use super::answer::{self, ANSWER_VERSION};
use super::cell::Value;
use super::column::{self, Cells, Column, List, Rows};
use super::format::Report;
use super::page::Page;
use super::sheet::Sheet;

/// Groups of rows, as rows. Errors after are those of fits to other rows, in per cent as before.
enum Groups {}

impl Rows for Groups {
    type Row<'a> = Group;
}

impl List for Groups {
    type Of = Groups;
    const NAME: &'static str = "CalibratedGroup";
    fn columns() -> &'static [Column<Groups>] {
        GROUP_COLUMNS
    }
}

type GroupColumn = Column<Groups>;

const GROUP_COLUMNS: &[GroupColumn] = &[
    GroupColumn::plain("kernel", "kind of kernel", |g| g.key.table.into()).text(),
    GroupColumn::plain("engine", "engine", |g| g.key.engine.as_str().into()).text(),
    GroupColumn::plain("format", "number format, or what else tells groups apart", |g| {
        name(g).as_str().into()
    })
    .text(),
    GroupColumn::plain("rows", "measured rows", |g| (g.points as u64).into()).integer(),
    GroupColumn::plain("from", "smallest size", |g| g.range.from.into()).spare(5).nullable(),
    GroupColumn::plain("to", "largest size", |g| g.range.to.into()).spare(6).nullable(),
    GroupColumn::plain("median % before", "median error of the catalogue's coefficients", |g| {
        g.before.median_ape.into()
    }),
    GroupColumn::plain("mean % before", "mean error of them", |g| g.before.mape.into()).spare(4),
    GroupColumn::plain("p90 % before", "90th percentile of their error", |g| g.before.p90_ape.into())
        .spare(2),
    GroupColumn::plain("median % after", "median error of fits to other rows", |g| {
        after(g, |m| m.median_ape)
    })
    .nullable(),
    GroupColumn::plain("mean % after", "mean error of them", |g| after(g, |m| m.mape)).nullable(),
    GroupColumn::plain("p90 % after", "90th percentile of their error", |g| after(g, |m| m.p90_ape))
        .spare(3)
        .nullable(),
    GroupColumn::plain("peak %", "share of the datasheet's peak that the fit reaches", |g| {
        g.reached.map(|reached| 100.0 * reached.peak).into()
    })
    .spare(1)
    .nullable(),
    GroupColumn::plain("bandwidth %", "share of the datasheet's bandwidth that the fit reaches", |g| {
        g.reached.map(|reached| 100.0 * reached.bandwidth).into()
    })
    .nullable(),
    GroupColumn::plain("outcome", "what became of the fit", |g| g.outcome.name().into()).text(),
];

fn after(group: &Group, of: fn(&Metric) -> f64) -> Value {
    group.after.as_ref().map(of).into()
}

/// One line per group.
fn calibration_sheet(c: &Calibration) -> Sheet {
    column::shown(GROUP_COLUMNS.iter(), &c.groups, |_| false)
}

/// Groups on a GPU that a fit to the others is tried on, as rows.
enum LeftOut {}

/// A group, the GPU, and the errors there.
struct OnGpu<'a>(&'a Group, &'a str, &'a Metric);

impl Rows for LeftOut {
    type Row<'a> = OnGpu<'a>;
}

impl List for LeftOut {
    type Of = LeftOut;
    const NAME: &'static str = "LeftOutGpu";
    fn columns() -> &'static [Column<LeftOut>] {
        LEFT_OUT_COLUMNS
    }
}

type LeftOutColumn = Column<LeftOut>;

const LEFT_OUT_COLUMNS: &[LeftOutColumn] = &[
    LeftOutColumn::plain("kernel", "kind of kernel", |r| r.0.key.table.into()).text(),
    LeftOutColumn::plain("engine", "engine", |r| r.0.key.engine.as_str().into()).text(),
    LeftOutColumn::plain("format", "number format, or what else tells groups apart", |r| {
        name(r.0).as_str().into()
    })
    .text(),
    LeftOutColumn::plain("rows", "measured rows of the GPU", |r| (r.2.n as u64).into()).integer(),
    LeftOutColumn::plain("left out", "the GPU", |r| r.1.into()).text(),
    LeftOutColumn::plain("median %", "median error there of a fit to the others", |r| r.2.median_ape.into()),
    LeftOutColumn::plain("mean %", "mean error", |r| r.2.mape.into()),
    LeftOutColumn::plain("p90 %", "90th percentile of the error", |r| r.2.p90_ape.into()),
    LeftOutColumn::plain("bias %", "median signed error", |r| r.2.bias.into()),
];

fn left_out(c: &Calibration) -> Vec<OnGpu<'_>> {
    let mut rows = Vec::new();
    for group in &c.groups {
        rows.extend(group.left_out.iter().map(|(gpu, metric)| OnGpu(group, gpu, metric)));
    }
    rows
}

/// Fitted coefficients of kernels, what was left out, and which coefficients to distrust.
pub fn calibration(c: &Calibration) -> Report {
    Report::new(calibration_page(c), calibration_json(c), calibration_sheet(c))
}

fn calibration_page(c: &Calibration) -> Page {
    let mut out = Page::from(calibration_sheet(c));
    let left_out = column::sheet(LEFT_OUT_COLUMNS.iter(), &left_out(c));
    if !left_out.rows.is_empty() {
        out.push_str("\nOn a GPU, by a fit to the others\n\n");
        out.table(left_out);
    }
    if c.groups.iter().any(|g| g.outcome == Outcome::TooFew) {
        let _ = writeln!(out, "\nleft alone: fewer than {FEWEST} rows");
    }
    for group in &c.groups {
        if let Outcome::Refused(reached) = group.outcome {
            let (key, share) = (&group.key, 100.0 * reached.bandwidth);
            let _ = writeln!(
                out,
                "refused: {} {} {} reaches {share:.0} % of the bandwidth; below {:.0} % rows are of launches, or \
                 of a kernel that was not tuned",
                key.table,
                key.engine,
                name(group),
                100.0 * Reached::LEAST_BANDWIDTH,
            );
        }
    }
    for group in c.groups.iter().filter(|g| !g.at_edge.is_empty()) {
        let (key, edge) = (&group.key, group.at_edge.join(", "));
        let _ =
            writeln!(out, "at the edge of its range: {} {} {}: {edge}", key.table, key.engine, name(group));
    }
    for (why, rows) in &c.left_out {
        let _ = writeln!(out, "left out {rows}: {why}");
    }
    out
}

/// Coefficients of kernels fitted to measured rows.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "KernelCalibration")]
pub(super) struct CalibrationAnswer<'a> {
    /// Version of the form of answers.
    schema_version: u64,
    /// The GPU, or the class of GPUs.
    subject: &'a str,
    /// Group by group.
    groups: Vec<Cells<Groups>>,
    /// Of a class: errors on each GPU of a fit to the others.
    by_gpu: Vec<Cells<LeftOut>>,
    /// Rows that were left out.
    left_out: Vec<LeftOutRows<'a>>,
}

/// Rows that were left out for one reason.
#[derive(Serialize, JsonSchema)]
pub(super) struct LeftOutRows<'a> {
    /// How many.
    rows: u64,
    /// Why.
    reason: &'a str,
}

impl<'a> From<(&'a String, &u64)> for LeftOutRows<'a> {
    fn from((reason, rows): (&'a String, &u64)) -> LeftOutRows<'a> {
        LeftOutRows { rows: *rows, reason }
    }
}

fn calibration_json(c: &Calibration) -> Json {
    answer::json(&CalibrationAnswer {
        schema_version: ANSWER_VERSION,
        subject: c.subject.id(),
        groups: c.groups.iter().map(Cells::of).collect(),
        by_gpu: left_out(c).iter().map(Cells::of).collect(),
        left_out: c.left_out.iter().map(LeftOutRows::from).collect(),
    })
}
