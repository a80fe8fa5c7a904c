//! Coefficients of the kernel forms, per engine and number format, as a file of `fits/` or a GPU's own states them.
//!
//! The forms themselves are in `estimate::kernels`. Symbols: `compute_efficiency` and
//! `memory_efficiency` are shares of the datasheet peak and bandwidth, `launch` is the floor of one
//! call, `sharpness` is the exponent `p` of the smooth maximum `(a^p + b^p)^(1/p)`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::builtin;
pub use super::fit::FitError;
use super::link::Link;
use crate::diagnostic::{Code, Diagnostic};
use crate::units::{BytesPerSecond, Seconds};

pub use super::power::PowerShares;
pub use super::training::TrainingShares;

/// Sizes between which a form was fitted: rows of a product, keys of attention, tokens of routed experts,
/// bytes of a collective's whole buffer. Beyond them a time is an extrapolation.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FitRange {
    /// Smallest size.
    pub from: f64,
    /// Largest size.
    pub to: f64,
}

impl FitRange {
    /// Whether a size lies within, or less than a factor of two beyond.
    #[inline]
    pub fn holds(&self, size: f64) -> bool {
        (self.from / 2.0..=self.to * 2.0).contains(&size)
    }
}

/// Matrix product `m × k` by `k × n`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gemm {
    /// Share of the peak reached by large products.
    pub compute_efficiency: f64,
    /// Share of the bandwidth reached by tall, thin products.
    pub memory_efficiency: f64,
    /// Floor of one call.
    pub launch: Seconds,
    /// Exponent of the smooth maximum.
    pub sharpness: f64,
    /// Latency per 1,000 of the inner dimension: the depth of one tile's loop.
    pub depth_latency: Seconds,
    /// The same where there is one row, if products of a matrix by a vector have a kernel of their own.
    #[serde(default)]
    pub single_row_depth: Option<Seconds>,
    /// Most that one multiprocessor reads, whatever the memory delivers: what it has in flight over the latency of a read.
    /// It bounds products by few rows where memory is faster than all multiprocessors ask it to be.
    #[serde(default)]
    pub multiprocessor_reads: Option<BytesPerSecond>,
    /// Whether `compute_efficiency` is a share of the INT8 peak, where the GPU has one: products of quantised weights by
    /// quantised activations on GPUs whose 16-bit products are no faster than those in 32 bits.
    #[serde(default)]
    pub in_int8: bool,
    /// Bytes moved per activation element to quantise it on the fly; zero for 16-bit products.
    pub quantise_bytes: f64,
    /// Time of the thread block that quantises one row, where that is longer.
    #[serde(default)]
    pub quantise_row: Seconds,
    /// Share of the memory time that repeating the same small product saves: it stays in the cache.
    #[serde(default)]
    pub cached_share: f64,
    /// Error on held-out shapes.
    pub error: Option<FitError>,
    /// Sizes that it was fitted to.
    pub range: Option<FitRange>,
}

/// Attention over a whole prompt.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrefillAttention {
    /// Share of the peak at a head dimension of 128.
    pub compute_efficiency: f64,
    /// Share of the bandwidth.
    pub memory_efficiency: f64,
    /// Floor of one call.
    pub launch: Seconds,
    /// Exponent of the smooth maximum.
    pub sharpness: f64,
    /// Time of one thread block per wave.
    pub block: Seconds,
    /// Exponent of efficiency in the head dimension.
    pub head_dim_exponent: f64,
    /// Latency per 1,000 positions along the keys.
    pub depth_latency: Seconds,
    /// Error on held-out shapes.
    pub error: Option<FitError>,
    /// Sizes that it was fitted to.
    pub range: Option<FitRange>,
}

/// State updates of a recurrent mixer over a whole prompt, by chunks.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScanPrefill {
    /// Share of the 16-bit peak.
    pub compute_efficiency: f64,
    /// Floor of one call.
    pub launch: Seconds,
    /// Exponent of the smooth maximum.
    pub sharpness: f64,
    /// Latency per 1,000 tokens of one prompt: each chunk's state waits for that of the chunk before.
    pub depth_latency: Seconds,
    /// Error on held-out shapes.
    pub error: Option<FitError>,
    /// Tokens of all prompts that it was fitted to.
    pub range: Option<FitRange>,
}

/// Attention of one new token per sequence over its cache.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DecodeAttention {
    /// Share of the 16-bit peak reached by the products.
    pub compute_efficiency: f64,
    /// Share of the bandwidth reached reading the cache.
    pub memory_efficiency: f64,
    /// Floor of one call.
    pub launch: Seconds,
    /// Exponent of the smooth maximum.
    pub sharpness: f64,
    /// Time of one thread block per wave.
    pub block: Seconds,
    /// Latency per doubling of the context: the split-k reduction.
    pub split_latency: Seconds,
    /// Serial latency per 1,000 positions of context.
    pub depth_latency: Seconds,
    /// Time of a thread block that serves a single query head, if it differs.
    pub single_block: Option<Seconds>,
    /// Most query heads that share a tile of their key-value head; of larger groups each takes its own.
    pub largest_group: Option<f64>,
    /// Positions that a tile computes at least: the context is rounded up to whole tiles.
    pub tile_positions: Option<f64>,
    /// Share of the memory time that repeating the same small step saves: it stays in the cache.
    #[serde(default)]
    pub cached_share: f64,
    /// Error on held-out shapes.
    pub error: Option<FitError>,
    /// Sizes that it was fitted to.
    pub range: Option<FitRange>,
}

/// Grouped matrix products of routed experts (both projections of a gated or plain FFN).
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupedGemm {
    /// Share of the peak.
    pub compute_efficiency: f64,
    /// Share of the bandwidth reached reading expert weights.
    pub memory_efficiency: f64,
    /// Floor of one call.
    pub launch: Seconds,
    /// Exponent of the smooth maximum.
    pub sharpness: f64,
    /// Passes over the activations of the tokens routed to this rank.
    pub local_passes: f64,
    /// Passes over the activations of all routed copies (permutation).
    pub global_passes: f64,
    /// Rows of padding per active expert.
    pub pad_rows: f64,
    /// Most tokens of a step that kernels for single vectors compute, which pad nothing.
    #[serde(default)]
    pub vector_tokens: f64,
    /// As of [`Gemm`].
    #[serde(default)]
    pub multiprocessor_reads: Option<BytesPerSecond>,
    /// As of [`Gemm`].
    #[serde(default)]
    pub in_int8: bool,
    /// Exponent of the hot rank's excess load in the number of expert-parallel ranks.
    pub imbalance_exponent: f64,
    /// Latency per 1,000 of hidden plus inner width: the depth of one tile's loops through both products.
    #[serde(default)]
    pub depth_latency: Seconds,
    /// Share of the memory time that repeating the same few experts saves: they stay in the cache.
    #[serde(default)]
    pub cached_share: f64,
    /// Whether these are the coefficients of another kernel, because what was measured of this one does not
    /// describe a server; times that rest on them are not called fitted.
    #[serde(default)]
    pub stand_in: bool,
    /// Error on held-out shapes.
    pub error: Option<FitError>,
    /// Sizes that it was fitted to.
    pub range: Option<FitRange>,
}

/// One collective of a communication library.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Collective {
    /// Latency with two ranks.
    pub latency: Seconds,
    /// Latency added by each rank beyond two.
    pub latency_per_rank: Seconds,
    /// Share of the link's bandwidth reached by eight ranks.
    pub link_efficiency: f64,
    /// Exponent of the smooth maximum.
    pub sharpness: f64,
    /// Exponent of efficiency in the number of ranks, relative to eight.
    pub rank_exponent: f64,
    /// Error on held-out shapes.
    pub error: Option<FitError>,
    /// Sizes that it was fitted to.
    pub range: Option<FitRange>,
}

/// The engine's own all-reduce for small messages: one-shot or two-shot, whichever is faster.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomAllReduce {
    /// Latency with two ranks.
    pub latency: Seconds,
    /// Latency added by each rank beyond two.
    pub latency_per_rank: Seconds,
    /// Share of the link's bandwidth, every rank reading all others.
    pub one_shot_efficiency: f64,
    /// Share of the link's bandwidth, reduce-scatter then all-gather.
    pub two_shot_efficiency: f64,
    /// Latency of the two-shot form relative to the one-shot one.
    pub two_shot_latency_factor: f64,
    /// Exponent of both efficiencies in the number of ranks, relative to eight.
    #[serde(default)]
    pub rank_exponent: f64,
    /// Exponent of the smooth maximum.
    pub sharpness: f64,
    /// Error on held-out shapes.
    pub error: Option<FitError>,
    /// Sizes that it was fitted to.
    pub range: Option<FitRange>,
}

/// A kernel bound by memory or by its own launch: norms, activations, look-ups, state updates.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SmallKernel {
    /// Floor of one call.
    pub launch: Seconds,
    /// Share of the bandwidth.
    pub memory_efficiency: f64,
    /// Share of the 16-bit peak, where it multiplies.
    pub compute_efficiency: f64,
}

/// Small kernels of every engine.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SmallKernels {
    /// One fused elementwise kernel.
    pub elementwise: SmallKernel,
    /// One small product per head.
    pub batched_gemm: SmallKernel,
    /// State update of a recurrent mixer.
    pub scan: SmallKernel,
    /// Softmax and sampling.
    pub sampling: SmallKernel,
}

/// `engine → number format → coefficients`. Attention is keyed `compute/cache`, for example `bf16/fp8`. A key with
/// an `@` is a set that versions of an engine name; see [`is_kernel_set`].
pub type ByEngine<T> = BTreeMap<String, BTreeMap<String, T>>;

/// Whether a key of a table stands for a set of coefficients that versions of an engine name (`vllm@0.6`), which no
/// other engine borrows.
pub fn is_kernel_set(key: &str) -> bool {
    key.contains('@')
}

/// Whether engines that have no coefficients of their own in a table borrow those under a key of it: not a set of some
/// versions, nor those of an engine whose kernels are its own.
pub fn is_lent(key: &str) -> bool {
    !is_kernel_set(key) && !builtin::is_apart(key)
}

/// Collectives of one kind of link.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Collectives {
    /// By library (`nccl`) and operation (`all_reduce`, `all_gather`, …).
    pub collective: ByEngine<Collective>,
    /// All-reduce kernels of the engines, keyed `all_reduce`.
    pub custom_all_reduce: ByEngine<CustomAllReduce>,
}

/// Every coefficient that a GPU's file, or a class of GPUs, states.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KernelTables {
    /// Where the measurements come from, and when.
    pub source: String,
    /// Dense products.
    pub gemm: ByEngine<Gemm>,
    /// Prompt attention.
    pub prefill_attention: ByEngine<PrefillAttention>,
    /// Decode attention.
    pub decode_attention: ByEngine<DecodeAttention>,
    /// Prompt attention of latent (MLA) models.
    pub latent_prefill: ByEngine<PrefillAttention>,
    /// Decode attention of latent (MLA) models.
    pub latent_decode: ByEngine<DecodeAttention>,
    /// Prompts through recurrent mixers, by the kind of mixer. Without them a prompt is as fast as its arithmetic
    /// under `small.scan`.
    pub scan_prefill: ByEngine<ScanPrefill>,
    /// Routed experts; `FORMAT/KERNEL` where an engine has several kernels for a format.
    pub grouped_gemm: ByEngine<GroupedGemm>,
    /// Collectives by library (`nccl`) and operation (`all_reduce`, `all_gather`, …).
    pub collective: ByEngine<Collective>,
    /// All-reduce kernels of the engines, keyed `all_reduce`.
    pub custom_all_reduce: ByEngine<CustomAllReduce>,
    /// The collectives of GPUs on PCIe that cannot reach each other's memory.
    pub through_host: Collectives,
    /// Small kernels; every class states them.
    pub small: Option<SmallKernels>,
    /// What kernels draw.
    pub power: Option<PowerShares>,
    /// What is left of their speed in training.
    pub training: Option<TrainingShares>,
}

impl KernelTables {
    /// These coefficients without the sets that versions of engines name: they are of kernels that this very class of
    /// GPUs runs, and would go before another class's own.
    #[must_use]
    pub fn without_sets(mut self) -> KernelTables {
        fn drop_sets<T>(table: &mut ByEngine<T>) {
            table.retain(|key, _| !is_kernel_set(key));
        }
        drop_sets(&mut self.gemm);
        drop_sets(&mut self.prefill_attention);
        drop_sets(&mut self.decode_attention);
        drop_sets(&mut self.latent_prefill);
        drop_sets(&mut self.latent_decode);
        drop_sets(&mut self.scan_prefill);
        drop_sets(&mut self.grouped_gemm);
        self
    }

    /// These coefficients, with those of `other` where an engine and number format is missing.
    #[must_use]
    pub fn filled_from(mut self, other: KernelTables) -> KernelTables {
        if self.source.is_empty() {
            self.source = other.source;
        }
        fill(&mut self.gemm, other.gemm);
        fill(&mut self.prefill_attention, other.prefill_attention);
        fill(&mut self.decode_attention, other.decode_attention);
        fill(&mut self.latent_prefill, other.latent_prefill);
        fill(&mut self.latent_decode, other.latent_decode);
        fill(&mut self.scan_prefill, other.scan_prefill);
        fill(&mut self.grouped_gemm, other.grouped_gemm);
        fill(&mut self.collective, other.collective);
        fill(&mut self.custom_all_reduce, other.custom_all_reduce);
        fill(&mut self.through_host.collective, other.through_host.collective);
        fill(&mut self.through_host.custom_all_reduce, other.through_host.custom_all_reduce);
        self.small = self.small.or(other.small);
        self.power = self.power.or(other.power);
        self.training = self.training.or(other.training);
        self
    }

    /// These coefficients with the collectives of `other`: those depend on the link, not on the GPU.
    #[must_use]
    pub fn with_collectives_of(mut self, other: KernelTables) -> KernelTables {
        self.collective = other.collective;
        self.custom_all_reduce = other.custom_all_reduce;
        self.through_host = other.through_host;
        self
    }

    /// Its collectives over a link, by library and by engine.
    pub fn collectives(&self, link: &Link) -> (&ByEngine<Collective>, &ByEngine<CustomAllReduce>) {
        if link.through_host() {
            (&self.through_host.collective, &self.through_host.custom_all_reduce)
        } else {
            (&self.collective, &self.custom_all_reduce)
        }
    }
}

impl KernelTables {
    /// Checks that shares and exponents are such that every time comes out positive and finite.
    ///
    /// # Errors
    /// The coefficient and what it must be.
    pub fn validate(&self) -> Result<(), String> {
        /// Checks these coefficients of every form of a table.
        macro_rules! positive {
            ($table:ident: $($name:ident),+) => {
                check(stringify!($table), &self.$table, |f| [$((stringify!($name), f.$name)),+])?
            };
        }
        positive!(gemm: compute_efficiency, memory_efficiency, sharpness);
        positive!(prefill_attention: compute_efficiency, memory_efficiency, sharpness);
        positive!(decode_attention: compute_efficiency, memory_efficiency, sharpness);
        positive!(latent_prefill: compute_efficiency, memory_efficiency, sharpness);
        positive!(latent_decode: compute_efficiency, memory_efficiency, sharpness);
        positive!(scan_prefill: compute_efficiency, sharpness);
        positive!(grouped_gemm: compute_efficiency, memory_efficiency, sharpness);
        positive!(collective: link_efficiency, sharpness);
        shares("gemm", &self.gemm, |f| f.cached_share)?;
        shares("decode_attention", &self.decode_attention, |f| f.cached_share)?;
        shares("grouped_gemm", &self.grouped_gemm, |f| f.cached_share)?;
        shares("latent_decode", &self.latent_decode, |f| f.cached_share)?;
        positive!(custom_all_reduce: one_shot_efficiency, two_shot_efficiency, sharpness);
        self.training.map_or(Ok(()), TrainingShares::validate)?;
        self.through_host.validate()?;
        self.power.map_or(Ok(()), PowerShares::validate)
    }

    /// What [`KernelTables::validate`] finds, as a problem of the description that holds them.
    fn problems(&self, place: &str) -> Vec<Diagnostic> {
        let wrong = |cause: String| {
            let field = cause.split(": ").next().unwrap_or_default().to_owned();
            Diagnostic::new(Code::Catalog, cause).at(place).field(field)
        };
        self.validate().map_err(wrong).err().into_iter().collect()
    }
}

impl Collectives {
    fn validate(&self) -> Result<(), String> {
        check("through_host.collective", &self.collective, |f| {
            [("link_efficiency", f.link_efficiency), ("sharpness", f.sharpness)]
        })?;
        check("through_host.custom_all_reduce", &self.custom_all_reduce, |f| {
            let shots = [f.one_shot_efficiency, f.two_shot_efficiency];
            [("one_shot_efficiency", shots[0]), ("two_shot_efficiency", shots[1]), ("sharpness", f.sharpness)]
        })
    }
}

/// Checks the named coefficients of every form of a table.
fn check<T, const N: usize>(
    kernel: &str,
    table: &ByEngine<T>,
    coefficients: fn(&T) -> [(&'static str, f64); N],
) -> Result<(), String> {
    for (engine, formats) in table {
        for (format, form) in formats {
            for (name, value) in coefficients(form) {
                if !(value > 0.0 && value.is_finite()) {
                    return Err(format!("kernels.{kernel}.{engine}.{format}.{name}: must be positive"));
                }
            }
        }
    }
    Ok(())
}

/// Checks that what a cache saves is a share of the time.
fn shares<T>(kernel: &str, table: &ByEngine<T>, cached: fn(&T) -> f64) -> Result<(), String> {
    for (engine, formats) in table {
        if let Some((format, _)) = formats.iter().find(|(_, f)| !(0.0..1.0).contains(&cached(f))) {
            return Err(format!(
                "kernels.{kernel}.{engine}.{format}.cached_share: must be at least 0 and below 1"
            ));
        }
    }
    Ok(())
}

fn fill<T>(mine: &mut ByEngine<T>, other: ByEngine<T>) {
    for (engine, formats) in other {
        let own = mine.entry(engine).or_default();
        for (format, form) in formats {
            own.entry(format).or_insert(form);
        }
    }
}

/// Coefficients of a GPU that is described elsewhere: those of `fits/kernels`, and what `shardfit calibrate` writes, which
/// goes over them.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KernelOverlay {
    /// Identifier of the GPU; the file's name without its extension.
    #[schemars(extend("x-names" = "gpu"))]
    pub id: String,
    /// What was measured.
    pub name: String,
    /// The coefficients; those that are missing stay as they are otherwise.
    pub kernels: KernelTables,
}

impl KernelOverlay {
    /// Figures that make no sense, [`Code::Catalog`] naming the field.
    pub fn problems(&self) -> Vec<Diagnostic> {
        self.kernels.problems(&format!("kernel coefficients of {}", self.id))
    }
}

/// A set of GPUs that share kernel behaviour, for those without measurements of their own.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GpuClass {
    /// Identifier; the file's name without its extension.
    pub id: String,
    /// What the class holds.
    pub name: String,
    /// Another class that fills what this one leaves out.
    #[serde(default)]
    #[schemars(extend("x-names" = "class"))]
    pub base: Option<String>,
    /// What engines must support to run on it, where that is not the vendor's GPUs.
    #[serde(default)]
    pub platform: Option<String>,
    /// Pooled coefficients.
    pub kernels: KernelTables,
}

impl GpuClass {
    /// Figures that make no sense, [`Code::Catalog`] naming the field.
    pub fn problems(&self) -> Vec<Diagnostic> {
        self.kernels.problems(&format!("GPU class {}", self.id))
    }
}
