//! From a file to a scenario: every name looked up, every fault noted with its line.

use std::collections::BTreeSet;
use std::path::Path;

use itertools::Itertools as _;

use super::cases::{self, Axes, Key};
use super::entry::{ClusterFields, ModelFields};
use super::file::{ScenarioFile, TargetsEntry, WorkloadEntry};
use super::named::{NamedCluster, NamedModel};
use super::resolved::Scenario;
use super::search::Search;
use super::workloads::{NamedTargets, NamedWorkload};
use crate::catalog::{Catalog, Cluster, Kind, Pools};
use crate::diagnostic::{Code, Diagnostic};
use crate::dtype::WeightFormat;
use crate::hub::Hub;
use crate::load::{self, Located};
use crate::rank::Objective;
use crate::request::form::in_fields;
use crate::request::{Request, Texts, check_price, priced};
use crate::search::Verification;
use crate::units::UsdPerHour;
use crate::workload::{Percentiles, Targets};

/// The scenario with what could be resolved of it, and what could not.
pub fn resolve(file: &ScenarioFile, place: &str, catalog: &Catalog) -> (Scenario, Vec<Diagnostic>) {
    let mut resolver = Resolver { file, place, catalog, problems: Vec::new() };
    let mut scenario = resolver.scenario();
    if resolver.problems.is_empty() {
        let settled = resolver.empty_lists().and_then(|()| resolver.settle(&mut scenario));
        resolver.problems.extend(settled.err());
    }
    (scenario, resolver.problems)
}

struct Resolver<'a> {
    file: &'a ScenarioFile,
    place: &'a str,
    catalog: &'a Catalog,
    problems: Vec<Diagnostic>,
}

impl Resolver<'_> {
    fn scenario(&mut self) -> Scenario {
        let file = self.file;
        let engines = self.engines();
        let prices = self.prices();
        let models = self.each(&file.models, |this, entry| this.model(&entry.0));
        Scenario {
            name: file.name.clone().unwrap_or_else(|| called(self.place)),
            about: file.about.clone(),
            clusters: self
                .each(&file.clusters, |this, entry| this.cluster(&entry.0, (&prices, &engines), &models)),
            models,
            workloads: self.workloads(),
            targets: self.targets(),
            objectives: self.objectives(),
            training: self.each(&file.training, |this, entry| entry.named(this.catalog)),
            search: self.search(),
            keys: Vec::new(),
            comments: Default::default(),
            starts: Vec::new(),
        }
    }

    /// What can be made of each entry; the rest goes to the problems, with its line.
    fn each<T, R>(
        &mut self,
        entries: &[Located<T>],
        read: impl Fn(&Self, &T) -> Result<R, Diagnostic>,
    ) -> Vec<R> {
        let mut all = Vec::new();
        for entry in entries {
            match read(self, &entry.value) {
                Ok(value) => all.push(value),
                Err(fault) => self.fault(fault, entry),
            }
        }
        all
    }

    fn fault<T>(&mut self, fault: Diagnostic, entry: &Located<T>) {
        let fault = in_fields::<Request>(fault);
        self.problems.push(fault.within(format!("{}, line {}", self.place, load::line(entry))));
    }

    /// A name of a model, an engine, a GPU or a cluster as it is, and a path to one as it is seen from the folder of the
    /// scenario; of several pools each.
    fn beside(&self, name: &str) -> String {
        let folder = Path::new(self.place).parent().unwrap_or(Path::new(""));
        let one = |part: &str| {
            // Counts stand before a GPU: `8x./gpu.yaml`.
            let counts = part.trim_start_matches(|c: char| c.is_ascii_digit() || c == 'x');
            let (before, path) = match part.len() - counts.len() {
                at if part[..at].ends_with('x') => part.split_at(at),
                _ => ("", part),
            };
            let joined = folder.join(path);
            let is_path = path.contains(['/', '.']) && Path::new(path).is_relative();
            match is_path && joined.exists() {
                true => format!("{before}{}", joined.display()),
                false => part.to_owned(),
            }
        };
        name.split('+').map(|part| one(part.trim())).collect::<Vec<_>>().join("+")
    }

    fn model(&self, entry: &ModelFields) -> Result<NamedModel, Diagnostic> {
        let mut request = entry.request();
        request.model.model = request.model.model.map(|name| self.beside(&name));
        let model = request.find_model(self.catalog, &Hub::none())?;
        let written = entry.model.clone().or_else(|| entry.shape.clone()).unwrap_or_default();
        let [precision] = request.precisions()?[..] else {
            return Err(Diagnostic::new(
                Code::Usage,
                "a model has one format of weights and one of the cache",
            ));
        };
        let name = entry.name.clone().unwrap_or_else(|| model.id.clone());
        Ok(NamedModel { name, written: entry.name.clone().unwrap_or(written), model, precision })
    }

    fn cluster(
        &self,
        entry: &ClusterFields,
        (prices, engines): (&[String], &Request),
        models: &[NamedModel],
    ) -> Result<NamedCluster, Diagnostic> {
        let Pools { id, pools } = self.catalog.pools(&self.beside(&entry.cluster))?;
        entry.price.map_or(Ok(()), check_price)?;
        let of_entry = |pool: &Cluster| entry.price.map(|price| vec![written(&pool.gpu.id, price)]);
        let at_prices = |pool: Cluster| {
            let own = of_entry(&pool);
            priced(self.catalog, pool, own.as_deref().unwrap_or(prices))
        };
        let pools: Vec<Cluster> = pools.into_iter().map(at_prices).collect::<Result<_, _>>()?;
        let usual = engines.engines(self.catalog, &pools)?;
        let untaken = |format: &WeightFormat| !usual.iter().any(|e| e.weight_formats.contains(format));
        let stored = models.iter().filter_map(|model| model.precision.weights).unique().filter(untaken);
        let others = stored.map(|format| {
            let weights = Some(Texts(vec![format.name().to_owned()]));
            let request = Request { weights, ..engines.clone() };
            Ok((format, request.engines(self.catalog, &pools)?))
        });
        let others = others.collect::<Result<_, Diagnostic>>()?;
        let name = entry.name.clone().unwrap_or_else(|| entry.cluster.clone());
        Ok(NamedCluster { name, pools: Pools { id, pools }, engines: usual, others })
    }

    /// What it asks for of engines: those that are known.
    fn engines(&mut self) -> Request {
        let names = self.each(&self.file.engines, |this, name| {
            let name = this.beside(name);
            this.catalog.engine(&name).map(|_| name)
        });
        Request { engine: Texts::given(&names), ..Request::default() }
    }

    /// Prices as a request has them, by the identifier of the GPU.
    fn prices(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        for (gpu, price) in &self.file.prices {
            let found = check_price(price.value)
                .and_then(|()| Ok(self.catalog.find(Kind::Gpu, gpu)?.id().to_owned()));
            match found {
                Ok(id) => all.push(written(&id, price.value)),
                Err(fault) => self.fault(fault, price),
            }
        }
        all
    }

    fn workloads(&mut self) -> Vec<NamedWorkload> {
        let folder = Path::new(self.place).parent().unwrap_or(Path::new(""));
        let defaults = self.file.defaults.workload.clone().unwrap_or_default();
        let mut earlier: Vec<WorkloadEntry> = Vec::new();
        let mut all = Vec::new();
        for entry in &self.file.workloads {
            let whole = entry.value.inherit(&earlier, &defaults);
            match whole.and_then(|whole| Ok((whole.named(folder)?, whole))) {
                Ok((named, whole)) => {
                    all.extend(named);
                    earlier.push(whole);
                }
                Err(fault) => self.fault(fault, entry),
            }
        }
        all
    }

    fn targets(&mut self) -> Vec<NamedTargets> {
        let defaults = self.file.defaults.targets.clone().unwrap_or_default();
        let mut earlier: Vec<TargetsEntry> = Vec::new();
        let mut all = Vec::new();
        for entry in &self.file.targets {
            let whole = entry.value.inherit(&earlier, &defaults);
            match whole.and_then(|whole| Ok((whole.named()?, whole))) {
                Ok((named, whole)) => {
                    all.push(named);
                    earlier.push(whole);
                }
                Err(fault) => self.fault(fault, entry),
            }
        }
        if self.file.targets.is_empty() {
            match defaults.limits() {
                Ok(targets) => {
                    let name = if targets == Targets::default() { "none" } else { "defaults" };
                    all.push(NamedTargets { name: name.into(), targets });
                }
                Err(fault) => self.problems.push(in_fields::<Request>(fault).within(self.place)),
            }
        }
        all
    }

    /// Where plans are looked for.
    fn search(&mut self) -> Search {
        let Some(entry) = &self.file.search else { return Search::default() };
        match entry.value.search() {
            Ok(search) => search,
            Err(fault) => {
                self.fault(fault, entry);
                Search::default()
            }
        }
    }

    fn objectives(&mut self) -> Vec<Objective> {
        let file = self.file;
        if let (Some(one), false) = (&file.objective, file.objectives.is_empty()) {
            self.fault(Diagnostic::new(Code::Usage, "objective and objectives exclude each other"), one);
        }
        let mut all: Vec<Objective> = self.each(&file.objectives, |_, name| name.parse());
        if let Some(objective) = &file.objective {
            all.extend(self.each(std::slice::from_ref(objective), |_, name| name.parse::<Objective>()));
        }
        all
    }

    fn empty_lists(&self) -> Result<(), Diagnostic> {
        let file = self.file;
        let lists = [
            ("models", file.models.len()),
            ("clusters", file.clusters.len()),
            ("workloads", file.workloads.len() + file.training.len()),
        ];
        match lists.iter().find(|(_, n)| *n == 0) {
            Some((name, _)) => Err(Diagnostic::new(Code::Usage, format!("`{name}` is empty")).at(self.place)),
            None => Ok(()),
        }
    }

    /// Works out the cases and their groups.
    fn settle(&self, scenario: &mut Scenario) -> Result<(), Diagnostic> {
        let file = self.file;
        self.percentiles(scenario)?;
        if !file.training.is_empty() {
            return self.training_alone().and_then(|()| self.unique(scenario));
        }
        let axes = Axes {
            models: scenario.models.iter().map(|m| m.written.clone()).collect(),
            clusters: scenario.clusters.iter().map(|c| c.name.clone()).collect(),
            workloads: scenario.workloads.iter().map(|w| w.entry.clone()).collect(),
            targets: scenario.targets.iter().map(|t| t.name.clone()).collect(),
            objectives: objectives(scenario),
        };
        let cases = cases::cases(&axes, &file.matrix, &file.include, &file.exclude, self.place)?;
        self.unique(scenario)?;
        let of_group = |key: &Key| (key.model, key.cluster, key.workload);
        let begins = |(n, key): &(usize, &Key)| *n == 0 || of_group(key) != of_group(&cases.keys[n - 1]);
        scenario.starts = cases.keys.iter().enumerate().filter(begins).map(|(n, _)| n).collect();
        (scenario.keys, scenario.comments) = (cases.keys, cases.comments);
        Ok(())
    }

    /// Percentiles are those of simulations.
    fn percentiles(&self, scenario: &Scenario) -> Result<(), Diagnostic> {
        let at = scenario.targets.iter().find(|t| t.targets.at != Percentiles::MEANS);
        match at.filter(|_| scenario.search.verification == Verification::NONE) {
            Some(named) => {
                let cause = format!(
                    "`{}` are on a percentile, and only what is simulated has percentiles",
                    named.name
                );
                Err(Diagnostic::new(Code::Usage, cause)
                    .at(self.place)
                    .help("leave `verify: 0` out of `search`"))
            }
            None => Ok(()),
        }
    }

    /// What is about serving has no meaning beside trainings.
    fn training_alone(&self) -> Result<(), Diagnostic> {
        let f = self.file;
        let serving = [
            ("workloads", !f.workloads.is_empty()),
            ("targets", !f.targets.is_empty()),
            ("engines", !f.engines.is_empty()),
            ("search", f.search.is_some()),
            ("objectives", f.objective.is_some() || !f.objectives.is_empty()),
            ("matrix", !(f.matrix.is_empty() && f.include.is_empty() && f.exclude.is_empty())),
        ];
        match serving.iter().find(|(_, given)| *given) {
            Some((name, _)) => {
                Err(Diagnostic::new(Code::Usage, format!("`training` and `{name}` exclude each other"))
                    .at(self.place)
                    .help("ask about serving and about training in two files"))
            }
            None => Ok(()),
        }
    }

    /// Results are told apart by the names of their parts.
    fn unique(&self, scenario: &Scenario) -> Result<(), Diagnostic> {
        let lists: [(&str, Vec<&str>); 6] = [
            ("training", scenario.training.iter().map(|t| t.name.as_str()).collect()),
            ("models", scenario.models.iter().map(|m| m.name.as_str()).collect()),
            ("clusters", scenario.clusters.iter().map(|c| c.name.as_str()).collect()),
            ("workloads", scenario.workloads.iter().map(|w| w.name.as_str()).collect()),
            ("targets", scenario.targets.iter().map(|t| t.name.as_str()).collect()),
            ("objectives", scenario.objectives.iter().map(|o| o.name()).collect()),
        ];
        for (list, names) in lists {
            let mut seen = BTreeSet::new();
            if let Some(twice) = names.into_iter().find(|name| !seen.insert(*name)) {
                return Err(Diagnostic::new(Code::Usage, format!("`{list}` has two of the name `{twice}`"))
                    .at(self.place)
                    .help("give one of them another `name:`"));
            }
        }
        Ok(())
    }
}

/// The names on the axis of objectives; one that nobody writes stands for what is usual.
fn objectives(scenario: &Scenario) -> Vec<String> {
    match scenario.objectives.as_slice() {
        [] => vec![String::new()],
        named => named.iter().map(|o| o.name().to_owned()).collect(),
    }
}

/// A price as a request has it.
fn written(gpu: &str, price: UsdPerHour) -> String {
    format!("{gpu}={}", price.get())
}

/// What a file is called: its name without folders and ending.
fn called(place: &str) -> String {
    std::path::Path::new(place)
        .file_stem()
        .map_or_else(|| place.to_owned(), |stem| stem.to_string_lossy().into_owned())
}
