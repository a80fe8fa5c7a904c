//! What memory asks of a model again and again, derived from its blocks once for all layouts.

use crate::model::blocks::{Block, Cache};
use crate::model::{Model, Storage, Tensor};

/// A tensor and how it is stored.
pub(super) type Stored = (Tensor, Storage);

/// The tensors of a model, each with how it is stored, and what each of its blocks keeps of a sequence. It is that of
/// one model, at one format.
#[derive(Clone, Debug)]
pub struct Inventory {
    before: Vec<Stored>,
    towers: Vec<Stored>,
    after: Vec<Stored>,
    tied_head: Option<Stored>,
    /// Of a layer of each group.
    layers: Vec<Vec<Stored>>,
    /// What each block of such a layer keeps.
    caches: Vec<Vec<Option<Cache>>>,
    draft: Option<Box<Inventory>>,
}

impl Inventory {
    /// That of a model and of what drafts for it.
    pub fn of(model: &Model) -> Inventory {
        let outside = |tensor: Tensor| {
            let storage = model.quantisation.outside(&tensor);
            (tensor, storage)
        };
        let of = |blocks: &[Block]| {
            let mut tensors = Vec::new();
            blocks.iter().for_each(|block| block.tensors(&mut tensors));
            tensors.into_iter().map(outside).collect()
        };
        let caches = |blocks: &[Block]| blocks.iter().map(Block::cache).collect();
        Inventory {
            before: of(&model.before),
            towers: model.towers.iter().cloned().map(outside).collect(),
            after: of(&model.after),
            tied_head: model.tied_head().map(outside),
            layers: model.groups.iter().map(|group| group.tensors().collect()).collect(),
            caches: model.groups.iter().map(|group| caches(&group.blocks)).collect(),
            draft: model.draft.as_deref().map(|draft| Box::new(Inventory::of(draft))),
        }
    }

    /// Before the layers.
    pub(super) fn before(&self) -> &[Stored] {
        &self.before
    }

    /// Encoders of what stands beside text.
    pub(super) fn towers(&self) -> &[Stored] {
        &self.towers
    }

    /// After the layers.
    pub(super) fn after(&self) -> &[Stored] {
        &self.after
    }

    /// The output projection where it is the embedding.
    pub(super) fn tied_head(&self) -> &[Stored] {
        self.tied_head.as_slice()
    }

    /// The tensors of a layer of each group.
    pub(super) fn layers(&self) -> impl Iterator<Item = &[Stored]> {
        self.layers.iter().map(Vec::as_slice)
    }

    /// What each block of a layer keeps of a sequence, of each group.
    pub(super) fn caches(&self) -> impl Iterator<Item = &[Option<Cache>]> {
        self.caches.iter().map(Vec::as_slice)
    }

    /// That of what drafts.
    pub(super) fn draft(&self) -> Option<&Inventory> {
        self.draft.as_deref()
    }
}
