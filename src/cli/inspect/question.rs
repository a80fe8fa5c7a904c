//! What is asked of each model, and its answer as sections and warnings.

use crate::catalog::{Catalog, Cluster, Engine, Gpu};
use crate::cli::talk;
use crate::diagnostic::{Code, Diagnostic};
use crate::dtype::{DType, WeightFormat};
use crate::estimate::breakdown::{
    Breakdown, Device, HOST_SHARE, Mode, PRECISIONS, Routing, Setting, context_ladder, footprint,
    large_tensors, memory_parts, precisions, recommended_memory, widest_that_fits,
};
use crate::estimate::deployment::{Context, ContextParts};
use crate::estimate::memory::{LimitOverrides, MemoryQuestion};
use crate::model::Model;
use crate::plan::Parallelism;
use crate::report::{self, Section};
use crate::units::Bytes;
use crate::workload::Workload;

use super::args::{InspectArgs, Table};
use super::training::TrainingQuestion;

/// What is asked of each model.
pub(super) struct Question {
    table: Table,
    mode_given: bool,
    setting: Setting,
    weights: Option<WeightFormat>,
    dtype: Option<DType>,
    kv: Option<DType>,
    gpu: Option<Gpu>,
    hosts: Vec<Gpu>,
    engine: Option<Engine>,
    split: Parallelism,
    ram: Option<Bytes>,
    training: Option<TrainingQuestion>,
}

/// One model's answer.
pub(super) struct Report {
    pub(super) model: Model,
    pub(super) setting: Option<Setting>,
    pub(super) sections: Vec<Section>,
    pub(super) warnings: Vec<String>,
}

/// What people run models on beside data-centre GPUs.
const HOSTS: [&str; 3] = ["cpu-epyc-9654", "m3-max", "rtx-4090"];

impl Question {
    pub(super) fn read(args: &InspectArgs, table: Table, catalog: &Catalog) -> Result<Question, Diagnostic> {
        let (what, target) = (&args.what, &args.target);
        let kv = what.kv.as_deref().map(str::parse::<DType>).transpose()?;
        let dtype = what.dtype.as_deref().map(base_type).transpose()?;
        let mode = match what.mode.as_deref().map(str::parse).transpose()? {
            None if table == Table::Training => Some(Mode::Pretrain),
            mode => mode,
        };
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
        let gpu = target.gpu.as_deref().map(|name| catalog.gpu(name)).transpose()?;
        let wants_hosts = matches!(table, Table::Precision);
        let hosts = if wants_hosts { HOSTS.as_slice() } else { &[] };
        let size = |text: &String| {
            text.parse::<Bytes>().map_err(|cause| Diagnostic::new(Code::Syntax, cause).at("--ram"))
        };
        if table == Table::Context && gpu.is_none() {
            return Err(Diagnostic::new(Code::Usage, "which contexts fit depends on the GPU")
                .help("name one with --gpu, for example --gpu h100-sxm --tp 8"));
        }
        let engine = gpu.as_ref().map(|_| catalog.engine(&target.engine)).transpose()?;
        talk::caveats(&engine);
        Ok(Question {
            table,
            training: training(args, table, mode, &setting, catalog)?,
            mode_given: mode.is_some(),
            setting,
            weights: what.weights.as_deref().map(str::parse).transpose()?,
            dtype,
            kv,
            hosts: hosts.iter().map(|name| catalog.gpu(name)).collect::<Result<_, _>>()?,
            engine,
            gpu,
            split: Parallelism {
                tp: target.tp,
                pp: target.pp,
                ep: target.ep,
                attention_dp: target.attention_dp,
                dcp: 1,
            },
            ram: target.ram.as_ref().map(size).transpose()?,
        })
    }

    /// Whether a table is asked for.
    fn wants(&self, table: Table) -> bool {
        self.table == table || self.table == Table::All
    }

    pub(super) fn report(&self, model: Model) -> Result<Report, Diagnostic> {
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
        if let Some(training) = &self.training {
            sections.extend(training.sections(&model)?);
        }
        let setting = (breaks_down || self.training.is_some()).then_some(self.setting);
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
        let formats = [base.map(base_format), self.weights];
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
        let parts = ContextParts {
            model,
            cluster: &cluster,
            engine,
            limits: LimitOverrides::default(),
            kv: self.kv,
            workload,
            electricity: None,
        };
        let context = Context::new(parts)?;
        context.check(self.split).map_err(|reason| {
            Diagnostic::new(Code::Usage, reason.message()).at(format!("{} with {}", self.split, engine.id))
        })?;
        let question = MemoryQuestion {
            host: None,
            model: &context.model,
            gpu,
            engine,
            limits: context.limits,
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
            context.model.quantisation.main_format(),
            context.kv
        );
        Ok(Some(report::context_section(&place, &context_ladder(&question))))
    }

    /// A warning where a host's memory is too small, with the precision that would fit.
    fn too_large(&self, model: &Model, ram: Bytes) -> Option<String> {
        let need = model.checkpoint_bytes()
            + model.cache_bytes(self.setting.kv, self.setting.tokens) * self.setting.batch;
        if need <= ram.scaled(HOST_SHARE) {
            return None;
        }
        let advice = match widest_that_fits(model, &self.setting, ram) {
            Some(f) => format!("{} fits with {}", f.precision.name, f.need()),
            None => {
                let narrowest = PRECISIONS.map(|p| footprint(model, &self.setting, p));
                let least = narrowest.iter().map(|f| f.need()).min().unwrap_or(need);
                let wanted = recommended_memory(least).map_or("more".into(), |b| b.to_string());
                format!("no precision fits; the narrowest takes {least}, for which {wanted} of RAM is usual")
            }
        };
        Some(format!("weights and cache take {need}, too much for a host with {ram}: {advice}"))
    }
}

/// What is asked about training, if a table of it is shown.
fn training(
    args: &InspectArgs,
    table: Table,
    mode: Option<Mode>,
    setting: &Setting,
    catalog: &Catalog,
) -> Result<Option<TrainingQuestion>, Diagnostic> {
    let target = &args.target;
    match (table, mode) {
        (Table::All | Table::Training, Some(Mode::Pretrain)) => {
            let degrees = [target.tp, target.pp, target.ep];
            args.training.question(setting, target.gpu.as_deref(), degrees, catalog).map(Some)
        }
        (Table::Training, _) => Err(Diagnostic::new(Code::Usage, "`--table training` is about training")
            .at("--mode")
            .help("leave out --mode, or say --mode pretrain")),
        _ => Ok(None),
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
