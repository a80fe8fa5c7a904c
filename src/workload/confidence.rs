//! The chance with which limits on times are to hold on a real server.

use std::fmt;
use std::str::FromStr;

use crate::catalog::residuals::deviations_of;

/// A chance from 50 to 99 %.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Confidence {
    share: f64,
    deviations: f64,
}

impl Confidence {
    /// What a text is to be.
    pub const FORM: &'static str = "50% to 99%, for example 90%";

    /// A share of servers, `None` outside 0.5 to 0.99.
    pub fn of_share(share: f64) -> Option<Confidence> {
        // Under a half a limit would be loosened; past 99 % nothing was measured.
        let within = (0.5..=0.99).contains(&share);
        within.then(|| Confidence { share, deviations: deviations_of(share) })
    }

    /// As a share.
    pub fn share(self) -> f64 {
        self.share
    }

    /// Standard deviations of a normal distribution below which that share lies.
    pub fn deviations(self) -> f64 {
        self.deviations
    }
}

impl FromStr for Confidence {
    type Err = String;
    fn from_str(text: &str) -> Result<Confidence, String> {
        let text = text.trim();
        let share = match text.strip_suffix('%') {
            Some(percent) => percent.trim().parse::<f64>().ok().map(|percent| percent / 100.0),
            None => text.parse().ok(),
        };
        share.and_then(Confidence::of_share).ok_or_else(|| "not a confidence".to_owned())
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", (self.share * 1000.0).round() / 10.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_confidence_is_a_percentage_or_a_share_between_a_half_and_all() {
        for (text, share) in [("90%", 0.9), ("0.9", 0.9), ("50 %", 0.5), ("99%", 0.99)] {
            assert_eq!(text.parse::<Confidence>().unwrap().share(), share, "{text}");
        }
        for text in ["", "90", "100%", "49%", "1.5", "-0.9", "nan", "high"] {
            assert!(text.parse::<Confidence>().is_err(), "{text}");
        }
    }
}
