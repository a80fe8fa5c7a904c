//! How a checkpoint's tensors compare with ours.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value as Json;

use crate::model::verify::{Finding, Verification};
use crate::units::{Bytes, group_thousands};

use super::answer::{self, ANSWER_VERSION, kind, schema};
use super::cell::Value;
use super::format::Report;
use super::page::Page;
use super::sheet::Sheet;

/// Most findings in the terminal's table; files have all.
const SHOWN: usize = 40;

/// The comparison as JSON.
fn verification_json(model: &str, v: &Verification) -> Json {
    answer::json(&VerificationAnswer {
        schema_version: ANSWER_VERSION,
        model,
        agrees: v.agrees(),
        files: v.files,
        tensors: v.tensors,
        agreeing: v.agreeing,
        auxiliary: v.auxiliary,
        passed_over: v.passed_over,
        parameters: Pair { expected: v.expected_parameters, found: v.found_parameters },
        bytes: Pair { expected: v.expected_bytes, found: v.found_bytes },
        findings: v.findings.iter().map(FindingAnswer::from).collect(),
    })
}

/// How a checkpoint's tensors compare with what its configuration says.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Verification")]
struct VerificationAnswer<'a> {
    /// Version of the form of answers.
    schema_version: u64,
    /// Model.
    model: &'a str,
    /// Whether everything agrees.
    agrees: bool,
    /// Files that were read.
    files: u64,
    /// Tensors in them.
    tensors: u64,
    /// Of these, weights that agree in shape and type.
    agreeing: u64,
    /// Of these, scales, zero points and the like of quantised weights.
    auxiliary: u64,
    /// Of these, what is no parameter or outside the scope.
    passed_over: u64,
    /// Parameters.
    parameters: Pair,
    /// Bytes.
    bytes: Pair,
    /// What does not agree.
    findings: Vec<FindingAnswer<'a>>,
}

/// A count by the configuration and in the checkpoint.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ExpectedAndFound")]
struct Pair {
    /// By the configuration.
    expected: u64,
    /// In the checkpoint.
    found: u64,
}

/// Tensors that do not agree, the same in all of the layers.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Finding")]
struct FindingAnswer<'a> {
    /// What is wrong.
    kind: &'static str,
    /// Name inside the layer, or of the tensor outside.
    tensor: &'a str,
    /// Shape or type by the configuration.
    expected: &'a str,
    /// Shape or type in the checkpoint.
    found: &'a str,
    /// The layers in which it is so; empty outside the layers.
    layers: &'a [u32],
}

impl<'a> From<&'a Finding> for FindingAnswer<'a> {
    fn from(f: &'a Finding) -> FindingAnswer<'a> {
        let Finding { kind, name, expected, found, layers } = f;
        FindingAnswer { kind: kind.name(), tensor: name, expected, found, layers }
    }
}

/// The JSON Schema of what `inspect --verify` answers.
pub(super) fn verification_schema() -> Json {
    schema("VerifyAnswer", &[kind::<VerificationAnswer>])
}

/// A checkpoint beside what its configuration says: the tensors that do not agree, one kind of fault and name a row.
pub fn verification(model: &str, v: &Verification) -> Report {
    Report::new(verification_page(model, v), verification_json(model, v), sheet(&v.findings))
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

fn verification_page(model: &str, v: &Verification) -> Page {
    let mut out = Page::from(format!(
        "{model}: {} tensors in {}\n\n",
        group_thousands(v.tensors),
        match v.files {
            1 => "1 file".to_owned(),
            n => format!("{n} files"),
        }
    ));
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
    out.table(totals);
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
    out.push_str("\n");
    out.table(sheet(shown));
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
