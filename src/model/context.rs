//! The longest context that a configuration allows, as engines derive it.

use crate::diagnostic::Diagnostic;

use super::config::Config;

/// Names of the longest context before any stretching. Where a file has several the smallest holds (vLLM
/// `config/model.py` `_get_and_verify_max_len`; `n_ctx` and `context_length` are GPT-2's and RWKV's own).
const NAMES: &[&str] = &[
    "max_position_embeddings",
    "n_positions",
    "max_sequence_length",
    "max_seq_len",
    "seq_length",
    "max_seq_length",
    "seq_len",
    "context_length",
    "n_ctx",
];

/// The name that goes before all of them (the same, "for Command-R"): a context served longer than it was trained.
const FIRST: &str = "model_max_length";

/// Ways of turning positions whose `factor` is in the stated context already (the same).
const WITHIN: [&str; 3] = ["su", "longrope", "llama3"];

/// The longest context as it is stated, in tokens; `None` where nothing is.
///
/// # Errors
/// A length that is no size.
pub fn stated(config: &Config) -> Result<Option<u64>, Diagnostic> {
    // Tokenisers write 10^30 for no limit; some configurations repeat it.
    if let Some(length) = config.opt_size_of(&[FIRST]).ok().flatten() {
        return Ok(Some(length));
    }
    let mut least = None;
    for name in NAMES.iter().filter(|name| config.has(name)) {
        let length = config.opt_size_of(&[name])?;
        least = [least, length].into_iter().flatten().min();
    }
    least.map_or_else(|| config.opt_size_of(NAMES), |length| Ok(Some(length)))
}

/// The longest context that engines serve, in tokens: what is stated, times the `factor` that positions are stretched
/// by; under YaRN the original context times it (vLLM `config/model.py` `_get_and_verify_max_len`; Peng et al. 2023,
/// arXiv:2309.00071). `None` where nothing is stated.
///
/// # Errors
/// A length that is no size, a factor that is no number.
pub fn derived(config: &Config) -> Result<Option<u64>, Diagnostic> {
    let Some(stated) = stated(config)? else { return Ok(None) };
    let (mut length, mut factor) = (stated, 1.0);
    for scaling in scalings(config)? {
        let kind = match scaling.opt_str("rope_type")? {
            Some(kind) => kind,
            None => scaling.opt_str("type")?.unwrap_or("default"),
        };
        if WITHIN.contains(&kind) || !scaling.has("factor") {
            continue;
        }
        factor = scaling.f64_or("factor", factor)?;
        if kind.contains("yarn") {
            length = scaling.opt_size("original_max_position_embeddings")?.unwrap_or(length);
        }
    }
    if !(factor > 0.0 && factor <= 65_536.0) {
        return Err(
            config.error("rope_scaling", format!("a context cannot be stretched by a factor of {factor}"))
        );
    }
    Ok(Some((length as f64 * factor) as u64))
}

/// How positions are stretched: once, or for each kind of layer.
fn scalings<'a>(config: &Config<'a>) -> Result<Vec<Config<'a>>, Diagnostic> {
    let all = match config.opt_sub("rope_parameters")? {
        Some(parameters) => Some(parameters),
        None => config.opt_sub("rope_scaling")?,
    };
    let Some(all) = all else { return Ok(Vec::new()) };
    let nested: Vec<Config> = all.keys().filter_map(|key| all.opt_sub(key).ok().flatten()).collect();
    Ok(if nested.is_empty() { vec![all] } else { nested })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, Value, json};

    fn of(value: Value) -> Option<u64> {
        let Value::Object(map) = value else { panic!("an object") };
        let map: Map<String, Value> = map;
        derived(&Config::new(&map, "test")).unwrap()
    }

    #[test]
    fn yarn_serves_its_factor_times_the_original_context() {
        // Qwen3's model cards: 32,768 × 4 = 131,072, though the file states 40,960.
        let yarn = json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768});
        assert_eq!(of(json!({"max_position_embeddings": 40960, "rope_scaling": yarn})), Some(131_072));
        // DeepSeek-V3 states what 4,096 × 40 gives.
        let yarn = json!({"type": "yarn", "factor": 40, "original_max_position_embeddings": 4096});
        assert_eq!(of(json!({"max_position_embeddings": 163840, "rope_scaling": yarn})), Some(163_840));
    }

    #[test]
    fn linear_and_dynamic_scaling_multiply_what_is_stated_and_llama_3_does_not() {
        let scaled = |kind: &str| {
            of(json!({"max_position_embeddings": 32768, "rope_scaling": {"type": kind, "factor": 2.0}}))
        };
        assert_eq!((scaled("linear"), scaled("dynamic")), (Some(65_536), Some(65_536)));
        assert_eq!((scaled("llama3"), scaled("longrope")), (Some(32_768), Some(32_768)));
    }

    #[test]
    fn parameters_may_be_given_for_each_kind_of_layer() {
        let by_layer = json!({"sliding_attention": {"rope_type": "default"},
            "full_attention": {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 8192}});
        assert_eq!(of(json!({"max_position_embeddings": 65536, "rope_parameters": by_layer})), Some(65_536));
    }

    #[test]
    fn the_smallest_name_holds_unless_the_served_length_is_named() {
        // Qwen-7B trained on 8,192 of 32,768 positions; Command R+ serves 131,072 of 8,192.
        assert_eq!(of(json!({"max_position_embeddings": 32768, "seq_length": 8192})), Some(8_192));
        assert_eq!(of(json!({"max_position_embeddings": 8192, "model_max_length": 131072})), Some(131_072));
        assert_eq!(of(json!({"hidden_size": 1})), None);
    }
}
