//! What a run rests on: its models, clusters, GPUs, engines, workloads and targets, with their sources.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use crate::catalog::{Engine, Gpu};
use crate::report::cell::round;
use crate::scenario::Scenario;
use crate::units::{Seconds, UsdPerHour};

/// What results say about the run, from the scenario alone.
pub fn about(scenario: &Scenario) -> Json {
    // By what one costs too: clusters may state prices of their own.
    let mut gpus: BTreeMap<(&str, String), Json> = BTreeMap::new();
    let mut engines: BTreeMap<String, Json> = BTreeMap::new();
    for cluster in &scenario.clusters {
        for pool in &cluster.pools.pools {
            let costs = price(pool.price).to_string();
            gpus.entry((&pool.gpu.id, costs)).or_insert_with(|| gpu(&pool.gpu, pool.price));
        }
        for engine in cluster.all_engines() {
            engines
                .entry(format!("{} {}", engine.label(), engine.version))
                .or_insert_with(|| self::engine(engine));
        }
    }
    json!({
        "name": scenario.name,
        "about": scenario.about,
        "version": env!("CARGO_PKG_VERSION"),
        "models": scenario.models.iter().map(model).collect::<Vec<_>>(),
        "clusters": scenario.clusters.iter().map(cluster).collect::<Vec<_>>(),
        "workloads": scenario.workloads.iter().map(|w| json!({
            "name": w.name, "words": w.words, "comment": w.comment, "month": w.month,
        })).collect::<Vec<_>>(),
        "targets": scenario.targets.iter().map(|t| json!({
            "name": t.name, "ttft_ms": millis(t.targets.ttft), "tpot_ms": millis(t.targets.tpot),
            "e2e_ms": millis(t.targets.e2e),
        })).collect::<Vec<_>>(),
        "gpus": gpus.into_values().collect::<Vec<_>>(),
        "engines": engines.into_values().collect::<Vec<_>>(),
    })
}

fn millis(time: Option<Seconds>) -> Json {
    time.map_or(Json::Null, |t| round(t.as_millis()))
}

fn price(price: Option<UsdPerHour>) -> Json {
    price.map_or(Json::Null, |p| round(p.get()))
}

fn model(named: &crate::scenario::NamedModel) -> Json {
    let m = &named.model;
    let weights = named.precision.weights.unwrap_or_else(|| m.quantisation.main_format());
    let parameters = m.parameters().ok();
    json!({
        "name": named.name, "id": m.id, "family": m.family, "recognised": m.recognised,
        "weights": weights.name(), "kv": named.precision.kv.map(|kv| kv.name()),
        "parameters": parameters.as_ref().map(|p| p.total),
        "active": parameters.as_ref().map(|p| p.active), "max_context": m.max_context,
    })
}

fn cluster(named: &crate::scenario::NamedCluster) -> Json {
    let pools = named.pools.pools.iter().map(|pool| {
        json!({ "gpu": pool.gpu.id, "gpus": pool.gpus, "nodes": pool.nodes, "price_usd_per_gpu_h": price(pool.price) })
    });
    json!({ "name": named.name, "pools": pools.collect::<Vec<_>>() })
}

/// A GPU at the price that answers count with: the catalogue's, with its day and source, or one that the scenario states.
fn gpu(gpu: &Gpu, costs: Option<UsdPerHour>) -> Json {
    let listed = gpu.price.as_ref().filter(|listed| costs == Some(listed.on_demand));
    let source = listed.map(|listed| listed.source.as_str()).or(costs.map(|_| "stated by the scenario"));
    json!({
        "id": gpu.id, "name": gpu.name, "memory_gib": round(gpu.memory.as_gib()),
        "price_usd_per_h": price(costs),
        "price_date": listed.map(|listed| listed.date.as_str()),
        "price_source": source,
        "sources": gpu.sources,
        "kernels": gpu.kernels.source,
    })
}

fn engine(engine: &Engine) -> Json {
    json!({
        "id": engine.label(), "name": engine.name, "version": engine.version.to_string(), "sources": engine.sources,
        "note": engine.caveat(),
    })
}
