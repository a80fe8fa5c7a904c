//! Memory that servers logged, part by part.

mod compare;
mod known;
mod log;
mod spread;
mod worst;

use std::collections::BTreeMap;

use itertools::Itertools as _;

use crate::catalog::engine::FractionOf;
use crate::catalog::{Catalog, Cluster, Engine, Gpu, Kind};
use crate::diagnostic::Diagnostic;
use crate::estimate::context::{Context, ContextParts};
use crate::estimate::memory::{MemoryUse, never_cuts};
use crate::model::Model;
use crate::plan::Parallelism;
use crate::units::Bytes;
use crate::workload::Workload;

use super::{Metric, Prediction, Row, Table, metrics};
pub use compare::{Compared, Comparison, Told, compare};
use known::contradicts;
pub use known::{assumed, unknowns};
pub use log::StartLog;
pub use spread::{Spread, spreads};
pub use worst::{Worst, worst};

/// The column that all parts leave room for.
const CACHE: &str = "kv_cache_gib_per_gpu";

/// Length of one request where neither the row nor the model says any.
const LENGTH: u64 = 4096;

/// Tokens of the longest request of a server that states none: the model's context, which engines take. Prompts that are
/// never cut leave no room at such a length, so that who started such a server stated a shorter one.
fn unstated_length(model: &Model, engine: &Engine) -> u64 {
    model.max_context.filter(|_| !never_cuts(engine, model)).unwrap_or(LENGTH)
}

/// Memory beyond the catalogue's by more than drivers differ is that of the box, or nvidia-smi's, of which
/// engines do not see all.
const DRIVERS_DIFFER: f64 = 1.003;

/// Errors over the rows whose configuration is known, all and by engine, and over the others.
pub(super) fn configurations(
    table: &Table,
    catalog: &Catalog,
    predictions: &[Prediction],
) -> BTreeMap<String, BTreeMap<String, Metric>> {
    let known: Vec<bool> = (0..table.len()).map(|i| unknowns(&table.row(i), catalog).is_empty()).collect();
    let engines = (0..table.len()).filter_map(|i| table.row(i).text("engine")).sorted().dedup();
    let mut groups = BTreeMap::new();
    let mut add = |name: String, of_group: &dyn Fn(&Row) -> bool| {
        let metrics = metrics::collect(table, predictions, of_group);
        if !metrics.is_empty() {
            groups.insert(name, metrics);
        }
    };
    add("configuration=known".into(), &|row| known[row.index()]);
    add("configuration=not known".into(), &|row| !known[row.index()]);
    // Of those, what no estimate can meet and what only lacks settings.
    let against = |row: &Row| contradicts(row, catalog, predictions.get(row.index()));
    let unknown = |row: &Row| !known[row.index()];
    add("configuration=contradicts itself".into(), &|row| unknown(row) && against(row));
    add("configuration=not stated".into(), &|row| unknown(row) && !against(row));
    for engine in engines {
        let own = |row: &Row| known[row.index()] && row.text("engine") == Some(engine);
        add(format!("configuration=known, engine={engine}"), &own);
    }
    groups
}

/// Predicts the parts of the row's server.
pub fn predict(row: &Row, catalog: &Catalog) -> Prediction {
    let memory = account(row, catalog)?;
    // A server that logged a cache ran, so that it had some.
    let ran = row.number("kv_cache_gib_per_gpu").is_some_and(|logged| logged >= 0.0);
    let least = if ran { 0.0 } else { f64::NEG_INFINITY };
    Ok(vec![
        ("weights_gib_per_gpu", memory.weights.as_gib()),
        ("activation_peak_gib", memory.activations.as_gib()),
        ("non_torch_gib", memory.non_torch.as_gib()),
        ("cuda_graph_gib", memory.cuda_graphs.as_gib()),
        ("kv_cache_gib_per_gpu", memory.logged_cache_gib().max(least)),
        ("kv_cache_tokens", memory.logged_tokens as f64),
        ("headroom_gib", memory.spare_gib()),
    ])
}

/// Accounts for a rank of the first stage of the row's server: its log is the one that people keep.
///
/// # Errors
/// Why there is no prediction.
pub fn account(row: &Row, catalog: &Catalog) -> Result<MemoryUse, String> {
    let engine = row.engine(catalog)?;
    let mut gpu = gpu_of(row, catalog, &engine)?;
    let memory = account_on(row, catalog, &engine, gpu.clone())?;
    match free_at_start(row, &engine, &gpu) {
        Some(free) => {
            gpu.memory = free + memory.non_torch;
            account_on(row, catalog, &engine, gpu)
        }
        None => Ok(memory),
    }
}

/// Accounts for the row's server on a GPU.
fn account_on(row: &Row, catalog: &Catalog, engine: &Engine, gpu: Gpu) -> Result<MemoryUse, String> {
    let say = |d: Diagnostic| d.cause;
    let model = row.model(catalog)?;
    let split = Parallelism {
        tp: row.degree("tp"),
        pp: row.degree("pp"),
        ep: row.degree("ep"),
        attention_dp: row.degree("dp"),
        dcp: row.degree("dcp"),
    };
    let gpus = u32::try_from(split.gpus()).map_err(|_| "too many GPUs")?;
    let cluster = Cluster::of_gpus(gpu, gpus).map_err(say)?;
    let limits = row.options().launch_of_one_plan(split.pp).map_err(say)?.limits;
    let length = row.whole("max_model_len").unwrap_or_else(|| unstated_length(&model, engine)).max(2);
    let context = Context::new(ContextParts {
        model: &model,
        cluster: &cluster,
        engine,
        limits,
        kv: row.kv(),
        workload: Workload::new(length - 1, 1),
        electricity: None,
    });
    Ok(context.map_err(say)?.memory_question(split).first_rank())
}

/// The memory that a row states, if any.
fn stated(row: &Row) -> Option<Bytes> {
    row.number("gpu_mem_gib").filter(|gib| *gib > 0.0).map(Bytes::gib)
}

/// What was free before the weights were loaded, where the row states that: engines whose fraction is of what is free
/// log no other memory of the GPU (SGLang: `Load weight begin. avail mem=…`), and it is less than any driver leaves.
fn free_at_start(row: &Row, engine: &Engine, gpu: &Gpu) -> Option<Bytes> {
    let of_free = engine.memory.fraction_of == FractionOf::Static && row.text("gpu").is_some();
    stated(row).filter(|memory| of_free && memory.scaled(DRIVERS_DIFFER) < gpu.memory)
}

/// The GPU that the row names, with the memory that it logged; where only a memory is known, the one of
/// the catalogue that has nearest as much.
fn gpu_of(row: &Row, catalog: &Catalog, engine: &Engine) -> Result<Gpu, String> {
    let say = |d: Diagnostic| d.cause;
    let logged = stated(row);
    let mut gpu = match (row.text("gpu"), logged) {
        (Some(name), _) => catalog.gpu(name).map_err(say)?,
        (None, Some(memory)) => nearest(catalog, memory).ok_or("no GPU")?,
        (None, None) => return Err("no GPU".into()),
    };
    let most = gpu.memory.scaled(DRIVERS_DIFFER);
    if free_at_start(row, engine, &gpu).is_some() {
        return Ok(gpu);
    }
    gpu.memory = logged.filter(|m| row.text("gpu").is_none() || *m <= most).unwrap_or(gpu.memory);
    Ok(gpu)
}

/// The GPU of the catalogue whose memory is nearest, the first by name among equals.
fn nearest(catalog: &Catalog, memory: Bytes) -> Option<Gpu> {
    let gpus = catalog.entries(Kind::Gpu).into_iter().filter_map(|e| catalog.gpu(e.id()).ok());
    gpus.filter(|g| g.vendor == "nvidia").min_by_key(|g| g.memory.get().abs_diff(memory.get()))
}
