//! Words of engines that mean the same.

use crate::launch::server::{Note, Reading};

/// Says of flags that leave weights with the host by groups of layers, or by name, that they are not accounted for.
pub(super) fn by_groups<'a>(r: &mut Reading<'a>, flags: &[&'a str]) {
    for flag in flags {
        let Some(value) = r.text(flag).filter(|value| value != "0") else { continue };
        r.unread.push(Note {
            text: format!("{flag} {value}"),
            why: "weights that stay with the host by groups of layers or by name count as on the GPU".into(),
            refused: false,
        });
    }
}

/// The planner's word for a type of cache or numbers in an engine's words.
pub(super) fn dtype(word: &str) -> Option<String> {
    let known = match word.to_ascii_lowercase().as_str() {
        "auto" => return None,
        "bfloat16" | "bf16" => "bf16",
        "float16" | "half" | "fp16" | "f16" => "fp16",
        "float" | "float32" | "fp32" | "f32" => "fp32",
        "fp8" | "fp8_e4m3" | "fp8_e5m2" | "fp8_inc" | "fp8_ds_mla" => "fp8",
        other => return Some(other.to_owned()),
    };
    Some(known.to_owned())
}

/// The word of vLLM and SGLang for a type: neither knows `bf16` of numbers, nor `fp16` (`vllm/config/cache.py`,
/// choices of `--dtype` in `sglang/srt/server_args.py`).
pub(super) fn spelled(dtype: &str) -> &str {
    match dtype {
        "bf16" => "bfloat16",
        "fp16" => "float16",
        "fp32" => "float32",
        other => other,
    }
}
