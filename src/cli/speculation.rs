//! Flags of speculative decoding.

use clap::Args;

use crate::diagnostic::Diagnostic;
use crate::workload::{Draft, MAX_DRAFTED, Speculation};

use super::values::{count, names, real};

/// Whether and how tokens are drafted and verified.
#[derive(Clone, Debug, Args)]
pub struct SpeculationArgs {
    /// Draft tokens and verify them together: mtp (the checkpoint's own prediction layers), ngram (found in
    /// the text so far, at no cost) or model (that of --draft-model)
    #[arg(long, value_name = "DRAFT", help_heading = "Speculative decoding", requires = "acceptance")]
    #[arg(value_parser = names(Draft::ALL.map(Draft::name)), hide_possible_values = true)]
    speculate: Option<String>,
    /// Tokens to draft for each step [default: 1]
    #[arg(
        long,
        value_name = "N",
        value_parser = count(1..=MAX_DRAFTED.into()),
        help_heading = "Speculative decoding",
        requires = "speculate"
    )]
    draft_tokens: Option<u64>,
    /// How likely a drafted token is accepted when those before it were, in [0, 1]
    #[arg(
        long,
        value_name = "X",
        value_parser = real,
        allow_hyphen_values = true,
        help_heading = "Speculative decoding",
        requires = "speculate"
    )]
    acceptance: Option<f64>,
}

impl SpeculationArgs {
    /// What was asked for, checked.
    pub fn speculation(&self) -> Result<Option<Speculation>, Diagnostic> {
        let (Some(draft), Some(acceptance)) = (&self.speculate, self.acceptance) else { return Ok(None) };
        let tokens = self.draft_tokens.map_or(1, |n| u32::try_from(n).unwrap_or(MAX_DRAFTED));
        let speculation = Speculation { draft: draft.parse()?, tokens, acceptance };
        speculation.validate().map_err(|d| d.at("--acceptance"))?;
        Ok(Some(speculation))
    }
}
