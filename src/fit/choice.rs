//! Which of the ways that a model runs is meant.

use std::cmp::Ordering;

use super::found::Fallen;
use super::need::Need;
use super::way::{Attempt, Way};
use crate::estimate::Provenance;
use crate::estimate::memory::Verdict;
use crate::plan::Reason;

/// How much more perplexity a format may have before it is taken only where nothing less lossy will do: Q4_K_M, which
/// most GGUF files are downloaded as, raises that of Llama 3 8B by 2.8 %.
const SMALL_LOSS: f64 = 0.03;

/// Powers of one user's speed that equal one of what all users have together: a tenth more of the one is worth twice the
/// other.
const FOR_ONE: f64 = 7.0;

/// The ways that run, the one that is meant first: the best of those whose format loses little, mostly the fastest for one
/// user; where none of them is fast enough, the one that loses least of those that are. Plans inside the uncertainty of
/// memory come after those that fit, and speeds that nobody measured after those that rest on measurements.
pub(super) fn of(attempts: Vec<Attempt>, need: &Need, every_way: bool) -> Result<Vec<Way>, Fallen> {
    let (mut ways, mut fell) = (Vec::new(), Vec::new());
    for attempt in attempts {
        match attempt {
            Attempt::Runs(way) => ways.push(*way),
            Attempt::Falls { engine, format, reason } => fell.push((engine, format, reason)),
        }
    }
    if ways.is_empty() {
        // The one that is least short says most; what is illegal says nothing of the machine.
        let nearest = fell.into_iter().min_by(|(.., a), (.., b)| shortage(a).total_cmp(&shortage(b)));
        return Err(match nearest {
            Some((engine, format, reason)) => Fallen::NoRoom { engine, format, reason: Box::new(reason) },
            None => Fallen::NoEngine,
        });
    }
    let (allowed, more): (Vec<Way>, Vec<Way>) =
        ways.into_iter().partition(|way| need.most_memory.is_none_or(|most| way.taken <= most));
    if allowed.is_empty() {
        let least = more.into_iter().min_by_key(|way| way.taken);
        return Err(least.map_or(Fallen::NoEngine, |way| Fallen::TooMuchMemory(Box::new(way))));
    }
    let writes = |way: &Way| way.speed.get() > 0.0;
    let (mut quick, slow): (Vec<Way>, Vec<Way>) =
        allowed.into_iter().partition(|way| !writes(way) || way.speed >= need.least);
    if quick.is_empty() {
        let fastest = slow.into_iter().max_by(|a, b| a.speed.total_cmp(&b.speed));
        return Err(fastest.map_or(Fallen::NoEngine, |way| Fallen::TooSlow(Box::new(way))));
    }
    quick.sort_by(fastest_first);
    let meant =
        quick.iter().enumerate().min_by(|(_, a), (_, b)| preferred(a, b)).map_or(0, |(place, _)| place);
    let first = quick.remove(meant);
    let mut kept = vec![first];
    if every_way {
        kept.append(&mut quick);
    }
    Ok(kept)
}

fn marginal(way: &Way) -> bool {
    way.verdict != Verdict::Fits
}

/// Whether the speed rests on no measurement of the engine on this GPU: where another's does, nobody knows that this one is
/// faster.
fn unmeasured(way: &Way) -> bool {
    way.provenance == Provenance::Uncalibrated
}

/// How far a reason is from none, as a share of what there is; infinite of what is no shortage.
fn shortage(reason: &Reason) -> f64 {
    match reason {
        Reason::OutOfMemory { need, have } | Reason::HostOutOfMemory { need, have } => {
            need.as_f64() / have.as_f64().max(1.0)
        }
        _ => f64::INFINITY,
    }
}

fn fastest_first(a: &Way, b: &Way) -> Ordering {
    let speed = b.pace().total_cmp(&a.pace());
    speed.then_with(|| {
        (&a.engine, a.format.name(), a.parallelism.tp).cmp(&(&b.engine, b.format.name(), b.parallelism.tp))
    })
}

fn preferred(a: &Way, b: &Way) -> Ordering {
    let loss = |way: &Way| way.loss.unwrap_or(0.0);
    let lossy = |way: &Way| loss(way) > SMALL_LOSS;
    let both = lossy(a) && lossy(b);
    lossy(a)
        .cmp(&lossy(b))
        .then_with(|| marginal(a).cmp(&marginal(b)))
        .then_with(|| if both { loss(a).total_cmp(&loss(b)) } else { Ordering::Equal })
        .then_with(|| unmeasured(a).cmp(&unmeasured(b)))
        .then_with(|| worth(b).total_cmp(&worth(a)))
        .then_with(|| fastest_first(a, b))
}

/// What a way is worth, as a logarithm: the speed of one user, and what all have together ([`FOR_ONE`]).
fn worth(way: &Way) -> f64 {
    let all = way.throughput.get().max(f64::MIN_POSITIVE).ln();
    way.pace().get().max(f64::MIN_POSITIVE).ln() * FOR_ONE + all
}
