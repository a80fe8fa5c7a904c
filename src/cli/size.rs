//! `shardfit size`: the smallest or cheapest fleet for a rate, and its growth along a forecast.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::ask::{self, Setting, View};
use crate::catalog::Catalog;
use crate::diagnostic::{Code, Diagnostic, brief};
use crate::request::{Lists, Request, ShareEntry, Task, Texts};
use crate::search::Stop;
use crate::workload::MAX_LENGTH;

use super::common::{EngineArgs, ModelArgs, TargetArgs, compared, lengths, prices, rates, resolve, shares};
use super::inputs::InputArgs;
use super::outcome::Outcome;
use super::output::OutputArgs;
use super::sessions::SessionArgs;
use super::speculation::SpeculationArgs;
use super::stop::stop;
use super::talk;
use super::values::{count, names, probability, tokens};

/// Arguments of `size`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    shardfit size llama-3.1-8b --gpu l40s,h100-sxm --rate 20 --ttft 1s --tpot 40ms\n  \
    shardfit size llama-3.1-8b --gpu h100-sxm --rate 5,20,80 --tpot 30ms,60ms\n  \
    shardfit size llama-3.1-8b --gpu h100-sxm --forecast traffic.csv --headroom 20% --spare 1 --unit 8\n  \
    shardfit size llama-3.1-70b --clusters 8xh100-sxm,8xh200-sxm --rate 5 --tpot 40ms")]
pub struct SizeArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Kinds of GPU to choose from, by name or YAML file; any for all that have a price, with filters after it:
    /// any,vendor=nvidia,memory=80GiB,price=3,cloud=aws,measured
    #[arg(long, value_name = "GPU", value_delimiter = ',', help_heading = "Hardware")]
    #[arg(required_unless_present = "clusters", conflicts_with = "clusters")]
    gpu: Vec<String>,
    /// Clusters to choose from, bought whole; a replica stands in one; any for a usual server of each GPU that
    /// has a price, with the same filters
    #[arg(long, value_name = "CLUSTER", value_delimiter = ',', help_heading = "Hardware")]
    clusters: Vec<String>,
    /// GPUs that are bought together [default: 1]
    #[arg(long, value_name = "N", value_parser = count(1..=1024), conflicts_with = "clusters", help_heading = "Hardware")]
    unit: Option<u64>,
    /// Most GPUs of one replica, up to four usual servers [default: four servers]
    #[arg(long, value_name = "N", value_parser = count(1..=1024), conflicts_with = "clusters", help_heading = "Hardware")]
    max_replica: Option<u64>,
    /// Price per GPU and hour in dollars, e.g. h100-sxm=2.10
    #[arg(long, value_name = "GPU=USD", help_heading = "Hardware")]
    price: Vec<String>,
    #[command(flatten)]
    demand: DemandArgs,
    #[command(flatten)]
    inputs: InputArgs,
    #[command(flatten)]
    targets: TargetArgs,
    /// Hold the targets at this percentile, as simulated, where they name none themselves, e.g. p95
    /// [default: the mean]
    #[arg(long, value_name = "P", help_heading = "Targets")]
    percentile: Option<String>,
    /// Size for limits on times that hold on a real server with this chance, by those measured, e.g. 90% [default: as
    /// estimated]
    #[arg(long, value_name = "CHANCE", help_heading = "Targets")]
    confidence: Option<String>,
    #[command(flatten)]
    sessions: SessionArgs,
    #[command(flatten)]
    speculation: SpeculationArgs,
    #[command(flatten)]
    engine: EngineArgs,
    /// What to have least of: cost or gpus
    #[arg(long, default_value = "cost", value_name = "WHAT", help_heading = "Ranking")]
    #[arg(value_parser = names(["cost", "gpus"]), hide_possible_values = true)]
    objective: String,
    /// Fleets to show of each kind of GPU
    #[arg(long, default_value = "1", value_name = "N", value_parser = count(1..=1000), help_heading = "Ranking")]
    top: u64,
    #[command(flatten)]
    output: OutputArgs,
}

/// What is to be served.
#[derive(Debug, Args)]
struct DemandArgs {
    /// Requests per second in the busiest hour, e.g. 50 or "300 req/min"
    #[arg(long, value_name = "RATE", allow_hyphen_values = true, help_heading = "Demand")]
    #[arg(required_unless_present_any = ["forecast", "users"], conflicts_with = "forecast", value_delimiter = ',')]
    rate: Vec<String>,
    /// CSV file with the columns month and rate_per_s: the fleet of each month
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Demand")]
    forecast: Option<PathBuf>,
    /// Capacity above the rate, e.g. 20%; 0% for none
    #[arg(
        long,
        default_value = "25%",
        value_name = "SHARE",
        allow_hyphen_values = true,
        help_heading = "Demand"
    )]
    headroom: String,
    /// Replicas beyond those needed
    #[arg(long, default_value = "0", value_name = "N", value_parser = count(0..=1000), help_heading = "Demand")]
    spare: u64,
    /// Prompt tokens, e.g. 2048 or 2k, which is the same; a list, 1k,8k, of this as of the rate and the targets, sizes for
    /// each beside the other [default: 2048, less in a shorter context]
    #[arg(long, value_name = "TOKENS", help_heading = "Demand", value_parser = tokens(1..=MAX_LENGTH), value_delimiter = ',')]
    isl: Vec<u64>,
    /// Output tokens [default: 512, less in a shorter context]
    #[arg(long, value_name = "TOKENS", help_heading = "Demand", value_parser = tokens(1..=MAX_LENGTH), value_delimiter = ',')]
    osl: Vec<u64>,
    /// Share of each prompt that is in the prefix cache and not computed, e.g. 50% or 0,0.5
    #[arg(long, value_name = "X", value_parser = probability, help_heading = "Demand", value_delimiter = ',')]
    prefix_hit: Vec<f64>,
}

impl DemandArgs {
    /// `20%` or `0.2`. `20` is 20 % too.
    fn headroom(&self) -> Result<f64, Diagnostic> {
        let wrong = || {
            Diagnostic::new(Code::Range, format!("`{}` is not a headroom", brief(self.headroom.trim())))
                .at("--headroom")
                .help("a share of the rate from 0 to 10000 %, for example 20% or 0.2")
        };
        let share = ShareEntry::on_top(&self.headroom).map_err(|_| wrong())?.0;
        if (0.0..=100.0).contains(&share) { Ok(share) } else { Err(wrong()) }
    }

    fn fill(&self, request: &mut Request, lists: &mut Lists) -> Result<(), Diagnostic> {
        request.rate = rates(&self.rate, lists)?;
        request.forecast = self.forecast.as_ref().map(|file| file.to_string_lossy().into_owned());
        request.headroom = Some(ShareEntry(self.headroom()?));
        request.spare = Some(self.spare);
        request.isl = lengths("isl", &self.isl, lists);
        request.osl = lengths("osl", &self.osl, lists);
        request.prefix_hit = shares("prefix_hit", &self.prefix_hit, lists);
        Ok(())
    }
}

impl SizeArgs {
    /// What is asked, with the first of several values, and the lists of them.
    fn request(&self) -> Result<(Request, Lists), Diagnostic> {
        let mut lists = Lists::default();
        let mut request = Request {
            gpu: Texts::given(&self.gpu),
            clusters: Texts::given(&self.clusters),
            unit: self.unit,
            max_replica: self.max_replica,
            price: prices(&self.price),
            objective: Some(self.objective.clone()),
            top: Some(self.top),
            percentile: self.percentile.clone(),
            confidence: self.confidence.clone(),
            ..Request::default()
        };
        self.model.fill(&mut request);
        self.demand.fill(&mut request, &mut lists)?;
        self.inputs.fill(&mut request);
        self.targets.fill(&mut request, &mut lists)?;
        self.sessions.fill(&mut request, &mut lists);
        self.speculation.fill(&mut request);
        self.engine.fill(&mut request);
        Ok((request, lists))
    }
}

/// Runs the command.
pub fn run(args: &SizeArgs, catalog: &Catalog) -> Result<Outcome, Diagnostic> {
    let view = View::new(args.output.prepare()?, args.output.width());
    let (request, lists) = args.request()?;
    let points = request.with_lists(&lists, Task::Size)?;
    if points.len() > 1 {
        let setting = Setting { catalog, hub: args.model.hub()?, stop: stop(None) };
        return compared(Task::Size, &points, &setting, (&args.output, view));
    }
    let resolved = resolve(&request, Task::Size, catalog)?;
    // Ctrl-C ends the program: there is nothing to show before all is done.
    let answered = ask::size::written(&resolved, Stop::NEVER, view)?;
    talk::note(|| format!("{} kinds of GPU", resolved.pools.len()));
    args.output.answer(&answered)
}
