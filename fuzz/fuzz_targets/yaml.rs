//! Any text as a description of each kind: a value or an error. The first byte picks the kind. Seeds:
//! `hardware/*/*.yaml`, `engines/*.yaml`, `scenarios/*.yaml`, each behind one byte.
#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use shardfit::{catalog, scenario};

fuzz_target!(|data: &[u8]| {
    let Some((kind, text)) = data.split_first() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("fuzz.yaml");
    fs::write(&path, text).expect("written");
    let name = path.display().to_string();
    match kind % 4 {
        0 => drop(catalog::gpu(&name)),
        1 => drop(catalog::cluster(&name)),
        2 => drop(catalog::engine(&name)),
        _ => drop(scenario::read(&path)),
    }
});
