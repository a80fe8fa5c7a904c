//! Where measured servers lie around an estimate, and the chance that one keeps its limits.

use crate::catalog::residuals::{Architecture, Class, Spread};
use crate::model::Model;
use crate::units::{Seconds, TokensPerSecond};
use crate::workload::{Load, Targets, Workload};

use super::service::{Least, Service};

/// Values between which eight of ten measured servers of the class lie, stretched to the estimate where those lie on one
/// side of it, and cut off where the datasheet forbids more: a range holds the figure that it is printed with, and promises
/// nothing that no server can keep.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranges {
    /// Mean time to first token.
    pub ttft: (Seconds, Seconds),
    /// Mean time per output token.
    pub tpot: (Seconds, Seconds),
    /// Output tokens per second of all replicas.
    pub output: (TokensPerSecond, TokensPerSecond),
    /// What no server is faster than.
    pub least: Least,
}

impl Ranges {
    /// The ranges of a class around a service. As many requests are in flight, so that throughput is as much less as a
    /// request takes longer; a given rate is what it is.
    pub fn new(
        class: &Class,
        service: &Service,
        (workload, least): (&Workload, Least),
        output: TokensPerSecond,
    ) -> Ranges {
        let own = output;
        let shortest = least.ttft + least.tpot * (workload.osl as f64 - 1.0).max(0.0);
        let fastest = class.e2e.low().max(shortest / service.e2e).min(1.0);
        let output = match workload.load {
            Load::Rate(_) => (output, output),
            Load::Saturate | Load::Concurrency(_) => (output / class.e2e.high(), output / fastest),
            Load::Users(_) => {
                let think = workload.sessions.map_or(Seconds::ZERO, |sessions| sessions.think);
                let slower = |by: f64| output * ((service.e2e + think) / (service.e2e * by + think));
                (slower(class.e2e.high()), slower(fastest))
            }
        };
        Ranges {
            ttft: around(service.ttft, class.ttft, least.ttft),
            tpot: around(service.tpot, class.tpot, least.tpot),
            output: holding(output, own),
            least,
        }
    }

    /// Those of so many times the replicas.
    #[must_use]
    pub fn times(self, n: f64) -> Ranges {
        Ranges { output: (self.output.0 * n, self.output.1 * n), ..self }
    }
}

/// Times of servers of a class around an estimated one, of which none is less than the least.
fn around(time: Seconds, spread: Spread, least: Seconds) -> (Seconds, Seconds) {
    ((time * spread.low()).max(least).min(time), time * spread.high().max(1.0))
}

/// A range, stretched to the estimate.
fn holding(
    (low, high): (TokensPerSecond, TokensPerSecond),
    own: TokensPerSecond,
) -> (TokensPerSecond, TokensPerSecond) {
    let at_most = |a: TokensPerSecond, b: TokensPerSecond| if a.get() <= b.get() { a } else { b };
    let at_least = |a: TokensPerSecond, b: TokensPerSecond| if a.get() >= b.get() { a } else { b };
    (at_most(low, own), at_least(high, own))
}

/// Times to the first token, per token, and from request to last token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Times {
    /// Time to first token.
    pub ttft: Seconds,
    /// Time per output token after the first.
    pub tpot: Seconds,
    /// Request to last token.
    pub e2e: Seconds,
}

impl Times {
    /// Those of a service.
    pub fn of(service: &Service) -> Times {
        Times { ttft: service.ttft, tpot: service.tpot, e2e: service.e2e }
    }

    /// What servers of a class stay below with the confidence that the targets ask for; the same where they ask for
    /// none.
    #[must_use]
    pub fn surely(self, class: &Class, targets: &Targets) -> Times {
        let Some(confidence) = targets.confidence else { return self };
        let below = |time: Seconds, spread: &Spread| time * spread.at(confidence.deviations());
        Times {
            ttft: below(self.ttft, &class.ttft),
            tpot: below(self.tpot, &class.tpot),
            e2e: below(self.e2e, &class.e2e),
        }
    }
}

/// Limits on what is estimated that keep the targets' own with the confidence that they ask for.
pub fn tightened(class: &Class, targets: &Targets) -> Targets {
    let one = Seconds::new(1.0);
    let by = Times { ttft: one, tpot: one, e2e: one }.surely(class, targets);
    let tight = |limit: Option<Seconds>, by: Seconds| limit.map(|limit| limit * (one / by));
    Targets {
        ttft: tight(targets.ttft, by.ttft),
        tpot: tight(targets.tpot, by.tpot),
        e2e: tight(targets.e2e, by.e2e),
        confidence: None,
        ..*targets
    }
}

/// Chances that a server keeps the limits on its times; `None` without a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Chances {
    /// On the time to the first token.
    pub ttft: Option<f64>,
    /// On the time per output token.
    pub tpot: Option<f64>,
    /// On the time from request to last token.
    pub e2e: Option<f64>,
}

impl Chances {
    /// Of a server of a class with these estimated times.
    pub fn of(class: &Class, times: Times, targets: &Targets) -> Chances {
        let below = |limit: Option<Seconds>, time: Seconds, spread: &Spread| {
            limit.map(|limit| limit / time).filter(|x| x.is_finite() && *x > 0.0).map(|x| spread.below(x))
        };
        Chances {
            ttft: below(targets.ttft, times.ttft, &class.ttft),
            tpot: below(targets.tpot, times.tpot, &class.tpot),
            e2e: below(targets.e2e, times.e2e, &class.e2e),
        }
    }

    /// That all are kept. The one that is missed most often decides, since times that are longer than estimated are so
    /// together.
    pub fn all(&self) -> Option<f64> {
        [self.ttft, self.tpot, self.e2e].into_iter().flatten().reduce(f64::min)
    }
}

/// What a model's layers are made of, as far as estimates differ in how good they are.
pub fn architecture(model: &Model) -> Architecture {
    match () {
        () if model.is_hybrid() => Architecture::Hybrid,
        () if model.is_latent() => Architecture::Latent,
        () if model.is_moe() => Architecture::Moe,
        () => Architecture::Dense,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Confidence;

    fn class() -> Class {
        let spread = Spread([0.5, 0.6, 0.7, 0.9, 1.0, 1.2, 1.5, 1.9, 3.0]);
        Class { ttft: spread, tpot: spread, e2e: spread, rows: 1 }
    }

    #[test]
    fn the_limit_that_is_missed_most_often_decides_and_one_that_is_not_there_does_not() {
        let times = Times { ttft: Seconds::new(1.0), tpot: Seconds::new(0.02), e2e: Seconds::new(9.0) };
        let targets =
            Targets { ttft: Some(Seconds::new(1.5)), tpot: Some(Seconds::new(0.024)), ..Targets::default() };
        let chances = Chances::of(&class(), times, &targets);
        assert!((chances.ttft.unwrap() - 0.9).abs() < 1e-3 && (chances.tpot.unwrap() - 0.75).abs() < 1e-3);
        assert_eq!((chances.e2e, chances.all()), (None, chances.tpot));
        assert_eq!(Chances::default().all(), None);
    }

    #[test]
    fn a_range_holds_its_estimate_where_all_measured_servers_are_slower_or_faster() {
        let slower = Spread([1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.9, 3.0]);
        let faster = Spread([0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9]);
        let time = Seconds::new(2.0);
        let none = Seconds::ZERO;
        assert_eq!(around(time, slower, none), (time, time * slower.high()));
        assert_eq!(around(time, faster, none), (time * faster.low(), time));
        assert_eq!(around(time, class().ttft, none), (time * class().ttft.low(), time * class().ttft.high()));
        let rate = TokensPerSecond::new;
        let stretched = |low, high| holding((rate(low), rate(high)), rate(400.0));
        assert_eq!(stretched(300.0, 350.0), (rate(300.0), rate(400.0)));
        assert_eq!(stretched(450.0, 500.0), (rate(400.0), rate(500.0)));
        assert_eq!(stretched(300.0, 500.0), (rate(300.0), rate(500.0)));
    }

    #[test]
    fn a_range_begins_where_the_datasheet_does_and_still_holds_its_estimate() {
        let (time, high) = (Seconds::new(2.0), Seconds::new(2.0) * class().ttft.high());
        let least = |seconds| around(time, class().ttft, Seconds::new(seconds));
        assert_eq!(least(1.0), (time * class().ttft.low(), high));
        assert_eq!(least(1.7), (Seconds::new(1.7), high));
        assert_eq!(least(2.5), (time, high));
    }

    #[test]
    fn a_limit_is_kept_surely_where_its_chance_is_what_is_asked_for() {
        let time = Seconds::new(0.02);
        let times = Times { ttft: time, tpot: time, e2e: time };
        for percent in [60.0, 80.0, 90.0, 97.0] {
            let confidence = Some(Confidence::of_share(percent / 100.0).unwrap());
            let sure = times.surely(&class(), &Targets { confidence, ..Targets::default() });
            let targets = Targets { tpot: Some(sure.tpot), ..Targets::default() };
            let chance = Chances::of(&class(), times, &targets).tpot.unwrap();
            assert!((chance - percent / 100.0).abs() < 1e-6, "{percent}: {chance}");
        }
        assert_eq!(times.surely(&class(), &Targets::default()), times);
    }
}
