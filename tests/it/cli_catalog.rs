//! `shardfit catalog` through the binary.

use crate::common::shardfit;
use serde_json::Value;
use shardfit::catalog::{Kind, entries};

const KINDS: [(&str, Kind); 4] =
    [("gpus", Kind::Gpu), ("clusters", Kind::Cluster), ("models", Kind::Model), ("engines", Kind::Engine)];

#[test]
fn every_entry_is_listed_in_every_format() {
    for (name, kind) in KINDS {
        let known: Vec<&str> = entries(kind).iter().map(|e| e.id).collect();
        let (header, rows) = shardfit(&format!("catalog {name} --format csv")).exits(0).csv();
        assert_eq!(header[0], "id");
        assert_eq!(rows.iter().map(|r| r[0].as_str()).collect::<Vec<_>>(), known);
        let json = shardfit(&format!("catalog {name} --format json")).exits(0).json();
        let ids: Vec<&str> = json.as_array().unwrap().iter().map(|e| e["id"].as_str().unwrap()).collect();
        assert_eq!(ids, known);
        for format in ["table", "md", "yaml"] {
            let run = shardfit(&format!("catalog {name} --format {format}")).exits(0);
            known.iter().for_each(|id| assert!(run.stdout.contains(id), "{id} in {format}"));
        }
    }
}

#[test]
fn the_singular_means_the_same() {
    for (name, _) in KINDS {
        let singular = name.strip_suffix('s').unwrap();
        let (one, all) = (shardfit(&format!("catalog {singular}")), shardfit(&format!("catalog {name}")));
        assert_eq!(one.exits(0).stdout, all.exits(0).stdout);
    }
}

#[test]
fn an_entry_is_shown_whole_by_name_and_by_alias() {
    let by_name = shardfit("catalog gpus l4 --format yaml").exits(0).says(&[
        "id: l4",
        "sources:",
        "bandwidth: 300 GB/s",
    ]);
    let by_alias = shardfit("catalog gpus NVIDIA-L4 --format yaml").exits(0);
    assert_eq!(by_name.stdout, by_alias.stdout);
    let model = shardfit("catalog models llama-3.1-70b --format json").exits(0).json();
    assert_eq!(model["num_hidden_layers"], 80);
}

#[test]
fn a_gpu_is_a_page_and_its_coefficients_are_shown_on_request() {
    let page =
        shardfit("catalog gpus h100").exits(0).says(&["3.35 TB/s", "fitted: sglang, trtllm, vllm"]).stdout;
    assert!(page.lines().count() < 40 && !page.contains("launch"), "{page}");
    shardfit("catalog gpus h100 --coefficients").exits(0).says(&["launch: "]);
    // A part of names lists those that hold it.
    let listed = shardfit("catalog clusters p5e").exits(0).stdout;
    assert!(listed.contains("p5e-48xlarge") && listed.contains("p5en-48xlarge"), "{listed}");
    shardfit("catalog clusters p5f").exits(2);
}

#[test]
fn a_shown_gpu_can_be_used_as_a_description_of_the_users_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("copy.yaml");
    shardfit(&format!("catalog gpus h100-sxm -o {}", path.display())).exits(0);
    let own =
        shardfit(&format!("estimate llama-3.1-8b --gpu {} --format json", path.display())).exits(0).json();
    let built_in = shardfit("estimate llama-3.1-8b --gpu h100-sxm --format json").exits(0).json();
    let figures =
        |json: &Value| (json["tpot_ms"].clone(), json["memory"].clone(), json["provenance"].clone());
    assert_eq!(figures(&own), figures(&built_in));
}

#[test]
fn engines_and_clusters_are_shown_whole() {
    shardfit("catalog engines vllm").exits(0).says(&["memory:", "scheduling:"]);
    shardfit("catalog clusters hgx-h100").exits(0).says(&["gpu: h100-sxm"]);
}

#[test]
fn the_lists_are_one_snapshot() {
    let mut all = String::new();
    for (name, _) in KINDS {
        all.push_str(&format!(
            "$ shardfit catalog {name}\n{}\n",
            shardfit(&format!("catalog {name}")).stdout
        ));
    }
    insta::assert_snapshot!("catalog", all);
}

#[test]
fn models_are_filtered_by_what_they_are_for_their_size_licence_family_and_machine() {
    let ids = |line: &str| -> Vec<String> {
        let rows = shardfit(&format!("catalog models {line} --format json")).exits(0).json();
        rows.as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
    };
    let all = ids("");
    let code = ids("qwen --task code --max-params 40B");
    assert!(!code.is_empty() && code.len() < all.len());
    assert!(code.iter().all(|id| id.to_lowercase().contains("qwen")), "{code:?}");
    let rows = shardfit(
        "catalog models --min-params 1b --max-params 9B --license permissive --since 2025 --format json",
    )
    .exits(0)
    .json();
    for row in rows.as_array().unwrap() {
        let n = row["parameters"].as_u64().unwrap();
        assert!((1_000_000_000..=9_000_000_000).contains(&n), "{row}");
        assert!(row["released"].as_str().unwrap() >= "2025", "{row}");
        assert!(
            ["apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0"].contains(&row["license"].as_str().unwrap()),
            "{row}"
        );
    }
    // What runs on a card is what `fit` says of it.
    let fit = shardfit("fit --cluster 1xrtx-4090 --family gemma --top 1000 --format json").exits(0).json();
    let mut runs: Vec<String> =
        fit["models"].as_array().unwrap().iter().map(|m| m["model"].as_str().unwrap().to_owned()).collect();
    let mut listed = ids("--fits 1xrtx-4090 --family gemma --task chat");
    listed.extend(ids("--fits 1xrtx-4090 --family gemma"));
    listed.sort();
    listed.dedup();
    runs.sort();
    assert_eq!(listed, runs);
    shardfit("catalog gpus --task code").exits(2);
    shardfit("catalog models --license apache").exits(2);
    shardfit("catalog models --min-params many").exits(2);
}
