//! Sheets of rows and columns, and the formats they are written in.

use std::str::FromStr;

use serde_json::{Map, Value as Json};

use crate::diagnostic::{Code, Diagnostic};
use crate::load;

use super::columns::Value;
use super::draw::wrap;
use super::json::round;

/// Output formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For the terminal.
    Table,
    /// Comma-separated values.
    Csv,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// Markdown.
    Markdown,
}

impl Format {
    /// Names as on the command line.
    pub const NAMES: [&'static str; 5] = ["table", "csv", "json", "yaml", "md"];

    /// Writes a result: `text` for people, at most `width` wide; `json` also for YAML; `sheet` for CSV
    /// and Markdown.
    ///
    /// # Errors
    /// Those of the part that is asked for.
    pub fn write(
        self,
        width: Option<u16>,
        text: impl FnOnce() -> Result<String, Diagnostic>,
        json: impl FnOnce() -> Result<Json, Diagnostic>,
        sheet: impl FnOnce() -> Result<Sheet, Diagnostic>,
    ) -> Result<String, Diagnostic> {
        match self {
            Format::Table => Ok(wrap(&text()?, width)),
            Format::Json => Ok(format!("{:#}", json()?)),
            Format::Yaml => load::to_yaml(&json()?),
            Format::Csv => sheet()?.csv(),
            Format::Markdown => Ok(sheet()?.markdown()),
        }
    }
}

impl FromStr for Format {
    type Err = Diagnostic;
    fn from_str(text: &str) -> Result<Self, Diagnostic> {
        match text {
            "table" => Ok(Format::Table),
            "csv" => Ok(Format::Csv),
            "json" => Ok(Format::Json),
            "yaml" => Ok(Format::Yaml),
            "md" => Ok(Format::Markdown),
            _ => Err(Diagnostic::unknown(
                "format",
                text,
                Format::NAMES,
                &format!("allowed: {}", Format::NAMES.join(", ")),
            )),
        }
    }
}

/// Rows under named columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sheet {
    /// Column names.
    pub columns: Vec<String>,
    /// Cells, row by row.
    pub rows: Vec<Vec<Value>>,
    /// Columns that a terminal too narrow for all can do without, the first to go first.
    pub spare: Vec<&'static str>,
}

impl Sheet {
    /// An empty sheet.
    pub fn new(columns: impl IntoIterator<Item = impl Into<String>>) -> Sheet {
        Sheet { columns: columns.into_iter().map(Into::into).collect(), rows: Vec::new(), spare: Vec::new() }
    }

    /// As comma-separated values (RFC 4180).
    ///
    /// # Errors
    /// Never in practice: writing to memory.
    pub fn csv(&self) -> Result<String, Diagnostic> {
        let fail = |e: String| Diagnostic::new(Code::File, format!("cannot write CSV: {e}"));
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(&self.columns).map_err(|e| fail(e.to_string()))?;
        for row in &self.rows {
            let cells: Vec<String> = row.iter().map(plain).collect();
            writer.write_record(&cells).map_err(|e| fail(e.to_string()))?;
        }
        let bytes = writer.into_inner().map_err(|e| fail(e.to_string()))?;
        String::from_utf8(bytes).map_err(|e| fail(e.to_string()))
    }

    /// As a list of JSON objects.
    pub fn json(&self) -> Json {
        let object = |row: &Vec<Value>| {
            let pairs = self.columns.iter().cloned().zip(row.iter().map(to_json));
            Json::Object(pairs.collect::<Map<_, _>>())
        };
        Json::Array(self.rows.iter().map(object).collect())
    }

    /// A value of any shape as two columns, nested names joined by dots and lists of plain values on one
    /// line.
    pub fn of_json(json: &Json) -> Sheet {
        let mut sheet = Sheet::new(["figure", "value"]);
        flatten("", json, &mut sheet);
        sheet
    }
}

fn flatten(name: &str, value: &Json, sheet: &mut Sheet) {
    let below = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
    let nested = |v: &Json| v.is_object() || v.is_array();
    let cell = match value {
        Json::Object(map) => return map.iter().for_each(|(k, v)| flatten(&below(k), v, sheet)),
        Json::Array(list) if list.iter().any(nested) => {
            return list.iter().zip(1..).for_each(|(v, n)| flatten(&below(&n.to_string()), v, sheet));
        }
        Json::Array(list) => Value::Text(list.iter().map(bare).collect::<Vec<_>>().join(", ")),
        Json::Null => Value::Missing,
        Json::Number(n) => match (n.as_u64(), n.as_f64()) {
            (Some(whole), _) => whole.into(),
            (None, Some(real)) => real.into(),
            (None, None) => Value::Text(n.to_string()),
        },
        Json::Bool(_) | Json::String(_) => Value::Text(bare(value)),
    };
    sheet.rows.push(vec![Value::Text(name.to_owned()), cell]);
}

/// A plain value without quotes.
fn bare(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A cell as JSON.
pub(super) fn to_json(value: &Value) -> Json {
    match value {
        Value::Text(text) => Json::from(text.as_str()),
        Value::Verdict(verdict) => Json::from(verdict.name()),
        Value::Integer(n) => Json::from(*n),
        Value::Real(x) | Value::Change(x) => round(*x),
        Value::Missing => Json::Null,
    }
}

/// A cell as CSV: the same digits as in JSON, nothing where the value is missing.
fn plain(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Verdict(verdict) => verdict.name().to_owned(),
        Value::Missing => String::new(),
        other => to_json(other).to_string(),
    }
}

/// A cell for people: three or four significant digits.
pub(super) fn short(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Verdict(verdict) => verdict.name().to_owned(),
        Value::Integer(n) => crate::units::group_thousands(*n),
        Value::Missing => "-".into(),
        Value::Change(x) => format!("{x:+.0} %"),
        Value::Real(x) if x.abs() >= 1000.0 => crate::units::group_thousands(x.round() as u64),
        Value::Real(x) if x.fract() == 0.0 => format!("{x:.0}"),
        Value::Real(x) if x.abs() >= 100.0 => format!("{x:.0}"),
        Value::Real(x) if x.abs() >= 10.0 => format!("{x:.1}"),
        Value::Real(x) => format!("{x:.2}"),
    }
}
