//! Training questions of a scenario: every model on every cluster in every training.

use crate::catalog::Cluster;
use crate::diagnostic::{Code, Diagnostic};
use crate::stop::Stop;
use crate::train::{
    Job, Machine, Operations, Precision, TrainingAnswer, TrainingAxes, TrainingQuestion, Tuning,
};

use super::named::{NamedCluster, NamedModel};
use super::resolved::Scenario;
use super::training::NamedTraining;

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
        let answer = TrainingQuestion { jobs: &jobs, axes: &axes, top: 1, stop: Stop::NEVER }.answer()?;
        // A training has at least one precision.
        let (_, job) = &jobs[0];
        Ok(then(TrainingFound { job, operations: &t.operations, answer: &answer, cluster }))
    }
}
