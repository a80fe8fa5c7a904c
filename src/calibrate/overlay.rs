//! A calibration as a file of the user's catalogue.

use std::fmt::Write as _;

use super::coefficients::{Coefficients, Field, Unit};
use super::outcome::{Calibration, Group, Outcome};

/// Tables in the order of files.
const TABLES: [&str; 6] =
    ["gemm", "prefill_attention", "decode_attention", "latent_prefill", "latent_decode", "grouped_gemm"];

/// Tables that belong to a link.
const OF_LINKS: [&str; 2] = ["collective", "custom_all_reduce"];

/// The new coefficients as `kernels/<id>.yaml`; `None` when there are none.
pub fn overlay(calibration: &Calibration, source: &str) -> Option<String> {
    let id = calibration.subject.id();
    let mut out = format!("id: {id}\nname: {}\n", quoted(&format!("{id} as calibrated")));
    out +=
        "# Errors in per cent are those of fits to other rows; `range` holds the sizes that were measured.\n";
    let _ = writeln!(out, "kernels:\n  source: {}", quoted(source));
    let kernels = tables(calibration, &TABLES, "  ");
    let links = if calibration.through_host {
        let inner = tables(calibration, &OF_LINKS, "    ");
        if inner.is_empty() { inner } else { format!("  through_host:\n{inner}") }
    } else {
        tables(calibration, &OF_LINKS, "  ")
    };
    (!kernels.is_empty() || !links.is_empty()).then(|| out + &kernels + &links)
}

/// The new coefficients of these tables, indented.
fn tables(calibration: &Calibration, names: &[&str], indent: &str) -> String {
    let mut out = String::new();
    for table in names {
        let mut engine = "";
        let of_table = calibration.groups.iter().filter(|g| g.key.table == *table);
        let fitted = of_table.filter_map(|g| match g.outcome {
            Outcome::Fitted(coefficients) => Some((g, coefficients)),
            _ => None,
        });
        for (group, coefficients) in fitted {
            if engine.is_empty() {
                let _ = writeln!(out, "{indent}{table}:");
            }
            if engine != group.key.engine {
                engine = &group.key.engine;
                let _ = writeln!(out, "{indent}  {engine}:");
            }
            let _ = writeln!(out, "{indent}    {}: {{{}}}", quoted(&name(group)), body(&coefficients));
        }
    }
    out
}

/// `FORMAT`, or `FORMAT/KERNEL`.
pub fn name(group: &Group) -> String {
    match &group.key.kernel {
        Some(kernel) => format!("{}/{kernel}", group.key.format),
        None => group.key.format.clone(),
    }
}

fn body(coefficients: &Coefficients) -> String {
    let fields = coefficients.fields();
    let written = |(field, number): (&Field, &Option<f64>)| {
        let digits = digits((*number)?);
        let unit = if field.unit == Unit::Micros { " us" } else { "" };
        Some(format!("{}: {digits}{unit}", field.name))
    };
    let numbers = coefficients.numbers();
    let mut parts: Vec<String> = fields.iter().zip(&numbers).filter_map(written).collect();
    let (error, range) = coefficients.noted();
    if let Some(e) = error {
        parts.push(format!(
            "error: {{median: {:.1}, mean: {:.1}, p90: {:.1}, points: {}}}",
            e.median, e.mean, e.p90, e.points
        ));
    }
    if let Some(range) = range {
        parts.push(format!("range: {{from: {}, to: {}}}", range.from, range.to));
    }
    parts.join(", ")
}

/// Four significant digits.
fn digits(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let places = (3 - value.abs().log10().floor() as i32).clamp(0, 8) as usize;
    let text = format!("{value:.places$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A text in YAML: as it is where nothing in it could mean something else.
pub(super) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '/' | '-' | '.' | ' ');
    let safe = text.chars().all(plain) && text.starts_with(|c: char| c.is_ascii_alphabetic());
    if safe { text.to_owned() } else { format!("{:?}", text) }
}
