//! What engines keep of a token where its layout is their own and not so many elements of one type: the compressed history
//! of DeepSeek-V4, the index keys of sparse attention.

use super::blocks::{Block, Cache, CompressedAttention, LatentAttention};
use crate::dtype::DType;
use crate::units::Bytes;

/// A layer with a compressed history: of so many tokens an entry of it, and an index key of so many elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compressed {
    /// Dimension of the one head that is key and value.
    pub head_dim: u64,
    /// Tokens of the window.
    pub window: u64,
    /// Tokens of an entry, and series that each token contributes to; `None` in layers that only slide.
    pub history: Option<(u64, u64)>,
    /// Elements of an index key.
    pub index: Option<u64>,
}

impl Compressed {
    /// What a layer keeps.
    pub fn of(block: &CompressedAttention) -> Compressed {
        Compressed {
            head_dim: block.head_dim,
            window: block.window,
            history: block.compressor.map(|c| (c.rate, c.series)),
            index: block.compressor.and_then(|c| c.indexer).map(|index| index.head_dim),
        }
    }

    /// Bytes of a token that is attended to as it is, of an entry and of an index key: FP8 with a byte of scale for
    /// every 64 values, padded to 8, and 64 rotary dimensions in 16 bits; index keys in FP8 with a scale of 4 bytes
    /// (vLLM 0.22 `v1/kv_cache_interface.py`: 448 + 128 + 8 = 584; `models/deepseek_v4/attention.py`).
    pub fn token(&self) -> u64 {
        const ROTARY: u64 = 64;
        let plain = self.head_dim.saturating_sub(ROTARY);
        plain + 2 * ROTARY.min(self.head_dim) + plain.div_ceil(64).next_multiple_of(8)
    }

    /// Bytes of an index key.
    pub fn index_key(&self) -> Option<u64> {
        self.index.map(|n| n + n.div_ceil(128) * 4)
    }

    /// Bytes for each token of a long sequence, the window apart.
    pub fn per_token(&self) -> Bytes {
        let entry = self.token() + self.index_key().unwrap_or(0);
        self.history.map_or(Bytes::ZERO, |(rate, _)| Bytes::new(entry.div_ceil(rate.max(1))))
    }
}

/// Bytes per token of a latent that an indexer reads from (DeepSeek-V3.2, GLM-5): in FP8 the latent with
/// a 4-byte scale per 128 values and its rotary part in 16 bits, 656 bytes; and the index key in FP8 with
/// a 4-byte scale per 128 (vLLM `fp8_ds_mla`, `DeepseekV32IndexerCache`; SGLang `NSATokenToKVPool`). `None` without
/// an indexer.
pub fn indexed(latent: &LatentAttention, kv: DType) -> Option<Bytes> {
    let index = latent.indexer?;
    let scaled = |n: u64| n + n.div_ceil(128) * 4;
    let own = match kv {
        DType::Fp8 => scaled(latent.kv_rank) + 2 * latent.rope_dim,
        _ => kv.stored_bytes(latent.kv_rank + latent.rope_dim),
    };
    Some(Bytes::new(own + scaled(index.head_dim)))
}

/// What one layer keeps of a sequence on a device that holds it whole: bytes for each token of a long one, windows not
/// applied, and bytes of one of `tokens`.
pub(super) fn of_block(block: &Block, kv: DType, tokens: u64) -> Option<(Bytes, Bytes)> {
    if let Block::Compressed(compressed) = block {
        let kept = Compressed::of(compressed);
        let window = Bytes::new(kept.token()) * tokens.min(kept.window);
        return Some((kept.per_token(), kept.per_token() * tokens + window));
    }
    let bytes = |elements| Bytes::new(kv.stored_bytes(elements));
    Some(match block.cache()? {
        Cache::KeyValue { heads, per_head, window } => {
            let each = bytes(heads.saturating_mul(per_head));
            (each, each * window.map_or(tokens, |window| tokens.min(window)))
        }
        Cache::Latent { elements } => {
            let each = match block {
                Block::Latent(latent) => indexed(latent, kv),
                _ => None,
            };
            let each = each.unwrap_or_else(|| bytes(elements));
            (each, each * tokens)
        }
        Cache::State { bytes, wider, .. } => (Bytes::ZERO, Bytes::new(bytes.saturating_add(wider))),
    })
}
