//! What there is room for: the longest context, the smallest memory fraction.

use super::limits::{Limits, Start};
use super::question::MemoryQuestion;
use super::rules;
use super::used::MemoryUse;
use crate::workload::Workload;

/// What fits beside the weights of a plan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Room {
    /// Sequences at full length that one replica holds.
    pub sequences: u64,
    /// Tokens of the longest sequences of which a batch finds room.
    pub longest_context: u64,
    /// Tokens of the longest sequence, were it alone.
    pub longest_alone: u64,
    /// The smallest memory fraction with which weights and one sequence at full length fit; `None` where
    /// none does.
    pub smallest_fraction: Option<f64>,
    /// The fraction that is taken.
    pub fraction: f64,
}

/// Share of the longest request that finds room which a server is told to take: memory is known to a few per cent.
const SURE: f64 = 0.9;

/// Tokens that such a length is a multiple of.
const LENGTH_STEP: u64 = 1024;

/// Of a length that just finds room as much as is sure to.
pub fn sure_of(longest: u64) -> u64 {
    (longest as f64 * SURE) as u64 / LENGTH_STEP * LENGTH_STEP
}

impl MemoryQuestion<'_> {
    /// Tokens of the longest request that a server is told to take where nobody states them: `most` where so long a one finds
    /// room, else what is sure to, as far as the server starts as surely as it was planned and its cache holds as many of the
    /// requests that come; `least` at least. Where slots divide the cache all of so many are as long.
    pub fn longest_served(&self, slots: u64, least: u64, most: u64) -> u64 {
        let divides = self.engine.divides_cache();
        let room = self.longest_context(if divides { slots } else { 1 });
        // A request that comes finds room, or the plan would not stand.
        let longest = self.workload.longest_context();
        let least = least.min(room.max(longest)).min(most.max(longest));
        let mut length = if room >= most { most } else { sure_of(room).min(most) };
        let planned = self.answer();
        let held = |memory: &MemoryUse| memory.largest_batch().min(self.limits.max_sequences);
        while length > least {
            let mut longer = *self;
            longer.limits.start.length = Some(length);
            let memory = longer.answer();
            if memory.verdict() == planned.verdict() && (divides || held(&memory) >= held(&planned)) {
                return length;
            }
            length = length.saturating_sub((length / 8).max(LENGTH_STEP)) / LENGTH_STEP * LENGTH_STEP;
        }
        least
    }

    /// What there is room for, with `batch` sequences on a replica at a time.
    pub fn room(&self, batch: u64) -> Room {
        let memory = self.answer();
        let ranks = self.parallelism.groups().attention_data;
        let held = match memory.per_request.get() {
            0 => u64::MAX,
            each => memory.kv_cache.get() / each,
        };
        let each = batch.div_ceil(ranks).max(1);
        let longest_alone = self.longest_context(1);
        Room {
            sequences: held.saturating_mul(ranks),
            longest_context: if each == 1 { longest_alone } else { self.longest_context(each) },
            longest_alone,
            smallest_fraction: self.smallest_fraction(&memory),
            fraction: self.fraction(),
        }
    }

    /// Tokens of the longest sequences of which `batch` fit on a rank, up to what the model was made for.
    pub fn longest_context(&self, batch: u64) -> u64 {
        let most = self.model.max_context.unwrap_or(1 << 24);
        let spread = self.spread();
        let of = |(place, stage)| (place, stage, self.of_stage(place).resting(stage));
        let stages: Vec<_> = self.distinct(&spread).map(of).collect();
        // Which stage is fullest may change with the length; so may what an engine sets aside.
        let fits = |n: u64| {
            let workload = Workload::new(n, 0);
            let mut longer = self.of_length(&workload);
            // Of several each is to have so many, whoever shares.
            longer.limits.start.shares_cells &= batch == 1;
            let mut least = None;
            let holds = stages.iter().all(|(place, stage, resting)| {
                let memory =
                    longer.of_stage(*place).stage_around(*resting, &longer.cache(stage), stage, &spread);
                least = least.into_iter().chain([memory.free()]).min();
                let on_host = memory.host.is_none_or(|host| host.holds(batch));
                on_host && memory.per_request * batch <= memory.kv_cache
            });
            let least = least.filter(|_| holds);
            let asked = least.and_then(|least| Some((longer.request_of_all(&spread)?, least)));
            holds && asked.is_none_or(|(request, least)| request <= least)
        };
        if fits(most) {
            return most;
        }
        let (mut low, mut high) = (0, most);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if fits(middle) { low = middle } else { high = middle }
        }
        low
    }

    /// The smallest fraction that leaves room for one sequence beside the weights, to three digits.
    fn smallest_fraction(&self, m: &MemoryUse) -> Option<f64> {
        let (part, whole, most) = rules::fraction_needed(self, m);
        let fraction = (part.as_f64() / whole.as_f64() * 1000.0).ceil() / 1000.0;
        (part <= most && fraction <= 1.0).then_some(fraction)
    }

    /// The same question of a server that takes requests of so many tokens and no longer ones.
    fn of_length<'a>(&'a self, workload: &'a Workload) -> MemoryQuestion<'a> {
        let start = Start { length: None, ..self.limits.start };
        MemoryQuestion { workload, limits: Limits { start, ..self.limits }, ..*self }
    }
}

/// The memory of a question with another workload.
impl MemoryQuestion<'_> {
    /// The same question at another length.
    pub fn at_length(&self, tokens: u64) -> MemoryUse {
        self.of_length(&Workload::new(tokens, 0)).answer()
    }
}
