//! A calibration of engines: constants, and errors before and after.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value as Json;

use crate::calibrate::engine::{EngineCalibration, FEWEST, Fitted};
use crate::validate::{Choice, Metric};

use super::answer::{self, ANSWER_VERSION, kind, schema};
use super::calibration::{CalibrationAnswer, LeftOutRows};
use super::column::{self, Cells, Column, List, Rows};
use super::format::Report;
use super::page::Page;
use super::sheet::Sheet;

/// Constants of engines, as rows.
enum Constants {}

impl Rows for Constants {
    type Row<'a> = Fitted;
}

impl List for Constants {
    type Of = Constants;
    const NAME: &'static str = "FittedConstant";
    fn columns() -> &'static [Column<Constants>] {
        CONSTANT_COLUMNS
    }
}

type ConstantColumn = Column<Constants>;

const CONSTANT_COLUMNS: &[ConstantColumn] = &[
    ConstantColumn::plain("engine", "engine", |f| f.engine.as_str().into()).text(),
    ConstantColumn::plain("version", "versions that it is of", |f| {
        f.constant.from.map_or("newest".to_owned(), |from| format!("from {from}")).as_str().into()
    })
    .text(),
    ConstantColumn::plain("constant", "the constant", |f| f.constant.field.name().into()).text(),
    ConstantColumn::plain("unit", "its unit", |f| f.constant.field.unit().into()).text(),
    ConstantColumn::plain("catalogue", "its value in the catalogue", |f| f.constant.value.into()),
    ConstantColumn::plain("fitted", "its value in the fit; none where too few rows move with it", |f| {
        f.after.into()
    })
    .nullable(),
    ConstantColumn::plain("rows", "rows that move with it", |f| (f.rows as u64).into()).integer(),
];

/// Errors of a file under some constants, as rows: the file, the constants or the value that is left out, the measured
/// column and its errors.
struct ErrorRow<'a>(&'a str, &'a str, &'a str, &'a Metric);

/// Errors under the constants of a fit.
enum Fits {}

/// Errors on what a fit has not seen.
enum Unseen {}

impl Rows for Fits {
    type Row<'a> = ErrorRow<'a>;
}

impl Rows for Unseen {
    type Row<'a> = ErrorRow<'a>;
}

impl List for Fits {
    type Of = Fits;
    const NAME: &'static str = "CalibrationError";
    fn columns() -> &'static [Column<Fits>] {
        const { &errors("constants", "the constants: `catalogue`, `fitted` or `leaving out` a column") }
    }
}

impl List for Unseen {
    type Of = Unseen;
    const NAME: &'static str = "UnseenError";
    fn columns() -> &'static [Column<Unseen>] {
        const { &errors("left out", "the value that was left out") }
    }
}

/// The columns of errors; one says whose they are.
const fn errors<S>(whose: &'static str, about: &'static str) -> [Column<S>; 9]
where
    S: for<'a> Rows<Row<'a> = ErrorRow<'a>>,
{
    [
        Column::<S>::plain("file", "the file", |r| r.0.into()).text().spare(1),
        Column::<S>::plain(whose, about, |r| r.1.into()).text(),
        Column::<S>::plain("metric", "the measured column", |r| r.2.into()).text(),
        Column::<S>::plain("n", "rows compared", |r| (r.3.n as u64).into()).integer(),
        Column::<S>::plain("median %", "median absolute error", |r| r.3.median_ape.into()),
        Column::<S>::plain("mean %", "mean absolute error", |r| r.3.mape.into()),
        Column::<S>::plain("p90 %", "90th percentile of the absolute error", |r| r.3.p90_ape.into()),
        Column::<S>::plain("bias %", "median signed error", |r| r.3.bias.into()),
        Column::<S>::plain("rank", "rank correlation of predicted and measured", |r| r.3.rank.into())
            .spare(2)
            .nullable(),
    ]
}

fn fits(c: &EngineCalibration) -> Vec<ErrorRow<'_>> {
    let mut rows = Vec::new();
    for e in &c.errors {
        rows.extend(e.metrics.iter().map(|(column, metric)| ErrorRow(&e.file, &e.under, column, metric)));
    }
    rows
}

fn unseen(c: &EngineCalibration) -> Vec<ErrorRow<'_>> {
    let mut rows = Vec::new();
    for e in &c.errors {
        for (value, metrics) in &e.values {
            rows.extend(metrics.iter().map(|(column, metric)| ErrorRow(&e.file, value, column, metric)));
        }
    }
    rows
}

/// One line per file, set of constants and measured column.
fn engine_errors_sheet(c: &EngineCalibration) -> Sheet {
    column::shown(Fits::columns().iter(), &fits(c), |_| false)
}

/// What choosing layouts costs under each set of constants, as rows.
enum Choosing {}

/// A file, the constants, and what choosing by them costs.
struct ChoiceRow<'a>(&'a str, &'a str, &'a Choice);

impl Rows for Choosing {
    type Row<'a> = ChoiceRow<'a>;
}

impl List for Choosing {
    type Of = Choosing;
    const NAME: &'static str = "CalibrationChoice";
    fn columns() -> &'static [Column<Choosing>] {
        CHOICE_COLUMNS
    }
}

type ChoiceColumn = Column<Choosing>;

const CHOICE_COLUMNS: &[ChoiceColumn] = &[
    ChoiceColumn::plain("file", "the file", |r| r.0.into()).text().spare(1),
    ChoiceColumn::plain("constants", "the constants", |r| r.1.into()).text(),
    ChoiceColumn::plain("TPOT limit ms", "limit on the time per output token", |r| r.2.limit.into()),
    ChoiceColumn::plain("groups", "groups of rows that differ in layout alone", |r| {
        (r.2.groups as u64).into()
    })
    .integer(),
    ChoiceColumn::plain("throughput lost %", "what the chosen layout loses to the best one", |r| {
        r.2.loss.into()
    }),
    ChoiceColumn::plain("limit broken %", "groups whose chosen layout breaks the limit", |r| {
        r.2.broken.into()
    }),
];

fn choices(c: &EngineCalibration) -> Vec<ChoiceRow<'_>> {
    let mut rows = Vec::new();
    for e in &c.errors {
        rows.extend(e.choices.iter().map(|choice| ChoiceRow(&e.file, &e.under, choice)));
    }
    rows
}

/// Fitted constants of engines, errors before and after, and what was left out.
pub fn engine_calibration(c: &EngineCalibration) -> Report {
    Report::new(engine_calibration_page(c), engine_calibration_json(c), engine_errors_sheet(c))
}

fn engine_calibration_page(c: &EngineCalibration) -> Page {
    let moved = c.constants.iter().filter(|fitted| fitted.rows > 0).cloned().collect::<Vec<_>>();
    let mut out = Page::from(column::sheet(CONSTANT_COLUMNS.iter(), &moved));
    if c.constants.iter().any(|fitted| fitted.rows > 0 && fitted.after.is_none()) {
        let _ = writeln!(out, "left alone: fewer than {FEWEST} rows move with it");
    }
    let unmoved = c.constants.iter().filter(|fitted| fitted.rows == 0).count();
    if unmoved > 0 {
        let _ = writeln!(out, "not shown: {unmoved} constants that no row moves with");
    }
    let tables = [
        ("Errors", engine_errors_sheet(c)),
        (
            "Rows left out, by a fit to the others",
            column::shown(Unseen::columns().iter(), &unseen(c), |_| false),
        ),
        ("Layouts chosen by prediction", column::shown(CHOICE_COLUMNS.iter(), &choices(c), |_| false)),
    ];
    for (title, sheet) in tables.into_iter().filter(|(_, sheet)| !sheet.rows.is_empty()) {
        let _ = write!(out, "\n{title}\n\n");
        out.table(sheet);
    }
    for (why, rows) in &c.left_out {
        let _ = writeln!(out, "left out {rows}: {why}");
    }
    out
}

/// Constants of engines fitted to measured servers.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EngineCalibration")]
struct CalibrationOfEngines<'a> {
    /// Version of the form of answers.
    schema_version: u64,
    /// Constants.
    constants: Vec<Cells<Constants>>,
    /// Errors before and after.
    errors: Vec<Cells<Fits>>,
    /// Errors on each value that was left out.
    by_value: Vec<Cells<Unseen>>,
    /// What choosing a layout by prediction costs.
    choices: Vec<Cells<Choosing>>,
    /// Rows that were left out.
    left_out: Vec<LeftOutRows<'a>>,
}

fn engine_calibration_json(c: &EngineCalibration) -> Json {
    answer::json(&CalibrationOfEngines {
        schema_version: ANSWER_VERSION,
        constants: c.constants.iter().map(Cells::of).collect(),
        errors: fits(c).iter().map(Cells::of).collect(),
        by_value: unseen(c).iter().map(Cells::of).collect(),
        choices: choices(c).iter().map(Cells::of).collect(),
        left_out: c.left_out.iter().map(LeftOutRows::from).collect(),
    })
}

/// The JSON Schema of what `calibrate` answers, of kernels and of engines.
pub(super) fn calibration_schema() -> Json {
    schema("CalibrateAnswer", &[kind::<CalibrationAnswer>, kind::<CalibrationOfEngines>])
}
