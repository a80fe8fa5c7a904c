//! Checked files: their problems, file by file.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use super::cell::Value;
use super::sheet::Sheet;
use crate::check::{Checked, Report};
use crate::units::plural;

/// One line per problem.
pub fn check_sheet(report: &Report) -> Sheet {
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

/// Every file and its problems.
pub fn check_json(report: &Report) -> Json {
    let problems = |file: &Checked| -> Vec<Json> {
        let one = |p: &crate::check::Problem| json!({ "line": p.line, "field": p.field, "problem": p.problem, "help": p.help });
        file.problems.iter().map(one).collect()
    };
    let files: Vec<Json> = report
        .files
        .iter()
        .map(|f| json!({ "file": f.path, "kind": f.kind.map(|k| k.name()), "problems": problems(f) }))
        .collect();
    json!({ "problems": report.problems(), "files": files, "skipped": report.skipped })
}

/// The files with problems, then how many there are.
pub fn check_text(report: &Report) -> String {
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
