//! Keys of a YAML mapping as flags of a command line.

use serde_json::{Map, Value};

use super::shell::{Word, Written};
use crate::load;

/// The keys of a text that is one YAML mapping.
pub fn mapping(text: &str) -> Option<Map<String, Value>> {
    match load::yaml::<Value>(text, "launch") {
        Ok(Value::Object(keys)) => Some(keys),
        _ => None,
    }
}

/// The keys of a file: those that branches of the script decide stand for what they may be.
pub fn any_of(file: &Written) -> Option<Map<String, Value>> {
    let read = |text: &str| match text.trim().is_empty() {
        true => Some(Map::new()),
        false => mapping(text).or_else(|| mapping(&named(text))),
    };
    let mut keys = read(&file.text)?;
    for other in &file.others {
        keys = meet(keys, read(other)?);
    }
    Some(keys)
}

/// A text whose variables have no characters that mean something to YAML: `[${SIZES%, }]` is `[$SIZES]`.
fn named(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${").into_iter().chain(rest.find("$(")).min() {
        out.push_str(&rest[..at]);
        let inner = &rest[at + 2..];
        let name: String = inner.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        let close = if rest[at..].starts_with("${") { '}' } else { ')' };
        out.push('$');
        out.push_str(if name.is_empty() { "UNKNOWN" } else { &name });
        rest = inner.find(close).map_or("", |end| &inner[end + 1..]).trim_start_matches(close);
    }
    out + rest
}

fn meet(one: Map<String, Value>, mut other: Map<String, Value>) -> Map<String, Value> {
    let mut out = Map::new();
    for (key, value) in one {
        let met = match (value, other.remove(&key)) {
            (value, Some(same)) if value == same => value,
            // What an earlier branch leaves open stays so.
            (Value::String(text), _) if text.starts_with("$(") => text.into(),
            (Value::Object(one), Some(Value::Object(other))) => Value::Object(meet(one, other)),
            (value, Some(other)) => format!("$({value} or {other})").into(),
            (value, None) => format!("$({value} or none)").into(),
        };
        out.insert(key, met);
    }
    out.extend(other.into_iter().map(|(key, value)| (key, format!("$({value} or none)").into())));
    out
}

/// Makes every key one of which a condition decides that is not settled.
pub fn leave_open(keys: &mut Map<String, Value>, condition: &str) {
    for value in keys.values_mut() {
        *value = format!("$({value} if {condition})").into();
    }
}

/// Whether a value is left open: it stands in a variable, or is for its reader to fill in.
pub fn is_open(text: &str) -> bool {
    let filled_in = text
        .strip_prefix('<')
        .and_then(|t| t.strip_suffix('>'))
        .is_some_and(|inner| !inner.contains(['<', '>']));
    text.contains("$(") || text.contains("${") || text.contains("{{") || is_variable(text) || filled_in
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
    Word { unknown: is_open(&text), text, ..Word::default() }
}

fn is_variable(text: &str) -> bool {
    text.strip_prefix('$').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'))
}
