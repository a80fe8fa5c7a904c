//! What the files of AIConfigurator's kernel database hold, as its 0.12 writes them.
//!
//! Latencies are in milliseconds. A file holds the rows of one GPU, engine and version.

use crate::dtype::{DType, WeightFormat};
use crate::units::Seconds;

use super::columns::{Columns, Texts};
use super::table::{Collector, Key, Operation, Point, SIZES, Types};

/// Where an operation's rows are and how one is read.
pub struct Schema {
    /// What it times.
    pub operation: Operation,
    /// Folder under the GPU's.
    pub folder: &'static str,
    /// Name of the file, without its extension.
    pub file: &'static str,
    /// Columns of words that are read.
    pub texts: &'static [&'static str],
    /// Columns of numbers that are read, `latency` apart.
    pub numbers: &'static [&'static str],
    row: fn(&Words, &Numbers) -> Option<Measured>,
}

/// The words of a row, in the order of the schema's columns.
type Words<'a> = [&'a str; WORDS];

/// The numbers of a row, in the order of the schema's columns; NaN where there is none.
type Numbers = [f64; NUMBERS];

/// Shape, what a step varies, and how little the row is preferred to others of the same.
type Measured = (Key, [f64; 2], u8);

/// Most columns of words and of numbers that a schema reads.
const WORDS: usize = 2;
const NUMBERS: usize = 7;

/// A size, as a whole number that is not negative.
fn size(x: f64) -> Option<u32> {
    (x >= 0.0 && x <= f64::from(u32::MAX)).then_some(x as u32)
}

/// A number, 0 where the file has none.
fn or_zero(x: f64) -> f64 {
    if x.is_nan() { 0.0 } else { x }
}

impl Schema {
    /// Reads the file's columns, and every row that says something.
    ///
    /// # Errors
    /// A column without which no row can be read.
    pub fn collect(&self, columns: &Columns) -> Result<Collector, String> {
        // Older files lack these; what they mean by default is right.
        let optional = ["window_size", "step", "backend", "attn_dtype"];
        let texts = self.texts.iter().zip(columns.texts.iter().map(Texts::is_empty));
        let numbers = self.numbers.iter().chain([&LATENCY]).zip(columns.numbers.iter().map(Vec::is_empty));
        let lacks = texts.chain(numbers).find(|(name, lacks)| *lacks && !optional.contains(name));
        if let Some((name, _)) = lacks {
            return Err(format!("it has no column `{name}`"));
        }
        let mut out = Collector::default();
        for row in 0..columns.rows {
            let (mut words, mut numbers) = ([""; WORDS], [f64::NAN; NUMBERS]);
            words.iter_mut().zip(&columns.texts).for_each(|(cell, column)| *cell = column.get(row));
            let values = columns.numbers.iter().take(self.numbers.len());
            numbers.iter_mut().zip(values).for_each(|(cell, column)| {
                *cell = column.get(row).copied().unwrap_or(f64::NAN);
            });
            let latency = columns.numbers.last().and_then(|column| column.get(row)).copied().unwrap_or(0.0);
            if let Some((key, at, preference)) = (self.row)(&words, &numbers)
                && at.iter().chain([&latency]).all(|x| *x > 0.0 && x.is_finite())
            {
                out.push(key, Point { at, time: Seconds::millis(latency) }, preference);
            }
        }
        Ok(out)
    }
}

/// The column of latencies, which every file has.
pub const LATENCY: &str = "latency";

/// How an operation's rows are read.
pub fn of(operation: Operation) -> &'static Schema {
    match operation {
        Operation::Gemm => &GEMM,
        Operation::Experts => &EXPERTS,
        Operation::PrefillAttention => &PREFILL,
        Operation::DecodeAttention => &DECODE,
        Operation::LatentPrefill => &LATENT_PREFILL,
        Operation::LatentDecode => &LATENT_DECODE,
        Operation::Absorb => &ABSORB,
        Operation::AllReduce => &ALL_REDUCE,
        Operation::Library => &NCCL,
    }
}

/// The storage that a table's word means, and how much it is preferred to others that mean the same:
/// MXFP4 with FP8 activations, where the GPU has it, to 16-bit ones.
pub fn weights(word: &str) -> Option<(WeightFormat, u8)> {
    Some(match word {
        "bfloat16" | "float16" => (WeightFormat::Bf16, 0),
        "int4_wo" => (WeightFormat::Int4, 0),
        "sq" | "int8" => (WeightFormat::Int8, 0),
        "w4a8_mxfp4_mxfp8" => (WeightFormat::Mxfp4, 0),
        "w4a16_mxfp4" => (WeightFormat::Mxfp4, 1),
        "fp8" => (WeightFormat::Fp8, 0),
        "fp8_block" => (WeightFormat::Fp8Block, 0),
        "nvfp4" => (WeightFormat::Nvfp4, 0),
        _ => return None,
    })
}

fn number_type(word: &str) -> Option<DType> {
    match word {
        "" | "bfloat16" | "float16" => Some(DType::Bf16),
        "fp8" => Some(DType::Fp8),
        _ => None,
    }
}

fn key<const N: usize>(types: Types, sizes: [u32; N]) -> Key {
    let mut all = [0; SIZES];
    all.iter_mut().zip(sizes).for_each(|(slot, size)| *slot = size);
    Key { types, sizes: all }
}

/// `n`, `k`; at `m` rows.
static GEMM: Schema = Schema {
    operation: Operation::Gemm,
    folder: "gemm",
    file: "gemm_perf",
    texts: &["gemm_dtype"],
    numbers: &["m", "n", "k"],
    row: |[dtype, ..], &[m, n, k, ..]| {
        let (format, preference) = weights(dtype)?;
        Some((key(Types::Weights(format), [size(n)?, size(k)?]), [m, 1.0], preference))
    },
};

/// Heads, key-value heads, head dimension, window (0 for none); at sequences × tokens of each.
fn attention(
    [compute, cache]: &Words,
    [batch, _, heads, kv_heads, head_dim, window, _]: &Numbers,
    tokens: f64,
) -> Option<Measured> {
    let types = Types::Attention(number_type(compute)?, number_type(cache)?);
    let heads = size(*heads)?;
    // Some files write 0 where there are as many as query heads.
    let kv_heads = size(*kv_heads).filter(|n| *n > 0).unwrap_or(heads);
    let sizes = [heads, kv_heads, size(*head_dim)?, size(or_zero(*window))?];
    Some((key(types, sizes), [*batch, tokens], 0))
}

static PREFILL: Schema = Schema {
    operation: Operation::PrefillAttention,
    folder: "attention",
    file: "context_attention_perf",
    texts: &["attn_dtype", "kv_cache_dtype"],
    numbers: &["batch_size", "isl", "num_heads", "num_key_value_heads", "head_dim", "window_size", "step"],
    row: |words, numbers| {
        let [_, isl, .., prefix] = *numbers;
        // Rows after a prefix would need an axis of their own.
        if or_zero(prefix) > 0.0 { None } else { attention(words, numbers, isl) }
    },
};

static DECODE: Schema = Schema {
    operation: Operation::DecodeAttention,
    folder: "attention",
    file: "generation_attention_perf",
    texts: &["attn_dtype", "kv_cache_dtype"],
    numbers: &["batch_size", "isl", "num_heads", "num_key_value_heads", "head_dim", "window_size", "step"],
    row: |words, numbers| {
        let [_, isl, .., cached] = *numbers;
        attention(words, numbers, isl + or_zero(cached))
    },
};

/// Heads; at sequences × tokens of each. DeepSeek-V3's sizes.
fn latent([cache, _]: &Words, [batch, heads]: [f64; 2], tokens: f64) -> Option<Measured> {
    let cache = number_type(cache)?;
    Some((key(Types::Attention(cache, cache), [size(heads)?]), [batch, tokens], 0))
}

static LATENT_PREFILL: Schema = Schema {
    operation: Operation::LatentPrefill,
    folder: "mla",
    file: "context_mla_perf",
    texts: &["kv_cache_dtype"],
    numbers: &["batch_size", "isl", "num_heads", "step"],
    row: |words, &[batch, isl, heads, prefix, ..]| {
        if or_zero(prefix) > 0.0 { None } else { latent(words, [batch, heads], isl) }
    },
};

static LATENT_DECODE: Schema = Schema {
    operation: Operation::LatentDecode,
    folder: "mla",
    file: "generation_mla_perf",
    texts: &["kv_cache_dtype"],
    numbers: &["batch_size", "isl", "num_heads", "step"],
    row: |words, &[batch, isl, heads, cached, ..]| latent(words, [batch, heads], isl + or_zero(cached)),
};

/// Heads, and 1 before or 2 after the attention; at tokens.
static ABSORB: Schema = Schema {
    operation: Operation::Absorb,
    folder: "mla_bmm",
    file: "mla_bmm_perf",
    texts: &["op_name", "bmm_dtype"],
    numbers: &["num_tokens", "num_heads"],
    row: |[name, dtype], &[tokens, heads, ..]| {
        let (format, preference) = weights(dtype)?;
        let side = match *name {
            "mla_gen_pre" => 1,
            "mla_gen_post" => 2,
            _ => return None,
        };
        Some((key(Types::Weights(format), [size(heads)?, side]), [tokens, 1.0], preference))
    },
};

/// Model width, inner width on the rank, experts per token, experts, expert-parallel ranks, spread of
/// the load (1 even, 2 and 3 the two power laws); at tokens of all ranks.
static EXPERTS: Schema = Schema {
    operation: Operation::Experts,
    folder: "moe",
    file: "moe_perf",
    texts: &["moe_dtype", "distribution"],
    numbers: &[
        "num_tokens",
        "hidden_size",
        "inter_size",
        "topk",
        "num_experts",
        "moe_tp_size",
        "moe_ep_size",
    ],
    row: |[dtype, spread], &[tokens, hidden, inner, top_k, experts, expert_tp, ep]| {
        let (format, preference) = weights(dtype)?;
        let spread = match *spread {
            "balanced" | "uniform" => 1,
            "power_law_1.01" | "power_law" => 2,
            "power_law_1.2" => 3,
            _ => return None,
        };
        let inner = size(inner)?.checked_div(size(expert_tp)?)?;
        let sizes = [size(hidden)?, inner, size(top_k)?, size(experts)?, size(ep)?, spread];
        Some((key(Types::Weights(format), sizes), [tokens, 1.0], preference))
    },
};

/// Ranks; at bytes. Inside CUDA graphs where both were measured, as engines run it.
static ALL_REDUCE: Schema = Schema {
    operation: Operation::AllReduce,
    folder: "comm",
    file: "custom_allreduce_perf",
    texts: &["allreduce_dtype", "backend"],
    numbers: &["num_gpus", "message_size"],
    row: |[dtype, backend], &[ranks, elements, ..]| {
        sixteen_bits(dtype)?;
        let eager = u8::from(backend.ends_with("_eager"));
        Some((key(Types::One, [size(ranks)?]), [2.0 * elements, 1.0], eager))
    },
};

/// Ranks, and which collective; at bytes of the full buffer.
static NCCL: Schema = Schema {
    operation: Operation::Library,
    folder: "comm",
    file: "nccl_perf",
    texts: &["nccl_dtype", "op_name"],
    numbers: &["num_gpus", "message_size"],
    row: |[dtype, name], &[ranks, elements, ..]| {
        sixteen_bits(dtype)?;
        let collective = match *name {
            "all_reduce" => 1,
            "reduce_scatter" => 2,
            "all_gather" => 3,
            "alltoall" => 4,
            _ => return None,
        };
        Some((key(Types::One, [size(ranks)?, collective]), [2.0 * elements, 1.0], 0))
    },
};

/// Sizes of messages count elements; only 16-bit ones are read.
fn sixteen_bits(word: &str) -> Option<()> {
    matches!(word, "half" | "bfloat16" | "float16").then_some(())
}
