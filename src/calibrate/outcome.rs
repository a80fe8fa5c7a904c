//! What a calibration found.

use std::collections::BTreeMap;

use crate::catalog::kernels::FitRange;
use crate::estimate::kernels::Reached;
use crate::validate::{Key, Metric};

use super::coefficients::Coefficients;

/// Fewest rows that a form is fitted to.
pub const FEWEST: usize = 40;

/// What a calibration describes.
#[derive(Clone, Debug)]
pub enum Subject {
    /// One GPU, by catalogue name; rows of others are left out.
    Gpu(String),
    /// A class of GPUs, by catalogue name: coefficients pooled over every GPU that the rows name.
    Class(String),
}

impl Subject {
    /// Identifier of the GPU or class.
    pub fn id(&self) -> &str {
        match self {
            Subject::Gpu(id) | Subject::Class(id) => id,
        }
    }
}

/// What became of a group of rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// New coefficients.
    Fitted(Coefficients),
    /// The GPU's own predict the rows as well as new ones do on rows that they were not fitted to.
    Kept,
    /// Fewer than [`FEWEST`] rows.
    TooFew,
    /// A fit reaches too little of the bandwidth for a kernel that a server runs ([`Reached::is_plausible`]): rows
    /// of launches, or of a kernel that was not tuned.
    Refused(Reached),
}

impl Outcome {
    /// As printed.
    pub fn name(&self) -> &'static str {
        match self {
            Outcome::Fitted(_) => "fitted",
            Outcome::Kept => "kept",
            Outcome::TooFew => "too few rows",
            Outcome::Refused(_) => "refused",
        }
    }
}

/// Rows of one kernel, engine and number format, and what became of them.
#[derive(Clone, Debug)]
pub struct Group {
    /// Which coefficients.
    pub key: Key,
    /// Rows.
    pub points: usize,
    /// Sizes of the rows.
    pub range: FitRange,
    /// Errors of the present coefficients, in per cent.
    pub before: Metric,
    /// Errors of a fit on rows that it was not fitted to; `None` where there was none.
    pub after: Option<Metric>,
    /// The same by GPU, when pooled: errors on a GPU of a fit to the others.
    pub left_out: BTreeMap<String, Metric>,
    /// What became of them.
    pub outcome: Outcome,
    /// Coefficients that ended at the edge of what makes sense.
    pub at_edge: Vec<&'static str>,
    /// What a fit reaches of the peak and of the bandwidth; `None` where there was none, and of other kernels
    /// than products.
    pub reached: Option<Reached>,
}

/// A calibration.
#[derive(Clone, Debug)]
pub struct Calibration {
    /// What was calibrated.
    pub subject: Subject,
    /// By kernel, engine and format.
    pub groups: Vec<Group>,
    /// Rows that were left out, by reason.
    pub left_out: BTreeMap<String, u64>,
    /// Whether collectives between its GPUs go through the host's memory.
    pub through_host: bool,
}
