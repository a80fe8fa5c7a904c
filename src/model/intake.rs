//! From what the user names (catalogue name, alias, path to a `config.json` or its folder) to a model.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::catalog::{Catalog, Entry, Kind};
use crate::diagnostic::{Code, Diagnostic};
use crate::load;

use super::config::{self, Config};
use super::{Model, Quantisation, Scope, families, quantisation};

/// Finds a model among the built-in ones, with `folders` of `<org>--<name>.json` before them: [`find_in`].
///
/// # Errors
/// As [`find_in`], and when a folder does not exist.
pub fn find(name: &str, folders: &[PathBuf], scope: Scope) -> Result<Model, Diagnostic> {
    find_in(&Catalog::built_in().with_models(folders)?, name, scope)
}

/// Finds a model: a path to a `config.json` or to a folder that holds one, or a name or alias of the
/// catalogue.
///
/// # Errors
/// [`Code::UnknownName`] with the nearest known name, or what is wrong with the file.
pub fn find_in(catalog: &Catalog, name: &str, scope: Scope) -> Result<Model, Diagnostic> {
    let path = Path::new(name);
    if path.is_dir() {
        return read_file(&path.join("config.json"), name, scope);
    }
    let looks_like_path = name.ends_with(".json") || name.starts_with(['.', '/', '~']) || path.is_file();
    if looks_like_path {
        return read_file(path, name, scope);
    }
    let entry = catalog.find(Kind::Model, name).map_err(|d| {
        let help = d.help.clone().unwrap_or_default();
        d.help(format!("{help}; a path to a config.json works too"))
    })?;
    let place = if matches!(entry, Entry::File(_)) { entry.place() } else { entry.id().to_owned() };
    let model = from_config(&config::parse(&entry.text()?, &place)?, entry.id(), scope);
    model.map_err(|d| match entry {
        Entry::File(_) => load::tree::blame(d, &place),
        Entry::BuiltIn(_) => d,
    })
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
