//! What people, engines and publishers of checkpoints call weight formats.

use std::str::FromStr;

use super::{WeightFormat, gguf};
use crate::diagnostic::{Code, Diagnostic, same_letters};

/// What formats are called besides their names: by the method that made a checkpoint, by bits of weights and activations
/// (compressed-tensors' schemes `W4A16`, `W8A8`, `FP8_DYNAMIC`), by vLLM's kernels, by PyTorch's types.
const OTHER_NAMES: &[(&str, WeightFormat)] = &[
    ("awq", WeightFormat::Int4),
    ("awq_int4", WeightFormat::Int4),
    ("int4_awq", WeightFormat::Int4),
    ("awq_marlin", WeightFormat::Int4),
    ("gptq", WeightFormat::Int4),
    ("gptq_int4", WeightFormat::Int4),
    ("gptq_marlin", WeightFormat::Int4),
    ("w4a16", WeightFormat::Int4),
    ("w4a16_awq", WeightFormat::Int4),
    ("w4a16_gptq", WeightFormat::Int4),
    ("int4_w4a16", WeightFormat::Int4),
    ("w8a8", WeightFormat::Int8),
    ("w8a8_int8", WeightFormat::Int8),
    ("int8_w8a8", WeightFormat::Int8),
    ("smoothquant", WeightFormat::Int8),
    ("w8a16", WeightFormat::Int8Weights),
    ("int8_w8a16", WeightFormat::Int8Weights),
    ("int8_wo", WeightFormat::Int8Weights),
    ("fp8_dynamic", WeightFormat::Fp8),
    ("fp8_static", WeightFormat::Fp8),
    ("fp8_e4m3", WeightFormat::Fp8),
    ("fp8_e4m3fn", WeightFormat::Fp8),
    ("float8_e4m3fn", WeightFormat::Fp8),
    ("w8a8_fp8", WeightFormat::Fp8),
    ("fp8_w8a8", WeightFormat::Fp8),
    ("block_fp8", WeightFormat::Fp8Block),
    ("fp8_blockwise", WeightFormat::Fp8Block),
    ("modelopt", WeightFormat::Fp8),
    ("modelopt_fp8", WeightFormat::Fp8),
    ("modelopt_mxfp8", WeightFormat::Mxfp8),
    ("modelopt_fp4", WeightFormat::Nvfp4),
    ("petit_nvfp4", WeightFormat::Nvfp4),
    ("q4", WeightFormat::Q4KM),
    ("q5", WeightFormat::Q5KM),
    ("q6", WeightFormat::Q6K),
    ("q8", WeightFormat::Q8_0),
    // llama-quantize's own second names.
    ("q3_k", WeightFormat::Q3KM),
    ("q4_k", WeightFormat::Q4KM),
    ("q5_k", WeightFormat::Q5KM),
    ("mxfp8_e4m3", WeightFormat::Mxfp8),
    ("w4a4_nvfp4", WeightFormat::Nvfp4),
    ("bfloat16", WeightFormat::Bf16),
    ("torch.bfloat16", WeightFormat::Bf16),
    ("float16", WeightFormat::Fp16),
    ("torch.float16", WeightFormat::Fp16),
    ("half", WeightFormat::Fp16),
    ("f16", WeightFormat::Fp16),
    ("float32", WeightFormat::Fp32),
    ("f32", WeightFormat::Fp32),
];

/// Words that name a number of bits and no format, and the formats that have as many.
const SEVERAL: &[(&str, &str)] = &[
    ("fp4", FLOATS_OF_FOUR_BITS),
    ("float4", FLOATS_OF_FOUR_BITS),
    ("4bit", OF_FOUR_BITS),
    ("4-bits", OF_FOUR_BITS),
    ("w4", OF_FOUR_BITS),
    ("bnb-4bit", OF_BITSANDBYTES),
    ("bnb", OF_BITSANDBYTES),
    ("bitsandbytes", OF_BITSANDBYTES),
    ("nf4", OF_BITSANDBYTES),
    ("8bit", OF_EIGHT_BITS),
    ("8-bits", OF_EIGHT_BITS),
    ("w8", OF_EIGHT_BITS),
    ("gguf", "write one of its types: q8_0, q6_k, q5_k_m, q4_k_m, iq4_xs, q3_k_m or q2_k"),
    ("exl2", "ExLlama's formats are not described; q4_k_m, q5_k_m and q6_k have about as many bits"),
];

const FLOATS_OF_FOUR_BITS: &str =
    "write nvfp4, which NVIDIA's checkpoints named FP4 have, or mxfp4, which gpt-oss has";
const OF_FOUR_BITS: &str = "write int4 (AWQ, GPTQ), nvfp4, mxfp4 or q4_k_m (GGUF)";
const OF_BITSANDBYTES: &str = "name the checkpoint itself, org/name-bnb-4bit, or write int4 (AWQ, GPTQ), which takes as much memory and is faster";
const OF_EIGHT_BITS: &str = "write fp8, int8 or q8_0 (GGUF)";

impl FromStr for WeightFormat {
    type Err = Diagnostic;
    /// Accepts names, however they are written, and the words that engines and publishers of checkpoints use.
    fn from_str(text: &str) -> Result<Self, Diagnostic> {
        let named = WeightFormat::ALL.into_iter().map(|format| (format.name(), format));
        let mut known = named.chain(OTHER_NAMES.iter().copied());
        known.find(|(name, _)| same_letters(name, text)).map(|(_, format)| format).ok_or_else(|| {
            if let Some((_, said)) = SEVERAL.iter().find(|(name, _)| same_letters(name, text)) {
                let cause = format!("`{}` may mean several weight formats", crate::diagnostic::brief(text));
                return Diagnostic::new(Code::UnknownName, cause).help(*said);
            }
            if let Some(near) = gguf::near(text) {
                let cause = format!("unknown weight format `{}`", crate::diagnostic::brief(text));
                return Diagnostic::new(Code::UnknownName, cause)
                    .help(format!("did you mean `{near}`? `--weights {near}` takes about as many bits; a file itself is read exactly"));
            }
            let names = WeightFormat::ALL.map(WeightFormat::name);
            Diagnostic::unknown("weight format", text, names, &format!("allowed: {}", names.join(", ")))
        })
    }
}
