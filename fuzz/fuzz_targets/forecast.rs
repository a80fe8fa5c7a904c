//! Any text as the traffic of the months to come: months or an error.
#![no_main]

mod on_disk;

use libfuzzer_sys::fuzz_target;
use shardfit::workload::forecast;

fuzz_target!(|data: &[u8]| {
    let _ = forecast::read(&on_disk::file("fuzz.csv", data));
});
