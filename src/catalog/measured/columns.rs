//! The columns of one table.

/// Columns of one file. A column that the file lacks is empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Columns {
    /// Rows.
    pub rows: usize,
    /// Columns of words, in the order that they were asked for.
    pub texts: Vec<Texts>,
    /// Columns of numbers, in the order that they were asked for.
    pub numbers: Vec<Vec<f64>>,
}

/// A column of words, each word once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Texts {
    pub(super) words: Vec<String>,
    pub(super) of_row: Vec<u16>,
}

impl Texts {
    /// A cell; empty where there is none.
    pub fn get(&self, row: usize) -> &str {
        self.of_row.get(row).and_then(|code| self.words.get(usize::from(*code))).map_or("", String::as_str)
    }

    /// Whether the file lacks the column.
    pub fn is_empty(&self) -> bool {
        self.of_row.is_empty()
    }
}
