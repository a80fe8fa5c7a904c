//! From which release on engines have a class for a model: what older ones refuse to load.
//!
//! `flags/classes.json` has the facts, read from the engines' own registries, release by release.

use std::sync::OnceLock;

use serde::Deserialize;

use super::version::Version;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Registry {
    engine: String,
    #[expect(dead_code, reason = "for readers of the file")]
    source: String,
    predicts: Vec<String>,
    classes: Vec<Class>,
}

/// A class of models, and the releases around the first that has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Class {
    /// `model_type` of its configurations.
    pub model_type: String,
    /// Name in `architectures`.
    pub class: String,
    /// The newest release that is known to lack it.
    pub lacks: Version,
    /// The first that is known to have it.
    pub has: Version,
}

fn registries() -> &'static [Registry] {
    static REGISTRIES: OnceLock<Vec<Registry>> = OnceLock::new();
    REGISTRIES.get_or_init(|| {
        serde_json::from_str(include_str!("../../flags/classes.json")).expect("a test reads the file")
    })
}

/// Whether some engine loads multi-token-prediction layers of models of a type from their own checkpoints.
pub fn predicts(model_type: &str) -> bool {
    registries().iter().any(|registry| registry.predicts.iter().any(|named| named == model_type))
}

/// The class that a release of an engine lacks for models of a type; `None` where it has one or nothing is known.
pub fn lacking(engine: &str, model_type: &str, version: Version) -> Option<&'static Class> {
    let registry = registries().iter().find(|registry| registry.engine == engine)?;
    registry.classes.iter().find(|class| class.model_type == model_type && version <= class.lacks)
}

/// Why a release of an engine cannot load models of a type, in a sentence.
pub fn refusal(engine: &str, model_type: &str, version: Version) -> Option<String> {
    let class = lacking(engine, model_type, version)?;
    Some(format!("{engine} {version} does not know {}: {} does", class.class, class.has))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lacks(engine: &str, model_type: &str, version: &str) -> bool {
        lacking(engine, model_type, version.parse().unwrap()).is_some()
    }

    #[test]
    fn releases_have_the_classes_of_their_registries() {
        // vllm/model_executor/models/registry.py of both releases; EntryClass of sglang/srt/models.
        assert!(lacks("vllm", "gpt_oss", "0.8.5") && !lacks("vllm", "gpt_oss", "0.10.1"));
        assert!(lacks("vllm", "minimax_m2", "0.11.0") && !lacks("vllm", "minimax_m2", "0.11.1"));
        assert!(lacks("sglang", "qwen3_next", "0.4.6") && !lacks("sglang", "qwen3_next", "0.5.3"));
        // What no row says is not known.
        assert!(!lacks("vllm", "llama", "0.1.0") && !lacks("trtllm", "gpt_oss", "0.1.0"));
    }
}
