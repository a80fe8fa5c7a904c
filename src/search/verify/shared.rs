//! What was simulated, for questions that share their figures: they differ in their limits, of which a simulation knows
//! nothing but what each is on.

use std::sync::{Mutex, PoisonError};

use crate::plan::Plan;
use crate::workload::Percentiles;

use super::trial::Sample;

/// Simulations by the plan that ran, whatever its number in the space is.
#[derive(Debug, Default)]
pub(in crate::search) struct Shared(Mutex<Vec<(Plan, Percentiles, Sample)>>);

impl Shared {
    /// The simulation of a plan: the one that is known, else the one that `run` makes.
    ///
    /// # Errors
    /// What `run` returns.
    pub(super) fn sample<E>(
        &self,
        plan: Plan,
        at: Percentiles,
        run: impl FnOnce() -> Result<Sample, E>,
    ) -> Result<Sample, E> {
        let plan = Plan { id: 0, ..plan };
        let known = |all: &Vec<(Plan, Percentiles, Sample)>| {
            all.iter().find(|(of, on, _)| *of == plan && *on == at).map(|(_, _, sample)| *sample)
        };
        if let Some(sample) = known(&self.0.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(sample);
        }
        let sample = run()?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((plan, at, sample));
        Ok(sample)
    }
}
