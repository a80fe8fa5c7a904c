//! One engine and its constants, while they are fitted.

use crate::catalog::SchedulingOverlay;

use super::constants::{self, Constant};

/// Fewest rows that must move with a constant for it to be fitted.
pub const FEWEST: usize = 40;

/// One engine and its constants.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    /// Its name in the catalogue.
    pub(super) id: String,
    /// Its constants, with the catalogue's values.
    pub(super) constants: Vec<Constant>,
}

impl Subject {
    pub(super) fn overlay(&self, values: &[f64]) -> SchedulingOverlay {
        constants::overlay(&self.id, self.constants.iter().zip(values.iter().copied()))
    }
}
