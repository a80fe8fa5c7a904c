//! Answering the cases of a scenario, in parallel.

use std::borrow::Cow;
use std::slice;

use super::resolved::{Case, Scenario};
use crate::catalog::{Cluster, joined_for};
use crate::diagnostic::Diagnostic;
use crate::estimate::estimated::Estimate;
use crate::plan::space::Pins;
use crate::plan::{Degrees, Parallelism, Rejection};
use crate::rank::Objective;
use crate::search::size::{Demand, Least, Unit};
use crate::search::{Answer, Mode, Question, Variant, Verification, each_in_parallel};
use crate::units::RequestsPerSecond;
use crate::workload::{Load, Targets, Workload};

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
    /// The best plan, and the most requests that it serves within the targets.
    Found(Box<Estimate>, RequestsPerSecond),
    /// Nothing is feasible: the reason of the plans that got furthest, with the nearest miss, and what would be enough.
    NothingFeasible(Option<Rejection>, Option<Box<Enough>>),
    /// Prompt and output exceed the model's context: what was said.
    ContextExceeded(String),
}

/// How much more of the same hardware serves a rate that a cluster does not.
#[derive(Clone, Debug, PartialEq)]
pub struct Enough {
    /// Nodes like those of the cluster.
    pub nodes: u64,
    /// Their GPUs.
    pub gpus: u64,
    /// Replicas that serve it, and the split of one.
    pub replicas: u32,
    /// The split of one.
    pub parallelism: Parallelism,
}

/// The answers of a group of cases.
#[derive(Clone, Debug)]
pub struct GroupAnswer {
    /// One for each case.
    pub cases: Vec<CaseAnswer>,
    /// The Pareto front without any target, where the batch is searched.
    pub front: Vec<Estimate>,
}

/// Answers groups in parallel; `done` is called after each with its number, from any thread and in any
/// order.
///
/// # Errors
/// A question that cannot be asked at all, or what `done` returns; a case without a feasible plan is an
/// answer, not an error.
pub fn run(
    scenario: &Scenario,
    groups: &[usize],
    done: impl Fn(usize, GroupAnswer) -> Result<(), Diagnostic> + Sync,
) -> Result<(), Diagnostic> {
    each_in_parallel(groups.len(), |n| done(groups[n], answer(scenario, groups[n])?))
}

/// Answers the cases of a group: the figures once, each case's targets and objective on top.
fn answer(scenario: &Scenario, group: usize) -> Result<GroupAnswer, Diagnostic> {
    let cases: Vec<Case> = scenario.group(group).map(|number| scenario.case(number)).collect();
    let Some(first) = cases.first() else { return Ok(GroupAnswer { cases: Vec::new(), front: Vec::new() }) };
    if let Err(too_long) = first.workload.fits_context(first.model.model.max_context) {
        let outcome = CaseOutcome::ContextExceeded(too_long.cause);
        let each = CaseAnswer { plans: 0, feasible: 0, outcome };
        return Ok(GroupAnswer { cases: vec![each; cases.len()], front: Vec::new() });
    }
    let pools = searched(scenario, first);
    let question = question(scenario, first, &pools);
    let mut variants: Vec<Variant> = cases.iter().map(variant).collect();
    let saturated = question.workload.load == Load::Saturate;
    if saturated {
        variants.push(Variant { targets: Targets::default(), objective: Objective::Throughput });
    }
    let mut answers = question.answers(&variants)?;
    let front = if saturated { answers.pop().map(|a| a.pareto).unwrap_or_default() } else { Vec::new() };
    let each = cases.iter().zip(answers).map(|(case, answer)| conclude(&question, case, answer));
    Ok(GroupAnswer { cases: each.collect::<Result<_, _>>()?, front })
}

fn variant(case: &Case) -> Variant {
    Variant { targets: case.targets, objective: case.objective }
}

/// The pools of a case, and what spans several of them.
fn searched<'a>(scenario: &Scenario, case: &Case<'a>) -> Cow<'a, [Cluster]> {
    let pools = &case.cluster.pools.pools;
    let mut all = Cow::Borrowed(pools.as_slice());
    if scenario.search.mode.aggregates() {
        let joined = joined_for(pools, case.cluster.engines_for(case.model.precision));
        if !joined.is_empty() {
            all.to_mut().extend(joined);
        }
    }
    all
}

fn question<'a>(scenario: &Scenario, case: &Case<'a>, pools: &'a [Cluster]) -> Question<'a> {
    let Case { model, cluster, workload, targets, objective, .. } = *case;
    Question {
        workload,
        targets,
        objective,
        precisions: vec![model.precision],
        pins: scenario.search.pins.clone(),
        launches: scenario.search.launches.clone(),
        top: 1,
        mode: scenario.search.mode,
        verification: scenario.search.verification,
        ..Question::on(&model.model, pools, cluster.engines_for(model.precision))
    }
}

fn conclude(question: &Question, case: &Case, answer: Answer) -> Result<CaseAnswer, Diagnostic> {
    let furthest = answer.rejected.into_iter().max_by_key(|r| r.reason.stage());
    let outcome = match answer.best.into_iter().next() {
        Some(best) => {
            let served = best.service.requests * f64::from(best.replicas);
            let capacity = capacity(question, case, &best)?.map_or(served, |most| most.max(served));
            CaseOutcome::Found(Box::new(best), capacity)
        }
        None => CaseOutcome::NothingFeasible(furthest, enough(question, case)?),
    };
    Ok(CaseAnswer { plans: answer.counts.plans, feasible: answer.counts.feasible, outcome })
}

/// Nodes that a replica may stand on, where those of the cluster hold none: as many as a fleet's replica spans.
const MOST_NODES: u32 = 4;

/// How many nodes like those of a cluster of one kind of GPU serve the rate of a case within its targets; `None` without a
/// rate, and where no number of them does.
fn enough(question: &Question, case: &Case) -> Result<Option<Box<Enough>>, Diagnostic> {
    let (Load::Rate(rate), [pool]) = (case.workload.load, question.pools) else { return Ok(None) };
    let unit = Unit::Gpus(pool.gpus_per_node);
    let demand = Demand { rate, users: None, headroom: 0.0, spare: 0, unit, least: Least::Gpus };
    let wider =
        |nodes: u32| Cluster { nodes, gpus: pool.gpus_per_node.saturating_mul(nodes), ..pool.clone() };
    for nodes in [pool.nodes, MOST_NODES].into_iter().filter(|nodes| *nodes >= pool.nodes) {
        let cluster = wider(nodes.max(1));
        let wide = Question {
            pools: slice::from_ref(&cluster),
            targets: case.targets,
            pins: Pins { replicas: Vec::new(), ..question.pins.clone() },
            mode: Mode::Aggregated,
            ..question.clone()
        };
        let sized = wide.size(&demand)?.into_iter().next();
        if let Some(fleet) = sized.and_then(|sizing| sizing.fleets.into_iter().next()) {
            let per_node = u64::from(pool.gpus_per_node.max(1));
            return Ok(Some(Box::new(Enough {
                nodes: fleet.bought.div_ceil(per_node),
                gpus: fleet.bought,
                replicas: fleet.replicas,
                parallelism: fleet.replica.parallelism,
            })));
        }
    }
    Ok(None)
}

/// The most requests that a plan serves within the targets, at whichever batch; `None` where the batch was
/// searched, and the plan's own rate says it.
fn capacity(
    question: &Question,
    case: &Case,
    best: &Estimate,
) -> Result<Option<RequestsPerSecond>, Diagnostic> {
    if case.workload.load == Load::Saturate {
        return Ok(None);
    }
    let layout = best.plan.layout;
    let (Some(pool), Some(engine)) = (question.pools.get(layout.pool), question.engines.get(layout.engine))
    else {
        return Ok(None);
    };
    let prefill = best.prefill.as_ref().map(|p| Degrees::only(p.parallelism)).unwrap_or_default();
    let mode = if best.prefill.is_some() { Mode::Split } else { Mode::Aggregated };
    let full = Question {
        pools: slice::from_ref(pool),
        engines: slice::from_ref(engine),
        workload: Workload { load: Load::Saturate, ..case.workload },
        targets: case.targets,
        objective: Objective::Throughput,
        pins: Pins { prefill, replicas: vec![best.replicas], ..Pins::default().at(best.parallelism) },
        mode,
        verification: Verification::NONE,
        ..question.clone()
    };
    let most = full.answer()?.best.into_iter().next();
    Ok(most.map(|most| most.service.requests * f64::from(most.replicas)))
}
