//! Flags of speculative decoding.

use clap::Args;
use itertools::Itertools;

use crate::diagnostic::{Code, Diagnostic};
use crate::workload::{Draft, MAX_DRAFTED, Speculation};

use super::values::{count, names, real};

/// Whether and how tokens are drafted and verified.
#[derive(Clone, Debug, Args)]
pub struct SpeculationArgs {
    /// Draft tokens and verify them together: mtp (the checkpoint's own prediction layers), ngram (found in
    /// the text so far, at no cost) or model (that of --draft-model); "off,mtp" looks at plans without and with
    #[arg(long, value_name = "DRAFT", help_heading = "Speculative decoding", requires = "acceptance")]
    #[arg(value_delimiter = ',', value_parser = names(Draft::ALL.map(Draft::name).into_iter().chain([OFF])))]
    #[arg(hide_possible_values = true)]
    speculate: Vec<String>,
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

/// No drafts.
const OFF: &str = "off";

impl SpeculationArgs {
    /// What a single plan has.
    pub fn single(&self) -> Result<Option<Speculation>, Diagnostic> {
        match self.both() {
            false => self.speculation(),
            true => Err(Diagnostic::new(Code::Usage, "one plan drafts or does not")
                .at("--speculate")
                .help("`shardfit plan` compares both")),
        }
    }

    /// Whether plans with and without are asked for.
    pub fn both(&self) -> bool {
        let named = |off: bool| self.speculate.iter().any(|name| (name == OFF) == off);
        named(true) && named(false)
    }

    /// What was asked for, checked.
    pub fn speculation(&self) -> Result<Option<Speculation>, Diagnostic> {
        let mut drafts = self.speculate.iter().filter(|name| *name != OFF).unique();
        let (Some(draft), Some(acceptance)) = (drafts.next(), self.acceptance) else { return Ok(None) };
        if drafts.next().is_some() {
            let cause = "one way to draft at a time";
            return Err(Diagnostic::new(Code::Usage, cause)
                .at("--speculate")
                .help("mtp, ngram, or either with off"));
        }
        let tokens = self.draft_tokens.map_or(1, |n| u32::try_from(n).unwrap_or(MAX_DRAFTED));
        let speculation = Speculation { draft: draft.parse()?, tokens, acceptance };
        speculation.validate().map_err(|d| d.at("--acceptance"))?;
        Ok(Some(speculation))
    }
}
