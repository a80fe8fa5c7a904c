//! `shardfit simulate`: one deployment in discrete events: percentiles, goodput, queues.

use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::catalog::Catalog;
use crate::diagnostic::{Code, Diagnostic};
use crate::estimate::deployment::{Context, ContextParts, Deployment};
use crate::estimate::pairing::Worker;
use crate::estimate::service::Replica;
use crate::load;
use crate::model::Model;
use crate::plan::reason::Stage;
use crate::report::{self, SimulationSubject};
use crate::simulate::{
    Arrivals, Drive, Lengths, Observer, Outcome, Protocol, Requests, Share, Simulation, SplitSimulation,
    State, Timeline, Trace, Workers,
};
use crate::workload::{Load, MAX_CONCURRENCY, Workload};

use super::common::{EngineArgs, ModelArgs, TargetArgs, prefix, rate};
use super::kernels::{self, KernelsArgs};
use super::outcome::Outcome as Exit;
use super::output::OutputArgs;
use super::place::PlaceArgs;
use super::speculation::SpeculationArgs;
use super::split::{Pools, SplitArgs};
use super::talk;
use super::values::{count, names, real, share};

/// Arguments of `simulate`.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
#[command(after_help = "Examples:\n  \
    shardfit simulate llama-3.1-70b --gpu h100-sxm --tp 4 --concurrency 64 --isl 2048 --osl 512\n  \
    shardfit simulate llama-3.1-8b --gpu l40s --rate 4 --isl lognormal:900,0.8 --osl uniform:50..400 --ttft 1s\n  \
    shardfit simulate qwen3-32b --gpu h200-sxm --replicas 4 --trace trace.csv --timeline queue.csv")]
pub struct SimulateArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    split: SplitArgs,
    #[command(flatten)]
    drive: DriveArgs,
    #[command(flatten)]
    targets: TargetArgs,
    #[command(flatten)]
    speculation: SpeculationArgs,
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    pub(super) kernels: KernelsArgs,
    /// Write the queue, the running sequences and the cache over time to FILE, as CSV
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    timeline: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

/// What drives it.
#[derive(Debug, Args)]
struct DriveArgs {
    /// Prompt tokens: 2048, uniform:LOW..HIGH or lognormal:MEAN,SIGMA [default: 2048, less in a shorter context]
    #[arg(long, value_name = "LENGTHS", allow_hyphen_values = true, help_heading = "Load")]
    isl: Option<String>,
    /// Output tokens, in the same forms [default: 512, less in a shorter context]
    #[arg(long, value_name = "LENGTHS", allow_hyphen_values = true, help_heading = "Load")]
    osl: Option<String>,
    /// Accept mean lengths beyond the model's context
    #[arg(long, help_heading = "Load")]
    allow_long_context: bool,
    /// Clients that send their next request when the last is answered
    #[arg(long, value_name = "N", value_parser = count(1..=MAX_CONCURRENCY), help_heading = "Load")]
    #[arg(conflicts_with_all = ["rate", "trace"])]
    concurrency: Option<u64>,
    /// Requests per second, however long the answers take, e.g. 5 or "300 req/min"
    #[arg(
        long,
        value_name = "RATE",
        allow_hyphen_values = true,
        help_heading = "Load",
        conflicts_with = "trace"
    )]
    rate: Option<String>,
    /// Gamma shape of the gaps under --rate: 1 is Poisson, less is burstier, inf is constant
    #[arg(long, default_value_t = 1.0, value_name = "X", value_parser = real, help_heading = "Load")]
    burstiness: f64,
    /// Requests from a file: CSV (arrival_s, prompt_tokens, output_tokens; Azure's and Vidur's columns are
    /// known) or Mooncake's JSON lines
    #[arg(long, value_name = "FILE", help_heading = "Load", conflicts_with_all = ["isl", "osl", "protocol"])]
    trace: Option<PathBuf>,
    /// Share of each prompt that is in the prefix cache and not computed, in (0, 1]
    #[arg(long, value_name = "X", value_parser = share, help_heading = "Load", conflicts_with = "trace")]
    prefix_hit: Option<f64>,
    /// Compute every prompt of a trace whole, though it says what prompts have in common (hash_ids, or
    /// prefix_group and prefix_tokens)
    #[arg(long, help_heading = "Load", requires = "trace")]
    no_prefix_cache: bool,
    /// Play the trace this many times as fast
    #[arg(long, default_value_t = 1.0, value_name = "X", value_parser = real, help_heading = "Load")]
    speed: f64,
    /// steady, inferencex, trtllm-bench or mlperf-server
    #[arg(long, default_value = "steady", value_name = "NAME", help_heading = "Load")]
    #[arg(value_parser = names(Protocol::ALL.map(Protocol::name)), hide_possible_values = true)]
    protocol: String,
    /// Requests to send [default: the protocol's; of a trace, all]
    #[arg(long, value_name = "N", value_parser = count(1..=MAX_REQUESTS), help_heading = "Load")]
    requests: Option<u64>,
    /// Requests in the beginning that do not count [default: the protocol's]
    #[arg(long, value_name = "N", value_parser = count(0..=MAX_REQUESTS), help_heading = "Load")]
    warmup: Option<u64>,
    /// Seed of what is drawn; the same seed gives the same result
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = count(0..=u64::MAX), help_heading = "Load")]
    seed: u64,
}

/// Requests that a run sends at most: weeks of a large fleet's traffic.
const MAX_REQUESTS: u64 = 1_000_000_000;

/// Where requests come from.
enum Source<'a> {
    Drawn(Drive),
    Trace { path: &'a PathBuf, speed: f64, requests: Requests },
}

impl DriveArgs {
    /// What drives it, in words.
    fn words(&self, workload: &Workload) -> String {
        if let Some(path) = &self.trace {
            let speed =
                if self.speed == 1.0 { String::new() } else { format!(" at {} times its speed", self.speed) };
            return format!("trace {}{speed}", path.display());
        }
        let load = match workload.load {
            Load::Saturate => "all requests at once".to_owned(),
            Load::Concurrency(n) => format!("{n} in flight"),
            Load::Rate(rate) => format!("{} req/s", rate.get()),
        };
        let hit =
            self.prefix_hit.map_or(String::new(), |hit| format!(" ({:.0} % of it cached)", 100.0 * hit));
        let said = |text: &Option<String>, tokens: u64| text.clone().unwrap_or_else(|| tokens.to_string());
        let (isl, osl) = (said(&self.isl, workload.isl), said(&self.osl, workload.osl));
        let cut = if workload.cut { report::CUT_LENGTHS } else { "" };
        format!("isl {isl}{hit}, osl {osl}{cut}, {load}, protocol {}", self.protocol)
    }

    fn load(&self) -> Result<Load, Diagnostic> {
        Ok(match (self.concurrency, &self.rate) {
            (Some(n), _) => Load::Concurrency(n),
            (None, Some(text)) => Load::Rate(rate(text)?),
            (None, None) => Load::Saturate,
        })
    }

    /// Lengths as the estimates take them: the means.
    fn workload(&self, model: &Model) -> Result<Workload, Diagnostic> {
        let mean = |flag: &str, text: &Option<String>| {
            let mean = |l: Lengths| l.mean().round().max(1.0) as u64;
            text.as_ref().map(|t| t.parse().map(mean)).transpose().map_err(|d: Diagnostic| d.at(flag))
        };
        let context = model.max_context.filter(|_| !self.allow_long_context);
        let lengths = Workload::of_lengths(mean("--isl", &self.isl)?, mean("--osl", &self.osl)?, context);
        let cached_prefix = prefix(self.prefix_hit, lengths.isl);
        Ok(Workload { cached_prefix, load: self.load()?, ..lengths })
    }

    /// Requests to take from a trace at most, warm-up included.
    fn trace_requests(&self) -> u64 {
        self.requests.unwrap_or(MAX_REQUESTS).saturating_add(self.warmup.unwrap_or(0))
    }

    fn source(&self, workload: &Workload, in_trace: u64) -> Result<Source<'_>, Diagnostic> {
        let range = |flag: &str, cause: &str| Diagnostic::new(Code::Range, cause.to_owned()).at(flag);
        if self.burstiness.is_nan() || self.burstiness <= 0.0 {
            return Err(range("--burstiness", "must be positive"));
        }
        if !(self.speed > 0.0 && self.speed.is_finite()) {
            return Err(range("--speed", "must be positive"));
        }
        if let Some(path) = &self.trace {
            let before = self.warmup.unwrap_or(0);
            let requests = Requests { before, count: in_trace.saturating_sub(before), after: 0 };
            return Ok(Source::Trace { path, speed: self.speed, requests });
        }
        let protocol: Protocol = self.protocol.parse()?;
        protocol.takes(workload.load)?;
        let mut drive = Drive::new(protocol, workload, self.seed);
        // A distribution that is spelled out is taken as it is.
        for (text, lengths) in [(&self.isl, &mut drive.lengths.0), (&self.osl, &mut drive.lengths.1)] {
            if let Some(text) = text.as_ref().filter(|text| text.parse::<u64>().is_err()) {
                *lengths = text.parse()?;
            }
        }
        drive.burstiness = self.burstiness;
        drive.requests.count = self.requests.unwrap_or(drive.requests.count);
        drive.requests.before = self.warmup.unwrap_or(drive.requests.before);
        Ok(Source::Drawn(drive))
    }
}

/// Runs the command.
pub fn run(args: &SimulateArgs, catalog: &Catalog) -> Result<Exit, Diagnostic> {
    let format = args.output.prepare()?;
    if let Some(path) = &args.timeline {
        load::check_writable(path)?;
    }
    let model = args.model.find(catalog)?;
    let (workload, in_trace) = match &args.drive.trace {
        Some(path) => mean_of_trace(path, args.drive.trace_requests())?,
        None => (args.drive.workload(&model)?, 0),
    };
    let (targets, speculation) = (args.targets.targets()?, args.speculation.single()?);
    let workload = Workload { targets, speculation, ..workload };
    workload.validate()?;
    if !args.drive.allow_long_context {
        workload.fits_context(model.max_context).map_err(|d| d.at(model.id.clone()))?;
    }
    let source = args.drive.source(&workload, in_trace)?;
    let split = args.place.split();
    let pools = args.split.pools()?;
    let mut cluster = match &pools {
        Some(pools) => args.place.cluster_of(catalog, &[], pools.gpus())?,
        None => args.place.cluster(catalog, &[])?,
    };
    args.engine.host.on(std::slice::from_mut(&mut cluster))?;
    let (engine, precision) = args.engine.single(catalog, &cluster)?;
    kernels::measure(catalog, [&mut cluster], std::slice::from_ref(&engine), &model)?;
    let model = match precision.weights {
        Some(format) => model.with_weights(format),
        None => model,
    };
    let limits = args.engine.limits(split.pp)?;
    let (cluster_ref, engine_ref) = (&cluster, &engine);
    let parts = ContextParts {
        model: &model,
        cluster: cluster_ref,
        engine: engine_ref,
        limits,
        kv: precision.kv,
        workload,
        electricity: None,
    };
    let context = Context::new(parts)?;
    if let Some(pools) = &pools {
        return run_split(args, &source, &context, pools);
    }
    let place = format!("{split} with {}", engine.id);
    let deployment = match Deployment::new(&context, split) {
        Ok(deployment) => deployment,
        Err(reason) if reason.stage() == Stage::OutOfMemory => {
            args.output.emit(&report::no_simulation(&reason, &place, format, args.output.width())?)?;
            return Ok(Exit::NothingFeasible);
        }
        Err(reason) => return Err(Diagnostic::new(Code::Usage, reason.message()).at(place)),
    };
    args.place.fits(deployment.placement.max_replicas)?;
    let mut timeline = Timeline::new();
    let outcome = replicas(args, &source, &deployment.replica(), &mut timeline)?;
    if let Some(path) = &args.timeline {
        load::write_whole(path, report::timeline_sheet(&timeline).csv()?.as_bytes())?;
    }
    let subject = SimulationSubject {
        model: &model,
        cluster: &cluster,
        engine: &engine,
        parallelism: split,
        replicas: args.place.replicas.into(),
        workload: &workload,
        drive: &args.drive.words(&workload),
        prefill: None,
    };
    args.output.emit(&report::simulation(&subject, &outcome, &timeline, format, args.output.width())?)?;
    Ok(if outcome.requests > 0 { Exit::Found } else { Exit::NothingFeasible })
}

/// Runs split pools: all workers at once, since they share what arrives.
fn run_split(
    args: &SimulateArgs,
    source: &Source,
    context: &Context,
    pools: &Pools,
) -> Result<Exit, Diagnostic> {
    if args.timeline.is_some() {
        let cause = "a timeline is of one replica, not of split pools";
        return Err(Diagnostic::new(Code::Usage, cause).at("--timeline"));
    }
    let (prefill, decode) = pools.deployments(context)?;
    let short = [("prefill", &prefill), ("decode", &decode)];
    let short = short.into_iter().find_map(|(kind, d)| Some((kind, d.memory.rejection()?)));
    if let Some((kind, reason)) = short {
        let place = format!("the {kind} worker");
        args.output.emit(&report::no_simulation(
            &reason,
            &place,
            args.output.prepare()?,
            args.output.width(),
        )?)?;
        return Ok(Exit::NothingFeasible);
    }
    let (from, to) = (Worker::of(&prefill), Worker::of(&decode));
    let transfer = pools.pair(&from, &to).transfer.time;
    let (prefill, decode) = (prefill.replica(), decode.replica());
    let (arrivals, requests): (Box<dyn Arrivals>, Requests) = match source {
        Source::Drawn(drive) => (drive.arrivals(), drive.requests),
        Source::Trace { path, speed, requests } => {
            (Box::new(Trace::open(path, *speed, requests.total())?), *requests)
        }
    };
    let workers = |replica, count| Workers { replica, count };
    let (x, y) = (workers(&prefill, pools.prefill.1), workers(&decode, pools.decode.1));
    let targets = context.workload.targets;
    let outcome = SplitSimulation::new(x, y, transfer, arrivals, requests.window(), targets).run()?;
    let subject = SimulationSubject {
        model: &context.model,
        cluster: context.cluster,
        engine: context.engine,
        parallelism: pools.decode.0,
        replicas: pools.decode.1.into(),
        workload: &context.workload,
        drive: &args.drive.words(&context.workload),
        prefill: Some(pools.prefill),
    };
    let (format, width) = (args.output.prepare()?, args.output.width());
    args.output.emit(&report::simulation(&subject, &outcome, &Timeline::new(), format, width)?)?;
    Ok(if outcome.requests > 0 { Exit::Found } else { Exit::NothingFeasible })
}

/// Mean lengths of a trace, which the memory estimate needs before the run, and how many requests it has.
fn mean_of_trace(path: &std::path::Path, requests: u64) -> Result<(Workload, u64), Diagnostic> {
    let mut trace = Trace::open(path, 1.0, requests)?;
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

/// Runs every replica on its share of the requests.
fn replicas(
    args: &SimulateArgs,
    source: &Source,
    replica: &Replica,
    timeline: &mut Timeline,
) -> Result<Outcome, Diagnostic> {
    let n = u64::from(args.place.replicas);
    let mut all = Outcome::default();
    for index in 0..n {
        let (arrivals, requests, sent): (Box<dyn Arrivals>, Requests, Option<u64>) = match source {
            Source::Drawn(drive) => {
                let part = part_of(drive, index, n);
                let arrivals = match drive.load {
                    Load::Rate(_) => Box::new(Share::new(drive.arrivals(), index, n)),
                    Load::Concurrency(_) | Load::Saturate => part.arrivals(),
                };
                (arrivals, part.requests, Some(part.requests.total()))
            }
            Source::Trace { path, speed, requests } => {
                let mut trace = Trace::open(path, *speed, requests.total())?;
                if !args.drive.no_prefix_cache {
                    trace = trace.with_prefix_cache(replica.cache_tokens());
                }
                (Box::new(Share::new(trace, index, n)), requests.part(index, n), None)
            }
        };
        if sent == Some(0) {
            continue;
        }
        let mut progress = Progress { bar: bar(sent)?, shown: 0, timeline, watch: index == 0 };
        let simulation = Simulation::new(replica, arrivals, requests.window(), replica.workload.targets);
        all.merge(&simulation.run(&mut progress)?);
        progress.bar.finish_and_clear();
    }
    Ok(all)
}

/// The part of a drive that falls to a replica: its share of the clients and of the requests.
fn part_of(drive: &Drive, index: u64, replicas: u64) -> Drive {
    let load = match drive.load {
        Load::Concurrency(n) => Load::Concurrency(n / replicas + u64::from(index < n % replicas)),
        other => other,
    };
    let requests = drive.requests.part(index, replicas);
    Drive { load, requests, seed: drive.seed.wrapping_add(index), ..drive.clone() }
}

/// Requests between two looks at the progress bar.
const REFRESH: u64 = 4096;

/// Fills the timeline and moves the bar.
struct Progress<'a> {
    bar: ProgressBar,
    shown: u64,
    timeline: &'a mut Timeline,
    /// The timeline is that of the first replica.
    watch: bool,
}

impl Observer for Progress<'_> {
    fn saw(&mut self, state: &State) {
        if self.watch {
            self.timeline.saw(state);
        }
        if state.answered >= self.shown + REFRESH {
            self.shown = state.answered;
            self.bar.set_position(state.answered);
        }
    }
}

/// A bar on stderr; hidden when quiet or when stderr is no terminal.
fn bar(requests: Option<u64>) -> Result<ProgressBar, Diagnostic> {
    if talk::is_quiet() {
        return Ok(ProgressBar::hidden());
    }
    let template = match requests {
        Some(_) => "{bar:40} {pos}/{len} requests, {per_sec}, {eta} left",
        None => "{spinner} {pos} requests, {per_sec}",
    };
    let style =
        ProgressStyle::with_template(template).map_err(|e| Diagnostic::new(Code::Usage, e.to_string()))?;
    Ok(match requests {
        Some(n) => ProgressBar::new(n),
        None => ProgressBar::new_spinner(),
    }
    .with_style(style))
}
