//! Counts derived from tensors: parameters by component, checkpoint bytes, cache per token.

use crate::diagnostic::{Code, Diagnostic};
use crate::dtype::{DType, WeightFormat};
use crate::units::Bytes;

use super::blocks::Cache;
use super::tensor::{Component, Tensor, TensorClass};
use super::{Model, Scope, Storage, kept};

/// Parameters by component. Tied weights count once, in `embedding`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// Sum of the components.
    pub total: u64,
    /// What one token uses.
    pub active: u64,
    /// What the total would be with a head of its own.
    pub untied: u64,
    /// Multi-token-prediction layers; not part of the total.
    pub mtp: u64,
    by_component: [u64; Component::ALL.len()],
}

impl Parameters {
    /// Parameters of one component.
    pub fn of(&self, component: Component) -> u64 {
        self.by_component[component as usize]
    }

    fn add(&mut self, tensor: &Tensor, layers: u64) -> Option<()> {
        if tensor.class == TensorClass::Adapter {
            return Some(());
        }
        let all = tensor.parameters()?.checked_mul(layers)?;
        let active = tensor.active_parameters()?.checked_mul(layers)?;
        self.total = self.total.checked_add(all)?;
        self.active = self.active.checked_add(active)?;
        let slot = &mut self.by_component[tensor.component as usize];
        *slot = slot.checked_add(all)?;
        Some(())
    }
}

impl Model {
    /// Parameters by component.
    ///
    /// # Errors
    /// [`Code::Model`] when the model is so large that a count overflows 64 bits.
    pub fn parameters(&self) -> Result<Parameters, Diagnostic> {
        self.counted().ok_or_else(|| {
            Diagnostic::new(Code::Model, "the parameters of this model do not fit in 64 bits")
                .at(self.id.clone())
                .help("check the sizes in its config.json")
        })
    }

    fn counted(&self) -> Option<Parameters> {
        let mut counted = Parameters::default();
        let mut tensors = Vec::with_capacity(24);
        for block in self.before.iter().chain(&self.after) {
            block.tensors(&mut tensors);
        }
        if self.scope == Scope::Full {
            tensors.extend(self.towers.iter().cloned());
        }
        for tensor in &tensors {
            counted.add(tensor, 1)?;
        }
        for group in &self.groups {
            tensors.clear();
            for block in &group.blocks {
                block.tensors(&mut tensors);
            }
            for tensor in &tensors {
                counted.add(tensor, group.layers.len() as u64)?;
            }
        }
        tensors.clear();
        for block in &self.mtp {
            block.tensors(&mut tensors);
        }
        for tensor in &tensors {
            counted.mtp = counted.mtp.checked_add(tensor.parameters()?)?;
        }
        counted.untied = match self.tied_head() {
            Some(head) => counted.total.checked_add(head.parameters()?)?,
            None => counted.total,
        };
        Some(counted)
    }

    /// Bytes of the whole checkpoint, scales included, without MTP layers.
    pub fn checkpoint_bytes(&self) -> Bytes {
        self.stored_by_component().map(|(_, bytes)| bytes).sum()
    }

    /// Bytes of the multi-token-prediction layers in the checkpoint, scales included; what they share with the model is not
    /// in them, though some files hold it twice.
    pub fn prediction_bytes(&self) -> Bytes {
        match self.mtp.is_empty() || self.predicts {
            true => Bytes::ZERO,
            false => {
                self.clone().with_prediction().checkpoint_bytes().saturating_sub(self.checkpoint_bytes())
            }
        }
    }

    /// Stored bytes of each component, scales included.
    pub fn stored_by_component(&self) -> impl Iterator<Item = (Component, Bytes)> + use<> {
        let mut stored = [Bytes::ZERO; Component::ALL.len()];
        self.visit_tensors(|tensor, storage, layers| {
            stored[tensor.component as usize] += tensor.stored(storage) * layers;
        });
        Component::ALL.into_iter().zip(stored)
    }

    /// The formats that each component's matrices are stored in.
    pub fn formats_by_component(&self) -> Vec<(Component, WeightFormat)> {
        let mut found = Vec::new();
        self.visit_tensors(|tensor, storage, _| {
            let format = storage.format;
            if !found.contains(&(tensor.component, format)) {
                found.push((tensor.component, format));
            }
        });
        found
    }

    /// Calls `each` with every tensor, its storage and how many layers have it.
    pub fn visit_tensors(&self, mut each: impl FnMut(&Tensor, Storage, u64)) {
        let mut tensors = Vec::new();
        self.before.iter().chain(&self.after).for_each(|b| b.tensors(&mut tensors));
        if self.scope == Scope::Full {
            tensors.extend(self.towers.iter().cloned());
        }
        tensors.iter().for_each(|t| each(t, self.quantisation.outside(t), 1));
        for group in &self.groups {
            let checkpoint = group.tensors().filter(|(t, _)| t.class != TensorClass::Adapter);
            checkpoint.for_each(|(t, storage)| each(&t, storage, group.layers.len() as u64));
        }
    }

    /// Cache and state of one sequence of `tokens` on one GPU that holds the whole model, windows
    /// applied.
    pub fn cache_bytes(&self, kv: DType, tokens: u64) -> Bytes {
        self.kept(kv, tokens).map(|(_, sequence)| sequence).sum()
    }

    /// Bytes that one more token of a long sequence adds to the cache of the whole model as engines lay it out: a
    /// compressed history by its entries, index keys with their latents. Windows are not applied, but for the one beside a
    /// compressed history.
    pub fn cache_bytes_per_token(&self, kv: DType) -> Bytes {
        self.kept(kv, 1).map(|(token, _)| token).sum()
    }

    /// What the layers keep: bytes of one more token, and of a sequence of `tokens`.
    fn kept(&self, kv: DType, tokens: u64) -> impl Iterator<Item = (Bytes, Bytes)> + '_ {
        self.groups.iter().flat_map(move |group| {
            let layers = group.layers.len() as u64;
            let blocks = group.blocks.iter().filter_map(move |block| kept::of_block(block, kv, tokens));
            blocks.map(move |(token, sequence)| (token * layers, sequence * layers))
        })
    }

    /// Bytes of keys, values and latents of one token in all layers, as the model makes them: of a compressed history one
    /// head a token, without index keys. Window caps are not applied.
    pub fn kv_bytes_per_token(&self, kv: DType) -> Bytes {
        self.caches()
            .map(|(cache, layers)| match cache {
                Cache::KeyValue { heads, per_head, .. } => {
                    kv.stored_bytes(heads.saturating_mul(per_head)).saturating_mul(layers)
                }
                Cache::Latent { elements } => kv.stored_bytes(elements).saturating_mul(layers),
                Cache::State { .. } => 0,
            })
            .map(Bytes::new)
            .sum()
    }

    /// Bytes of recurrent state per sequence, in the types that engines keep it in.
    pub fn state_bytes_per_sequence(&self) -> Bytes {
        self.caches()
            .map(|(cache, layers)| match cache {
                Cache::State { bytes, wider, .. } => {
                    Bytes::new(bytes.saturating_add(wider).saturating_mul(layers))
                }
                _ => Bytes::ZERO,
            })
            .sum()
    }

    /// What each kind of layer keeps, and how many layers keep it.
    pub fn caches(&self) -> impl Iterator<Item = (Cache, u64)> + '_ {
        self.groups.iter().flat_map(|group| {
            let layers = group.layers.len() as u64;
            group.blocks.iter().filter_map(move |b| b.cache().map(|c| (c, layers)))
        })
    }
}
