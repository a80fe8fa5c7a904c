//! Towers that a file names by their repository alone, as LLaVA's authors write it: `mm_vision_tower`.

use super::{Encoder, matrix, vector};
use crate::diagnostic::Diagnostic;
use crate::model::Tensor;
use crate::model::config::Config;

/// A published image encoder.
struct Published {
    /// How its repository's name ends.
    name: &'static str,
    layers: u64,
    hidden: u64,
    inner: u64,
    patch: u64,
    image: u64,
    /// Whether it is of CLIP: a class token, norms before and after the layers. Else of SigLIP, of which LLaVA's class
    /// drops the last layer and the pooling head (`llava/model/multimodal_encoder/siglip_encoder.py`).
    clip: bool,
}

/// Sizes as in each repository's `config.json`.
const PUBLISHED: &[Published] = &[
    Published { name: "clip-vit-large-patch14-336", image: 336, ..CLIP_LARGE },
    CLIP_LARGE,
    Published {
        name: "clip-vit-base-patch16",
        layers: 12,
        hidden: 768,
        inner: 3072,
        patch: 16,
        ..CLIP_LARGE
    },
    Published {
        name: "clip-vit-base-patch32",
        layers: 12,
        hidden: 768,
        inner: 3072,
        patch: 32,
        ..CLIP_LARGE
    },
    SIGLIP_SO400M,
    Published { name: "siglip-so400m-patch14-224", image: 224, ..SIGLIP_SO400M },
];

const CLIP_LARGE: Published = Published {
    name: "clip-vit-large-patch14",
    layers: 24,
    hidden: 1024,
    inner: 4096,
    patch: 14,
    image: 224,
    clip: true,
};

const SIGLIP_SO400M: Published = Published {
    name: "siglip-so400m-patch14-384",
    layers: 27,
    hidden: 1152,
    inner: 4304,
    patch: 14,
    image: 384,
    clip: false,
};

impl Published {
    fn tensors(&self) -> Vec<Tensor> {
        let h = self.hidden;
        let side = self.image / self.patch;
        let pixels = 3 * self.patch * self.patch;
        let (layers, marks) = if self.clip { (self.layers, 1) } else { (self.layers - 1, 0) };
        let mut out = vec![
            matrix("vision_tower.patch_embedding.weight", h, pixels),
            matrix("vision_tower.position_embedding.weight", side * side + marks, h),
            // CLIP's class token and its norms before and after; SigLIP's bias of the patches and its norm after.
            vector("vision_tower.layernorms", if self.clip { 5 * h } else { 3 * h }),
        ];
        out.extend(Encoder::vit(layers, h, self.inner).tensors());
        out
    }
}

/// The tower that `mm_vision_tower` names, and the projector of `mm_projector_type` (`linear`, or `mlp2x_gelu`: so many
/// layers); images cut into tiles end their lines with a vector (`mm_patch_merge_type`). `None` where either is not known.
pub(in crate::model::families) fn named(
    config: &Config,
    text_hidden: u64,
) -> Result<Option<Vec<Tensor>>, Diagnostic> {
    let name = config.opt_str("mm_vision_tower")?.unwrap_or_default().trim_end_matches('/');
    let Some(tower) = PUBLISHED.iter().find(|known| name.ends_with(known.name)) else { return Ok(None) };
    let kind = config.opt_str("mm_projector_type")?.unwrap_or("linear");
    let layers = match (kind, kind.strip_prefix("mlp").and_then(|rest| rest.strip_suffix("x_gelu"))) {
        ("linear", _) => 1,
        (_, Some(number)) => match number.parse::<u64>() {
            Ok(layers) if (1..=16).contains(&layers) => layers,
            _ => return Ok(None),
        },
        _ => return Ok(None),
    };
    let mut out = tower.tensors();
    let inputs = config.size_or("mm_hidden_size", tower.hidden)?;
    out.push(matrix("multi_modal_projector.linear_1.weight", text_hidden, inputs));
    for _ in 1..layers {
        out.push(matrix("multi_modal_projector.linear_2.weight", text_hidden, text_hidden));
    }
    out.push(vector("multi_modal_projector.biases", text_hidden.saturating_mul(layers)));
    if config.opt_str("mm_patch_merge_type")?.is_some_and(|kind| kind.contains("unpad")) {
        out.push(vector("image_newline", text_hidden));
    }
    Ok(Some(out))
}
