//! What configuration classes assume for fields that a file leaves out, by `model_type`.
//!
//! `defaults.json` holds the defaults of the Transformers configuration classes (5.24), reduced to the
//! fields that some family reads. Sizes that every complete file states are kept only for towers and
//! nested text models, whose files may be a handful of lines (Gemma 3).

use std::sync::OnceLock;

use serde_json::{Map, Value};

/// The table: an object of objects.
static TABLE: &str = include_str!("defaults.json");

/// The defaults of one `model_type`, if its class is known.
pub fn defaults(model_type: &str) -> Option<&'static Map<String, Value>> {
    static PARSED: OnceLock<Map<String, Value>> = OnceLock::new();
    let table = PARSED.get_or_init(|| serde_json::from_str(TABLE).expect("a test parses it"));
    table.get(model_type).and_then(Value::as_object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_an_object_of_plain_fields() {
        let table: Map<String, Value> = serde_json::from_str(TABLE).unwrap();
        for (model_type, fields) in &table {
            let fields = fields.as_object().unwrap_or_else(|| panic!("{model_type}"));
            assert!(fields.values().all(|v| !v.is_object()), "{model_type}");
        }
    }
}
