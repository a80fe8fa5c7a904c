//! Files that are no `config.json` of a model, named for what they are, with what to do.

use std::path::Path;

use serde_json::{Map, Value};

use super::config::Config;
use crate::diagnostic::{Code, Diagnostic};
use crate::load;

fn is(cause: impl Into<String>, help: impl Into<String>) -> Diagnostic {
    Diagnostic::new(Code::Model, cause).help(help)
}

/// What a file without `model_type` is, by the fields that it has.
pub(super) fn without_type(config: &Config) -> Diagnostic {
    let has = |keys: &[&str]| keys.iter().all(|key| config.mentions(key));
    if has(&["peft_type"]) || has(&["base_model_name_or_path"]) {
        return adapter(config);
    }
    if has(&["weight_map"]) {
        return is("an index of weight files, not a config.json", "name the folder that holds both");
    }
    if has(&["ssm_cfg"]) {
        return is(
            "a config.json of the package mamba-ssm, which says `d_model`, `n_layer` and `ssm_cfg`",
            "take the model's Transformers version, whose name ends in -hf",
        );
    }
    if has(&["dim", "n_layers"]) {
        return is(
            "a params.json, in which Meta's and Mistral's own code keeps its sizes",
            "take the config.json of the model's Transformers version, or give its sizes with --shape",
        );
    }
    if has(&["_class_name"]) || has(&["_diffusers_version"]) {
        return is(
            "a configuration of Diffusers, not of a language model",
            "image generation is not planned here",
        );
    }
    if has(&["producer", "quantization"])
        || has(&["quant_method"])
        || has(&["bits", "group_size"])
        || has(&["w_bit"])
    {
        return is(
            "this says how weights are quantised, not what the model is made of",
            "name the folder that holds it and the model's config.json",
        );
    }
    if has(&["tokenizer_class"]) || has(&["added_tokens_decoder"]) {
        return is("a tokeniser's configuration", "name the config.json beside it");
    }
    if has(&["image_processor_type"]) || has(&["feature_extractor_type"]) || has(&["processor_class"]) {
        return is("a processor's configuration", "name the config.json beside it");
    }
    if has(&["_from_model_config"]) || has(&["do_sample"]) {
        return is("a generation_config.json", "name the config.json beside it");
    }
    Diagnostic::new(Code::Model, "missing field `model_type`")
        .help("is this a config.json of a language model?")
}

/// An adapter, by its `adapter_config.json`.
fn adapter(config: &Config) -> Diagnostic {
    let text = |key: &str| config.opt_str(key).ok().flatten();
    let base = text("base_model_name_or_path");
    let kind = text("peft_type").unwrap_or("PEFT");
    let rank = config.opt_size("r").ok().flatten();
    let of = base.map_or_else(|| "a model that it does not name".to_owned(), |base| format!("`{base}`"));
    let cause = match rank {
        Some(rank) => format!("this is not a model but a {kind} adapter of {of}, of rank {rank}"),
        None => format!("this is not a model but a {kind} adapter of {of}"),
    };
    let rank = rank.map_or_else(|| "N".to_owned(), |rank| rank.to_string());
    is(
        cause,
        format!(
            "ask for the model with room for the adapter: {} --lora rank={rank}",
            base.unwrap_or("MODEL")
        ),
    )
}

/// What a folder without `config.json` holds instead.
pub(super) fn of_folder(folder: &Path) -> Diagnostic {
    let place = folder.display().to_string();
    let object = |name: &str| -> Option<Map<String, Value>> {
        let path = folder.join(name);
        if !path.is_file() {
            return None;
        }
        serde_json::from_str(&load::text(&path).ok()?).ok()
    };
    if let Some(map) = object("adapter_config.json") {
        return adapter(&Config::new(&map, &place)).at(place);
    }
    if let Some(map) = object("params.json") {
        return without_type(&Config::new(&map, &place)).at(folder.join("params.json").display().to_string());
    }
    if folder.join("model_index.json").is_file() {
        return is("a pipeline of Diffusers, not a language model", "image generation is not planned here")
            .at(place);
    }
    let mut files = load::entries(folder).unwrap_or_default();
    files.retain(|path| path.extension().is_some_and(|end| end == "gguf"));
    match files.first() {
        Some(file) => is(
            format!(
                "the folder has no config.json; it holds {} GGUF",
                if files.len() == 1 { "a" } else { "several" }
            ),
            format!("name the file: {}", file.display()),
        )
        .at(place),
        None => Diagnostic::new(Code::File, "the folder has no config.json")
            .at(place)
            .help("name the folder of a model as it is on the hub, or its config.json"),
    }
}
