//! Reports, and the formats that they are written in.

use std::path::Path;
use std::str::FromStr;

use serde_json::Value as Json;

use crate::diagnostic::{Code, Diagnostic, brief};
use crate::load;

use super::page::Page;
use super::sheet::Sheet;

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
}

/// An answer in all that it is made of. A new answer is one of these; a new format is one line of [`Report::written`].
#[derive(Clone, Debug)]
pub struct Report {
    /// What people read: headings, tables, notes.
    pub page: Page,
    /// What programs read: JSON and YAML.
    pub value: Json,
    /// Every figure, row by row: CSV, and the table of Markdown.
    pub rows: Sheet,
    /// Markdown, where it is more than the rows.
    pub markdown: Option<Page>,
}

impl Report {
    /// An answer whose Markdown is its rows.
    pub fn new(page: impl Into<Page>, value: Json, rows: Sheet) -> Report {
        Report { page: page.into(), value, rows, markdown: None }
    }

    /// Rows and nothing else.
    pub fn of_rows(rows: Sheet) -> Report {
        Report::new(rows.clone(), rows.json(), rows)
    }

    /// In a format; for people at most `width` wide.
    ///
    /// # Errors
    /// Never in practice: writing to memory.
    pub fn written(&self, format: Format, width: Option<u16>) -> Result<String, Diagnostic> {
        match format {
            Format::Table => Ok(self.page.terminal(width)),
            Format::Json => Ok(format!("{:#}", self.value)),
            Format::Yaml => load::to_yaml(&self.value),
            Format::Csv => self.rows.csv(),
            Format::Markdown => {
                Ok(self.markdown.as_ref().map_or_else(|| self.rows.markdown(), Page::markdown))
            }
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
