//! What is best, over what, how closely it is looked at, and for how long.

use crate::diagnostic::Diagnostic;
use crate::rank::{Front, Measure, Objective};
use crate::request::checks::{range, texts, usage, within};
use crate::request::{Request, Task};
use crate::search::{Depth, Mode, Verification, WhatIf};
use crate::units::Seconds;

/// Longest time limit of a search, in seconds.
const MAX_TIME_LIMIT: f64 = 86_400.0;

impl Request {
    /// What a ranking puts first.
    pub(super) fn objective(&self, task: Task) -> Result<Objective, Diagnostic> {
        match (task, &self.objective) {
            (Task::Plan, Some(name)) => name.parse(),
            // The largest GPU delivers most: what is compared is what they cost.
            (Task::Plan, None) if self.compares_kinds() => Ok(Objective::Cost),
            _ => Ok(Objective::Throughput),
        }
    }

    pub(super) fn mode(&self) -> Result<Mode, Diagnostic> {
        self.mode
            .as_deref()
            .map_or(Ok(Mode::default()), |name| name.parse().map_err(|d: Diagnostic| d.within("--mode")))
    }

    pub(super) fn front(&self) -> Result<Front, Diagnostic> {
        let Some(text) = &self.pareto else { return Ok(Front::default()) };
        let measures = text.split(',').map(|name| name.trim().parse::<Measure>());
        let front = measures.collect::<Result<Vec<_>, _>>().and_then(Front::new);
        front.map_err(|d| d.within("--pareto"))
    }

    pub(crate) fn verification(&self) -> Result<Verification, Diagnostic> {
        let depth = match within("--verify", self.verify, 0..=1000)? {
            None => Depth::First,
            Some(0) => Depth::Nothing,
            Some(plans) => Depth::Plans(usize::try_from(plans).unwrap_or(usize::MAX)),
        };
        let at = [self.ttft, self.tpot, self.e2e].into_iter().flatten().any(|target| target.at.is_some());
        if depth == Depth::Nothing && (at || self.percentile.is_some()) {
            let cause = "only what is simulated has percentiles";
            return Err(usage(cause).at("--verify 0").help("leave it out"));
        }
        Ok(Verification { depth })
    }

    pub(super) fn what_if(&self) -> Result<Vec<WhatIf>, Diagnostic> {
        let read = |text: &String| text.parse::<WhatIf>().map_err(|d| d.within("--what-if"));
        texts(&self.what_if).iter().map(read).collect()
    }

    pub(super) fn time_limit(&self) -> Result<Option<Seconds>, Diagnostic> {
        match self.time_limit {
            Some(limit) if !(limit.get() > 0.0 && limit.get() <= MAX_TIME_LIMIT) => {
                Err(range("--time-limit", "must lie between 0 and 24 hours"))
            }
            limit => Ok(limit),
        }
    }
}
