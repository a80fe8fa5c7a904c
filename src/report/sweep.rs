//! A sweep as one sheet: the case, its best plan, and why there is none.

use crate::scenario::{Case, CaseAnswer, CaseOutcome, Scenario};
use crate::workload::Load;

use super::columns::{PLAN_COLUMNS, Row, Value};
use super::format::Sheet;

/// Columns that name the case; those of the best plan follow, then the reason if there is none.
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

/// The answers of a scenario, in the order of its cases.
pub fn sweep_sheet(scenario: &Scenario, answers: &[CaseAnswer]) -> Sheet {
    let plan = PLAN_COLUMNS.iter().filter(|c| c.name != "rank").map(|c| c.name);
    let mut sheet = Sheet::new(CASE_COLUMNS.into_iter().chain(plan).chain(["reason"]));
    sheet.rows = answers.iter().enumerate().map(|(n, a)| row(&scenario.case(n), a)).collect();
    sheet
}

fn row(case: &Case, answer: &CaseAnswer) -> Vec<Value> {
    let w = &case.workload;
    let (concurrency, rate) = match w.load {
        Load::Saturate => (Value::Missing, Value::Missing),
        Load::Concurrency(n) => (n.into(), Value::Missing),
        Load::Rate(r) => (Value::Missing, r.get().into()),
    };
    let (status, best, reason) = match &answer.outcome {
        CaseOutcome::Found(best) => ("found", Some(Row::from(best.as_ref())), Value::Missing),
        CaseOutcome::ContextExceeded(why) => ("context_exceeded", None, why.as_str().into()),
        CaseOutcome::NothingFeasible(None) => ("nothing_feasible", None, Value::Missing),
        CaseOutcome::NothingFeasible(Some(r)) => {
            let nearest = r.nearest.layout.parallelism;
            let why = format!("{}: nearest {nearest}: {}", r.reason.name(), r.reason.message());
            ("nothing_feasible", None, Value::Text(why))
        }
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
        answer.plans.into(),
        answer.feasible.into(),
        status.into(),
    ];
    let plan = PLAN_COLUMNS.iter().filter(|c| c.name != "rank");
    cells.extend(plan.map(|c| best.as_ref().map_or(Value::Missing, |row| (c.of)(row))));
    cells.push(reason);
    cells
}
