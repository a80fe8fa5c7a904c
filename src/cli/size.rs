//! `shardfit size`: the smallest or cheapest fleet for a rate, and its growth along a forecast.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::catalog::{Catalog, Cluster};
use crate::diagnostic::{Code, Diagnostic, brief};
use crate::plan::space::Pins;
use crate::rank::{Front, Objective};
use crate::report::{self, SizeAnswer, Subject};
use crate::search::size::{Demand, Least, Unit, growth};
use crate::search::{Mode, Question, Stop};
use crate::units::RequestsPerSecond;
use crate::workload::forecast::{self, Month};
use crate::workload::{Load, MAX_LENGTH, Workload};

use super::common::{EngineArgs, ModelArgs, TargetArgs, cluster, cluster_of, prefix, rate};
use super::outcome::Outcome;
use super::output::OutputArgs;
use super::speculation::SpeculationArgs;
use super::talk;
use super::values::{count, names, share};

/// Arguments of `size`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    shardfit size llama-3.1-8b --gpu l40s,h100-sxm --rate 20 --ttft 1s --tpot 40ms\n  \
    shardfit size llama-3.1-8b --gpu h100-sxm --forecast traffic.csv --headroom 20% --spare 1 --unit 8\n  \
    shardfit size llama-3.1-70b --clusters 8xh100-sxm,8xh200-sxm --rate 5 --tpot 40ms")]
pub struct SizeArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Kinds of GPU to choose from, by name or YAML file
    #[arg(long, value_name = "GPU", value_delimiter = ',', help_heading = "Hardware")]
    #[arg(required_unless_present = "clusters", conflicts_with = "clusters")]
    gpu: Vec<String>,
    /// Clusters to choose from, bought whole; a replica stands in one
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
    targets: TargetArgs,
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
    #[arg(required_unless_present = "forecast", conflicts_with = "forecast")]
    rate: Option<String>,
    /// CSV file with the columns month and rate_per_s: the fleet of each month
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Demand")]
    forecast: Option<PathBuf>,
    /// Capacity above the rate, e.g. 20%
    #[arg(
        long,
        default_value = "0%",
        value_name = "SHARE",
        allow_hyphen_values = true,
        help_heading = "Demand"
    )]
    headroom: String,
    /// Replicas beyond those needed
    #[arg(long, default_value = "0", value_name = "N", value_parser = count(0..=1000), help_heading = "Demand")]
    spare: u64,
    /// Prompt tokens [default: 2048, less in a shorter context]
    #[arg(long, value_name = "TOKENS", help_heading = "Demand", value_parser = count(1..=MAX_LENGTH))]
    isl: Option<u64>,
    /// Output tokens [default: 512, less in a shorter context]
    #[arg(long, value_name = "TOKENS", help_heading = "Demand", value_parser = count(1..=MAX_LENGTH))]
    osl: Option<u64>,
    /// Share of each prompt that is in the prefix cache and not computed, in (0, 1]
    #[arg(long, value_name = "X", value_parser = share, help_heading = "Demand")]
    prefix_hit: Option<f64>,
}

impl DemandArgs {
    /// The months of the forecast; none without one.
    fn months(&self) -> Result<Vec<Month>, Diagnostic> {
        self.forecast.as_deref().map_or(Ok(Vec::new()), forecast::read)
    }

    /// The rate, or the largest of the months.
    fn rate(&self, months: &[Month]) -> Result<RequestsPerSecond, Diagnostic> {
        match &self.rate {
            Some(text) => rate(text),
            None => Ok(months.iter().map(|m| m.rate).fold(RequestsPerSecond::ZERO, RequestsPerSecond::max)),
        }
    }

    /// `20%` or `0.2`.
    fn headroom(&self) -> Result<f64, Diagnostic> {
        let text = self.headroom.trim();
        let (number, scale) = text.strip_suffix('%').map_or((text, 1.0), |n| (n.trim(), 0.01));
        number.parse::<f64>().ok().map(|x| x * scale).filter(|x| (0.0..=100.0).contains(x)).ok_or_else(|| {
            Diagnostic::new(Code::Range, format!("`{}` is not a headroom", brief(text)))
                .at("--headroom")
                .help("a share of the rate from 0 to 10000 %, for example 20% or 0.2")
        })
    }
}

impl SizeArgs {
    /// A cluster for each kind of GPU: those named, or one as large as the largest replica.
    fn places(&self, catalog: &Catalog) -> Result<Vec<Cluster>, Diagnostic> {
        if !self.clusters.is_empty() {
            return self.clusters.iter().map(|name| cluster(catalog, name, &self.price)).collect();
        }
        let of = |name: &String| {
            let four = catalog.gpu(name)?.gpus_per_node.saturating_mul(4);
            let most = self.max_replica.and_then(|n| u32::try_from(n).ok()).unwrap_or(four);
            cluster_of(catalog, name, most.min(four), &self.price)
        };
        self.gpu.iter().map(of).collect()
    }

    fn demand(&self, months: &[Month]) -> Result<Demand, Diagnostic> {
        let unit = match self.clusters.is_empty() {
            true => Unit::Gpus(self.unit.and_then(|n| u32::try_from(n).ok()).unwrap_or(1)),
            false => Unit::Clusters,
        };
        let least = match self.objective.as_str() {
            "cost" => Least::Cost,
            "gpus" => Least::Gpus,
            other => {
                return Err(Diagnostic::unknown("objective", other, ["cost", "gpus"], "allowed: cost, gpus"));
            }
        };
        let spare = u32::try_from(self.demand.spare).unwrap_or(u32::MAX);
        Ok(Demand { rate: self.demand.rate(months)?, headroom: self.demand.headroom()?, spare, unit, least })
    }
}

/// Runs the command.
pub fn run(args: &SizeArgs, catalog: &Catalog) -> Result<Outcome, Diagnostic> {
    let format = args.output.prepare()?;
    let model = args.model.find(catalog)?;
    let months = args.demand.months()?;
    let demand = args.demand(&months)?;
    demand.validate()?;
    let d = &args.demand;
    let lengths = Workload::of_lengths(d.isl, d.osl, model.max_context);
    let workload = Workload {
        cached_prefix: prefix(d.prefix_hit, lengths.isl),
        load: Load::Rate(demand.rate),
        targets: args.targets.targets()?,
        speculation: args.speculation.speculation()?,
        ..lengths
    };
    workload.validate()?;
    workload.fits_context(model.max_context).map_err(|d| d.at(model.id.clone()))?;
    let mut places = args.places(catalog)?;
    args.engine.host.on(&mut places)?;
    let engines = args.engine.engines(catalog, &places)?;
    let question = Question {
        model: &model,
        pools: &places,
        engines: &engines,
        workload,
        objective: Objective::Throughput,
        precisions: args.engine.precisions()?,
        pins: Pins::default(),
        launches: args.engine.launches(args.speculation.both())?,
        electricity: None,
        current: None,
        top: 1,
        mode: Mode::Aggregated,
        front: Front::default(),
        exhaustive: false,
        stop: Stop::NEVER,
    };
    let sizings = question.size(&demand)?;
    let best = sizings.first().and_then(|s| s.fleets.first().map(|fleet| (s, fleet)));
    let growth = best.map(|(s, fleet)| growth(fleet, &s.cluster, &demand, &months)).unwrap_or_default();
    let top = usize::try_from(args.top).unwrap_or(usize::MAX);
    let answer = SizeAnswer { demand: &demand, sizings: &sizings, top, growth: &growth };
    let subject =
        Subject { model: &model, cluster: "", pools: &places, engines: &engines, workload: &workload };
    let text = format.write(
        args.output.width(),
        || Ok(report::size_text(&subject, &answer, args.output.width())),
        || Ok(report::size_json(&subject, &answer)),
        || match best {
            Some((sizing, _)) if !growth.is_empty() => {
                let subject = Subject { cluster: &sizing.cluster.id, ..subject };
                Ok(report::growth_sheet(&growth).about(subject.asked()))
            }
            _ => Ok(report::size_sheet(&subject, &answer)),
        },
    )?;
    args.output.emit(&text)?;
    talk::note(|| format!("{} kinds of GPU", sizings.len()));
    Ok(if best.is_some() { Outcome::Found } else { Outcome::NothingFeasible })
}
