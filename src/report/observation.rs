//! What was seen of a server beside what is predicted for it.

use serde_json::{Map, Value as Json, json};

use super::cell::Value;
use super::draw::wrap;
use super::sheet::Sheet;
use crate::observe::{Compared, Figures, Observation, Observed};

/// The figures of all observations, a row each.
pub fn observation_sheet(observed: &[Observed]) -> Sheet {
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
pub fn observation_json(observed: &[Observed]) -> Json {
    let all: Vec<Json> = observed.iter().map(one_json).collect();
    json!({ "observations": all })
}

fn one_json(o: &Observed) -> Json {
    let figures: Map<String, Json> = o
        .compared
        .iter()
        .map(|c| {
            let row = json!({
                "measured": c.measured,
                "predicted": c.predicted,
                "difference_pct": difference(c),
                "low": c.range.map(|r| r.0),
                "high": c.range.map(|r| r.1),
                "within": c.within(),
            });
            (c.figure.column.to_owned(), row)
        })
        .collect();
    let explanations: Vec<Json> =
        o.explanations.iter().map(|e| json!({ "says": e.says, "predicted": e.predicted })).collect();
    let seen = &o.seen;
    json!({
        "source": seen.source,
        "model": seen.model,
        "version": seen.version,
        "predicted_for": o.subject,
        "isl": seen.isl,
        "osl": seen.osl,
        "concurrency": seen.concurrency,
        "rate": seen.rate,
        "answered": seen.answered,
        "failures": seen.failures,
        "figures": figures,
        "explanations": explanations,
        "notes": seen.notes,
    })
}

/// For people.
pub fn observation_text(observed: &[Observed], width: Option<u16>) -> String {
    observed.iter().map(|o| one_text(o, width)).collect::<Vec<_>>().join("\n")
}

fn load(seen: &Observation) -> String {
    match (seen.concurrency, seen.rate) {
        (Some(n), _) => format!("{n} in flight"),
        (None, Some(rate)) => format!("{} requests/s", short(rate)),
        (None, None) => "all at once".to_owned(),
    }
}

fn one_text(o: &Observed, width: Option<u16>) -> String {
    let seen = &o.seen;
    let mut out = format!(
        "{}{}: {} requests answered, {}, {:.0} prompt and {:.0} output tokens\n",
        seen.source,
        seen.model.as_ref().map_or(String::new(), |m| format!(" ({m})")),
        seen.answered,
        load(seen),
        seen.isl,
        seen.osl
    );
    out += &format!("predicted for {}\n\n", o.subject);
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
    out += &sheet.table(width);
    out += "\n";
    for (why, n) in &seen.failures {
        out += &format!("failed: {n} × {why}\n");
    }
    for note in &seen.notes {
        out += &wrap(&format!("note: {note}"), width);
        out += "\n";
    }
    out += "What explains it:\n";
    for e in &o.explanations {
        out += &wrap(&format!("  {}", e.says), width);
        out += "\n";
        if let Some(with) = &e.predicted {
            out += &format!("    with that predicted: {}\n", figures(with));
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
