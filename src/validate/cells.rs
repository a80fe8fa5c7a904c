//! Cells of rows that result files become.

use std::collections::BTreeMap;
use std::path::Path;

/// The cells of a row by column.
pub type Cells = BTreeMap<&'static str, String>;

/// Puts a positive figure.
pub fn put(cells: &mut Cells, column: &'static str, value: Option<f64>) {
    if let Some(value) = value.filter(|x| x.is_finite() && *x > 0.0) {
        cells.insert(column, value.to_string());
    }
}

/// Puts a name; `auto` is none.
pub fn name(cells: &mut Cells, column: &'static str, value: Option<String>) {
    let told = |text: &String| !text.trim().is_empty() && text != "auto";
    if let Some(value) = value.filter(told) {
        cells.insert(column, value);
    }
}

/// A model's name: of a local path the last two parts, which are the hub's in most stores.
pub fn model(path: Option<String>) -> Option<String> {
    let path = path?;
    if !path.starts_with(['/', '.']) || Path::new(&path).exists() {
        return Some(path);
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    Some(parts[parts.len().saturating_sub(2)..].join("/"))
}

/// A loop of clients, a rate, or everything at once.
pub fn driven(cells: &mut Cells, concurrency: Option<f64>, rate: Option<f64>) {
    put(cells, "concurrency", concurrency);
    put(cells, "rate", rate.filter(|_| concurrency.is_none()));
    let protocol = match (concurrency, rate) {
        (Some(_), _) => "closed-loop",
        (None, Some(_)) => "open-loop",
        (None, None) => "trtllm-bench",
    };
    cells.insert("protocol", protocol.to_owned());
}
