//! Embeds `hardware/`, `fits/`, `engines/`, `frameworks/`, `models/` and `residuals/` in the binary, YAML converted to compact JSON so that a
//! start parses in microseconds. Adding a file adds an entry; no code changes.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use serde_json::Value;

#[path = "src/catalog/variant/names.rs"]
mod names;

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let kinds = [
        ("GPUS", "hardware/gpus"),
        ("CLUSTERS", "hardware/clusters"),
        ("CLASSES", "fits/classes"),
        ("FITS", "fits/kernels"),
        ("ENGINES", "engines"),
        ("FRAMEWORKS", "frameworks"),
        ("MODELS", "models"),
        ("RESIDUALS", "residuals"),
    ];
    let mut out = String::new();
    for (constant, folder) in kinds {
        println!("cargo::rerun-if-changed={folder}");
        let mut all: Vec<Entry> = files(&root.join(folder)).iter().flat_map(|f| entries(f)).collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        let entries: String = all.iter().map(Entry::literal).collect();
        writeln!(out, "static {constant}: &[BuiltIn] = &[\n{entries}];").expect("writing to a string");
    }
    writeln!(out, "static APART: &[&str] = &{:?};", apart(&root.join("engines")))
        .expect("writing to a string");
    println!("cargo::rustc-env=SHARDFIT_BUILD={:016x}", build(&root));
    let target = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("builtin.rs");
    fs::write(target, out).expect("OUT_DIR is writable");
}

/// The keys in kernel tables of engines whose kernels no other engine has.
fn apart(engines: &Path) -> Vec<String> {
    let read = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let engine: Value = serde_yaml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let apart = engine.get("kernels_apart").and_then(Value::as_bool) == Some(true);
        apart.then(|| text_of(&engine, "kernels").unwrap_or_else(|| id(path)))
    };
    files(engines).iter().filter_map(read).collect()
}

/// A checksum of all that decides an answer: the sources, what is embedded, and the versions of the dependencies. It
/// does not depend on the machine.
fn build(root: &Path) -> u64 {
    // FNV-1a.
    let mut sum = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |bytes: &[u8]| {
        // Line ends differ between checkouts.
        for byte in bytes.iter().filter(|byte| **byte != b'\r') {
            sum = (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    for part in
        ["Cargo.lock", "fits", "flags", "frameworks", "engines", "hardware", "models", "protocols", "src"]
    {
        println!("cargo::rerun-if-changed={part}");
        for file in below(&root.join(part)) {
            let name = file.strip_prefix(root).unwrap_or(&file).to_string_lossy().replace('\\', "/");
            add(name.as_bytes());
            add(&fs::read(&file).unwrap_or_default());
        }
    }
    sum
}

/// A file, or all files below a folder, sorted.
fn below(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(path) else { return vec![path.to_owned()] };
    let mut inside: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    inside.sort();
    inside.iter().flat_map(|path| below(path)).collect()
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

/// What becomes a `BuiltIn { … }`.
struct Entry {
    id: String,
    aliases: Vec<String>,
    title: String,
    json: String,
}

impl Entry {
    fn literal(&self) -> String {
        let Entry { id, aliases, title, json } = self;
        format!("    BuiltIn {{ id: {id:?}, aliases: &{aliases:?}, title: {title:?}, json: {json:?} }},\n")
    }
}

/// The entries of a file: what it describes, and of a GPU its other boards and its slices, which share its text.
fn entries(path: &Path) -> Vec<Entry> {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let id = id(path);
    let is_model = path.extension().is_some_and(|x| x == "json");
    let value: Value = if is_model {
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    } else {
        serde_yaml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    };
    let about = if is_model { value.get("_shardfit").unwrap_or(&Value::Null) } else { &value };
    let (aliases, json) = (aliases(about), value.to_string());
    let title = text_of(about, "name").unwrap_or_else(|| id.clone());
    let mut all = Vec::new();
    for board in about.get("variants").and_then(Value::as_array).into_iter().flatten() {
        let id =
            text_of(board, "id").unwrap_or_else(|| panic!("{}: a variant without an id", path.display()));
        let title = text_of(board, "name").unwrap_or_else(|| id.clone());
        all.push(Entry { id, aliases: self::aliases(board), title, json: json.clone() });
    }
    for profile in about.get("mig").and_then(Value::as_object).into_iter().flat_map(|mig| mig.keys()) {
        let own: Vec<&str> = aliases.iter().map(String::as_str).collect();
        all.push(Entry {
            id: names::slice_id(&id, profile),
            aliases: names::slice_aliases(&own, profile),
            title: names::slice_name(&title, profile),
            json: json.clone(),
        });
    }
    all.push(Entry { id, aliases, title, json });
    all
}

fn text_of(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn aliases(about: &Value) -> Vec<String> {
    let list = about.get("aliases").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
