//! Any text as a message of the Model Context Protocol that calls no tool: a reply or none. Seeds:
//! `tests/hostile/mcp.jsonl`.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use shardfit::catalog::Catalog;
use shardfit::mcp;

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| Catalog::default().sealed());

fuzz_target!(|text: &str| {
    // What tools answer is the target `answer`.
    if !text.contains("tools/call") {
        let _ = mcp::answer(text, &CATALOG);
    }
});
