//! Any bytes as a GGUF file: a model or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shardfit::checkpoint::gguf;
use shardfit::model::{self, Scope};

fuzz_target!(|data: &[u8]| {
    let Ok(file) = gguf::read(data, "fuzz", Some(data.len() as u64)) else { return };
    if let Ok(model) = model::from_gguf(&file, "fuzz", Scope::Full) {
        let _ = model.checkpoint_bytes();
    }
});
