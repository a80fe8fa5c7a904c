//! How the work is divided between workers, and how many of them are tried.

/// Whether replicas do everything, or prefill and decode workers are split.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Every replica computes prompts and decodes.
    #[default]
    Aggregated,
    /// Some workers compute prompts, the others decode.
    Split,
    /// Both are looked at.
    Any,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Mode; 3] = [Mode::Aggregated, Mode::Split, Mode::Any];

    /// Name as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Aggregated => "aggregated",
            Mode::Split => "split",
            Mode::Any => "any",
        }
    }

    pub(super) fn aggregates(self) -> bool {
        self != Mode::Split
    }

    pub(super) fn splits(self) -> bool {
        self != Mode::Aggregated
    }
}

/// Numbers of workers to try: all up to 64, then 32 steps to a doubling.
pub(super) fn worker_counts(gpus: u32) -> Vec<u32> {
    let mut all = Vec::new();
    let mut n = 1u32;
    while n < gpus {
        all.push(n);
        n = n.saturating_add(if n < 64 { 1 } else { 1 << (n.ilog2() - 5) });
    }
    all
}
