//! Answering the cases of a scenario, in parallel, in a fixed order.

use crate::catalog::{Engine, Pools};
use crate::diagnostic::Diagnostic;
use crate::estimate::deployment::Estimate;
use crate::model::Model;
use crate::plan::space::Pins;
use crate::plan::{Precision, Rejection};
use crate::rank::Objective;
use crate::search::{LimitOverrides, Question, in_parallel};
use crate::workload::Workload;

use super::Scenario;

/// One question of a scenario.
#[derive(Clone, Debug)]
pub struct Case<'a> {
    /// Number in the scenario, from 0.
    pub number: usize,
    /// The model.
    pub model: &'a Model,
    /// The cluster as the file names it.
    pub cluster_name: &'a str,
    /// The cluster.
    pub cluster: &'a Pools,
    /// The workload as the file names it.
    pub workload_name: &'a str,
    /// The targets as the file names them.
    pub targets_name: &'a str,
    /// The workload with its targets.
    pub workload: Workload,
    /// Engines that compete.
    pub engines: &'a [Engine],
    /// What the best plan is best at.
    pub objective: Objective,
}

/// What became of a case.
#[derive(Clone, Debug)]
pub struct CaseAnswer {
    /// Plans in its space.
    pub plans: u64,
    /// Feasible ones among them.
    pub feasible: u64,
    /// The best plan, or why there is none.
    pub outcome: CaseOutcome,
}

/// The best plan of a case, or why there is none.
#[derive(Clone, Debug)]
pub enum CaseOutcome {
    /// The best plan.
    Found(Box<Estimate>),
    /// Nothing is feasible: the reason of the plans that got furthest, with the nearest miss.
    NothingFeasible(Option<Rejection>),
    /// Prompt and output exceed the model's context: what was said.
    ContextExceeded(String),
}

/// Answers every case in parallel; `done` is called after each, from any thread. Answers are in the
/// order of the cases, whatever the number of threads.
///
/// # Errors
/// A question that cannot be asked at all; a case without a feasible plan is an answer, not an error.
pub fn run(scenario: &Scenario, done: impl Fn() + Sync) -> Result<Vec<CaseAnswer>, Diagnostic> {
    in_parallel(scenario.size(), |number| {
        let answer = answer(&scenario.case(number));
        done();
        answer
    })
}

fn answer(case: &Case) -> Result<CaseAnswer, Diagnostic> {
    if let Err(too_long) = case.workload.fits_context(case.model.max_context) {
        let outcome = CaseOutcome::ContextExceeded(too_long.cause);
        return Ok(CaseAnswer { plans: 0, feasible: 0, outcome });
    }
    let question = Question {
        model: case.model,
        pools: &case.cluster.pools,
        engines: case.engines,
        workload: case.workload,
        objective: case.objective,
        precisions: vec![Precision::OWN],
        pins: Pins::default(),
        limits: LimitOverrides::default(),
        electricity: None,
        current: None,
        top: 1,
    };
    let answer = question.answer()?;
    let furthest = answer.rejected.into_iter().max_by_key(|r| r.reason.stage());
    let outcome = match answer.best.into_iter().next() {
        Some(best) => CaseOutcome::Found(Box::new(best)),
        None => CaseOutcome::NothingFeasible(furthest),
    };
    Ok(CaseAnswer { plans: answer.counts.plans, feasible: answer.counts.feasible, outcome })
}
