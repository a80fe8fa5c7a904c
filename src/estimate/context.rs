//! What all layouts of one engine and precision share: the model as the engine runs it, its kernels and limits; what is
//! asked of memory under a split, and whether the split is legal.

use std::borrow::Cow;

use crate::catalog::residuals::Classes;
use crate::catalog::{Cluster, Engine, LayerCounts};
use crate::diagnostic::{Code, Diagnostic};
use crate::dtype::DType;
use crate::model::Model;
use crate::plan::divisors::Divisors;
use crate::plan::rules::{self, Candidate};
use crate::plan::{Parallelism, Placement, Reason, Shares};
use crate::units::Bytes;
use crate::workload::{Draft, Load, Workload};

use super::kernels::Kernels;
use super::memory::{Inventory, LimitOverrides, Limits, MemoryQuestion, MemoryUse};
use super::offload;
use super::power::Electricity;
use super::program::check_draft;
use super::range::architecture;
use super::sequences::slot_length;

/// What all layouts of one engine and precision share.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    /// The model, at the plan's precision, as the engine runs it.
    pub model: Cow<'a, Model>,
    /// What memory asks of it.
    pub inventory: Inventory,
    /// What the model divides by.
    pub divisors: Divisors,
    /// Its layers.
    pub layers: LayerCounts,
    /// Whether a prompt is computed in one step, as an encoder does, which keeps nothing of its tokens.
    pub whole_prompts: bool,
    /// The cluster.
    pub cluster: &'a Cluster,
    /// The engine.
    pub engine: &'a Engine,
    /// Its kernels on the GPU.
    pub kernels: Kernels<'a>,
    /// Its kernels on each kind of card, in their order, where replicas span kinds; else none.
    pub kernels_of_kinds: Vec<Kernels<'a>>,
    /// Launch limits.
    pub limits: Limits,
    /// Whether nobody states how long a request of a planned server may be: as long as lengths come while plans are compared,
    /// and what they leave is given to those of a plan ([`Deployment::told`](super::deployment::Deployment::told)).
    pub(super) plans_length: bool,
    /// Type of the KV cache.
    pub kv: DType,
    /// The workload.
    pub workload: Workload,
    /// What electricity costs, if the rental price does not include it.
    pub electricity: Option<Electricity>,
    /// How far measured servers of such a model and engine lie from what is estimated.
    pub classes: Classes,
}

/// What a context is made from.
#[derive(Clone, Copy, Debug)]
pub struct ContextParts<'a> {
    /// The model, at the plan's precision.
    pub model: &'a Model,
    /// The cluster.
    pub cluster: &'a Cluster,
    /// The engine.
    pub engine: &'a Engine,
    /// Launch limits that are stated.
    pub limits: LimitOverrides,
    /// Type of the KV cache, if not the default.
    pub kv: Option<DType>,
    /// The workload.
    pub workload: Workload,
    /// What electricity costs, if the rental price does not include it.
    pub electricity: Option<Electricity>,
}

impl<'a> Context<'a> {
    /// Gathers what the layouts share.
    ///
    /// # Errors
    /// A GPU description without the figures that kernels need; a draft that the model has no layers for.
    pub fn new(parts: ContextParts<'a>) -> Result<Context<'a>, Diagnostic> {
        check_draft(parts.model, parts.workload.speculation)?;
        offload::check(parts.limits.offload, parts.model, parts.cluster, parts.engine)?;
        let fp8 = parts.cluster.kinds().all(|gpu| gpu.peak(DType::Fp8).is_some());
        let computes = |kv: &DType| *kv != DType::Fp8 || fp8;
        let takes = |kv: &DType| parts.engine.kv_types.contains(kv) && computes(kv);
        let own = parts.model.quantisation.kv.filter(takes);
        let sparse = parts.engine.sparse_attention.as_ref().is_some_and(|rule| rule.fp8_cache);
        let usual = match sparse && parts.model.chooses_tokens() && takes(&DType::Fp8) {
            true => DType::Fp8,
            false => parts.engine.default_kv(&parts.cluster.gpu, parts.model.quantisation.main_format()),
        };
        let mut limits =
            parts.limits.on(parts.engine, &parts.cluster.gpu, parts.model, parts.workload.context());
        let model = as_run(&parts);
        whole_prompts(&parts, &model, &mut limits)?;
        let longest = model.max_context.unwrap_or(u64::MAX);
        let served =
            parts.engine.launch.length.map(|length| length.on(parts.cluster.gpu.memory).min(longest));
        limits.start.length = limits.start.length.or(served);
        let plans_length = limits.planned.is_some() && limits.start.length.is_none();
        if plans_length && parts.engine.divides_cache() {
            limits.start.length = Some(slot_length(&parts.workload, model.max_context));
        }
        if limits.planned.is_some() && !parts.engine.divides_cache() && keeps_no_prefixes(&parts, &model) {
            limits.unshared = limits.start.prefixes.is_none();
            limits.start.prefixes = limits.start.prefixes.or(Some(false));
        }
        if parts.cluster.spans_kinds() && limits.offload.shares.is_none() {
            let units = model.layers() + u64::from(parts.engine.parallel.head_is_a_layer);
            limits.offload.shares = Shares::by_memory(&parts.cluster.memory_of_cards(), units);
        }
        let experts = &mut limits.offload.host_experts;
        *experts = experts.map(|n| n.min(model.layers()));
        Ok(Context {
            classes: Classes::of(&parts.engine.id, architecture(&model)),
            divisors: Divisors::of(&model),
            inventory: Inventory::of(&model),
            layers: model.layer_counts(),
            whole_prompts: !model.keeps_tokens(),
            model,
            cluster: parts.cluster,
            engine: parts.engine,
            kernels: Kernels::new(&parts.cluster.gpu, parts.engine)?,
            kernels_of_kinds: parts
                .cluster
                .cards
                .iter()
                .map(|cards| Kernels::new(&cards.gpu, parts.engine))
                .collect::<Result<_, _>>()?,
            limits,
            plans_length,
            kv: parts.kv.or(own).unwrap_or(usual),
            workload: parts.workload,
            electricity: parts.electricity,
        })
    }
}

/// Whether a server that is yet to be launched is told to keep no prefixes: recurrent layers hold another state for each that
/// is kept, and nothing is known to be shared. Elsewhere the engine's default stands: it costs attention nothing.
fn keeps_no_prefixes(parts: &ContextParts, model: &Model) -> bool {
    let shares = parts.workload.cached_prefix > 0 || parts.workload.sessions.is_some();
    !shares && model.state_bytes_per_sequence() > Bytes::ZERO
}

/// An encoder's input is computed in one step, so that a step has room for the longest: engines raise their default, and
/// refuse a limit that is stated and smaller (vLLM `config/scheduler.py`, `verify_max_model_len`, 0.33.0).
fn whole_prompts(parts: &ContextParts, model: &Model, limits: &mut Limits) -> Result<(), Diagnostic> {
    if !parts.workload.purpose.pools() || model.keeps_tokens() {
        return Ok(());
    }
    let longest = parts.workload.longest_context().max(limits.start.length.unwrap_or(0));
    match limits.stated_tokens.filter(|tokens| *tokens < longest) {
        Some(tokens) => {
            let cause = format!(
                "an encoder computes an input of {longest} tokens in one step, and a step has {tokens}"
            );
            let help = format!("at least {longest}, or shorter inputs");
            Err(Diagnostic::new(Code::Range, cause).at("--max-batched-tokens").help(help))
        }
        None => {
            limits.max_batched_tokens = limits.max_batched_tokens.max(longest);
            Ok(())
        }
    }
}

/// The model as the engine runs it: loaded in 16 bits where it is stored in 32, in the formats of its GGUF file
/// where the engine reads those, without windows that it does not
/// know, with caches that keep what its chunks have left where it cannot drop that, with the layers that draft.
fn as_run<'a>(parts: &ContextParts<'a>) -> Cow<'a, Model> {
    let mut model = parts.model.loaded().map_or(Cow::Borrowed(parts.model), Cow::Owned);
    if parts.engine.reads_gguf()
        && let Some(file) = model.in_own_gguf()
    {
        model = Cow::Owned(file);
    }
    if !parts.engine.windows {
        model = Cow::Owned(model.into_owned().without_windows());
    }
    if !parts.engine.chunk_cache && model.is_chunked() {
        model = Cow::Owned(model.into_owned().keeping_chunks());
    }
    if parts.workload.speculation.is_some_and(|s| s.draft == Draft::Layers) {
        model = Cow::Owned(model.into_owned().with_prediction());
    }
    if parts.workload.purpose.pools() && model.head().is_some() {
        model = Cow::Owned(model.into_owned().without_head());
    }
    model
}

impl Context<'_> {
    /// Memory of the fullest rank under a split.
    pub fn memory(&self, parallelism: Parallelism) -> MemoryUse {
        self.widest(parallelism).memory
    }

    /// What is asked of memory under a split.
    pub fn memory_question(&self, parallelism: Parallelism) -> MemoryQuestion<'_> {
        self.question_with(parallelism, self.widest(parallelism).limits)
    }

    /// The same under given limits.
    pub(super) fn question_with(&self, parallelism: Parallelism, limits: Limits) -> MemoryQuestion<'_> {
        MemoryQuestion { limits, ..self.unfitted(parallelism) }
    }

    /// The same with everything where the user says, else on the GPUs.
    pub(super) fn unfitted(&self, parallelism: Parallelism) -> MemoryQuestion<'_> {
        MemoryQuestion {
            model: &self.model,
            inventory: &self.inventory,
            gpu: &self.cluster.gpu,
            cards: &self.cluster.cards,
            engine: self.engine,
            limits: self.limits,
            parallelism,
            kv: self.kv,
            workload: &self.workload,
            host: self.cluster.host_of(parallelism.gpus()),
        }
    }

    /// Launch limits under a split. Where the user does not say what stays in the host's memory and that is known,
    /// it is what finds no room on the GPUs.
    pub fn limits_of(&self, parallelism: Parallelism) -> Limits {
        let asked = self.limits.offload.is_placed();
        if self.engine.host.is_none()
            || self.cluster.host.is_none()
            || asked
            || !self.cluster.has_own_memory()
        {
            return self.limits;
        }
        let requests = match self.workload.load {
            Load::Concurrency(n) => n.min(self.limits.max_sequences),
            _ => 1,
        };
        let limits = match self.limits.planned {
            Some(_) => self.limits.stating(requests, None),
            None => self.limits,
        };
        match self.question_with(parallelism, limits).fitted(requests) {
            Some(offload) => Limits { offload, ..self.limits },
            None => self.limits,
        }
    }
}

impl Context<'_> {
    /// Applies the legality rules to a split.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn check(&self, parallelism: Parallelism) -> Result<Placement, Reason> {
        rules::check(&Candidate {
            model: &self.model,
            divisors: &self.divisors,
            cluster: self.cluster,
            engine: self.engine,
            parallelism,
            kv: self.kv,
            drafts: self.workload.speculation.is_some(),
            redundant_experts: self.limits.start.redundant_experts,
            step: (self.limits.max_batched_tokens, self.limits.planned.unwrap_or(self.limits.max_sequences)),
        })
    }
}
