//! What one plan has room for, and what would make it fit.

use crate::catalog::engine::{LaunchOption, Residuals};

use super::context::Context;
use super::estimated::Estimate;
use super::memory::{MemoryUse, Room, Verdict};
use super::remedy::Remedy;

/// Room and remedies of one plan.
#[derive(Clone, Debug)]
pub struct Fit {
    /// Requests in flight that the longest context is of.
    pub batch: u64,
    /// What there is room for.
    pub room: Room,
    /// What the engine calls its memory fraction.
    pub fraction: &'static str,
    /// Whether it has one.
    pub has_fraction: bool,
    /// What the uncertainty was read from.
    pub residuals: Option<Residuals>,
    /// GPU, layers and memory of a rank of each pipeline stage.
    pub stages: Vec<(String, u64, MemoryUse)>,
    /// The longest request that the server takes unless it is told, where the engine refuses to start without room for
    /// one and the question does not say how long it is; and whether that finds room.
    pub unstated_length: Option<(u64, Verdict)>,
    /// What would make the plan fit, where it does not.
    pub remedies: Vec<Remedy>,
}

impl Fit {
    /// What there is room for at an estimate's batch, and what would make the plan fit if it does not.
    pub fn of(context: &Context, estimate: &Estimate) -> Fit {
        let split = estimate.parallelism;
        let batch = estimate.batch.ceil().max(1.0) as u64;
        let short = estimate.verdict == Verdict::DoesNotFit;
        let stated = context.limits.start.length.is_some() || !context.engine.memory.refuses_length;
        let length = context.model.max_context.filter(|_| !stated);
        let question = context.memory_question(split);
        Fit {
            batch,
            unstated_length: length.map(|tokens| (tokens, question.at_length(tokens).verdict())),
            room: context.memory_question(split).room(batch),
            fraction: context.engine.fraction_name(),
            has_fraction: context.engine.options.contains(&LaunchOption::MemoryFraction),
            residuals: context.engine.memory.residuals.clone(),
            stages: context.memory_question(split).by_stage_and_gpu(),
            remedies: if short { context.remedies(split) } else { Vec::new() },
        }
    }
}
