//! Any text as a server's `/metrics`: counters. Seeds: `tests/hostile/metrics.txt`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shardfit::observe::Counters;
use shardfit::observe::metrics;

fuzz_target!(|text: &str| {
    let counters = metrics::read(text);
    let _ = counters.since(&Counters::default()).hits();
    let _ = counters.acceptance();
});
