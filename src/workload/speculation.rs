//! Speculative decoding: tokens that are drafted cheaply and verified together.

use std::str::FromStr;

use crate::diagnostic::{Code, Diagnostic};

/// Most tokens that are drafted for one step.
pub const MAX_DRAFTED: u32 = 32;

/// What drafts the tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draft {
    /// The checkpoint's own multi-token-prediction layers, one after the other.
    Layers,
    /// Matches of the last tokens in the text so far, which cost the GPU nothing.
    Lookup,
    /// A small model of its own: an EAGLE head, or a model of the same family.
    Model,
}

impl Draft {
    /// Every kind.
    pub const ALL: [Draft; 3] = [Draft::Layers, Draft::Lookup, Draft::Model];

    /// Name as written and printed.
    pub fn name(self) -> &'static str {
        match self {
            Draft::Layers => "mtp",
            Draft::Lookup => "ngram",
            Draft::Model => "model",
        }
    }
}

impl FromStr for Draft {
    type Err = Diagnostic;
    fn from_str(text: &str) -> Result<Self, Diagnostic> {
        let names = Draft::ALL.map(Draft::name);
        Draft::ALL.into_iter().find(|d| d.name() == text).ok_or_else(|| {
            Diagnostic::unknown("draft", text, names, &format!("allowed: {}", names.join(", ")))
        })
    }
}

/// How a deployment speculates. How often a drafted token is accepted depends on the text, so it belongs to
/// the workload.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speculation {
    /// What drafts.
    pub draft: Draft,
    /// Tokens drafted for each step.
    pub tokens: u32,
    /// How likely a drafted token is accepted when all before it were.
    pub acceptance: f64,
}

impl Speculation {
    /// Tokens that a step yields on average: `(1 − α^{K+1}) / (1 − α)` (Leviathan et al. 2023, eq. 1).
    pub fn yielded(&self) -> f64 {
        (0..=self.tokens).map(|n| self.acceptance.powi(n as i32)).sum()
    }

    /// Checks every figure.
    ///
    /// # Errors
    /// [`Code::Range`] naming it.
    pub fn validate(&self) -> Result<(), Diagnostic> {
        let wrong = |cause: String| Err(Diagnostic::new(Code::Range, cause));
        if !(1..=MAX_DRAFTED).contains(&self.tokens) {
            return wrong(format!("{} drafted tokens: must lie between 1 and {MAX_DRAFTED}", self.tokens));
        }
        if !(0.0..=1.0).contains(&self.acceptance) {
            return wrong(format!("acceptance {}: must lie between 0 and 1", self.acceptance));
        }
        Ok(())
    }
}

impl std::fmt::Display for Speculation {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let (name, tokens, share) = (self.draft.name(), self.tokens, self.acceptance * 100.0);
        write!(f, "{name} drafting {tokens}, {share:.0} % accepted")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_yield_is_that_of_leviathan() {
        let of = |tokens, acceptance| Speculation { draft: Draft::Layers, tokens, acceptance }.yielded();
        // DeepSeek-V3 (§5.4.3): 85 to 90 % of second tokens accepted make 1.85 to 1.9 tokens a step.
        assert!((of(1, 0.85) - 1.85).abs() < 1e-12);
        // α = 0.8, γ = 5: (1 − 0.8^6) / 0.2.
        assert!((of(5, 0.8) - 3.68928).abs() < 1e-9);
        assert_eq!(of(3, 1.0), 4.0);
        assert_eq!(of(3, 0.0), 1.0);
    }
}
