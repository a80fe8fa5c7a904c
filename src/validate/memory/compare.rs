//! Predicted and measured, part by part.

use crate::catalog::{Catalog, Cluster, Engine, Gpu};
use crate::diagnostic::{Code, Diagnostic};
use crate::dtype::DType;
use crate::estimate::context::{Context, ContextParts};
use crate::estimate::memory::{LimitOverrides, Limits, MemoryUse};
use crate::model::Model;
use crate::plan::Parallelism;
use crate::workload::Workload;

use super::log::StartLog;
use super::{nearest, unstated_length};

/// What the user says of a server beside its log.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// The GPU, where the log's memory does not do.
    pub gpu: Option<Gpu>,
    /// The engine, instead of the log's.
    pub engine: Option<Engine>,
    /// Degrees, instead of the log's.
    pub tp: Option<u32>,
    /// Pipeline stages.
    pub pp: Option<u32>,
    /// Expert parallel.
    pub ep: Option<u32>,
    /// Attention data parallel.
    pub attention_dp: Option<u32>,
}

/// A server's log beside what is predicted for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// What the log says.
    pub log: StartLog,
    /// What is predicted.
    pub memory: MemoryUse,
    /// Engine and version that were asked.
    pub engine: String,
    /// The GPU that was assumed.
    pub gpu: String,
    /// The split that was assumed.
    pub parallelism: Parallelism,
    /// Limits that were assumed.
    pub limits: Limits,
    /// Type of the cache.
    pub kv: DType,
    /// Settings that neither log nor user state, so that the engine's defaults stand in.
    pub assumed: Vec<&'static str>,
}

/// One part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compared {
    /// Its name as a column.
    pub part: &'static str,
    /// As logged.
    pub logged: Option<f64>,
    /// As predicted.
    pub predicted: f64,
}

impl Comparison {
    /// The parts in GiB, and the tokens.
    pub fn parts(&self) -> Vec<Compared> {
        let (log, m) = (&self.log, &self.memory);
        let part = |part, logged, predicted| Compared { part, logged, predicted };
        vec![
            part("weights_gib", log.weights, m.weights.as_gib()),
            part("activations_gib", log.activations, m.activations.as_gib()),
            part("non_torch_gib", log.non_torch, m.non_torch.as_gib()),
            part("cuda_graphs_gib", log.cuda_graphs, m.cuda_graphs.as_gib()),
            part("kv_cache_gib", log.kv_cache, m.logged_cache_gib()),
            part("kv_cache_tokens", log.tokens.map(|n| n as f64), m.logged_tokens as f64),
        ]
    }
}

/// Predicts the memory of the server that wrote a log.
///
/// # Errors
/// [`Code::Syntax`] when the log says nothing of memory, [`Code::Usage`] when neither log nor user name the
/// GPU, and what is wrong with the plan.
pub fn compare(
    log: StartLog,
    model: &Model,
    told: &Told,
    catalog: &Catalog,
) -> Result<Comparison, Diagnostic> {
    if !log.measures() {
        return Err(Diagnostic::new(Code::Syntax, "no line says where the memory went").help(
            "expected the start-up log of vLLM, SGLang or TensorRT-LLM, such as `Model loading took …`",
        ));
    }
    let engine = engine(&log, told, catalog)?;
    let mut gpu = match (&told.gpu, log.total) {
        (Some(gpu), _) => gpu.clone(),
        (None, Some(total)) => nearest(catalog, total).ok_or_else(no_gpu)?,
        (None, None) => return Err(no_gpu()),
    };
    gpu.memory = log.total.unwrap_or(gpu.memory);
    let degree = |told: Option<u32>, logged: Option<u32>| told.or(logged).unwrap_or(1);
    let parallelism = Parallelism {
        tp: degree(told.tp, log.tp),
        pp: degree(told.pp, log.pp),
        ep: degree(told.ep, log.ep),
        attention_dp: degree(told.attention_dp, log.attention_dp),
        dcp: 1,
    };
    let gpus = u32::try_from(parallelism.gpus()).unwrap_or(u32::MAX);
    let cluster = Cluster::of_gpus(gpu, gpus)?;
    let limits = LimitOverrides {
        max_sequences: log.max_sequences,
        max_batched_tokens: log.max_batched_tokens,
        memory_fraction: log.fraction.filter(|f| *f > 0.0 && *f <= 1.0),
        ..LimitOverrides::default()
    };
    let kv = log.kv.as_deref().map(|kv| if kv.starts_with("fp8") { Ok(DType::Fp8) } else { kv.parse() });
    let length = log
        .max_model_len
        .unwrap_or_else(|| unstated_length(model, &engine))
        .clamp(2, crate::workload::MAX_LENGTH);
    let context = Context::new(ContextParts {
        model,
        cluster: &cluster,
        engine: &engine,
        limits,
        kv: kv.transpose()?,
        workload: Workload::new(length - 1, 1),
        electricity: None,
    })?;
    let memory = context.memory_question(parallelism).first_rank();
    let (limits, kv) = (context.limits, context.kv);
    let (engine, gpu) = (format!("{} {}", engine.id, engine.version), cluster.gpu.id.clone());
    let assumed = assumed(&log);
    Ok(Comparison { log, memory, engine, gpu, parallelism, limits, kv, assumed })
}

fn engine(log: &StartLog, told: &Told, catalog: &Catalog) -> Result<Engine, Diagnostic> {
    if let Some(engine) = &told.engine {
        return Ok(engine.clone());
    }
    let name = log.engine.ok_or_else(|| {
        Diagnostic::new(Code::Usage, "the log does not say which engine wrote it")
            .help("name it with --engine")
    })?;
    let words = [log.version.as_deref(), log.backend].into_iter().flatten().collect::<Vec<_>>().join(" ");
    Ok(catalog.every_version(name)?.logged(&words))
}

fn no_gpu() -> Diagnostic {
    Diagnostic::new(Code::Usage, "the log does not say how much memory the GPU has")
        .help("name the GPU with --gpu")
}

/// What the log leaves out.
fn assumed(log: &StartLog) -> Vec<&'static str> {
    let said = [
        ("version", log.version.is_some()),
        ("max_num_seqs", log.max_sequences.is_some()),
        ("max_num_batched_tokens", log.max_batched_tokens.is_some()),
        ("memory fraction", log.fraction.is_some()),
        ("longest context", log.max_model_len.is_some()),
    ];
    said.into_iter().filter(|(_, said)| !said).map(|(name, _)| name).collect()
}
