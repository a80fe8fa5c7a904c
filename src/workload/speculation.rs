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
    /// An EAGLE-3 head: one dense layer beside the model, over features of three of its layers.
    Eagle3,
}

/// How likely drafted tokens are accepted where nobody says it, as published.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Published {
    /// How likely one is accepted when those before it were.
    pub acceptance: f64,
    /// From the worst to the best of the models that were measured.
    pub range: (f64, f64),
    /// Tokens drafted for each step there.
    pub tokens: u32,
    /// Where it stands.
    pub source: &'static str,
}

impl Draft {
    /// Every kind.
    pub const ALL: [Draft; 4] = [Draft::Layers, Draft::Lookup, Draft::Model, Draft::Eagle3];

    /// Names that engines have for them, beside those that are printed.
    pub const OTHER_NAMES: [(&'static str, Draft); 8] = [
        ("draft_model", Draft::Model),
        ("draft-model", Draft::Model),
        ("deepseek_mtp", Draft::Layers),
        ("nextn", Draft::Layers),
        ("prompt_lookup", Draft::Lookup),
        ("NGRAM", Draft::Lookup),
        ("EAGLE3", Draft::Eagle3),
        ("MTP", Draft::Layers),
    ];

    /// Ways to draft that engines have and that are not described, with why.
    pub const NOT_DESCRIBED: [(&'static str, &'static str); 3] = [
        ("medusa", "its heads draft a tree, whose acceptance is not published by position"),
        ("dflash", "its drafter writes a block at a time, which is not described"),
        ("eagle", "EAGLE's first heads differ by model: --speculate model with --draft-model, or eagle3"),
    ];

    /// Name as written and printed.
    pub fn name(self) -> &'static str {
        match self {
            Draft::Layers => "mtp",
            Draft::Lookup => "ngram",
            Draft::Model => "model",
            Draft::Eagle3 => "eagle3",
        }
    }

    /// What is published of it; nothing where it is the text that decides, or the model that is named.
    pub fn published(self) -> Option<Published> {
        match self {
            Draft::Layers => Some(Published {
                acceptance: 0.85,
                range: (0.80, 0.90),
                tokens: 1,
                source: "DeepSeek-V3's report, section 5.4.3: 85 to 90 % of second tokens; Qwen3.5-0.8B 0.80 on MT-Bench (vLLM's tests)",
            }),
            // 2.60, 2.26 and 2.56 tokens a step of three drafts: 1 + a + a² + a³.
            Draft::Eagle3 => Some(Published {
                acceptance: 0.71,
                range: (0.62, 0.72),
                tokens: 3,
                source: "vLLM tests/v1/spec_decode/test_acceptance_length.py on MT-Bench: Llama 3.1 8B, Qwen3 8B, gpt-oss-20b",
            }),
            Draft::Lookup | Draft::Model => None,
        }
    }
}

impl FromStr for Draft {
    type Err = Diagnostic;
    fn from_str(text: &str) -> Result<Self, Diagnostic> {
        let names = Draft::ALL.map(Draft::name);
        let other = || Draft::OTHER_NAMES.iter().find(|(name, _)| *name == text).map(|(_, draft)| *draft);
        let found = Draft::ALL.into_iter().find(|d| d.name() == text).or_else(other);
        let not_described = Draft::NOT_DESCRIBED.iter().find(|(name, _)| *name == text);
        match (found, not_described) {
            (Some(draft), _) => Ok(draft),
            (None, Some((name, why))) => {
                let cause = format!("`{name}` is not described: {why}");
                Err(Diagnostic::new(Code::Usage, cause).help(format!("allowed: {}", names.join(", "))))
            }
            (None, None) => {
                Err(Diagnostic::unknown("draft", text, names, &format!("allowed: {}", names.join(", "))))
            }
        }
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
        // vLLM's tests of EAGLE-3: 2.56 to 2.60 tokens a step of three drafts.
        let published = Draft::Eagle3.published().unwrap();
        assert!((2.54..2.62).contains(&of(published.tokens, published.acceptance)));
        assert!((of(3, published.range.0) - 2.26).abs() < 0.03);
        assert_eq!(of(3, 1.0), 4.0);
        assert_eq!(of(3, 0.0), 1.0);
    }
}
