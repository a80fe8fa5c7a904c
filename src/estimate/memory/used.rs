//! Memory by part on a rank, and whether it suffices.

use super::host_use::HostUse;
use crate::plan::Reason;
use crate::units::Bytes;

/// Whether a plan fits, given the uncertainty of the estimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// More room than the uncertainty.
    Fits,
    /// Inside the uncertainty.
    Marginal,
    /// Short by more than the uncertainty.
    DoesNotFit,
}

impl Verdict {
    /// As JSON value.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Fits => "fits",
            Verdict::Marginal => "marginal",
            Verdict::DoesNotFit => "does_not_fit",
        }
    }
}

/// Blocks of the cache that hold the state of a running sequence, and the sequences that the server starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateBlocks {
    /// Blocks.
    pub blocks: u64,
    /// How far off that number may be.
    pub uncertain: u64,
    /// Sequences that the launch states; none where a plan sets their limit.
    pub stated: Option<u64>,
    /// Sequences that a launch takes by default. Versions before 0.20 capture fewer graphs instead.
    pub by_default: Option<u64>,
}

impl StateBlocks {
    /// Whether the engine refuses to start: each sequence of a captured graph takes a block (vLLM 0.20 to 0.33
    /// `config/compilation.py`: "max_num_seqs exceeds available Mamba cache blocks").
    pub fn are_too_few(self) -> bool {
        self.sequences().is_some_and(|sequences| sequences > self.blocks + self.uncertain)
    }

    /// Whether it may refuse.
    pub fn may_be_too_few(self) -> bool {
        self.sequences().is_some_and(|sequences| sequences > self.blocks)
    }

    /// Sequences that the server starts with.
    pub fn sequences(self) -> Option<u64> {
        self.stated.or(self.by_default)
    }
}

/// What an engine asks for at the start on every worker of a pipeline, where it counts a request over all layers of the
/// model (vLLM 0.14 to 0.16 `v1/core/kv_cache_utils.py`, `get_kv_cache_configs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AskedOfAll {
    /// KV cache of one request at full length in all layers.
    pub request: Bytes,
    /// What the worker with the least has for its cache.
    pub least: Bytes,
}

/// How far off what graphs take may be, as a factor: 75 % at the 90th percentile of 48 starts of vLLM that logged it.
const GRAPHS_UNCERTAIN: f64 = 1.75;

/// Memory by part on the fullest rank.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MemoryUse {
    /// Weights.
    pub weights: Bytes,
    /// Room for the KV cache, which engines fill but those that allocate `slot`s.
    pub kv_cache: Bytes,
    /// Tokens of a slot, where the engine allocates those of its slots and no more (llama.cpp).
    pub slot: Option<u64>,
    /// Activation peak.
    pub activations: Bytes,
    /// Context, libraries, communication buffers.
    pub non_torch: Bytes,
    /// CUDA graphs.
    pub cuda_graphs: Bytes,
    /// What the cache leaves for them, where they are captured after it is laid out.
    pub left_for_graphs: Option<Bytes>,
    /// Physical memory.
    pub capacity: Bytes,
    /// What weights and KV cache may take together under the engine's rule.
    pub for_weights_and_cache: Bytes,
    /// KV cache of one request at full length.
    pub per_request: Bytes,
    /// What the engine asks for at the start in place of that, where it counts layers of other stages too.
    pub asked_of_all: Option<AskedOfAll>,
    /// KV cache of one request at its mean length, as the engine reserves it, beside what all have in common.
    pub per_running_request: Bytes,
    /// Tokens of that length, with those that all have in common.
    pub running_tokens: u64,
    /// KV cache of the beginning that all requests have in common, which is held once.
    pub shared: Bytes,
    /// Tokens of the longest requests that come that the cache holds, windows applied.
    pub kv_cache_tokens: u64,
    /// Tokens that the engine's log says it holds: engines count windows and groups of layers each in
    /// their own way.
    pub logged_tokens: u64,
    /// Memory that the engine says is its KV cache: SGLang counts recurrent state apart.
    pub logged_cache: Bytes,
    /// Blocks for the state of recurrent layers, where the engine refuses more sequences than there are.
    pub states: Option<StateBlocks>,
    /// What the host's memory holds, of which it has so much.
    pub host: Option<HostUse>,
    /// Uncertainty of the total.
    pub band: Bytes,
}

impl MemoryUse {
    /// What the weights leave of what is for them and the cache.
    pub(super) fn free(&self) -> Bytes {
        self.for_weights_and_cache.saturating_sub(self.weights)
    }

    /// KV cache that the engine allocates for so many sequences on one attention-data-parallel rank, and the tokens that it
    /// holds.
    pub fn allocated(&self, sequences: u64) -> (Bytes, u64) {
        match self.slot {
            Some(tokens) => (
                (self.per_request * sequences).min(self.kv_cache),
                tokens.saturating_mul(sequences).min(self.kv_cache_tokens),
            ),
            None => (self.kv_cache, self.kv_cache_tokens),
        }
    }

    /// Sum of the parts with so much KV cache.
    pub fn total_with(&self, cache: Bytes) -> Bytes {
        self.weights + cache + self.activations + self.non_torch + self.cuda_graphs
    }

    /// Sum of the parts.
    pub fn total(&self) -> Bytes {
        self.total_with(self.kv_cache)
    }

    /// KV cache that the engine says one request at full length needs.
    pub fn request_asked_for(&self) -> Bytes {
        self.asked_of_all.map_or(self.per_request, |asked| asked.request)
    }

    /// What weights and one request at full length need of [`MemoryUse::for_weights_and_cache`], as the engine counts it at
    /// the start.
    pub fn need(&self) -> Bytes {
        let own = self.weights + self.per_request;
        let asked = self
            .asked_of_all
            .map(|asked| (self.for_weights_and_cache + asked.request).saturating_sub(asked.least));
        asked.map_or(own, |asked| asked.max(own))
    }

    /// GiB of KV cache that the engine's log says it has: less than none where the weights alone take more than there
    /// is (vLLM: "Available KV cache memory: -2.28 GiB").
    pub fn logged_cache_gib(&self) -> f64 {
        match self.weights > self.for_weights_and_cache {
            true => self.for_weights_and_cache.as_gib() - self.weights.as_gib(),
            false => self.logged_cache.as_gib(),
        }
    }

    /// Whether weights and one request at full length fit.
    pub fn verdict(&self) -> Verdict {
        if self.host.is_some_and(|host| host.need() > host.usable) {
            return Verdict::DoesNotFit;
        }
        if self.states.is_some_and(StateBlocks::are_too_few) {
            return Verdict::DoesNotFit;
        }
        let graphs = self.cuda_graphs.as_f64();
        let left = self.left_for_graphs.map_or(f64::INFINITY, Bytes::as_f64);
        if graphs > left * GRAPHS_UNCERTAIN {
            return Verdict::DoesNotFit;
        }
        let close = graphs * GRAPHS_UNCERTAIN > left;
        let need = self.need();
        let uncertain = close || self.states.is_some_and(StateBlocks::may_be_too_few);
        if need + self.band <= self.for_weights_and_cache && !uncertain {
            Verdict::Fits
        } else if need <= self.for_weights_and_cache + self.band {
            Verdict::Marginal
        } else {
            Verdict::DoesNotFit
        }
    }

    /// Room beside weights and one request at full length, GiB; negative where they do not fit.
    pub fn spare_gib(&self) -> f64 {
        self.for_weights_and_cache.as_gib() - self.need().as_gib()
    }

    /// Requests in flight that the KV cache holds on one attention-data-parallel rank.
    pub fn largest_batch(&self) -> u64 {
        let with_host = self.host.map_or(u64::MAX, |host| host.largest_batch());
        let with_states = self.states.map_or(u64::MAX, |states| states.blocks);
        match self.per_running_request.get() {
            0 => with_host,
            each => {
                let free = self.kv_cache.saturating_sub(self.shared).get();
                (free / each).min(with_host).min(with_states)
            }
        }
    }

    /// Bytes of a token of a running request, with its part of what grows with no token.
    pub fn per_token(&self) -> f64 {
        (self.per_running_request + self.shared).as_f64() / self.running_tokens.max(1) as f64
    }

    /// KV cache left over when `sequences` run on one attention-data-parallel rank.
    pub fn headroom(&self, sequences: u64) -> Bytes {
        self.kv_cache.saturating_sub(self.shared).saturating_sub(self.per_running_request * sequences)
    }

    /// Why the plan does not fit, if it does not.
    pub fn rejection(&self) -> Option<Reason> {
        if let Some(host) = self.host.filter(|host| host.need() > host.usable) {
            return Some(Reason::HostOutOfMemory { need: host.need(), have: host.usable });
        }
        let short = self.need() > self.for_weights_and_cache + self.band;
        if let Some(states) = self.states.filter(|states| states.are_too_few() && !short) {
            return Some(Reason::TooManySequences {
                sequences: states.sequences().unwrap_or(0),
                most: states.blocks,
            });
        }
        let cramped = self
            .left_for_graphs
            .filter(|left| !short && self.cuda_graphs.as_f64() > left.as_f64() * GRAPHS_UNCERTAIN);
        if let Some(left) = cramped {
            let held = self.capacity.saturating_sub(left);
            return Some(Reason::OutOfMemory { need: held + self.cuda_graphs, have: self.capacity });
        }
        (self.verdict() == Verdict::DoesNotFit).then(|| self.short(self.need()))
    }

    /// Why nobody plans it, though it may start: where the cache has no room for one of the requests that come, as near as
    /// memory is known, a server that starts answers none.
    pub fn answers_none(&self) -> Option<Reason> {
        let one = self.shared + self.per_running_request;
        let beside = self.for_weights_and_cache.saturating_sub(self.kv_cache).max(self.weights);
        (one > self.kv_cache).then(|| self.short(beside + one))
    }

    /// That what weights and cache need is more than there is.
    fn short(&self, need: Bytes) -> Reason {
        let around = self.activations + self.non_torch + self.cuda_graphs;
        Reason::OutOfMemory { need: need + around, have: self.for_weights_and_cache + around }
    }
}
