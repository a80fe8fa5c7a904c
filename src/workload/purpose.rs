//! What the answers of a server are made of.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::catalog::published;
use crate::diagnostic::{Code, Diagnostic};
use crate::model::{Model, Task};

/// What an answer is: text, or a vector or a score that one pass over the input gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Text, one token after another.
    #[default]
    Generate,
    /// A vector of each input.
    Embed,
    /// A score of each pair of query and document.
    Rerank,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Purpose; 3] = [Purpose::Generate, Purpose::Embed, Purpose::Rerank];

    /// Prompt tokens of an input that is pooled, where none are given: a passage as retrieval cuts them.
    pub const DEFAULT_ISL: u64 = 512;

    /// Name as written and printed.
    pub const fn name(self) -> &'static str {
        match self {
            Purpose::Generate => "generate",
            Purpose::Embed => "embed",
            Purpose::Rerank => "rerank",
        }
    }

    /// What an input is called in a sentence.
    pub const fn inputs(self) -> &'static str {
        match self {
            Purpose::Generate => "requests",
            Purpose::Embed => "texts",
            Purpose::Rerank => "documents",
        }
    }

    /// Whether an answer is made of the input alone: no token is decoded, and nothing is kept for one.
    pub const fn pools(self) -> bool {
        !matches!(self, Purpose::Generate)
    }

    /// What a model is served for: what is asked, else what its publisher made it for where that is embedding alone, else what
    /// its checkpoint's class does. Checkpoints of embedding models have the class of the model that they were made of, and
    /// say otherwise in files beside it, by which engines start them so (`get_pooling_config` in
    /// `vllm/transformers_utils/config.py`); `published/models.csv` has it of those that ship.
    ///
    /// # Errors
    /// [`Code::UnknownName`] for a name of none; [`Code::Model`] where the model cannot do it, with what it can.
    pub fn of(asked: Option<&str>, model: &Model) -> Result<Purpose, Diagnostic> {
        let own = match model.task {
            Task::Generation => Some(Purpose::Generate),
            Task::Embedding => Some(Purpose::Embed),
            Task::Classification => Some(Purpose::Rerank),
            Task::EncoderDecoder | Task::Speech | Task::Diffusion => None,
        };
        let asked = asked.map(str::parse::<Purpose>).transpose()?;
        match (asked, own) {
            (_, None) => {
                let cause = format!("this is {}: no plan for serving describes it", model.task.noun());
                Err(Diagnostic::new(Code::Model, cause).at(model.id.clone()).help(format!(
                    "ask what a batch of inputs takes: shardfit inspect {} --mode prefill --gpu h100-sxm --batch 32 --seq 512",
                    model.id
                )))
            }
            (Some(Purpose::Generate), Some(own)) if own.pools() => {
                let cause = format!("this is {}: it writes no text", model.task.noun());
                let help = format!("--task {}, or leave it out", own.name());
                Err(Diagnostic::new(Code::Model, cause).at(model.id.clone()).help(help))
            }
            (None, Some(Purpose::Generate)) if Purpose::made_to_embed(model) => Ok(Purpose::Embed),
            (asked, Some(own)) => Ok(asked.unwrap_or(own)),
        }
    }
}

impl Purpose {
    /// Whether a model is published as one that embeds, and as nothing else.
    pub fn made_to_embed(model: &Model) -> bool {
        published::facts(&model.id).is_some_and(|facts| facts.purposes == [published::Purpose::Embedding])
    }
}

impl FromStr for Purpose {
    type Err = Diagnostic;
    fn from_str(text: &str) -> Result<Self, Diagnostic> {
        let names = Purpose::ALL.map(Purpose::name);
        Purpose::ALL.into_iter().find(|purpose| purpose.name() == text).ok_or_else(|| {
            Diagnostic::unknown("task", text, names, &format!("allowed: {}", names.join(", ")))
                .within("--task")
        })
    }
}
