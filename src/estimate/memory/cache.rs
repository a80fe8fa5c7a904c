//! The KV cache of a rank: what a sequence takes, and what the engine's log says it holds.

use super::MemoryQuestion;
use crate::catalog::engine::CacheLayout;
use crate::dtype::DType;
use crate::model::blocks::{Block, Cache, LatentAttention};
use crate::units::Bytes;

/// Share of SGLang's pool that recurrent state takes: `mamba_full_memory_ratio` of 0.9 to 1
/// (`server_args.py`).
const STATE_SHARE: f64 = 0.9 / 1.9;

/// Layers of a rank that keep the same.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Kind {
    layers: u64,
    keeps: Keeps,
}

/// What a layer keeps on a rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeps {
    /// Bytes for every token.
    All(Bytes),
    /// Bytes for each of the last so many.
    Last(Bytes, u64),
    /// Bytes for every sequence.
    State(Bytes),
}

impl Keeps {
    /// Bytes per token, of those kept.
    fn per_token(self) -> Bytes {
        match self {
            Keeps::All(each) | Keeps::Last(each, _) => each,
            Keeps::State(_) => Bytes::ZERO,
        }
    }
}

/// The cache of one rank of a stage.
pub(super) struct RankCache {
    kinds: Vec<Kind>,
    layout: CacheLayout,
    /// Ranks that divide the tokens of each sequence.
    ranks: u64,
    /// Tokens per block.
    block: u64,
    /// Tokens of the largest step: a prompt's chunk lies in a windowed layer whole while it is computed.
    chunk: u64,
    window_share: f64,
}

impl RankCache {
    pub(super) fn of(q: &MemoryQuestion, counts: &[u64], last: bool) -> RankCache {
        let tensor = q.parallelism.groups().tensor;
        let mut kinds: Vec<Kind> = Vec::new();
        let own = q.model.groups.iter().zip(counts).map(|(group, n)| (group, *n));
        // A draft model stands on the last stage.
        let draft = q.model.draft.iter().filter(|_| last).flat_map(|d| &d.groups);
        let draft = draft.map(|group| (group, group.layers.len() as u64));
        for (group, layers) in own.chain(draft).filter(|(_, n)| *n > 0) {
            for block in &group.blocks {
                let Some(keeps) = keeps(block, tensor, q.kv) else { continue };
                match kinds.iter_mut().find(|k| k.keeps == keeps) {
                    Some(kind) => kind.layers += layers,
                    None => kinds.push(Kind { layers, keeps }),
                }
            }
        }
        RankCache {
            kinds,
            layout: q.engine.memory.cache_layout,
            ranks: q.parallelism.groups().context.max(1),
            block: u64::from(q.engine.kv_block),
            chunk: q.step_tokens(),
            window_share: q.engine.memory.window_share,
        }
    }

    /// What a sequence of `tokens` takes, in whole blocks.
    pub(super) fn sequence(&self, tokens: u64) -> Bytes {
        match self.layout {
            CacheLayout::Plain => self.sum(|keeps| match keeps {
                Keeps::State(bytes) => bytes,
                _ => keeps.per_token() * self.in_blocks(tokens),
            }),
            CacheLayout::Exact => self.exact(tokens),
            CacheLayout::Grouped | CacheLayout::GroupedByContext => match self.groups() {
                Some(groups) => groups.bytes(&self.kinds, tokens, self.block),
                None => self.exact(tokens),
            },
            CacheLayout::Pools => self.pooled(tokens),
        }
    }

    /// Tokens of sequences of `length` that so many bytes hold.
    pub(super) fn tokens_held(&self, cache: Bytes, length: u64) -> u64 {
        ratio(cache, self.sequence(length), length)
    }

    /// Tokens that the engine says so many bytes hold. It asks for the longest request at start-up.
    pub(super) fn logged_tokens(&self, cache: Bytes, length: u64) -> u64 {
        let all = self.sum(Keeps::per_token);
        match (self.layout, self.groups()) {
            (CacheLayout::Grouped, Some(groups)) => {
                let blocks = cache.get() / groups.block_bytes().get().max(1);
                (blocks / groups.count.max(1)).saturating_mul(groups.tokens)
            }
            (CacheLayout::GroupedByContext, Some(groups)) => {
                let chunk = self.chunk;
                ratio(cache, groups.bytes_while(&self.kinds, length, self.block, chunk), length)
            }
            (CacheLayout::Pools, _) => {
                let (all, window, _) = self.pools();
                let each = all.as_f64() + window.as_f64() * self.window_share;
                let held = if each > 0.0 { (self.logged(cache).as_f64() / each) as u64 } else { 0 };
                held.saturating_mul(self.ranks)
            }
            (CacheLayout::Exact, _) => self.tokens_held(cache, length),
            _ if all == Bytes::ZERO => 0,
            _ => (cache.get() / all.get() / self.block * self.block).saturating_mul(self.ranks),
        }
    }

    /// The part of so many bytes that the engine calls its KV cache: not the pool of recurrent state.
    pub(super) fn logged(&self, cache: Bytes) -> Bytes {
        match self.layout {
            CacheLayout::Pools if self.pools().2 > Bytes::ZERO => cache.scaled(1.0 - STATE_SHARE),
            _ => cache,
        }
    }

    /// The tokens that a rank holds of so many, in whole blocks: ranks take them in turn (vLLM: the token at
    /// `i` lies on rank `i mod ranks`).
    fn in_blocks(&self, tokens: u64) -> u64 {
        tokens.div_ceil(self.ranks).div_ceil(self.block).saturating_mul(self.block)
    }

    fn sum(&self, of: impl Fn(Keeps) -> Bytes) -> Bytes {
        self.kinds.iter().map(|k| of(k.keeps) * k.layers).sum()
    }

    fn exact(&self, tokens: u64) -> Bytes {
        self.sum(|keeps| match keeps {
            Keeps::All(each) => each * self.in_blocks(tokens),
            Keeps::Last(each, window) => each * self.in_blocks(tokens.min(window)),
            Keeps::State(bytes) => bytes,
        })
    }

    /// Bytes per token of the layers that keep all, of those with windows, and of state per sequence.
    fn pools(&self) -> (Bytes, Bytes, Bytes) {
        let all = self.sum(|k| if let Keeps::All(each) = k { each } else { Bytes::ZERO });
        let window = self.sum(|k| if let Keeps::Last(each, _) = k { each } else { Bytes::ZERO });
        let state = self.sum(|k| if let Keeps::State(each) = k { each } else { Bytes::ZERO });
        // A model of windows alone has one pool.
        if all == Bytes::ZERO { (window, Bytes::ZERO, state) } else { (all, window, state) }
    }

    /// A sequence's part of pools of fixed proportions: of the one that it fills most.
    fn pooled(&self, tokens: u64) -> Bytes {
        let (all, window, state) = self.pools();
        let widest = self.kinds.iter().filter_map(|k| match k.keeps {
            Keeps::Last(_, window) => Some(window),
            _ => None,
        });
        let share = self.window_share.max(f64::MIN_POSITIVE);
        let own = self.in_blocks(tokens) as f64;
        let tokens = match (window, widest.max()) {
            (window, Some(longest)) if window > Bytes::ZERO => {
                own.max(self.in_blocks(tokens.min(longest)) as f64 / share)
            }
            _ => own,
        };
        let cache = tokens * (all.as_f64() + window.as_f64() * self.window_share);
        Bytes::ceil(match state > Bytes::ZERO {
            true => (cache / (1.0 - STATE_SHARE)).max(state.as_f64() / STATE_SHARE),
            false => cache,
        })
    }

    /// Groups of layers that share blocks; `None` where all layers keep alike.
    fn groups(&self) -> Option<Groups> {
        let windows = self.kinds.iter().any(|k| matches!(k.keeps, Keeps::Last(..)));
        let state = self.kinds.iter().any(|k| matches!(k.keeps, Keeps::State(_)));
        let tokens = self.kinds.iter().any(|k| !matches!(k.keeps, Keeps::State(_)));
        if self.kinds.len() < 2 || !tokens || !(windows || state) {
            return None;
        }
        let layers = || self.kinds.iter().map(|k| k.layers);
        let (least, most) = (layers().min().unwrap_or(1), layers().max().unwrap_or(1));
        // Unequal by less than a quarter: one group of each kind wastes less than many.
        let size = if most * 4 < least * 5 { most } else { least };
        let narrowest = self.kinds.iter().map(|k| k.keeps.per_token()).filter(|b| *b > Bytes::ZERO).min()?;
        let widest = self.kinds.iter().map(|k| k.keeps.per_token()).max()?;
        let states = self.kinds.iter().map(|k| match k.keeps {
            Keeps::State(bytes) => bytes,
            _ => Bytes::ZERO,
        });
        // Blocks of attention grow until one holds a layer's state.
        let state = states.max().unwrap_or(Bytes::ZERO);
        let tokens = state.get().div_ceil(narrowest.get()).max(1).next_multiple_of(self.block);
        let page = (narrowest * tokens).max(widest * self.block);
        let count = layers().map(|n| n.div_ceil(size)).sum();
        Some(Groups { size, page, count, tokens: page.get() / widest.get().max(1) })
    }
}

/// vLLM's layout of layers of several kinds (`v1/core/kv_cache_utils.py`, `get_kv_cache_groups`): groups
/// of `size` layers of one kind; a block of any group takes as much as a block of any other.
#[derive(Clone, Copy, Debug)]
struct Groups {
    /// Layers of a group.
    size: u64,
    /// Bytes of one layer's part of a block.
    page: Bytes,
    /// Groups.
    count: u64,
    /// Tokens in a block of the widest layers.
    tokens: u64,
}

impl Groups {
    fn block_bytes(self) -> Bytes {
        self.page * self.size
    }

    /// A running sequence: windows have moved on.
    fn bytes(self, kinds: &[Kind], tokens: u64, block: u64) -> Bytes {
        self.bytes_while(kinds, tokens, block, 0)
    }

    /// A sequence while a chunk of its prompt is computed.
    fn bytes_while(self, kinds: &[Kind], tokens: u64, block: u64, chunk: u64) -> Bytes {
        let blocks = |kind: &Kind| {
            let per_block = (self.page.get() / kind.keeps.per_token().get().max(1)).max(1);
            let held = match kind.keeps {
                Keeps::All(_) => tokens.div_ceil(per_block),
                Keeps::Last(_, window) => {
                    let kept = tokens.min(window.saturating_sub(1).saturating_add(chunk).max(1));
                    // A window seldom starts where a block does.
                    (kept.div_ceil(per_block) + 1).min(tokens.div_ceil(per_block.min(block.max(1))).max(1))
                }
                Keeps::State(_) => 1,
            };
            held.saturating_mul(kind.layers.div_ceil(self.size))
        };
        self.block_bytes() * kinds.iter().map(blocks).fold(0, u64::saturating_add)
    }
}

/// What one layer of a block keeps on a rank.
fn keeps(block: &Block, tensor: u64, kv: DType) -> Option<Keeps> {
    let bytes = |elements| Bytes::new(kv.stored_bytes(elements));
    Some(match block.cache()? {
        Cache::KeyValue { heads, per_head, window } => {
            let each = bytes(heads.div_ceil(tensor).max(1) * per_head);
            window.map_or(Keeps::All(each), |window| Keeps::Last(each, window))
        }
        Cache::Latent { elements } => Keeps::All(match block {
            Block::Latent(latent) => sparse(latent, kv).unwrap_or_else(|| bytes(elements)),
            _ => bytes(elements),
        }),
        Cache::State { bytes, wider, heads } => Keeps::State(
            Bytes::new(bytes.saturating_add(wider) / heads.max(1)) * heads.div_ceil(tensor).max(1),
        ),
    })
}

/// Bytes per token of a latent that an indexer reads from (DeepSeek-V3.2, GLM-5): in FP8 the latent with
/// a 4-byte scale per 128 values and its rotary part in 16 bits, 656 bytes; and the index key in FP8 with
/// a 4-byte scale per 128 (vLLM `fp8_ds_mla`, `DeepseekV32IndexerCache`; SGLang `NSATokenToKVPool`).
fn sparse(latent: &LatentAttention, kv: DType) -> Option<Bytes> {
    let index = latent.indexer?;
    let scaled = |n: u64| n + n.div_ceil(128) * 4;
    let own = match kv {
        DType::Fp8 => scaled(latent.kv_rank) + 2 * latent.rope_dim,
        _ => kv.stored_bytes(latent.kv_rank + latent.rope_dim),
    };
    Some(Bytes::new(own + scaled(index.head_dim)))
}

/// Tokens of sequences of `length` tokens and `each` bytes that so many bytes hold.
fn ratio(cache: Bytes, each: Bytes, length: u64) -> u64 {
    if each == Bytes::ZERO {
        return 0;
    }
    (cache.as_f64() / each.as_f64() * length as f64) as u64
}
