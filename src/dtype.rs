//! Number formats: what GPUs compute in, and how checkpoints store weights.

mod ggml;
pub mod gguf;
mod storage;
mod words;

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::diagnostic::Diagnostic;
pub use ggml::GgmlType;

/// A number type that hardware computes in or a cache stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DType {
    /// IEEE single precision.
    Fp32,
    /// bfloat16.
    Bf16,
    /// IEEE half precision.
    Fp16,
    /// 8-bit floating point (E4M3 unless said otherwise).
    Fp8,
    /// 8-bit integer.
    Int8,
    /// 4-bit floating point (E2M1, as in MXFP4 and NVFP4).
    Fp4,
    /// 4-bit integer.
    Int4,
    /// ggml's blocks of 32 8-bit integers with a 16-bit scale; storage only.
    #[serde(rename = "q8_0")]
    Q8_0,
    /// ggml's blocks of 32 4-bit integers with a 16-bit scale; storage only.
    #[serde(rename = "q4_0")]
    Q4_0,
}

impl DType {
    /// Every type, in order.
    pub const ALL: [DType; 9] = [
        DType::Fp32,
        DType::Bf16,
        DType::Fp16,
        DType::Fp8,
        DType::Int8,
        DType::Fp4,
        DType::Int4,
        DType::Q8_0,
        DType::Q4_0,
    ];

    /// Width of an element in bits, without scales.
    #[inline]
    pub const fn bits(self) -> u64 {
        match self {
            DType::Fp32 => 32,
            DType::Bf16 | DType::Fp16 => 16,
            DType::Fp8 | DType::Int8 | DType::Q8_0 => 8,
            DType::Fp4 | DType::Int4 | DType::Q4_0 => 4,
        }
    }

    /// Bytes of an element, as a real number (0.5 for four-bit types), scales included.
    #[inline]
    pub const fn bytes(self) -> f64 {
        match self {
            DType::Q8_0 => 34.0 / 32.0,
            DType::Q4_0 => 18.0 / 32.0,
            _ => self.bits() as f64 / 8.0,
        }
    }

    /// Bytes stored for so many elements in a row, scales included; saturates.
    pub const fn stored_bytes(self, elements: u64) -> u64 {
        match self {
            DType::Q8_0 => elements.div_ceil(32).saturating_mul(34),
            DType::Q4_0 => elements.div_ceil(32).saturating_mul(18),
            _ => elements.saturating_mul(self.bits()) / 8,
        }
    }

    /// Name as written in files and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            DType::Fp32 => "fp32",
            DType::Bf16 => "bf16",
            DType::Fp16 => "fp16",
            DType::Fp8 => "fp8",
            DType::Int8 => "int8",
            DType::Fp4 => "fp4",
            DType::Int4 => "int4",
            DType::Q8_0 => "q8_0",
            DType::Q4_0 => "q4_0",
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for DType {
    type Err = Diagnostic;
    /// Accepts the short names and PyTorch's (`bfloat16`, `float16`, `float8_e4m3fn`).
    fn from_str(text: &str) -> Result<Self, Diagnostic> {
        let lower = text.trim().to_ascii_lowercase().replace(['-', ' '], "_");
        match lower.trim_start_matches("torch.") {
            "fp32" | "float32" | "float" => Ok(DType::Fp32),
            "bf16" | "bfloat16" => Ok(DType::Bf16),
            "fp16" | "f16" | "float16" | "half" => Ok(DType::Fp16),
            "fp8" | "float8_e4m3fn" | "fp8_e4m3" | "fp8_e4m3fn" | "fp8_e5m2" => Ok(DType::Fp8),
            "int8" => Ok(DType::Int8),
            "fp4" => Ok(DType::Fp4),
            "int4" => Ok(DType::Int4),
            "q8_0" | "q80" => Ok(DType::Q8_0),
            "q4_0" | "q40" => Ok(DType::Q4_0),
            _ => Err(Diagnostic::unknown(
                "number format",
                text,
                DType::ALL.map(DType::name),
                "allowed: fp32, bf16, fp16, fp8, int8, fp4, int4, q8_0, q4_0",
            )),
        }
    }
}

/// How one class of weights is stored, scales and zero points included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WeightFormat {
    /// IEEE single precision.
    Fp32,
    /// bfloat16.
    Bf16,
    /// IEEE half precision.
    Fp16,
    /// FP8 with one FP32 scale per tensor or per output channel.
    Fp8,
    /// FP8 with one FP32 scale per 128×128 block (DeepSeek-V3).
    Fp8Block,
    /// MXFP8: E4M3 with one byte of shared exponent per 32 (OCP MX v1.0).
    Mxfp8,
    /// INT8 with one scale per output channel, activations in INT8 too (W8A8).
    Int8,
    /// INT8 with one scale per output channel, activations in 16 bits (W8A16).
    Int8Weights,
    /// INT4 in groups of 128 with a 16-bit scale and a 4-bit zero point (AWQ, GPTQ).
    Int4,
    /// INT4 in groups of 32 with a 16-bit scale and no zero point (Kimi-K2-Thinking, Kimi-K2.5).
    Int4Group32,
    /// MXFP4: E2M1 with one byte of shared exponent per 32 (OCP MX v1.0).
    Mxfp4,
    /// NVFP4: E2M1 with one FP8 scale per 16 and an FP32 scale per tensor.
    Nvfp4,
    /// GGUF, all tensors Q8_0.
    #[serde(rename = "q8_0")]
    Q8_0,
    /// GGUF, all tensors Q6_K.
    #[serde(rename = "q6_k")]
    Q6K,
    /// GGUF mix of Q5_K and Q6_K.
    #[serde(rename = "q5_k_m")]
    Q5KM,
    /// GGUF, all layers Q5_K.
    #[serde(rename = "q5_k_s")]
    Q5KS,
    /// GGUF, all layers Q5_0.
    #[serde(rename = "q5_0")]
    Q5_0,
    /// GGUF mix of Q4_K and Q6_K.
    #[serde(rename = "q4_k_m")]
    Q4KM,
    /// GGUF mix of Q4_K and a little Q5_K.
    #[serde(rename = "q4_k_s")]
    Q4KS,
    /// GGUF, all layers Q4_0.
    #[serde(rename = "q4_0")]
    Q4_0,
    /// GGUF mix of IQ4_XS and a little Q5_K.
    #[serde(rename = "iq4_xs")]
    Iq4Xs,
    /// GGUF mix of Q3_K, Q4_K and a little Q5_K.
    #[serde(rename = "q3_k_m")]
    Q3KM,
    /// GGUF mix of Q2_K, Q3_K and Q4_K.
    #[serde(rename = "q2_k")]
    Q2K,
    /// GGUF, all layers Q5_1.
    #[serde(rename = "q5_1")]
    Q5_1,
    /// GGUF, all layers Q4_1.
    #[serde(rename = "q4_1")]
    Q4_1,
    /// GGUF mix of IQ4_NL and a little Q5_K.
    #[serde(rename = "iq4_nl")]
    Iq4Nl,
    /// GGUF mix of Q3_K and Q5_K.
    #[serde(rename = "q3_k_l")]
    Q3KL,
    /// GGUF, all layers Q3_K.
    #[serde(rename = "q3_k_s")]
    Q3KS,
    /// GGUF mix of IQ3_S and Q4_K.
    #[serde(rename = "iq3_m")]
    Iq3M,
    /// GGUF mix of IQ3_S and a little Q4_K.
    #[serde(rename = "iq3_s")]
    Iq3S,
    /// GGUF mix of IQ3_S and IQ3_XXS.
    #[serde(rename = "iq3_xs")]
    Iq3Xs,
    /// GGUF mix of IQ3_XXS, IQ2_S and IQ3_S.
    #[serde(rename = "iq3_xxs")]
    Iq3Xxs,
    /// GGUF mix of Q2_K and a little Q4_K.
    #[serde(rename = "q2_k_s")]
    Q2KS,
    /// GGUF mix of IQ2_S and IQ3_S.
    #[serde(rename = "iq2_m")]
    Iq2M,
    /// GGUF mix of IQ2_XS and IQ3_S.
    #[serde(rename = "iq2_s")]
    Iq2S,
    /// GGUF mix of IQ2_XS and a little Q2_K.
    #[serde(rename = "iq2_xs")]
    Iq2Xs,
    /// GGUF mix of IQ2_XXS and a little Q2_K.
    #[serde(rename = "iq2_xxs")]
    Iq2Xxs,
    /// GGUF mix of IQ1_M and IQ2_XXS.
    #[serde(rename = "iq1_m")]
    Iq1M,
    /// GGUF mix of IQ1_S and IQ2_XXS.
    #[serde(rename = "iq1_s")]
    Iq1S,
    /// GGUF, ternary layers of two bits.
    #[serde(rename = "tq2_0")]
    Tq2_0,
    /// GGUF, ternary layers of 1.69 bits.
    #[serde(rename = "tq1_0")]
    Tq1_0,
    /// A block format of GGML, from a GGUF file.
    #[serde(skip)]
    Ggml(GgmlType),
}

impl WeightFormat {
    /// Every format that can be asked for, in order.
    pub const ALL: [WeightFormat; 41] = [
        WeightFormat::Fp32,
        WeightFormat::Bf16,
        WeightFormat::Fp16,
        WeightFormat::Fp8,
        WeightFormat::Fp8Block,
        WeightFormat::Mxfp8,
        WeightFormat::Int8,
        WeightFormat::Int8Weights,
        WeightFormat::Int4,
        WeightFormat::Int4Group32,
        WeightFormat::Mxfp4,
        WeightFormat::Nvfp4,
        WeightFormat::Q8_0,
        WeightFormat::Q6K,
        WeightFormat::Q5KM,
        WeightFormat::Q5KS,
        WeightFormat::Q5_0,
        WeightFormat::Q4KM,
        WeightFormat::Q4KS,
        WeightFormat::Q4_0,
        WeightFormat::Iq4Xs,
        WeightFormat::Q3KM,
        WeightFormat::Q2K,
        WeightFormat::Q5_1,
        WeightFormat::Q4_1,
        WeightFormat::Iq4Nl,
        WeightFormat::Q3KL,
        WeightFormat::Q3KS,
        WeightFormat::Iq3M,
        WeightFormat::Iq3S,
        WeightFormat::Iq3Xs,
        WeightFormat::Iq3Xxs,
        WeightFormat::Q2KS,
        WeightFormat::Iq2M,
        WeightFormat::Iq2S,
        WeightFormat::Iq2Xs,
        WeightFormat::Iq2Xxs,
        WeightFormat::Iq1M,
        WeightFormat::Iq1S,
        WeightFormat::Tq2_0,
        WeightFormat::Tq1_0,
    ];

    /// Name as written in files, on the command line and as key of the kernel tables.
    pub const fn name(self) -> &'static str {
        match self {
            WeightFormat::Fp32 => "fp32",
            WeightFormat::Bf16 => "bf16",
            WeightFormat::Fp16 => "fp16",
            WeightFormat::Fp8 => "fp8",
            WeightFormat::Fp8Block => "fp8_block",
            WeightFormat::Mxfp8 => "mxfp8",
            WeightFormat::Int8 => "int8",
            WeightFormat::Int8Weights => "int8_weights",
            WeightFormat::Int4 => "int4",
            WeightFormat::Int4Group32 => "int4_group32",
            WeightFormat::Mxfp4 => "mxfp4",
            WeightFormat::Nvfp4 => "nvfp4",
            WeightFormat::Q8_0 => "q8_0",
            WeightFormat::Q6K => "q6_k",
            WeightFormat::Q5KM => "q5_k_m",
            WeightFormat::Q5KS => "q5_k_s",
            WeightFormat::Q5_0 => "q5_0",
            WeightFormat::Q4KM => "q4_k_m",
            WeightFormat::Q4KS => "q4_k_s",
            WeightFormat::Q4_0 => "q4_0",
            WeightFormat::Iq4Xs => "iq4_xs",
            WeightFormat::Q3KM => "q3_k_m",
            WeightFormat::Q2K => "q2_k",
            WeightFormat::Q5_1 => "q5_1",
            WeightFormat::Q4_1 => "q4_1",
            WeightFormat::Iq4Nl => "iq4_nl",
            WeightFormat::Q3KL => "q3_k_l",
            WeightFormat::Q3KS => "q3_k_s",
            WeightFormat::Iq3M => "iq3_m",
            WeightFormat::Iq3S => "iq3_s",
            WeightFormat::Iq3Xs => "iq3_xs",
            WeightFormat::Iq3Xxs => "iq3_xxs",
            WeightFormat::Q2KS => "q2_k_s",
            WeightFormat::Iq2M => "iq2_m",
            WeightFormat::Iq2S => "iq2_s",
            WeightFormat::Iq2Xs => "iq2_xs",
            WeightFormat::Iq2Xxs => "iq2_xxs",
            WeightFormat::Iq1M => "iq1_m",
            WeightFormat::Iq1S => "iq1_s",
            WeightFormat::Tq2_0 => "tq2_0",
            WeightFormat::Tq1_0 => "tq1_0",
            WeightFormat::Ggml(kind) => kind.name,
        }
    }

    /// The type of the stored elements; for ggml's, the nearest integer type that holds them.
    pub const fn element(self) -> DType {
        match self {
            WeightFormat::Fp32 => DType::Fp32,
            WeightFormat::Bf16 => DType::Bf16,
            WeightFormat::Fp16 => DType::Fp16,
            WeightFormat::Fp8 | WeightFormat::Fp8Block | WeightFormat::Mxfp8 => DType::Fp8,
            WeightFormat::Int8 | WeightFormat::Int8Weights | WeightFormat::Q8_0 | WeightFormat::Q6K => {
                DType::Int8
            }
            WeightFormat::Int4 | WeightFormat::Int4Group32 => DType::Int4,
            WeightFormat::Mxfp4 | WeightFormat::Nvfp4 => DType::Fp4,
            WeightFormat::Ggml(kind) if kind.bits() < 7.0 => DType::Int4,
            WeightFormat::Ggml(_) => DType::Int8,
            // Of ggml's mixes those of fewer than six bits.
            _ => DType::Int4,
        }
    }

    /// The format whose kernels compute with such weights: group size is a matter of storage.
    pub const fn kernel(self) -> WeightFormat {
        match self {
            WeightFormat::Int4Group32 => WeightFormat::Int4,
            WeightFormat::Ggml(_) => match self.element() {
                DType::Int4 => WeightFormat::Int4,
                _ => WeightFormat::Int8,
            },
            other => other,
        }
    }

    /// Whether weights are narrower than 16 bits.
    pub const fn is_quantised(self) -> bool {
        self.element().bits() < 16
    }

    /// Bytes of one activation element entering a product with such weights: FP8, MXFP8 and NVFP4 products
    /// quantise their activations, weight-only formats keep 16 bits.
    pub const fn activation_bytes(self) -> f64 {
        match self {
            WeightFormat::Fp32 => 4.0,
            WeightFormat::Fp8 | WeightFormat::Fp8Block | WeightFormat::Int8 => 1.0,
            WeightFormat::Mxfp8 => 1.031_25,
            WeightFormat::Nvfp4 => 0.5625,
            _ => 2.0,
        }
    }
}

impl fmt::Display for WeightFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_fp8_stores_one_fp32_scale_per_128_by_128_block() {
        // DeepSeek-V3 q_a_proj: 1536 × 7168 → 12 × 56 scales.
        assert_eq!(WeightFormat::Fp8Block.stored_bytes(1536, 7168), Some(1536 * 7168 + 12 * 56 * 4));
    }

    #[test]
    fn mxfp8_is_eight_and_a_quarter_bits_per_weight() {
        assert_eq!(WeightFormat::Mxfp8.stored_bytes(32, 2880), Some(32 * 2880 + 32 * 90));
        assert_eq!(WeightFormat::Mxfp8.bytes_per_element() * 8.0, 8.25);
        assert_eq!("modelopt_mxfp8".parse::<WeightFormat>().unwrap(), WeightFormat::Mxfp8);
    }

    #[test]
    fn mxfp4_is_four_and_a_quarter_bits_per_weight() {
        assert_eq!(WeightFormat::Mxfp4.stored_bytes(32, 2880), Some(32 * 2880 / 2 + 32 * 90));
        assert_eq!(WeightFormat::Mxfp4.bytes_per_element() * 8.0, 4.25);
    }

    #[test]
    fn storage_of_an_absurd_shape_is_none_not_a_wrap() {
        assert_eq!(WeightFormat::Bf16.stored_bytes(u64::MAX, 2), None);
    }
}
