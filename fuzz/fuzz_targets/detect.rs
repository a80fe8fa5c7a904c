//! Any text as what a machine's tools say: its hardware. Seeds: `tests/data/machines/*`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shardfit::detect::{Machine, Outputs};

fuzz_target!(|text: &str| {
    let _ = Machine::read(&Outputs::of_text(text));
});
