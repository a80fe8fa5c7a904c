//! Names are labels: what an operator or a weight is for is said by the types of its node, so that no name decides
//! anything outside the files that give it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use shardfit::catalog::{self, Kind};
use shardfit::dtype::{DType, WeightFormat};
use shardfit::model::blocks::RankView;
use shardfit::model::node::Node;
use shardfit::model::{self, Component, FAMILIES, Formats, Model, RankGroups, Scope};

/// Rooms of `src` in which something follows from operators and weights.
const ROOMS: [&str; 7] = ["estimate", "train", "plan", "simulate", "search", "rank", "model"];

/// Files of these that own names: blocks and their nodes give them, families those of weights that they alone have; the
/// others read names that checkpoints give.
const OWNERS: [&str; 7] = [
    "model/blocks/",
    "model/node",
    "model/families/",
    "model/quantisation/",
    "model/gguf/",
    "model/verify/",
    "model/shape.rs",
];

fn models() -> impl Iterator<Item = Model> {
    let found =
        catalog::entries(Kind::Model).iter().map(|entry| model::find(entry.id, &[], Scope::Full).unwrap());
    let types = FAMILIES.iter().flat_map(|family| family.model_types);
    let usual = types.filter_map(|model_type| {
        let mut config = model::class_defaults(model_type)?.clone();
        config.insert("model_type".into(), (*model_type).into());
        model::from_config(&config, model_type, Scope::Text).ok()
    });
    found.chain(usual)
}

/// Every label of the models that are known: of operators, of their parts, of weights and their modules.
fn labels() -> BTreeSet<String> {
    // All exchanges take place.
    let groups = RankGroups { tensor: 4, attention_data: 2, expert: 2, expert_tensor: 4, context: 2 };
    let views = [groups, RankGroups { attention_data: 1, ..groups }].map(|groups| RankView {
        groups,
        formats: Formats::uniform(WeightFormat::Bf16),
        kv: DType::Bf16,
    });
    let mut found = BTreeSet::new();
    for model in models() {
        for block in model.before.iter().chain(model.layer_blocks()).chain(&model.after) {
            let (mut operators, mut tensors) = (Vec::new(), Vec::new());
            block.nodes(&mut |node| {
                views.iter().for_each(|view| node.operators(view, &mut operators));
                node.tensors(&mut tensors);
                match &node {
                    Node::Linear(product) => {
                        found.extend(product.parts.iter().filter_map(|part| part.label).map(str::to_owned));
                    }
                    Node::Pointwise(small) => {
                        found.insert(small.shown.to_owned());
                    }
                    _ => {}
                }
            });
            found.extend(operators.iter().map(|operator| operator.name.to_owned()));
            for tensor in tensors {
                let module = tensor.name.trim_end_matches(".weight").trim_end_matches(".bias");
                let last = module.rsplit('.').next().unwrap_or(module);
                // A module such as `linear` or `1` is a word, and says nothing of a weight.
                let names = [tensor.name.as_ref(), module, last];
                found.extend(names.into_iter().filter(|name| name.contains(['_', '.'])).map(str::to_owned));
            }
        }
    }
    // Components have names of their own, which are keys of what is printed.
    Component::ALL.iter().for_each(|component| {
        found.remove(component.name());
    });
    found
}

/// Literals of a file's code, without comments and unit tests.
fn literals(text: &str) -> Vec<String> {
    let body = text.split("#[cfg(test)]").next().unwrap_or_default();
    let code: Vec<&str> = body.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    code.join("\n").split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

fn walk(folder: &Path, root: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
        if path.is_dir() {
            walk(&path, root, found);
        } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn no_name_of_an_operator_or_weight_decides_anything_outside_of_its_owner() {
    let labels = labels();
    for known in
        ["qkv_proj", "self_attn.o_proj.weight", "state_update", "experts_all_reduce", "shared_up_proj"]
    {
        assert!(labels.contains(known), "{known}");
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&source, &source, &mut files);
    let mut named = Vec::new();
    for (file, text) in &files {
        let room = file.split('/').next().unwrap_or_default().trim_end_matches(".rs");
        if ROOMS.contains(&room) && !OWNERS.iter().any(|owner| file.starts_with(owner)) {
            let found = literals(text).into_iter().filter(|literal| labels.contains(literal));
            named.extend(found.map(|literal| format!("{file}: {literal}")));
        }
    }
    assert!(named.is_empty(), "{} names outside of their owners:\n{}", named.len(), named.join("\n"));
}
