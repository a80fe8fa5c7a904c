//! Runs that begin with all requests at once and are short: their requests go in waves.

use shardfit::estimate::service::{Decoding, Replica, Supply};
use shardfit::model::operator::Step;
use shardfit::units::Seconds;

/// Mean time to first token and per output token of a run in which each of `concurrency` clients sends `waves`
/// requests one after the other, the first all at once. `spread` is the standard deviation of a request's time, as
/// a share of its mean: what lengths vary by.
///
/// After `w` waves the ends of requests are spread by `spread·√w` of a request's time. Where they are that close
/// (normal, so `1/(2√π·spread·√w)` times as dense as evenly spread), their prompts coincide more. A request is held
/// up by half of its own wave's prompts after its own, and by half of the next one's before it ends; after the
/// last wave none come.
pub fn waves(replica: &Replica, concurrency: f64, (waves, spread): (f64, f64)) -> (Seconds, Seconds) {
    let followed = (waves - 1.0).max(0.0);
    let density = |wave: u64| {
        let closeness = 2.0 * std::f64::consts::PI.sqrt() * spread * (wave as f64).sqrt();
        (1.0 / closeness.max(1e-9)).max(1.0)
    };
    let mean = (1..=followed as u64).map(density).sum::<f64>() / followed.max(1.0);
    let bunched = Bunched::of(replica, concurrency, mean.max(1.0));
    // For a place requests wait as long as in the long run.
    let even = Bunched::of(replica, concurrency, 1.0);
    let followers = replica.at(concurrency).ttft - even.first + bunched.first;
    let (first, rest) = burst(replica, concurrency);
    let per_token = (replica.workload.osl as f64 - 1.0).max(1.0);
    let decode = bunched.decode * (replica.decode_steps() / per_token);
    let stalls = (bunched.tpot - decode) * followed + rest / per_token;
    let ttft = (followers * followed + first) / waves;
    let tpot = if replica.workload.osl > 1 { decode + stalls / waves } else { Seconds::ZERO };
    (ttft, tpot)
}

/// Service where requests end in bunches, each so many times as densely as if they ended evenly.
struct Bunched {
    /// Time to first token of a request that finds a place at once.
    first: Seconds,
    /// Time per output token.
    tpot: Seconds,
    /// A decode step.
    decode: Seconds,
}

impl Bunched {
    fn of(replica: &Replica, concurrency: f64, density: f64) -> Bunched {
        let (ranks, steps) = (replica.ranks_at(concurrency), replica.decode_steps());
        let supply = replica.supplied(replica.running_at(concurrency), ranks);
        let step = replica.decode_step(supply.decoding);
        let mut prompt = replica.prompts(&Decoding {
            ranks,
            each: supply.decoding,
            step: step.time,
            drawn: step.drawn,
            budget: supply.budget,
            others: (supply.decoding * ranks - 1.0).max(0.0),
            begins: density / steps.max(1.0),
            wait: wait(&supply, density),
            balance: supply.balance,
        });
        // A bunch takes so much less of the time.
        prompt.often /= density;
        prompt.stall = prompt.stall / density;
        let first = replica.first_token(step.time, &prompt, supply.decoding * ranks - 1.0);
        let per_token = (replica.workload.osl as f64 - 1.0).max(1.0);
        Bunched { first, tpot: (step.time + prompt.stall) * steps / per_token, decode: step.time }
    }
}

/// Mean wait of a prompt for others of its lane, in services. In a bunch no more than half of what comes too fast for
/// the lane, and what a queue of just the load that it can take grows to meanwhile: with `n` arrivals the mean of a
/// reflected random walk, `2/3·√(2n/π)`.
fn wait(supply: &Supply, density: f64) -> f64 {
    let dense = Supply { load: supply.load * density, ..*supply };
    if density <= 1.0 {
        return dense.wait();
    }
    let walk = 2.0 / 3.0 * (2.0 * supply.decoding / std::f64::consts::PI).sqrt();
    dense.wait().min(walk) + supply.decoding / 2.0 * (1.0 - 1.0 / dense.load.max(1.0))
}

/// Mean time to first token of `concurrency` prompts that arrive at once, and mean time from there to the last of
/// them: they are computed in steps as full as the budget allows, and each waits for those before it.
pub fn burst(replica: &Replica, concurrency: f64) -> (Seconds, Seconds) {
    let per_rank = (concurrency / replica.attention_dp as f64).max(1.0);
    let isl = replica.workload.computed_prompt() as f64;
    let in_step = (replica.limits.max_batched_tokens as f64 / isl).max(1e-9).min(per_rank);
    let steps = per_rank / in_step;
    let tokens = (in_step * isl).min(replica.limits.max_batched_tokens as f64);
    let step = Step {
        prefill_tokens: tokens,
        prefill_sequences: in_step.max(1.0),
        prefill_prior: replica.workload.reused_prompt() as f64,
        ..Step::default()
    };
    let time = replica.pipeline.time(&step);
    let half = time.interval * ((steps + 1.0) / 2.0 - 1.0);
    (replica.engine.scheduling.request_overhead + time.latency + half, half)
}
