//! `shardfit inspect`: a model taken apart.

use std::str::FromStr;

use clap::Args;

use crate::catalog::{self, Cluster, Gpu};
use crate::diagnostic::{Code, Diagnostic};
use crate::dtype::{DType, WeightFormat};
use crate::estimate::breakdown::{
    AttentionKernels, Breakdown, Device, Mode, Routing, Setting, context_ladder, footprint, large_tensors,
    memory_parts, precisions, recommended_memory, widest_that_fits,
};
use crate::estimate::deployment::{Context, ContextParts};
use crate::estimate::memory::{Limits, MemoryQuestion};
use crate::load;
use crate::model::Model;
use crate::plan::Parallelism;
use crate::report::{self, Format, Section, Sheet, Value};
use crate::units::Bytes;
use crate::validate::known_sizes;
use crate::workload::Workload;

use super::Outcome;
use super::common::ModelArgs;
use super::output::OutputArgs;

/// Arguments of `inspect`.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
#[command(mut_arg("model", |model| model.index(1).required(false).required_unless_present("table")))]
#[command(after_help = "Examples:\n  \
    shardfit inspect deepseek-v3\n  \
    shardfit inspect ./config.json --format json\n  \
    shardfit inspect llama-3.1-8b --mode prefill --gpu h100-sxm\n  \
    shardfit inspect llama-3.1-70b --gpu h100-sxm --tp 8 --table context\n  \
    shardfit inspect llama-3.1-8b qwen3-8b gemma-2-9b\n  \
    shardfit inspect --table known")]
pub struct InspectArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// More models, to compare with the first
    #[arg(value_name = "MODEL", index = 2)]
    others: Vec<String>,
    #[command(flatten)]
    what: WhatArgs,
    #[command(flatten)]
    kernels: KernelArgs,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// What to show.
#[derive(Debug, Args)]
struct WhatArgs {
    /// What the model does: pretrain, prefill or decode [default: prefill, where a table needs one]
    #[arg(long, value_name = "MODE")]
    mode: Option<String>,
    /// params, memory, flops, intensity, precision, context, known or all
    /// [default: params; with --mode: all]
    #[arg(long, value_name = "TABLE")]
    table: Option<String>,
    /// Sequences
    #[arg(long, default_value_t = 1, value_name = "N")]
    batch: u64,
    /// Tokens of each sequence: prompt (prefill), training sequence, or context (decode)
    #[arg(long, visible_aliases = ["isl", "context"], default_value_t = Workload::DEFAULT_ISL, value_name = "TOKENS")]
    seq: u64,
    /// Store linear layers and experts in this format [default: the checkpoint's own; pretrain: --dtype]
    #[arg(long, value_name = "FORMAT")]
    weights: Option<String>,
    /// Type of the KV cache [default: that of activations]
    #[arg(long, value_name = "TYPE")]
    kv: Option<String>,
    /// Type of activations, and of weights that --weights does not name: bf16, fp16 or fp32
    #[arg(long, value_name = "TYPE")]
    dtype: Option<String>,
}

/// How attention and experts are computed.
#[derive(Debug, Args)]
#[command(next_help_heading = "Kernels")]
struct KernelArgs {
    /// One attention kernel that never stores the scores (the default)
    #[arg(long, overrides_with = "no_flash_attention")]
    flash_attention: bool,
    /// Write and read all attention scores
    #[arg(long)]
    no_flash_attention: bool,
    /// Decode each sequence in one pass instead of in splits
    #[arg(long)]
    no_flash_decoding: bool,
    /// Queries that share one pass over keys and values
    #[arg(long, default_value_t = AttentionKernels::DEFAULT.query_block, value_name = "N")]
    query_block: u64,
    /// Splits of the context in flash decoding [default: the kernel's own choice, with --gpu]
    #[arg(long, value_name = "N", conflicts_with = "no_flash_decoding")]
    splits: Option<u64>,
    /// Rows that each expert computes, in multiples of an even share [default: dropless]
    #[arg(long, value_name = "X")]
    capacity_factor: Option<f64>,
    /// Keep dropout masks when training
    #[arg(long)]
    dropout: bool,
}

/// Where it is meant to run.
#[derive(Debug, Args)]
#[command(next_help_heading = "Target")]
struct TargetArgs {
    /// GPU whose roofline and memory count, by name or YAML file
    #[arg(long, value_name = "GPU")]
    gpu: Option<String>,
    /// Tensor parallel, for the contexts that fit
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65536))]
    tp: u32,
    /// Pipeline stages, for the contexts that fit
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65536))]
    pp: u32,
    /// Expert parallel, for the contexts that fit
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65536))]
    ep: u32,
    /// Attention data parallel, for the contexts that fit
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65536))]
    attention_dp: u32,
    /// Engine whose memory rule counts for the contexts that fit
    #[arg(long, default_value = "vllm", value_name = "NAME")]
    engine: String,
    /// Memory of a host, e.g. 32GB: warns where the model does not fit
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true)]
    ram: Option<String>,
}

/// The tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Table {
    Params,
    Memory,
    Flops,
    Intensity,
    Precision,
    Context,
    Known,
    All,
}

impl FromStr for Table {
    type Err = Diagnostic;
    fn from_str(text: &str) -> Result<Table, Diagnostic> {
        const NAMES: [(&str, Table); 8] = [
            ("params", Table::Params),
            ("memory", Table::Memory),
            ("flops", Table::Flops),
            ("intensity", Table::Intensity),
            ("precision", Table::Precision),
            ("context", Table::Context),
            ("known", Table::Known),
            ("all", Table::All),
        ];
        NAMES.into_iter().find(|(name, _)| *name == text).map(|(_, table)| table).ok_or_else(|| {
            let names = NAMES.map(|(name, _)| name);
            Diagnostic::unknown("table", text, names, &format!("allowed: {}", names.join(", ")))
        })
    }
}

/// Runs the command.
pub fn run(args: &InspectArgs) -> Result<Outcome, Diagnostic> {
    let format = args.output.prepare()?;
    let table = match (&args.what.table, &args.what.mode) {
        (Some(name), _) => name.parse()?,
        (None, Some(_)) => Table::All,
        (None, None) => Table::Params,
    };
    let text = if table == Table::Known {
        known(args, format)?
    } else {
        let question = Question::read(args, table)?;
        let reports =
            args.models()?.into_iter().map(|m| question.report(m)).collect::<Result<Vec<_>, _>>()?;
        render(&reports, table, format, args.output.width())?
    };
    args.output.emit(&text)?;
    Ok(Outcome::Found)
}

impl InspectArgs {
    /// The models named.
    fn models(&self) -> Result<Vec<Model>, Diagnostic> {
        let named = |name: &String| ModelArgs { model: Some(name.clone()), ..self.model.clone() }.find();
        std::iter::once(self.model.find()).chain(self.others.iter().map(named)).collect()
    }
}

/// The published sizes.
fn known(args: &InspectArgs, format: Format) -> Result<String, Diagnostic> {
    if args.model.model.is_some() {
        return Err(Diagnostic::new(Code::Usage, "`--table known` has its own list of models")
            .help("leave out the model"));
    }
    let mut section = report::known_section(&known_sizes()?);
    if format == Format::Table {
        // What else the published figure counts is too wide for a terminal.
        section.drop_last_column();
    }
    one_section(&section, format, args.output.width())
}

fn one_section(section: &Section, format: Format, width: Option<u16>) -> Result<String, Diagnostic> {
    let sections = std::slice::from_ref(section);
    let json = || {
        let mut json = serde_json::json!({});
        report::sections_json(sections, &mut json);
        json
    };
    Ok(match format {
        Format::Table => report::sections_text(sections, width),
        Format::Markdown => report::sections_markdown(sections),
        Format::Csv => report::sections_csv(sections)?,
        Format::Json => format!("{:#}", json()),
        Format::Yaml => load::to_yaml(&json())?,
    })
}

/// What is asked of each model.
struct Question {
    table: Table,
    mode_given: bool,
    setting: Setting,
    weights: Option<WeightFormat>,
    dtype: Option<DType>,
    kv: Option<DType>,
    gpu: Option<Gpu>,
    hosts: Vec<Gpu>,
    engine: Option<catalog::Engine>,
    split: Parallelism,
    ram: Option<Bytes>,
}

/// One model's answer.
struct Report {
    model: Model,
    setting: Option<Setting>,
    sections: Vec<Section>,
    warnings: Vec<String>,
}

/// What people run models on beside data-centre GPUs.
const HOSTS: [&str; 3] = ["cpu-epyc-9654", "m3-max", "rtx-4090"];

impl Question {
    fn read(args: &InspectArgs, table: Table) -> Result<Question, Diagnostic> {
        let (what, target) = (&args.what, &args.target);
        let kv = what.kv.as_deref().map(str::parse::<DType>).transpose()?;
        let dtype = what.dtype.as_deref().map(base_type).transpose()?;
        let mode = what.mode.as_deref().map(str::parse).transpose()?;
        let activations = dtype.unwrap_or(DType::Bf16);
        let setting = Setting {
            batch: what.batch,
            tokens: what.seq,
            activations,
            kv: kv.unwrap_or(activations),
            attention: args.kernels.attention(),
            routing: args.kernels.capacity_factor.map_or(Routing::Dropless, Routing::Capacity),
            dropout: args.kernels.dropout,
            ..Setting::new(mode.unwrap_or(Mode::Prefill))
        };
        setting.validate()?;
        let gpu = target.gpu.as_deref().map(catalog::gpu).transpose()?;
        let wants_hosts = matches!(table, Table::Precision);
        let hosts = if wants_hosts { HOSTS.as_slice() } else { &[] };
        let size = |text: &String| {
            text.parse::<Bytes>().map_err(|cause| Diagnostic::new(Code::Syntax, cause).at("--ram"))
        };
        if table == Table::Context && gpu.is_none() {
            return Err(Diagnostic::new(Code::Usage, "which contexts fit depends on the GPU")
                .help("name one with --gpu, for example --gpu h100-sxm --tp 8"));
        }
        Ok(Question {
            table,
            mode_given: mode.is_some(),
            setting,
            weights: what.weights.as_deref().map(str::parse).transpose()?,
            dtype,
            kv,
            hosts: hosts.iter().map(|name| catalog::gpu(name)).collect::<Result<_, _>>()?,
            engine: gpu.as_ref().map(|_| catalog::engine(&target.engine)).transpose()?,
            gpu,
            split: Parallelism {
                tp: target.tp,
                pp: target.pp,
                ep: target.ep,
                attention_dp: target.attention_dp,
            },
            ram: target.ram.as_ref().map(size).transpose()?,
        })
    }

    /// Whether a table is asked for.
    fn wants(&self, table: Table) -> bool {
        self.table == table || self.table == Table::All
    }

    fn report(&self, model: Model) -> Result<Report, Diagnostic> {
        let model = self.stored(model);
        let mut sections = Vec::new();
        let breaks_down = [Table::Memory, Table::Flops, Table::Intensity].iter().any(|t| self.wants(*t));
        if breaks_down {
            sections.extend(self.breakdown(&model)?);
        }
        if self.table == Table::Precision {
            let hosts: Vec<Gpu> = self.hosts.iter().chain(&self.gpu).cloned().collect();
            let rows = precisions(&model, &self.setting, &hosts);
            sections.push(report::precision_section(&self.setting, &rows));
        }
        if self.wants(Table::Context) || (self.table == Table::Params && self.gpu.is_some()) {
            sections.extend(self.contexts(&model)?);
        }
        let setting = breaks_down.then_some(self.setting);
        let mut warnings: Vec<String> =
            large_tensors(&model, setting.as_ref()).iter().map(report::warning).collect();
        warnings.extend(self.ram.and_then(|ram| self.too_large(&model, ram)));
        if let Some(longest) = model.max_context.filter(|c| breaks_down && self.setting.tokens > *c) {
            warnings.push(format!("{} tokens exceed the model's context of {longest}", self.setting.tokens));
        }
        Ok(Report { model, setting, sections, warnings })
    }

    /// The model stored as asked; training computes with weights of the activations' type.
    fn stored(&self, model: Model) -> Model {
        let training = self.mode_given && self.setting.mode == Mode::Pretrain;
        let base = if training { Some(self.setting.activations) } else { self.dtype };
        let formats = [base.map(|dtype| base_format(dtype)), self.weights];
        formats.into_iter().flatten().fold(model, Model::with_weights)
    }

    fn breakdown(&self, model: &Model) -> Result<Vec<Section>, Diagnostic> {
        let device = self.gpu.as_ref().map(|gpu| Device::new(gpu, self.setting.activations));
        let breakdown = Breakdown::of(model, &self.setting, device.as_ref());
        let mut sections = Vec::new();
        if self.wants(Table::Memory) {
            let (parts, total) = memory_parts(model, &self.setting, &breakdown);
            sections.push(report::memory_section(&self.setting, &parts, &total));
        }
        if self.wants(Table::Flops) {
            sections.push(report::flops_section(&self.setting, &breakdown, &model.parameters()?));
        }
        if self.wants(Table::Intensity) {
            let name = self.gpu.as_ref().map(|g| g.name.as_str());
            sections.push(report::intensity_section(&self.setting, &breakdown, name));
        }
        Ok(sections)
    }

    /// How many sequences fit, if a GPU is named.
    fn contexts(&self, model: &Model) -> Result<Option<Section>, Diagnostic> {
        let (Some(gpu), Some(engine)) = (&self.gpu, &self.engine) else { return Ok(None) };
        let gpus = u32::try_from(self.split.gpus()).unwrap_or(u32::MAX);
        let cluster = Cluster::of_gpus(gpu.clone(), gpus)?;
        let workload = Workload::new(Workload::DEFAULT_ISL, Workload::DEFAULT_OSL);
        let limits = Limits::of(engine, gpu);
        let parts = ContextParts { model, cluster: &cluster, engine, limits, kv: self.kv, workload };
        let context = Context::new(parts)?;
        context.check(self.split).map_err(|reason| {
            Diagnostic::new(Code::Usage, reason.message()).at(format!("{} with {}", self.split, engine.id))
        })?;
        let question = MemoryQuestion {
            model,
            gpu,
            engine,
            limits,
            parallelism: self.split,
            kv: context.kv,
            workload: &workload,
        };
        let split =
            if self.split == Parallelism::SINGLE { String::new() } else { format!(", {}", self.split) };
        let place = format!(
            "{} × {}{split}, {} with weights {} and KV {}",
            gpus,
            gpu.id,
            engine.id,
            model.quantisation.main_format(),
            context.kv
        );
        Ok(Some(report::context_section(&place, &context_ladder(&question))))
    }

    /// A warning where a host's memory is too small, with the precision that would fit.
    fn too_large(&self, model: &Model, ram: Bytes) -> Option<String> {
        let need = model.checkpoint_bytes()
            + model.cache_bytes(self.setting.kv, self.setting.tokens) * self.setting.batch;
        if need <= ram.scaled(crate::estimate::breakdown::HOST_SHARE) {
            return None;
        }
        let advice = match widest_that_fits(model, &self.setting, ram) {
            Some(f) => format!("{} fits with {}", f.precision.name, f.need()),
            None => {
                let narrowest =
                    crate::estimate::breakdown::PRECISIONS.map(|p| footprint(model, &self.setting, p));
                let least = narrowest.iter().map(|f| f.need()).min().unwrap_or(need);
                let wanted = recommended_memory(least).map_or("more".into(), |b| b.to_string());
                format!("no precision fits; the narrowest takes {least}, for which {wanted} of RAM is usual")
            }
        };
        Some(format!("weights and cache take {need}, too much for a host with {ram}: {advice}"))
    }
}

impl KernelArgs {
    fn attention(&self) -> AttentionKernels {
        AttentionKernels {
            flash: !self.no_flash_attention,
            flash_decoding: !self.no_flash_decoding,
            query_block: self.query_block,
            splits: self.splits,
        }
    }
}

fn base_type(text: &str) -> Result<DType, Diagnostic> {
    match text.parse::<DType>()? {
        dtype @ (DType::Fp32 | DType::Bf16 | DType::Fp16) => Ok(dtype),
        other => Err(Diagnostic::new(Code::Range, format!("activations are not kept in {other}"))
            .at("--dtype")
            .help("allowed: bf16, fp16, fp32; --weights and --kv take narrower types")),
    }
}

fn base_format(dtype: DType) -> WeightFormat {
    match dtype {
        DType::Fp32 => WeightFormat::Fp32,
        DType::Fp16 => WeightFormat::Fp16,
        _ => WeightFormat::Bf16,
    }
}

fn render(
    reports: &[Report],
    table: Table,
    format: Format,
    width: Option<u16>,
) -> Result<String, Diagnostic> {
    let json = || -> Result<serde_json::Value, Diagnostic> {
        let mut all = reports.iter().map(Report::json).collect::<Result<Vec<_>, _>>()?;
        Ok(if all.len() == 1 { all.remove(0) } else { serde_json::Value::Array(all) })
    };
    match (format, reports) {
        (Format::Json, _) => Ok(format!("{:#}", json()?)),
        (Format::Yaml, _) => load::to_yaml(&json()?),
        (_, [one]) => one.render(table, format, width),
        (_, several) => compare(several, table, format, width),
    }
}

impl Report {
    fn json(&self) -> Result<serde_json::Value, Diagnostic> {
        let mut json = report::inspection_json(&self.model)?;
        json["warnings"] = serde_json::json!(self.warnings);
        if let Some(s) = &self.setting {
            json["setting"] = serde_json::json!({
                "mode": s.mode.name(), "batch": s.batch, "seq": s.tokens,
                "dtype": s.activations.name(), "kv": s.kv.name(),
            });
        }
        report::sections_json(&self.sections, &mut json);
        Ok(json)
    }

    fn render(&self, table: Table, format: Format, width: Option<u16>) -> Result<String, Diagnostic> {
        let all = || -> Result<Vec<Section>, Diagnostic> {
            let params = report::parameters_section(&self.model)?;
            Ok(std::iter::once(params).chain(self.sections.iter().cloned()).collect())
        };
        match (table, format) {
            (Table::Params, Format::Csv) => flat(&self.json()?).csv(),
            (Table::Params, Format::Markdown) => Ok(flat(&self.json()?).markdown()),
            (Table::All, Format::Csv) => report::sections_csv(&all()?),
            (Table::All, Format::Markdown) => Ok(report::sections_markdown(&all()?)),
            (_, Format::Csv) => report::sections_csv(&self.sections),
            (_, Format::Markdown) => Ok(report::sections_markdown(&self.sections)),
            (Table::Params | Table::All, _) => {
                let mut text = report::inspection_text(&self.model, width)?;
                if !self.sections.is_empty() {
                    text += &format!("\n{}", report::sections_text(&self.sections, width));
                }
                Ok(text + &self.warning_text())
            }
            _ => {
                let sections = report::sections_text(&self.sections, width);
                Ok(format!("{}\n\n{sections}{}", self.model.id, self.warning_text()))
            }
        }
    }

    fn warning_text(&self) -> String {
        self.warnings.iter().map(|w| format!("warning: {w}\n")).collect()
    }
}

/// Several models: the comparison, and the other tables with a column that names the model.
fn compare(
    reports: &[Report],
    table: Table,
    format: Format,
    width: Option<u16>,
) -> Result<String, Diagnostic> {
    let models: Vec<Model> = reports.iter().map(|r| r.model.clone()).collect();
    let comparison = report::comparison(&models)?;
    let sections = reports.iter().map(|r| (r.model.id.clone(), r.sections.clone())).collect();
    let sections = report::side_by_side(sections);
    let compares = matches!(table, Table::Params | Table::All);
    match format {
        Format::Csv if table == Table::Params => comparison.csv(),
        Format::Csv => report::sections_csv(&sections),
        Format::Markdown => {
            let head = if compares { comparison.markdown() + "\n\n" } else { String::new() };
            Ok(head + &report::sections_markdown(&sections))
        }
        _ => {
            let head = if compares { comparison.table(width) + "\n\n" } else { String::new() };
            let warn =
                |r: &Report| r.warnings.iter().map(|w| format!("warning: {}: {w}\n", r.model.id)).collect();
            let warnings: Vec<String> = reports.iter().map(warn).collect();
            Ok(head + &report::sections_text(&sections, width) + &warnings.concat())
        }
    }
}

/// The inspection as two columns, nested names joined by dots.
fn flat(json: &serde_json::Value) -> Sheet {
    let mut sheet = Sheet::new(["figure", "value"]);
    let mut add = |name: String, value: &serde_json::Value| {
        let cell = match value {
            serde_json::Value::String(s) => Value::Text(s.clone()),
            serde_json::Value::Null => Value::Missing,
            serde_json::Value::Number(n) if n.is_u64() => n.as_u64().map_or(Value::Missing, Value::Integer),
            other => Value::Text(other.to_string()),
        };
        sheet.rows.push(vec![Value::Text(name), cell]);
    };
    for (key, value) in json.as_object().into_iter().flatten() {
        match value.as_object() {
            Some(inner) => inner.iter().for_each(|(k, v)| add(format!("{key}.{k}"), v)),
            None => add(key.clone(), value),
        }
    }
    sheet
}
