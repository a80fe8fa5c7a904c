//! Every layout of every pool through the funnel, in parallel, and what is made of what is left.

use rayon::prelude::*;

use crate::diagnostic::{Code, Diagnostic};
use crate::estimate::context::Context;
use crate::estimate::estimated::Estimate;
use crate::estimate::figures::Figures;
use crate::estimate::range::{Chances, Times};
use crate::plan::PlanSpace;
use crate::plan::space::Counts as Numbers;
use crate::rank::KNEE;
use crate::stop::Stopped;

use super::answer::Answer;
use super::combined::{Combined, side_by_side};
use super::current::CurrentAnswer;
use super::question::{Question, Variant};
use super::verify::Shared;
use super::visit::Summary;

impl Question<'_> {
    /// Searches the whole space.
    ///
    /// # Errors
    /// A question without pools, engines or precisions, or a GPU description that lacks figures.
    pub fn answer(&self) -> Result<Answer, Diagnostic> {
        if self.chooses {
            return self.choice();
        }
        let answer = self.answers(&[self.own_variant()])?.pop();
        let answer = answer
            .ok_or_else(|| Diagnostic::new(Code::Usage, "a question needs targets and an objective"))?;
        let mixed = self.mixed(answer.best.first())?;
        let combined = answer.combined.map(|all| self.all_holding(all)).transpose()?.flatten();
        Ok(Answer { mixed, combined, ..answer })
    }

    /// Searches the whole space once for several targets and objectives: figures depend on neither. Each
    /// answer is that of [`Question::answer`] with the variant in the question.
    ///
    /// # Errors
    /// As [`Question::answer`].
    pub fn answers(&self, variants: &[Variant]) -> Result<Vec<Answer>, Diagnostic> {
        let axes = [self.pools.len(), self.engines.len(), self.precisions.len(), self.launches.len()];
        if axes.contains(&0) {
            let cause = "a question needs a pool, an engine, a precision and a launch";
            return Err(Diagnostic::new(Code::Usage, cause));
        }
        let models = self.models();
        let questions: Vec<Question> = variants.iter().map(|variant| self.with(variant)).collect();
        self.workload.validate()?;
        questions.iter().try_for_each(|question| question.targets.validate())?;
        let mut found: Vec<(Summary, Vec<Estimate>)> = Vec::new();
        found.resize_with(variants.len(), Default::default);
        let spaces = self.spaces();
        check_size(&spaces)?;
        if self.mode.splits() {
            self.check_workers(&spaces)?;
        }
        let last = spaces.last().map_or(0, PlanSpace::end);
        let contexts =
            self.pools.iter().map(|pool| self.contexts(pool, &models)).collect::<Result<Vec<_>, _>>()?;
        for (space, contexts) in spaces.iter().zip(&contexts).filter(|_| self.mode.aggregates()) {
            let on_pool = self.search(space, contexts, variants);
            let spans = contexts.iter().any(|context| context.cluster.spans_kinds());
            for ((all, best_of_each), (here, variant)) in
                found.iter_mut().zip(on_pool.into_iter().zip(variants))
            {
                let objective = variant.objective;
                // What spans pools does not stand beside what stands in them.
                let best = here.best.iter().min_by(|a, b| objective.compare(a, b));
                best_of_each.extend(best.filter(|_| !spans).cloned());
                *all = std::mem::take(all).merge(here, variant, self);
            }
        }
        if self.mode.splits() {
            let plain = self.plain_pools().len();
            let split = self.search_split((&spaces[..plain], last), &contexts, variants);
            for ((all, best_of_each), ((here, best), variant)) in
                found.iter_mut().zip(split.into_iter().zip(variants))
            {
                *all = std::mem::take(all).merge(here, variant, self);
                best_of_each.extend(best);
                *best_of_each = side_by_side(best_of_each);
            }
        }
        let shared = Shared::default();
        let conclude = |(question, (summary, best_of_each)): (&Question, (Summary, Vec<Estimate>))| {
            let judged = |estimate: Estimate| estimate.judged(&question.targets);
            let combined = question.combined(best_of_each.into_iter().map(judged).collect())?;
            let named = question.named(&summary.choices, &contexts)?;
            let summary = question.verified(summary, &contexts, &shared)?;
            let current = question.current.as_ref().map(|current| question.current(current)).transpose()?;
            Ok(Answer { named, ..question.conclude(summary, combined, current) })
        };
        questions.iter().zip(found).map(conclude).collect()
    }

    /// Every layout of a pool, for each variant.
    fn search(&self, space: &PlanSpace, contexts: &[Context], variants: &[Variant]) -> Vec<Summary> {
        let nothing = || variants.iter().map(|_| Summary::default()).collect::<Vec<_>>();
        let merge = |a: Vec<Summary>, b: Vec<Summary>| {
            let pairs = a.into_iter().zip(b).zip(variants);
            pairs.map(|((a, b), variant)| a.merge(b, variant, self)).collect()
        };
        let mut sums = (0..usize::try_from(space.layouts()).unwrap_or(usize::MAX))
            .into_par_iter()
            .with_min_len(16)
            .take_any_while(|_| !self.stop.now())
            .fold(nothing, |sums, layout| self.visit(sums, layout as u64, (space, contexts), variants))
            .reduce(nothing, merge);
        for sum in &mut sums {
            let left = space.size() - sum.counts.plans;
            sum.counts.plans += left;
            sum.counts.unseen += left;
        }
        sums
    }

    fn conclude(
        &self,
        summary: Summary,
        combined: Option<Combined>,
        current: Option<CurrentAnswer>,
    ) -> Answer {
        let mut best = summary.best;
        let figures = |e: &Estimate| Figures::ranked(e, self.workload.load);
        best.sort_by(|a, b| self.objective.order(&figures(a), &figures(b)));
        let mut front = summary.front;
        // What was simulated is as it was simulated.
        for point in &mut front {
            if let Some(simulated) = best.iter().find(|e| e.plan == point.plan && e.verified.is_some()) {
                *point = simulated.clone();
            }
        }
        let mut pareto = self.front.keep(front, |e| Figures::from(e));
        // Questions that share their figures differ in their targets; simulated plans have their chances by then.
        for plan in best.iter_mut().chain(&mut pareto).filter(|e| e.verified.is_none() && e.ranges.is_some())
        {
            plan.holds = Chances::of(plan.class, Times::of(&plan.service), &self.targets);
        }
        self.surest_first(&mut best);
        best.truncate(self.top);
        Answer {
            best,
            named: Vec::new(),
            pareto,
            rejected: summary.ledger.into_rejections(),
            counts: summary.counts,
            objective: self.objective,
            current,
            combined,
            mixed: None,
            front: self.front.clone(),
            measured: None,
            stopped: if summary.counts.unseen > 0 || summary.cut {
                self.stop.why()
            } else {
                Stopped::Complete
            },
        }
    }
}

impl Question<'_> {
    /// Sorts plans that are as good as each other, to [`KNEE`], by the chance that a server keeps the limits on its
    /// times, to [`ALIKE`], and then by the time that a request takes. What was simulated is not put behind what was not.
    fn surest_first(&self, best: &mut [Estimate]) {
        if !self.targets.limit_times() {
            return;
        }
        let figures = |e: &Estimate| Figures::ranked(e, self.workload.load);
        let chance = |e: &Estimate| e.holds.all().map_or(0, |chance| (chance / ALIKE).round() as u32);
        let time = |e: &Estimate| e.verified.as_ref().map_or(e.service.e2e, |simulated| simulated.e2e).get();
        let mut from = 0;
        while let Some(head) = best.get(from) {
            let close = |e: &&Estimate| {
                let near = self.objective.order(&figures(e).improved(KNEE), &figures(head)).is_le();
                near && e.gpus <= head.gpus && e.verified.is_some() == head.verified.is_some()
            };
            let alike = best[from..].iter().take_while(close).count().max(1);
            best[from..from + alike]
                .sort_by(|a, b| chance(b).cmp(&chance(a)).then(time(a).total_cmp(&time(b))));
            from += alike;
        }
    }
}

/// Chances that measurements do not tell apart: of plans said to hold with 80 %, 75 to 85 % do.
const ALIKE: f64 = 0.05;

/// Most plans of one layout: they are looked at together.
const MOST_OF_LAYOUT: u64 = 1 << 20;

/// Refuses spaces that cannot be counted, or whose layouts hold more plans than can be held.
fn check_size(spaces: &[PlanSpace]) -> Result<(), Diagnostic> {
    let help = "name fewer values of an axis";
    let mut sizes = spaces.iter().map(PlanSpace::checked_size);
    if sizes.try_fold(0u64, |sum, n| sum.checked_add(n?)).is_none() {
        return Err(Diagnostic::new(Code::Range, "the question has more than 2^64 plans").help(help));
    }
    let each = |space: &PlanSpace| match space.axes().replicas {
        // Few of them are looked at.
        Numbers::UpTo(_) => space.axes().batch.len() as u64,
        _ => space.plans_per_layout(),
    };
    match spaces.iter().map(each).find(|n| *n > MOST_OF_LAYOUT) {
        Some(n) => {
            let cause = format!("{n} numbers of replicas and batches are too many");
            Err(Diagnostic::new(Code::Range, cause).help(format!("at most {MOST_OF_LAYOUT}: {help}")))
        }
        None => Ok(()),
    }
}
