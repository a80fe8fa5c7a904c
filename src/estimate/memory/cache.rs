//! The KV cache of a rank: what a sequence takes, and what the engine's log says it holds.

use std::borrow::Cow;

use super::kept::{self, Keeps, Kind};
use super::question::MemoryQuestion;
use super::rules::llama_cpp::Cells;
use super::rules::sglang::Pools;
use super::rules::vllm::Blocks;
use crate::catalog::engine::CacheLayout;
use crate::units::Bytes;

/// The cache of one rank of a stage.
#[derive(Clone, Debug)]
pub(super) struct RankCache {
    kinds: Vec<Kind>,
    laid_out: LaidOut,
    /// Ranks that divide the tokens of each sequence.
    ranks: u64,
    /// Tokens per block.
    block: u64,
}

/// As the engine lays it out.
#[derive(Clone, Debug)]
enum LaidOut {
    /// Every layer keeps every token, windows or not (TensorRT-LLM, vLLM V0 and the first V1).
    Plain,
    /// Each layer keeps what it needs.
    Exact,
    /// vLLM's groups; whether the log counts tokens by requests of the longest length.
    Blocks(Blocks, bool),
    /// SGLang's pools.
    Pools(Pools),
    /// llama.cpp's cells.
    Cells(Cells),
}

impl RankCache {
    /// The cache of a stage's layers.
    pub(super) fn of(q: &MemoryQuestion, counts: &[u64], last: bool) -> RankCache {
        let kinds = kept::kinds(q, counts, last);
        let laid_out = match q.engine.memory.cache_layout {
            CacheLayout::Plain => LaidOut::Plain,
            CacheLayout::Exact => LaidOut::Exact,
            CacheLayout::Grouped => LaidOut::Blocks(Blocks::of(q, &kinds), false),
            CacheLayout::GroupedByContext => LaidOut::Blocks(Blocks::of(q, &kinds), true),
            CacheLayout::Pools => LaidOut::Pools(Pools::of(q, &kinds)),
            CacheLayout::Cells => LaidOut::Cells(Cells::of(q)),
        };
        RankCache { kinds, laid_out, ranks: q.parallelism.groups().context.max(1), block: q.block() }
    }

    /// The same under limits that may differ in their sequences: what slots share follows from their number.
    pub(super) fn under(&self, q: &MemoryQuestion) -> Cow<'_, RankCache> {
        match self.laid_out {
            LaidOut::Cells(_) => {
                let laid_out = LaidOut::Cells(Cells::of(q));
                Cow::Owned(RankCache { kinds: self.kinds.clone(), laid_out, ..*self })
            }
            _ => Cow::Borrowed(self),
        }
    }

    /// What the engine asks for before it takes a request of `tokens`.
    pub(super) fn request(&self, tokens: u64) -> Bytes {
        match &self.laid_out {
            LaidOut::Blocks(blocks, _) => blocks.request(tokens),
            LaidOut::Cells(cells) => cells.context(&self.kinds, tokens),
            _ => self.running(tokens),
        }
    }

    /// What a running sequence of `tokens` takes.
    pub(super) fn running(&self, tokens: u64) -> Bytes {
        match &self.laid_out {
            LaidOut::Plain => self.sum(|keeps| match keeps {
                Keeps::State(bytes) => bytes,
                Keeps::Compressed(c) => {
                    c.per_token() * self.in_blocks(tokens) + Bytes::new(c.token()) * tokens.min(c.window)
                }
                _ => keeps.per_token() * self.in_blocks(tokens),
            }),
            LaidOut::Exact => self.sum(|keeps| match keeps {
                Keeps::All(each) => each * self.in_blocks(tokens),
                Keeps::Last(each, most) | Keeps::Chunk(each, most) => each * self.in_blocks(tokens.min(most)),
                Keeps::State(bytes) => bytes,
                Keeps::Compressed(c) => {
                    c.per_token() * self.in_blocks(tokens) + Bytes::new(c.token()) * tokens.min(c.window)
                }
            }),
            LaidOut::Blocks(blocks, _) => blocks.running(tokens),
            LaidOut::Pools(pools) => pools.sequence(tokens),
            LaidOut::Cells(cells) => cells.running(&self.kinds, tokens),
        }
    }

    /// Tokens of sequences of `length` that so many bytes hold.
    pub(super) fn tokens_held(&self, cache: Bytes, length: u64) -> u64 {
        ratio(cache, self.running(length), length)
    }

    /// Whether what is allocated are the cells of as many slots as there are.
    pub(super) fn is_of_slots(&self) -> bool {
        matches!(self.laid_out, LaidOut::Cells(_))
    }

    /// Sequences that find a block for their state, where layers have any and each needs one.
    pub(super) fn for_states(&self, cache: Bytes) -> Option<u64> {
        match &self.laid_out {
            LaidOut::Blocks(blocks, _) => blocks.for_states(cache),
            _ => None,
        }
    }

    /// Tokens that the engine says so many bytes hold. It asks for the longest request at start-up.
    pub(super) fn logged_tokens(&self, cache: Bytes, length: u64) -> u64 {
        let all = self.sum(Keeps::per_token);
        match &self.laid_out {
            LaidOut::Blocks(blocks, true) => blocks.logged_by_request(cache, length),
            LaidOut::Blocks(blocks, false) => blocks.logged_by_group(cache),
            LaidOut::Pools(pools) => pools.logged_tokens(cache),
            LaidOut::Exact | LaidOut::Cells(_) => self.tokens_held(cache, length),
            LaidOut::Plain if all == Bytes::ZERO => 0,
            LaidOut::Plain => (cache.get() / all.get() / self.block * self.block).saturating_mul(self.ranks),
        }
    }

    /// The part of so many bytes that the engine calls its KV cache.
    pub(super) fn logged(&self, cache: Bytes) -> Bytes {
        match &self.laid_out {
            LaidOut::Pools(pools) => pools.logged(cache),
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
}

/// Tokens of sequences of `length` tokens and `each` bytes that so many bytes hold.
fn ratio(cache: Bytes, each: Bytes, length: u64) -> u64 {
    if each == Bytes::ZERO {
        return 0;
    }
    (cache.as_f64() / each.as_f64() * length as f64) as u64
}
