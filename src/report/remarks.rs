//! What a search is told of its best plan beside the figures, in sentences: for the terminal and as notes.

use itertools::Itertools as _;

use crate::catalog::{Cluster, engine_of};
use crate::estimate::Provenance;
use crate::estimate::estimated::Estimate;
use crate::estimate::memory::UNSHARED;
use crate::estimate::range::Times;
use crate::rank::Measure;
use crate::search::Answer;
use crate::units::{TokensPerSecond, group_thousands};
use crate::workload::Percentile;

use super::subject::Subject;

/// That cards of several kinds share a machine and no engine that was asked about puts a replica on them.
fn unspanned(s: &Subject) -> Option<String> {
    let share = s.pools.iter().any(Cluster::spans_kinds);
    let none = s.engines.iter().all(|engine| !engine.parallel.spans_kinds);
    (share && none).then(|| {
        let names = s.engines.iter().map(|engine| engine.id.as_str()).unique().join(" and ");
        format!(
            "No replica of {names} stands on several kinds of GPU: ranks are sized alike. llama.cpp puts layers on each by its \
             memory (--engine llama.cpp)."
        )
    })
}

/// What to know of the best plan beside its figures, a sentence or two each.
pub(super) fn remarks(s: &Subject, answer: &Answer) -> Vec<String> {
    let best = answer.best.as_slice();
    let Some(first) = best.first() else { return Vec::new() };
    let mut out = Vec::new();
    let servers = s.servers(best);
    if !servers.is_empty() {
        let named = servers.iter().map(|(gpu, server)| format!("{gpu} in {server}"));
        out.push(format!("Servers: {}.", named.format(", ")));
    }
    if first.idle_gpus > 0 {
        let all = first.gpus + first.idle_gpus;
        out.push(format!("The best plan leaves {} of {all} GPUs idle.", first.idle_gpus));
        out.extend(unspanned(s));
    }
    if first.price.is_none() && answer.objective.looks_at(Measure::Cost) {
        out.push(format!(
            "No price of {} is known: plans are ranked by the tokens of each GPU, which is what they cost at any price; \
             --price names one.",
            s.gpus(&first.plan).map(|gpu| gpu.name.as_str()).join(" and ")
        ));
    }
    out.extend(waiting(first));
    out.extend(as_simulated(s, first));
    out.extend(refuted(first));
    if let Some(needs) = &first.needs {
        out.push(format!(
            "The best plan starts with {needs}: one request of the model's whole context of {} tokens finds no room.",
            group_thousands(needs.context)
        ));
    }
    if first.limits.unshared {
        out.push(format!("The best plan keeps no prefixes: {UNSHARED}."));
    }
    out.extend(spread(first));
    if !matches!(first.service.provenance, Provenance::Fitted | Provenance::Measured) {
        let twins = s.gpus(&first.plan).filter_map(|gpu| gpu.kernels_from.as_deref()).unique().join(" and ");
        out.push(format!(
            "Kernel times are {}: where {} has not been measured on {}, other engines' kernels or {} stand in.",
            first.service.provenance.name(),
            engine_of(&first.engine),
            s.gpus(&first.plan).map(|gpu| gpu.name.as_str()).join(" and "),
            if twins.is_empty() { "class defaults".to_owned() } else { format!("those of {twins}") }
        ));
    }
    out
}

/// Share of the requests in flight that may wait without a word: between steps a few always do.
const FEW_WAIT: f64 = 0.1;

/// That a replica runs fewer requests than are sent to it, which is why they wait for their first token.
fn waiting(plan: &Estimate) -> Option<String> {
    let (sent, run) = (plan.batch, plan.service.running);
    (run < (1.0 - FEW_WAIT) * sent && sent - run >= 1.0).then(|| {
        format!(
            "Of {sent:.0} requests in flight on each replica {run:.0} run at once and the rest wait: its KV cache and limits take {}.",
            plan.max_batch
        )
    })
}

/// What the simulation, which decides, says of a plan and the limits on its times.
fn as_simulated(s: &Subject, plan: &Estimate) -> Option<String> {
    let v = plan.verified.filter(|_| s.targets.limit_times())?;
    let tokens = group_thousands(v.output.get().round() as u64);
    let on = |at: Option<Percentile>| at.map_or(String::new(), |at| format!("{at} of "));
    let at = s.targets.at;
    let times = match s.workload.purpose.pools() {
        true => format!("{}end to end {}, {tokens} req/s", on(at.e2e), v.e2e),
        false => {
            format!(
                "{}TTFT {}, {}TPOT {}, {tokens} output tokens/s",
                on(at.ttft),
                v.ttft,
                on(at.tpot),
                v.tpot
            )
        }
    };
    Some(match v.missed(plan.class, &s.targets) {
        None => {
            let closed = plan.in_closed_form().missed(&s.targets).map(|missed| missed.message());
            let closed = closed
                .map_or(String::new(), |missed| format!(" In closed form {missed}; the simulation decides."));
            format!("As simulated the best plan holds: {times}.{closed}")
        }
        Some(missed) => format!("As simulated the best plan misses a target: {}.", missed.message()),
    })
}

/// That the figures of the best plan are the simulation's, where the closed form says something else.
fn refuted(plan: &Estimate) -> Option<String> {
    let closed = plan.closed.filter(|closed| closed.refuted)?;
    let tokens = group_thousands(closed.output.get().round() as u64);
    let Times { ttft, tpot, e2e } = closed.times;
    Some(match plan.purpose.pools() {
        true => format!(
            "The best plan's figures are as simulated; in closed form: end to end {e2e}, {tokens} req/s."
        ),
        false => format!(
            "The best plan's figures are as simulated; in closed form: TTFT {ttft}, TPOT {tpot}, {tokens} output tokens/s."
        ),
    })
}

/// Where measured servers like the best plan's lie.
fn spread(best: &Estimate) -> Option<String> {
    let r = best.ranges.as_ref()?;
    let tokens = |rate: TokensPerSecond| group_thousands(rate.get().round() as u64);
    let throughput = match (tokens(r.output.0), tokens(r.output.1)) {
        (low, high) if low == high => String::new(),
        (low, high) => format!(", {low} to {high} output tokens/s"),
    };
    Some(format!(
        "Likely range of the best plan (8 of 10 measured servers like it): TTFT {} to {}, TPOT {} to {}{throughput}.",
        r.ttft.0, r.ttft.1, r.tpot.0, r.tpot.1,
    ))
}
