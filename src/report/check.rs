//! Checked files: their problems, file by file.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value as Json;

use super::answer::{self, ANSWER_VERSION, kind, schema};
use super::cell::Value;
use super::format::Report;
use super::sheet::Sheet;
use crate::check::{Checked, Problem, Report as Check};
use crate::units::plural;

fn check_sheet(report: &Check) -> Sheet {
    let mut sheet = Sheet::new(["file", "kind", "line", "field", "problem", "help"]);
    for file in &report.files {
        for p in &file.problems {
            sheet.rows.push(vec![
                Value::Text(file.path.display().to_string()),
                file.kind.map_or(Value::Missing, |k| k.name().into()),
                p.line.map_or(Value::Missing, Value::Integer),
                Value::Text(p.field.clone()),
                Value::Text(p.problem.clone()),
                p.help.clone().map_or(Value::Missing, Value::Text),
            ]);
        }
    }
    sheet
}

fn check_json(report: &Check) -> Json {
    answer::json(&CheckAnswer {
        schema_version: ANSWER_VERSION,
        problems: report.problems(),
        files: report.files.iter().map(FileAnswer::from).collect(),
        skipped: report.skipped.iter().map(|path| path.display().to_string()).collect(),
    })
}

/// Files that were checked.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Check")]
struct CheckAnswer<'a> {
    /// Version of the form of answers.
    schema_version: u64,
    /// Problems in all.
    problems: usize,
    /// The files.
    files: Vec<FileAnswer<'a>>,
    /// Files that are no descriptions and were left alone.
    skipped: Vec<String>,
}

/// A file that was checked.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CheckedFile")]
struct FileAnswer<'a> {
    /// The file.
    file: String,
    /// What it describes; null where that cannot be told.
    kind: Option<&'static str>,
    /// What is wrong with it.
    problems: &'a [Problem],
}

impl<'a> From<&'a Checked> for FileAnswer<'a> {
    fn from(f: &'a Checked) -> FileAnswer<'a> {
        FileAnswer {
            file: f.path.display().to_string(),
            kind: f.kind.map(|k| k.name()),
            problems: &f.problems,
        }
    }
}

/// The JSON Schema of what `check` answers.
pub(super) fn check_schema() -> Json {
    schema("CheckAnswer", &[kind::<CheckAnswer>])
}

/// The files with problems, then how many there are; a row each problem.
pub fn check(report: &Check) -> Report {
    Report::new(check_text(report), check_json(report), check_sheet(report))
}

fn check_text(report: &Check) -> String {
    let mut text = String::new();
    let faulty = report.files.iter().filter(|f| !f.problems.is_empty());
    for file in faulty.clone() {
        let kind = file.kind.map_or(String::new(), |k| format!(" ({})", k.name()));
        let _ = writeln!(text, "{}{kind}", file.path.display());
        for p in &file.problems {
            let line = p.line.map_or("file".to_owned(), |n| format!("line {n}"));
            let field = if p.field.is_empty() { String::new() } else { format!(", {}", p.field) };
            let _ = writeln!(text, "  {line}{field}: {}", p.problem);
            if let Some(help) = &p.help {
                let _ = writeln!(text, "    help: {help}");
            }
        }
        text.push('\n');
    }
    let files = plural(report.files.len() as u64, "file");
    let _ = match report.problems() {
        0 => writeln!(text, "{files} checked, no problem"),
        n => writeln!(text, "{} in {} of {files}", plural(n as u64, "problem"), faulty.count()),
    };
    if !report.skipped.is_empty() {
        let list: Vec<String> = report.skipped.iter().map(|p| p.display().to_string()).collect();
        let _ = writeln!(text, "not descriptions, left alone: {}", list.join(", "));
    }
    text
}
