//! Legality: small separate rules, each of which passes a layout or says why not.

use crate::catalog::engine::{ExpertParallel, SmallSteps};
use crate::catalog::{Cluster, Engine};
use crate::dtype::{DType, WeightFormat};
use crate::model::Model;

use super::divisors::{Divisors, copies};
use super::placement::{Placement, place};
use super::{Parallelism, Reason};

/// What the rules look at.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The model, at the plan's precision.
    pub model: &'a Model,
    /// What the model divides by.
    pub divisors: &'a Divisors,
    /// The cluster.
    pub cluster: &'a Cluster,
    /// The engine.
    pub engine: &'a Engine,
    /// The split.
    pub parallelism: Parallelism,
    /// Type of the KV cache.
    pub kv: DType,
    /// Whether tokens are drafted.
    pub drafts: bool,
    /// Experts of a layer that are held a second time, over all ranks.
    pub redundant_experts: u64,
    /// Tokens of a step and sequences of a batch, as launched.
    pub step: (u64, u64),
}

/// One rule.
pub type Rule = fn(&Candidate) -> Result<(), Reason>;

/// Every rule, cheapest first.
pub const RULES: &[Rule] = &[
    vendor_is_supported,
    kinds_are_spanned,
    steps_hold_batches,
    slices_work_alone,
    weight_format_runs,
    cache_type_is_supported,
    dense_models_have_no_expert_ranks,
    engine_has_the_modes,
    context_ranks_hold_the_same_heads,
    engine_takes_the_expert_degree,
    expert_ranks_divide_the_stage,
    tensor_ranks_divide_heads,
    tensor_ranks_divide_feed_forward,
    expert_ranks_divide_experts,
    expert_tensor_ranks_divide_expert_width,
    stages_hold_layers,
];

/// Applies every rule, then places the replica.
///
/// # Errors
/// The first reason.
pub fn check(c: &Candidate) -> Result<Placement, Reason> {
    RULES.iter().try_for_each(|rule| rule(c))?;
    place(c.parallelism, c.cluster)
        .ok_or(Reason::NoPlace { gpus: c.parallelism.gpus(), of: c.cluster.gpus.into() })
}

fn vendor_is_supported(c: &Candidate) -> Result<(), Reason> {
    let runs = c.cluster.kinds().all(|gpu| c.engine.runs_on(gpu));
    if runs { Ok(()) } else { Err(Reason::VendorUnsupported) }
}

/// A replica on cards of several kinds has a stage on each.
fn kinds_are_spanned(c: &Candidate) -> Result<(), Reason> {
    let Some(cards) = c.cluster.cards_of_replica() else { return Ok(()) };
    let staged = c.parallelism == Parallelism { pp: cards, ..Parallelism::SINGLE };
    match c.engine.parallel.spans_kinds {
        true if staged => Ok(()),
        true => Err(Reason::NoPlace { gpus: c.parallelism.gpus(), of: cards.into() }),
        false => Err(Reason::KindsUnspanned),
    }
}

/// vLLM's `SchedulerConfig` raises where `max_num_batched_tokens` is less than `max_num_seqs` (`vllm/config.py`,
/// `_verify_args`; from 0.11 on `vllm/config/scheduler.py`, `verify_max_model_len`).
fn steps_hold_batches(c: &Candidate) -> Result<(), Reason> {
    let (tokens, sequences) = c.step;
    match c.engine.defaults.small_steps {
        SmallSteps::Lowered | SmallSteps::Refused if tokens < sequences => {
            Err(Reason::StepBelowSequences { tokens, sequences })
        }
        _ => Ok(()),
    }
}

/// A process enumerates one MIG slice, and NCCL joins none: NVIDIA's MIG user guide, "Application considerations".
fn slices_work_alone(c: &Candidate) -> Result<(), Reason> {
    match c.parallelism.gpus() {
        gpus if gpus > 1 && c.cluster.gpu.slice.is_some() => Err(Reason::SlicesApart { gpus }),
        _ => Ok(()),
    }
}

/// A format runs where the GPU computes in its element type, or where the engine has a kernel that
/// widens it to 16 bits; its least compute capability may leave GPUs out either way.
fn weight_format_runs(c: &Candidate) -> Result<(), Reason> {
    let runs = |format: WeightFormat| {
        let native = c.cluster.kinds().all(|gpu| gpu.peak(format.element()).is_some());
        // Files mix more types than engines list: who reads one of ggml's formats reads them all.
        let from_file = matches!(format, WeightFormat::Ggml(_));
        let lists = |formats: &[WeightFormat]| {
            formats.contains(&format.kernel()) || from_file && formats.iter().any(|f| f.is_ggml())
        };
        let loads = lists(&c.engine.weight_formats);
        !c.cluster.kinds().any(|gpu| c.engine.lacks_kernels(gpu, format))
            && loads
            && (native || lists(&c.engine.weight_only_formats))
            || (!format.is_quantised() && c.cluster.kinds().all(|gpu| gpu.peak_16bit().is_some()) && loads)
    };
    match c.divisors.formats.iter().find(|f| !runs(**f)) {
        Some(format) => Err(Reason::FormatUnsupported { format: *format }),
        None => Ok(()),
    }
}

fn cache_type_is_supported(c: &Candidate) -> Result<(), Reason> {
    if c.engine.kv_types.contains(&c.kv) { Ok(()) } else { Err(Reason::CacheUnsupported { kv: c.kv }) }
}

fn dense_models_have_no_expert_ranks(c: &Candidate) -> Result<(), Reason> {
    if !c.divisors.experts.is_empty() {
        return Ok(());
    }
    match c.parallelism {
        Parallelism { ep: 2.., .. } => Err(Reason::DenseModel { mode: "expert parallel" }),
        Parallelism { attention_dp: 2.., .. } => Err(Reason::DenseModel { mode: "attention data parallel" }),
        _ => Ok(()),
    }
}

fn engine_has_the_modes(c: &Candidate) -> Result<(), Reason> {
    let modes = &c.engine.parallel;
    if c.parallelism.tp > 1 && !modes.tensor {
        return Err(Reason::ModeUnsupported { mode: "tensor parallel" });
    }
    if c.parallelism.pp > 1 && !modes.pipeline {
        return Err(Reason::ModeUnsupported { mode: "pipeline parallel" });
    }
    if c.parallelism.attention_dp > 1 && c.parallelism.tp > 1 && modes.attention_tensor_or_data {
        return Err(Reason::ModeUnsupported { mode: "attention of both kinds at once" });
    }
    if c.parallelism.attention_dp > 1 && !modes.attention_data {
        return Err(Reason::ModeUnsupported { mode: "attention data parallel" });
    }
    Ok(())
}

fn engine_takes_the_expert_degree(c: &Candidate) -> Result<(), Reason> {
    let ep = u64::from(c.parallelism.ep);
    let allowed = match c.engine.parallel.expert {
        ExpertParallel::None => ep == 1,
        ExpertParallel::AllOrNothing => ep == 1 || ep == c.parallelism.stage_ranks(),
        // Where tokens go to their experts alone, all ranks have their own (SGLang 0.5.14 `server_args.py`: "The expert
        // parallel size is adjusted to be the same as the tensor parallel size", which counts all ranks).
        ExpertParallel::Any => {
            c.engine.launch.expert_exchange.is_none() || ep == 1 || ep == c.parallelism.stage_ranks()
        }
    };
    if allowed { Ok(()) } else { Err(Reason::ModeUnsupported { mode: "partial expert parallel" }) }
}

fn expert_ranks_divide_the_stage(c: &Candidate) -> Result<(), Reason> {
    let p = c.parallelism;
    match p.expert_tp() {
        Some(_) => Ok(()),
        None => Err(not_divisible("ranks of a stage", p.stage_ranks(), p.ep, "ep")),
    }
}

/// Query heads divide evenly; key-value heads divide evenly or are replicated evenly.
fn tensor_ranks_divide_heads(c: &Candidate) -> Result<(), Reason> {
    let tp = u64::from(c.parallelism.tp);
    for (heads, kv_heads) in &c.divisors.heads {
        if !heads.is_multiple_of(tp) {
            return Err(not_divisible("attention heads", *heads, c.parallelism.tp, "tp"));
        }
        if let Some(kv) = kv_heads
            && !kv.is_multiple_of(tp)
            && !tp.is_multiple_of(*kv)
        {
            return Err(not_divisible("key-value heads", *kv, c.parallelism.tp, "tp"));
        }
    }
    // vLLM 0.33 `layers/mamba/mamba_mixer2.py`: "If tensor parallel world size does not divide num_groups, then num_groups
    // must equal 1"; SGLang has it from there.
    let uneven = |groups: &&u64| **groups > 1 && !groups.is_multiple_of(tp);
    match c.divisors.groups.iter().find(uneven) {
        Some(groups) => Err(not_divisible("groups of mixer heads", *groups, c.parallelism.tp, "tp")),
        None => Ok(()),
    }
}

/// Ranks divide the tokens of a sequence where they hold the same key-value heads, of latent attention all of
/// them (vLLM `config/model.py`, `verify_with_parallel_config`: up to `tp / kv_heads`). Not with drafted tokens, each of
/// which ends another context (vllm-project/vllm#50391).
fn context_ranks_hold_the_same_heads(c: &Candidate) -> Result<(), Reason> {
    let dcp = c.parallelism.dcp;
    if dcp == 1 {
        return Ok(());
    }
    let (has, caches) = (&c.engine.parallel.decode_context, &c.divisors.caches);
    let lacks = |mode| Err(Reason::ModeUnsupported { mode });
    if !has.exists() {
        return lacks("decode context parallel");
    }
    if c.drafts {
        return lacks("decode context parallel with speculative decoding");
    }
    if caches.others || (caches.recurrent && !has.recurrent) || (caches.grouped.is_empty() && !caches.latent)
    {
        return lacks("decode context parallel of such attention");
    }
    let grouped = caches.grouped.is_empty() || has.grouped.contains(&c.kv);
    if !grouped || (caches.latent && !has.latent.contains(&c.kv)) {
        return lacks("decode context parallel of such a cache");
    }
    for heads in caches.heads() {
        let copies = copies(c.parallelism.tp, heads);
        if !copies.is_multiple_of(dcp) {
            return Err(not_divisible("copies of the key-value heads", copies.into(), dcp, "dcp"));
        }
    }
    Ok(())
}

/// Quantisation blocks of 128 stay whole (vLLM and SGLang refuse to load otherwise).
fn tensor_ranks_divide_feed_forward(c: &Candidate) -> Result<(), Reason> {
    for (inner, block) in &c.divisors.inner {
        whole_blocks(c, (*inner, *block), "feed-forward blocks", (c.parallelism.tp, "tp"))?;
    }
    Ok(())
}

/// Blocks and groups of a width stay whole on every rank; where the width has no whole number of them, or the engine cuts
/// blocks, the width itself is divided.
fn whole_blocks(
    c: &Candidate,
    (width, block): (u64, u64),
    what: &'static str,
    (by, degree): (u32, &'static str),
) -> Result<(), Reason> {
    let cut = block == 1 || c.engine.parallel.narrow_blocks;
    if cut && width.is_multiple_of(u64::from(by)) || width.is_multiple_of(u64::from(by) * block) || by == 1 {
        return Ok(());
    }
    match width.is_multiple_of(block) {
        true if block > 1 => Err(not_divisible(what, width / block, by, degree)),
        _ => Err(not_divisible("features of a feed-forward layer", width, by, degree)),
    }
}

fn expert_ranks_divide_experts(c: &Candidate) -> Result<(), Reason> {
    let uneven = c.engine.parallel.uneven_experts;
    for experts in c.divisors.experts.iter().map(|experts| experts + c.redundant_experts) {
        let ranks = u64::from(c.parallelism.ep);
        // Where the first ranks take the rest, each still holds one.
        let spread = if uneven { experts >= ranks } else { experts.is_multiple_of(ranks) };
        if !spread {
            return Err(not_divisible("experts", experts, c.parallelism.ep, "ep"));
        }
    }
    Ok(())
}

fn expert_tensor_ranks_divide_expert_width(c: &Candidate) -> Result<(), Reason> {
    let expert_tp = c.parallelism.expert_tp().unwrap_or(1);
    for (inner, block) in &c.divisors.expert_inner {
        whole_blocks(c, (*inner, *block), "expert width blocks", (expert_tp, "expert_tp"))?;
    }
    Ok(())
}

fn stages_hold_layers(c: &Candidate) -> Result<(), Reason> {
    let layers = c.model.layers();
    if u64::from(c.parallelism.pp) > layers {
        return Err(Reason::TooManyStages { layers, pp: c.parallelism.pp });
    }
    Ok(())
}

fn not_divisible(what: &'static str, count: u64, by: u32, degree: &'static str) -> Reason {
    Reason::NotDivisible { what, count, by, degree }
}
