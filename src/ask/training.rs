//! What each rank of a training plan holds, and what each layer keeps for backward.

use crate::diagnostic::{Code, Diagnostic};
use crate::model::Model;
use crate::report::{self, Section};
use crate::request::inspect::TrainingInspection;
use crate::train::{Job, Machine, Tuning};

/// Memory of each stage, and what each kind of layer keeps under every recomputation.
pub(super) fn sections(of: &TrainingInspection, model: &Model) -> Result<Vec<Section>, Diagnostic> {
    let tuning = match of.tuning {
        Some(tuning) => tuning,
        None if model.lora_parameters() > 0 => Tuning::Lora,
        None => Tuning::Full,
    };
    tuning.check(model)?;
    let model = Job::in_precision(model, of.plan.precision);
    let machine = Machine::new(&of.cluster, &of.framework, &of.engine)?;
    let job = Job {
        model: &model,
        machine: &machine,
        sequence: of.sequence,
        global_batch: of.global_batch,
        optimizer: of.optimizer,
        tuning,
        with_prediction: of.with_prediction,
    };
    if let Some(misfit) = job.misfit(&of.plan) {
        let place = format!("{} with {}", of.plan, of.framework.id);
        return Err(Diagnostic::new(Code::Usage, misfit.message()).at(place));
    }
    let estimate = job
        .estimate(&of.plan)
        .ok_or_else(|| Diagnostic::new(Code::Usage, "no such plan can be run").at(of.plan.to_string()))?;
    let title = format!("{}, {} with {}, {}", of.plan, of.optimizer.name(), of.framework.name, tuning.name());
    Ok(vec![
        report::training_memory_section(&title, &estimate),
        report::kept_section(&model, &job.parts(&of.plan)),
    ])
}
