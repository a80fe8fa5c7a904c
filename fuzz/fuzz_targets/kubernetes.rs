//! Any text as the nodes of a Kubernetes cluster: nodes or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shardfit::detect::kubernetes;

fuzz_target!(|text: &str| {
    let _ = kubernetes::read(text, "fuzz");
});
