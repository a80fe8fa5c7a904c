//! What parallel degrees must divide.

use crate::dtype::WeightFormat;
use crate::model::blocks::{Block, Cache};
use crate::model::{Component, LayerGroup, Model, Role, Split, TensorClass};

fn push<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

/// The sizes of a model that parallel degrees must divide, gathered once per model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Divisors {
    /// Query heads, key-value heads and mixer heads, by block.
    pub heads: Vec<(u64, Option<u64>)>,
    /// Groups of mixer heads that share inputs.
    pub groups: Vec<u64>,
    /// Widths of dense feed-forward layers, with the block they must divide into.
    pub inner: Vec<(u64, u64)>,
    /// Routed experts.
    pub experts: Vec<u64>,
    /// Widths of routed experts, with the block they must divide into.
    pub expert_inner: Vec<(u64, u64)>,
    /// Formats of the weights.
    pub formats: Vec<WeightFormat>,
    /// Caches.
    pub caches: Caches,
}

/// The caches of a model, as far as ranks may divide their tokens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Caches {
    /// Key-value heads of grouped-query attention, by block.
    pub grouped: Vec<u64>,
    /// Whether there is latent attention: one latent for all heads.
    pub latent: bool,
    /// Whether recurrent state is kept.
    pub recurrent: bool,
    /// Whether something else is kept: windows, what sparse attention reads from.
    pub others: bool,
}

impl Caches {
    fn add(&mut self, block: &Block) {
        match block.cache() {
            None => {}
            // Kernels that choose blocks return no sum of exponentials, which ranks are put together by (vLLM 0.33
            // `v1/worker/cp_utils.py`, `need_to_return_lse_for_decode`; `models/minimax_m3` does not set it).
            Some(_) if matches!(block, Block::Attention(a) if a.selects) => self.others = true,
            Some(Cache::KeyValue { heads, window: None, .. }) => push(&mut self.grouped, heads),
            Some(Cache::Latent { .. }) if matches!(block, Block::Latent(l) if l.indexer.is_none()) => {
                self.latent = true;
            }
            Some(Cache::State { .. }) => self.recurrent = true,
            Some(_) => self.others = true,
        }
    }

    /// Key-value heads, by kind of attention.
    pub(super) fn heads(&self) -> impl Iterator<Item = u64> {
        self.grouped.iter().copied().chain(self.latent.then_some(1))
    }

    /// The most decode-context-parallel ranks that `tp` tensor-parallel ones allow, of which every other
    /// allowed number is a divisor: as many as hold the same key-value heads.
    pub fn context_ranks(&self, tp: u32) -> u32 {
        let all = |ranks: u32, heads| greatest_common_divisor(ranks, copies(tp, heads));
        if self.others || self.recurrent { 1 } else { self.heads().fold(tp, all) }
    }
}

/// Tensor-parallel ranks that hold the same key-value head.
pub(super) fn copies(tp: u32, heads: u64) -> u32 {
    match u32::try_from(heads) {
        Ok(heads) if heads > 0 && tp.is_multiple_of(heads) => tp / heads,
        _ => 1,
    }
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// Inner widths that stay whole on a rank: blocks of FP8, and the groups of integers that share a scale, which ranks
/// divide along the inner width (vLLM `quantization/awq.py` `create_weights`: "input size is not aligned with the
/// quantized weight shape"; `gptq_marlin.py` `verify_marlin_supports_shape`).
#[derive(Clone, Copy)]
struct Whole {
    mlp: u64,
    experts: u64,
}

impl Whole {
    fn of(group: &LayerGroup) -> Whole {
        let block = |format| match format {
            WeightFormat::Fp8Block => 128,
            WeightFormat::Mxfp8 => 32,
            _ => 1,
        };
        let mut whole = Whole { mlp: block(group.formats.mlp), experts: block(group.formats.experts) };
        let integers = [WeightFormat::Int4, WeightFormat::Int4Group32, WeightFormat::Int8];
        for (tensor, storage) in
            group.tensors().filter(|(t, s)| t.role == Role::Return && integers.contains(&s.format))
        {
            let shared = storage.group().filter(|size| tensor.columns.is_multiple_of(*size)).unwrap_or(1);
            match (tensor.class, tensor.component) {
                (TensorClass::Expert, _) => whole.experts = whole.experts.max(shared),
                (TensorClass::Linear, Component::Mlp) => whole.mlp = whole.mlp.max(shared),
                _ => {}
            }
        }
        whole
    }
}

impl Divisors {
    /// Gathers the sizes.
    pub fn of(model: &Model) -> Divisors {
        let mut d = Divisors::default();
        for group in &model.groups {
            let whole = Whole::of(group);
            group.blocks.iter().for_each(|block| d.add(block, whole));
            group.blocks.iter().for_each(|block| d.caches.add(block));
            for (tensor, storage) in group.tensors().filter(|(t, _)| t.class != TensorClass::Adapter) {
                push(&mut d.formats, storage.format);
                if let (Component::Ssm, Split::Tensor { units }) = (tensor.component, tensor.split) {
                    push(&mut d.heads, (units, None));
                }
            }
        }
        let drafts = model.draft.iter().flat_map(|draft| &draft.groups);
        drafts.flat_map(|group| &group.blocks).for_each(|block| d.caches.add(block));
        d
    }

    fn add(&mut self, block: &Block, whole: Whole) {
        match block {
            Block::Attention(a) => push(&mut self.heads, (a.heads, Some(a.kv_heads))),
            Block::Latent(a) => push(&mut self.heads, (a.heads, None)),
            Block::Compressed(a) => push(&mut self.heads, (a.heads, None)),
            // The heads of recurrent mixers are the units of their tensors.
            Block::Recurrent(r) => push(&mut self.groups, r.shared),
            Block::Mlp(m) => push(&mut self.inner, (m.inner, whole.mlp)),
            Block::Moe(m) => {
                push(&mut self.experts, m.experts);
                push(&mut self.expert_inner, (m.inner, whole.experts));
                if let Some(shared) = &m.shared {
                    push(&mut self.inner, (shared.mlp.inner, whole.mlp));
                }
            }
            Block::Reused(inner) => self.add(inner, whole),
            Block::Adapters(_) => {}
            Block::Embedding(_) | Block::Head(_) | Block::Norm(_) | Block::Extra(_) => {}
        }
    }
}
