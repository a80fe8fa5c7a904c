//! What a server keeps of prompts that begin alike.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::num::NonZeroUsize;

use lru::LruCache;

/// Tokens of a block: those of the hashes in Mooncake's traces
/// (<https://github.com/kvcache-ai/Mooncake>, FAST25-release).
const BLOCK: u64 = 512;

/// Most blocks that are kept: 34 billion tokens.
const MOST: usize = 1 << 26;

/// A cache of prompt blocks that forgets what was not used for longest.
pub struct Prefixes {
    blocks: LruCache<u64, ()>,
}

impl Prefixes {
    /// An empty cache of this many tokens.
    pub fn new(tokens: u64) -> Prefixes {
        let blocks = usize::try_from(tokens / BLOCK).unwrap_or(MOST).clamp(1, MOST);
        // Not allocated ahead: it grows with what a trace repeats.
        let mut cache = LruCache::unbounded();
        cache.resize(NonZeroUsize::new(blocks).unwrap_or(NonZeroUsize::MIN));
        Prefixes { blocks: cache }
    }

    /// Tokens of a prompt that are in the cache: its first blocks up to one that is not. All of its blocks
    /// are in it from now on.
    pub fn take(&mut self, prompt: &[u64]) -> u64 {
        let found = prompt.iter().take_while(|block| self.blocks.get(*block).is_some()).count();
        for block in prompt {
            self.blocks.put(*block, ());
        }
        found as u64 * BLOCK
    }
}

/// The blocks of a beginning of so many tokens that a group of requests has in common.
pub fn blocks_of(group: &str, tokens: u64) -> impl Iterator<Item = u64> {
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(group);
    (0..tokens.div_ceil(BLOCK).min(MOST as u64))
        .map(move |i| hash.wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_finds_its_first_blocks_up_to_one_that_is_missing() {
        let mut cache = Prefixes::new(100 * BLOCK);
        assert_eq!(cache.take(&[1, 2, 3]), 0);
        assert_eq!(cache.take(&[1, 2, 9, 3]), 2 * BLOCK);
        assert_eq!(cache.take(&[7, 1, 2]), 0);
    }

    #[test]
    fn what_was_not_used_for_longest_is_forgotten() {
        let mut cache = Prefixes::new(2 * BLOCK);
        cache.take(&[1]);
        cache.take(&[2]);
        cache.take(&[1]);
        cache.take(&[3]);
        assert_eq!((cache.take(&[1]), cache.take(&[2])), (BLOCK, 0));
    }

    #[test]
    fn groups_share_blocks_only_with_themselves() {
        let (a, b): (Vec<u64>, Vec<u64>) = (blocks_of("a", 1300).collect(), blocks_of("b", 1300).collect());
        assert_eq!(a.len(), 3);
        assert!(a.iter().all(|block| !b.contains(block)));
    }
}
