//! Decoding of Parquet files; the only user of the Parquet reader.

use std::fs::File;

use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType};
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};

use super::columns::{Columns, Texts};

/// More rows than any kernel table has; a file that claims more is not one.
const MAX_ROWS: usize = 1 << 24;

/// Reads the named columns of every row group.
pub fn columns(file: File, texts: &[&'static str], numbers: &[&'static str]) -> Result<Columns, String> {
    let reader = SerializedFileReader::new(file).map_err(say)?;
    let names: Vec<String> = {
        let schema = reader.metadata().file_metadata().schema_descr();
        schema.columns().iter().map(|c| c.path().string()).collect()
    };
    let find = |name: &str| names.iter().position(|known| known == name);
    let mut columns = Columns {
        rows: 0,
        texts: vec![Texts::default(); texts.len()],
        numbers: vec![Vec::new(); numbers.len()],
    };
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group).map_err(say)?;
        let rows = usize::try_from(group.metadata().num_rows()).map_err(|e| e.to_string())?;
        columns.rows = columns.rows.saturating_add(rows);
        if columns.rows > MAX_ROWS {
            return Err(format!("it claims more than {MAX_ROWS} rows"));
        }
        for (name, out) in texts.iter().zip(&mut columns.texts) {
            if let Some(at) = find(name) {
                words(group.as_ref(), at, rows, out)?;
            }
        }
        for (name, out) in numbers.iter().zip(&mut columns.numbers) {
            if let Some(at) = find(name) {
                out.extend(values(group.as_ref(), at, rows)?);
            }
        }
    }
    Ok(columns)
}

fn say(e: parquet::errors::ParquetError) -> String {
    e.to_string()
}

/// The values of a column as written, those that are null by their default.
fn whole<T: DataType>(mut column: ColumnReaderImpl<T>, rows: usize) -> Result<Vec<T::T>, String> {
    let (mut values, mut levels) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
    let mut records = 0;
    while records < rows {
        let (more, _, _) =
            column.read_records(rows - records, Some(&mut levels), None, &mut values).map_err(say)?;
        if more == 0 {
            return Err(format!("it ends after {records} of {rows} rows"));
        }
        records += more;
    }
    if values.len() == rows {
        return Ok(values);
    }
    let mut present = values.into_iter();
    let mut fill =
        |level: &i16| if *level > 0 { present.next().unwrap_or_default() } else { T::T::default() };
    Ok(levels.iter().map(&mut fill).collect())
}

fn values(group: &dyn RowGroupReader, at: usize, rows: usize) -> Result<Vec<f64>, String> {
    Ok(match group.get_column_reader(at).map_err(say)? {
        ColumnReader::Int64ColumnReader(c) => whole(c, rows)?.into_iter().map(|x| x as f64).collect(),
        ColumnReader::Int32ColumnReader(c) => whole(c, rows)?.into_iter().map(f64::from).collect(),
        ColumnReader::DoubleColumnReader(c) => whole(c, rows)?,
        ColumnReader::FloatColumnReader(c) => whole(c, rows)?.into_iter().map(f64::from).collect(),
        _ => return Err("a column that should hold numbers holds something else".into()),
    })
}

fn words(group: &dyn RowGroupReader, at: usize, rows: usize, out: &mut Texts) -> Result<(), String> {
    let ColumnReader::ByteArrayColumnReader(column) = group.get_column_reader(at).map_err(say)? else {
        return Err("a column that should hold words holds something else".into());
    };
    let cells = whole(column, rows)?;
    let mut last: Option<(&ByteArray, u16)> = None;
    for cell in &cells {
        let code = match last {
            Some((word, code)) if word.data() == cell.data() => code,
            _ => intern(&mut out.words, cell)?,
        };
        last = Some((cell, code));
        out.of_row.push(code);
    }
    Ok(())
}

fn intern(words: &mut Vec<String>, cell: &ByteArray) -> Result<u16, String> {
    // A null cell is an empty word.
    let bytes = if cell.is_empty() { &[][..] } else { cell.data() };
    let word = std::str::from_utf8(bytes).map_err(|e| e.to_string())?;
    let at = words.iter().position(|known| known == word).unwrap_or_else(|| {
        words.push(word.to_owned());
        words.len() - 1
    });
    u16::try_from(at).map_err(|_| "a column of words has too many of them".to_owned())
}
