//! Lengths of prompts and outputs.

use std::fmt;
use std::str::FromStr;

use rand::{Rng, RngExt as _};
use rand_distr::{Distribution as _, LogNormal};

use crate::diagnostic::{Code, Diagnostic};
use crate::units::token_count;
use crate::workload::MAX_LENGTH;

/// A distribution of token counts; every draw is at least 1.
#[derive(Clone, Debug, PartialEq)]
pub enum Lengths {
    /// Always the same.
    Fixed(u64),
    /// Uniform over whole numbers, both ends included.
    Uniform {
        /// Smallest.
        low: u64,
        /// Largest.
        high: u64,
    },
    /// Log-normal with this mean; `sigma` is the standard deviation of the logarithm.
    LogNormal {
        /// Mean of the lengths themselves.
        mean: f64,
        /// Standard deviation of the logarithm.
        sigma: f64,
        /// Longer draws are cut to this.
        most: u64,
    },
    /// Drawn from a list with equal chances.
    Empirical(Vec<u64>),
}

impl Lengths {
    /// Uniform from `share` of the nominal length to the whole of it, as InferenceX draws them.
    pub fn from_share(nominal: u64, share: f64) -> Lengths {
        let low = ((nominal as f64 * share).round() as u64).clamp(1, nominal.max(1));
        Lengths::Uniform { low, high: nominal.max(1) }
    }

    /// Expected length.
    pub fn mean(&self) -> f64 {
        match self {
            Lengths::Fixed(n) => *n as f64,
            Lengths::Uniform { low, high } => (*low as f64 + *high as f64) / 2.0,
            Lengths::LogNormal { mean, .. } => *mean,
            Lengths::Empirical(all) => all.iter().map(|n| *n as f64).sum::<f64>() / all.len().max(1) as f64,
        }
    }

    /// The length that 99 of 100 draws do not exceed.
    pub fn p99(&self) -> u64 {
        // The 99th percentile of the standard normal distribution.
        const NORMAL: f64 = 2.326_347_874;
        match self {
            Lengths::Fixed(n) => *n,
            Lengths::Uniform { low, high } => low + ((high - low) as f64 * 0.99).ceil() as u64,
            Lengths::LogNormal { mean, sigma, most } => {
                let mu = mean.max(1.0).ln() - sigma * sigma / 2.0;
                ((mu + NORMAL * sigma).exp().ceil() as u64).clamp(1, *most)
            }
            Lengths::Empirical(all) => {
                let mut sorted = all.clone();
                sorted.sort_unstable();
                let place = (sorted.len() as f64 * 0.99).ceil() as usize;
                sorted.get(place.saturating_sub(1)).copied().unwrap_or(1)
            }
        }
    }

    /// One length.
    pub fn draw(&self, random: &mut impl Rng) -> u64 {
        let drawn = match self {
            Lengths::Fixed(n) => *n,
            Lengths::Uniform { low, high } => random.random_range(*low..=(*high).max(*low)),
            Lengths::LogNormal { mean, sigma, most } => {
                // The mean of a log-normal is exp(mu + sigma²/2).
                let mu = mean.max(1.0).ln() - sigma * sigma / 2.0;
                match LogNormal::new(mu, sigma.abs()) {
                    Ok(distribution) => (distribution.sample(random).round() as u64).min(*most),
                    Err(_) => mean.round() as u64,
                }
            }
            Lengths::Empirical(all) if all.is_empty() => 1,
            Lengths::Empirical(all) => all[random.random_range(0..all.len())],
        };
        drawn.max(1)
    }
}

impl fmt::Display for Lengths {
    /// As it is read; of a list of lengths, their number and mean.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lengths::Fixed(n) => write!(f, "{n}"),
            Lengths::Uniform { low, high } => write!(f, "uniform:{low}..{high}"),
            Lengths::LogNormal { mean, sigma, .. } => write!(f, "lognormal:{mean},{sigma}"),
            Lengths::Empirical(all) => write!(f, "{} lengths of {:.1} in the mean", all.len(), self.mean()),
        }
    }
}

impl FromStr for Lengths {
    type Err = Diagnostic;

    /// Reads `2048`, `2k` (the same), `uniform:LOW..HIGH` or `lognormal:MEAN,SIGMA`.
    fn from_str(text: &str) -> Result<Self, Diagnostic> {
        let wrong = || {
            Diagnostic::new(Code::Syntax, format!("`{text}` is not a length"))
                .help("a number of tokens, uniform:LOW..HIGH or lognormal:MEAN,SIGMA")
        };
        let length = |part: &str| match token_count(part, 0..=u64::MAX) {
            Ok(n) if (1..=MAX_LENGTH).contains(&n) => Ok(n),
            Ok(n) => Err(Diagnostic::new(Code::Range, format!("{n} tokens are out of range"))
                .help(format!("from 1 to {MAX_LENGTH}"))),
            Err(_) => Err(wrong()),
        };
        match text.split_once(':') {
            None => length(text).map(Lengths::Fixed),
            Some(("uniform", range)) => {
                let (low, high) = range.split_once("..").ok_or_else(wrong)?;
                let (low, high) = (length(low)?, length(high)?);
                if low > high {
                    return Err(Diagnostic::new(Code::Range, format!("{low} is larger than {high}")));
                }
                Ok(Lengths::Uniform { low, high })
            }
            Some(("lognormal", parts)) => {
                let (mean, sigma) = parts.split_once(',').ok_or_else(wrong)?;
                let mean = length(mean)? as f64;
                let sigma: f64 = sigma.trim().parse().map_err(|_| wrong())?;
                if !(0.0..=5.0).contains(&sigma) {
                    return Err(Diagnostic::new(Code::Range, format!("sigma {sigma} is out of range"))
                        .help("from 0 to 5: the standard deviation of the logarithm"));
                }
                Ok(Lengths::LogNormal { mean, sigma, most: MAX_LENGTH })
            }
            Some(_) => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;

    #[test]
    fn one_draw_in_a_hundred_exceeds_the_99th_percentile() {
        for text in ["uniform:500..4000", "lognormal:2000,0.8", "lognormal:300,0"] {
            let lengths: Lengths = text.parse().unwrap();
            let mut random = rand_pcg::Pcg64Mcg::seed_from_u64(7);
            let limit = lengths.p99();
            let above = (0..20_000).filter(|_| lengths.draw(&mut random) > limit).count();
            assert!(above <= 260 && (text.ends_with(",0") || above >= 140), "{text}: {above}");
        }
        assert_eq!(Lengths::Empirical((1..=200).collect()).p99(), 198);
        assert_eq!(Lengths::Fixed(7).p99(), 7);
    }
}
