//! Drawing sheets as tables that fit the terminal, and breaking the lines between them.

use comfy_table::{
    Attribute, Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, ContentLineStyle, LineStyle,
    Table, TableStyle, Width, presets,
};

use crate::estimate::memory::Verdict;

use super::cell::{Value, short};
use super::sheet::Sheet;

/// A line under the header and nothing else: dense, and readable without colour.
const RULED_HEADER: TableStyle = TableStyle::new()
    .header_lines(ContentLineStyle::none().junction(' '))
    .header_separator(LineStyle::none().fill('─').junction('─'))
    .content_lines(ContentLineStyle::none().junction(' '));

/// Text longer than this is broken even inside a word.
const LONGEST_WORD: usize = 24;

impl Sheet {
    /// For the terminal: as wide as needed without a `width`, else no wider. Headings and text are broken
    /// at blanks first, then spare columns are left out, and a line below names them. With a width,
    /// headings and verdicts are styled; who prints decides whether the styles stay.
    pub fn table(&self, width: Option<u16>) -> String {
        let Some(width) = width else { return self.draw(RULED_HEADER, None) };
        let mut sheet = self.clone();
        let mut left_out = Vec::new();
        let mut spare = self.spare.iter();
        let padding = loop {
            let fitting = [1, 0].into_iter().find(|p| sheet.least_width(*p) <= usize::from(width));
            match (fitting, spare.next()) {
                (Some(padding), _) => break padding,
                (None, Some(name)) if sheet.leave_out(name) => left_out.push(*name),
                (None, Some(_)) => {}
                (None, None) => break 0,
            }
        };
        let widths = sheet.fitted(usize::from(width), padding);
        let mut out = sheet.draw(RULED_HEADER, Some((&widths, padding)));
        if !left_out.is_empty() {
            let note = format!("(no room for: {})", left_out.join(", "));
            out.push_str(&format!("\n{}", wrap(&note, Some(width))));
        }
        out
    }

    /// As a Markdown table.
    pub fn markdown(&self) -> String {
        self.draw(presets::ASCII_MARKDOWN, None)
    }

    /// Drops a column, if there is one of this name.
    fn leave_out(&mut self, name: &str) -> bool {
        let Some(at) = self.columns.iter().position(|c| c == name) else { return false };
        self.columns.remove(at);
        for row in self.rows.iter_mut().filter(|row| at < row.len()) {
            row.remove(at);
        }
        true
    }

    fn is_number(&self, column: usize) -> bool {
        self.rows
            .iter()
            .any(|row| matches!(row.get(column), Some(Value::Integer(_) | Value::Real(_) | Value::Change(_))))
    }

    /// Characters that a column cannot do without: its longest word, numbers being words.
    fn least(&self, column: usize) -> usize {
        let longest = |text: &str| text.split(' ').map(|word| word.chars().count()).max().unwrap_or(0);
        let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|v| longest(&short(v)));
        let heading = longest(&self.columns[column]);
        cells.max().unwrap_or(0).min(LONGEST_WORD).max(heading)
    }

    /// Characters of a column that is not broken.
    fn natural(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|v| short(v).chars().count());
        cells.max().unwrap_or(0).max(self.columns[column].chars().count())
    }

    /// The narrowest that the whole can be, one blank between columns beside the padding.
    fn least_width(&self, padding: usize) -> usize {
        let columns = 0..self.columns.len();
        columns.map(|i| self.least(i) + padding + 1).sum::<usize>().saturating_sub(1)
    }

    /// The width of each column, padding included, so that the whole is at most `width`: what each needs,
    /// then the rest by turns to those that would fill it.
    fn fitted(&self, width: usize, padding: usize) -> Vec<usize> {
        let columns = 0..self.columns.len();
        let natural: Vec<usize> = columns.clone().map(|i| self.natural(i)).collect();
        let mut widths: Vec<usize> = columns.map(|i| self.least(i)).collect();
        let blanks = widths.len() * (padding + 1);
        let room = (width + 1).saturating_sub(blanks);
        while widths.iter().sum::<usize>() > room {
            match widths.iter_mut().max().filter(|w| **w > 1) {
                Some(widest) => *widest -= 1,
                None => break,
            }
        }
        let mut left = room.saturating_sub(widths.iter().sum());
        while left > 0 {
            let wanting = widths.iter_mut().zip(&natural).filter(|(w, n)| **w < **n);
            let grown = wanting.take(left).map(|(w, _)| *w += 1).count();
            if grown == 0 {
                break;
            }
            left -= grown;
        }
        widths.into_iter().map(|w| w + padding).collect()
    }

    /// Draws with columns of these widths and this padding, styled; or as wide as needed and plain.
    fn draw(&self, style: TableStyle, fitted: Option<(&[usize], usize)>) -> String {
        let mut table = Table::new();
        let styled = fitted.is_some();
        table.load_style(style).force_no_tty().set_content_arrangement(ContentArrangement::Disabled);
        if styled {
            table.enforce_styling().set_content_arrangement(ContentArrangement::Dynamic).set_width(u16::MAX);
        }
        table.set_header(self.columns.iter().map(|name| {
            let cell = Cell::new(name);
            if styled { cell.add_attribute(Attribute::Bold) } else { cell }
        }));
        for row in &self.rows {
            table.add_row(row.iter().map(|value| cell(value, styled)));
        }
        for (i, column) in table.column_iter_mut().enumerate() {
            if style == RULED_HEADER {
                column.set_padding((0, fitted.map_or(1, |(_, padding)| padding as u16)));
            }
            if let Some(width) = fitted.and_then(|(widths, _)| widths.get(i)) {
                let width = u16::try_from(*width).unwrap_or(u16::MAX);
                column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width)));
            }
            if self.is_number(i) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let drawn = table.to_string();
        drawn.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    }
}

fn cell(value: &Value, styled: bool) -> Cell {
    let cell = Cell::new(short(value));
    match value {
        Value::Verdict(verdict) if styled => cell.fg(match verdict {
            Verdict::Fits => Color::DarkGreen,
            Verdict::Marginal => Color::DarkYellow,
            Verdict::DoesNotFit => Color::DarkRed,
        }),
        _ => cell,
    }
}

/// Breaks lines longer than `width` at blanks. What continues a line of an indented list stands under its
/// text. Lines with styles belong to tables, which fit already.
pub fn wrap(text: &str, width: Option<u16>) -> String {
    let Some(width) = width.map(usize::from) else { return text.to_owned() };
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let (body, end) = line.strip_suffix('\n').map_or((line, ""), |body| (body, "\n"));
        if body.chars().count() <= width || body.contains('\u{1b}') {
            out.push_str(body);
        } else {
            break_line(body, width, &mut out);
        }
        out.push_str(end);
    }
    out
}

fn break_line(line: &str, width: usize, out: &mut String) {
    let text = line.trim_start();
    let lead = line.len() - text.len();
    // Under the text of `    1,664  reason; …`, else two further in.
    let indent = match text.find("  ") {
        Some(at) if lead > 0 => lead + at + 2,
        _ => lead + 2,
    };
    let indent = indent.min(width / 3);
    out.push_str(&line[..lead]);
    let mut column = lead;
    let mut first = true;
    for word in text.split(' ') {
        let length = word.chars().count();
        if !first && column + 1 + length > width && column > indent {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            column = indent;
        } else if !first {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
        first = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet() -> Sheet {
        let mut sheet = Sheet::new(["name", "tok/s", "headroom GiB", "what it says"]);
        sheet.rows.push(vec![
            "first".into(),
            12_345u64.into(),
            0.5.into(),
            "a sentence of some words".into(),
        ]);
        sheet.spare = vec!["headroom GiB"];
        sheet
    }

    /// The text without its styles.
    fn bare(text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('\u{1b}') {
            out.push_str(before);
            rest = after.split_once('m').map_or("", |(_, rest)| rest);
        }
        out + rest
    }

    #[test]
    fn a_table_is_never_wider_than_the_terminal_and_keeps_numbers_whole() {
        for width in 24..120 {
            let drawn = bare(&sheet().table(Some(width)));
            assert!(drawn.lines().all(|l| l.chars().count() <= width.into()), "{width}\n{drawn}");
            assert!(drawn.contains("12,345"), "{width}\n{drawn}");
        }
    }

    #[test]
    fn a_spare_column_goes_first_and_is_named() {
        let drawn = bare(&sheet().table(Some(26))).replace('\n', " ");
        assert!(drawn.contains("no room for: headroom") && drawn.contains("sentence"), "{drawn}");
    }

    #[test]
    fn without_a_width_nothing_is_styled() {
        assert!(!sheet().table(None).contains('\u{1b}'));
        assert!(sheet().table(Some(80)).contains('\u{1b}'));
    }

    #[test]
    fn a_long_line_of_the_ledger_continues_under_its_text() {
        let line = "    1,664  tp_does_not_divide; for example tp=3: it does not divide 64\n";
        let wrapped = wrap(line, Some(40));
        assert!(wrapped.lines().all(|l| l.chars().count() <= 40), "{wrapped}");
        assert!(wrapped.lines().nth(1).unwrap().starts_with("           "), "{wrapped}");
        assert_eq!(
            wrapped.split_whitespace().collect::<Vec<_>>(),
            line.split_whitespace().collect::<Vec<_>>()
        );
    }
}
