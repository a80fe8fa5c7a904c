//! Plans as the files that start them.

use crate::catalog::Catalog;
use crate::diagnostic::Diagnostic;
use crate::launch::artefact::{self, File};
use crate::launch::plan::Asked;
use crate::launch::release::Release;
use crate::request::{Request, Resolved, Texts};

/// What a plan is written for where nothing is named: the engine's own command.
pub fn usual() -> Texts {
    Texts(artefact::names().first().map(|name| (*name).to_owned()).into_iter().collect())
}

/// The targets that a request names.
///
/// # Errors
/// [`crate::diagnostic::Code::UnknownName`] for a target that is none, before any work is done.
pub fn targets(request: &Request) -> Result<Vec<&str>, Diagnostic> {
    let listed = request.emit.iter().flat_map(|list| &list.0);
    let names: Vec<&str> =
        listed.flat_map(|text| text.split(',')).map(|name| artefact::called(name.trim())).collect();
    let known: Vec<&str> = artefact::names().into_iter().chain([artefact::SWEEP]).collect();
    match names.iter().find(|name| !known.contains(name)) {
        None => Ok(names),
        Some(strange) => {
            let list = format!("known: {}", known.join(", "));
            let known = known.iter().copied();
            Err(Diagnostic::unknown("target to write for", strange, known, &list).at("--emit"))
        }
    }
}

/// The files of each target.
///
/// # Errors
/// Where a target cannot say what the plan needs.
pub fn files(targets: &[&str], release: &Release) -> Result<Vec<File>, Diagnostic> {
    let written = targets
        .iter()
        .filter(|target| **target != artefact::SWEEP)
        .map(|target| artefact::write(target, release));
    written.collect::<Result<Vec<_>, _>>().map(|all| all.into_iter().flatten().collect())
}

/// What is asked of a launch: the model as the engine is told of it, which is the folder that was named, else its id;
/// and the storage of the plan's precision.
pub fn asked<'a>(
    request: &'a Request,
    resolved: &'a Resolved,
    precision: usize,
    catalog: &Catalog,
) -> Asked<'a> {
    let precision = resolved.precisions.get(precision);
    let path = |name: &&str| !catalog.is_sealed() && std::path::Path::new(name).exists();
    let named = request.model.model.as_deref().filter(path);
    let folder = named.map(|name| name.strip_suffix("/config.json").unwrap_or(name));
    Asked {
        targets: resolved.targets,
        model: folder.unwrap_or(&resolved.model.id),
        cluster: &resolved.cluster,
        weights: precision.and_then(|p| p.weights),
        quantised: resolved.stored.is_quantised(),
        kv: precision.is_some_and(|p| p.kv.is_some()),
        length: request.max_model_len,
        draft: request.model.draft_model.as_deref(),
        lora: resolved.lora.clone(),
        checkpoint: resolved.model.checkpoint_bytes(),
    }
}
