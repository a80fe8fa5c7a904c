//! Measured rows as CSV holds them.

use std::collections::HashMap;
use std::path::Path;

use itertools::Itertools as _;

use crate::catalog::{Catalog, Engine};
use crate::diagnostic::{Code, Diagnostic, brief};
use crate::dtype::{DType, WeightFormat};
use crate::model::{self, Model, Scope};
use crate::request::{Counts, Request};

use super::base;

/// A CSV file with named columns.
#[derive(Clone, Debug)]
pub struct Table {
    /// Column names.
    pub columns: Vec<String>,
    index: HashMap<String, usize>,
    records: Vec<csv::StringRecord>,
    place: String,
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    table: &'a Table,
    number: usize,
}

impl Table {
    /// Parses CSV with a header.
    ///
    /// # Errors
    /// [`Code::Syntax`] with the line.
    pub fn parse(text: &str, place: &str) -> Result<Table, Diagnostic> {
        let fail = |e: csv::Error| {
            let line = e.position().map_or(String::new(), |p| format!(", line {}", p.line()));
            Diagnostic::new(Code::Syntax, format!("not valid CSV: {e}")).at(format!("{place}{line}"))
        };
        let mut reader = csv::ReaderBuilder::new().from_reader(text.as_bytes());
        let columns: Vec<String> =
            reader.headers().map_err(fail)?.iter().map(|name| name.trim().to_owned()).collect();
        sound(&columns).map_err(|d| d.at(format!("{place}, line 1")))?;
        let records = reader.records().collect::<Result<Vec<_>, _>>().map_err(fail)?;
        let index = columns.iter().enumerate().map(|(i, c)| (c.clone(), i)).collect();
        Ok(Table { columns, index, records, place: place.to_owned() })
    }

    /// Rows of these columns, whatever they come from.
    pub fn of_rows(columns: &[&str], rows: &[Vec<String>], place: &str) -> Table {
        let columns: Vec<String> = columns.iter().map(|c| (*c).to_owned()).collect();
        let index = columns.iter().enumerate().map(|(i, c)| (c.clone(), i)).collect();
        let records = rows.iter().map(csv::StringRecord::from_iter).collect();
        Table { columns, index, records, place: place.to_owned() }
    }

    /// Keeps the rows that have a value in a column.
    ///
    /// # Errors
    /// [`Code::UnknownName`] for a column that there is not.
    pub fn keep(&mut self, column: &str, value: &str) -> Result<(), Diagnostic> {
        self.require(&[column.to_owned()])?;
        let at = self.index[column];
        self.records.retain(|record| record.get(at).map(str::trim) == Some(value));
        Ok(())
    }

    /// The table with more said: `cells` gives a row's text in each of these columns, or `None` where what stands
    /// there stays. Columns that there were not are added.
    #[must_use]
    pub fn with_columns(self, columns: &[&str], cells: impl Fn(&Row) -> Vec<Option<String>>) -> Table {
        let mut names = self.columns.clone();
        for column in columns {
            if !self.index.contains_key(*column) {
                names.push((*column).to_owned());
            }
        }
        let at: Vec<usize> = columns.iter().filter_map(|c| names.iter().position(|name| name == c)).collect();
        let record = |number: usize| {
            let row = self.row(number);
            let mut all: Vec<String> = row.cells().map(str::to_owned).collect();
            all.resize(names.len(), String::new());
            for (at, value) in at.iter().zip(cells(&row)) {
                if let Some(value) = value {
                    all[*at] = value;
                }
            }
            all
        };
        let rows: Vec<Vec<String>> = (0..self.len()).map(record).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        Table::of_rows(&names, &rows, &self.place)
    }

    /// The file, as messages name it.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The row with this number, below [`Table::len`].
    pub fn row(&self, number: usize) -> Row<'_> {
        Row { table: self, number }
    }

    /// Checks that columns exist.
    ///
    /// # Errors
    /// [`Code::UnknownName`] with the nearest one.
    pub fn require(&self, columns: &[String]) -> Result<(), Diagnostic> {
        let known = || self.columns.iter().map(String::as_str);
        match columns.iter().find(|c| !self.index.contains_key(*c)) {
            Some(missing) => {
                let list = format!("columns: {}", known().join(", "));
                Err(Diagnostic::unknown("column", missing, known(), &list).at(self.place.clone()))
            }
            None => Ok(()),
        }
    }
}

/// Whether a header is one: names between commas, each of its own.
fn sound(columns: &[String]) -> Result<(), Diagnostic> {
    let fail = |cause: String| Err(Diagnostic::new(Code::Syntax, cause));
    match columns {
        [] => return fail("the file is empty; expected CSV whose first line names the columns".into()),
        [one] if one.contains([';', '\t']) => {
            return fail("columns are separated by something else than commas".into());
        }
        _ => {}
    }
    match columns.iter().filter(|name| !name.is_empty()).duplicates().next() {
        Some(twice) => fail(format!("two columns are named `{}`", brief(twice))),
        None => Ok(()),
    }
}

impl<'a> Row<'a> {
    /// The folder of the row's file.
    pub fn folder(&self) -> &'a Path {
        Path::new(&self.table.place).parent().unwrap_or(Path::new("."))
    }

    /// Its number, from zero.
    pub fn index(&self) -> usize {
        self.number
    }

    /// Its line in the file.
    fn line(&self) -> u64 {
        self.table.records[self.number].position().map_or(self.number as u64 + 2, csv::Position::line)
    }

    /// The row's `id`, else its line in the file.
    pub fn id(&self) -> String {
        self.text("id").map_or_else(|| format!("line {}", self.line()), str::to_owned)
    }

    /// The cells as they stand.
    pub fn cells(&self) -> impl Iterator<Item = &'a str> {
        self.table.records[self.number].iter()
    }

    /// A cell; `None` when the column is missing or the cell is empty.
    pub fn text(&self, column: &str) -> Option<&'a str> {
        let i = *self.table.index.get(column)?;
        self.table.records[self.number].get(i).map(str::trim).filter(|t| !t.is_empty())
    }

    /// A cell as a number; [`unreadable`](super::columns::unreadable) tells of one that holds something else.
    pub fn number(&self, column: &str) -> Option<f64> {
        self.text(column)?.parse().ok().filter(|x: &f64| x.is_finite())
    }

    /// A cell as a whole number of at least 1.
    pub fn whole(&self, column: &str) -> Option<u64> {
        self.number(column).filter(|x| *x >= 1.0).map(|x| x.round() as u64)
    }

    /// A cell that says whether something is on; `None` when it is empty.
    fn switch(&self, column: &str) -> Option<bool> {
        let text = self.text(column)?.to_ascii_lowercase();
        Some(matches!(text.as_str(), "1" | "true" | "yes"))
    }

    /// A figure in a column of its own, or written `name=figure` in what is said about the load.
    pub fn stated(&self, name: &str) -> Option<f64> {
        self.number(name).or_else(|| figure(self.text("load_value")?, name))
    }

    /// A cell as a parallel degree, 1 when empty.
    pub fn degree(&self, column: &str) -> u32 {
        self.whole(column).and_then(|n| u32::try_from(n).ok()).unwrap_or(1)
    }

    /// The engine that the row names, in the row's version as far as it can be made out, launched as `launches` says.
    pub fn engine(&self, catalog: &Catalog) -> Result<Engine, String> {
        let name = self.text("engine").ok_or("no engine")?;
        let engine = catalog.every_version(name).map_err(|d| d.cause)?;
        Ok(self.launched(engine.logged(self.text("engine_version").unwrap_or(""))))
    }

    /// An engine, launched as `launches` says: names as its file has them.
    pub fn launched(&self, mut engine: Engine) -> Engine {
        let launches: Vec<&str> = self.text("launches").unwrap_or("").split_whitespace().collect();
        engine.launch_with(&launches);
        engine
    }

    /// What the row says of how the engine was launched, as a request has it.
    pub fn options(&self) -> Request {
        let count = |column: &str| self.whole(column).map(|n| Counts(vec![n]));
        Request {
            max_sequences: count("max_num_seqs"),
            max_batched_tokens: count("max_num_batched_tokens"),
            memory_fraction: self.number("gpu_memory_utilization"),
            enforce_eager: self.switch("enforce_eager"),
            max_cudagraph_capture_size: self.whole("max_cudagraph_capture_size"),
            cudagraph_mode: self.text("cudagraph_mode").map(str::to_owned),
            cpu_offload_gb: self.number("cpu_offload_gb"),
            kv_cache_memory_bytes: self.text("kv_cache_memory_bytes").map(str::to_owned),
            block_size: self.whole("block_size"),
            enable_prefix_caching: self.switch("enable_prefix_caching"),
            language_model_only: self.switch("language_model_only"),
            limit_mm_per_prompt: self.number("limit_mm_per_prompt").map(|n| n as u64),
            redundant_experts: self.whole("redundant_experts"),
            ..Request::default()
        }
    }

    /// The model that the row names: by `config` in one of the folders, else by `model`; at the row's
    /// own number format.
    pub fn model(&self, catalog: &Catalog) -> Result<Model, String> {
        let names = [self.text("config"), self.text("model")];
        let mut tried = Vec::new();
        let found = names.into_iter().flatten().find_map(|name| {
            let text_only = name.ends_with("#text");
            let scope = if text_only { Scope::Text } else { Scope::Full };
            let name = name.trim_end_matches("#text").replacen("--", "/", 1);
            tried.push(name.clone());
            model::find_in(catalog, &name, scope).ok()
        });
        let found = found.or_else(|| base::find(catalog, self.text("model")?, Scope::Full));
        let model = found.ok_or_else(|| format!("unknown model {}", tried.join(", ")))?;
        match self.text("weight_dtype").map(format_of) {
            None => Ok(model),
            Some(None) => Err(format!("unknown weight_dtype {}", self.text("weight_dtype").unwrap_or(""))),
            Some(Some(format)) if holds(&model, format) => Ok(model),
            Some(Some(WeightFormat::Fp8)) => {
                let format = published_fp8(&model);
                Ok(model.with_weights(format))
            }
            Some(Some(format)) => Ok(model.with_weights(format)),
        }
    }

    /// Type of the cache of a kernel, 16 bits unless the row says otherwise.
    pub fn kv_cache(&self) -> DType {
        let fp8 = self.text("kv_cache_dtype").is_some_and(|t| t.starts_with("fp8"));
        if fp8 { DType::Fp8 } else { DType::Bf16 }
    }

    /// Type of the KV cache, if the row says.
    pub fn kv(&self) -> Option<DType> {
        let text = self.text("kv_dtype")?;
        if text.starts_with("fp8") { Some(DType::Fp8) } else { text.parse().ok() }
    }
}

/// The figure that a text states as `name=figure`.
pub fn figure(text: &str, name: &str) -> Option<f64> {
    let (_, rest) = text.split_once(&format!("{name}="))?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    rest[..end].parse().ok().filter(|x: &f64| x.is_finite() && *x > 0.0)
}

/// The storage that a log's words mean.
fn format_of(text: &str) -> Option<WeightFormat> {
    let lower = text.to_lowercase();
    let starts = |prefix: &str| lower.starts_with(prefix);
    Some(match () {
        () if starts("bf16") => WeightFormat::Bf16,
        () if starts("fp16") || starts("f16") => WeightFormat::Fp16,
        () if starts("fp8_block") => WeightFormat::Fp8Block,
        () if starts("fp8") => WeightFormat::Fp8,
        () if starts("nvfp4") || starts("fp4") => WeightFormat::Nvfp4,
        () if starts("mxfp4") => WeightFormat::Mxfp4,
        () if starts("mxfp8") => WeightFormat::Mxfp8,
        () if starts("int8") && lower.parse::<WeightFormat>().is_err() => WeightFormat::Int8,
        () if starts("int4") || starts("uint4") => WeightFormat::Int4,
        () => return lower.parse().ok(),
    })
}

/// Whether a part of the checkpoint is stored as the words mean, 16 bits apart: FP8 may mean attention
/// beside FP4 experts (DeepSeek-V4).
fn holds(model: &Model, named: WeightFormat) -> bool {
    let own = |format| same_storage(named, format);
    let parts = || model.groups.iter().flat_map(|g| &g.storage).any(|s| own(s.format));
    own(model.quantisation.main_format()) || (named.element().bits() < 16 && parts())
}

/// The FP8 in which a model's publisher offers it: that of Qwen3 and its successors has blocks of 128 by
/// 128 (`weight_block_size` in the `config.json` of Qwen/Qwen3-32B-FP8 and its kin).
fn published_fp8(model: &Model) -> WeightFormat {
    if model.family.starts_with("qwen3") { WeightFormat::Fp8Block } else { WeightFormat::Fp8 }
}

/// Whether the checkpoint's own storage is what the words mean: FP8 covers block FP8, INT4 any size of groups, and both
/// 16-bit types are alike.
fn same_storage(named: WeightFormat, own: WeightFormat) -> bool {
    let wide = |f: WeightFormat| f.element().bits() == 16;
    named == own.kernel()
        || named == own
        || (named == WeightFormat::Fp8 && own == WeightFormat::Fp8Block)
        || (wide(named) && wide(own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_rows_goes_into_columns_old_and_new() {
        let table = Table::parse("id,qps\na,\nb,3\n", "rows").unwrap();
        let told = table.with_columns(&["qps", "doubt"], |row| {
            vec![
                row.text("qps").is_none().then(|| "7".to_owned()),
                (row.id() == "b").then(|| "odd".to_owned()),
            ]
        });
        assert_eq!(told.columns, ["id", "qps", "doubt"]);
        let cells = |i: usize| told.row(i).cells().collect::<Vec<_>>();
        assert_eq!((cells(0), cells(1)), (vec!["a", "7", ""], vec!["b", "3", "odd"]));
    }

    #[test]
    fn launches_are_those_of_the_engines_file() {
        let table =
            Table::parse("engine,engine_version,launches\nsglang,0.5.8,deepep eplb\n", "rows").unwrap();
        let engine = table.row(0).engine(&Catalog::built_in()).unwrap();
        assert_eq!(engine.launched, ["deepep", "eplb"]);
    }
}
