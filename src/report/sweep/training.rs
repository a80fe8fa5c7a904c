//! Training questions of a scenario as one table: a row for each, with its best plan.

use crate::diagnostic::Diagnostic;
use crate::report::cell::Value;
use crate::report::sheet::Sheet;
use crate::report::training::Trained;
use crate::scenario::{TrainingCase, TrainingFound};
use crate::train::Convention;

/// The row of a case, before those of others are added.
///
/// # Errors
/// A question that cannot be asked.
pub fn training_row(case: &TrainingCase) -> Result<Sheet, Diagnostic> {
    case.answer(|found| row(case, &found))
}

fn row(case: &TrainingCase, found: &TrainingFound) -> Sheet {
    let trained = Trained {
        job: found.job,
        answer: found.answer,
        operations: found.operations,
        price: found.cluster.price,
        convention: Convention::Model,
        passed_over: None,
        ways: &[],
    };
    let plans = trained.sheet();
    let names = ["model", "cluster", "training", "framework", "global_batch", "seq", "plans", "feasible"];
    // What stands first in the ranking is all that there is.
    let of_plan = plans.columns.iter().skip(1).map(String::as_str);
    let mut sheet = Sheet::new(names.into_iter().chain(of_plan).chain(["reason"]));
    let t = case.training;
    let mut cells: Vec<Value> = vec![
        case.model.name.as_str().into(),
        case.cluster.name.as_str().into(),
        t.name.as_str().into(),
        found.job.machine.framework.id.as_str().into(),
        t.steps.global_batch.into(),
        t.steps.sequence.into(),
        found.answer.counts.plans.into(),
        found.answer.counts.feasible.into(),
    ];
    match plans.rows.into_iter().next() {
        Some(best) => cells.extend(best.into_iter().skip(1).chain([Value::Missing])),
        None => {
            cells.extend(std::iter::repeat_n(Value::Missing, plans.columns.len() - 1));
            let worst = found.answer.rejected.first();
            cells.push(worst.map_or(Value::Missing, |r| r.reason.message().as_str().into()));
        }
    }
    sheet.rows.push(cells);
    sheet
}
