//! How a checkpoint stores each class of weights: read from `quantization_config` or overridden.

mod found;
mod methods;
mod modules;
mod storage;

use std::cell::OnceCell;

use crate::diagnostic::{Code, Diagnostic};
use crate::dtype::gguf::{self, Place};
use crate::dtype::{DType, WeightFormat};

use super::config::Config;
use super::tensor::{Component, Tensor, TensorClass};
use methods::Reach;
pub(super) use modules::digits;
use modules::{Known, Modules};
pub use storage::Storage;

/// What the modules of layers may be called: of each kind of layer once, and not before a list is asked about one.
#[derive(Debug, Default)]
pub(super) struct Names(Vec<(Vec<Tensor>, Vec<NamesOf>)>);

/// What the module of one tensor may be called.
type NamesOf = OnceCell<Vec<String>>;

impl Names {
    /// Kinds of layers that are remembered: models have a few, which take turns.
    const MOST: usize = 8;

    /// The names of each of a layer's tensors.
    fn of(&mut self, tensors: &[Tensor]) -> &[NamesOf] {
        let place = self.0.iter().position(|(known, _)| known == tensors).unwrap_or_else(|| {
            self.0.truncate(Names::MOST - 1);
            self.0.push((tensors.to_vec(), vec![NamesOf::new(); tensors.len()]));
            self.0.len() - 1
        });
        &self.0[place].1
    }
}

/// The formats that the kernels of one layer (or of the parts outside the layers) compute with, by class:
/// that of the class's largest matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Formats {
    /// Norms, biases, routers: the model's own type.
    pub base: WeightFormat,
    /// Attention projections.
    pub attention: WeightFormat,
    /// Dense feed-forward layers and shared experts.
    pub mlp: WeightFormat,
    /// Routed experts.
    pub experts: WeightFormat,
    /// Recurrent mixers.
    pub ssm: WeightFormat,
    /// Token embedding.
    pub embedding: WeightFormat,
    /// Output projection.
    pub head: WeightFormat,
}

impl Formats {
    /// Everything in one 16- or 32-bit type.
    pub fn uniform(base: WeightFormat) -> Formats {
        Formats { base, attention: base, mlp: base, experts: base, ssm: base, embedding: base, head: base }
    }

    /// The class that a matrix belongs to; `None` for what is never quantised.
    fn slot(&mut self, tensor: &Tensor) -> Option<&mut WeightFormat> {
        Some(match (tensor.class, tensor.component) {
            (TensorClass::Vector | TensorClass::Router | TensorClass::Adapter, _) => return None,
            (TensorClass::Embedding, _) => &mut self.embedding,
            (TensorClass::Head, _) => &mut self.head,
            (TensorClass::Expert, _) => &mut self.experts,
            (TensorClass::Linear, Component::Attention) => &mut self.attention,
            (TensorClass::Linear, Component::Ssm) => &mut self.ssm,
            (TensorClass::Linear, Component::Mlp) => &mut self.mlp,
            (TensorClass::Linear, _) => return None,
        })
    }

    /// The format of a tensor's class.
    fn format(mut self, tensor: &Tensor) -> WeightFormat {
        let base = self.base;
        self.slot(tensor).map_or(base, |format| *format)
    }

    /// The formats of tensors stored so.
    fn of<'a>(base: WeightFormat, stored: impl Iterator<Item = (&'a Tensor, Storage)>) -> Formats {
        let mut formats = Formats::uniform(base);
        let mut stored: Vec<_> = stored.collect();
        // The largest matrix of a class is written last.
        stored.sort_by_key(|(tensor, _)| tensor.parameters().unwrap_or(u64::MAX));
        for (tensor, storage) in stored {
            if let Some(slot) = formats.slot(tensor) {
                *slot = storage.format;
            }
        }
        formats
    }
}

/// The quantisation of a checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantisation {
    /// Type of everything that is not quantised.
    pub base: WeightFormat,
    /// Whether it is what a configuration says, and not asked for or found in a file of weights.
    by_config: bool,
    /// Storage of the quantised linear layers, if any are.
    pub storage: Option<Storage>,
    /// Type of the KV cache that the checkpoint asks for.
    pub kv: Option<DType>,
    /// Whether the output projection shares the embedding.
    tied: bool,
    /// Storage of the routed experts, where it is not that of the other linear layers.
    experts: Option<Storage>,
    /// Storage of the output projection, where it is not that of the other linear layers.
    head: Option<Storage>,
    /// Attention stays in the base type.
    attention_kept: bool,
    /// Which modules are quantised.
    reach: Reach,
    /// The only modules that are, where they are listed.
    only: Option<Modules>,
    /// What differs by module: the first that covers one decides; `None` leaves it in the base type.
    rules: Vec<(Modules, Option<Storage>)>,
    /// Formats of each layer and of what lies outside, where a file's table of tensors says.
    exact: Option<(Vec<Formats>, Formats)>,
    /// Layers of the decoder, once they are counted: what lies behind them predicts, and lists may call it `mtp`.
    decoder: Option<usize>,
}

impl Quantisation {
    /// Reads the type and the `quantization_config` of a configuration, at its root or in its
    /// `text_config`.
    ///
    /// # Errors
    /// [`Code::Model`] when the method or type is not known: a wrong guess would halve or double every
    /// figure.
    pub fn read(config: &Config) -> Result<Quantisation, Diagnostic> {
        let places = found::places(config);
        let own = |key| -> Result<Option<&str>, Diagnostic> {
            places.iter().find_map(|place| place.opt_str(key).transpose()).transpose()
        };
        let base = match own("torch_dtype")?.or(own("dtype")?) {
            Some("auto") | None => WeightFormat::Bf16,
            Some(text) => base_format(text).map_err(|d| d.within(config.place("torch_dtype")))?,
        };
        let mut read = match found::object(config)? {
            Some(q) => Quantisation::of(base, &q)?,
            None => Quantisation::none(base),
        };
        read.by_config = true;
        // What stands in the language model's configuration is of the language model alone (Kimi-K2.5: its INT4 `Linear`
        // are experts, and the tower beside it stays in 16 bits).
        read.reach.towers &= found::object_at(config)?.is_some();
        // DeepSeek-V4: FP8 layers around FP4 experts with one 8-bit scale per 32.
        // ModelOpt's exports keep the word and say which kind of FP4 it is now.
        let requantised = match found::object(config)? {
            Some(q) => q.opt_str("moe_quant_algo")? == Some("NVFP4"),
            None => false,
        };
        if own("expert_dtype")? == Some("fp4") {
            let format = if requantised { WeightFormat::Nvfp4 } else { WeightFormat::Mxfp4 };
            read.experts = Some(format.into());
        }
        Ok(read)
    }

    fn none(base: WeightFormat) -> Quantisation {
        Quantisation {
            base,
            by_config: false,
            storage: None,
            kv: None,
            tied: false,
            experts: None,
            head: None,
            attention_kept: false,
            reach: Reach::default(),
            only: None,
            rules: Vec::new(),
            exact: None,
            decoder: None,
        }
    }

    /// The formats that a file's table of tensors shows, layer by layer.
    pub(super) fn of_file(base: WeightFormat, layers: Vec<Formats>, outer: Formats) -> Quantisation {
        Quantisation { exact: Some((layers, outer)), ..Quantisation::none(base) }
    }

    /// Reads a `quantization_config`.
    fn of(base: WeightFormat, q: &Config) -> Result<Quantisation, Diagnostic> {
        let stored = methods::read(q)?;
        let place = || q.place("quantization_config");
        let modules = |names| Modules::new(names).map_err(|d| d.within(place()));
        let rules = stored.rules.into_iter().filter(|(names, _)| !names.is_empty());
        Ok(Quantisation {
            storage: stored.storage,
            experts: stored.experts,
            head: methods::head(q)?,
            reach: stored.reach,
            only: if stored.only.is_empty() { None } else { Some(modules(stored.only)?) },
            rules: rules
                .map(|(names, storage)| Ok((modules(names)?, storage)))
                .collect::<Result<_, Diagnostic>>()?,
            kv: cache_type(q)?,
            ..Quantisation::none(base)
        })
    }

    /// Quantises every linear layer and expert to `format`, as `--weights` asks; `tied` says whether the
    /// output projection shares the embedding. NVFP4 leaves attention beside experts as it is, as the
    /// published checkpoints do, and asks for an FP8 cache (`exclude_modules` and `kv_cache_quant_algo` of
    /// nvidia/MiniMax-M2.5-NVFP4). A GGUF file keeps experts that the checkpoint has in MXFP4, whatever its name says of the
    /// rest: the conversion repacks them bit by bit (llama.cpp `convert_hf_to_gguf.py`), and `llama-quantize` does not
    /// quantise what is quantised already (`src/llama-quant.cpp`: "requantizing from type mxfp4 is disabled").
    pub fn overridden(&self, format: WeightFormat, tied: bool, sparse: bool) -> Quantisation {
        let quantised = format.is_quantised();
        Quantisation {
            attention_kept: sparse && format == WeightFormat::Nvfp4,
            storage: quantised.then(|| format.into()),
            experts: self.packed_experts().filter(|_| sparse && format.is_ggml()),
            kv: self.kv.or((format == WeightFormat::Nvfp4).then_some(DType::Fp8)),
            tied,
            by_config: quantised && self.by_config,
            ..Quantisation::none(if quantised { self.base } else { format })
        }
    }

    /// What the configuration asks of the quantisation and the model does not have, in words; `layers` are each layer's
    /// tensors.
    pub(super) fn unmet(&self, layers: impl Iterator<Item = Vec<Tensor>> + Clone) -> Vec<String> {
        let mut notes = Vec::new();
        let is_expert = |tensor: &Tensor| tensor.class == TensorClass::Expert;
        if self.reach.experts_only && !layers.clone().any(|tensors| tensors.iter().any(is_expert)) {
            notes.push(
                "the quantisation is of experts alone, and there are none: all weights are in 16 bits".into(),
            );
        }
        let mut known: Option<Known> = None;
        let rules = self.rules.iter().map(|(modules, own)| (modules, Some(*own)));
        for (modules, own) in rules.chain(self.only.iter().map(|modules| (modules, None))) {
            let known = known.get_or_insert_with(|| Known::of(layers.clone()));
            // What comes of what is not met.
            let (does, counted) = match own {
                None => ("takes alone", "nothing is quantised by it"),
                Some(None) => ("leaves alone", "they are counted as quantised"),
                Some(Some(_)) => ("stores otherwise", "they are counted as the others"),
            };
            // Routers and norms stay as they are whether a list names them or not.
            let numbered: Vec<&str> = modules.of_layers().filter(|name| !modules::is_small(name)).collect();
            let lacking: Vec<&&str> = numbered.iter().filter(|name| !known.has(name)).collect();
            if let Some(example) = lacking.first() {
                let number = match lacking.len() == numbered.len() {
                    true => "none".to_owned(),
                    false => format!("no {}", lacking.len()),
                };
                notes.push(format!(
                    "of the {} modules that the quantisation {does} by their layer the model has {number} (`{example}`): \
                     {counted}",
                    numbered.len(),
                ));
            }
            let strays = modules.strays(known);
            if !strays.is_empty() {
                const SHOWN: usize = 4;
                let shown: Vec<String> =
                    strays.iter().take(SHOWN).map(|entry| format!("`{entry}`")).collect();
                let more = match strays.len().saturating_sub(SHOWN) {
                    0 => String::new(),
                    n => format!(" and {n} more"),
                };
                notes.push(format!(
                    "the quantisation {does} modules by names that the model has not ({}{more}): {counted}",
                    shown.join(", ")
                ));
            }
        }
        notes
    }

    /// A GGUF file of a model with experts: those that are in MXFP4 stay so in one of 16 or 32 bits too, and a file in MXFP4
    /// is in Q8_0 but for its experts.
    pub(super) fn made_in_gguf(&self, format: WeightFormat, tied: bool, sparse: bool) -> Quantisation {
        if sparse && format == WeightFormat::Mxfp4 {
            let experts = Some(format.into());
            return Quantisation { experts, ..self.overridden(WeightFormat::Q8_0, tied, sparse) };
        }
        let experts = self.packed_experts().filter(|_| sparse && !format.is_quantised());
        let wide = self.overridden(format, tied, sparse);
        Quantisation { experts: experts.or(wide.experts), ..wide }
    }

    /// The GGUF file that is published of a checkpoint whose experts are in MXFP4: all other matrices, embedding and output
    /// projection too, are in Q8_0 (`MXFP4 MoE`, llama.cpp `src/llama-quant.cpp`; the log of ggml-org's gpt-oss-120b in
    /// ggml-org/llama.cpp issue 15253 counts 108 tensors in MXFP4, 146 in Q8_0, and norms, biases and routers in 32 bits).
    /// `None` of another checkpoint, and where a format was asked for.
    pub(super) fn published_in_gguf(&self, tied: bool, sparse: bool) -> Option<Quantisation> {
        let asked = self.storage.is_some_and(|storage| storage.format.is_ggml());
        let is_made = sparse && self.by_config && !asked && self.packed_experts().is_some();
        is_made.then(|| self.made_in_gguf(WeightFormat::Mxfp4, tied, sparse))
    }

    /// How experts are stored that are in MXFP4.
    fn packed_experts(&self) -> Option<Storage> {
        (self.main_format() == WeightFormat::Mxfp4).then(|| WeightFormat::Mxfp4.into())
    }

    /// What engines make of it when they load it: a configuration's 32 bits become 16, as `--dtype auto` has it
    /// (vLLM `config/model.py` `_resolve_auto_dtype` and SGLang `model_config.py` `_get_and_verify_dtype`: "downcast
    /// for float32 models"; llama.cpp `convert_hf_to_gguf.py --outtype auto`: a 16-bit type). `None` where it is
    /// loaded as it is: 16 bits, 32 bits that were asked for, a GGUF file's own types.
    pub(super) fn loaded(&self) -> Option<Quantisation> {
        let narrowed = self.by_config && self.base == WeightFormat::Fp32;
        narrowed.then(|| Quantisation { base: WeightFormat::Bf16, ..self.clone() })
    }

    /// The format that most weights have.
    pub fn main_format(&self) -> WeightFormat {
        if let Some((layers, outer)) = &self.exact {
            let first = layers.first().unwrap_or(outer);
            return if first.experts == self.base { first.mlp } else { first.experts };
        }
        let named = self.rules.iter().filter_map(|(modules, storage)| Some((modules, (*storage)?)));
        let experts = named.clone().find(|(modules, _)| modules.names_experts()).or(named.clone().next());
        let storage = self.experts.or(self.storage).or(experts.map(|(_, storage)| storage));
        storage.map_or(self.base, |storage| storage.format)
    }

    /// The same of a decoder of so many layers.
    pub(super) fn of_layers(self, decoder: usize) -> Quantisation {
        Quantisation { decoder: Some(decoder), ..self }
    }

    /// Whether it may store a layer otherwise than a like one whose number has as many digits.
    pub(super) fn tells_layers_apart(&self) -> bool {
        self.exact.is_some()
            || self.rules.iter().map(|(list, _)| list).chain(&self.only).any(Modules::tells_layers_apart)
    }

    /// Storage of each tensor of layer `index`, in their order, and the formats by class.
    pub fn layer(&self, index: usize, tensors: &[Tensor]) -> (Vec<Storage>, Formats) {
        self.layer_like(index, tensors, &mut Names::default())
    }

    /// The same, of a layer that is one of several.
    pub(super) fn layer_like(
        &self,
        index: usize,
        tensors: &[Tensor],
        names: &mut Names,
    ) -> (Vec<Storage>, Formats) {
        if let Some((layers, outer)) = &self.exact {
            let formats = *layers.get(index).or(layers.last()).unwrap_or(outer);
            return (tensors.iter().map(|t| formats.format(t).into()).collect(), formats);
        }
        if self.storage.is_none() && self.experts.is_none() && self.rules.iter().all(|(_, own)| own.is_none())
        {
            return (vec![self.base.into(); tensors.len()], Formats::uniform(self.base));
        }
        let sparse = tensors.iter().any(|t| t.class == TensorClass::Expert);
        let each = tensors.iter().zip(names.of(tensors));
        let stored: Vec<Storage> = each.map(|(t, names)| self.inside(index, t, sparse, names)).collect();
        let formats = Formats::of(self.base, tensors.iter().zip(stored.iter().copied()));
        (stored, formats)
    }

    /// Storage of a tensor of layer `index`; `sparse` says whether the layer routes experts.
    fn inside(&self, index: usize, tensor: &Tensor, sparse: bool, names: &NamesOf) -> Storage {
        let base = self.base.into();
        let expert = tensor.class == TensorClass::Expert;
        let quantisable = expert
            || tensor.class == TensorClass::Linear
                && matches!(tensor.component, Component::Attention | Component::Mlp | Component::Ssm)
            || tensor.class == TensorClass::Router && self.reach.router
            || self.reach.rest && tensor.class == TensorClass::Linear && !mixes_streams(&tensor.name);
        let kept = self.attention_kept && tensor.component == Component::Attention;
        if !quantisable || kept || self.reach.experts_only && !expert {
            return base;
        }
        let mut name = format!("layers.{index}.");
        let before = name.len();
        let number = self.decoder.and_then(|layers| index.checked_sub(layers));
        let predicting = number.map(modules::predicting);
        let mut covers = |modules: &Modules| {
            let own = names.get_or_init(|| modules::names(tensor, sparse));
            own.iter().any(|own| {
                name.truncate(before);
                name.push_str(own);
                modules.cover(&name)
            }) || predicting
                .iter()
                .flatten()
                .any(|layer| own.iter().any(|own| modules.cover(&format!("{layer}.{own}"))))
        };
        if self.only.as_ref().is_some_and(|only| !covers(only)) {
            return base;
        }
        let storage = match self.rules.iter().find(|(modules, _)| covers(modules)) {
            Some((_, own)) => *own,
            None => self.experts.filter(|_| expert).or(self.storage),
        };
        in_blocks(storage.unwrap_or(base), Place::Layer(&tensor.name))
    }

    /// Storage of a tensor outside the layers: embeddings and, unless the checkpoint says otherwise, the
    /// output projection stay in the base type.
    pub fn outside(&self, tensor: &Tensor) -> Storage {
        if let Some((_, outer)) = &self.exact {
            return outer.format(tensor).into();
        }
        if let Some(mix) = self.storage.filter(|s| s.format.is_ggml()) {
            // GGUF files quantise these too.
            match tensor.class {
                TensorClass::Head => {
                    let head = head_of(mix);
                    let blocks = gguf::stored_as(mix.format, Place::Head);
                    return match blocks {
                        Some(blocks) => Storage::of_blocks(head.format, blocks),
                        None => in_blocks(head, Place::Head),
                    };
                }
                TensorClass::Embedding => return in_blocks(mix, Place::Embedding { tied: self.tied }),
                _ => return self.base.into(),
            }
        }
        let (name, reached) = match tensor.class {
            TensorClass::Head => ("lm_head", self.reach.head),
            TensorClass::Embedding => ("embed_tokens", self.reach.embedding),
            TensorClass::Linear if tensor.component == Component::Other => return self.tower(tensor),
            _ => return self.base.into(),
        };
        let general = self.storage.filter(|_| reached);
        let storage = match self.rules.iter().find(|(modules, _)| modules.cover(name)) {
            Some((_, own)) => *own,
            None if tensor.class == TensorClass::Head => self.head.or(general),
            None => general,
        };
        storage.unwrap_or(self.base.into())
    }

    /// Storage of a tower's linear layer: as a rule says that names its part of a tower by modules; in the model's own type
    /// where a rule leaves out one of the names that towers have; else as the others', where the method takes towers.
    fn tower(&self, tensor: &Tensor) -> Storage {
        const NAMES: [&str; 8] = [
            "visual.blocks",
            "vision_tower",
            "vision_model",
            "vision_encoder",
            "audio_tower",
            "multi_modal_projector",
            "mlp1",
            "merger",
        ];
        // Convolutions over patches, tables of positions and marks: methods replace linear layers.
        const OTHERS: [&str; 8] =
            ["patch_", "pos", "conv", "embeddings", "token", "_table", "latents", "projection_weight"];
        let base = self.base.into();
        if self.only.is_some() || OTHERS.iter().any(|part| tensor.name.contains(part)) {
            return base;
        }
        let own = tensor.name.split('.').next().unwrap_or_default();
        let covers = |modules: &Modules| modules.cover(own) || NAMES.iter().any(|name| modules.cover(name));
        for (modules, to) in &self.rules {
            if modules.names_tower_of(&tensor.name) || to.is_none() && covers(modules) {
                return to.unwrap_or(base);
            }
        }
        let reached = self.reach.towers || self.reach.rest && modules::is_beside_tower(&tensor.name);
        self.storage.filter(|_| reached).unwrap_or(base)
    }

    /// The formats of what lies outside the layers.
    pub fn outer(&self, head: Option<&Tensor>) -> Formats {
        if let Some((_, outer)) = &self.exact {
            return *outer;
        }
        if let Some(mix) = self.storage.filter(|s| s.format.is_ggml()) {
            let embedding = if self.tied { head_of(mix) } else { mix };
            let (embedding, head) = (embedding.format, head_of(mix).format);
            return Formats { embedding, head, ..Formats::uniform(self.base) };
        }
        let head = head.map_or(self.base, |head| self.outside(head).format);
        Formats { head, ..Formats::uniform(self.base) }
    }
}

/// Type of the KV cache that a checkpoint asks for: ModelOpt's and compressed-tensors' words.
fn cache_type(q: &Config) -> Result<Option<DType>, Diagnostic> {
    let named = match q.opt_str("kv_cache_scheme") {
        Ok(named) => named,
        Err(_) => {
            let scheme = q.sub("kv_cache_scheme")?;
            let float = scheme.opt_str("type")?.unwrap_or("float") == "float";
            return Ok(match (scheme.opt_u64("num_bits")?, float) {
                (Some(8), true) => Some(DType::Fp8),
                (Some(8), false) => Some(DType::Int8),
                (Some(4), true) => Some(DType::Fp4),
                _ => None,
            });
        }
    };
    let keys = ["kv_cache_scheme", "kv_cache_quant_algo", "kv_cache_dtype"];
    let named = named.or(q.opt_str(keys[1])?).or(q.opt_str(keys[2])?);
    Ok(match named.map(str::to_lowercase).as_deref() {
        // How scales come about, of a cache that engines make of their own type unless they are asked (AutoFP8, AngelSlim;
        // vLLM 0.33 `quantization/fp8.py` `Fp8Config.from_config` does not read it).
        None | Some("none" | "auto" | "static" | "dynamic") => None,
        Some(name) if name.contains("fp8") => Some(DType::Fp8),
        Some(name) if name.contains("int8") => Some(DType::Int8),
        Some(name) if name.contains("fp4") => Some(DType::Fp4),
        Some(other) => {
            let key = keys.into_iter().find(|key| q.has(key)).unwrap_or(keys[1]);
            return Err(q.error(key, format!("unknown type of cache `{other}`")));
        }
    })
}

/// The output projection of a mix.
fn head_of(mix: Storage) -> Storage {
    match gguf::head(mix.format) {
        own if own == mix.format => mix,
        head => head.into(),
    }
}

/// The storage of a tensor in a GGUF mix; others stay as they are.
fn in_blocks(storage: Storage, place: Place) -> Storage {
    let blocks = gguf::stored_as(storage.format, place);
    blocks.map_or(storage, |blocks| Storage::of_blocks(storage.format, blocks))
}

/// Whether a configuration says in which type its weights are stored, or how they are quantised.
pub(super) fn states_type(config: &Config) -> bool {
    let says = |place: &Config| place.has("torch_dtype") || place.has("dtype");
    is_stated(config) || found::places(config).iter().any(says)
}

/// Whether a configuration says how its weights are stored.
pub(super) fn is_stated(config: &Config) -> bool {
    !matches!(found::object(config), Ok(None))
}

fn base_format(text: &str) -> Result<WeightFormat, Diagnostic> {
    match text.parse::<DType>()? {
        DType::Fp32 => Ok(WeightFormat::Fp32),
        DType::Fp16 => Ok(WeightFormat::Fp16),
        DType::Fp8 => Ok(WeightFormat::Fp8),
        DType::Bf16 => Ok(WeightFormat::Bf16),
        other => Err(Diagnostic::new(Code::Model, format!("`{other}` cannot be the type of a whole model"))),
    }
}

/// Whether a tensor mixes residual streams: coefficients that are parameters of their own, or too few for a group.
fn mixes_streams(name: &str) -> bool {
    ["_hc.", "hyper_connection.", "altup."].iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A query projection, a routed expert's and a shared expert's matrix, a router.
    fn layer() -> Vec<Tensor> {
        let expert = Tensor::matrix("mlp.experts.down_proj.weight", 2048, 1024, Component::Experts);
        let router = Tensor::matrix("mlp.gate.weight", 8, 2048, Component::Router);
        vec![
            Tensor::matrix("self_attn.q_proj.weight", 4096, 2048, Component::Attention),
            expert.experts(8, 2, 1024).class(TensorClass::Expert),
            Tensor::matrix("mlp.down_proj.weight", 2048, 1024, Component::Mlp),
            router.class(TensorClass::Router),
        ]
    }

    fn head() -> Tensor {
        Tensor::matrix("lm_head.weight", 32_000, 2048, Component::LmHead).class(TensorClass::Head)
    }

    /// Bytes of the layer's tensors under a `quantization_config`.
    fn bytes(quantization: &str) -> Vec<u64> {
        let q = read(&format!(r#"{{"torch_dtype": "bfloat16", "quantization_config": {quantization}}}"#));
        let tensors = layer();
        let stored = tensors.iter().zip(q.layer(0, &tensors).0);
        stored.map(|(t, storage)| storage.stored_bytes(t.rows, t.columns).unwrap()).collect()
    }

    /// Rows, columns and elements of the query projection of [`layer`].
    const Q: (u64, u64, u64) = (4096, 2048, 4096 * 2048);

    #[test]
    fn gptq_stores_words_zero_points_scales_and_the_group_of_each_input() {
        // AutoGPTQ `QuantLinear`: qweight, qzeros and g_idx int32, scales fp16.
        let gptq = bytes(r#"{"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": true}"#);
        let groups = Q.1 / 128;
        assert_eq!(gptq[0], Q.2 / 2 + groups * Q.0 / 2 + groups * Q.0 * 2 + Q.1 * 4);
        // AutoAWQ `WQLinear_GEMM` has no g_idx.
        let awq = bytes(r#"{"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": true}"#);
        assert_eq!(awq[0], gptq[0] - Q.1 * 4);
        // One group where the size is -1.
        let whole = bytes(r#"{"quant_method": "gptq", "bits": 8, "group_size": -1}"#);
        assert_eq!(whole[0], Q.2 + Q.0 + Q.0 * 2 + Q.1 * 4);
    }

    #[test]
    fn eight_bits_are_scaled_by_tensor_by_channel_or_by_block() {
        let block = bytes(r#"{"quant_method": "fp8", "weight_block_size": [128, 128]}"#);
        assert_eq!(block[0], Q.2 + 32 * 16 * 4);
        let tensor = bytes(r#"{"quant_method": "fp8", "activation_scheme": "static"}"#);
        assert_eq!(tensor[0], Q.2 + 8);
        assert_eq!(bytes(r#"{"quant_method": "modelopt", "quant_algo": "FP8"}"#)[0], Q.2 + 8);
        let channel = bytes(
            r#"{"quant_method": "compressed-tensors", "format": "int-quantized", "ignore": ["lm_head"],
                "config_groups": {"group_0": {"targets": ["Linear"],
                "input_activations": {"num_bits": 8, "dynamic": true},
                "weights": {"num_bits": 8, "type": "int", "strategy": "channel", "symmetric": true}}}}"#,
        );
        assert_eq!(channel[0], Q.2 + Q.0 * 2);
        // The router stays in 16 bits.
        assert_eq!(channel[3], 8 * 2048 * 2);
    }

    #[test]
    fn how_a_caches_scales_come_about_is_not_its_type() {
        // AutoFP8's and AngelSlim's files.
        for word in ["static", "dynamic"] {
            let q = read(&format!(
                r#"{{"quantization_config": {{"quant_method": "fp8", "activation_scheme": "static", "kv_cache_scheme": "{word}"}}}}"#
            ));
            assert_eq!(q.kv, None, "{word}");
        }
    }

    #[test]
    fn four_bit_floats_store_scales_of_groups_and_of_tensors() {
        let nvfp4 = bytes(r#"{"quant_method": "modelopt", "quant_algo": "NVFP4", "group_size": 16}"#);
        assert_eq!(nvfp4[0], Q.2 / 2 + Q.2 / 16 + 8);
        let mxfp4 = bytes(r#"{"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]}"#);
        assert_eq!(mxfp4[1], 2048 * 1024 / 2 + 2048 * 1024 / 32);
        // gpt-oss: nothing but the experts.
        assert_eq!(mxfp4[0], Q.2 * 2);
    }

    #[test]
    fn bitsandbytes_stores_one_scale_in_64_that_may_be_quantised_again() {
        let once = bytes(r#"{"quant_method": "bitsandbytes", "load_in_4bit": true}"#);
        assert_eq!(once[0], Q.2 / 2 + Q.2 / 64 * 4 + 64);
        let twice = bytes(
            r#"{"quant_method": "bitsandbytes", "load_in_4bit": true, "bnb_4bit_use_double_quant": true}"#,
        );
        assert_eq!(twice[0], Q.2 / 2 + Q.2 / 64 + Q.2 / (64 * 256) * 4 + 1024 + 64);
        let eight = bytes(r#"{"quant_method": "bitsandbytes", "load_in_8bit": true}"#);
        assert_eq!(eight[0], Q.2 + Q.0 * 4 + 1);
    }

    #[test]
    fn packed_integers_store_their_shape_and_leave_out_what_is_ignored() {
        let packed = bytes(
            r#"{"quant_method": "compressed-tensors", "format": "pack-quantized",
                "ignore": ["lm_head", "re:.*shared_experts.*"],
                "config_groups": {"group_0": {"targets": ["Linear"], "weights": {"num_bits": 4,
                "type": "int", "strategy": "group", "group_size": 128, "symmetric": true}}}}"#,
        );
        assert_eq!(packed[0], Q.2 / 2 + Q.2 / 128 * 2 + 16);
        // In a layer with routed experts the dense projections are the shared expert's.
        assert_eq!(packed[2], 2048 * 1024 * 2);
    }

    #[test]
    fn the_head_is_quantised_by_compressed_tensors_unless_it_is_ignored() {
        let config = |ignore: &str| {
            read(&format!(
                r#"{{"quantization_config": {{"quant_method": "compressed-tensors", "ignore": {ignore},
                    "config_groups": {{"g": {{"targets": ["Linear"],
                    "weights": {{"num_bits": 8, "type": "float", "strategy": "channel"}}}}}}}}}}"#
            ))
        };
        assert_eq!(config("[]").outside(&head()).format, WeightFormat::Fp8);
        assert_eq!(config(r#"["lm_head"]"#).outside(&head()).format, WeightFormat::Bf16);
    }

    fn read(json: &str) -> Quantisation {
        let map = crate::model::config::parse(json, "test").unwrap();
        Quantisation::read(&Config::new(&map, "test")).unwrap()
    }

    #[test]
    fn a_mixed_checkpoint_stores_each_class_as_it_says() {
        let q = read(
            r#"{"dtype": "bfloat16", "quantization_config": {"quant_method": "modelopt",
                "quant_algo": "MIXED_PRECISION", "ignore": ["mtp*"], "quantized_layers": {
                "model.language_model.layers.3.self_attn.q_proj": {"quant_algo": "FP8"},
                "model.language_model.layers.3.mlp.experts": {"quant_algo": "W4A16_NVFP4"},
                "lm_head": {"quant_algo": "W4A16_NVFP4"}}}}"#,
        );
        let (third, other) = (q.layer(3, &layer()).1, q.layer(4, &layer()).1);
        assert_eq!((third.attention, third.experts), (WeightFormat::Fp8, WeightFormat::Nvfp4));
        assert_eq!((third.mlp, other.experts), (WeightFormat::Bf16, WeightFormat::Bf16));
        assert_eq!(q.outside(&head()).format, WeightFormat::Nvfp4);
    }

    #[test]
    fn type_and_quantisation_may_stand_in_the_text_config() {
        let q = read(
            r#"{"text_config": {"dtype": "float16", "quantization_config": {
                "quant_method": "compressed-tensors", "ignore": ["lm_head", "re:.*self_attn.*"],
                "config_groups": {"group_0": {"targets": ["Linear"],
                    "weights": {"num_bits": 4, "type": "int", "group_size": 32, "strategy": "group"}}}}}}"#,
        );
        let layer = q.layer(0, &layer()).1;
        assert_eq!((layer.attention, layer.experts), (WeightFormat::Fp16, WeightFormat::Int4Group32));
    }
}
