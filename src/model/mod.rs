//! Models: from a `config.json` to blocks of tensors and operators, and the counts that follow.

mod assembly;
pub mod blocks;
pub mod config;
mod context;
mod copies;
mod count;
mod disguise;
mod draft;
mod families;
mod gguf;
mod intake;
pub mod kept;
mod lora;
pub mod media;
mod names;
pub mod node;
pub mod operator;
mod other_files;
mod outputs;
pub mod quantisation;
mod rotary;
mod shape;
mod step;
mod task;
pub mod tensor;
mod unread;
pub mod verify;

use std::sync::Arc;

use crate::catalog::LayerCounts;
use crate::diagnostic::{Code, Diagnostic};
use crate::dtype::WeightFormat;
use blocks::{Block, Head};
pub use config::MAX_LAYERS;
pub use count::Parameters;
pub use families::{FAMILIES, Family, defaults as class_defaults};
pub use gguf::from_gguf;
pub use intake::{Downloaded, download, find, find_in, find_with, from_config};
pub use lora::Lora;
pub use names::{GgufFile, gguf_file};
pub use operator::{Operator, OperatorKind, Rows, Step, TrafficParts};
pub use quantisation::{Formats, Quantisation, Storage};
pub use rotary::RotaryTable;
pub use shape::{SHAPE_KEYS, from_shape};
pub use task::Task;
pub use tensor::{Component, RankGroups, Role, Split, Tensor, TensorClass};

/// Which part of a multimodal model is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything the checkpoint serves, vision and audio towers included where they are known.
    Full,
    /// The language model alone.
    Text,
}

impl Scope {
    /// Name as JSON value.
    pub fn name(self) -> &'static str {
        match self {
            Scope::Full => "full",
            Scope::Text => "text",
        }
    }
}

/// Layers of the same blocks and storage.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerGroup {
    /// Their indices, ascending.
    pub layers: Vec<u32>,
    /// What each of them consists of.
    pub blocks: Vec<Block>,
    /// The formats that their kernels compute with.
    pub formats: Formats,
    /// How each of their tensors is stored, in the order of [`LayerGroup::tensors`].
    pub storage: Vec<Storage>,
}

impl LayerGroup {
    /// Whether its layers have routed experts.
    pub fn routes(&self) -> bool {
        self.blocks.iter().any(|b| matches!(b, Block::Moe(_)))
    }

    /// The tensors of one layer and how each is stored.
    pub fn tensors(&self) -> impl Iterator<Item = (Tensor, Storage)> + '_ {
        let mut tensors = Vec::with_capacity(self.storage.len());
        self.blocks.iter().for_each(|block| block.tensors(&mut tensors));
        tensors.into_iter().zip(self.storage.iter().copied())
    }
}

/// An encoded image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Images {
    /// Positions that the encoder computes.
    pub positions: u64,
    /// Features of each that it hands on.
    pub features: u64,
}

/// Size of an image encoder, as far as its configuration says it in the usual fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncoderSize {
    /// Layers.
    pub layers: u64,
    /// Width.
    pub width: u64,
    /// Positions times width that it computes for each token of a video, whose frames are as large as images; none
    /// without videos.
    pub per_video_token: u64,
    /// Its largest image, where the family has one.
    pub image: Option<LargestImage>,
}

/// The largest image that an encoder takes, and what it holds of each of its patches at once, in values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LargestImage {
    /// Patches.
    pub patches: u64,
    /// Residual streams and pixels, which every rank holds.
    pub whole: u64,
    /// What ranks divide: inputs and outputs of the feed-forward layer's products.
    pub divided: u64,
}

/// Tokens of the largest image of Qwen2-VL and its successors (`preprocessor_config.json`: 12,845,056 pixels by 28², or
/// 16,777,216 by 32²).
const LARGEST_IMAGE: u64 = 16_384;

impl EncoderSize {
    /// ViT-L, which stands in for what a configuration leaves out.
    pub const VIT_LARGE: EncoderSize =
        EncoderSize { layers: 24, width: 1024, per_video_token: 0, image: None };

    /// Layers times squared width, of ViT-L's.
    pub fn of_vit_large(self) -> f64 {
        let size = |e: EncoderSize| e.layers as f64 * (e.width as f64).powi(2);
        size(self) / size(Self::VIT_LARGE)
    }

    fn read(root: &config::Config) -> Option<EncoderSize> {
        let vision = root.opt_sub("vision_config").ok().flatten()?;
        // Kimi-K2.5 puts `vt_` before the usual names.
        let size = |keys: &[&str], usual| vision.opt_size_of(keys).ok().flatten().unwrap_or(usual);
        let usual = Self::VIT_LARGE;
        let family = root.opt_str("model_type").ok().flatten();
        // Qwen3.5 and its successors take a video as an image of two frames.
        let videos = matches!(family, Some("qwen2_vl" | "qwen2_5_vl" | "qwen3_vl" | "qwen3_vl_moe"));
        let images = videos || matches!(family, Some("qwen3_5" | "qwen3_5_moe"));
        let merged = size(&["spatial_merge_size"], 2).saturating_pow(2);
        let gated = family == Some("qwen2_5_vl");
        let width = size(&["embed_dim", "hidden_size"], 1280);
        let inner = match family {
            Some("qwen2_vl") => size(&["mlp_ratio"], 4).saturating_mul(width),
            _ => size(&["intermediate_size"], width.saturating_mul(4)),
        };
        let pixels = size(&["in_channels", "in_chans"], 3)
            .saturating_mul(size(&["temporal_patch_size"], 2))
            .saturating_mul(size(&["patch_size"], 14).saturating_pow(2));
        // Two residuals and 32-bit pixels; a third of the width with gate, up-projection and what goes back, or the inner
        // width twice without a gate.
        let image = LargestImage {
            patches: merged.saturating_mul(LARGEST_IMAGE),
            whole: width.saturating_add(pixels).saturating_mul(2),
            divided: width.saturating_add(inner.saturating_mul(if gated { 3 } else { 2 })),
        };
        Some(EncoderSize {
            layers: size(&["num_hidden_layers", "vt_num_hidden_layers"], usual.layers),
            width: size(&["hidden_size", "vt_hidden_size"], usual.width),
            per_video_token: if videos { merged.saturating_mul(width) } else { 0 },
            image: images.then_some(image),
        })
    }
}

/// What a family's function reads from a configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Architecture {
    /// Model width.
    pub hidden: u64,
    /// Vocabulary.
    pub vocabulary: u64,
    /// Longest context the model was made for.
    pub max_context: Option<u64>,
    /// Before the layers: embedding.
    pub before: Vec<Block>,
    /// The layers in order.
    pub layers: Vec<Vec<Block>>,
    /// After the layers: norm and head.
    pub after: Vec<Block>,
    /// Multi-token-prediction layers.
    pub mtp: Vec<Block>,
    /// Vision and audio towers and their projectors.
    pub towers: Vec<Tensor>,
    /// The image that a request may bring, where the decoder looks across at it.
    pub images: Option<Images>,
    /// Whether the model has towers that are not known, so that only its language model is counted.
    pub text_only: bool,
    /// Remarks for the reader, e.g. what was assumed.
    pub notes: Vec<String>,
}

/// A model.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Hub id, catalogue name or path.
    pub id: String,
    /// `model_type` of its configuration.
    pub family: String,
    /// Whether the family is in the table; otherwise the general rules were used.
    pub recognised: bool,
    /// What it does.
    pub task: Task,
    /// Which part is counted.
    pub scope: Scope,
    /// Model width.
    pub hidden: u64,
    /// Vocabulary.
    pub vocabulary: u64,
    /// Longest context the model was made for.
    pub max_context: Option<u64>,
    /// Before the layers: embedding.
    pub before: Vec<Block>,
    /// The layers, grouped by what they consist of.
    pub groups: Vec<LayerGroup>,
    /// After the layers: norm and head.
    pub after: Vec<Block>,
    /// Multi-token-prediction layers.
    pub mtp: Vec<Block>,
    /// How many its file names that are not read, so that they are in no count and draft nothing.
    pub unread_predictions: u64,
    /// Whether they are loaded: then the last of the groups holds them.
    pub predicts: bool,
    /// Vision and audio towers and their projectors.
    pub towers: Vec<Tensor>,
    /// How the weights are stored.
    pub quantisation: Quantisation,
    /// The image that a request may bring, where the decoder looks across at it.
    pub images: Option<Images>,
    /// How large its image encoder is, if it has one.
    pub encoder: Option<EncoderSize>,
    /// How it sees, where its processor is described.
    pub sight: Option<media::Sight>,
    /// How it hears, where its processor is described.
    pub hearing: Option<media::Hearing>,
    /// Tables of rotary positions: buffers that engines hold beside the weights.
    pub rotary: Vec<RotaryTable>,
    /// Residual streams side by side, each as wide as the model (hyper-connections of DeepSeek-V4); else one.
    pub residual_streams: u64,
    /// What drafts tokens for it, if a model of its own does.
    pub draft: Option<Arc<Model>>,
    /// Remarks for the reader.
    pub notes: Vec<String>,
}

impl Model {
    /// Numbers of layers, by what mixes in them.
    pub fn layer_counts(&self) -> LayerCounts {
        let with = |is: fn(&Block) -> bool| {
            let has = |g: &&LayerGroup| g.blocks.iter().any(is);
            self.groups.iter().filter(has).map(|g| g.layers.len() as u64).sum()
        };
        LayerCounts {
            all: self.layers(),
            latent: with(|b| matches!(b, Block::Latent(_) | Block::Compressed(_))),
            recurrent: with(|b| matches!(b, Block::Recurrent(_))),
        }
    }

    /// Number of layers.
    pub fn layers(&self) -> u64 {
        self.groups.iter().map(|g| g.layers.len() as u64).sum()
    }

    /// The head's weight matrix, if it shares the embedding's.
    pub fn tied_head(&self) -> Option<Tensor> {
        self.head().filter(|h| h.tied).map(Head::weight)
    }

    /// The output projection.
    pub fn head(&self) -> Option<&Head> {
        self.after.iter().find_map(|b| match b {
            Block::Head(h) => Some(h),
            _ => None,
        })
    }

    /// The formats that the kernels outside the layers compute with.
    pub fn outer_formats(&self) -> Formats {
        self.quantisation.outer(self.head().filter(|h| !h.tied).map(Head::weight).as_ref())
    }

    /// Every block inside the layers, once per group.
    pub fn layer_blocks(&self) -> impl Iterator<Item = &Block> {
        self.groups.iter().flat_map(|g| &g.blocks)
    }

    /// Whether it takes images or sound beside text.
    pub fn sees(&self) -> bool {
        self.scope == Scope::Full && !self.towers.is_empty()
    }

    /// Whether any layer routes experts.
    pub fn is_moe(&self) -> bool {
        self.layer_blocks().any(|b| matches!(b, Block::Moe(_)))
    }

    /// Whether any layer uses latent attention.
    pub fn is_latent(&self) -> bool {
        self.layer_blocks().any(|b| matches!(b, Block::Latent(_)))
    }

    /// Whether attention reads tokens that an indexer chooses in any layer.
    pub fn chooses_tokens(&self) -> bool {
        self.layer_blocks().any(|b| matches!(b, Block::Latent(latent) if latent.chosen.is_some()))
    }

    /// Whether any layer is recurrent.
    pub fn is_hybrid(&self) -> bool {
        self.layer_blocks().any(|b| matches!(b, Block::Recurrent(_)))
    }

    /// The same model with its linear layers and experts stored as `format`. A quantised checkpoint that is mostly in it
    /// already stays as it is, with what it leaves in others.
    #[must_use]
    pub fn with_weights(self, format: crate::dtype::WeightFormat) -> Model {
        if format.is_quantised() && self.quantisation.main_format() == format {
            return self;
        }
        let stored = self.quantisation.overridden(format, self.tied_head().is_some(), self.is_moe());
        self.stored(stored)
    }

    /// The same model in a GGUF file of that name: as [`Model::with_weights`], but files in 16 and 32 bits keep experts that
    /// the checkpoint has in MXFP4, and of one in MXFP4 the rest is in Q8_0.
    #[must_use]
    pub fn with_weights_in_gguf(self, format: crate::dtype::WeightFormat) -> Model {
        let stored = self.quantisation.made_in_gguf(format, self.tied_head().is_some(), self.is_moe());
        self.stored(stored)
    }

    /// The same model in the GGUF file that is published of its checkpoint, where that file has formats that the checkpoint
    /// has not; `None` elsewhere.
    pub fn in_own_gguf(&self) -> Option<Model> {
        let stored = self.quantisation.published_in_gguf(self.tied_head().is_some(), self.is_moe())?;
        Some(self.clone().stored(stored))
    }

    fn stored(mut self, quantisation: Quantisation) -> Model {
        self.quantisation = quantisation;
        let layers = ungroup(self.groups);
        self.groups = group(layers, &self.quantisation);
        self
    }

    /// The same model as engines load it unless they are told otherwise: a checkpoint in 32 bits in 16
    /// (`Quantisation::loaded`). `None` where it is loaded as it is stored.
    pub fn loaded(&self) -> Option<Model> {
        let own = self.quantisation.loaded();
        let draft = self.draft.as_ref().and_then(|draft| draft.loaded());
        if own.is_none() && draft.is_none() {
            return None;
        }
        let mut model = self.clone();
        if let Some(quantisation) = own {
            model.groups = group(ungroup(model.groups), &quantisation);
            model.quantisation = quantisation;
        }
        model.draft = draft.map(Arc::new).or(model.draft);
        Some(model)
    }

    /// The format that engines hold most of its weights in: the checkpoint's, 16 bits for one of 32 ([`Model::loaded`]).
    pub fn served_as(&self) -> WeightFormat {
        self.quantisation.loaded().as_ref().unwrap_or(&self.quantisation).main_format()
    }

    /// The same model with its multi-token-prediction layers loaded, as one more layer; as it is where it
    /// has none.
    #[must_use]
    pub fn with_prediction(mut self) -> Model {
        if !self.mtp.is_empty() && !self.predicts {
            let mut layers = ungroup(self.groups);
            layers.push(self.mtp.clone());
            self.groups = group(layers, &self.quantisation);
            self.predicts = true;
        }
        self
    }

    /// The same model with every layer attending to the whole context.
    #[must_use]
    pub fn without_windows(mut self) -> Model {
        for block in self.groups.iter_mut().flat_map(|g| &mut g.blocks) {
            if let Block::Attention(attention) = block {
                attention.window = None;
            }
        }
        self
    }

    /// The same model with caches that keep the tokens beyond every chunk, which attention still does not see.
    #[must_use]
    pub fn keeping_chunks(mut self) -> Model {
        for block in self.groups.iter_mut().flat_map(|g| &mut g.blocks) {
            if let Block::Attention(attention) = block {
                attention.keeps_all |= attention.chunked;
            }
        }
        self
    }

    /// Whether any layer attends in chunks.
    pub fn is_chunked(&self) -> bool {
        self.layer_blocks().any(|b| matches!(b, Block::Attention(a) if a.chunked && a.window.is_some()))
    }

    fn build(
        id: &str,
        family: &str,
        recognised: bool,
        scope: Scope,
        architecture: Architecture,
        quantisation: Quantisation,
    ) -> Result<Model, Diagnostic> {
        if architecture.layers.is_empty() {
            return Err(Diagnostic::new(Code::Model, "the model has no layers").at(id));
        }
        let a = architecture;
        let quantisation = quantisation.of_layers(a.layers.len());
        let model = Model {
            id: id.to_owned(),
            family: family.to_owned(),
            recognised,
            task: Task::Generation,
            scope: if a.text_only { Scope::Text } else { scope },
            hidden: a.hidden,
            vocabulary: a.vocabulary,
            max_context: a.max_context,
            before: a.before,
            groups: group(a.layers, &quantisation),
            after: a.after,
            mtp: a.mtp,
            unread_predictions: 0,
            predicts: false,
            towers: a.towers,
            quantisation,
            images: a.images,
            encoder: None,
            sight: None,
            hearing: None,
            rotary: Vec::new(),
            residual_streams: 1,
            draft: None,
            notes: a.notes,
        };
        model.parameters()?;
        Ok(model)
    }
}

/// Gathers equal layers.
fn group(layers: Vec<Vec<Block>>, quantisation: &Quantisation) -> Vec<LayerGroup> {
    let mut groups: Vec<LayerGroup> = Vec::new();
    let (mut tensors, mut names) = (Vec::new(), quantisation::Names::default());
    let told_apart = quantisation.tells_layers_apart();
    for (index, blocks) in layers.into_iter().enumerate() {
        let like = |g: &&mut LayerGroup| {
            let mut others = g.layers.iter().rev();
            g.blocks == blocks
                && others.any(|n| quantisation::digits(*n as usize) == quantisation::digits(index))
        };
        if let Some(group) = groups.iter_mut().find(like).filter(|_| !told_apart) {
            group.layers.push(index as u32);
            continue;
        }
        tensors.clear();
        blocks.iter().for_each(|block| block.tensors(&mut tensors));
        let (storage, formats) = quantisation.layer_like(index, &tensors, &mut names);
        let number = index as u32;
        match groups.iter_mut().find(|g| g.storage == storage && g.blocks == blocks) {
            Some(group) => group.layers.push(number),
            None => groups.push(LayerGroup { layers: vec![number], blocks, formats, storage }),
        }
    }
    groups
}

/// The layers in order.
fn ungroup(groups: Vec<LayerGroup>) -> Vec<Vec<Block>> {
    let mut layers: Vec<(u32, Vec<Block>)> =
        groups.into_iter().flat_map(|g| g.layers.into_iter().map(move |i| (i, g.blocks.clone()))).collect();
    layers.sort_by_key(|(index, _)| *index);
    layers.into_iter().map(|(_, blocks)| blocks).collect()
}
