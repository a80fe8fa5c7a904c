//! Kernel latencies, row by row, under the forms and coefficients of the row's GPU, engine and type.
//!
//! Benchmarks launch kernels one by one, again and again on the same data, and quantise activations each
//! time, so the engine's discounts for graphs and fused quantisation do not apply here, and what fits into
//! the cache comes from there.

use crate::catalog::kernels::{ByEngine, DecodeAttention, PrefillAttention};
use crate::catalog::{Catalog, Cluster, Engine, Gpu};
use crate::dtype::{DType, WeightFormat};
use crate::estimate::collectives::CollectiveTimer;
use crate::estimate::kernels::{AttentionKernel, ExpertsKernel, GemmKernel, Kernels, MXFP4_BY_FP8, gemm_key};
use crate::model::operator::{
    AttentionShape, CollectiveKind, ExpertsShape, LatentShape, Operator, OperatorKind, Step,
};
use crate::model::tensor::Component;
use crate::plan::GroupLink;
use crate::units::{Flops, Seconds, Traffic};

use super::{Prediction, Row, tables};

/// One row: a kernel, ready to be timed, and its sizes.
#[derive(Clone, Copy, Debug)]
pub enum Measured {
    /// A dense product of `m`, `n` and `k`.
    Gemm(GemmKernel, [f64; 3]),
    /// Attention over prompts.
    Prefill(AttentionKernel<PrefillAttention>, Heads, Work),
    /// Attention of decoding sequences.
    Decode(AttentionKernel<DecodeAttention>, Heads, Work),
    /// Routed experts.
    Experts(ExpertsKernel, ExpertsShape, Step),
    /// A collective over a full buffer.
    Collective(CollectiveTimer, CollectiveKind, Traffic),
}

/// The heads of a kind of attention.
#[derive(Clone, Copy, Debug)]
pub enum Heads {
    /// Separate keys and values.
    Plain(AttentionShape),
    /// Latent attention.
    Latent(LatentShape),
}

/// A step with what it computes and moves.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// The step.
    pub step: Step,
    flops: Flops,
    traffic: Traffic,
}

impl Measured {
    /// Time under the kernel's coefficients.
    pub fn time(&self) -> Seconds {
        match self {
            Measured::Gemm(kernel, [m, n, k]) => kernel.time(*m, *n, *k).time,
            Measured::Prefill(kernel, Heads::Plain(a), w) => kernel.time(a, w.flops, w.traffic, &w.step).time,
            Measured::Prefill(kernel, Heads::Latent(l), w) => {
                kernel.latent_time(l, w.flops, w.traffic, &w.step).time
            }
            Measured::Decode(kernel, Heads::Plain(a), w) => kernel.time(a, w.traffic, &w.step).time,
            Measured::Decode(kernel, Heads::Latent(l), w) => kernel.latent_time(l, w.traffic, &w.step).time,
            Measured::Experts(kernel, shape, step) => kernel.time(shape, step).time,
            Measured::Collective(timer, _, buffer) => timer.time(*buffer),
        }
    }

    /// The size that ranges of fits are stated in: rows of a product, keys, tokens, bytes of a buffer.
    pub fn size(&self) -> f64 {
        match self {
            Measured::Gemm(_, [m, _, _]) => *m,
            Measured::Prefill(_, _, w) => w.step.prefill_tokens / w.step.prefill_sequences,
            Measured::Decode(_, Heads::Plain(a), w) => a.seen(w.step.context),
            Measured::Decode(_, Heads::Latent(_), w) => w.step.context,
            Measured::Experts(_, _, step) => step.tokens(),
            Measured::Collective(_, _, buffer) => buffer.get(),
        }
    }

    /// Reads a row.
    ///
    /// # Errors
    /// What the row lacks, or what is not known.
    pub fn read(row: &Row, catalog: &Catalog) -> Result<Measured, String> {
        let say = |d: crate::diagnostic::Diagnostic| d.cause;
        let mut gpu = catalog.gpu(row.text("gpu").ok_or("no GPU")?).map_err(say)?;
        // What the coefficients were measured over is what such rows are of.
        if gpu.kernels.collective.is_empty() && !gpu.kernels.through_host.collective.is_empty() {
            gpu.scale_up.peer_to_peer = Some(false);
        }
        Measured::read_on(row, &gpu, catalog)
    }

    /// Reads a row as one of this GPU, whatever it names.
    ///
    /// # Errors
    /// As [`Measured::read`].
    pub fn read_on(row: &Row, gpu: &Gpu, catalog: &Catalog) -> Result<Measured, String> {
        let say = |d: crate::diagnostic::Diagnostic| d.cause;
        let engine = benchmarked(row, catalog)?;
        let class = row.text("kernel_class").ok_or("no kernel_class")?;
        if class == "allreduce" {
            return collective(row, gpu, &engine);
        }
        let kernels = Kernels::new(gpu, &engine).map_err(say)?.with_expert_skew(skew(row)).repeated();
        kernel(row, class, &kernels)
    }
}

/// Where a row's coefficients stand in a GPU's file: kernel, engine (or library), number format (or
/// operation), and which of an engine's kernels it was.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Table: `gemm`, `prefill_attention`, …
    pub table: &'static str,
    /// Engine, or `nccl`.
    pub engine: String,
    /// Number format, `compute/cache` for attention, or operation.
    pub format: String,
    /// Kernel of the engine, where it has several.
    pub kernel: Option<String>,
}

impl Key {
    /// Whether these tables have coefficients for it.
    pub fn stands_in(&self, gpu: &Gpu) -> bool {
        let tables = &gpu.kernels;
        fn has<T>(table: &ByEngine<T>, key: &Key) -> bool {
            table.get(&key.engine).is_some_and(|formats| formats.contains_key(&key.format))
        }
        match self.table {
            "gemm" => has(&tables.gemm, self),
            "prefill_attention" => has(&tables.prefill_attention, self),
            "decode_attention" => has(&tables.decode_attention, self),
            "latent_prefill" => has(&tables.latent_prefill, self),
            "latent_decode" => has(&tables.latent_decode, self),
            "grouped_gemm" => {
                let form =
                    tables.grouped_gemm.get(&self.engine).and_then(|formats| formats.get(&self.format));
                form.is_some_and(|form| !form.stand_in)
            }
            "collective" => has(tables.collectives(&gpu.scale_up).0, self),
            _ => has(tables.collectives(&gpu.scale_up).1, self),
        }
    }

    /// The key of a row of a GPU.
    ///
    /// # Errors
    /// What the row lacks, or what is not known.
    pub fn of(row: &Row, gpu: &Gpu) -> Result<Key, String> {
        let named = row.text("engine").unwrap_or("nccl");
        let engine = named.trim_end_matches("_custom").to_owned();
        let key = |table, format: &str| Key { table, engine, format: format.to_owned(), kernel: None };
        let short = |column| match row.text(column) {
            Some(t) if t.starts_with("fp8") => "fp8",
            _ => "bf16",
        };
        Ok(match row.text("kernel_class").ok_or("no kernel_class")? {
            "gemm" => {
                let (format, weight_only) = storage(row)?;
                key("gemm", &gemm_key(format, weight_only))
            }
            "context_attention" => {
                key("prefill_attention", &format!("{}/{}", short("attn_dtype"), short("kv_cache_dtype")))
            }
            "generation_attention" => key("decode_attention", &format!("bf16/{}", short("kv_cache_dtype"))),
            "mla" => {
                let table =
                    if row.text("op") == Some("prefill") { "latent_prefill" } else { "latent_decode" };
                let kv = short("kv_cache_dtype");
                let wide = gpu.peak(DType::Fp8).is_none();
                key(table, &format!("{}/{kv}", if wide { "bf16" } else { kv }))
            }
            "moe" => {
                let fp8 = row.text("dtype") == Some("w4a8_mxfp4_mxfp8");
                let format = if fp8 { MXFP4_BY_FP8 } else { format(row)?.name() };
                Key { kernel: row.text("kernel").map(str::to_owned), ..key("grouped_gemm", format) }
            }
            "allreduce" if named == "nccl" => key("collective", operation(row)?.name()),
            "allreduce" => key("custom_all_reduce", operation(row)?.name()),
            other => return Err(format!("unknown kernel_class {other}")),
        })
    }
}

/// Column that is worked out: the power of ten of a kernel's size.
pub const DECADE: &str = "decade";

/// The power of ten of a row's size: rows of a product, keys, tokens, bytes of a buffer.
pub fn decade(row: &Row, catalog: &Catalog) -> Option<String> {
    let size = Measured::read(row, catalog).ok()?.size();
    (size >= 1.0).then(|| format!("1e{}", size.log10().floor()))
}

/// Predicts `latency_us`, from measured tables where the catalogue has some.
pub fn predict(row: &Row, catalog: &Catalog) -> Prediction {
    if catalog.is_measured() {
        return tables::predict(row, catalog);
    }
    Ok(vec![("latency_us", Measured::read(row, catalog)?.time().as_micros())])
}

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

fn kernel(row: &Row, class: &str, k: &Kernels) -> Result<Measured, String> {
    let kv = row.kv_cache();
    match class {
        "gemm" => {
            let size = |c| need(row, c).map(|n| n as f64);
            let sizes = [size("m")?, size("n")?, size("k")?];
            Ok(Measured::Gemm(k.gemm_stored(storage(row)?).0, sizes))
        }
        "context_attention" => {
            let (shape, step) = (attention(row, kv)?, Step::prefill(sequences(row)?, length(row)?));
            let work = work(OperatorKind::PrefillAttention(shape), step);
            Ok(Measured::Prefill(k.prefill_attention(kv).0, Heads::Plain(shape), work))
        }
        "generation_attention" => {
            let (shape, step) = (attention(row, kv)?, Step::decode(sequences(row)?, length(row)?));
            let work = work(OperatorKind::DecodeAttention(shape), step);
            Ok(Measured::Decode(k.decode_attention(kv).0, Heads::Plain(shape), work))
        }
        "mla" => latent(row, kv, k),
        "moe" => experts(row, k),
        other => Err(format!("unknown kernel_class {other}")),
    }
}

fn work(kind: OperatorKind, step: Step) -> Work {
    let operator = Operator::new("row", Component::Other, kind);
    Work { step, flops: operator.flops(&step), traffic: operator.traffic(&step) }
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
fn storage(row: &Row) -> Result<(WeightFormat, bool), String> {
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
        kv,
        context_ranks: 1,
    })
}

/// The tables hold DeepSeek-V3's latent attention.
pub(super) fn latent_shape(row: &Row, kv: DType) -> Result<LatentShape, String> {
    let heads = need(row, "num_heads")?;
    Ok(LatentShape { heads, kv_rank: 512, rope_dim: 64, nope_dim: 128, v_dim: 128, kv, context_ranks: 1 })
}

fn latent(row: &Row, kv: DType, k: &Kernels) -> Result<Measured, String> {
    let shape = latent_shape(row, kv)?;
    if row.text("op") == Some("prefill") {
        let step = Step::prefill(sequences(row)?, length(row)?);
        let work = work(OperatorKind::LatentPrefill(shape), step);
        Ok(Measured::Prefill(k.latent_prefill(kv).0, Heads::Latent(shape), work))
    } else {
        let step = Step::decode(sequences(row)?, length(row)?);
        let work = work(OperatorKind::LatentDecode(shape), step);
        Ok(Measured::Decode(k.latent_decode(kv).0, Heads::Latent(shape), work))
    }
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

fn experts(row: &Row, k: &Kernels) -> Result<Measured, String> {
    let (shape, step) = experts_shape(row)?;
    let fp8_activations = row.text("dtype") == Some("w4a8_mxfp4_mxfp8");
    Ok(Measured::Experts(k.experts_by(shape.format, fp8_activations, row.text("kernel")).0, shape, step))
}

fn operation(row: &Row) -> Result<CollectiveKind, String> {
    match row.text("op") {
        Some("all_reduce") => Ok(CollectiveKind::AllReduce),
        Some("all_gather") => Ok(CollectiveKind::AllGather),
        Some("reduce_scatter") => Ok(CollectiveKind::ReduceScatter),
        Some("alltoall" | "all_to_all") => Ok(CollectiveKind::AllToAll),
        other => Err(format!("unknown op {}", other.unwrap_or(""))),
    }
}

fn collective(row: &Row, gpu: &Gpu, engine: &Engine) -> Result<Measured, String> {
    let cluster = Cluster::of_gpus(gpu.clone(), row.degree("num_gpus")).map_err(|d| d.cause)?;
    let (timer, kind) = collective_timer(row, &cluster, engine)?;
    Ok(Measured::Collective(timer, kind, Traffic::new(need(row, "message_bytes")? as f64)))
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
