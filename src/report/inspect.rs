//! A model taken apart: parameters by component, storage, cache.

use std::fmt::Write as _;

use serde_json::{Map, Value as Json, json};

use crate::diagnostic::Diagnostic;
use crate::dtype::DType;
use crate::estimate::breakdown::LargeTensor;
use crate::model::{Component, Model, RankGroups};
use crate::units::{Bytes, group_thousands, si};

use super::cell::Value;
use super::section::Section;
use super::sheet::Sheet;

const GIB: f64 = 1_073_741_824.0;

/// Contexts of the KV ladder.
const LADDER: [u64; 5] = [4096, 8192, 32_768, 131_072, 1_048_576];

/// The inspection as JSON; names are fixed.
///
/// # Errors
/// A model too large to count.
pub fn inspection_json(model: &Model) -> Result<Json, Diagnostic> {
    let count = model.parameters()?;
    let mut params = Map::new();
    params.insert("total".into(), json!(count.total));
    params.insert("active".into(), json!(count.active));
    for component in Component::ALL {
        params.insert(component.name().into(), json!(count.of(component)));
    }
    params.insert("mtp".into(), json!(count.mtp));
    let storage: Map<String, Json> =
        model.stored_by_component().map(|(c, bytes)| (c.name().to_owned(), json!(bytes.get()))).collect();
    let mut inspection = json!({
        "model": model.id,
        "family": model.family,
        "recognised": model.recognised,
        "task": model.task.name(),
        "scope": model.scope.name(),
        "layers": model.layers(),
        "hidden": model.hidden,
        "vocabulary": model.vocabulary,
        "max_context": model.max_context,
        "weights": model.quantisation.main_format().name(),
        "served_as": model.served_as().name(),
        "params": params,
        "checkpoint_bytes": model.checkpoint_bytes().get(),
        "stored_bytes": storage,
        "kv_cache_bytes_per_token": model.kv_bytes_per_token(DType::Bf16).get(),
        "recurrent_state_bytes_per_sequence": model.state_bytes_per_sequence().get(),
        "notes": model.notes,
    });
    if model.lora_parameters() > 0 {
        inspection["lora"] = lora(model);
    }
    Ok(inspection)
}

/// LoRA adapters: parameters of one, bytes of all on a rank by tensor-parallel ranks.
fn lora(model: &Model) -> Json {
    let on_rank = |tensor: u64| model.lora_bytes(RankGroups { tensor, ..RankGroups::SINGLE }).get();
    let by_ranks: Map<String, Json> =
        [1, 2, 4, 8].map(|tp| (tp.to_string(), json!(on_rank(tp)))).into_iter().collect();
    json!({ "params": model.lora_parameters(), "bytes_per_rank": by_ranks })
}

/// The inspection for the terminal.
///
/// # Errors
/// A model too large to count.
pub fn inspection_text(model: &Model, width: Option<u16>) -> Result<String, Diagnostic> {
    let count = model.parameters()?;
    let mut out = format!(
        "{} ({}{}, {} layers, width {}, vocabulary {}, context {})\n",
        model.id,
        model.family,
        if model.recognised { "" } else { ": unknown, general rules" },
        model.layers(),
        model.hidden,
        group_thousands(model.vocabulary),
        model.max_context.map_or("unknown".into(), group_thousands),
    );
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
    let _ = writeln!(out, "\n{}", sheet.table(width));
    let active = 100.0 * count.active as f64 / count.total as f64;
    let _ = writeln!(out, "{}active per token ({active:.1} %)", si_parameters(count.active));
    if count.mtp > 0 {
        let _ =
            writeln!(out, "{}in multi-token-prediction layers, not in the total", si_parameters(count.mtp));
    }
    let _ = write!(out, "{}", cache_text(model, width));
    for note in &model.notes {
        let _ = writeln!(out, "note: {note}");
    }
    Ok(out)
}

fn si_parameters(n: u64) -> String {
    format!("{} parameters ({}) ", group_thousands(n), si(n as f64))
}

fn cache_text(model: &Model, width: Option<u16>) -> String {
    let per_token = |kv| model.kv_bytes_per_token(kv);
    let state = model.state_bytes_per_sequence();
    let mut out = format!(
        "\nKV cache per token: {} in 16 bits, {} in 8 bits; recurrent state per sequence: {state}\n",
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
        let _ = writeln!(out, "{}", sheet.table(width));
    }
    out
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
    add("kv_cache_bytes_per_token", &|_, m| m.kv_bytes_per_token(DType::Bf16).get().into());
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
