//! Validation as metrics, and as the file with predictions beside the measurements.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value as Json, json};

use crate::validate::{Choice, Metric, Validation};

use super::columns::Value;
use super::format::Sheet;
use super::json::round;

/// Metrics, skipped rows and groups; names are fixed.
pub fn validation_json(v: &Validation) -> Json {
    let skipped: Vec<Json> = v
        .predictions
        .iter()
        .enumerate()
        .filter_map(|(i, p)| p.as_ref().err().map(|why| json!({ "id": v.table.row(i).id(), "reason": why })))
        .collect();
    let groups: Map<String, Json> = v.groups.iter().map(|(k, m)| (k.clone(), metrics_json(m))).collect();
    json!({
        "rows": v.table.len(),
        "predicted": v.predicted(),
        "skipped": skipped,
        "metrics": metrics_json(&v.metrics),
        "groups": groups,
        "choices": choices_json(&v.choices),
    })
}

fn choices_json(choices: &[Choice]) -> Json {
    let one = |c: &Choice| {
        json!({
            "tpot_limit_ms": c.limit, "groups": c.groups, "loss_percent": round(c.loss),
            "broken_percent": round(c.broken),
        })
    };
    choices.iter().map(one).collect()
}

fn choices_sheet(choices: &[Choice]) -> Sheet {
    let mut sheet = Sheet::new(["TPOT limit ms", "groups", "throughput lost %", "limit broken %"]);
    for c in choices {
        sheet.rows.push(vec![c.limit.into(), (c.groups as u64).into(), c.loss.into(), c.broken.into()]);
    }
    sheet
}

fn metrics_json(metrics: &BTreeMap<String, Metric>) -> Json {
    let one = |m: &Metric| {
        json!({
            "n": m.n, "mape": round(m.mape), "median_ape": round(m.median_ape),
            "p90_ape": round(m.p90_ape), "bias": round(m.bias), "rank": round(m.rank),
        })
    };
    Json::Object(metrics.iter().map(|(column, m)| (column.clone(), one(m))).collect())
}

/// One line per metric and group.
pub fn metrics_sheet(v: &Validation) -> Sheet {
    let mut sheet = Sheet::new(["group", "metric", "n", "median %", "mean %", "p90 %", "bias %", "rank"]);
    let mut add = |group: &str, metrics: &BTreeMap<String, Metric>| {
        for (name, m) in metrics {
            sheet.rows.push(vec![
                group.into(),
                name.as_str().into(),
                (m.n as u64).into(),
                m.median_ape.into(),
                m.mape.into(),
                m.p90_ape.into(),
                m.bias.into(),
                m.rank.into(),
            ]);
        }
    };
    add("all", &v.metrics);
    v.groups.iter().for_each(|(group, metrics)| add(group, metrics));
    sheet
}

/// Metrics, and why rows were skipped.
pub fn validation_text(v: &Validation, width: Option<u16>) -> String {
    let mut out = format!("{} rows, {} predicted\n\n", v.table.len(), v.predicted());
    let _ = writeln!(out, "{}", metrics_sheet(v).table(width));
    if !v.choices.is_empty() {
        let _ = writeln!(out, "layouts chosen by prediction\n{}", choices_sheet(&v.choices).table(width));
    }
    let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
    for why in v.predictions.iter().filter_map(|p| p.as_ref().err()) {
        *reasons.entry(why).or_default() += 1;
    }
    for (why, count) in reasons {
        let _ = writeln!(out, "skipped {count}: {why}");
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
