//! Ranking: what plans are measured by, objectives, and the Pareto front.

mod objective;

use std::cmp::Ordering;
use std::str::FromStr;

pub use objective::{KNEE, Objective, Weights};

use crate::diagnostic::{Code, Diagnostic};
use crate::estimate::figures::Figures;

/// One figure that plans are better or worse by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Output tokens per second of the deployment.
    Throughput,
    /// The same per GPU used.
    PerGpu,
    /// Time to first token.
    Ttft,
    /// Time per output token after the first.
    Tpot,
    /// From request to last token.
    Latency,
    /// Dollars per million output tokens; plans without a price are worst.
    Cost,
    /// Joules per output token.
    Energy,
    /// GPUs used.
    Gpus,
}

/// Stands for a price that is not known: far above any that is.
const UNKNOWN: f64 = 1e30;

impl Measure {
    /// Every measure.
    pub const ALL: [Measure; 8] = [
        Measure::Throughput,
        Measure::PerGpu,
        Measure::Ttft,
        Measure::Tpot,
        Measure::Latency,
        Measure::Cost,
        Measure::Energy,
        Measure::Gpus,
    ];

    /// Name as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Measure::Throughput => "throughput",
            Measure::PerGpu => "per-gpu",
            Measure::Ttft => "ttft",
            Measure::Tpot => "tpot",
            Measure::Latency => "latency",
            Measure::Cost => "cost",
            Measure::Energy => "energy",
            Measure::Gpus => "gpus",
        }
    }

    /// What it is of a plan, in its own unit.
    pub fn of(self, f: &Figures) -> f64 {
        match self {
            Measure::Throughput => f.output.get(),
            Measure::PerGpu => f.output_per_gpu().get(),
            Measure::Ttft => f.ttft.as_millis(),
            Measure::Tpot => f.tpot.as_millis(),
            Measure::Latency => f.e2e.as_millis(),
            Measure::Cost => f.cost_output().map_or(f64::INFINITY, |c| c.get()),
            Measure::Energy => f.per_output.get(),
            Measure::Gpus => f.gpus as f64,
        }
    }

    /// Its unit.
    pub fn unit(self) -> &'static str {
        match self {
            Measure::Throughput => "tok/s",
            Measure::PerGpu => "tok/s/GPU",
            Measure::Ttft | Measure::Tpot | Measure::Latency => "ms",
            Measure::Cost => "$/Mtok out",
            Measure::Energy => "J/tok out",
            Measure::Gpus => "GPUs",
        }
    }

    /// Whether more of it is better.
    pub fn more_is_better(self) -> bool {
        matches!(self, Measure::Throughput | Measure::PerGpu)
    }

    /// Whether the time to the first token decides over it.
    fn has_first_token(self) -> bool {
        matches!(self, Measure::Ttft | Measure::Latency)
    }

    /// The same, as plans are compared by it: what costs an unknown price costs more than what is known, and of two such
    /// plans the one with fewer tokens of each GPU more, which is so at any price.
    fn compared(self, f: &Figures) -> f64 {
        match self {
            Measure::Cost if f.price.is_none() => UNKNOWN / f.output_per_gpu().get(),
            _ => self.of(f),
        }
    }

    /// The same, turned so that less is better.
    fn loss(self, f: &Figures) -> f64 {
        if self.more_is_better() { -self.of(f) } else { self.compared(f) }
    }
}

impl FromStr for Measure {
    type Err = Diagnostic;
    fn from_str(text: &str) -> Result<Self, Diagnostic> {
        let names = Measure::ALL.map(Measure::name);
        Measure::ALL.into_iter().find(|m| m.name() == text).ok_or_else(|| {
            Diagnostic::unknown("measure", text, names, &format!("allowed: {}", names.join(", ")))
        })
    }
}

/// What a Pareto front is drawn over: two or three measures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Front(Vec<Measure>);

impl Front {
    /// A front over these measures.
    ///
    /// # Errors
    /// [`Code::Usage`] unless there are two or three, each once.
    pub fn new(measures: Vec<Measure>) -> Result<Front, Diagnostic> {
        let twice = measures.iter().enumerate().any(|(i, m)| measures[..i].contains(m));
        if twice || !(2..=3).contains(&measures.len()) {
            let cause = "a Pareto front takes two or three measures, each once";
            return Err(Diagnostic::new(Code::Usage, cause)
                .help(format!("of {}", Measure::ALL.map(Measure::name).join(", "))));
        }
        Ok(Front(measures))
    }

    /// The measures.
    pub fn measures(&self) -> &[Measure] {
        &self.0
    }

    /// Whether the time to the first token is one of them, or a part of one.
    pub fn looks_at_first_token(&self) -> bool {
        self.0.iter().any(|m| m.has_first_token())
    }

    /// The order in which a front stands: by the last measure first, so that by default the fastest comes
    /// first; then fewer GPUs, the shorter end-to-end time, the lower number.
    fn order(&self, a: &Figures, b: &Figures) -> Ordering {
        let by = self.0.iter().rev().map(|m| m.loss(a).total_cmp(&m.loss(b)));
        by.fold(Ordering::Equal, Ordering::then).then_with(|| settle(a, b))
    }

    /// Whether a plan that stands before another in order is at least as good in every measure.
    fn covers(&self, a: &Figures, b: &Figures) -> bool {
        self.0.iter().all(|m| m.loss(a) <= m.loss(b))
    }

    /// Adds a plan to those that no other dominates, unless one of them does.
    pub fn insert(&self, kept: &mut Vec<Figures>, f: Figures) {
        let covered = |k: &Figures| self.covers(k, &f) && (!self.covers(&f, k) || settle(k, &f).is_lt());
        if !kept.iter().any(covered) {
            kept.retain(|k| !self.covers(&f, k));
            kept.push(f);
        }
    }

    /// The plans that none of those already known is better than in every measure.
    pub fn news(&self, mut plans: Vec<Figures>, known: &[Figures]) -> Vec<Figures> {
        let beats = |k: &Figures, f: &Figures| self.covers(k, f) && !self.covers(f, k);
        plans.retain(|f| !known.iter().any(|k| beats(k, f)));
        plans
    }

    /// Keeps the plans that no other dominates, in order; of equals one.
    pub fn keep<T>(&self, mut plans: Vec<T>, figures: impl Fn(&T) -> Figures) -> Vec<T> {
        plans.sort_by(|a, b| self.order(&figures(a), &figures(b)));
        let mut kept: Vec<Figures> = Vec::new();
        plans.retain(|plan| {
            let f = figures(plan);
            // With two measures the last that was kept is the best in the first of them.
            let rivals = if self.0.len() == 2 { kept.len().saturating_sub(1) } else { 0 };
            let falls = kept[rivals..].iter().any(|k| self.covers(k, &f));
            if !falls {
                kept.push(f);
            }
            !falls
        });
        plans
    }
}

impl Default for Front {
    /// Throughput per GPU and time per token.
    fn default() -> Front {
        Front(vec![Measure::PerGpu, Measure::Tpot])
    }
}

/// What decides between plans that are equally good: fewer GPUs, then the shorter end-to-end time, then the
/// plan's number.
fn settle(a: &Figures, b: &Figures) -> Ordering {
    a.gpus.cmp(&b.gpus).then(a.e2e.total_cmp(&b.e2e)).then(a.plan.id.cmp(&b.plan.id))
}
