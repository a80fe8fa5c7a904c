//! What is asked of an answer: limits on its times, and on what it takes.

use crate::diagnostic::{Code, Diagnostic};
use crate::units::{Seconds, Usd, UsdPerHour, Watts};

use super::{Confidence, Percentile, Percentiles};

/// Limits that a plan must keep.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Targets {
    /// Time to first token.
    pub ttft: Option<Seconds>,
    /// Time per output token after the first.
    pub tpot: Option<Seconds>,
    /// From request to last token.
    pub e2e: Option<Seconds>,
    /// What the limits on times are on: the mean, or a percentile.
    pub at: Percentiles,
    /// The chance with which limits on times are to hold on a real server; as estimated where `None`.
    pub confidence: Option<Confidence>,
    /// What the deployment may take and must hold.
    pub budget: Budget,
}

/// Limits of a whole deployment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Budget {
    /// Most GPUs used.
    pub gpus: Option<u64>,
    /// Most dollars per hour, for the GPUs used.
    pub price: Option<UsdPerHour>,
    /// Most dollars per million output tokens.
    pub cost_output: Option<Usd>,
    /// Most power, of all GPUs used.
    pub power: Option<Watts>,
    /// Fewest requests in flight.
    pub concurrency: Option<u64>,
}

impl Targets {
    /// The targets with each limit on a time so many times as long.
    #[must_use]
    pub fn loosened(self, times: f64) -> Targets {
        let longer = |limit: Option<Seconds>| limit.map(|limit| limit * times);
        Targets { ttft: longer(self.ttft), tpot: longer(self.tpot), e2e: longer(self.e2e), ..self }
    }

    /// Whether some time is limited.
    pub fn limit_times(&self) -> bool {
        self.ttft.is_some() || self.tpot.is_some() || self.e2e.is_some()
    }

    /// Each time that is limited: its name, what the limit is on, and the limit.
    pub fn times(&self) -> impl Iterator<Item = (&'static str, Option<Percentile>, Seconds)> {
        let Targets { ttft, tpot, e2e, at, .. } = *self;
        let all = [("TTFT", at.ttft, ttft), ("TPOT", at.tpot, tpot), ("end to end", at.e2e, e2e)];
        all.into_iter().filter_map(|(name, at, limit)| limit.map(|limit| (name, at, limit)))
    }

    /// Checks that the limits are positive.
    ///
    /// # Errors
    /// [`Code::Range`] naming the limit.
    pub fn validate(&self) -> Result<(), Diagnostic> {
        for (name, limit) in [("ttft", self.ttft), ("tpot", self.tpot), ("e2e", self.e2e)] {
            if let Some(limit) = limit
                && !(limit.get() > 0.0 && limit.get().is_finite())
            {
                return Err(Diagnostic::new(Code::Range, format!("{name}: a target must be positive")));
            }
        }
        let b = &self.budget;
        let (price, cost, power) =
            (b.price.map(|x| x.get()), b.cost_output.map(|x| x.get()), b.power.map(|x| x.get()));
        for (name, limit) in [("max-price", price), ("max-cost", cost), ("max-power", power)] {
            if limit.is_some_and(|limit| !(limit > 0.0 && limit.is_finite())) {
                return Err(Diagnostic::new(Code::Range, format!("{name}: a limit must be positive")));
            }
        }
        Ok(())
    }
}
