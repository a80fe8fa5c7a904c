//! What drafts tokens, and how often its drafts are accepted.

use itertools::Itertools as _;

use crate::diagnostic::Diagnostic;
use crate::model::Model;
use crate::model::blocks::Block;
use crate::request::Request;
use crate::request::checks::{texts, usage};
use crate::workload::{Draft, MAX_DRAFTED, Speculation};

/// No drafts.
pub const NO_DRAFT: &str = "off";

impl Request {
    /// Whether plans are looked at with and without speculative decoding.
    pub(super) fn speculates_or_not(&self) -> bool {
        let named = |off: bool| texts(&self.speculate).iter().any(|name| (name == NO_DRAFT) == off);
        named(true) && named(false)
    }

    pub(super) fn one_speculation(&self) -> Result<Option<Speculation>, Diagnostic> {
        match self.speculates_or_not() {
            false => self.speculation(),
            true => Err(usage("one plan drafts or does not")
                .at("--speculate")
                .help("`shardfit plan` compares both")),
        }
    }

    pub(super) fn speculation(&self) -> Result<Option<Speculation>, Diagnostic> {
        let mut drafts = texts(&self.speculate).iter().filter(|name| *name != NO_DRAFT).unique();
        let Some(draft) = drafts.next() else { return Ok(None) };
        if drafts.next().is_some() {
            return Err(usage("one way to draft at a time")
                .at("--speculate")
                .help("mtp, ngram, or either with off"));
        }
        let draft = draft.parse::<Draft>().map_err(|d| d.within("--speculate"))?;
        let published = draft.published();
        let usual = published.map_or(1, |published| published.tokens);
        let tokens = self.draft_tokens.map_or(usual, |n| u32::try_from(n).unwrap_or(MAX_DRAFTED + 1));
        let Some(acceptance) = self.acceptance.or(published.map(|published| published.acceptance)) else {
            let cause = format!("how often drafts of {} are accepted depends on the text", draft.name());
            return Err(usage(cause).at("--acceptance").help(
                "give it, for example --acceptance 0.6: the share that the server's log or /metrics has of drafted tokens",
            ));
        };
        let speculation = Speculation { draft, tokens, acceptance };
        speculation.validate().map_err(|d| d.at("--acceptance"))?;
        Ok(Some(speculation))
    }
}

/// The model beside an EAGLE-3 head as they are published for it: one dense layer of its widths, 32,000 tokens of the
/// vocabulary.
pub(super) fn with_eagle_head(model: Model) -> Result<Model, Diagnostic> {
    let heads = model.layer_blocks().find_map(|block| match block {
        Block::Attention(a) => Some((a.heads, a.kv_heads, a.head_dim)),
        _ => None,
    });
    let inner = model.layer_blocks().find_map(|block| match block {
        Block::Mlp(mlp) => Some(mlp.inner),
        _ => None,
    });
    let (heads, kv, head_dim) = heads.unwrap_or(((model.hidden / 128).max(1), 8, 128));
    let config = serde_json::json!({
        "model_type": "llama",
        "architectures": ["LlamaForCausalLMEagle3"],
        "num_hidden_layers": 1,
        "hidden_size": model.hidden,
        "intermediate_size": inner.unwrap_or(model.hidden.saturating_mul(4)),
        "num_attention_heads": heads,
        "num_key_value_heads": kv,
        "head_dim": head_dim,
        "vocab_size": model.vocabulary,
        "draft_vocab_size": model.vocabulary.min(32_000),
        "tie_word_embeddings": false,
        "torch_dtype": "bfloat16",
    });
    let config = config.as_object().cloned().unwrap_or_default();
    let name = format!("EAGLE-3 head of {}", model.id);
    let head = crate::model::from_config(&config, &name, crate::model::Scope::Full)?;
    Ok(model.with_draft(head))
}
