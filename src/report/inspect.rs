//! A model taken apart: parameters by component, storage, cache.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value as Json;

use crate::diagnostic::Diagnostic;
use crate::dtype::DType;
use crate::estimate::breakdown::{LargeTensor, Setting};
use crate::model::{Component, Model, RankGroups};
use crate::units::{Bytes, group_thousands, si};

use super::answer::{self, ANSWER_VERSION, Names, kind, schema};
use super::cell::Value;
use super::page::Page;
use super::section::{Section, Sections};
use super::sheet::Sheet;

const GIB: f64 = 1_073_741_824.0;

/// Contexts of the KV ladder.
const LADDER: [u64; 5] = [4096, 8192, 32_768, 131_072, 1_048_576];

/// A model taken apart: names are fixed, scripts lean on them.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Inspection")]
struct InspectionAnswer<'a> {
    /// Version of the form of answers.
    schema_version: u64,
    #[serde(flatten)]
    figures: Figures<'a>,
    #[serde(flatten)]
    tables: Sections<'a>,
}

/// A model's own figures, and what a step of it was asked to be.
#[derive(Serialize, JsonSchema)]
struct Figures<'a> {
    /// Model.
    model: &'a str,
    /// Its family: `model_type` of its configuration.
    family: &'a str,
    /// Whether the family is known; general rules were used where it is not.
    recognised: bool,
    /// What its answers are made of.
    task: &'static str,
    /// The part of the model: full or text.
    scope: &'static str,
    /// Layers.
    layers: u64,
    /// Width of the residual stream.
    hidden: u64,
    /// Rows of the embedding.
    vocabulary: u64,
    /// Longest context in tokens; null where it is not known.
    max_context: Option<u64>,
    /// Format of most weights.
    weights: &'static str,
    /// Format that engines serve them in.
    served_as: &'static str,
    /// Parameters by component: tied weights once, in `embedding`; `mtp` is no part of `total`.
    params: Names<u64>,
    /// Bytes of the checkpoint, without multi-token-prediction layers.
    checkpoint_bytes: u64,
    /// Bytes of its multi-token-prediction layers: 0 where it has none.
    prediction_bytes: u64,
    /// The same by component.
    stored_bytes: Names<u64>,
    /// Bytes that one more token of a long sequence adds to the KV cache in 16 bits, as engines lay it out.
    kv_cache_bytes_per_token: u64,
    /// Bytes of recurrent state of one sequence.
    recurrent_state_bytes_per_sequence: u64,
    /// What to know of the model.
    notes: &'a [String],
    /// LoRA adapters; left out where none are served or trained.
    #[serde(skip_serializing_if = "Option::is_none")]
    lora: Option<LoraAnswer>,
    /// What to look out for.
    warnings: &'a [String],
    /// What the tables are of; left out where none depends on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    setting: Option<SettingAnswer>,
}

/// LoRA adapters.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Lora")]
struct LoraAnswer {
    /// Parameters of one.
    params: u64,
    /// Bytes of all of them on a rank, by tensor-parallel ranks.
    bytes_per_rank: Names<u64>,
}

/// What a step is of.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Setting")]
struct SettingAnswer {
    /// Pretrain, prefill or decode.
    mode: &'static str,
    /// Sequences.
    batch: u64,
    /// Tokens of each.
    seq: u64,
    /// Type of activations.
    dtype: &'static str,
    /// Type of the KV cache.
    kv: &'static str,
}

impl From<&Setting> for SettingAnswer {
    fn from(s: &Setting) -> SettingAnswer {
        SettingAnswer {
            mode: s.mode.name(),
            batch: s.batch,
            seq: s.tokens,
            dtype: s.activations.name(),
            kv: s.kv.name(),
        }
    }
}

/// A model, what its tables are of, and what to look out for.
#[derive(Clone, Copy, Debug)]
pub struct Inspected<'a> {
    /// The model.
    pub model: &'a Model,
    /// What its tables are of, where they depend on it.
    pub setting: Option<&'a Setting>,
    /// What to look out for.
    pub warnings: &'a [String],
}

impl<'a> Inspected<'a> {
    fn figures(self) -> Result<Figures<'a>, Diagnostic> {
        let model = self.model;
        let count = model.parameters()?;
        let components = Component::ALL.map(|c| (c.name(), count.of(c)));
        let params = [("total", count.total), ("active", count.active)]
            .into_iter()
            .chain(components)
            .chain([("mtp", count.mtp)]);
        let stored = model.stored_by_component();
        Ok(Figures {
            model: &model.id,
            family: &model.family,
            recognised: model.recognised,
            task: model.task.name(),
            scope: model.scope.name(),
            layers: model.layers(),
            hidden: model.hidden,
            vocabulary: model.vocabulary,
            max_context: model.max_context,
            weights: model.quantisation.main_format().name(),
            served_as: model.served_as().name(),
            params: params.map(|(name, n)| (name.to_owned(), n)).collect(),
            checkpoint_bytes: model.checkpoint_bytes().get(),
            prediction_bytes: model.prediction_bytes().get(),
            stored_bytes: stored.map(|(c, bytes)| (c.name().to_owned(), bytes.get())).collect(),
            kv_cache_bytes_per_token: model.cache_bytes_per_token(DType::Bf16).get(),
            recurrent_state_bytes_per_sequence: model.state_bytes_per_sequence().get(),
            notes: &model.notes,
            lora: (model.lora_parameters() > 0).then(|| lora(model)),
            warnings: self.warnings,
            setting: self.setting.map(SettingAnswer::from),
        })
    }

    /// With tables, as JSON.
    ///
    /// # Errors
    /// A model too large to count.
    pub fn json(self, tables: &[Section]) -> Result<Json, Diagnostic> {
        let figures = self.figures()?;
        Ok(answer::json(&InspectionAnswer {
            schema_version: ANSWER_VERSION,
            figures,
            tables: Sections(tables),
        }))
    }

    /// The model's own figures, a row each.
    ///
    /// # Errors
    /// A model too large to count.
    pub fn sheet(self) -> Result<Sheet, Diagnostic> {
        Ok(Sheet::of_json(&answer::json(&self.figures()?)))
    }
}

/// LoRA adapters: parameters of one, bytes of all on a rank by tensor-parallel ranks.
fn lora(model: &Model) -> LoraAnswer {
    let on_rank = |tensor: u64| model.lora_bytes(RankGroups { tensor, ..RankGroups::SINGLE }).get();
    LoraAnswer {
        params: model.lora_parameters(),
        bytes_per_rank: [1, 2, 4, 8].map(|tp| (tp.to_string(), on_rank(tp))).into_iter().collect(),
    }
}

/// Tables that are of no model.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "KnownSizes")]
struct TablesAnswer<'a> {
    /// Version of the form of answers.
    schema_version: u64,
    #[serde(flatten)]
    tables: Sections<'a>,
}

/// Tables that are of no model, as JSON.
pub fn tables_json(tables: &[Section]) -> Json {
    answer::json(&TablesAnswer { schema_version: ANSWER_VERSION, tables: Sections(tables) })
}

/// The JSON Schema of what `inspect` answers: a model, a list of several, published sizes.
pub(super) fn inspection_schema() -> Json {
    schema("InspectAnswer", &[kind::<InspectionAnswer>, kind::<Vec<InspectionAnswer>>, kind::<TablesAnswer>])
}

/// The inspection for the terminal.
///
/// # Errors
/// A model too large to count.
pub fn inspection_page(model: &Model) -> Result<Page, Diagnostic> {
    let count = model.parameters()?;
    let mut out = Page::from(format!(
        "{} ({}{}, {} layers, width {}, vocabulary {}, context {})\n",
        model.id,
        model.family,
        if model.recognised { "" } else { ": unknown, general rules" },
        model.layers(),
        model.hidden,
        group_thousands(model.vocabulary),
        model.max_context.map_or("unknown".into(), group_thousands),
    ));
    let checkpoint = model.checkpoint_bytes();
    let mut sheet = Sheet::new(["component", "parameters", "% of total", "stored as", "stored"]);
    let formats = model.formats_by_component();
    for (component, bytes) in model.stored_by_component() {
        let n = count.of(component);
        if n == 0 {
            continue;
        }
        let share = 100.0 * n as f64 / count.total as f64;
        let format = formats.iter().filter(|(c, _)| *c == component).map(|(_, f)| f.name());
        let names: Vec<&str> = itertools::Itertools::unique(format).collect();
        sheet.rows.push(vec![
            component.name().into(),
            n.into(),
            share.into(),
            Value::Text(names.join(", ")),
            Value::Text(bytes.to_string()),
        ]);
    }
    sheet.rows.push(vec![
        "total".into(),
        count.total.into(),
        100.0.into(),
        "".into(),
        Value::Text(checkpoint.to_string()),
    ]);
    out.push_str("\n");
    out.table(sheet);
    let active = 100.0 * count.active as f64 / count.total as f64;
    let _ = writeln!(out, "{}active per token ({active:.1} %)", si_parameters(count.active));
    if count.mtp > 0 {
        let (parameters, bytes) = (si_parameters(count.mtp), model.prediction_bytes());
        let _ = writeln!(out, "{parameters}in multi-token-prediction layers, {bytes}, not in the total");
    }
    add_cache(&mut out, model);
    for note in &model.notes {
        let _ = writeln!(out, "note: {note}");
    }
    Ok(out)
}

fn si_parameters(n: u64) -> String {
    format!("{} parameters ({}) ", group_thousands(n), si(n as f64))
}

/// Adds the cache of a token and of sequences by their length.
fn add_cache(out: &mut Page, model: &Model) {
    let per_token = |kv| model.cache_bytes_per_token(kv);
    let state = model.state_bytes_per_sequence();
    let _ = writeln!(
        out,
        "\nKV cache per token: {} in 16 bits, {} in 8 bits; recurrent state per sequence: {state}",
        per_token(DType::Bf16),
        per_token(DType::Fp8)
    );
    let mut sheet = Sheet::new(["context", "KV cache and state, 16 bits", "8 bits"]);
    let longest = model.max_context.unwrap_or(u64::MAX);
    for tokens in LADDER.into_iter().filter(|t| *t <= longest) {
        let at = |kv| Value::Text(model.cache_bytes(kv, tokens).to_string());
        sheet.rows.push(vec![tokens.into(), at(DType::Bf16), at(DType::Fp8)]);
    }
    if !sheet.rows.is_empty() && per_token(DType::Bf16) > Bytes::ZERO {
        out.table(sheet);
    }
}

/// Parameters by component as a section.
///
/// # Errors
/// A model too large to count.
pub fn parameters_section(model: &Model) -> Result<Section, Diagnostic> {
    let columns = [
        ("component", "component", 1.0),
        ("parameters", "parameters", 1.0),
        ("percent", "%", 1.0),
        ("stored_bytes", "stored GiB", GIB),
    ];
    let mut section = Section::new("parameters", "Parameters", 1, &columns);
    let count = model.parameters()?;
    let row = |name: &str, n: u64, bytes: Bytes| {
        vec![name.into(), n.into(), (100.0 * n as f64 / count.total as f64).into(), bytes.get().into()]
    };
    let parts = model.stored_by_component().filter(|(c, _)| count.of(*c) > 0);
    section.rows = parts.map(|(c, bytes)| row(c.name(), count.of(c), bytes)).collect();
    section.total = Some(row("total", count.total, model.checkpoint_bytes()));
    Ok(section)
}

/// Several models side by side: a figure a row, a model a column.
///
/// # Errors
/// A model too large to count.
pub fn comparison(models: &[Model]) -> Result<Sheet, Diagnostic> {
    let mut sheet = Sheet::new(std::iter::once("figure").chain(models.iter().map(|m| m.id.as_str())));
    let counts = models.iter().map(Model::parameters).collect::<Result<Vec<_>, _>>()?;
    let mut add = |name: &str, of: &dyn Fn(usize, &Model) -> Value| {
        let mut row: Vec<Value> = vec![name.into()];
        row.extend(models.iter().enumerate().map(|(i, m)| of(i, m)));
        sheet.rows.push(row);
    };
    add("family", &|_, m| m.family.as_str().into());
    add("parameters", &|i, _| counts[i].total.into());
    add("active", &|i, _| counts[i].active.into());
    for component in Component::ALL {
        if counts.iter().any(|c| c.of(component) > 0) {
            add(component.name(), &|i, _| counts[i].of(component).into());
        }
    }
    add("layers", &|_, m| m.layers().into());
    add("width", &|_, m| m.hidden.into());
    add("vocabulary", &|_, m| m.vocabulary.into());
    add("context", &|_, m| m.max_context.map_or(Value::Missing, Value::Integer));
    add("weights", &|_, m| m.quantisation.main_format().name().into());
    add("checkpoint_bytes", &|_, m| m.checkpoint_bytes().get().into());
    add("kv_cache_bytes_per_token", &|_, m| m.cache_bytes_per_token(DType::Bf16).get().into());
    add("recurrent_state_bytes_per_sequence", &|_, m| m.state_bytes_per_sequence().get().into());
    for tokens in [8192, 32_768, 131_072] {
        add(&format!("cache_bytes_at_{tokens}"), &|_, m| match m.max_context {
            Some(longest) if longest < tokens => Value::Missing,
            _ => m.cache_bytes(DType::Bf16, tokens).get().into(),
        });
    }
    Ok(sheet)
}

/// What to say about a tensor that 32 bits cannot index.
pub fn warning(tensor: &LargeTensor) -> String {
    let size = format!("`{}` has {} elements", tensor.name, si(tensor.elements));
    if tensor.overflows_indices() {
        format!("{size}, 2^31 or more: kernels need 64-bit indices")
    } else {
        format!("{size} in {:.2} GiB, 2^31 bytes or more: byte offsets need 64 bits", tensor.bytes / GIB)
    }
}
