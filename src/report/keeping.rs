//! What tiers below the GPUs' cache are worth to a plan.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use crate::estimate::deployment::{Estimate, TierFigures, TierWorth};

use super::cell::round;

/// Gain below which a tier is not called worth anything.
const SLIGHT: f64 = 0.01;

/// A line for each tier of the plan.
pub(super) fn tiers_text(estimate: &Estimate) -> String {
    let mut out = String::new();
    for worth in &estimate.tiers {
        let _ = writeln!(out, "{}", line(worth));
    }
    out
}

fn line(TierWorth { tier, used, without, with }: &TierWorth) -> String {
    let name = tier.kind.name();
    let (requests, ttft) = gains(without, with);
    if !used {
        return format!(
            "{name} {}: not worth it: computing again is as fast as loading, or the tiers above hold all",
            tier.size
        );
    }
    let cost = match (without.cost_output, with.cost_output) {
        (Some(before), Some(after)) => {
            format!(", ${:.2} → ${:.2} per million output tokens", before.get(), after.get())
        }
        _ => String::new(),
    };
    let figures = format!(
        "prefix hits {:.1} → {:.1} %, requests {:+.0} %, TTFT {:+.0} % ({} → {}){cost}",
        100.0 * without.hit,
        100.0 * with.hit,
        100.0 * requests,
        100.0 * ttft,
        without.ttft,
        with.ttft
    );
    let verdict = if requests < SLIGHT && ttft > -SLIGHT { "hardly worth it: " } else { "" };
    format!("{name} {}: {verdict}{figures}", tier.size)
}

/// What a tier adds to the requests and to the time to the first token, as shares.
fn gains(without: &TierFigures, with: &TierFigures) -> (f64, f64) {
    (with.requests / without.requests - 1.0, with.ttft / without.ttft - 1.0)
}

/// The tiers of a plan, the fastest first; nothing without any.
pub(super) fn tiers_json(estimate: &Estimate) -> Option<Json> {
    let of = |figures: &TierFigures| {
        json!({
            "prefix_hit": round(figures.hit),
            "ttft_ms": round(figures.ttft.as_millis()),
            "requests_per_s": round(figures.requests.get()),
            "cost_usd_per_mtok_output": figures.cost_output.map(|cost| round(cost.get())),
        })
    };
    let tier = |worth: &TierWorth| {
        let (requests, ttft) = gains(&worth.without, &worth.with);
        json!({
            "tier": worth.tier.kind.name(),
            "size_gib": round(worth.tier.size.as_gib()),
            "used": worth.used,
            "requests_gain": round(requests),
            "ttft_gain": round(ttft),
            "without": of(&worth.without),
            "with": of(&worth.with),
        })
    };
    (!estimate.tiers.is_empty()).then(|| estimate.tiers.iter().map(tier).collect())
}
