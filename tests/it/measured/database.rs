//! Kernel databases in AIConfigurator's layout: small ones written by tests, and reading of any.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::{Compression, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::record::Field;
use parquet::schema::types::Type;

/// A cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Word(&'static str),
    Whole(i64),
    Real(f64),
}

impl From<&'static str> for Cell {
    fn from(word: &'static str) -> Cell {
        Cell::Word(word)
    }
}
impl From<i64> for Cell {
    fn from(n: i64) -> Cell {
        Cell::Whole(n)
    }
}
impl From<f64> for Cell {
    fn from(x: f64) -> Cell {
        Cell::Real(x)
    }
}

/// Writes `path` below a folder: rows of the named columns.
pub fn write<const N: usize>(root: &Path, path: &str, columns: [&str; N], rows: &[[Cell; N]]) -> PathBuf {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let field = |(name, cell): (&&str, &Cell)| {
        let physical = match cell {
            Cell::Word(_) => Physical::BYTE_ARRAY,
            Cell::Whole(_) => Physical::INT64,
            Cell::Real(_) => Physical::DOUBLE,
        };
        let builder = Type::primitive_type_builder(name, physical).with_repetition(Repetition::REQUIRED);
        Arc::new(builder.build().unwrap())
    };
    let fields = columns.iter().zip(&rows[0]).map(field).collect();
    let schema = Arc::new(Type::group_type_builder("schema").with_fields(fields).build().unwrap());
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut writer =
        SerializedFileWriter::new(File::create(&path).unwrap(), schema, Arc::new(properties)).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for i in 0..N {
        let mut column = group.next_column().unwrap().unwrap();
        match rows[0][i] {
            Cell::Word(_) => {
                let values: Vec<ByteArray> = rows.iter().map(|r| ByteArray::from(word(&r[i]))).collect();
                column.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
            }
            Cell::Whole(_) => {
                let values: Vec<i64> = rows.iter().map(|r| number(&r[i]) as i64).collect();
                column.typed::<Int64Type>().write_batch(&values, None, None).unwrap();
            }
            Cell::Real(_) => {
                let values: Vec<f64> = rows.iter().map(|r| number(&r[i])).collect();
                column.typed::<DoubleType>().write_batch(&values, None, None).unwrap();
            }
        }
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
    path
}

fn word(cell: &Cell) -> &'static str {
    match cell {
        Cell::Word(word) => word,
        _ => panic!("a column holds one kind of cells"),
    }
}

fn number(cell: &Cell) -> f64 {
    match cell {
        Cell::Whole(n) => *n as f64,
        Cell::Real(x) => *x,
        Cell::Word(_) => panic!("a column holds one kind of cells"),
    }
}

/// A row as it stands in a file.
pub type Record = BTreeMap<String, String>;

/// Every row of a file for which `keep` holds.
pub fn records(path: &Path, keep: impl Fn(&Record) -> bool) -> Vec<Record> {
    let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    let record = |row: parquet::record::Row| -> Record {
        let text = |field: &Field| match field {
            Field::Str(word) => word.clone(),
            // Words without a logical type, as `write` leaves them.
            Field::Bytes(word) => String::from_utf8(word.data().to_vec()).unwrap(),
            other => other.to_string(),
        };
        row.get_column_iter().map(|(name, field)| (name.clone(), text(field))).collect()
    };
    reader.get_row_iter(None).unwrap().map(|row| record(row.unwrap())).filter(keep).collect()
}

/// Latencies in milliseconds of one GPU and engine in few points; `scale` times a made-up law. Enough for
/// a small dense model.
pub fn small(root: &Path, version: &str, scale: f64) {
    let data = root.join("data/h100_sxm");
    let mut rows = Vec::new();
    for n in [4096, 8192, 32768_i64] {
        for k in [4096, 16384_i64] {
            for m in [1, 16, 256, 4096_i64] {
                let ms = scale * (0.004 + (m * n * k) as f64 / 3e11 + (n * k) as f64 / 1.2e9);
                rows.push(["bfloat16".into(), m.into(), n.into(), k.into(), ms.into()]);
            }
        }
    }
    let columns = ["gemm_dtype", "m", "n", "k", "latency"];
    write(&data, &format!("gemm/vllm/{version}/gemm_perf.parquet"), columns, &rows);
}

/// The rest of what a dense model executes on one GPU, in the newest version.
pub fn small_attention(root: &Path) {
    let data = root.join("data/h100_sxm/attention/vllm/0.24.0");
    let columns = [
        "attn_dtype",
        "kv_cache_dtype",
        "batch_size",
        "isl",
        "num_heads",
        "num_key_value_heads",
        "head_dim",
        "window_size",
        "step",
        "latency",
    ];
    let row = |batch: i64, isl: i64, step: i64, ms: f64| {
        let bf16 = Cell::Word("bfloat16");
        [
            bf16.clone(),
            bf16,
            batch.into(),
            isl.into(),
            32.into(),
            8.into(),
            128.into(),
            0.into(),
            step.into(),
            ms.into(),
        ]
    };
    let (mut prefill, mut decode) = (Vec::new(), Vec::new());
    for batch in [1, 8, 64_i64] {
        for tokens in [128, 1024, 8192_i64] {
            let pairs = (batch * tokens * tokens) as f64;
            prefill.push(row(batch, tokens, 0, 0.01 + pairs / 1e8));
            decode.push(row(batch, 1, tokens - 1, 0.01 + (batch * tokens) as f64 / 5e5));
        }
    }
    write(&data, "context_attention_perf.parquet", columns, &prefill);
    write(&data, "generation_attention_perf.parquet", columns, &decode);
}
