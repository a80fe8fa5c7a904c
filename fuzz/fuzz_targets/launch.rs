//! Any text as a launch of servers: what it starts and what is wrong with it, or an error. Seeds: commands, scripts and
//! manifests as `--emit` writes them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shardfit::{check, launch};

fuzz_target!(|text: &str| {
    let _ = launch::invocations(text, &|_| None);
    if text.contains(char::is_whitespace) {
        // One word might name a file.
        let _ = check::launch(text);
    }
});
