//! Where a scenario looks for plans.

use crate::plan::space::Pins;
use crate::search::{Launch, Mode};

/// Where plans are looked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// Whether pools are split.
    pub mode: Mode,
    /// Axes that are pinned.
    pub pins: Pins,
    /// Ways to launch the engines.
    pub launches: Vec<Launch>,
}

impl Default for Search {
    /// Every replica does everything, all axes are free, the engines' defaults.
    fn default() -> Search {
        Search { mode: Mode::default(), pins: Pins::default(), launches: vec![Launch::default()] }
    }
}
