//! From a request to what is asked: every name looked up, every default in place.

mod adapters;
mod axes;
mod drive;
mod engines;
mod fleet;
mod launches;
mod named_file;
mod place;
mod ranking;
mod speculation;
mod targets;
mod together;
mod workload;

use std::path::Path;

use crate::catalog::{Catalog, Cluster, Engine, joined_for};
use crate::diagnostic::Diagnostic;
use crate::dtype::WeightFormat;
use crate::estimate::power::Electricity;
use crate::hub::Hub;
use crate::model::{Lora, Model};
use crate::plan::space::Pins;
use crate::plan::{Precision, Shares};
use crate::rank::{Front, Objective};
use crate::search::size::Demand;
use crate::search::{Current, Launch, Mode, Verification, WhatIf};
use crate::units::Seconds;
use crate::workload::forecast::Month;
use crate::workload::{Purpose, Targets, Workload, forecast};

use super::checks::{texts, usage, within};
use super::form::in_fields;
use super::{Request, Task, layout};
use axes::refuse_degrees_beyond;
use engines::measure;
use speculation::with_eagle_head;

pub use axes::Deployed;
pub use drive::{MAX_REQUESTS, Source};
pub use launches::{MAX_LAYERS, MAX_LIMIT};
pub(super) use named_file::stored_as_named;
pub(super) use place::{at_price, with_host};
pub use place::{check_price, of_gpus, priced};
pub use speculation::NO_DRAFT;

/// Plans that a search keeps unless told otherwise.
const TOP: u64 = 10;

/// A request with every name looked up and every default in place: what is asked.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// What is asked for.
    pub task: Task,
    /// The model; of one plan with its weights in the format of the plan, else as its checkpoint stores them.
    pub model: Model,
    /// What its checkpoint stores its linear layers in, whatever the plan makes of them.
    pub stored: WeightFormat,
    /// What the cluster is called.
    pub cluster: String,
    /// Its pools at the prices of the request; where a fleet is sized, one cluster of each kind to choose from.
    pub pools: Vec<Cluster>,
    /// Engines that compete; one of one plan.
    pub engines: Vec<Engine>,
    /// Whether the request names them.
    pub engine_is_named: bool,
    /// What the model's name means, in words, where it means a file of one engine.
    pub named_file: Option<String>,
    /// Lengths and load.
    pub workload: Workload,
    /// What is asked of an answer.
    pub targets: Targets,
    /// Storage of weights and cache that competes; one of one plan.
    pub precisions: Vec<Precision>,
    /// Launches that compete; one of one plan.
    pub launches: Vec<Launch>,
    /// What electricity costs, if the rental price does not include it.
    pub electricity: Option<Electricity>,
    /// What the best plan is best at.
    pub objective: Objective,
    /// Axes that are pinned.
    pub pins: Pins,
    /// Whether replicas do everything or pools are split.
    pub mode: Mode,
    /// What the front is drawn over.
    pub front: Front,
    /// Plans to keep; of a fleet, of each kind of GPU.
    pub top: usize,
    /// How much of an answer is simulated.
    pub verification: Verification,
    /// Changes of the GPUs to ask about.
    pub what_if: Vec<WhatIf>,
    /// What runs today.
    pub current: Option<Current>,
    /// Whether plans are looked at that are proven to be no better than others.
    pub exhaustive: bool,
    /// Whether one of the pools is to be chosen: they do not stand side by side.
    pub chooses: bool,
    /// How long a search may take.
    pub time_limit: Option<Seconds>,
    /// The plan that is given, where the task is about one.
    pub deployed: Option<Deployed>,
    /// What a fleet must do, where one is sized.
    pub demand: Option<Demand>,
    /// The months of a forecast.
    pub months: Vec<Month>,
    /// Where the requests come from, where they are simulated.
    pub source: Option<Source>,
    /// What drives a simulation, in words.
    pub drive: String,
    /// The adapters that there is room for, with the layers that every engine takes.
    pub lora: Option<Lora>,
    /// Engine and GPU of which the kernel database has nothing.
    pub unmeasured: Vec<(String, String)>,
}

impl Request {
    /// Looks up every name and puts every default in place. A model that is not at hand is asked of the hub that the
    /// environment names, unless the request is `offline`.
    ///
    /// # Errors
    /// What is wrong, in the names of the request's fields: a field without a meaning for the task, an unknown name,
    /// a number out of range, options that exclude or require each other, a model that is not found.
    pub fn resolve(&self, task: Task, catalog: &Catalog) -> Result<Resolved, Diagnostic> {
        let resolved = Hub::from_environment().and_then(|hub| self.resolve_as_flags(task, catalog, hub));
        resolved.map_err(in_fields::<Request>)
    }

    /// Resolves a request that was made on a command line, with the hub that it uses.
    ///
    /// # Errors
    /// As [`Request::resolve`], in the names of the command line's options.
    pub fn resolve_as_flags(&self, task: Task, catalog: &Catalog, hub: Hub) -> Result<Resolved, Diagnostic> {
        self.fits(task)?;
        self.consistent(task)?;
        let files = [("--kernels", &self.kernels), ("--forecast", &self.forecast), ("--trace", &self.trace)];
        for (flag, _) in files.iter().filter(|(_, file)| file.is_some()) {
            catalog.reads_files(flag)?;
        }
        let measured =
            self.kernels.as_ref().map(|folder| catalog.clone().with_kernels(Some(Path::new(folder))));
        let measured = measured.transpose()?;
        let catalog = measured.as_ref().unwrap_or(catalog);
        let hub = Hub { offline: hub.offline || self.model.offline == Some(true), ..hub };
        let objective = self.objective(task)?;
        let least = self.least(task)?;
        let mut model = self.find_model(catalog, &hub)?;
        if model.draft.is_none()
            && texts(&self.speculate).iter().any(|name| name.eq_ignore_ascii_case("eagle3"))
        {
            model = with_eagle_head(model)?;
        }
        let purpose = Purpose::of(self.task.as_deref(), &model)?;
        self.suits(purpose)?;
        let months = self.forecast.as_ref().map_or(Ok(Vec::new()), |file| forecast::read(Path::new(file)))?;
        let demand = match least {
            Some(least) => Some(self.demand(least, &months)?),
            None => None,
        };
        let (workload, in_trace) = self.workload(task, &model, purpose, demand.as_ref())?;
        let targets = self.targets(task)?;
        let time_limit = self.time_limit()?;
        let (source, drive) = match task {
            Task::Simulate => (Some(self.source(&workload, in_trace)?), self.drive_in_words(&workload)),
            _ => (None, String::new()),
        };
        let deployed = if task.is_of_one_plan() { Some(self.deployed()?) } else { None };
        let mut place = self.place(task, catalog, deployed.as_ref())?;
        self.put_host(&mut place.pools)?;
        let named_file = self.of_named_file(catalog, &place.pools, purpose, &mut model)?;
        let (asked, named_file) = match &named_file {
            Some((request, said)) => (request, Some(said.clone())),
            None => (self, None),
        };
        let stored = model.quantisation.main_format();
        let engines = asked.engines(catalog, &place.pools)?;
        let mut engines = asked.that_take_the_options(engines)?;
        asked.know_the_model(&engines, &model)?;
        let lora = asked.adapters(&mut engines, &mut model)?;
        let current =
            self.current.as_deref().map(|text| layout::deployment(catalog, "--current", text)).transpose()?;
        let unmeasured = match task {
            Task::Size => Vec::new(),
            _ => measure(catalog, &mut place.pools, &engines, current.as_ref(), &model)?,
        };
        let precisions = asked.precisions()?;
        if task.is_of_one_plan() {
            let ([engine], [precision]) = (engines.as_slice(), precisions.as_slice()) else {
                let cause = match task {
                    Task::Estimate => "an estimate is of one engine and one precision",
                    _ => "one plan has one engine and one precision",
                };
                return Err(usage(cause).help("`shardfit plan` compares several"));
            };
            if let Some(format) = precision.weights {
                model = match engine.reads_gguf() {
                    true => model.with_weights_in_gguf(format),
                    false => model.with_weights(format),
                };
            }
        }
        let (mode, pins) = self.space(task)?;
        if task == Task::Plan && !self.compares_kinds() && mode.aggregates() {
            let joined = joined_for(&place.pools, &engines);
            place.pools.extend(joined);
        }
        refuse_degrees_beyond(&pins, &place.pools)?;
        if mode != Mode::Aggregated && self.sessions.is_some() {
            let cause = "sessions are planned for replicas that do everything";
            return Err(usage(cause).at("--mode").help("leave it out, or give lengths and --prefix-hit"));
        }
        let mut launches = match &deployed {
            Some(Deployed::Replicas(split, _)) => vec![asked.launch_of_one_plan(split.pp)?],
            Some(Deployed::Split(_)) => vec![asked.launch_of_one_plan(1)?],
            None => asked.launches(task)?,
        };
        if self.launched && place.pools.iter().any(Cluster::spans_kinds) {
            // Even proportions are what a launch that was read says nothing of.
            let cards = deployed.map_or(0, |deployed| deployed.gpus_of_replica());
            launches.iter_mut().for_each(|launch| {
                let shares = &mut launch.limits.offload.shares;
                *shares = shares.or(Shares::new(&vec![1.0; cards]).ok());
            });
        }
        if self.launched && !self.length_by_room {
            // What a launch leaves out is the model's context, which vLLM holds against its cache.
            let context = model.max_context.filter(|_| self.max_model_len.is_none());
            launches.iter_mut().for_each(|launch| {
                launch.limits.start.length = launch.limits.start.length.or(context);
            });
        }
        let default_top = if task == Task::Size { 1 } else { TOP };
        let top = within("--top", self.top, 1..=100_000)?.unwrap_or(default_top);
        engines.shrink_to_fit();
        Ok(Resolved {
            task,
            model,
            stored,
            cluster: place.id,
            pools: place.pools,
            engines,
            engine_is_named: self.engine.is_some(),
            named_file,
            workload,
            targets,
            precisions,
            launches,
            electricity: self.electricity()?,
            objective,
            pins,
            mode,
            front: self.front()?,
            top: usize::try_from(top).unwrap_or(usize::MAX),
            verification: self.verification()?,
            what_if: self.what_if()?,
            current,
            exhaustive: self.exhaustive == Some(true),
            chooses: task == Task::Plan && self.compares_kinds(),
            time_limit,
            deployed,
            demand,
            months,
            source,
            drive,
            lora,
            unmeasured,
        })
    }
}
