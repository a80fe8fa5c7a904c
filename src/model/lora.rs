//! LoRA adapters on a model: which linear layers, what rank, how many at once.

use std::str::FromStr;

use crate::diagnostic::{Code, Diagnostic};
use crate::units::Bytes;

use super::blocks::{Adapted, Adapters, Block};
use super::node::{Cut, Node, Part, Stream};
use super::quantisation::Storage;
use super::tensor::{Component, RankGroups, Role, Split, Tensor, TensorClass};
use super::{Model, group, ungroup};

/// How the note on adapters begins.
const WITH_ADAPTERS: &str = "weights on a GPU include";

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

    /// Reads `rank=16,targets=q,k,v,o,count=4`, also in PEFT's words (`r`, `target_modules`). A target is a linear layer's
    /// name, or its first letter or word (`q`, `gate`); `all-linear` means all, as does leaving targets out.
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
                Some(("rank" | "r", value)) => lora.rank = size("rank", value)?,
                Some(("count", value)) => lora.count = size("count", value)?,
                Some(("targets" | "target_modules", value)) => lora.targets.push(value.trim().to_owned()),
                Some((key @ ("alpha" | "lora_alpha"), _)) => {
                    return Err(wrong(format!("{key} changes neither memory nor time: leave it out")));
                }
                None if in_targets && !item.is_empty() => lora.targets.push(item.to_owned()),
                _ => return Err(wrong(format!("expected rank=, targets= or count=, found `{item}`"))),
            }
            in_targets = item.starts_with("target") || in_targets && !item.contains('=');
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

/// A linear layer that an adapter attaches to, and its label.
struct Attachment {
    label: String,
    adapted: Adapted,
}

impl Attachment {
    /// Whether `target` names it: `q_proj`, or `q` for it.
    fn is_named(&self, target: &str) -> bool {
        self.label == target || self.label.strip_suffix("_proj") == Some(target)
    }
}

/// The linear layers of attention, feed-forward layers and mixers in a layer. Routed experts get no adapters.
fn attachments(layer: &[Block]) -> Vec<Attachment> {
    let mut found = Vec::new();
    for (block, nodes) in layer.iter().enumerate().filter(|(_, b)| !matches!(b, Block::Reused(_))) {
        nodes.nodes(&mut |node| match node {
            Node::Linear(l)
                if l.class == TensorClass::Linear && l.role != Role::Diagonal && adapts(l.weights) =>
            {
                let of = |part: &Part| {
                    let (component, columns) = (l.weights, l.k);
                    let cut = part.cut;
                    Some((
                        part.weight?,
                        Adapted { rows: part.n, columns, block, reads: l.reads, component, cut },
                    ))
                };
                let named = l.parts.iter().filter_map(of);
                found.extend(named.map(|(name, adapted)| Attachment { label: label(name).into(), adapted }));
            }
            // A linear layer whose work is not timed.
            Node::Weight(t) if t.class == TensorClass::Linear && adapts(t.component) => {
                let cut = match t.split {
                    Split::Tensor { units } => Cut::Columns(units),
                    _ => Cut::Whole,
                };
                let (rows, columns, component, reads) = (t.rows, t.columns, t.component, Stream::Hidden);
                let adapted = Adapted { rows, columns, block, reads, component, cut };
                found.push(Attachment { label: label(&t.name).into(), adapted });
            }
            _ => {}
        });
    }
    found
}

/// Whether linear layers of a component get adapters.
fn adapts(component: Component) -> bool {
    matches!(component, Component::Attention | Component::Mlp | Component::Ssm)
}

/// Last part of the name of a weight's module, e.g. `q_proj`.
fn label(name: &str) -> &str {
    let name = name.strip_suffix(".weight").unwrap_or(name);
    name.rsplit('.').next().unwrap_or(name)
}

impl Model {
    /// The same model with room for LoRA adapters beside its linear layers.
    ///
    /// # Errors
    /// [`Code::UnknownName`] when a target is no linear layer of this model.
    pub fn with_lora(mut self, lora: &Lora) -> Result<Model, Diagnostic> {
        let known: Vec<Attachment> = self.groups.iter().flat_map(|g| attachments(&g.blocks)).collect();
        for target in &lora.targets {
            if !known.iter().any(|attachment| attachment.is_named(target)) {
                let labels: Vec<&str> =
                    itertools::Itertools::unique(known.iter().map(|a| a.label.as_str())).collect();
                let help = format!("linear layers of this model: {}", labels.join(", "));
                return Err(Diagnostic::unknown("LoRA target", target, labels, &help).at("--lora"));
            }
        }
        let mut layers = ungroup(std::mem::take(&mut self.groups));
        for layer in &mut layers {
            let wanted =
                |a: &Attachment| lora.targets.is_empty() || lora.targets.iter().any(|t| a.is_named(t));
            let found = attachments(layer).into_iter().filter(wanted);
            let modules: Vec<Adapted> = found.map(|a| a.adapted).collect();
            if !modules.is_empty() {
                layer.push(Block::Adapters(Adapters { rank: lora.rank, slots: lora.count, modules }));
            }
        }
        self.groups = group(layers, &self.quantisation);
        let slots = self.lora_bytes(RankGroups::SINGLE);
        self.notes.push(format!(
            "{WITH_ADAPTERS} {} of rank {}: {slots} before they are divided",
            if lora.count == 1 { "1 LoRA adapter".into() } else { format!("{} LoRA adapters", lora.count) },
            lora.rank,
        ));
        Ok(self)
    }

    /// The same model with other adapters in the place of those that it has room for.
    ///
    /// # Errors
    /// As [`Model::with_lora`].
    pub fn with_other_lora(mut self, lora: &Lora) -> Result<Model, Diagnostic> {
        let mut layers = ungroup(std::mem::take(&mut self.groups));
        for layer in &mut layers {
            layer.retain(|block| !matches!(block, Block::Adapters(_)));
        }
        self.groups = group(layers, &self.quantisation);
        self.notes.retain(|note| !note.starts_with(WITH_ADAPTERS));
        self.with_lora(lora)
    }

    /// The last parts of the names of the linear layers that adapters attach to, each once.
    pub fn linear_layers(&self, lora: &Lora) -> Vec<String> {
        let all = self.groups.iter().flat_map(|g| attachments(&g.blocks));
        let wanted = all.filter(|a| lora.targets.is_empty() || lora.targets.iter().any(|t| a.is_named(t)));
        itertools::Itertools::unique(wanted.map(|a| a.label)).collect()
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
        // PEFT's own words: `LoraConfig(r=16, target_modules="all-linear")`; its `lora_alpha` is a factor.
        assert_eq!("r=16,target_modules=all-linear".parse::<Lora>().unwrap(), all);
        let cause = "r=16,lora_alpha=32".parse::<Lora>().unwrap_err().to_string();
        assert!(cause.contains("lora_alpha changes neither memory nor time"), "{cause}");
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
