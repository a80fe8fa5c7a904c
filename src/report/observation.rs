//! What was seen of a server beside what is predicted for it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value as Json;

use super::answer::{self, ANSWER_VERSION, Names, kind, schema};
use super::cell::Value;
use super::format::Report;
use super::page::Page;
use super::sheet::Sheet;
use crate::observe::{Compared, Figures, Observation, Observed};

/// The figures of all observations, a row each.
fn observation_sheet(observed: &[Observed]) -> Sheet {
    let names =
        ["source", "figure", "measured", "predicted", "difference_pct", "low", "high", "within", "meaning"];
    let mut sheet = Sheet::new(names);
    for o in observed {
        for c in &o.compared {
            let real = |value: Option<f64>| value.map_or(Value::Missing, Value::from);
            sheet.rows.push(vec![
                Value::Text(o.seen.source.clone()),
                c.figure.column.into(),
                real(c.measured),
                real(c.predicted),
                real(difference(c)),
                real(c.range.map(|r| r.0)),
                real(c.range.map(|r| r.1)),
                c.within().map_or(Value::Missing, |within| if within { "yes" } else { "no" }.into()),
                c.figure.meaning.into(),
            ]);
        }
    }
    sheet
}

fn difference(c: &Compared) -> Option<f64> {
    c.ratio().map(|ratio| 100.0 * (ratio - 1.0))
}

/// For JSON: a list of observations.
fn observation_json(observed: &[Observed]) -> Json {
    answer::json(&ObservationsAnswer {
        schema_version: ANSWER_VERSION,
        observations: observed.iter().map(ObservedAnswer::from).collect(),
    })
}

/// What was seen of a server beside what is predicted for it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Observations")]
struct ObservationsAnswer<'a> {
    /// Version of the form of answers.
    schema_version: u64,
    /// Each load.
    observations: Vec<ObservedAnswer<'a>>,
}

/// A server under a load.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Observation")]
struct ObservedAnswer<'a> {
    /// Where it was seen: an address, or a file with the row's name.
    source: &'a str,
    /// The model as the server or the file names it.
    model: &'a Option<String>,
    /// The engine's version as the server tells it.
    version: &'a Option<String>,
    /// What it was predicted for: engine, plan, GPUs.
    predicted_for: &'a str,
    /// Prompt tokens of a request, mean.
    isl: f64,
    /// Output tokens of a request, mean.
    osl: f64,
    /// Requests in flight, of a closed loop.
    concurrency: Option<u64>,
    /// Requests per second, of an open loop.
    rate: Option<f64>,
    /// Requests that were answered.
    answered: u64,
    /// Requests that failed, by why.
    failures: &'a BTreeMap<String, u64>,
    /// What is compared, by its column in measured rows.
    figures: Names<ComparedAnswer>,
    /// What explains the differences.
    explanations: Vec<ExplanationOf<'a>>,
    /// What to know of what was seen.
    notes: &'a [String],
}

/// A figure that is compared.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ComparedFigure")]
struct ComparedAnswer {
    /// As measured.
    measured: Option<f64>,
    /// As predicted.
    predicted: Option<f64>,
    /// How much more was measured than predicted, in per cent.
    difference_pct: Option<f64>,
    /// Eight of ten measured servers of such a model and engine lie from here.
    low: Option<f64>,
    /// To here.
    high: Option<f64>,
    /// Whether what was measured does.
    within: Option<bool>,
}

/// What explains a difference.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ExplanationOfDifference")]
struct ExplanationOf<'a> {
    /// In a sentence.
    says: &'a str,
    /// What is predicted with it, by column; null where it was not put in.
    predicted: &'a Option<Figures>,
}

impl From<&Compared> for ComparedAnswer {
    fn from(c: &Compared) -> ComparedAnswer {
        ComparedAnswer {
            measured: c.measured,
            predicted: c.predicted,
            difference_pct: difference(c),
            low: c.range.map(|r| r.0),
            high: c.range.map(|r| r.1),
            within: c.within(),
        }
    }
}

impl<'a> From<&'a Observed> for ObservedAnswer<'a> {
    fn from(o: &'a Observed) -> ObservedAnswer<'a> {
        let seen = &o.seen;
        let figure = |c: &Compared| (c.figure.column.to_owned(), c.into());
        ObservedAnswer {
            source: &seen.source,
            model: &seen.model,
            version: &seen.version,
            predicted_for: &o.subject,
            isl: seen.isl,
            osl: seen.osl,
            concurrency: seen.concurrency,
            rate: seen.rate,
            answered: seen.answered,
            failures: &seen.failures,
            figures: o.compared.iter().map(figure).collect(),
            explanations: o
                .explanations
                .iter()
                .map(|e| ExplanationOf { says: &e.says, predicted: &e.predicted })
                .collect(),
            notes: &seen.notes,
        }
    }
}

/// The JSON Schema of what `observe` answers.
pub(super) fn observation_schema() -> Json {
    schema("ObserveAnswer", &[kind::<ObservationsAnswer>])
}

/// Observations beside what is predicted for them, and what explains the differences.
pub fn observation(observed: &[Observed]) -> Report {
    let mut page = Page::default();
    for (n, o) in observed.iter().enumerate() {
        page.push_str(if n > 0 { "\n" } else { "" });
        page.append(one_page(o));
    }
    Report::new(page, observation_json(observed), observation_sheet(observed))
}

fn load(seen: &Observation) -> String {
    match (seen.concurrency, seen.rate) {
        (Some(n), _) => format!("{n} in flight"),
        (None, Some(rate)) => format!("{} requests/s", short(rate)),
        (None, None) => "all at once".to_owned(),
    }
}

fn one_page(o: &Observed) -> Page {
    let seen = &o.seen;
    let mut out = Page::from(format!(
        "{}{}: {} requests answered, {}, {:.0} prompt and {:.0} output tokens\n",
        seen.source,
        seen.model.as_ref().map_or(String::new(), |m| format!(" ({m})")),
        seen.answered,
        load(seen),
        seen.isl,
        seen.osl
    ));
    let _ = write!(out, "predicted for {}\n\n", o.subject);
    let mut sheet =
        Sheet::new(["figure", "measured", "predicted", "difference", "8 of 10 lie in", "meaning"]);
    for c in &o.compared {
        let real = |value: Option<f64>| value.map_or(Value::Missing, Value::from);
        let range =
            c.range.map_or("-".to_owned(), |(low, high)| format!("{} to {}", short(low), short(high)));
        sheet.rows.push(vec![
            c.figure.column.into(),
            real(c.measured),
            real(c.predicted),
            difference(c).map_or(Value::Missing, Value::Change),
            Value::Text(range),
            c.figure.meaning.into(),
        ]);
    }
    out.table(sheet);
    for (why, n) in &seen.failures {
        let _ = writeln!(out, "failed: {n} × {why}");
    }
    for note in &seen.notes {
        let _ = writeln!(out, "note: {note}");
    }
    out.push_str("What explains it:\n");
    for e in &o.explanations {
        let _ = writeln!(out, "  {}", e.says);
        if let Some(with) = &e.predicted {
            let _ = writeln!(out, "    with that predicted: {}", figures(with));
        }
    }
    out
}

fn figures(figures: &Figures) -> String {
    let named =
        [("ttft_ms", "TTFT", " ms"), ("tpot_ms", "TPOT", " ms"), ("output_tok_s", "", " output tokens/s")];
    let said = named.iter().filter_map(|(column, name, unit)| {
        let value = figures.get(column)?;
        Some(format!("{name}{}{}{unit}", if name.is_empty() { "" } else { " " }, short(*value)))
    });
    said.collect::<Vec<_>>().join(", ")
}

/// A figure in three digits.
fn short(x: f64) -> String {
    match x.abs() {
        x if x >= 100.0 => crate::units::group_thousands(x.round() as u64),
        10.0.. => format!("{x:.1}"),
        _ => format!("{x:.2}"),
    }
}
