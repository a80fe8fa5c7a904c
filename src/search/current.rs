//! A deployment that runs today, and what a question makes of it.

use crate::catalog::Engine;
use crate::estimate::estimated::Estimate;
use crate::estimate::memory::LimitOverrides;
use crate::plan::space::Pins;
use crate::plan::{Parallelism, Precision, Reason};

/// A deployment that runs today.
#[derive(Clone, Debug, PartialEq)]
pub struct Current {
    /// GPU, where the question's cluster has several kinds.
    pub gpu: Option<String>,
    /// The split.
    pub parallelism: Parallelism,
    /// Replicas.
    pub replicas: u32,
    /// Requests in flight on each replica; the best under the question where `None`.
    pub batch: Option<u64>,
    /// Engine; the question's where `None`.
    pub engine: Option<Engine>,
    /// Storage; what is `None` is as in the question.
    pub precision: Precision,
    /// Limits that it was launched with; what is `None` is as in the question.
    pub limits: LimitOverrides,
}

/// What a question makes of a deployment that runs today.
#[derive(Clone, Debug, PartialEq)]
pub struct CurrentAnswer {
    /// The deployment.
    pub current: Current,
    /// Its figures; `None` where a rule forbids the layout.
    pub estimate: Option<Estimate>,
    /// Why the search would not propose it.
    pub reasons: Vec<Reason>,
}

impl Current {
    /// Nothing but it, with so many replicas.
    pub(super) fn pins(&self, replicas: u32) -> Pins {
        let batch = self.batch.into_iter().collect();
        Pins { replicas: vec![replicas], batch, ..Pins::default().at(self.parallelism) }
    }
}
