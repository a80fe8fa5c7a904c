//! Scenarios: a file of models × clusters × workloads × targets, expanded to cases and answered.

mod measure;
mod run;

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use crate::catalog::{Catalog, Engine, Pools};
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
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScenarioFile {
    /// What the review is about.
    name: String,
    /// Catalogue names, paths to `config.json` files, or `shape: layers=32,…`.
    #[schemars(with = "Vec<ModelEntry>", length(min = 1))]
    models: Vec<Located<ModelEntry>>,
    /// Cluster names or shorthands.
    #[schemars(with = "Vec<String>", length(min = 1), extend("x-names" = "cluster"))]
    clusters: Vec<Located<String>>,
    /// Lengths and loads.
    #[schemars(with = "Vec<WorkloadEntry>", length(min = 1))]
    workloads: Vec<Located<WorkloadEntry>>,
    /// Latency targets; none when left out.
    #[serde(default)]
    #[schemars(with = "Vec<TargetsEntry>")]
    targets: Vec<Located<TargetsEntry>>,
    /// Engines, as `--engine` takes them (`vllm@0.19`); all compete in each case. The usual ones of the
    /// cluster's GPUs when left out.
    #[serde(default)]
    #[schemars(with = "Vec<String>", extend("x-names" = "engine"))]
    engines: Vec<Located<String>>,
    /// What the best plan is best at.
    #[serde(default)]
    #[schemars(with = "Option<Objective>")]
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

impl JsonSchema for ModelEntry {
    fn schema_name() -> Cow<'static, str> {
        "ModelEntry".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "string", "x-names": "model" },
            {
                "type": "object",
                "properties": { "shape": { "type": "string" } },
                "required": ["shape"],
                "additionalProperties": false
            }
        ] })
    }
}

impl ModelEntry {
    fn model(&self, catalog: &Catalog) -> Result<Model, Diagnostic> {
        match self {
            ModelEntry::Name(name) => model::find_in(catalog, name, Scope::Full),
            ModelEntry::Shape(shape) => model::from_shape(shape),
        }
    }
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WorkloadEntry {
    /// What results call it.
    name: String,
    /// Prompt tokens.
    #[schemars(range(min = 1))]
    isl: u64,
    /// Output tokens.
    #[schemars(range(min = 1))]
    osl: u64,
    /// Requests in flight over the whole deployment; without it and `rate`, as many as are best.
    #[schemars(range(min = 1))]
    concurrency: Option<u64>,
    /// Requests per second over the whole deployment.
    rate: Option<RequestsPerSecond>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TargetsEntry {
    /// What results call it.
    name: String,
    /// Time to first token.
    ttft: Option<Seconds>,
    /// Time per output token after the first.
    tpot: Option<Seconds>,
    /// From request to last token.
    e2e: Option<Seconds>,
}

/// A scenario with every name resolved.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What the review is about.
    pub name: String,
    models: Vec<Model>,
    clusters: Vec<(String, Pools)>,
    workloads: Vec<(String, Workload)>,
    targets: Vec<(String, Targets)>,
    engines: Vec<Engine>,
    /// The engines that are meant on each cluster where none is named.
    usual_engines: Vec<Vec<Engine>>,
    objective: Objective,
}

/// Reads a scenario file and resolves every name in it.
///
/// # Errors
/// What is wrong, with file and line: unknown keys and names, impossible numbers, empty lists, too many
/// cases.
pub fn read(path: &std::path::Path, catalog: &Catalog) -> Result<Scenario, Diagnostic> {
    let place = path.display().to_string();
    parse(&load::text(path)?, &place, catalog)
}

/// Parses the text of a scenario file.
///
/// # Errors
/// As [`read`].
pub fn parse(text: &str, place: &str, catalog: &Catalog) -> Result<Scenario, Diagnostic> {
    let (scenario, problems) = resolve(&load::yaml(text, place)?, place, catalog);
    match problems.into_iter().next() {
        Some(first) => Err(first),
        None => Ok(scenario),
    }
}

/// Everything that is wrong with the text of a scenario file.
pub fn problems(text: &str, place: &str, catalog: &Catalog) -> Vec<Diagnostic> {
    match load::yaml(text, place) {
        Ok(file) => resolve(&file, place, catalog).1,
        Err(fault) => vec![fault],
    }
}

/// The scenario with what could be resolved of it, and what could not.
fn resolve(file: &ScenarioFile, place: &str, catalog: &Catalog) -> (Scenario, Vec<Diagnostic>) {
    let mut problems = Vec::new();
    let mut scenario = Scenario {
        name: file.name.clone(),
        models: each(&file.models, place, &mut problems, |entry| entry.model(catalog)),
        clusters: each(&file.clusters, place, &mut problems, |name| Ok((name.clone(), catalog.pools(name)?))),
        engines: each(&file.engines, place, &mut problems, |name| catalog.engine(name)),
        workloads: each(&file.workloads, place, &mut problems, |entry| {
            let workload = entry.workload()?;
            workload.validate()?;
            Ok((entry.name.clone(), workload))
        }),
        targets: each(&file.targets, place, &mut problems, |entry| {
            let targets = Targets { ttft: entry.ttft, tpot: entry.tpot, e2e: entry.e2e };
            targets.validate()?;
            Ok((entry.name.clone(), targets))
        }),
        usual_engines: Vec::new(),
        objective: Objective::Throughput,
    };
    if file.engines.is_empty() {
        let usual = scenario.clusters.iter().map(|(_, cluster)| catalog.usual_engines(&cluster.pools));
        scenario.usual_engines = usual.filter_map(|found| found.map_err(|d| problems.push(d)).ok()).collect();
    }
    if scenario.targets.is_empty() {
        scenario.targets.push(("none".into(), Targets::default()));
    }
    if let Some(objective) = &file.objective {
        let read = each(std::slice::from_ref(objective), place, &mut problems, |name| name.parse());
        read.into_iter().for_each(|objective| scenario.objective = objective);
    }
    if problems.is_empty() {
        problems.extend(scenario.check(place).err());
    }
    (scenario, problems)
}

/// What can be made of each entry; the rest goes to the problems, with its line.
fn each<T, R>(
    entries: &[Located<T>],
    place: &str,
    problems: &mut Vec<Diagnostic>,
    read: impl Fn(&T) -> Result<R, Diagnostic>,
) -> Vec<R> {
    let mut all = Vec::new();
    for entry in entries {
        match read(&entry.value) {
            Ok(value) => all.push(value),
            Err(fault) => problems.push(fault.within(format!("{place}, line {}", load::line(entry)))),
        }
    }
    all
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
            // One list for each cluster, where the file names none.
            engines: self.usual_engines.get(c).unwrap_or(&self.engines),
            objective: self.objective,
        }
    }
}
