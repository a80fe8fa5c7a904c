//! Why an engine would not start a server as it is launched, beside what its memory and its layout say.

use super::dialect;
use super::drafting::draft;
use super::server::Server;
use crate::catalog::classes;
use crate::dtype::WeightFormat;
use crate::model::Model;
use crate::workload::Draft;

/// Why the engine refuses to start, in sentences; none where nothing of it is known.
pub fn reasons(server: &Server, model: Option<&Model>) -> Vec<String> {
    let said = |text: &str, why: &str| format!("{}: {why}", crate::diagnostic::brief(text));
    let mut out: Vec<String> =
        server.unread.iter().filter(|note| note.refused).map(|note| said(&note.text, &note.why)).collect();
    let elsewhere = server.elsewhere.iter().filter(|note| note.refused);
    out.extend(elsewhere.map(|note| said(&note.text, &note.why)));
    out.extend(of_model(server, model));
    out
}

/// Why the engine refuses to start it with its model, whatever its flags are.
pub fn of_model(server: &Server, model: Option<&Model>) -> Vec<String> {
    let with = |refusal: fn(&Server, &Model) -> Option<String>| refusal(server, model?);
    let all = [with(unknown_class), with(too_long), with(not_quantised_so), nothing_drafts(server, model)];
    all.into_iter().flatten().collect()
}

/// A release that is older than the model's class.
fn unknown_class(server: &Server, model: &Model) -> Option<String> {
    let version = server.version.as_ref()?.parse().ok()?;
    classes::refusal(&server.engine, &model.family, version)
}

/// Drafts that nothing makes: a head or a model that is not named (`vllm/config/speculative.py`: "num_speculative_tokens
/// was provided but without speculative model"; `sglang/srt/server_args.py`; `llm_args.py` of TensorRT-LLM), or layers
/// that the model does not have.
fn nothing_drafts(server: &Server, model: Option<&Model>) -> Option<String> {
    let drafts = server.speculation.as_ref()?;
    if server.engine == "llama.cpp" {
        return None;
    }
    let draft = draft(drafts).ok()?;
    let named = drafts.method.as_deref().unwrap_or("speculative decoding");
    match draft {
        Draft::Eagle3 | Draft::Model if drafts.model.is_none() => {
            Some(format!("{named} without a model that drafts: the engine asks for one"))
        }
        Draft::Layers if drafts.model.is_none() => {
            let model = model.filter(|m| m.mtp.is_empty() && !classes::predicts(&m.family))?;
            Some(format!(
                "{named}: {} has no multi-token-prediction layers, and no model that drafts is named",
                model.id
            ))
        }
        _ => None,
    }
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

/// A method beside a checkpoint that says another: "Quantization method specified in the model config does not match the
/// quantization argument" (`_verify_quantization` in `vllm/config/model.py` and `sglang/srt/configs/model_config.py`).
fn quantised_otherwise(server: &Server, asked: &str, model: &Model) -> Option<String> {
    use WeightFormat::{Fp8, Fp8Block, Int4, Int4Group32, Int8, Mxfp4, Nvfp4};
    let stored = model.quantisation.main_format();
    let reads: &[WeightFormat] = match asked.to_ascii_lowercase().as_str() {
        "fp8" => &[Fp8, Fp8Block],
        "awq" | "awq_marlin" | "gptq" | "gptq_marlin" => &[Int4, Int4Group32, Int8],
        "bitsandbytes" => &[Int4, Int4Group32, Int8],
        "mxfp4" => &[Mxfp4],
        "modelopt_fp4" => &[Nvfp4],
        _ => return None,
    };
    let quantised = matches!(stored, Fp8 | Fp8Block | Int4 | Int4Group32 | Int8 | Mxfp4 | Nvfp4);
    (quantised && !reads.contains(&stored) && matches!(server.engine.as_str(), "vllm" | "sglang")).then(
        || {
            format!(
                "--quantization {asked} on a checkpoint that is stored in {}: leave it out",
                stored.name()
            )
        },
    )
}

/// A method that needs a checkpoint in its format: vLLM raises "Cannot find the config file for awq"
/// (`vllm/model_executor/model_loader/weight_utils.py`), SGLang the same.
fn not_quantised_so(server: &Server, model: &Model) -> Option<String> {
    let asked = server.weights.as_deref()?;
    if let Some(other) = quantised_otherwise(server, asked, model) {
        return Some(other);
    }
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
