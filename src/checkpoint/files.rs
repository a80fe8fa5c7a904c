//! From a path or a repository to the tensors of all its weight files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::diagnostic::{Code, Diagnostic};
use crate::hub::{Hub, Id};
use crate::load::{self, Binary};

use super::{Remote, StoredTensor, safetensors};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// More files than any checkpoint has.
const MAX_FILES: usize = 2048;

/// The tensors of a checkpoint.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weights {
    /// All of them, in the files' order.
    pub tensors: Vec<StoredTensor>,
    /// How many files hold them.
    pub files: usize,
}

/// Which file each tensor is in.
#[derive(Deserialize)]
struct Index {
    weight_map: std::collections::BTreeMap<String, String>,
}

/// Reads the headers of a safetensors file, of the files of an index, or of those in a folder.
///
/// # Errors
/// [`Code::File`] when there are none, [`Code::Model`] when one is malformed or they contradict the
/// index.
pub fn local(path: &Path) -> Result<Weights, Diagnostic> {
    if path.is_dir() {
        return folder(path);
    }
    if path.to_string_lossy().ends_with(".index.json") {
        let folder = path.parent().unwrap_or(Path::new(""));
        return indexed(&load::text(path)?, &path.display().to_string(), |file| {
            safetensors::read(&Binary::open(&folder.join(file))?)
        });
    }
    Ok(Weights { tensors: safetensors::read(&Binary::open(path)?)?, files: 1 })
}

fn folder(path: &Path) -> Result<Weights, Diagnostic> {
    for file in [INDEX, SINGLE] {
        if path.join(file).is_file() {
            return local(&path.join(file));
        }
    }
    let is_weights = |p: &PathBuf| p.extension().is_some_and(|e| e == "safetensors");
    let found: Vec<PathBuf> = load::entries(path)?.into_iter().filter(is_weights).collect();
    if found.is_empty() {
        return Err(Diagnostic::new(Code::File, "no safetensors files here").at(path.display().to_string()));
    }
    let mut weights = Weights { tensors: Vec::new(), files: found.len() };
    for file in found.iter().take(MAX_FILES) {
        weights.tensors.extend(safetensors::read(&Binary::open(file)?)?);
    }
    without_repetition(&weights, &path.display().to_string())?;
    Ok(weights)
}

/// Reads the headers of a repository's safetensors files, by ranges of the remote files.
///
/// # Errors
/// As [`local`], and those of the hub.
pub fn remote(hub: &Hub, id: &Id) -> Result<Weights, Diagnostic> {
    if let Some(snapshot) = hub.snapshot(id)
        && [INDEX, SINGLE].iter().any(|file| snapshot.join(file).is_file())
        && let Ok(weights) = folder(&snapshot)
    {
        return Ok(weights);
    }
    let read = |file: &str| safetensors::read(&Remote { hub, id, file });
    let part = crate::hub::Part::Whole { limit: load::MAX_INPUT_BYTES };
    match hub.get(id, INDEX, part)? {
        Some(download) => {
            let place = hub.address(id, INDEX);
            let text = String::from_utf8(download.bytes)
                .map_err(|_| Diagnostic::new(Code::Model, "the index is not text").at(place.clone()))?;
            indexed(&text, &place, read)
        }
        None => Ok(Weights { tensors: read(SINGLE)?, files: 1 }),
    }
}

/// The tensors of the files of an index, which must agree with it.
fn indexed(
    text: &str,
    place: &str,
    read: impl Fn(&str) -> Result<Vec<StoredTensor>, Diagnostic>,
) -> Result<Weights, Diagnostic> {
    let wrong = |cause: String| Diagnostic::new(Code::Model, cause).at(place.to_owned());
    let index: Index = load::json(text, place)?;
    let files: BTreeSet<&str> = index.weight_map.values().map(String::as_str).collect();
    if files.len() > MAX_FILES {
        return Err(wrong(format!("an index of more than {MAX_FILES} files")));
    }
    let mut weights = Weights { tensors: Vec::new(), files: files.len() };
    for file in files {
        if !is_plain(file) {
            return Err(wrong("the index names a file outside its folder".into()));
        }
        for tensor in read(file)? {
            if index.weight_map.get(&tensor.name).map(String::as_str) != Some(file) {
                return Err(wrong(format!("`{}` is in {file}, which the index does not say", tensor.name)));
            }
            weights.tensors.push(tensor);
        }
    }
    if weights.tensors.len() < index.weight_map.len() {
        let missing = index.weight_map.len() - weights.tensors.len();
        return Err(wrong(format!("{missing} tensors of the index are in none of its files")));
    }
    Ok(weights)
}

/// A file's name and nothing else.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', ':', '\0', '?', '#', '%'])
}

fn without_repetition(weights: &Weights, place: &str) -> Result<(), Diagnostic> {
    let mut seen = BTreeSet::new();
    match weights.tensors.iter().find(|tensor| !seen.insert(tensor.name.as_str())) {
        Some(twice) => Err(Diagnostic::new(Code::Model, format!("two files hold `{}`", twice.name))
            .at(place.to_owned())
            .help("name one file, or the index of those that belong together")),
        None => Ok(()),
    }
}
