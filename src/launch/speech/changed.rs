//! What a launch changes of the model before anything is sized: its configuration, and room for adapters.

use serde_json::{Map, Value};

use crate::diagnostic::Diagnostic;
use crate::launch::dialect::Said;
use crate::launch::line::Line;
use crate::launch::server::{AdapterSlots, Reading, Server};

/// Changes that say nothing but how long a request may be.
const OF_LENGTH: &[&str] =
    &["rope_scaling", "rope_parameters", "rope_theta", "max_position_embeddings", "text_config"];

/// Takes the changes of a configuration: the longest request follows from it where the launch does not say one, and what
/// else it changes is said to be counted as published.
pub(super) fn configuration<'a>(
    r: &mut Reading<'a>,
    server: &mut Server,
    (flag, rope): (&'a str, Option<&'a str>),
) {
    let mut changes = r.object(flag).unwrap_or_default();
    if let Some(scaling) = rope.and_then(|rope| r.object(rope)) {
        changes.insert("rope_scaling".to_owned(), Value::Object(scaling));
    }
    let inner = changes.get("text_config").and_then(Value::as_object);
    if !server.length_by_room {
        server.max_model_len = server.max_model_len.or(length(&changes)).or(inner.and_then(length));
    }
    let mut others = changes.keys().chain(inner.into_iter().flat_map(Map::keys));
    if let Some(other) = others.find(|key| !OF_LENGTH.contains(&key.as_str())) {
        let why = format!("it changes `{other}` of the model's configuration, which is counted as published");
        r.undescribed(flag, &why);
    }
}

/// The context that follows from changes: that of a stretched table of positions, else the one stated (vLLM
/// `config/model.py` `_get_and_verify_max_len`: the original length times the factor for YaRN, the stated one times the
/// factor otherwise, and Llama 3's is in the stated one).
fn length(changes: &Map<String, Value>) -> Option<u64> {
    let whole = |map: &Map<String, Value>, key: &str| map.get(key).and_then(Value::as_u64);
    let stated = whole(changes, "max_position_embeddings");
    let scaling =
        ["rope_scaling", "rope_parameters"].into_iter().find_map(|key| changes.get(key)?.as_object());
    let stretched = scaling.and_then(|scaling| {
        let kind = ["rope_type", "type"].into_iter().find_map(|key| scaling.get(key)?.as_str())?;
        let factor = scaling.get("factor")?.as_f64().filter(|factor| (1.0..=1e6).contains(factor))?;
        let base = match kind {
            "llama3" | "longrope" | "su" | "mrope" | "default" => return None,
            "yarn" => whole(scaling, "original_max_position_embeddings"),
            _ => stated,
        };
        Some((base? as f64 * factor) as u64)
    });
    stretched.or(stated)
}

/// Slots for adapters that vLLM makes at start: `max_loras` (1) of `max_lora_rank` (16) for every linear layer
/// (`vllm/config/lora.py`, `vllm/lora/layers`: `create_lora_weights`).
pub(super) fn vllm_adapters(r: &mut Reading, server: &mut Server) {
    server.lora = r.switch("--enable-lora");
    let (count, rank) = (r.number("--max-loras").unwrap_or(1), r.number("--max-lora-rank").unwrap_or(16));
    let made = server.lora == Some(true) && count > 0 && rank > 0;
    server.adapters = made.then_some(AdapterSlots { count, rank });
}

/// Ranks that vLLM knows where its parser does not list them (`MaxLoRARanks` in `vllm/config/lora.py`, 0.8.5 to 0.11).
const VLLM_RANKS: [u64; 8] = [8, 16, 32, 64, 128, 256, 320, 512];

/// Writes vLLM's slots: the rank is the next one that it knows.
///
/// # Errors
/// As [`Line::set`].
pub(super) fn write_vllm_adapters(line: &mut Line, slots: AdapterSlots) -> Result<(), Diagnostic> {
    let listed: Vec<u64> = line.choices("--max-lora-rank").iter().filter_map(|n| n.parse().ok()).collect();
    let ranks = if listed.is_empty() { &VLLM_RANKS[..] } else { &listed };
    let rank = ranks.iter().find(|rank| **rank >= slots.rank).copied().unwrap_or(slots.rank);
    line.switch("--enable-lora")?;
    line.set("--max-loras", slots.count)?;
    line.set("--max-lora-rank", rank)
}

/// Writes SGLang's pool, which without adapters at start has to be told the layers too (`check_lora_server_args` in
/// `sglang/srt/server_args.py`). `all` makes room for routed experts, which plans leave out: of a mixture the layers of
/// attention are named.
///
/// # Errors
/// As [`Line::set`].
pub(super) fn write_sglang_adapters(
    line: &mut Line,
    server: &Server,
    slots: AdapterSlots,
) -> Result<(), Diagnostic> {
    line.switch("--enable-lora")?;
    line.set("--max-loras-per-batch", slots.count)?;
    line.set("--max-lora-rank", slots.rank)?;
    let layers = match server.adapted.as_slice() {
        [] => vec!["all".to_owned()],
        named => named.to_vec(),
    };
    line.list("--lora-target-modules", layers)
}

/// The layers that SGLang's pool is for; none where it is for all.
pub(super) fn sglang_adapted(said: &Said) -> Vec<String> {
    let words = said.get("--lora-target-modules").map_or(&[][..], |setting| setting.values.as_slice());
    let named: Vec<String> = words.iter().map(|word| word.text.clone()).collect();
    if named == ["all"] { Vec::new() } else { named }
}

/// SGLang's pool of adapters: `max_loras_per_batch` (8) of `max_lora_rank`, which without a word is that of the adapters
/// themselves (`sglang/srt/lora/mem_pool.py`, `sglang/srt/server_args.py`).
pub(super) fn sglang_adapters(r: &mut Reading, server: &mut Server, has_paths: bool) {
    server.lora = r.switch("--enable-lora").or(has_paths.then_some(true));
    let (count, rank) = (r.number("--max-loras-per-batch").unwrap_or(8), r.number("--max-lora-rank"));
    match (server.lora, rank) {
        (Some(true), Some(rank)) if rank > 0 && count > 0 => {
            server.adapters = Some(AdapterSlots { count, rank });
        }
        (Some(true), _) => {
            let flag = if has_paths { "--lora-paths" } else { "--enable-lora" };
            r.undescribed(flag, "the adapters' rank is not said: their pool is not counted");
        }
        _ => {}
    }
}
