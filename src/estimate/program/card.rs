//! What a kind of card changes beside its kernels, where the stages of a replica lie on several.

use crate::catalog::Cards;
use crate::catalog::kernels::PowerShares;
use crate::estimate::kernels::Kernels;
use crate::units::{BytesPerSecond, Watts};

use super::target::Target;

/// What a kind of card changes beside its kernels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct OfKind {
    /// What its kernels draw.
    pub(super) power: PowerShares,
    /// What it draws at most above idle, of what the cards of the replica do in the mean.
    pub(super) draws: f64,
    /// Datasheet memory bandwidth.
    pub(super) bandwidth: BytesPerSecond,
}

/// What each kind changes.
pub(super) fn of_kinds(t: &Target) -> Vec<OfKind> {
    let above_idle = |cards: &Cards| -> Watts { cards.gpu.tdp - cards.gpu.idle_power };
    let mean = (t.cluster.power_limit() - t.cluster.idle_power()).get();
    let of = |(cards, kernels): (&Cards, &Kernels)| OfKind {
        power: kernels.power,
        draws: if mean > 0.0 { above_idle(cards).get() / mean } else { 1.0 },
        bandwidth: cards.gpu.bandwidth,
    };
    t.cluster.cards.iter().zip(t.kinds).map(of).collect()
}
