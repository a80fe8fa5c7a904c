//! GGUF files as models: metadata as the fields of a `config.json`, storage from the table of tensors.

mod keys;
mod storage;

use crate::checkpoint::gguf::Gguf;
use crate::diagnostic::{Code, Diagnostic};

use super::assembly::from_parts;
use super::config::Config;
use super::{Model, Quantisation, Scope};

/// Parts of tensor names that belong to layers without attention: their sizes are not in fields that the
/// general rules know.
const RECURRENT: &[&str] = &[".ssm_", ".time_mix_", ".shortconv."];

/// A model from the header of a GGUF file.
///
/// # Errors
/// [`Code::Model`] when the metadata lacks a size, or the file is of a kind that is not read.
pub fn from_gguf(gguf: &Gguf, id: &str, scope: Scope) -> Result<Model, Diagnostic> {
    let wrong = |cause: String| Diagnostic::new(Code::Model, cause).at(id.to_owned());
    let Some(architecture) = gguf.text("general.architecture") else {
        return Err(wrong("the GGUF file does not say `general.architecture`".into()));
    };
    if matches!(gguf.text("general.type"), Some("adapter" | "mmproj" | "imatrix" | "vocab")) {
        return Err(wrong("this GGUF file holds no model of its own".into())
            .help("name the file with the model's layers"));
    }
    let row = keys::row_of(architecture);
    let recurrent = gguf.tensors.iter().any(|t| RECURRENT.iter().any(|part| t.name.contains(part)));
    if recurrent {
        return Err(wrong(format!("GGUF files of `{architecture}`, with recurrent layers, are not read"))
            .help("name the config.json of the model that it was made from"));
    }
    let map = keys::config(gguf, architecture, row)?;
    let root = Config::new(&map, id);
    let quantisation =
        Quantisation::of_file(storage::base(gguf), storage::layers(gguf, &root)?, storage::outer(gguf));
    let mut model = from_parts(&root, id, scope, quantisation)?;
    model.family = architecture.to_owned();
    model.recognised = row.is_some();
    note_differences(gguf, &mut model)?;
    Ok(model)
}

/// Says what the file's table holds in all, and where the blocks do not add up to it.
fn note_differences(gguf: &Gguf, model: &mut Model) -> Result<(), Diagnostic> {
    let mine = model.parameters()?;
    let counted = mine.total.saturating_add(mine.mtp);
    let bytes: u64 = gguf.tensors.iter().map(|t| t.bytes).fold(0, u64::saturating_add);
    let held = gguf
        .tensors
        .iter()
        .filter(|t| !storage::is_constant(&t.name))
        .map(|t| t.elements())
        .fold(0, u64::saturating_add);
    model.notes.push(format!(
        "the file holds {} tensors of {} bytes",
        gguf.tensors.len(),
        crate::units::group_thousands(bytes)
    ));
    if held != counted {
        model.notes.push(format!(
            "the file's tensors hold {} parameters, the blocks read from its metadata {}",
            crate::units::group_thousands(held),
            crate::units::group_thousands(counted)
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
