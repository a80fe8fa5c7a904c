//! `shardfit check`, and the schemas that editors and it read.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::common::shardfit;
use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Kind, folder and the way from there to the schemas.
const SHIPPED: [(&str, &str, &str); 7] = [
    ("gpu", "hardware/gpus", "../../schemas/gpu.json"),
    ("cluster", "hardware/clusters", "../../schemas/cluster.json"),
    ("class", "fits/classes", "../../schemas/class.json"),
    ("kernels", "fits/kernels", "../../schemas/kernels.json"),
    ("engine", "engines", "../schemas/engine.json"),
    ("framework", "frameworks", "../schemas/framework.json"),
    ("scenario", "scenarios", "../schemas/scenario.json"),
];

fn yaml_files(folder: &str) -> Vec<PathBuf> {
    let all = fs::read_dir(Path::new(ROOT).join(folder)).unwrap().map(|e| e.unwrap().path());
    let found: Vec<PathBuf> = all.filter(|p| p.extension().is_some_and(|e| e == "yaml")).collect();
    assert!(!found.is_empty(), "{folder}");
    found
}

#[test]
fn the_committed_schemas_are_those_of_the_types() {
    for kind in SHIPPED.map(|(kind, _, _)| kind) {
        let path = Path::new(ROOT).join(format!("schemas/{kind}.json"));
        let now = shardfit(&format!("check --schema {kind}")).exits(0).stdout;
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            fs::write(&path, &now).unwrap();
        }
        let committed = fs::read_to_string(&path).unwrap();
        assert_eq!(committed, now, "UPDATE_SCHEMAS=1 cargo test --test check rewrites schemas/{kind}.json");
    }
}

#[test]
fn every_shipped_file_begins_with_a_hint_to_its_schema() {
    for (_, folder, schema) in SHIPPED {
        for path in yaml_files(folder) {
            let text = fs::read_to_string(&path).unwrap();
            let hint = format!("# yaml-language-server: $schema={schema}");
            assert_eq!(text.lines().next(), Some(hint.as_str()), "{}", path.display());
            assert!(path.parent().unwrap().join(schema).is_file());
        }
    }
}

#[test]
fn every_shipped_file_passes() {
    let run = shardfit("check hardware fits engines models scenarios --format json").exits(0);
    let json = run.json();
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for file in json["files"].as_array().unwrap() {
        *kinds.entry(file["kind"].as_str().unwrap()).or_default() += 1;
    }
    assert_eq!(kinds.len(), 7, "{kinds:?}");
    assert!(kinds["gpu"] >= 40 && kinds["model"] >= 80 && kinds["cluster"] >= 15, "{kinds:?}");
    assert_eq!(json["skipped"].as_array().unwrap().len(), 0);
}

#[test]
fn schemas_describe_fields_list_values_and_show_units() {
    let gpu: Value =
        serde_json::from_str(&fs::read_to_string(format!("{ROOT}/schemas/gpu.json")).unwrap()).unwrap();
    let memory = &gpu["properties"]["memory"];
    assert_eq!(memory["examples"][0], "80 GB");
    assert!(memory["pattern"].as_str().unwrap().contains("GiB"));
    assert!(memory["description"].as_str().unwrap().contains("driver"));
    let kinds: Vec<&Value> =
        gpu["$defs"]["LinkKind"]["oneOf"].as_array().unwrap().iter().map(|o| &o["const"]).collect();
    assert!(kinds.contains(&&Value::from("nvswitch")), "{kinds:?}");
    assert!(gpu["properties"]["peak"]["propertyNames"]["enum"].as_array().unwrap().contains(&"bf16".into()));
    assert_eq!(gpu["additionalProperties"], false);
}

/// Every example of a quantity in a schema, with the units that it may have.
fn examples(value: &Value, out: &mut Vec<(String, Vec<String>)>) {
    if let (Some(units), Some(example)) = (value.get("x-units"), value.pointer("/examples/0")) {
        let units = units.as_array().unwrap().iter().map(|u| u.as_str().unwrap().to_owned()).collect();
        out.push((example.as_str().unwrap().to_owned(), units));
    }
    match value {
        Value::Object(map) => map.values().for_each(|v| examples(v, out)),
        Value::Array(list) => list.iter().for_each(|v| examples(v, out)),
        _ => {}
    }
}

#[test]
fn the_examples_in_the_schemas_are_quantities() {
    let mut all = Vec::new();
    for (kind, _, _) in SHIPPED {
        let text = fs::read_to_string(format!("{ROOT}/schemas/{kind}.json")).unwrap();
        examples(&serde_json::from_str(&text).unwrap(), &mut all);
    }
    assert!(all.len() > 20);
    for (example, units) in all {
        let units: Vec<(&str, f64)> = units.iter().map(|u| (u.as_str(), 1.0)).collect();
        shardfit::units::parse_with_unit(&example, &units).unwrap();
    }
}

/// A GPU with four faults of different kinds.
const FAULTY: &str = "\
id: faulty
name: Faulty
vendor: nvidia
architecture: hopper
class: datacentre-hbm
memory: 80
bandwidth: 3 TB/s
peak: {bf16: 1 PFLOP/s, fp6: 2 PFLOP/s}
multiprocessors: 0
cash: 50 MB
scale_up: {kind: nvlnk, bandwidth: 450 GB/s, latency: 1 us}
scale_out: {kind: infiniband, bandwidth: 50 GB/s, latency: 5 us}
gpus_per_node: 8
idle_power: 60 W
tdp: 700 W
sources: [none]
";

#[test]
fn every_problem_of_every_file_is_listed_with_its_line_and_what_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("faulty.yaml"), FAULTY).unwrap();
    fs::write(
        at.join("scenario.yaml"),
        "name: s\nmodels: [llama-3.1-8bb, mistral-7bb]\nclusters: [8xh100-smx]\nworkloads:\n  - {name: w, isl: 0, osl: 5}\n",
    )
    .unwrap();
    let run = shardfit(&format!("check {}", at.display())).exits(2);
    insta::assert_snapshot!("problems", run.stdout.replace(&at.display().to_string(), "{tmp}"));
    assert_eq!(run.stderr, "");
}

#[test]
fn figures_that_contradict_each_other_are_all_listed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gpu.yaml");
    let valid = fs::read_to_string(format!("{ROOT}/tests/data/valid/gpu.yaml")).unwrap();
    let faulty =
        valid.replace("memory: 64 GB", "memory: 0 GB").replace("idle_power: 60 W", "idle_power: 60 kW");
    fs::write(&path, faulty).unwrap();
    let json = shardfit(&format!("check {} --format json", path.display())).exits(2).json();
    let problems = json["files"][0]["problems"].as_array().unwrap();
    let fields: Vec<&str> = problems.iter().map(|p| p["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["memory", "idle_power"]);
    assert!(problems.iter().all(|p| p["line"].as_u64().is_some()), "{problems:?}");
}

#[test]
fn the_kind_is_told_by_folder_or_keys_or_flag() {
    for (file, kind) in [
        ("gpu.yaml", "gpu"),
        ("cluster.yaml", "cluster"),
        ("engine.yaml", "engine"),
        ("scenario.yaml", "scenario"),
        ("config.json", "model"),
    ] {
        let json = shardfit(&format!("check tests/data/valid/{file} --format json")).exits(0).json();
        assert_eq!(json["files"][0]["kind"], kind, "{file}");
    }
    let said = shardfit("check tests/data/valid/gpu.yaml --kind engine").exits(2);
    assert!(said.stdout.contains("missing field `scheduling`"), "{}", said.stdout);
}

#[test]
fn a_file_of_a_catalogue_sees_its_neighbours_and_must_be_named_as_its_id() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let valid = |file: &str| fs::read_to_string(format!("{ROOT}/tests/data/valid/{file}")).unwrap();
    fs::create_dir_all(at.join("gpus")).unwrap();
    fs::create_dir_all(at.join("clusters")).unwrap();
    fs::write(at.join("gpus/my-gpu.yaml"), valid("gpu.yaml")).unwrap();
    fs::write(at.join("clusters/my-cluster.yaml"), valid("cluster.yaml").replace("gpu: l40s", "gpu: my-gpu"))
        .unwrap();
    shardfit(&format!("check {0} {0}/clusters/my-cluster.yaml", at.display())).exits(0);
    fs::rename(at.join("gpus/my-gpu.yaml"), at.join("gpus/other.yaml")).unwrap();
    let run = shardfit(&format!("check {}", at.display())).exits(2);
    for said in ["line 2, id: `my-gpu` is not the file's name", "unknown GPU `my-gpu`", "write `id: other`"] {
        assert!(run.stdout.contains(said), "{said}\n{}", run.stdout);
    }
}

#[test]
fn each_invalid_file_that_commands_refuse_has_a_problem() {
    let invalid = fs::read_dir(format!("{ROOT}/tests/data/invalid")).unwrap();
    for entry in invalid {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let kind = match name.split('-').next().unwrap() {
            "config" => "model",
            kind @ ("cluster" | "engine" | "scenario") => kind,
            _ => "gpu",
        };
        let run = shardfit(&format!("check tests/data/invalid/{name} --kind {kind} --format json"));
        if run.stderr.is_empty() {
            let json = run.exits(2).json();
            let problem = json["files"][0]["problems"][0]["problem"].as_str().unwrap().to_owned();
            assert!(!problem.is_empty(), "{name}");
        } else {
            run.exits(2);
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem_beside_those_of_the_others() {
    let run = shardfit("check tests/nowhere.yaml tests/data/valid/gpu.yaml").exits(2);
    assert!(run.stdout.contains("tests/nowhere.yaml\n  file: cannot read file"), "{}", run.stdout);
    assert!(run.stdout.contains("1 problem in 1 of 2 files"), "{}", run.stdout);
}

#[test]
fn other_files_of_a_folder_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::copy(format!("{ROOT}/tests/data/valid/config.json"), at.join("config.json")).unwrap();
    fs::write(at.join("tokenizer.json"), "{\"version\": \"1.0\"}").unwrap();
    let run = shardfit(&format!("check {}", at.display())).exits(0).says(&["1 file checked, no problem"]);
    assert!(run.stdout.contains("left alone") && run.stdout.contains("tokenizer.json"), "{}", run.stdout);
}
