//! Any bytes as the journal of a sweep: its groups, or an error.
#![no_main]

mod on_disk;

use libfuzzer_sys::fuzz_target;
use shardfit::scenario::Reader;

fuzz_target!(|data: &[u8]| {
    let Ok(mut journal) = Reader::open(&on_disk::file("journal", data)) else { return };
    let _ = journal.missing();
    for group in journal.groups().into_iter().take(64) {
        let _ = journal.group(group);
    }
});
