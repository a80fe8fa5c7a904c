//! Families: from `model_type` to the function that reads such a configuration. One row each.

mod classic;
mod decoder;
mod deepseek;
mod defaults;
mod dense;
mod described;
mod encoder;
mod experts;
mod family;
mod gated;
mod gemma;
mod general;
mod hybrid;
mod linear;
mod mixture;
mod multimodal;
mod pairs;
mod prediction;
mod recent;
mod remote;
mod state;
mod streams;
mod towers;
mod unusual;
mod zamba;

use crate::diagnostic::Diagnostic;

use super::config::Config;
use super::{Architecture, Scope, Task};
pub use defaults::defaults;
pub use family::{Family, Reader};

/// Whether a checkpoint is of the language model alone, by the class that it names.
pub(super) fn names_text_class(config: &Config) -> bool {
    multimodal::names_text_class(config)
}

/// The type that a class is of, by its name: `DeepseekV4ForCausalLM` is of `deepseek_v4`, as engines choose what loads a
/// checkpoint by its class and not by its type.
pub fn of_class(class: &str) -> Option<&'static str> {
    let of = class.strip_suffix("ForCausalLM").or_else(|| class.strip_suffix("ForConditionalGeneration"))?;
    let types = FAMILIES.iter().flat_map(|family| family.model_types.iter().copied());
    let letters = |name: &str| -> String { name.chars().filter(char::is_ascii_alphanumeric).collect() };
    let of = letters(of).to_ascii_lowercase();
    types.into_iter().find(|model_type| letters(model_type).to_ascii_lowercase() == of)
}

/// Prediction layers that a configuration, or that of its language model, says it has.
pub(super) fn named_predictions(root: &Config) -> u64 {
    let inner = ["text_config", "llm_config", "language_config"];
    let inner = inner.into_iter().filter_map(|key| root.opt_sub(key).ok().flatten());
    let said = |config: Config| prediction::predictions(&config, u64::MAX).unwrap_or(0);
    inner.chain([root.clone()]).map(said).max().unwrap_or(0)
}

/// One row of the table.
macro_rules! family {
    ($($model_type:literal),+ => $read:path) => {
        Family { model_types: &[$($model_type),+], reader: Reader::LanguageModel($read) }
    };
}

/// One row of a wrapper with towers.
macro_rules! wrapper {
    ($($model_type:literal),+ => $read:path) => {
        Family { model_types: &[$($model_type),+], reader: Reader::Wrapper($read) }
    };
}

/// One row of what is no decoder alone.
macro_rules! other {
    ($task:ident: $($model_type:literal),+ => $read:path) => {
        Family { model_types: &[$($model_type),+], reader: Reader::Other(Task::$task, $read) }
    };
}

/// The table. Types that are absent are read by `general::read` and reported as not recognised.
pub const FAMILIES: &[Family] = &[
    // Dense, RMS norms, gated.
    family!("llama", "solar", "cwm", "internlm2", "iquestcoder", "minicpm", "yi" => dense::llama),
    family!("emu3_text_model", "xverse", "aquila", "granite_docling_text", "unlimited_ocr_text" => dense::llama),
    family!("granite", "smollm3", "seed_oss", "baichuan", "exaone", "gemma", "vaultgemma", "deepseek" => dense::llama),
    family!("mistral", "ministral", "phi3" => dense::no_biases),
    family!("internlm" => dense::internlm),
    family!("internlm3" => dense::internlm3),
    family!("qwen2", "qwen2_vl_text", "qwen2_5_vl_text", "qwen2_5_omni_text" => dense::qwen2),
    family!("qwen" => dense::qwen1),
    family!("qwen3", "qwen3_vl_text", "hunyuan_v1_dense", "hunyuan_vl_text" => dense::head_norms),
    family!("glm" => dense::no_output_bias),
    family!("glm4" => dense::glm4),
    family!("glm4v_text" => dense::glm4v),
    family!("glm_ocr_text" => dense::glm_ocr),
    family!("chatglm" => dense::chatglm),
    family!("olmo" => dense::olmo),
    family!("olmo2", "olmo3" => dense::olmo2),
    family!("exaone4" => dense::exaone4),
    family!("hyperclovax" => dense::hyperclovax),
    family!("cohere", "cohere2", "cohere2_moe", "cohere_compass_text" => dense::cohere),
    family!("helium" => dense::helium),
    family!("bitnet" => dense::bitnet),
    family!("diffllama" => dense::diffllama),
    family!("ernie4_5", "ernie4_5_moe" => mixture::ernie),
    family!("granite_swa", "granitemoe_swa" => mixture::sinks),
    family!("gemma2" => gemma::gemma2),
    family!("gemma3_text" => gemma::gemma3),
    family!("gemma3n_text" => gemma::gemma3n),
    family!("gemma4_text", "gemma4_unified_text" => gemma::gemma4),
    family!("nemotron-nas" => dense::decilm),
    family!("modernbert-decoder" => dense::modernbert),
    family!("molmo2_text" => dense::molmo2),
    family!("muse_glimmer_text" => gated::muse_glimmer),
    family!("mimo" => remote::mimo),
    family!("ouro" => remote::ouro),
    family!("decoder" => described::read),
    // Dense, ungated or with layer norms.
    family!("arcee", "cosmos3_edge_text" => dense::ungated),
    family!("apertus", "apertus1p5_text" => dense::apertus),
    family!("nanochat" => dense::nanochat),
    family!("nemotron", "jais2" => dense::nemotron),
    family!("orion" => dense::orion),
    family!("stablelm" => dense::stablelm),
    family!("gpt2", "gpt-sw3" => classic::gpt2),
    family!("openai-gpt" => classic::gpt1),
    family!("gpt_bigcode" => classic::gpt_bigcode),
    family!("gpt_neo" => classic::gpt_neo),
    family!("gpt_neox" => classic::gpt_neox),
    family!("gpt_neox_japanese" => classic::gpt_neox_japanese),
    family!("gptj", "codegen" => classic::gptj),
    family!("bloom" => classic::bloom),
    family!("falcon", "RefinedWeb", "RefinedWebModel" => classic::falcon),
    family!("mpt" => classic::mpt),
    family!("opt" => classic::opt),
    family!("xglm" => classic::xglm),
    family!("biogpt" => classic::biogpt),
    family!("ctrl" => classic::ctrl),
    family!("phi" => classic::phi),
    family!("persimmon" => classic::persimmon),
    family!("starcoder2" => classic::starcoder2),
    family!("cpmant" => classic::cpmant),
    family!("jais" => remote::jais),
    family!("phi3small" => remote::phi3small),
    // Experts.
    family!("mixtral", "aria_text", "granitemoe", "granitemoeshared" => mixture::plain),
    family!("qwen2_moe" => mixture::qwen2_moe),
    family!("qwen3_moe", "qwen3_vl_moe_text", "qwen3_omni_moe_text", "mellum", "dots1" => mixture::head_norms),
    family!("exaone_moe" => mixture::exaone_moe),
    family!("hy_v3" => mixture::hy3),
    family!("glm4_moe", "glm4v_moe_text", "solar_open" => mixture::glm4_moe),
    family!("olmoe" => mixture::full_norms),
    family!("minimax_m2" => mixture::minimax_m2),
    family!("flex_olmo" => mixture::flex_olmo),
    family!("afmoe" => mixture::afmoe),
    family!("flint" => mixture::flint),
    family!("laguna" => mixture::laguna),
    family!("kolibri1" => mixture::kolibri),
    family!("phimoe" => mixture::phimoe),
    family!("gpt_oss" => mixture::gpt_oss),
    family!("llama4_text" => mixture::llama4),
    family!("dbrx" => mixture::dbrx),
    family!("grok-1", "grok" => mixture::grok),
    family!("arctic" => mixture::arctic),
    family!("ernie4_5_vl_moe_text" => mixture::ernie_vl),
    family!("bailing_moe", "bailing_moe_v2" => remote::bailing_moe),
    family!("step3p5" => gated::step35),
    family!("step3_text" => remote::step3),
    family!("muse_spark_text" => gated::muse_spark),
    family!("hunyuan_v1_moe" => mixture::hunyuan_moe),
    family!("mimo_v2_flash", "mimo_v2" => unusual::mimo_v2),
    family!("minimax_m3_vl_text", "minimax_m3" => unusual::minimax_m3),
    family!("jetmoe" => unusual::jetmoe),
    family!("zaya" => unusual::zaya),
    family!("inkling_text" => unusual::inkling),
    family!("inkling2_text", "inkling2_loop_text" => unusual::inkling2),
    // Latent attention.
    family!("sarvam_mla", "deepseek_v2", "deepseek_v3", "kimi_k2", "glm4_moe_lite", "youtu", "minicpm3", "mistral4" => deepseek::read),
    family!("deepseek_v32" => deepseek::v32),
    family!("dots3_note_text" => deepseek::dots3),
    family!("glm_moe_dsa" => deepseek::glm5),
    family!("hy_v4" => deepseek::hy4),
    family!("axk1" => deepseek::axk1),
    family!("axk2" => deepseek::axk2),
    family!("longcat_flash" => deepseek::longcat),
    family!("mistral_large4_text" => deepseek::mistral_large4),
    family!("deepseek_v4" => unusual::deepseek_v4),
    family!("sarvam_moe" => mixture::plain),
    family!("beam" => recent::beam),
    family!("lara_mini" => recent::lara),
    family!("dory" => recent::dory),
    family!("moshi" => recent::moshi),
    family!("xlnet" => recent::xlnet),
    // Recurrence, alone and beside attention.
    family!("mamba", "falcon_mamba" => hybrid::mamba),
    family!("mamba2" => hybrid::mamba2),
    family!("jamba" => hybrid::jamba),
    family!("bamba" => hybrid::bamba),
    family!("falcon_h1" => hybrid::falcon_h1),
    family!("granitemoehybrid" => hybrid::granite),
    family!("nemotron_h" => hybrid::nemotron_h),
    family!("zamba" => zamba::zamba),
    family!("zamba2" => zamba::zamba2),
    family!("qwen3_next", "qwen3_5_text", "qwen3_5_moe_text" => linear::qwen3_next),
    family!("olmo_hybrid" => linear::olmo_hybrid),
    family!("kimi_linear" => linear::kimi_linear),
    family!("glm5_next_text" => streams::glm5_next),
    family!("qwen4_exp_text" => streams::qwen4),
    family!("bailing_hybrid" => linear::bailing),
    family!("minimax", "minimax_text_01", "minimax_m1" => linear::minimax),
    family!("lfm2" => linear::lfm2),
    family!("lfm2_moe" => linear::lfm2_moe),
    family!("lfm3" => linear::lfm3),
    family!("recurrent_gemma" => linear::recurrent_gemma),
    family!("rwkv" => linear::rwkv),
    family!("xlstm" => linear::xlstm),
    family!("doge" => linear::doge),
    family!("hrm_text" => unusual::hrm),
    // Encoders.
    other!(Embedding: "bert", "ernie" => encoder::bert),
    other!(Embedding: "roberta", "xlm-roberta", "camembert", "data2vec-text" => encoder::roberta),
    other!(Embedding: "roberta-prelayernorm" => encoder::roberta_pre),
    other!(Embedding: "xlm-roberta-xl" => encoder::roberta_xl),
    other!(Embedding: "megatron-bert" => encoder::megatron),
    other!(Embedding: "bert-generation" => encoder::bert_generation),
    other!(Embedding: "roformer" => encoder::roformer),
    other!(Embedding: "electra" => encoder::electra),
    other!(Embedding: "big_bird" => encoder::big_bird),
    other!(Embedding: "xmod" => encoder::xmod),
    other!(Embedding: "roc_bert" => encoder::roc_bert),
    other!(Embedding: "rembert" => encoder::rembert),
    other!(Embedding: "modernbert" => encoder::modernbert),
    other!(Embedding: "nomic_bert" => encoder::nomic),
    other!(Embedding: "eurobert" => encoder::eurobert),
    other!(Embedding: "distilbert" => encoder::distilbert),
    other!(Embedding: "mpnet" => encoder::mpnet),
    other!(Embedding: "deberta-v2" => encoder::deberta_v2),
    // Encoders with decoders.
    other!(EncoderDecoder: "t5", "mt5", "umt5" => pairs::t5),
    other!(EncoderDecoder: "bart", "plbart", "mvp" => pairs::bart),
    other!(EncoderDecoder: "mbart" => pairs::mbart),
    other!(EncoderDecoder: "blenderbot" => pairs::blenderbot),
    other!(EncoderDecoder: "blenderbot-small" => pairs::blenderbot_small),
    other!(EncoderDecoder: "pegasus" => pairs::pegasus),
    other!(EncoderDecoder: "bigbird_pegasus" => pairs::bigbird_pegasus),
    other!(EncoderDecoder: "marian" => pairs::marian),
    other!(EncoderDecoder: "m2m_100" => pairs::m2m),
    other!(EncoderDecoder: "trocr" => pairs::trocr),
    other!(Speech: "whisper" => pairs::whisper),
    // With vision or audio towers.
    wrapper!("gemma3", "shieldgemma2" => multimodal::gemma3),
    wrapper!("gemma4" => multimodal::gemma4),
    wrapper!("qwen3_vl", "qwen3_vl_moe", "cosmos3_omni" => multimodal::qwen3_vl),
    wrapper!("qwen3_5", "qwen3_5_moe" => multimodal::qwen3_5),
    wrapper!("kimi_k25", "kimi_vl" => multimodal::kimi_k25),
    wrapper!("mistral3" => multimodal::mistral3),
    wrapper!("ministral3" => multimodal::ministral3),
    family!("phi4_multimodal" => multimodal::phi4),
    wrapper!("llama4" => multimodal::llama4),
    family!("mllama_text_model" => dense::mllama),
    wrapper!("mllama" => multimodal::mllama),
    wrapper!("fuyu" => multimodal::fuyu),
    wrapper!("qwen2_vl", "qwen2_5_vl", "paligemma", "deepseek_vl", "idefics3", "smolvlm" => multimodal::with_tower),
    wrapper!("llava", "llava_next", "llava_next_video", "vipllava", "llava_onevision" => multimodal::with_tower),
    wrapper!("internvl", "internvl_chat", "glm4v", "glm46v", "glmga", "glm4v_moe", "lighton_ocr" => multimodal::with_tower),
    wrapper!("aya_vision", "cohere2_vision", "lfm2_vl", "minimax_m3_vl" => multimodal::with_tower),
    wrapper!("qwen2_5_omni", "qwen2_5_omni_thinker", "qwen3_omni_moe", "qwen3_omni_moe_thinker" => multimodal::with_tower),
    wrapper!("ernie4_5_vl_moe", "ernie4_5_moe_vl", "glm_ocr", "glm5_next", "exaone4_5", "step3p7" => multimodal::with_tower),
    wrapper!("hyperclovax_vision_v2", "nemotron_h_omni", "qianfan_ocr", "ovis2", "video_llama_3" => multimodal::with_tower),
    wrapper!("inkling2", "molmo2", "muse_glimmer", "cosmos3_edge", "minicpmv4_6", "minicpmv4_7" => multimodal::with_tower),
    wrapper!("idefics2", "aria", "video_llava", "paddleocr_vl", "minicpm_ocr" => multimodal::with_tower),
    wrapper!("inkling2_loop", "granite_docling", "unlimited_ocr", "moss_transcribe_diarize", "kimi_k3" => multimodal::with_tower),
    wrapper!("llava_llama", "llava_mistral", "llava_mixtral", "llava_qwen", "llava_qwen2" => multimodal::with_tower),
    // With towers that are not known: the language model alone.
    wrapper!("got_ocr2", "pp_chart2table", "lfm3_vl" => multimodal::with_tower),
    wrapper!("janus", "gemma3n", "gemma4_unified", "inkling_mm_model" => multimodal::text_alone),
    wrapper!("dots3_note", "cohere_compass", "emu3", "hunyuan_vl", "mistral_large4" => multimodal::text_alone),
    wrapper!("muse_spark", "qwen4_exp", "step3_vl" => multimodal::text_alone),
];

/// The family that reads a `model_type`, if one does.
pub fn of(model_type: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|f| f.model_types.contains(&model_type))
}

/// Reads a configuration of an unknown type: its language model by the family that the nested
/// configuration names, if one does, else by the field names that most families share.
///
/// # Errors
/// A missing or impossible field.
pub fn read_unknown(config: &Config, scope: Scope) -> Result<Architecture, Diagnostic> {
    multimodal::unknown(config, scope, of)
}
