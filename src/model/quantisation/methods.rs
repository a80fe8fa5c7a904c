//! The storage that each method of `quantization_config` stands for.
//!
//! Tensors and types as the methods' own code writes them: AutoGPTQ and AutoAWQ (`qweight`, `qzeros`,
//! `scales`, `g_idx`), compressed-tensors (`weight_packed`, `weight_scale`, `weight_shape`, …), ModelOpt
//! (`weight_scale`, `weight_scale_2`, `input_scale`), bitsandbytes (`absmax`, `quant_map`, `SCB`),
//! fine-grained FP8 (`weight_scale_inv`), Quark, HQQ, EETQ, Quanto, TorchAO.

use super::found;
use super::storage::{Layout, Scales, Storage};
use crate::diagnostic::{Code, Diagnostic};
use crate::dtype::WeightFormat;
use crate::model::config::Config;

/// Bytes of an FP32 scale.
const SINGLE: u64 = 4;
/// Bytes of a 16-bit scale.
const HALF: u64 = 2;

/// Modules and how they are stored; `None` leaves them in the model's own type.
pub(super) type Rule = (Vec<String>, Option<Storage>);

/// What a `quantization_config` says of a checkpoint.
#[derive(Default)]
pub(super) struct Stored {
    /// Storage of the linear layers that no rule names.
    pub storage: Option<Storage>,
    /// What differs by module: the first rule that covers one decides.
    pub rules: Vec<Rule>,
    /// The only modules that are quantised, where they are listed.
    pub only: Vec<String>,
    /// Storage of the routed experts, where it is another.
    pub experts: Option<Storage>,
    /// Which modules a method takes beside the linear layers of attention, feed-forward layers and mixers.
    pub reach: Reach,
}

/// Which modules a method takes, unless rules say otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Reach {
    /// Nothing but routed experts (gpt-oss MXFP4).
    pub experts_only: bool,
    /// The output projection.
    pub head: bool,
    /// Embeddings.
    pub embedding: bool,
    /// Routers.
    pub router: bool,
    /// The linear layers of image and audio towers.
    pub towers: bool,
    /// What else has linear layers: gates and projections inside a layer, and what stands between a tower and the language
    /// model, though not the tower.
    pub rest: bool,
}

/// Reads a `quantization_config`.
///
/// # Errors
/// A method, type or list that is not known: a wrong guess would halve or double every figure.
pub(super) fn read(q: &Config) -> Result<Stored, Diagnostic> {
    let method = found::method(q)?;
    let mut stored = Stored { storage: None, ..Stored::default() };
    match method.as_str() {
        "none" | "" => return Ok(stored),
        "compressed-tensors" | "compressed_tensors" => compressed_tensors(q, &mut stored)?,
        "modelopt" | "modelopt_fp4" | "modelopt_mixed" if q.has("config_groups") => {
            compressed_tensors(q, &mut stored)?
        }
        "mixed_precision" | "modelopt_mixed" | "modelopt" if q.has("quantized_layers") => {
            by_layer(q, &mut stored)?
        }
        "bitsandbytes" => stored.storage = bitsandbytes(q)?,
        "quark" => quark(q, &mut stored)?,
        "torchao" => torchao(q, &mut stored)?,
        "mlx" => mlx(q, &mut stored)?,
        "hqq" => hqq(q, &mut stored)?,
        // Weights stand in the model's own type and are quantised in every pass (Transformers `integrations/bitnet.py`
        // `AutoBitLinear`; `BitNetQuantConfig`: `offline` packs them beforehand).
        "bitnet"
            if q.opt_str("linear_class")? == Some("autobitlinear")
                && q.opt_str("quantization_mode")? == Some("online") => {}
        "auto-round" | "autoround" | "intel/auto-round" | "inc" => auto_round(q, &mut stored)?,
        _ => stored.storage = Some(of_method(q, &method)?),
    }
    match method.as_str() {
        "mxfp4" => stored.reach.experts_only = !q.has("quantized_layers"),
        "experts_int8" => stored.reach.experts_only = true,
        // FP8 layers around 4-bit experts (SGLang `w4afp8`).
        "w4afp8" => {
            let group = q.opt_size("group_size")?.unwrap_or(128);
            stored.experts =
                Some(Storage::new(WeightFormat::Int4, Layout::new(4, Scales::Group(group), HALF)));
        }
        _ => {}
    }
    // Methods that replace every linear layer of a model, towers' too, unless they are listed.
    stored.reach.towers = matches!(
        method.as_str(),
        "bitsandbytes"
            | "compressed-tensors"
            | "eetq"
            | "quanto"
            | "hqq"
            | "torchao"
            | "fp8"
            | "finegrained_fp8"
    );
    stored.reach.head |= matches!(method.as_str(), "compressed-tensors" | "exl2" | "exl3")
        || q.bool_or("lm_head", false).unwrap_or(false);
    exceptions(q, &mut stored)?;
    Ok(stored)
}

/// Modules that stand as they were, the modules that alone are quantised, and GPTQModel's `dynamic`.
fn exceptions(q: &Config, stored: &mut Stored) -> Result<(), Diagnostic> {
    const LISTS: [&str; 8] = [
        "modules_to_not_convert",
        "ignore",
        "ignored_layers",
        "exclude",
        "exclude_modules",
        "llm_int8_skip_modules",
        "skip_modules",
        "ignored_modules",
    ];
    // ModelOpt's requantised experts of an FP8 checkpoint: what its own list ignores stays in the blocks of FP8 that it was
    // in, and what engines leave alone is in the lists of the method (vLLM `quantization/fp8.py` `from_config`:
    // `ignored_layers` or `modules_to_not_convert`).
    let requantised = found::method(q)?.contains("fp8") && q.has("moe_quant_algo");
    let mut kept = Vec::new();
    for key in LISTS.into_iter().filter(|key| !(requantised && *key == "ignore")) {
        kept.extend(q.strings(key)?);
    }
    // `dynamic` of GPTQModel (`gptqmodel/quantization/config.py` `dynamic_get`): Python expressions that match from
    // the start of a name, `-:` before those that are left alone; the first that matches decides.
    let mut first: Vec<Rule> = Vec::new();
    if let Some(dynamic) = q.opt_sub("dynamic")? {
        for pattern in dynamic.keys() {
            let rule = match pattern.strip_prefix("-:") {
                Some(skipped) => (vec![format!("re:{skipped}")], None),
                None => {
                    let expression = format!("re:{}", pattern.strip_prefix("+:").unwrap_or(pattern));
                    let own = dynamic.sub(pattern)?;
                    (vec![expression], Some(of_integers(&[&own, q], true)?))
                }
            };
            first.push(rule);
        }
    }
    first.push((kept, None));
    first.append(&mut stored.rules);
    stored.rules = first;
    // Optimum names the modules of a block in groups that it quantises one after another.
    for group in q.list("modules_in_block_to_quantize")?.unwrap_or_default() {
        let names = group.as_array().map_or(std::slice::from_ref(group), Vec::as_slice);
        stored.only.extend(names.iter().filter_map(|name| name.as_str().map(str::to_owned)));
    }
    Ok(())
}

/// The storage of a method that has one for all modules.
fn of_method(q: &Config, method: &str) -> Result<Storage, Diagnostic> {
    Ok(match method {
        "fp8"
        | "finegrained_fp8"
        | "fp8_pb_wo"
        | "fp8_pb_real"
        | "fbgemm_fp8"
        | "fp8_per_channel_per_token"
        | "ptpc_fp8"
        | "w8a8_fp8"
        | "w4afp8"
        | "modelopt"
        | "modelopt_fp8" => float8(q, method)?,
        "mxfp4" | "w4a16_mxfp4" | "w4a8_mxfp4_fp8" | "mxfp4_awq" => mxfp4(),
        "mxfp8" | "modelopt_mxfp8" => mxfp8(),
        "modelopt_fp4" | "nvfp4" | "nvfp4_awq" | "nvfp4_svdquant" | "w4a8_nvfp4_fp8" | "petit_nvfp4" => {
            nvfp4(8, method)
        }
        "w4a16_nvfp4" => nvfp4(4, method),
        "fp_quant" => match q.opt_str("forward_dtype")? {
            Some("nvfp4") => nvfp4(8, method),
            _ => mxfp4(),
        },
        "awq" | "awq_marlin" | "w4a16_awq" | "w4a8_awq" | "int4_awq" | "moe_wna16" => integer(q, false)?,
        "gptq" | "gptq_marlin" | "marlin" | "gptqmodel" => integer(q, true)?,
        "gptq_marlin_24" => integer(q, false)?.sparse(),
        "qqq" => integer(q, false)?,
        "int8_sq" | "w8a8" | "w8a8_int8" | "experts_int8" => rows(WeightFormat::Int8, SINGLE),
        "w8a16" | "int8_wo" => rows(WeightFormat::Int8Weights, SINGLE),
        "eetq" => rows(WeightFormat::Int8, HALF),
        "quanto" => quanto(q)?,
        "bitnet" => Storage::new(
            WeightFormat::Int4,
            Layout { fixed_bytes: HALF, ..Layout::new(2, Scales::Tensor, 0) },
        ),
        "aqlm" => aqlm(q)?,
        "exl2" | "exl3" => exl(q.f64_or("bits", 0.0)?, q)?,
        other => return Err(unknown(q, other)),
    })
}

/// ModelOpt's `quantized_layers`: a method for each module, and nothing for the others.
fn by_layer(q: &Config, stored: &mut Stored) -> Result<(), Diagnostic> {
    let layers = q.sub("quantized_layers")?;
    for name in layers.keys() {
        let own = layers.sub(name)?;
        let method = own.opt_str("quant_algo")?.unwrap_or("none").to_lowercase();
        let storage = if method == "none" { None } else { Some(of_method(&own, &method)?) };
        add(&mut stored.rules, name.to_owned(), storage);
    }
    Ok(())
}

/// Adds a module to the rule that says the same, so that lists of every module stay few rules.
fn add(rules: &mut Vec<Rule>, name: String, storage: Option<Storage>) {
    match rules.iter_mut().find(|rule| rule.1 == storage) {
        Some((names, _)) => names.push(name),
        None => rules.push((vec![name], storage)),
    }
}

/// EXL2 and EXL3: `bits` a weight on average, scales included; the output projection has its own (`head_bits`).
fn exl(bits: f64, q: &Config) -> Result<Storage, Diagnostic> {
    if !(1.0..=8.0).contains(&bits) {
        return Err(q.error("bits", "expected the mean number of bits of a weight, from 1 to 8"));
    }
    let format = if bits > 6.0 { WeightFormat::Int8 } else { WeightFormat::Int4 };
    let thousandths = (bits * 1000.0).round() as u64;
    let layout =
        Layout { millibits: thousandths % 1000, ..Layout::new(thousandths / 1000, Scales::Tensor, 0) };
    Ok(Storage::new(format, layout))
}

/// The storage of the output projection, where the method has another for it.
pub(super) fn head(q: &Config) -> Result<Option<Storage>, Diagnostic> {
    if q.has("head_bits") { exl(q.f64_or("head_bits", 6.0)?, q).map(Some) } else { Ok(None) }
}

/// AQLM (arXiv:2401.06118): codes of `num_codebooks × nbits_per_codebook` bits for `in_group_size × out_group_size`
/// weights, the codebooks, a 16-bit scale per output feature.
fn aqlm(q: &Config) -> Result<Storage, Diagnostic> {
    let (books, bits) = (q.size_or("num_codebooks", 1)?, q.size_or("nbits_per_codebook", 16)?);
    let group = q.size_or("in_group_size", 8)?.saturating_mul(q.size_or("out_group_size", 1)?);
    if bits > 16 || books > 64 || group == 0 {
        return Err(q.error("nbits_per_codebook", "codes of at most 16 bits from at most 64 books"));
    }
    let thousandths = 1000 * books * bits / group;
    let fixed_bytes = (books << bits).saturating_mul(group).saturating_mul(HALF);
    let layout = Layout::new(thousandths / 1000, Scales::Row, HALF);
    Ok(Storage::new(WeightFormat::Int4, Layout { millibits: thousandths % 1000, fixed_bytes, ..layout }))
}

/// MLX (`mlx.nn.quantize`): integers in groups with a 16-bit scale and a 16-bit bias, or a mode of its own; all linear
/// layers and embeddings but those of towers (`mlx_vlm/utils.py` `skip_multimodal_module`), those apart that are named beside
/// `bits`: `false` leaves one alone.
fn mlx(q: &Config, stored: &mut Stored) -> Result<(), Diagnostic> {
    stored.reach = Reach { head: true, embedding: true, router: true, rest: true, ..Reach::default() };
    stored.storage = Some(mlx_storage(&[q])?);
    for name in q.keys().filter(|key| key.contains('.') || *key == "lm_head") {
        let storage = match q.opt_bool(name) {
            Ok(Some(false)) => None,
            Ok(_) => continue,
            Err(_) => Some(mlx_storage(&[&q.sub(name)?, q])?),
        };
        add(&mut stored.rules, name.to_owned(), storage);
    }
    Ok(())
}

fn mlx_storage(places: &[&Config]) -> Result<Storage, Diagnostic> {
    let q = places[0];
    let mode = places.iter().find_map(|place| place.opt_str("mode").ok().flatten()).unwrap_or("affine");
    Ok(match mode {
        "affine" => {
            let bits = first(places, &["bits"])?.unwrap_or(4);
            let group = first(places, &["group_size"])?.unwrap_or(64);
            let format = packed_format(bits, group, q)?;
            let layout = Layout { words: true, ..Layout::new(bits, Scales::Group(group.max(1)), 2 * HALF) };
            Storage::new(format, layout)
        }
        "mxfp4" => mxfp4(),
        "nvfp4" => nvfp4(0, ""),
        "mxfp8" => mxfp8(),
        other => return Err(unknown(q, &format!("mlx {other}"))),
    })
}

/// The first of several objects that has a size under one of these names.
fn first(places: &[&Config], names: &[&str]) -> Result<Option<u64>, Diagnostic> {
    for place in places {
        for name in names {
            if let Some(found) = place.opt_index(name)? {
                return Ok(Some(found));
            }
        }
    }
    Ok(None)
}

/// The format whose kernels multiply integers of so many bits in such groups.
fn packed_format(bits: u64, group: u64, q: &Config) -> Result<WeightFormat, Diagnostic> {
    match bits {
        5..=8 => Ok(WeightFormat::Int8),
        1..=4 if group == 32 => Ok(WeightFormat::Int4Group32),
        1..=4 => Ok(WeightFormat::Int4),
        bits => Err(unpacked(bits, q, "1 to 8")),
    }
}

/// Integers of a width that no kernel takes.
fn unpacked(bits: u64, q: &Config, allowed: &str) -> Diagnostic {
    Diagnostic::new(Code::Model, format!("{bits}-bit weights are not supported"))
        .at(q.place("bits"))
        .help(allowed)
}

/// AutoRound: integers, or the type that `data_type` names; `extra_config` has what differs by module, 16 bits for
/// what stands as it was.
fn auto_round(q: &Config, stored: &mut Stored) -> Result<(), Diagnostic> {
    stored.storage = Some(auto_round_storage(&[q])?);
    if let Some(extra) = q.opt_sub("extra_config")? {
        for name in extra.keys() {
            let own = extra.sub(name)?;
            let kept = own.opt_u64("bits")?.is_some_and(|bits| bits >= 16);
            let storage = if kept { None } else { Some(auto_round_storage(&[&own, q])?) };
            let expression = name.contains(['*', '^', '$', '\\', '|', '[', '(']);
            add(&mut stored.rules, if expression { format!("re:{name}") } else { name.to_owned() }, storage);
        }
    }
    Ok(())
}

fn auto_round_storage(places: &[&Config]) -> Result<Storage, Diagnostic> {
    let kind = places.iter().find_map(|place| place.opt_str("data_type").ok().flatten()).unwrap_or("int");
    let bits = first(places, &["bits"])?.unwrap_or(4);
    Ok(match (kind, bits) {
        (kind, 4) if kind.starts_with("mx_fp") => mxfp4(),
        (kind, 8) if kind.starts_with("mx_fp") => mxfp8(),
        (kind, 4) if kind.starts_with("nv_fp") => nvfp4(8, ""),
        (kind, 8) if kind.starts_with("fp") => rows(WeightFormat::Fp8, HALF),
        (kind, _) if kind.starts_with("int") => of_integers(places, false)?,
        (other, bits) => return Err(unknown(places[0], &format!("auto-round {other} of {bits} bits"))),
    })
}

/// 8 bits and a scale per output feature.
fn rows(format: WeightFormat, scale_bytes: u64) -> Storage {
    Storage::new(format, Layout::new(8, Scales::Row, scale_bytes))
}

fn mxfp8() -> Storage {
    Storage::new(WeightFormat::Mxfp8, Layout::new(8, Scales::Group(32), 1))
}

fn mxfp4() -> Storage {
    Storage::new(WeightFormat::Mxfp4, Layout::new(4, Scales::Group(32), 1))
}

/// NVFP4 with `fixed` bytes of FP32 scales per matrix: of the weights, and of activations if quantised.
fn nvfp4(fixed: u64, method: &str) -> Storage {
    // AWQ smooths the input features by 16-bit factors.
    let column_bytes = if method.contains("awq") { HALF } else { 0 };
    let layout = Layout { fixed_bytes: fixed, column_bytes, ..Layout::new(4, Scales::Group(16), 1) };
    Storage::new(WeightFormat::Nvfp4, layout)
}

/// FP8 per block, per output feature or per tensor; a static scale of activations beside it.
fn float8(q: &Config, method: &str) -> Result<Storage, Diagnostic> {
    if matches!(method, "fp8_per_channel_per_token" | "fbgemm_fp8" | "ptpc_fp8" | "w8a8_fp8") {
        return Ok(rows(WeightFormat::Fp8, SINGLE));
    }
    let by_block = !matches!(method, "fp8" | "modelopt" | "modelopt_fp8");
    if q.has("weight_block_size") || by_block {
        let (height, width) = match q.numbers("weight_block_size")?.as_deref() {
            None => (128, 128),
            Some([height, width]) if *height > 0 && *width > 0 => (*height, *width),
            Some(_) => return Err(q.error("weight_block_size", "expected two positive numbers")),
        };
        let layout = Layout::new(8, Scales::Block(height, width), SINGLE);
        return Ok(Storage::new(WeightFormat::Fp8Block, layout));
    }
    let of_activations = match q.opt_str("activation_scheme")? {
        Some("dynamic") => 0,
        Some(_) => SINGLE,
        // ModelOpt always stores one; others say so.
        None if q.has("quant_algo") || method.starts_with("modelopt") => SINGLE,
        None => 0,
    };
    let layout = Layout { fixed_bytes: of_activations, ..Layout::new(8, Scales::Tensor, SINGLE) };
    Ok(Storage::new(WeightFormat::Fp8, layout))
}

/// Integer weights in groups with 16-bit scales and packed zero points: AWQ, GPTQ, AutoRound, QQQ. GPTQ also
/// stores the group of each input feature.
fn integer(q: &Config, indexed: bool) -> Result<Storage, Diagnostic> {
    of_integers(&[q], indexed)
}

/// The same, where the first of several objects that has a field decides.
fn of_integers(places: &[&Config], indexed: bool) -> Result<Storage, Diagnostic> {
    let q = places[places.len() - 1];
    let bits = first(places, &["bits", "w_bit", "wbits", "nbits"])?.unwrap_or(4);
    let default = if q.has("quant_algo") { 128 } else { u64::MAX };
    let named = |name: &str| places.iter().find(|place| place.has(name));
    // -1 makes one group of a whole output feature.
    let group = match (named("group_size"), named("q_group_size")) {
        (Some(place), _) => place.opt_index("group_size")?.filter(|size| *size > 0).unwrap_or(u64::MAX),
        (None, Some(place)) => place.opt_size("q_group_size")?.unwrap_or(default),
        (None, None) => default,
    };
    if !matches!(bits, 2..=4 | 8) {
        return Err(unpacked(bits, q, "2, 3, 4 or 8"));
    }
    let format = packed_format(bits, group, q)?;
    // Marlin's layout has neither zero points nor an order of inputs.
    let marlin = q.opt_str("checkpoint_format")? == Some("marlin") || q.bool_or("is_marlin_format", false)?;
    let layout = Layout {
        zero_bits: if marlin { 0 } else { bits },
        column_bytes: if indexed && !marlin { 4 } else { 0 },
        ..Layout::new(bits, Scales::Group(group), HALF)
    };
    Ok(Storage::new(format, layout))
}

/// bitsandbytes: 8 bits with a scale per output feature, or 4 bits in runs of 64 whose scales may be
/// quantised again (QLoRA, arXiv:2305.14314 §3). The few hundred bytes in which it writes the shape and
/// types of each matrix down as text are left out.
fn bitsandbytes(q: &Config) -> Result<Option<Storage>, Diagnostic> {
    let asks = |keys| q.bool_of(keys, false);
    if asks(&["load_in_8bit", "_load_in_8bit"])? {
        let layout = Layout { fixed_bytes: 1, ..Layout::new(8, Scales::Row, SINGLE) };
        return Ok(Some(Storage::new(WeightFormat::Int8, layout)));
    }
    // Neither asked for: as it was.
    let says =
        q.has("load_in_4bit") || q.has("_load_in_4bit") || q.has("load_in_8bit") || q.has("_load_in_8bit");
    if says && !asks(&["load_in_4bit", "_load_in_4bit"])? {
        return Ok(None);
    }
    // A table of 16 values; for scales quantised again one of 256, and one scale in 256 of them.
    let twice = q.bool_or("bnb_4bit_use_double_quant", false)?;
    let run = q.opt_size("bnb_4bit_blocksize")?.unwrap_or(64);
    let layout = if twice {
        Layout { fixed_bytes: 64 + 1024, outer_run: run * 256, ..Layout::new(4, Scales::Run(run), 1) }
    } else {
        Layout { fixed_bytes: 64, ..Layout::new(4, Scales::Run(run), SINGLE) }
    };
    Ok(Some(Storage::new(WeightFormat::Int4, layout)))
}

/// AMD Quark: a type for all layers in `global_quant_config`, others for modules by name in `layer_quant_config` and
/// by kind in `layer_type_quant_config`; nothing where `weight` is null.
fn quark(q: &Config, stored: &mut Stored) -> Result<(), Diagnostic> {
    if let Some(layers) = q.opt_sub("layer_quant_config")? {
        for name in layers.keys() {
            add(&mut stored.rules, name.to_owned(), quark_storage(q, layers.opt_sub(name)?.as_ref())?);
        }
    }
    let kinds = q.opt_sub("layer_type_quant_config")?;
    let linear = kinds.and_then(|kinds| kinds.opt_sub("Linear").ok().flatten());
    let all = q.opt_sub("global_quant_config")?;
    stored.storage = quark_storage(q, linear.or(all).as_ref())?;
    Ok(())
}

/// The storage of one of Quark's entries. Of a list, weights that are quantised in two steps, the last is stored.
fn quark_storage(q: &Config, entry: Option<&Config>) -> Result<Option<Storage>, Diagnostic> {
    let Some(entry) = entry else { return Ok(None) };
    let weight =
        if entry.is_list("weight") { entry.subs("weight")?.pop() } else { entry.opt_sub("weight")? };
    let Some(weight) = weight else { return Ok(None) };
    let kind = weight.opt_str("dtype")?.unwrap_or("");
    let group = weight.opt_size("group_size")?;
    let scales = match weight.opt_str("qscheme")?.unwrap_or("per_tensor") {
        "per_channel" => Scales::Row,
        "per_group" => Scales::Group(group.unwrap_or(32)),
        "per_block" => match weight.numbers("block_size")?.as_deref() {
            Some([height, width]) if *height > 0 && *width > 0 => Scales::Block(*height, *width),
            _ => Scales::Block(128, 128),
        },
        _ => Scales::Tensor,
    };
    let dynamic = |input: &Config| input.bool_or("is_dynamic", false);
    let inputs = if entry.is_list("input_tensors") {
        entry.subs("input_tensors")?.pop()
    } else {
        entry.opt_sub("input_tensors")?
    };
    let of_activations = match inputs {
        Some(input) if !dynamic(&input)? => SINGLE,
        _ => 0,
    };
    let layout = |bits, bytes| Layout { fixed_bytes: of_activations, ..Layout::new(bits, scales, bytes) };
    Ok(Some(match kind {
        "fp8_e4m3" | "fp8_e5m2" if matches!(scales, Scales::Block(..)) => {
            Storage::new(WeightFormat::Fp8Block, layout(8, SINGLE))
        }
        "fp8_e4m3" | "fp8_e5m2" => Storage::new(WeightFormat::Fp8, layout(8, SINGLE)),
        "int8" | "uint8" => Storage::new(WeightFormat::Int8, layout(8, SINGLE)),
        "fp4" | "mxfp4" if group == Some(16) => nvfp4(8, ""),
        "fp4" | "mxfp4" | "mx" => Storage::new(WeightFormat::Mxfp4, layout(4, 1)),
        // OCP MX with 6-bit elements: engines widen them.
        "fp6_e2m3" | "fp6_e3m2" => Storage::new(WeightFormat::Fp8, layout(6, 1)),
        "int4" | "uint4" => Storage::new(
            packed_format(4, group.unwrap_or(128), &weight)?,
            Layout { zero_bits: 4, ..layout(4, SINGLE) },
        ),
        "bfloat16" | "float16" | "float32" => return Ok(None),
        other => return Err(unknown(q, &format!("quark {other}"))),
    }))
}

/// HQQ: a 16-bit scale and a 16-bit zero point per group; of all layers, or by their names.
fn hqq(q: &Config, stored: &mut Stored) -> Result<(), Diagnostic> {
    let inner = q.opt_sub("quant_config")?.unwrap_or_else(|| q.clone());
    let storage = |of: &Config| -> Result<Storage, Diagnostic> {
        let weights = of.opt_sub("weight_quant_params")?;
        let of = weights.as_ref().unwrap_or(of);
        let bits = of.opt_u64("nbits")?.or(of.opt_u64("bits")?).unwrap_or(4);
        let group = of.opt_size("group_size")?.unwrap_or(64);
        let format = packed_format(bits, group, of)?;
        let layout = Layout { zero_bits: 16, ..Layout::new(bits, Scales::Group(group), HALF) };
        Ok(Storage::new(format, layout))
    };
    let named: Vec<&str> = inner.keys().filter(|key| key.contains('.')).collect();
    for name in &named {
        add(&mut stored.rules, (*name).to_owned(), Some(storage(&inner.sub(name)?)?));
    }
    if named.is_empty() {
        stored.storage = Some(storage(&inner)?);
    }
    Ok(())
}

/// Quanto: a 16-bit scale per output feature, or with a shift per 128 below 8 bits.
fn quanto(q: &Config) -> Result<Storage, Diagnostic> {
    let group = |bits| Layout { zero_bits: 16, ..Layout::new(bits, Scales::Group(128), HALF) };
    Ok(match q.opt_str("weights")?.unwrap_or("int8") {
        "int8" => rows(WeightFormat::Int8, HALF),
        "float8" => rows(WeightFormat::Fp8, HALF),
        "int4" => Storage::new(WeightFormat::Int4, group(4)),
        "int2" => Storage::new(WeightFormat::Int4, group(2)),
        other => return Err(unknown(q, &format!("quanto {other}"))),
    })
}

/// TorchAO: the type is in the name of the configuration's class; `ModuleFqnToConfig` has one for each module, or none.
fn torchao(q: &Config, stored: &mut Stored) -> Result<(), Diagnostic> {
    stored.reach.embedding = q.bool_or("include_input_output_embeddings", false)?;
    stored.reach.head = stored.reach.embedding;
    let nested = match q.opt_sub("quant_type") {
        Ok(Some(types)) => types.opt_sub("default")?,
        _ => None,
    };
    let Some(default) = nested else {
        let (name, data) = (q.opt_str("quant_type")?.unwrap_or(""), q.opt_sub("quant_type_kwargs")?);
        stored.storage = Some(torchao_storage(q, name, data.as_ref())?);
        return Ok(());
    };
    let of = |entry: &Config| -> Result<Storage, Diagnostic> {
        torchao_storage(q, entry.opt_str("_type")?.unwrap_or(""), entry.opt_sub("_data")?.as_ref())
    };
    let data = default.opt_sub("_data")?;
    let modules = match &data {
        Some(data) => data.opt_sub("module_fqn_to_config")?.or(data.opt_sub("fqn_to_config")?),
        None => None,
    };
    let Some(modules) = modules else {
        stored.storage = Some(of(&default)?);
        return Ok(());
    };
    for name in modules.keys() {
        let storage = modules.opt_sub(name)?.as_ref().map(of).transpose()?;
        match name {
            "_default" => stored.storage = storage,
            _ => add(&mut stored.rules, name.to_owned(), storage),
        }
    }
    Ok(())
}

fn torchao_storage(q: &Config, name: &str, data: Option<&Config>) -> Result<Storage, Diagnostic> {
    let lower = name.to_lowercase();
    let sub = |key: &str| data.and_then(|data| data.opt_sub(key).ok().flatten());
    let inner = |key: &str| sub(key).and_then(|of| of.opt_sub("_data").ok().flatten());
    let granularity = inner("weight_granularity").or_else(|| inner("granularity"));
    let group = match (data, &granularity) {
        (Some(data), _) if data.has("group_size") => data.opt_size("group_size")?,
        (_, Some(granularity)) => granularity.opt_size("group_size")?,
        _ => None,
    };
    // `IntxWeightOnlyConfig` and its like name the type in a field.
    let typed = sub("weight_dtype").and_then(|of| of.opt_str("_data").ok().flatten()).unwrap_or("");
    let bits = ["int1", "int2", "int3", "int4", "int5", "int6", "int7", "int8"];
    let bits =
        bits.iter().position(|kind| *kind == typed.trim_start_matches("torch.")).map(|at| at as u64 + 1);
    Ok(if lower.contains("intx") {
        let Some(bits) = bits else { return Err(unknown(q, &format!("torchao {name} of {typed}"))) };
        let scales = group.map_or(Scales::Row, Scales::Group);
        // Elements of less than 8 bits stand in 8 until they are packed.
        Storage::new(packed_format(bits, group.unwrap_or(u64::MAX), q)?, Layout::new(8, scales, HALF))
    } else if lower.contains("int4") {
        // A pair of 16-bit scale and zero point per group.
        let scales = Scales::Group(group.unwrap_or(128));
        Storage::new(WeightFormat::Int4, Layout::new(4, scales, 2 * HALF))
    } else if lower.contains("nvfp4") {
        nvfp4(8, "")
    } else if lower.contains("mx") && lower.contains("fp4") {
        mxfp4()
    } else if lower.contains("float8") || lower.contains("fp8") {
        rows(WeightFormat::Fp8, SINGLE)
    } else if lower.contains("int8") {
        rows(WeightFormat::Int8, HALF)
    } else {
        return Err(unknown(q, &format!("torchao {name}")));
    })
}

/// compressed-tensors: groups of modules, each with a type; and what is left of two in four weights.
fn compressed_tensors(q: &Config, stored: &mut Stored) -> Result<(), Diagnostic> {
    let mut named: Vec<Rule> = Vec::new();
    if let Some(groups) = q.opt_sub("config_groups")? {
        for name in groups.keys() {
            let group = groups.sub(name)?;
            // A group of activations alone: caches.
            if !group.has("weights") {
                continue;
            }
            let storage = group_storage(q, &group)?;
            let mut modules = Vec::new();
            for target in group.strings("targets")? {
                match kind_of_target(&target) {
                    Target::Linear => stored.storage = Some(storage),
                    Target::Experts => stored.experts = Some(storage),
                    Target::Embedding => stored.reach.embedding = true,
                    Target::Module => modules.push(target),
                    Target::Unknown => {
                        return Err(
                            group.error("targets", format!("`{target}` is not known to hold linear layers"))
                        );
                    }
                }
            }
            if !group.has("targets") {
                stored.storage = Some(storage);
            }
            if !modules.is_empty() {
                named.push((modules, Some(storage)));
            }
        }
    }
    if let Some(sparsity) = q.opt_sub("sparsity_config")? {
        match sparsity.opt_str("format")? {
            Some("sparse-24-bitmask") => {
                let sparse = stored.storage.map(Storage::sparse);
                stored.storage = Some(sparse.unwrap_or_else(|| Storage::from(WeightFormat::Bf16).sparse()));
                named.push((sparsity.strings("ignore")?, None));
            }
            None | Some("dense") => {}
            Some(other) => return Err(unknown(q, &format!("sparsity {other}"))),
        }
    }
    stored.rules = named;
    Ok(())
}

/// What a target of compressed-tensors stands for.
enum Target {
    /// Every linear layer.
    Linear,
    /// Routed experts.
    Experts,
    /// Embeddings.
    Embedding,
    /// A module by its name or an expression.
    Module,
    /// A class that is not known.
    Unknown,
}

fn kind_of_target(target: &str) -> Target {
    let class = !target.contains(['.', ':', '*']) && target.starts_with(|c: char| c.is_ascii_uppercase());
    match target {
        _ if !class => Target::Module,
        "Embedding" => Target::Embedding,
        _ if target.contains("Linear") => Target::Linear,
        _ if target.contains("Expert") || target.contains("MoE") || target.contains("Moe") => Target::Experts,
        _ => Target::Unknown,
    }
}

/// The storage of one group of a compressed-tensors configuration.
pub(super) fn group_storage(q: &Config, group: &Config) -> Result<Storage, Diagnostic> {
    let weights = group.sub("weights")?;
    let kind = weights.opt_str("type")?.unwrap_or("int");
    let bits = weights.u64("num_bits")?;
    let size = weights.opt_index("group_size")?.filter(|size| *size > 0);
    let strategy = weights.opt_str("strategy")?.unwrap_or(if size.is_some() { "group" } else { "channel" });
    let activations = group.opt_sub("input_activations")?;
    let activations = activations.map(|a| a.bool_or("dynamic", false).unwrap_or(true));
    let packing = group.opt_str("format")?.or(q.opt_str("format")?).unwrap_or("");
    let scales = match strategy {
        "tensor" => Scales::Tensor,
        "group" | "tensor_group" => Scales::Group(size.unwrap_or(128)),
        "block" => match weights.numbers("block_structure")?.as_deref() {
            Some([height, width]) => Scales::Block(*height, *width),
            _ => Scales::Block(128, 128),
        },
        _ => Scales::Row,
    };
    let static_scale = if activations == Some(false) { HALF } else { 0 };
    let symmetric = weights.bool_or("symmetric", true)?;
    let plain = Layout { fixed_bytes: static_scale, ..Layout::new(bits, scales, HALF) };
    Ok(match (kind, bits) {
        ("float", 8) if strategy == "block" => Storage::new(WeightFormat::Fp8Block, plain),
        ("float", 8) if size == Some(32) => {
            Storage::new(WeightFormat::Fp8, Layout { scale_bytes: 1, ..plain })
        }
        ("float", 8) => Storage::new(WeightFormat::Fp8, plain),
        ("float", 4) if size == Some(32) => mxfp4(),
        // A global scale of the weights, and one of the activations if they are quantised.
        ("float", 4) => nvfp4(if activations.is_some() { 8 } else { 4 }, ""),
        ("int", 2..=8) if packing == "marlin-24" => Storage::new(packed_format(bits, 0, q)?, plain).sparse(),
        // Narrower integers stand in 8 bits each where they are not packed.
        ("int", 2..=7) if packing == "int-quantized" => {
            Storage::new(packed_format(bits, 0, q)?, Layout { bits: 8, ..plain })
        }
        ("int", 2..=8) if packing == "pack-quantized" || bits < 8 => {
            let format = match (bits, size) {
                (8, _) => WeightFormat::Int8,
                (_, Some(32)) => WeightFormat::Int4Group32,
                _ => WeightFormat::Int4,
            };
            let ordered = weights.opt_str("actorder").ok().flatten() == Some("group");
            let layout = Layout {
                words: true,
                zero_bits: if symmetric { 0 } else { bits },
                column_bytes: if ordered { 4 } else { 0 },
                // `weight_shape`: two 64-bit numbers.
                fixed_bytes: static_scale + 16,
                ..plain
            };
            Storage::new(format, layout)
        }
        ("int", 8) => {
            Storage::new(WeightFormat::Int8, Layout { zero_bits: if symmetric { 0 } else { 8 }, ..plain })
        }
        _ => return Err(unknown(q, &format!("{kind}{bits}"))),
    })
}

fn unknown(q: &Config, method: &str) -> Diagnostic {
    Diagnostic::new(Code::Model, format!("unknown quantisation `{method}`"))
        .at(q.place("quant_method"))
        .help(found::WHAT_TO_DO)
}
