//! The share of requests that a limit holds for.

use std::fmt;
use std::str::FromStr;

/// A percentile, from 50 to 99.9: so many of a hundred requests take no longer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Percentile(f64);

impl Percentile {
    /// What a text is to be.
    pub const FORM: &'static str = "50 to 99.9, for example p99";

    /// As a share of requests.
    pub fn share(self) -> f64 {
        self.0 / 100.0
    }
}

impl FromStr for Percentile {
    type Err = String;
    fn from_str(text: &str) -> Result<Percentile, String> {
        let number = text.trim().trim_start_matches(['p', 'P']).parse::<f64>().ok();
        let number = number.filter(|p| (50.0..=99.9).contains(p)).map(Percentile);
        number.ok_or_else(|| "not a percentile".to_owned())
    }
}

impl fmt::Display for Percentile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}", self.0)
    }
}

/// What each limit on a time is on: the mean where `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Percentiles {
    /// Of the time to first token.
    pub ttft: Option<Percentile>,
    /// Of the time per output token after the first.
    pub tpot: Option<Percentile>,
    /// Of the time from request to last token.
    pub e2e: Option<Percentile>,
}

impl Percentiles {
    /// Every limit on its mean.
    pub const MEANS: Percentiles = Percentiles { ttft: None, tpot: None, e2e: None };

    /// Every limit at the same percentile.
    pub fn all(at: Percentile) -> Percentiles {
        Percentiles { ttft: Some(at), tpot: Some(at), e2e: Some(at) }
    }

    /// What a limit is on, in a word: `mean`, `p95`.
    pub fn word(at: Option<Percentile>) -> String {
        at.map_or_else(|| "mean".to_owned(), |at| at.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_read_with_and_without_their_letter() {
        assert_eq!("p95".parse::<Percentile>().map(Percentile::share), Ok(0.95));
        assert_eq!("99.9".parse::<Percentile>().map(|p| p.to_string()), Ok("p99.9".to_owned()));
        for wrong in ["p100", "49", "p", "", "NaN", "mean"] {
            assert!(wrong.parse::<Percentile>().is_err(), "{wrong}");
        }
    }
}
