//! Scenarios: a file of models × clusters × workloads × targets, expanded to cases and answered, all at
//! once or in parts that are put together afterwards.

mod cases;
mod entry;
mod file;
mod journal;
mod measure;
mod named;
mod resolve;
mod resolved;
mod run;
mod search;
mod trained;
mod training;
mod workloads;

use std::path::Path;

use crate::catalog::Catalog;
use crate::diagnostic::Diagnostic;
use crate::load;

pub use cases::MAX_CASES;
pub(crate) use file::ScenarioFile;
pub use journal::{Header, Journal, Merged, Reader, Record, Resumed, Shard, check_shards, merge};
pub use named::{NamedCluster, NamedModel};
pub use resolved::{Case, Scenario};
pub use run::{CaseAnswer, CaseOutcome, Enough, GroupAnswer, run};
pub use search::Search;
pub use trained::{TrainingCase, TrainingFound};
pub use training::NamedTraining;
pub use workloads::{NamedTargets, NamedWorkload};

/// Reads a scenario file and resolves every name in it; the files that it names are beside it.
///
/// # Errors
/// What is wrong, with file and line: unknown keys and names, impossible numbers, empty lists, too many
/// cases.
pub fn read(path: &Path, catalog: &Catalog) -> Result<Scenario, Diagnostic> {
    let place = path.display().to_string();
    parse(&load::text(path)?, &place, catalog)
}

/// Parses the text of the scenario file at `place`.
///
/// # Errors
/// As [`read`].
pub fn parse(text: &str, place: &str, catalog: &Catalog) -> Result<Scenario, Diagnostic> {
    let (scenario, problems) = resolve::resolve(&load::yaml(text, place)?, place, catalog);
    match problems.into_iter().next() {
        Some(first) => Err(first),
        None => Ok(scenario),
    }
}

/// Everything that is wrong with the text of a scenario file.
pub fn problems(text: &str, place: &str, catalog: &Catalog) -> Vec<Diagnostic> {
    match load::yaml(text, place) {
        Ok(file) => resolve::resolve(&file, place, catalog).1,
        Err(fault) => vec![fault],
    }
}
