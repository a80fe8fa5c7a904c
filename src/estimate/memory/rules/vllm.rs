//! vLLM V1's KV cache: layers in groups, blocks that every group takes from one pool, and whether one request of the
//! longest length finds as many as it may hold (`v1/core/kv_cache_utils.py`, from 0.33 `kv_cache_planning.py`;
//! `v1/kv_cache_interface.py`).

use super::beside::Beside;
use crate::catalog::engine::PackedBlocks;
use crate::estimate::memory::kept::{Keeps, Kind};
use crate::estimate::memory::question::MemoryQuestion;
use crate::estimate::memory::used::MemoryUse;
use crate::units::Bytes;

/// What the layers of a group hold of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    /// Every token.
    All,
    /// The window and the tokens in flight.
    Window(u64),
    /// The chunk and the tokens in flight.
    Chunk(u64),
    /// States.
    State,
}

/// Layers whose cache vLLM describes alike (`KVCacheSpec`).
#[derive(Clone, Copy, Debug, PartialEq)]
struct Spec {
    layers: u64,
    in_all: u64,
    held: Held,
    /// Tokens of a block.
    block: u64,
    /// Bytes of one layer's part of a block.
    page: Bytes,
}

/// A group: its layers share the blocks of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Group {
    held: Held,
    block: u64,
}

/// The groups of a rank, and what a block takes on it.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::estimate::memory) struct Blocks {
    groups: Vec<Group>,
    /// Bytes of a block, of whatever group.
    bytes: Bytes,
    /// Ranks that divide the tokens of a sequence.
    ranks: u64,
    /// Tokens that may be in flight while a prompt is computed.
    in_flight: u64,
    /// Blocks of state for each sequence.
    states: u64,
}

/// Bytes to which FlashMLA's pages are aligned (`models/deepseek_v4/attention.py` 0.22).
const ALIGNMENT: u64 = 576;

/// Tokens of a block of compressed history (0.22 `models/deepseek_v4/attention.py`).
const HISTORY_BLOCK: u64 = 256;

/// Blocks of state without drafts and kept prefixes, and one more with those (`MambaSpec.max_memory_usage_bytes`).
const OWN_STATE: u64 = 1;

impl Blocks {
    /// The groups that layers of these kinds make.
    pub fn of(q: &MemoryQuestion, kinds: &[Kind]) -> Blocks {
        let rule = &q.engine.memory;
        let block = q.block();
        let recurrent = kinds.iter().any(|k| matches!(k.keeps, Keeps::State(_)));
        let prefixes = q.limits.start.prefixes.unwrap_or(rule.state_of_prefixes);
        let (groups, bytes) = match kinds.iter().any(|k| matches!(k.keeps, Keeps::Compressed(_))) {
            // Other layers, as those of a draft model, lie beside them in the same blocks.
            true => {
                let specs = [compressed_specs(kinds), plain_specs(kinds, HISTORY_BLOCK)].concat();
                packed(&specs, rule.packed_blocks)
            }
            false => unified(&plain_specs(kinds, block), block, rule.group_slack),
        };
        Blocks {
            groups,
            bytes,
            ranks: q.parallelism.groups().context.max(1),
            in_flight: q.step_tokens().saturating_mul(batches_in_flight(q)),
            states: OWN_STATE + u64::from(prefixes && recurrent) + q.workload.drafted().ceil() as u64,
        }
    }

    /// What a request of `tokens` may hold, which the engine asks for at the start.
    pub fn request(&self, tokens: u64) -> Bytes {
        self.bytes * self.of_request(tokens, self.in_flight)
    }

    /// What a running request of `tokens` holds: windows have moved on.
    pub fn running(&self, tokens: u64) -> Bytes {
        let of = |group: &Group| match group.held {
            Held::All | Held::State => self.of_group(group, tokens, 0),
            Held::Window(_) | Held::Chunk(_) => {
                self.of_group(group, tokens, 0).min(tokens.div_ceil(group.block.max(1)).max(1))
            }
        };
        self.bytes * self.groups.iter().map(of).sum::<u64>()
    }

    /// Blocks that so many bytes make.
    pub fn held(&self, cache: Bytes) -> u64 {
        cache.get() / self.bytes.get().max(1)
    }

    /// Blocks in which each running sequence needs one for its state, if layers have any.
    pub fn for_states(&self, cache: Bytes) -> Option<u64> {
        self.groups.iter().any(|g| g.held == Held::State).then(|| self.held(cache))
    }

    /// Tokens that the log says so many bytes hold: of requests of the longest length (0.21, `get_kv_cache_capacity`).
    pub fn logged_by_request(&self, cache: Bytes, length: u64) -> u64 {
        let each = self.of_request(length, self.in_flight).max(1);
        (self.held(cache) as f64 / each as f64 * length as f64) as u64
    }

    /// The same before: blocks dealt out over the groups, times the tokens of the smallest.
    pub fn logged_by_group(&self, cache: Bytes) -> u64 {
        let attention = self.groups.iter().filter(|g| g.held != Held::State);
        let tokens = attention.map(|g| g.block).min().unwrap_or(0);
        (self.held(cache) / (self.groups.len() as u64).max(1)).saturating_mul(tokens * self.ranks)
    }

    fn of_request(&self, tokens: u64, in_flight: u64) -> u64 {
        self.groups.iter().map(|group| self.of_group(group, tokens, in_flight)).sum()
    }

    /// `max_memory_usage_bytes` of each kind, in blocks. A window seldom starts where a block does.
    fn of_group(&self, group: &Group, tokens: u64, in_flight: u64) -> u64 {
        match group.held {
            Held::All => tokens.div_ceil(group.block.saturating_mul(self.ranks)),
            Held::Window(window) => {
                let held = window.saturating_sub(1).saturating_add(in_flight.max(1)).min(tokens);
                held.div_ceil(group.block) + 1
            }
            Held::Chunk(chunk) => chunk.saturating_add(in_flight).min(tokens).div_ceil(group.block),
            Held::State => self.states,
        }
    }
}

/// Steps whose blocks are not settled when the next one takes its own: one until 0.25; from 0.26 the stages' and one
/// more under asynchronous scheduling, which a pipeline has not (`config/vllm.py`, `max_in_flight_tokens`,
/// `max_concurrent_batches`).
fn batches_in_flight(q: &MemoryQuestion) -> u64 {
    match (q.engine.memory.unsettled_steps, q.parallelism.pp) {
        (false, _) => 1,
        (true, 0 | 1) => 2,
        (true, stages) => u64::from(stages),
    }
}

/// Layers that keep all, windows, chunks or a state.
fn plain_specs(kinds: &[Kind], block: u64) -> Vec<Spec> {
    let spec = |kind: &Kind| {
        let (held, page) = match kind.keeps {
            Keeps::All(each) => (Held::All, each * block),
            Keeps::Last(each, window) => (Held::Window(window), each * block),
            Keeps::Chunk(each, chunk) => (Held::Chunk(chunk), each * block),
            Keeps::State(bytes) => (Held::State, bytes),
            Keeps::Compressed(_) => return None,
        };
        Some(Spec { layers: kind.layers, in_all: kind.in_all, held, block, page })
    };
    kinds.iter().filter_map(spec).collect()
}

/// Groups whose blocks take as much each (`unify_kv_cache_spec_page_size`, `_get_kv_cache_groups_uniform_page_size`).
fn unified(specs: &[Spec], kernel_block: u64, slack: f64) -> (Vec<Group>, Bytes) {
    let Some(first) = specs.first() else { return (Vec::new(), Bytes::ZERO) };
    // One kind: layers of one group, whatever their width.
    if specs.iter().all(|s| s.held == first.held) {
        let bytes = specs.iter().map(|s| s.page * s.layers).sum();
        return (vec![Group { held: first.held, block: first.block }], bytes);
    }
    let mut specs = specs.to_vec();
    hold_states(&mut specs, kernel_block);
    let page = specs.iter().map(|s| s.page).max().unwrap_or(Bytes::ZERO);
    for spec in &mut specs {
        // Smaller pages take more tokens where they divide the largest, else they are padded.
        let times = page.get() / spec.page.get().max(1);
        if spec.held != Held::State && times > 1 && page.get().is_multiple_of(spec.page.get().max(1)) {
            spec.block = spec.block.saturating_mul(times);
        }
        spec.page = page;
    }
    let buckets = merged(&specs);
    let layers = || buckets.iter().map(|s| s.in_all);
    let (least, most) = (layers().min().unwrap_or(1).max(1), layers().max().unwrap_or(1));
    // Nearly equal numbers: one group of each kind wastes less than many.
    let size = if (most as f64) < least as f64 * slack { most } else { least };
    let mut groups = Vec::new();
    let mut widest = 0;
    for bucket in &buckets {
        let count = bucket.in_all.div_ceil(size);
        groups.extend((0..count).map(|_| Group { held: bucket.held, block: bucket.block }));
        // A stage has its part of every group.
        widest = widest.max(bucket.layers.div_ceil(count.max(1)));
    }
    (groups, page * widest)
}

/// Beside recurrent layers blocks of attention grow until one holds a state (`platforms/interface.py`,
/// `_align_hybrid_block_size`; before 0.19 `models/config.py`).
fn hold_states(specs: &mut [Spec], kernel_block: u64) {
    let state = specs.iter().filter(|s| s.held == Held::State).map(|s| s.page).max();
    let narrowest =
        specs.iter().filter(|s| s.held != Held::State).map(|s| s.page.get() / s.block.max(1)).min();
    let (Some(state), Some(token)) = (state, narrowest.filter(|token| *token > 0)) else { return };
    let block = state.get().div_ceil(token * kernel_block.max(1)) * kernel_block.max(1);
    for spec in specs.iter_mut().filter(|s| s.held != Held::State && s.block < block) {
        spec.page = Bytes::new(spec.page.get() / spec.block.max(1)) * block;
        spec.block = block;
    }
}

/// Specs that are alike, once.
fn merged(specs: &[Spec]) -> Vec<Spec> {
    let mut out: Vec<Spec> = Vec::new();
    for spec in specs {
        let alike = |s: &&mut Spec| (s.held, s.block, s.page) == (spec.held, spec.block, spec.page);
        match out.iter_mut().find(alike) {
            Some(known) => {
                known.layers += spec.layers;
                known.in_all += spec.in_all;
            }
            None => out.push(*spec),
        }
    }
    out
}

/// DeepSeek-V4's caches (0.22 `models/deepseek_v4/{attention,compressor}.py`, `v1/attention/backends/mla/sparse_swa.py`):
/// the compressed history and its index keys of 256 tokens a block, windows of 64, and what waits to be compressed in
/// 32-bit keys and scores, 4 or 8 tokens a block.
fn compressed_specs(kinds: &[Kind]) -> Vec<Spec> {
    const WINDOW_BLOCK: u64 = 64;
    let mut specs = Vec::new();
    for kind in kinds {
        let Keeps::Compressed(c) = kind.keeps else { continue };
        let mut push = |held, block: u64, bytes: u64| {
            let page = Bytes::new(bytes.next_multiple_of(ALIGNMENT));
            specs.push(Spec { layers: kind.layers, in_all: kind.in_all, held, block, page });
        };
        push(Held::Window(c.window), WINDOW_BLOCK, WINDOW_BLOCK * c.token());
        let Some((rate, series)) = c.history else { continue };
        let entries = (HISTORY_BLOCK / rate.max(1)).max(1);
        push(Held::All, HISTORY_BLOCK, entries * c.token());
        let block = if series > 1 { 4 } else { 8 };
        let waiting = |width: u64| block * 2 * series * width * 4;
        push(Held::Window(series * rate), block, waiting(c.head_dim));
        if let (Some(key), Some(width)) = (c.index_key(), c.index) {
            push(Held::All, HISTORY_BLOCK, entries * key);
            push(Held::Window(series * rate), block, waiting(width));
        }
    }
    merged(&specs)
}

/// Groups of pages of several sizes side by side in a block (`_get_kv_cache_groups_uniform_groups`): the history in one
/// group, the rest in groups of as many layers as waste least.
fn packed(specs: &[Spec], blocks: PackedBlocks) -> (Vec<Group>, Bytes) {
    let (history, windows): (Vec<Spec>, Vec<Spec>) = specs.iter().partition(|s| s.held == Held::All);
    let mut kinds: Vec<(Held, u64, Vec<Spec>)> = Vec::new();
    for spec in windows {
        match kinds.iter_mut().find(|(held, block, _)| (*held, *block) == (spec.held, spec.block)) {
            Some((_, _, list)) => list.push(spec),
            None => kinds.push((spec.held, spec.block, vec![spec])),
        }
    }
    let repeats = |specs: &[Spec]| specs.iter().map(|s| s.in_all).max().unwrap_or(0);
    let all: Vec<u64> = std::iter::once(repeats(&history))
        .chain(kinds.iter().map(|(_, _, list)| repeats(list)))
        .filter(|n| *n > 0)
        .collect();
    let size = least_padding(&all, repeats(&history).max(1));
    let mut groups: Vec<Group> =
        history.first().map(|s| Group { held: s.held, block: s.block }).into_iter().collect();
    let sum =
        |specs: &[Spec], count: u64| specs.iter().map(|s| s.page * s.layers.div_ceil(count)).sum::<Bytes>();
    let mut largest = sum(&history, 1);
    let mut longest = history.iter().map(|s| s.layers).max().unwrap_or(0);
    for (held, block, list) in &kinds {
        let count = repeats(list).div_ceil(size).max(1);
        groups.extend((0..count).map(|_| Group { held: *held, block: *block }));
        largest = largest.max(sum(list, count));
        longest = longest.max(list.iter().map(|s| s.layers.div_ceil(count)).max().unwrap_or(0));
    }
    let bytes = match blocks {
        PackedBlocks::Tuples => history.iter().map(|s| s.page).sum::<Bytes>() * longest,
        PackedBlocks::Slots => {
            // Windows are padded to the widest page, of which there are as many as the longest group has layers.
            let widest = history.iter().map(|s| s.page).max().unwrap_or(Bytes::ZERO);
            let slots = |s: &Spec| s.page * if s.page == widest { longest.max(s.layers) } else { s.layers };
            history.iter().map(slots).sum()
        }
        PackedBlocks::Largest => largest,
    };
    (groups, Bytes::new(bytes.get().next_multiple_of(ALIGNMENT)))
}

/// Layers of a group with which numbers of layers are padded least, the larger of equals (`_approximate_gcd`).
fn least_padding(numbers: &[u64], at_least: u64) -> u64 {
    let most = numbers.iter().copied().max().unwrap_or(1);
    let padding = |size: u64| numbers.iter().map(|n| n.next_multiple_of(size) - n).sum::<u64>();
    (at_least..=most).min_by_key(|size| (padding(*size), most - size)).unwrap_or(at_least)
}

/// What weights and KV cache may take together: the fraction of the GPU's whole memory, less the peak of the trial step
/// and what lies outside PyTorch (`v1/worker/gpu_worker.py`, `determine_available_memory`). CUDA graphs are estimated
/// and taken off from 0.21 on.
pub(in crate::estimate::memory) fn usable(q: &MemoryQuestion, beside: &Beside) -> Bytes {
    let inside = if q.engine.memory.graphs_inside_fraction { beside.cuda_graphs } else { Bytes::ZERO };
    let around = beside.activations + beside.non_torch + inside;
    q.gpu.memory.scaled(q.fraction()).saturating_sub(around)
}

/// Where graphs are captured beside a cache that is already laid out (V0 `worker/worker.py`, `initialize_cache`, then
/// `_warm_up_model`; V1 to 0.20 `compile_or_warm_up_model`): what the cache leaves of the GPU, the trial step's memory
/// with it.
pub(in crate::estimate::memory) fn left_for_graphs(
    q: &MemoryQuestion,
    beside: &Beside,
    usable: Bytes,
) -> Option<Bytes> {
    let outside = !q.engine.memory.graphs_inside_fraction && beside.cuda_graphs > Bytes::ZERO;
    outside.then(|| q.gpu.memory.saturating_sub(usable.max(beside.weights) + beside.non_torch))
}

/// What the fraction must cover, of what, and the most.
pub(in crate::estimate::memory) fn fraction_needed(
    q: &MemoryQuestion,
    m: &MemoryUse,
) -> (Bytes, Bytes, Bytes) {
    let inside = if q.engine.memory.graphs_inside_fraction { m.cuda_graphs } else { Bytes::ZERO };
    let outside = m.cuda_graphs.saturating_sub(inside);
    let part = m.need() + m.activations + m.non_torch + inside;
    (part, m.capacity, m.capacity.saturating_sub(outside))
}
