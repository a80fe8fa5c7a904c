//! Keys of a YAML mapping as flags of a command line.

use serde_json::{Map, Value};

use super::shell::Word;
use crate::load;

/// The keys of a text that is one YAML mapping.
pub fn mapping(text: &str) -> Option<Map<String, Value>> {
    match load::yaml::<Value>(text, "launch") {
        Ok(Value::Object(keys)) => Some(keys),
        _ => None,
    }
}

/// Flags from keys: `tensor-parallel-size: 4`, `trust-remote-code: true`, lists and objects as vLLM and SGLang take
/// them from a file.
pub fn flags(keys: &Map<String, Value>) -> Vec<Word> {
    let mut out = Vec::new();
    for (key, value) in keys {
        if matches!(key.as_str(), "model" | "model_tag") {
            continue;
        }
        let flag = Word::plain(format!("--{}", key.replace('_', "-")));
        match value {
            Value::Null => {}
            Value::Bool(true) => out.push(flag),
            Value::Bool(false) => {
                if let Some(rest) = key.strip_prefix("enable-").or(key.strip_prefix("enable_")) {
                    out.push(Word::plain(format!("--no-enable-{}", rest.replace('_', "-"))));
                }
            }
            Value::Array(items) => {
                out.push(flag);
                out.extend(items.iter().map(word));
            }
            other => {
                out.push(flag);
                out.push(word(other));
            }
        }
    }
    out
}

/// A value as the word that a command line would have.
pub(super) fn word(value: &Value) -> Word {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Word {
        unknown: text.contains("$(") || text.contains("${") || text.contains("{{") || is_variable(&text),
        text,
        assumed: None,
    }
}

fn is_variable(text: &str) -> bool {
    text.strip_prefix('$').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'))
}
