//! Any text as a trace of requests, CSV or JSON lines: arrivals in order, or an error. The first byte picks the form.
//! Seeds: `tests/hostile/trace.jsonl`.
#![no_main]

mod on_disk;

use libfuzzer_sys::fuzz_target;
use shardfit::simulate::{Arrivals as _, Trace};

fuzz_target!(|data: &[u8]| {
    let Some((form, text)) = data.split_first() else { return };
    let name = if form % 2 == 0 { "fuzz.csv" } else { "fuzz.jsonl" };
    let Ok(mut trace) = Trace::open(&on_disk::file(name, text), 1.0, 10_000) else { return };
    while let Ok(Some(_)) = trace.next() {}
});
