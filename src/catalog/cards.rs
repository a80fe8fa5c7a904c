//! The cards of a replica that spans kinds of GPU.

use super::gpu::Gpu;
use crate::units::UsdPerHour;

/// Cards of one kind in each replica that spans kinds; each of them holds one stage.
#[derive(Clone, Debug, PartialEq)]
pub struct Cards {
    /// The card.
    pub gpu: Gpu,
    /// How many of them a replica has.
    pub each: u32,
    /// The number of the machine's first such card, where it counts them kind by kind.
    pub first: u32,
    /// Price of one of them and hour.
    pub price: Option<UsdPerHour>,
}

/// The kind of card that a stage lies on, by its place among them; the last where there are fewer cards than stages.
pub fn kind_of_stage(cards: &[Cards], stage: usize) -> usize {
    let mut before = 0;
    let holds = |cards: &Cards| {
        before += cards.each as usize;
        stage < before
    };
    cards.iter().position(holds).unwrap_or(cards.len().saturating_sub(1))
}
