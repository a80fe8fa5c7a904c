//! What a published model needs to run as its publishers mean it, beside what a plan decides: parsers of tool calls and
//! reasoning, a tokenizer's mode, code of its own.
//!
//! `flags/models.json` has the facts: vLLM's recipes and SGLang's cookbook, by the ids that checkpoints are published under.

use std::collections::HashMap;
use std::sync::OnceLock;

use serde::Deserialize;

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
                    out.insert((book.engine.clone(), id.to_ascii_lowercase()), entry.flags.clone());
                }
            }
        }
        out
    });
    books.get(&(engine.to_owned(), model.to_ascii_lowercase())).map_or(&[], Vec::as_slice)
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
        assert!(
            flags("vllm", "org/of-no-recipe").is_empty()
                && flags("trtllm", "deepseek-ai/DeepSeek-V3.1").is_empty()
        );
    }
}
