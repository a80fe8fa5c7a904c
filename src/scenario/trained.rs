//! Training questions of a scenario: every model on every cluster in every training.

use crate::catalog::Cluster;
use crate::diagnostic::{Code, Diagnostic};
use crate::stop::Stop;
use crate::train::{Job, Operations, TrainingAnswer};

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
    /// A cluster of several kinds of GPUs; as [`TrainRequest::training`](crate::request::TrainRequest::training).
    pub fn answer<T>(&self, then: impl FnOnce(TrainingFound) -> T) -> Result<T, Diagnostic> {
        let t = self.training;
        let [cluster] = self.cluster.pools.pools.as_slice() else {
            return Err(Diagnostic::new(Code::Usage, "a training runs on GPUs of one kind")
                .at(self.cluster.name.clone()));
        };
        let training = t.request.training(t.steps.clone(), &self.model.model, cluster.clone())?;
        training.jobs(|jobs| {
            let answer = training.ask(jobs, &training.axes, Stop::NEVER)?;
            // A training has at least one precision.
            let (_, job) = &jobs[0];
            Ok(then(TrainingFound { job, operations: &training.operations, answer: &answer, cluster }))
        })
    }
}
