//! Any text as a name of hardware, an engine or a model: what it stands for, or an error with the nearest one.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use shardfit::catalog::Catalog;
use shardfit::model::{self, Scope};

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| Catalog::default().sealed());

fuzz_target!(|text: &str| {
    // A path would read this machine's files.
    if text.contains(['/', '\\', '.']) || text == "local" || text.contains("k8s") {
        return;
    }
    let _ = CATALOG.pools(text);
    let _ = CATALOG.engine(text);
    let _ = model::find_in(&CATALOG, text, Scope::Full);
});
