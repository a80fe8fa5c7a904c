//! Sheets of rows and columns, and the formats they are written in.

use std::str::FromStr;

use comfy_table::{
    CellAlignment, ContentArrangement, ContentLineStyle, LineStyle, Table, TableStyle, presets,
};
use serde_json::{Map, Value as Json};

use crate::diagnostic::{Code, Diagnostic};

use super::columns::Value;
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

/// A line under the header and nothing else: dense, and readable without colour.
const RULED_HEADER: TableStyle = TableStyle::new()
    .header_lines(ContentLineStyle::none().junction(' '))
    .header_separator(LineStyle::none().fill('─').junction('─'))
    .content_lines(ContentLineStyle::none().junction(' '));

/// Rows under named columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sheet {
    /// Column names.
    pub columns: Vec<String>,
    /// Cells, row by row.
    pub rows: Vec<Vec<Value>>,
}

impl Sheet {
    /// An empty sheet.
    pub fn new(columns: impl IntoIterator<Item = impl Into<String>>) -> Sheet {
        Sheet { columns: columns.into_iter().map(Into::into).collect(), rows: Vec::new() }
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

    /// For the terminal: `width` columns wide, or as wide as needed.
    pub fn table(&self, width: Option<u16>) -> String {
        self.draw(RULED_HEADER, width)
    }

    /// As a Markdown table.
    pub fn markdown(&self) -> String {
        self.draw(presets::ASCII_MARKDOWN, None)
    }

    fn draw(&self, style: TableStyle, width: Option<u16>) -> String {
        let mut table = Table::new();
        table.load_style(style).set_header(&self.columns).force_no_tty();
        match width {
            Some(width) => {
                table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
            }
            None => {
                table.set_content_arrangement(ContentArrangement::Disabled);
            }
        }
        for row in &self.rows {
            table.add_row(row.iter().map(short));
        }
        for (i, column) in table.column_iter_mut().enumerate() {
            if style == RULED_HEADER {
                column.set_padding((0, 1));
            }
            let number = |row: &Vec<Value>| {
                matches!(row.get(i), Some(Value::Integer(_) | Value::Real(_) | Value::Change(_)))
            };
            if self.rows.iter().any(number) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let drawn = table.to_string();
        drawn.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    }
}

/// A cell as JSON.
pub(super) fn to_json(value: &Value) -> Json {
    match value {
        Value::Text(text) => Json::from(text.as_str()),
        Value::Integer(n) => Json::from(*n),
        Value::Real(x) | Value::Change(x) => round(*x),
        Value::Missing => Json::Null,
    }
}

/// A cell as CSV: the same digits as in JSON, nothing where the value is missing.
fn plain(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Missing => String::new(),
        other => to_json(other).to_string(),
    }
}

/// A cell for people: three or four significant digits.
fn short(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
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
