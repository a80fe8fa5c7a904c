//! What a published model needs to run as its publishers mean it, beside what a plan decides: parsers of tool calls and
//! reasoning, a tokenizer's mode, code of its own.
//!
//! `flags/models.json` has the facts: vLLM's recipes, SGLang's cookbook and both engines' pages on parsers, by the ids that
//! checkpoints are published under; `flags/drafts.json` has the heads that are published to draft for a model.

use std::collections::HashMap;
use std::sync::OnceLock;

use serde::Deserialize;

use crate::workload::Draft;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Book {
    engine: String,
    #[expect(dead_code, reason = "for readers of the file")]
    source: String,
    models: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    models: Vec<String>,
    flags: Vec<Vec<String>>,
    #[expect(dead_code, reason = "for readers of the file")]
    source: String,
}

type Index = HashMap<(String, String), Vec<Vec<String>>>;

/// The flags that an engine's own book launches a published model with, each with its value; none for another model.
pub fn flags(engine: &str, model: &str) -> &'static [Vec<String>] {
    static BOOKS: OnceLock<Index> = OnceLock::new();
    let books = BOOKS.get_or_init(|| {
        let books: Vec<Book> =
            serde_json::from_str(include_str!("../../flags/models.json")).expect("a test reads the file");
        let mut out = Index::new();
        for book in books {
            for entry in book.models {
                for id in entry.models {
                    let said = out.entry((book.engine.clone(), id.to_ascii_lowercase())).or_default();
                    // Books add to each other; the first that says a flag is taken at its word.
                    let new = |flag: &&Vec<String>| !said.iter().any(|other| other.first() == flag.first());
                    let more: Vec<Vec<String>> = entry.flags.iter().filter(new).cloned().collect();
                    said.extend(more);
                }
            }
        }
        out
    });
    books.get(&(engine.to_owned(), model.to_ascii_lowercase())).map_or(&[], Vec::as_slice)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    models: Vec<String>,
    engines: Vec<String>,
    draft: String,
    head: String,
    #[expect(dead_code, reason = "for readers of the file")]
    source: String,
}

/// What is published to draft for a model, in a form that the engine loads; `None` where nothing is known.
pub fn drafter(engine: &str, model: &str, draft: Draft) -> Option<&'static str> {
    static HEADS: OnceLock<Vec<Head>> = OnceLock::new();
    let heads = HEADS.get_or_init(|| {
        serde_json::from_str(include_str!("../../flags/drafts.json")).expect("a test reads the file")
    });
    let found = heads.iter().find(|head| {
        head.draft == draft.name()
            && head.engines.iter().any(|of| of == engine)
            && head.models.iter().any(|of| of.eq_ignore_ascii_case(model))
    });
    found.map(|head| head.head.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_models_have_the_parsers_of_their_engines_book() {
        // models/deepseek-ai/DeepSeek-V3.1.yaml of vLLM's recipes.
        let said = |engine: &str, model: &str, flag: &str| {
            flags(engine, model).iter().find(|f| f[0] == flag).map(|f| f[1..].join(" "))
        };
        assert_eq!(
            said("vllm", "deepseek-ai/DeepSeek-V3.1", "--tool-call-parser").as_deref(),
            Some("deepseek_v31")
        );
        // docs.sglang.io, reasoning parser: standard Qwen3 models; the cookbook has the tools alone.
        assert_eq!(said("sglang", "Qwen/Qwen3-32B", "--reasoning-parser").as_deref(), Some("qwen3"));
        assert_eq!(said("sglang", "Qwen/Qwen3-32B", "--tool-call-parser").as_deref(), Some("qwen"));
        assert_eq!(
            said("sglang", "deepseek-ai/DeepSeek-R1", "--reasoning-parser").as_deref(),
            Some("deepseek-r1")
        );
        let thinking = "Qwen/Qwen3-235B-A22B-Thinking-2507";
        assert_eq!(said("vllm", thinking, "--reasoning-parser").as_deref(), Some("qwen3"));
        assert_eq!(said("vllm", thinking, "--tool-call-parser").as_deref(), Some("hermes"));
        assert_eq!(
            drafter("vllm", "meta-llama/Llama-3.3-70B-Instruct", Draft::Eagle3),
            Some("yuhuili/EAGLE3-LLaMA3.3-Instruct-70B")
        );
        assert_eq!(drafter("vllm", "meta-llama/Llama-3.3-70B-Instruct", Draft::Model), None);
        assert!(
            flags("vllm", "org/of-no-recipe").is_empty()
                && flags("trtllm", "deepseek-ai/DeepSeek-V3.1").is_empty()
        );
    }
}
