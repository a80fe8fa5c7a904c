//! What questions are asked of, how answers are written, and what they are then.

use serde_json::{Map, Value};

use crate::catalog::Catalog;
use crate::diagnostic::Diagnostic;
use crate::hub::Hub;
use crate::launch::artefact::File;
use crate::report::{self, Format, Report};
use crate::search::Stop;

/// What a question is asked of, and by what it may be ended.
#[derive(Clone, Debug)]
pub struct Setting<'a> {
    /// Descriptions by name.
    pub catalog: &'a Catalog,
    /// The hub that may be asked for models.
    pub hub: Hub,
    /// When a search ends with the best found by then.
    pub stop: Stop<'a>,
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Its format.
    pub format: Format,
    /// Width that a table may fill; unlimited where there is none.
    pub width: Option<u16>,
    /// Whether a table that names plans also lists why the others fell; formats for programs always do.
    pub why: bool,
}

impl View {
    /// For programs.
    pub const JSON: View = View::new(Format::Json, None);

    /// A report in the format and the width.
    ///
    /// # Errors
    /// As [`Report::written`].
    pub fn written(&self, report: &Report) -> Result<String, Diagnostic> {
        report.written(self.format, self.width)
    }

    /// A format in a width, without what is told on request alone.
    pub const fn new(format: Format, width: Option<u16>) -> View {
        View { format, width, why: false }
    }
}

/// An answer as it is written.
#[derive(Clone, Debug)]
pub enum Answered {
    /// A text, and whether anything was found.
    Text {
        /// The text.
        text: String,
        /// Whether there is a feasible plan, fleet or run.
        found: bool,
    },
    /// The files that start a plan.
    Files(Vec<File>),
}

impl Answered {
    /// A text about what was found.
    pub fn found(text: String) -> Answered {
        Answered::Text { text, found: true }
    }

    /// Whether there is a feasible plan, fleet or run.
    pub fn is_found(&self) -> bool {
        match self {
            Answered::Text { found, .. } => *found,
            Answered::Files(_) => true,
        }
    }

    /// The text, with one line break at its end; files as JSON, each with its name.
    pub fn text(&self) -> String {
        let mut text = match self {
            Answered::Text { text, .. } => text.trim_end_matches('\n').to_owned(),
            Answered::Files(files) => {
                format!("{:#}", report::files_json(files))
            }
        };
        text.push('\n');
        text
    }

    /// An answer in JSON for who pays for what is read: on one line, without what is null, and without the front, which is
    /// most of a plan's answer, unless the request draws one with `pareto`.
    pub fn brief(&self, request: &Map<String, Value>) -> String {
        let text = self.text();
        // What is no JSON is short already: a command's own words.
        let Ok(answer) = serde_json::from_str::<Value>(&text) else { return text };
        format!("{}\n", shortened(answer, request.contains_key("pareto")))
    }
}

/// The same without what is null, and without fronts unless they are wanted.
fn shortened(answer: Value, fronts: bool) -> Value {
    match answer {
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(name, value)| !value.is_null() && (fronts || name != "pareto"))
            .map(|(name, value)| (name, shortened(value, fronts)))
            .collect(),
        Value::Array(list) => list.into_iter().map(|value| shortened(value, fronts)).collect(),
        other => other,
    }
}
