//! Copies of a model in another format, by the names that publishers give them: `org/Model-AWQ`, `…-quantized.w4a16`,
//! `…-bnb-4bit`, `…-MLX-4bit`. The model is one of the catalogue's, its quantisation what such copies state.

use serde_json::{Map, Value, json};

/// What a name says beside the model that it is a copy of.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Copied {
    /// The model's name, without an organisation.
    pub of: String,
    /// What the copy's `quantization_config` says; `None` where it has the model's own format.
    pub quantisation: Option<Value>,
    /// The word that says the format; empty where none does.
    pub word: String,
}

/// How quantised copies are stored.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stored {
    /// AWQ in so many bits.
    Awq(u8),
    /// GPTQ in so many bits.
    Gptq(u8),
    /// compressed-tensors: weights of so many bits in groups, activations of 16.
    Grouped(u8),
    /// compressed-tensors: weights and activations of eight bits.
    Int8,
    /// Weights and activations of eight bits of floating point.
    Fp8,
    /// NVIDIA's floats of four bits.
    Nvfp4,
    /// Microscaling floats of four bits.
    Mxfp4,
    /// bitsandbytes in so many bits.
    BitsAndBytes(u8),
    /// MLX in so many bits.
    Mlx(u8),
    /// Unquantised, of whatever the model itself is.
    Half,
}

/// Endings of names and what they mean, the longest of those with an equal end first.
const ENDINGS: &[(&str, Stored)] = &[
    ("unsloth-bnb-4bit", Stored::BitsAndBytes(4)),
    ("bnb-4bit", Stored::BitsAndBytes(4)),
    ("bnb-8bit", Stored::BitsAndBytes(8)),
    ("nf4", Stored::BitsAndBytes(4)),
    ("awq-int4", Stored::Awq(4)),
    ("int4-awq", Stored::Awq(4)),
    ("awq-4bit", Stored::Awq(4)),
    ("awq-8bit", Stored::Awq(8)),
    ("awq", Stored::Awq(4)),
    ("gptq-int4", Stored::Gptq(4)),
    ("gptq-4bit", Stored::Gptq(4)),
    ("gptq-int8", Stored::Gptq(8)),
    ("gptq-8bit", Stored::Gptq(8)),
    ("gptq", Stored::Gptq(4)),
    ("quantized.w4a16", Stored::Grouped(4)),
    ("w4a16", Stored::Grouped(4)),
    ("int4", Stored::Grouped(4)),
    ("quantized.w8a16", Stored::Grouped(8)),
    ("w8a16", Stored::Grouped(8)),
    ("quantized.w8a8", Stored::Int8),
    ("w8a8", Stored::Int8),
    ("int8", Stored::Int8),
    ("fp8-dynamic", Stored::Fp8),
    ("fp8-kv", Stored::Fp8),
    ("fp8", Stored::Fp8),
    ("nvfp4", Stored::Nvfp4),
    ("fp4", Stored::Nvfp4),
    ("mxfp4", Stored::Mxfp4),
    ("mlx-3bit", Stored::Mlx(3)),
    ("mlx-4bit", Stored::Mlx(4)),
    ("mlx-6bit", Stored::Mlx(6)),
    ("mlx-8bit", Stored::Mlx(8)),
    ("bf16", Stored::Half),
];

/// Who publishes copies for MLX alone: a number of bits is its format.
const OF_MLX: [&str; 2] = ["mlx-community", "lmstudio-community"];

/// Who publishes FP8 in blocks of 128 by 128, as DeepSeek-V3 is trained.
const IN_BLOCKS: [&str; 5] = ["qwen", "deepseek-ai", "zai-org", "minimaxai", "moonshotai"];

impl Stored {
    fn quantisation(self, publisher: &str) -> Option<Value> {
        let grouped = |bits: u8, activations: Value, weights: Value, format: &str| {
            let mut weights = weights;
            weights["num_bits"] = bits.into();
            json!({
                "quant_method": "compressed-tensors", "format": format, "ignore": ["lm_head"],
                "config_groups": { "group_0": {
                    "input_activations": activations, "output_activations": null, "targets": ["Linear"], "weights": weights
                } }
            })
        };
        let by_token = |kind: &str| json!({ "num_bits": 8, "type": kind, "strategy": "token", "symmetric": true, "dynamic": true });
        let by_channel =
            |kind: &str| json!({ "type": kind, "strategy": "channel", "symmetric": true, "dynamic": false });
        Some(match self {
            Stored::Awq(bits) => json!({
                "quant_method": "awq", "bits": bits, "group_size": 128, "version": "gemm", "zero_point": true
            }),
            Stored::Gptq(bits) => json!({
                "quant_method": "gptq", "bits": bits, "group_size": 128, "desc_act": false, "sym": true
            }),
            Stored::Grouped(4) => {
                let weights = json!({ "type": "int", "strategy": "group", "group_size": 128, "symmetric": true, "dynamic": false });
                grouped(4, Value::Null, weights, "pack-quantized")
            }
            Stored::Grouped(bits) => grouped(bits, Value::Null, by_channel("int"), "pack-quantized"),
            Stored::Int8 => grouped(8, by_token("int"), by_channel("int"), "int-quantized"),
            Stored::Fp8 if IN_BLOCKS.iter().any(|org| org.eq_ignore_ascii_case(publisher)) => json!({
                "quant_method": "fp8", "activation_scheme": "dynamic", "fmt": "e4m3", "weight_block_size": [128, 128]
            }),
            Stored::Fp8 => grouped(8, by_token("float"), by_channel("float"), "float-quantized"),
            // Latent attention stays as it is, as in NVIDIA's checkpoints of DeepSeek.
            Stored::Nvfp4 => json!({
                "quant_method": "modelopt", "quant_algo": "NVFP4", "group_size": 16,
                "exclude_modules": [
                    "lm_head", "model.layers.*.self_attn.kv_a_proj_with_mqa", "model.layers.*.self_attn.kv_b_proj",
                    "model.layers.*.self_attn.q_a_proj", "model.layers.*.self_attn.q_b_proj"
                ]
            }),
            Stored::Mxfp4 => json!({ "quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"] }),
            Stored::BitsAndBytes(4) => json!({
                "quant_method": "bitsandbytes", "load_in_4bit": true, "load_in_8bit": false,
                "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": true
            }),
            Stored::BitsAndBytes(_) => json!({
                "quant_method": "bitsandbytes", "load_in_4bit": false, "load_in_8bit": true
            }),
            Stored::Mlx(bits) => json!({ "quant_method": "mlx", "bits": bits, "group_size": 64 }),
            Stored::Half => return None,
        })
    }
}

/// What a name says of a copy; the name itself where it says no format.
pub(super) fn read(name: &str) -> Copied {
    let (publisher, tail) = name.rsplit_once('/').unwrap_or(("", name));
    let tail = tail.trim();
    let lower = tail.to_lowercase().replace(['_', ' '], "-");
    let of_mlx = OF_MLX.iter().any(|org| org.eq_ignore_ascii_case(publisher));
    let bits = of_mlx
        .then(|| ["3bit", "4bit", "5bit", "6bit", "8bit"].into_iter().find(|bits| lower.ends_with(bits)));
    let found = ENDINGS
        .iter()
        .find(|(ending, _)| ends_with_word(&lower, ending))
        .map(|(ending, stored)| (*ending, *stored));
    let of_bits = bits.flatten().and_then(|bits| Some((bits, Stored::Mlx(bits[..1].parse().ok()?))));
    // `4bit` alone after MLX's own word is in the table.
    let Some((word, stored)) = found.or(of_bits) else {
        return Copied { of: tail.to_owned(), quantisation: None, word: String::new() };
    };
    let cut = tail.len() - word.len() - 1;
    let of = tail.get(..cut).unwrap_or(tail).to_owned();
    Copied { of, quantisation: stored.quantisation(publisher), word: word.to_owned() }
}

/// Whether a name ends with a word, and has another before it.
fn ends_with_word(name: &str, word: &str) -> bool {
    name.strip_suffix(word).is_some_and(|rest| rest.len() > 1 && rest.ends_with(['-', '.']))
}

/// A model's configuration with the quantisation of a copy.
pub(super) fn in_format(mut config: Map<String, Value>, copied: &Copied) -> Map<String, Value> {
    if copied.word.is_empty() {
        return config;
    }
    config.remove("quantization");
    match &copied.quantisation {
        Some(quantisation) => config.insert("quantization_config".into(), quantisation.clone()),
        None => config.remove("quantization_config"),
    };
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copys_name_says_its_model_and_how_it_is_stored() {
        for (name, of, method) in [
            ("cyankiwi/GLM-4.5-Air-AWQ-4bit", "GLM-4.5-Air", "awq"),
            ("Qwen/Qwen2.5-32B-Instruct-GPTQ-Int8", "Qwen2.5-32B-Instruct", "gptq"),
            ("RedHatAI/DeepSeek-R1-0528-quantized.w4a16", "DeepSeek-R1-0528", "compressed-tensors"),
            ("unsloth/Llama-3.3-70B-Instruct-bnb-4bit", "Llama-3.3-70B-Instruct", "bitsandbytes"),
            ("nvidia/DeepSeek-R1-FP4", "DeepSeek-R1", "modelopt"),
            ("mlx-community/Qwen3-30B-A3B-4bit", "Qwen3-30B-A3B", "mlx"),
            ("lmstudio-community/Qwen3-30B-A3B-MLX-4bit", "Qwen3-30B-A3B", "mlx"),
            ("amd/Llama-3.1-405B-Instruct-FP8-KV", "Llama-3.1-405B-Instruct", "compressed-tensors"),
            ("Qwen/Qwen3-VL-235B-A22B-Thinking-FP8", "Qwen3-VL-235B-A22B-Thinking", "fp8"),
            ("Llama 3.1 405B FP8", "Llama 3.1 405B", "compressed-tensors"),
            ("llama-70b-awq", "llama-70b", "awq"),
        ] {
            let copied = read(name);
            assert_eq!(copied.of, of, "{name}");
            assert_eq!(copied.quantisation.unwrap()["quant_method"], method, "{name}");
        }
        assert_eq!(
            read("org/Qwen3-32B"),
            Copied { of: "Qwen3-32B".into(), quantisation: None, word: String::new() }
        );
        // A number of bits is MLX's only where MLX's publishers say it.
        assert_eq!(read("org/Qwen3-32B-4bit").of, "Qwen3-32B-4bit");
    }
}
