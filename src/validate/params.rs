//! Exact counts of checkpoints. The configuration is `models/<model>.json` or `<file>` beside the CSV.

use std::path::{Path, PathBuf};

use crate::catalog::Catalog;
use crate::dtype::DType;
use crate::model::{self, Component, Scope};

use super::{Prediction, Row};

/// Counts the row's model.
pub fn predict(row: &Row, beside: &Path, catalog: &Catalog) -> Prediction {
    let (path, scope) = match (row.text("file"), row.text("model")) {
        (Some(file), _) => (variant(beside, file), Scope::Full),
        (None, Some(name)) => match name.strip_suffix("#text") {
            Some(name) => (beside.join("models").join(format!("{name}.json")), Scope::Text),
            None => (beside.join("models").join(format!("{name}.json")), Scope::Full),
        },
        (None, None) => return Err("neither model nor file".into()),
    };
    let name = match (path.is_file(), row.text("model")) {
        (false, Some(model)) => model.trim_end_matches("#text").replacen("--", "/", 1),
        _ => path.display().to_string(),
    };
    let model = model::find_in(catalog, &name, scope).map_err(|d| d.cause)?;
    let count = model.parameters().map_err(|d| d.cause)?;
    let mut values: Vec<(&'static str, u64)> = vec![
        ("total", count.total),
        ("total_untied", count.untied),
        ("active", count.active),
        ("active_if_moe", count.active),
        ("kv_bytes_per_token_bf16", model.kv_bytes_per_token(DType::Bf16).get()),
        ("mtp_extra", count.mtp),
    ];
    let columns = [
        ("embed", Component::Embedding),
        ("lm_head", Component::LmHead),
        ("attn", Component::Attention),
        ("mlp", Component::Mlp),
        ("moe_experts", Component::Experts),
        ("router", Component::Router),
        ("norm", Component::Norm),
        ("ssm", Component::Ssm),
        ("other", Component::Other),
    ];
    values.extend(columns.map(|(name, component)| (name, count.of(component))));
    Ok(values.into_iter().map(|(name, n)| (name, n as f64)).collect())
}

/// A variant's file: as named, or in `variants/` under its last name.
fn variant(beside: &Path, file: &str) -> PathBuf {
    let named = beside.join(file);
    let last = Path::new(file).file_name().map(|n| beside.join("variants").join(n));
    if named.is_file() { named } else { last.unwrap_or(named) }
}
