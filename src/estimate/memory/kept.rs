//! What the layers of a rank keep of a sequence, whatever the engine.

use super::inventory::Inventory;
use super::question::MemoryQuestion;
use crate::dtype::DType;
use crate::model::LayerGroup;
use crate::model::blocks::{Block, Cache};
use crate::model::kept::{Compressed, indexed};
use crate::units::Bytes;

/// Layers that keep the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Kind {
    /// Such layers on the rank.
    pub layers: u64,
    /// Such layers of the whole model, over all stages.
    pub in_all: u64,
    /// What each keeps.
    pub keeps: Keeps,
}

/// What a layer keeps on a rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeps {
    /// Bytes for every token.
    All(Bytes),
    /// Bytes for each of the last so many.
    Last(Bytes, u64),
    /// Bytes for each token of its own chunk of so many.
    Chunk(Bytes, u64),
    /// Bytes for every sequence.
    State(Bytes),
    /// A window beside a compressed history (DeepSeek-V4).
    Compressed(Compressed),
}

impl Keeps {
    /// Bytes per token, of those kept.
    pub fn per_token(self) -> Bytes {
        match self {
            Keeps::All(each) | Keeps::Last(each, _) | Keeps::Chunk(each, _) => each,
            Keeps::State(_) => Bytes::ZERO,
            Keeps::Compressed(c) => c.per_token(),
        }
    }
}

/// What the layers of a stage keep, of which it has `counts` of each group; the last stage has a draft model too.
pub(super) fn kinds(q: &MemoryQuestion, counts: &[u64], last: bool) -> Vec<Kind> {
    let tensor = q.parallelism.groups().tensor;
    let all = |group: &LayerGroup| group.layers.len() as u64;
    let own = q.model.groups.iter().zip(counts).map(|(group, n)| (group, *n));
    let draft = q.model.draft.iter().flat_map(|d| &d.groups);
    let draft = draft.map(|group| (group, if last { all(group) } else { 0 }));
    let caches = q.inventory.caches().chain(q.inventory.draft().into_iter().flat_map(Inventory::caches));
    let mut kinds: Vec<Kind> = Vec::new();
    for ((group, layers), caches) in own.chain(draft).zip(caches) {
        for (block, cache) in group.blocks.iter().zip(caches) {
            let expanded = expanded(block, q, tensor);
            let Some(keeps) = expanded.or_else(|| keeps(block, *cache, tensor, q.kv)) else { continue };
            match kinds.iter_mut().find(|k| k.keeps == keeps) {
                Some(kind) => {
                    kind.layers += layers;
                    kind.in_all += all(group);
                }
                None => kinds.push(Kind { layers, in_all: all(group), keeps }),
            }
        }
    }
    kinds
}

/// Keys and values of every head where an engine keeps them instead of latents, padded to a power of two (vLLM 0.6.6
/// `models/deepseek_v2.py`: 192 features of keys, 128 of values, 256 of each in the cache).
fn expanded(block: &Block, q: &MemoryQuestion, tensor: u64) -> Option<Keeps> {
    let Block::Latent(latent) = block else { return None };
    let width = (latent.nope_dim + latent.rope_dim).next_power_of_two();
    let elements = 2 * width * latent.heads.div_ceil(tensor).max(1);
    q.engine.memory.latents_expanded.then(|| Keeps::All(Bytes::new(q.kv.stored_bytes(elements))))
}

/// What one layer of a block keeps on a rank.
fn keeps(block: &Block, cache: Option<Cache>, tensor: u64, kv: DType) -> Option<Keeps> {
    let bytes = |elements| Bytes::new(kv.stored_bytes(elements));
    if let Block::Compressed(compressed) = block {
        return Some(Keeps::Compressed(Compressed::of(compressed)));
    }
    let chunked = matches!(block, Block::Attention(attention) if attention.chunked);
    Some(match cache? {
        Cache::KeyValue { heads, per_head, window } => {
            let each = bytes(heads.div_ceil(tensor).max(1) * per_head);
            match window {
                None => Keeps::All(each),
                Some(tokens) if chunked => Keeps::Chunk(each, tokens),
                Some(tokens) => Keeps::Last(each, tokens),
            }
        }
        Cache::Latent { elements } => Keeps::All(match block {
            Block::Latent(latent) => indexed(latent, kv).unwrap_or_else(|| bytes(elements)),
            _ => bytes(elements),
        }),
        Cache::State { bytes, wider, heads } => Keeps::State(
            Bytes::new(bytes.saturating_add(wider) / heads.max(1)) * heads.div_ceil(tensor).max(1),
        ),
    })
}

#[cfg(test)]
mod tests {
    use crate::catalog::{self, Cluster};
    use crate::estimate::context::{Context, ContextParts};
    use crate::estimate::memory::LimitOverrides;
    use crate::model::{Scope, find};
    use crate::plan::Parallelism;
    use crate::workload::Workload;

    #[test]
    fn latents_were_kept_as_keys_and_values_at_first() {
        let model = find("deepseek-v3", &[], Scope::Full).unwrap();
        let cluster = Cluster::of_gpus(catalog::gpu("h200-sxm").unwrap(), 8).unwrap();
        let of = |engine: &str| {
            let engine = catalog::engine(engine).unwrap();
            let parts = ContextParts {
                model: &model,
                cluster: &cluster,
                engine: &engine,
                limits: LimitOverrides::default(),
                kv: None,
                workload: Workload::new(4095, 1),
                electricity: None,
            };
            let split = Parallelism { tp: 8, pp: 1, ep: 1, attention_dp: 1, dcp: 1 };
            Context::new(parts).unwrap().memory_question(split).answer().per_request.get() / 4096
        };
        // 0.6.6 models/deepseek_v2.py: 16 heads a rank, 192 features padded to 256, keys and values.
        assert_eq!(of("vllm@0.6.6"), 61 * 16 * 256 * 2 * 2);
        assert_eq!(of("vllm@0.7.3"), 61 * 576 * 2);
    }
}
