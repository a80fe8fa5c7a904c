//! The direction of dependencies, read from the source: arrows go one way between rooms, files of a room stand in no
//! circle, and third-party names stay at the edge.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

/// Modules in the order of DESIGN: a module may use those of earlier ranks and, within one rank, those
/// that stand before it. Models are looked up in the catalogue, so `model` stands after `catalog`.
const ORDER: &[&[&str]] = &[
    &["units", "powers", "diagnostic", "stop", "dtype"],
    &["load"],
    &["hub", "checkpoint", "detect"],
    &["catalog", "model", "workload", "budget"],
    &["plan"],
    &["estimate"],
    &["simulate", "rank"],
    &["search"],
    &["fit"],
    &["launch"],
    &["train", "request"],
    &["scenario", "check", "validate", "observe", "calibrate"],
    &["report"],
    &["ask"],
    &["mcp", "serve"],
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
    ("parquet", &["catalog/measured/decode.rs", "report/sweep/columnar.rs"]),
    ("ureq", &["hub/http.rs", "observe/http.rs"]),
    ("axum", &["serve/"]),
    ("hyper", &["serve/"]),
    ("hyper_util", &["serve/"]),
    ("tokio", &["serve/"]),
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

/// A file as a module: its path below the crate's root, and its code without comments and unit tests.
#[derive(Debug)]
struct Source {
    module: Vec<String>,
    code: String,
}

/// Every file by the path of its module.
fn sources() -> BTreeMap<Vec<String>, Source> {
    let read = |(file, text): (String, String)| {
        let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
        let module: Vec<String> = path.split('/').map(str::to_owned).collect();
        let code = Regex::new(r"pub\(in [^)]*\)").unwrap().replace_all(&code(&text), "pub").into_owned();
        (module.clone(), Source { module, code })
    };
    files().into_iter().filter(|(file, _)| module(file).is_some()).map(read).collect()
}

/// One name that a file takes from elsewhere.
#[derive(Debug)]
struct Taken {
    /// Whether the file hands it on by `pub use`.
    handed_on: bool,
    path: String,
}

fn declarations() -> Regex {
    Regex::new(r"(?m)^ *(?:pub(?:\([^)]*\))? +)?mod +[a-z_0-9]+;").unwrap()
}

fn imports() -> Regex {
    Regex::new(r"(?m)^ *(pub(?:\([^)]*\))? +)?use +([^;]+);").unwrap()
}

/// The code without what it imports and declares.
fn body(code: &str) -> String {
    declarations().replace_all(&imports().replace_all(code, ""), "").into_owned()
}

/// The paths that a tree of imports in braces stands for.
fn expanded(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((before, group)) = tree.split_once('{') else {
        return vec![tree.split(" as ").next().unwrap_or_default().split_whitespace().collect()];
    };
    let items = top_level(group).into_iter().filter(|item| !item.trim().is_empty());
    items.flat_map(|item| expanded(&format!("{before}{}", item.trim()))).collect()
}

/// What a file takes: its imports, and paths inside its code that begin at the root, at a parent or at a child.
fn taken(source: &Source, modules: &BTreeMap<Vec<String>, Source>) -> Vec<Taken> {
    let mut found = Vec::new();
    for import in imports().captures_iter(&source.code) {
        let handed_on = import.get(1).is_some();
        found.extend(expanded(&import[2]).into_iter().map(|path| Taken { handed_on, path }));
    }
    let depth = source.module.len();
    let children = modules.keys().filter(|m| m.len() == depth + 1 && m.starts_with(&source.module));
    let roots = ["crate", "super", "self"].into_iter().chain(children.map(|child| child[depth].as_str()));
    let inline = Regex::new(&format!(
        r"(?:^|[^a-zA-Z0-9_:$.])((?:{})(?:::[a-zA-Z0-9_]+)+)",
        roots.collect::<Vec<_>>().join("|")
    ));
    for path in inline.unwrap().captures_iter(&body(&source.code)) {
        found.push(Taken { handed_on: false, path: path[1].to_owned() });
    }
    found
}

/// The module that a path leads to, and the name that is taken from it.
fn resolved(
    path: &str,
    from: &[String],
    modules: &BTreeMap<Vec<String>, Source>,
) -> Option<(Vec<String>, Option<String>)> {
    let mut segments = path.split("::").map(str::trim).peekable();
    let mut at = match *segments.peek()? {
        "crate" => Vec::new(),
        "self" | "super" => from.to_vec(),
        child if modules.contains_key(&[from, &[child.to_owned()]].concat()) => from.to_vec(),
        _ => return None,
    };
    if matches!(segments.peek(), Some(&"crate" | &"self")) {
        segments.next();
    }
    while segments.next_if_eq(&"super").is_some() {
        at.pop();
    }
    while let Some(next) = segments.peek() {
        let below = [at.as_slice(), &[(*next).to_owned()]].concat();
        if !modules.contains_key(&below) {
            break;
        }
        at = below;
        segments.next();
    }
    Some((at, segments.next().map(str::to_owned)))
}

/// Which file of a room uses which: an arrow leads to the file that owns a name, past those that hand it on.
fn arrows() -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
    let modules = sources();
    let mut handed_on = BTreeMap::new();
    for source in modules.values() {
        for one in taken(source, &modules).into_iter().filter(|one| one.handed_on) {
            if let Some((owner, Some(name))) = resolved(&one.path, &source.module, &modules) {
                handed_on.insert((source.module.clone(), name), owner);
            }
        }
    }
    let mut arrows: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for source in modules.values() {
        let body = body(&source.code);
        for one in taken(source, &modules) {
            let Some((mut owner, name)) = resolved(&one.path, &source.module, &modules) else { continue };
            let last = one.path.rsplit("::").next().unwrap_or_default();
            let idle = || {
                !Regex::new(&format!(r"(?:^|[^a-zA-Z0-9_.]){last}(?:$|[^a-zA-Z0-9_])"))
                    .unwrap()
                    .is_match(&body)
            };
            // A name that is only handed on is a signpost.
            if one.handed_on && owner.starts_with(&source.module) && idle() {
                continue;
            }
            if let Some(name) = name {
                let mut seen = BTreeSet::new();
                while let Some(next) = handed_on.get(&(owner.clone(), name.clone())) {
                    if !seen.insert(std::mem::replace(&mut owner, next.clone())) {
                        break;
                    }
                }
            }
            if owner != source.module && owner.first() == source.module.first() {
                arrows.entry(source.module.clone()).or_default().insert(owner);
            }
        }
    }
    arrows
}

/// Files that lead back to themselves, together with all on the way.
fn circles() -> Vec<Vec<String>> {
    let arrows = arrows();
    let reached = |from: &Vec<String>| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(at) = open.pop() {
            open.extend(arrows.get(at).into_iter().flatten().filter(|next| seen.insert((*next).clone())));
        }
        seen
    };
    let reach: BTreeMap<_, _> = arrows.keys().map(|from| (from, reached(from))).collect();
    let both = |a: &Vec<String>, b: &Vec<String>| {
        reach[a].contains(b) && reach.get(b).is_some_and(|back| back.contains(a))
    };
    let mut circles = BTreeSet::new();
    for (from, to) in &reach {
        if to.contains(*from) {
            circles.insert(to.iter().filter(|other| both(from, other)).map(|m| m.join("/")).collect());
        }
    }
    circles.into_iter().collect()
}

#[test]
fn no_circle_of_files_stands_in_a_room() {
    let circles = circles();
    assert!(circles.is_empty(), "move what both sides need to a file of its own: {circles:#?}");
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
