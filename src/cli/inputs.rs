//! Flags of what requests bring and what answers are made of.

use clap::Args;

use crate::request::Request;
use crate::workload::Purpose;

use super::values::names;

/// What answers are made of, and what prompts hold beside text.
#[derive(Clone, Debug, Args)]
pub struct InputArgs {
    /// What answers are made of: generate (text), embed (a vector of each text) or rerank (a score of each document)
    /// [default: what the model does]
    #[arg(long, value_name = "TASK", help_heading = "Inputs")]
    #[arg(value_parser = names(Purpose::ALL.map(Purpose::name)), hide_possible_values = true)]
    task: Option<String>,
    /// How long an embedding or reranking server holds a batch that is not full for more inputs, e.g. 5ms
    /// [default: not at all]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, help_heading = "Inputs")]
    batch_window: Option<String>,
}

impl InputArgs {
    /// Puts what is given into a request.
    pub fn fill(&self, request: &mut Request) {
        request.task.clone_from(&self.task);
        request.batch_window.clone_from(&self.batch_window);
    }
}
