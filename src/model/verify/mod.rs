//! Our table of tensors against the one in a checkpoint's headers.

mod pairing;
mod stored;
mod want;

use std::collections::BTreeMap;

use crate::checkpoint::Weights;
use crate::diagnostic::Diagnostic;

use super::blocks::Block;
use super::tensor::{Tensor, TensorClass};
use super::{Model, Scope, Storage};
pub use pairing::Kind;
use stored::{Have, Place};
use want::Want;

/// Tensors that do not agree, the same in all of `layers`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub kind: Kind,
    /// Name inside the layer, or of the tensor outside.
    pub name: String,
    /// Ours: shape or type.
    pub expected: String,
    /// The checkpoint's.
    pub found: String,
    /// The layers in which it is so, ascending; empty outside the layers.
    pub layers: Vec<u32>,
}

/// How a checkpoint's tensors compare with ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// Files read.
    pub files: u64,
    /// Tensors in them.
    pub tensors: u64,
    /// Of these, weights that agree in shape and type.
    pub agreeing: u64,
    /// Of these, scales, zero points and the like of quantised weights.
    pub auxiliary: u64,
    /// Of these, what is no parameter (buffers, a tied head written twice) or outside the scope.
    pub passed_over: u64,
    /// Parameters by our table.
    pub expected_parameters: u64,
    /// Parameters in the checkpoint, of what was not passed over.
    pub found_parameters: u64,
    /// Bytes by our table, scales included.
    pub expected_bytes: u64,
    /// Bytes in the checkpoint, of what was not passed over.
    pub found_bytes: u64,
    /// What does not agree.
    pub findings: Vec<Finding>,
}

impl Verification {
    /// Whether everything agrees.
    pub fn agrees(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Compares a model with the headers of its weight files, layer by layer: by name where the names are
/// the checkpoint's, else by shape; several of ours may be one fused tensor, and the reverse.
///
/// # Errors
/// A model too large to count.
pub fn verify(model: &Model, weights: &Weights) -> Result<Verification, Diagnostic> {
    let mut wanted = wanted(model);
    let read = stored::read(&weights.tensors, model.layers() as u32);
    let mut result = Verification {
        files: weights.files as u64,
        tensors: weights.tensors.len() as u64,
        auxiliary: read.auxiliary,
        passed_over: read.passed_over,
        found_bytes: read.auxiliary_bytes,
        ..Verification::default()
    };
    let mut found: BTreeMap<Place, Vec<Have>> = read.pools;
    let out_of_scope = match model.scope == Scope::Full && !model.towers.is_empty() {
        true => None,
        false => found.remove(&Place::Tower),
    };
    result.passed_over += out_of_scope.iter().flatten().map(|have| have.copies).sum::<u64>();
    if model.mtp.is_empty() {
        let skipped = found.remove(&Place::Prediction);
        result.passed_over += skipped.iter().flatten().map(|have| have.copies).sum::<u64>();
    }
    let places: Vec<Place> = wanted.keys().chain(found.keys()).copied().collect();
    let mut findings: BTreeMap<(Kind, String, String, String), Vec<u32>> = BTreeMap::new();
    for place in places {
        let (mine, theirs) = (wanted.remove(&place), found.remove(&place));
        if mine.is_none() && theirs.is_none() {
            continue;
        }
        let (mine, theirs) = (mine.unwrap_or_default(), theirs.unwrap_or_default());
        for want in &mine {
            let stored = want.storage.stored_bytes(want.rows, want.columns).unwrap_or(u64::MAX);
            result.expected_parameters = result.expected_parameters.saturating_add(want.total());
            result.expected_bytes = result.expected_bytes.saturating_add(stored.saturating_mul(want.copies));
        }
        let tied = model.tied_head().is_some() && place == Place::Outer;
        let paired = pairing::pair(mine, theirs, tied);
        result.agreeing += paired.agreeing;
        result.passed_over += paired.passed_over;
        result.found_parameters = result.found_parameters.saturating_add(paired.parameters);
        result.found_bytes = result.found_bytes.saturating_add(paired.bytes);
        for (kind, name, expected, held) in paired.findings {
            let layers = findings.entry((kind, place.prefix(&name), expected, held)).or_default();
            layers.extend(place.layer());
        }
    }
    result.findings = findings
        .into_iter()
        .map(|((kind, name, expected, found), layers)| Finding { kind, name, expected, found, layers })
        .collect();
    Ok(result)
}

/// Our tensors by place.
fn wanted(model: &Model) -> BTreeMap<Place, Vec<Want>> {
    let mut wanted: BTreeMap<Place, Vec<Want>> = BTreeMap::new();
    let of = |tensors: &[Tensor], storage: &[Storage]| -> Vec<Want> {
        let mine = tensors.iter().zip(storage).filter(|(t, _)| t.class != TensorClass::Adapter);
        mine.map(|(t, storage)| Want::new(t, *storage)).filter(|w| w.total() > 0).collect()
    };
    let listed = |blocks: &[Block]| {
        let mut tensors = Vec::new();
        blocks.iter().for_each(|b| b.tensors(&mut tensors));
        tensors
    };
    let outside = |tensors: &[Tensor]| -> Vec<Storage> {
        tensors.iter().map(|t| model.quantisation.outside(t)).collect()
    };
    let ends = listed(&[model.before.as_slice(), model.after.as_slice()].concat());
    wanted.insert(Place::Outer, of(&ends, &outside(&ends)));
    if !model.mtp.is_empty() {
        let tensors = listed(&model.mtp);
        let behind = model.layers() as usize;
        wanted.insert(Place::Prediction, of(&tensors, &model.quantisation.layer(behind, &tensors).0));
    }
    if model.scope == Scope::Full && !model.towers.is_empty() {
        wanted.insert(Place::Tower, of(&model.towers, &outside(&model.towers)));
    }
    for group in &model.groups {
        let tensors = of(&listed(&group.blocks), &group.storage);
        for layer in &group.layers {
            wanted.insert(Place::Layer(*layer), tensors.clone());
        }
    }
    wanted
}

#[cfg(test)]
mod tests;
