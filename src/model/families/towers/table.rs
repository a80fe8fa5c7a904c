//! Which wrapper has which tower: a row each.

use super::{images, own, pixtral};
use crate::diagnostic::Diagnostic;
use crate::model::Tensor;
use crate::model::config::Config;

/// Reads a tower's tensors from its own fields, the wrapper's fields and the language model's width.
type Read = fn(&Config, &Config, u64) -> Result<Vec<Tensor>, Diagnostic>;

/// The tower of some wrappers.
pub(crate) struct Tower {
    /// The wrappers' `model_type`s.
    pub wrappers: &'static [&'static str],
    /// The field that describes it.
    pub key: &'static str,
    /// Name of the tower's defaults, where its file names no type of its own.
    pub defaults: &'static str,
    /// Reads its tensors.
    pub read: Read,
}

/// One row of the table.
macro_rules! tower {
    ($($wrapper:literal),+ => $defaults:literal, $read:path) => {
        tower!("vision_config": $($wrapper),+ => $defaults, $read)
    };
    ($key:literal: $($wrapper:literal),+ => $defaults:literal, $read:path) => {
        Tower { wrappers: &[$($wrapper),+], key: $key, defaults: $defaults, read: $read }
    };
}

/// The table.
pub(crate) const TOWERS: &[Tower] = &[
    tower!("qwen2_vl" => "qwen2_vl_vision", images::qwen2_vl),
    tower!("qwen2_5_vl" => "qwen2_5_vl_vision", images::qwen2_5_vl),
    tower!("llava", "llava_next", "llava_next_video", "vipllava" => "llava_vision", images::llava),
    tower!("llava_onevision" => "llava_onevision_vision", images::llava),
    tower!("paligemma" => "paligemma_vision", images::paligemma),
    tower!("deepseek_vl" => "siglip_vision_model", images::deepseek_vl),
    tower!("idefics3", "smolvlm" => "idefics3_vision", images::idefics3),
    tower!("internvl", "internvl_chat" => "internvl_vision", images::internvl),
    tower!("glm4v", "glm46v", "glmga", "glm4v_moe" => "glm4v_vision", images::glm4v),
    tower!("aya_vision" => "aya_vision_vision", images::aya_vision),
    tower!("cohere2_vision" => "cohere2_vision_vision", images::cohere2_vision),
    tower!("lfm2_vl" => "siglip2_vision_model", images::lfm2_vl),
    tower!("minimax_m3_vl" => "minimax_m3_vl_vision", images::minimax_m3),
    tower!("lighton_ocr" => "pixtral", pixtral),
    tower!("qwen2_5_omni", "qwen2_5_omni_thinker" => "qwen2_5_omni_vision_encoder", own::qwen2_5_omni),
    tower!("qwen3_omni_moe", "qwen3_omni_moe_thinker" => "qwen3_omni_moe_vision_encoder", own::qwen3_omni),
    tower!("audio_config": "qwen2_5_omni", "qwen2_5_omni_thinker" => "qwen2_5_omni_audio_encoder", own::qwen2_5_sound),
    tower!("audio_config": "qwen3_omni_moe", "qwen3_omni_moe_thinker" => "qwen3_omni_moe_audio_encoder", own::qwen3_sound),
    tower!("ernie4_5_vl_moe", "ernie4_5_moe_vl" => "ernie4_5_vl_moe_vision", own::ernie_vl),
    tower!("glm_ocr" => "glm_ocr_vision", own::glm_ocr),
    tower!("glm5_next" => "glm5_next_vision", own::glm_ocr),
    tower!("exaone4_5" => "exaone4_5_vision", own::exaone4_5),
    tower!("hyperclovax_vision_v2" => "hyperclovax_vision", own::hyperclovax),
    tower!("step3p7" => "step3p5_vision", own::step3),
    tower!("nemotron_h_omni" => "radio", own::nemotron),
    tower!("qianfan_ocr" => "qianfan_ocr_vision", own::qianfan),
    tower!("ovis2" => "ovis2_vision", own::ovis2),
    tower!("video_llama_3" => "video_llama_3_vision", own::video_llama),
    tower!("inkling2", "inkling2_loop" => "inkling2_vision", own::inkling2),
    tower!("kimi_k3" => "kimi_k3_vision", own::kimi_k3),
    tower!("granite_docling" => "granite_docling_vision", own::granite_docling),
    tower!("unlimited_ocr" => "unlimited_ocr_vision", own::unlimited_ocr),
    tower!("audio_config": "moss_transcribe_diarize" => "moss_transcribe_diarize_audio", own::moss),
    tower!("molmo2" => "molmo2_vision", own::molmo2),
    tower!("muse_glimmer" => "muse_glimmer_vision", own::muse_glimmer),
    tower!("cosmos3_edge" => "cosmos3_edge_vision", own::cosmos_edge),
    tower!("minicpmv4_6", "minicpmv4_7", "minicpm_ocr" => "minicpmv4_6_vision", own::minicpmv),
    tower!("idefics2" => "idefics2_vision", own::idefics2),
    tower!("aria" => "aria_vision", own::aria),
    tower!("video_llava" => "clip_vision_model", own::video_llava),
    tower!("got_ocr2", "pp_chart2table" => "got_ocr2_vision", own::got_ocr),
    tower!("lfm3_vl" => "lfm3_vl_vision", own::lfm3),
    tower!("paddleocr_vl" => "paddleocr_vl_vision", own::paddleocr),
];
