//! Readers of option values: what is wrong is said with what is allowed, and shells can complete names.

use std::ffi::OsStr;
use std::ops::RangeInclusive;

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};

use crate::diagnostic::same_letters;
use crate::plan::degrees::MAX_DEGREE;
use crate::request::ShareEntry;
use crate::units::{self, token_count, whole_number};

/// Tokens in a range: `2k` is 2,048.
pub fn tokens(
    allowed: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<u64, String> + Clone + Send + Sync + 'static {
    move |text| whole(text).and_then(|text| token_count(text, allowed.clone()))
}

/// Refuses what is left of `2,048` where a comma parts the values of a list.
fn whole(text: &str) -> Result<&str, String> {
    let after_a_comma = text.len() > 1 && text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
    if let Some((shape, _)) =
        text.split_once(':').filter(|(shape, _)| matches!(*shape, "uniform" | "lognormal"))
    {
        return Err(format!(
            "`{shape}:` is a distribution, which `simulate` and scenarios take; here lengths are means: 2048 or 2k"
        ));
    }
    match after_a_comma {
        true => Err(format!(
            "`{}` begins with a zero; thousands have no comma: 2048 or 2k",
            crate::diagnostic::brief(text)
        )),
        false => match text.split_once('/') {
            Some((prompt, output))
                if [prompt, output].iter().all(|n| n.starts_with(|c: char| c.is_ascii_digit())) =>
            {
                Err(format!("`{prompt}/{output}` are two lengths: --isl {prompt} --osl {output}"))
            }
            _ => Ok(text),
        },
    }
}

/// How many requests or sequences, in a range: `10k` is 10,000.
pub fn amount(
    allowed: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<u64, String> + Clone + Send + Sync + 'static {
    move |text| whole(text).and_then(|text| units::amount(text, allowed.clone()))
}

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

/// A share in (0, 1]: `0.9` or `90%`.
pub fn share(text: &str) -> Result<f64, String> {
    share_from(text, |x| x > 0.0, "above 0 and at most 1, or above 0% and at most 100%")
}

/// A probability in [0, 1]: `0.8` or `80%`.
pub fn probability(text: &str) -> Result<f64, String> {
    share_from(text, |x| x >= 0.0, "from 0 to 1, or from 0% to 100%")
}

fn share_from(text: &str, low: impl Fn(f64) -> bool, allowed: &str) -> Result<f64, String> {
    let shown = crate::diagnostic::brief(text.trim());
    match text.parse::<ShareEntry>() {
        Ok(ShareEntry(x)) if low(x) && x <= 1.0 => Ok(x),
        // Far above 1 and no sign of per cent: the sign is likely meant.
        Ok(ShareEntry(x)) if (5.0..=100.0).contains(&x) && !text.contains('%') => {
            Err(format!("`{shown}` is out of range; `{shown}%`? expected a number {allowed}"))
        }
        _ => Err(format!("`{shown}` is out of range; expected a number {allowed}")),
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
