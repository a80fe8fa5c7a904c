//! Estimates: memory, kernel and step times, and the service that follows. Pure functions: no I/O, no
//! clock, no randomness.

pub mod breakdown;
pub mod collectives;
pub mod context;
pub mod deployment;
pub mod estimated;
pub mod explanation;
pub mod figures;
pub mod fit;
pub mod kernels;
pub mod launched;
pub mod measured;
pub mod memory;
mod offload;
pub mod pairing;
pub mod power;
pub mod program;
pub mod range;
pub mod remedy;
pub mod sequences;
pub mod service;
pub mod sessions;
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

    /// Whether all times rest on measurements of this very GPU.
    pub fn is_calibrated(self) -> bool {
        matches!(self, Provenance::Measured | Provenance::Fitted)
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
    /// The host's memory, or the link to it.
    Host,
    /// Nothing of its own: it runs beside the routed experts, from whose bandwidth it takes.
    Beside,
}

impl Bound {
    /// As printed.
    pub fn name(self) -> &'static str {
        match self {
            Bound::Compute => "compute",
            Bound::Memory => "memory",
            Bound::Network => "network",
            Bound::Latency => "latency",
            Bound::Host => "host",
            Bound::Beside => "beside",
        }
    }

    /// The largest of the parts of a time.
    #[inline]
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
