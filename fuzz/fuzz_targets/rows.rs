//! Any text as measured rows: a table, what cannot be read of it, and the request that each row makes. Seeds:
//! `tests/hostile/servers.csv`, `tests/hostile/training.csv`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shardfit::validate::{Kind, Table, unreadable};

fuzz_target!(|text: &str| {
    let Ok(table) = Table::parse(text, "fuzz.csv") else { return };
    for number in 0..table.len().min(64) {
        let row = table.row(number);
        for kind in [Kind::Params, Kind::Kernels, Kind::Memory, Kind::Serving, Kind::Training] {
            let _ = unreadable(&row, kind);
        }
        let _ = row.options();
        let _ = row.kv();
    }
});
