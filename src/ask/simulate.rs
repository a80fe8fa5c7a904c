//! Runs in discrete events.

use serde_json::Value;

use super::view::{Answered, Setting, View};
use crate::diagnostic::{Code, Diagnostic};
use crate::report::{self, SimulationSubject};
use crate::request::form::in_fields;
use crate::request::{Deployed, Request, Resolved, Simulated, Task};
use crate::simulate::Observer;

/// What a run measured, as JSON, and its queue, running sequences and cache over time: rows of `start_s`, `running`,
/// `waiting`, `kv_cache_percent` and `answered`, none where it did not run or has split pools. `begin` makes an observer
/// of each replica.
///
/// # Errors
/// What is wrong with the request, in the names of its fields.
pub fn with_timeline<O: Observer>(
    request: &Request,
    setting: &Setting,
    begin: impl FnMut(Option<u64>) -> O,
) -> Result<(Answered, Value), Diagnostic> {
    let run = || {
        let resolved = request.resolve_as_flags(Task::Simulate, setting.catalog, setting.hub.clone())?;
        let simulated = resolved.simulate_watched(setting.stop, begin)?;
        let rows = match &simulated {
            Simulated::Ran { timeline, .. } => report::timeline_sheet(timeline).json(),
            Simulated::CannotRun(..) => Value::Array(Vec::new()),
        };
        Ok((written(&resolved, &simulated, View::JSON)?, rows))
    };
    run().map_err(in_fields::<Request>)
}

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
            let text = view.written(&report::no_simulation(reason, place))?;
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
        targets: resolved.targets,
        drive: &resolved.drive,
        prefill,
    };
    let text = view.written(&report::simulation(&subject, outcome, timeline))?;
    Ok(Answered::Text { text, found: outcome.requests > 0 })
}
