//! Configurations that no model has: whatever a file says, reading it ends in a model or in an error.

use crate::common::odd::{exercise, oddities, small, wrapped};
use serde_json::json;
use shardfit::model::{self, FAMILIES, Scope};

#[test]
fn the_configurations_that_are_made_odd_are_models_before() {
    let types: Vec<&str> = FAMILIES.iter().flat_map(|family| family.model_types).copied().collect();
    let refused: Vec<String> = types
        .iter()
        .filter_map(|t| model::from_config(&small(t), t, Scope::Full).err().map(|e| format!("{t}: {e}")))
        .collect();
    assert!(refused.len() * 10 <= types.len(), "{} refused:\n{}", refused.len(), refused.join("\n"));
}

#[test]
fn one_odd_field_never_panics() {
    let oddities = oddities();
    for model_type in FAMILIES.iter().flat_map(|family| family.model_types) {
        for base in [small(model_type), wrapped(model_type)] {
            exercise(&base);
            for key in base.keys().filter(|key| *key != "model_type") {
                let mut without = base.clone();
                without.remove(key);
                exercise(&without);
                for value in &oddities {
                    let mut odd = base.clone();
                    odd.insert(key.clone(), value.clone());
                    exercise(&odd);
                }
            }
        }
    }
}

#[test]
fn several_odd_fields_never_panic() {
    let oddities = oddities();
    // A fixed sequence: the same fields are thrown every time.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n
    };
    for model_type in FAMILIES.iter().flat_map(|family| family.model_types) {
        let base = small(model_type);
        let keys: Vec<&String> = base.keys().filter(|key| *key != "model_type").collect();
        for _ in 0..60 {
            let mut odd = base.clone();
            for _ in 0..3 {
                odd.insert(keys[next(keys.len())].clone(), oddities[next(oddities.len())].clone());
            }
            exercise(&odd);
        }
    }
}

#[test]
fn a_fragment_is_refused_with_the_field_that_is_missing() {
    let config = json!({"model_type": "llama", "vocab_size": 32000});
    let error = model::from_config(config.as_object().unwrap(), "fragment", Scope::Full).unwrap_err();
    assert!(error.cause.contains("hidden_size"), "{error}");
}
