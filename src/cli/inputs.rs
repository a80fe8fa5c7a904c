//! Flags of what requests bring and what answers are made of.

use clap::Args;

use crate::request::Request;
use crate::workload::Purpose;

use super::values::names;

/// What answers are made of, and what prompts hold beside text.
#[derive(Clone, Debug, Args)]
pub struct InputArgs {
    /// Images of each prompt: number, width and height in pixels, e.g. 8x768x768; their tokens, by the rule of the
    /// model's processor, come to those of --isl
    #[arg(long, value_name = "NxWxH", help_heading = "Inputs")]
    images: Option<String>,
    /// A video of each prompt: length, frames a second and their size, e.g. 60s@1fps or 60s@1fps@1280x720
    /// [default size: 640x360]
    #[arg(long, value_name = "LENGTH@RATE", help_heading = "Inputs")]
    video: Option<String>,
    /// Sound of each prompt, e.g. 30s
    #[arg(long, value_name = "LENGTH", help_heading = "Inputs")]
    audio: Option<String>,
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
        request.images.clone_from(&self.images);
        request.video.clone_from(&self.video);
        request.audio.clone_from(&self.audio);
        request.task.clone_from(&self.task);
        request.batch_window.clone_from(&self.batch_window);
    }
}
