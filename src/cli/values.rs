//! Readers of option values: what is wrong is said with what is allowed, and shells can complete names.

use std::ffi::OsStr;
use std::ops::RangeInclusive;

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};

use crate::diagnostic::same_letters;
use crate::plan::degrees::MAX_DEGREE;
use crate::units::whole_number;

/// A whole number in a range.
pub fn count(
    allowed: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<u64, String> + Clone + Send + Sync + 'static {
    move |text| whole_number(text, allowed.clone())
}

/// A parallel degree.
pub fn degree(text: &str) -> Result<u32, String> {
    let n = whole_number(text, 1..=MAX_DEGREE.into())?;
    u32::try_from(n).map_err(|_| format!("{n} is out of range"))
}

/// A number; what it may be is said where it is used.
pub fn real(text: &str) -> Result<f64, String> {
    text.trim().parse().map_err(|_| format!("`{}` is not a number", crate::diagnostic::brief(text)))
}

/// A share in (0, 1].
pub fn share(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(x) if x > 0.0 && x <= 1.0 => Ok(x),
        _ => Err(format!(
            "`{}` is out of range; expected a number above 0 and at most 1",
            crate::diagnostic::brief(text)
        )),
    }
}

/// Any text; the names are what shells offer, and what differs from one of them in case, spaces, dots, dashes
/// and underscores alone is taken for it. Commands look the name up themselves and answer a wrong one with the
/// nearest.
pub fn names<I: IntoIterator<Item: Into<String>>>(names: I) -> Names {
    Names(names.into_iter().map(Into::into).collect())
}

/// See [`names`].
#[derive(Clone, Debug)]
pub struct Names(Vec<String>);

impl TypedValueParser for Names {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        let text = StringValueParser::new().parse_ref(command, arg, value)?;
        let mut alike = self.0.iter().filter(|name| same_letters(name, &text));
        match (alike.next(), alike.next()) {
            (Some(name), None) => Ok(name.clone()),
            _ => Ok(text),
        }
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.0.iter().map(|name| PossibleValue::new(name.clone()))))
    }
}
