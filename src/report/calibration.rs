//! A calibration group by group: errors before and after.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use crate::calibrate::{Calibration, FEWEST, Group, Outcome, name};
use crate::estimate::kernels::Reached;
use crate::validate::Metric;

use super::cell::Value;
use super::sheet::Sheet;

/// One line per group. Errors after are those of fits to other rows, in per cent as before.
pub fn calibration_sheet(c: &Calibration) -> Sheet {
    let mut sheet = Sheet::new([
        "kernel",
        "engine",
        "format",
        "rows",
        "from",
        "to",
        "median % before",
        "mean % before",
        "p90 % before",
        "median % after",
        "mean % after",
        "p90 % after",
        "peak %",
        "bandwidth %",
        "outcome",
    ]);
    for group in &c.groups {
        let mut cells = named(group);
        cells.extend([group.range.from.into(), group.range.to.into()]);
        cells.extend(errors(Some(&group.before)));
        cells.extend(errors(group.after.as_ref()));
        cells.extend(reached(group));
        cells.push(group.outcome.name().into());
        sheet.rows.push(cells);
    }
    sheet.spare = vec!["peak %", "p90 % before", "p90 % after", "mean % before", "from", "to"];
    sheet
}

fn named(group: &Group) -> Vec<Value> {
    let points = u64::try_from(group.points).unwrap_or(u64::MAX);
    let engine = Value::from(group.key.engine.as_str());
    vec![group.key.table.into(), engine, name(group).as_str().into(), points.into()]
}

fn errors(metric: Option<&Metric>) -> [Value; 3] {
    match metric {
        Some(m) => [m.median_ape.into(), m.mape.into(), m.p90_ape.into()],
        None => [Value::Missing, Value::Missing, Value::Missing],
    }
}

/// What a fit reaches of the datasheet's peak and bandwidth, in per cent.
fn reached(group: &Group) -> [Value; 2] {
    match group.reached {
        Some(reached) => [(100.0 * reached.peak).into(), (100.0 * reached.bandwidth).into()],
        None => [Value::Missing, Value::Missing],
    }
}

/// One line per group and GPU: errors on a GPU of a fit to the others.
fn left_out_sheet(c: &Calibration) -> Sheet {
    let mut sheet = Sheet::new([
        "kernel", "engine", "format", "rows", "left out", "median %", "mean %", "p90 %", "bias %",
    ]);
    for group in &c.groups {
        for (gpu, metric) in &group.left_out {
            let mut cells = named(group);
            cells[3] = u64::try_from(metric.n).unwrap_or(u64::MAX).into();
            cells.push(gpu.as_str().into());
            cells.extend(errors(Some(metric)));
            cells.push(metric.bias.into());
            sheet.rows.push(cells);
        }
    }
    sheet
}

/// The table, what was left out, and which coefficients to distrust.
pub fn calibration_text(c: &Calibration, width: Option<u16>) -> String {
    let mut out = format!("{}\n", calibration_sheet(c).table(width));
    let left_out = left_out_sheet(c);
    if !left_out.rows.is_empty() {
        let _ = write!(out, "\nOn a GPU, by a fit to the others\n\n{}\n", left_out.table(width));
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

/// The same for scripts.
pub fn calibration_json(c: &Calibration) -> Json {
    let left_out: Vec<Json> =
        c.left_out.iter().map(|(why, rows)| json!({ "rows": rows, "reason": why })).collect();
    json!({
        "subject": c.subject.id(),
        "groups": calibration_sheet(c).json(),
        "by_gpu": left_out_sheet(c).json(),
        "left_out": left_out,
    })
}
