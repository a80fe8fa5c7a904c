//! What was simulated, for questions that share their figures: they differ in their limits, of which a simulation knows
//! nothing but what each is on.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::plan::{Layout, Plan};
use crate::simulate::Timings;
use crate::workload::Percentiles;

use super::remembered::Remembered;
use super::sample::Sample;

/// Layouts of which step times are kept at a time: some two megabytes each at most.
const MOST_LAYOUTS: usize = 64;

/// Simulations by the plan that ran, whatever its number in the space is, and what they found of each layout's steps.
#[derive(Debug, Default)]
pub(in crate::search) struct Shared {
    samples: Mutex<Vec<(Plan, Percentiles, Sample)>>,
    layouts: Mutex<Vec<(Layout, Arc<Known>)>>,
}

/// What simulations have found of the steps of one replica, which the next go on with.
#[derive(Debug, Default)]
pub(super) struct Known {
    timings: Mutex<Timings>,
    replica: OnceLock<Arc<Remembered>>,
}

impl Known {
    /// Takes what is known for a while, in which others know nothing.
    pub(super) fn take(&self) -> Timings {
        std::mem::take(&mut *locked(&self.timings))
    }

    /// Puts it back, and what was found since.
    pub(super) fn put_back(&self, timings: Timings) {
        *locked(&self.timings) = timings;
    }

    /// What is remembered of the replica, which `find` looks for.
    pub(super) fn replica(&self, find: impl FnOnce() -> Arc<Remembered>) -> &Remembered {
        self.replica.get_or_init(find)
    }
}

/// No panic leaves what is in there half done.
fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

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
        if let Some(sample) = known(&locked(&self.samples)) {
            return Ok(sample);
        }
        let sample = run()?;
        locked(&self.samples).push((plan, at, sample));
        Ok(sample)
    }

    /// What is known of the steps of a layout's replicas.
    pub(super) fn known_of(&self, layout: Layout) -> Arc<Known> {
        let mut layouts = locked(&self.layouts);
        if let Some((_, known)) = layouts.iter().find(|(of, _)| *of == layout) {
            return Arc::clone(known);
        }
        if layouts.len() >= MOST_LAYOUTS {
            layouts.remove(0);
        }
        let known = Arc::new(Known::default());
        layouts.push((layout, Arc::clone(&known)));
        known
    }
}
