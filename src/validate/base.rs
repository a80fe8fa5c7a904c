//! The model that a re-upload was made from, by its name.

use crate::catalog::{Catalog, Kind};
use crate::model::{self, Model, Scope};

/// What quantised re-uploads end in, beside numbers of bits. Lower case, without the dash.
const SUFFIXES: [&str; 29] = [
    "quantized.w8a8",
    "quantized.w4a16",
    "quantized.w8a16",
    "quantized",
    "fp8-dynamic",
    "fp8-block",
    "fp8-kv",
    "fp8dyn",
    "fp8",
    "w8a8",
    "w4a16",
    "w8a16",
    "nvfp4",
    "fp4",
    "mxfp4",
    "awq",
    "autoround-gptq",
    "autoround",
    "gptq",
    "int8",
    "int4",
    "8bit",
    "4bit",
    "bnb",
    "unsloth",
    "gguf",
    "q4_k_m",
    "bf16",
    "hf",
];

/// The catalogue's model that `name` is a quantised re-upload of: the same name under any organisation,
/// without the words for its number format; then without the word for its tuning.
pub(super) fn find(catalog: &Catalog, name: &str, scope: Scope) -> Option<Model> {
    let mut short = name.rsplit('/').next()?.to_ascii_lowercase();
    while let Some(rest) = stripped(&short, &SUFFIXES) {
        short = rest;
    }
    let plain = stripped(&short, &["instruct", "chat", "it", "base"]);
    [Some(short), plain].into_iter().flatten().find_map(|short| {
        let entries = catalog.entries(Kind::Model);
        let same = |id: &str| {
            let own = id.rsplit('/').next().unwrap_or(id).to_ascii_lowercase();
            own == short || own.strip_prefix("meta-") == Some(short.as_str())
        };
        let id = entries.iter().map(|e| e.id().replacen("--", "/", 1)).find(|id| same(id));
        model::find_in(catalog, &id.unwrap_or(short), scope).ok()
    })
}

/// A name without the first of the suffixes that it ends in, dash and all.
fn stripped(name: &str, suffixes: &[&str]) -> Option<String> {
    let without = |suffix: &&str| name.strip_suffix(*suffix)?.strip_suffix(['-', '.', '_']);
    suffixes.iter().find_map(without).filter(|rest| !rest.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantised_re_uploads_are_the_model_that_they_were_made_from() {
        let found = |name| find(&Catalog::built_in(), name, Scope::Full).map(|m| m.id);
        for (name, id) in [
            (
                "RedHatAI/Mistral-Small-3.1-24B-Instruct-2503-quantized.w8a8",
                "mistralai/Mistral-Small-3.1-24B-Instruct-2503",
            ),
            ("cyankiwi/gemma-4-31B-it-AWQ-4bit", "google/gemma-4-31B-it"),
            ("RedHatAI/Qwen2.5-7B-Instruct-fp8-dynamic", "Qwen/Qwen2.5-7B-Instruct"),
            ("nvidia/Llama-3.1-70B-Instruct-FP8", "meta-llama/Llama-3.1-70B-Instruct"),
        ] {
            assert_eq!(found(name).as_deref(), Some(id), "{name}");
        }
        assert_eq!(found("somebody/quite-different-9B-AWQ"), None);
    }
}
