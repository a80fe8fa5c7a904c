//! Embeds `hardware/`, `engines/`, `frameworks/` and `models/` in the binary, YAML converted to compact JSON so that a
//! start parses in microseconds. Adding a file adds an entry; no code changes.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use serde_json::Value;

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let kinds = [
        ("GPUS", "hardware/gpus"),
        ("CLUSTERS", "hardware/clusters"),
        ("CLASSES", "hardware/classes"),
        ("ENGINES", "engines"),
        ("FRAMEWORKS", "frameworks"),
        ("MODELS", "models"),
    ];
    let mut out = String::new();
    for (constant, folder) in kinds {
        println!("cargo::rerun-if-changed={folder}");
        let entries: String = files(&root.join(folder)).iter().map(|f| entry(f)).collect();
        writeln!(out, "static {constant}: &[BuiltIn] = &[\n{entries}];").expect("writing to a string");
    }
    let target = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("builtin.rs");
    fs::write(target, out).expect("OUT_DIR is writable");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|e| e.expect("readable folder").path())
        .filter(|p| p.extension().is_some_and(|x| x == "yaml" || x == "json"))
        .collect();
    found.sort_by_key(|path| id(path));
    found
}

/// The file's stem, with `--` for `/` in model names.
fn id(path: &Path) -> String {
    path.file_stem().and_then(|s| s.to_str()).expect("UTF-8 file name").replacen("--", "/", 1)
}

/// One `BuiltIn { … }` literal.
fn entry(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let id = id(path);
    let is_model = path.extension().is_some_and(|x| x == "json");
    let value: Value = if is_model {
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    } else {
        serde_yaml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    };
    let about = if is_model { value.get("_shardfit").unwrap_or(&Value::Null) } else { &value };
    let aliases: Vec<&str> = about
        .get("aliases")
        .and_then(Value::as_array)
        .map(|a| a.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let title = about.get("name").and_then(Value::as_str).unwrap_or(&id);
    format!(
        "    BuiltIn {{ id: {id:?}, aliases: &{aliases:?}, title: {title:?}, json: {:?} }},\n",
        value.to_string()
    )
}
