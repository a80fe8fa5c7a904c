//! `shardfit train`: ranked training plans.

use std::str::FromStr;

use clap::Args;

use crate::catalog::{self, Catalog, Engine, Framework, Kind};
use crate::diagnostic::{Code, Diagnostic, brief};
use crate::model::Model;
use crate::report::{self, Format, Trained};
use crate::train::{
    Convention, Job, Machine, Offload, Operations, Optimizer, Precision, Recompute, Schedule, Sharding,
    TrainingAnswer, TrainingAxes, TrainingQuestion, Tuning,
};
use crate::units::{BytesPerSecond, Seconds};

use super::common::{ModelArgs, cluster, degrees};
use super::outcome::Outcome;
use super::output::OutputArgs;
use super::values::{count, names};

/// Longest sequence and largest batch accepted.
const MOST: u64 = 1 << 24;

/// Arguments of `train`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    shardfit train llama-3.1-70b --cluster 64xh100-sxm --global-batch 512 --seq 8192\n  \
    shardfit train llama-3.1-8b --cluster 8xh100-sxm --global-batch 64 --seq 8192 --explain 1\n  \
    shardfit train llama-3.1-8b --cluster 8xh100-sxm --global-batch 64 --seq 8192 --why-not tp=8\n  \
    shardfit train qwen3-8b --cluster 1xl40s --global-batch 8 --seq 2048 --tuning lora --lora rank=8")]
pub struct TrainArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Cluster: a name, 8xh100-sxm, 2048xh100-sxm or a YAML file
    #[arg(long, value_name = "CLUSTER", allow_hyphen_values = true, help_heading = "Hardware")]
    cluster: String,
    /// Price per GPU and hour in dollars, e.g. h100-sxm=2.10
    #[arg(long, value_name = "GPU=USD", help_heading = "Hardware")]
    price: Vec<String>,
    #[command(flatten)]
    job: JobArgs,
    #[command(flatten)]
    axes: AxesArgs,
    #[command(flatten)]
    operations: OperationsArgs,
    /// Splits to show
    #[arg(long, default_value = "10", value_name = "N", value_parser = count(1..=1000), help_heading = "Ranking")]
    top: u64,
    /// Show where the time and the memory of this plan of the ranking go
    #[arg(long, value_name = "RANK", value_parser = count(1..=1000), help_heading = "Ranking")]
    #[arg(conflicts_with_all = ["why_not", "emit"])]
    explain: Option<u64>,
    /// Why plans with these degrees are not the best, e.g. tp=2,pp=1
    #[arg(long, value_name = "DEGREES", help_heading = "Ranking", conflicts_with = "emit")]
    why_not: Option<String>,
    /// Write the best plan for megatron, torchtitan or deepspeed
    #[arg(long, value_name = "FRAMEWORK", help_heading = "Output")]
    #[arg(value_parser = names(report::EMIT_TARGETS), hide_possible_values = true)]
    emit: Option<String>,
    /// What TFLOP/s and MFU count: model (causal attention), whole-square, recomputed (forward twice) or 6n
    #[arg(long, default_value = "model", value_name = "CONVENTION", help_heading = "Output")]
    #[arg(value_parser = names(Convention::NAMES), hide_possible_values = true)]
    flops: String,
    #[command(flatten)]
    output: OutputArgs,
}

/// What is trained.
#[derive(Debug, Args)]
struct JobArgs {
    /// Sequences of one step, over all GPUs
    #[arg(long, value_name = "N", value_parser = count(1..=MOST), help_heading = "Training")]
    global_batch: u64,
    /// Tokens of a sequence
    #[arg(long, value_name = "TOKENS", value_parser = count(1..=MOST), help_heading = "Training")]
    seq: u64,
    /// Training framework, by name or YAML file
    #[arg(long, default_value = "megatron-bridge", value_name = "NAME", help_heading = "Training")]
    #[arg(value_parser = names(frameworks()), hide_possible_values = true)]
    framework: String,
    /// adam, adam-bf16, adam-8bit, adafactor, sgd or muon
    #[arg(long, default_value = "adam", value_name = "NAME", help_heading = "Training")]
    #[arg(value_parser = names(Optimizer::NAMES.iter().copied()), hide_possible_values = true)]
    optimizer: String,
    /// Number formats of products: bf16, fp8, mxfp8, nvfp4
    #[arg(
        long,
        default_value = "bf16",
        value_name = "FORMAT",
        value_delimiter = ',',
        help_heading = "Training"
    )]
    #[arg(value_parser = names(Precision::NAMES.iter().copied()), hide_possible_values = true)]
    precision: Vec<String>,
    /// full, lora or qlora; the last two train the adapters of --lora
    #[arg(long, default_value = "full", value_name = "WHAT", help_heading = "Training")]
    #[arg(value_parser = names(Tuning::NAMES.iter().copied()), hide_possible_values = true)]
    tuning: String,
    /// Train multi-token prediction too, where the model has it
    #[arg(long, help_heading = "Training")]
    mtp: bool,
}

fn frameworks() -> impl Iterator<Item = &'static str> {
    catalog::entries(Kind::Framework).iter().map(|entry| entry.id)
}

/// What is searched.
#[derive(Debug, Args)]
struct AxesArgs {
    /// Which plans: usual (what frameworks offer) or calculon (the axes of Calculon's exhaustive search)
    #[arg(long, default_value = "usual", value_name = "AXES", help_heading = "Search")]
    #[arg(value_parser = names(["usual", "calculon"]), hide_possible_values = true)]
    axes: String,
    /// Tensor parallel: a value, a list or a range [default: all inside a node that divide]
    #[arg(long, value_name = "N", help_heading = "Search")]
    tp: Option<String>,
    /// Pipeline stages
    #[arg(long, value_name = "N", help_heading = "Search")]
    pp: Option<String>,
    /// Context parallel [default: 1,2,4,8]
    #[arg(long, value_name = "N", help_heading = "Search")]
    cp: Option<String>,
    /// Expert parallel
    #[arg(long, value_name = "N", help_heading = "Search")]
    ep: Option<String>,
    /// Tensor parallel inside experts [default: 1]
    #[arg(long, value_name = "N", help_heading = "Search")]
    expert_tp: Option<String>,
    /// Sequences of a microbatch [default: 1,2,4,8]
    #[arg(long, value_name = "N", help_heading = "Search")]
    micro_batch: Option<String>,
    /// Chunks of layers on each rank of a pipeline
    #[arg(long, value_name = "N", help_heading = "Search")]
    vp: Option<String>,
    /// 1f1b, zero-bubble, zero-bubble-h2, dualpipe [default: 1f1b, interleaved where --vp is above 1]
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Search")]
    #[arg(value_parser = names(Schedule::NAMES.iter().copied()), hide_possible_values = true)]
    schedule: Vec<String>,
    /// ddp, zero1, zero2, zero3 (FSDP), hsdp [default: zero1,zero3]
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Search")]
    #[arg(value_parser = names(Sharding::NAMES.iter().copied()), hide_possible_values = true)]
    sharding: Vec<String>,
    /// none, selective, light, operators, full [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Search")]
    #[arg(value_parser = names(Recompute::NAMES.iter().copied()), hide_possible_values = true)]
    recompute: Vec<String>,
    /// Also consider the host's memory for: weights, optimizer, activations
    #[arg(long, value_name = "WHAT", value_delimiter = ',', help_heading = "Search")]
    #[arg(value_parser = names(["weights", "optimizer", "activations"]), hide_possible_values = true)]
    offload: Vec<String>,
}

/// How the run is operated.
#[derive(Debug, Args)]
struct OperationsArgs {
    /// Tokens of the whole run, e.g. 15T or 300B: days and dollars
    #[arg(long, value_name = "TOKENS", help_heading = "Run")]
    tokens: Option<String>,
    /// Mean time between failures of one GPU, e.g. "50000 h" [default: that of Llama 3's training]
    #[arg(long, value_name = "TIME", help_heading = "Run")]
    mtbf: Option<String>,
    /// From a failure to the next step [default: 10 min]
    #[arg(long, value_name = "TIME", help_heading = "Run")]
    restart: Option<String>,
    /// Bandwidth of each node to storage [default: 2 GB/s]
    #[arg(long, value_name = "RATE", help_heading = "Run")]
    storage: Option<String>,
}

fn parsed<T: FromStr<Err = Diagnostic>>(list: &[String], usual: Vec<T>) -> Result<Vec<T>, Diagnostic> {
    if list.is_empty() {
        return Ok(usual);
    }
    list.iter().map(|text| text.trim().parse()).collect()
}

/// A positive quantity with its unit.
fn positive<T: FromStr<Err = String>>(
    flag: &str,
    text: &Option<String>,
    usual: T,
    value: fn(&T) -> f64,
) -> Result<T, Diagnostic> {
    let Some(text) = text else { return Ok(usual) };
    let parsed: T = text.parse().map_err(|cause: String| Diagnostic::new(Code::Syntax, cause).at(flag))?;
    if value(&parsed) > 0.0 {
        return Ok(parsed);
    }
    Err(Diagnostic::new(Code::Range, format!("`{}` is not above zero", brief(text))).at(flag))
}

/// A count with a suffix: K, M, B or G, T, P, or an exponent.
pub fn large(flag: &str, text: &str) -> Result<f64, Diagnostic> {
    let trimmed = text.trim();
    let scales = [("K", 1e3), ("M", 1e6), ("B", 1e9), ("G", 1e9), ("T", 1e12), ("P", 1e15)];
    let found = scales.iter().find_map(|(s, x)| Some((trimmed.strip_suffix(s)?, *x)));
    let (number, scale) = found.unwrap_or((trimmed, 1.0));
    match number.trim().parse::<f64>() {
        Ok(x) if x > 0.0 && (x * scale).is_finite() => Ok(x * scale),
        _ => Err(Diagnostic::new(Code::Range, format!("`{}` is not a number above zero", brief(text)))
            .at(flag.to_owned())
            .help("for example 15T, 300B or 1.5e13")),
    }
}

impl OperationsArgs {
    fn operations(&self) -> Result<Operations, Diagnostic> {
        let usual = Operations::USUAL;
        Ok(Operations {
            tokens: self.tokens.as_deref().map(|t| large("--tokens", t)).transpose()?,
            failure: positive("--mtbf", &self.mtbf, usual.failure, |t: &Seconds| t.get())?,
            restart: positive("--restart", &self.restart, usual.restart, |t: &Seconds| t.get())?,
            storage: positive("--storage", &self.storage, usual.storage, |r: &BytesPerSecond| r.get())?,
        })
    }
}

impl AxesArgs {
    fn axes(&self, per_node: u32, precision: Vec<Precision>) -> Result<TrainingAxes, Diagnostic> {
        let mut axes = match self.axes.as_str() {
            "usual" => TrainingAxes::usual(per_node),
            "calculon" => TrainingAxes::calculon(),
            other => {
                let known = ["usual", "calculon"];
                return Err(Diagnostic::unknown("axes", other, known, "allowed: usual, calculon"));
            }
        };
        axes.precision = precision;
        let named = [
            ("--tp", &self.tp, &mut axes.tp),
            ("--pp", &self.pp, &mut axes.pp),
            ("--cp", &self.cp, &mut axes.cp),
            ("--ep", &self.ep, &mut axes.ep),
            ("--expert-tp", &self.expert_tp, &mut axes.expert_tp),
            ("--micro-batch", &self.micro_batch, &mut axes.micro_batch),
            ("--vp", &self.vp, &mut axes.chunks),
        ];
        for (flag, text, axis) in named {
            if text.is_some() {
                *axis = degrees(flag, text)?;
            }
        }
        if self.tp.is_some() {
            axes.most_tp = u32::MAX;
        }
        axes.schedules = parsed(&self.schedule, axes.schedules)?;
        axes.sharding = parsed(&self.sharding, axes.sharding)?;
        axes.recompute = parsed(&self.recompute, axes.recompute)?;
        if !self.offload.is_empty() {
            axes.offload = self.offloads()?;
        }
        Ok(axes)
    }

    /// Nothing on the host, and all of what is named.
    fn offloads(&self) -> Result<Vec<Offload>, Diagnostic> {
        let mut all = vec![Offload::default()];
        for name in &self.offload {
            let with = |o: &Offload| match name.as_str() {
                "weights" => Ok(Offload { weights: true, ..*o }),
                "optimizer" => Ok(Offload { optimizer: true, ..*o }),
                "activations" => Ok(Offload { activations: true, ..*o }),
                other => {
                    let known = ["weights", "optimizer", "activations"];
                    let list = "allowed: weights, optimizer, activations";
                    Err(Diagnostic::unknown("thing to offload", other, known, list))
                }
            };
            let more: Vec<Offload> = all.iter().map(with).collect::<Result<_, _>>()?;
            all.extend(more);
        }
        Ok(all)
    }
}

/// Degrees as `tp=2,pp=1` says, over the axes of the question.
fn pinned(text: &str, axes: &TrainingAxes) -> Result<TrainingAxes, Diagnostic> {
    let keys = ["tp", "pp", "cp", "ep", "expert_tp", "mbs", "vp"];
    let mut axes = axes.clone();
    for pair in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or_else(|| {
            Diagnostic::new(Code::Syntax, format!("`{}` is no key=value", brief(pair)))
                .at("--why-not")
                .help("for example tp=2,pp=1")
        })?;
        let axis = match key.trim() {
            "tp" => &mut axes.tp,
            "pp" => &mut axes.pp,
            "cp" => &mut axes.cp,
            "ep" => &mut axes.ep,
            "expert_tp" => &mut axes.expert_tp,
            "mbs" => &mut axes.micro_batch,
            "vp" => &mut axes.chunks,
            other => {
                let list = format!("allowed: {}", keys.join(", "));
                return Err(Diagnostic::unknown("key", other, keys, &list).at("--why-not"));
            }
        };
        *axis = degrees("--why-not", &Some(value.trim().to_owned()))?;
        if key.trim() == "tp" {
            axes.most_tp = u32::MAX;
        }
    }
    Ok(axes)
}

/// What a search needs, owned.
struct Setting {
    models: Vec<(Precision, Model)>,
    cluster: crate::catalog::Cluster,
    framework: Framework,
    engine: Engine,
    optimizer: Optimizer,
    tuning: Tuning,
}

impl TrainArgs {
    fn setting(&self, catalog: &Catalog) -> Result<Setting, Diagnostic> {
        if self.model.draft_model.is_some() {
            let cause = "a draft model serves, it is not trained with".to_owned();
            return Err(Diagnostic::new(Code::Usage, cause).at("--draft-model"));
        }
        let model = self.model.find(catalog)?;
        let tuning: Tuning = self.job.tuning.parse()?;
        tuning.check(&model)?;
        let framework = catalog.framework(&self.job.framework)?;
        let engine = catalog.engine(&framework.kernels)?;
        let mut precisions: Vec<Precision> = parsed(&self.job.precision, vec![Precision::Bf16])?;
        precisions.dedup();
        let models = precisions.into_iter().map(|p| (p, Job::in_precision(&model, p))).collect();
        let cluster = cluster(catalog, &self.cluster, &self.price)?;
        let optimizer = self.job.optimizer.parse()?;
        Ok(Setting { models, cluster, framework, engine, optimizer, tuning })
    }
}

/// Runs the command.
pub fn run(args: &TrainArgs, catalog: &Catalog) -> Result<Outcome, Diagnostic> {
    // What other programs read is in their own formats.
    let format = if args.emit.is_some() { args.output.prepare_text() } else { args.output.prepare() }?;
    let convention: Convention = args.flops.parse()?;
    let operations = args.operations.operations()?;
    let setting = args.setting(catalog)?;
    let machine = Machine::new(&setting.cluster, &setting.framework, &setting.engine)?;
    let job = |model| Job {
        model,
        machine: &machine,
        sequence: args.job.seq,
        global_batch: args.job.global_batch,
        optimizer: setting.optimizer,
        tuning: setting.tuning,
        with_prediction: args.job.mtp,
    };
    let jobs: Vec<(Precision, Job)> = setting.models.iter().map(|(p, m)| (*p, job(m))).collect();
    let precisions = jobs.iter().map(|(p, _)| *p).collect();
    let axes = args.axes.axes(machine.per_node(), precisions)?;
    let top = usize::try_from(args.top.max(args.explain.unwrap_or(1))).unwrap_or(usize::MAX);
    let ask = |axes: &TrainingAxes| TrainingQuestion { jobs: &jobs, axes, top }.answer();
    let answer = ask(&axes)?;
    let about = |answer| Trained {
        job: &jobs[0].1,
        answer,
        operations: &operations,
        price: setting.cluster.price,
        convention,
    };
    let text = match (&args.why_not, args.explain, &args.emit) {
        (Some(degrees), ..) => why_not(&about, &answer, &ask(&pinned(degrees, &axes)?)?, format, args)?,
        (_, Some(rank), _) => explained(&about(&answer), rank, format, args)?,
        (_, _, Some(target)) => {
            let best = answer.best.first().ok_or_else(|| nothing("--emit"))?;
            report::emit(target, &jobs[0].1, &best.plan)?
        }
        _ => {
            let trained = about(&answer);
            let width = args.output.width();
            format.write(width, || Ok(trained.text(width)), || Ok(trained.json()), || Ok(trained.sheet()))?
        }
    };
    args.output.emit(&text)?;
    Ok(if answer.best.is_empty() { Outcome::NothingFeasible } else { Outcome::Found })
}

fn nothing(flag: &str) -> Diagnostic {
    Diagnostic::new(Code::Usage, "no plan is feasible").at(flag.to_owned()).help("run without it to see why")
}

fn why_not<'a>(
    about: &impl Fn(&'a TrainingAnswer) -> Trained<'a>,
    all: &'a TrainingAnswer,
    asked: &'a TrainingAnswer,
    format: Format,
    args: &TrainArgs,
) -> Result<String, Diagnostic> {
    let trained = about(asked);
    let text = || Ok(report::why_not_text(&trained, all.best.first()));
    format.write(args.output.width(), text, || Ok(trained.json()), || Ok(trained.sheet()))
}

fn explained(trained: &Trained, rank: u64, format: Format, args: &TrainArgs) -> Result<String, Diagnostic> {
    let at = usize::try_from(rank - 1).unwrap_or(usize::MAX);
    let best = &trained.answer.best;
    let estimate = best.get(at).ok_or_else(|| {
        Diagnostic::new(Code::Range, format!("rank {rank} of {} plans", best.len())).at("--explain")
    })?;
    let width = args.output.width();
    let json = || trained.explanation_json(estimate);
    format.write(
        width,
        || Ok(trained.explanation(estimate, width)),
        || Ok(json()),
        || Ok(report::Sheet::of_json(&json())),
    )
}
