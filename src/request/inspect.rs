//! What a person asks of `inspect`, and the names and defaults of it.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::checks::{exclude, range, usage, within};
use super::form::{self, in_fields, named};
use super::resolve::stored_as_named;
use super::trainer::{Asked, Trainer, Trainers};
use super::{Counts, ModelRequest, Texts};
use crate::catalog::framework::Attention;
use crate::catalog::{Catalog, Cluster, Engine, Framework, Gpu};
use crate::diagnostic::{Code, Diagnostic};
use crate::dtype::{DType, WeightFormat};
use crate::estimate::breakdown::{AttentionKernels, Mode, Routing, Setting};
use crate::hub::Hub;
use crate::model::Model;
use crate::plan::Parallelism;
use crate::plan::degrees::MAX_DEGREE;
use crate::train::{
    Optimizer, Precision, Recompute, Schedule, Sharding, Split, TensorTransfers, TrainingPlan, Tuning,
};
use crate::units::Bytes;
use crate::workload::Workload;

/// The engine whose memory rule counts where none is named.
pub const ENGINE: &str = "vllm";

/// The training framework where none is named.
const FRAMEWORK: &str = "megatron";

/// Most microbatches of a step.
pub const MOST_MICROBATCHES: u64 = 1 << 20;

/// GPU whose number formats count in training where none is named.
const USUAL_GPU: &str = "h100-sxm";

/// What people run models on beside data-centre GPUs.
const HOSTS: [&str; 3] = ["cpu-epyc-9654", "m3-max", "rtx-4090"];

/// The tables of an inspection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Parameters by component.
    Params,
    /// Memory by part.
    Memory,
    /// FLOPs by part.
    Flops,
    /// Arithmetic intensity by part.
    Intensity,
    /// Storage in each number format.
    Precision,
    /// Contexts that fit.
    Context,
    /// What each rank of a training plan holds.
    Training,
    /// Published sizes beside ours.
    Known,
    /// All that belong to the mode.
    All,
}

impl Table {
    /// Names as on the command line.
    pub const NAMES: [(&str, Table); 9] = [
        ("params", Table::Params),
        ("memory", Table::Memory),
        ("flops", Table::Flops),
        ("intensity", Table::Intensity),
        ("precision", Table::Precision),
        ("context", Table::Context),
        ("training", Table::Training),
        ("known", Table::Known),
        ("all", Table::All),
    ];
}

impl FromStr for Table {
    type Err = Diagnostic;
    fn from_str(text: &str) -> Result<Table, Diagnostic> {
        Table::NAMES.into_iter().find(|(name, _)| *name == text).map(|(_, table)| table).ok_or_else(|| {
            let names = Table::NAMES.map(|(name, _)| name);
            Diagnostic::unknown("table", text, names, &format!("allowed: {}", names.join(", ")))
        })
    }
}

/// What a person asks of `inspect`, in the names of the command line's options with underscores.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct InspectRequest {
    /// Version of this form of a request; 1 is the only one.
    pub schema_version: Option<u64>,
    /// Which model.
    #[serde(flatten)]
    pub model: ModelRequest,
    /// More models, to compare with the first.
    pub others: Option<Texts>,
    /// What the model does: pretrain, prefill or decode; prefill, where a table needs one, when left out.
    pub mode: Option<String>,
    /// params, memory, flops, intensity, precision, context, training, known or all; params when left out, all with
    /// `mode`.
    pub table: Option<String>,
    /// Sequences; 1 when left out.
    pub batch: Option<u64>,
    /// Tokens of each sequence: prompt (prefill), training sequence, or context (decode); 2,048 when left out. Several
    /// are shown one below the other.
    #[schemars(extend("x-unit" = "tokens"))]
    pub seq: Option<Counts>,
    /// Format of linear layers and experts; the checkpoint's own when left out, of training `dtype`.
    pub weights: Option<String>,
    /// Type of the KV cache; that of activations when left out.
    pub kv: Option<String>,
    /// Type of activations, and of weights that `weights` does not name: bf16 (when left out), fp16 or fp32.
    pub dtype: Option<String>,
    /// Whether one attention kernel never stores the scores, which it does not when left out.
    pub flash_attention: Option<bool>,
    /// Whether all attention scores are written and read.
    pub no_flash_attention: Option<bool>,
    /// Whether each sequence is decoded in one pass instead of in splits.
    pub no_flash_decoding: Option<bool>,
    /// Queries that share one pass over keys and values; 128 when left out.
    #[schemars(extend("x-unit" = "tokens"))]
    pub query_block: Option<u64>,
    /// Splits of the context in flash decoding; the kernel's own choice when left out, with `gpu`.
    pub splits: Option<u64>,
    /// Rows that each expert computes, in multiples of an even share; dropless when left out.
    pub capacity_factor: Option<f64>,
    /// Whether training keeps dropout masks.
    pub dropout: Option<bool>,
    /// GPU whose roofline and memory count, by name or YAML file.
    pub gpu: Option<String>,
    /// Tensor parallel, for the contexts that fit and for training; 1 when left out.
    pub tp: Option<u64>,
    /// Pipeline stages, for the same.
    pub pp: Option<u64>,
    /// Expert parallel, for the same.
    pub ep: Option<u64>,
    /// Attention data parallel, for the contexts that fit.
    pub attention_dp: Option<u64>,
    /// Engine whose memory rule counts for the contexts that fit; vllm when left out.
    pub engine: Option<String>,
    /// Memory of a host, such as `32GB`: warns where the model does not fit.
    pub ram: Option<String>,
    /// Training framework, by name or YAML file; when left out megatron, or with adapters one that has them.
    pub framework: Option<String>,
    /// adam (when left out), adam-bf16, adam-8bit, adafactor, sgd or muon.
    pub optimizer: Option<String>,
    /// Number format of products: bf16 (when left out), fp8, mxfp8, nvfp4.
    pub precision: Option<String>,
    /// full, lora or qlora, which train the adapters of `lora`; full when left out, lora with `lora`.
    pub tuning: Option<String>,
    /// none (when left out), selective, light, operators, full.
    pub recompute: Option<String>,
    /// ddp, zero1, zero2, zero3 (FSDP), hsdp; ddp when left out, zero1 with `dp` or `cp`.
    pub sharding: Option<String>,
    /// Order of microbatches: 1f1b (when left out), zero-bubble, zero-bubble-h2, dualpipe.
    pub schedule: Option<String>,
    /// Data parallel; 1 when left out.
    pub dp: Option<u64>,
    /// Context parallel; 1 when left out.
    pub cp: Option<u64>,
    /// Tensor parallel inside experts; 1 when left out.
    pub expert_tp: Option<u64>,
    /// Chunks of layers on each rank of a pipeline; 1 when left out.
    pub vp: Option<u64>,
    /// Microbatches of a step; two for each stage of a pipeline when left out.
    pub microbatches: Option<u64>,
    /// Whether the sequence is left whole between tensor-parallel regions.
    pub no_sequence_parallel: Option<bool>,
    /// Whether multi-token prediction is trained too, where the model has it.
    pub mtp: Option<bool>,
}

/// An inspection with every name looked up and every default in place.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// The table that is shown.
    pub table: Table,
    /// The models, as their checkpoints store them; none where the published sizes are shown.
    pub models: Vec<Model>,
    /// Whether the request says what the models do.
    pub mode_given: bool,
    /// What the models do, with how much; of several lengths the first.
    pub setting: Setting,
    /// The lengths that are shown: one or more.
    pub lengths: Vec<u64>,
    /// Format of linear layers and experts, where it is not the checkpoint's.
    pub weights: Option<WeightFormat>,
    /// Type of activations, where it is given.
    pub dtype: Option<DType>,
    /// Type of the KV cache, where it is given.
    pub kv: Option<DType>,
    /// GPU whose roofline and memory count.
    pub gpu: Option<Gpu>,
    /// What people run models on beside data-centre GPUs, where storage in each format is shown.
    pub hosts: Vec<Gpu>,
    /// Engine whose memory rule counts.
    pub engine: Option<Engine>,
    /// The split for the contexts that fit.
    pub split: Parallelism,
    /// Memory of a host.
    pub ram: Option<Bytes>,
    /// What is asked about training.
    pub training: Option<TrainingInspection>,
}

/// What is asked about training, once for all models.
#[derive(Clone, Debug)]
pub struct TrainingInspection {
    /// The plan.
    pub plan: TrainingPlan,
    /// The framework.
    pub framework: Framework,
    /// As many GPUs as the plan takes.
    pub cluster: Cluster,
    /// Whose kernels the framework runs.
    pub engine: Engine,
    /// The optimizer.
    pub optimizer: Optimizer,
    /// What is trained, where it is given.
    pub tuning: Option<Tuning>,
    /// Tokens of a sequence.
    pub sequence: u64,
    /// Sequences of one step.
    pub global_batch: u64,
    /// Whether multi-token prediction is trained too.
    pub with_prediction: bool,
}

/// Several lengths need a table that shows one below the other.
fn several_lengths(table: Table, mode: Option<Mode>) -> Result<(), Diagnostic> {
    if mode == Some(Mode::Pretrain) {
        let cause = "a model is trained on sequences of one length";
        return Err(usage(cause).at("--seq").help("ask once for each"));
    }
    match table {
        Table::Memory | Table::Flops | Table::Intensity | Table::Precision | Table::All => Ok(()),
        _ => Err(usage("several lengths need a table that depends on them")
            .at("--seq")
            .help("name --table memory, flops, intensity, precision or all")),
    }
}

fn degree(flag: &str, n: Option<u64>) -> Result<u32, Diagnostic> {
    let n = within(flag, n, 1..=MAX_DEGREE.into())?.unwrap_or(1);
    u32::try_from(n).map_err(|_| range(flag, format!("{n} is out of range")))
}

fn base_type(text: &str) -> Result<DType, Diagnostic> {
    match text.parse::<DType>()? {
        dtype @ (DType::Fp32 | DType::Bf16 | DType::Fp16) => Ok(dtype),
        other => Err(Diagnostic::new(Code::Range, format!("activations are not kept in {other}"))
            .at("--dtype")
            .help("allowed: bf16, fp16, fp32; --weights and --kv take narrower types")),
    }
}

form::asked!(InspectRequest);

impl InspectRequest {
    /// Looks up every name and puts every default in place.
    ///
    /// # Errors
    /// What is wrong, in the names of the request's fields.
    pub fn resolve(&self, catalog: &Catalog) -> Result<Inspection, Diagnostic> {
        let resolved = Hub::from_environment().and_then(|hub| self.resolve_as_flags(catalog, &hub));
        resolved.map_err(in_fields::<InspectRequest>)
    }

    /// Resolves a request that was made on a command line, with the hub that it uses.
    ///
    /// # Errors
    /// As [`InspectRequest::resolve`], in the names of the command line's options.
    pub fn resolve_as_flags(&self, catalog: &Catalog, hub: &Hub) -> Result<Inspection, Diagnostic> {
        form::version(self.schema_version)?;
        self.consistent()?;
        let table = match (&self.table, &self.mode) {
            (Some(name), _) => name.parse()?,
            (None, Some(_)) => Table::All,
            (None, None) => Table::Params,
        };
        if table == Table::Known && self.model.model.is_some() {
            return Err(usage("`--table known` has its own list of models").help("leave out the model"));
        }
        let kv = self.kv.as_deref().map(str::parse::<DType>).transpose()?;
        let dtype = self.dtype.as_deref().map(base_type).transpose()?;
        let mode = match self.mode.as_deref().map(str::parse).transpose()? {
            None if table == Table::Training => Some(Mode::Pretrain),
            mode => mode,
        };
        let activations = dtype.unwrap_or(DType::Bf16);
        let lengths = match &self.seq {
            Some(Counts(lengths)) if !lengths.is_empty() => lengths.clone(),
            _ => vec![Workload::DEFAULT_ISL],
        };
        let setting = Setting {
            batch: self.batch.unwrap_or(1),
            tokens: lengths[0],
            activations,
            kv: kv.unwrap_or(activations),
            attention: self.attention(),
            routing: self.capacity_factor.map_or(Routing::Dropless, Routing::Capacity),
            dropout: self.dropout == Some(true),
            ..Setting::new(mode.unwrap_or(Mode::Prefill))
        };
        for tokens in &lengths {
            Setting { tokens: *tokens, ..setting }.validate()?;
        }
        if lengths.len() > 1 {
            several_lengths(table, mode)?;
        }
        let gpu = self.gpu.as_deref().map(|name| catalog.gpu(name)).transpose()?;
        if table == Table::Context && gpu.is_none() {
            return Err(usage("which contexts fit depends on the GPU")
                .help("name one with --gpu, for example --gpu h100-sxm --tp 8"));
        }
        let engine = self.engine.as_deref().unwrap_or(ENGINE);
        let engine = gpu.as_ref().map(|_| catalog.engine(engine)).transpose()?;
        let hosts = if table == Table::Precision { HOSTS.as_slice() } else { &[] };
        let size = |text: &String| {
            text.parse::<Bytes>().map_err(|cause| Diagnostic::new(Code::Syntax, cause).at("--ram"))
        };
        let split = Parallelism {
            tp: degree("--tp", self.tp)?,
            pp: degree("--pp", self.pp)?,
            ep: degree("--ep", self.ep)?,
            attention_dp: degree("--attention-dp", self.attention_dp)?,
            dcp: 1,
        };
        let training = match (table, mode) {
            (Table::All | Table::Training, Some(Mode::Pretrain)) => {
                Some(self.training(&setting, &split, catalog)?)
            }
            (Table::Training, _) => {
                return Err(usage("`--table training` is about training")
                    .at("--mode")
                    .help("leave out --mode, or say --mode pretrain"));
            }
            _ => None,
        };
        Ok(Inspection {
            table,
            models: if table == Table::Known { Vec::new() } else { self.models(catalog, hub)? },
            mode_given: mode.is_some(),
            setting,
            lengths,
            weights: self.weights.as_deref().map(str::parse).transpose()?,
            dtype,
            kv,
            hosts: hosts.iter().map(|name| catalog.gpu(name)).collect::<Result<_, _>>()?,
            engine,
            gpu,
            split,
            ram: self.ram.as_ref().map(size).transpose()?,
            training,
        })
    }

    /// Options that exclude each other.
    fn consistent(&self) -> Result<(), Diagnostic> {
        exclude(&[
            ("--no-flash-decoding", self.no_flash_decoding == Some(true), "--splits", self.splits.is_some()),
            (
                "--flash-attention",
                self.flash_attention == Some(true),
                "--no-flash-attention",
                self.no_flash_attention == Some(true),
            ),
        ])
    }

    /// The models named.
    fn models(&self, catalog: &Catalog, hub: &Hub) -> Result<Vec<Model>, Diagnostic> {
        let others = self.others.iter().flat_map(|names| &names.0);
        let named = |name: &String| ModelRequest {
            model: Some(name.clone()),
            config: None,
            shape: None,
            ..self.model.clone()
        };
        let all = std::iter::once(self.model.clone()).chain(others.map(named));
        let found = |one: ModelRequest| {
            let model = one.find(catalog, hub)?;
            Ok(match (&one.model, &self.weights) {
                (Some(name), None) => stored_as_named(name, catalog.is_sealed(), model),
                _ => model,
            })
        };
        all.map(found).collect()
    }

    fn attention(&self) -> AttentionKernels {
        AttentionKernels {
            flash: self.no_flash_attention != Some(true) && self.flash_attention != Some(false),
            flash_decoding: self.no_flash_decoding != Some(true),
            query_block: self.query_block.unwrap_or(AttentionKernels::DEFAULT.query_block),
            splits: self.splits,
        }
    }

    /// What is asked about training: `batch` is the microbatch, `seq` its sequences' length.
    fn training(
        &self,
        setting: &Setting,
        at: &Parallelism,
        catalog: &Catalog,
    ) -> Result<TrainingInspection, Diagnostic> {
        let (tp, pp, ep) = (at.tp, at.pp, at.ep);
        let (dp, cp) = (degree("--dp", self.dp)?, degree("--cp", self.cp)?);
        let split = Split { tp, pp, cp, dp, ep, expert_tp: degree("--expert-tp", self.expert_tp)? };
        let usual = if dp == 1 && cp == 1 { Sharding::None } else { Sharding::Optimizer };
        let micro_batch =
            u32::try_from(setting.batch).map_err(|_| range("--batch", "a microbatch is too large"))?;
        let gpus = u32::try_from(split.gpus())
            .map_err(|_| Diagnostic::new(Code::Range, "the degrees multiply to too many GPUs"))?;
        let whole = tp == 1 || self.no_sequence_parallel == Some(true);
        let plan = TrainingPlan {
            micro_batch,
            chunks: degree("--vp", self.vp)?,
            schedule: named(&self.schedule, Schedule::OneForwardOneBackward)?,
            sharding: named(&self.sharding, usual)?,
            recompute: named(&self.recompute, Recompute::None)?,
            transfers: if whole { TensorTransfers::AllReduce } else { TensorTransfers::Gathered },
            ..TrainingPlan::new(split)
        };
        let precision: Option<Precision> = self.precision.as_deref().map(str::parse).transpose()?;
        let tuning: Option<Tuning> = self.tuning.as_deref().map(str::parse).transpose()?;
        let asked = tuning.unwrap_or(if self.model.lora.is_some() { Tuning::Lora } else { Tuning::Full });
        let cluster = Cluster::of_gpus(catalog.gpu(self.gpu.as_deref().unwrap_or(USUAL_GPU))?, gpus)?;
        let usual = || Trainer::named(catalog, FRAMEWORK);
        let trainer = match &self.framework {
            Some(name) => Trainer::named(catalog, name)?,
            None if asked == Tuning::Full => usual()?,
            None => Trainers::of(catalog, None)?
                .on(&cluster, Asked { precisions: precision.as_slice(), ..Asked::tuning(asked) })
                .cloned()
                .map_or_else(usual, Ok)?,
        };
        let Trainer { mut framework, engine } = trainer;
        let precision = precision.unwrap_or_else(|| Precision::usual(&framework, &cluster.gpu));
        let plan = TrainingPlan { precision, ..plan };
        framework.dropout |= setting.dropout;
        if !setting.attention.flash {
            framework.attention = Attention::Stored;
        }
        let microbatches = within("--microbatches", self.microbatches, 1..=MOST_MICROBATCHES)?;
        let microbatches = microbatches.unwrap_or(if pp > 1 { 2 * u64::from(pp) } else { 1 });
        Ok(TrainingInspection {
            engine,
            cluster,
            plan,
            framework,
            optimizer: named(&self.optimizer, Optimizer::Adam)?,
            tuning,
            sequence: setting.tokens,
            global_batch: microbatches.saturating_mul(u64::from(micro_batch)).saturating_mul(dp.into()),
            with_prediction: self.mtp == Some(true),
        })
    }
}
