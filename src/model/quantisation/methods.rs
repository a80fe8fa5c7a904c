//! The storage that each method of `quantization_config` stands for.
//!
//! Tensors and types as the methods' own code writes them: AutoGPTQ and AutoAWQ (`qweight`, `qzeros`,
//! `scales`, `g_idx`), compressed-tensors (`weight_packed`, `weight_scale`, `weight_shape`, …), ModelOpt
//! (`weight_scale`, `weight_scale_2`, `input_scale`), bitsandbytes (`absmax`, `quant_map`, `SCB`),
//! fine-grained FP8 (`weight_scale_inv`), Quark, HQQ, EETQ, Quanto, TorchAO.

use super::storage::{Layout, Scales, Storage};
use crate::diagnostic::{Code, Diagnostic};
use crate::dtype::WeightFormat;
use crate::model::config::Config;

/// Bytes of an FP32 scale.
const SINGLE: u64 = 4;
/// Bytes of a 16-bit scale.
const HALF: u64 = 2;

/// The storage that a `quantization_config` names; `None` if it names no method.
pub(super) fn read(q: &Config) -> Result<Option<Storage>, Diagnostic> {
    let method = match (q.opt_str("quant_method")?, q.opt_str("quant_algo")?) {
        // ModelOpt says which of its methods in `quant_algo`.
        (Some("modelopt") | None, Some(algorithm)) => algorithm,
        (Some(method), _) => method,
        (None, None) => "",
    };
    let method = method.to_lowercase();
    Ok(Some(match method.as_str() {
        "" => return Ok(None),
        "fp8"
        | "finegrained_fp8"
        | "fp8_pb_wo"
        | "fp8_pb_real"
        | "fbgemm_fp8"
        | "fp8_per_channel_per_token" => float8(q, &method)?,
        "mxfp4" | "w4a16_mxfp4" => mxfp4(),
        "mxfp8" => Storage::new(WeightFormat::Fp8, Layout::new(8, Scales::Group(32), 1)),
        "modelopt_fp4" | "nvfp4" | "nvfp4_awq" | "w4a8_nvfp4_fp8" => nvfp4(8, &method),
        "w4a16_nvfp4" => nvfp4(4, &method),
        "awq" | "w4a16_awq" | "w4a8_awq" => integer(q, false)?,
        "gptq" => integer(q, true)?,
        "auto-round" | "autoround" | "intel/auto-round" => integer(q, false)?,
        "int8_sq" | "w8a16" | "w8a8" | "w8a8_int8" => rows(WeightFormat::Int8, SINGLE),
        "bitsandbytes" => bitsandbytes(q)?,
        "quark" => return quark(q).map(Some),
        "hqq" => hqq(q)?,
        "eetq" => rows(WeightFormat::Int8, HALF),
        "quanto" => quanto(q)?,
        "torchao" => torchao(q)?,
        "modelopt" if !q.has("config_groups") => float8(q, &method)?,
        "compressed-tensors" | "modelopt" => return compressed_tensors(q).map(Some),
        other => return Err(unknown(q, other)),
    }))
}

/// 8 bits and a scale per output feature.
fn rows(format: WeightFormat, scale_bytes: u64) -> Storage {
    Storage::new(format, Layout::new(8, Scales::Row, scale_bytes))
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
    if matches!(method, "fp8_per_channel_per_token" | "fbgemm_fp8") {
        return Ok(rows(WeightFormat::Fp8, SINGLE));
    }
    let by_block = method != "fp8" && method != "modelopt";
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
        None if q.has("quant_algo") || method == "modelopt" => SINGLE,
        None => 0,
    };
    let layout = Layout { fixed_bytes: of_activations, ..Layout::new(8, Scales::Tensor, SINGLE) };
    Ok(Storage::new(WeightFormat::Fp8, layout))
}

/// Integer weights in groups with 16-bit scales and packed zero points: AWQ, GPTQ, AutoRound. GPTQ also
/// stores the group of each input feature.
fn integer(q: &Config, indexed: bool) -> Result<Storage, Diagnostic> {
    let bits = q.opt_u64("bits")?.or(q.opt_u64("w_bit")?).unwrap_or(4);
    let default = if q.has("quant_algo") { 128 } else { u64::MAX };
    let group = match q.opt_index("group_size")? {
        Some(size) if size > 0 => size,
        _ if q.has("group_size") => u64::MAX,
        _ => q.opt_size("q_group_size")?.unwrap_or(default),
    };
    let format = match bits {
        8 => WeightFormat::Int8,
        2..=4 if group == 32 => WeightFormat::Int4Group32,
        2..=4 => WeightFormat::Int4,
        bits => {
            return Err(Diagnostic::new(Code::Model, format!("{bits}-bit weights are not supported"))
                .at(q.place("bits"))
                .help("2, 3, 4 or 8"));
        }
    };
    let layout = Layout {
        zero_bits: bits,
        column_bytes: if indexed { 4 } else { 0 },
        ..Layout::new(bits, Scales::Group(group), HALF)
    };
    Ok(Storage::new(format, layout))
}

/// bitsandbytes: 8 bits with a scale per output feature, or 4 bits in runs of 64 whose scales may be
/// quantised again (QLoRA, arXiv:2305.14314 §3). The few hundred bytes in which it writes the shape and
/// types of each matrix down as text are left out.
fn bitsandbytes(q: &Config) -> Result<Storage, Diagnostic> {
    if q.bool_or("load_in_8bit", false)? {
        let layout = Layout { fixed_bytes: 1, ..Layout::new(8, Scales::Row, SINGLE) };
        return Ok(Storage::new(WeightFormat::Int8, layout));
    }
    // A table of 16 values; for scales quantised again one of 256, and one scale in 256 of them.
    let twice = q.bool_or("bnb_4bit_use_double_quant", false)?;
    let run = q.opt_size("bnb_4bit_blocksize")?.unwrap_or(64);
    let layout = if twice {
        Layout { fixed_bytes: 64 + 1024, outer_run: run * 256, ..Layout::new(4, Scales::Run(run), 1) }
    } else {
        Layout { fixed_bytes: 64, ..Layout::new(4, Scales::Run(run), SINGLE) }
    };
    Ok(Storage::new(WeightFormat::Int4, layout))
}

/// AMD Quark: one type for all layers, as `global_quant_config` says.
fn quark(q: &Config) -> Result<Storage, Diagnostic> {
    let weight = q.sub("global_quant_config")?.sub("weight")?;
    let kind = weight.opt_str("dtype")?.unwrap_or("");
    let scales = match weight.opt_str("qscheme")?.unwrap_or("per_tensor") {
        "per_channel" => Scales::Row,
        "per_group" => Scales::Group(weight.opt_size("group_size")?.unwrap_or(32)),
        _ => Scales::Tensor,
    };
    let of_activations = match q.sub("global_quant_config")?.opt_sub("input_tensors")? {
        Some(input) if !input.bool_or("is_dynamic", false)? => SINGLE,
        _ => 0,
    };
    let layout = |bits, bytes| Layout { fixed_bytes: of_activations, ..Layout::new(bits, scales, bytes) };
    Ok(match kind {
        "fp8_e4m3" | "fp8_e5m2" => Storage::new(WeightFormat::Fp8, layout(8, SINGLE)),
        "int8" => Storage::new(WeightFormat::Int8, layout(8, SINGLE)),
        "fp4" => Storage::new(WeightFormat::Mxfp4, layout(4, 1)),
        "int4" | "uint4" => Storage::new(WeightFormat::Int4, Layout { zero_bits: 4, ..layout(4, SINGLE) }),
        other => return Err(unknown(q, &format!("quark {other}"))),
    })
}

/// HQQ: a 16-bit scale and a 16-bit zero point per group.
fn hqq(q: &Config) -> Result<Storage, Diagnostic> {
    let inner = q.opt_sub("quant_config")?;
    let weights = match &inner {
        Some(inner) => inner.opt_sub("weight_quant_params")?,
        None => None,
    };
    let q = weights.as_ref().or(inner.as_ref()).unwrap_or(q);
    let bits = q.opt_u64("nbits")?.unwrap_or(4);
    let format = if bits > 4 { WeightFormat::Int8 } else { WeightFormat::Int4 };
    let group = q.opt_size("group_size")?.unwrap_or(64);
    let layout = Layout { zero_bits: 16, ..Layout::new(bits.clamp(1, 8), Scales::Group(group), HALF) };
    Ok(Storage::new(format, layout))
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

/// TorchAO: the type is in the name of the configuration's class.
fn torchao(q: &Config) -> Result<Storage, Diagnostic> {
    let nested = match q.opt_sub("quant_type") {
        Ok(Some(types)) => types.opt_sub("default")?,
        _ => None,
    };
    let (name, data) = match &nested {
        Some(default) => (default.opt_str("_type")?.unwrap_or(""), default.opt_sub("_data")?),
        None => (q.opt_str("quant_type")?.unwrap_or(""), q.opt_sub("quant_type_kwargs")?),
    };
    let lower = name.to_lowercase();
    let group = match &data {
        Some(data) => data.opt_size("group_size")?,
        None => None,
    };
    Ok(if lower.contains("int4") {
        // A pair of 16-bit scale and zero point per group.
        let scales = Scales::Group(group.unwrap_or(128));
        Storage::new(WeightFormat::Int4, Layout::new(4, scales, 2 * HALF))
    } else if lower.contains("float8") || lower.contains("fp8") {
        rows(WeightFormat::Fp8, SINGLE)
    } else if lower.contains("int8") {
        rows(WeightFormat::Int8, HALF)
    } else {
        return Err(unknown(q, &format!("torchao {name}")));
    })
}

/// A compressed-tensors configuration with one group.
fn compressed_tensors(q: &Config) -> Result<Storage, Diagnostic> {
    let groups = q.sub("config_groups")?;
    let Some(name) = groups.keys().next() else {
        return Err(Diagnostic::new(Code::Model, "config_groups is empty").at(q.place("config_groups")));
    };
    group_storage(q, &groups.sub(name)?)
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
        ("float", 8) => Storage::new(WeightFormat::Fp8, plain),
        ("float", 4) if size == Some(32) => mxfp4(),
        // A global scale of the weights, and one of the activations if they are quantised.
        ("float", 4) => nvfp4(if activations.is_some() { 8 } else { 4 }, ""),
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
    Diagnostic::new(Code::Model, format!("unknown quantisation `{method}`")).at(q.place("quant_method")).help(
        "take quantization_config out of a copy of the file and name the storage with --weights \
             (bf16, fp8, fp8_block, int8, int4, mxfp4, nvfp4)",
    )
}
