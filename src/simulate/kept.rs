//! What a replica keeps of prompts: the GPUs' cache by blocks, tiers below it, what was not used for longest forgotten
//! first.
//!
//! A prompt is a chain of parts that others may begin with too: the blocks of a trace, or what all sessions share and
//! what one has said. What runs is in use and stays; what ends is given back, its last part first, so that the end of a
//! chain is always forgotten before its beginning (vLLM 0.11 to 0.33 `v1/core/block_pool.py`, `free_blocks`: freed blocks
//! in reverse order at the end of one queue; SGLang `mem_cache/radix_cache.py`, `evict`: leaves by the time of their last
//! use; TensorRT-LLM `kvCacheManager`: blocks without children by the same order).

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::slots::Slots;
use crate::estimate::sessions::Below;

/// A part of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// What stands in it, with all that comes before it.
    pub key: u64,
    /// Its tokens.
    pub tokens: u64,
}

/// Keys are hashes already, or count: a product spreads them.
#[derive(Clone, Copy, Debug, Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }
    fn write_u64(&mut self, key: u64) {
        let mixed = (self.0 ^ key).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

/// No place.
const NONE: usize = usize::MAX;

/// A part that is kept.
#[derive(Clone, Copy, Debug)]
struct Node {
    key: u64,
    tokens: u64,
    /// Requests that use it.
    uses: u32,
    /// Neighbours among those that nobody uses, by the time of their last use.
    before: usize,
    after: usize,
}

/// Parts by key, and those that nobody uses in the order of their last use.
#[derive(Debug)]
struct Store {
    nodes: Slots<Node>,
    places: HashMap<u64, usize, BuildHasherDefault<Spread>>,
    oldest: usize,
    newest: usize,
    /// Tokens of those that nobody uses.
    idle: u64,
}

impl Store {
    fn new() -> Store {
        Store { nodes: Slots::new(), places: HashMap::default(), oldest: NONE, newest: NONE, idle: 0 }
    }

    fn tokens(&self, key: u64) -> Option<(u64, u32)> {
        let node = &self.nodes[*self.places.get(&key)?];
        Some((node.tokens, node.uses))
    }

    /// Tokens of a chain that are here, from its beginning.
    fn found(&self, chain: &[Part]) -> u64 {
        let mut found = 0;
        for part in chain {
            let here = self.tokens(part.key).map_or(0, |(tokens, _)| tokens.min(part.tokens));
            found += here;
            if here < part.tokens {
                break;
            }
        }
        found
    }

    fn unlink(&mut self, place: usize) {
        let Node { before, after, tokens, .. } = self.nodes[place];
        match before {
            NONE => self.oldest = after,
            before => self.nodes[before].after = after,
        }
        match after {
            NONE => self.newest = before,
            after => self.nodes[after].before = before,
        }
        self.idle -= tokens;
    }

    fn link(&mut self, place: usize) {
        let last = self.newest;
        let node = &mut self.nodes[place];
        (node.before, node.after) = (last, NONE);
        self.idle += node.tokens;
        match last {
            NONE => self.oldest = place,
            last => self.nodes[last].after = place,
        }
        self.newest = place;
    }

    /// Uses a part, which is whole from now on; returns by how many tokens more is in use.
    fn take(&mut self, part: Part) -> u64 {
        match self.places.get(&part.key).copied() {
            Some(place) => {
                let idle = self.nodes[place].uses == 0;
                if idle {
                    self.unlink(place);
                }
                let node = &mut self.nodes[place];
                let before = if idle { 0 } else { node.tokens };
                node.tokens = node.tokens.max(part.tokens);
                node.uses += 1;
                node.tokens - before
            }
            None => {
                let node = Node { key: part.key, tokens: part.tokens, uses: 1, before: NONE, after: NONE };
                let place = self.nodes.insert(node);
                self.places.insert(part.key, place);
                part.tokens
            }
        }
    }

    /// Gives a part back that has grown by `grown`; returns by how many tokens less is in use, those it has grown by
    /// among them.
    fn give_back(&mut self, key: u64, grown: u64) -> u64 {
        let Some(place) = self.places.get(&key).copied() else { return 0 };
        let node = &mut self.nodes[place];
        node.tokens += grown;
        node.uses -= 1;
        if node.uses > 0 {
            return 0;
        }
        let tokens = node.tokens;
        self.link(place);
        tokens
    }

    /// Notes a part that nobody uses, or its use.
    fn touch(&mut self, part: Part) {
        self.take(part);
        self.give_back(part.key, 0);
    }

    /// Forgets until no more than `room` tokens are kept that nobody uses.
    fn fit(&mut self, room: f64) {
        let room = room.max(0.0) as u64;
        while self.idle > room && self.oldest != NONE {
            let place = self.oldest;
            let over = self.idle - room;
            let Node { key, tokens, .. } = self.nodes[place];
            if tokens > over {
                // The end of it goes, block by block.
                self.nodes[place].tokens -= over;
                self.idle -= over;
                return;
            }
            self.unlink(place);
            self.places.remove(&key);
            self.nodes.remove(place);
        }
    }
}

/// A tier in the simulation.
#[derive(Debug)]
struct Tier {
    below: Below,
    store: Store,
    /// When its link is free again, in seconds.
    free: f64,
}

/// What a prompt finds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Found {
    /// Tokens in the GPUs' cache.
    pub tokens: u64,
    /// Of them those that others use.
    pub used: u64,
}

/// What a replica keeps.
#[derive(Debug)]
pub struct Kept {
    cache: Store,
    tiers: Vec<Tier>,
    block: u64,
    /// Seconds that computing a token takes, in steps of prompts alone.
    compute: f64,
}

impl Kept {
    /// An empty cache of blocks of `block` tokens above these tiers, of a replica that computes a token in `compute`
    /// seconds.
    pub fn new(block: u64, tiers: impl Iterator<Item = Below>, compute: f64) -> Kept {
        let tiers = tiers.map(|below| Tier { below, store: Store::new(), free: 0.0 }).collect();
        Kept { cache: Store::new(), tiers, block: block.max(1), compute }
    }

    /// What a prompt of so many tokens finds: whole blocks, and never its last token, which is computed.
    pub fn look(&self, chain: &[Part], prompt: u64) -> Found {
        let (mut used, mut left) = (0, chain.iter());
        while let Some(part) = left.next()
            && let Some((tokens, 1..)) = self.cache.tokens(part.key)
        {
            used += tokens.min(part.tokens);
        }
        Found { tokens: self.whole(self.cache.found(chain), prompt), used }
    }

    fn whole(&self, found: u64, prompt: u64) -> u64 {
        found.min(prompt.saturating_sub(1)) / self.block * self.block
    }

    /// What tiers have of a prompt beyond the `found` tokens in the GPUs' cache, and when it is there, in seconds: where
    /// that is sooner than it would be computed.
    pub fn load(&mut self, chain: &[Part], prompt: u64, found: u64, now: f64) -> (u64, f64) {
        let (mut have, mut ready) = (found, now);
        for tier in &mut self.tiers {
            let here = tier.store.found(chain).min(prompt.saturating_sub(1)) / self.block * self.block;
            if here <= have {
                continue;
            }
            let more = (here - have) as f64;
            let begins = tier.free.max(now);
            let ends = begins + tier.below.bytes_time(more);
            let there = ends + tier.below.latency;
            if there - now < more * self.compute {
                tier.free = ends;
                (have, ready) = (here, ready.max(there));
            }
        }
        (have - found, ready)
    }

    /// A request is let in: its whole prompt is in use. Returns by how many tokens more is in use.
    pub fn take(&mut self, chain: &[Part]) -> u64 {
        chain.iter().map(|part| self.cache.take(*part)).sum()
    }

    /// A request leaves whose last part has grown by `grown` tokens. Returns by how many less is in use. What it has is
    /// in every tier from now on.
    pub fn give_back(&mut self, chain: &[Part], grown: u64, now: f64) -> u64 {
        let mut less = 0;
        for (i, part) in chain.iter().enumerate().rev() {
            let grown = if i + 1 == chain.len() { grown } else { 0 };
            less += self.cache.give_back(part.key, grown);
            for tier in &mut self.tiers {
                tier.store.touch(Part { tokens: part.tokens + grown, ..*part });
            }
        }
        for tier in &mut self.tiers {
            let room = tier.below.tokens;
            tier.store.fit(room);
            if !tier.below.is_duplex {
                let written =
                    grown as f64 + chain.last().map_or(0.0, |part| part.tokens as f64).min(grown as f64);
                tier.free = tier.free.max(now) + tier.below.write(written);
            }
        }
        less
    }

    /// Notes what was there before the first request.
    pub fn begin_with(&mut self, part: Part, room: f64) {
        self.cache.touch(part);
        self.cache.fit(room);
        for tier in &mut self.tiers {
            tier.store.touch(part);
            tier.store.fit(tier.below.tokens);
        }
    }

    /// Forgets what finds no room beside what is in use.
    pub fn fit(&mut self, room: f64) {
        self.cache.fit(room);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> Kept {
        Kept::new(16, std::iter::empty(), 0.0)
    }

    fn chain(keys: &[u64]) -> Vec<Part> {
        keys.iter().map(|key| Part { key: *key, tokens: 512 }).collect()
    }

    fn serve(kept: &mut Kept, keys: &[u64], room: f64) -> u64 {
        let chain = chain(keys);
        let prompt = 512 * keys.len() as u64 + 1;
        let found = kept.look(&chain, prompt).tokens;
        kept.take(&chain);
        kept.give_back(&chain, 0, 0.0);
        kept.fit(room);
        found
    }

    #[test]
    fn a_prompt_finds_its_first_blocks_up_to_one_that_is_missing() {
        let mut cache = kept();
        assert_eq!(serve(&mut cache, &[1, 2, 3], 1e9), 0);
        assert_eq!(serve(&mut cache, &[1, 2, 9, 3], 1e9), 1024);
        assert_eq!(serve(&mut cache, &[7, 1, 2], 1e9), 0);
    }

    #[test]
    fn what_was_not_used_for_longest_is_forgotten_and_of_a_chain_its_end_first() {
        let mut cache = kept();
        serve(&mut cache, &[1, 2], 1024.0);
        serve(&mut cache, &[3], 1024.0);
        // The second block of the first went.
        assert_eq!(serve(&mut cache, &[1, 2], 1024.0), 512);
        // Now the first two are newest, and 3 is gone.
        assert_eq!(serve(&mut cache, &[3], 1024.0), 0);
    }

    #[test]
    fn what_is_in_use_is_not_forgotten_and_is_counted_once() {
        let mut cache = kept();
        let (a, b) = (chain(&[1, 2]), chain(&[1, 3]));
        assert_eq!(cache.take(&a), 1024);
        assert_eq!(cache.look(&b, 1025), Found { tokens: 512, used: 512 });
        assert_eq!(cache.take(&b), 512);
        cache.fit(0.0);
        assert_eq!(cache.give_back(&a, 100, 0.0), 612);
        assert_eq!(cache.look(&a, 1025).tokens, 1024);
        cache.fit(0.0);
        assert_eq!(cache.look(&a, 1025).tokens, 512);
        assert_eq!(cache.give_back(&b, 0, 0.0), 1024);
    }

    #[test]
    fn whole_blocks_are_found_and_the_last_token_is_computed() {
        let mut cache = kept();
        cache.take(&[Part { key: 5, tokens: 100 }]);
        assert_eq!(cache.look(&[Part { key: 5, tokens: 100 }], 100).tokens, 96);
        assert_eq!(cache.look(&[Part { key: 5, tokens: 96 }], 96).tokens, 80);
    }
}
