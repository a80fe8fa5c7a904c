//! llama.cpp's cells: every slot shares one cache of the context's length, windowed layers one of the windows of all
//! slots and a micro-batch (`src/llama-kv-cache-iswa.cpp` and `llama-memory-recurrent.cpp`, b9500).

use crate::estimate::memory::kept::{Keeps, Kind};
use crate::estimate::memory::question::MemoryQuestion;
use crate::units::Bytes;

/// Cells come in multiples of so many.
const PADDING: u64 = 256;

/// The cells of a rank.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::estimate::memory) struct Cells {
    slots: u64,
    micro_batch: u64,
}

impl Cells {
    /// The cells of a launch.
    pub fn of(q: &MemoryQuestion) -> Cells {
        Cells { slots: q.limits.max_sequences.max(1), micro_batch: q.step_tokens() }
    }

    /// What a server with room for `tokens` in all takes.
    pub fn context(&self, kinds: &[Kind], tokens: u64) -> Bytes {
        let all = tokens.next_multiple_of(PADDING);
        let of = |keeps| match keeps {
            Keeps::All(each) => each * all,
            Keeps::Last(each, window) | Keeps::Chunk(each, window) => each * self.window(window).min(all),
            Keeps::State(each) => each * self.slots,
            Keeps::Compressed(c) => {
                c.per_token() * all + Bytes::new(c.token()) * self.window(c.window).min(all)
            }
        };
        kinds.iter().map(|k| of(k.keeps) * k.layers).sum()
    }

    /// A running request's part of it.
    pub fn running(&self, kinds: &[Kind], tokens: u64) -> Bytes {
        let of = |keeps| match keeps {
            Keeps::All(each) => each * tokens,
            Keeps::Last(each, window) | Keeps::Chunk(each, window) => {
                each * self.window(window).div_ceil(self.slots).min(tokens.next_multiple_of(PADDING))
            }
            Keeps::State(each) => each,
            Keeps::Compressed(c) => c.per_token() * tokens + Bytes::new(c.token()) * tokens.min(c.window),
        };
        kinds.iter().map(|k| of(k.keeps) * k.layers).sum()
    }

    /// Cells of windowed layers.
    fn window(&self, tokens: u64) -> u64 {
        tokens.saturating_mul(self.slots).saturating_add(self.micro_batch).next_multiple_of(PADDING)
    }
}
