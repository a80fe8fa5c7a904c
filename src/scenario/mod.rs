//! Scenarios: a file of models × clusters × workloads × targets, expanded to cases and answered.

mod run;

use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use crate::catalog::{self, Cluster, Engine};
use crate::diagnostic::{Code, Diagnostic};
use crate::load::{self, Located};
use crate::model::{self, Model, Scope};
use crate::rank::Objective;
use crate::units::{RequestsPerSecond, Seconds};
use crate::workload::{Load, Targets, Workload};

pub use run::{Case, CaseAnswer, CaseOutcome, run};

/// More cases than one run takes.
pub const MAX_CASES: usize = 1_000_000;

/// A scenario file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScenarioFile {
    /// What the review is about.
    name: String,
    /// Catalogue names, paths to `config.json` files, or `shape: layers=32,…`.
    models: Vec<Located<ModelEntry>>,
    /// Cluster names or shorthands.
    clusters: Vec<Located<String>>,
    /// Lengths and loads.
    workloads: Vec<Located<WorkloadEntry>>,
    /// Latency targets; none when left out.
    #[serde(default)]
    targets: Vec<Located<TargetsEntry>>,
    /// Engines; all compete in each case.
    #[serde(default)]
    engines: Vec<Located<String>>,
    /// What the best plan is best at.
    #[serde(default)]
    objective: Option<Located<String>>,
}

/// A model by name or by its sizes.
#[derive(Clone, Debug)]
enum ModelEntry {
    Name(String),
    Shape(String),
}

/// What a [`ModelEntry`] is read from when it is not a bare name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShapeEntry {
    shape: String,
}

impl<'de> Deserialize<'de> for ModelEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entry;
        impl<'de> Visitor<'de> for Entry {
            type Value = ModelEntry;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a model's name or path, or `shape: layers=32,…`")
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<ModelEntry, E> {
                Ok(ModelEntry::Name(name.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ModelEntry, A::Error> {
                let entry = ShapeEntry::deserialize(MapAccessDeserializer::new(map))?;
                Ok(ModelEntry::Shape(entry.shape))
            }
        }
        deserializer.deserialize_any(Entry)
    }
}

impl ModelEntry {
    fn model(&self) -> Result<Model, Diagnostic> {
        match self {
            ModelEntry::Name(name) => model::find(name, &[], Scope::Full),
            ModelEntry::Shape(shape) => model::from_shape(shape),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WorkloadEntry {
    name: String,
    isl: u64,
    osl: u64,
    concurrency: Option<u64>,
    rate: Option<RequestsPerSecond>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TargetsEntry {
    name: String,
    ttft: Option<Seconds>,
    tpot: Option<Seconds>,
    e2e: Option<Seconds>,
}

/// A scenario with every name resolved.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What the review is about.
    pub name: String,
    models: Vec<Model>,
    clusters: Vec<(String, Cluster)>,
    workloads: Vec<(String, Workload)>,
    targets: Vec<(String, Targets)>,
    engines: Vec<Engine>,
    objective: Objective,
}

/// Reads a scenario file and resolves every name in it.
///
/// # Errors
/// What is wrong, with file and line: unknown keys and names, impossible numbers, empty lists, too many
/// cases.
pub fn read(path: &std::path::Path) -> Result<Scenario, Diagnostic> {
    let place = path.display().to_string();
    parse(&load::text(path)?, &place)
}

/// Parses the text of a scenario file.
///
/// # Errors
/// As [`read`].
pub fn parse(text: &str, place: &str) -> Result<Scenario, Diagnostic> {
    let file: ScenarioFile = load::yaml(text, place)?;
    let at = |line: u64| format!("{place}, line {line}");
    let each = |list: &[Located<String>]| -> Vec<(String, u64)> {
        list.iter().map(|l| (l.value.clone(), load::line(l))).collect()
    };
    let mut scenario = Scenario {
        name: file.name,
        models: Vec::new(),
        clusters: Vec::new(),
        workloads: Vec::new(),
        targets: Vec::new(),
        engines: Vec::new(),
        objective: Objective::Throughput,
    };
    for entry in &file.models {
        scenario.models.push(entry.value.model().map_err(|d| d.within(at(load::line(entry))))?);
    }
    for (name, line) in each(&file.clusters) {
        let cluster = catalog::cluster(&name).map_err(|d| d.within(at(line)))?;
        scenario.clusters.push((name, cluster));
    }
    for (name, line) in each(&file.engines) {
        scenario.engines.push(catalog::engine(&name).map_err(|d| d.within(at(line)))?);
    }
    if scenario.engines.is_empty() {
        scenario.engines.push(catalog::engine("vllm")?);
    }
    for entry in &file.workloads {
        let w = entry.value.workload().and_then(|w| w.validate().map(|()| w));
        scenario.workloads.push((entry.value.name.clone(), w.map_err(|d| d.within(at(load::line(entry))))?));
    }
    for entry in &file.targets {
        let t = Targets { ttft: entry.value.ttft, tpot: entry.value.tpot, e2e: entry.value.e2e };
        t.validate().map_err(|d| d.within(at(load::line(entry))))?;
        scenario.targets.push((entry.value.name.clone(), t));
    }
    if scenario.targets.is_empty() {
        scenario.targets.push(("none".into(), Targets::default()));
    }
    if let Some(objective) = &file.objective {
        scenario.objective =
            objective.value.parse().map_err(|d: Diagnostic| d.within(at(load::line(objective))))?;
    }
    scenario.check(place)?;
    Ok(scenario)
}

impl WorkloadEntry {
    fn workload(&self) -> Result<Workload, Diagnostic> {
        let load = match (self.concurrency, self.rate) {
            (Some(_), Some(_)) => {
                return Err(Diagnostic::new(Code::Usage, "concurrency and rate exclude each other"));
            }
            (Some(n), None) => Load::Concurrency(n),
            (None, Some(rate)) => Load::Rate(rate),
            (None, None) => Load::Saturate,
        };
        Ok(Workload { load, ..Workload::new(self.isl, self.osl) })
    }
}

impl Scenario {
    fn check(&self, place: &str) -> Result<(), Diagnostic> {
        let lists = [
            ("models", self.models.len()),
            ("clusters", self.clusters.len()),
            ("workloads", self.workloads.len()),
        ];
        if let Some((name, _)) = lists.iter().find(|(_, n)| *n == 0) {
            return Err(Diagnostic::new(Code::Usage, format!("`{name}` is empty")).at(place));
        }
        match self.checked_size() {
            Some(n) if n <= MAX_CASES => Ok(()),
            _ => Err(Diagnostic::new(Code::Range, "too many cases")
                .at(place)
                .help(format!("at most {MAX_CASES} in one file"))),
        }
    }

    fn checked_size(&self) -> Option<usize> {
        let parts = [self.models.len(), self.clusters.len(), self.workloads.len(), self.targets.len()];
        parts.into_iter().try_fold(1usize, usize::checked_mul)
    }

    /// Cases in the scenario.
    pub fn size(&self) -> usize {
        self.checked_size().unwrap_or(usize::MAX)
    }

    /// The case with this number, below [`Scenario::size`]: models outermost, then clusters, workloads
    /// and targets.
    pub fn case(&self, number: usize) -> Case<'_> {
        let (rest, t) = (number / self.targets.len(), number % self.targets.len());
        let (rest, w) = (rest / self.workloads.len(), rest % self.workloads.len());
        let (m, c) = (rest / self.clusters.len(), rest % self.clusters.len());
        let (workload_name, workload) = &self.workloads[w];
        let (targets_name, targets) = &self.targets[t];
        let (cluster_name, cluster) = &self.clusters[c];
        Case {
            number,
            model: &self.models[m],
            cluster_name,
            cluster,
            workload_name,
            targets_name,
            workload: Workload { targets: *targets, ..*workload },
            engines: &self.engines,
            objective: self.objective,
        }
    }
}
