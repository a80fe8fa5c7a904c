//! The direction of dependencies, read from the source: arrows go one way, and third-party names stay
//! at the edge.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Modules in the order of DESIGN: a module may use those of earlier ranks and, within one rank, those
/// that stand before it. Models are looked up in the catalogue, so `model` stands after `catalog`.
const ORDER: &[&[&str]] = &[
    &["units", "powers", "diagnostic", "dtype"],
    &["load"],
    &["hub", "checkpoint"],
    &["catalog", "model", "workload", "budget"],
    &["plan"],
    &["estimate"],
    &["simulate", "rank"],
    &["search"],
    &["train"],
    &["scenario", "check", "validate", "calibrate"],
    &["report"],
    &["cli"],
];

/// Which files may name a third-party crate.
const EDGES: &[(&str, &[&str])] = &[
    ("rayon", &["search/"]),
    ("clap", &["cli/"]),
    ("ctrlc", &["cli/stop.rs"]),
    ("clap_complete", &["cli/completions.rs"]),
    ("clap_mangen", &["cli/man.rs"]),
    ("indicatif", &["cli/"]),
    ("anstream", &["cli/"]),
    ("serde_yaml", &["load.rs"]),
    ("comfy_table", &["report/", "cli/output.rs"]),
    ("strsim", &["diagnostic.rs"]),
    ("tempfile", &["load.rs", "load/stream.rs"]),
    ("twox_hash", &["load/records.rs"]),
    ("etcetera", &["catalog/usual.rs"]),
    ("parquet", &["catalog/measured/columns.rs", "report/sweep/columnar.rs"]),
    ("ureq", &["hub/http.rs"]),
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every source file by its path below `src`, files of unit tests left out.
fn files() -> BTreeMap<String, String> {
    fn walk(folder: &Path, root: &Path, out: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, root, out);
            } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
                out.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut out = BTreeMap::new();
    walk(&source(), &source(), &mut out);
    out
}

/// The code of a file: without comments, and without the unit tests at its end, which may use anything.
fn code(text: &str) -> String {
    let body = text.split("#[cfg(test)]").next().unwrap_or_default();
    body.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The module at the top of `src` that a file belongs to; `None` for the crate's roots.
fn module(file: &str) -> Option<&str> {
    let top = file.split('/').next()?.trim_end_matches(".rs");
    (!matches!(top, "lib" | "main")).then_some(top)
}

/// The modules that `crate::` paths name, groups in braces included.
fn used(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        // `$crate::` and `other_crate::` are not this crate's root.
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = code[at + "crate::".len()..].trim_start();
        match rest.strip_prefix('{') {
            None => found.extend(identifier(rest)),
            Some(group) => top_level(group).iter().for_each(|item| found.extend(identifier(item.trim()))),
        }
    }
    found
}

fn identifier(text: &str) -> Option<String> {
    let name: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}

/// The items of a brace group, nested braces kept together.
fn top_level(group: &str) -> Vec<String> {
    let (mut items, mut depth) = (vec![String::new()], 0);
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => items.push(String::new()),
            _ => {
                depth += i32::from(c == '{') - i32::from(c == '}');
                items.last_mut().expect("starts with one").push(c);
            }
        }
    }
    items
}

/// Rank, then place within the rank.
fn place(module: &str) -> Option<(usize, usize)> {
    ORDER.iter().enumerate().find_map(|(rank, row)| Some((rank, row.iter().position(|m| *m == module)?)))
}

#[test]
fn every_module_has_its_place_in_the_order() {
    let unplaced: BTreeSet<_> =
        files().keys().filter_map(|f| module(f)).filter(|m| place(m).is_none()).map(str::to_owned).collect();
    assert!(unplaced.is_empty(), "add to ORDER: {unplaced:?}");
}

#[test]
fn no_arrow_goes_back() {
    let mut back = Vec::new();
    for (file, text) in &files() {
        let Some(from) = module(file) else { continue };
        for to in used(&code(text)) {
            let goes_back = match (place(from), place(&to)) {
                (Some(a), Some(b)) => b > a,
                _ => false,
            };
            if goes_back {
                back.push(format!("src/{file}: {from} uses {to}"));
            }
        }
    }
    assert!(back.is_empty(), "{}", back.join("\n"));
}

#[test]
fn third_party_names_stay_at_the_edge() {
    let mut strays = Vec::new();
    for (file, text) in &files() {
        let code = code(text);
        for (name, allowed) in EDGES {
            let named = code.match_indices(name).any(|(at, _)| {
                let before = code[..at].chars().next_back().unwrap_or(' ');
                let path = code[at + name.len()..].starts_with("::");
                path && !(before.is_alphanumeric() || before == '_')
            });
            if named && !allowed.iter().any(|place| file.starts_with(place)) {
                strays.push(format!("src/{file} names {name}"));
            }
        }
    }
    assert!(strays.is_empty(), "{}", strays.join("\n"));
}

#[test]
fn estimates_are_pure() {
    for (file, text) in files().iter().filter(|(file, _)| file.starts_with("estimate/")) {
        for word in ["std::fs", "std::io", "std::time", "std::env", "println!", "Instant", "rand::"] {
            assert!(!code(text).contains(word), "src/{file} names {word}");
        }
    }
}

#[test]
fn nothing_unwraps_outside_tests() {
    for (file, text) in &files() {
        assert!(!code(text).contains(".unwrap()"), "src/{file}");
    }
}

#[test]
fn paths_are_read_out_of_groups_and_out_of_code() {
    let text =
        "use crate::{units::Seconds, plan::{self, Plan}};\nlet x = crate::model::find(y); // crate::cli";
    assert_eq!(used(&code(text)).into_iter().collect::<Vec<_>>(), ["model", "plan", "units"]);
}
