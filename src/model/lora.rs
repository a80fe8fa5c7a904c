//! LoRA adapters on a model: which linear layers, what rank, how many at once.

use std::str::FromStr;

use crate::diagnostic::{Code, Diagnostic};
use crate::units::Bytes;

use super::blocks::{Adapted, Adapters, Block};
use super::quantisation::Storage;
use super::tensor::{Component, RankGroups, Tensor, TensorClass};
use super::{Model, group, ungroup};

/// Largest rank and number of adapters that make sense.
const MOST: u64 = 4096;

/// The adapters to reserve room for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lora {
    /// Rank of every adapter: the engine's largest, to which smaller ones are padded.
    pub rank: u64,
    /// Adapters held at once.
    pub count: u64,
    /// Last part of the names of the linear layers; none means all.
    pub targets: Vec<String>,
}

impl FromStr for Lora {
    type Err = Diagnostic;

    /// Reads `rank=16,targets=q,k,v,o,count=4`. A target is a linear layer's name, or its first letter or
    /// word (`q`, `gate`); `all-linear` means all, as does leaving targets out.
    fn from_str(text: &str) -> Result<Lora, Diagnostic> {
        let wrong = |cause: String| {
            Diagnostic::new(Code::Syntax, cause)
                .at("--lora")
                .help("for example: rank=16,targets=q,k,v,o,count=4 or rank=64,targets=all-linear")
        };
        let size = |key: &str, value: &str| match value.trim().parse::<u64>() {
            Ok(n) if (1..=MOST).contains(&n) => Ok(n),
            _ => Err(wrong(format!("{key} is a whole number from 1 to {MOST}, found `{value}`"))),
        };
        let mut lora = Lora { rank: 0, count: 1, targets: Vec::new() };
        let mut in_targets = false;
        for item in text.split(',').map(str::trim) {
            match item.split_once('=') {
                Some(("rank", value)) => lora.rank = size("rank", value)?,
                Some(("count", value)) => lora.count = size("count", value)?,
                Some(("targets", value)) => lora.targets.push(value.trim().to_owned()),
                None if in_targets && !item.is_empty() => lora.targets.push(item.to_owned()),
                _ => return Err(wrong(format!("expected rank=, targets= or count=, found `{item}`"))),
            }
            in_targets = item.starts_with("targets=") || in_targets && !item.contains('=');
        }
        if lora.rank == 0 {
            return Err(wrong("no rank given".into()));
        }
        if lora.targets.iter().any(|target| target == "all-linear") {
            lora.targets.clear();
        }
        Ok(lora)
    }
}

impl Lora {
    /// Whether a tensor is a linear layer that gets an adapter. Routed experts get none.
    fn adapts(&self, tensor: &Tensor) -> bool {
        linear(tensor) && (self.targets.is_empty() || self.targets.iter().any(|target| names(target, tensor)))
    }
}

/// Whether a tensor is a linear layer of attention, feed-forward layer or mixer.
fn linear(tensor: &Tensor) -> bool {
    let part = matches!(tensor.component, Component::Attention | Component::Mlp | Component::Ssm);
    part && tensor.class == TensorClass::Linear && tensor.name.ends_with("_proj.weight")
}

/// Whether `target` names a linear layer: `q_proj`, or `q` for it.
fn names(target: &str, tensor: &Tensor) -> bool {
    let module = tensor.module();
    module == target || module.strip_suffix("_proj") == Some(target)
}

impl Model {
    /// The same model with room for LoRA adapters beside its linear layers.
    ///
    /// # Errors
    /// [`Code::UnknownName`] when a target is no linear layer of this model.
    pub fn with_lora(mut self, lora: &Lora) -> Result<Model, Diagnostic> {
        let known: Vec<Tensor> =
            self.groups.iter().flat_map(|g| g.tensors()).map(|(t, _)| t).filter(linear).collect();
        for target in &lora.targets {
            if !known.iter().any(|tensor| names(target, tensor)) {
                let modules: Vec<&str> =
                    itertools::Itertools::unique(known.iter().map(Tensor::module)).collect();
                let help = format!("linear layers of this model: {}", modules.join(", "));
                return Err(Diagnostic::unknown("LoRA target", target, modules, &help).at("--lora"));
            }
        }
        let mut layers = ungroup(std::mem::take(&mut self.groups));
        for layer in &mut layers {
            let mut modules: Vec<Adapted> = Vec::new();
            for (number, block) in layer.iter().enumerate() {
                let mut tensors = Vec::new();
                block.tensors(&mut tensors);
                modules.extend(tensors.iter().filter(|t| lora.adapts(t)).map(|t| Adapted::of(number, t)));
            }
            if !modules.is_empty() {
                layer.push(Block::Adapters(Adapters { rank: lora.rank, slots: lora.count, modules }));
            }
        }
        self.groups = group(layers, &self.quantisation);
        let slots = self.lora_bytes(RankGroups::SINGLE);
        self.notes.push(format!(
            "weights on a GPU include {} of rank {}: {slots} before they are divided",
            if lora.count == 1 { "1 LoRA adapter".into() } else { format!("{} LoRA adapters", lora.count) },
            lora.rank,
        ));
        Ok(self)
    }

    /// Parameters of one LoRA adapter; 0 without any.
    pub fn lora_parameters(&self) -> u64 {
        let of = |block: &Block| match block {
            Block::Adapters(adapters) => adapters.parameters(),
            _ => 0,
        };
        let group = |g: &super::LayerGroup| {
            g.blocks.iter().map(of).fold(0, u64::saturating_add).saturating_mul(g.layers.len() as u64)
        };
        self.groups.iter().map(group).fold(0, u64::saturating_add)
    }

    /// Bytes that one rank of a single stage reserves for all LoRA adapters.
    pub fn lora_bytes(&self, groups: RankGroups) -> Bytes {
        let adapters = |g: &super::LayerGroup| -> Bytes {
            let slots = g.tensors().filter(|(t, _)| t.class == TensorClass::Adapter);
            slots.map(|(t, storage): (Tensor, Storage)| t.stored_on_rank(storage, groups)).sum()
        };
        self.groups.iter().map(|g| adapters(g) * g.layers.len() as u64).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Scope, find};

    #[test]
    fn an_adapter_has_a_row_and_a_column_of_its_rank_per_linear_layer() {
        // PEFT prints `trainable params: 41,943,040` for Llama-3.1-8B with r=16 on all seven linear layers.
        let all: Lora = "rank=16,targets=all-linear".parse().unwrap();
        let model = find("llama-3.1-8b", &[], Scope::Full).unwrap();
        let before = model.parameters().unwrap();
        let model = model.with_lora(&all).unwrap();
        assert_eq!(model.lora_parameters(), 41_943_040);
        assert_eq!(model.parameters().unwrap(), before);
    }

    #[test]
    fn ranks_divide_one_half_of_each_adapter_and_hold_the_other() {
        let lora: Lora = "rank=8,targets=q,o,count=2".parse().unwrap();
        let model = find("llama-3.1-8b", &[], Scope::Full).unwrap().with_lora(&lora).unwrap();
        let at = |tensor| model.lora_bytes(RankGroups { tensor, ..RankGroups::SINGLE }).get();
        // Queries and outputs are 4096 × 4096: A and B have 8 × 4096 elements of two bytes each.
        let half = 32 * 2 * 8 * 4096 * 2;
        assert_eq!((at(1), at(4)), (4 * half, 2 * half + 2 * half / 4));
    }

    #[test]
    fn a_target_that_the_model_lacks_is_named() {
        let lora: Lora = "rank=8,targets=qkv".parse().unwrap();
        let error = find("llama-3.1-8b", &[], Scope::Full).unwrap().with_lora(&lora).unwrap_err();
        assert!(error.to_string().contains("qkv"), "{error}");
        assert!("targets=q".parse::<Lora>().is_err());
        assert!("rank=0".parse::<Lora>().is_err());
        assert!("rank=8,colour=red".parse::<Lora>().is_err());
    }
}
