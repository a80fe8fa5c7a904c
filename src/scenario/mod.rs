//! Scenarios: a file of models × clusters × workloads × targets, expanded to cases and answered, all at
//! once or in parts that are put together afterwards.

mod cases;
mod entry;
mod file;
mod journal;
mod measure;
mod resolve;
mod run;
mod training;
mod workloads;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use crate::catalog::{Catalog, Engine, Pools};
use crate::diagnostic::Diagnostic;
use crate::load;
use crate::model::Model;
use crate::plan::Precision;
use crate::plan::space::Pins;
use crate::rank::Objective;
use crate::search::{Launch, Mode};
use crate::workload::{Load, Workload};

use cases::Key;
pub(crate) use file::ScenarioFile;
pub use journal::{Header, Journal, Reader, Record, Resumed, Shard, check_shards, merge};
pub use run::{Case, CaseAnswer, CaseOutcome, GroupAnswer, run};
pub use training::{NamedTraining, TrainingCase, TrainingFound};
pub use workloads::{NamedTargets, NamedWorkload};

/// More cases than one run takes.
pub const MAX_CASES: usize = 1_000_000;

/// A model of a scenario.
#[derive(Clone, Debug)]
pub struct NamedModel {
    /// What results call it.
    pub name: String,
    /// What selections call it.
    pub written: String,
    /// The model.
    pub model: Model,
    /// How it is stored.
    pub precision: Precision,
}

/// A cluster of a scenario.
#[derive(Clone, Debug)]
pub struct NamedCluster {
    /// What results and selections call it.
    pub name: String,
    /// Its pools, at the scenario's prices.
    pub pools: Pools,
    /// The engines that compete on it.
    pub engines: Vec<Engine>,
}

/// A scenario with every name resolved.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What the review is about.
    pub name: String,
    /// More about it.
    pub about: Option<String>,
    /// Its models.
    pub models: Vec<NamedModel>,
    /// Its clusters.
    pub clusters: Vec<NamedCluster>,
    /// Its workloads.
    pub workloads: Vec<NamedWorkload>,
    /// Its targets.
    pub targets: Vec<NamedTargets>,
    /// What the best plans are best at; none where the file does not say.
    pub objectives: Vec<Objective>,
    /// What is trained, where the questions are about training: there are no workloads then.
    pub training: Vec<NamedTraining>,
    /// Where plans are looked for.
    pub search: Search,
    keys: Vec<Key>,
    comments: BTreeMap<Key, String>,
    /// The first case of each group.
    starts: Vec<usize>,
}

/// Where plans are looked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// Whether pools are split.
    pub mode: Mode,
    /// Axes that are pinned.
    pub pins: Pins,
    /// Ways to launch the engines.
    pub launches: Vec<Launch>,
}

impl Default for Search {
    /// Every replica does everything, all axes are free, the engines' defaults.
    fn default() -> Search {
        Search { mode: Mode::default(), pins: Pins::default(), launches: vec![Launch::default()] }
    }
}

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

/// What is asked for where the file does not say: all that the GPUs give, or where the load is given, the
/// cheapest way to serve it.
fn usual(workload: &Workload) -> Objective {
    match workload.load {
        Load::Rate(_) => Objective::Cost,
        Load::Saturate | Load::Concurrency(_) => Objective::Throughput,
    }
}

impl Scenario {
    /// Cases in the scenario.
    pub fn size(&self) -> usize {
        self.keys.len()
    }

    /// The case with this number, below [`Scenario::size`]: models outermost, then clusters, workloads,
    /// targets and objectives, each in the order of its list.
    pub fn case(&self, number: usize) -> Case<'_> {
        let key = self.keys[number];
        let workload = &self.workloads[key.workload as usize];
        let targets = &self.targets[key.targets as usize];
        Case {
            number,
            model: &self.models[key.model as usize],
            cluster: &self.clusters[key.cluster as usize],
            named: workload,
            targets_name: &targets.name,
            workload: Workload { targets: targets.targets, ..workload.workload },
            objective: self
                .objectives
                .get(key.objective as usize)
                .copied()
                .unwrap_or(usual(&workload.workload)),
            comment: self.comments.get(&key).or(workload.comment.as_ref()).map(String::as_str),
        }
    }

    /// Groups of cases that differ in targets and objective alone: they share every figure and are answered
    /// together.
    pub fn groups(&self) -> usize {
        self.starts.len()
    }

    /// The cases of a group.
    pub fn group(&self, number: usize) -> Range<usize> {
        self.starts[number]..self.starts.get(number + 1).copied().unwrap_or(self.keys.len())
    }
}
