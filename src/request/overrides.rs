//! llama.cpp's `--override-tensor`, as far as it says what `--n-cpu-moe` says.

use regex::Regex;

use crate::diagnostic::{Code, Diagnostic};

/// More layers than any model has.
const LAYERS: u64 = 512;

/// A layer's routed experts in a GGUF file.
const EXPERTS: [&str; 3] = ["ffn_up_exps", "ffn_gate_exps", "ffn_down_exps"];

/// What else a layer may hold there.
const OTHERS: [&str; 13] = [
    "attn_norm",
    "attn_q",
    "attn_k",
    "attn_v",
    "attn_output",
    "ffn_norm",
    "ffn_gate_inp",
    "ffn_up",
    "ffn_gate",
    "ffn_down",
    "ffn_up_shexp",
    "ffn_gate_shexp",
    "ffn_down_shexp",
];

/// The first layers whose routed experts patterns such as `exps=CPU` leave with the host; `all` where they mean every
/// layer's.
///
/// # Errors
/// [`Code::Usage`] where they mean anything else, [`Code::Syntax`] where they cannot be read.
pub fn layers_with_host_experts(patterns: &[String], all: u64) -> Result<u64, Diagnostic> {
    let fault = |code, cause: String| {
        Diagnostic::new(code, cause)
            .at("--override-tensor")
            .help("patterns of the routed experts of the first layers, such as exps=CPU; --n-cpu-moe N says the same")
    };
    let mut read = Vec::new();
    for written in patterns {
        let Some(pattern) = written.strip_suffix("=CPU") else {
            return Err(fault(Code::Usage, format!("`{written}` does not end in `=CPU`")));
        };
        let regex = Regex::new(pattern);
        read.push(regex.map_err(|_| fault(Code::Syntax, format!("cannot read the expression `{pattern}`")))?);
    }
    let meant = |name: &str| read.iter().any(|regex| regex.is_match(name));
    let of_layer = |layer: u64, tensor: &str| meant(&format!("blk.{layer}.{tensor}.weight"));
    let some = |names: &[&str], layer| names.iter().filter(|name| of_layer(layer, name)).count();
    let experts = |layer| some(&EXPERTS, layer);
    let others = (0..LAYERS).any(|layer| some(&OTHERS, layer) > 0);
    let outside = ["token_embd", "output_norm", "output"].iter().any(|name| meant(&format!("{name}.weight")));
    let first = (0..LAYERS).take_while(|layer| experts(*layer) == EXPERTS.len()).count() as u64;
    if others || outside || (first..LAYERS).any(|layer| experts(layer) > 0) || first == 0 {
        let cause = format!("`{}` means other tensors than the first layers' experts", patterns.join(","));
        return Err(fault(Code::Usage, cause));
    }
    Ok(if first == LAYERS { all } else { first })
}

/// How many of a model's layers have their routed experts left with the host by patterns that mean nothing else,
/// wherever those layers are; `None` where they mean other tensors or other places, or cannot be read.
pub fn layers_anywhere(patterns: &[String], layers: u64) -> Option<u64> {
    let read: Option<Vec<Regex>> =
        patterns.iter().map(|written| Regex::new(written.strip_suffix("=CPU")?).ok()).collect();
    let read = read?;
    let meant = |name: &str| read.iter().any(|regex| regex.is_match(name));
    let of_layer = |layer: u64, tensor: &str| meant(&format!("blk.{layer}.{tensor}.weight"));
    let layers = layers.min(LAYERS);
    let others = (0..layers).any(|layer| OTHERS.iter().any(|name| of_layer(layer, name)));
    let whole = |layer: &u64| EXPERTS.iter().all(|name| of_layer(*layer, name));
    let part = |layer: u64| EXPERTS.iter().any(|name| of_layer(layer, name));
    let found = (0..layers).filter(whole).count() as u64;
    (!others && found > 0 && (0..layers).filter(|layer| part(*layer)).count() as u64 == found)
        .then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(pattern: &str) -> Option<u64> {
        layers_with_host_experts(&[pattern.to_owned()], 9999).ok()
    }

    #[test]
    fn patterns_of_the_first_layers_experts_are_counted() {
        // As users write them; the last two in https://github.com/ggml-org/llama.cpp/pull/15077, which brought --n-cpu-moe.
        assert_eq!(layers("exps=CPU"), Some(9999));
        assert_eq!(layers(r"\.ffn_.*_exps\.=CPU"), Some(9999));
        assert_eq!(layers(r"blk\.([0-9]|1[0-4])\.ffn_(up|down|gate)_exps=CPU"), Some(15));
        assert_eq!(layers(r"blk\.0\.ffn_(up|down|gate)_exps=CPU"), Some(1));
    }

    #[test]
    fn layers_in_the_middle_are_counted() {
        let count = |pattern: &str| layers_anywhere(&[pattern.to_owned()], 48);
        assert_eq!(count(r"blk\.(1[0-9]|2[0-9])\.ffn_.*_exps.=CPU"), Some(20));
        assert_eq!((count("ffn_up_exps=CPU"), count("ffn=CPU"), count("exps=CUDA1")), (None, None, None));
    }

    #[test]
    fn patterns_of_other_tensors_are_refused() {
        for pattern in [
            "exps=CUDA1",
            "ffn=CPU",
            "ffn_up_exps=CPU",
            r"blk\.5\..*_exps=CPU",
            "output=CPU",
            "(=CPU",
            "x=CPU",
        ] {
            assert_eq!(layers(pattern), None, "{pattern}");
        }
    }
}
