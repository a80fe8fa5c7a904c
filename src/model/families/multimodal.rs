//! Models with vision or audio towers: the language model is read by its own family; towers are counted
//! where their tensors are known, and named in a note where they are not.

use crate::diagnostic::Diagnostic;
use crate::model::blocks::Block;
use crate::model::config::Config;
use crate::model::{Architecture, Scope, Tensor};

use super::defaults::defaults;
use super::family::Lookup;
use super::towers::table;
use super::{dense, general, towers};

/// Names of the language model's configuration inside a wrapper's.
const TEXT: &[&str] = &["text_config", "llm_config", "language_config", "thinker_config", "llm_cfg"];
/// Names of a tower's configuration.
const TOWERS: &[&str] =
    &["vision_config", "audio_config", "vision_tower_config", "speech_config", "vision_tower_cfg"];

/// Wrappers whose class has a head of its own, whatever the file says.
const NEVER_TIED: &[&str] = &["mllama", "molmo2", "cosmos3_edge"];

/// Reads the language model. `default_type` is its type where the file does not say.
fn text(config: &Config, default_type: &str, families: Lookup) -> Result<Architecture, Diagnostic> {
    let mut inner = None;
    for key in TEXT {
        // An empty one says no more than none.
        inner = inner.or(config.opt_sub(key)?.filter(|inner| inner.keys().next().is_some()));
    }
    // Older files keep the language model's fields at the root.
    let Some(inner) = inner else { return read(config, default_type, families) };
    if inner.has("text_config") {
        // A thinker has a class of its own, which says whether the head is tied.
        let wrapper = config.opt_str("model_type")?.unwrap_or_default();
        let usual = || defaults(&format!("{wrapper}_thinker"));
        let own = inner.opt_str("model_type")?.and_then(defaults).or_else(usual);
        return text(&inner.with_defaults(own), default_type, families);
    }
    let written = inner.opt_str("model_type")?.filter(|name| families(name).is_some());
    let model_type = written.unwrap_or(default_type);
    let inner = inner.with_defaults(defaults(model_type));
    let mut architecture = read(&inner, model_type, families)?;
    // Llama 4's head belongs to its language model, which alone decides.
    let wrapped = !names_text_class(config) && model_type != "llama4_text";
    if NEVER_TIED.contains(&config.opt_str("model_type")?.unwrap_or_default()) {
        set_tied(&mut architecture, Some(false));
    } else if wrapped && (config.has("tie_word_embeddings") || !inner.has("tie_word_embeddings")) {
        set_tied(&mut architecture, config.opt_bool("tie_word_embeddings")?);
    }
    Ok(architecture)
}

fn read(config: &Config, model_type: &str, families: Lookup) -> Result<Architecture, Diagnostic> {
    match families(model_type) {
        Some(family) => family.read(config, Scope::Text, families),
        None => general::read(config, Scope::Text),
    }
}

/// The wrapper's word on the head goes before the language model's.
fn set_tied(architecture: &mut Architecture, tied: Option<bool>) {
    for block in &mut architecture.after {
        if let (Block::Head(head), Some(tied)) = (block, tied) {
            head.tied = tied;
        }
    }
}

/// Whether the checkpoint is of the language model alone, by the class that it names.
pub(super) fn names_text_class(config: &Config) -> bool {
    let classes = config.strings("architectures").unwrap_or_default();
    classes.iter().any(|class| class.ends_with("ForCausalLM"))
}

/// Whether towers are wanted and there.
fn wants_towers(config: &Config, scope: Scope) -> bool {
    scope == Scope::Full && !names_text_class(config)
}

/// Adds the tower that `key` describes, with the defaults of `tower_type`.
fn add_tower(
    config: &Config,
    architecture: &mut Architecture,
    (key, tower_type): (&str, &str),
    read: impl Fn(&Config, u64) -> Result<Vec<Tensor>, Diagnostic>,
) -> Result<(), Diagnostic> {
    let written = config.opt_sub(key)?.map(|tower| tower.opt_str("model_type")).transpose()?.flatten();
    // Qwen-VL's towers carry their wrapper's type.
    let written = written.filter(|name| config.opt_str("model_type") != Ok(Some(name)));
    let known = written.and_then(defaults).or_else(|| defaults(tower_type));
    // Without a word on it, or with null, the class builds a tower of its defaults; Gemma 4's then builds none.
    let assumed = !config.has(key) && known.is_some() && !tower_type.starts_with("gemma4");
    architecture.notes.extend(written.and_then(|written| strange_tower(config, key, written, tower_type)));
    let tower = match config.opt_sub(key)? {
        None if assumed => {
            // Some wrappers build another default than their tower's class.
            let own = defaults(&format!("{tower_type}/omitted"));
            Some(config.empty(key).with_defaults(own.or(known)))
        }
        tower => tower.map(|tower| tower.with_defaults(known)),
    };
    if let Some(tower) = tower {
        architecture.towers.extend(read(&tower, architecture.hidden)?);
    }
    if assumed {
        architecture.notes.push(format!("no {key} given: the tower that its class assumes is counted"));
    }
    Ok(())
}

/// Towers that wrappers have, where only that one is read: another is counted by its sizes in this one's structure.
const USUAL_TOWERS: &[(&[&str], &str)] = &[
    (&["aya_vision", "cohere2_vision", "deepseek_vl", "gemma3", "paligemma"], "siglip_vision_model"),
    (&["internvl_chat"], "intern_vit_6b"),
    (&["kimi_vl"], "moonvit"),
    (&["lfm2_vl"], "siglip2_vision_model"),
    (&["lighton_ocr", "mistral3"], "pixtral"),
    (&["video_llava"], "clip_vision_model"),
];

/// Where a tower's file names a type that is not read as what it is: a sentence that says so.
fn strange_tower(config: &Config, key: &str, written: &str, tower_type: &str) -> Option<String> {
    let wrapper = config.opt_str("model_type").ok().flatten().unwrap_or_default();
    let usual =
        USUAL_TOWERS.iter().find(|(wrappers, _)| wrappers.contains(&wrapper)).map(|(_, usual)| *usual);
    let is_strange = match usual {
        _ if written.is_empty() => false,
        Some(usual) => written != usual,
        // A wrapper may give its tower the beginning of the tower's name.
        None => defaults(written).is_none() && !tower_type.starts_with(written),
    };
    is_strange.then(|| {
        format!(
            "the `{written}` of {key} is not known as a tower of `{wrapper}`: its sizes are counted in the structure of the \
             usual one"
        )
    })
}

/// Gemma 3 with SigLIP.
pub(super) fn gemma3(config: &Config, scope: Scope, families: Lookup) -> Result<Architecture, Diagnostic> {
    let mut architecture = text(config, "gemma3_text", families)?;
    if wants_towers(config, scope) {
        add_tower(config, &mut architecture, ("vision_config", "gemma3_vision"), towers::gemma3)?;
    }
    Ok(architecture)
}

/// Gemma 4 with vision and audio towers.
pub(super) fn gemma4(config: &Config, scope: Scope, families: Lookup) -> Result<Architecture, Diagnostic> {
    let mut architecture = text(config, "gemma4_text", families)?;
    if wants_towers(config, scope) {
        add_tower(config, &mut architecture, ("vision_config", "gemma4_vision"), towers::gemma4_vision)?;
        add_tower(config, &mut architecture, ("audio_config", "gemma4_audio"), towers::gemma4_audio)?;
    }
    Ok(architecture)
}

/// Qwen3-VL, dense and with experts.
pub(super) fn qwen3_vl(config: &Config, scope: Scope, families: Lookup) -> Result<Architecture, Diagnostic> {
    let experts = config.opt_str("model_type")? == Some("qwen3_vl_moe");
    let mut architecture =
        text(config, if experts { "qwen3_vl_moe_text" } else { "qwen3_vl_text" }, families)?;
    if wants_towers(config, scope) {
        add_tower(config, &mut architecture, ("vision_config", "qwen3_vl_vision"), towers::qwen3_vl)?;
    }
    Ok(architecture)
}

/// Qwen3.5 and 3.6, dense and with experts.
pub(super) fn qwen3_5(config: &Config, scope: Scope, families: Lookup) -> Result<Architecture, Diagnostic> {
    let experts = config.opt_str("model_type")? == Some("qwen3_5_moe");
    let mut architecture = text(config, if experts { "qwen3_5_moe_text" } else { "qwen3_5_text" }, families)?;
    if wants_towers(config, scope) {
        add_tower(config, &mut architecture, ("vision_config", "qwen3_5_vision"), towers::qwen3_vl)?;
    }
    Ok(architecture)
}

/// Kimi-K2.5: Kimi-K2 with MoonViT.
pub(super) fn kimi_k25(config: &Config, scope: Scope, families: Lookup) -> Result<Architecture, Diagnostic> {
    let mut architecture = text(config, "deepseek_v3", families)?;
    if wants_towers(config, scope) {
        add_tower(config, &mut architecture, ("vision_config", "kimi_k25_vision"), towers::kimi_k25)?;
    }
    Ok(architecture)
}

/// Mistral Small 3.1 and later, Ministral 3: with Pixtral's tower.
pub(super) fn mistral3(config: &Config, scope: Scope, families: Lookup) -> Result<Architecture, Diagnostic> {
    let mut architecture = text(config, "mistral", families)?;
    if wants_towers(config, scope) {
        let pixtral = |tower: &Config, hidden| towers::pixtral(tower, config, hidden);
        add_tower(config, &mut architecture, ("vision_config", "pixtral"), pixtral)?;
    }
    Ok(architecture)
}

/// Ministral 3's text model, or the wrapper under the same type.
pub(super) fn ministral3(
    config: &Config,
    scope: Scope,
    families: Lookup,
) -> Result<Architecture, Diagnostic> {
    if config.has("text_config") {
        mistral3(config, scope, families)
    } else {
        dense::no_biases(config, scope)
    }
}

/// Llama 4 with its vision tower.
pub(super) fn llama4(config: &Config, scope: Scope, families: Lookup) -> Result<Architecture, Diagnostic> {
    let mut architecture = text(config, "llama4_text", families)?;
    if wants_towers(config, scope) {
        add_tower(config, &mut architecture, ("vision_config", "llama4_vision_model"), towers::llama4)?;
    }
    Ok(architecture)
}

/// Llama 3.2 Vision.
pub(super) fn mllama(config: &Config, scope: Scope, families: Lookup) -> Result<Architecture, Diagnostic> {
    let mut architecture = text(config, "mllama_text_model", families)?;
    if wants_towers(config, scope) {
        add_tower(config, &mut architecture, ("vision_config", "mllama_vision_model"), towers::mllama)?;
        architecture.images =
            config.opt_sub("vision_config")?.and_then(|vision| towers::mllama_images(&vision));
    }
    Ok(architecture)
}

/// Phi-4-multimodal: Phi-3's decoder at the root; image and audio encoders.
pub(super) fn phi4(config: &Config, scope: Scope) -> Result<Architecture, Diagnostic> {
    let mut architecture = dense::no_biases(config, scope)?;
    if scope == Scope::Full {
        let vision = ("vision_config", "phi4_multimodal_vision");
        add_tower(config, &mut architecture, vision, towers::phi4_vision)?;
        let audio = ("audio_config", "phi4_multimodal_audio");
        add_tower(config, &mut architecture, audio, towers::phi4_audio)?;
    }
    Ok(architecture)
}

/// Fuyu: patches go into the decoder through one linear layer.
pub(super) fn fuyu(config: &Config, scope: Scope, families: Lookup) -> Result<Architecture, Diagnostic> {
    let mut architecture = text(config, "persimmon", families)?;
    // Without a word on it the class unties, as its language model does.
    set_tied(&mut architecture, config.opt_bool("tie_word_embeddings")?);
    if scope == Scope::Full {
        architecture.towers.extend(towers::fuyu(config, architecture.hidden)?);
    }
    Ok(architecture)
}

/// A wrapper with one of the towers in [`table::TOWERS`].
pub(super) fn with_tower(
    config: &Config,
    scope: Scope,
    families: Lookup,
) -> Result<Architecture, Diagnostic> {
    let wrapper = config.opt_str("model_type")?.unwrap_or_default();
    let mut architecture = text(config, language_model(wrapper), families)?;
    if add_named_tower(config, scope, &mut architecture)? {
        return Ok(architecture);
    }
    if wants_towers(config, scope) {
        // Omni models keep their towers beside the language model, inside what thinks.
        let config = config.opt_sub("thinker_config")?.unwrap_or_else(|| config.clone());
        for tower in table::TOWERS.iter().filter(|tower| tower.wrappers.contains(&wrapper)) {
            let read = |own: &Config, hidden| (tower.read)(own, &config, hidden);
            add_tower(&config, &mut architecture, (tower.key, tower.defaults), read)?;
        }
    }
    Ok(architecture)
}

/// Adds the tower that LLaVA's authors name by its repository, beside the language model's fields; `false` where the file
/// is of another kind. Their class writes text whatever its name ends with.
fn add_named_tower(
    config: &Config,
    scope: Scope,
    architecture: &mut Architecture,
) -> Result<bool, Diagnostic> {
    let named =
        ["mm_vision_tower", "mm_video_tower", "mm_audio_tower"].into_iter().find(|key| config.has(key));
    let (Some(key), false) = (named, config.has("vision_config")) else { return Ok(false) };
    let name = config.opt_str(key)?.unwrap_or_default();
    if scope == Scope::Text {
        return Ok(true);
    }
    match towers::named(config, architecture.hidden)? {
        Some(tensors) if key == "mm_vision_tower" => architecture.towers.extend(tensors),
        _ => {
            architecture.text_only = true;
            let note =
                format!("only the language model is counted: the tensors of `{key}`, {name}, are not known");
            architecture.notes.push(note);
        }
    }
    Ok(true)
}

/// The type of a wrapper's language model, where its file does not say.
const TEXT_TYPES: &[(&[&str], &str)] = &[
    (&["llava", "llava_next", "llava_next_video", "video_llava", "vipllava", "llava_llama"], "llama"),
    (&["llava_mistral"], "mistral"),
    (&["llava_mixtral"], "mixtral"),
    (&["llava_qwen", "llava_qwen2"], "qwen2"),
    (&["idefics3", "smolvlm", "deepseek_vl", "janus"], "llama"),
    (&["idefics2"], "mistral"),
    (&["paligemma"], "gemma"),
    (&["aya_vision", "cohere2_vision"], "cohere2"),
    (&["aria"], "aria_text"),
    (
        &[
            "llava_onevision",
            "internvl",
            "internvl_chat",
            "ovis2",
            "got_ocr2",
            "pp_chart2table",
            "video_llama_3",
        ],
        "qwen2",
    ),
    (&["qwen2_vl"], "qwen2_vl_text"),
    (&["qwen2_5_vl"], "qwen2_5_vl_text"),
    (&["gemma3n"], "gemma3n_text"),
    (&["gemma4_unified"], "gemma4_unified_text"),
    (&["minimax_m3_vl"], "minimax_m3_vl_text"),
    (&["inkling2"], "inkling2_text"),
    (&["inkling2_loop"], "inkling2_loop_text"),
    (&["granite_docling"], "granite_docling_text"),
    (&["unlimited_ocr"], "unlimited_ocr_text"),
    (&["moss_transcribe_diarize"], "qwen3"),
    (&["kimi_k3"], "kimi_linear"),
    (&["inkling_mm_model"], "inkling_text"),
    (&["lfm2_vl"], "lfm2"),
    (&["lfm3_vl"], "lfm3"),
    (&["exaone4_5"], "exaone4"),
    (&["hyperclovax_vision_v2"], "hyperclovax"),
    (&["fuyu"], "persimmon"),
    (&["lighton_ocr", "qianfan_ocr"], "qwen3"),
    (&["nemotron_h_omni"], "nemotron_h"),
    (&["minicpmv4_6", "minicpmv4_7"], "qwen3_5_text"),
    (&["glm4v", "glm46v", "glmga"], "glm4v_text"),
    (&["glm4v_moe"], "glm4v_moe_text"),
    (&["glm_ocr"], "glm_ocr_text"),
    (&["qwen2_5_omni", "qwen2_5_omni_thinker"], "qwen2_5_omni_text"),
    (&["qwen3_omni_moe", "qwen3_omni_moe_thinker"], "qwen3_omni_moe_text"),
    (&["dots3_note"], "dots3_note_text"),
    (&["cohere_compass"], "cohere_compass_text"),
    (&["cosmos3_edge"], "cosmos3_edge_text"),
    (&["emu3"], "emu3_text_model"),
    (&["ernie4_5_vl_moe", "ernie4_5_moe_vl"], "ernie4_5_vl_moe_text"),
    (&["paddleocr_vl"], "ernie4_5"),
    (&["glm5_next"], "glm5_next_text"),
    (&["hunyuan_vl"], "hunyuan_vl_text"),
    (&["mistral_large4"], "mistral_large4_text"),
    (&["molmo2"], "molmo2_text"),
    (&["muse_glimmer"], "muse_glimmer_text"),
    (&["muse_spark"], "muse_spark_text"),
    (&["qwen4_exp"], "qwen4_exp_text"),
    (&["step3_vl"], "step3_text"),
    (&["step3p7"], "step3p5"),
];

/// The type of a wrapper's language model, where its file does not say.
fn language_model(wrapper: &str) -> &'static str {
    let known = TEXT_TYPES.iter().find(|(types, _)| types.contains(&wrapper));
    known.map_or("llama", |(_, text)| text)
}

/// A wrapper whose towers are not known: the language model alone.
pub(super) fn text_alone(
    config: &Config,
    scope: Scope,
    families: Lookup,
) -> Result<Architecture, Diagnostic> {
    let wrapper = config.opt_str("model_type")?.unwrap_or_default();
    let mut architecture = text(config, language_model(wrapper), families)?;
    note_towers(config, scope, &mut architecture);
    Ok(architecture)
}

/// An unknown type, maybe a wrapper of a known one.
pub(super) fn unknown(config: &Config, scope: Scope, families: Lookup) -> Result<Architecture, Diagnostic> {
    let mut architecture = text(config, "", families)?;
    add_named_tower(config, scope, &mut architecture)?;
    note_towers(config, scope, &mut architecture);
    if !architecture.notes.iter().any(|note| note.starts_with("unknown model_type")) {
        architecture.notes.push("unknown model_type around a known language model".into());
    }
    Ok(architecture)
}

/// Says which towers are left out.
fn note_towers(config: &Config, scope: Scope, architecture: &mut Architecture) {
    let left_out: Vec<&str> = TOWERS.iter().copied().filter(|key| config.has(key)).collect();
    if scope == Scope::Full && !left_out.is_empty() {
        architecture.text_only = true;
        let fields = left_out.join(", ");
        architecture
            .notes
            .push(format!("only the language model is counted: the tensors of {fields} are not known"));
    }
}
