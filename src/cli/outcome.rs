//! How a command ended.

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is an answer.
    Found,
    /// No plan answers the question.
    NothingFeasible,
    /// Weights are not those that the model describes.
    Differs,
    /// It was stopped before it had an answer.
    Stopped,
    /// Files have problems, and the answer lists them.
    Faulty,
}

impl Outcome {
    /// The exit status that says it.
    pub fn status(self) -> u8 {
        match self {
            Outcome::Found => 0,
            Outcome::NothingFeasible | Outcome::Differs => 1,
            Outcome::Faulty => 2,
            Outcome::Stopped => 3,
        }
    }
}
