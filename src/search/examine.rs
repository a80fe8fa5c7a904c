//! Looking at single layouts: the explanation of an answer, and why a layout is not one.

use itertools::Itertools;

use crate::catalog::Cluster;
use crate::diagnostic::{Code, Diagnostic};
use crate::dtype::WeightFormat;
use crate::estimate::deployment::Deployment;
use crate::estimate::estimated::Estimate;
use crate::estimate::launched::Widest;
use crate::estimate::memory::{Limits, MemoryUse};
use crate::estimate::remedy::Remedy;
use crate::plan::Degrees;
use crate::plan::space::Pins;
use crate::plan::{Parallelism, Reason};

use super::{Mode, Question, Verification};

/// A layout that is asked about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Asked {
    /// Of a replica, or of a decode worker.
    pub split: Parallelism,
    /// Of a prefill worker, where pools are split.
    pub prefill: Option<Parallelism>,
}

impl std::fmt::Display for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self.prefill {
            None => write!(f, "{}", self.split),
            Some(prefill) => write!(f, "prefill {prefill}, decode {}", self.split),
        }
    }
}

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
    /// Launch limits.
    pub limits: Limits,
    /// Its best plan, or why it has none.
    pub outcome: Result<Estimate, Reason>,
}

fn foreign() -> Diagnostic {
    Diagnostic::new(Code::Usage, "the plan does not belong to this question")
}

impl Question<'_> {
    /// Compiles the layout of an estimate again and hands it to `look`, launched as its plan states.
    ///
    /// # Errors
    /// When the estimate does not belong to this question.
    pub fn with_deployment<T>(
        &self,
        estimate: &Estimate,
        look: impl FnOnce(&Deployment) -> T,
    ) -> Result<T, Diagnostic> {
        self.with_layout(estimate, |deployment| look(&deployment.of_plan(&estimate.plan)))
    }

    /// The same whatever the plan: other plans of the layout may be looked at.
    pub(super) fn with_layout<T>(
        &self,
        estimate: &Estimate,
        look: impl FnOnce(&Deployment) -> T,
    ) -> Result<T, Diagnostic> {
        let models = self.models();
        let layout = estimate.plan.layout;
        let pool = self.pools.get(layout.pool).ok_or_else(foreign)?;
        let contexts = self.contexts(pool, &models)?;
        let deployment = contexts
            .get(self.context_of(layout))
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
        let place = self.context_of(layout);
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

    /// Puts one layout through the funnel, on every pool, with every engine, precision and launch.
    ///
    /// # Errors
    /// As [`Question::answer`].
    pub fn examine(&self, asked: Asked) -> Result<Vec<Examined>, Diagnostic> {
        // What spans kinds is one split.
        let stands = |pool: &&Cluster| match pool.cards_of_replica() {
            Some(cards) => asked.prefill.is_none() && asked.split.pp == cards,
            None => true,
        };
        let each = self.pools.iter().filter(stands).map(|pool| self.examine_on(pool, asked));
        Ok(each.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    fn examine_on(&self, pool: &Cluster, asked: Asked) -> Result<Vec<Examined>, Diagnostic> {
        let models = self.models();
        let contexts = self.contexts(pool, &models)?;
        let pins = Pins {
            prefill: asked.prefill.map(Degrees::only).unwrap_or_default(),
            ..self.pins.clone().at(asked.split)
        };
        let mode = if asked.prefill.is_some() { Mode::Split } else { Mode::Aggregated };
        let mut examined = Vec::with_capacity(contexts.len());
        let keys = (0..self.engines.len())
            .cartesian_product(0..self.precisions.len())
            .cartesian_product(0..self.launches.len());
        for (((engine, precision), launch), context) in keys.zip(&contexts) {
            let alone = Question {
                pools: std::slice::from_ref(pool),
                engines: &self.engines[engine..=engine],
                precisions: vec![self.precisions[precision]],
                launches: vec![self.launches[launch]],
                pins: pins.clone(),
                mode,
                top: 1,
                current: None,
                verification: Verification::NONE,
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
            let gpu = pool.gpu_label();
            // The decode workers' where pools are split.
            let remedies = match &outcome {
                Err(Reason::OutOfMemory { .. }) => context.remedies(asked.split),
                _ => Vec::new(),
            };
            let Widest { limits, memory, .. } = context.widest(asked.split);
            let engine = context.engine.label();
            examined.push(Examined { gpu, engine, weights, limits, memory, remedies, outcome });
        }
        Ok(examined)
    }
}
