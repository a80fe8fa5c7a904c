//! `shardfit estimate` through the binary.

use crate::common::{at, number, shardfit};
use serde_json::Value;

const FIELDS: &[&str] = &[
    "ttft_ms",
    "tpot_ms",
    "output_tokens_per_s",
    "output_tokens_per_s_per_gpu",
    "memory.weights_gib",
    "memory.kv_cache_gib",
    "memory.kv_cache_tokens",
    "memory.activations_gib",
    "memory.non_torch_gib",
    "memory.cuda_graphs_gib",
    "memory.total_gib",
    "memory.capacity_gib",
    "provenance",
];

fn estimate(rest: &str) -> Value {
    let run = shardfit(&format!("estimate {rest} --format json"));
    assert!(run.code <= 1, "{}", run.stderr);
    run.json()
}

#[test]
fn an_estimate_has_every_field_that_scripts_lean_on() {
    let json = estimate("llama-3.1-70b --gpu h100-sxm --tp 4 --concurrency 64");
    for field in FIELDS {
        assert!(!at(&json, field).is_null(), "{field}");
    }
    assert_eq!(json["feasible"], true);
    assert_eq!(json["reasons"].as_array().map(Vec::len), Some(0));
    assert!(json["provenance"].is_string());
}

#[test]
fn an_estimate_lists_its_figures_in_the_order_of_the_columns() {
    let json = estimate("llama-3.1-70b --gpu h100-sxm --tp 4");
    let keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    let (engine, tpot, provenance) = (
        keys.iter().position(|k| *k == "engine"),
        keys.iter().position(|k| *k == "tpot_ms"),
        keys.iter().position(|k| *k == "provenance"),
    );
    assert!(engine < tpot && tpot < provenance, "{keys:?}");
}

#[test]
fn the_table_of_an_estimate_names_every_figure() {
    let run = shardfit("estimate llama-3.1-70b --gpu h100-sxm --tp 4 --concurrency 64").exits(0);
    let run = FIELDS.iter().fold(run, |run, field| run.says(&[field]));
    insta::assert_snapshot!("estimate_table", run.stdout);
}

#[test]
fn a_plan_that_does_not_fit_is_estimated_all_the_same_and_says_why() {
    let run = shardfit("estimate llama-3.1-70b --gpu h100-sxm --format json").exits(1);
    let json = run.json();
    assert_eq!(json["feasible"], false);
    assert_eq!(json["verdict"], "does_not_fit");
    assert_eq!(json["reasons"][0]["reason"], "out_of_memory");
    assert!(json["reasons"][0]["message"].as_str().unwrap().contains("GiB short"));
}

#[test]
fn every_missed_limit_is_a_reason() {
    let json = estimate("llama-3.1-70b --gpu h100-sxm --tp 4 --concurrency 64 --ttft 1ms");
    assert_eq!(json["feasible"], false);
    assert_eq!(json["reasons"][0]["reason"], "ttft_missed");
}

#[test]
fn an_illegal_split_is_bad_input_and_names_what_would_divide() {
    let run = shardfit("estimate llama-3.1-70b --gpu h100-sxm --tp 3").exits(2);
    assert_eq!(run.stdout, "");
    assert!(run.stderr.contains("divisors: 1, 2, 4, 8"), "{}", run.stderr);
}

#[test]
fn an_estimate_and_the_plan_of_the_same_layout_agree() {
    let plan = shardfit(
        "plan llama-3.1-70b --cluster 4xh100-sxm --concurrency 64 --tp 4 --pp 1 --replicas 1 --format json",
    )
    .exits(0)
    .json();
    // An estimate is of the engine's own limit where none is stated, a plan of the one that fits it.
    let estimate = estimate("llama-3.1-70b --gpu h100-sxm --tp 4 --concurrency 64 --max-sequences 64");
    for field in FIELDS {
        assert_eq!(at(&plan["plans"][0], field), at(&estimate, field), "{field}");
    }
}

#[test]
fn the_parts_of_the_memory_sum_to_the_total() {
    for rest in [
        "llama-3.1-70b --gpu h100-sxm --tp 4",
        "deepseek-v3 --gpu h200-sxm --tp 8 --ep 8",
        "gpt-oss-120b --gpu h100-sxm --tp 2 --engine sglang",
        "qwen3-235b-a22b --gpu h200-sxm --tp 8 --engine trtllm",
    ] {
        let json = estimate(rest);
        let parts = ["weights_gib", "kv_cache_gib", "activations_gib", "non_torch_gib", "cuda_graphs_gib"];
        let sum: f64 = parts.iter().map(|p| number(&json["memory"], p)).sum();
        let total = number(&json, "memory.total_gib");
        assert!((sum - total).abs() < 1e-3, "{rest}: {sum} and {total}");
        assert!(total <= number(&json, "memory.capacity_gib"), "{rest}");
    }
}

#[test]
fn weights_on_disk_are_a_floor_for_weights_in_memory() {
    for (model, gpu, tp, gib) in [
        // Two bytes for each of 70,553,706,496 and 8,030,261,248 parameters (Hugging Face model cards).
        ("llama-3.1-70b", "h100-sxm", 4, 70_553_706_496.0 * 2.0 / 4.0 / 1_073_741_824.0),
        ("llama-3.1-8b", "l40s", 1, 8_030_261_248.0 * 2.0 / 1_073_741_824.0),
    ] {
        let weights = number(&estimate(&format!("{model} --gpu {gpu} --tp {tp}")), "memory.weights_gib");
        assert!(weights >= gib * (1.0 - 1e-5) && weights < gib * 1.01, "{model}: {weights} and {gib}");
    }
}

#[test]
fn a_cluster_of_the_users_own_places_the_plan() {
    let json = estimate("llama-3.1-70b --cluster 8xh100-sxm --tp 4 --replicas 2");
    assert_eq!((&json["gpus"], &json["idle_gpus"]), (&8.into(), &0.into()));
    let run = shardfit("estimate llama-3.1-70b --cluster 8xh100-sxm --tp 4 --replicas 3").exits(2);
    assert!(run.stderr.contains("at most 2"), "{}", run.stderr);
}

#[test]
fn two_replicas_deliver_twice_what_one_does() {
    let one = estimate("llama-3.1-8b --gpu h100-sxm --concurrency 32");
    let two = estimate("llama-3.1-8b --gpu h100-sxm --concurrency 64 --replicas 2");
    let ratio = number(&two, "output_tokens_per_s") / number(&one, "output_tokens_per_s");
    assert!((ratio - 2.0).abs() < 1e-4, "{ratio}");
    assert_eq!(one["tpot_ms"], two["tpot_ms"]);
}

#[test]
fn explain_accounts_for_the_decode_step() {
    let run =
        shardfit("estimate deepseek-r1 --gpu h200-sxm --tp 8 --ep 8 --concurrency 64 --explain").exits(0);
    insta::assert_snapshot!("estimate_explain", run.stdout);
}

#[test]
fn descriptions_of_the_users_own_work_by_path() {
    let run = shardfit("estimate llama-3.1-8b --gpu tests/data/valid/gpu.yaml --format json").exits(0);
    assert_eq!(run.json()["provenance"], "uncalibrated");
    shardfit("estimate llama-3.1-8b --cluster tests/data/valid/cluster.yaml --tp 2").exits(0);
    shardfit("plan llama-3.1-8b --cluster tests/data/valid/cluster.yaml").exits(0).says(&["2 nodes of 4"]);
    let own =
        shardfit("plan llama-3.1-8b --cluster 2xl4 --engine tests/data/valid/engine.yaml --format json");
    assert!(
        own.clone().exits(0).json()["plans"].as_array().unwrap().iter().all(|p| p["engine"] == "my-fork")
    );
    shardfit("plan tests/data/valid/config.json --cluster 2xl4").exits(0);
    shardfit("inspect tests/data/valid").exits(0);
    shardfit("inspect acme/tiny --models tests/data/valid/models").exits(0);
}

#[test]
fn csv_md_and_yaml_hold_one_estimate() {
    let line = "estimate llama-3.1-8b --gpu l40s --concurrency 8";
    let (header, rows) = shardfit(&format!("{line} --format csv")).exits(0).csv();
    assert_eq!(rows.len(), 1);
    assert!(header.iter().any(|c| c == "tpot_ms"));
    let md = shardfit(&format!("{line} --format md")).exits(0);
    assert_eq!(md.stdout.lines().count(), 3, "{}", md.stdout);
    let yaml = shardfit(&format!("{line} --format yaml")).exits(0);
    let read: Value = shardfit::load::yaml(&yaml.stdout, "stdout").expect("valid YAML");
    assert_eq!(read, shardfit(&format!("{line} --format json")).json());
}

#[test]
fn a_draft_model_takes_room_and_with_speculation_time() {
    let plain = estimate("llama-3.1-70b --gpu h100-sxm --tp 4 --concurrency 16");
    let draft = "llama-3.1-70b --gpu h100-sxm --tp 4 --concurrency 16 --draft-model llama-3.2-1b";
    let beside = estimate(draft);
    // 1.24 billion parameters in 16 bits over four ranks: 0.58 GiB.
    let more = number(&beside, "memory.weights_gib") - number(&plain, "memory.weights_gib");
    assert!((more - 0.58).abs() < 0.02, "{more}");
    assert!(number(&beside, "memory.kv_cache_tokens") < number(&plain, "memory.kv_cache_tokens"));
    assert_eq!(number(&beside, "tpot_ms"), number(&plain, "tpot_ms"));
    let never = estimate(&format!("{draft} --speculate model --acceptance 0"));
    assert!(number(&never, "tpot_ms") > number(&plain, "tpot_ms"));
    let often = estimate(&format!("{draft} --speculate model --draft-tokens 3 --acceptance 0.8"));
    assert!(number(&often, "tpot_ms") < number(&plain, "tpot_ms"));
}

#[test]
fn a_rank_of_each_stage_is_shown() {
    let json = estimate("llama-3.1-70b --gpu h100-sxm --tp 2 --pp 2");
    let stages = json["room"]["stages"].as_array().unwrap();
    let weights: Vec<f64> = stages.iter().map(|s| s["weights_gib"].as_f64().unwrap()).collect();
    assert_eq!(weights.len(), 2);
    let fullest = number(&json, "memory.weights_gib");
    assert!(weights.contains(&fullest), "{weights:?} {fullest}");
}

/// vLLM 0.6.6 computes prompts whole unless tokens per step are stated (`SchedulerConfig`: 2,048 by default, raised
/// to the longest request where chunked prefill is off).
#[test]
fn a_limit_that_equals_the_default_is_kept_like_its_neighbours() {
    let asked = |more: &str| {
        let rest =
            "llama-3.1-8b --gpu a100-sxm-80gb --engine vllm@0.6.6 --isl 8000 --osl 500 --concurrency 8";
        estimate(&format!("{rest} {more}"))
    };
    for tokens in [2047.0, 2048.0, 2049.0] {
        let json = asked(&format!("--max-batched-tokens {tokens}"));
        assert_eq!(number(&json, "max_batched_tokens"), tokens);
    }
    assert_eq!(number(&asked(""), "max_batched_tokens"), 8500.0, "unstated, a prompt is computed whole");
    let (default, stated) = (asked(""), asked("--max-sequences 256"));
    assert_eq!(number(&default, "max_sequences"), 256.0);
    assert_eq!(default, stated, "nothing else follows from the number of sequences");
}

/// SGLang sets aside 1.5 MB for each token of `--chunked-prefill-size` (`server_args.py`): 8,192 by default on 80 GB,
/// beside a limit of 16,384 on the tokens of a step.
#[test]
fn memory_is_set_aside_for_the_tokens_that_are_stated_whatever_their_number() {
    let cache = |tokens: &str| {
        number(
            &estimate(&format!("llama-3.1-8b --gpu h100-sxm --engine sglang {tokens}")),
            "memory.kv_cache_gib",
        )
    };
    let (below, at) = (cache("--max-batched-tokens 16383"), cache("--max-batched-tokens 16384"));
    assert!((below - at).abs() < 0.1, "{below} and {at} GiB");
    assert!(cache("") > at + 10.0);
}
