//! Where a configuration says how its weights are stored, and by which method.

use crate::diagnostic::Diagnostic;
use crate::model::config::Config;

/// What to do about a quantisation that is not known.
pub(super) const WHAT_TO_DO: &str = "take quantization_config out of a copy of the file and name the storage with --weights \
             (bf16, fp8, fp8_block, int8, int4, mxfp4, nvfp4)";

/// Names of the object: Transformers', compressed-tensors' before it had a place there, MLX's.
const NAMES: [&str; 3] = ["quantization_config", "compression_config", "quantization"];

/// Names of a wrapper's language model.
const TEXT: [&str; 5] = ["text_config", "llm_config", "language_config", "language_model", "thinker_config"];

/// A wrapper's root and the configurations of its language model, outermost first.
pub(super) fn places<'a>(root: &Config<'a>) -> Vec<Config<'a>> {
    let mut places = vec![root.clone()];
    // A thinker holds a language model of its own.
    for depth in 0..2 {
        let Some(outer) = places.get(depth).cloned() else { break };
        places.extend(TEXT.iter().find_map(|key| outer.opt_sub(key).ok().flatten()));
    }
    places
}

/// The object that says how weights are stored, at the root or in the language model's configuration.
///
/// # Errors
/// A field of one of its names that is no object.
pub(super) fn object<'a>(root: &Config<'a>) -> Result<Option<Config<'a>>, Diagnostic> {
    places(root).iter().find_map(|place| object_at(place).transpose()).transpose()
}

/// The object that stands in this very place.
///
/// # Errors
/// As [`object`].
pub(super) fn object_at<'a>(place: &Config<'a>) -> Result<Option<Config<'a>>, Diagnostic> {
    for name in NAMES {
        let Some(found) = place.opt_sub(name)? else { continue };
        // ModelOpt's own file, repeated whole.
        let found = found.opt_sub("quantization").ok().flatten().unwrap_or(found);
        if found.keys().any(|key| found.has(key)) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The method, as its field says or, where it says nothing, by the fields that only one method writes; in lower case.
///
/// # Errors
/// Fields that no known method writes.
pub(super) fn method(q: &Config) -> Result<String, Diagnostic> {
    let named = match (q.opt_str("quant_method")?, q.opt_str("quant_algo")?) {
        // ModelOpt says which of its methods in `quant_algo`.
        (
            Some("modelopt" | "modelopt_fp4" | "modelopt_fp8" | "modelopt_mixed" | "modelopt_mxfp8") | None,
            Some(algorithm),
        ) => Some(algorithm),
        (named, _) => named,
    };
    // ModelOpt writes its file where the cache alone is quantised too, with no algorithm of the weights
    // (`unified_export_hf.py`: "quant_algo is not None or kv_cache_quant_algo is not None").
    let of_modelopt = named.is_none_or(|named| named.starts_with("modelopt"));
    let by_module = q.has("quantized_layers") || q.has("config_groups");
    if of_modelopt && q.mentions("quant_algo") && !q.has("quant_algo") && !by_module {
        return Ok("none".to_owned());
    }
    if let Some(named) = named {
        return Ok(named.to_lowercase());
    }
    let has = |keys: &[&str]| keys.iter().any(|key| q.mentions(key));
    let implied = if has(&["config_groups", "sparsity_config"]) {
        "compressed-tensors"
    } else if has(&["load_in_4bit", "load_in_8bit", "_load_in_4bit", "_load_in_8bit", "bnb_4bit_quant_type"])
    {
        "bitsandbytes"
    } else if has(&["quantized_layers"]) {
        "modelopt"
    } else if has(&["kv_cache_quant_algo"]) {
        "none"
    } else if has(&["global_quant_config", "layer_quant_config"]) {
        "quark"
    } else if has(&["weight_block_size", "activation_scheme", "fmt"]) {
        "fp8"
    } else if has(&["w_bit", "q_group_size", "zero_point"]) {
        "awq"
    } else if has(&[
        "desc_act",
        "damp_percent",
        "true_sequential",
        "checkpoint_format",
        "model_file_base_name",
    ]) {
        "gptq"
    } else if has(&["autoround_version", "packing_format"]) {
        "auto-round"
    } else if has(&["weight_quant_params", "nbits"]) {
        "hqq"
    } else if has(&["quant_type"]) {
        "torchao"
    } else if has(&["head_bits"]) {
        "exl2"
    } else if has(&["bits", "mode"]) && (q.has("group_size") || q.has("mode")) {
        "mlx"
    } else {
        let keys: Vec<String> = q.keys().map(|key| format!("`{key}`")).collect();
        let cause = format!("no `quant_method`, and no known one writes {}", keys.join(", "));
        return Err(q.error("quant_method", cause).help(WHAT_TO_DO));
    };
    Ok(implied.to_owned())
}
