//! What tiers below the GPUs' cache are worth to a plan.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;

use crate::estimate::estimated::{Estimate, TierFigures, TierWorth};
use crate::workload::Sessions;

use super::answer::Digits;

/// Gain below which a tier is not called worth anything.
const SLIGHT: f64 = 0.01;

/// Share of the hits that sessions can have below which a cache is said to be too small for them.
const MOSTLY: f64 = 0.8;

/// That the cache keeps too little of what sessions have said, where it does.
pub(super) fn forgotten(estimate: &Estimate, sessions: Option<Sessions>) -> String {
    let (Some(reuse), Some(most)) = (estimate.reuse, sessions.map(|s| s.most_hits())) else {
        return String::new();
    };
    if reuse.hit >= most * MOSTLY {
        return String::new();
    }
    let more = match estimate.tiers.is_empty() {
        true => "a tier below it (--kv-tiers cpu=1TiB), an FP8 cache or more GPUs keep",
        false => "larger tiers, an FP8 cache or more GPUs keep",
    };
    format!(
        "The caches are too small for {:.0} users: {:.0} % of their prompts is found where {:.0} % was said before; {more} \
         more of it.\n",
        reuse.users * f64::from(estimate.replicas),
        100.0 * reuse.hit,
        100.0 * most
    )
}

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
    let figures = format!("against this layout without it, {figures}");
    let verdict = if requests < SLIGHT && ttft > -SLIGHT { "hardly worth it: " } else { "" };
    format!("{name} {}: {verdict}{figures}", tier.size)
}

/// What a tier adds to the requests and to the time to the first token, as shares.
fn gains(without: &TierFigures, with: &TierFigures) -> (f64, f64) {
    (with.requests / without.requests - 1.0, with.ttft / without.ttft - 1.0)
}

/// What a tier below the GPUs' cache is worth to a plan.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Tier")]
pub(super) struct TierAnswer {
    /// What it is.
    tier: &'static str,
    /// Its size.
    size_gib: Digits,
    /// Whether it is used: loading from it is faster than computing again.
    used: bool,
    /// What it adds to the requests per second, as a share.
    requests_gain: Digits,
    /// What it adds to the time to the first token, as a share.
    ttft_gain: Digits,
    /// Figures of the plan without it.
    without: TierFiguresAnswer,
    /// Figures of the plan with it.
    with: TierFiguresAnswer,
}

/// Figures of a plan with the tiers that it has.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TierFigures")]
struct TierFiguresAnswer {
    /// Share of the prompt tokens that is found.
    prefix_hit: Digits,
    /// Time to the first token.
    ttft_ms: Digits,
    /// Requests per second of a replica.
    requests_per_s: Digits,
    /// Dollars per million output tokens, where the GPU has a price.
    cost_usd_per_mtok_output: Option<Digits>,
}

impl From<&TierFigures> for TierFiguresAnswer {
    fn from(figures: &TierFigures) -> TierFiguresAnswer {
        TierFiguresAnswer {
            prefix_hit: Digits(figures.hit),
            ttft_ms: Digits(figures.ttft.as_millis()),
            requests_per_s: Digits(figures.requests.get()),
            cost_usd_per_mtok_output: figures.cost_output.map(|cost| Digits(cost.get())),
        }
    }
}

impl From<&TierWorth> for TierAnswer {
    fn from(TierWorth { tier, used, without, with }: &TierWorth) -> TierAnswer {
        let (requests, ttft) = gains(without, with);
        TierAnswer {
            tier: tier.kind.name(),
            size_gib: Digits(tier.size.as_gib()),
            used: *used,
            requests_gain: Digits(requests),
            ttft_gain: Digits(ttft),
            without: without.into(),
            with: with.into(),
        }
    }
}

/// The tiers of a plan, the fastest first.
pub(super) fn tiers(estimate: &Estimate) -> Vec<TierAnswer> {
    estimate.tiers.iter().map(TierAnswer::from).collect()
}
