//! Answering the cases of a scenario, in parallel, in a fixed order.

use crate::catalog::{Cluster, Engine, GpuClass};
use crate::diagnostic::Diagnostic;
use crate::model::Model;
use crate::plan::Precision;
use crate::rank::Objective;
use crate::report::{PLAN_COLUMNS, Row, Sheet, Value};
use crate::search::{LimitOverrides, Question, in_parallel};
use crate::workload::{Load, Workload};

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
    pub cluster: &'a Cluster,
    /// What fills the gaps in its GPU's kernels.
    pub class: &'a GpuClass,
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

/// Columns that name the case; those of the best plan follow.
const CASE_COLUMNS: [&str; 13] = [
    "case",
    "model",
    "cluster",
    "workload",
    "targets",
    "isl",
    "osl",
    "concurrency",
    "rate_per_s",
    "objective",
    "plans",
    "feasible",
    "status",
];

/// The columns of a sweep: the case, its best plan, and why there is none.
pub fn columns() -> Vec<String> {
    let plan = PLAN_COLUMNS.iter().filter(|c| c.name != "rank").map(|c| c.name);
    CASE_COLUMNS.into_iter().chain(plan).chain(["reason"]).map(str::to_owned).collect()
}

/// Answers every case in parallel; `done` is called after each, from any thread. Rows are in the order
/// of the cases, whatever the number of threads.
///
/// # Errors
/// A question that cannot be asked at all; a case without a feasible plan is a row, not an error.
pub fn run(scenario: &Scenario, done: impl Fn() + Sync) -> Result<Sheet, Diagnostic> {
    let rows = in_parallel(scenario.size(), |number| {
        let row = answer(&scenario.case(number));
        done();
        row
    })?;
    Ok(Sheet { columns: columns(), rows })
}

/// One row.
fn answer(case: &Case) -> Result<Vec<Value>, Diagnostic> {
    if let Err(too_long) = case.workload.fits_context(case.model.max_context) {
        return Ok(row(case, (0, 0), "context_exceeded", None, &too_long.cause));
    }
    let question = Question {
        model: case.model,
        cluster: case.cluster,
        class: case.class,
        engines: case.engines,
        workload: case.workload,
        objective: case.objective,
        precisions: vec![Precision::OWN],
        pins: crate::plan::space::Pins::default(),
        limits: LimitOverrides::default(),
        top: 1,
    };
    let answer = question.answer()?;
    let counts = (answer.counts.plans, answer.counts.feasible);
    Ok(match (answer.best.first(), answer.rejected.iter().max_by_key(|r| r.reason.stage())) {
        (Some(best), _) => row(case, counts, "found", Some(Row { rank: None, estimate: best }), ""),
        (None, Some(r)) => {
            let why = format!(
                "{}: nearest {}: {}",
                r.reason.name(),
                r.nearest.layout.parallelism,
                r.reason.message()
            );
            row(case, counts, "nothing_feasible", None, &why)
        }
        (None, None) => row(case, counts, "nothing_feasible", None, ""),
    })
}

fn row(
    case: &Case,
    (plans, feasible): (u64, u64),
    status: &str,
    best: Option<Row>,
    reason: &str,
) -> Vec<Value> {
    let w = &case.workload;
    let (concurrency, rate) = match w.load {
        Load::Saturate => (Value::Missing, Value::Missing),
        Load::Concurrency(n) => (n.into(), Value::Missing),
        Load::Rate(r) => (Value::Missing, r.get().into()),
    };
    let mut cells: Vec<Value> = vec![
        (case.number as u64 + 1).into(),
        case.model.id.as_str().into(),
        case.cluster_name.into(),
        case.workload_name.into(),
        case.targets_name.into(),
        w.isl.into(),
        w.osl.into(),
        concurrency,
        rate,
        case.objective.name().into(),
        plans.into(),
        feasible.into(),
        status.into(),
    ];
    let plan = PLAN_COLUMNS.iter().filter(|c| c.name != "rank");
    cells.extend(plan.map(|c| best.as_ref().map_or(Value::Missing, |row| (c.of)(row))));
    cells.push(if reason.is_empty() { Value::Missing } else { reason.into() });
    cells
}
