//! Memory that servers logged, part by part.

use crate::catalog::{Catalog, Cluster};
use crate::estimate::deployment::{Context, ContextParts};
use crate::estimate::memory::Limits;
use crate::plan::Parallelism;
use crate::units::Bytes;
use crate::workload::Workload;

use super::{Prediction, Row};

/// Length of one request when the row does not say: only whole blocks depend on it.
const LENGTH: u64 = 4096;

/// Accounts for the row's server.
pub fn predict(row: &Row, catalog: &Catalog) -> Prediction {
    let say = |d: crate::diagnostic::Diagnostic| d.cause;
    let model = row.model(catalog)?;
    let engine = catalog.engine(row.text("engine").ok_or("no engine")?).map_err(say)?;
    let mut gpu = match row.text("gpu") {
        Some(name) => catalog.gpu(name).map_err(say)?,
        None => return Err("no GPU".into()),
    };
    if let Some(gib) = row.number("gpu_mem_gib") {
        gpu.memory = Bytes::gib(gib);
    }
    let split = Parallelism {
        tp: row.degree("tp"),
        pp: row.degree("pp"),
        ep: row.degree("ep"),
        attention_dp: row.degree("dp"),
    };
    let gpus = u32::try_from(split.gpus()).map_err(|_| "too many GPUs")?;
    let cluster = Cluster::of_gpus(gpu, gpus).map_err(say)?;
    let mut limits = Limits::of(&engine, &cluster.gpu);
    if let Some(n) = row.whole("max_num_seqs") {
        limits.max_sequences = n;
    }
    if let Some(n) = row.whole("max_num_batched_tokens") {
        limits.max_batched_tokens = n;
    }
    if let Some(x) = row.number("gpu_memory_utilization") {
        limits.memory_fraction = x;
    }
    let length = row.whole("max_model_len").unwrap_or(LENGTH).max(2);
    let workload = Workload::new(length - 1, 1);
    let kv = row.kv();
    let parts = ContextParts {
        model: &model,
        cluster: &cluster,
        engine: &engine,
        limits,
        kv,
        workload,
        electricity: None,
    };
    let memory = Context::new(parts).map_err(say)?.memory(split);
    Ok(vec![
        ("weights_gib_per_gpu", memory.weights.as_gib()),
        ("activation_peak_gib", memory.activations.as_gib()),
        ("non_torch_gib", memory.non_torch.as_gib()),
        ("cuda_graph_gib", memory.cuda_graphs.as_gib()),
        ("kv_cache_gib_per_gpu", memory.kv_cache.as_gib()),
        ("kv_cache_tokens", memory.kv_cache_tokens as f64),
    ])
}
