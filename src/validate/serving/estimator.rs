//! How a server is estimated.

use std::str::FromStr;

use crate::diagnostic::Diagnostic;

/// How a server is estimated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Estimator {
    /// In closed form, as `plan` does.
    Steady,
    /// In discrete events, under the row's own protocol.
    #[default]
    Simulate,
}

impl Estimator {
    /// Names as on the command line.
    pub const NAMES: [&'static str; 2] = ["simulate", "steady"];
}

impl FromStr for Estimator {
    type Err = Diagnostic;
    fn from_str(text: &str) -> Result<Self, Diagnostic> {
        match text {
            "steady" => Ok(Estimator::Steady),
            "simulate" => Ok(Estimator::Simulate),
            _ => {
                let list = format!("allowed: {}", Estimator::NAMES.join(", "));
                Err(Diagnostic::unknown("estimator", text, Estimator::NAMES, &list))
            }
        }
    }
}
