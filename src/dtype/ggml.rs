//! Tensor types of GGML: blocks of elements and the bytes they take.
//!
//! Numbers and sizes as in `ggml.h` (`enum ggml_type`) and `GGML_QUANT_SIZES` of llama.cpp's
//! `gguf-py/gguf/constants.py`.

/// A type of GGML.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GgmlType {
    /// Number in a file.
    pub id: u32,
    /// Name.
    pub name: &'static str,
    /// Elements of a block.
    pub block: u64,
    /// Bytes of a block.
    pub bytes: u64,
}

const fn kind(id: u32, name: &'static str, block: u64, bytes: u64) -> GgmlType {
    GgmlType { id, name, block, bytes }
}

/// Every type that a file may have.
const TYPES: &[GgmlType] = &[
    kind(0, "F32", 1, 4),
    kind(1, "F16", 1, 2),
    kind(2, "Q4_0", 32, 18),
    kind(3, "Q4_1", 32, 20),
    kind(6, "Q5_0", 32, 22),
    kind(7, "Q5_1", 32, 24),
    kind(8, "Q8_0", 32, 34),
    kind(9, "Q8_1", 32, 40),
    kind(10, "Q2_K", 256, 84),
    kind(11, "Q3_K", 256, 110),
    kind(12, "Q4_K", 256, 144),
    kind(13, "Q5_K", 256, 176),
    kind(14, "Q6_K", 256, 210),
    kind(15, "Q8_K", 256, 292),
    kind(16, "IQ2_XXS", 256, 66),
    kind(17, "IQ2_XS", 256, 74),
    kind(18, "IQ3_XXS", 256, 98),
    kind(19, "IQ1_S", 256, 50),
    kind(20, "IQ4_NL", 32, 18),
    kind(21, "IQ3_S", 256, 110),
    kind(22, "IQ2_S", 256, 82),
    kind(23, "IQ4_XS", 256, 136),
    kind(24, "I8", 1, 1),
    kind(25, "I16", 1, 2),
    kind(26, "I32", 1, 4),
    kind(27, "I64", 1, 8),
    kind(28, "F64", 1, 8),
    kind(29, "IQ1_M", 256, 56),
    kind(30, "BF16", 1, 2),
    kind(34, "TQ1_0", 256, 54),
    kind(35, "TQ2_0", 256, 66),
    kind(39, "MXFP4", 32, 17),
    kind(40, "NVFP4", 64, 36),
    kind(41, "Q1_0", 128, 18),
];

impl GgmlType {
    /// The type of a number.
    pub fn of(id: u32) -> Option<&'static GgmlType> {
        TYPES.iter().find(|t| t.id == id)
    }

    /// The type of a name.
    pub fn named(name: &str) -> Option<&'static GgmlType> {
        TYPES.iter().find(|t| t.name == name)
    }

    /// Bytes of a tensor whose innermost dimension must be whole blocks; `None` where it is not, or on
    /// overflow.
    pub fn stored_bytes(&self, innermost: u64, elements: u64) -> Option<u64> {
        innermost.is_multiple_of(self.block).then(|| (elements / self.block).checked_mul(self.bytes))?
    }

    /// Mean bits of an element.
    pub const fn bits(&self) -> f64 {
        8.0 * self.bytes as f64 / self.block as f64
    }

    /// The same name, with `bytes` for `elements`: several types in one class of weights.
    #[must_use]
    pub const fn spread(self, elements: u64, bytes: u64) -> GgmlType {
        GgmlType { block: elements, bytes, ..self }
    }

    /// Bytes of `elements` at the mean width, rounded up; `None` on overflow.
    pub fn mean_bytes(&self, elements: u64) -> Option<u64> {
        let bytes = (u128::from(elements) * u128::from(self.bytes)).div_ceil(u128::from(self.block.max(1)));
        u64::try_from(bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_take_what_the_quantisation_tables_of_llama_cpp_say() {
        // Bits per weight as printed by llama-quantize: Q4_K 4.5, Q6_K 6.5625, Q8_0 8.5, IQ4_XS 4.25.
        for (name, bits) in
            [("Q4_K", 4.5), ("Q6_K", 6.5625), ("Q8_0", 8.5), ("IQ4_XS", 4.25), ("Q2_K", 2.625)]
        {
            assert_eq!(GgmlType::named(name).unwrap().bits(), bits, "{name}");
        }
    }

    #[test]
    fn a_row_is_whole_blocks() {
        let q4 = GgmlType::named("Q4_K").unwrap();
        assert_eq!(q4.stored_bytes(4096, 4096 * 2), Some(4096 * 2 / 256 * 144));
        assert_eq!(q4.stored_bytes(100, 100), None);
    }
}
