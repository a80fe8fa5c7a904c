//! Kernel latencies, row by row, from the measured tables of a kernel database; rows that no table covers
//! take the forms.

use crate::catalog::measured::Operation;
use crate::catalog::version::Version;
use crate::catalog::{Catalog, Cluster, Engine, Gpu};
use crate::dtype::{DType, WeightFormat};
use crate::estimate::collectives::CollectiveTimer;
use crate::estimate::kernels::Kernels;
use crate::estimate::program::Lone;
use crate::model::operator::{
    AttentionShape, CollectiveKind, ExpertsShape, LatentShape, OperatorKind, RankGroup, Rows, Step,
};
use crate::plan::GroupLink;
use crate::units::Seconds;

use super::{Prediction, Row};

/// Predicts `latency_us`.
pub fn predict(row: &Row, catalog: &Catalog) -> Prediction {
    let say = |d: crate::diagnostic::Diagnostic| d.cause;
    let mut gpu = catalog.gpu(row.text("gpu").ok_or("no GPU")?).map_err(say)?;
    let named = row.text("engine").unwrap_or("nccl").trim_end_matches("_custom");
    let mut engine = catalog.engine(if named == "nccl" { "vllm" } else { named }).map_err(say)?;
    engine.scheduling.launch_share = 1.0;
    engine.scheduling.quantise_share = 1.0;
    let attention = row.text("attn_dtype").or(row.text("kv_cache_dtype"));
    engine.fp8_attention = attention.is_some_and(|t| t.starts_with("fp8"));
    // Rows that name no version are of the newest that was measured.
    engine.version = row.text("engine_version").and_then(|v| v.parse().ok()).unwrap_or(Version::NEWEST);
    let class = row.text("kernel_class").ok_or("no kernel_class")?;
    catalog.measure_gpu(&mut gpu, &engine, wanted(class, named)).map_err(say)?;
    let time = if class == "allreduce" {
        collective(row, gpu, &engine)?
    } else {
        let skew = match row.text("distribution") {
            Some("power_law_1.01") => 1.0,
            Some("power_law_1.2") => 1.4,
            _ => 0.0,
        };
        let kernels = Kernels::new(&gpu, &engine).map_err(say)?.with_expert_skew(skew).repeated();
        let (kind, step) = operator(row, class)?;
        Lone::kernel(&kernels, kind).time(&step).0
    };
    Ok(vec![("latency_us", time.as_micros())])
}

fn need(row: &Row, column: &str) -> Result<u64, String> {
    row.whole(column).ok_or_else(|| format!("no {column}"))
}

/// The measured tables that a class of rows may be in.
fn wanted(class: &str, engine: &str) -> &'static [Operation] {
    match class {
        "gemm" => &[Operation::Gemm],
        "context_attention" => &[Operation::PrefillAttention],
        "generation_attention" => &[Operation::DecodeAttention],
        "mla" => &[Operation::LatentPrefill, Operation::LatentDecode],
        "moe" => &[Operation::Experts],
        "allreduce" if engine == "nccl" => &[Operation::Library],
        "allreduce" => &[Operation::AllReduce],
        _ => &[],
    }
}

/// The operator of a row, and the step in which it does the row's work.
fn operator(row: &Row, class: &str) -> Result<(OperatorKind, Step), String> {
    let kv = row.kv_cache();
    match class {
        "gemm" => {
            let (n, k, format) = (need(row, "n")?, need(row, "k")?, format(row)?);
            let kind = OperatorKind::Gemm { rows: Rows::Tokens, n, k, format };
            Ok((kind, Step::decode(need(row, "m")? as f64, 1.0)))
        }
        "context_attention" => {
            let step = Step::prefill(sequences(row)?, length(row)?);
            Ok((OperatorKind::PrefillAttention(attention(row, kv)?), step))
        }
        "generation_attention" => {
            let step = Step::decode(sequences(row)?, length(row)?);
            Ok((OperatorKind::DecodeAttention(attention(row, kv)?), step))
        }
        "mla" => latent(row, kv),
        "moe" => experts(row),
        other => Err(format!("unknown kernel_class {other}")),
    }
}

fn sequences(row: &Row) -> Result<f64, String> {
    need(row, "batch_size").map(|n| n as f64)
}

/// Prompt tokens or cached tokens.
fn length(row: &Row) -> Result<f64, String> {
    let columns = ["isl", "kv_len", "seq_len"];
    columns.iter().find_map(|c| row.number(c)).ok_or_else(|| "no length".into())
}

fn format(row: &Row) -> Result<WeightFormat, String> {
    match row.text("dtype").unwrap_or("") {
        "bfloat16" => Ok(WeightFormat::Bf16),
        "int4_wo" => Ok(WeightFormat::Int4),
        "w4a16_mxfp4" | "w4a8_mxfp4_mxfp8" => Ok(WeightFormat::Mxfp4),
        "sq" => Ok(WeightFormat::Int8),
        other => other.parse().map_err(|_| format!("unknown dtype {other}")),
    }
}

fn attention(row: &Row, kv: DType) -> Result<AttentionShape, String> {
    Ok(AttentionShape {
        heads: need(row, "num_heads")?,
        kv_heads: need(row, "num_key_value_heads")?,
        head_dim: need(row, "head_dim")?,
        window: row.whole("window_size"),
        kv,
    })
}

/// The tables hold DeepSeek-V3's latent attention.
fn latent(row: &Row, kv: DType) -> Result<(OperatorKind, Step), String> {
    let heads = need(row, "num_heads")?;
    let shape = LatentShape { heads, kv_rank: 512, rope_dim: 64, nope_dim: 128, v_dim: 128, kv };
    if row.text("op") == Some("prefill") {
        Ok((OperatorKind::LatentPrefill(shape), Step::prefill(sequences(row)?, length(row)?)))
    } else {
        Ok((OperatorKind::LatentDecode(shape), Step::decode(sequences(row)?, length(row)?)))
    }
}

fn experts(row: &Row) -> Result<(OperatorKind, Step), String> {
    let shape = ExpertsShape {
        experts: need(row, "num_experts")?,
        top_k: need(row, "topk")?,
        hidden: need(row, "hidden_size")?,
        inner: (need(row, "inter_size")? / need(row, "moe_tp_size")?).max(1),
        matrices: 3,
        expert_ranks: need(row, "moe_ep_size")?,
        attention_data: 1,
        format: format(row)?,
    };
    let step = Step::decode(need(row, "num_tokens")? as f64, 1.0);
    Ok((OperatorKind::GroupedGemm(shape), step))
}

fn collective(row: &Row, gpu: Gpu, engine: &Engine) -> Result<Seconds, String> {
    let kind = match row.text("op") {
        Some("all_reduce") => CollectiveKind::AllReduce,
        Some("all_gather") => CollectiveKind::AllGather,
        Some("reduce_scatter") => CollectiveKind::ReduceScatter,
        Some("alltoall" | "all_to_all") => CollectiveKind::AllToAll,
        other => return Err(format!("unknown op {}", other.unwrap_or(""))),
    };
    let ranks = row.degree("num_gpus");
    let cluster = Cluster::of_gpus(gpu, ranks).map_err(|d| d.cause)?;
    let timer = CollectiveTimer::new(kind, GroupLink { ranks, nodes: 1, bridged: false }, &cluster, engine);
    let timer = if row.text("engine") == Some("nccl") { timer.library_only() } else { timer };
    let kernels = Kernels::new(&cluster.gpu, engine).map_err(|d| d.cause)?;
    let (rows, group) = (Rows::DecodeSequences, RankGroup::Tensor);
    let kind = OperatorKind::Collective { kind, group, rows, bytes_per_row: 1 };
    let bytes = need(row, "message_bytes")? as f64;
    Ok(Lone::collective(&kernels, kind, timer, ranks).time(&Step::decode(bytes, 1.0)).0)
}
