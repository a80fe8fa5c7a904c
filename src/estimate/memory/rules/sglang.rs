//! SGLang's pools: windowed layers have one of their own, recurrent layers another, of fixed proportions
//! (`python/sglang/srt/model_executor/model_runner.py`, `set_num_token_hybrid`, to 0.5.8; later
//! `model_runner_kv_cache_mixin.py`).

use super::beside::Beside;
use crate::estimate::memory::kept::{Keeps, Kind};
use crate::estimate::memory::question::MemoryQuestion;
use crate::estimate::memory::used::MemoryUse;
use crate::units::Bytes;

/// Share of the pool that recurrent state takes: `mamba_full_memory_ratio` of 0.9 to 1 (`server_args.py`).
const STATE_SHARE: f64 = 0.9 / 1.9;

/// The pools of a rank.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::estimate::memory) struct Pools {
    /// Bytes per token of the layers that keep all; of a model of windows alone those.
    all: Bytes,
    /// Bytes per token of windowed layers.
    window: Bytes,
    /// Bytes of state per sequence.
    state: Bytes,
    /// Tokens of the widest window.
    widest: u64,
    /// Tokens of the windows' pool, of the other's.
    share: f64,
    /// Ranks that divide the tokens of a sequence.
    ranks: u64,
    /// Tokens of a page.
    page: u64,
}

impl Pools {
    /// The pools that layers of these kinds fill.
    pub fn of(q: &MemoryQuestion, kinds: &[Kind]) -> Pools {
        let sum = |of: &dyn Fn(Keeps) -> Option<Bytes>| -> Bytes {
            kinds.iter().filter_map(|k| of(k.keeps).map(|bytes| bytes * k.layers)).sum()
        };
        let all = sum(&|k| match k {
            Keeps::All(each) => Some(each),
            // One head of 16 bits for every token bounds window and compressed history.
            Keeps::Compressed(c) => Some(Bytes::new(q.kv.stored_bytes(c.head_dim))),
            _ => None,
        });
        let window = sum(&|k| match k {
            Keeps::Last(each, _) | Keeps::Chunk(each, _) => Some(each),
            _ => None,
        });
        let state = sum(&|k| if let Keeps::State(each) = k { Some(each) } else { None });
        let widest = kinds.iter().filter_map(|k| match k.keeps {
            Keeps::Last(_, tokens) | Keeps::Chunk(_, tokens) => Some(tokens),
            _ => None,
        });
        let one = all == Bytes::ZERO;
        Pools {
            all: if one { window } else { all },
            window: if one { Bytes::ZERO } else { window },
            state,
            widest: widest.max().unwrap_or(u64::MAX),
            share: q.engine.memory.window_share.max(f64::MIN_POSITIVE),
            ranks: q.parallelism.groups().context.max(1),
            page: q.block(),
        }
    }

    /// A sequence's part of the pools: of the one that it fills most.
    pub fn sequence(&self, tokens: u64) -> Bytes {
        let in_pages = |n: u64| n.div_ceil(self.ranks).div_ceil(self.page).saturating_mul(self.page);
        let own = in_pages(tokens) as f64;
        let tokens = match self.window > Bytes::ZERO {
            true => own.max(in_pages(tokens.min(self.widest)) as f64 / self.share),
            false => own,
        };
        let cache = tokens * self.per_token();
        Bytes::ceil(match self.state > Bytes::ZERO {
            true => (cache / (1.0 - STATE_SHARE)).max(self.state.as_f64() / STATE_SHARE),
            false => cache,
        })
    }

    /// Tokens that the log says so many bytes hold.
    pub fn logged_tokens(&self, cache: Bytes) -> u64 {
        let each = self.per_token();
        let held = if each > 0.0 { (self.logged(cache).as_f64() / each) as u64 } else { 0 };
        held.saturating_mul(self.ranks)
    }

    /// The part of so many bytes that the log calls its KV cache: not the pool of recurrent state.
    pub fn logged(&self, cache: Bytes) -> Bytes {
        if self.state > Bytes::ZERO { cache.scaled(1.0 - STATE_SHARE) } else { cache }
    }

    fn per_token(&self) -> f64 {
        self.all.as_f64() + self.window.as_f64() * self.share
    }
}

/// What weights and KV cache may take together: the static fraction of what was free before loading; activations and
/// graphs must find room in the rest (`model_runner.py`, `profile_max_num_token`).
pub(in crate::estimate::memory) fn usable(q: &MemoryQuestion, beside: &Beside) -> Bytes {
    let free = q.gpu.memory.saturating_sub(beside.non_torch);
    free.scaled(q.fraction()).min(free.saturating_sub(beside.activations + beside.cuda_graphs))
}

/// What the fraction must cover, of what, and the most.
pub(in crate::estimate::memory) fn fraction_needed(m: &MemoryUse) -> (Bytes, Bytes, Bytes) {
    let free = m.capacity.saturating_sub(m.non_torch);
    (m.weights + m.per_request, free, free.saturating_sub(m.activations + m.cuda_graphs))
}
