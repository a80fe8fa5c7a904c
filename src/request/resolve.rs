//! From a request to what is asked: every name looked up, every default in place.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use itertools::Itertools as _;

use super::any;
use super::form::{self, in_fields};
use super::overrides::layers_with_host_experts;
use super::{Counts, LengthEntry, Request, SplitWorkers, Task, Texts, TimeTarget, Values, layout};
use crate::catalog::engine::{LaunchOption, SchedulingPatch};
use crate::catalog::{Catalog, Cluster, Engine, Gpu, Host, Kind, Pools};
use crate::diagnostic::{Code, Diagnostic, brief};
use crate::dtype::{DType, WeightFormat};
use crate::estimate::deployment::Deployment;
use crate::estimate::measured;
use crate::estimate::memory::Start;
use crate::estimate::power::Electricity;
use crate::hub::Hub;
use crate::load;
use crate::model::Model;
use crate::model::blocks::Block;
use crate::plan::space::Pins;
use crate::plan::{Degrees, Offload, Parallelism, Precision, Shares};
use crate::rank::{Front, Measure, Objective};
use crate::search::size::{Demand, Least, Unit};
use crate::search::{Current, Depth, Launch, LimitOverrides, Mode, Verification, WhatIf};
use crate::simulate::{
    Arrivals as _, DEFAULT_REQUESTS, Drive, Lengths, NamedColumns, Protocol, Requests, Trace,
};
use crate::units::{Bytes, RequestsPerSecond, Seconds, Usd, UsdPerHour, UsdPerKilowattHour, Watts};
use crate::workload::forecast::{self, Month};
use crate::workload::{
    Budget, CUT_LENGTHS, Confidence, Draft, Keeping, Load, MAX_DRAFTED, Percentile, Percentiles, Purpose,
    Routing, Sessions, Speculation, Targets, Tiers, Workload,
};

/// Largest launch limit accepted.
pub const MAX_LIMIT: u64 = 1 << 30;

/// Most layers that an option may name.
pub const MAX_LAYERS: u64 = 100_000;

/// Requests that a run sends at most: weeks of a large fleet's traffic.
pub const MAX_REQUESTS: u64 = 1_000_000_000;

/// Speeds of hosts that make sense beside those of the published runs.
const HOST_SPEEDS: std::ops::RangeInclusive<f64> = 0.1..=10.0;

/// No drafts.
pub const NO_DRAFT: &str = "off";

/// Plans that a search keeps unless told otherwise.
const TOP: u64 = 10;

/// Capacity above the rate of a fleet unless told otherwise: what a server of a group takes over when one of five stops,
/// and what traffic varies by within an hour.
const HEADROOM: f64 = 0.25;

/// Longest time limit of a search, in seconds.
const MAX_TIME_LIMIT: f64 = 86_400.0;

/// How the GPUs of one plan are used.
#[derive(Clone, Copy, Debug)]
pub enum Deployed {
    /// Equal replicas that do everything.
    Replicas(Parallelism, u32),
    /// Prefill and decode workers.
    Split(SplitWorkers),
}

impl Deployed {
    /// GPUs of all workers.
    pub fn gpus(&self) -> u64 {
        match self {
            Deployed::Replicas(split, n) => split.gpus().saturating_mul((*n).into()),
            Deployed::Split(workers) => workers.gpus(),
        }
    }
}

/// Where the requests of a simulation come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Drawn.
    Drawn {
        /// Their lengths and load.
        drive: Drive,
        /// The protocol that says how many there are, where the request does not.
        protocol: Protocol,
        /// How many count, where the request says so.
        count: Option<u64>,
        /// How many come before, where the request says so.
        before: Option<u64>,
    },
    /// Read from a file.
    Trace {
        /// The file.
        path: PathBuf,
        /// Its columns, where they are named.
        columns: NamedColumns,
        /// How many times as fast it is played.
        speed: f64,
        /// Those that are sent and count.
        requests: Requests,
        /// Whether prompts that it says have something in common share their cache.
        prefix_cache: bool,
    },
}

impl Source {
    /// The source with the users that its load comes to on so many replicas, where requests are turns of sessions.
    pub(super) fn of_users(self, deployment: &Deployment, replicas: u32) -> Source {
        let Source::Drawn { mut drive, protocol, count, before } = self else { return self };
        if let Some(turns) = &mut drive.sessions {
            let users = deployment.users(replicas).round().max(1.0) as u64;
            drive.load = Load::Users(users);
            let long = protocol.requests(drive.load);
            let (count, before) = (count.unwrap_or(long.count), before.unwrap_or(long.before));
            drive.requests = Requests { before, count, ..long };
            if !deployment.limits.keeping.routing.keeps_sessions() {
                turns.replicas = u64::from(replicas);
            }
        }
        Source::Drawn { drive, protocol, count, before }
    }

    /// The source with as many requests as its protocol takes where `in_flight` of them are in the server at a rate,
    /// unless the user says how many.
    pub(super) fn lasting(self, in_flight: impl FnOnce(RequestsPerSecond) -> f64) -> Source {
        let Source::Drawn { mut drive, protocol, count, before } = self else { return self };
        if let (Load::Rate(rate), Protocol::Steady) = (drive.load, protocol) {
            let long = Protocol::requests_under_rate(in_flight(rate), DEFAULT_REQUESTS);
            let (count, before) = (count.unwrap_or(long.count), before.unwrap_or(long.before));
            drive.requests = Requests { before, count, ..long };
        }
        Source::Drawn { drive, protocol, count, before }
    }
}

/// A request with every name looked up and every default in place: what is asked.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// What is asked for.
    pub task: Task,
    /// The model; of one plan with its weights in the format of the plan, else as its checkpoint stores them.
    pub model: Model,
    /// What the cluster is called.
    pub cluster: String,
    /// Its pools at the prices of the request; where a fleet is sized, one cluster of each kind to choose from.
    pub pools: Vec<Cluster>,
    /// Engines that compete; one of one plan.
    pub engines: Vec<Engine>,
    /// Whether the request names them.
    pub engine_is_named: bool,
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
    /// Engine and GPU of which the kernel database has nothing.
    pub unmeasured: Vec<(String, String)>,
}

pub(super) fn usage(cause: impl Into<String>) -> Diagnostic {
    Diagnostic::new(Code::Usage, cause)
}

pub(super) fn range(flag: &str, cause: impl Into<String>) -> Diagnostic {
    Diagnostic::new(Code::Range, cause).at(flag)
}

/// An amount of memory: with a unit, or bytes.
fn bytes_of(text: &str) -> Result<Bytes, Diagnostic> {
    let wrong = |cause: String| {
        Diagnostic::new(Code::Syntax, cause).at("--kv-cache-memory-bytes").help("for example 49GiB")
    };
    let bytes = match text.trim().parse::<u64>() {
        Ok(bytes) => Bytes::new(bytes),
        Err(_) => text.parse().map_err(wrong)?,
    };
    match bytes {
        Bytes::ZERO => Err(wrong("a cache of no bytes".into())),
        bytes => Ok(bytes),
    }
}

/// Checks that a count that is given lies within its limits.
pub(super) fn within(
    flag: &str,
    count: Option<u64>,
    allowed: std::ops::RangeInclusive<u64>,
) -> Result<Option<u64>, Diagnostic> {
    match count {
        Some(n) if !allowed.contains(&n) => {
            let (from, to) = (allowed.start(), allowed.end());
            Err(range(flag, format!("`{n}` is out of range; expected a whole number from {from} to {to}")))
        }
        count => Ok(count),
    }
}

/// Checks that a share that is given lies above 0 and is at most 1.
pub(super) fn share(flag: &str, share: Option<f64>) -> Result<Option<f64>, Diagnostic> {
    match share {
        Some(x) if !(x > 0.0 && x <= 1.0) => {
            Err(range(flag, format!("`{x}` is out of range; expected a number above 0 and at most 1")))
        }
        share => Ok(share),
    }
}

fn list(values: &Option<Values>) -> Vec<u32> {
    values.as_ref().map_or(Vec::new(), |values| values.0.clone())
}

fn texts(list: &Option<Texts>) -> &[String] {
    list.as_ref().map_or(&[], |list| &list.0)
}

/// Cached tokens of a prompt at a hit rate; the last token is always computed.
fn cached(hit: Option<f64>, isl: u64) -> u64 {
    hit.map_or(0, |share| ((isl as f64 * share).round() as u64).min(isl.saturating_sub(1)))
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
        let hub = Hub { offline: hub.offline || self.offline == Some(true), ..hub };
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
        let engines = self.engines(catalog, &place.pools)?;
        let mut engines = self.that_take_the_options(engines)?;
        let current =
            self.current.as_deref().map(|text| layout::deployment(catalog, "--current", text)).transpose()?;
        let unmeasured = match task {
            Task::Size => Vec::new(),
            _ => measure(catalog, &mut place.pools, &engines, current.as_ref(), &model)?,
        };
        let precisions = self.precisions()?;
        if task.is_of_one_plan() {
            let ([_], [precision]) = (engines.as_slice(), precisions.as_slice()) else {
                let cause = match task {
                    Task::Estimate => "an estimate is of one engine and one precision",
                    _ => "one plan has one engine and one precision",
                };
                return Err(usage(cause).help("`shardfit plan` compares several"));
            };
            if let Some(format) = precision.weights {
                model = model.with_weights(format);
            }
        }
        let (pins, mode) = (self.pins(task), self.mode()?);
        refuse_degrees_beyond(&pins, &place.pools)?;
        if mode != Mode::Aggregated && self.sessions.is_some() {
            let cause = "sessions are planned for replicas that do everything";
            return Err(usage(cause).at("--mode").help("leave it out, or give lengths and --prefix-hit"));
        }
        if mode == Mode::Aggregated && pins.prefill != Degrees::default() {
            let cause = "prefill workers are pinned, and there are none";
            return Err(usage(cause).at("--prefill-…").help("add --mode split or any"));
        }
        let mut launches = match &deployed {
            Some(Deployed::Replicas(split, _)) => vec![self.launch_of_one_plan(split.pp)?],
            Some(Deployed::Split(_)) => vec![self.launch_of_one_plan(1)?],
            None => self.launches(task)?,
        };
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
            cluster: place.id,
            pools: place.pools,
            engines,
            engine_is_named: self.engine.is_some(),
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
            unmeasured,
        })
    }

    /// Options that exclude or require each other.
    fn consistent(&self, task: Task) -> Result<(), Diagnostic> {
        form::version(self.schema_version)?;
        let split = self.prefill.is_some() || self.decode.is_some();
        let exclude = [
            ("--cluster", self.cluster.is_some(), "--gpu", self.gpu.is_some()),
            ("--clusters", self.clusters.is_some(), "--gpu", self.gpu.is_some()),
            ("--clusters", self.clusters.is_some(), "--unit", self.unit.is_some()),
            ("--clusters", self.clusters.is_some(), "--max-replica", self.max_replica.is_some()),
            ("--concurrency", self.concurrency.is_some(), "--rate", self.rate.is_some()),
            ("--trace", self.trace.is_some(), "--concurrency", self.concurrency.is_some()),
            ("--trace", self.trace.is_some(), "--rate", self.rate.is_some()),
            ("--trace", self.trace.is_some(), "--prefix-hit", self.prefix_hit.is_some()),
            ("--trace", self.trace.is_some(), "--isl", self.isl.is_some()),
            ("--trace", self.trace.is_some(), "--osl", self.osl.is_some()),
            ("--trace", self.trace.is_some(), "--protocol", self.protocol.is_some()),
            ("--users", self.users.is_some(), "--concurrency", self.concurrency.is_some()),
            ("--users", self.users.is_some(), "--rate", self.rate.is_some()),
            ("--users", self.users.is_some(), "--forecast", self.forecast.is_some()),
            ("--sessions", self.sessions.is_some(), "--isl", self.isl.is_some()),
            ("--sessions", self.sessions.is_some(), "--osl", self.osl.is_some()),
            ("--sessions", self.sessions.is_some(), "--prefix-hit", self.prefix_hit.is_some()),
            ("--sessions", self.sessions.is_some(), "--trace", self.trace.is_some()),
            ("--sessions", self.sessions.is_some(), "--prefill", split),
            ("--forecast", self.forecast.is_some(), "--rate", self.rate.is_some()),
            ("--cpu-moe", self.cpu_moe == Some(true), "--n-cpu-moe", self.n_cpu_moe.is_some()),
            ("--override-tensor", self.override_tensor.is_some(), "--n-cpu-moe", self.n_cpu_moe.is_some()),
            ("--override-tensor", self.override_tensor.is_some(), "--cpu-moe", self.cpu_moe == Some(true)),
            (
                "--prefill",
                split,
                "--tp",
                self.tp.as_ref().is_some_and(|tp| task.is_of_one_plan() && tp.0 != [1]),
            ),
        ];
        if let Some((one, _, other, _)) = exclude.iter().find(|(_, a, _, b)| *a && *b) {
            return Err(usage(format!("{one} and {other} exclude each other")).help("give one of them"));
        }
        let require = [
            ("--acceptance", self.acceptance.is_some(), "--speculate", self.speculate.is_some()),
            ("--draft-tokens", self.draft_tokens.is_some(), "--speculate", self.speculate.is_some()),
            ("--pue", self.pue.is_some(), "--electricity", self.electricity.is_some()),
            ("--host-watts", self.host_watts.is_some(), "--electricity", self.electricity.is_some()),
            ("--prefill", split, "--decode", self.decode.is_some()),
            ("--decode", split, "--prefill", self.prefill.is_some()),
            ("--users", self.users.is_some(), "--sessions", self.sessions.is_some()),
            (
                "--kv-tiers",
                self.kv_tiers.is_some(),
                "--sessions",
                self.sessions.is_some() || self.trace.is_some(),
            ),
            (
                "--routing",
                self.routing.is_some(),
                "--sessions",
                self.sessions.is_some() || self.trace.is_some(),
            ),
            ("--columns", self.columns.is_some(), "--trace", self.trace.is_some()),
            ("--no-prefix-cache", self.no_prefix_cache == Some(true), "--trace", self.trace.is_some()),
        ];
        match require.iter().find(|(_, given, _, beside)| *given && !*beside) {
            Some((one @ "--users", _, other, _)) => {
                let help = "give both, or say with --concurrency how many requests are in flight";
                Err(usage(format!("{one} needs {other}")).help(help))
            }
            Some((one, _, other, _)) => {
                Err(usage(format!("{one} needs {other}")).help("give both or neither"))
            }
            None => Ok(()),
        }
    }

    /// Mean lengths and load, checked against the model's context; and how many requests a trace has.
    fn workload(
        &self,
        task: Task,
        model: &Model,
        purpose: Purpose,
        demand: Option<&Demand>,
    ) -> Result<(Workload, u64), Diagnostic> {
        let hit = share("--prefix-hit", self.prefix_hit.map(|hit| hit.0))?;
        let media = self.media(model)?;
        let varies = self.isl.as_ref().is_some_and(|isl| !matches!(isl.0, Lengths::Fixed(_)));
        if !media.is_empty() && self.sessions.is_some() {
            return Err(usage("turns of sessions are text")
                .at("--images, --video, --audio")
                .help("count their tokens into first= and new="));
        }
        if !media.is_empty() && (self.trace.is_some() || varies && task == Task::Simulate) {
            return Err(usage("images and sound come to prompts of a given length")
                .at("--images, --video, --audio")
                .help("give --isl as a number, or count their tokens into the lengths"));
        }
        let (lengths, in_trace) = match &self.trace {
            Some(file) => mean_of_trace(Path::new(file), &self.named_columns()?, self.trace_requests())?,
            None => match self.sessions()? {
                Some(sessions) => (Workload::of_sessions(sessions), 0),
                None => (self.lengths(task, model, purpose, media.tokens()).with_media(media), 0),
            },
        };
        let batch_window = self.batch_window()?;
        let load = match (demand, self.concurrency, self.rate) {
            (Some(demand), ..) => demand.users.map_or(Load::Rate(demand.rate), Load::Users),
            (None, None, None) if self.users.is_some() => Load::Users(self.users.unwrap_or(1)),
            (None, Some(n), _) => Load::Concurrency(n),
            (None, None, Some(rate)) => Load::Rate(rate.0),
            (None, None, None) => Load::Saturate,
        };
        let cached_prefix = cached(hit, lengths.isl);
        let speculation = if task.is_of_one_plan() { self.one_speculation()? } else { self.speculation()? };
        let workload = Workload { cached_prefix, batch_window, load, speculation, ..lengths };
        workload.validate()?;
        if self.allow_long_context != Some(true) {
            workload.fits_context(model.max_context).map_err(|d| d.at(model.id.clone()))?;
        }
        self.served(&workload, model)?;
        let least = within("--min-context", self.min_context, 1..=crate::workload::MAX_LENGTH)?;
        Ok((Workload { longest: least.or(workload.longest), ..workload }, in_trace))
    }

    /// Checks that nothing is said of tokens that come out where answers are pooled.
    fn suits(&self, purpose: Purpose) -> Result<(), Diagnostic> {
        if !purpose.pools() {
            return match self.batch_window {
                None => Ok(()),
                Some(_) => Err(usage("a server that decodes lets requests in as they come")
                    .at("--batch-window")
                    .help("it belongs to --task embed or rerank")),
            };
        }
        let name = purpose.name();
        let meaningless = [
            ("--osl", self.osl.is_some(), "leave it out: an answer is made of the input alone"),
            ("--ttft", self.ttft.is_some(), "--e2e limits the time from request to answer"),
            ("--tpot", self.tpot.is_some(), "--e2e limits the time from request to answer"),
            (
                "--tokens-per-user",
                self.tokens_per_user.is_some(),
                "--e2e limits the time from request to answer",
            ),
            ("--speculate", self.speculate.is_some(), "leave it out: there is nothing to draft"),
            ("--sessions", self.sessions.is_some(), "--isl says the tokens of an input"),
            (
                "--prefill",
                self.prefill.is_some() || self.decode.is_some(),
                "--tp and --replicas say the plan",
            ),
            ("--trace", self.trace.is_some(), "--isl takes distributions, --rate and --concurrency the load"),
            (
                "--mode",
                self.mode.as_deref().is_some_and(|mode| mode != Mode::Aggregated.name()),
                "leave it out: there is no decode pool to split off",
            ),
        ];
        match meaningless.iter().find(|(_, given, _)| *given) {
            Some((flag, _, help)) => {
                Err(usage(format!("{flag} means nothing to --task {name}: no token is decoded"))
                    .at(*flag)
                    .help(*help))
            }
            None => Ok(()),
        }
    }

    /// How long a batch waits for more inputs.
    fn batch_window(&self) -> Result<Seconds, Diagnostic> {
        let Some(text) = &self.batch_window else { return Ok(Seconds::ZERO) };
        let wrong = |cause| Diagnostic::new(Code::Syntax, cause).at("--batch-window").help("for example 5ms");
        text.parse().map_err(wrong)
    }

    /// The sessions that requests are turns of, if they are.
    fn sessions(&self) -> Result<Option<Sessions>, Diagnostic> {
        self.sessions
            .as_deref()
            .map(|text| text.parse::<Sessions>().map_err(|d| d.within("--sessions")))
            .transpose()
    }

    /// The columns of a trace, where they are named.
    fn named_columns(&self) -> Result<NamedColumns, Diagnostic> {
        self.columns.as_deref().map_or(Ok(NamedColumns::default()), str::parse)
    }

    /// How prefixes are kept.
    fn keeping(&self) -> Result<Keeping, Diagnostic> {
        let tiers =
            self.kv_tiers.as_deref().map(|text| text.parse::<Tiers>().map_err(|d| d.within("--kv-tiers")));
        let routing =
            self.routing.as_deref().map(|text| text.parse::<Routing>().map_err(|d| d.within("--routing")));
        Ok(Keeping {
            tiers: tiers.transpose()?.unwrap_or_default(),
            routing: routing.transpose()?.unwrap_or_default(),
        })
    }

    /// The limits on times, what each is on, and those of the whole deployment; checked.
    fn targets(&self, task: Task) -> Result<Targets, Diagnostic> {
        let wrong = |cause| range("--percentile", cause).help(Percentile::FORM);
        let all =
            self.percentile.as_deref().map(|text| text.parse::<Percentile>().map_err(wrong)).transpose()?;
        let own = [self.ttft, self.tpot, self.e2e];
        let [ttft, tpot, e2e] = own.map(|target| target.and_then(|target| target.at.or(all)));
        if own.iter().flatten().any(|target| target.at.is_some()) && task.is_of_one_plan() {
            let help = match task {
                Task::Estimate => "`shardfit simulate` prints them, `shardfit plan` plans for them",
                _ => {
                    "the table has them, whatever the limits; goodput is the share of requests within every limit"
                }
            };
            let cause = format!("`{}` holds no limit at a percentile", task.name());
            return Err(usage(cause).at("--ttft, --tpot, --e2e").help(help));
        }
        let limit = |target: Option<TimeTarget>| target.map(|target| target.limit);
        let mut targets = Targets {
            ttft: limit(self.ttft),
            tpot: limit(self.tpot),
            e2e: limit(self.e2e),
            at: Percentiles { ttft, tpot, e2e },
            confidence: self.confidence()?,
            budget: self.budget()?,
        };
        if let Some(rate) = self.tokens_per_user {
            if !(rate > 0.0 && rate.is_finite()) {
                return Err(range("--tokens-per-user", "must be positive"));
            }
            // The time per token of a stream is one over its rate.
            let most = Seconds::new(1.0 / rate);
            targets.tpot = Some(targets.tpot.map_or(most, |tpot| tpot.min(most)));
        }
        targets.validate().map(|()| targets)
    }

    /// What the deployment may take and must hold.
    fn budget(&self) -> Result<Budget, Diagnostic> {
        let most = crate::workload::MAX_CONCURRENCY;
        Ok(Budget {
            gpus: within("--max-gpus", self.max_gpus, 1..=1 << 20)?,
            price: self.max_price.map(UsdPerHour::new),
            cost_output: self.max_cost.map(Usd::new),
            power: self.max_power.map(Watts::new),
            concurrency: within("--min-concurrency", self.min_concurrency, 1..=most)?,
        })
    }

    /// The chance with which limits are to hold.
    fn confidence(&self) -> Result<Option<Confidence>, Diagnostic> {
        let wrong = |text: &String| {
            let cause = format!("`{}` is not a confidence", brief(text));
            range("--confidence", cause).help(Confidence::FORM)
        };
        let read = |text: &String| text.parse::<Confidence>().map_err(|_| wrong(text));
        let confidence = self.confidence.as_ref().map(read).transpose()?;
        let limited = [self.ttft, self.tpot, self.e2e].iter().any(Option::is_some);
        if confidence.is_some() && !limited {
            let help = "add --ttft, --tpot or --e2e: a confidence is the chance that limits hold";
            return Err(usage("there is no limit to be confident of").at("--confidence").help(help));
        }
        Ok(confidence)
    }

    /// Mean lengths, those that are left out cut to the model's context where it is shorter; where they vary, with the
    /// context that one request in a hundred exceeds. A simulation draws lengths itself.
    fn lengths(&self, task: Task, model: &Model, purpose: Purpose, beside: u64) -> Workload {
        let mean = |entry: &Option<LengthEntry>| match entry.as_ref().map(|entry| &entry.0) {
            Some(Lengths::Fixed(n)) => Some(*n),
            varying => varying.map(|lengths| lengths.mean().round().max(1.0) as u64),
        };
        let context = model.max_context.filter(|_| self.allow_long_context != Some(true));
        // What a prompt brings beside text takes its part.
        let context =
            context.into_iter().chain(self.max_model_len).min().map(|n| n.saturating_sub(beside).max(2));
        let means = match purpose.pools() {
            true => Workload::pooled(purpose, mean(&self.isl), context),
            false => Workload::of_lengths(mean(&self.isl), mean(&self.osl), context),
        };
        let most = |entry: &Option<LengthEntry>, mean| entry.as_ref().map_or(mean, |entry| entry.0.p99());
        let varies = |entry: &Option<LengthEntry>| {
            entry.as_ref().is_some_and(|entry| !matches!(entry.0, Lengths::Fixed(_)))
        };
        let longest = (task != Task::Simulate && (varies(&self.isl) || varies(&self.osl))).then(|| {
            match purpose.pools() {
                true => most(&self.isl, means.isl),
                false => most(&self.isl, means.isl).saturating_add(most(&self.osl, means.osl)),
            }
        });
        Workload { longest, ..means }
    }

    /// Checks that requests are no longer than the server takes.
    fn served(&self, workload: &Workload, model: &Model) -> Result<(), Diagnostic> {
        let most = within("--max-model-len", self.max_model_len, 1..=crate::workload::MAX_LENGTH)?;
        let longer = model.max_context.zip(most).filter(|(context, most)| most > context);
        // A launch may stretch positions in words that are not read; its length is held against the cache.
        let strict = self.allow_long_context != Some(true) && !self.launched;
        if let Some((context, most)) = longer.filter(|_| strict) {
            let cause =
                format!("a longest request of {most} tokens exceeds the model's context of {context}");
            return Err(range("--max-model-len", cause)
                .help("a shorter one, or say --allow-long-context if the server extends it"));
        }
        match most.filter(|most| workload.context() > *most) {
            Some(most) => {
                let cause = match workload {
                    Workload { isl, purpose, .. } if purpose.pools() => {
                        format!("isl {isl} exceeds the longest request of {most}")
                    }
                    Workload { isl, osl, .. } => {
                        format!("isl {isl} + osl {osl} tokens exceed the longest request of {most}")
                    }
                };
                Err(range("--max-model-len", cause).help("shorter lengths, or a longer --max-model-len"))
            }
            None => Ok(()),
        }
    }

    /// What is stated of the start beside limits.
    fn start(&self) -> Result<Start, Diagnostic> {
        let cache = self.kv_cache_memory_bytes.as_deref().map(bytes_of).transpose()?;
        Ok(Start {
            length: self.max_model_len,
            eager: self.enforce_eager == Some(true),
            cache,
            block: within("--block-size", self.block_size, 1..=1 << 16)?,
            prefixes: self.enable_prefix_caching,
            text_only: self.language_model_only == Some(true),
            images: self.limit_mm_per_prompt,
            redundant_experts: within("--redundant-experts", self.redundant_experts, 0..=1 << 16)?
                .unwrap_or(0),
            launched: self.launched,
        })
    }

    /// The engines that take every option that is given; those that were named must.
    fn that_take_the_options(&self, engines: Vec<Engine>) -> Result<Vec<Engine>, Diagnostic> {
        let given = self.given();
        let asked: Vec<LaunchOption> =
            LaunchOption::ALL.into_iter().filter(|option| given.contains_key(option.field())).collect();
        let lacks = |engine: &Engine| asked.iter().find(|option| !engine.options.contains(option)).copied();
        let named = self.engine.is_some() && texts(&self.engine) != ["any"];
        let first = engines.iter().find_map(|engine| Some((engine.id.clone(), lacks(engine)?)));
        let (with, _): (Vec<Engine>, Vec<Engine>) = engines.into_iter().partition(|e| lacks(e).is_none());
        match first.filter(|_| named || with.is_empty()) {
            Some((id, option)) => {
                let flag = format!("--{}", option.field().replace('_', "-"));
                Err(usage(format!("{id} has no such option: it would be ignored"))
                    .at(flag)
                    .help("leave it out"))
            }
            None => Ok(with),
        }
    }

    /// Whether plans are looked at with and without speculative decoding.
    fn speculates_or_not(&self) -> bool {
        let named = |off: bool| texts(&self.speculate).iter().any(|name| (name == NO_DRAFT) == off);
        named(true) && named(false)
    }

    fn one_speculation(&self) -> Result<Option<Speculation>, Diagnostic> {
        match self.speculates_or_not() {
            false => self.speculation(),
            true => Err(usage("one plan drafts or does not")
                .at("--speculate")
                .help("`shardfit plan` compares both")),
        }
    }

    fn speculation(&self) -> Result<Option<Speculation>, Diagnostic> {
        let mut drafts = texts(&self.speculate).iter().filter(|name| *name != NO_DRAFT).unique();
        let Some(draft) = drafts.next() else { return Ok(None) };
        if drafts.next().is_some() {
            return Err(usage("one way to draft at a time")
                .at("--speculate")
                .help("mtp, ngram, or either with off"));
        }
        let draft = draft.parse::<Draft>().map_err(|d| d.within("--speculate"))?;
        let published = draft.published();
        let usual = published.map_or(1, |published| published.tokens);
        let tokens = self.draft_tokens.map_or(usual, |n| u32::try_from(n).unwrap_or(MAX_DRAFTED + 1));
        let Some(acceptance) = self.acceptance.or(published.map(|published| published.acceptance)) else {
            let cause = format!("how often drafts of {} are accepted depends on the text", draft.name());
            return Err(usage(cause).at("--acceptance").help(
                "give it, for example --acceptance 0.6: the share that the server's log or /metrics has of drafted tokens",
            ));
        };
        let speculation = Speculation { draft, tokens, acceptance };
        speculation.validate().map_err(|d| d.at("--acceptance"))?;
        Ok(Some(speculation))
    }

    /// The engines to consider on these pools: those named, every one that runs on one of them, or the usual ones.
    ///
    /// # Errors
    /// An unknown engine or version; scheduling that no engine has.
    pub fn engines(&self, catalog: &Catalog, pools: &[Cluster]) -> Result<Vec<Engine>, Diagnostic> {
        let mut engines = match texts(&self.engine) {
            [] => self.usual_engines(catalog, pools)?,
            [any] if any == "any" => {
                let runs = |e: &Engine| pools.iter().any(|pool| e.runs_on(&pool.gpu));
                let (fit, rest): (Vec<_>, Vec<_>) = catalog.engines()?.into_iter().partition(runs);
                if fit.is_empty() { rest } else { fit }
            }
            list => list
                .iter()
                .map(|name| name.trim())
                .unique()
                .map(|name| catalog.engine(name))
                .collect::<Result<_, _>>()?,
        };
        Engine::tell_apart(&mut engines);
        if let Some(text) = &self.scheduling {
            let patch = load::assignments::<SchedulingPatch>(text, "--scheduling")?;
            for engine in &mut engines {
                patch.apply(&mut engine.scheduling);
                engine.validate().map_err(|d| d.within("--scheduling"))?;
            }
        }
        if let Some(speed) = self.host_speed {
            if !HOST_SPEEDS.contains(&speed) {
                let (low, high) = (HOST_SPEEDS.start(), HOST_SPEEDS.end());
                let cause = format!("{speed} is out of range; expected a number from {low} to {high}");
                return Err(Diagnostic::new(Code::Range, cause).at("--host-speed"));
            }
            for engine in &mut engines {
                engine.scheduling = engine.scheduling.clone().on_host(speed);
            }
        }
        Ok(engines)
    }

    /// The usual engines of the pools; where none of them takes any of the formats that are asked for, those that run
    /// there and take one.
    fn usual_engines(&self, catalog: &Catalog, pools: &[Cluster]) -> Result<Vec<Engine>, Diagnostic> {
        let usual = catalog.usual_engines(pools)?;
        // What is no format is said where formats are read.
        let formats: Vec<WeightFormat> = texts(&self.weights).iter().filter_map(|t| t.parse().ok()).collect();
        let takes = |engine: &Engine| formats.iter().any(|format| engine.weight_formats.contains(format));
        if formats.is_empty() || usual.iter().any(takes) {
            return Ok(usual);
        }
        let runs = |engine: &Engine| pools.iter().any(|pool| engine.runs_on(&pool.gpu));
        let others: Vec<Engine> = catalog.engines()?.into_iter().filter(|e| runs(e) && takes(e)).collect();
        Ok(if others.is_empty() { usual } else { others })
    }

    /// The precisions to consider.
    fn precisions(&self) -> Result<Vec<Precision>, Diagnostic> {
        // Engines' own word for what they do unasked.
        fn precision<T: FromStr<Err = Diagnostic>>(text: &str) -> Result<Option<T>, Diagnostic> {
            if text.eq_ignore_ascii_case("auto") { Ok(None) } else { text.parse().map(Some) }
        }
        fn parsed<T: FromStr<Err = Diagnostic>>(list: &[String]) -> Result<Vec<Option<T>>, Diagnostic> {
            let mut all: Vec<Option<T>> =
                list.iter().unique().map(|t| precision(t)).collect::<Result<_, _>>()?;
            if all.is_empty() {
                all.push(None);
            }
            Ok(all)
        }
        let weights = parsed::<WeightFormat>(texts(&self.weights))?;
        let caches = parsed::<DType>(texts(&self.kv))?;
        let pairs = weights.into_iter().cartesian_product(caches);
        Ok(pairs.map(|(weights, kv)| Precision { weights, kv }).collect())
    }

    /// The launches that compete: every pair of limits, with speculation or both ways.
    fn launches(&self, task: Task) -> Result<Vec<Launch>, Diagnostic> {
        let offload = self.offload()?;
        let stages = offload.shares.map(|shares| shares.gpus());
        let pinned = |n: usize| {
            matches!(list(&self.pp).as_slice(), [] | [_])
                && self.stages_named().is_none_or(|pp| pp as usize == n)
        };
        match stages {
            Some(n) if task != Task::Plan || !pinned(n) => Err(usage("plans differ in their stages")
                .at("--tensor-split")
                .help("it pins --pp; `shardfit plan` and `shardfit estimate` take it")),
            _ => self.launches_with(offload, self.speculates_or_not()),
        }
    }

    /// Stages of a replica: those of `pp`, else one for each number of how layers are dealt out.
    fn stages_named(&self) -> Option<u32> {
        match (list(&self.pp).as_slice(), texts(&self.tensor_split).len()) {
            ([pp, ..], _) => Some(*pp),
            ([], 0) => None,
            ([], stages) => Some(u32::try_from(stages).unwrap_or(u32::MAX)),
        }
    }

    fn launches_with(&self, offload: Offload, both: bool) -> Result<Vec<Launch>, Diagnostic> {
        let or_default = |flag: &str, set: &Option<Counts>| match set {
            None => Ok(vec![None]),
            Some(set) => {
                let each = set.0.iter().unique().map(|n| within(flag, Some(*n), 1..=MAX_LIMIT));
                each.collect::<Result<Vec<_>, _>>()
            }
        };
        let memory_fraction = share("--memory-fraction", self.memory_fraction)?;
        let pairs = or_default("--max-sequences", &self.max_sequences)?
            .into_iter()
            .cartesian_product(or_default("--max-batched-tokens", &self.max_batched_tokens)?)
            .cartesian_product(if both { vec![true, false] } else { vec![true] });
        let start = self.start()?;
        let keeping = self.keeping()?;
        let launch = |((max_sequences, max_batched_tokens), speculates)| Launch {
            limits: LimitOverrides {
                max_sequences,
                max_batched_tokens,
                memory_fraction,
                offload,
                start,
                keeping,
            },
            speculates,
        };
        Ok(pairs.map(launch).collect())
    }

    /// The launch of one plan of `pp` stages: proportions of the GPUs must name each.
    fn launch_of_one_plan(&self, pp: u32) -> Result<Launch, Diagnostic> {
        let offload = self.offload()?;
        if let Some(n) = offload.shares.map(|shares| shares.gpus()).filter(|n| *n as u64 != u64::from(pp)) {
            return Err(usage(format!("{n} numbers for {pp} stages"))
                .at("--tensor-split")
                .help("one for each stage of --pp"));
        }
        match self.launches_with(offload, false)?.as_slice() {
            [one] => Ok(*one),
            _ => Err(usage("one plan has one limit of each kind")
                .at("--max-sequences, --max-batched-tokens")
                .help("`shardfit plan` compares several")),
        }
    }

    /// What stays with the host.
    fn offload(&self) -> Result<Offload, Diagnostic> {
        let shares = match texts(&self.tensor_split) {
            [] => None,
            parts => {
                let wrong = |part: &String| {
                    Diagnostic::new(Code::Syntax, format!("`{part}` is not a number"))
                        .at("--tensor-split")
                        .help("one number for each GPU, for example 3,1")
                };
                let parts = parts.iter().map(|part| part.trim().parse::<f64>().map_err(|_| wrong(part)));
                let parts = parts.collect::<Result<Vec<_>, _>>()?;
                Some(Shares::new(&parts).map_err(|d| d.at("--tensor-split"))?)
            }
        };
        self.check_split_mode()?;
        let host_experts = match texts(&self.override_tensor) {
            [] if self.cpu_moe == Some(true) => Some(MAX_LAYERS),
            [] => within("--n-cpu-moe", self.n_cpu_moe, 0..=MAX_LAYERS)?,
            patterns => Some(layers_with_host_experts(patterns, MAX_LAYERS)?),
        };
        Ok(Offload {
            gpu_layers: within("--gpu-layers", self.gpu_layers, 0..=MAX_LAYERS)?,
            host_experts,
            shares,
        })
    }

    /// Matrices that are divided by rows over GPUs are not described.
    fn check_split_mode(&self) -> Result<(), Diagnostic> {
        let help = match self.split_mode.as_deref() {
            None | Some("layer") => return Ok(()),
            Some("none") => "one GPU is what a plan without --pp has, or a cluster of one",
            _ => "only `layer` is described, llama.cpp's default: whole layers on each GPU",
        };
        let mode = self.split_mode.as_deref().unwrap_or_default();
        Err(usage(format!("the split mode `{mode}` is not described")).at("--split-mode").help(help))
    }

    /// Puts the host that is named into every pool.
    fn put_host(&self, pools: &mut [Cluster]) -> Result<(), Diagnostic> {
        let Some(text) = &self.host else { return Ok(()) };
        let host: Host = load::assignments(text, "--host")?;
        host.validate().map_err(|d| d.at("--host"))?;
        pools.iter_mut().for_each(|pool| pool.host = Some(host));
        Ok(())
    }

    fn electricity(&self) -> Result<Option<Electricity>, Diagnostic> {
        let Some(price) = self.electricity else { return Ok(None) };
        let electricity = Electricity {
            price: UsdPerKilowattHour::new(price),
            pue: self.pue.unwrap_or(Electricity::MEAN_PUE),
            host: Watts::new(self.host_watts.unwrap_or(0.0)),
        };
        electricity.validate().map(|()| Some(electricity))
    }

    /// The GPUs at the prices of the request: the pools of the cluster that is named; of one plan also as many of a
    /// kind as it takes; where a fleet is sized, one cluster of each kind.
    fn place(&self, task: Task, catalog: &Catalog, deployed: Option<&Deployed>) -> Result<Pools, Diagnostic> {
        let prices = self.price.as_ref().map_or(&[][..], |prices| &prices.0);
        let pools = match (task, &self.cluster, texts(&self.gpu)) {
            (Task::Size, ..) => Pools { id: String::new(), pools: self.kinds(catalog)? },
            (Task::Plan, ..) if self.compares_kinds() => self.servers(catalog)?,
            (_, Some(name), _) => catalog.pools(name)?,
            (Task::Plan, None, _) => {
                return Err(
                    usage("missing: --cluster").help("8xh100-sxm, 2x8xh200-sxm, a name or a YAML file")
                );
            }
            (_, None, [gpu]) => {
                let gpus = deployed.map_or(1, Deployed::gpus);
                let gpus = u32::try_from(gpus).unwrap_or(u32::MAX);
                let cluster = of_gpus(catalog, gpu, gpus)?;
                Pools { id: cluster.id.clone(), pools: vec![cluster] }
            }
            (_, None, []) => {
                return Err(usage("name a --gpu or a --cluster")
                    .help("for example --gpu h100-sxm or --cluster 8xh100-sxm"));
            }
            (_, None, _) => {
                return Err(usage("one plan has one kind of GPU")
                    .at("--gpu")
                    .help("`shardfit size` compares several"));
            }
        };
        refuse_idle_prices(catalog, &pools.pools, prices)?;
        let priced = pools.pools.into_iter().map(|pool| priced(catalog, pool, prices));
        let pools = Pools { pools: priced.collect::<Result<_, _>>()?, id: pools.id };
        match task.is_of_one_plan() {
            true => pools.single().map(|one| Pools { id: one.id.clone(), pools: vec![one] }),
            false => Ok(pools),
        }
    }

    /// Whether a search is over several kinds of GPU that do not stand side by side: one of them is to be chosen.
    pub(super) fn compares_kinds(&self) -> bool {
        self.gpu.is_some() || self.cluster.as_deref().is_some_and(|name| any::is_any(&parts_of(name)))
    }

    /// A server of each kind of GPU that a search is to choose from.
    fn servers(&self, catalog: &Catalog) -> Result<Pools, Diagnostic> {
        let of_cluster = self.cluster.as_deref().map(parts_of);
        let (flag, list) = match &of_cluster {
            Some(parts) => ("--cluster", parts.as_slice()),
            None => ("--gpu", texts(&self.gpu)),
        };
        let pools = match any::is_any(list) {
            true => any::servers(list, catalog, flag, |gpu| gpu.gpus_per_node)?,
            false => {
                let named = list.iter().unique();
                named
                    .map(|name| of_gpus(catalog, name, catalog.gpu(name)?.gpus_per_node))
                    .collect::<Result<_, _>>()?
            }
        };
        Ok(Pools { id: list.iter().map(|part| part.trim()).join(","), pools })
    }

    /// A cluster for each kind of GPU to choose from: those named, or one as large as the largest replica.
    fn kinds(&self, catalog: &Catalog) -> Result<Vec<Cluster>, Diagnostic> {
        let (clusters, gpus) = (texts(&self.clusters), texts(&self.gpu));
        if clusters.is_empty() && gpus.is_empty() {
            return Err(usage("name a --gpu or --clusters"));
        }
        if any::is_any(clusters) {
            return any::servers(clusters, catalog, "--clusters", |gpu| gpu.gpus_per_node);
        }
        if !clusters.is_empty() {
            return clusters.iter().map(|name| catalog.pools(name)?.single()).collect();
        }
        let most = within("--max-replica", self.max_replica, 1..=1024)?.and_then(|n| u32::try_from(n).ok());
        let size = |gpu: &Gpu| {
            let four = gpu.gpus_per_node.saturating_mul(4);
            most.unwrap_or(four).min(four)
        };
        match any::is_any(gpus) {
            true => any::servers(gpus, catalog, "--gpu", size),
            false => gpus.iter().map(|name| of_gpus(catalog, name, size(&catalog.gpu(name)?))).collect(),
        }
    }

    /// What a ranking puts first.
    fn objective(&self, task: Task) -> Result<Objective, Diagnostic> {
        match (task, &self.objective) {
            (Task::Plan, Some(name)) => name.parse(),
            // The largest GPU delivers most: what is compared is what they cost.
            (Task::Plan, None) if self.compares_kinds() => Ok(Objective::Cost),
            _ => Ok(Objective::Throughput),
        }
    }

    /// What a fleet should have least of; `None` where none is sized.
    fn least(&self, task: Task) -> Result<Option<Least>, Diagnostic> {
        match (task, self.objective.as_deref()) {
            (Task::Size, None | Some("cost")) => Ok(Some(Least::Cost)),
            (Task::Size, Some("gpus")) => Ok(Some(Least::Gpus)),
            (Task::Size, Some(other)) => {
                Err(Diagnostic::unknown("objective", other, ["cost", "gpus"], "allowed: cost, gpus"))
            }
            _ => Ok(None),
        }
    }

    fn demand(&self, least: Least, months: &[Month]) -> Result<Demand, Diagnostic> {
        let unit = match self.clusters {
            None => {
                let unit = within("--unit", self.unit, 1..=1024)?;
                Unit::Gpus(unit.and_then(|n| u32::try_from(n).ok()).unwrap_or(1))
            }
            Some(_) => Unit::Clusters,
        };
        let rate = match (self.rate, self.forecast.is_some()) {
            (Some(rate), _) => rate.0,
            (None, true) => {
                months.iter().map(|m| m.rate).fold(RequestsPerSecond::ZERO, RequestsPerSecond::max)
            }
            // What users ask for follows from how long they wait.
            (None, false) if self.users.is_some() => RequestsPerSecond::new(1.0),
            (None, false) => return Err(usage("name a --rate or a --forecast")),
        };
        let headroom = self.headroom.map_or(HEADROOM, |headroom| headroom.0);
        if !(0.0..=100.0).contains(&headroom) {
            return Err(range("--headroom", format!("`{headroom}` is not a headroom"))
                .help("a share of the rate from 0 to 10000 %, for example 20% or 0.2"));
        }
        let spare = within("--spare", self.spare, 0..=1000)?.unwrap_or(0);
        let spare = u32::try_from(spare).unwrap_or(u32::MAX);
        let demand = Demand { rate, users: self.users, headroom, spare, unit, least };
        demand.validate().map(|()| demand)
    }

    /// The axes that are pinned; of one plan none, it is given whole.
    fn pins(&self, task: Task) -> Pins {
        if task != Task::Plan {
            return Pins::default();
        }
        Pins {
            split: Degrees {
                tp: list(&self.tp),
                pp: if self.pp.is_some() {
                    list(&self.pp)
                } else {
                    self.stages_named().into_iter().collect()
                },
                ep: list(&self.ep),
                attention_dp: list(&self.attention_dp),
                dcp: list(&self.dcp),
            },
            prefill: Degrees {
                tp: list(&self.prefill_tp),
                pp: list(&self.prefill_pp),
                ep: list(&self.prefill_ep),
                attention_dp: list(&self.prefill_attention_dp),
                dcp: Vec::new(),
            },
            replicas: list(&self.replicas),
            batch: list(&self.batch).into_iter().map(u64::from).collect(),
        }
    }

    /// The plan that is given; degrees that are left out are 1.
    fn deployed(&self) -> Result<Deployed, Diagnostic> {
        if let (Some(prefill), Some(decode)) = (&self.prefill, &self.decode) {
            return Ok(Deployed::Split(SplitWorkers {
                prefill: layout::workers("--prefill", prefill, layout::PREFILL)?,
                decode: layout::workers("--decode", decode, layout::DECODE)?,
            }));
        }
        let degree = |flag: &str, values: &Option<Values>| match list(values).as_slice() {
            [] => Ok(1),
            [one] => Ok(*one),
            _ => Err(usage("one plan has one degree of each kind")
                .at(flag)
                .help("`shardfit plan` compares several")),
        };
        let split = Parallelism {
            tp: degree("--tp", &self.tp)?,
            pp: degree("--pp", &self.pp)?.max(self.stages_named().unwrap_or(1)),
            ep: degree("--ep", &self.ep)?,
            attention_dp: degree("--attention-dp", &self.attention_dp)?,
            dcp: degree("--dcp", &self.dcp)?,
        };
        Ok(Deployed::Replicas(split, degree("--replicas", &self.replicas)?))
    }

    fn mode(&self) -> Result<Mode, Diagnostic> {
        self.mode
            .as_deref()
            .map_or(Ok(Mode::default()), |name| name.parse().map_err(|d: Diagnostic| d.within("--mode")))
    }

    fn front(&self) -> Result<Front, Diagnostic> {
        let Some(text) = &self.pareto else { return Ok(Front::default()) };
        let measures = text.split(',').map(|name| name.trim().parse::<Measure>());
        let front = measures.collect::<Result<Vec<_>, _>>().and_then(Front::new);
        front.map_err(|d| d.within("--pareto"))
    }

    fn verification(&self) -> Result<Verification, Diagnostic> {
        let depth = match within("--verify", self.verify, 0..=1000)? {
            None => Depth::First,
            Some(0) => Depth::Nothing,
            Some(plans) => Depth::Plans(usize::try_from(plans).unwrap_or(usize::MAX)),
        };
        let at = [self.ttft, self.tpot, self.e2e].into_iter().flatten().any(|target| target.at.is_some());
        if depth == Depth::Nothing && (at || self.percentile.is_some()) {
            let cause = "only what is simulated has percentiles";
            return Err(usage(cause).at("--verify 0").help("leave it out"));
        }
        Ok(Verification { depth })
    }

    fn what_if(&self) -> Result<Vec<WhatIf>, Diagnostic> {
        let read = |text: &String| text.parse::<WhatIf>().map_err(|d| d.within("--what-if"));
        texts(&self.what_if).iter().map(read).collect()
    }

    fn time_limit(&self) -> Result<Option<Seconds>, Diagnostic> {
        match self.time_limit {
            Some(limit) if !(limit.get() > 0.0 && limit.get() <= MAX_TIME_LIMIT) => {
                Err(range("--time-limit", "must lie between 0 and 24 hours"))
            }
            limit => Ok(limit),
        }
    }

    /// Requests to take from a trace at most, warm-up included.
    fn trace_requests(&self) -> u64 {
        self.requests.unwrap_or(MAX_REQUESTS).saturating_add(self.warmup.unwrap_or(0))
    }

    fn source(&self, workload: &Workload, in_trace: u64) -> Result<Source, Diagnostic> {
        let (burstiness, speed) = (self.burstiness.unwrap_or(1.0), self.speed.unwrap_or(1.0));
        if burstiness.is_nan() || burstiness <= 0.0 {
            return Err(range("--burstiness", "must be positive"));
        }
        if !(speed > 0.0 && speed.is_finite()) {
            return Err(range("--speed", "must be positive"));
        }
        within("--requests", self.requests, 1..=MAX_REQUESTS)?;
        within("--warmup", self.warmup, 0..=MAX_REQUESTS)?;
        if let Some(path) = &self.trace {
            let before = self.warmup.unwrap_or(0);
            let requests = Requests { before, count: in_trace.saturating_sub(before), after: 0 };
            let prefix_cache = self.no_prefix_cache != Some(true);
            let columns = self.named_columns()?;
            return Ok(Source::Trace { path: path.into(), columns, speed, requests, prefix_cache });
        }
        let protocol = self.protocol.as_deref().map_or(Ok(Protocol::Steady), str::parse::<Protocol>)?;
        protocol.takes(workload.load)?;
        if workload.sessions.is_some() && protocol != Protocol::Steady {
            let cause = format!("{} sends requests that have nothing in common", protocol.name());
            return Err(usage(cause).at("--protocol").help("leave it out beside --sessions"));
        }
        let mut drive = Drive::new(protocol, workload, self.seed.unwrap_or(1));
        // A distribution that is spelled out is taken as it is.
        for (entry, lengths) in [(&self.isl, &mut drive.lengths.0), (&self.osl, &mut drive.lengths.1)] {
            if let Some(LengthEntry(spelled)) = entry
                && !matches!(spelled, Lengths::Fixed(_))
            {
                *lengths = spelled.clone();
            }
        }
        drive.burstiness = burstiness;
        drive.requests.count = self.requests.unwrap_or(drive.requests.count);
        drive.requests.before = self.warmup.unwrap_or(drive.requests.before);
        Ok(Source::Drawn { drive, protocol, count: self.requests, before: self.warmup })
    }

    /// What drives a simulation, in words.
    fn drive_in_words(&self, workload: &Workload) -> String {
        if let Some(path) = &self.trace {
            let speed = self.speed.unwrap_or(1.0);
            let speed = if speed == 1.0 { String::new() } else { format!(" at {speed} times its speed") };
            return format!("trace {path}{speed}");
        }
        let load = match workload.load {
            Load::Saturate => "all requests at once".to_owned(),
            Load::Concurrency(n) => format!("{n} in flight"),
            Load::Rate(rate) => format!("{} req/s", rate.get()),
            Load::Users(n) => format!("{n} users"),
        };
        if let Some(sessions) = workload.sessions {
            return format!("sessions {sessions}, {load}, protocol {}", Protocol::Steady.name());
        }
        let hit =
            self.prefix_hit.map_or(String::new(), |hit| format!(" ({:.0} % of it cached)", 100.0 * hit.0));
        let words = |entry: &Option<LengthEntry>, mean: u64| {
            entry.as_ref().map_or(mean.to_string(), |entry| entry.0.to_string())
        };
        let (isl, osl) = (words(&self.isl, workload.isl), words(&self.osl, workload.osl));
        let cut = if workload.cut { CUT_LENGTHS } else { "" };
        let protocol = self.protocol.as_deref().unwrap_or(Protocol::Steady.name());
        match workload.purpose.pools() {
            true => format!("{}, isl {isl}{hit}{cut}, {load}, protocol {protocol}", workload.purpose.name()),
            false => format!("isl {isl}{hit}, osl {osl}{cut}, {load}, protocol {protocol}"),
        }
    }
}

/// The model beside an EAGLE-3 head as they are published for it: one dense layer of its widths, 32,000 tokens of the
/// vocabulary.
fn with_eagle_head(model: Model) -> Result<Model, Diagnostic> {
    let heads = model.layer_blocks().find_map(|block| match block {
        Block::Attention(a) => Some((a.heads, a.kv_heads, a.head_dim)),
        _ => None,
    });
    let inner = model.layer_blocks().find_map(|block| match block {
        Block::Mlp(mlp) => Some(mlp.inner),
        _ => None,
    });
    let (heads, kv, head_dim) = heads.unwrap_or(((model.hidden / 128).max(1), 8, 128));
    let config = serde_json::json!({
        "model_type": "llama",
        "architectures": ["LlamaForCausalLMEagle3"],
        "num_hidden_layers": 1,
        "hidden_size": model.hidden,
        "intermediate_size": inner.unwrap_or(model.hidden.saturating_mul(4)),
        "num_attention_heads": heads,
        "num_key_value_heads": kv,
        "head_dim": head_dim,
        "vocab_size": model.vocabulary,
        "draft_vocab_size": model.vocabulary.min(32_000),
        "tie_word_embeddings": false,
        "torch_dtype": "bfloat16",
    });
    let config = config.as_object().cloned().unwrap_or_default();
    let name = format!("EAGLE-3 head of {}", model.id);
    let head = crate::model::from_config(&config, &name, crate::model::Scope::Full)?;
    Ok(model.with_draft(head))
}

/// The parts of a list in one text.
fn parts_of(text: &str) -> Vec<String> {
    text.split(',').map(|part| part.trim().to_owned()).collect()
}

/// Gives the GPUs what was measured of the model's kernels; returns engine and GPU of which nothing is known.
fn measure(
    catalog: &Catalog,
    pools: &mut [Cluster],
    engines: &[Engine],
    current: Option<&Current>,
    model: &Model,
) -> Result<Vec<(String, String)>, Diagnostic> {
    let mut unknown = Vec::new();
    if catalog.has_kernels() {
        let named = current.iter().filter_map(|current| current.engine.clone());
        let engines: Vec<Engine> = engines.iter().cloned().chain(named).collect();
        let wanted = measured::operations(model);
        for pool in pools {
            for engine in catalog.measure(pool, &engines, &wanted)? {
                unknown.push((engine.name.clone(), pool.gpu.name.clone()));
            }
        }
    }
    Ok(unknown)
}

/// `gpus` of a GPU in its usual servers, called as they were asked for.
///
/// # Errors
/// An unknown GPU; more GPUs than a cluster has.
pub fn of_gpus(catalog: &Catalog, gpu: &str, gpus: u32) -> Result<Cluster, Diagnostic> {
    let mut cluster = Cluster::of_gpus(catalog.gpu(gpu)?, gpus)?;
    if !load::is_yaml(gpu) {
        cluster.id = format!("{gpus}x{}", gpu.trim());
    }
    Ok(cluster)
}

/// A cluster at the prices that name its GPU, by a name of the catalogue or its own.
///
/// # Errors
/// [`Code::Usage`] for what is no price, [`Code::UnknownName`] for an unknown GPU.
pub fn priced(catalog: &Catalog, mut cluster: Cluster, prices: &[String]) -> Result<Cluster, Diagnostic> {
    for entry in prices {
        let wrong = |why: &str| {
            usage(format!("`{}`: {why}", brief(entry)))
                .at("--price")
                .help("write GPU=DOLLARS per GPU and hour, for example h100-sxm=2.10")
        };
        let (gpu, dollars) = entry.split_once('=').ok_or_else(|| wrong("expected GPU=DOLLARS"))?;
        let dollars: f64 = dollars.trim().parse().map_err(|_| wrong("not a number"))?;
        if !(dollars >= 0.0 && dollars.is_finite()) {
            return Err(wrong("must not be negative"));
        }
        let own = gpu.trim() == cluster.gpu.id;
        if own || catalog.find(Kind::Gpu, gpu.trim()).map_err(|d| d.within("--price"))?.id() == cluster.gpu.id
        {
            cluster.price = Some(UsdPerHour::new(dollars));
        }
    }
    Ok(cluster)
}

/// Refuses values of an axis that no pool has GPUs for, before plans are made of them. A single one is refused with the
/// rule that it breaks.
fn refuse_degrees_beyond(pins: &Pins, pools: &[Cluster]) -> Result<(), Diagnostic> {
    let most = pools.iter().map(|pool| pool.gpus).max().unwrap_or(0);
    let (split, prefill) = (&pins.split, &pins.prefill);
    let axes = [
        ("--tp", &split.tp),
        ("--pp", &split.pp),
        ("--ep", &split.ep),
        ("--attention-dp", &split.attention_dp),
        ("--dcp", &split.dcp),
        ("--prefill-tp", &prefill.tp),
        ("--prefill-pp", &prefill.pp),
        ("--prefill-ep", &prefill.ep),
        ("--prefill-attention-dp", &prefill.attention_dp),
    ];
    let beyond = |degrees: &&Vec<u32>| degrees.len() > 1 && degrees.iter().any(|n| *n > most);
    match axes.into_iter().find(|(_, degrees)| beyond(degrees)) {
        Some((flag, degrees)) => {
            let largest = degrees.iter().max().copied().unwrap_or(0);
            Err(range(flag, format!("{largest} is more than the cluster has GPUs"))
                .help(format!("degrees of at most {most}")))
        }
        None => Ok(()),
    }
}

/// Refuses prices of GPUs that the question does not have: they would change nothing.
pub fn refuse_idle_prices(catalog: &Catalog, pools: &[Cluster], prices: &[String]) -> Result<(), Diagnostic> {
    for entry in prices {
        // What is no price is said where it is read.
        let Some((gpu, _)) = entry.split_once('=') else { continue };
        let Ok(found) = catalog.find(Kind::Gpu, gpu.trim()) else { continue };
        let has = |pool: &Cluster| pool.gpu.id == gpu.trim() || pool.gpu.id == found.id();
        if !pools.iter().any(has) {
            let all = pools.iter().map(|pool| pool.gpu.id.as_str()).unique().join(", ");
            return Err(usage(format!("the question has no {}", found.id()))
                .at("--price")
                .help(format!("it has {all}")));
        }
    }
    Ok(())
}

/// Mean lengths of a trace, which the memory estimate needs before the run, and how many requests it has.
fn mean_of_trace(path: &Path, columns: &NamedColumns, requests: u64) -> Result<(Workload, u64), Diagnostic> {
    let mut trace = Trace::open_by(path, columns, 1.0, requests)?;
    let (mut n, mut prompt, mut output) = (0u64, 0.0, 0.0);
    while let Some(next) = trace.next()? {
        n += 1;
        prompt += next.prompt as f64;
        output += next.output as f64;
    }
    if n == 0 {
        return Err(Diagnostic::new(Code::Range, "the trace holds no request").at(path.display().to_string()));
    }
    let mean = |sum: f64| (sum / n as f64).round().max(1.0) as u64;
    Ok((Workload::new(mean(prompt), mean(output)), n))
}
