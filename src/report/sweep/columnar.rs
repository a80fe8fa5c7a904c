//! `results.parquet`: the same columns, typed and compressed.

use std::path::Path;
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::Type;
use serde_json::Value as Json;

use super::columns::Head;
use crate::diagnostic::{Code, Diagnostic};
use crate::load::Stream;
use crate::report::column::Kind;

/// Rows that are held before they are written.
const ROW_GROUP: usize = 8192;

/// The cells of a column that wait.
enum Buffer {
    Text(Vec<ByteArray>),
    Integer(Vec<i64>),
    Real(Vec<f64>),
}

/// The file under way.
pub struct Parquet {
    writer: SerializedFileWriter<Stream>,
    /// Of each column its cells, and whether each row has one.
    buffers: Vec<(Buffer, Vec<i16>)>,
}

fn failed(e: ParquetError) -> Diagnostic {
    Diagnostic::new(Code::File, format!("cannot write results.parquet: {e}"))
}

impl Parquet {
    /// Begins the file.
    pub fn create(path: &Path, columns: &[Head]) -> Result<Parquet, Diagnostic> {
        let field = |Head { name, kind, .. }: &Head| {
            let (physical, logical) = match kind {
                Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
                Kind::Integer => (Physical::INT64, None),
                Kind::Real => (Physical::DOUBLE, None),
            };
            Type::primitive_type_builder(name, physical)
                .with_repetition(Repetition::OPTIONAL)
                .with_logical_type(logical)
                .build()
                .map(Arc::new)
        };
        let fields = columns.iter().map(field).collect::<Result<Vec<_>, _>>().map_err(failed)?;
        let schema = Type::group_type_builder("results").with_fields(fields).build().map_err(failed)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(format!("shardfit {}", env!("CARGO_PKG_VERSION")))
            .build();
        let writer = SerializedFileWriter::new(Stream::create(path)?, Arc::new(schema), Arc::new(properties));
        let empty = |Head { kind, .. }: &Head| {
            let buffer = match kind {
                Kind::Text => Buffer::Text(Vec::new()),
                Kind::Integer => Buffer::Integer(Vec::new()),
                Kind::Real => Buffer::Real(Vec::new()),
            };
            (buffer, Vec::new())
        };
        Ok(Parquet { writer: writer.map_err(failed)?, buffers: columns.iter().map(empty).collect() })
    }

    /// Adds a row.
    pub fn add(&mut self, cells: &[Json]) -> Result<(), Diagnostic> {
        for ((buffer, levels), cell) in self.buffers.iter_mut().zip(cells) {
            let present = match buffer {
                Buffer::Text(all) => cell.as_str().map(|text| all.push(ByteArray::from(text))),
                Buffer::Integer(all) => cell.as_i64().map(|n| all.push(n)),
                Buffer::Real(all) => cell.as_f64().map(|x| all.push(x)),
            };
            levels.push(i16::from(present.is_some()));
        }
        match self.buffers.first() {
            Some((_, levels)) if levels.len() >= ROW_GROUP => self.flush().map_err(failed),
            _ => Ok(()),
        }
    }

    /// Writes the rows that wait.
    fn flush(&mut self) -> Result<(), ParquetError> {
        let mut rows = self.writer.next_row_group()?;
        for (buffer, levels) in &mut self.buffers {
            write(&mut rows, buffer, levels)?;
            levels.clear();
        }
        rows.close().map(drop)
    }

    /// Puts the file in its place.
    pub fn finish(mut self) -> Result<(), Diagnostic> {
        if self.buffers.first().is_some_and(|(_, levels)| !levels.is_empty()) {
            self.flush().map_err(failed)?;
        }
        self.writer.into_inner().map_err(failed)?.finish()
    }
}

/// Writes a column of a row group and empties its buffer.
fn write(
    rows: &mut SerializedRowGroupWriter<'_, Stream>,
    buffer: &mut Buffer,
    levels: &[i16],
) -> Result<(), ParquetError> {
    let Some(mut column) = rows.next_column()? else { return Ok(()) };
    match buffer {
        Buffer::Text(all) => {
            column.typed::<ByteArrayType>().write_batch(all, Some(levels), None)?;
            all.clear();
        }
        Buffer::Integer(all) => {
            column.typed::<Int64Type>().write_batch(all, Some(levels), None)?;
            all.clear();
        }
        Buffer::Real(all) => {
            column.typed::<DoubleType>().write_batch(all, Some(levels), None)?;
            all.clear();
        }
    }
    column.close()
}
