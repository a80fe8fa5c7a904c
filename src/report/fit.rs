//! What a plan has room for, and what would make it fit.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use crate::estimate::deployment::Estimate;
use crate::estimate::memory::Room;
use crate::estimate::remedy::Remedy;
use crate::units::group_thousands;

use super::json::round;

/// Room and remedies of one plan.
#[derive(Clone, Debug)]
pub struct Fit {
    /// Requests in flight that the longest context is of.
    pub batch: u64,
    /// What there is room for.
    pub room: Room,
    /// What the engine calls its memory fraction.
    pub fraction: &'static str,
    /// What would make the plan fit, where it does not.
    pub remedies: Vec<Remedy>,
}

/// Two sentences on the room, and a line for each remedy.
pub fn fit_text(estimate: &Estimate, fit: &Fit) -> String {
    let (m, room) = (&estimate.memory, &fit.room);
    let mut out = format!("Memory: {}, uncertain by {}.", estimate.verdict.name(), m.band);
    if m.per_request.get() > 0 {
        let _ = write!(
            out,
            " Room for {} sequences at full length; with {} in flight, for contexts of {} tokens.",
            group_thousands(room.sequences),
            group_thousands(fit.batch),
            group_thousands(room.longest_context)
        );
    }
    match room.smallest_fraction {
        Some(least) => {
            let _ =
                write!(out, " The smallest {} that works: {least} (taken: {}).", fit.fraction, room.fraction);
        }
        None => {
            let _ = write!(out, " No {} works.", fit.fraction);
        }
    }
    out.push('\n');
    if !fit.remedies.is_empty() {
        out.push_str("\nWhat would make it fit:\n");
    }
    for r in &fit.remedies {
        let _ = writeln!(
            out,
            "  {} ({}): weights {}, KV cache {} for {} tokens, {} to spare; {}",
            r.change,
            r.parallelism,
            r.memory.weights,
            r.memory.kv_cache,
            group_thousands(r.memory.kv_cache_tokens),
            r.spare,
            r.memory.verdict().name()
        );
    }
    out
}

/// The room as JSON.
pub fn room_json(estimate: &Estimate, fit: &Fit) -> Json {
    let room = &fit.room;
    json!({
        "band_gib": round(estimate.memory.band.as_gib()),
        "sequences": room.sequences,
        "longest_context_tokens": room.longest_context,
        "at_batch": fit.batch,
        "memory_fraction": room.fraction,
        "smallest_memory_fraction": room.smallest_fraction,
    })
}

/// A remedy as JSON.
pub fn remedy_json(r: &Remedy) -> Json {
    json!({
        "change": r.change,
        "parallelism": r.parallelism.to_string(),
        "weights_gib": round(r.memory.weights.as_gib()),
        "kv_cache_gib": round(r.memory.kv_cache.as_gib()),
        "kv_cache_tokens": r.memory.kv_cache_tokens,
        "spare_gib": round(r.spare.as_gib()),
        "verdict": r.memory.verdict().name(),
    })
}
