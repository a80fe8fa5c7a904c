//! What a fleet must do.

use crate::diagnostic::Diagnostic;
use crate::request::checks::{range, usage, within};
use crate::request::{Request, Task};
use crate::search::size::{Demand, Least, Unit};
use crate::units::RequestsPerSecond;
use crate::workload::forecast::Month;

/// Capacity above the rate of a fleet unless told otherwise: what a server of a group takes over when one of five stops,
/// and what traffic varies by within an hour.
const HEADROOM: f64 = 0.25;

impl Request {
    /// What a fleet should have least of; `None` where none is sized.
    pub(super) fn least(&self, task: Task) -> Result<Option<Least>, Diagnostic> {
        match (task, self.objective.as_deref()) {
            (Task::Size, None | Some("cost")) => Ok(Some(Least::Cost)),
            (Task::Size, Some("gpus")) => Ok(Some(Least::Gpus)),
            (Task::Size, Some(other)) => {
                Err(Diagnostic::unknown("objective", other, ["cost", "gpus"], "allowed: cost, gpus"))
            }
            _ => Ok(None),
        }
    }

    pub(super) fn demand(&self, least: Least, months: &[Month]) -> Result<Demand, Diagnostic> {
        let unit = match self.clusters {
            None => {
                let unit = within("--unit", self.unit, 1..=1024)?;
                Unit::Gpus(unit.and_then(|n| u32::try_from(n).ok()).unwrap_or(1))
            }
            Some(_) => Unit::Clusters,
        };
        let rate = match (self.rate, self.forecast.is_some()) {
            (Some(rate), _) => rate.0,
            (None, true) => {
                months.iter().map(|m| m.rate).fold(RequestsPerSecond::ZERO, RequestsPerSecond::max)
            }
            // What users ask for follows from how long they wait.
            (None, false) if self.users.is_some() => RequestsPerSecond::new(1.0),
            (None, false) => return Err(usage("name a --rate or a --forecast")),
        };
        let headroom = self.headroom.map_or(HEADROOM, |headroom| headroom.0);
        if !(0.0..=100.0).contains(&headroom) {
            return Err(range("--headroom", format!("`{headroom}` is not a headroom"))
                .help("a share of the rate from 0 to 10000 %, for example 20% or 0.2"));
        }
        let spare = within("--spare", self.spare, 0..=1000)?.unwrap_or(0);
        let spare = u32::try_from(spare).unwrap_or(u32::MAX);
        let demand = Demand { rate, users: self.users, headroom, spare, unit, least };
        demand.validate().map(|()| demand)
    }
}
