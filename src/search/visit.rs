//! One layout through the funnel, and what a part of the space came to.

use crate::estimate::context::Context;
use crate::estimate::deployment::Deployment;
use crate::estimate::estimated::Estimate;
use crate::estimate::figures::Figures;
use crate::plan::space::Counts;
use crate::plan::{BatchPoint, Counts as Tally, Ledger, Plan, PlanSpace, Reason, Rejection};
use crate::rank::Objective;
use crate::workload::Targets;

use super::candidate::Candidate;
use super::choices::Choices;
use super::counts::Numbers;
use super::question::{Question, Variant};
use super::verification::{Depth, LISTED};

/// What a part of the space came to.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) best: Vec<Estimate>,
    pub(super) front: Vec<Estimate>,
    pub(super) ledger: Ledger<Reason, Plan>,
    pub(super) counts: Tally,
    /// What to simulate: of each layout that can reach the list, the best that may hold.
    pub(super) candidates: Vec<Candidate>,
    /// Where no time is limited, what the plans that are named are chosen from.
    pub(super) choices: Choices,
    /// Whether simulations were left undone as it was time to stop.
    pub(super) cut: bool,
}

/// Plans between two looks at whether to stop.
const AT_ONCE: u64 = 256;

impl Question<'_> {
    /// Puts one layout through the funnel, once for all variants. Plans are compared by their figures alone;
    /// only those that are kept become estimates.
    pub(super) fn visit(
        &self,
        mut sums: Vec<Summary>,
        index: u64,
        (space, contexts): (&PlanSpace, &[Context]),
        variants: &[Variant],
    ) -> Vec<Summary> {
        let layout = space.layout(index);
        let context = &contexts[self.context_of(layout)];
        let plans = space.plans_per_layout();
        sums.iter_mut().for_each(|sum| sum.counts.plans += plans);
        let deployment = match Deployment::new(context, layout.parallelism) {
            Ok(deployment) => deployment,
            Err(reason) => {
                sums.iter_mut().for_each(|sum| sum.reject(reason, plans, space.plan(index, 0)));
                return sums;
            }
        };
        let mut feasible: Vec<Vec<Figures>> = variants.iter().map(|_| Vec::new()).collect();
        let each = sums.iter_mut().zip(variants).zip(&mut feasible);
        if let Counts::UpTo(most) = space.axes().replicas {
            let batches = space.axes().batch.len() as u64;
            let plan = |n: u32| space.plan(index, u64::from(n - 1) * batches);
            let targets: Vec<Targets> = variants.iter().map(|variant| variant.targets).collect();
            let numbers = Numbers::of(&deployment, most, &targets, plan);
            for ((sum, variant), kept) in each {
                let sorted = numbers.sorted(&variant.targets);
                sum.counts.feasible += sorted.between;
                sorted.fell.into_iter().for_each(|(n, plans, reason)| sum.reject(reason, plans, plan(n)));
                *kept = sorted.holding;
                sum.reach(numbers.figures(), variant, self);
            }
        } else {
            let score = |point: u64| {
                let goes_on = !point.is_multiple_of(AT_ONCE) || !self.stop.now();
                goes_on.then(|| deployment.score(space.plan(index, point)))
            };
            let Some(scored) = (0..plans).map(score).collect::<Option<Vec<_>>>() else {
                sums.iter_mut().for_each(|sum| sum.counts.unseen += plans);
                return sums;
            };
            let roomy = variants.iter().any(|variant| self.is_open(variant));
            let roomy = roomy.then(|| self.largest_with_room(&deployment, space, index)).flatten();
            for ((sum, variant), kept) in each {
                for (outcome, point) in scored.iter().zip(0..) {
                    match outcome
                        .and_then(|figures| figures.missed(&variant.targets).map_or(Ok(figures), Err))
                    {
                        Ok(figures) => kept.push(figures),
                        Err(reason) => sum.reject(reason, 1, space.plan(index, point)),
                    }
                }
                if self.is_open(variant) {
                    sum.counts.feasible += kept.len() as u64;
                    let held = kept.extract_if(.., |figures| !deployment.leaves_room(figures)).count();
                    kept.extend(roomy.filter(|f| held > 0 && f.missed(&variant.targets).is_none()));
                    sum.counts.feasible -= kept.len() as u64;
                    sum.choices.extend(kept.iter().copied());
                    sum.reach(kept.iter(), variant, self);
                } else {
                    sum.reach(scored.iter().filter_map(|outcome| outcome.as_ref().ok()), variant, self);
                }
            }
        }
        let elsewhere = self.gpus().saturating_sub(u64::from(context.cluster.gpus));
        let whole = |figures: &Figures| {
            let estimate = deployment.figures(figures.plan).ok()?;
            Some(Estimate { idle_gpus: estimate.idle_gpus + elsewhere, ..estimate })
        };
        for ((sum, kept), variant) in sums.iter_mut().zip(feasible).zip(variants) {
            sum.take(kept, variant, self, whole);
        }
        sums
    }

    /// The plan of a layout with the largest batch that leaves room in the cache, in the place of its largest.
    fn largest_with_room(&self, deployment: &Deployment, space: &PlanSpace, index: u64) -> Option<Figures> {
        let largest = (0..space.plans_per_layout())
            .map(|point| space.plan(index, point))
            .find(|plan| plan.batch == BatchPoint::Largest)?;
        let batch = BatchPoint::Sequences(deployment.roomy_batch());
        deployment.score(Plan { batch, ..largest }).ok()
    }
}

impl Summary {
    pub(super) fn reject(&mut self, reason: Reason, plans: u64, nearest: Plan) {
        if plans > 0 {
            self.counts.reject(reason.stage(), plans);
            self.ledger.add(Rejection { reason, count: plans, nearest });
        }
    }

    /// Takes the feasible plans of a layout in: the one that stands for it, and those of the front.
    pub(super) fn take(
        &mut self,
        feasible: Vec<Figures>,
        variant: &Variant,
        question: &Question,
        whole: impl Fn(&Figures) -> Option<Estimate>,
    ) {
        self.counts.feasible += feasible.len() as u64;
        if let Some(best) = variant.objective.choose(&feasible) {
            self.best.extend(whole(best));
        }
        self.join(feasible, variant, question, whole);
    }

    /// Notes the best plan of a layout that may hold the targets as simulated, if any is to be simulated.
    pub(super) fn reach<'f>(
        &mut self,
        plans: impl Iterator<Item = &'f Figures>,
        variant: &Variant,
        question: &Question,
    ) {
        if question.verification.depth != Depth::Nothing {
            self.candidates.extend(Candidate::of(plans, &question.workload, variant));
        }
    }

    /// Adds to the front what belongs there, and keeps no more than is asked for.
    pub(super) fn join(
        &mut self,
        plans: Vec<Figures>,
        variant: &Variant,
        question: &Question,
        whole: impl Fn(&Figures) -> Option<Estimate>,
    ) {
        let front = question.front.keep(plans, |f| *f);
        let known: Vec<Figures> = self.front.iter().map(Figures::from).collect();
        let news = question.front.news(front, &known);
        if !news.is_empty() {
            self.front.extend(news.iter().filter_map(whole));
            self.front = question.front.keep(std::mem::take(&mut self.front), |e| Figures::from(e));
        }
        self.trim(variant.objective, question);
    }

    /// Keeps the best as many as are asked for, and of what may be simulated some more: those that fall are replaced.
    fn trim(&mut self, objective: Objective, question: &Question) {
        let reserve = question.verification.candidates(question.top);
        if self.candidates.len() > reserve.saturating_mul(2) {
            self.candidates.sort_by(|a, b| objective.order(&a.hoped, &b.hoped));
            self.candidates.truncate(reserve);
        }
        let top = question.top;
        if self.best.len() > top.max(LISTED).saturating_mul(2) {
            self.best.sort_by(|a, b| objective.compare(a, b));
            self.best.truncate(top.max(LISTED));
        }
    }

    pub(super) fn merge(mut self, other: Summary, variant: &Variant, question: &Question) -> Summary {
        self.best.extend(other.best);
        self.candidates.extend(other.candidates);
        self.choices.merge(other.choices);
        self.trim(variant.objective, question);
        self.front.extend(other.front);
        self.front = question.front.keep(std::mem::take(&mut self.front), |e| Figures::from(e));
        self.ledger.merge(other.ledger);
        self.counts.merge(other.counts);
        self.cut |= other.cut;
        self
    }
}
