//! How much of an answer is simulated.

/// How much of an answer is simulated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verification {
    /// How far down the list.
    pub depth: Depth,
}

/// How far down the list plans are simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Not at all: the closed form alone.
    Nothing,
    /// The first plan is certain, and those after it as long as that takes little time; all that are shown are
    /// simulated, and hold.
    First,
    /// So many plans.
    Plans(usize),
}

/// Layouts that are listed unasked, and looked at however few are.
pub(super) const LISTED: usize = 10;

/// Layouts beyond those asked for that may take the place of some that fall.
const RESERVE: usize = 32;

impl Verification {
    /// The closed form alone.
    pub const NONE: Verification = Verification { depth: Depth::Nothing };
    /// The first plan, and more where that takes little.
    pub const UNASKED: Verification = Verification { depth: Depth::First };

    /// Layouts to keep for it beside those of the list.
    pub(super) fn candidates(self, top: usize) -> usize {
        match self.depth {
            Depth::Nothing => 0,
            Depth::First => top.max(LISTED).saturating_add(RESERVE),
            Depth::Plans(n) => top.max(n).max(LISTED).saturating_add(RESERVE),
        }
    }
}
