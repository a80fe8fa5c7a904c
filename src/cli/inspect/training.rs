//! `inspect --table training`: what each rank of a training plan holds, and what each layer keeps for backward.

use clap::Args;

use crate::catalog::{self, Catalog, Cluster, Kind};
use crate::cli::values::{count, degree, names};
use crate::diagnostic::{Code, Diagnostic};
use crate::estimate::breakdown::Setting;
use crate::model::Model;
use crate::report::{self, Section};
use crate::train::{
    Job, Machine, Optimizer, Precision, Recompute, Schedule, Sharding, Split, TensorTransfers, TrainingPlan,
    Tuning,
};

/// GPU whose number formats count where none is named.
const USUAL_GPU: &str = "h100-sxm";

/// How it is trained. `--batch` is the microbatch, `--seq` its sequences' length.
#[derive(Debug, Args)]
#[command(next_help_heading = "Training (--table training)")]
pub(super) struct TrainingArgs {
    /// Training framework, by name or YAML file
    #[arg(long, default_value = "megatron", value_name = "NAME")]
    #[arg(value_parser = names(catalog::entries(Kind::Framework).iter().map(|e| e.id)), hide_possible_values = true)]
    framework: String,
    /// adam, adam-bf16, adam-8bit, adafactor, sgd or muon
    #[arg(long, default_value = "adam", value_name = "NAME")]
    #[arg(value_parser = names(Optimizer::NAMES.iter().copied()), hide_possible_values = true)]
    optimizer: String,
    /// Number format of products: bf16, fp8, mxfp8, nvfp4
    #[arg(long, default_value = "bf16", value_name = "FORMAT")]
    #[arg(value_parser = names(Precision::NAMES.iter().copied()), hide_possible_values = true)]
    precision: String,
    /// full, lora or qlora, which train the adapters of --lora [default: full; lora with --lora]
    #[arg(long, value_name = "WHAT")]
    #[arg(value_parser = names(Tuning::NAMES.iter().copied()), hide_possible_values = true)]
    tuning: Option<String>,
    /// none, selective, light, operators, full
    #[arg(long, default_value = "none", value_name = "NAME")]
    #[arg(value_parser = names(Recompute::NAMES.iter().copied()), hide_possible_values = true)]
    recompute: String,
    /// ddp, zero1, zero2, zero3 (FSDP), hsdp [default: ddp; zero1 with --dp or --cp]
    #[arg(long, value_name = "NAME")]
    #[arg(value_parser = names(Sharding::NAMES.iter().copied()), hide_possible_values = true)]
    sharding: Option<String>,
    /// Order of microbatches: 1f1b, zero-bubble, zero-bubble-h2, dualpipe
    #[arg(long, default_value = "1f1b", value_name = "NAME")]
    #[arg(value_parser = names(Schedule::NAMES.iter().copied()), hide_possible_values = true)]
    schedule: String,
    /// Data parallel
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = degree)]
    dp: u32,
    /// Context parallel
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = degree)]
    cp: u32,
    /// Tensor parallel inside experts
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = degree)]
    expert_tp: u32,
    /// Chunks of layers on each rank of a pipeline
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = degree)]
    vp: u32,
    /// Microbatches of a step [default: two for each stage of a pipeline]
    #[arg(long, value_name = "N", value_parser = count(1..=1 << 20))]
    microbatches: Option<u64>,
    /// Leave the sequence whole between tensor-parallel regions
    #[arg(long)]
    no_sequence_parallel: bool,
    /// Train multi-token prediction too, where the model has it
    #[arg(long)]
    mtp: bool,
}

/// What is asked about training, once for all models.
pub(super) struct TrainingQuestion {
    plan: TrainingPlan,
    framework: catalog::Framework,
    cluster: Cluster,
    engine: catalog::Engine,
    optimizer: Optimizer,
    tuning: Option<Tuning>,
    sequence: u64,
    global_batch: u64,
    with_prediction: bool,
}

impl TrainingArgs {
    /// Reads the arguments; `[tp, pp, ep]` are the command's.
    pub(super) fn question(
        &self,
        setting: &Setting,
        gpu: Option<&str>,
        [tp, pp, ep]: [u32; 3],
        catalog: &Catalog,
    ) -> Result<TrainingQuestion, Diagnostic> {
        let split = Split { tp, pp, cp: self.cp, dp: self.dp, ep, expert_tp: self.expert_tp };
        let whole = split.dp == 1 && split.cp == 1;
        let usual = if whole { Sharding::None } else { Sharding::Optimizer };
        let micro_batch = u32::try_from(setting.batch)
            .map_err(|_| Diagnostic::new(Code::Range, "a microbatch is too large").at("--batch"))?;
        let gpus = u32::try_from(split.gpus())
            .map_err(|_| Diagnostic::new(Code::Range, "the degrees multiply to too many GPUs"))?;
        let plan = TrainingPlan {
            micro_batch,
            chunks: self.vp,
            schedule: self.schedule.parse()?,
            sharding: self.sharding.as_deref().map_or(Ok(usual), str::parse)?,
            recompute: self.recompute.parse()?,
            transfers: if tp == 1 || self.no_sequence_parallel {
                TensorTransfers::AllReduce
            } else {
                TensorTransfers::Gathered
            },
            precision: self.precision.parse()?,
            ..TrainingPlan::new(split)
        };
        let mut framework = catalog.framework(&self.framework)?;
        framework.dropout |= setting.dropout;
        if !setting.attention.flash {
            framework.attention = catalog::framework::Attention::Stored;
        }
        let microbatches = self.microbatches.unwrap_or(if pp > 1 { 2 * u64::from(pp) } else { 1 });
        Ok(TrainingQuestion {
            engine: catalog.engine(&framework.kernels)?,
            cluster: Cluster::of_gpus(catalog.gpu(gpu.unwrap_or(USUAL_GPU))?, gpus)?,
            plan,
            framework,
            optimizer: self.optimizer.parse()?,
            tuning: self.tuning.as_deref().map(str::parse).transpose()?,
            sequence: setting.tokens,
            global_batch: microbatches.saturating_mul(u64::from(micro_batch)).saturating_mul(split.dp.into()),
            with_prediction: self.mtp,
        })
    }
}

impl TrainingQuestion {
    /// Memory of each stage, and what each kind of layer keeps under every recomputation.
    pub(super) fn sections(&self, model: &Model) -> Result<Vec<Section>, Diagnostic> {
        let tuning = match self.tuning {
            Some(tuning) => tuning,
            None if model.lora_parameters() > 0 => Tuning::Lora,
            None => Tuning::Full,
        };
        tuning.check(model)?;
        let model = Job::in_precision(model, self.plan.precision);
        let machine = Machine::new(&self.cluster, &self.framework, &self.engine)?;
        let job = Job {
            model: &model,
            machine: &machine,
            sequence: self.sequence,
            global_batch: self.global_batch,
            optimizer: self.optimizer,
            tuning,
            with_prediction: self.with_prediction,
        };
        if let Some(misfit) = job.misfit(&self.plan) {
            let place = format!("{} with {}", self.plan, self.framework.id);
            return Err(Diagnostic::new(Code::Usage, misfit.message(&self.plan)).at(place));
        }
        let estimate = job.estimate(&self.plan).ok_or_else(|| {
            Diagnostic::new(Code::Usage, "no such plan can be run").at(self.plan.to_string())
        })?;
        let title = format!(
            "{}, {} with {}, {}",
            self.plan,
            self.optimizer.name(),
            self.framework.name,
            tuning.name()
        );
        Ok(vec![
            report::training_memory_section(&title, &estimate),
            report::kept_section(&model, &job.parts(&self.plan)),
        ])
    }
}
