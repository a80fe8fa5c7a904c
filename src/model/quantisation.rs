//! How a checkpoint stores each class of weights: read from `quantization_config` or overridden.

use crate::diagnostic::{Code, Diagnostic};
use crate::dtype::{DType, WeightFormat};

use super::config::Config;
use super::tensor::{Component, Tensor, TensorClass};

/// Storage by class of one layer (or of the parts outside the layers).
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

    /// Storage of a tensor.
    pub fn of(&self, tensor: &Tensor) -> WeightFormat {
        match (tensor.class, tensor.component) {
            (TensorClass::Vector | TensorClass::Router, _) => self.base,
            (TensorClass::Embedding, _) => self.embedding,
            (TensorClass::Head, _) => self.head,
            (TensorClass::Expert, _) => self.experts,
            (TensorClass::Linear, Component::Attention) => self.attention,
            (TensorClass::Linear, Component::Ssm) => self.ssm,
            (TensorClass::Linear, Component::Mlp) => self.mlp,
            (TensorClass::Linear, _) => self.base,
        }
    }
}

/// The quantisation of a checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantisation {
    /// Type of everything that is not quantised.
    pub base: WeightFormat,
    /// Format of the quantised linear layers, if any are.
    pub format: Option<WeightFormat>,
    /// Type of the KV cache that the checkpoint asks for.
    pub kv: Option<DType>,
    /// Only the routed experts are quantised (gpt-oss MXFP4).
    experts_only: bool,
    /// Modules with a format of their own, where a checkpoint mixes several.
    mixed: Vec<(String, WeightFormat)>,
    /// Modules left unquantised, as the checkpoint names them; `*` matches anything.
    excluded: Vec<String>,
    /// Storage of each layer and of what lies outside, where a file's table of tensors says.
    exact: Option<(Vec<Formats>, Formats)>,
}

/// Where a checkpoint's names may begin, before `layers.0…` or `lm_head`.
const PREFIXES: [&str; 5] = ["model.", "", "model.language_model.", "language_model.model.", "backbone."];
/// Modules of a layer that stand for its experts, its attention, its feed-forward layer, its mixer.
const EXPERTS: &[&str] =
    &["mlp.experts.0.down_proj", "block_sparse_moe.experts.0.w2", "mixer.experts.0.down_proj"];
const ATTENTION: &[&str] = &["self_attn.o_proj", "self_attn.q_proj", "self_attn.q_b_proj"];
const MLP: &[&str] = &["mlp.down_proj", "mlp.shared_expert.down_proj", "mlp.shared_experts.down_proj"];
const MIXER: &[&str] = &["linear_attn.out_proj", "mixer.out_proj", "mamba.out_proj", "conv.out_proj"];

impl Quantisation {
    /// Reads the type and the `quantization_config` of a configuration, at its root or in its
    /// `text_config`.
    ///
    /// # Errors
    /// [`Code::Model`] when the method or type is not known: a wrong guess would halve or double every
    /// figure.
    pub fn read(config: &Config) -> Result<Quantisation, Diagnostic> {
        let text = config.opt_sub("text_config")?;
        let own = |key| -> Result<Option<&str>, Diagnostic> {
            match (config.opt_str(key)?, &text) {
                (None, Some(text)) => text.opt_str(key),
                (found, _) => Ok(found),
            }
        };
        let base = match own("torch_dtype")?.or(own("dtype")?) {
            Some("auto") | None => WeightFormat::Bf16,
            Some(text) => base_format(text).map_err(|d| d.within(config.place("torch_dtype")))?,
        };
        let nested = match &text {
            Some(text) => text.opt_sub("quantization_config")?,
            None => None,
        };
        match config.opt_sub("quantization_config")?.or(nested) {
            Some(q) => Quantisation::of(base, &q),
            None => Ok(Quantisation::none(base)),
        }
    }

    fn none(base: WeightFormat) -> Quantisation {
        let (mixed, excluded) = (Vec::new(), Vec::new());
        Quantisation { base, format: None, kv: None, experts_only: false, mixed, excluded, exact: None }
    }

    /// The storage that a file's table of tensors shows, layer by layer.
    pub(super) fn of_file(base: WeightFormat, layers: Vec<Formats>, outer: Formats) -> Quantisation {
        Quantisation { exact: Some((layers, outer)), ..Quantisation::none(base) }
    }

    /// Reads a `quantization_config`.
    fn of(base: WeightFormat, q: &Config) -> Result<Quantisation, Diagnostic> {
        let mut read = Quantisation::none(base);
        read.mixed = mixed(q)?;
        read.format = if read.mixed.is_empty() { read_format(q)? } else { None };
        read.experts_only = read.format == Some(WeightFormat::Mxfp4);
        let lists = [
            "modules_to_not_convert",
            "ignore",
            "ignored_layers",
            "exclude_modules",
            "llm_int8_skip_modules",
        ];
        for key in lists {
            read.excluded.extend(q.strings(key)?);
        }
        let scheme = q.opt_sub("kv_cache_scheme")?;
        let bits = scheme.map_or(Ok(None), |scheme| scheme.opt_u64("num_bits"))?;
        if bits == Some(8) || q.opt_str("kv_cache_quant_algo")? == Some("FP8") {
            read.kv = Some(DType::Fp8);
        }
        Ok(read)
    }

    /// Quantises every linear layer and expert to `format`, as `--weights` asks.
    pub fn overridden(&self, format: WeightFormat) -> Quantisation {
        let quantised = format.is_quantised();
        Quantisation {
            format: quantised.then_some(format),
            kv: self.kv,
            excluded: vec!["lm_head".into()],
            ..Quantisation::none(if quantised { self.base } else { format })
        }
    }

    /// The format that most weights have.
    pub fn main_format(&self) -> WeightFormat {
        let first = self.layer(0);
        let experts = first.experts;
        match self.format {
            _ if self.exact.is_some() && experts == self.base => first.mlp,
            _ if self.exact.is_some() => experts,
            Some(format) => format,
            None if self.mixed.is_empty() => self.base,
            None => experts,
        }
    }

    /// Storage in layer `index`.
    pub fn layer(&self, index: usize) -> Formats {
        if let Some((layers, outer)) = &self.exact {
            return layers.get(index).or(layers.last()).copied().unwrap_or(*outer);
        }
        let mut formats = Formats::uniform(self.base);
        if self.format.is_none() && self.mixed.is_empty() {
            return formats;
        }
        let pick = |modules: &[&str]| {
            let names = modules.iter().map(|module| format!("layers.{index}.{module}"));
            self.module(&names.collect::<Vec<_>>())
        };
        formats.experts = pick(EXPERTS);
        if !self.experts_only {
            formats.attention = pick(ATTENTION);
            formats.mlp = pick(MLP);
            formats.ssm = pick(MIXER);
        }
        formats
    }

    /// Storage of what lies outside the layers: embeddings and, unless the checkpoint names it, the
    /// output projection stay in the base type.
    pub fn outer(&self) -> Formats {
        if let Some((_, outer)) = &self.exact {
            return *outer;
        }
        let head = self.own(&["lm_head".to_owned()]).unwrap_or(self.base);
        Formats { head, ..Formats::uniform(self.base) }
    }

    /// Storage of modules that stand for one class: unquantised if any of them is excluded.
    fn module(&self, names: &[String]) -> WeightFormat {
        if self.matches(names, |name| self.excluded.iter().any(|pattern| covers(pattern, name))) {
            return self.base;
        }
        self.own(names).or(self.format).unwrap_or(self.base)
    }

    /// The format that a mixed checkpoint gives to one of these modules.
    fn own(&self, names: &[String]) -> Option<WeightFormat> {
        let named =
            |(pattern, _): &&(String, WeightFormat)| self.matches(names, |name| covers(pattern, name));
        self.mixed.iter().find(named).map(|(_, format)| *format)
    }

    /// Whether any of the names, under any of the prefixes in use, satisfies `test`.
    fn matches(&self, names: &[String], test: impl Fn(&str) -> bool) -> bool {
        names.iter().any(|name| PREFIXES.iter().any(|prefix| test(&format!("{prefix}{name}"))))
    }
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

/// The formats of a checkpoint that mixes several, by module: ModelOpt's `quantized_layers`, or
/// compressed-tensors groups that name modules instead of `Linear`.
fn mixed(q: &Config) -> Result<Vec<(String, WeightFormat)>, Diagnostic> {
    let mut formats = Vec::new();
    if let Some(layers) = q.opt_sub("quantized_layers")? {
        for name in layers.keys() {
            let layer = layers.sub(name)?;
            if let Some(format) = read_format(&layer)? {
                formats.push((name.to_owned(), format));
            }
        }
        return Ok(formats);
    }
    let Some(groups) = q.opt_sub("config_groups")? else { return Ok(formats) };
    let names: Vec<&str> = groups.keys().collect();
    if names.len() < 2 {
        return Ok(formats);
    }
    for name in names {
        let group = groups.sub(name)?;
        let format = group_format(q, &group)?;
        let targets = group.strings("targets")?;
        formats.extend(targets.into_iter().map(|target| match target.as_str() {
            "Linear" => ("*".to_owned(), format),
            _ => (target, format),
        }));
    }
    Ok(formats)
}

/// The format that a `quantization_config` names.
fn read_format(q: &Config) -> Result<Option<WeightFormat>, Diagnostic> {
    let method = match (q.opt_str("quant_method")?, q.opt_str("quant_algo")?) {
        // ModelOpt says which of its methods in `quant_algo`.
        (Some("modelopt") | None, Some(algorithm)) => algorithm,
        (Some(method), _) => method,
        (None, None) => "",
    };
    let method = method.to_lowercase();
    Ok(Some(match method.as_str() {
        "" => return Ok(None),
        "fp8" | "fbgemm_fp8" if q.has("weight_block_size") => WeightFormat::Fp8Block,
        "fp8" | "fbgemm_fp8" | "fp8_per_channel_per_token" => WeightFormat::Fp8,
        "fp8_pb_wo" | "fp8_pb_real" | "finegrained_fp8" => WeightFormat::Fp8Block,
        "mxfp4" | "w4a16_mxfp4" => WeightFormat::Mxfp4,
        "modelopt_fp4" | "nvfp4" | "w4a16_nvfp4" | "nvfp4_awq" | "w4a8_nvfp4_fp8" => WeightFormat::Nvfp4,
        "awq" | "gptq" | "auto-round" | "autoround" | "w4a16_awq" | "w4a8_awq" => integer(q)?,
        "int8_sq" | "w8a16" | "w8a8" => WeightFormat::Int8,
        "bitsandbytes" if q.bool_or("load_in_8bit", false)? => WeightFormat::Int8,
        "bitsandbytes" => WeightFormat::Int4,
        "modelopt" if !q.has("config_groups") => WeightFormat::Fp8,
        "compressed-tensors" | "modelopt" => return compressed_tensors(q).map(Some),
        other => return Err(unknown_method(q, other)),
    }))
}

/// Integer weights by their bits and group size.
fn integer(q: &Config) -> Result<WeightFormat, Diagnostic> {
    match q.opt_u64("bits")?.or(q.opt_u64("w_bit")?).unwrap_or(4) {
        4 if q.opt_index("group_size")? == Some(32) => Ok(WeightFormat::Int4Group32),
        4 => Ok(WeightFormat::Int4),
        8 => Ok(WeightFormat::Int8),
        bits => Err(Diagnostic::new(Code::Model, format!("{bits}-bit weights are not supported"))
            .at(q.place("bits"))
            .help("4 or 8")),
    }
}

/// The format of a compressed-tensors configuration with one group.
fn compressed_tensors(q: &Config) -> Result<WeightFormat, Diagnostic> {
    let groups = q.sub("config_groups")?;
    let Some(name) = groups.keys().next() else {
        return Err(Diagnostic::new(Code::Model, "config_groups is empty").at(q.place("config_groups")));
    };
    group_format(q, &groups.sub(name)?)
}

/// The format of one group of a compressed-tensors configuration.
fn group_format(q: &Config, group: &Config) -> Result<WeightFormat, Diagnostic> {
    let weights = group.sub("weights")?;
    let kind = weights.opt_str("type")?.unwrap_or("int");
    let strategy = weights.opt_str("strategy")?.unwrap_or("channel");
    let size = weights.opt_u64("group_size")?;
    match (kind, weights.u64("num_bits")?, strategy) {
        ("float", 8, "block") => Ok(WeightFormat::Fp8Block),
        ("float", 8, _) => Ok(WeightFormat::Fp8),
        ("float", 4, _) if size == Some(32) => Ok(WeightFormat::Mxfp4),
        ("float", 4, _) => Ok(WeightFormat::Nvfp4),
        (_, 8, _) => Ok(WeightFormat::Int8),
        (_, 4, _) if size == Some(32) => Ok(WeightFormat::Int4Group32),
        (_, 4, _) => Ok(WeightFormat::Int4),
        (_, bits, _) => Err(unknown_method(q, &format!("{kind}{bits}"))),
    }
}

fn unknown_method(q: &Config, method: &str) -> Diagnostic {
    Diagnostic::new(Code::Model, format!("unknown quantisation `{method}`")).at(q.place("quant_method")).help(
        "take quantization_config out of a copy of the file and name the storage with --weights \
             (bf16, fp8, fp8_block, int8, int4, mxfp4, nvfp4)",
    )
}

/// Whether a checkpoint's pattern covers a module: it names the module or a parent, with `*` for
/// anything, or is a regular expression (`re:`) of which `.*`, anchors and alternatives are understood.
fn covers(pattern: &str, module: &str) -> bool {
    let Some(regex) = pattern.strip_prefix("re:") else { return covers_glob(pattern, module) };
    let glob = regex.replace(".*", "*").replace("\\.", ".").replace(['^', '$', '\\'], "");
    alternatives(&glob).iter().any(|glob| covers_glob(glob, module))
}

/// The patterns that one with `(a|b|c)` stands for; only the first group is spread out.
fn alternatives(pattern: &str) -> Vec<String> {
    let spread = || {
        let (before, rest) = pattern.split_once('(')?;
        let (choices, after) = rest.split_once(')')?;
        Some(choices.split('|').map(|choice| format!("{before}{choice}{after}")).collect())
    };
    spread().unwrap_or_else(|| vec![pattern.to_owned()])
}

/// Whether a glob names a module or a parent of it.
fn covers_glob(pattern: &str, module: &str) -> bool {
    let mut parent = module;
    loop {
        if glob(pattern.as_bytes(), parent.as_bytes()) {
            return true;
        }
        match parent.rfind('.') {
            Some(at) => parent = &parent[..at],
            None => return false,
        }
    }
}

/// Glob match where `*` stands for any run of characters; linear in time with one back-track point.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && pattern[p] == b'*' {
            star = Some((p, t));
            p += 1;
        } else if p < pattern.len() && pattern[p] == text[t] {
            p += 1;
            t += 1;
        } else if let Some((at, from)) = star {
            star = Some((at, from + 1));
            p = at + 1;
            t = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excluded_parent_covers_its_modules() {
        assert!(covers("model.layers.*.self_attn", "model.layers.3.self_attn.o_proj"));
        assert!(covers("re:.*self_attn.*", "model.layers.3.self_attn.o_proj"));
        assert!(!covers("model.layers.1.self_attn", "model.layers.11.self_attn.o_proj"));
        assert!(!covers("lm_head", "model.layers.3.mlp.down_proj"));
    }

    #[test]
    fn alternatives_of_a_regular_expression_are_understood() {
        let pattern = "re:.*mlp\\.(gate|up|gate_up|down)_proj.*";
        assert!(covers(pattern, "model.layers.0.mlp.down_proj"));
        assert!(!covers(pattern, "model.layers.0.mlp.experts.0.down_proj"));
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
        let (third, other) = (q.layer(3), q.layer(4));
        assert_eq!((third.attention, third.experts), (WeightFormat::Fp8, WeightFormat::Nvfp4));
        assert_eq!((third.mlp, other.experts), (WeightFormat::Bf16, WeightFormat::Bf16));
        assert_eq!(q.outer().head, WeightFormat::Nvfp4);
    }

    #[test]
    fn type_and_quantisation_may_stand_in_the_text_config() {
        let q = read(
            r#"{"text_config": {"dtype": "float16", "quantization_config": {
                "quant_method": "compressed-tensors", "ignore": ["lm_head", "re:.*self_attn.*"],
                "config_groups": {"group_0": {"targets": ["Linear"],
                    "weights": {"num_bits": 4, "type": "int", "group_size": 32, "strategy": "group"}}}}}}"#,
        );
        let layer = q.layer(0);
        assert_eq!((layer.attention, layer.experts), (WeightFormat::Fp16, WeightFormat::Int4Group32));
    }
}
