//! What runs today, estimated under the same question.

use std::slice;

use crate::catalog::Engine;
use crate::diagnostic::{Code, Diagnostic};
use crate::estimate::deployment::{Context, Deployment, Estimate};
use crate::plan::space::{ALL_REPLICAS, Pins};
use crate::plan::{Parallelism, Plan, Precision, Reason, Rejection};
use crate::workload::Load;

use super::Question;

/// A deployment that runs today.
#[derive(Clone, Debug, PartialEq)]
pub struct Current {
    /// The split.
    pub parallelism: Parallelism,
    /// Replicas.
    pub replicas: u32,
    /// Requests in flight on each replica; the best under the question where `None`.
    pub batch: Option<u64>,
    /// Engine; the question's first where `None`.
    pub engine: Option<Engine>,
    /// Storage; what is `None` is as in the question's first precision.
    pub precision: Precision,
}

/// What a question makes of a deployment that runs today.
#[derive(Clone, Debug, PartialEq)]
pub struct CurrentAnswer {
    /// The deployment.
    pub current: Current,
    /// Its figures; `None` where a rule forbids the layout.
    pub estimate: Option<Estimate>,
    /// Why the search would not propose it.
    pub reasons: Vec<Reason>,
}

impl Question<'_> {
    /// Estimates a deployment, be it an answer to the question or not.
    ///
    /// # Errors
    /// As [`Question::answer`], or a batch beside a load that sets it.
    pub fn current(&self, current: &Current) -> Result<CurrentAnswer, Diagnostic> {
        if current.batch.is_some() && self.workload.load != Load::Saturate {
            return Err(Diagnostic::new(Code::Usage, "a batch beside a load: the load sets it").at("batch"));
        }
        let (Some(engine), Some(asked)) =
            (current.engine.as_ref().or(self.engines.first()), self.precisions.first())
        else {
            return Err(Diagnostic::new(Code::Usage, "a question needs an engine and a precision"));
        };
        let own = current.precision;
        let precision = Precision { weights: own.weights.or(asked.weights), kv: own.kv.or(asked.kv) };
        let split = current.parallelism;
        let alone = Question {
            engines: slice::from_ref(engine),
            precisions: vec![precision],
            pins: Pins {
                tp: vec![split.tp],
                pp: vec![split.pp],
                ep: vec![split.ep],
                attention_dp: vec![split.attention_dp],
                replicas: vec![current.replicas],
                batch: current.batch.into_iter().collect(),
            },
            top: 1,
            current: None,
            ..self.clone()
        };
        let answer = alone.answer()?;
        let told = |estimate, reasons| CurrentAnswer { current: current.clone(), estimate, reasons };
        match (answer.best.into_iter().next(), furthest(answer.rejected)) {
            (Some(best), _) => Ok(told(Some(best), Vec::new())),
            (None, Some(miss)) => {
                let models = alone.models();
                let (estimate, reasons) = match alone.contexts(&models)?.first() {
                    Some(context) => appraise(context, &miss),
                    None => (None, vec![miss.reason]),
                };
                Ok(told(estimate, reasons))
            }
            (None, None) => Err(Diagnostic::new(Code::Usage, "the layout holds no plan")),
        }
    }
}

/// The rejection of the plan that got furthest, and of those the one that came nearest.
fn furthest(rejected: Vec<Rejection>) -> Option<Rejection> {
    let nearness = |r: &Rejection| -r.reason.distance();
    rejected
        .into_iter()
        .max_by(|a, b| a.reason.stage().cmp(&b.reason.stage()).then(nearness(a).total_cmp(&nearness(b))))
}

/// The figures of a plan that fell, unless a rule forbids its layout; and all reasons against it.
fn appraise(context: &Context, miss: &Rejection) -> (Option<Estimate>, Vec<Reason>) {
    let plan: Plan = miss.nearest;
    let split = plan.layout.parallelism;
    let placement = match context.check(split) {
        Ok(placement) => placement,
        Err(reason) => return (None, vec![reason]),
    };
    let (estimate, mut reasons) =
        Deployment::compile(context, split, placement, context.memory(split)).appraise(plan);
    if plan.replicas != ALL_REPLICAS && plan.replicas > placement.max_replicas {
        reasons.insert(0, Reason::NoPlace { gpus: split.gpus() * u64::from(plan.replicas) });
    }
    (Some(estimate), reasons)
}
