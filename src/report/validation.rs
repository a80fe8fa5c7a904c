//! Validation as metrics, and as the file with predictions beside the measurements.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value as Json, json};

use crate::validate::memory::{Comparison, Spread, Worst};
use crate::validate::{Choice, Metric, Validation};

use super::cell::{Value, round};
use super::sheet::Sheet;

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
        "worst": worst_sheet(&v.worst).json(),
        "bands": spreads_sheet(&v.spreads).json(),
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
            "median_ae": round(m.median_ae), "mae": round(m.mae), "within_range": m.within.map(round),
        })
    };
    Json::Object(metrics.iter().map(|(column, m)| (column.clone(), one(m))).collect())
}

/// One line per metric and group.
pub fn metrics_sheet(v: &Validation) -> Sheet {
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

/// Metrics, and why rows were skipped.
pub fn validation_text(v: &Validation, width: Option<u16>) -> String {
    let mut out = format!("{} rows, {} predicted\n\n", v.table.len(), v.predicted());
    if v.one_by_one {
        let _ = writeln!(out, "{}\n", runs_sheet(v).table(width));
    }
    if !v.one_by_one || v.table.len() > 1 {
        let _ = writeln!(out, "{}", metrics_sheet(v).table(width));
    }
    if !v.worst.is_empty() {
        let _ = writeln!(out, "\nFurthest off, in GiB, and the measured part that is off most:");
        let _ = writeln!(out, "{}", worst_sheet(&v.worst).table(width));
        for w in &v.worst {
            let _ = writeln!(out, "{}: {}", w.id, w.explanation());
        }
        out.push('\n');
    }
    if !v.spreads.is_empty() {
        let _ = writeln!(
            out,
            "KV cache off by, GiB, where the configuration is known, and the uncertainty that verdicts use:"
        );
        let _ = writeln!(out, "{}", spreads_sheet(&v.spreads).table(width));
    }
    if !v.choices.is_empty() {
        let _ = writeln!(out, "layouts chosen by prediction\n{}", choices_sheet(&v.choices).table(width));
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
fn worst_sheet(worst: &[Worst]) -> Sheet {
    let mut sheet = Sheet::new([
        "id",
        "engine",
        "model",
        "metric",
        "measured",
        "predicted",
        "off",
        "part",
        "part off",
        "not stated",
    ]);
    sheet.spare = vec!["metric", "model", "engine", "predicted"];
    for w in worst {
        sheet.rows.push(vec![
            w.id.as_str().into(),
            w.engine.as_str().into(),
            w.model.as_str().into(),
            w.column.into(),
            w.measured.into(),
            w.predicted.into(),
            w.difference().into(),
            w.part.map_or(Value::Missing, |(name, _)| name.into()),
            w.part.map_or(Value::Missing, |(_, off)| off.into()),
            Value::Text(w.assumed.join(", ")),
        ]);
    }
    sheet
}

/// The residuals by engine and version.
fn spreads_sheet(spreads: &[Spread]) -> Sheet {
    let mut sheet = Sheet::new(["engine", "version", "servers", "median_gib", "worst_gib", "band_gib"]);
    for s in spreads {
        let sizes = [s.median, s.worst, s.band].map(Value::from);
        let names = [s.engine.as_str().into(), s.version.as_str().into(), (s.servers as u64).into()];
        sheet.rows.push(names.into_iter().chain(sizes).collect());
    }
    sheet
}

/// A log beside its prediction, part by part.
pub fn comparison_sheet(c: &Comparison) -> Sheet {
    let mut sheet = Sheet::new(["part", "logged", "predicted", "difference", "difference %"]);
    for part in c.parts() {
        let difference = part.logged.map(|logged| part.predicted - logged);
        let percent = part.logged.filter(|x| *x != 0.0).zip(difference).map(|(x, d)| 100.0 * d / x.abs());
        let number = |x: Option<f64>| x.map_or(Value::Missing, Value::from);
        let cells = [part.logged, Some(part.predicted), difference, percent];
        sheet.rows.push([Value::from(part.part)].into_iter().chain(cells.map(number)).collect());
    }
    sheet
}

/// The same with what was taken for the launch.
pub fn comparison_text(c: &Comparison, model: &str, width: Option<u16>) -> String {
    let mut out = format!(
        "{model} on {} ({}), {}, {}: {} sequences, {} tokens a step, {} cache\n\n{}\n",
        c.gpu,
        c.memory.capacity,
        c.engine,
        c.parallelism,
        c.limits.max_sequences,
        c.limits.max_batched_tokens,
        c.kv,
        comparison_sheet(c).table(width)
    );
    let _ = writeln!(out, "The prediction is uncertain by {}.", c.memory.band);
    if !c.assumed.is_empty() {
        let _ = writeln!(out, "Not in the log, so the engine's default: {}.", c.assumed.join(", "));
    }
    out
}

/// The same as JSON.
pub fn comparison_json(c: &Comparison, model: &str) -> Json {
    json!({
        "model": model,
        "gpu": c.gpu,
        "engine": c.engine,
        "parallelism": c.parallelism.to_string(),
        "max_num_seqs": c.limits.max_sequences,
        "max_num_batched_tokens": c.limits.max_batched_tokens,
        "kv": c.kv.name(),
        "band_gib": round(c.memory.band.as_gib()),
        "assumed": c.assumed,
        "parts": comparison_sheet(c).json(),
    })
}
