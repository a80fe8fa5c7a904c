//! Observations kept as measured rows in the user's folder, in the columns that `validate serving` and `calibrate` read.

use std::path::{Path, PathBuf};

use crate::diagnostic::{Code, Diagnostic};
use crate::load;

/// The file below a catalogue folder.
pub const FILE: &str = "measured/serving.csv";

/// What became of rows that were handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The file.
    pub path: PathBuf,
    /// The folder of the constants that `calibrate` makes of them.
    pub constants: PathBuf,
    /// Rows that were added; those that stood there already are not.
    pub added: usize,
    /// Rows that it holds now.
    pub rows: usize,
}

/// Appends rows of columns to the file of a folder, which is made where there is none. A row whose cells all stand there
/// already is not added again, its `id` apart.
///
/// # Errors
/// [`Code::File`] where the file cannot be read or written; [`Code::Syntax`] where it is no CSV.
pub fn append(folder: &Path, columns: &[&str], rows: &[Vec<String>]) -> Result<Kept, Diagnostic> {
    let path = folder.join(FILE);
    let place = path.display().to_string();
    let wrong =
        |e: csv::Error| Diagnostic::new(Code::Syntax, format!("not valid CSV: {e}")).at(place.clone());
    if let Some(parent) = path.parent() {
        load::make_folder(parent)?;
    }
    let (mut header, mut records): (Vec<String>, Vec<Vec<String>>) = (Vec::new(), Vec::new());
    if path.is_file() {
        let text = load::text(&path)?;
        let mut reader = csv::ReaderBuilder::new().from_reader(text.as_bytes());
        header = reader.headers().map_err(wrong)?.iter().map(str::to_owned).collect();
        for record in reader.records() {
            records.push(record.map_err(wrong)?.iter().map(str::to_owned).collect());
        }
    }
    for column in columns {
        if !header.iter().any(|h| h == column) {
            header.push((*column).to_owned());
            records.iter_mut().for_each(|r| r.push(String::new()));
        }
    }
    let id = header.iter().position(|h| h == "id");
    let same = |a: &[String], b: &[String]| (0..header.len()).all(|i| Some(i) == id || a[i] == b[i]);
    let mut added = 0;
    for row in rows {
        let cell = |name: &String| columns.iter().position(|c| c == name).and_then(|i| row.get(i)).cloned();
        let record: Vec<String> = header.iter().map(|h| cell(h).unwrap_or_default()).collect();
        if !records.iter().any(|known| same(known, &record)) {
            records.push(record);
            added += 1;
        }
    }
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    writer.write_record(&header).map_err(wrong)?;
    for record in &records {
        writer.write_record(record).map_err(wrong)?;
    }
    let bytes = writer
        .into_inner()
        .map_err(|e| Diagnostic::new(Code::File, format!("cannot write: {e}")).at(place.clone()))?;
    load::write_whole(&path, &bytes)?;
    let constants = folder.join("scheduling");
    load::make_folder(&constants)?;
    Ok(Kept { path, constants, added, rows: records.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_added_once_and_columns_grow() {
        let folder = tempfile::tempdir().unwrap();
        let row = |id: &str, n: &str| vec![id.to_owned(), n.to_owned()];
        let kept = append(folder.path(), &["id", "tpot_ms"], &[row("a", "1"), row("b", "2")]).unwrap();
        assert_eq!((kept.added, kept.rows), (2, 2));
        let kept = append(folder.path(), &["id", "tpot_ms"], &[row("c", "2"), row("d", "3")]).unwrap();
        assert_eq!((kept.added, kept.rows), (1, 3));
        append(folder.path(), &["id", "ttft_ms"], &[row("e", "9")]).unwrap();
        let text = std::fs::read_to_string(folder.path().join(FILE)).unwrap();
        assert_eq!(text, "id,tpot_ms,ttft_ms\na,1,\nb,2,\nd,3,\ne,,9\n");
    }
}
