//! What replicas came to when they were simulated before, for whichever question: the same replica does the same under the
//! same load. Clusters of a sweep have replicas in common, and questions that follow each other differ in a limit.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::catalog::{Engine, LayerCounts};
use crate::estimate::memory::Limits;
use crate::estimate::program::Pipeline;
use crate::estimate::service::Replica;
use crate::workload::{Load, Percentiles, Workload};

use super::sample::Sample;

/// Replicas that are remembered, those that came last: some tens of kilobytes each.
const MOST: usize = 512;

/// Engines that they run on, and runs of each of them.
const MOST_ENGINES: usize = 16;
const MOST_RUNS: usize = 64;

static ENGINES: Mutex<VecDeque<Arc<Engine>>> = Mutex::new(VecDeque::new());
static REPLICAS: Mutex<VecDeque<Arc<Remembered>>> = Mutex::new(VecDeque::new());

/// A replica, and what is sent to it but for the load: all that a simulation knows of it, however it is launched.
#[derive(Debug)]
pub(super) struct Remembered {
    rest: Rest,
    engine: Arc<Engine>,
    pipeline: Pipeline,
    runs: Mutex<VecDeque<(Run, Sample)>>,
}

/// What is compared first.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Rest {
    gpus: u64,
    attention_dp: u64,
    layers: LayerCounts,
    whole_prompts: bool,
    /// What it is laid out for, and what is sent.
    workloads: [Workload; 2],
}

impl Rest {
    fn of(replica: &Replica, sent: &Workload) -> Rest {
        // All parts are named, so that a new one cannot be forgotten; the pipeline and the engine are compared apart, and
        // what `Launched` has with each run.
        let Replica {
            pipeline: _,
            engine: _,
            limits: _,
            gpus,
            attention_dp,
            layers,
            whole_prompts,
            cache_batch: _,
            cache_tokens: _,
            workload,
        } = *replica;
        let workloads = [workload, *sent].map(|workload| Workload { load: Load::Saturate, ..workload });
        Rest { gpus, attention_dp, layers, whole_prompts, workloads }
    }
}

/// What differs between the plans of a layout that state other limits: those, and the cache that they leave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Launched {
    limits: Limits,
    cache_batch: u64,
    cache_tokens: f64,
}

impl Launched {
    pub(super) fn of(replica: &Replica) -> Launched {
        let Replica { limits, cache_batch, cache_tokens, .. } = *replica;
        Launched { limits, cache_batch, cache_tokens }
    }
}

/// A load on a replica, how that is launched, and what its times are looked at on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Run {
    pub(super) launched: Launched,
    pub(super) load: Load,
    /// Replicas that take turns.
    pub(super) in_turn: f64,
    /// Requests in it on average, which say how long the run is.
    pub(super) in_flight: f64,
    pub(super) at: Percentiles,
}

/// No panic leaves what is in there half done.
fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Adds one, in the place of the oldest where there are as many as there may be.
fn push<T>(to: &mut VecDeque<T>, one: T, most: usize) {
    if to.len() >= most {
        to.pop_front();
    }
    to.push_back(one);
}

impl Remembered {
    /// The replica among those that are remembered; it is from now on. What is sent to it but for the load is said beside it.
    pub(super) fn of(replica: &Replica, sent: &Workload) -> Arc<Remembered> {
        let rest = Rest::of(replica, sent);
        let is_it = |other: &&Arc<Remembered>| {
            other.rest == rest && *other.engine == *replica.engine && other.pipeline == *replica.pipeline
        };
        let mut all = locked(&REPLICAS);
        if let Some(known) = all.iter().rev().find(is_it) {
            return Arc::clone(known);
        }
        let engine = shared(replica.engine);
        let (pipeline, runs) = (replica.pipeline.clone(), Mutex::default());
        let one = Arc::new(Remembered { rest, engine, pipeline, runs });
        push(&mut all, Arc::clone(&one), MOST);
        one
    }

    /// What it comes to under a load: as before, else as `run` has it.
    ///
    /// # Errors
    /// What `run` returns.
    pub(super) fn under<E>(&self, load: Run, run: impl FnOnce() -> Result<Sample, E>) -> Result<Sample, E> {
        if let Some((_, sample)) = locked(&self.runs).iter().find(|(known, _)| *known == load) {
            return Ok(*sample);
        }
        let sample = run()?;
        push(&mut locked(&self.runs), (load, sample), MOST_RUNS);
        Ok(sample)
    }
}

/// One copy of an engine for all replicas that run on it.
fn shared(engine: &Engine) -> Arc<Engine> {
    let mut all = locked(&ENGINES);
    if let Some(known) = all.iter().find(|known| ***known == *engine) {
        return Arc::clone(known);
    }
    let one = Arc::new(engine.clone());
    push(&mut all, Arc::clone(&one), MOST_ENGINES);
    one
}
