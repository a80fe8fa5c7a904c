//! Any bytes as the index of a checkpoint's files: tensors or an error.
#![no_main]

mod on_disk;

use libfuzzer_sys::fuzz_target;
use shardfit::checkpoint;

fuzz_target!(|data: &[u8]| {
    let path = on_disk::file("model.safetensors.index.json", data);
    let _ = checkpoint::local(path.parent().expect("a folder"));
});
