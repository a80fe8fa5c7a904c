//! What one plan has room for, and what would make it fit.

use crate::catalog::engine::Residuals;

use super::deployment::{Context, Estimate};
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
    /// What the uncertainty was read from.
    pub residuals: Option<Residuals>,
    /// Layers and memory of a rank of each pipeline stage.
    pub stages: Vec<(u64, MemoryUse)>,
    /// What would make the plan fit, where it does not.
    pub remedies: Vec<Remedy>,
}

impl Fit {
    /// What there is room for at an estimate's batch, and what would make the plan fit if it does not.
    pub fn of(context: &Context, estimate: &Estimate) -> Fit {
        let split = estimate.parallelism;
        let batch = estimate.batch.ceil().max(1.0) as u64;
        let short = estimate.verdict == Verdict::DoesNotFit;
        Fit {
            batch,
            room: context.memory_question(split).room(batch),
            fraction: context.engine.fraction_name(),
            residuals: context.engine.memory.residuals.clone(),
            stages: context.memory_question(split).by_stage(),
            remedies: if short { context.remedies(split) } else { Vec::new() },
        }
    }
}
