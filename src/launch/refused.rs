//! Why an engine would not start a server as it is launched, beside what its memory and its layout say.

use super::dialect;
use super::server::Server;
use crate::dtype::WeightFormat;
use crate::model::Model;

/// Why the engine refuses to start, in sentences; none where nothing of it is known.
pub fn reasons(server: &Server, model: Option<&Model>) -> Vec<String> {
    let said = |text: &str, why: &str| format!("{}: {why}", crate::diagnostic::brief(text));
    let mut out: Vec<String> =
        server.unread.iter().filter(|note| note.refused).map(|note| said(&note.text, &note.why)).collect();
    let elsewhere = server.elsewhere.iter().filter(|note| note.refused);
    out.extend(elsewhere.map(|note| said(&note.text, &note.why)));
    if let Some(model) = model {
        out.extend(too_long(server, model));
        out.extend(not_quantised_so(server, model));
    }
    out
}

/// The longest request against the model's context: vLLM raises where it is longer (`vllm/config/model.py`,
/// `_get_and_verify_max_len`), SGLang from 0.5.1 on (`sglang/srt/configs/model_config.py`; a warning before).
/// TensorRT-LLM and llama.cpp warn.
fn too_long(server: &Server, model: &Model) -> Option<String> {
    let (flag, variable) = match server.engine.as_str() {
        "vllm" => ("--max-model-len", "VLLM_ALLOW_LONG_MAX_MODEL_LEN=1"),
        "sglang" => ("--context-length", "SGLANG_ALLOW_OVERWRITE_LONGER_CONTEXT_LEN=1"),
        _ => return None,
    };
    let warns = |version: &String| server.engine == "sglang" && !dialect::is_at_least(version, "0.5.1");
    if server.stretches || server.version.as_ref().is_some_and(warns) {
        return None;
    }
    let (asked, context) = (server.max_model_len?, model.max_context?);
    (asked > context).then(|| {
        format!(
            "{flag} {asked} is longer than the model's context of {context} tokens; {variable} in the environment allows it"
        )
    })
}

/// Methods of `--quantization` that read how a checkpoint was quantised; the others make the format while they load, or
/// read files of their own (`get_config_filenames` in `vllm/model_executor/layers/quantization/`).
const READ_FROM_CHECKPOINTS: [&str; 8] = [
    "awq",
    "awq_marlin",
    "gptq",
    "gptq_marlin",
    "compressed-tensors",
    "modelopt",
    "modelopt_fp8",
    "modelopt_fp4",
];

/// A method that needs a checkpoint in its format: vLLM raises "Cannot find the config file for awq"
/// (`vllm/model_executor/model_loader/weight_utils.py`), SGLang the same.
fn not_quantised_so(server: &Server, model: &Model) -> Option<String> {
    let asked = server.weights.as_deref()?;
    let method = READ_FROM_CHECKPOINTS.iter().find(|method| asked.eq_ignore_ascii_case(method))?;
    if !matches!(server.engine.as_str(), "vllm" | "sglang") {
        return None;
    }
    let stored = model.quantisation.main_format();
    matches!(stored, WeightFormat::Bf16 | WeightFormat::Fp16 | WeightFormat::Fp32).then(|| {
        format!(
            "--quantization {method} reads a checkpoint that was quantised so, and this one is stored in {}: name one that is",
            stored.name()
        )
    })
}
