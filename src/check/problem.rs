//! What is wrong with a file.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;

use super::kind::Kind;
use crate::diagnostic::Diagnostic;

/// One thing that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Problem {
    /// Line in the file, where it is known.
    pub line: Option<u64>,
    /// Field, for example `memory.fraction`; empty for the file as a whole.
    pub field: String,
    /// What is wrong.
    pub problem: String,
    /// What is allowed, or the nearest valid name.
    pub help: Option<String>,
}

/// A file that was checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// The file.
    pub path: PathBuf,
    /// What it describes, if that could be told.
    pub kind: Option<Kind>,
    /// What is wrong with it, in the order of its lines.
    pub problems: Vec<Problem>,
}

impl From<Diagnostic> for Problem {
    fn from(diagnostic: Diagnostic) -> Problem {
        let (field, help) = (diagnostic.field.unwrap_or_default(), diagnostic.help);
        // The field and the line have columns of their own.
        let cause = diagnostic.cause.lines().next().unwrap_or_default();
        let cause = match cause.strip_prefix("line ").and_then(|rest| rest.split_once(": ")) {
            Some((_, cause)) => cause,
            None => cause,
        };
        let problem = cause.strip_prefix(&format!("{field}: ")).unwrap_or(cause).to_owned();
        Problem { line: None, field, problem, help }
    }
}
