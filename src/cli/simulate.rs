//! `shardfit simulate`: one deployment in discrete events: percentiles, goodput, queues.

use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::ask::launched::Read;
use crate::ask::{self, View};
use crate::catalog::Catalog;
use crate::diagnostic::{Code, Diagnostic};
use crate::load;
use crate::report;
use crate::request::{Deployed, LengthEntry, Lists, MAX_REQUESTS, Request, ShareEntry, Simulated, Task};
use crate::search::Stop;
use crate::simulate::{Lengths, Observer, Protocol, State};
use crate::workload::MAX_CONCURRENCY;

use super::common::{EngineArgs, ModelArgs, TargetArgs, rate, resolve};
use super::inputs::InputArgs;
use super::kernels::KernelsArgs;
use super::launch::LaunchArgs;
use super::outcome::Outcome as Exit;
use super::output::OutputArgs;
use super::place::PlaceArgs;
use super::sessions::SessionArgs;
use super::speculation::SpeculationArgs;
use super::split::SplitArgs;
use super::talk;
use super::values::{amount, count, names, probability, real};

/// Arguments of `simulate`.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
#[command(after_help = "Examples:\n  \
    shardfit simulate llama-3.1-70b --gpu h100-sxm --tp 4 --concurrency 64 --isl 2048 --osl 512\n  \
    shardfit simulate llama-3.1-8b --gpu l40s --rate 4 --isl lognormal:900,0.8 --osl uniform:50..400 --ttft 1s\n  \
    shardfit simulate --gpu h100-sxm --launch serve.sh --rate 4\n  \
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
    inputs: InputArgs,
    #[command(flatten)]
    targets: TargetArgs,
    #[command(flatten)]
    sessions: SessionArgs,
    #[command(flatten)]
    speculation: SpeculationArgs,
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    pub(super) kernels: KernelsArgs,
    #[command(flatten)]
    launch: LaunchArgs,
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
    #[arg(long, value_name = "N", value_parser = amount(1..=MAX_CONCURRENCY), help_heading = "Load")]
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
    /// Requests from a file: CSV (arrival_s, prompt_tokens, output_tokens; the columns of Azure's traces, BurstGPT
    /// and Vidur are known) or Mooncake's JSON lines
    #[arg(long, value_name = "FILE", help_heading = "Load", conflicts_with_all = ["isl", "osl", "protocol"])]
    trace: Option<PathBuf>,
    /// Columns of any other CSV file: arrival=…,prompt=…,output=…[,session=…], times in seconds or as dates;
    /// arrival_ms=… for milliseconds
    #[arg(long, value_name = "NAMES", help_heading = "Load", requires = "trace")]
    columns: Option<String>,
    /// Share of each prompt that is in the prefix cache and not computed, e.g. 50%
    #[arg(long, value_name = "X", value_parser = probability, help_heading = "Load", conflicts_with = "trace")]
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
    #[arg(long, value_name = "N", value_parser = amount(1..=MAX_REQUESTS), help_heading = "Load")]
    requests: Option<u64>,
    /// Requests in the beginning that do not count [default: the protocol's]
    #[arg(long, value_name = "N", value_parser = count(0..=MAX_REQUESTS), help_heading = "Load")]
    warmup: Option<u64>,
    /// Seed of what is drawn; the same seed gives the same result
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = count(0..=u64::MAX), help_heading = "Load")]
    seed: u64,
}

impl DriveArgs {
    fn fill(&self, request: &mut Request) -> Result<(), Diagnostic> {
        let lengths = |flag: &str, text: &Option<String>| {
            let read = text.as_ref().map(|text| text.parse::<Lengths>().map(LengthEntry));
            read.transpose().map_err(|d| d.at(flag))
        };
        request.isl = lengths("--isl", &self.isl)?;
        request.osl = lengths("--osl", &self.osl)?;
        if self.trace.is_none() {
            request.protocol = Some(self.protocol.clone());
        }
        request.allow_long_context = self.allow_long_context.then_some(true);
        request.concurrency = self.concurrency;
        request.rate = self.rate.as_deref().map(rate).transpose()?;
        request.burstiness = Some(self.burstiness);
        request.trace = self.trace.as_ref().map(|file| file.to_string_lossy().into_owned());
        request.columns.clone_from(&self.columns);
        request.prefix_hit = self.prefix_hit.map(ShareEntry);
        request.no_prefix_cache = self.no_prefix_cache.then_some(true);
        request.speed = Some(self.speed);
        request.requests = self.requests;
        request.warmup = self.warmup;
        request.seed = Some(self.seed);
        Ok(())
    }
}

impl SimulateArgs {
    /// What is asked.
    fn request(&self) -> Result<Request, Diagnostic> {
        let mut request = Request::default();
        self.model.fill(&mut request);
        self.place.fill(&mut request);
        self.split.fill(&mut request);
        self.drive.fill(&mut request)?;
        self.inputs.fill(&mut request);
        let mut lists = Lists::default();
        self.targets.fill(&mut request, &mut lists)?;
        self.sessions.fill(&mut request, &mut lists);
        lists.refuse("simulate")?;
        self.speculation.fill(&mut request);
        self.engine.fill(&mut request);
        request.launch.clone_from(&self.launch.launch);
        Ok(request)
    }
}

/// Runs the command.
pub fn run(args: &SimulateArgs, catalog: &Catalog) -> Result<Exit, Diagnostic> {
    let view = View::new(args.output.prepare()?, args.output.width());
    if let Some(path) = &args.timeline {
        load::check_writable(path)?;
    }
    let mut request = args.request()?;
    let launched = Read::into(&mut request, catalog, &args.model.hub()?)?;
    request.launch = None;
    launched.iter().flat_map(Read::remarks).for_each(|remark| talk::say(&remark));
    launched.iter().try_for_each(|launched| launched.runs(&request))?;
    let resolved = resolve(&request, Task::Simulate, catalog)?;
    if args.timeline.is_some() && matches!(resolved.deployed, Some(Deployed::Split(_))) {
        let cause = "a timeline is of one replica, not of split pools";
        return Err(Diagnostic::new(Code::Usage, cause).at("--timeline"));
    }
    let simulated = resolved.simulate_watched(Stop::NEVER, Progress::new)?;
    if let (Some(path), Simulated::Ran { timeline, .. }) = (&args.timeline, &simulated) {
        load::write_whole(path, report::timeline_sheet(timeline).csv()?.as_bytes())?;
    }
    args.output.answer(&ask::simulate::written(&resolved, &simulated, view)?)
}

/// Requests between two looks at the progress bar.
const REFRESH: u64 = 4096;

/// Moves the bar of a replica, and takes it away at the end.
struct Progress {
    bar: ProgressBar,
    shown: u64,
}

impl Progress {
    fn new(requests: Option<u64>) -> Progress {
        Progress { bar: bar(requests), shown: 0 }
    }
}

impl Observer for Progress {
    fn saw(&mut self, state: &State) {
        if state.answered >= self.shown + REFRESH {
            self.shown = state.answered;
            self.bar.set_position(state.answered);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A bar on stderr; hidden when quiet or when stderr is no terminal.
fn bar(requests: Option<u64>) -> ProgressBar {
    if talk::is_quiet() {
        return ProgressBar::hidden();
    }
    let template = match requests {
        Some(_) => "{bar:40} {pos}/{len} requests, {per_sec}, {eta} left",
        None => "{spinner} {pos} requests, {per_sec}",
    };
    let style = ProgressStyle::with_template(template).expect("a template of our own");
    match requests {
        Some(n) => ProgressBar::new(n),
        None => ProgressBar::new_spinner(),
    }
    .with_style(style)
}
