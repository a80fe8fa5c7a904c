//! `shardfit train`: ranked training plans.

use clap::Args;

use crate::ask::{self, View};
use crate::catalog::{self, Catalog, Kind};
use crate::diagnostic::Diagnostic;
use crate::report;
use crate::request::train::{MOST, MOST_PLANS};
use crate::request::{Amount, Texts, TrainRequest, Values};
use crate::search::Stop;
use crate::train::{Convention, Optimizer, Precision, Recompute, Schedule, Sharding, Tuning};

use super::common::{ModelArgs, degrees, note_cluster, note_detected, note_model, prices};
use super::outcome::Outcome;
use super::output::OutputArgs;
use super::values::{count, names, tokens};

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
    /// Cluster: a name, 8xh100-sxm, 2048xh100-sxm, a YAML file, local or k8s
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
    #[arg(long, default_value = "10", value_name = "N", value_parser = count(1..=MOST_PLANS), help_heading = "Ranking")]
    top: u64,
    /// Show where the time and the memory of this plan of the ranking go
    #[arg(long, value_name = "RANK", value_parser = count(1..=MOST_PLANS), help_heading = "Ranking")]
    #[arg(conflicts_with_all = ["why_not", "emit"])]
    explain: Option<u64>,
    /// Why plans with these degrees are not the best, e.g. tp=2,pp=1
    #[arg(long, value_name = "DEGREES", help_heading = "Ranking", conflicts_with = "emit")]
    why_not: Option<String>,
    /// Write the best plan for megatron, torchtitan, deepspeed or axolotl, which has adapters
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
    #[arg(long, value_name = "TOKENS", value_parser = tokens(1..=MOST), help_heading = "Training")]
    seq: u64,
    /// Training framework, by name or YAML file [default: megatron-bridge, or one that runs on the GPU and tunes so]
    #[arg(long, value_name = "NAME", help_heading = "Training")]
    #[arg(value_parser = names(frameworks()), hide_possible_values = true)]
    framework: Option<String>,
    /// adam, adam-bf16, adam-8bit, adafactor, sgd or muon
    #[arg(long, default_value = "adam", value_name = "NAME", help_heading = "Training")]
    #[arg(value_parser = names(Optimizer::NAMES.iter().copied()), hide_possible_values = true)]
    optimizer: String,
    /// Number formats of products: bf16, fp16, fp8, mxfp8, nvfp4 [default: bf16; fp16 where the GPU has no BF16]
    #[arg(long, value_name = "FORMAT", value_delimiter = ',', help_heading = "Training")]
    #[arg(value_parser = names(Precision::NAMES.iter().copied()), hide_possible_values = true)]
    precision: Vec<String>,
    /// full, lora or qlora; the last two train the adapters of --lora [default of those: rank=16,targets=all-linear]
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
    /// Memory of each node's host: memory=256GiB,bandwidth=307GB/s[,link=32GB/s to one GPU]; plans that leave more there fall
    /// [default: the cluster's, if its file says]
    #[arg(long, value_name = "KEY=VALUE,…", help_heading = "Search")]
    host: Option<String>,
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

impl TrainArgs {
    /// What is asked.
    fn request(&self) -> Result<TrainRequest, Diagnostic> {
        let (job, axes, run) = (&self.job, &self.axes, &self.operations);
        let values = |flag: &str, text: &Option<String>| match text {
            None => Ok(None),
            text => degrees(flag, text).map(|all| Some(Values(all))),
        };
        Ok(TrainRequest {
            schema_version: None,
            model: self.model.request(),
            cluster: Some(self.cluster.clone()),
            price: prices(&self.price),
            global_batch: Some(job.global_batch),
            seq: Some(job.seq),
            framework: job.framework.clone(),
            optimizer: Some(job.optimizer.clone()),
            precision: Texts::given(&job.precision),
            tuning: Some(job.tuning.clone()),
            mtp: job.mtp.then_some(true),
            axes: Some(axes.axes.clone()),
            tp: values("--tp", &axes.tp)?,
            pp: values("--pp", &axes.pp)?,
            cp: values("--cp", &axes.cp)?,
            ep: values("--ep", &axes.ep)?,
            expert_tp: values("--expert-tp", &axes.expert_tp)?,
            micro_batch: values("--micro-batch", &axes.micro_batch)?,
            vp: values("--vp", &axes.vp)?,
            schedule: Texts::given(&axes.schedule),
            sharding: Texts::given(&axes.sharding),
            recompute: Texts::given(&axes.recompute),
            offload: Texts::given(&axes.offload),
            host: axes.host.clone(),
            tokens: run.tokens.clone().map(Amount),
            mtbf: run.mtbf.clone(),
            restart: run.restart.clone(),
            storage: run.storage.clone(),
            top: Some(self.top),
            explain: self.explain,
            why_not: self.why_not.clone(),
            emit: self.emit.clone(),
            flops: Some(self.flops.clone()),
        })
    }
}

/// Runs the command.
pub fn run(args: &TrainArgs, catalog: &Catalog) -> Result<Outcome, Diagnostic> {
    // What other programs read is in their own formats.
    let format = if args.emit.is_some() { args.output.prepare_text() } else { args.output.prepare() }?;
    let training = args.request()?.resolve_as_flags(catalog, &args.model.hub()?)?;
    if let Some((_, model)) = training.models.first() {
        note_model(model);
    }
    note_detected(catalog, Some(&args.cluster));
    note_cluster(&training.cluster);
    let view = View::new(format, args.output.width());
    args.output.answer(&ask::train::written(&training, Stop::NEVER, view)?)
}
