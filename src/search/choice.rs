//! One of several pools: the best plan of each, side by side.

use crate::diagnostic::{Code, Diagnostic};
use crate::estimate::Provenance;
use crate::estimate::estimated::Estimate;
use crate::estimate::figures::Figures;
use crate::plan::{Counts, Ledger, Plan, Reason};
use crate::stop::Stopped;

use super::answer::Answer;
use super::parallel::in_parallel;
use super::question::Question;
use super::verification::Verification;

impl Question<'_> {
    /// The best plan of each pool alone, ranked by the objective: first all in closed form, then those that are listed
    /// as simulated.
    ///
    /// # Errors
    /// As [`Question::answer`].
    pub(super) fn choice(&self) -> Result<Answer, Diagnostic> {
        if self.pools.is_empty() {
            return Err(Diagnostic::new(Code::Usage, "a question needs a pool"));
        }
        let mut answers = in_parallel(self.pools.len(), |n| self.of_pool(n, Verification::NONE))?;
        // The simulation may take a plan further back: the next pools are simulated until those listed hold.
        let mut simulated = vec![false; answers.len()];
        let mut order = self.ranked(&answers);
        loop {
            let open: Vec<usize> = order.iter().copied().take(self.top).filter(|n| !simulated[*n]).collect();
            if open.is_empty() || self.verification == Verification::NONE {
                break;
            }
            let again = in_parallel(open.len(), |n| self.of_pool(open[n], self.verification))?;
            for (n, answer) in open.into_iter().zip(again) {
                (answers[n], simulated[n]) = (answer, true);
            }
            order = self.ranked(&answers);
        }
        let best = |n: &usize| answers[*n].best.first().cloned();
        let (mut ledger, mut counts) = (Ledger::<Reason, Plan>::default(), Counts::default());
        let mut stopped = Stopped::Complete;
        for answer in &answers {
            answer.rejected.iter().for_each(|rejection| ledger.add(*rejection));
            counts.merge(answer.counts);
            stopped = if answer.stopped == Stopped::Complete { stopped } else { answer.stopped };
        }
        let first = order.first().and_then(best);
        let calibrated = |e: &Estimate| e.service.provenance.is_calibrated();
        let bare = first.is_some_and(|e| e.service.provenance == Provenance::Uncalibrated);
        let measured = order.iter().filter_map(best).find(calibrated).filter(|_| bare);
        let front = answers.iter().flat_map(|answer| answer.pareto.iter().cloned()).collect();
        Ok(Answer {
            best: order.iter().take(self.top).filter_map(best).collect(),
            named: Vec::new(),
            pareto: self.front.keep(front, |e| Figures::from(e)),
            rejected: ledger.into_rejections(),
            counts,
            combined: None,
            mixed: None,
            objective: self.objective,
            current: None,
            front: self.front.clone(),
            stopped,
            measured,
        })
    }

    /// The best plan of one pool, with its number among all.
    fn of_pool(&self, n: usize, verification: Verification) -> Result<Answer, Diagnostic> {
        let alone = Question {
            pools: &self.pools[n..=n],
            chooses: false,
            top: 1,
            current: None,
            verification,
            ..self.clone()
        };
        let mut answer = alone.answer()?;
        for estimate in answer.best.iter_mut().chain(&mut answer.pareto) {
            estimate.plan.layout.pool = n;
        }
        answer.rejected.iter_mut().for_each(|rejection| rejection.nearest.layout.pool = n);
        Ok(answer)
    }

    /// The pools that have a plan, the best first.
    fn ranked(&self, answers: &[Answer]) -> Vec<usize> {
        let figures = |n: &usize| {
            let best = answers[*n].best.first();
            best.map(|e| Figures::ranked(e, self.workload.load))
        };
        let mut order: Vec<usize> = (0..answers.len()).filter(|n| figures(n).is_some()).collect();
        order.sort_by(|a, b| match (figures(a), figures(b)) {
            (Some(x), Some(y)) => self.objective.order(&x, &y).then(a.cmp(b)),
            _ => a.cmp(b),
        });
        order
    }
}
