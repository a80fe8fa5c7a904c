//! Steady-state service under a rate: requests come by themselves, and how many are in flight fluctuates.
//!
//! With `n` in flight a replica answers `X(n)` requests a second, which is the closed form's throughput; requests come
//! at `λ` whatever `n` is. A server whose speed depends on what is in it alone has `n` in flight with the chance
//! `p(n) ∝ Π λ/X(k)` over `k ≤ n` (a flow-equivalent server: Chandy, Herzog and Woo 1975), and what comes finds the others
//! as they are in a closed loop of `n` (Lavenberg and Reiser 1980), so that the mean over requests weighs the times at `n` by
//! `p(n)·X(n)`. Arrivals that are less at random than a Poisson process, and steps of prompts that take as long each time,
//! let `n` fluctuate less: the chances are then those of the product to a higher power.

use crate::powers::power;
use crate::units::{RequestsPerSecond, Seconds, TokensPerSecond};

use super::{Comes, Replica, Service};

/// Share of a state's chance of the likeliest one's below which states are left out.
const UNLIKELY: f64 = 1e-9;

/// By which share of the mean outputs are longer or shorter at most.
const SPREAD: f64 = 0.2;

/// What comes in one second over its share: `E[min(X, X′)]/E[X]` of two outputs, which is what is left of the regularity of
/// arrivals in how many are in flight (an infinite server: Whitt 1982).
const KEPT: f64 = 1.0 - SPREAD / 3.0;

/// Squared coefficient of variation of outputs, uniform within [`SPREAD`].
const VARIATION: f64 = SPREAD * SPREAD / 3.0;

/// Service under a rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Open {
    /// Means over requests.
    pub service: Service,
    /// Requests in flight, mean over time.
    pub in_flight: f64,
}

/// A replica under one rate after another: closed forms at numbers in flight a quarter of a doubling apart, which are worked
/// out as they are needed and hold whatever the rate.
pub struct Ladder<'r> {
    replica: &'r Replica<'r>,
    /// The most that a replica has in it; beyond it requests wait.
    most: f64,
    known: [Option<Service>; LADDER],
}

/// Rungs: up to `2^34` requests.
const LADDER: usize = 136;

/// What is in flight on a rung: 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, ….
fn rung(place: usize) -> f64 {
    match place {
        0..3 => place as f64 + 1.0,
        _ => ((1u64 << ((place - 3) / 4)) * (4 + (place as u64 - 3) % 4)) as f64,
    }
}

/// The times with so many in flight.
#[derive(Clone, Copy)]
struct At {
    ttft: f64,
    generation: f64,
    /// What a request sees of it, which finds what came during its own prompt in its first steps.
    seen: f64,
    running: f64,
    decoding: f64,
    step: f64,
    cost: f64,
    power: f64,
    /// How much more time each takes where one more is in flight.
    slope: f64,
}

impl At {
    fn of(s: &Service, osl: f64) -> At {
        At {
            ttft: s.ttft.get(),
            generation: (s.e2e - s.ttft).get(),
            seen: s.tpot.get() * (osl - 1.0).max(0.0),
            running: s.running,
            decoding: s.decoding,
            step: s.decode_step.get(),
            cost: s.prefill_cost.get(),
            power: s.power_share,
            slope: 0.0,
        }
    }

    fn between(a: &At, b: &At, share: f64) -> At {
        let mix = |of: fn(&At) -> f64| of(a) + (of(b) - of(a)) * share;
        At {
            ttft: mix(|x| x.ttft),
            generation: mix(|x| x.generation),
            seen: mix(|x| x.seen),
            running: mix(|x| x.running),
            decoding: mix(|x| x.decoding),
            step: mix(|x| x.step),
            cost: mix(|x| x.cost),
            power: mix(|x| x.power),
            slope: 0.0,
        }
    }

    fn e2e(&self) -> f64 {
        self.ttft + self.generation
    }

    /// How far `n` in flight wait for each other's prompts, which are computed one after the other and take as long each:
    /// the share of the time that prompts take, as far as one more in flight adds nothing to what is answered.
    fn queues(&self, n: f64) -> f64 {
        let prompts = (n / self.e2e() * self.cost).min(1.0);
        prompts * (n * self.slope / self.e2e()).clamp(0.0, 1.0)
    }
}

impl Ladder<'_> {
    fn at_rung(&mut self, place: usize) -> Service {
        let n = rung(place).min(self.most);
        *self.known[place].get_or_insert_with(|| self.replica.at_when(n, Comes::ByThemselves))
    }

    /// The rungs around a number in flight, and its share of the way between them.
    fn around(&self, n: f64) -> (usize, f64) {
        let mut place = match n {
            n if n < 4.0 => (n as usize).saturating_sub(1),
            n => {
                let octave = (n.log2().floor() as usize).saturating_sub(2);
                3 + octave * 4 + ((n / (1u64 << octave) as f64) as usize).saturating_sub(4).min(3)
            }
        };
        place = place.min(LADDER - 2);
        let (low, high) = (rung(place).min(self.most), rung(place + 1).min(self.most));
        (place, if high > low { ((n - low) / (high - low)).clamp(0.0, 1.0) } else { 0.0 })
    }

    /// With so many in flight, at most the most.
    fn at(&mut self, n: f64) -> At {
        let (place, share) = self.around(n);
        let osl = self.replica.workload.osl as f64;
        let low = At::of(&self.at_rung(place), osl);
        let (from, to) = (rung(place).min(self.most), rung(place + 1).min(self.most));
        if to <= from {
            return low;
        }
        let high = At::of(&self.at_rung(place + 1), osl);
        let slope = (high.e2e() - low.e2e()) / (to - from);
        At { slope, ..At::between(&low, &high, share) }
    }

    /// The most in flight, in whole requests, at which fewer are answered than come.
    fn likeliest(&mut self, rate: f64) -> f64 {
        let (mut low, mut high) = (0.0, self.most);
        while high - low > 1.0 {
            let middle = ((low + high) / 2.0).floor();
            if middle < rate * self.at(middle).e2e() { low = middle } else { high = middle }
        }
        if high < rate * self.at(high).e2e() { high } else { low }
    }
}

/// Sums over states, and over requests.
#[derive(Default)]
struct Sums {
    chance: f64,
    answered: f64,
    ttft: f64,
    generation: f64,
    running: f64,
    decoding: f64,
    step: f64,
    cost: f64,
    power: f64,
}

impl Sums {
    /// Adds a state of `n` in flight.
    fn add(&mut self, chance: f64, n: f64, at: &At) {
        let answered = chance * n / at.e2e();
        self.chance += chance;
        self.answered += answered;
        self.ttft += answered * at.ttft;
        self.generation += answered * at.seen;
        self.running += chance * at.running;
        self.decoding += chance * at.decoding;
        self.step += answered * at.step;
        self.cost += answered * at.cost;
        self.power += chance * at.power;
    }
}

impl Replica<'_> {
    /// What it is under rates of which several are asked about.
    pub fn ladder(&self) -> Ladder<'_> {
        let most = (self.running_most() * self.attention_dp as f64).max(1.0);
        Ladder { replica: self, most, known: [None; LADDER] }
    }

    /// Service where requests come at `rate` by themselves, one of every `in_turn` of a Poisson process.
    ///
    /// # Errors
    /// The most that it answers, where it cannot keep up.
    pub fn under(&self, rate: RequestsPerSecond, in_turn: f64) -> Result<Open, RequestsPerSecond> {
        self.ladder().under(rate, in_turn)
    }
}

impl Ladder<'_> {
    /// Service where requests come at `rate` by themselves, one of every `in_turn` of a Poisson process.
    ///
    /// # Errors
    /// The most that the replica answers, where it cannot keep up.
    pub fn under(&mut self, rate: RequestsPerSecond, in_turn: f64) -> Result<Open, RequestsPerSecond> {
        let (most, rate) = (self.most, rate.get());
        let full = self.at(most);
        let last = most / full.e2e();
        if last <= rate {
            return Err(RequestsPerSecond::new(last));
        }
        let arrivals = 1.0 / in_turn.max(1.0);
        let varies = 1.0 + (arrivals - 1.0) * KEPT;
        let inside = |n: f64, at: &At| 1.0 / (varies * (1.0 - at.queues(n) / 2.0));
        let beyond = 2.0 / (arrivals + VARIATION);
        let ratio = |of: f64, exponent: f64| if exponent < 1.01 { of } else { power(of, exponent) };
        let mut sums = Sums::default();
        let mode = self.likeliest(rate);
        // Down to an empty server.
        let (mut n, mut chance) = (mode, 1.0);
        while n >= 1.0 && chance > UNLIKELY {
            let at = self.at(n);
            sums.add(chance, n, &at);
            chance *= ratio(n / (rate * at.e2e()), inside(n, &at));
            n -= 1.0;
        }
        if n < 1.0 {
            sums.chance += chance;
        }
        // Up to a full one.
        (n, chance) = (mode + 1.0, 1.0);
        while n <= most && chance > UNLIKELY {
            let at = self.at(n);
            chance *= ratio(rate * at.e2e() / n, inside(n, &at));
            sums.add(chance, n, &at);
            n += 1.0;
        }
        // And those that wait for a full one: each waits for one more to be answered.
        if n > most {
            let each = ratio(rate / last, beyond);
            let (more, waiting) =
                (chance * each / (1.0 - each), chance * each / ((1.0 - each) * (1.0 - each)));
            sums.add(more, most, &full);
            sums.ttft += waiting;
        }
        let over = |sum: f64| sum / sums.answered.max(f64::MIN_POSITIVE);
        let (ttft, generation) = (over(sums.ttft), over(sums.generation));
        let (near, _) = self.around(mode.max(1.0));
        let osl = self.replica.workload.osl as f64;
        let service = Service {
            ttft: Seconds::new(ttft),
            tpot: if osl > 1.0 { Seconds::new(generation / (osl - 1.0)) } else { Seconds::ZERO },
            e2e: Seconds::new(ttft + generation),
            output: TokensPerSecond::new(rate * osl),
            requests: RequestsPerSecond::new(rate),
            running: sums.running / sums.chance,
            decoding: sums.decoding / sums.chance,
            decode_step: Seconds::new(over(sums.step)),
            prefill_cost: Seconds::new(over(sums.cost)),
            power_share: sums.power / sums.chance,
            provenance: self.at_rung(near).provenance,
        };
        Ok(Open { service, in_flight: rate * (ttft + generation) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rungs_are_a_quarter_of_a_doubling_apart() {
        let first: Vec<f64> = (0..15).map(rung).collect();
        let expected = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0, 14.0, 16.0, 20.0, 24.0, 28.0];
        assert_eq!(first, expected);
    }
}
