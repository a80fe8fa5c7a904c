//! `results.csv`, `results.jsonl` and `results.parquet`, row by row.

use std::io::Write as _;
use std::path::Path;

use serde_json::Value as Json;

use super::super::cell::inert;
use super::columns::Head;
use crate::diagnostic::{Code, Diagnostic};
use crate::load::Stream;

#[cfg(feature = "parquet")]
use super::columnar::Parquet;

/// The tables under way.
pub struct Tables {
    csv: csv::Writer<Stream>,
    lines: Stream,
    #[cfg(feature = "parquet")]
    parquet: Parquet,
    names: Vec<&'static str>,
}

fn failed(e: impl std::fmt::Display) -> Diagnostic {
    Diagnostic::new(Code::File, format!("cannot write results: {e}"))
}

impl Tables {
    /// Begins all of them in a folder.
    pub fn create(folder: &Path, columns: &[Head]) -> Result<Tables, Diagnostic> {
        let mut csv = csv::Writer::from_writer(Stream::create(&folder.join("results.csv"))?);
        let names: Vec<&'static str> = columns.iter().map(|c| c.name).collect();
        csv.write_record(&names).map_err(failed)?;
        Ok(Tables {
            csv,
            lines: Stream::create(&folder.join("results.jsonl"))?,
            #[cfg(feature = "parquet")]
            parquet: Parquet::create(&folder.join("results.parquet"), columns)?,
            names,
        })
    }

    /// Adds a row; returns its cells.
    pub fn add<'a>(&mut self, row: &'a Json) -> Result<&'a [Json], Diagnostic> {
        let cells = row.as_array().filter(|cells| cells.len() == self.names.len());
        let cells = cells.ok_or_else(|| {
            Diagnostic::new(Code::File, "the journal has other columns than this shardfit writes")
                .help("it was written by another build; remove it and run again")
        })?;
        for cell in cells {
            self.csv.write_field(plain(cell)).map_err(failed)?;
        }
        self.csv.write_record(None::<&[u8]>).map_err(failed)?;
        self.line(cells).map_err(failed)?;
        #[cfg(feature = "parquet")]
        self.parquet.add(cells)?;
        Ok(cells)
    }

    /// A row as a JSON object on one line.
    fn line(&mut self, cells: &[Json]) -> std::io::Result<()> {
        for (n, (name, cell)) in self.names.iter().zip(cells).enumerate() {
            let before = if n == 0 { '{' } else { ',' };
            write!(self.lines, "{before}\"{name}\":{cell}")?;
        }
        self.lines.write_all(b"}\n")
    }

    /// Puts all of them in their places.
    pub fn finish(self) -> Result<(), Diagnostic> {
        self.csv.into_inner().map_err(|e| failed(e.error()))?.finish()?;
        self.lines.finish()?;
        #[cfg(feature = "parquet")]
        self.parquet.finish()?;
        Ok(())
    }
}

/// A cell as CSV: the digits of the JSON, nothing where it is missing.
fn plain(cell: &Json) -> String {
    match cell {
        Json::Null => String::new(),
        Json::String(text) => inert(text),
        other => other.to_string(),
    }
}
