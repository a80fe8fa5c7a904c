//! What a layout may come to as simulated, which decides in what order layouts are taken up.

use crate::estimate::figures::Figures;
use crate::workload::Workload;

use super::Variant;

/// How far beyond a limit the closed form's time may lie and a layout still be simulated.
const REACH: f64 = 1.1;

/// Share by which the closed form may be short of what is simulated. Under a rate all deliver the same.
const SHORT: f64 = 0.02;

/// The plan of a layout that may be the best that holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    /// What the layout may come to as simulated.
    pub(super) hoped: Figures,
    /// In closed form.
    pub(super) plain: Figures,
}

impl Candidate {
    /// The best of a layout's plans that keep a variant's targets, or come near.
    pub(super) fn of<'f>(
        plans: impl Iterator<Item = &'f Figures>,
        workload: &Workload,
        variant: &Variant,
    ) -> Option<Candidate> {
        let reach = variant.targets.loosened(REACH);
        let near = plans.filter(|figures| figures.missed(&reach).is_none());
        let plain = *near.min_by(|a, b| variant.objective.order(a, b))?;
        let hoped = if workload.has_rate() { plain } else { plain.improved(SHORT) };
        Some(Candidate { hoped, plain })
    }
}
