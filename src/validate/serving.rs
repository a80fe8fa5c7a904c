//! TTFT, TPOT and throughput of servers, each row under its own protocol.

use crate::catalog::{Catalog, Cluster};
use crate::estimate::deployment::{Context, ContextParts, Deployment};
use crate::estimate::measured;
use crate::estimate::memory::Limits;
use crate::plan::Parallelism;
use crate::units::{RequestsPerSecond, Seconds};
use crate::workload::Workload;

use super::{Prediction, Row};

/// InferenceX draws lengths uniformly from 0.8 to 1.0 of the nominal ones.
const INFERENCEX_MEAN_LENGTH: f64 = 0.9;

/// Closed-loop runs send ten requests per slot and take the mean over all, the first burst included.
const BURST_SHARE: f64 = 0.1;

/// Estimates the row's server.
pub fn predict(row: &Row, catalog: &Catalog) -> Prediction {
    let say = |d: crate::diagnostic::Diagnostic| d.cause;
    if row.text("prefill_cfg").is_some() {
        return Err("split pools are not modelled".into());
    }
    let model = row.model(catalog)?;
    let engine = row.engine(catalog)?;
    let gpu = catalog.gpu(row.text("gpu").ok_or("no GPU")?).map_err(say)?;
    let split = Parallelism {
        tp: row.degree("tp"),
        pp: row.degree("pp"),
        ep: row.degree("ep"),
        attention_dp: row.degree("attention_dp"),
    };
    let gpus = row.whole("num_gpus").unwrap_or_else(|| split.gpus());
    let replicas = (gpus / split.gpus().max(1)).max(1) as f64;
    let mut cluster =
        Cluster::of_gpus(gpu, u32::try_from(split.gpus()).map_err(|_| "too many GPUs")?).map_err(say)?;
    catalog
        .measure(&mut cluster, std::slice::from_ref(&engine), &measured::operations(&model))
        .map_err(say)?;
    let protocol = row.text("protocol").unwrap_or("steady");
    let scale = if protocol == "inferencex" { INFERENCEX_MEAN_LENGTH } else { 1.0 };
    let length = |column: &str| {
        let nominal = row.number(column).ok_or_else(|| format!("no {column}"))?;
        Ok::<u64, String>((nominal * scale).round().max(1.0) as u64)
    };
    let workload = Workload::new(length("isl")?, length("osl")?);
    let context = Context::new(ContextParts {
        model: &model,
        cluster: &cluster,
        engine: &engine,
        limits: Limits::of(&engine, &cluster.gpu),
        kv: row.kv(),
        workload,
        electricity: None,
    })
    .map_err(say)?;
    let placement = context.check(split).map_err(|r| r.message())?;
    let memory = context.memory(split);
    let deployment = Deployment::compile(&context, split, placement, memory);
    match protocol {
        "static" => static_batch(row, &deployment, &workload),
        _ => in_flight(row, &deployment, &workload, (protocol, replicas)),
    }
}

/// One batch: all prompts, then every step of the output.
fn static_batch(row: &Row, deployment: &Deployment, workload: &Workload) -> Prediction {
    let batch = row.number("batch").ok_or("no batch")?;
    let (ttft, e2e) = deployment.replica().static_batch(batch);
    let steps = (workload.osl as f64 - 1.0).max(1.0);
    Ok(vec![
        ("ttft_ms", ttft.as_millis()),
        ("tpot_ms", ((e2e - ttft) / steps).as_millis()),
        ("e2e_ms", e2e.as_millis()),
        ("output_tok_s", batch * workload.osl as f64 / e2e.get()),
    ])
}

/// Continuous batching at a concurrency, at a rate, or with everything queued at once.
fn in_flight(
    row: &Row,
    deployment: &Deployment,
    workload: &Workload,
    (protocol, replicas): (&str, f64),
) -> Prediction {
    let replica = deployment.replica();
    let rate = row.number("req_s").filter(|_| protocol.starts_with("open-loop") || protocol == "online-qps");
    let concurrency = match (row.number("concurrency"), rate) {
        (Some(n), _) => n / replicas,
        (None, Some(rate)) => deployment
            .concurrency_at(RequestsPerSecond::new(rate / replicas))
            .unwrap_or(deployment.max_batch() as f64),
        (None, None) => deployment.max_batch().max(1) as f64,
    };
    let service = replica.at(concurrency);
    let steps = workload.osl as f64 - 1.0;
    let burst: Seconds = replica.burst(concurrency);
    let (ttft, tpot) = match protocol {
        "closed-loop-unstated" if !replica.engine.scheduling.mixes_prefill => {
            // Lengths are fixed and prompts go first: requests start and end together, wave after wave.
            // The first tokens of a wave wait for the prompts of the rest of it.
            let (_, last) = replica.static_batch(concurrency);
            let last = last + replica.engine.scheduling.request_overhead;
            (burst, (last - burst).max(Seconds::ZERO) / steps.max(1.0))
        }
        "inferencex" | "closed-loop-unstated" => {
            (service.ttft * (1.0 - BURST_SHARE) + burst * BURST_SHARE, service.tpot)
        }
        _ => (service.ttft, service.tpot),
    };
    let requests = service.requests.get() * replicas;
    Ok(vec![
        ("ttft_ms", ttft.as_millis()),
        ("tpot_ms", tpot.as_millis()),
        ("e2e_ms", (ttft + tpot * steps).as_millis()),
        ("output_tok_s", service.output.get() * replicas),
        ("total_tok_s", requests * workload.context() as f64),
        ("req_s", requests),
    ])
}
