//! Every batch of a layout, and not its best alone.

use crate::diagnostic::Diagnostic;
use crate::estimate::estimated::Estimate;
use crate::estimate::figures::Figures;
use crate::plan::Plan;

use super::Question;

impl Question<'_> {
    /// The feasible plans of some layouts at every batch that is looked at, in closed form: for each layout in its order,
    /// with its place, fewer requests in flight first. Split pools are as they are listed.
    ///
    /// # Errors
    /// As [`Question::answer`]; plans that are not of this question.
    pub fn every_batch(&self, layouts: &[Estimate]) -> Result<Vec<(usize, Estimate)>, Diagnostic> {
        let spaces = self.spaces();
        let mut all = Vec::new();
        for (n, listed) in layouts.iter().enumerate() {
            let Some(space) = spaces.get(listed.plan.layout.pool).filter(|_| listed.prefill.is_none()) else {
                all.push((n, listed.clone()));
                continue;
            };
            let mut plans = self.with_layout(listed, |deployment| {
                let at = |batch| {
                    let estimate = deployment.figures(Plan { batch, ..listed.plan }).ok()?;
                    let kept = Figures::from(&estimate).missed(&self.targets).is_none();
                    let estimate = Estimate { idle_gpus: listed.idle_gpus, ..estimate.judged(&self.targets) };
                    kept.then_some(estimate)
                };
                space
                    .axes()
                    .batch
                    .iter()
                    .copied()
                    .chain([listed.plan.batch])
                    .filter_map(at)
                    .collect::<Vec<_>>()
            })?;
            plans.sort_by(|a, b| a.batch.total_cmp(&b.batch));
            plans.dedup_by(|a, b| a.batch == b.batch);
            all.extend(plans.into_iter().map(|plan| (n, plan)));
        }
        Ok(all)
    }
}
