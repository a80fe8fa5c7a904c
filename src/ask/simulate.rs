//! Runs in discrete events.

use super::view::{Answered, View};
use crate::diagnostic::{Code, Diagnostic};
use crate::report::{self, SimulationSubject};
use crate::request::{Deployed, Resolved, Simulated};

/// What a run measured.
///
/// # Errors
/// A request that is not about one plan.
pub fn written(resolved: &Resolved, simulated: &Simulated, view: View) -> Result<Answered, Diagnostic> {
    let (parallelism, replicas, prefill) = match resolved.deployed {
        Some(Deployed::Split(workers)) => (workers.decode.0, workers.decode.1, Some(workers.prefill)),
        Some(Deployed::Replicas(split, replicas)) => (split, replicas, None),
        None => return Err(Diagnostic::new(Code::Usage, "a simulation is of one plan")),
    };
    let (outcome, timeline) = match simulated {
        Simulated::Ran { outcome, timeline } => (outcome, timeline),
        Simulated::CannotRun(reason, place) => {
            let text = report::no_simulation(reason, place, view.format, view.width)?;
            return Ok(Answered::Text { text, found: false });
        }
    };
    let subject = SimulationSubject {
        model: &resolved.model,
        cluster: &resolved.pools[0],
        engine: &resolved.engines[0],
        parallelism,
        replicas: replicas.into(),
        workload: &resolved.workload,
        drive: &resolved.drive,
        prefill,
    };
    let text = report::simulation(&subject, outcome, timeline, view.format, view.width)?;
    Ok(Answered::Text { text, found: outcome.requests > 0 })
}
