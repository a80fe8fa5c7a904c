//! The plans that are named where no limit is, simulated.

use rayon::prelude::*;

use crate::diagnostic::Diagnostic;
use crate::estimate::context::Context;
use crate::estimate::figures::Figures;
use crate::workload::Load;

use super::choices::{Best, Choices, Named};
use super::verification::Depth;
use super::{Question, Variant};

impl Question<'_> {
    /// Whether the batch is free and no time is limited: plans then leave room, and three are named.
    pub(super) fn is_open(&self, variant: &Variant) -> bool {
        self.workload.load == Load::Saturate && !variant.targets.limit_times() && self.pins.batch.is_empty()
    }

    /// The plans that are named.
    ///
    /// # Errors
    /// None in practice: lengths are drawn and not read.
    pub(super) fn named(
        &self,
        choices: &Choices,
        contexts: &[Vec<Context>],
    ) -> Result<Vec<Named>, Diagnostic> {
        let simulated = self.verification.depth != Depth::Nothing && !self.stop.now();
        let estimate = |(best, figures): (Best, Figures)| {
            let estimate = self.once(&figures, contexts, simulated)?;
            Ok(estimate.map(|estimate| Named { best, estimate }))
        };
        choices.best().into_par_iter().map(estimate).filter_map(Result::transpose).collect()
    }
}
