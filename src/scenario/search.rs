//! Where a scenario looks for plans.

use crate::plan::space::Pins;
use crate::search::{Launch, Mode, Verification};

/// Where plans are looked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// Whether pools are split.
    pub mode: Mode,
    /// Axes that are pinned.
    pub pins: Pins,
    /// Ways to launch the engines.
    pub launches: Vec<Launch>,
    /// How much of an answer is simulated.
    pub verification: Verification,
}

impl Default for Search {
    /// Every replica does everything, all axes are free, the engines' defaults; the best plan of a case is simulated.
    fn default() -> Search {
        Search {
            mode: Mode::default(),
            pins: Pins::default(),
            launches: vec![Launch::planned()],
            verification: Verification::UNASKED,
        }
    }
}
