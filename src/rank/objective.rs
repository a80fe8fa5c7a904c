//! What the best plan is best at.

use std::cmp::Ordering;
use std::str::FromStr;

use super::{Measure, settle};
use crate::diagnostic::{Code, Diagnostic};
use crate::estimate::estimated::Estimate;
use crate::estimate::figures::Figures;
use crate::plan::Practice;

/// What the best plan is best at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objective {
    /// Most output tokens per second of the whole deployment.
    Throughput,
    /// Most output tokens per second and GPU used.
    PerGpu,
    /// Shortest time from request to last token.
    Latency,
    /// Fewest dollars per million output tokens.
    Cost,
    /// Fewest joules per output token.
    Energy,
    /// Best product of several measures, each to the power of its weight.
    Weighted(Weights),
}

/// The weight of each measure, in the order of [`Measure::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weights([u16; Measure::ALL.len()]);

/// Largest weight accepted.
const MAX_WEIGHT: u16 = 1000;

impl Weights {
    /// `throughput=2,ttft=1`.
    fn parse(text: &str) -> Result<Weights, Diagnostic> {
        let mut weights = Weights::default();
        for part in text.split(',') {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let measure: Measure = name.trim().parse()?;
            let weight = value.trim().parse().ok().filter(|w| (1..=MAX_WEIGHT).contains(w));
            let slot = &mut weights.0[measure as usize];
            match weight {
                Some(weight) if *slot == 0 => *slot = weight,
                _ => {
                    let cause = format!("`{}` is not a weight", crate::diagnostic::brief(part));
                    return Err(Diagnostic::new(Code::Range, cause).help(format!(
                        "NAME=WEIGHT, whole numbers from 1 to {MAX_WEIGHT}, each name once: throughput=2,ttft=1"
                    )));
                }
            }
        }
        Ok(weights)
    }

    /// The logarithm of the product, turned so that less is better. Free of units: a tenth more throughput
    /// weighs as much as a tenth less time.
    fn loss(&self, f: &Figures) -> f64 {
        let of = |(m, w): (Measure, u16)| {
            let log = m.compared(f).max(f64::MIN_POSITIVE).ln() * f64::from(w);
            if m.more_is_better() { -log } else { log }
        };
        Measure::ALL.into_iter().zip(self.0).filter(|(_, w)| *w > 0).map(of).sum()
    }
}

impl Objective {
    /// Every objective but the weighted ones, of which there is no end.
    pub const ALL: [Objective; 5] =
        [Objective::Throughput, Objective::PerGpu, Objective::Latency, Objective::Cost, Objective::Energy];

    /// Name as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Objective::Throughput => "throughput",
            Objective::PerGpu => "per-gpu",
            Objective::Latency => "latency",
            Objective::Cost => "cost",
            Objective::Energy => "energy",
            Objective::Weighted(_) => "weighted",
        }
    }

    /// Whether a measure decides, or is a part of what does.
    pub fn looks_at(self, measure: Measure) -> bool {
        match self {
            Objective::Throughput => measure == Measure::Throughput,
            Objective::PerGpu => measure == Measure::PerGpu,
            Objective::Latency => measure == Measure::Latency,
            Objective::Cost => measure == Measure::Cost,
            Objective::Energy => measure == Measure::Energy,
            Objective::Weighted(weights) => weights.0[measure as usize] > 0,
        }
    }

    /// Whether the time to the first token decides, or is a part of what does.
    pub fn looks_at_first_token(self) -> bool {
        Measure::ALL.into_iter().any(|m| m.has_first_token() && self.looks_at(m))
    }

    /// What it is at a plan, turned so that less is better.
    fn loss(self, f: &Figures) -> f64 {
        match self {
            Objective::Throughput => Measure::Throughput.loss(f),
            Objective::PerGpu => Measure::PerGpu.loss(f),
            Objective::Latency => Measure::Latency.loss(f),
            Objective::Cost => Measure::Cost.loss(f),
            Objective::Energy => Measure::Energy.loss(f),
            Objective::Weighted(weights) => weights.loss(f),
        }
    }

    /// The same, where layouts that no server is launched as count for less.
    fn weighed(self, f: &Figures) -> f64 {
        match f.practice {
            Practice::Usual => self.loss(f),
            Practice::Unusual => self.loss(&f.weighed()),
        }
    }

    /// The better plan first: plans that fit before marginal ones, then the objective, at which layouts that no server is
    /// launched as count for less ([`Figures::weighed`]), then those that servers are launched as, then fewer GPUs, more output, the lower time per token, the shorter end-to-end time, and the plan's number. A total order.
    pub fn order(self, a: &Figures, b: &Figures) -> Ordering {
        (a.verdict.cmp(&b.verdict))
            .then_with(|| self.weighed(a).total_cmp(&self.weighed(b)))
            .then(a.practice.cmp(&b.practice))
            .then(a.gpus.cmp(&b.gpus))
            .then(b.output.total_cmp(&a.output))
            .then(a.tpot.total_cmp(&b.tpot))
            .then_with(|| settle(a, b))
    }

    /// The same of estimates.
    pub fn compare(self, a: &Estimate, b: &Estimate) -> Ordering {
        self.order(&Figures::from(a), &Figures::from(b))
    }
}

/// Batches of one layout whose throughput, and what is ranked by, are within this share of its best are equally good; the
/// one with the shortest end-to-end time is taken. Past the knee a larger batch buys waiting, not tokens.
pub const KNEE: f64 = 0.01;

impl Objective {
    /// The plan that stands for its layout.
    pub fn choose(self, plans: &[Figures]) -> Option<&Figures> {
        self.choose_within(KNEE, plans)
    }

    /// The fastest of the plans that are the best, and deliver as much as the best, to within a share.
    pub fn choose_within(self, share: f64, plans: &[Figures]) -> Option<&Figures> {
        let best = plans.iter().min_by(|a, b| self.order(a, b))?;
        if self == Objective::Latency {
            return Some(best);
        }
        let least = self.loss(best);
        let as_good = |p: &&Figures| {
            p.verdict == best.verdict
                && p.gpus <= best.gpus
                && p.output >= best.output * (1.0 - share)
                // Energy falls past the knee of throughput, as what a card draws at rest is shared by more.
                && self.loss(&p.improved(share / (1.0 - share))) <= least
        };
        let sooner = |a: &&Figures, b: &&Figures| a.e2e.total_cmp(&b.e2e).then(self.order(a, b));
        plans.iter().filter(as_good).min_by(sooner)
    }
}

impl schemars::JsonSchema for Objective {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Objective".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let names = Objective::ALL.map(Objective::name).join("|");
        schemars::json_schema!({
            "type": "string",
            "description": "An objective, or weights: throughput=2,ttft=1",
            "pattern": format!("^({names}|.+=.+)$"),
        })
    }
}

impl FromStr for Objective {
    type Err = Diagnostic;
    fn from_str(text: &str) -> Result<Self, Diagnostic> {
        if text.contains('=') {
            return Ok(Objective::Weighted(Weights::parse(text)?));
        }
        let names = Objective::ALL.map(Objective::name);
        Objective::ALL.into_iter().find(|o| o.name() == text).ok_or_else(|| {
            let list = format!("allowed: {}, or weights: throughput=2,ttft=1", names.join(", "));
            Diagnostic::unknown("objective", text, names, &list)
        })
    }
}
