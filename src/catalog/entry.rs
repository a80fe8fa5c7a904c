//! One description of the catalogue, built in or from a file.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

use super::builtin::BuiltIn;
use super::folder::UserFile;
use super::kind::Kind;
use crate::diagnostic::Diagnostic;
use crate::load;

/// One description of the catalogue.
#[derive(Clone, Copy, Debug)]
pub enum Entry<'a> {
    /// Shipped with shardfit.
    BuiltIn(&'static BuiltIn),
    /// In one of the user's folders.
    File(&'a UserFile),
}

impl<'a> Entry<'a> {
    /// Identifier.
    pub fn id(self) -> &'a str {
        match self {
            Entry::BuiltIn(entry) => entry.id,
            Entry::File(file) => &file.id,
        }
    }

    /// One line for listings; the identifier where the file cannot be read.
    pub fn title(self) -> &'a str {
        match self {
            Entry::BuiltIn(entry) => entry.title,
            Entry::File(file) => file.about().map_or(&file.id, |about| &about.title),
        }
    }

    /// Other names; none where the file cannot be read.
    pub fn aliases(self) -> Vec<&'a str> {
        self.other_names().collect()
    }

    /// Other names, one by one.
    pub(super) fn other_names(self) -> impl Iterator<Item = &'a str> {
        let (built_in, own): (&[&str], &[String]) = match self {
            Entry::BuiltIn(entry) => (entry.aliases, &[]),
            Entry::File(file) => (&[], file.about().map_or(&[], |about| &about.aliases)),
        };
        built_in.iter().copied().chain(own.iter().map(String::as_str))
    }

    /// What was found wrong with the file's names, if they were read.
    pub fn fault(self) -> Option<&'a Diagnostic> {
        match self {
            Entry::BuiltIn(_) => None,
            Entry::File(file) => file.fault(),
        }
    }

    /// `built-in`, or the file.
    pub fn origin(self) -> String {
        match self {
            Entry::BuiltIn(_) => "built-in".to_owned(),
            Entry::File(file) => file.place(),
        }
    }

    /// Its place in messages.
    pub fn place(self) -> String {
        match self {
            Entry::BuiltIn(entry) => format!("built-in {}", entry.id),
            Entry::File(file) => file.place(),
        }
    }

    /// The description as text: JSON if built in or a model, else YAML.
    ///
    /// # Errors
    /// When the file cannot be read, or is not what its name says.
    pub fn text(self) -> Result<Cow<'static, str>, Diagnostic> {
        match self {
            Entry::BuiltIn(entry) => Ok(Cow::Borrowed(entry.json)),
            Entry::File(file) => {
                file.about().map_err(Diagnostic::clone)?;
                load::text(&file.path).map(Cow::Owned)
            }
        }
    }

    /// The description as `T`.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn parse<T: DeserializeOwned>(self) -> Result<T, Diagnostic> {
        let text = self.text()?;
        match self {
            Entry::File(file) if file.kind != Kind::Model => load::yaml(&text, &self.place()),
            _ => load::json(&text, &self.place()),
        }
    }
}
