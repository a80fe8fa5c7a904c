//! Tables of sines and cosines for rotary positions: buffers beside the weights, as long as the contexts
//! that the configuration allows, whatever length is served.

use super::config::Config;

/// One table: `positions × width` values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotaryTable {
    /// Positions.
    pub positions: u64,
    /// Rotated elements of a head: a cosine and a sine for each pair.
    pub width: u64,
}

impl RotaryTable {
    /// Values stored.
    pub fn values(self) -> u64 {
        self.positions.saturating_mul(self.width)
    }
}

/// Names of a wrapper's language model.
const TEXT: [&str; 4] = ["text_config", "llm_config", "language_config", "thinker_config"];

/// The configuration of the language model itself.
pub fn text<'a>(root: &Config<'a>) -> Config<'a> {
    let inner = TEXT.iter().find_map(|key| root.opt_sub(key).ok().flatten());
    inner.map_or_else(|| root.clone(), |inner| text(&inner))
}

/// The tables of a configuration: one, or two where windowed layers rotate by a base of their own
/// (`rope_local_base_freq`). Engines build them from these fields (vLLM
/// `model_executor/layers/rotary_embedding/`). A configuration that says too little has none: they are
/// a buffer, and never a reason to refuse a model.
pub fn tables(root: &Config) -> Vec<RotaryTable> {
    let inner = TEXT.iter().find_map(|key| root.opt_sub(key).ok().flatten());
    if let Some(inner) = inner {
        return tables(&inner);
    }
    let rotary = ["rope_theta", "rope_scaling", "rope_parameters", "rope_local_base_freq", "rotary_dim"];
    let size = |key: &str| root.opt_size(key).ok().flatten();
    let Some(positions) = size("max_position_embeddings").filter(|_| rotary.iter().any(|k| root.has(k)))
    else {
        return Vec::new();
    };
    let sub = |key: &str| root.opt_sub(key).ok().flatten();
    let parameters = sub("rope_scaling").or_else(|| sub("rope_parameters"));
    let by_layer = parameters.as_ref().and_then(|p| p.opt_sub("full_attention").ok().flatten());
    let local = root.has("rope_local_base_freq") || by_layer.is_some();
    let scaling = by_layer.or(parameters);
    let Some(width) = width(root, scaling.as_ref()) else { return Vec::new() };
    let mut tables = vec![RotaryTable { positions: scaled(positions, scaling.as_ref()), width }];
    if local {
        tables.push(RotaryTable { positions, width });
    }
    tables
}

/// Rotated elements of a head.
fn width(config: &Config, scaling: Option<&Config>) -> Option<u64> {
    let size = |key: &str| config.opt_size(key).ok().flatten();
    if let Some(width) = size("qk_rope_head_dim").or_else(|| size("rotary_dim")) {
        return Some(width);
    }
    let head = size("head_dim").or_else(|| Some(size("hidden_size")? / size("num_attention_heads")?))?;
    let share = |c: &Config| c.f64_or("partial_rotary_factor", 1.0).ok();
    let share = scaling.filter(|s| s.has("partial_rotary_factor")).map_or_else(|| share(config), share)?;
    Some((head as f64 * share) as u64)
}

/// Length of a table under a way of stretching the context.
fn scaled(positions: u64, scaling: Option<&Config>) -> u64 {
    let Some(scaling) = scaling else { return positions };
    let text = |key: &str| scaling.opt_str(key).ok().flatten();
    let factor = scaling.f64_or("factor", 1.0).unwrap_or(1.0).clamp(1.0, 1024.0);
    let original = scaling.opt_size("original_max_position_embeddings").ok().flatten().unwrap_or(positions);
    let times = |n: u64| (n as f64 * factor) as u64;
    match text("rope_type").or_else(|| text("type")).unwrap_or("default") {
        "linear" | "dynamic" => times(positions),
        "yarn" | "deepseek_yarn" => times(original),
        // Two tables end to end: for short contexts and for long ones.
        "longrope" | "su" => positions.saturating_add(original),
        // Positions of images may run ahead: four times the length.
        _ if scaling.has("mrope_section") => positions.saturating_mul(4),
        _ => positions,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, Value, json};

    fn of(value: Value) -> Vec<RotaryTable> {
        let Value::Object(map) = value else { return Vec::new() };
        let map: Map<String, Value> = map;
        tables(&Config::new(&map, "test"))
    }

    #[test]
    fn llama_3_has_one_table_of_its_full_context() {
        let found =
            of(json!({"max_position_embeddings": 131072, "hidden_size": 4096, "num_attention_heads": 32,
            "rope_theta": 5e5, "rope_scaling": {"rope_type": "llama3", "factor": 8.0}}));
        assert_eq!(found, [RotaryTable { positions: 131_072, width: 128 }]);
    }

    #[test]
    fn gemma_3_stretches_the_table_of_its_global_layers_eightfold() {
        let found = of(json!({"text_config": {"max_position_embeddings": 131072, "head_dim": 256,
            "rope_theta": 1e6, "rope_local_base_freq": 1e4, "rope_scaling": {"rope_type": "linear", "factor": 8.0}}}));
        let values: Vec<u64> = found.iter().map(|t| t.values()).collect();
        // 0.5625 GiB in 16 bits, which is what Gemma 3's logs show beside its parameters.
        assert_eq!(values, [1_048_576 * 256, 131_072 * 256]);
    }

    #[test]
    fn learned_positions_need_no_table() {
        assert!(
            of(json!({"max_position_embeddings": 2048, "hidden_size": 64, "num_attention_heads": 1}))
                .is_empty()
        );
    }
}
