//! How a run goes over time: a bounded number of intervals, however long it is.

use super::scheduler::{Observer, State};
use crate::units::Seconds;

/// Intervals kept; when they are full, neighbours are merged.
const MOST: usize = 1024;

/// Averages over an interval.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Interval {
    /// Its start.
    pub start: Seconds,
    /// Sequences in the engine.
    pub running: f64,
    /// Requests that wait to be let in.
    pub waiting: f64,
    /// Share of the KV cache that is spoken for.
    pub cache: f64,
    /// Requests answered in it.
    pub answered: u64,
}

/// Time-weighted averages of a run.
#[derive(Clone, Debug)]
pub struct Timeline {
    width: f64,
    /// Sums over time, not yet divided by it.
    sums: Vec<Interval>,
    last: State,
}

impl Timeline {
    /// An empty one.
    pub fn new() -> Timeline {
        Timeline { width: 1e-3, sums: Vec::new(), last: State::default() }
    }

    /// The intervals, in order, each as long as the first.
    pub fn intervals(&self) -> Vec<Interval> {
        let end = self.last.now.get();
        let average = |(i, sum): (usize, &Interval)| {
            let start = i as f64 * self.width;
            let length = (end - start).min(self.width).max(1e-12);
            Interval {
                start: Seconds::new(start),
                running: sum.running / length,
                waiting: sum.waiting / length,
                cache: sum.cache / length,
                answered: sum.answered,
            }
        };
        self.sums.iter().enumerate().map(average).collect()
    }

    /// Doubles the width until `time` lies inside.
    fn reach(&mut self, time: f64) {
        while time >= self.width * MOST as f64 {
            self.width *= 2.0;
            let merged = self.sums.chunks(2).map(|pair| {
                pair.iter().fold(Interval::default(), |a, b| Interval {
                    start: Seconds::ZERO,
                    running: a.running + b.running,
                    waiting: a.waiting + b.waiting,
                    cache: a.cache + b.cache,
                    answered: a.answered + b.answered,
                })
            });
            self.sums = merged.collect();
        }
    }

    fn at(&mut self, index: usize) -> &mut Interval {
        if self.sums.len() <= index {
            self.sums.resize(index + 1, Interval::default());
        }
        &mut self.sums[index]
    }
}

impl Default for Timeline {
    fn default() -> Timeline {
        Timeline::new()
    }
}

impl Observer for Timeline {
    /// What `last` said held until `state.now`.
    fn saw(&mut self, state: &State) {
        let (mut from, to) = (self.last.now.get(), state.now.get());
        self.reach(to);
        let last = self.last;
        while from < to {
            let index = ((from / self.width) as usize).min(MOST - 1);
            let end = ((index + 1) as f64 * self.width).min(to);
            // Rounding may put `from` at the end of its interval.
            let part = if end > from { end - from } else { to - from };
            let sum = self.at(index);
            sum.running += last.running as f64 * part;
            sum.waiting += last.waiting as f64 * part;
            sum.cache += last.cache * part;
            from += part;
        }
        let index = ((to / self.width) as usize).min(MOST - 1);
        self.at(index).answered += state.answered - last.answered;
        self.last = *state;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_survive_merging() {
        let mut timeline = Timeline::new();
        for i in 0..100_000u64 {
            let now = Seconds::new(i as f64 * 0.01);
            timeline.saw(&State { now, running: 3, waiting: i % 2, cache: 0.5, answered: i });
        }
        let all = timeline.intervals();
        assert!(all.len() <= MOST && all.len() > MOST / 4, "{}", all.len());
        assert!(all.iter().skip(1).all(|i| (i.running - 3.0).abs() < 1e-6 && (i.cache - 0.5).abs() < 1e-6));
        let inner = &all[1..all.len() - 1];
        assert!(inner.iter().all(|i| (i.waiting - 0.5).abs() < 0.02));
        assert_eq!(all.iter().map(|i| i.answered).sum::<u64>(), 99_999);
    }
}
