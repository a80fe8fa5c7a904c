//! Flags of speculative decoding.

use clap::Args;

use crate::request::{Request, Texts};
use crate::workload::MAX_DRAFTED;

use super::values::{count, probability};

/// Whether and how tokens are drafted and verified.
#[derive(Clone, Debug, Args)]
pub struct SpeculationArgs {
    /// Draft tokens and verify them together: mtp (the checkpoint's own prediction layers), eagle3 (a head of one layer,
    /// as published for the model), ngram (found in the text so far, at no cost) or model (that of --draft-model);
    /// "off,mtp" looks at plans without and with
    #[arg(long, value_name = "DRAFT", help_heading = "Speculative decoding", value_delimiter = ',')]
    speculate: Vec<String>,
    /// Tokens to draft for each step [default: 1, of eagle3 3]
    #[arg(
        long,
        value_name = "N",
        value_parser = count(1..=MAX_DRAFTED.into()),
        help_heading = "Speculative decoding"
    )]
    draft_tokens: Option<u64>,
    /// How likely a drafted token is accepted when those before it were, e.g. 0.8 or 80%
    /// [default: as published of mtp, 0.85, and eagle3, 0.71]
    #[arg(
        long,
        value_name = "X",
        value_parser = probability,
        allow_hyphen_values = true,
        help_heading = "Speculative decoding"
    )]
    acceptance: Option<f64>,
}

impl SpeculationArgs {
    /// Puts what is given into a request.
    pub fn fill(&self, request: &mut Request) {
        request.speculate = Texts::given(&self.speculate);
        request.draft_tokens = self.draft_tokens;
        request.acceptance = self.acceptance;
    }
}
