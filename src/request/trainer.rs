//! Who trains: the framework that is named, or the usual one of those that can do what is asked.

use crate::catalog::{Catalog, Engine, Framework, Gpu};
use crate::diagnostic::Diagnostic;
use crate::train::Tuning;

/// The framework where none is named and it can do what is asked.
pub const FRAMEWORK: &str = "megatron-bridge";

/// Those that are taken where none is named, the first that can do what is asked: Megatron where it runs, for adapters those
/// that have them.
const USUAL: [&str; 6] = [FRAMEWORK, "megatron", "torchtitan", "torchtune", "litgpt", "deepspeed"];

/// A framework, and whose kernels it runs.
#[derive(Clone, Debug)]
pub struct Trainer {
    /// The framework.
    pub framework: Framework,
    /// Whose kernels it runs.
    pub engine: Engine,
}

impl Trainer {
    /// The framework of a name or a file.
    ///
    /// # Errors
    /// An unknown name, a file that is wrong.
    pub fn named(catalog: &Catalog, name: &str) -> Result<Trainer, Diagnostic> {
        let framework = catalog.framework(name)?;
        Ok(Trainer { engine: catalog.engine(&framework.kernels)?, framework })
    }

    /// Whether it runs on a GPU and tunes so.
    pub fn can(&self, gpu: &Gpu, tuning: Tuning) -> bool {
        let lacks = |technique| self.framework.lacks.contains(&technique);
        self.framework.runs_on(gpu) && !tuning.technique().is_some_and(lacks)
    }
}

/// Who may train: whoever is named, or the usual ones, the first first.
#[derive(Clone, Debug)]
pub struct Trainers {
    /// Whoever is named.
    pub named: Option<Trainer>,
    /// The usual ones.
    pub usual: Vec<Trainer>,
}

impl Trainers {
    /// Those of a question that names one or none.
    ///
    /// # Errors
    /// As [`Trainer::named`].
    pub fn of(catalog: &Catalog, name: Option<&str>) -> Result<Trainers, Diagnostic> {
        Ok(Trainers {
            named: name.map(|name| Trainer::named(catalog, name)).transpose()?,
            usual: USUAL.iter().map(|name| Trainer::named(catalog, name)).collect::<Result<_, _>>()?,
        })
    }

    /// Who trains on a GPU: the one that is named, else the first that can, else the first, which the ledger then says cannot.
    pub fn on(&self, gpu: &Gpu, tuning: Tuning) -> Option<&Trainer> {
        let able = || self.usual.iter().find(|t| t.can(gpu, tuning));
        self.named.as_ref().or_else(able).or_else(|| self.usual.first())
    }

    /// Why the first of the usual ones is not who trains, where nobody was named.
    pub fn passed_over(&self, gpu: &Gpu, tuning: Tuning) -> Option<String> {
        let (first, taken) = (self.usual.first()?, self.on(gpu, tuning)?);
        if self.named.is_some() || taken.framework.id == first.framework.id {
            return None;
        }
        let why = match tuning.technique().filter(|t| first.framework.lacks.contains(t)) {
            _ if !first.framework.runs_on(gpu) => format!("does not run on {}", gpu.name),
            Some(technique) => format!("has no {}", technique.name()),
            None => return None,
        };
        Some(format!(
            "No --framework was named: {} is planned for, since {} {why}.",
            taken.framework.name, first.framework.name
        ))
    }
}
