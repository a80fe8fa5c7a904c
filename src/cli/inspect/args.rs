//! What `inspect` can be asked.

use clap::Args;

use crate::cli::common::ModelArgs;
use crate::cli::output::OutputArgs;
use crate::cli::values::{degree, names, tokens};
use crate::cli::verify::VerifyArgs;
use crate::estimate::breakdown::AttentionKernels;
use crate::request::inspect::{ENGINE, Table};
use crate::request::{Counts, InspectRequest, Texts};
use crate::workload::{MAX_LENGTH, Workload};

use super::training::TrainingArgs;

/// Arguments of `inspect`.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
#[command(mut_arg("model", |model| model.index(1).required_unless_present_any(["table", "shape"])))]
#[command(after_help = "Examples:\n  \
    shardfit inspect deepseek-v3\n  \
    shardfit inspect ./config.json --format json\n  \
    shardfit inspect llama-3.1-8b --mode prefill --gpu h100-sxm\n  \
    shardfit inspect llama-3.1-70b --gpu h100-sxm --tp 8 --table context\n  \
    shardfit inspect llama-3.1-70b --table training --tp 8 --dp 4 --recompute full --seq 8192\n  \
    shardfit inspect llama-3.1-8b qwen3-8b gemma-2-9b\n  \
    shardfit inspect --table known")]
pub struct InspectArgs {
    #[command(flatten)]
    pub(super) model: ModelArgs,
    /// More models, to compare with the first
    #[arg(value_name = "MODEL", index = 2)]
    pub(super) others: Vec<String>,
    #[command(flatten)]
    pub(super) what: WhatArgs,
    #[command(flatten)]
    pub(super) kernels: KernelArgs,
    #[command(flatten)]
    pub(super) target: TargetArgs,
    #[command(flatten)]
    pub(super) training: TrainingArgs,
    #[command(flatten)]
    pub(super) verify: VerifyArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

/// What to show.
#[derive(Debug, Args)]
pub(super) struct WhatArgs {
    /// What the model does: pretrain, prefill or decode [default: prefill, where a table needs one]
    #[arg(long, value_name = "MODE")]
    #[arg(value_parser = names(["pretrain", "prefill", "decode"]), hide_possible_values = true)]
    pub(super) mode: Option<String>,
    /// params, memory, flops, intensity, precision, context, training, known or all
    /// [default: params; with --mode: all]
    #[arg(long, value_name = "TABLE")]
    #[arg(value_parser = names(Table::NAMES.map(|(name, _)| name)), hide_possible_values = true)]
    pub(super) table: Option<String>,
    /// Sequences
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(super) batch: u64,
    /// Tokens of each sequence: prompt (prefill), training sequence, or context (decode); several with commas
    #[arg(long, visible_aliases = ["isl", "context"], default_values_t = [Workload::DEFAULT_ISL], value_name = "TOKENS")]
    #[arg(value_delimiter = ',', value_parser = tokens(1..=MAX_LENGTH))]
    pub(super) seq: Vec<u64>,
    /// Store linear layers and experts in this format [default: the checkpoint's own; pretrain: --dtype]
    #[arg(long, value_name = "FORMAT")]
    pub(super) weights: Option<String>,
    /// Type of the KV cache [default: that of activations]
    #[arg(long, value_name = "TYPE")]
    pub(super) kv: Option<String>,
    /// Type of activations, and of weights that --weights does not name: bf16, fp16 or fp32
    #[arg(long, value_name = "TYPE")]
    pub(super) dtype: Option<String>,
}

/// How attention and experts are computed.
#[derive(Debug, Args)]
#[command(next_help_heading = "Kernels")]
pub(super) struct KernelArgs {
    /// One attention kernel that never stores the scores (the default)
    #[arg(long, overrides_with = "no_flash_attention")]
    pub(super) flash_attention: bool,
    /// Write and read all attention scores
    #[arg(long)]
    pub(super) no_flash_attention: bool,
    /// Decode each sequence in one pass instead of in splits
    #[arg(long)]
    pub(super) no_flash_decoding: bool,
    /// Queries that share one pass over keys and values
    #[arg(long, default_value_t = AttentionKernels::DEFAULT.query_block, value_name = "N")]
    pub(super) query_block: u64,
    /// Splits of the context in flash decoding [default: the kernel's own choice, with --gpu]
    #[arg(long, value_name = "N", conflicts_with = "no_flash_decoding")]
    pub(super) splits: Option<u64>,
    /// Rows that each expert computes, in multiples of an even share [default: dropless]
    #[arg(long, value_name = "X")]
    pub(super) capacity_factor: Option<f64>,
    /// Keep dropout masks when training
    #[arg(long)]
    pub(super) dropout: bool,
}

/// Where it is meant to run.
#[derive(Debug, Args)]
#[command(next_help_heading = "Target")]
pub(super) struct TargetArgs {
    /// GPU whose roofline and memory count, by name or YAML file
    #[arg(long, value_name = "GPU")]
    pub(super) gpu: Option<String>,
    /// Tensor parallel, for the contexts that fit and for training
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = degree)]
    pub(super) tp: u32,
    /// Pipeline stages, for the same
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = degree)]
    pub(super) pp: u32,
    /// Expert parallel, for the same
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = degree)]
    pub(super) ep: u32,
    /// Attention data parallel, for the contexts that fit
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = degree)]
    pub(super) attention_dp: u32,
    /// Engine whose memory rule counts for the contexts that fit
    #[arg(long, default_value = ENGINE, value_name = "NAME")]
    pub(super) engine: String,
    /// Memory of a host, e.g. 32GB: warns where the model does not fit
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true)]
    pub(super) ram: Option<String>,
}

impl InspectArgs {
    /// What is asked.
    pub(super) fn request(&self) -> InspectRequest {
        let (what, kernels, target) = (&self.what, &self.kernels, &self.target);
        let yes = |flag: bool| flag.then_some(true);
        let degree = |n: u32| Some(u64::from(n));
        let mut request = InspectRequest {
            model: self.model.request(),
            others: Texts::given(&self.others),
            mode: what.mode.clone(),
            table: what.table.clone(),
            batch: Some(what.batch),
            seq: Some(Counts(what.seq.clone())),
            weights: what.weights.clone(),
            kv: what.kv.clone(),
            dtype: what.dtype.clone(),
            flash_attention: yes(kernels.flash_attention),
            no_flash_attention: yes(kernels.no_flash_attention),
            no_flash_decoding: yes(kernels.no_flash_decoding),
            query_block: Some(kernels.query_block),
            splits: kernels.splits,
            capacity_factor: kernels.capacity_factor,
            dropout: yes(kernels.dropout),
            gpu: target.gpu.clone(),
            tp: degree(target.tp),
            pp: degree(target.pp),
            ep: degree(target.ep),
            attention_dp: degree(target.attention_dp),
            engine: Some(target.engine.clone()),
            ram: target.ram.clone(),
            ..InspectRequest::default()
        };
        self.training.fill(&mut request);
        request
    }
}
