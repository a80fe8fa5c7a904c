//! One layout through the funnel, and what a part of the space came to.

use crate::estimate::deployment::{Context, Deployment, Estimate};
use crate::estimate::figures::Figures;
use crate::plan::{Plan, PlanSpace, Reason, Rejection};
use crate::rank::Objective;

use super::{Counts, Ledger, Question, Variant};

/// What a part of the space came to.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) best: Vec<Estimate>,
    pub(super) front: Vec<Estimate>,
    pub(super) ledger: Ledger,
    pub(super) counts: Counts,
}

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
        if self.stop.now() {
            sums.iter_mut().for_each(|sum| sum.counts.unseen += plans);
            return sums;
        }
        let deployment = match Deployment::new(context, layout.parallelism) {
            Ok(deployment) => deployment,
            Err(reason) => {
                sums.iter_mut().for_each(|sum| sum.reject(reason, plans, space.plan(index, 0)));
                return sums;
            }
        };
        let mut feasible: Vec<Vec<Figures>> = variants.iter().map(|_| Vec::new()).collect();
        for point in 0..plans {
            let plan = space.plan(index, point);
            match deployment.score(plan) {
                Err(reason) => sums.iter_mut().for_each(|sum| sum.reject(reason, 1, plan)),
                Ok(figures) => {
                    let each = sums.iter_mut().zip(variants).zip(&mut feasible);
                    each.for_each(|((sum, variant), kept)| match figures.missed(&variant.targets) {
                        Some(reason) => sum.reject(reason, 1, plan),
                        None => kept.push(figures),
                    });
                }
            }
        }
        let elsewhere = self.gpus() - u64::from(context.cluster.gpus);
        let whole = |figures: &Figures| {
            let estimate = deployment.figures(figures.plan).ok()?;
            Some(Estimate { idle_gpus: estimate.idle_gpus + elsewhere, ..estimate })
        };
        for ((sum, kept), variant) in sums.iter_mut().zip(feasible).zip(variants) {
            sum.take(kept, variant, self, whole);
        }
        sums
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
        self.trim(variant.objective, question.top);
    }

    /// Keeps the best `top`.
    fn trim(&mut self, objective: Objective, top: usize) {
        if self.best.len() > top.max(16).saturating_mul(2) {
            self.best.sort_by(|a, b| objective.compare(a, b));
            self.best.truncate(top);
        }
    }

    pub(super) fn merge(mut self, other: Summary, variant: &Variant, question: &Question) -> Summary {
        self.best.extend(other.best);
        self.trim(variant.objective, question.top);
        self.front.extend(other.front);
        self.front = question.front.keep(std::mem::take(&mut self.front), |e| Figures::from(e));
        self.ledger.merge(other.ledger);
        self.counts.merge(other.counts);
        self
    }
}
