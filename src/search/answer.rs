//! What a search comes to.

use crate::estimate::Provenance;
use crate::estimate::estimated::Estimate;
use crate::plan::{Counts, Rejection};
use crate::rank::{Front, Objective};
use crate::stop::Stopped;

use super::choices::Named;
use super::combined::Combined;
use super::current::CurrentAnswer;

/// The answer: the best plan of each layout, ranked; the front; and what fell.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Best plans, one per layout.
    pub best: Vec<Estimate>,
    /// Three plans by what they are best at, where neither a load nor a limit on a time is given.
    pub named: Vec<Named>,
    /// Plans that no other dominates in what the front is drawn over.
    pub pareto: Vec<Estimate>,
    /// Why plans fell, most frequent first.
    pub rejected: Vec<Rejection>,
    /// How many plans there were and how many fell at each stage, over all pools.
    pub counts: Counts,
    /// What several pools deliver together; `None` for a single pool and for a given concurrency.
    pub combined: Option<Combined>,
    /// Replicas of different sizes that deliver more than the best plan, where that leaves GPUs idle.
    pub mixed: Option<Combined>,
    /// What the plans are ranked by.
    pub objective: Objective,
    /// What runs today, if the question says so.
    pub current: Option<CurrentAnswer>,
    /// What the front is drawn over.
    pub front: Front,
    /// Why the search ended.
    pub stopped: Stopped,
    /// Where one of several pools is chosen and the first rests on no measurement, the best plan that rests on some.
    pub measured: Option<Estimate>,
}

impl Answer {
    /// The best plan that rests on measurements of its very GPU, where the first rests on none: among those
    /// that are ranked, else among what the pools deliver together.
    pub fn calibrated_runner_up(&self) -> Option<&Estimate> {
        self.best.first().filter(|first| first.service.provenance == Provenance::Uncalibrated)?;
        let together = self.combined.iter().flat_map(|combined| &combined.plans);
        self.best.iter().chain(&self.measured).chain(together).find(|e| e.service.provenance.is_calibrated())
    }

    /// What to deploy where it is more than one plan: the pools side by side, each with its own plan, or replicas of
    /// different sizes, where they deliver more within the targets than the best plan alone, or serve a rate that none
    /// serves alone.
    pub fn together(&self) -> Option<&Combined> {
        let all = self.combined.as_ref().or(self.mixed.as_ref())?;
        let more = match self.best.first() {
            None => all.serves_rate != Some(false),
            Some(best) => {
                let most = self.objective == Objective::Throughput && all.serves_rate.is_none();
                most && all.plans.len() > 1 && all.output > best.output
            }
        };
        more.then_some(all)
    }

    /// Whether there is something to deploy.
    pub fn is_found(&self) -> bool {
        !self.best.is_empty() || self.together().is_some()
    }

    /// What plans are compared with: the figures of what runs today.
    pub fn reference(&self) -> Option<&Estimate> {
        self.current.as_ref()?.estimate.as_ref()
    }
}
