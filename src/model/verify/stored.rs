//! A checkpoint's tensors as weights: where they belong, without the numbers of experts, and unpacked.
//!
//! Names of packed weights and of what goes with them: compressed-tensors (`weight_packed`,
//! `weight_scale`, `weight_shape`, …), AutoAWQ and AutoGPTQ (`qweight`, `qzeros`, `scales`, `g_idx`),
//! bitsandbytes (`weight.absmax`, `SCB`, …), gpt-oss (`_blocks`, `_scales`), ModelOpt
//! (`weight_scale_2`, `input_scale`), DeepSeek (`weight_scale_inv`).

use std::collections::BTreeMap;

use crate::checkpoint::StoredTensor;

/// Where a tensor belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// Before and after the layers.
    Outer,
    /// A layer.
    Layer(u32),
    /// Multi-token-prediction layers.
    Prediction,
    /// Vision and audio towers and their projectors.
    Tower,
}

impl Place {
    pub fn layer(self) -> Option<u32> {
        match self {
            Place::Layer(n) => Some(n),
            _ => None,
        }
    }

    /// A name that says where it is.
    pub fn prefix(self, name: &str) -> String {
        match self {
            Place::Outer => name.to_owned(),
            Place::Layer(_) => format!("layers.*.{name}"),
            Place::Prediction => format!("prediction layers: {name}"),
            Place::Tower => format!("towers: {name}"),
        }
    }
}

/// Equal weights of a checkpoint in one place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Have {
    pub name: String,
    /// As stored; packed ones are known by their elements only.
    pub shape: Vec<u64>,
    /// Elements of one copy: as stored, or as four-bit ones.
    pub elements: u64,
    /// Whether `elements` are unpacked, so that eight-bit ones would be half as many.
    pub packed: bool,
    pub copies: u64,
    /// Bytes of all copies.
    pub bytes: u64,
    pub dtype: &'static str,
}

/// A checkpoint's tensors sorted out.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub pools: BTreeMap<Place, Vec<Have>>,
    pub auxiliary: u64,
    pub auxiliary_bytes: u64,
    pub passed_over: u64,
}

/// Endings of what goes with a quantised weight.
const AUXILIARY: &[&str] = &[
    ".weight_scale",
    ".weight_scale_inv",
    ".weight_scale_2",
    ".weight_global_scale",
    ".weight_zero_point",
    ".weight_shape",
    ".weight_g_idx",
    ".weight_format",
    ".input_scale",
    ".input_global_scale",
    ".activation_scale",
    ".output_scale",
    ".q_scale",
    ".k_scale",
    ".v_scale",
    ".qzeros",
    ".scales",
    ".g_idx",
    ".SCB",
    ".weight.absmax",
    ".weight.quant_map",
    ".weight.nested_absmax",
    ".weight.nested_quant_map",
    "_proj_scale_inv",
    "_proj_scales",
    "_proj_scale",
    "_blocks_scale",
];
/// Endings of what is no parameter.
const BUFFERS: &[&str] = &[".inv_freq", ".masked_bias", ".rotary_emb.cos_cached", ".rotary_emb.sin_cached"];
/// Parts of the names of towers and projectors.
const TOWERS: &[&str] = &[
    "vision",
    "visual",
    "audio",
    "tower",
    "multi_modal",
    "mm_projector",
    "image_newline",
    "vit_",
    "embed_vision",
];
/// Parts of the names of prediction layers.
const PREDICTION: &[&str] = &["mtp", "mtp_layers", "mtp_block", "nextn"];

/// Sorts a checkpoint's tensors; `layers` is how many the model has.
pub(super) fn read(tensors: &[StoredTensor], layers: u32) -> Read {
    let mut read = Read::default();
    let mut merged: BTreeMap<(Place, String, Vec<u64>, &'static str), Have> = BTreeMap::new();
    for tensor in tensors {
        let name = tensor.name.as_str();
        if AUXILIARY.iter().any(|end| name.ends_with(end)) || name.contains(".quant_state.") {
            read.auxiliary += 1;
            read.auxiliary_bytes = read.auxiliary_bytes.saturating_add(tensor.bytes);
            continue;
        }
        let mask = tensor.shape.len() == 4 && name.ends_with("attn.bias");
        if mask || BUFFERS.iter().any(|end| name.ends_with(end)) {
            read.passed_over += 1;
            continue;
        }
        let (place, name) = locate(name, layers);
        let (name, packed) = unpacked(&name, tensor.dtype);
        let per_element = match tensor.dtype {
            "I32" | "U32" => 8,
            _ => 2,
        };
        let factor = if packed { per_element } else { 1 };
        let elements = tensor.elements().saturating_mul(factor);
        let key = (place, name.clone(), tensor.shape.clone(), tensor.dtype);
        let have = merged.entry(key).or_insert_with(|| Have {
            name,
            shape: tensor.shape.clone(),
            elements,
            packed,
            copies: 0,
            bytes: 0,
            dtype: tensor.dtype,
        });
        have.copies += 1;
        have.bytes = have.bytes.saturating_add(tensor.bytes);
    }
    for ((place, ..), have) in merged {
        read.pools.entry(place).or_default().push(have);
    }
    read
}

/// Where a tensor belongs, and its name there without the number of its expert.
fn locate(name: &str, layers: u32) -> (Place, String) {
    let parts: Vec<&str> = name.split('.').collect();
    let number = |part: &str| part.parse::<u32>().ok();
    let index = parts.iter().position(|part| number(part).is_some());
    let before = &parts[..index.unwrap_or(parts.len())];
    if before.iter().any(|part| TOWERS.iter().any(|tower| part.contains(tower))) {
        let pattern: Vec<&str> = parts.iter().map(|p| if number(p).is_some() { "*" } else { *p }).collect();
        return (Place::Tower, pattern.join("."));
    }
    let rest = |from: usize| {
        let mut kept: Vec<&str> = Vec::new();
        for part in &parts[from..] {
            let expert = number(part).is_some() && kept.last().is_some_and(|last| last.contains("expert"));
            if !expert {
                kept.push(part);
            }
        }
        kept.join(".")
    };
    let predicts = before.iter().any(|part| PREDICTION.contains(part));
    match index.and_then(|at| Some((at, number(parts[at])?))) {
        Some((at, _)) if predicts => (Place::Prediction, rest(at + 1)),
        Some((at, layer)) if layer >= layers => (Place::Prediction, rest(at + 1)),
        Some((at, layer)) => (Place::Layer(layer), rest(at + 1)),
        None if predicts => (Place::Prediction, rest(0)),
        None => (Place::Outer, rest(0)),
    }
}

/// The name of the weight that a packed tensor stands for, and whether it is packed.
fn unpacked(name: &str, dtype: &str) -> (String, bool) {
    for (end, plain) in [(".qweight", ".weight"), (".weight_packed", ".weight"), ("_blocks", "")] {
        if let Some(stem) = name.strip_suffix(end) {
            return (format!("{stem}{plain}"), true);
        }
    }
    // NVFP4 and bitsandbytes keep two four-bit weights in a byte under the weight's own name.
    (name.to_owned(), matches!(dtype, "U8" | "I32") && name.ends_with("weight"))
}
