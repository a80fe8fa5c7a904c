//! What would make a training possible that no plan can run.

use super::job::TrainingEstimate;

/// A change, and the best plan that it leads to.
#[derive(Clone, Debug)]
pub struct Way {
    /// What is changed, in the words of the command line.
    pub change: String,
    /// The best plan then.
    pub best: TrainingEstimate,
}
