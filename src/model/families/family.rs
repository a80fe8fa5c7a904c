//! One row of the table of families.

use crate::diagnostic::Diagnostic;
use crate::model::config::Config;
use crate::model::{Architecture, Scope, Task};

/// Finds the family that reads a `model_type`.
pub type Lookup = fn(&str) -> Option<&'static Family>;

/// How a family reads a configuration.
#[derive(Clone, Copy, Debug)]
pub enum Reader {
    /// A language model, by its own fields.
    LanguageModel(fn(&Config, Scope) -> Result<Architecture, Diagnostic>),
    /// A wrapper with towers, whose language model another family may read.
    Wrapper(fn(&Config, Scope, Lookup) -> Result<Architecture, Diagnostic>),
    /// What is no decoder alone, and what it does unless a checkpoint's class says otherwise.
    Other(Task, fn(&Config, Scope) -> Result<Architecture, Diagnostic>),
}

/// A family of models: which `model_type`s it reads, and how.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Values of `model_type`.
    pub model_types: &'static [&'static str],
    /// Reads a configuration.
    pub reader: Reader,
}

impl Family {
    /// What its models do, unless a checkpoint's class says otherwise.
    pub fn task(&self) -> Task {
        match self.reader {
            Reader::Other(task, _) => task,
            _ => Task::Generation,
        }
    }

    /// Reads a configuration; `families` finds the one of a wrapper's language model.
    ///
    /// # Errors
    /// A missing or impossible field.
    pub fn read(&self, config: &Config, scope: Scope, families: Lookup) -> Result<Architecture, Diagnostic> {
        match self.reader {
            Reader::LanguageModel(read) | Reader::Other(_, read) => read(config, scope),
            Reader::Wrapper(read) => read(config, scope, families),
        }
    }
}
