//! What to run where no limit is named: three plans by what they are best at, all of which can be deployed as they are.

use std::collections::BTreeMap;

use crate::estimate::estimated::Estimate;
use crate::estimate::figures::Figures;
use crate::estimate::memory::Verdict;
use crate::plan::Practice;
use crate::rank::{Front, Measure, Objective};
use crate::workload::Purpose;

/// Share of the shortest time of a request that is given away for throughput in the fastest plan.
const NEARLY: f64 = 0.1;

/// What a plan is best at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Best {
    /// The shortest time of a request.
    Fastest,
    /// Throughput times speed: a tenth more of one is worth a tenth of the other.
    Balanced,
    /// Throughput.
    Throughput,
}

impl Best {
    /// All of them, the shortest time first.
    pub const ALL: [Best; 3] = [Best::Fastest, Best::Balanced, Best::Throughput];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Best::Fastest => "fastest",
            Best::Balanced => "balanced",
            Best::Throughput => "most throughput",
        }
    }

    /// Its name in JSON and on the command line.
    pub fn key(self) -> &'static str {
        match self {
            Best::Fastest => "fastest",
            Best::Balanced => "balanced",
            Best::Throughput => "most_throughput",
        }
    }

    /// What it is.
    pub fn meaning(self, purpose: Purpose) -> &'static str {
        match self {
            Best::Throughput if purpose.pools() => "most requests per second",
            Best::Fastest => "most throughput within a tenth of the shortest time of a request",
            Best::Balanced => "the knee: throughput × speed of a request is largest",
            Best::Throughput => "most output tokens per second with a tenth of the KV cache free",
        }
    }

    /// The best of some plans.
    fn of(self, plans: &[Figures]) -> Option<&Figures> {
        let by = |loss: fn(&Figures) -> f64| plans.iter().min_by(|a, b| loss(a).total_cmp(&loss(b)));
        match self {
            Best::Fastest => {
                let shortest = by(|f| f.e2e.get())?.e2e;
                let near = plans.iter().filter(|f| f.e2e <= shortest * (1.0 + NEARLY));
                near.max_by(|a, b| a.output.total_cmp(&b.output))
            }
            Best::Balanced => by(|f| f.e2e.get().ln() - f.output.get().ln()),
            Best::Throughput => Objective::Throughput.choose(plans),
        }
    }
}

/// A plan with what it is best at.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    /// What it is best at.
    pub best: Best,
    /// The plan.
    pub estimate: Estimate,
}

/// Plans of which none is better in throughput and in time, of each verdict and practice.
#[derive(Clone, Debug, Default)]
pub(super) struct Choices(BTreeMap<(Verdict, Practice), Vec<Figures>>);

impl Choices {
    fn front() -> Front {
        Front::new(vec![Measure::Throughput, Measure::Latency]).expect("two measures, each once")
    }

    /// Takes plans in.
    pub(super) fn extend(&mut self, plans: impl IntoIterator<Item = Figures>) {
        let front = Choices::front();
        for plan in plans {
            front.insert(self.0.entry((plan.verdict, plan.practice)).or_default(), plan);
        }
    }

    pub(super) fn merge(&mut self, other: Choices) {
        self.extend(other.0.into_values().flatten());
    }

    /// The best of each kind, if there is any plan: of those that fit, or of marginal ones where none does. Layouts that no
    /// server is launched as count for less.
    pub(super) fn best(&self) -> Vec<(Best, Figures)> {
        let Some(((surest, _), _)) = self.0.first_key_value() else { return Vec::new() };
        let sure = self.0.iter().filter(|((verdict, _), _)| verdict == surest);
        // In an order that does not depend on how the parts were put together.
        let mut plans: Vec<Figures> = sure.flat_map(|(_, plans)| plans.iter().copied()).collect();
        plans.sort_by_key(|f| f.plan.id);
        let weighed: Vec<Figures> =
            plans.iter().map(|f| Figures { practice: Practice::Usual, ..f.weighed() }).collect();
        let own = |best: &Figures| plans.iter().find(|f| f.plan == best.plan).copied();
        Best::ALL.into_iter().filter_map(|best| Some((best, own(best.of(&weighed)?)?))).collect()
    }
}
