//! What a plan has room for, and what would make it fit.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use crate::estimate::deployment::Estimate;
pub use crate::estimate::fit::Fit;
use crate::estimate::memory::{MemoryUse, Verdict};
use crate::estimate::remedy::Remedy;
use crate::units::group_thousands;

use super::cell::{Value, round};
use super::sheet::Sheet;

/// Two sentences on the room, and a line for each remedy.
pub fn fit_text(estimate: &Estimate, fit: &Fit) -> String {
    let (m, room) = (&estimate.memory, &fit.room);
    let from = fit.residuals.as_ref().map_or(String::new(), |r| match r.points {
        1 => " (1 start compared)".into(),
        n => format!(" ({n} starts compared)"),
    });
    let mut out = format!("Memory: {}, uncertain by {}{from}.", estimate.verdict.name(), m.band);
    if m.per_request.get() > 0 {
        let _ = write!(
            out,
            " Room for {} sequences at full length; with {} in flight, for contexts of {} tokens.",
            group_thousands(room.sequences),
            group_thousands(fit.batch),
            group_thousands(room.longest_context)
        );
    }
    if let Some(states) = m.states.filter(|states| states.may_be_too_few()) {
        let _ = write!(
            out,
            " The server starts with at most about {} sequences: each takes a block for its recurrent state.",
            group_thousands(states.blocks)
        );
    }
    if let Some((tokens, Verdict::DoesNotFit)) = fit.unstated_length {
        let most = match room.longest_alone {
            0 => "it starts with no length".to_owned(),
            most => format!("starts at {} tokens", group_thousands(most)),
        };
        let _ = write!(out, " As a server {most}, refused at its default {}.", group_thousands(tokens));
    }
    match room.smallest_fraction.filter(|_| fit.has_fraction) {
        Some(least) => {
            let _ =
                write!(out, " The smallest {} that works: {least} (taken: {}).", fit.fraction, room.fraction);
        }
        None if fit.has_fraction => {
            let _ = write!(out, " No {} works.", fit.fraction);
        }
        None => {}
    }
    if let Some(host) = &m.host {
        let cache = host.per_request;
        let _ = write!(
            out,
            " In the host's memory: weights of {}, {cache} of cache for a request.",
            host.weights
        );
    }
    out.push('\n');
    if fit.stages.len() > 1 {
        let _ =
            writeln!(out, "\nMemory of a rank of each stage, GiB\n{}", stages_sheet(&fit.stages).table(None));
    }
    if !fit.remedies.is_empty() {
        out.push_str("\nWhat would make it fit:\n");
    }
    fit.remedies.iter().for_each(|r| out.push_str(&remedy_text(r)));
    out
}

/// A remedy and what comes of it, on a line.
pub(super) fn remedy_text(r: &Remedy) -> String {
    format!(
        "  {} ({}): weights {}, KV cache {} for {} tokens, {} to spare; {}\n",
        r.change,
        r.parallelism,
        r.memory.weights,
        r.memory.kv_cache,
        group_thousands(r.memory.kv_cache_tokens),
        r.spare,
        r.memory.verdict().name()
    )
}

/// The parts of each stage's memory.
fn stages_sheet(stages: &[(u64, MemoryUse)]) -> Sheet {
    let mut sheet = Sheet::new([
        "stage",
        "layers",
        "weights_gib",
        "kv_cache_gib",
        "activations_gib",
        "non_torch_gib",
        "cuda_graphs_gib",
        "total_gib",
    ]);
    for ((layers, m), number) in stages.iter().zip(1u64..) {
        let parts = [m.weights, m.kv_cache, m.activations, m.non_torch, m.cuda_graphs, m.total()];
        let cells = [Value::from(number), Value::from(*layers)];
        sheet.rows.push(cells.into_iter().chain(parts.map(|p| p.as_gib().into())).collect());
    }
    sheet
}

/// The room as JSON.
pub fn room_json(estimate: &Estimate, fit: &Fit) -> Json {
    let room = &fit.room;
    json!({
        "band_gib": round(estimate.memory.band.as_gib()),
        "starts_compared": fit.residuals.as_ref().map(|r| r.points),
        "sequences": room.sequences,
        "longest_context_tokens": room.longest_context,
        "at_batch": fit.batch,
        "longest_alone_tokens": room.longest_alone,
        "default_length": fit.unstated_length.map(|(tokens, verdict)| json!({
            "tokens": tokens,
            "verdict": verdict.name(),
        })),
        "memory_fraction": fit.has_fraction.then_some(room.fraction),
        "smallest_memory_fraction": room.smallest_fraction.filter(|_| fit.has_fraction),
        "stages": stages_sheet(&fit.stages).json(),
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

/// The parts of a rank's memory as JSON.
pub(super) fn memory_json(m: &MemoryUse) -> Json {
    json!({
        "weights_gib": round(m.weights.as_gib()),
        "kv_cache_gib": round(m.kv_cache.as_gib()),
        "kv_cache_tokens": m.kv_cache_tokens,
        "activations_gib": round(m.activations.as_gib()),
        "non_torch_gib": round(m.non_torch.as_gib()),
        "cuda_graphs_gib": round(m.cuda_graphs.as_gib()),
        "capacity_gib": round(m.capacity.as_gib()),
        "band_gib": round(m.band.as_gib()),
        "verdict": m.verdict().name(),
    })
}
