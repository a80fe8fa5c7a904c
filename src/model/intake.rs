//! From what the user names (a path, a catalogue name, an id of the hub) to a model.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::catalog::{Catalog, Entry, Kind};
use crate::checkpoint::gguf;
use crate::diagnostic::{Code, Diagnostic};
use crate::hub::{Hub, Id, Text};
use crate::load;

use super::assembly::from_parts;
use super::config::{self, Config};
use super::{Model, Quantisation, Scope, from_gguf, names};

/// Finds a model among the built-in ones, with `folders` of `<org>--<name>.json` before them: [`find_in`].
///
/// # Errors
/// As [`find_in`], and when a folder does not exist.
pub fn find(name: &str, folders: &[PathBuf], scope: Scope) -> Result<Model, Diagnostic> {
    find_in(&Catalog::built_in().with_models(folders)?, name, scope)
}

/// Finds a model that is at hand: a path to a `config.json`, to a folder that holds one or to a GGUF
/// file, or a name or alias of the catalogue.
///
/// # Errors
/// [`Code::UnknownName`] with the nearest known name, or what is wrong with the file.
pub fn find_in(catalog: &Catalog, name: &str, scope: Scope) -> Result<Model, Diagnostic> {
    find_with(catalog, name, scope, &Hub::none())
}

/// The same, and where the name is nowhere at hand, `org/name` or `org/name@revision` in the hub's local
/// cache, then on the hub itself.
///
/// # Errors
/// As [`find_in`], and [`Code::Hub`] when neither has it.
pub fn find_with(catalog: &Catalog, name: &str, scope: Scope, hub: &Hub) -> Result<Model, Diagnostic> {
    if catalog.is_sealed() {
        return find_named(catalog, name, scope);
    }
    match find_path(name, scope)? {
        Some(model) => Ok(model),
        None => match find_named(catalog, name, scope) {
            Err(unknown) if unknown.code == Code::UnknownName => find_on_hub(name, unknown, scope, hub),
            found => found,
        },
    }
}

/// A model by its path, if the name is one.
fn find_path(name: &str, scope: Scope) -> Result<Option<Model>, Diagnostic> {
    let path = Path::new(name);
    if path.is_dir() {
        return read_folder(path, name, scope).map(Some);
    }
    if gguf::is_gguf(path) {
        return from_gguf(&gguf::open(path)?, name, scope).map(Some);
    }
    if path.extension().is_some_and(|e| e == "safetensors") || name.ends_with(".safetensors.index.json") {
        return beside_weights(path, name, scope).map(Some);
    }
    let looks_like_path = name.ends_with(".json") || name.starts_with(['.', '/', '~']) || path.is_file();
    if !looks_like_path {
        return Ok(None);
    }
    read_file(path, name, scope).map(Some)
}

/// The model of a folder as it is on the hub.
fn read_folder(folder: &Path, name: &str, scope: Scope) -> Result<Model, Diagnostic> {
    read_file(&folder.join("config.json"), name, scope)
}

/// The model of a `config.json`, and of ModelOpt's file beside it.
fn read_file(path: &Path, name: &str, scope: Scope) -> Result<Model, Diagnostic> {
    let quantisation = path.with_file_name("hf_quant_config.json");
    let mut map = config::parse(&load::text(path)?, &path.display().to_string())?;
    if quantisation.is_file() {
        let text = load::text(&quantisation)?;
        add_quantisation(&mut map, &config::parse(&text, &quantisation.display().to_string())?);
    }
    from_config(&map, name, scope)
}

/// The model whose weights these are, by the `config.json` beside them.
fn beside_weights(path: &Path, name: &str, scope: Scope) -> Result<Model, Diagnostic> {
    let folder = path.parent().unwrap_or(Path::new(""));
    if folder.join("config.json").is_file() {
        return read_folder(folder, name, scope);
    }
    load::Binary::open(path)?;
    Err(Diagnostic::new(Code::Model, "safetensors files hold weights, not what the model is made of")
        .at(path.display().to_string())
        .help("put the model's config.json beside them, or name it and compare with --verify"))
}

/// A model by a name of the catalogue.
fn find_named(catalog: &Catalog, name: &str, scope: Scope) -> Result<Model, Diagnostic> {
    let found = catalog.find(Kind::Model, name).or_else(|unknown| names::find(catalog, name)?.ok_or(unknown));
    let entry = found.map_err(|d| {
        let help = d.help.clone().unwrap_or_default();
        d.help(format!("{help}; a path to a config.json and org/name on the hub work too"))
    })?;
    let place = if matches!(entry, Entry::File(_)) { entry.place() } else { entry.id().to_owned() };
    let model = from_config(&config::parse(&entry.text()?, &place)?, &names::heading(&entry, name), scope);
    model.map_err(|d| match entry {
        Entry::File(_) => load::tree::blame(d, &place),
        Entry::BuiltIn(_) => d,
    })
}

/// A model of the hub, if the name can be one there; `unknown` is what the catalogue said.
fn find_on_hub(name: &str, unknown: Diagnostic, scope: Scope, hub: &Hub) -> Result<Model, Diagnostic> {
    let Some(id) = Id::parse(name) else { return Err(unknown) };
    if hub.cache.is_none() && hub.offline {
        return Err(unknown);
    }
    let found = download(&id, hub).map_err(|refused| match (&unknown.help, &refused.help) {
        // A misspelt name of the catalogue is likelier than a model that nobody has.
        (Some(near), Some(help)) if near.starts_with("did you mean") => {
            let near = near.split('?').next().unwrap_or_default().to_owned();
            let help = help.clone();
            refused.help(format!("{near}? Otherwise: {help}"))
        }
        _ => refused,
    })?;
    from_config(&found.config, &id.to_string(), scope)
}

/// A configuration from the hub.
#[derive(Clone, Debug, PartialEq)]
pub struct Downloaded {
    /// The object of its `config.json`.
    pub config: Map<String, Value>,
    /// The commit that it is from, if known.
    pub commit: Option<String>,
}

/// The `config.json` of a model of the hub, its quantisation included.
///
/// # Errors
/// [`Code::Hub`] when neither cache nor hub has it, [`Code::Syntax`] when it is no JSON.
pub fn download(id: &Id, hub: &Hub) -> Result<Downloaded, Diagnostic> {
    let Some(Text { text, commit }) = hub.text(id, "config.json")? else {
        return Err(Diagnostic::new(Code::Hub, format!("`{id}` has no config.json"))
            .at(hub.address(id, ""))
            .help("is it a model of another library, an adapter, or GGUF files only?"));
    };
    let mut map = config::parse(&text, &hub.address(id, "config.json"))?;
    if !map.contains_key("quantization_config")
        && let Some(file) = hub.text(id, "hf_quant_config.json")?
    {
        add_quantisation(&mut map, &config::parse(&file.text, &hub.address(id, "hf_quant_config.json"))?);
    }
    Ok(Downloaded { config: map, commit })
}

/// ModelOpt's older exports keep the quantisation in a file of its own, `hf_quant_config.json`, under
/// `quantization`; the newer ones repeat it in `config.json`.
fn add_quantisation(config: &mut Map<String, Value>, file: &Map<String, Value>) {
    if let Some(Value::Object(quantisation)) = file.get("quantization")
        && !config.contains_key("quantization_config")
    {
        let mut quantisation = quantisation.clone();
        quantisation.entry("quant_method").or_insert_with(|| "modelopt".into());
        config.insert("quantization_config".into(), quantisation.into());
    }
}

/// A model from the object of a `config.json`.
///
/// # Errors
/// [`Code::Model`] naming the field that is missing or impossible.
pub fn from_config(map: &Map<String, Value>, id: &str, scope: Scope) -> Result<Model, Diagnostic> {
    let root = Config::new(map, id);
    let quantisation = Quantisation::read(&root)?;
    from_parts(&root, id, scope, quantisation)
}
