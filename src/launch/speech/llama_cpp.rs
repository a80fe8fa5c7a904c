//! llama.cpp: `llama-server` (`common/arg.cpp`, August 2025 to b11434).
//!
//! Its context is that of all slots together: one request may take `ctx-size / parallel` of it, or all with
//! `--kv-unified` and where `--parallel` is left out.

use super::words::dtype;
use crate::diagnostic::Diagnostic;
use crate::launch::dialect::{self, Said};
use crate::launch::invocation::Invocation;
use crate::launch::line::Line;
use crate::launch::server::{Drafts, Note, Reading, Server};

/// Reads a command line and the variables that stand for flags.
pub fn read(invocation: &Invocation, said: &Said, server: &mut Server) {
    let mut r = Reading::new(said);
    let version = dialect::dialect("llama.cpp").map_or("", |d| d.version_for(invocation.version.as_deref()));
    let mut model = None;
    for flag in ["--hf-repo", "--model", "--model-url"] {
        let written = said.get(flag).and_then(|s| s.values.first()).map(|w| w.text.clone());
        r.seen(flag);
        model = model.or(written);
    }
    server.model = model.or(invocation.model.clone());
    if let Some(name) = server.model.as_ref().filter(|m| m.contains("${") || m.starts_with('$')) {
        r.open(name.clone(), None);
    }
    for flag in ["--host", "--port", "--alias", "--flash-attn"] {
        r.seen(flag);
    }
    // What was written of the file's format stands in its name.
    if let Some(model) = &server.model {
        server.weights = model
            .rsplit_once(':')
            .map(|(_, tag)| tag.to_ascii_lowercase())
            .filter(|tag| !tag.contains(['/', '\\']))
            .or_else(|| quantisation(model));
    }
    let slots = r.read("--parallel", |t| t.parse::<i64>().ok()).filter(|n| *n > 0);
    server.max_sequences = slots.map(|n| n as u64);
    // Slots whose number nobody says share one cache whatever else is said (`tools/server/server.cpp`).
    server.shares_cells = r.switch("--kv-unified") == Some(true) || slots.is_none();
    let context = r.number("--ctx-size").filter(|n| *n > 0);
    server.max_model_len = match (context, slots) {
        (Some(context), Some(slots)) if slots > 1 && !server.shares_cells => {
            server.notes.push(format!(
                "--ctx-size {context} is that of all {slots} slots: {} for each request",
                context / slots as u64
            ));
            Some(context / slots as u64)
        }
        (context, _) => context,
    };
    server.max_batched_tokens = r.number("--ubatch-size");
    r.seen("--batch-size");
    let keys = r.text("--cache-type-k");
    let values = r.text("--cache-type-v");
    let flash = said.get("--flash-attn").and_then(|setting| setting.value());
    let off = flash.is_some_and(|word| dialect::OFF.contains(&word));
    let unasked = version == "b6100" && said.get("--flash-attn").is_none();
    if let Some(packed) =
        values.as_ref().filter(|v| v.trim_start_matches('i').starts_with('q') && (off || unasked))
    {
        let why = "a quantised cache of values needs flash attention (`llama-context.cpp`)".to_owned();
        r.unread.push(Note { text: format!("--cache-type-v {packed}"), why, refused: true });
    }
    server.kv = match (keys, values) {
        (Some(k), Some(v)) if k != v => {
            server
                .notes
                .push(format!("keys are held as {k} and values as {v}: the planner has one type for both"));
            dtype(&k)
        }
        (k, v) => k.or(v).as_deref().and_then(dtype),
    };
    let split = r.text("--split-mode");
    let shares = r.read("--tensor-split", |t| {
        let parts: Option<Vec<f64>> = t.split([',', '/']).map(|p| p.trim().parse().ok()).collect();
        parts.filter(|p| !p.is_empty())
    });
    let cards = shares.as_ref().map(|s| s.iter().filter(|p| **p > 0.0).count().max(1) as u32);
    server.tensor_split = shares;
    if let (Some("tensor" | "row"), Some(shares)) = (split.as_deref(), &server.tensor_split)
        && shares.windows(2).any(|pair| pair[0] != pair[1])
    {
        server.tensor_split = None;
        r.undescribed(
            "--tensor-split",
            "each layer is divided by these shares, and counted as divided evenly",
        );
    }
    match split.as_deref() {
        Some("tensor" | "row") => (server.tp, server.pp) = (cards, cards.map(|_| 1)),
        Some("none") => (server.tp, server.pp) = (Some(1), Some(1)),
        _ if cards.is_some() => (server.tp, server.pp) = (Some(1), cards),
        None => (server.tp, server.pp) = (Some(1), Some(1)),
        _ => (server.tp, server.pp) = (Some(1), None),
    }
    let copies = invocation.copies.unwrap_or(1);
    server.gpus = cards.map(|n| u64::from(n).saturating_mul(copies.into()));
    server.replicas = invocation.copies.or(cards.map(|_| 1));
    server.gpu_layers = r
        .read("--n-gpu-layers", |t| match t {
            "auto" | "all" => Some(None),
            _ => t.parse::<i64>().ok().map(|n| u64::try_from(n).ok()),
        })
        .flatten();
    server.cpu_moe_layers = r.number("--n-cpu-moe");
    if r.switch("--cpu-moe") == Some(true) {
        server.cpu_moe_layers = Some(u64::MAX);
    }
    let patterns = r.text("--override-tensor");
    server.override_tensor = patterns.map(|all| all.split(',').map(|one| one.trim().to_owned()).collect());
    server.prefix_caching = r.switch("--cache-prompt");
    if said.get("--lora").is_some() {
        server.lora = Some(true);
        r.undescribed("--lora", "the adapters' rank is not said: their memory is not counted");
    }
    let all = u64::from(cards.unwrap_or(1).max(1));
    let mib = r.read("--cache-ram", |t| t.parse::<i64>().ok()).filter(|mib| *mib > 0);
    server.host_cache = mib.map(|mib| (mib as u64).saturating_mul(MIB) / all);
    let method = r.text("--spec-type").filter(|method| method != "none");
    let model = ["--model-draft", "--hf-repo-draft", "--spec-draft-model", "--spec-draft-hf"]
        .into_iter()
        .fold(None, |found: Option<String>, flag| found.or_else(|| r.text(flag)));
    let tokens = ["--draft-max", "--spec-draft-n-max"]
        .into_iter()
        .fold(None, |found: Option<u32>, flag| found.or_else(|| r.count(flag)));
    if method.is_some() || model.is_some() {
        server.speculation = Some(Drafts { method, tokens, model });
    }
    for stray in &said.positional {
        r.unread.push(Note {
            text: stray.text.clone(),
            why: "a word that belongs to no flag".into(),
            refused: !stray.unknown && stray.only_if.is_none(),
        });
    }
    r.finish(server, version);
}

/// The format in the name of a GGUF file: `model-Q4_K_M.gguf`.
fn quantisation(file: &str) -> Option<String> {
    let stem = file.rsplit(['/', '\\']).next()?.strip_suffix(".gguf")?;
    let is_format = |word: &&str| {
        let upper = word.to_ascii_uppercase();
        let letter = upper
            .strip_prefix("IQ")
            .or(upper.strip_prefix('Q'))
            .is_some_and(|r| r.starts_with(|c: char| c.is_ascii_digit()));
        letter || matches!(upper.as_str(), "F16" | "BF16" | "F32" | "MXFP4")
    };
    stem.split(['-', '.']).rev().find(is_format).map(str::to_ascii_lowercase)
}

const MIB: u64 = 1 << 20;

/// Writes adapters: each is a file of its own that is loaded at start, and requests name those that they want. Several stand
/// behind one flag, or each behind its own before December 2025 (`common/arg.cpp`).
fn adapters(line: &mut Line, model: &str, count: u64) -> Result<(), Diagnostic> {
    let last = model.rsplit('/').next().unwrap_or(model);
    let stem = last.strip_suffix(".gguf").unwrap_or(last).split(':').next().unwrap_or(last);
    let files: Vec<String> = (1..=count).map(|n| format!("/models/{stem}-adapter-{n}.gguf")).collect();
    if line.version() == "b6100" {
        files.iter().try_for_each(|file| line.set("--lora", file))?;
    } else {
        line.set("--lora", files.join(","))?;
    }
    line.needs.push(format!("{} as GGUF files of adapters", files.join(", ")));
    line.switch("--lora-init-without-apply")
}

/// Writes the command of one server.
///
/// # Errors
/// As [`Line::set`].
pub fn write(server: &Server) -> Result<Line, Diagnostic> {
    let mut line = Line::new("llama.cpp", server.version.as_deref(), vec!["llama-server".to_owned()]);
    let model = server.model.clone().unwrap_or_default();
    let file = model.ends_with(".gguf");
    line.set(if file { "--model" } else { "--hf-repo" }, model)?;
    let slots = server.max_sequences.unwrap_or(1).max(1);
    line.set("--parallel", slots)?;
    if let Some(length) = server.max_model_len {
        let parts = if server.shares_cells { 1 } else { slots };
        line.set("--ctx-size", length.saturating_mul(parts))?;
    }
    if let Some(tokens) = server.max_batched_tokens {
        line.set("--batch-size", tokens.max(2048))?;
        line.set("--ubatch-size", tokens)?;
    }
    match server.task.as_deref() {
        Some("embed") => line.switch("--embeddings")?,
        Some(_) => line.switch("--reranking")?,
        None => {}
    }
    match (server.shares_cells, slots > 1) {
        (true, true) => line.switch("--kv-unified")?,
        (false, true) if line.takes("--no-kv-unified") => line.switch("--no-kv-unified")?,
        _ => {}
    }
    match server.gpu_layers {
        Some(layers) => line.set("--n-gpu-layers", layers)?,
        // More than any model has: all of them, in every version.
        None => line.set("--n-gpu-layers", 999)?,
    }
    match server.cpu_moe_layers {
        Some(u64::MAX) => line.switch("--cpu-moe")?,
        Some(layers) if layers > 0 => line.set("--n-cpu-moe", layers)?,
        _ => {}
    }
    let (ranks, stages) = (server.tp.unwrap_or(1), server.pp.unwrap_or(1));
    if ranks > 1 || stages > 1 {
        line.set("--split-mode", if ranks > 1 { "tensor" } else { "layer" })?;
        let cards = ranks.max(stages) as usize;
        let shares = server.tensor_split.clone().unwrap_or_else(|| vec![1.0; cards]);
        line.set("--tensor-split", shares.iter().map(f64::to_string).collect::<Vec<_>>().join(","))?;
    } else {
        line.set("--split-mode", "none")?;
    }
    let valued = line.takes("--flash-attn") && line.version() != "b6100";
    match valued {
        true => line.set("--flash-attn", "on")?,
        false => line.switch("--flash-attn")?,
    }
    if let Some(slots) = server.adapters {
        let model = server.model.clone().unwrap_or_default();
        adapters(&mut line, &model, slots.count)?;
    }
    if server.disk_cache.is_some() {
        return Err(line
            .lacks("tier of drives below the host's memory")
            .help("leave nvme out of --kv-tiers"));
    }
    if let Some(bytes) = server.host_cache {
        let cards = u64::from(ranks.max(stages));
        line.set("--cache-ram", (bytes.saturating_mul(cards) / MIB).max(1))?;
    }
    if let Some(kv) = &server.kv {
        let word = if kv == "fp16" { "f16" } else { kv };
        line.set("--cache-type-k", word)?;
        line.set("--cache-type-v", word)?;
    }
    Ok(line)
}
