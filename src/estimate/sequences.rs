//! The limit on sequences of a server that is yet to be launched: the one that fits what is planned. A plan is scored with
//! it, and its launch states it.
//!
//! What a limit costs is memory: graphs of as many batch sizes, room of the sampler, blocks of state; and where slots
//! divide the cache among them, their part of it. So a server is told to take what is sent to it and no more. Requests
//! that come by themselves come in bursts, and where slots cost nothing else as many are taken as find room.

use crate::workload::Workload;

use super::memory::Limits;

/// Standard deviations by which the requests in flight are taken to exceed their mean where they come by themselves: of a
/// Poisson process one time in 700 more are there.
const BURST: f64 = 3.0;

/// By how much lengths that are drawn around a mean exceed it at most ([`crate::simulate`]).
const DRAWN: f64 = 1.2;

/// Tokens that a slot's part of the cache is a multiple of (llama.cpp `src/llama-context.cpp`, `GGML_PAD(n_ctx, 256)`).
const SLOT_STEP: u64 = 256;

/// The next of the batch sizes that vLLM and SGLang capture graphs of: 1, 2, 4, then steps of 8, from 256 on of 16
/// (`vllm/config/compilation.py`, `sglang/srt/server_args.py`). As a limit it costs nothing more than the batch.
pub(super) fn captured(batch: u64) -> u64 {
    match batch {
        0..=2 => batch.max(1),
        3..=4 => 4,
        5..=256 => batch.div_ceil(8) * 8,
        _ => batch.div_ceil(16) * 16,
    }
}

/// The place of a captured size among them, and the size in a place.
pub(super) fn place_of(size: u64) -> u64 {
    match size {
        0..=2 => size.saturating_sub(1),
        3..=4 => 2,
        5..=256 => size / 8 + 2,
        _ => size / 16 + 18,
    }
}

pub(super) fn size_at(place: u64) -> u64 {
    match place {
        0..=1 => place + 1,
        2 => 4,
        3..=34 => (place - 2) * 8,
        _ => (place - 18) * 16,
    }
}

/// Requests in flight, of so many in the mean, that a server is to take where they come by themselves.
pub(super) fn with_bursts(mean: f64) -> u64 {
    (mean + BURST * mean.sqrt() + 1.0).ceil() as u64
}

/// Tokens of the longest request that comes: that of the load, and what lengths around their mean are drawn up to, as far as
/// the model goes.
pub fn longest_drawn(workload: &Workload, context: Option<u64>) -> u64 {
    let longer = |n: u64| (n as f64 * DRAWN).ceil() as u64;
    let most = match workload.purpose.pools() {
        true => longer(workload.isl),
        false => longer(workload.isl).saturating_add(longer(workload.osl)),
    };
    most.min(context.unwrap_or(u64::MAX)).max(workload.longest_context())
}

impl Limits {
    /// The same of a launch that states so many sequences, and graphs of as many, or of the most that are given.
    pub(super) fn stating(self, sequences: u64, graphs: Option<u64>) -> Limits {
        let mut limits = Limits { max_sequences: sequences, stated_sequences: Some(sequences), ..self };
        let captured = &mut limits.start.captured.largest;
        *captured = captured.or(graphs.map(|most| most.min(sequences)));
        limits
    }
}

/// Tokens of a slot's part of the cache, where slots divide it and nobody says how long a request may be.
pub(super) fn slot_length(workload: &Workload, context: Option<u64>) -> u64 {
    let padded = longest_drawn(workload, context).next_multiple_of(SLOT_STEP);
    padded.min(context.unwrap_or(u64::MAX)).max(workload.longest_context())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captured_sizes_follow_each_other() {
        let sizes: Vec<u64> = (0..100).map(size_at).collect();
        assert_eq!(sizes[..5], [1, 2, 4, 8, 16]);
        assert_eq!(sizes[33..37], [248, 256, 272, 288]);
        assert!(
            sizes.iter().zip(0..).all(|(size, place)| captured(*size) == *size && place_of(*size) == place)
        );
        assert_eq!([0, 3, 5, 250, 257].map(captured), [1, 4, 8, 256, 272]);
    }
}
