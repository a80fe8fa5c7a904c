//! What is known of a plan once it was simulated.

use crate::estimate::figures::{Tail, Tails, Verified};
use crate::estimate::range::Times;
use crate::simulate::{Outcome, Spread};
use crate::units::Seconds;
use crate::workload::{Percentile, Percentiles, Targets};

/// Standard errors of a mean that a run of another seed may lie above it.
const DOUBT: f64 = 2.0;

/// Share of a mean that runs differ by however many requests count: what is in flight together is not independent.
const LEAST_DOUBT: f64 = 0.004;

/// What the simulation of a plan came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// Its figures.
    pub(super) verified: Verified,
    /// The same with the times that another run of the same plan may have.
    pub(super) doubted: Verified,
    /// Whether the cache ran out and sequences were computed again. Times then grow faster than any closed form's.
    pub(super) strained: bool,
    /// Whether requests came faster than they were answered.
    pub(super) overloaded: bool,
}

impl Sample {
    /// What an outcome comes to, each time on what its limit is on.
    pub(super) fn of(outcome: &Outcome, targets: &Targets) -> Sample {
        let at = &targets.at;
        let times = |of: &dyn Fn(&Spread, Option<Percentile>) -> Seconds| Verified {
            ttft: of(&outcome.ttft, at.ttft),
            tpot: of(&outcome.tpot, at.tpot),
            e2e: of(&outcome.e2e, at.e2e),
            output: outcome.output(),
            means: Times { ttft: outcome.ttft.mean(), tpot: outcome.tpot.mean(), e2e: outcome.e2e.mean() },
            tails: Tails { ttft: tail(&outcome.ttft), tpot: tail(&outcome.tpot), e2e: tail(&outcome.e2e) },
        };
        Sample {
            verified: times(&found),
            doubted: times(&doubted),
            strained: outcome.preemptions > 0,
            overloaded: outcome.overloaded() || outcome.rises(),
        }
    }
}

impl Sample {
    /// So many of them side by side.
    pub(super) fn of_replicas(self, replicas: f64) -> Sample {
        let all = |of: Verified| Verified { output: of.output * replicas, ..of };
        Sample { verified: all(self.verified), doubted: all(self.doubted), ..self }
    }

    /// With replicas that have fewer requests: what all deliver, each mean over all requests; percentiles are those of
    /// the replicas whose are longer.
    pub(super) fn beside(self, other: Sample, at: &Percentiles) -> Sample {
        let rate = |sample: &Sample| sample.verified.output.get();
        let share = rate(&self) / (rate(&self) + rate(&other)).max(f64::MIN_POSITIVE);
        let time = |at: Option<Percentile>, a: Seconds, b: Seconds| match at {
            None => a * share + b * (1.0 - share),
            Some(_) => a.max(b),
        };
        let tail =
            |a: Tail, b: Tail| Tail { p50: a.p50.max(b.p50), p95: a.p95.max(b.p95), p99: a.p99.max(b.p99) };
        let times = |a: &Verified, b: &Verified| Verified {
            ttft: time(at.ttft, a.ttft, b.ttft),
            tpot: time(at.tpot, a.tpot, b.tpot),
            e2e: time(at.e2e, a.e2e, b.e2e),
            output: a.output + b.output,
            means: Times {
                ttft: time(None, a.means.ttft, b.means.ttft),
                tpot: time(None, a.means.tpot, b.means.tpot),
                e2e: time(None, a.means.e2e, b.means.e2e),
            },
            tails: Tails {
                ttft: tail(a.tails.ttft, b.tails.ttft),
                tpot: tail(a.tails.tpot, b.tails.tpot),
                e2e: tail(a.tails.e2e, b.tails.e2e),
            },
        };
        Sample {
            verified: times(&self.verified, &other.verified),
            doubted: times(&self.doubted, &other.doubted),
            strained: self.strained || other.strained,
            overloaded: self.overloaded || other.overloaded,
        }
    }
}

fn tail(spread: &Spread) -> Tail {
    Tail { p50: spread.quantile(0.5), p95: spread.quantile(0.95), p99: spread.quantile(0.99) }
}

/// The mean, or what lies at a percentile.
fn found(spread: &Spread, at: Option<Percentile>) -> Seconds {
    at.map_or(spread.mean(), |at| spread.quantile(at.share()))
}

/// The same as another run may have it. How many of `n` requests lie below a percentile is binomial, so that what
/// lies at it in another run lies at one higher by standard errors of that share in this.
fn doubted(spread: &Spread, at: Option<Percentile>) -> Seconds {
    let (here, n) = (found(spread, at), spread.count().max(1) as f64);
    let higher = match at {
        None => here + spread.deviation() / n.sqrt() * DOUBT,
        Some(at) => {
            let share = at.share();
            spread.quantile((share + DOUBT * (share * (1.0 - share) / n).sqrt()).min(1.0))
        }
    };
    higher.max(here * (1.0 + LEAST_DOUBT))
}
