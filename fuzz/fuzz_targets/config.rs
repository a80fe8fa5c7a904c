//! Any text as a `config.json`: a model or an error. Seeds: `models/*.json`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shardfit::dtype::DType;
use shardfit::model::{self, Scope, config};

fuzz_target!(|text: &str| {
    let Ok(map) = config::parse(text, "fuzz") else { return };
    let Ok(model) = model::from_config(&map, "fuzz", Scope::Full) else { return };
    let count = model.parameters().expect("checked when it was built");
    assert!(count.active <= count.total);
    let _ = model.checkpoint_bytes();
    let _ = model.kv_bytes_per_token(DType::Bf16);
});
