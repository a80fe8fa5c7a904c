//! What stands on top of a decoder that does not write: nothing, or a classifier instead of the output projection.

use super::blocks::{Block, Extra};
use super::config::Config;
use super::{Architecture, Component, Model, Task, Tensor};

/// Classes that a classifier tells apart: as labels are listed, else two.
pub(super) fn labels(config: &Config) -> u64 {
    let listed = config.opt_sub("id2label").ok().flatten().map(|labels| labels.keys().count() as u64);
    listed.filter(|n| *n > 0).or(config.opt_size("num_labels").ok().flatten()).unwrap_or(2)
}

/// Puts in place of a decoder's output projection what its checkpoint's class has: nothing where it makes vectors, a
/// projection to the labels where it scores, behind a hidden layer in the reward models of Qwen.
pub(super) fn of_task(config: &Config, task: Task, architecture: &mut Architecture) {
    if !matches!(task, Task::Embedding | Task::Classification) {
        return;
    }
    architecture.after.retain(|block| !matches!(block, Block::Head(_)));
    if task == Task::Embedding {
        return;
    }
    let class = config.strings("architectures").unwrap_or_default().into_iter().next().unwrap_or_default();
    let (hidden, part) = (architecture.hidden, Component::Other);
    let reward = class.contains("RewardModel");
    let outputs = match (reward, class.contains("ProcessReward")) {
        (true, false) => 1,
        _ => labels(config),
    };
    let mut tensors = vec![Tensor::matrix("score.weight", outputs, hidden, part)];
    if reward && class.starts_with("Qwen") {
        tensors.push(Tensor::matrix("score.0.weight", hidden, hidden, part));
        tensors.push(Tensor::vector("score.biases", hidden + outputs, part));
    }
    architecture.after.push(Block::Extra(Extra { tensors }));
}

impl Model {
    /// The same model without its output projection, as engines load one that is pooled (vLLM
    /// `model_executor/models/adapters.py`, `_create_pooling_model_cls`, 0.33.0: `lm_head` and the logits processor are
    /// deleted).
    #[must_use]
    pub fn without_head(mut self) -> Model {
        self.after.retain(|block| !matches!(block, Block::Head(_)));
        self
    }

    /// Whether any layer keeps something of a token for those after it. An encoder does not: it sees its input whole.
    pub fn keeps_tokens(&self) -> bool {
        self.layer_blocks().any(|block| block.cache().is_some())
    }
}
