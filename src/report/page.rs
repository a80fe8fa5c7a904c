//! Pages: what people read of an answer, lines and tables from top to bottom.

use std::fmt;

use crate::search::Answer;

use super::draw::wrap;
use super::front::Chart;
use super::sheet::Sheet;

/// Lines and tables from top to bottom. A page knows nothing of the width that it is read in: lines are broken and
/// tables are drawn when it is written out. Lines are added as to any [`fmt::Write`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    parts: Vec<Part>,
}

/// A part of a page.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    /// Lines that a narrow terminal breaks at blanks.
    Lines(String),
    /// What is copied, as it is.
    Verbatim(String),
    /// A table.
    Table(Sheet),
    /// A Pareto front.
    Chart(Chart),
}

impl Page {
    /// Adds lines; a narrow terminal breaks them at blanks.
    pub fn push_str(&mut self, text: &str) {
        match self.parts.last_mut() {
            Some(Part::Lines(lines)) => lines.push_str(text),
            _ if text.is_empty() => {}
            _ => self.parts.push(Part::Lines(text.to_owned())),
        }
    }

    /// Adds what is copied from the page, a file or a command, which no width changes.
    pub fn verbatim(&mut self, text: impl Into<String>) {
        self.parts.push(Part::Verbatim(text.into()));
    }

    /// Adds a table; what follows it begins a line.
    pub fn table(&mut self, sheet: Sheet) {
        self.parts.push(Part::Table(sheet));
    }

    /// Adds the Pareto front of an answer as a chart, where it has several plans.
    pub fn front(&mut self, answer: &Answer) {
        self.parts.extend(Chart::of(answer).map(Part::Chart));
    }

    /// Adds another page below.
    pub fn append(&mut self, below: Page) {
        self.parts.extend(below.parts);
    }

    /// For a terminal of a width; without one for a file, where no line is broken and nothing styled.
    pub fn terminal(&self, width: Option<u16>) -> String {
        let part = |part: &Part| match part {
            Part::Lines(lines) => wrap(lines, width),
            Part::Verbatim(text) => text.clone(),
            Part::Table(sheet) => wrap(&sheet.table(width), width) + "\n",
            Part::Chart(chart) => wrap(&chart.draw(width), width),
        };
        self.parts.iter().map(part).collect()
    }

    /// As Markdown: lines as they are, tables as Markdown has them.
    pub fn markdown(&self) -> String {
        let part = |part: &Part| match part {
            Part::Lines(text) | Part::Verbatim(text) => text.clone(),
            Part::Table(sheet) => sheet.markdown() + "\n",
            Part::Chart(chart) => chart.draw(None),
        };
        self.parts.iter().map(part).collect()
    }
}

impl fmt::Write for Page {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push_str(text);
        Ok(())
    }
}

impl From<String> for Page {
    fn from(lines: String) -> Page {
        Page { parts: vec![Part::Lines(lines)] }
    }
}

impl From<Sheet> for Page {
    fn from(sheet: Sheet) -> Page {
        Page { parts: vec![Part::Table(sheet)] }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    #[test]
    fn a_narrow_page_breaks_its_lines_and_leaves_what_is_copied() {
        let mut page = Page::from("one plan of many\n".to_owned());
        let _ = writeln!(page, "and its figures");
        let mut sheet = Sheet::new(["tp", "tok/s"]);
        sheet.rows.push(vec![2_u64.into(), 1234_u64.into()]);
        page.table(sheet);
        page.verbatim("vllm serve --tensor-parallel-size 2\n");
        let narrow = page.terminal(Some(12));
        assert!(narrow.starts_with("one plan of\n  many\n"), "{narrow}");
        assert!(narrow.ends_with("\nvllm serve --tensor-parallel-size 2\n"), "{narrow}");
        let markdown = page.markdown();
        assert!(markdown.starts_with("one plan of many\nand its figures\n| tp "), "{markdown}");
    }
}
