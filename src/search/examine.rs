//! Looking at single layouts: the explanation of an answer, and why a layout is not one.

use crate::catalog::Cluster;
use crate::diagnostic::{Code, Diagnostic};
use crate::dtype::WeightFormat;
use crate::estimate::deployment::{Deployment, Estimate};
use crate::estimate::memory::MemoryUse;
use crate::estimate::remedy::Remedy;
use crate::plan::space::Pins;
use crate::plan::{Parallelism, Reason};

use super::Question;

/// What became of one layout with one engine and precision on one pool.
#[derive(Clone, Debug, PartialEq)]
pub struct Examined {
    /// The pool's GPU.
    pub gpu: String,
    /// Engine.
    pub engine: String,
    /// Format of most weights.
    pub weights: WeightFormat,
    /// Memory of its fullest rank.
    pub memory: MemoryUse,
    /// What would make it fit, where it does not.
    pub remedies: Vec<Remedy>,
    /// Its best plan, or why it has none.
    pub outcome: Result<Estimate, Reason>,
}

fn foreign() -> Diagnostic {
    Diagnostic::new(Code::Usage, "the plan does not belong to this question")
}

impl Question<'_> {
    /// Compiles the layout of an estimate again and hands it to `look`.
    ///
    /// # Errors
    /// When the estimate does not belong to this question.
    pub fn with_deployment<T>(
        &self,
        estimate: &Estimate,
        look: impl FnOnce(&Deployment) -> T,
    ) -> Result<T, Diagnostic> {
        let models = self.models();
        let layout = estimate.plan.layout;
        let pool = self.pools.get(layout.pool).ok_or_else(foreign)?;
        let contexts = self.contexts(pool, &models)?;
        let deployment = contexts
            .get(layout.engine * self.precisions.len() + layout.precision)
            .and_then(|context| Deployment::new(context, layout.parallelism).ok());
        match deployment {
            Some(deployment) => Ok(look(&deployment)),
            None => Err(foreign()),
        }
    }

    /// Compiles both workers of an estimate with split pools again and hands them to `look`: the prefill
    /// worker, then the decode worker.
    ///
    /// # Errors
    /// When the estimate does not belong to this question or has no split pools.
    pub fn with_pools<T>(
        &self,
        estimate: &Estimate,
        look: impl FnOnce(&Deployment, &Deployment) -> T,
    ) -> Result<T, Diagnostic> {
        let models = self.models();
        let (layout, prefill) = (estimate.plan.layout, estimate.plan.prefill.ok_or_else(foreign)?);
        let place = layout.engine * self.precisions.len() + layout.precision;
        let pool = |n: usize| self.pools.get(n).ok_or_else(foreign);
        let decodes = self.contexts(pool(layout.pool)?, &models)?;
        let prefills = if prefill.pool == layout.pool {
            Vec::new()
        } else {
            self.contexts(pool(prefill.pool)?, &models)?
        };
        let decode = decodes.get(place).ok_or_else(foreign)?;
        let from = prefills.get(place).unwrap_or(decode);
        match (Deployment::new(from, prefill.parallelism), Deployment::new(decode, layout.parallelism)) {
            (Ok(prefill), Ok(decode)) => Ok(look(&prefill, &decode)),
            _ => Err(foreign()),
        }
    }

    /// Puts one split through the funnel, on every pool, with every engine and precision.
    ///
    /// # Errors
    /// As [`Question::answer`].
    pub fn examine(&self, split: Parallelism) -> Result<Vec<Examined>, Diagnostic> {
        let each = self.pools.iter().map(|pool| self.examine_on(pool, split));
        Ok(each.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    fn examine_on(&self, pool: &Cluster, split: Parallelism) -> Result<Vec<Examined>, Diagnostic> {
        let models = self.models();
        let contexts = self.contexts(pool, &models)?;
        let pins = Pins {
            tp: vec![split.tp],
            pp: vec![split.pp],
            ep: vec![split.ep],
            attention_dp: vec![split.attention_dp],
            ..self.pins.clone()
        };
        let mut examined = Vec::with_capacity(contexts.len());
        for (i, context) in contexts.iter().enumerate() {
            let (engine, precision) = (i / self.precisions.len(), i % self.precisions.len());
            let alone = Question {
                pools: std::slice::from_ref(pool),
                engines: &self.engines[engine..=engine],
                precisions: vec![self.precisions[precision]],
                pins: pins.clone(),
                top: 1,
                current: None,
                ..self.clone()
            };
            let answer = alone.answer()?;
            // The reason of the plan that got furthest tells most.
            let furthest = answer.rejected.into_iter().map(|r| r.reason).max_by_key(Reason::stage);
            let outcome = match (answer.best.into_iter().next(), furthest) {
                (Some(best), _) => Ok(best),
                (None, Some(reason)) => Err(reason),
                (None, None) => return Err(Diagnostic::new(Code::Usage, "the layout holds no plan")),
            };
            let weights = context.model.quantisation.main_format();
            let gpu = pool.gpu.id.clone();
            let remedies = match &outcome {
                Err(Reason::OutOfMemory { .. }) => context.remedies(split),
                _ => Vec::new(),
            };
            let (engine, memory) = (context.engine.id.clone(), context.memory(split));
            examined.push(Examined { gpu, engine, weights, memory, remedies, outcome });
        }
        Ok(examined)
    }
}
