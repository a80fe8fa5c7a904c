//! Kernel latencies, row by row, under the forms and coefficients of the row's GPU, engine and type.
//!
//! Benchmarks launch kernels one by one, again and again on the same data, and quantise activations each
//! time, so the engine's discounts for graphs and fused quantisation do not apply here, and what fits into
//! the cache comes from there.

use crate::catalog::kernels::{ByEngine, DecodeAttention, PrefillAttention};
use crate::catalog::{Catalog, Cluster, Engine, Gpu};
use crate::dtype::DType;
use crate::estimate::collectives::CollectiveTimer;
use crate::estimate::kernels::{AttentionKernel, ExpertsKernel, GemmKernel, Kernels, MXFP4_BY_FP8, gemm_key};
use crate::model::operator::{
    AttentionShape, CollectiveKind, ExpertsShape, LatentShape, Operator, OperatorKind, Step,
};
use crate::model::tensor::Component;
use crate::units::{Flops, Seconds, Traffic};

use super::kernel_rows::{
    attention, benchmarked, collective_timer, experts_shape, format, latent_shape, length, need, operation,
    sequences, skew, storage,
};
use super::prediction::Prediction;
use super::rows::Row;
use super::tables;

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

fn experts(row: &Row, k: &Kernels) -> Result<Measured, String> {
    let (shape, step) = experts_shape(row)?;
    let fp8_activations = row.text("dtype") == Some("w4a8_mxfp4_mxfp8");
    Ok(Measured::Experts(k.experts_by(shape.format, fp8_activations, row.text("kernel")).0, shape, step))
}

fn collective(row: &Row, gpu: &Gpu, engine: &Engine) -> Result<Measured, String> {
    let cluster = Cluster::of_gpus(gpu.clone(), row.degree("num_gpus")).map_err(|d| d.cause)?;
    let (timer, kind) = collective_timer(row, &cluster, engine)?;
    Ok(Measured::Collective(timer, kind, Traffic::new(need(row, "message_bytes")? as f64)))
}
