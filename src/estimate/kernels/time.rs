//! What a kernel takes, and what bounds it.

use crate::catalog::kernels::FitRange;
use crate::estimate::Bound;
use crate::units::Seconds;

/// A time and what bounds it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KernelTime {
    /// Time of one call.
    pub time: Seconds,
    /// The largest part of it.
    pub bound: Bound,
    /// What its arithmetic would take at the datasheet peak.
    pub compute: Seconds,
    /// What its traffic would take at the datasheet bandwidth.
    pub memory: Seconds,
    /// Whether its size lies outside of what its form was fitted to.
    pub extrapolated: bool,
}

impl KernelTime {
    /// No work.
    pub const NONE: KernelTime = KernelTime::idle(Seconds::ZERO, Bound::Latency);

    /// A time in which neither arithmetic nor memory is busy.
    #[inline]
    pub const fn idle(time: Seconds, bound: Bound) -> KernelTime {
        KernelTime { time, bound, compute: Seconds::ZERO, memory: Seconds::ZERO, extrapolated: false }
    }

    /// The same, checked against the sizes that the form was fitted to: beyond them no time is shorter
    /// than what the datasheet allows.
    #[inline(always)]
    pub(super) fn within(self, range: Option<FitRange>, size: f64) -> KernelTime {
        match range {
            Some(range) if !range.holds(size) => {
                KernelTime { time: self.time.max(self.compute).max(self.memory), extrapolated: true, ..self }
            }
            _ => self,
        }
    }
}
