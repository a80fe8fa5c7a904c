//! Time of a step, as a sum over operators.

use crate::units::Seconds;

/// Time of a step, and how much of it rests on fitted forms.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepTime {
    /// Time.
    pub total: Seconds,
    /// The part that rests on measurements of this GPU.
    pub fitted: Seconds,
    /// The part of that which was measured itself.
    pub measured: Seconds,
    /// The time at the board's power limit that draws as much above idle.
    pub drawn: Seconds,
    /// The part in which tokens are exchanged with their experts.
    pub exchanged: Seconds,
}

impl StepTime {
    /// What two such steps hide if one computes while the other's tokens are exchanged.
    pub(super) fn hidden(&self) -> Seconds {
        self.exchanged.min(self.total - self.exchanged) * 2.0
    }

    /// Two such steps, one behind the other.
    pub(super) fn overlapped(self) -> StepTime {
        let both = self * 2.0;
        let left = if both.total > Seconds::ZERO { 1.0 - self.hidden() / both.total } else { 1.0 };
        StepTime {
            total: both.total * left,
            fitted: both.fitted * left,
            measured: both.measured * left,
            ..both
        }
    }
}

impl std::ops::AddAssign for StepTime {
    fn add_assign(&mut self, more: StepTime) {
        self.total += more.total;
        self.fitted += more.fitted;
        self.measured += more.measured;
        self.drawn += more.drawn;
        self.exchanged += more.exchanged;
    }
}

impl std::ops::Mul<f64> for StepTime {
    type Output = StepTime;
    fn mul(self, times: f64) -> StepTime {
        StepTime {
            total: self.total * times,
            fitted: self.fitted * times,
            measured: self.measured * times,
            drawn: self.drawn * times,
            exchanged: self.exchanged * times,
        }
    }
}
