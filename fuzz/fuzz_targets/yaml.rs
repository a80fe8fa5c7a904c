//! Any text as a description of each kind: a value or an error. The first byte picks the kind. Seeds:
//! `hardware/*/*.yaml`, `engines/*.yaml`, `scenarios/*.yaml`, each behind one byte.
#![no_main]

mod on_disk;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use shardfit::catalog::Catalog;
use shardfit::scenario;

static CATALOG: LazyLock<Catalog> = LazyLock::new(Catalog::default);

fuzz_target!(|data: &[u8]| {
    let Some((kind, text)) = data.split_first() else { return };
    let path = on_disk::file("fuzz.yaml", text);
    let name = path.display().to_string();
    match kind % 4 {
        0 => drop(CATALOG.gpu(&name)),
        1 => drop(CATALOG.pools(&name)),
        2 => drop(CATALOG.engine(&name)),
        _ => drop(scenario::read(&path, &CATALOG)),
    }
});
