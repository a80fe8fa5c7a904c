//! llama.cpp's cells. Slots divide the context among them, and each has cells of its own: as many as its part is long, in
//! windowed layers those of a window and a micro-batch. Or they share one cache, in which windowed layers have the windows of
//! all slots and one micro-batch (`src/llama-kv-cache-iswa.cpp`, `unified`, and `llama-memory-recurrent.cpp`, b9500).

use crate::estimate::memory::kept::{Keeps, Kind};
use crate::estimate::memory::question::MemoryQuestion;
use crate::units::Bytes;

/// Cells come in multiples of so many.
const PADDING: u64 = 256;

/// The cells that are allocated together on a rank: those of a slot, or of all that share them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::estimate::memory) struct Cells {
    /// Slots that share them.
    slots: u64,
    micro_batch: u64,
}

impl Cells {
    /// The cells of a launch.
    pub fn of(q: &MemoryQuestion) -> Cells {
        let slots = if q.limits.start.shares_cells { q.limits.max_sequences.max(1) } else { 1 };
        Cells { slots, micro_batch: q.step_tokens() }
    }

    /// What those with room for `tokens` take.
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

    /// A running request's part of them.
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

    /// Cells of windowed layers for so long a window.
    fn window(&self, tokens: u64) -> u64 {
        tokens.saturating_mul(self.slots).saturating_add(self.micro_batch).next_multiple_of(PADDING)
    }
}
