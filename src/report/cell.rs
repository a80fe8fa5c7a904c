//! One cell, as scripts and people read it: the digits that a figure has.

use serde_json::{Value as Json, json};

use crate::diagnostic::spelt_out;
use crate::estimate::memory::Verdict;

/// A cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text.
    Text(String),
    /// Several words.
    List(Vec<String>),
    /// Whole number.
    Integer(u64),
    /// Real number.
    Real(f64),
    /// Whether a plan fits.
    Verdict(Verdict),
    /// Difference in per cent, signed.
    Change(f64),
    /// Not known (no price, for example).
    Missing,
}

impl From<f64> for Value {
    fn from(x: f64) -> Value {
        if x.is_finite() { Value::Real(x) } else { Value::Missing }
    }
}
impl From<u64> for Value {
    fn from(n: u64) -> Value {
        Value::Integer(n)
    }
}
impl From<u32> for Value {
    fn from(n: u32) -> Value {
        Value::Integer(n.into())
    }
}
impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}
impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(known: Option<T>) -> Value {
        known.map_or(Value::Missing, Into::into)
    }
}

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
        Value::List(words) => Json::from(words.as_slice()),
        Value::Verdict(verdict) => Json::from(verdict.name()),
        Value::Integer(n) => Json::from(*n),
        Value::Real(x) | Value::Change(x) => round(*x),
        Value::Missing => Json::Null,
    }
}

/// What a spreadsheet takes for the beginning of a formula (OWASP, CSV injection).
const FORMULA: [char; 5] = ['=', '+', '-', '@', '\t'];

/// Text as a cell of CSV that no spreadsheet runs: behind an apostrophe where it would, which spreadsheets read as the
/// mark of text; numbers stay numbers. Control characters are spelt out.
pub(super) fn inert(text: &str) -> String {
    let text = spelt_out(text, false);
    match text.starts_with(FORMULA) && text.trim().parse::<f64>().is_err() {
        true => format!("'{text}"),
        false => text.into_owned(),
    }
}

/// A cell as CSV: the same digits as in JSON, nothing where the value is missing, no formula.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Text(text) => inert(text),
        Value::List(words) => inert(&words.join(", ")),
        Value::Verdict(verdict) => verdict.name().to_owned(),
        Value::Missing => String::new(),
        other => to_json(other).to_string(),
    }
}

/// A cell for people: three or four significant digits.
pub(super) fn short(value: &Value) -> String {
    match value {
        Value::Text(text) => spelt_out(text, false).into_owned(),
        Value::List(words) => spelt_out(&words.join(", "), false).into_owned(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_that_a_spreadsheet_would_run_are_text_and_numbers_stay_numbers() {
        for formula in ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1:A9)", "\t=1"] {
            assert!(plain(&formula.into()).starts_with('\''), "{formula}");
        }
        for number in ["-1.5", "+3", "-1e9", "12"] {
            assert_eq!(plain(&number.into()), number);
        }
        assert_eq!(plain(&Value::Change(-12.0)), "-12.0");
        assert_eq!(plain(&"tp=4".into()), "tp=4");
    }

    #[test]
    fn control_characters_of_a_text_are_spelt_out() {
        assert_eq!(short(&"a\u{1b}[2Jb".into()), "a\\u{1b}[2Jb");
        assert_eq!(plain(&"a\u{7}b".into()), "a\\u{7}b");
    }
}
