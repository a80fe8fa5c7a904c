//! Training questions of a scenario: every model on every cluster in every training.

use schemars::JsonSchema;
use serde::Deserialize;

use super::entry::Names;
use super::{NamedCluster, NamedModel, Scenario};
use crate::catalog::{Catalog, Cluster, Engine, Framework};
use crate::diagnostic::{Code, Diagnostic};
use crate::train::{
    Job, Machine, Operations, Optimizer, Precision, Schedule, TrainingAnswer, TrainingAxes, TrainingQuestion,
    Tuning,
};

/// What is trained in which steps.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrainingEntry {
    /// What results call it; what is asked when left out.
    pub name: Option<String>,
    /// Sequences of one step, over all GPUs.
    #[schemars(range(min = 1, max = 16777216))]
    pub global_batch: u64,
    /// Tokens of a sequence.
    #[schemars(range(min = 1, max = 16777216))]
    pub seq: u64,
    /// Training framework; megatron-bridge when left out.
    #[schemars(extend("x-names" = "framework"))]
    pub framework: Option<String>,
    /// Number formats of products, as `train --precision`; bf16 when left out.
    pub precision: Option<Names>,
    /// Orders of microbatches, as `train --schedule`; 1f1b when left out.
    pub schedule: Option<Names>,
    /// As `train --optimizer`; adam when left out.
    pub optimizer: Option<String>,
    /// Whether multi-token prediction is trained too.
    #[serde(default)]
    pub mtp: bool,
    /// Tokens of the whole run: days and dollars.
    #[schemars(range(min = 1))]
    pub tokens: Option<f64>,
}

/// A training with every name resolved.
#[derive(Clone, Debug)]
pub struct NamedTraining {
    /// What results call it.
    pub name: String,
    /// Sequences of one step.
    pub global_batch: u64,
    /// Tokens of a sequence.
    pub seq: u64,
    /// The framework.
    pub framework: Framework,
    engine: Engine,
    precisions: Vec<Precision>,
    schedules: Vec<Schedule>,
    optimizer: Optimizer,
    mtp: bool,
    operations: Operations,
}

/// Longest sequence and largest batch accepted.
const MOST: u64 = 1 << 24;

impl TrainingEntry {
    /// It with every name resolved.
    ///
    /// # Errors
    /// An unknown name, a figure out of range.
    pub(super) fn named(&self, catalog: &Catalog) -> Result<NamedTraining, Diagnostic> {
        for (field, n) in [("global_batch", self.global_batch), ("seq", self.seq)] {
            if !(1..=MOST).contains(&n) {
                return Err(Diagnostic::new(Code::Range, format!("{field} is {n}"))
                    .field(field)
                    .help(format!("from 1 to {MOST}")));
            }
        }
        if self.tokens.is_some_and(|t| !(t.is_finite() && t >= 1.0)) {
            return Err(Diagnostic::new(Code::Range, "tokens must be above zero").field("tokens"));
        }
        let framework = catalog.framework(self.framework.as_deref().unwrap_or("megatron-bridge"))?;
        let mut precisions: Vec<Precision> = parsed(&self.precision, Precision::Bf16)?;
        precisions.dedup();
        let usual = || format!("{} sequences of {} tokens, {}", self.global_batch, self.seq, framework.id);
        Ok(NamedTraining {
            name: self.name.clone().unwrap_or_else(usual),
            global_batch: self.global_batch,
            seq: self.seq,
            engine: catalog.engine(&framework.kernels)?,
            framework,
            precisions,
            schedules: parsed(&self.schedule, Schedule::OneForwardOneBackward)?,
            optimizer: self.optimizer.as_deref().map_or(Ok(Optimizer::Adam), str::parse)?,
            mtp: self.mtp,
            operations: Operations { tokens: self.tokens, ..Operations::USUAL },
        })
    }
}

fn parsed<T: std::str::FromStr<Err = Diagnostic>>(
    names: &Option<Names>,
    usual: T,
) -> Result<Vec<T>, Diagnostic> {
    match names {
        None => Ok(vec![usual]),
        Some(Names(names)) => names.iter().map(|name| name.parse()).collect(),
    }
}

/// One training question of a scenario.
#[derive(Clone, Copy, Debug)]
pub struct TrainingCase<'a> {
    /// The model.
    pub model: &'a NamedModel,
    /// The cluster.
    pub cluster: &'a NamedCluster,
    /// What is trained in which steps.
    pub training: &'a NamedTraining,
}

/// A training question and its answer.
#[derive(Clone, Copy, Debug)]
pub struct TrainingFound<'a> {
    /// The job, in its first precision.
    pub job: &'a Job<'a>,
    /// How the run is operated.
    pub operations: &'a Operations,
    /// Its plans.
    pub answer: &'a TrainingAnswer,
    /// Where it runs.
    pub cluster: &'a Cluster,
}

impl Scenario {
    /// Its training questions: models outermost, then clusters, then trainings.
    pub fn training_cases(&self) -> impl Iterator<Item = TrainingCase<'_>> {
        self.models.iter().flat_map(move |model| {
            self.clusters.iter().flat_map(move |cluster| {
                self.training.iter().map(move |training| TrainingCase { model, cluster, training })
            })
        })
    }
}

impl TrainingCase<'_> {
    /// Answers it, the best plan alone.
    ///
    /// # Errors
    /// A cluster of several kinds of GPUs; as [`TrainingQuestion::answer`].
    pub fn answer<T>(&self, then: impl FnOnce(TrainingFound) -> T) -> Result<T, Diagnostic> {
        let t = self.training;
        let [cluster] = self.cluster.pools.pools.as_slice() else {
            return Err(Diagnostic::new(Code::Usage, "a training runs on GPUs of one kind")
                .at(self.cluster.name.clone()));
        };
        let machine = Machine::new(cluster, &t.framework, &t.engine)?;
        let models: Vec<_> =
            t.precisions.iter().map(|p| (*p, Job::in_precision(&self.model.model, *p))).collect();
        let job = |model| Job {
            model,
            machine: &machine,
            sequence: t.seq,
            global_batch: t.global_batch,
            optimizer: t.optimizer,
            tuning: Tuning::Full,
            with_prediction: t.mtp,
        };
        let jobs: Vec<(Precision, Job)> = models.iter().map(|(p, m)| (*p, job(m))).collect();
        let axes = TrainingAxes {
            precision: t.precisions.clone(),
            schedules: t.schedules.clone(),
            ..TrainingAxes::usual(machine.per_node())
        };
        let answer = TrainingQuestion { jobs: &jobs, axes: &axes, top: 1 }.answer()?;
        // A training has at least one precision.
        let (_, job) = &jobs[0];
        Ok(then(TrainingFound { job, operations: &t.operations, answer: &answer, cluster }))
    }
}
