//! What is wrong with an input, where, and what would mend it.
//!
//! Wrong input is a [`Diagnostic`]; an infeasible plan is a value of the ledger, never an error.

use std::fmt;

/// A problem with what the user gave: cause, place, allowed values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// What kind of problem, for tests and for `docs/errors.md`.
    pub code: Code,
    /// One sentence: what is wrong.
    pub cause: String,
    /// File, line, flag or field, where there is one.
    pub place: Option<String>,
    /// What is allowed, or the nearest valid name.
    pub help: Option<String>,
    /// The field of the file at fault, for example `memory.fraction`, so that its line can be found.
    pub field: Option<String>,
}

/// Kinds of wrong input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Code {
    /// A GPU, cluster, engine, model or case that no catalogue knows.
    UnknownName,
    /// A file that is missing, unreadable, too large or not writable.
    File,
    /// Text that is not YAML, JSON or a quantity with its unit.
    Syntax,
    /// A `config.json` that does not describe a model.
    Model,
    /// A hardware or engine description that contradicts itself.
    Catalog,
    /// A number outside what makes sense.
    Range,
    /// Options that exclude or require each other.
    Usage,
}

impl Code {
    /// Stable name, as printed.
    pub fn name(self) -> &'static str {
        match self {
            Code::UnknownName => "unknown-name",
            Code::File => "file",
            Code::Syntax => "syntax",
            Code::Model => "model",
            Code::Catalog => "catalog",
            Code::Range => "range",
            Code::Usage => "usage",
        }
    }
}

impl Diagnostic {
    /// A problem without a place yet.
    pub fn new(code: Code, cause: impl Into<String>) -> Self {
        Diagnostic { code, cause: cause.into(), place: None, help: None, field: None }
    }
    /// Adds where.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.place = Some(place.into());
        self
    }
    /// Adds where, unless a closer place is already named.
    #[must_use]
    pub fn within(mut self, place: impl Into<String>) -> Self {
        self.place = Some(match self.place {
            Some(inner) => format!("{}, {inner}", place.into()),
            None => place.into(),
        });
        self
    }
    /// Adds the field at fault. It is not printed: cause and place name it.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }
    /// The field at fault: as set, or as the place names it.
    pub fn field_name(&self) -> Option<&str> {
        let named = || self.place.as_deref()?.rsplit_once("field `").map(|(_, f)| f.trim_end_matches('`'));
        self.field.as_deref().or_else(named)
    }
    /// Adds what is allowed.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
    /// `name` is not one of `known`: names the nearest and says how to list the rest.
    pub fn unknown<'a>(what: &str, name: &str, known: impl IntoIterator<Item = &'a str>, list: &str) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        let hint = match nearest(name, &known) {
            Some(close) => format!("did you mean `{close}`? {list}"),
            None => list.to_owned(),
        };
        Diagnostic::new(Code::UnknownName, format!("unknown {what} `{name}`")).help(hint)
    }
}

/// The known name closest to `name`, if one is close enough to be what was meant.
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    known
        .iter()
        .map(|k| (strsim::jaro_winkler(&wanted, &k.to_lowercase()), *k))
        .filter(|(score, _)| *score >= 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(a.1)))
        .map(|(_, k)| k)
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.cause)?;
        if let Some(place) = &self.place {
            write!(f, "\n  at: {place}")?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostic {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_names_the_nearest_valid_name() {
        let d = Diagnostic::unknown("GPU", "h100-smx", ["h100-sxm", "a100-sxm-80gb"], "");
        assert!(d.help.unwrap().contains("`h100-sxm`"));
    }

    #[test]
    fn an_unrelated_name_gets_no_guess() {
        assert_eq!(nearest("zzzzqq", &["h100-sxm", "l4"]), None);
    }
}
