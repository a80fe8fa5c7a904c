//! Kernel latencies, row by row, from the measured tables of a kernel database; rows that no table covers
//! take the forms.

use crate::catalog::measured::Operation;
use crate::catalog::version::Version;
use crate::catalog::{Catalog, Cluster, Engine, Gpu};
use crate::dtype::DType;
use crate::estimate::kernels::Kernels;
use crate::estimate::program::Lone;
use crate::model::operator::{OperatorKind, RankGroup, Rows, Step};
use crate::units::Seconds;

use super::kernel_rows::{
    attention, benchmarked, collective_timer, experts_shape, format, latent_shape, length, need, sequences,
    skew,
};
use super::{Prediction, Row};

/// Predicts `latency_us`.
pub fn predict(row: &Row, catalog: &Catalog) -> Prediction {
    let say = |d: crate::diagnostic::Diagnostic| d.cause;
    let mut gpu = catalog.gpu(row.text("gpu").ok_or("no GPU")?).map_err(say)?;
    let named = row.text("engine").unwrap_or("nccl").trim_end_matches("_custom");
    let mut engine = benchmarked(row, catalog)?;
    // Rows that name no version are of the newest that was measured.
    engine.version = row.text("engine_version").and_then(|v| v.parse().ok()).unwrap_or(Version::NEWEST);
    let class = row.text("kernel_class").ok_or("no kernel_class")?;
    catalog.measure_gpu(&mut gpu, &engine, wanted(class, named)).map_err(say)?;
    let time = if class == "allreduce" {
        collective(row, gpu, &engine)?
    } else {
        let kernels = Kernels::new(&gpu, &engine).map_err(say)?.with_expert_skew(skew(row)).repeated();
        let (kind, step) = operator(row, class)?;
        Lone::kernel(&kernels, kind).time(&step).0
    };
    Ok(vec![("latency_us", time.as_micros())])
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
        "moe" => experts_shape(row).map(|(shape, step)| (OperatorKind::GroupedGemm(shape), step)),
        other => Err(format!("unknown kernel_class {other}")),
    }
}

fn latent(row: &Row, kv: DType) -> Result<(OperatorKind, Step), String> {
    let shape = latent_shape(row, kv)?;
    if row.text("op") == Some("prefill") {
        Ok((OperatorKind::LatentPrefill(shape), Step::prefill(sequences(row)?, length(row)?)))
    } else {
        Ok((OperatorKind::LatentDecode(shape), Step::decode(sequences(row)?, length(row)?)))
    }
}

fn collective(row: &Row, gpu: Gpu, engine: &Engine) -> Result<Seconds, String> {
    let ranks = row.degree("num_gpus");
    let cluster = Cluster::of_gpus(gpu, ranks).map_err(|d| d.cause)?;
    let (timer, kind) = collective_timer(row, &cluster, engine)?;
    let kernels = Kernels::new(&cluster.gpu, engine).map_err(|d| d.cause)?;
    let (rows, group) = (Rows::DecodeSequences, RankGroup::Tensor);
    let kind = OperatorKind::Collective { kind, group, rows, bytes_per_row: 1 };
    let bytes = need(row, "message_bytes")? as f64;
    Ok(Lone::collective(&kernels, kind, timer, ranks).time(&Step::decode(bytes, 1.0)).0)
}
