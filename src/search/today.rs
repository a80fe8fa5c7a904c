//! What runs today, estimated under the same question.

use std::slice;

use itertools::Itertools as _;

use crate::catalog::Cluster;
use crate::diagnostic::{Code, Diagnostic};
use crate::estimate::context::Context;
use crate::estimate::deployment::Deployment;
use crate::estimate::estimated::Estimate;
use crate::plan::ledger::furthest;
use crate::plan::{Plan, Precision, Reason};
use crate::stop::Stop;
use crate::workload::{Load, Targets};

use super::current::{Current, CurrentAnswer};
use super::mode::Mode;
use super::question::Question;
use super::verification::Verification;

impl Question<'_> {
    /// Estimates a deployment, be it an answer to the question or not.
    ///
    /// # Errors
    /// As [`Question::answer`]; a batch beside a load that sets it; what is left out where the question
    /// has several.
    pub fn current(&self, current: &Current) -> Result<CurrentAnswer, Diagnostic> {
        if current.batch.is_some() && self.workload.load != Load::Saturate {
            return Err(
                Diagnostic::new(Code::Usage, "a batch beside a load: the load sets it").at("what runs today")
            );
        }
        let engines = match &current.engine {
            Some(engine) => slice::from_ref(engine),
            None => self.engines,
        };
        let own = current.precision;
        let whole =
            |asked: &Precision| Precision { weights: own.weights.or(asked.weights), kv: own.kv.or(asked.kv) };
        let mut precisions: Vec<Precision> = self.precisions.iter().map(whole).collect();
        precisions.dedup();
        if engines.len() != 1 || precisions.len() != 1 {
            let cause =
                "it has one engine, one format of weights and one type of cache, the question several";
            return Err(Diagnostic::new(Code::Usage, cause)
                .at("what runs today")
                .help("add engine=NAME, weights=FORMAT or kv=TYPE"));
        }
        let pools = slice::from_ref(self.pool(current.gpu.as_deref())?);
        let mut launches = self.launches.clone();
        for launch in &mut launches {
            let limits = &mut launch.limits;
            limits.max_sequences = current.limits.max_sequences.or(limits.max_sequences);
            limits.max_batched_tokens = current.limits.max_batched_tokens.or(limits.max_batched_tokens);
            limits.memory_fraction = current.limits.memory_fraction.or(limits.memory_fraction);
            // It has been launched.
            limits.planned = false;
        }
        launches.dedup();
        let alone = Question {
            engines,
            precisions,
            pools,
            launches,
            top: 1,
            current: None,
            verification: Verification::NONE,
            mode: Mode::Aggregated,
            // What runs today is one layout, and is told whatever became of the search.
            stop: Stop::NEVER,
            ..self.clone()
        };
        let models = alone.models();
        let context = alone.contexts(&pools[0], &models)?.pop().expect("one engine and one precision");
        let told = |estimate, reasons| CurrentAnswer { current: current.clone(), estimate, reasons };
        let most = match context.check(current.parallelism) {
            Ok(placement) => placement.max_replicas,
            Err(reason) => return Ok(told(None, vec![reason])),
        };
        // A replica does the same beside any number of others: the batch is found with as many as fit.
        let pins = current.pins(current.replicas.min(most));
        let answer = Question { pins, ..alone.clone() }.answer()?;
        let plan = match (answer.best.into_iter().next(), furthest(answer.rejected)) {
            (Some(best), _) if current.replicas <= most => return Ok(told(Some(best), Vec::new())),
            (Some(best), _) => best.plan,
            (None, Some(miss)) => miss.nearest,
            (None, None) => return Err(Diagnostic::new(Code::Usage, "the layout holds no plan")),
        };
        let (estimate, reasons) =
            appraise(&context, Plan { replicas: current.replicas, ..plan }, &self.targets)?;
        Ok(told(Some(estimate), reasons))
    }
}

impl<'a> Question<'a> {
    /// The pool of a GPU; the only one where none is named.
    fn pool(&self, gpu: Option<&str>) -> Result<&'a Cluster, Diagnostic> {
        let names = || self.plain_pools().iter().map(|p| p.gpu.id.as_str());
        let allowed = format!("the cluster has {}", names().join(" and "));
        match (gpu, &self.pools[..self.plain_pools().len()]) {
            (None, [one]) => Ok(one),
            (None, _) => Err(Diagnostic::new(Code::Usage, "it has one kind of GPU, the question several")
                .at("what runs today")
                .help(format!("add gpu=NAME: {allowed}"))),
            (Some(name), pools) => pools
                .iter()
                .find(|p| p.gpu.id == name)
                .ok_or_else(|| Diagnostic::unknown("GPU", name, names(), &allowed).within("what runs today")),
        }
    }
}

/// The figures of a plan whose layout is legal, and all reasons against it.
fn appraise(context: &Context, plan: Plan, targets: &Targets) -> Result<(Estimate, Vec<Reason>), Diagnostic> {
    let split = plan.layout.parallelism;
    let placement = context.check(split).map_err(|r| Diagnostic::new(Code::Usage, r.message()))?;
    let (estimate, mut reasons) = Deployment::compile(context, split, placement).appraise(plan, targets);
    if plan.replicas > placement.max_replicas {
        let most = placement.max_replicas;
        reasons.insert(0, Reason::TooManyReplicas { replicas: plan.replicas, most });
    }
    Ok((estimate, reasons))
}
