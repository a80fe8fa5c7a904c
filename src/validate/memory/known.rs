//! Whether a row says all that moves its numbers.

use crate::catalog::engine::{FractionOf, MemoryRule};
use crate::catalog::{Catalog, Engine};
use crate::validate::{Prediction, Row};

/// Columns that a row may leave out, so that the engine's default for the GPU stands in.
const SETTINGS: [&str; 3] = ["gpu_memory_utilization", "max_num_seqs", "max_num_batched_tokens"];

/// Words of versions that are no release of the engine.
const BUILDS: [&str; 5] = ["fork", "image", "git", "nightly", "kt"];

/// Sources that hold whole logs or exact figures.
const SOURCES: [&str; 5] = ["full-log", "log-lines", "table", "report", "json-only"];

/// The settings that a row leaves out.
pub fn assumed(row: &Row) -> Vec<&'static str> {
    SETTINGS.into_iter().filter(|column| row.text(column).is_none()).collect()
}

/// Why the configuration of a row is not known: what is neither stated nor follows from the engine's
/// version. Empty where it is.
pub fn unknowns(row: &Row, catalog: &Catalog) -> Vec<String> {
    let mut why = Vec::new();
    if let Some(quality) = row.text("quality").filter(|q| !SOURCES.contains(q)) {
        why.push(format!("the source is {quality}"));
    }
    match row.text("engine").map(|name| catalog.every_version(name)) {
        Some(Ok(engine)) => {
            let text = row.text("engine_version").unwrap_or("");
            why.extend(version(text, &engine, row.text("weight_dtype")));
            // A compiled engine has the limits that it was compiled for, whatever the server's defaults.
            let compiled = engine.logged(text).backend.as_deref() == Some("engine");
            if compiled && row.text("max_num_batched_tokens").is_none() {
                why.push("the limits that the engine was compiled for are not stated".into());
            }
            why.extend(contradiction(row, &engine));
        }
        _ => why.push("the engine is not known".into()),
    }
    if row.text("gpu").is_none() && row.number("gpu_mem_gib").is_none() {
        why.push("the GPU is not stated".into());
    }
    if row.text("gpu_memory_utilization").is_none() {
        why.push("the memory fraction is not stated".into());
    }
    if row.text("model").is_none_or(|name| name.contains([' ', '('])) {
        why.push("the model is described, not named".into());
    }
    why.extend(row.text("doubt").map(str::to_owned));
    why
}

/// Why the version does not tell which profile applies.
fn version(text: &str, engine: &Engine, weights: Option<&str>) -> Option<String> {
    let lower = text.to_lowercase();
    let mut words = lower.split(|c: char| !c.is_alphanumeric());
    if words.any(|word| BUILDS.contains(&word)) {
        return Some(format!("`{text}` is no release"));
    }
    // Both ends of a range, and all patches of `0.5.x`, must share a profile.
    let numbers = lower.split(|c: char| !c.is_ascii_digit() && c != '.' && c != 'x').filter(|n| {
        let digits = n.trim_matches(['.', 'x']);
        digits.contains('.') || (n.ends_with(".x") && !digits.is_empty())
    });
    let beside: String = lower
        .split(|c: char| !c.is_alphanumeric())
        .filter(|w| w.starts_with(char::is_alphabetic))
        .collect::<Vec<_>>()
        .join(" ");
    let mut profiles = numbers.flat_map(|n| {
        let least = n.trim_matches(['.', 'x']);
        let ends = if n.ends_with('x') {
            vec![least.to_owned(), format!("{least}.999")]
        } else {
            vec![least.to_owned()]
        };
        ends.into_iter().map(|n| engine.logged(&format!("{n} {beside}"))).collect::<Vec<_>>()
    });
    let Some(first) = profiles.next() else { return Some("the engine's version is not stated".into()) };
    // How experts in MXFP4 are padded matters to models that have such.
    let padded = weights.is_some_and(|format| format.starts_with("mxfp4"));
    let rule = |e: &Engine| {
        let own = e.memory.mxfp4_padding.filter(|_| padded);
        MemoryRule { mxfp4_padding: own, ..e.memory.clone() }
    };
    let same = |e: &Engine| rule(e) == rule(&first) && e.defaults == first.defaults;
    if !profiles.all(|e| same(&e)) {
        return Some(format!("`{text}` covers versions that differ"));
    }
    let newer = first.beyond.filter(|_| first.caveat().is_some());
    newer.map(|newest| format!("newer than {newest}, the newest version that is described"))
}

/// How far logged weights may lie from those of the model that is named: beyond it another one was loaded, or part of it.
const OTHER_WEIGHTS: f64 = 0.25;

/// Whether a row contradicts itself, so that no estimate meets all of it: its source says that its figures are abnormal, its
/// parts add up to another fraction than it states, or its weights are not those of the model that it names.
pub fn contradicts(row: &Row, catalog: &Catalog, prediction: Option<&Prediction>) -> bool {
    let engine = row.text("engine").and_then(|name| catalog.every_version(name).ok());
    let of_version = engine.map(|engine| engine.logged(row.text("engine_version").unwrap_or("")));
    let weights = "weights_gib_per_gpu";
    let expected = prediction.and_then(|p| p.as_ref().ok()).and_then(|parts| {
        parts.iter().find(|(column, gib)| *column == weights && *gib > 0.0).map(|(_, gib)| *gib)
    });
    let others = expected
        .zip(row.number(weights))
        .is_some_and(|(expected, logged)| (logged / expected - 1.0).abs() > OTHER_WEIGHTS);
    row.text("quality") == Some("suspect")
        || others
        || of_version.is_some_and(|engine| contradiction(row, &engine).is_some())
}

/// Whether what vLLM logged of its parts does not add up to the fraction that the row states.
fn contradiction(row: &Row, engine: &Engine) -> Option<String> {
    let parts = ["weights_gib_per_gpu", "activation_peak_gib", "non_torch_gib", "kv_cache_gib_per_gpu"];
    let parts: Option<Vec<f64>> = parts.iter().map(|c| row.number(c)).collect();
    let (memory, fraction) = (row.number("gpu_mem_gib")?, row.number("gpu_memory_utilization")?);
    let sum: f64 =
        parts.filter(|_| memory > 0.0 && engine.memory.fraction_of == FractionOf::Total)?.iter().sum();
    // The graphs of newer versions count inside: at most 5 GiB of what was logged.
    let most = sum + row.number("cuda_graph_gib").unwrap_or(0.0).max(0.0) * 1.5;
    let within = sum / memory <= fraction + 0.01 && most / memory >= fraction - 0.01;
    (!within).then(|| format!("its parts add up to {:.2} of the memory, not to {fraction}", sum / memory))
}
