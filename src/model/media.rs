//! Images, video and sound in prompts: how many tokens each becomes, by the rule of the model's own processor, and what
//! its encoder computes for them.

use super::blocks::{Attention, Biases, Block, Mlp, Norm};
use super::config::Config;
use super::families::defaults;
use super::tensor::Component;

/// Items of one kind that a prompt brings: each is encoded by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Items {
    /// How many.
    pub count: u64,
    /// Positions that the encoder computes for one.
    pub positions: u64,
    /// Tokens of the prompt that one becomes, those around it included.
    pub tokens: u64,
}

impl Items {
    /// Tokens of all of them.
    pub fn all_tokens(&self) -> u64 {
        self.count.saturating_mul(self.tokens)
    }
}

/// What a prompt brings beside text.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Media {
    /// Images.
    pub images: Items,
    /// Frames of a video, or groups of frames that are encoded together.
    pub video: Items,
    /// Stretches of sound.
    pub audio: Items,
}

impl Media {
    /// Tokens of all of it.
    pub fn tokens(&self) -> u64 {
        [self.images, self.video, self.audio].iter().fold(0, |n, items| n.saturating_add(items.all_tokens()))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.tokens() == 0
    }
}

/// How pixels become positions and tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    /// Both sides are rounded to multiples of `patch·merge`, the area is kept between bounds (`smart_resize` of
    /// transformers `models/qwen2_vl/image_processing_qwen2_vl.py`), and `merge²` patches become a token. The bounds are those
    /// of the checkpoints' `preprocessor_config.json`.
    Merged { merge: u64, pixels: (u64, u64), around: u64 },
    /// Scaled down to so many patches at most, padded to `patch·merge` (MoonViT: `image_processing_kimi_vl.py`).
    Capped { merge: u64, patches: u64, around: u64 },
    /// Scaled down to a longest side; a token ends each row (transformers `models/pixtral/image_processing_pixtral.py`,
    /// `processing_pixtral.py`).
    Rows { merge: u64, longest: u64 },
    /// Every image has one size.
    Fixed { positions: u64, tokens: u64 },
    /// Scaled so that `pool²` patches make at most so many tokens (vLLM `models/gemma4_mm.py`, `_compute_num_soft_tokens`).
    Pooled { pool: u64, most: u64, frame: u64, around: u64 },
    /// Cut into tiles of the grid that is nearest to the image's shape, and one of the whole where there are several
    /// (transformers `models/got_ocr2/image_processing_got_ocr2.py`, `get_optimal_tiled_canvas`, of InternVL; vLLM
    /// `models/mllama4.py` of Llama 4).
    Tiles { side: u64, positions: u64, tokens: u64, most: u64, around: u64 },
}

/// An encoder of images or sound.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoder {
    /// How many layers of which blocks, in groups of equal ones.
    pub layers: Vec<(u64, Vec<Block>)>,
    /// Blocks that work on what is handed on, once per token of the prompt.
    pub merger: Vec<Block>,
    /// Whether tensor-parallel ranks divide it; otherwise each computes all of it.
    pub divided: bool,
}

/// How a model sees.
#[derive(Clone, Debug, PartialEq)]
pub struct Sight {
    rule: Rule,
    patch: u64,
    /// Frames of a video that are one item.
    frames: u64,
    /// Pixels of all frames of a video at most.
    video_pixels: u64,
    /// Its encoder.
    pub encoder: Encoder,
}

/// How a model hears.
#[derive(Clone, Debug, PartialEq)]
pub struct Hearing {
    /// Tokens of a second.
    tokens: f64,
    /// Positions that the encoder computes for a second.
    positions: f64,
    /// Its encoder.
    pub encoder: Encoder,
}

/// Longest stretch of sound that encoders take at a time, in seconds (Whisper's window).
const STRETCH: f64 = 30.0;

impl Sight {
    /// An image of so many pixels.
    pub fn image(&self, width: u64, height: u64) -> Items {
        let (positions, tokens) = self.seen(width, height, u64::MAX);
        Items { count: 1, positions, tokens }
    }

    /// A video of so many frames; `None` where the processor's rule for videos is not described.
    pub fn video(&self, frames: u64, width: u64, height: u64) -> Option<Items> {
        let most = self.video_pixels / frames.max(1);
        let (positions, tokens) = match self.rule {
            Rule::Merged { .. } | Rule::Fixed { .. } => self.seen(width, height, most),
            Rule::Pooled { pool, frame, around, .. } => {
                let tokens = pooled(self.patch * pool, frame, width, height);
                (tokens * pool * pool, tokens + around)
            }
            // A frame is one tile.
            Rule::Tiles { positions, tokens, around, .. } => (positions, tokens + around),
            Rule::Capped { .. } | Rule::Rows { .. } => return None,
        };
        Some(Items { count: frames.div_ceil(self.frames).max(1), positions, tokens })
    }

    /// Positions and tokens of one picture, whose area may be limited further.
    fn seen(&self, width: u64, height: u64, most: u64) -> (u64, u64) {
        match self.rule {
            Rule::Merged { merge, pixels: (least, limit), around } => {
                let (w, h) = resized(width, height, self.patch * merge, (least.min(most), limit.min(most)));
                let tokens = w * h;
                (tokens * merge * merge, tokens + around)
            }
            Rule::Capped { merge, patches, around } => {
                let own = (width / self.patch).max(1) * (height / self.patch).max(1);
                let scale = (patches as f64 / own as f64).sqrt().min(1.0);
                let side = |pixels: u64| ((pixels as f64 * scale) as u64).max(1).div_ceil(self.patch * merge);
                let tokens = side(width) * side(height);
                (tokens * merge * merge, tokens + around)
            }
            Rule::Rows { merge, longest } => {
                let scale = (longest as f64 / width.max(height) as f64).min(1.0);
                let side = |pixels: u64| ((pixels as f64 * scale) as u64).max(1).div_ceil(self.patch * merge);
                let (columns, rows) = (side(width), side(height));
                (columns * rows * merge * merge, (columns + 1) * rows)
            }
            Rule::Fixed { positions, tokens } => (positions, tokens),
            Rule::Pooled { pool, most, around, .. } => {
                let tokens = pooled(self.patch * pool, most, width, height);
                (tokens * pool * pool, tokens + around)
            }
            Rule::Tiles { side, positions, tokens, most, around } => {
                let tiles = tiles(side, most, width, height);
                let all = if tiles > 1 { tiles + 1 } else { 1 };
                (all * positions, all * tokens + around)
            }
        }
    }
}

impl Hearing {
    /// Sound of so many seconds, in stretches of half a minute.
    pub fn sound(&self, seconds: f64) -> Items {
        let count = (seconds / STRETCH).ceil().max(1.0);
        let each = seconds / count;
        let of = |rate: f64| (each * rate).ceil().max(1.0) as u64;
        Items { count: count as u64, positions: of(self.positions), tokens: of(self.tokens) }
    }
}

/// Sides in multiples of `unit`, with an area between the bounds.
fn resized(width: u64, height: u64, unit: u64, (least, most): (u64, u64)) -> (u64, u64) {
    let (w, h, u) = (width as f64, height as f64, unit as f64);
    let round = |x: f64| ((x / u).round_ties_even() as u64).max(1);
    let (columns, rows) = (round(w), round(h));
    let area = columns.saturating_mul(rows).saturating_mul(unit * unit);
    if area > most {
        let beta = (w * h / most as f64).sqrt();
        (((w / beta / u).floor() as u64).max(1), ((h / beta / u).floor() as u64).max(1))
    } else if area < least {
        let beta = (least as f64 / (w * h)).sqrt();
        (((w * beta / u).ceil() as u64).max(1), ((h * beta / u).ceil() as u64).max(1))
    } else {
        (columns, rows)
    }
}

/// Tokens of `unit²` pixels that a picture scaled to `most` of them has.
fn pooled(unit: u64, most: u64, width: u64, height: u64) -> u64 {
    let scale = (most as f64 / (width as f64 * height as f64)).sqrt() * unit as f64;
    let side = |pixels: u64| ((pixels as f64 * scale / unit as f64).floor() as u64).max(1);
    (side(width) * side(height)).min(most)
}

/// Tiles of the grid whose shape is nearest to the picture's; of several, the largest that the picture fills by half.
fn tiles(side: u64, most: u64, width: u64, height: u64) -> u64 {
    let ratio = width as f64 / height as f64;
    let mut grids: Vec<(u64, u64)> = (1..=most).flat_map(|w| (1..=most / w).map(move |h| (w, h))).collect();
    grids.sort_by_key(|(w, h)| w * h);
    let (mut best, mut off) = ((1, 1), f64::INFINITY);
    for (w, h) in grids {
        let distance = (ratio - w as f64 / h as f64).abs();
        let filled = 2 * width.saturating_mul(height) > side * side * w * h;
        if distance < off || distance == off && filled {
            (best, off) = ((w, h), distance);
        }
    }
    best.0 * best.1
}

/// Sizes of an encoder.
struct Sizes {
    layers: u64,
    width: u64,
    inner: u64,
    heads: u64,
    gated: bool,
    biased: bool,
}

impl Sizes {
    fn layer(&self, window: Option<u64>) -> Vec<Block> {
        let norm =
            || Block::Norm(Norm { name: "encoder.norm", width: self.width, weight: true, bias: self.biased });
        let heads = self.heads.max(1);
        let attention = Attention {
            biases: Biases::qkv_o(self.biased, self.biased),
            cached: false,
            window,
            ..Attention::new(self.width, heads, heads, (self.width / heads).max(1))
        };
        let mlp = Mlp {
            gated: self.gated,
            up_bias: self.biased,
            down_bias: self.biased,
            component: Component::Other,
            ..Mlp::gated(self.width, self.inner)
        };
        vec![norm(), Block::Attention(attention), norm(), Block::Mlp(mlp)]
    }

    /// All layers alike, with a merger of `merge²` positions where there is one, `copies` times.
    fn encoder(&self, merge: u64, copies: u64, divided: bool) -> Encoder {
        let merged = self.width.saturating_mul(merge * merge);
        let mlp = Mlp { gated: false, component: Component::Other, ..Mlp::gated(merged, merged) };
        let merger = if merge > 1 { vec![Block::Mlp(mlp); copies as usize] } else { Vec::new() };
        Encoder { layers: vec![(self.layers, self.layer(None))], merger, divided }
    }
}

/// A size by the first of its names.
fn size(config: &Config, keys: &[&str], usual: u64) -> u64 {
    config.opt_size_of(keys).ok().flatten().unwrap_or(usual)
}

/// The part of a configuration that describes an encoder, at the root or inside a thinker.
fn part<'a>(root: &Config<'a>, key: &str) -> Option<Config<'a>> {
    let thinker = root.opt_sub("thinker_config").ok().flatten();
    let own = root.opt_sub(key).ok().flatten();
    own.or_else(|| thinker?.opt_sub(key).ok().flatten())
}

/// How a model sees, by its configuration; `None` where it does not, or its processor is not described.
pub(super) fn sight(root: &Config) -> Option<Sight> {
    let family = root.opt_str("model_type").ok().flatten()?;
    let config = part(root, "vision_config")?;
    let own = config.opt_str("model_type").ok().flatten().unwrap_or(family);
    let known = defaults(own).or_else(|| defaults(&format!("{family}_vision")));
    let config = config.with_defaults(known);
    let patch = size(&config, &["patch_size"], 14).max(1);
    let merge = size(&config, &["spatial_merge_size"], 2).clamp(1, 16);
    // InternVL writes both sides.
    let usual = if family.starts_with("internvl") { 448 } else { 336 };
    let side = size(&config, &["image_size"], usual);
    // Qwen2-VL's `hidden_size` is the language model's.
    let width = match family {
        "qwen2_vl" => size(&config, &["embed_dim"], 1280),
        _ => size(&config, &["hidden_size", "vt_hidden_size"], 1152),
    };
    let mut sizes = Sizes {
        layers: size(&config, &["depth", "num_hidden_layers", "vt_num_hidden_layers"], 27),
        width,
        inner: size(&config, &["intermediate_size", "vt_intermediate_size"], width.saturating_mul(4)),
        heads: size(&config, &["num_heads", "num_attention_heads", "vt_num_attention_heads"], 16),
        gated: false,
        biased: true,
    };
    let patches = (side / patch).pow(2).max(1);
    let (rule, frames, video_pixels) = match family {
        "qwen2_vl" | "qwen2_5_vl" | "qwen2_5_omni" | "qwen2_5_omni_thinker" => {
            sizes.gated = family != "qwen2_vl";
            (Rule::Merged { merge, pixels: (3_136, 12_845_056), around: 2 }, 2, u64::MAX)
        }
        // The video's bound is of all frames (`video_preprocessor_config.json`, `longest_edge`).
        "qwen3_vl"
        | "qwen3_vl_moe"
        | "qwen3_5"
        | "qwen3_5_moe"
        | "qwen3_omni_moe"
        | "qwen3_omni_moe_thinker" => {
            (Rule::Merged { merge, pixels: (65_536, 16_777_216), around: 2 }, 2, 25_165_824)
        }
        "glm4v" | "glm4v_moe" | "glm46v" => {
            (sizes.gated, sizes.biased) = (true, false);
            (Rule::Merged { merge, pixels: (12_544, 9_633_792), around: 2 }, 2, u64::MAX)
        }
        "kimi_k25" => (Rule::Capped { merge: 2, patches: 16_384, around: 3 }, 1, u64::MAX),
        "mistral3" | "lighton_ocr" => {
            (sizes.gated, sizes.biased) = (true, false);
            let merge = size(root, &["spatial_merge_size"], 2).clamp(1, 16);
            (Rule::Rows { merge, longest: side.max(1) }, 1, u64::MAX)
        }
        "gemma3" => {
            let tokens = size(root, &["mm_tokens_per_image"], 256);
            (Rule::Fixed { positions: patches, tokens: tokens + 2 }, 1, u64::MAX)
        }
        "gemma4" => {
            (sizes.gated, sizes.biased) = (true, false);
            let (pool, most) =
                (size(&config, &["pooling_kernel_size"], 3), size(&config, &["default_output_length"], 280));
            (Rule::Pooled { pool: pool.clamp(1, 16), most, frame: 70, around: 2 }, 1, u64::MAX)
        }
        "llava" | "vipllava" | "paligemma" => {
            (Rule::Fixed { positions: patches, tokens: patches }, 1, u64::MAX)
        }
        "internvl" | "internvl_chat" => {
            let most = size(root, &["max_dynamic_patch"], 12).clamp(1, 64);
            let tokens = (patches / 4).max(1);
            (Rule::Tiles { side, positions: patches + 1, tokens, most, around: 2 }, 1, u64::MAX)
        }
        "llama4" => (
            Rule::Tiles {
                side,
                positions: patches + 1,
                tokens: (patches / 4).max(1) + 1,
                most: 16,
                around: 2,
            },
            1,
            u64::MAX,
        ),
        _ => return None,
    };
    let deep =
        config.numbers("deepstack_visual_indexes").ok().flatten().map_or(0, |layers| layers.len() as u64);
    let merges = match rule {
        Rule::Merged { merge, .. } | Rule::Capped { merge, .. } | Rule::Rows { merge, .. } => merge,
        _ => 1,
    };
    // MoonViT and Pixtral stand whole on each rank (vLLM `models/moonvit.py`, `pixtral.py`).
    let divided = !matches!(rule, Rule::Capped { .. } | Rule::Rows { .. });
    let mut encoder = sizes.encoder(merges, 1 + deep, divided);
    if let Some(full) = config.numbers("fullatt_block_indexes").ok().flatten() {
        // The other layers look inside windows of 112 pixels (transformers `modeling_qwen2_5_vl.py`).
        let window = size(&config, &["window_size"], 112) / patch;
        let full = (full.len() as u64).min(sizes.layers);
        let windowed = sizes.layer(Some((window * window).max(1)));
        encoder.layers = vec![(full, sizes.layer(None)), (sizes.layers - full, windowed)];
    }
    Some(Sight { rule, patch, frames, video_pixels, encoder })
}

/// How a model hears, by its configuration; `None` where it does not, or its processor is not described.
///
/// Qwen2.5-Omni and Qwen2-Audio: 100 frames a second, halved by a convolution before the layers and again after them.
/// Qwen3-Omni: 13 tokens a second (transformers `modeling_qwen3_omni_moe.py`, `_get_feat_extract_output_lengths`). Gemma 4: a
/// token of 40 ms. Voxtral: four of Whisper's positions make a token. Phi-4-multimodal: 80 ms.
pub(super) fn hearing(root: &Config) -> Option<Hearing> {
    let family = root.opt_str("model_type").ok().flatten()?;
    let config = part(root, "audio_config")?;
    let own = config.opt_str("model_type").ok().flatten().unwrap_or(family);
    let known = defaults(own).or_else(|| defaults(&format!("{family}_audio")));
    let config = config.with_defaults(known);
    let (tokens, positions, conformer) = match family {
        "qwen2_5_omni" | "qwen2_5_omni_thinker" | "qwen2_audio" => (25.0, 50.0, false),
        "qwen3_omni_moe" | "qwen3_omni_moe_thinker" => (13.0, 13.0, false),
        "voxtral" => (12.5, 50.0, false),
        "gemma4" => (25.0, 25.0, true),
        "phi4_multimodal" => (12.5, 12.5, true),
        _ => return None,
    };
    let width = size(&config, &["d_model", "hidden_size"], 1280);
    let inner = size(&config, &["encoder_ffn_dim", "intermediate_size"], width.saturating_mul(4));
    let sizes = Sizes {
        layers: size(&config, &["encoder_layers", "num_hidden_layers", "num_blocks"], 32),
        width,
        // Two feed-forward layers and a convolution of three matrices stand around a conformer's attention.
        inner: if conformer { width.saturating_mul(10) } else { inner },
        heads: size(&config, &["encoder_attention_heads", "num_attention_heads"], 16),
        gated: false,
        biased: true,
    };
    Some(Hearing { tokens, positions, encoder: sizes.encoder(1, 0, true) })
}
