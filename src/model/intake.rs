//! From what the user names (catalogue name, alias, path to a `config.json` or its folder) to a model.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::catalog::{self, Kind};
use crate::diagnostic::{Code, Diagnostic};
use crate::load;

use super::config::{self, Config};
use super::{Model, Quantisation, Scope, families, quantisation};

/// Finds a model: a path to a `config.json` or to a folder that holds one, a file
/// `<org>--<name>.json` in one of `folders`, or a catalogue name or alias.
///
/// # Errors
/// [`Code::UnknownName`] with the nearest known name, or what is wrong with the file.
pub fn find(name: &str, folders: &[PathBuf], scope: Scope) -> Result<Model, Diagnostic> {
    let path = Path::new(name);
    if path.is_dir() {
        return read_file(&path.join("config.json"), name, scope);
    }
    let looks_like_path = name.ends_with(".json") || name.starts_with(['.', '/', '~']) || path.is_file();
    if looks_like_path {
        return read_file(path, name, scope);
    }
    for folder in folders {
        let file = folder.join(format!("{}.json", name.replacen('/', "--", 1)));
        if file.is_file() {
            return read_file(&file, name, scope);
        }
    }
    let entry = catalog::find(Kind::Model, name).map_err(|d| {
        let help = d.help.clone().unwrap_or_default();
        d.help(format!("{help}; a path to a config.json works too"))
    })?;
    from_config(&config::parse(entry.json, entry.id)?, entry.id, scope)
}

fn read_file(path: &Path, name: &str, scope: Scope) -> Result<Model, Diagnostic> {
    let place = path.display().to_string();
    let text = load::text(path)?;
    let mut map = config::parse(&text, &place)?;
    add_modelopt(&mut map, path)?;
    from_config(&map, name, scope)
}

/// Adds the quantisation that ModelOpt's older versions write into a file of its own beside `config.json`.
fn add_modelopt(map: &mut Map<String, Value>, path: &Path) -> Result<(), Diagnostic> {
    let beside = path.with_file_name("hf_quant_config.json");
    if map.contains_key("quantization_config") || !beside.is_file() {
        return Ok(());
    }
    let file = config::parse(&load::text(&beside)?, &beside.display().to_string())?;
    if let Some(quantisation) = quantisation::of_modelopt(file) {
        map.insert("quantization_config".into(), quantisation);
    }
    Ok(())
}

/// A model from the object of a `config.json`.
///
/// # Errors
/// [`Code::Model`] naming the field that is missing or impossible.
pub fn from_config(map: &Map<String, Value>, id: &str, scope: Scope) -> Result<Model, Diagnostic> {
    let root = Config::new(map, id);
    let Some(model_type) = root.opt_str("model_type")? else {
        return Err(Diagnostic::new(Code::Model, "missing field `model_type`")
            .at(id)
            .help("is this a config.json of a language model?"));
    };
    let quantisation = Quantisation::read(&root)?;
    let (recognised, architecture) = match families::of(model_type) {
        Some(family) => {
            let root = root.with_defaults(families::defaults(model_type));
            (true, (family.read)(&root, scope)?)
        }
        None => (false, families::read_unknown(&root, scope)?),
    };
    Model::build(id, model_type, recognised, scope, architecture, quantisation)
}
