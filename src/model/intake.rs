//! From what the user names (a path, a catalogue name, an id of the hub) to a model.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value};

use crate::catalog::{Catalog, Entry, Kind, known};
use crate::checkpoint::{self, Weights, gguf};
use crate::diagnostic::{Code, Diagnostic, brief};
use crate::hub::{Hub, Id, Text};
use crate::load;

use super::assembly::from_parts;
use super::config::{self, Config};
use super::{Model, Quantisation, Scope, Task, copies, from_gguf, names, other_files, quantisation};
use crate::units::Bytes;

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
    let name = names::plain(name);
    let unread = |unknown: Diagnostic| find_copy(catalog, name, scope)?.ok_or(unknown);
    if catalog.is_sealed() {
        return find_named(catalog, name, scope).or_else(|unknown| match unknown.code {
            Code::UnknownName => unread(unknown),
            _ => Err(unknown),
        });
    }
    // The name of a file that is not here may say which model and format it is of.
    if gguf::is_gguf(Path::new(name))
        && !Path::new(name).exists()
        && let Ok(found) = find_named(catalog, name, scope)
    {
        return Ok(found);
    }
    match find_path(name, scope)? {
        Some(model) => Ok(model),
        None => match find_named(catalog, name, scope) {
            Err(unknown) if unknown.code == Code::UnknownName && !is_known(name) => {
                find_on_hub(name, unknown, scope, hub).or_else(unread)
            }
            found => found,
        },
    }
}

/// Whether a name is of something that no hub makes a language model.
fn is_known(name: &str) -> bool {
    known::answer(Kind::Model, name).is_some()
}

/// A copy of a model of the catalogue, or one in another format, by its name alone.
fn find_copy(catalog: &Catalog, name: &str, scope: Scope) -> Result<Option<Model>, Diagnostic> {
    // Words before a publisher's name are no part of it.
    if name.rsplit_once('/').is_some_and(|(publisher, _)| publisher.contains(char::is_whitespace)) {
        return Ok(None);
    }
    let whole = copies::Copied { of: tail(name).to_owned(), quantisation: None, word: String::new() };
    for copied in [whole, copies::read(name)] {
        let known = catalog.find(Kind::Model, &copied.of).ok();
        let found = known.map_or_else(|| names::find(catalog, &copied.of).ok().flatten(), Some);
        let Some(entry) = found else { continue };
        let config = copies::in_format(config::parse(&entry.text()?, entry.id())?, &copied);
        let mut model = from_config(&config, name, scope)?;
        let format = match copied.word.as_str() {
            "" => String::new(),
            word => format!(", in {word} as such copies usually are"),
        };
        model.notes.push(format!(
            "`{}` is taken for a copy of {} by its name{format}",
            brief(name),
            entry.id()
        ));
        return Ok(Some(model));
    }
    Ok(None)
}

/// A name without its organisation.
fn tail(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(_, tail)| tail)
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
    let config = folder.join("config.json");
    if !config.exists() {
        return Err(other_files::of_folder(folder));
    }
    let mut model = read_file(&config, name, scope)?;
    model.notes.extend(against_index(folder, &model));
    Ok(model)
}

/// Files beside a `config.json` that say how the weights are stored: ModelOpt's, GPTQ's, AWQ's and AutoRound's.
const QUANTISATION_FILES: [&str; 4] =
    ["hf_quant_config.json", "quantize_config.json", "quant_config.json", "quantization_config.json"];

/// The model of a `config.json`, with what a file beside it says of its quantisation.
fn read_file(path: &Path, name: &str, scope: Scope) -> Result<Model, Diagnostic> {
    let mut map = config::parse(&load::text(path)?, &path.display().to_string())?;
    let mut notes = Vec::new();
    let mut taken = None;
    for file in QUANTISATION_FILES {
        let beside = path.with_file_name(file);
        if !beside.is_file() {
            continue;
        }
        if !states_quantisation(&map) {
            add_quantisation(&mut map, config::parse(&load::text(&beside)?, &beside.display().to_string())?);
            taken = Some(file);
        } else if let Some(taken) = taken {
            notes.push(format!(
                "how the weights are stored is taken from {taken}: {file} beside it is not read"
            ));
        }
    }
    if path.with_file_name("adapter_config.json").is_file() {
        notes.push("adapter_config.json stands beside it: the model is read without the adapter".into());
    }
    if !quantisation::states_type(&Config::new(&map, "")) {
        notes.push(
            "no torch_dtype given: weights are taken for 16 bits, and files that do not say are often stored in 32".into(),
        );
    }
    let model = from_config(&map, name, scope)?;
    let mut model = if is_pooled(path) { pooled(model) } else { model };
    model.notes.extend(notes);
    Ok(model)
}

/// Whether Sentence Transformers reads vectors from what a checkpoint makes, by the list of modules beside its
/// `config.json`.
fn is_pooled(config: &Path) -> bool {
    let list = config.with_file_name("modules.json");
    let text = if list.is_file() { load::text(&list).ok() } else { None };
    let modules: Option<Vec<Value>> = text.and_then(|text| serde_json::from_str(&text).ok());
    let pools = |module: &Value| module["type"].as_str().is_some_and(|kind| kind.ends_with(".Pooling"));
    modules.unwrap_or_default().iter().any(pools)
}

/// A decoder from which vectors are read: its checkpoint has no output projection, whatever class its file names
/// (Qwen3-Embedding).
fn pooled(model: Model) -> Model {
    if model.task != Task::Generation {
        return model;
    }
    let mut model = Model { task: Task::Embedding, ..model.without_head() };
    model.notes.push(
        "modules.json beside it pools what it makes: the model is read as one that makes vectors, without output projection"
            .into(),
    );
    model
}

/// Whether a configuration says itself how its weights are stored.
fn states_quantisation(config: &Map<String, Value>) -> bool {
    quantisation::is_stated(&Config::new(config, ""))
}

/// Bytes of the tensors in a folder's weight files, as their index or the header of a single file says, and which of these
/// says so; `None` where neither is there.
fn stored_in(folder: &Path) -> Option<(&'static str, Result<u64, String>)> {
    const INDEX: &str = "model.safetensors.index.json";
    const SINGLE: &str = "model.safetensors";
    if folder.join(INDEX).is_file() {
        let sized = || {
            let text = load::text(&folder.join(INDEX)).map_err(|d| d.cause)?;
            let index: Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
            let size = &index["metadata"]["total_size"];
            // Some tools write a number with a point, or as text.
            let size = size.as_f64().or_else(|| size.as_str()?.trim().parse().ok());
            size.filter(|size| *size >= 1.0).map(|size| size as u64).ok_or("it says no total_size".to_owned())
        };
        return Some(("the index of its weight files", sized()));
    }
    let single = folder.join(SINGLE);
    let sum = |weights: Weights| weights.tensors.iter().map(|tensor| tensor.bytes).sum();
    let read = || checkpoint::local(&single).map(sum).map_err(|d| d.cause);
    single.is_file().then(|| ("the header of its weight file", read()))
}

/// Where a folder's weight files have another size than the model's tensors add up to, or do not say theirs: a sentence
/// that says so.
fn against_index(folder: &Path, model: &Model) -> Option<String> {
    let (says, stored) = stored_in(folder)?;
    let stored = match stored {
        Ok(stored) => stored,
        Err(cause) => return Some(format!("{says} cannot be compared with the model: {cause}")),
    };
    let predicting = model.clone().with_prediction().checkpoint_bytes().get();
    let near = |counted: u64| (counted as f64 / stored as f64 - 1.0).abs() <= 0.01;
    let counted = model.checkpoint_bytes().get();
    (!near(counted) && !near(predicting)).then(|| {
        format!(
            "{says} says {}, its tensors add up to {}: --verify compares them one by one",
            Bytes::new(stored),
            Bytes::new(counted)
        )
    })
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
    let known = catalog.find(Kind::Model, name);
    let typed = known.is_err();
    let found = known.or_else(|unknown| names::find(catalog, name)?.ok_or(unknown));
    let entry = found.map_err(|d| {
        let help = d.help.clone().unwrap_or_default();
        // Of a name that says a family, its members.
        let family = if help.starts_with("did you mean") || help.starts_with("write ") || is_known(name) {
            Vec::new()
        } else {
            names::family(catalog, name)
        };
        let family = family.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(" or ");
        match (is_known(name), family.is_empty()) {
            (true, _) => d,
            (false, true) => {
                d.help(format!("{help}; a path to a config.json and org/name on the hub work too"))
            }
            (false, false) => d.help(format!(
                "write {family}; {help}; a path to a config.json and org/name on the hub work too"
            )),
        }
    })?;
    let place = if matches!(entry, Entry::File(_)) { entry.place() } else { entry.id().to_owned() };
    let heading = names::heading(&entry, name);
    let written = || config::parse(&entry.text()?, &place);
    let mut model = match entry {
        Entry::File(_) => {
            from_config(&written()?, &heading, scope).map_err(|d| load::tree::blame(d, &place))?
        }
        Entry::BuiltIn(shipped) => {
            read_lately((shipped.id, &heading, scope), || from_config(&written()?, &heading, scope))?
        }
    };
    model.notes.extend(names::note(name, &entry).filter(|_| typed));
    Ok(model)
}

/// Models that ship and are remembered, those that were asked about last.
const REMEMBERED: usize = 16;

/// A model that ships, by its entry, what it is called and what of it is meant: as it was read lately, else as `read` has it.
/// Whoever asks in a row, a page or a notebook, asks about the same few.
fn read_lately(
    (id, heading, scope): (&'static str, &str, Scope),
    read: impl FnOnce() -> Result<Model, Diagnostic>,
) -> Result<Model, Diagnostic> {
    type Read = (&'static str, String, Scope, Arc<Model>);
    static LATELY: Mutex<VecDeque<Read>> = Mutex::new(VecDeque::new());
    // Whoever panics has not begun to write.
    let lately = || LATELY.lock().unwrap_or_else(PoisonError::into_inner);
    let is_it = |(of, called, meant, _): &&Read| *of == id && called == heading && *meant == scope;
    let known = lately().iter().find(is_it).map(|(.., model)| Arc::clone(model));
    if let Some(known) = known {
        return Ok(Model::clone(&known));
    }
    let model = read()?;
    let mut lately = lately();
    if lately.len() >= REMEMBERED {
        lately.pop_front();
    }
    lately.push_back((id, heading.to_owned(), scope, Arc::new(model.clone())));
    Ok(model)
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
    // ModelOpt writes its file beside every configuration; the older ones are asked for by the name's own word.
    let name = id.repository.to_ascii_lowercase();
    let older =
        ["gptq", "awq", "int4", "int8", "w4", "w8", "4bit", "8bit"].iter().any(|word| name.contains(word));
    for file in QUANTISATION_FILES.iter().take(if older { QUANTISATION_FILES.len() } else { 1 }) {
        if !states_quantisation(&map)
            && let Some(found) = hub.text(id, file)?
        {
            add_quantisation(&mut map, config::parse(&found.text, &hub.address(id, file))?);
        }
    }
    Ok(Downloaded { config: map, commit })
}

/// Older exports keep the quantisation in a file of its own, ModelOpt's under `quantization`; newer ones repeat it in
/// `config.json`.
fn add_quantisation(config: &mut Map<String, Value>, file: Map<String, Value>) {
    // Files of the same name beside ONNX exports say nothing of these weights.
    let of_weights =
        ["bits", "w_bit", "wbits", "quant_method", "quantization", "quant_algo", "config_groups"];
    if of_weights.iter().any(|key| file.contains_key(*key)) {
        config.insert("quantization_config".into(), file.into());
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
