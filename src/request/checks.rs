//! What is wrong with what is given, and counts and shares within their limits.

use crate::diagnostic::{Code, Diagnostic};

use super::{Texts, Values};

pub(super) fn usage(cause: impl Into<String>) -> Diagnostic {
    Diagnostic::new(Code::Usage, cause)
}

pub(super) fn range(flag: &str, cause: impl Into<String>) -> Diagnostic {
    Diagnostic::new(Code::Range, cause).at(flag)
}

/// Options of which one excludes another: its flag and whether it is given, and the same of the other.
pub(super) type Excluding<'a> = (&'a str, bool, &'a str, bool);

/// Refuses the first two options that are given and exclude each other.
pub(super) fn exclude(pairs: &[Excluding]) -> Result<(), Diagnostic> {
    match pairs.iter().find(|(_, a, _, b)| *a && *b) {
        Some((one, _, other, _)) => {
            Err(usage(format!("{one} and {other} exclude each other")).help("give one of them"))
        }
        None => Ok(()),
    }
}

/// Checks that a count that is given lies within its limits.
pub(super) fn within(
    flag: &str,
    count: Option<u64>,
    allowed: std::ops::RangeInclusive<u64>,
) -> Result<Option<u64>, Diagnostic> {
    match count {
        Some(n) if !allowed.contains(&n) => {
            let (from, to) = (allowed.start(), allowed.end());
            Err(range(flag, format!("`{n}` is out of range; expected a whole number from {from} to {to}")))
        }
        count => Ok(count),
    }
}

/// Checks that a share that is given lies above 0 and is at most 1.
pub(super) fn share(flag: &str, share: Option<f64>) -> Result<Option<f64>, Diagnostic> {
    match share {
        Some(x) if !(x > 0.0 && x <= 1.0) => {
            Err(range(flag, format!("`{x}` is out of range; expected a number above 0 and at most 1")))
        }
        share => Ok(share),
    }
}

pub(super) fn list(values: &Option<Values>) -> Vec<u32> {
    values.as_ref().map_or(Vec::new(), |values| values.0.clone())
}

pub(super) fn texts(list: &Option<Texts>) -> &[String] {
    list.as_ref().map_or(&[], |list| &list.0)
}
