//! How a GGUF file stores each class of weights, from the types of its tensors.

use crate::checkpoint::StoredTensor;
use crate::checkpoint::gguf::Gguf;
use crate::diagnostic::Diagnostic;
use crate::dtype::{GgmlType, WeightFormat};

use crate::model::config::Config;
use crate::model::{Formats, MAX_LAYERS};

/// What a tensor's name says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Attention,
    Mlp,
    Experts,
    Embedding,
    Head,
    /// Norms, biases, routers.
    Base,
}

/// A tensor that holds no parameters: frequencies that are computed from the configuration.
pub(super) fn is_constant(name: &str) -> bool {
    name.starts_with("rope_") || name.ends_with(".rope_freqs.weight")
}

/// Layer and class of a tensor.
fn class(tensor: &StoredTensor) -> (Option<usize>, Class) {
    let name = tensor.name.as_str();
    let (layer, rest) = match name.strip_prefix("blk.").and_then(|rest| rest.split_once('.')) {
        Some((number, rest)) => (number.parse().ok(), rest),
        None => (None, name),
    };
    let matrix = tensor.shape.len() > 1 && rest.ends_with(".weight");
    let class = match rest {
        "token_embd.weight" => Class::Embedding,
        "output.weight" => Class::Head,
        _ if !matrix || rest.contains("norm") || rest.starts_with("ffn_gate_inp") => Class::Base,
        _ if rest.contains("_exps.") => Class::Experts,
        _ if rest.starts_with("ffn_") => Class::Mlp,
        _ if rest.starts_with("attn_") => Class::Attention,
        _ => Class::Base,
    };
    (layer, class)
}

/// Bytes and elements of one class, under the name of the type that most elements have.
#[derive(Clone, Default)]
struct Mix(Vec<(&'static str, u64, u64)>);

impl Mix {
    fn add(&mut self, tensor: &StoredTensor) {
        let (elements, bytes) = (tensor.elements(), tensor.bytes);
        match self.0.iter_mut().find(|(name, ..)| *name == tensor.dtype) {
            Some((_, e, b)) => {
                *e = e.saturating_add(elements);
                *b = b.saturating_add(bytes);
            }
            None => self.0.push((tensor.dtype, elements, bytes)),
        }
    }

    /// The format whose mean width gives the class its bytes.
    fn format(&self) -> Option<WeightFormat> {
        let (name, ..) = self.0.iter().max_by_key(|(_, elements, _)| *elements)?;
        let kind = GgmlType::named(name)?;
        if let [_] = self.0.as_slice() {
            return Some(plain(*kind));
        }
        let sum = |pick: fn(&(&str, u64, u64)) -> u64| self.0.iter().map(pick).fold(0, u64::saturating_add);
        Some(WeightFormat::Ggml(kind.spread(sum(|(_, e, _)| *e), sum(|(_, _, b)| *b))))
    }
}

/// Types that other files have too go by the usual names.
fn plain(kind: GgmlType) -> WeightFormat {
    match kind.name {
        "F32" => WeightFormat::Fp32,
        "F16" => WeightFormat::Fp16,
        "BF16" => WeightFormat::Bf16,
        "MXFP4" => WeightFormat::Mxfp4,
        _ => WeightFormat::Ggml(kind),
    }
}

fn mix<'a>(tensors: impl Iterator<Item = &'a StoredTensor>) -> Option<WeightFormat> {
    let mut mix = Mix::default();
    tensors.for_each(|t| mix.add(t));
    mix.format()
}

/// The type of norms, biases and routers.
pub(super) fn base(gguf: &Gguf) -> WeightFormat {
    let base = |t: &&StoredTensor| class(t).1 == Class::Base && !is_constant(&t.name);
    match mix(gguf.tensors.iter().filter(base)) {
        Some(format @ (WeightFormat::Fp32 | WeightFormat::Fp16 | WeightFormat::Bf16)) => format,
        // Mixed or none: llama.cpp keeps vectors in 32 bits.
        _ => WeightFormat::Fp32,
    }
}

/// Storage of each layer.
pub(super) fn layers(gguf: &Gguf, config: &Config) -> Result<Vec<Formats>, Diagnostic> {
    let count = config.opt_u64("num_hidden_layers")?.unwrap_or(0).min(MAX_LAYERS) as usize;
    let mut mixes: Vec<[Mix; 3]> = vec![Default::default(); count];
    for tensor in &gguf.tensors {
        let (Some(layer), class) = class(tensor) else { continue };
        let Some(mixes) = mixes.get_mut(layer) else { continue };
        match class {
            Class::Attention => mixes[0].add(tensor),
            Class::Mlp => mixes[1].add(tensor),
            Class::Experts => mixes[2].add(tensor),
            _ => {}
        }
    }
    let base = base(gguf);
    let of = |mix: &Mix| mix.format().unwrap_or(base);
    Ok(mixes
        .iter()
        .map(|[attention, mlp, experts]| Formats {
            attention: of(attention),
            mlp: of(mlp),
            experts: of(experts),
            ..Formats::uniform(base)
        })
        .collect())
}

/// Storage outside the layers.
pub(super) fn outer(gguf: &Gguf) -> Formats {
    let of = |wanted: Class| mix(gguf.tensors.iter().filter(move |t| class(t).1 == wanted));
    let base = base(gguf);
    let embedding = of(Class::Embedding).unwrap_or(base);
    Formats { embedding, head: of(Class::Head).unwrap_or(embedding), ..Formats::uniform(base) }
}
