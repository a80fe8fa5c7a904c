//! Draft models: small models that propose tokens, on the ranks of the one that verifies them.

use std::sync::Arc;

use crate::diagnostic::Diagnostic;

use super::blocks::Block;
use super::config::Config;
use super::tensor::{Component, Tensor};
use super::{Model, group, ungroup};

impl Model {
    /// The same model beside a draft model: its weights and its cache lie on the ranks of the last stage.
    #[must_use]
    pub fn with_draft(mut self, draft: Model) -> Model {
        self.notes.push(format!("weights and cache on a GPU include those of the draft model {}", draft.id));
        self.draft = Some(Arc::new(Model { draft: None, ..draft }));
        self
    }
}

/// An EAGLE head, where the configuration names its class as one; any other model as it is. It takes the
/// embedding of the model that it drafts for, and EAGLE's first version its output projection too; its
/// input is projected from two features side by side, EAGLE-3's from those of three layers, and the
/// attention of EAGLE-3's first layer sees the token's embedding beside them (vLLM `models/llama_eagle.py`, `llama_eagle3.py`).
///
/// # Errors
/// A size that is no number.
pub(super) fn eagle(root: &Config, mut model: Model) -> Result<Model, Diagnostic> {
    let classes = root.strings("architectures").unwrap_or_default().join(" ").to_lowercase();
    if !classes.contains("eagle") {
        return Ok(model);
    }
    let third = classes.contains("eagle3");
    let features = root.opt_size("target_hidden_size")?.unwrap_or(model.hidden);
    let sources = if third { 3 } else { 2 };
    model.before.clear();
    model.after.retain(|block| third || !matches!(block, Block::Head(_)));
    model.towers.push(Tensor::matrix(
        "fc.weight",
        model.hidden,
        features.saturating_mul(sources),
        Component::Other,
    ));
    if third {
        let vocabulary = root.opt_size("draft_vocab_size")?.unwrap_or(model.vocabulary);
        for block in &mut model.after {
            if let Block::Head(head) = block {
                (head.vocabulary, head.tied) = (vocabulary, false);
            }
        }
        let mut layers = ungroup(model.groups);
        for block in layers.iter_mut().take(1).flatten() {
            if let Block::Attention(attention) = block {
                attention.input = attention.input.saturating_mul(2);
            }
        }
        model.groups = group(layers, &model.quantisation);
    }
    model.notes.push("an EAGLE head: the embedding is that of the model that it drafts for".into());
    Ok(model)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Scope, from_config};
    use serde_json::json;

    /// The sizes of EAGLE-3 heads for Llama 3.1 8B: one layer of the model's shape.
    fn head(class: &str) -> Model {
        let config = json!({
            "model_type": "llama", "architectures": [class], "num_hidden_layers": 1, "hidden_size": 4096,
            "intermediate_size": 14336, "num_attention_heads": 32, "num_key_value_heads": 8,
            "vocab_size": 128256, "draft_vocab_size": 32000, "tie_word_embeddings": false,
        });
        from_config(config.as_object().unwrap(), "head", Scope::Full).unwrap()
    }

    #[test]
    fn eagle_heads_borrow_the_embedding() {
        // Attention 41.9 M, feed-forward 176.2 M, three norms, and what joins the features.
        let layer = 41_943_040 + 176_160_768 + 3 * 4096;
        let first = head("LlamaForCausalLMEagle").parameters().unwrap().total;
        assert_eq!(first, layer + 2 * 4096 * 4096);
        let keys = (4096 + 2 * 1024) * 4096;
        let third = head("LlamaForCausalLMEagle3").parameters().unwrap().total;
        assert_eq!(third, layer + keys + 3 * 4096 * 4096 + 32_000 * 4096);
        let plain = head("LlamaForCausalLM").parameters().unwrap().total;
        assert_eq!(plain, layer + 2 * 128_256 * 4096);
    }
}
