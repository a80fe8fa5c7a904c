//! The tests in one binary, a module for each subject: linking the library once is most of what they take to build.
//! What counts allocations stands beside this folder, in a process of its own.

mod answers;
mod any;
mod ask;
mod benchmark_results;
mod breakdown;
mod calibrate;
mod calibrate_engine;
mod catalog;
mod catalogue_models;
mod check;
mod checkpoint_kinds;
mod cli_catalog;
mod cli_compared;
mod cli_energy;
mod cli_estimate;
mod cli_formats;
mod cli_help;
mod cli_inspect;
mod cli_plan;
mod cli_search;
mod cli_simulate;
mod cli_size;
mod cli_sweep;
mod common;
mod confidence;
mod decode_context;
mod detection;
mod determinism;
mod embedding;
mod energy;
mod errors;
mod exact_counts;
mod family_counts;
mod fit;
mod gguf;
#[cfg(feature = "fetch")]
mod hub;
mod labels;
mod launch_commands;
mod launch_reading;
mod launch_scripts;
mod launches;
mod laws;
mod layering;
mod llama_cpp;
mod malformed_configs;
mod mcp;
#[cfg(feature = "parquet")]
mod measured;
mod media;
mod memory_logs;
mod microbenchmark;
mod names_as_typed;
#[cfg(feature = "fetch")]
mod observe;
mod own_catalog;
mod pools;
mod product;
mod properties;
mod published_models;
mod reading_models;
mod readme;
mod reported_configs;
mod request;
mod scenarios;
#[cfg(feature = "web")]
mod serve;
mod sessions;
mod shapes;
mod simulation;
mod split_pools;
mod stage_layers;
mod starts;
mod sweep_runs;
mod training;
mod unlike;
mod unread;
mod verification;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Binaries beside this one: each sets the allocator of its process.
const ALONE: [&str; 2] = ["allocations", "mutations"];

/// The files and folders of a folder that can hold tests, by the name of their module.
fn modules(folder: &Path) -> BTreeMap<String, bool> {
    let entries =
        fs::read_dir(folder).expect("a readable folder").map(|entry| entry.expect("an entry").path());
    let named = entries.filter_map(|path| {
        let nested = path.join("mod.rs").exists();
        let rust = nested || path.extension().is_some_and(|extension| extension == "rs");
        rust.then(|| (path.file_stem().expect("a name").to_string_lossy().into_owned(), nested))
    });
    named.filter(|(name, _)| !matches!(name.as_str(), "main" | "mod")).collect()
}

/// Modules that stand in a folder and that its root, `main.rs` or `mod.rs`, does not declare.
fn forgotten(folder: &Path, root: &str) -> Vec<String> {
    let declared = fs::read_to_string(folder.join(root)).expect("a readable root");
    let is_declared =
        |name: &str| declared.lines().any(|line| line.trim_start_matches("pub ") == format!("mod {name};"));
    let mut missing = Vec::new();
    for (name, nested) in modules(folder) {
        if !is_declared(&name) {
            missing.push(folder.join(&name).display().to_string());
        }
        if nested {
            missing.extend(forgotten(&folder.join(name), "mod.rs"));
        }
    }
    missing
}

#[test]
fn every_file_of_tests_is_compiled() {
    let missing = forgotten(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it"), "main.rs");
    assert!(missing.is_empty(), "no `mod` line: {missing:?}");
}

#[test]
fn binaries_stand_alone_for_a_reason() {
    let beside = modules(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"));
    assert_eq!(
        beside.into_keys().collect::<Vec<_>>(),
        ALONE,
        "each file of tests/ is a binary that links the library again: move it to tests/it"
    );
}
