//! What the columns of a kernel's row say: its engine, sizes, shapes and formats.

use crate::catalog::{Catalog, Cluster, Engine};
use crate::dtype::{DType, WeightFormat};
use crate::estimate::collectives::CollectiveTimer;
use crate::model::operator::{AttentionShape, CollectiveKind, ExpertsShape, LatentShape, Step};
use crate::plan::GroupLink;

use super::rows::Row;

/// The row's engine as a benchmark of its kernels sees it.
pub(super) fn benchmarked(row: &Row, catalog: &Catalog) -> Result<Engine, String> {
    let named = row.text("engine").unwrap_or("nccl").trim_end_matches("_custom");
    let mut engine = catalog.engine(if named == "nccl" { "vllm" } else { named }).map_err(|d| d.cause)?;
    engine.scheduling.launch_share = 1.0;
    engine.scheduling.quantise_share = 1.0;
    let attention = row.text("attn_dtype").or(row.text("kv_cache_dtype"));
    engine.fp8_attention = attention.is_some_and(|t| t.starts_with("fp8"));
    Ok(engine)
}

/// The skew of the experts' load in a row; see [`crate::estimate::kernels::EXPERT_SKEW`].
pub(super) fn skew(row: &Row) -> f64 {
    match row.text("distribution") {
        Some("power_law_1.01") => 1.0,
        Some("power_law_1.2") => 1.4,
        _ => 0.0,
    }
}

pub(super) fn need(row: &Row, column: &str) -> Result<u64, String> {
    row.whole(column).ok_or_else(|| format!("no {column}"))
}

pub(super) fn sequences(row: &Row) -> Result<f64, String> {
    need(row, "batch_size").map(|n| n as f64)
}

/// Prompt tokens or cached tokens.
pub(super) fn length(row: &Row) -> Result<f64, String> {
    let columns = ["isl", "kv_len", "seq_len"];
    columns.iter().find_map(|c| row.number(c)).ok_or_else(|| "no length".into())
}

pub(super) fn format(row: &Row) -> Result<WeightFormat, String> {
    match row.text("dtype").unwrap_or("") {
        "bfloat16" => Ok(WeightFormat::Bf16),
        "int4_wo" => Ok(WeightFormat::Int4),
        "w4a16_mxfp4" | "w4a8_mxfp4_mxfp8" => Ok(WeightFormat::Mxfp4),
        "sq" => Ok(WeightFormat::Int8),
        other => other.parse().map_err(|_| format!("unknown dtype {other}")),
    }
}

/// The storage of a product's weights, and whether activations stay in 16 bits.
pub(super) fn storage(row: &Row) -> Result<(WeightFormat, bool), String> {
    match row.text("dtype") {
        Some("int8_wo") => Ok((WeightFormat::Int8, true)),
        _ => Ok((format(row)?, false)),
    }
}

pub(super) fn attention(row: &Row, kv: DType) -> Result<AttentionShape, String> {
    Ok(AttentionShape {
        heads: need(row, "num_heads")?,
        kv_heads: need(row, "num_key_value_heads")?,
        head_dim: need(row, "head_dim")?,
        window: row.whole("window_size"),
        both_ways: false,
        sinks: false,
        kv,
        context_ranks: 1,
    })
}

/// The tables hold DeepSeek-V3's latent attention.
pub(super) fn latent_shape(row: &Row, kv: DType) -> Result<LatentShape, String> {
    let heads = need(row, "num_heads")?;
    Ok(LatentShape {
        heads,
        kv_rank: 512,
        rope_dim: 64,
        nope_dim: 128,
        v_dim: 128,
        kv,
        context_ranks: 1,
        chosen: None,
    })
}

/// The experts of a row, and the step that brings its tokens.
pub(super) fn experts_shape(row: &Row) -> Result<(ExpertsShape, Step), String> {
    let shape = ExpertsShape {
        experts: need(row, "num_experts")?,
        top_k: need(row, "topk")?,
        hidden: need(row, "hidden_size")?,
        inner: (need(row, "inter_size")? / need(row, "moe_tp_size")?).max(1),
        // The plain feed-forward of Nemotron has no gate.
        matrices: if row.text("kernel").is_some_and(|name| name.contains("nongated")) { 2 } else { 3 },
        expert_ranks: need(row, "moe_ep_size")?,
        attention_data: 1,
        exchanged: false,
        format: format(row)?,
    };
    Ok((shape, Step::decode(need(row, "num_tokens")? as f64, 1.0)))
}

pub(super) fn operation(row: &Row) -> Result<CollectiveKind, String> {
    match row.text("op") {
        Some("all_reduce") => Ok(CollectiveKind::AllReduce),
        Some("all_gather") => Ok(CollectiveKind::AllGather),
        Some("reduce_scatter") => Ok(CollectiveKind::ReduceScatter),
        Some("alltoall" | "all_to_all") => Ok(CollectiveKind::AllToAll),
        other => Err(format!("unknown op {}", other.unwrap_or(""))),
    }
}

/// The form of a row's collective on one server.
pub(super) fn collective_timer(
    row: &Row,
    cluster: &Cluster,
    engine: &Engine,
) -> Result<(CollectiveTimer, CollectiveKind), String> {
    let kind = operation(row)?;
    let group = GroupLink { ranks: row.degree("num_gpus"), nodes: 1, bridged: false };
    let timer = CollectiveTimer::new(kind, group, cluster, engine);
    Ok((if row.text("engine") == Some("nccl") { timer.library_only() } else { timer }, kind))
}
