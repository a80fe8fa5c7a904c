//! Any text as a request of a command: an answer or an error. The first byte picks the command. Seeds: the examples of
//! `schemas/`, each behind one byte.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use shardfit::ask;
use shardfit::catalog::Catalog;

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| Catalog::default().sealed());

fuzz_target!(|data: &[u8]| {
    let Some((command, text)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let command = match command % 4 {
        0 => "estimate",
        1 => "inspect",
        2 => "budget",
        _ => "emit",
    };
    // Without the network, and without the machine at hand, which has no bounds of ours.
    let Ok(Value::Object(mut map)) = serde_json::from_str(text) else {
        let _ = ask::answer(command, text, &CATALOG);
        return;
    };
    if map.values().any(|value| value.as_str().is_some_and(|word| word.contains("local") || word.contains("k8s"))) {
        return;
    }
    map.insert("offline".to_owned(), Value::Bool(true));
    let _ = ask::answer(command, &Value::Object(map).to_string(), &CATALOG);
});
