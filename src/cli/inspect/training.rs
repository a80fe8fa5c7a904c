//! `inspect --table training`: what each rank of a training plan holds, and what each layer keeps for backward.

use clap::Args;

use crate::catalog::{self, Kind};
use crate::cli::values::{count, degree, names};
use crate::request::InspectRequest;
use crate::request::inspect::MOST_MICROBATCHES;
use crate::train::{Optimizer, Precision, Recompute, Schedule, Sharding, Tuning};

/// How it is trained. `--batch` is the microbatch, `--seq` its sequences' length.
#[derive(Debug, Args)]
#[command(next_help_heading = "Training (--table training)")]
pub(super) struct TrainingArgs {
    /// Training framework, by name or YAML file [default: megatron, or one that tunes so]
    #[arg(long, value_name = "NAME")]
    #[arg(value_parser = names(catalog::entries(Kind::Framework).iter().map(|e| e.id)), hide_possible_values = true)]
    framework: Option<String>,
    /// adam, adam-bf16, adam-8bit, adafactor, sgd or muon
    #[arg(long, default_value = "adam", value_name = "NAME")]
    #[arg(value_parser = names(Optimizer::NAMES.iter().copied()), hide_possible_values = true)]
    optimizer: String,
    /// Number format of products: bf16, fp16, fp8, mxfp8, nvfp4 [default: bf16; fp16 where the GPU has no BF16]
    #[arg(long, value_name = "FORMAT")]
    #[arg(value_parser = names(Precision::NAMES.iter().copied()), hide_possible_values = true)]
    precision: Option<String>,
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
    #[arg(long, value_name = "N", value_parser = count(1..=MOST_MICROBATCHES))]
    microbatches: Option<u64>,
    /// Leave the sequence whole between tensor-parallel regions
    #[arg(long)]
    no_sequence_parallel: bool,
    /// Train multi-token prediction too, where the model has it
    #[arg(long)]
    mtp: bool,
}

impl TrainingArgs {
    /// Puts what is given into a request.
    pub(super) fn fill(&self, request: &mut InspectRequest) {
        let degree = |n: u32| Some(u64::from(n));
        *request = InspectRequest {
            framework: self.framework.clone(),
            optimizer: Some(self.optimizer.clone()),
            precision: self.precision.clone(),
            tuning: self.tuning.clone(),
            recompute: Some(self.recompute.clone()),
            sharding: self.sharding.clone(),
            schedule: Some(self.schedule.clone()),
            dp: degree(self.dp),
            cp: degree(self.cp),
            expert_tp: degree(self.expert_tp),
            vp: degree(self.vp),
            microbatches: self.microbatches,
            no_sequence_parallel: self.no_sequence_parallel.then_some(true),
            mtp: self.mtp.then_some(true),
            ..std::mem::take(request)
        };
    }
}
