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
    /// Modules left unquantised, as the checkpoint names them; `*` matches anything.
    excluded: Vec<String>,
}

impl Quantisation {
    /// Reads the type and the `quantization_config` of a configuration.
    ///
    /// # Errors
    /// [`Code::Model`] when the method or type is not known: a wrong guess would halve or double every
    /// figure.
    pub fn read(config: &Config) -> Result<Quantisation, Diagnostic> {
        let base = match config.opt_str("torch_dtype")?.or(config.opt_str("dtype")?) {
            Some("auto") | None => WeightFormat::Bf16,
            Some(text) => base_format(text).map_err(|d| d.within(config.place("torch_dtype")))?,
        };
        let mut read = Quantisation { base, format: None, kv: None, experts_only: false, excluded: vec![] };
        let Some(q) = config.opt_sub("quantization_config")? else { return Ok(read) };
        read.format = read_format(&q)?;
        read.experts_only = read.format == Some(WeightFormat::Mxfp4);
        for key in ["modules_to_not_convert", "ignore", "ignored_layers", "exclude_modules"] {
            read.excluded.extend(q.strings(key)?);
        }
        read.kv = match q.opt_sub("kv_cache_scheme")? {
            Some(scheme) if scheme.opt_u64("num_bits")? == Some(8) => Some(DType::Fp8),
            _ => None,
        };
        if read.kv.is_none() && q.opt_str("kv_cache_quant_algo")? == Some("FP8") {
            read.kv = Some(DType::Fp8);
        }
        Ok(read)
    }

    /// Quantises every linear layer and expert to `format`, as `--weights` asks.
    pub fn overridden(&self, format: WeightFormat) -> Quantisation {
        let quantised = format.is_quantised();
        Quantisation {
            base: if quantised { self.base } else { format },
            format: quantised.then_some(format),
            kv: self.kv,
            experts_only: false,
            excluded: vec!["lm_head".into()],
        }
    }

    /// The format that most weights have.
    pub fn main_format(&self) -> WeightFormat {
        self.format.unwrap_or(self.base)
    }

    /// Storage in layer `index`.
    pub fn layer(&self, index: usize) -> Formats {
        let mut formats = Formats::uniform(self.base);
        let Some(format) = self.format else { return formats };
        let pick = |leaves: &[&str]| {
            let excluded = leaves.iter().any(|leaf| self.excludes(&format!("model.layers.{index}.{leaf}")));
            if excluded { self.base } else { format }
        };
        formats.experts = pick(&["mlp.experts.0.down_proj", "block_sparse_moe.experts.0.w2"]);
        if !self.experts_only {
            formats.attention = pick(&["self_attn.o_proj"]);
            formats.mlp = pick(&["mlp.down_proj"]);
            formats.ssm = pick(&["linear_attn.out_proj", "mixer.out_proj"]);
        }
        formats
    }

    /// Storage of what lies outside the layers: embeddings and, in nearly every checkpoint, the output
    /// projection stay in the base type.
    pub fn outer(&self) -> Formats {
        Formats::uniform(self.base)
    }

    fn excludes(&self, module: &str) -> bool {
        self.excluded.iter().any(|pattern| covers(pattern, module))
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

/// The format that a `quantization_config` names.
fn read_format(q: &Config) -> Result<Option<WeightFormat>, Diagnostic> {
    let method = q.opt_str("quant_method")?.or(q.opt_str("quant_algo")?).unwrap_or("").to_lowercase();
    let by_bits = |bits: u64| match bits {
        4 => Ok(WeightFormat::Int4),
        8 => Ok(WeightFormat::Int8),
        _ => Err(Diagnostic::new(Code::Model, format!("{bits}-bit weights are not supported"))
            .at(q.place("bits"))
            .help("4 or 8")),
    };
    Ok(Some(match method.as_str() {
        "" => return Ok(None),
        "fp8" | "fbgemm_fp8" if q.has("weight_block_size") => WeightFormat::Fp8Block,
        "fp8" | "fbgemm_fp8" => WeightFormat::Fp8,
        "mxfp4" => WeightFormat::Mxfp4,
        "nvfp4" => WeightFormat::Nvfp4,
        "awq" | "gptq" | "auto-round" | "autoround" => {
            by_bits(q.opt_u64("bits")?.or(q.opt_u64("w_bit")?).unwrap_or(4))?
        }
        "bitsandbytes" if q.bool_or("load_in_8bit", false)? => WeightFormat::Int8,
        "bitsandbytes" => WeightFormat::Int4,
        "compressed-tensors" => return compressed_tensors(q).map(Some),
        "modelopt" | "modelopt_fp4" => match q.opt_str("quant_algo")?.unwrap_or("FP8") {
            "FP8" => WeightFormat::Fp8,
            "FP8_PB_WO" => WeightFormat::Fp8Block,
            "NVFP4" | "NVFP4_AWQ" | "W4A16_NVFP4" => WeightFormat::Nvfp4,
            other => return Err(unknown_method(q, other)),
        },
        other => return Err(unknown_method(q, other)),
    }))
}

/// The first group of a compressed-tensors configuration.
fn compressed_tensors(q: &Config) -> Result<WeightFormat, Diagnostic> {
    let groups = q.sub("config_groups")?;
    let Some(name) = groups.keys().next() else {
        return Err(Diagnostic::new(Code::Model, "config_groups is empty").at(q.place("config_groups")));
    };
    let weights = groups.sub(name)?.sub("weights")?;
    let kind = weights.opt_str("type")?.unwrap_or("int");
    let strategy = weights.opt_str("strategy")?.unwrap_or("channel");
    match (kind, weights.u64("num_bits")?, strategy) {
        ("float", 8, "block") => Ok(WeightFormat::Fp8Block),
        ("float", 8, _) => Ok(WeightFormat::Fp8),
        ("float", 4, _) if weights.opt_u64("group_size")? == Some(32) => Ok(WeightFormat::Mxfp4),
        ("float", 4, _) => Ok(WeightFormat::Nvfp4),
        (_, 8, _) => Ok(WeightFormat::Int8),
        (_, 4, _) => Ok(WeightFormat::Int4),
        (_, bits, _) => Err(unknown_method(q, &format!("{kind}{bits}"))),
    }
}

fn unknown_method(q: &Config, method: &str) -> Diagnostic {
    Diagnostic::new(Code::Model, format!("unknown quantisation `{method}`"))
        .at(q.place("quant_method"))
        .help("name the storage yourself with --weights (bf16, fp8, fp8_block, int8, int4, mxfp4, nvfp4)")
}

/// Whether a checkpoint's exclusion covers a module: it names the module or a parent, with `*` for
/// anything, or is a regular expression (`re:`) of which `.*` and anchors are understood.
fn covers(pattern: &str, module: &str) -> bool {
    let plain = pattern.strip_prefix("re:").map(|regex| {
        regex.replace(".*", "*").replace("\\.", ".").trim_start_matches('^').trim_end_matches('$').to_owned()
    });
    let pattern = plain.as_deref().unwrap_or(pattern);
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
}
