//! How the work is divided between workers, and how many of them are tried.

use std::str::FromStr;

use crate::diagnostic::Diagnostic;

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

    /// Whether every replica does everything in some of the plans.
    pub fn aggregates(self) -> bool {
        self != Mode::Split
    }

    /// Whether pools are split in some of the plans.
    pub fn splits(self) -> bool {
        self != Mode::Aggregated
    }
}

impl FromStr for Mode {
    type Err = Diagnostic;
    fn from_str(text: &str) -> Result<Mode, Diagnostic> {
        let names = Mode::ALL.map(Mode::name);
        let list = format!("allowed: {}", names.join(", "));
        let spoken = match text {
            "disagg" | "disaggregated" | "pd" => Some(Mode::Split),
            "agg" | "colocated" => Some(Mode::Aggregated),
            _ => None,
        };
        let found = Mode::ALL.into_iter().find(|m| m.name() == text).or(spoken);
        found.ok_or_else(|| Diagnostic::unknown("mode", text, names, &list))
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
