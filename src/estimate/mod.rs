//! Estimates: memory, kernel and step times, and the service that follows. Pure functions: no I/O, no
//! clock, no randomness.

pub mod breakdown;
pub mod collectives;
pub mod deployment;
mod explanation;
pub mod figures;
pub mod kernels;
pub mod measured;
pub mod memory;
pub mod pairing;
pub mod power;
pub mod program;
pub mod range;
pub mod remedy;
pub mod service;
pub mod split;
mod stages;

use crate::units::Seconds;

/// Where a figure comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Provenance {
    /// Mostly latencies measured on this very GPU, the rest from fitted forms.
    Measured,
    /// Kernel forms fitted to measurements of this very GPU.
    Fitted,
    /// Part of the time from fitted forms, part from class defaults.
    Mixed,
    /// Class defaults: this GPU has no measurements.
    Uncalibrated,
}

impl Provenance {
    /// As JSON value.
    pub fn name(self) -> &'static str {
        match self {
            Provenance::Measured => "measured",
            Provenance::Fitted => "fitted",
            Provenance::Mixed => "mixed",
            Provenance::Uncalibrated => "uncalibrated",
        }
    }

    /// From the share of the time that rests on this GPU's measurements, and the part of it that was
    /// measured itself: at least 95 % is fitted, or measured if that is most of it; at most 5 % is
    /// uncalibrated.
    pub fn of_share(fitted: f64, measured: f64) -> Provenance {
        if fitted >= 0.95 && measured > 0.5 {
            Provenance::Measured
        } else if fitted >= 0.95 {
            Provenance::Fitted
        } else if fitted > 0.05 {
            Provenance::Mixed
        } else {
            Provenance::Uncalibrated
        }
    }
}

/// What an operator's time rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// A table of latencies measured on this GPU with this engine.
    Measured,
    /// The analytical form, scaled to the nearest measurement.
    Scaled,
    /// The analytical form, fitted on this GPU.
    Fitted,
    /// The analytical form with the coefficients of relatives.
    Default,
}

impl Basis {
    /// As printed.
    pub fn name(self) -> &'static str {
        match self {
            Basis::Measured => "measured",
            Basis::Scaled => "scaled",
            Basis::Fitted => "fitted",
            Basis::Default => "default",
        }
    }
}

/// What bounds an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Arithmetic.
    Compute,
    /// Memory bandwidth.
    Memory,
    /// Link bandwidth and latency.
    Network,
    /// Launch and depth latency.
    Latency,
}

impl Bound {
    /// As printed.
    pub fn name(self) -> &'static str {
        match self {
            Bound::Compute => "compute",
            Bound::Memory => "memory",
            Bound::Network => "network",
            Bound::Latency => "latency",
        }
    }

    /// The largest of the parts of a time.
    fn of(compute: Seconds, memory: Seconds, latency: Seconds) -> Bound {
        if latency > compute && latency > memory {
            Bound::Latency
        } else if compute > memory {
            Bound::Compute
        } else {
            Bound::Memory
        }
    }
}

/// `(a^p + b^p)^(1/p)`: the smooth maximum of two times; the sum at `p = 1`, the maximum as `p → ∞`.
pub(crate) fn smooth_max(a: f64, b: f64, p: f64) -> f64 {
    let (large, small) = if a >= b { (a, b) } else { (b, a) };
    if small <= 0.0 {
        return large;
    }
    // Factored so that large exponents neither overflow nor lose the smaller term.
    let rest = (small / large).powf(p);
    // Where it is lost beside 1 the root is 1.
    if rest < f64::EPSILON / 4.0 { large } else { large * (1.0 + rest).powf(1.0 / p) }
}

/// The smooth maximum of three times, `(a^p + b^p + c^p)^(1/p)`: that of two of them with the third, in fewer
/// powers.
pub(crate) fn smooth_max_of_three(a: f64, b: f64, c: f64, p: f64) -> f64 {
    let large = a.max(b).max(c);
    let share =
        |x: f64| if x > 0.0 && x < large { (x / large).powf(p) } else { f64::from(u8::from(x > 0.0)) };
    if large <= 0.0 { large } else { large * (share(a) + share(b) + share(c)).powf(1.0 / p) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_smooth_maximum_of_three_is_that_of_two_and_the_third(
            a in 0.0f64..1e3, b in 1e-9f64..1e3, c in 0.0f64..1.0, p in 0.5f64..30.0,
        ) {
            let (nested, flat) = (smooth_max(smooth_max(a, b, p), c, p), smooth_max_of_three(a, b, c, p));
            prop_assert!((flat / nested - 1.0).abs() < 1e-12, "{flat} {nested}");
        }
    }

    proptest! {
        #[test]
        fn a_smooth_maximum_lies_between_the_maximum_and_the_sum(
            a in 0.0..1e3f64, b in 0.0..1e3f64, p in 1.0..25.0f64,
        ) {
            let s = smooth_max(a, b, p);
            prop_assert!(s >= a.max(b) && s <= (a + b) * (1.0 + 1e-12), "{s}");
            prop_assert_eq!(s, smooth_max(b, a, p));
        }

        // Some fits have exponents below 1: worse than the sum, but still monotonic.
        #[test]
        fn a_smooth_maximum_never_falls_when_a_part_grows(
            a in 0.0..1e3f64, b in 0.0..1e3f64, more in 0.0..10.0f64, p in 0.3..25.0f64,
        ) {
            prop_assert!(smooth_max(a + more, b, p) >= smooth_max(a, b, p) * (1.0 - 1e-12));
        }
    }
}
