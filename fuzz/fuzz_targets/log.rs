//! Any text as the start-up log of a server: what it says. Seeds: `tests/data/logs/*`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shardfit::validate::memory::StartLog;

fuzz_target!(|text: &str| {
    let _ = StartLog::read(text).measures();
});
