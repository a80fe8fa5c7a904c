//! How a checkpoint's tensors compare with ours.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use crate::model::verify::{Finding, Verification};
use crate::units::{Bytes, group_thousands};

use super::cell::Value;
use super::sheet::Sheet;

/// Most findings in the terminal's table; files have all.
const SHOWN: usize = 40;

/// The comparison as JSON.
pub fn verification_json(model: &str, v: &Verification) -> Json {
    let findings: Vec<Json> = v
        .findings
        .iter()
        .map(|f| {
            json!({"kind": f.kind.name(), "tensor": f.name, "expected": f.expected, "found": f.found,
                "layers": f.layers})
        })
        .collect();
    json!({
        "model": model,
        "agrees": v.agrees(),
        "files": v.files,
        "tensors": v.tensors,
        "agreeing": v.agreeing,
        "auxiliary": v.auxiliary,
        "passed_over": v.passed_over,
        "parameters": {"expected": v.expected_parameters, "found": v.found_parameters},
        "bytes": {"expected": v.expected_bytes, "found": v.found_bytes},
        "findings": findings,
    })
}

/// The tensors that do not agree, one kind of fault and name a row.
pub fn verification_sheet(v: &Verification) -> Sheet {
    sheet(&v.findings)
}

fn sheet(findings: &[Finding]) -> Sheet {
    let mut sheet = Sheet::new(["fault", "tensor", "layers", "expected", "found"]);
    for f in findings {
        sheet.rows.push(vec![
            f.kind.name().into(),
            Value::Text(f.name.clone()),
            Value::Text(ranges(&f.layers)),
            Value::Text(f.expected.clone()),
            Value::Text(f.found.clone()),
        ]);
    }
    sheet
}

/// The comparison for the terminal.
pub fn verification_text(model: &str, v: &Verification, width: Option<u16>) -> String {
    let mut out = format!(
        "{model}: {} tensors in {}\n\n",
        group_thousands(v.tensors),
        match v.files {
            1 => "1 file".to_owned(),
            n => format!("{n} files"),
        }
    );
    let difference = |ours: u64, theirs: u64| match i128::from(theirs) - i128::from(ours) {
        0 => "the same".to_owned(),
        d if d > 0 => format!("{} more", group_thousands(theirs - ours)),
        _ => format!("{} fewer", group_thousands(ours - theirs)),
    };
    let mut totals = Sheet::new(["", "by the configuration", "in the checkpoint", "difference"]);
    for (name, ours, theirs) in [
        ("parameters", v.expected_parameters, v.found_parameters),
        ("bytes", v.expected_bytes, v.found_bytes),
    ] {
        totals.rows.push(vec![
            name.into(),
            ours.into(),
            theirs.into(),
            Value::Text(difference(ours, theirs)),
        ]);
    }
    let _ = writeln!(out, "{}", totals.table(width));
    let _ = writeln!(
        out,
        "{} tensors agree in shape and type ({}){}{}",
        group_thousands(v.agreeing),
        Bytes::new(v.found_bytes),
        parts(v.auxiliary, "hold scales and the like of quantised weights"),
        parts(v.passed_over, "are no parameters or outside the scope"),
    );
    if v.agrees() {
        out.push_str("The checkpoint is what its configuration says.\n");
        return out;
    }
    let shown = &v.findings[..v.findings.len().min(SHOWN)];
    let _ = writeln!(out, "\n{}", sheet(shown).table(width));
    if v.findings.len() > SHOWN {
        let _ = writeln!(out, "{} more rows: --format csv shows all", v.findings.len() - SHOWN);
    }
    out
}

fn parts(count: u64, what: &str) -> String {
    if count == 0 { String::new() } else { format!("; {} {what}", group_thousands(count)) }
}

/// Ascending numbers as ranges: `0-2, 5`.
fn ranges(layers: &[u32]) -> String {
    let mut out = String::new();
    for run in layers.chunk_by(|a, b| a.checked_add(1) == Some(*b)) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
        let comma = if out.is_empty() { "" } else { ", " };
        let _ = match first == last {
            true => write!(out, "{comma}{first}"),
            false => write!(out, "{comma}{first}-{last}"),
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::ranges;

    #[test]
    fn neighbouring_layers_are_one_range() {
        assert_eq!(ranges(&[0, 1, 2, 5, 7, 8]), "0-2, 5, 7-8");
        assert_eq!(ranges(&[]), "");
    }
}
