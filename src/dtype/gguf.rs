//! Block types of ggml and the mixes of them that llama.cpp calls `Q4_K_M` and the like.
//!
//! Sources: block structures in `ggml/src/ggml-common.h`; `llama_tensor_get_type_impl` and
//! `tensor_type_fallback` in `src/llama-quant.cpp`, both of llama.cpp.

use super::WeightFormat;

/// Key of the kernel tables for all of ggml's quantised formats.
pub const KERNEL_KEY: &str = "gguf";

/// A block type: so many weights in so many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlockType {
    /// 16-bit, no blocks.
    F16,
    /// `block_q8_0`: a 16-bit scale and 32 bytes.
    Q8_0,
    /// `block_q6_K`: 128 + 64 bytes of quants, 16 scales, a 16-bit scale.
    Q6K,
    /// `block_q5_K`: two 16-bit scales, 12 bytes of scales, 32 + 128 bytes of quants.
    Q5K,
    /// `block_q5_1`: a 16-bit scale and minimum, 4 bytes of high bits, 16 of low ones.
    Q5_1,
    /// `block_q5_0`: a 16-bit scale, 4 bytes of high bits, 16 of low ones.
    Q5_0,
    /// `block_q4_K`: two 16-bit scales, 12 bytes of scales, 128 of quants.
    Q4K,
    /// `block_q4_0`: a 16-bit scale and 16 bytes.
    Q4_0,
    /// `block_iq4_nl`: a 16-bit scale and 16 bytes.
    Iq4Nl,
    /// `block_iq4_xs`: a 16-bit scale, 2 + 4 bytes of scales, 128 of quants.
    Iq4Xs,
    /// `block_q3_K`: 32 + 64 bytes of quants, 12 of scales, a 16-bit scale.
    Q3K,
    /// `block_q2_K`: 16 bytes of scales, 64 of quants, two 16-bit scales.
    Q2K,
    /// `block_q4_1`: a 16-bit scale and minimum, 16 bytes.
    Q4_1,
    /// `block_iq3_s`: a 16-bit scale, 64 bytes of quants, 8 of high bits, 32 of signs, 4 of scales.
    Iq3S,
    /// `block_iq3_xxs`: a 16-bit scale and 96 bytes.
    Iq3Xxs,
    /// `block_iq2_s`: a 16-bit scale, 64 bytes of quants, 8 of high bits, 8 of scales.
    Iq2S,
    /// `block_iq2_xs`: a 16-bit scale, 64 bytes of quants, 8 of scales.
    Iq2Xs,
    /// `block_iq2_xxs`: a 16-bit scale and 64 bytes.
    Iq2Xxs,
    /// `block_iq1_m`: 32 bytes of quants, 16 of high bits, 8 of scales.
    Iq1M,
    /// `block_iq1_s`: a 16-bit scale, 32 bytes of quants, 16 of high bits.
    Iq1S,
    /// `block_tq1_0`: 48 + 4 bytes of ternary digits and a 16-bit scale.
    Tq1_0,
    /// `block_tq2_0`: 64 bytes of ternary digits and a 16-bit scale.
    Tq2_0,
}

impl BlockType {
    /// `(weights, bytes)` of one block.
    pub const fn block(self) -> (u64, u64) {
        match self {
            BlockType::F16 => (1, 2),
            BlockType::Q8_0 => (32, 34),
            BlockType::Q6K => (256, 210),
            BlockType::Q5K => (256, 176),
            BlockType::Q5_1 => (32, 24),
            BlockType::Q5_0 => (32, 22),
            BlockType::Q4K => (256, 144),
            BlockType::Q4_0 | BlockType::Iq4Nl => (32, 18),
            BlockType::Iq4Xs => (256, 136),
            BlockType::Q3K => (256, 110),
            BlockType::Q2K => (256, 84),
            BlockType::Q4_1 => (32, 20),
            BlockType::Iq3S => (256, 110),
            BlockType::Iq3Xxs => (256, 98),
            BlockType::Iq2S => (256, 82),
            BlockType::Iq2Xs => (256, 74),
            BlockType::Iq2Xxs | BlockType::Tq2_0 => (256, 66),
            BlockType::Iq1M => (256, 56),
            BlockType::Iq1S => (256, 50),
            BlockType::Tq1_0 => (256, 54),
        }
    }

    /// Mean bytes per weight.
    pub const fn bytes_per_weight(self) -> f64 {
        let (weights, bytes) = self.block();
        bytes as f64 / weights as f64
    }

    /// What stands in for a type whose blocks do not divide rows of `columns` weights.
    const fn for_columns(self, columns: u64) -> BlockType {
        if columns.is_multiple_of(self.block().0) {
            return self;
        }
        let narrow = match self {
            BlockType::Q6K => BlockType::Q8_0,
            BlockType::Q5K => BlockType::Q5_1,
            BlockType::Q4K => BlockType::Q5_0,
            BlockType::Iq4Xs
            | BlockType::Iq3S
            | BlockType::Iq3Xxs
            | BlockType::Iq2S
            | BlockType::Iq2Xs
            | BlockType::Iq2Xxs
            | BlockType::Iq1M
            | BlockType::Iq1S => BlockType::Iq4Nl,
            BlockType::Q3K | BlockType::Q2K | BlockType::Tq1_0 | BlockType::Tq2_0 => BlockType::Q4_0,
            other => other,
        };
        if columns.is_multiple_of(narrow.block().0) { narrow } else { BlockType::F16 }
    }

    fn stored(self, rows: u64, columns: u64) -> Option<u64> {
        let (weights, bytes) = self.for_columns(columns).block();
        rows.checked_mul(columns.div_ceil(weights))?.checked_mul(bytes)
    }
}

/// What a tensor is, as far as mixes care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Value projections, and the one that expands MLA's latent.
    Value,
    /// Query, key and value in one tensor.
    Fused,
    /// Second half of a feed-forward layer.
    Down,
    /// Output of attention.
    Output,
    /// Query and key projections.
    Asking,
    /// First half of a feed-forward layer.
    Up,
    /// Everything else in a layer.
    Plain,
}

impl Role {
    fn of(name: &str) -> Role {
        let has = |parts: &[&str]| parts.iter().any(|p| name.contains(p));
        if has(&["qkv", "query_key_value", "c_attn", "Wqkv"]) {
            Role::Fused
        } else if has(&["v_proj", "kv_b_proj"]) {
            Role::Value
        } else if has(&["down_proj", "w2.", "fc2", "4h_to_h", "fc_out", "mlp.c_proj"]) {
            Role::Down
        } else if has(&["o_proj", "out_proj", "attn.c_proj", "attention.dense"]) {
            Role::Output
        } else if has(&["q_proj", "k_proj"]) {
            Role::Asking
        } else if has(&["gate_proj", "up_proj", "gate_up_proj", "w1.", "w3."]) {
            Role::Up
        } else {
            Role::Plain
        }
    }
}

/// A type, and a wider one that a share of the layers has instead. llama.cpp picks the layers by number;
/// here every layer holds the mean, so that totals agree and layers stay alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Blocks {
    narrow: BlockType,
    wide: BlockType,
    /// Sixteenths of the layers with the wide type.
    sixteenths: u64,
}

impl Blocks {
    const fn pure(only: BlockType) -> Blocks {
        Blocks { narrow: only, wide: only, sixteenths: 0 }
    }

    const fn mixed(narrow: BlockType, wide: BlockType, sixteenths: u64) -> Blocks {
        Blocks { narrow, wide, sixteenths }
    }

    /// Mean bytes per weight of a matrix that blocks divide.
    pub const fn bytes_per_weight(self) -> f64 {
        let share = self.sixteenths as f64 / 16.0;
        self.narrow.bytes_per_weight() * (1.0 - share) + self.wide.bytes_per_weight() * share
    }

    /// Mean bytes stored for a matrix of `rows × columns`, or `None` on overflow.
    pub fn stored_bytes(self, rows: u64, columns: u64) -> Option<u64> {
        let narrow = self.narrow.stored(rows, columns)?.checked_mul(16 - self.sixteenths)?;
        let wide = self.wide.stored(rows, columns)?.checked_mul(self.sixteenths)?;
        Some(narrow.checked_add(wide)?.div_ceil(16))
    }
}

/// Where a weight stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// In a layer, under this name.
    Layer(&'a str),
    /// The token embedding; `tied` if it is the output projection too.
    Embedding {
        /// Whether the head shares it.
        tied: bool,
    },
    /// The output projection.
    Head,
}

/// The type that most tensors of a mix have.
pub(super) const fn base(format: WeightFormat) -> Option<BlockType> {
    Some(match format {
        WeightFormat::Q8_0 => BlockType::Q8_0,
        WeightFormat::Q6K => BlockType::Q6K,
        WeightFormat::Q5KM | WeightFormat::Q5KS => BlockType::Q5K,
        WeightFormat::Q5_0 => BlockType::Q5_0,
        WeightFormat::Q4KM | WeightFormat::Q4KS => BlockType::Q4K,
        WeightFormat::Q4_0 => BlockType::Q4_0,
        WeightFormat::Iq4Xs => BlockType::Iq4Xs,
        WeightFormat::Q3KL | WeightFormat::Q3KM | WeightFormat::Q3KS => BlockType::Q3K,
        WeightFormat::Q2K | WeightFormat::Q2KS => BlockType::Q2K,
        WeightFormat::Q5_1 => BlockType::Q5_1,
        WeightFormat::Q4_1 => BlockType::Q4_1,
        WeightFormat::Iq4Nl => BlockType::Iq4Nl,
        WeightFormat::Iq3M | WeightFormat::Iq3S | WeightFormat::Iq3Xs => BlockType::Iq3S,
        WeightFormat::Iq3Xxs => BlockType::Iq3Xxs,
        WeightFormat::Iq2M => BlockType::Iq2S,
        WeightFormat::Iq2S | WeightFormat::Iq2Xs => BlockType::Iq2Xs,
        WeightFormat::Iq2Xxs => BlockType::Iq2Xxs,
        WeightFormat::Iq1M => BlockType::Iq1M,
        WeightFormat::Iq1S => BlockType::Iq1S,
        WeightFormat::Tq1_0 => BlockType::Tq1_0,
        WeightFormat::Tq2_0 => BlockType::Tq2_0,
        _ => return None,
    })
}

/// The format whose blocks the output projection of a mix has: eight, five or six bits.
pub const fn head(format: WeightFormat) -> WeightFormat {
    match format {
        WeightFormat::Q8_0 => WeightFormat::Q8_0,
        WeightFormat::Iq3Xxs
        | WeightFormat::Iq2M
        | WeightFormat::Iq2S
        | WeightFormat::Iq2Xs
        | WeightFormat::Iq2Xxs
        | WeightFormat::Iq1M
        | WeightFormat::Iq1S => WeightFormat::Q5KS,
        _ => WeightFormat::Q6K,
    }
}

/// The blocks of a token embedding that is no output projection.
const fn embedding(format: WeightFormat, base: BlockType) -> BlockType {
    match format {
        WeightFormat::Iq2Xs | WeightFormat::Iq2Xxs | WeightFormat::Iq1M | WeightFormat::Iq1S => {
            BlockType::Q2K
        }
        WeightFormat::Iq3Xxs | WeightFormat::Iq2M | WeightFormat::Iq2S => BlockType::Iq3S,
        WeightFormat::Tq1_0 | WeightFormat::Tq2_0 => BlockType::Q4K,
        _ => base,
    }
}

/// The usual format with as many bits as a word of llama.cpp's or of publishers of its files names: Q4_K_M for
/// `UD-Q4_K_XL`, `q4_k_l` and `IQ4_K`; `None` for a word that names no bits so.
pub fn near(word: &str) -> Option<WeightFormat> {
    Some(match bits_of(word)? {
        '1' => WeightFormat::Iq1M,
        '2' => WeightFormat::Q2K,
        '3' => WeightFormat::Q3KM,
        '5' => WeightFormat::Q5KM,
        '6' | '7' => WeightFormat::Q6K,
        '8' => WeightFormat::Q8_0,
        _ => WeightFormat::Q4KM,
    })
}

/// A word without the mark of Unsloth's own mixes.
pub fn without_mark(word: &str) -> &str {
    match word.get(..3) {
        Some(mark) if mark.eq_ignore_ascii_case("ud-") => &word[3..],
        _ => word,
    }
}

/// The bits that one of llama.cpp's own formats is named after: 4 of `q4_K_M`, `IQ4_NL` and Unsloth's `UD-Q4_K_XL`.
pub fn bits_of(word: &str) -> Option<char> {
    let own = without_mark(word).to_ascii_lowercase();
    let mut rest = ["iq", "tq", "q"].iter().find_map(|prefix| own.strip_prefix(prefix))?.chars();
    let bits = rest.next().filter(|c| ('1'..='8').contains(c))?;
    (rest.next() == Some('_')).then_some(bits)
}

/// The blocks of a tensor in a GGUF file of this format; `None` for formats that are no such mix.
///
/// Bumped tensors, as `llama-quantize` without an importance matrix: in `Q4_K_M` and `Q5_K_M` half of the
/// value and down projections (the first and last eighth of the layers and every third between) are Q6_K;
/// in `Q4_K_S` and `IQ4_XS` the first eighth of the down projections is Q5_K. Types that cannot be made without an importance
/// matrix (IQ3_XXS and narrower) are taken as with one. Special cases of single architectures (Falcon, eight experts, 70B,
/// fewer than four queries a key) are left out.
pub fn stored_as(format: WeightFormat, place: Place) -> Option<Blocks> {
    use BlockType::{Iq2S, Iq2Xxs, Iq3S, Iq3Xxs, Q2K, Q3K, Q4K, Q5K, Q6K};
    use WeightFormat as Mix;
    let own = base(format)?;
    let head = base(head(format)).unwrap_or(own);
    let role = match place {
        Place::Head | Place::Embedding { tied: true } => return Some(Blocks::pure(head)),
        Place::Embedding { tied: false } => return Some(Blocks::pure(embedding(format, own))),
        Place::Layer(name) => Role::of(name),
    };
    Some(match (format, role) {
        (Mix::Q4KM, Role::Fused) => Blocks::pure(Q5K),
        (Mix::Q5KM, Role::Fused) => Blocks::pure(Q6K),
        (Mix::Q4KM, Role::Value | Role::Down) => Blocks::mixed(Q4K, Q6K, 8),
        (Mix::Q5KM, Role::Value | Role::Down) => Blocks::mixed(Q5K, Q6K, 8),
        (Mix::Q4KS, Role::Value | Role::Down) => Blocks::mixed(Q4K, Q5K, 2),
        (Mix::Iq4Xs | Mix::Iq4Nl, Role::Value) => Blocks::pure(Q5K),
        (Mix::Iq4Xs | Mix::Iq4Nl, Role::Down) => Blocks::mixed(own, Q5K, 2),
        (Mix::Q3KM, Role::Value | Role::Down) => Blocks::mixed(Q4K, Q5K, 1),
        (Mix::Q3KM, Role::Output | Role::Fused) | (Mix::Q3KL, Role::Fused) => Blocks::pure(Q4K),
        (Mix::Q3KL, Role::Value | Role::Down | Role::Output) => Blocks::pure(Q5K),
        (Mix::Q2K | Mix::Q2KS, Role::Value) => Blocks::pure(Q4K),
        (Mix::Q2K, Role::Down | Role::Output) => Blocks::pure(Q3K),
        (Mix::Q2KS, Role::Down) => Blocks::mixed(own, Q4K, 2),
        (Mix::Iq3M | Mix::Iq3S | Mix::Iq3Xs | Mix::Iq3Xxs, Role::Value) => Blocks::pure(Q4K),
        (Mix::Iq3M, Role::Down) => Blocks::mixed(own, Q4K, 2),
        (Mix::Iq3M, Role::Output | Role::Fused) => Blocks::pure(Q4K),
        (Mix::Iq3Xs, Role::Asking) => Blocks::pure(Iq3Xxs),
        (Mix::Iq3Xs, Role::Up) => Blocks::mixed(Iq3Xxs, own, 4),
        (Mix::Iq3Xxs, Role::Asking) => Blocks::pure(Iq2S),
        (Mix::Iq3Xxs | Mix::Iq2M | Mix::Iq2S, Role::Output) => Blocks::pure(Iq3S),
        (Mix::Iq2M | Mix::Iq2S | Mix::Iq2Xs | Mix::Iq2Xxs | Mix::Iq1M | Mix::Iq1S, Role::Value) => {
            Blocks::pure(Q4K)
        }
        (Mix::Iq2M | Mix::Iq2S, Role::Down) => Blocks::mixed(own, Iq3S, 2),
        (Mix::Iq2Xs | Mix::Iq2Xxs | Mix::Iq1M | Mix::Iq1S, Role::Down) => Blocks::mixed(own, Q2K, 2),
        (Mix::Iq1M | Mix::Iq1S, Role::Output) => Blocks::pure(Iq2Xxs),
        _ => Blocks::pure(own),
    })
}

/// Mean bytes per weight of the layers of a mix, for traffic: value and down projections are taken as
/// 29 % of a layer (Llama 3 8B; 31 to 34 % with many experts or narrow attention).
pub const fn bytes_per_weight(format: WeightFormat) -> f64 {
    use BlockType::{Iq3S, Iq3Xxs, Q2K, Q3K, Q4K, Q5K, Q6K};
    use WeightFormat as Mix;
    const BUMPED: f64 = 0.29;
    let Some(own) = base(format) else { return 2.0 };
    let bumped = match format {
        Mix::Q4KM => Blocks::mixed(Q4K, Q6K, 8),
        Mix::Q5KM => Blocks::mixed(Q5K, Q6K, 8),
        Mix::Q4KS => Blocks::mixed(Q4K, Q5K, 2),
        Mix::Iq4Xs | Mix::Iq4Nl => Blocks::mixed(own, Q5K, 2),
        Mix::Q3KM => Blocks::mixed(Q4K, Q5K, 1),
        Mix::Q3KL => Blocks::pure(Q5K),
        Mix::Q2K => Blocks::pure(Q3K),
        Mix::Q2KS | Mix::Iq3M => Blocks::mixed(own, Q4K, 2),
        Mix::Iq2M | Mix::Iq2S => Blocks::mixed(own, Iq3S, 2),
        Mix::Iq2Xs | Mix::Iq2Xxs | Mix::Iq1M | Mix::Iq1S => Blocks::mixed(own, Q2K, 2),
        _ => Blocks::pure(own),
    };
    let rest = match format {
        // Queries, keys and three quarters of what is neither value nor down projection.
        Mix::Iq3Xs => Blocks::mixed(Iq3Xxs, own, 4),
        _ => Blocks::pure(own),
    };
    rest.bytes_per_weight() * (1.0 - BUMPED) + bumped.bytes_per_weight() * BUMPED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_types_have_the_bits_per_weight_that_llama_cpp_prints() {
        let bits = |t: BlockType| t.bytes_per_weight() * 8.0;
        let expected = [
            (BlockType::Q8_0, 8.5),
            (BlockType::Q6K, 6.5625),
            (BlockType::Q5K, 5.5),
            (BlockType::Q4K, 4.5),
            (BlockType::Q4_0, 4.5),
            (BlockType::Iq4Xs, 4.25),
            (BlockType::Q3K, 3.4375),
            (BlockType::Q2K, 2.625),
        ];
        for (block, value) in expected {
            assert_eq!(bits(block), value, "{block:?}");
        }
    }

    #[test]
    fn rows_that_blocks_do_not_divide_fall_back_to_a_type_of_32() {
        // 2,880 is eleven blocks of 256 and 64 over, and ninety of 32.
        let q4 = Blocks::pure(BlockType::Q4K);
        assert_eq!(q4.stored_bytes(1, 2880), Some(90 * 22));
        assert_eq!(q4.stored_bytes(1, 2816), Some(11 * 144));
        assert_eq!(q4.stored_bytes(1, 30), Some(60));
    }
}
