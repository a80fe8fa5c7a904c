//! Validation as metrics, and as the file with predictions beside the measurements.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value as Json;

use crate::validate::memory::{Compared, Comparison, Spread, Worst};
use crate::validate::{Choice, Metric, Validation};

use super::answer::{self, ANSWER_VERSION, Digits, kind, schema};
use super::cell::Value;
use super::column::{self, Cells, Column, List, Rows};
use super::format::Report;
use super::page::Page;
use super::sheet::Sheet;

/// Metrics, skipped rows and groups; names are fixed.
fn validation_json(v: &Validation) -> Json {
    let skipped = v
        .predictions
        .iter()
        .enumerate()
        .filter_map(|(i, p)| p.as_ref().err().map(|reason| Skipped { id: v.table.row(i).id(), reason }));
    answer::json(&ValidationAnswer {
        schema_version: ANSWER_VERSION,
        rows: v.table.len(),
        predicted: v.predicted(),
        skipped: skipped.collect(),
        metrics: metrics(&v.metrics),
        groups: v.groups.iter().map(|(group, of)| (group.as_str(), metrics(of))).collect(),
        worst: v.worst.iter().map(Cells::of).collect(),
        bands: v.spreads.iter().map(Cells::of).collect(),
        choices: v.choices.iter().map(ChoiceAnswer::from).collect(),
    })
}

/// Errors of predictions for measured rows.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Validation")]
struct ValidationAnswer<'a> {
    /// Version of the form of answers.
    schema_version: u64,
    /// Rows of the file.
    rows: usize,
    /// Those that were predicted.
    predicted: usize,
    /// Those that were not, and why.
    skipped: Vec<Skipped<'a>>,
    /// Errors by measured column, or by the `metric` of files with one value a row.
    metrics: BTreeMap<&'a str, MetricAnswer>,
    /// The same by the values of a column, where that is asked for.
    groups: BTreeMap<&'a str, BTreeMap<&'a str, MetricAnswer>>,
    /// The rows that are off most, of memory.
    worst: Vec<Cells<WorstRows>>,
    /// How far memory is off, by engine and version, beside the uncertainty that verdicts use.
    bands: Vec<Cells<Bands>>,
    /// What choosing a layout by prediction costs.
    choices: Vec<ChoiceAnswer>,
}

/// A row that was not predicted.
#[derive(Serialize, JsonSchema)]
struct Skipped<'a> {
    /// Its id, else its line.
    id: String,
    /// Why.
    reason: &'a str,
}

/// What choosing a layout by prediction costs under a limit on the time per output token.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Choice")]
struct ChoiceAnswer {
    /// The limit.
    tpot_limit_ms: f64,
    /// Groups of rows that differ in layout alone.
    groups: usize,
    /// Throughput that the chosen layout loses to the best one, mean.
    loss_percent: Digits,
    /// Groups whose chosen layout breaks the limit.
    broken_percent: Digits,
}

impl From<&Choice> for ChoiceAnswer {
    fn from(c: &Choice) -> ChoiceAnswer {
        ChoiceAnswer {
            tpot_limit_ms: c.limit,
            groups: c.groups,
            loss_percent: Digits(c.loss),
            broken_percent: Digits(c.broken),
        }
    }
}

/// Errors of one column, in per cent of the measured value.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Metric")]
struct MetricAnswer {
    /// Rows compared.
    n: usize,
    /// Mean absolute error.
    mape: Digits,
    /// Median absolute error.
    median_ape: Digits,
    /// 90th percentile of the absolute error.
    p90_ape: Digits,
    /// Median signed error: positive when predictions are too high.
    bias: Digits,
    /// Spearman's rank correlation of predicted and measured values.
    rank: Digits,
    /// Median absolute error, in the column's own unit.
    median_ae: Digits,
    /// Mean absolute error, in the column's own unit.
    mae: Digits,
    /// Of the rows that have a range, those that were measured within it; null where none has one.
    within_range: Option<Digits>,
}

impl From<&Metric> for MetricAnswer {
    fn from(m: &Metric) -> MetricAnswer {
        MetricAnswer {
            n: m.n,
            mape: Digits(m.mape),
            median_ape: Digits(m.median_ape),
            p90_ape: Digits(m.p90_ape),
            bias: Digits(m.bias),
            rank: Digits(m.rank),
            median_ae: Digits(m.median_ae),
            mae: Digits(m.mae),
            within_range: m.within.map(Digits),
        }
    }
}

fn metrics(metrics: &BTreeMap<String, Metric>) -> BTreeMap<&str, MetricAnswer> {
    metrics.iter().map(|(column, m)| (column.as_str(), m.into())).collect()
}

/// What choosing layouts costs, as rows.
enum Choices {}

impl Rows for Choices {
    type Row<'a> = Choice;
}

type ChoiceColumn = Column<Choices>;

const CHOICE_COLUMNS: &[ChoiceColumn] = &[
    ChoiceColumn::plain("TPOT limit ms", "limit on the time per output token", |c| c.limit.into()),
    ChoiceColumn::plain("groups", "groups of rows that differ in layout alone", |c| (c.groups as u64).into()),
    ChoiceColumn::plain("throughput lost %", "what the chosen layout loses to the best one", |c| {
        c.loss.into()
    }),
    ChoiceColumn::plain("limit broken %", "groups whose chosen layout breaks the limit", |c| c.broken.into()),
];

/// One line per metric and group.
fn metrics_sheet(v: &Validation) -> Sheet {
    let columns = ["group", "metric", "n", "median %", "mean %", "p90 %", "bias %", "rank"];
    let ranged = v.metrics.values().any(|metric| metric.within.is_some());
    let within = ranged.then_some("in range %");
    let mut sheet = Sheet::new(columns.into_iter().chain(within).chain(["median off", "mean off"]));
    sheet.spare = vec!["mean off", "median off"];
    let mut add = |group: &str, metrics: &BTreeMap<String, Metric>| {
        for (name, m) in metrics {
            let mut row: Vec<Value> = vec![
                group.into(),
                name.as_str().into(),
                (m.n as u64).into(),
                m.median_ape.into(),
                m.mape.into(),
                m.p90_ape.into(),
                m.bias.into(),
                m.rank.into(),
            ];
            row.extend(ranged.then_some(m.within.into()));
            row.extend([m.median_ae.into(), m.mae.into()]);
            sheet.rows.push(row);
        }
    };
    add("all", &v.metrics);
    v.groups.iter().for_each(|(group, metrics)| add(group, metrics));
    sheet
}

/// Errors of predictions by metric and group, and why rows were skipped.
pub fn validation(v: &Validation) -> Report {
    Report::new(validation_page(v), validation_json(v), metrics_sheet(v))
}

fn validation_page(v: &Validation) -> Page {
    let mut out = Page::from(format!("{} rows, {} predicted\n\n", v.table.len(), v.predicted()));
    if v.one_by_one {
        out.table(runs_sheet(v));
        out.push_str("\n");
    }
    if !v.one_by_one || v.table.len() > 1 {
        out.table(metrics_sheet(v));
    }
    if !v.worst.is_empty() {
        let _ = writeln!(out, "\nFurthest off, in GiB, and the measured part that is off most:");
        out.table(worst_sheet(&v.worst));
        for w in &v.worst {
            let _ = writeln!(out, "{}: {}", w.id, w.explanation());
        }
        out.push_str("\n");
    }
    if !v.spreads.is_empty() {
        let _ = writeln!(
            out,
            "KV cache off by, GiB, where the configuration is known, and the uncertainty that verdicts use:"
        );
        out.table(column::sheet(BAND_COLUMNS.iter(), &v.spreads));
    }
    if !v.choices.is_empty() {
        out.push_str("layouts chosen by prediction\n");
        out.table(column::sheet(CHOICE_COLUMNS.iter(), &v.choices));
    }
    let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
    for why in v.predictions.iter().filter_map(|p| p.as_ref().err()) {
        *reasons.entry(why).or_default() += 1;
    }
    const SHOWN: usize = 20;
    for (why, count) in reasons.iter().take(SHOWN) {
        let _ = writeln!(out, "skipped {count}: {why}");
    }
    if reasons.len() > SHOWN {
        let rest: u64 = reasons.values().skip(SHOWN).sum();
        let _ = writeln!(out, "skipped {rest} for other reasons; -o FILE has that of every row");
    }
    out
}

/// Every input column, then a predicted one for each that is predicted, then why a row was skipped.
pub fn predictions_sheet(v: &Validation) -> Sheet {
    let predicted = v.predicted_columns();
    let names = predicted.iter().map(|c| format!("predicted_{c}"));
    let columns = v.table.columns.iter().cloned().chain(names).chain(["skip_reason".to_owned()]);
    let mut sheet = Sheet::new(columns);
    for (i, prediction) in v.predictions.iter().enumerate() {
        let mut cells: Vec<Value> = v.table.row(i).cells().map(Value::from).collect();
        let values = prediction.as_ref().ok();
        let of = |column: &str| values?.iter().find(|(c, _)| *c == column).map(|(_, x)| *x);
        cells.extend(predicted.iter().map(|c| of(c).map_or(Value::Missing, Value::from)));
        cells.push(prediction.as_ref().err().map_or(Value::Missing, |why| why.as_str().into()));
        sheet.rows.push(cells);
    }
    sheet
}

/// Each run with what was measured of it and what is predicted.
fn runs_sheet(v: &Validation) -> Sheet {
    let figures = ["ttft_ms", "tpot_ms", "output_tok_s"];
    let said = ["id", "concurrency", "rate", "isl", "osl"];
    let measured = figures.iter().flat_map(|f| [(*f).to_owned(), "predicted".to_owned(), "off %".to_owned()]);
    let mut sheet = Sheet::new(said.iter().map(|s| (*s).to_owned()).chain(measured));
    sheet.spare = vec!["rate"];
    for (i, prediction) in v.predictions.iter().enumerate() {
        let row = v.table.row(i);
        let number = |column: &str| row.number(column).map_or(Value::Missing, Value::from);
        let mut cells = vec![Value::Text(row.id())];
        cells.extend(said[1..].iter().map(|column| number(column)));
        for figure in figures {
            let of = |values: &Vec<(&str, f64)>| values.iter().find(|(c, _)| *c == figure).map(|(_, x)| *x);
            let (got, told) = (row.number(figure), prediction.as_ref().ok().and_then(of));
            let off = got.zip(told).map(|(got, told)| 100.0 * (told / got - 1.0));
            cells.push(number(figure));
            cells.push(told.map_or(Value::Missing, Value::from));
            cells.push(off.map_or(Value::Missing, Value::Change));
        }
        sheet.rows.push(cells);
    }
    sheet
}

/// The rows that are off most, with the part that explains it.
enum WorstRows {}

impl Rows for WorstRows {
    type Row<'a> = Worst;
}

impl List for WorstRows {
    type Of = WorstRows;
    const NAME: &'static str = "WorstRow";
    fn columns() -> &'static [Column<WorstRows>] {
        WORST_COLUMNS
    }
}

type WorstColumn = Column<WorstRows>;

const WORST_COLUMNS: &[WorstColumn] = &[
    WorstColumn::plain("id", "the row", |w| w.id.as_str().into()).text(),
    WorstColumn::plain("engine", "engine and version", |w| w.engine.as_str().into()).text().spare(3),
    WorstColumn::plain("model", "model", |w| w.model.as_str().into()).text().spare(2),
    WorstColumn::plain("metric", "what is off", |w| w.column.into()).text().spare(1),
    WorstColumn::plain("measured", "as measured, in GiB", |w| w.measured.into()),
    WorstColumn::plain("predicted", "as predicted, in GiB", |w| w.predicted.into()).spare(4),
    WorstColumn::plain("off", "the difference, in GiB", |w| w.difference().into()),
    WorstColumn::plain("part", "the part that is off most among those that were measured", |w| {
        w.part.map_or(Value::Missing, |(name, _)| name.into())
    })
    .text()
    .nullable(),
    WorstColumn::plain("part off", "by how much, in GiB", |w| {
        w.part.map_or(Value::Missing, |(_, off)| off.into())
    })
    .nullable(),
    WorstColumn::plain("not stated", "settings that the row leaves out", |w| {
        Value::Text(w.assumed.join(", "))
    })
    .text(),
];

fn worst_sheet(worst: &[Worst]) -> Sheet {
    column::shown(WORST_COLUMNS.iter(), worst, |_| false)
}

/// The residuals by engine and version.
enum Bands {}

impl Rows for Bands {
    type Row<'a> = Spread;
}

impl List for Bands {
    type Of = Bands;
    const NAME: &'static str = "Band";
    fn columns() -> &'static [Column<Bands>] {
        BAND_COLUMNS
    }
}

type BandColumn = Column<Bands>;

const BAND_COLUMNS: &[BandColumn] = &[
    BandColumn::plain("engine", "engine", |s| s.engine.as_str().into()).text(),
    BandColumn::plain("version", "the first two parts of its version, and its backend", |s| {
        s.version.as_str().into()
    })
    .text(),
    BandColumn::plain("servers", "servers of known configuration", |s| (s.servers as u64).into()).integer(),
    BandColumn::plain("median_gib", "median of the absolute error of the KV cache", |s| s.median.into()),
    BandColumn::plain("worst_gib", "the largest", |s| s.worst.into()),
    BandColumn::plain("band_gib", "the uncertainty that verdicts use", |s| s.band.into()),
];

/// A log beside its prediction, part by part.
enum ComparedParts {}

impl Rows for ComparedParts {
    type Row<'a> = Compared;
}

impl List for ComparedParts {
    type Of = ComparedParts;
    const NAME: &'static str = "ComparedPart";
    fn columns() -> &'static [Column<ComparedParts>] {
        PART_COLUMNS
    }
}

/// Predicted less logged.
fn difference(part: &Compared) -> Option<f64> {
    part.logged.map(|logged| part.predicted - logged)
}

type PartColumn = Column<ComparedParts>;

const PART_COLUMNS: &[PartColumn] = &[
    PartColumn::plain("part", "part of the memory, with its unit", |p| p.part.into()).text(),
    PartColumn::plain("logged", "as logged", |p| p.logged.into()).nullable(),
    PartColumn::plain("predicted", "as predicted", |p| p.predicted.into()),
    PartColumn::plain("difference", "predicted less logged", |p| difference(p).into()).nullable(),
    PartColumn::plain("difference %", "the same of what was logged", |p| {
        let logged = p.logged.filter(|logged| *logged != 0.0);
        logged.zip(difference(p)).map(|(logged, d)| 100.0 * d / logged.abs()).into()
    })
    .nullable(),
];

/// A log beside its prediction, part by part, and what was taken for the launch of `model`.
pub fn log_comparison(c: &Comparison, model: &str) -> Report {
    Report::new(comparison_page(c, model), comparison_json(c, model), comparison_sheet(c))
}

fn comparison_sheet(c: &Comparison) -> Sheet {
    column::sheet(PART_COLUMNS.iter(), &c.parts().into_iter().collect::<Vec<_>>())
}

fn comparison_page(c: &Comparison, model: &str) -> Page {
    let mut out = Page::from(format!(
        "{model} on {} ({}), {}, {}: {} sequences, {} tokens a step, {} cache\n\n",
        c.gpu,
        c.memory.capacity,
        c.engine,
        c.parallelism,
        c.limits.max_sequences,
        c.limits.max_batched_tokens,
        c.kv
    ));
    out.table(comparison_sheet(c));
    let _ = writeln!(out, "The prediction is uncertain by {}.", c.memory.band);
    if !c.assumed.is_empty() {
        let _ = writeln!(out, "Not in the log, so the engine's default: {}.", c.assumed.join(", "));
    }
    out
}

/// A server's start-up log beside what is predicted for it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "StartLog")]
struct ComparisonAnswer<'a> {
    /// Version of the form of answers.
    schema_version: u64,
    /// Model.
    model: &'a str,
    /// The GPU that was assumed.
    gpu: &'a str,
    /// Engine and version.
    engine: &'a str,
    /// The layout that was assumed.
    parallelism: String,
    /// Most sequences in one batch.
    max_num_seqs: u64,
    /// Most tokens in one step.
    max_num_batched_tokens: u64,
    /// Type of the KV cache.
    kv: &'static str,
    /// How far the memory may lie from what is predicted, either way.
    band_gib: Digits,
    /// Settings that neither log nor user state: the engine's defaults stand in.
    assumed: &'a [&'static str],
    /// Part by part.
    parts: Vec<Cells<ComparedParts>>,
}

fn comparison_json(c: &Comparison, model: &str) -> Json {
    answer::json(&ComparisonAnswer {
        schema_version: ANSWER_VERSION,
        model,
        gpu: &c.gpu,
        engine: &c.engine,
        parallelism: c.parallelism.to_string(),
        max_num_seqs: c.limits.max_sequences,
        max_num_batched_tokens: c.limits.max_batched_tokens,
        kv: c.kv.name(),
        band_gib: Digits(c.memory.band.as_gib()),
        assumed: &c.assumed,
        parts: c.parts().iter().map(Cells::of).collect(),
    })
}

/// The JSON Schema of what `validate` answers.
pub(super) fn validation_schema() -> Json {
    schema("ValidateAnswer", &[kind::<ValidationAnswer>, kind::<ComparisonAnswer>])
}
