//! Values of requests as programs and people write them: as the field's own kind, or as the text that the command line takes
//! for it.
//!
//! A form on a page sends `"2048"`, a script `2048.0`, and a person writes `"128k"` or `"90%"`: each means what it means as an
//! option. What the schema of a field says decides how it is read.

use std::sync::LazyLock;

use serde_json::{Map, Number, Value, json};

use super::values::{ShareEntry, Whole};
use crate::diagnostic::brief;
use crate::load::{self, WrongType};
use crate::units::{amount, token_count};

/// The unit of fields that count tokens, of which 1,024 are a `k`.
pub const TOKENS: &str = "tokens";

/// The unit of fields that are shares, which may be said in per cent.
pub const SHARE: &str = "share";

/// What a field holds beside text, by its schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Whole,
    Real,
    Truth,
}

impl Kind {
    /// Of a field's schema; `None` of one that says in its own words what it takes.
    fn of(schema: &Value) -> Option<Kind> {
        let has = |name: &str| match &schema["type"] {
            Value::String(only) => only == name,
            Value::Array(all) => all.iter().any(|one| one == name),
            _ => false,
        };
        let kinds = [("integer", Kind::Whole), ("number", Kind::Real), ("boolean", Kind::Truth)];
        kinds.into_iter().find_map(|(name, kind)| has(name).then_some(kind))
    }

    /// What is expected of such a field.
    fn expected(self) -> &'static str {
        match self {
            Kind::Whole => "a whole number that is not negative",
            Kind::Real => "a number",
            Kind::Truth => "true or false",
        }
    }
}

/// A field's value as its kind, where the text or number that is written means one; `None` where there is nothing to
/// read otherwise.
///
/// # Errors
/// What is wrong with a text that was to be a number.
pub fn meant(value: &Value, schema: &Value) -> Option<Result<Value, String>> {
    let unit = schema["x-unit"].as_str();
    let whole = |text: &str| {
        let count =
            if unit == Some(TOKENS) { token_count(text, 0..=u64::MAX) } else { amount(text, 0..=u64::MAX) };
        count.map(Value::from)
    };
    match (Kind::of(schema), value) {
        (Some(Kind::Whole), Value::Number(n)) => {
            let whole: Option<Whole> = serde_json::from_value(Value::Number(n.clone())).ok();
            whole.map(|n| Ok(Value::from(n.0)))
        }
        (Some(Kind::Whole), Value::String(text)) => Some(whole(text)),
        // Fields that take lists say their unit.
        (None, Value::String(text)) if unit.is_some() => {
            Some(text.split(',').map(whole).collect::<Result<Vec<Value>, String>>().map(Value::from))
        }
        (Some(Kind::Real), Value::String(text)) if unit == Some(SHARE) => {
            Some(text.parse::<ShareEntry>().and_then(|share| real(share.0, text)))
        }
        (Some(Kind::Real), Value::String(text)) => Some(match text.trim().parse::<f64>() {
            Ok(number) => real(number, text),
            Err(_) => Err(format!("`{}` is not a number", brief(text))),
        }),
        (Some(Kind::Truth), Value::String(text)) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "on" | "yes" => Some(Ok(Value::Bool(true))),
            "false" | "off" | "no" => Some(Ok(Value::Bool(false))),
            _ => None,
        },
        _ => None,
    }
}

fn real(number: f64, text: &str) -> Result<Value, String> {
    Number::from_f64(number).map(Value::Number).ok_or_else(|| format!("`{}` is not a number", brief(text)))
}

/// Says in a field's schema which texts it takes beside its own kind.
pub fn say_texts(schema: &mut Value) {
    let Some(kind) = Kind::of(schema) else { return };
    let pattern = match kind {
        Kind::Whole => r"^ *[0-9]+(\.[0-9]+)? *[kKmM]? *$",
        Kind::Real if schema["x-unit"] == SHARE => r"^ *[0-9]*\.?[0-9]+ *%? *$",
        Kind::Real => r"^ *-?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)? *$",
        // Texts of these are understood and not advertised.
        Kind::Truth => return,
    };
    let mut kinds = match schema["type"].take() {
        Value::Array(all) => all,
        one => vec![one],
    };
    let at = kinds.iter().position(|kind| kind == "null").unwrap_or(kinds.len());
    kinds.insert(at, "string".into());
    schema["type"] = kinds.into();
    schema["pattern"] = pattern.into();
}

/// A fault of a field's value in words that need no knowledge of the parser.
pub fn plainly(fault: &str, schema: &Value) -> String {
    match (load::in_own_words(fault), Kind::of(schema)) {
        (None, _) => fault.to_owned(),
        (Some(wrong), None) => wrong.to_string(),
        (Some(wrong), Some(kind)) => WrongType { expected: kind.expected().to_owned(), ..wrong }.to_string(),
    }
}

/// A field's schema; an empty object where it has none.
pub fn of_field<'a>(schema: &'a Value, field: &str) -> &'a Value {
    static NOTHING: LazyLock<Value> = LazyLock::new(|| json!({}));
    schema["properties"].get(field).unwrap_or(&NOTHING)
}

/// The fields of a request's schema.
pub fn properties(schema: &mut Value) -> Option<&mut Map<String, Value>> {
    schema["properties"].as_object_mut()
}
