//! Sheets: rows under named columns, as CSV and JSON; `draw` has their tables.

use serde_json::{Map, Value as Json};

use crate::diagnostic::{Code, Diagnostic};

use super::cell::{Value, plain, to_json};

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

    /// The sheet with the columns of another that has as many rows.
    #[must_use]
    pub fn beside(mut self, other: Sheet) -> Sheet {
        self.columns.extend(other.columns);
        self.spare.extend(other.spare);
        self.rows.iter_mut().zip(other.rows).for_each(|(row, more)| row.extend(more));
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
