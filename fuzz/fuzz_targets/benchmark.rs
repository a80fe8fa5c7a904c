//! Any text as the result of a benchmark: rows or an error. The first byte picks JSON or JSON lines. Seeds:
//! `tests/data/results/*`.
#![no_main]

mod on_disk;

use libfuzzer_sys::fuzz_target;
use shardfit::validate::{Server, read_results};

fuzz_target!(|data: &[u8]| {
    let Some((form, text)) = data.split_first() else { return };
    let path = on_disk::file(if form % 2 == 0 { "fuzz.json" } else { "fuzz.jsonl" }, text);
    let server = Server {
        model: Some("llama-3.1-8b".to_owned()),
        gpu: Some("h100-sxm".to_owned()),
        ..Server::default()
    };
    let _ = read_results(&path, &server);
});
