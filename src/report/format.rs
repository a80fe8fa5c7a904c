//! Sheets of rows and columns, and the formats they are written in.

use std::path::Path;
use std::str::FromStr;

use serde_json::{Map, Value as Json};

use crate::diagnostic::{Code, Diagnostic, brief};
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

    /// Extensions of files, in lower case, and the format that each stands for; `txt` is the terminal's.
    pub const EXTENSIONS: [(&'static str, Format); 8] = [
        ("csv", Format::Csv),
        ("json", Format::Json),
        ("yaml", Format::Yaml),
        ("yml", Format::Yaml),
        ("md", Format::Markdown),
        ("markdown", Format::Markdown),
        ("txt", Format::Table),
        ("text", Format::Table),
    ];

    /// The format that a file's extension stands for; `None` where it has no extension.
    ///
    /// # Errors
    /// [`Code::UnknownName`] naming every extension that is known.
    pub fn of_file(path: &Path) -> Result<Option<Format>, Diagnostic> {
        let Some(extension) = path.extension().map(|e| e.to_string_lossy().to_lowercase()) else {
            return Ok(None);
        };
        let found = Format::EXTENSIONS.iter().find(|(known, _)| *known == extension);
        found.map(|(_, format)| Some(*format)).ok_or_else(|| {
            let known = Format::EXTENSIONS.map(|(known, _)| format!(".{known}")).join(", ");
            let cause = format!("`.{}` is no extension of a format", brief(&extension));
            let help = format!("known: {known}; --format names the format of any other file");
            Diagnostic::new(Code::UnknownName, cause).help(help)
        })
    }

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
    /// What all rows are about, by name: CSV has it in each, so that rows can be kept and joined.
    pub about: Vec<(&'static str, Value)>,
}

impl Sheet {
    /// An empty sheet.
    pub fn new(columns: impl IntoIterator<Item = impl Into<String>>) -> Sheet {
        Sheet { columns: columns.into_iter().map(Into::into).collect(), ..Sheet::default() }
    }

    /// The sheet with what all its rows are about; a name that is a column already is left out.
    #[must_use]
    pub fn about(mut self, about: Vec<(&'static str, Value)>) -> Sheet {
        self.about = about;
        self.about.retain(|(name, _)| self.columns.iter().all(|column| column != name));
        self
    }

    /// As comma-separated values (RFC 4180).
    ///
    /// # Errors
    /// Never in practice: writing to memory.
    pub fn csv(&self) -> Result<String, Diagnostic> {
        let fail = |e: String| Diagnostic::new(Code::File, format!("cannot write CSV: {e}"));
        let mut writer = csv::Writer::from_writer(Vec::new());
        let about = self.about.iter();
        let names = about.clone().map(|(name, _)| *name).chain(self.columns.iter().map(String::as_str));
        writer.write_record(names).map_err(|e| fail(e.to_string()))?;
        for row in &self.rows {
            let cells = about.clone().map(|(_, value)| value).chain(row).map(plain);
            writer.write_record(cells).map_err(|e| fail(e.to_string()))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extension_names_the_format() {
        let of = |path| Format::of_file(Path::new(path));
        assert_eq!(of("plans.csv").unwrap(), Some(Format::Csv));
        assert_eq!(of("a.b/PLANS.YML").unwrap(), Some(Format::Yaml));
        assert_eq!(of("/dev/stdout").unwrap(), None);
        let wrong = of("plans.xlsx").unwrap_err().to_string();
        assert!(wrong.contains("`.xlsx`") && wrong.contains(".csv, .json, .yaml"), "{wrong}");
    }

    #[test]
    fn rows_of_csv_say_what_they_are_about_and_markdown_does_not() {
        let mut sheet = Sheet::new(["gpu", "isl"]);
        sheet.rows.push(vec!["l4".into(), 1_u64.into()]);
        let sheet = sheet.about(vec![("model", "m, n".into()), ("isl", 2_u64.into())]);
        assert_eq!(sheet.csv().unwrap(), "model,gpu,isl\n\"m, n\",l4,1\n");
        assert!(!sheet.markdown().contains("model"));
    }
}
