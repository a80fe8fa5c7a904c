//! The blocks of prompts that begin alike.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};

/// Tokens of a block: those of the hashes in Mooncake's traces
/// (<https://github.com/kvcache-ai/Mooncake>, FAST25-release).
pub const BLOCK: u64 = 512;

/// Most blocks of one beginning: 34 billion tokens.
const MOST: u64 = 1 << 26;

/// The key of a name.
pub fn key_of(name: &str) -> u64 {
    // Keys of requests' own tokens have the highest bits.
    BuildHasherDefault::<DefaultHasher>::default().hash_one(name) >> 2
}

/// The blocks of a beginning of so many tokens that a group of requests has in common.
pub fn blocks_of(group: &str, tokens: u64) -> impl Iterator<Item = u64> {
    let hash = key_of(group);
    (0..tokens.div_ceil(BLOCK).min(MOST))
        .map(move |i| hash.wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15)) >> 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_share_blocks_only_with_themselves() {
        let (a, b): (Vec<u64>, Vec<u64>) = (blocks_of("a", 1300).collect(), blocks_of("b", 1300).collect());
        assert_eq!(a.len(), 3);
        assert!(a.iter().all(|block| !b.contains(block)));
    }
}
