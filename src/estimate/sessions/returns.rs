//! When sessions return, and what of them a cache that drops what was not used for longest still has.

use std::f64::consts::LOG2_E;

use crate::powers::exp2;
use crate::workload::Sessions;

/// Turns since a cache last saw a session beyond which it is not looked for.
const FAR: usize = 64;

/// Chance below which a return is left out.
const RARE: f64 = 1e-4;

/// `e^(−x)`.
pub(super) fn exp_minus(x: f64) -> f64 {
    exp2(-x * LOG2_E)
}

/// The returns of sessions to one of several caches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Returns<'s> {
    sessions: &'s Sessions,
    /// Chance that a turn comes to this cache.
    here: f64,
    /// Visits of this cache for each turn that falls to it.
    visits: f64,
    /// From an answer to when the next turn asks for its history, beside thinking; and from a turn to its answer.
    wait: f64,
    response: f64,
    /// Tokens of what was said that a turn does not find: the last, which was never computed, and those of a block that
    /// is not full.
    lost: f64,
}

impl<'s> Returns<'s> {
    pub(super) fn new(
        sessions: &'s Sessions,
        caches: f64,
        (wait, response): (f64, f64),
        block: f64,
    ) -> Returns<'s> {
        let b = sessions.branches as i32;
        let here = if caches > 1.0 { 1.0 - (1.0 - 1.0 / caches).powi(b) } else { 1.0 };
        let visits = if caches > 1.0 { caches * here } else { 1.0 };
        Returns { sessions, here, visits, wait, response, lost: 1.0 + (block - 1.0) / 2.0 }
    }

    /// Turns back that are looked at.
    fn far(&self) -> usize {
        let mut chance = 1.0;
        let turns = (self.sessions.turns - 1).min(FAR as u64) as usize;
        let near = (0..turns).take_while(|_| {
            let likely = chance > RARE;
            chance *= 1.0 - self.here;
            likely
        });
        near.count()
    }

    /// The chance that the cache sees a session again after exactly `d` turns.
    fn chance(&self, d: usize) -> f64 {
        self.here * (1.0 - self.here).powi(d as i32 - 1)
    }

    /// Of the time until the return after `d` turns: the chance that it is below `t`, and the mean of the shorter of it
    /// and `t`. Each turn is thought about for an exponentially distributed time.
    fn return_within(&self, d: usize, t: f64) -> (f64, f64) {
        let fixed = self.wait + (d as f64 - 1.0) * self.response;
        if t <= fixed {
            return (0.0, t);
        }
        let (rest, think) = (t - fixed, self.sessions.think.get());
        if think <= 0.0 {
            return (1.0, fixed);
        }
        // Erlang's distribution: of `d` exponential times together.
        let x = rest / think;
        let (mut term, mut sum) = (exp_minus(x), 0.0);
        for i in 0..d {
            sum += term;
            term *= x / (i as f64 + 1.0);
        }
        let (within, longer) = (1.0 - sum, 1.0 - (sum + term));
        (within, fixed + d as f64 * think * longer + rest * (1.0 - within))
    }

    /// Tokens of its session, beyond the system prompt, that a turn finds where things stay for `residence`.
    pub(super) fn hits(&self, residence: f64) -> f64 {
        let s = self.sessions;
        let found = |d: usize| {
            let turns = s.turns - d as u64;
            let said = s.sum_said(turns) - turns as f64 * self.lost;
            self.chance(d) * self.return_within(d, residence).0 * said.max(0.0)
        };
        (1..=self.far()).map(found).sum::<f64>() / s.turns as f64
    }

    /// Tokens that turns at `rate` leave in the cache where things stay for `residence`.
    fn left(&self, residence: f64, rate: f64) -> f64 {
        let s = self.sessions;
        let (turns, far) = (s.turns, self.far());
        let until =
            |d: usize| self.chance(d) * self.return_within(d, residence).1 * s.sum_said(turns - d as u64);
        let mut all: f64 = (1..=far).map(until).sum();
        // What is not seen again stays to the end: of the last turns, and of those whose next go elsewhere.
        let mut missed = 1.0;
        for k in 0..=(far as u64).min(turns - 1) {
            all += residence * missed * s.said(turns - k);
            missed *= 1.0 - self.here;
        }
        let b = s.branches as f64;
        let beside = (b - 1.0) * (s.new + s.output) as f64 * residence;
        rate * (self.visits * all / turns as f64 + beside)
    }

    /// How long things stay where turns at `rate` fill `room` tokens.
    pub(super) fn residence(&self, room: f64, rate: f64) -> f64 {
        const LONG: f64 = 1e9;
        if room <= 0.0 || rate <= 0.0 {
            return if room <= 0.0 { 0.0 } else { LONG };
        }
        if self.left(LONG, rate) <= room {
            return LONG;
        }
        // What is left grows with the time and no faster than it: the time scaled by what is missing, or the middle.
        let (mut low, mut high) = (0.0, LONG);
        let mut t = room / (rate * self.sessions.said(self.sessions.turns)).max(1e-9);
        for _ in 0..60 {
            let left = self.left(t, rate);
            if (left / room - 1.0).abs() < 1e-6 {
                break;
            }
            if left < room {
                low = t
            } else {
                high = t
            }
            let scaled = t * room / left.max(1e-9);
            t = if scaled > low && scaled < high { scaled } else { (low + high) / 2.0 };
        }
        t
    }

    /// The same of a tier, which has what runs as well.
    pub(super) fn residence_of_all(&self, room: f64, rate: f64) -> f64 {
        let s = self.sessions;
        let running = rate * self.response * s.sum_said(s.turns) / s.turns as f64;
        self.residence(room - running, rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions(text: &str) -> Sessions {
        text.parse().unwrap()
    }

    #[test]
    fn what_stays_for_as_long_as_users_think_is_found_by_63_of_100() {
        let s = sessions("turns=2,new=100,output=100,think=10s");
        let returns = Returns::new(&s, 1.0, (0.0, 1.0), 1.0);
        // The first of two turns said 200 tokens, of which the last was not computed; the mean is over both.
        let all = 199.0 / 2.0;
        assert!((returns.hits(10.0) / all - (1.0 - (-1.0f64).exp())).abs() < 1e-9);
        assert!((returns.hits(1e6) / all - 1.0).abs() < 1e-9 && returns.hits(0.0) == 0.0);
        let late = Returns::new(&s, 1.0, (5.0, 1.0), 1.0);
        assert!((late.hits(10.0) / all - (1.0 - (-0.5f64).exp())).abs() < 1e-9);
    }

    #[test]
    fn what_is_left_in_a_residence_time_fills_the_cache() {
        let s = sessions("turns=8,system=500,new=300,output=200,think=20s");
        for caches in [1.0, 3.0] {
            let returns = Returns::new(&s, caches, (0.5, 4.0), 16.0);
            for room in [1e4, 1e5, 1e6, 1e7] {
                let t = returns.residence(room, 2.0);
                assert!((returns.left(t, 2.0) / room - 1.0).abs() < 1e-4, "{caches} {room}: {t}");
            }
            assert_eq!(returns.residence(-1.0, 2.0), 0.0);
        }
    }

    #[test]
    fn turns_that_go_anywhere_find_less_in_the_same_time() {
        let s = sessions("turns=20,new=300,output=200,think=20s");
        let hits = |caches: f64| Returns::new(&s, caches, (0.0, 4.0), 1.0).hits(1e7);
        // With time without end, a turn finds what was said when its session was last there.
        assert!(hits(1.0) > hits(2.0) && hits(2.0) > hits(8.0), "{} {} {}", hits(1.0), hits(2.0), hits(8.0));
        assert!(hits(8.0) > 0.3 * hits(1.0));
    }
}
