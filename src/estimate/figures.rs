//! What plans are compared by.

use crate::catalog::residuals::Class;
use crate::plan::reason::Metric;
use crate::plan::{Plan, Practice, Reason};
use crate::units::{Joules, Seconds, TokensPerSecond, Usd, UsdPerHour, Watts};
use crate::workload::{Load, Targets};

use super::memory::Verdict;
use super::power::Energy;
use super::range::{Chances, Times};
use super::service::Service;

/// The figures of one plan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// The plan.
    pub plan: Plan,
    /// Whether it fits.
    pub verdict: Verdict,
    /// Whether servers are launched so.
    pub practice: Practice,
    /// GPUs used.
    pub gpus: u64,
    /// Output tokens per second of the deployment.
    pub output: TokensPerSecond,
    /// Time to first token.
    pub ttft: Seconds,
    /// Time per output token after the first.
    pub tpot: Seconds,
    /// Request to last token.
    pub e2e: Seconds,
    /// Requests in flight over the deployment.
    pub in_flight: f64,
    /// What the GPUs used cost, electricity included.
    pub price: Option<UsdPerHour>,
    /// What they draw, all together.
    pub power: Watts,
    /// Joules per output token.
    pub per_output: Joules,
    /// How far measured servers of its kind lie from what is estimated.
    pub class: &'static Class,
}

impl Figures {
    /// Output tokens per second and GPU used.
    pub fn output_per_gpu(&self) -> TokensPerSecond {
        self.output / self.gpus as f64
    }

    /// Dollars per million output tokens.
    pub fn cost_output(&self) -> Option<Usd> {
        self.price.map(|price| price.per_million_tokens(self.output))
    }

    /// What it counts as where plans are compared: less where no server is known to be launched so.
    #[must_use]
    pub fn weighed(self) -> Figures {
        match self.practice {
            Practice::Usual => self,
            unproven => self.improved(1.0 / unproven.handicap() - 1.0),
        }
    }

    /// The same where it delivers more by a share, each request as much sooner, of the same power.
    #[must_use]
    pub fn improved(self, share: f64) -> Figures {
        let shorter = 1.0 / (1.0 + share);
        Figures {
            output: self.output * (1.0 + share),
            ttft: self.ttft * shorter,
            tpot: self.tpot * shorter,
            e2e: self.e2e * shorter,
            per_output: self.per_output * shorter,
            ..self
        }
    }

    /// The same with what was simulated in place of the closed form. Under a rate the output is the rate's, as all
    /// that keep up deliver it: how much a run of some length counts is chance.
    #[must_use]
    pub fn as_simulated(self, v: &Verified, load: Load) -> Figures {
        let output = if matches!(load, Load::Rate(_)) { self.output } else { v.output };
        let faster = if output.get() > 0.0 { self.output / output } else { f64::INFINITY };
        Figures {
            ttft: v.ttft,
            tpot: if v.tpot > Seconds::ZERO { v.tpot } else { self.tpot },
            e2e: v.e2e,
            output,
            per_output: self.per_output * faster,
            ..self
        }
    }

    /// The first limit that they break.
    pub fn missed(&self, targets: &Targets) -> Option<Reason> {
        let late = late(targets, self.times().surely(self.class, targets));
        late.or_else(|| self.beyond_budget(targets))
    }

    /// Its times.
    fn times(&self) -> Times {
        Times { ttft: self.ttft, tpot: self.tpot, e2e: self.e2e }
    }

    /// The chance that a server keeps every limit on a time; `None` without one.
    pub fn chance(&self, targets: &Targets) -> Option<f64> {
        Chances::of(self.class, self.times(), targets).all()
    }

    /// The first budget that they exceed.
    fn beyond_budget(&self, targets: &Targets) -> Option<Reason> {
        let b = &targets.budget;
        let most = [
            ("GPUs", b.gpus.map(|n| n as f64), self.gpus as f64),
            ("USD/h", b.price.map(|p| p.get()), self.price.map_or(f64::INFINITY, |p| p.get())),
            (
                "USD/Mtok out",
                b.cost_output.map(|c| c.get()),
                self.cost_output().map_or(f64::INFINITY, |c| c.get()),
            ),
            ("W", b.power.map(|p| p.get()), self.power.get()),
        ];
        let over = most.into_iter().find_map(|(unit, want, got)| {
            want.filter(|want| got > *want).map(|want| Reason::BudgetExceeded { unit, want, got })
        });
        let few = b.concurrency.map(|n| n as f64).filter(|least| self.in_flight < *least);
        over.or_else(|| few.map(|want| Reason::ConcurrencyMissed { want, got: self.in_flight }))
    }
}

/// The first target that times to the first token, per token and to the last miss.
pub(super) fn late(targets: &Targets, times: Times) -> Option<Reason> {
    let times = [
        (Metric::Ttft, targets.ttft, times.ttft),
        (Metric::Tpot, targets.tpot, times.tpot),
        (Metric::E2e, targets.e2e, times.e2e),
    ];
    times.into_iter().find_map(|(metric, want, got)| {
        want.filter(|want| got > *want).map(|want| Reason::TargetMissed { metric, want, got })
    })
}

/// What the simulation of a plan came to, each time on the mean or at the percentile that its limit is on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verified {
    /// Time to first token.
    pub ttft: Seconds,
    /// Time per output token after the first.
    pub tpot: Seconds,
    /// Request to last token.
    pub e2e: Seconds,
    /// Output tokens per second of the deployment.
    pub output: TokensPerSecond,
    /// Means of the times, whatever their limits are on.
    pub means: Times,
    /// How each time is spread over requests.
    pub tails: Tails,
}

/// Percentiles of a time over requests.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tail {
    /// The median.
    pub p50: Seconds,
    /// What 95 of a hundred requests do not exceed.
    pub p95: Seconds,
    /// What 99 of a hundred requests do not exceed.
    pub p99: Seconds,
}

/// Percentiles of each time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tails {
    /// Of the time to first token.
    pub ttft: Tail,
    /// Of the time per output token after the first.
    pub tpot: Tail,
    /// Of the time from request to last token.
    pub e2e: Tail,
}

impl Verified {
    /// Its times.
    pub fn times(&self) -> Times {
        Times { ttft: self.ttft, tpot: self.tpot, e2e: self.e2e }
    }

    /// The first target on a time that it misses, as a server of the class.
    pub fn missed(&self, class: &Class, targets: &Targets) -> Option<Reason> {
        late(targets, self.times().surely(class, targets))
    }
}

/// The first target that a service misses, as a server of the class.
pub fn missed_target(targets: &Targets, service: &Service, class: &Class) -> Option<Reason> {
    late(targets, Times::of(service).surely(class, targets))
}

/// What all replicas of a plan deliver, draw and cost.
pub(super) struct Bill {
    pub(super) gpus: u64,
    pub(super) output: TokensPerSecond,
    pub(super) tokens_per_output: f64,
    pub(super) energy: Energy,
    pub(super) electricity: Option<UsdPerHour>,
    pub(super) price: Option<UsdPerHour>,
}
