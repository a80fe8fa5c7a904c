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
}

impl std::ops::AddAssign for StepTime {
    fn add_assign(&mut self, more: StepTime) {
        self.total += more.total;
        self.fitted += more.fitted;
        self.measured += more.measured;
        self.drawn += more.drawn;
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
        }
    }
}
