//! A point in simulated time that can be sorted by.

use crate::units::Seconds;

/// A point in time, ordered; simulated times are never NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment(pub Seconds);

impl Eq for Moment {}

impl PartialOrd for Moment {
    fn partial_cmp(&self, other: &Moment) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Moment {
    fn cmp(&self, other: &Moment) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}
