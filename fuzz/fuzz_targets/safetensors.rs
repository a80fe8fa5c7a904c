//! Any bytes as a safetensors file: tensors or an error, and a comparison with a model.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use shardfit::checkpoint::{Weights, safetensors_header};
use shardfit::model::{self, Model, Scope, verify};

static MODEL: OnceLock<Model> = OnceLock::new();

fuzz_target!(|data: &[u8]| {
    let Ok(tensors) = safetensors_header(data, "fuzz") else { return };
    let model = MODEL.get_or_init(|| model::find("qwen3-30b-a3b", &[], Scope::Full).expect("built in"));
    let _ = verify::verify(model, &Weights { tensors, files: 1 });
});
