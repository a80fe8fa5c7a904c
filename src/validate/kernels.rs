//! Kernel latencies, row by row, under the forms and coefficients of the row's GPU, engine and type.
//!
//! Benchmarks launch kernels one by one and quantise activations each time, so the engine's discounts
//! for graphs and fused quantisation do not apply here.

use crate::catalog::{Catalog, Cluster, Engine, Gpu};
use crate::dtype::{DType, WeightFormat};
use crate::estimate::collectives::CollectiveTimer;
use crate::estimate::kernels::{KernelTime, Kernels};
use crate::model::operator::{
    AttentionShape, CollectiveKind, ExpertsShape, LatentShape, Operator, OperatorKind, Step,
};
use crate::model::tensor::Component;
use crate::plan::GroupLink;
use crate::units::Traffic;

use super::{Prediction, Row};

/// Predicts `latency_us`.
pub fn predict(row: &Row, catalog: &Catalog) -> Prediction {
    let say = |d: crate::diagnostic::Diagnostic| d.cause;
    let gpu = catalog.gpu(row.text("gpu").ok_or("no GPU")?).map_err(say)?;
    let named = row.text("engine").unwrap_or("nccl").trim_end_matches("_custom");
    let mut engine = catalog.engine(if named == "nccl" { "vllm" } else { named }).map_err(say)?;
    engine.scheduling.launch_share = 1.0;
    engine.scheduling.quantise_share = 1.0;
    let attention = row.text("attn_dtype").or(row.text("kv_cache_dtype"));
    engine.fp8_attention = attention.is_some_and(|t| t.starts_with("fp8"));
    let class = row.text("kernel_class").ok_or("no kernel_class")?;
    let time = if class == "allreduce" {
        collective(row, gpu, &engine)?
    } else {
        let skew = match row.text("distribution") {
            Some("power_law_1.01") => 1.0,
            Some("power_law_1.2") => 1.4,
            _ => 0.0,
        };
        let kernels = Kernels::new(&gpu, &engine).map_err(say)?.with_expert_skew(skew);
        kernel(row, class, &kernels)?.time
    };
    Ok(vec![("latency_us", time.as_micros())])
}

fn need(row: &Row, column: &str) -> Result<u64, String> {
    row.whole(column).ok_or_else(|| format!("no {column}"))
}

fn kernel(row: &Row, class: &str, k: &Kernels) -> Result<KernelTime, String> {
    let kv = row.kv_cache();
    match class {
        "gemm" => {
            let (kernel, _) = k.gemm(format(row)?);
            let size = |c| need(row, c).map(|n| n as f64);
            Ok(kernel.time(size("m")?, size("n")?, size("k")?))
        }
        "context_attention" => {
            let (shape, step) = (attention(row, kv)?, Step::prefill(sequences(row)?, length(row)?));
            let op = operator(OperatorKind::PrefillAttention(shape));
            Ok(k.prefill_attention(kv).0.time(&shape, op.flops(&step), op.traffic(&step), &step))
        }
        "generation_attention" => {
            let (shape, step) = (attention(row, kv)?, Step::decode(sequences(row)?, length(row)?));
            let op = operator(OperatorKind::DecodeAttention(shape));
            Ok(k.decode_attention(kv).0.time(&shape, op.traffic(&step), &step))
        }
        "mla" => latent(row, kv, k),
        "moe" => experts(row, k),
        other => Err(format!("unknown kernel_class {other}")),
    }
}

fn operator(kind: OperatorKind) -> Operator {
    Operator::new("row", Component::Other, kind)
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
fn latent(row: &Row, kv: DType, k: &Kernels) -> Result<KernelTime, String> {
    let heads = need(row, "num_heads")?;
    let shape = LatentShape { heads, kv_rank: 512, rope_dim: 64, nope_dim: 128, v_dim: 128, kv };
    if row.text("op") == Some("prefill") {
        let step = Step::prefill(sequences(row)?, length(row)?);
        let op = operator(OperatorKind::LatentPrefill(shape));
        Ok(k.latent_prefill(kv).0.latent_time(&shape, op.flops(&step), op.traffic(&step), &step))
    } else {
        let step = Step::decode(sequences(row)?, length(row)?);
        let op = operator(OperatorKind::LatentDecode(shape));
        Ok(k.latent_decode(kv).0.latent_time(&shape, op.traffic(&step), &step))
    }
}

fn experts(row: &Row, k: &Kernels) -> Result<KernelTime, String> {
    let format = format(row)?;
    let shape = ExpertsShape {
        experts: need(row, "num_experts")?,
        top_k: need(row, "topk")?,
        hidden: need(row, "hidden_size")?,
        inner: (need(row, "inter_size")? / need(row, "moe_tp_size")?).max(1),
        matrices: 3,
        expert_ranks: need(row, "moe_ep_size")?,
        attention_data: 1,
        format,
    };
    let step = Step::decode(need(row, "num_tokens")? as f64, 1.0);
    Ok(k.experts(format).0.time(&shape, &step))
}

fn collective(row: &Row, gpu: Gpu, engine: &Engine) -> Result<crate::units::Seconds, String> {
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
    Ok(timer.time(Traffic::new(need(row, "message_bytes")? as f64)))
}
