//! One cell, as scripts and people read it: the digits that a figure has.

use serde_json::{Value as Json, json};

use super::columns::Value;

/// A real number to six significant digits: beyond what any estimate knows, and the same text on every
/// machine.
pub fn round(x: f64) -> Json {
    if x == 0.0 || !x.is_finite() {
        return if x == 0.0 { json!(0.0) } else { Json::Null };
    }
    let digits = 5 - x.abs().log10().floor() as i32;
    let rounded: f64 = format!("{x:.*}", digits.clamp(0, 12) as usize).parse().unwrap_or(x);
    json!(rounded)
}

/// A cell as JSON.
pub(super) fn to_json(value: &Value) -> Json {
    match value {
        Value::Text(text) => Json::from(text.as_str()),
        Value::Verdict(verdict) => Json::from(verdict.name()),
        Value::Integer(n) => Json::from(*n),
        Value::Real(x) | Value::Change(x) => round(*x),
        Value::Missing => Json::Null,
    }
}

/// A cell as CSV: the same digits as in JSON, nothing where the value is missing.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Verdict(verdict) => verdict.name().to_owned(),
        Value::Missing => String::new(),
        other => to_json(other).to_string(),
    }
}

/// A cell for people: three or four significant digits.
pub(super) fn short(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Verdict(verdict) => verdict.name().to_owned(),
        Value::Integer(n) => crate::units::group_thousands(*n),
        Value::Missing => "-".into(),
        Value::Change(x) => format!("{x:+.0} %"),
        Value::Real(x) if x.abs() >= 1000.0 => crate::units::group_thousands(x.round() as u64),
        Value::Real(x) if x.fract() == 0.0 => format!("{x:.0}"),
        Value::Real(x) if x.abs() >= 100.0 => format!("{x:.0}"),
        Value::Real(x) if x.abs() >= 10.0 => format!("{x:.1}"),
        Value::Real(x) => format!("{x:.2}"),
    }
}
