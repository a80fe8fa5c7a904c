//! Prefix hits of sessions in closed form: how long what was said stays in the cache, against how long users think.
//!
//! A cache that drops what was not used for longest keeps everything for the same time, the residence time `T`
//! (Che, Tung and Wang 2002, whose approximation holds for caches of many items): what was used in the last `T` fills
//! it. Users return after an exponentially distributed time, so that a turn finds what was said before with the
//! probability `1 − e^(−(T − W)/Z)`, with `Z` for the mean time to think and `W` for the time in the queue. Hits shorten
//! prompts, shorter prompts serve more turns, and more turns shorten `T`: the share of hits is the fixed point.
//! Equations in `docs/sessions.md`.

mod below;
mod returns;
mod root;

use crate::units::{RequestsPerSecond, Seconds};
use crate::workload::{Sessions, TierKind, Workload};

use super::service::{Replica, Service};
pub use below::{Below, MAX_TIERS, Stand};
use returns::Returns;
use root::crossing;
pub use root::first_root;

/// Share of a prompt to which its hits are found.
const CLOSE: f64 = 2e-4;

/// Most of a tier's bandwidth that is relied on.
const MOST_READ: f64 = 0.9;

/// How far one of several answers that were begun together lies above the mean, for lengths that vary by a fifth
/// (`0.2·(b − 1)/(b + 1)`: the expected largest of `b` uniform values).
const SPREAD: f64 = 0.2;

/// What the caches do for sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reuse {
    /// Prompt tokens of a request that are not computed, mean.
    pub tokens: f64,
    /// The same as a share of the prompt.
    pub hit: f64,
    /// Of these, what is loaded from tiers, as a share of the prompt.
    pub loaded: f64,
    /// How long what was said stays in the GPUs' cache.
    pub residence: Seconds,
    /// What loading adds to the time to the first token, mean.
    pub loading: Seconds,
    /// Users of a replica.
    pub users: f64,
    /// How many of the tiers, the fastest first, are of use.
    pub tiers: usize,
}

/// The caches of one replica as sessions use them.
#[derive(Clone, Copy, Debug)]
pub struct SessionCache<'a> {
    /// The replica, its GPUs' cache among its figures.
    pub replica: Replica<'a>,
    /// The load.
    pub sessions: Sessions,
    /// Whether requests come when their users have thought, and not as many as are to be in flight follow each other.
    pub thinks: bool,
    /// Replicas that the turns of a session may go to: one where routing keeps sessions.
    pub caches: f64,
    /// All replicas of the deployment.
    pub replicas: f64,
    /// Tokens of a block of the cache.
    pub block: f64,
    /// Whether the engine keeps prefixes of this model.
    pub keeps: bool,
    /// Seconds that computing a prompt token takes: what is loaded must be sooner.
    pub compute: f64,
    /// Tiers below the GPUs' cache, the fastest first.
    pub below: [Option<Below>; MAX_TIERS],
}

/// What is known of the pace of a replica.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// Turns that come to the replica in a second.
    rate: f64,
    /// Time in the queue.
    wait: f64,
    /// From a turn to its answers.
    response: f64,
    /// Sequences that run.
    running: f64,
}

impl<'a> SessionCache<'a> {
    /// Service with so many requests in flight on the replica, and what the caches do: with as many of the tiers as serve
    /// most.
    pub fn at(&self, concurrency: f64) -> (Service, Reuse) {
        let all = self.below.iter().flatten().count();
        let each = (0..=all).map(|tiers| self.at_with(concurrency, tiers));
        each.reduce(|a, b| if b.0.requests > a.0.requests { b } else { a })
            .unwrap_or_else(|| self.at_with(concurrency, 0))
    }

    /// The same caches with the first so many tiers alone.
    #[must_use]
    pub fn with_tiers(&self, tiers: usize) -> SessionCache<'a> {
        let mut below = self.below;
        below.iter_mut().skip(tiers).for_each(|tier| *tier = None);
        SessionCache { below, ..*self }
    }

    /// The same with the first `tiers`.
    pub fn at_with(&self, concurrency: f64, tiers: usize) -> (Service, Reuse) {
        let prompt = self.replica.workload.isl as f64;
        let mut last = self.given(concurrency, 0.0, (tiers, Seconds::ZERO));
        if !self.keeps {
            return last;
        }
        let mut loading = last.1.loading;
        let most = prompt - 1.0;
        crossing((0.0, last.1.tokens), (most, most), prompt * CLOSE, |tokens| {
            last = self.given(concurrency, tokens, (tiers, loading));
            loading = last.1.loading;
            last.1.tokens
        });
        last
    }

    /// Service where `tokens` of each prompt are not computed and loading takes `loading`; and what the caches then hold.
    fn given(&self, concurrency: f64, tokens: f64, (tiers, loading): (usize, Seconds)) -> (Service, Reuse) {
        let workload = Workload { cached_prefix: tokens as u64, ..self.replica.workload };
        let replica = Replica { workload, ..self.replica };
        let at = |concurrency: f64| match self.thinks {
            true => replica.thinking_at(concurrency),
            false => replica.at(concurrency),
        };
        // What loads does not run: by Little's law as many as come in that time.
        let mut service = at(concurrency);
        for _ in 0..2 {
            if loading > Seconds::ZERO {
                let held = (service.requests.get() * loading.get()).min(concurrency * 0.9);
                service = at(concurrency - held);
            }
        }
        let inside = concurrency - service.requests.get() * loading.get();
        let waiting = (inside - service.running).max(0.0);
        let b = self.sessions.branches as f64;
        let generation = service.e2e - service.ttft;
        let slowest = generation * (SPREAD * (b - 1.0) / (b + 1.0));
        let pace = Pace {
            rate: service.requests.get() / b,
            wait: waiting / service.requests.get().max(1e-12),
            response: (service.e2e + slowest + loading).get(),
            running: service.running,
        };
        let reuse = if self.keeps { self.kept(pace, tiers) } else { Reuse::default() };
        let cycle = self.sessions.think.get() + pace.response;
        let users = pace.rate * cycle;
        let ttft = service.ttft + reuse.loading;
        let service = Service { ttft, e2e: ttft + generation, ..service };
        (service, Reuse { users, ..reuse })
    }

    /// What the caches hold at a pace.
    fn kept(&self, pace: Pace, tiers: usize) -> Reuse {
        let compute = self.compute;
        let s = &self.sessions;
        let (prompt, b) = (self.replica.workload.isl as f64, s.branches as f64);
        let history = s.sum_said(s.turns - 1) / s.turns as f64;
        // What runs is in use and stays; those that a turn sent together have their history once.
        let alike = if self.caches > 1.0 { 0.0 } else { history * (b - 1.0) / b };
        let own = (self.replica.workload.mean_context() - s.system as f64 - alike).max(1.0);
        let room = self.replica.cache_tokens - s.system as f64 - pace.running * own;
        let returns = Returns::new(s, self.caches, (pace.wait, pace.response), self.block);
        let rate = pace.rate;
        let residence = returns.residence(room, rate);
        // The system prompt stays while any request uses it within that time or runs.
        let gone = returns::exp_minus(rate * b * residence + pace.running);
        let mut hits = returns.hits(residence);
        let (mut loaded, mut loading, mut reach) = (0.0, 0.0, residence);
        for below in self.below.iter().flatten().take(tiers) {
            // A shared store has what every replica said.
            let everywhere = below.kind == TierKind::Shared;
            let caches = if everywhere { 1.0 } else { self.caches };
            let returns = Returns::new(s, caches, (pace.wait, pace.response), self.block);
            let stays = returns.residence_of_all(below.tokens - s.system as f64, rate);
            let more = returns.hits(stays.max(reach)) - hits;
            if more <= 0.0 {
                continue;
            }
            let each = below.read(more);
            if each >= more * compute {
                continue;
            }
            let requests = rate * b * if below.is_shared_by_node { below.neighbours } else { 1.0 };
            let written = s.new as f64 + s.output as f64;
            let writing = requests * below.write(written);
            // What drives cannot write is not there to be read.
            let stored = (1.0 / writing.max(1.0)).min(1.0);
            let busy = requests * below.bytes_time(more * stored)
                + if below.is_duplex { 0.0 } else { writing.min(1.0) };
            let part = (MOST_READ / busy.max(1e-12)).min(1.0) * stored;
            let load = (busy * part).min(MOST_READ);
            let queue = load / (2.0 * (1.0 - load));
            loading += part * (each + below.bytes_time(more) * queue);
            loaded += part * more;
            hits += part * more;
            reach = reach.max(stays);
        }
        // Those that a turn sends together find its history as soon as one of them has it.
        let hits = if self.caches > 1.0 { hits } else { (hits + (b - 1.0) * history) / b };
        let tokens = (s.system as f64 * (1.0 - gone) + hits).clamp(0.0, prompt - 1.0);
        Reuse {
            tokens,
            hit: tokens / prompt,
            loaded: loaded / b.max(1.0) / prompt,
            residence: Seconds::new(residence),
            loading: Seconds::new(loading / b.max(1.0)),
            users: 0.0,
            tiers,
        }
    }

    /// The fewest requests in flight on a replica that `users` make; at most all of them.
    pub fn concurrency_of(&self, users: f64) -> f64 {
        let most = users * self.sessions.branches as f64;
        first_root(most, |c| self.at(c).1.users - users).unwrap_or(most)
    }

    /// The fewest requests in flight that serve a rate, of at most `most`; `None` where none do.
    pub fn concurrency_at(&self, rate: RequestsPerSecond, most: f64) -> Option<f64> {
        first_root(most, |c| self.at(c).0.requests.get() - rate.get())
    }
}
