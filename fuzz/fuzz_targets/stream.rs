//! Any bytes as the body of a streamed completion: tokens and their times, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shardfit::observe::stream;

fuzz_target!(|data: &[u8]| {
    let _ = stream::read(data, || 0.0);
});
