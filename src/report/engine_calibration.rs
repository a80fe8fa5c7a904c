//! A calibration of engines: constants, and errors before and after.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use crate::calibrate::engine::{EngineCalibration, FEWEST};
use crate::validate::Metric;

use super::cell::Value;
use super::sheet::Sheet;

/// One line per constant that at least so many rows move with.
fn constants_sheet(c: &EngineCalibration, least: usize) -> Sheet {
    let mut sheet = Sheet::new(["engine", "version", "constant", "unit", "catalogue", "fitted", "rows"]);
    for fitted in c.constants.iter().filter(|fitted| fitted.rows >= least) {
        let field = fitted.constant.field;
        sheet.rows.push(vec![
            fitted.engine.as_str().into(),
            fitted.constant.from.map_or("newest".to_owned(), |from| format!("from {from}")).as_str().into(),
            field.name().into(),
            field.unit().into(),
            fitted.constant.value.into(),
            fitted.after.map_or(Value::Missing, Value::from),
            (fitted.rows as u64).into(),
        ]);
    }
    sheet
}

const ERRORS: [&str; 6] = ["n", "median %", "mean %", "p90 %", "bias %", "rank"];

fn errors(m: &Metric) -> [Value; 6] {
    [(m.n as u64).into(), m.median_ape.into(), m.mape.into(), m.p90_ape.into(), m.bias.into(), m.rank.into()]
}

/// One line per file, set of constants and measured column.
pub fn engine_errors_sheet(c: &EngineCalibration) -> Sheet {
    let mut sheet = Sheet::new(["file", "constants", "metric"].into_iter().chain(ERRORS));
    for e in &c.errors {
        for (column, metric) in &e.metrics {
            let mut cells: Vec<Value> = [&e.file, &e.under, column].map(|t| t.as_str().into()).to_vec();
            cells.extend(errors(metric));
            sheet.rows.push(cells);
        }
    }
    sheet.spare = vec!["file", "rank"];
    sheet
}

/// One line per value that was left out, and measured column.
fn left_out_sheet(c: &EngineCalibration) -> Sheet {
    let mut sheet = Sheet::new(["file", "left out", "metric"].into_iter().chain(ERRORS));
    for e in &c.errors {
        for (value, metrics) in &e.values {
            for (column, metric) in metrics {
                let mut cells: Vec<Value> = [&e.file, value, column].map(|t| t.as_str().into()).to_vec();
                cells.extend(errors(metric));
                sheet.rows.push(cells);
            }
        }
    }
    sheet.spare = vec!["file", "rank"];
    sheet
}

/// What choosing a layout costs under each set of constants.
fn choices_sheet(c: &EngineCalibration) -> Sheet {
    let mut sheet =
        Sheet::new(["file", "constants", "TPOT limit ms", "groups", "throughput lost %", "limit broken %"]);
    for e in &c.errors {
        for choice in &e.choices {
            sheet.rows.push(vec![
                e.file.as_str().into(),
                e.under.as_str().into(),
                choice.limit.into(),
                (choice.groups as u64).into(),
                choice.loss.into(),
                choice.broken.into(),
            ]);
        }
    }
    sheet.spare = vec!["file"];
    sheet
}

/// The tables, and what was left out.
pub fn engine_calibration_text(c: &EngineCalibration, width: Option<u16>) -> String {
    let mut out = format!("{}\n", constants_sheet(c, 1).table(width));
    if c.constants.iter().any(|fitted| fitted.rows > 0 && fitted.after.is_none()) {
        let _ = writeln!(out, "left alone: fewer than {FEWEST} rows move with it");
    }
    let unmoved = c.constants.iter().filter(|fitted| fitted.rows == 0).count();
    if unmoved > 0 {
        let _ = writeln!(out, "not shown: {unmoved} constants that no row moves with");
    }
    let tables = [
        ("Errors", engine_errors_sheet(c)),
        ("Rows left out, by a fit to the others", left_out_sheet(c)),
        ("Layouts chosen by prediction", choices_sheet(c)),
    ];
    for (title, sheet) in tables.iter().filter(|(_, sheet)| !sheet.rows.is_empty()) {
        let _ = write!(out, "\n{title}\n\n{}\n", sheet.table(width));
    }
    for (why, rows) in &c.left_out {
        let _ = writeln!(out, "left out {rows}: {why}");
    }
    out
}

/// The same for scripts.
pub fn engine_calibration_json(c: &EngineCalibration) -> Json {
    let left_out: Vec<Json> =
        c.left_out.iter().map(|(why, rows)| json!({ "rows": rows, "reason": why })).collect();
    json!({
        "constants": constants_sheet(c, 0).json(),
        "errors": engine_errors_sheet(c).json(),
        "by_value": left_out_sheet(c).json(),
        "choices": choices_sheet(c).json(),
        "left_out": left_out,
    })
}
