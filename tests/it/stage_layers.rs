//! Uneven pipeline stages: `VLLM_PP_LAYER_PARTITION`, `SGLANG_PP_LAYER_PARTITION`, TensorRT-LLM's `pp_partition`.

use serde_json::Value;

use crate::common::shardfit;

const QUESTION: &str = "estimate llama-3.1-70b --gpu h100-sxm --tp 2 --concurrency 16";

fn estimated(more: &str) -> Value {
    shardfit(&format!("{QUESTION} {more} --format json")).exits(0).json()
}

/// Bytes of one layer of Llama 3.1 70B in BF16: grouped-query attention with 64 and 8 heads of 128, a gated feed-forward
/// of 28,672, two norms (its `config.json`).
const LAYER: f64 = 2.0 * (8192.0 * 128.0 * (64.0 + 64.0 + 8.0 + 8.0) + 3.0 * 8192.0 * 28672.0 + 2.0 * 8192.0);

#[test]
fn the_fullest_stage_holds_the_layers_that_it_is_given() {
    let weights = |json: &Value| json["memory"]["weights_gib"].as_f64().unwrap();
    let (even, uneven) = (estimated("--pp 2"), estimated("--pp-layers 30,50"));
    let ten_layers = 10.0 * LAYER / 2.0 / 1024f64.powi(3);
    let more = weights(&uneven) - weights(&even);
    assert!((more - ten_layers).abs() < 2e-3, "{more} GiB more, and ten layers have {ten_layers}");
    assert_eq!((&uneven["pp"], &uneven["tensor_split"]), (&2.into(), &"30,50".into()));
    // Stages that are named as they are without a word change nothing.
    let named = estimated("--pp 2 --tensor-split 40,40");
    assert_eq!((&named["memory"], &named["tpot_ms"]), (&even["memory"], &even["tpot_ms"]));
}

#[test]
fn a_pipeline_keeps_the_pace_of_its_longest_stage() {
    let tpot = |json: &Value| json["tpot_ms"].as_f64().unwrap();
    let (even, uneven) = (tpot(&estimated("--pp 2")), tpot(&estimated("--pp-layers 30,50")));
    // 50 layers where there were 40, of a step of which layers are nearly all.
    assert!(uneven > 1.15 * even && uneven < 1.25 * even, "{even} ms even, {uneven} ms uneven");
}

#[test]
fn each_engine_is_told_and_read_back_in_its_own_words() {
    for (engine, words) in [
        ("vllm", "VLLM_PP_LAYER_PARTITION=38,42"),
        ("sglang", "SGLANG_PP_LAYER_PARTITION=38,42"),
        ("trtllm", "pp_partition:\n- 38\n- 42"),
    ] {
        let command = shardfit(&format!("{QUESTION} --pp-layers 38,42 --engine {engine} --emit command"));
        let script = command.exits(0).stdout;
        assert!(script.contains(words), "{script}");
        let file = std::env::temp_dir().join(format!("stage-layers-{engine}-{}.sh", std::process::id()));
        std::fs::write(&file, &script).unwrap();
        let launch =
            format!("estimate --gpu h100-sxm --concurrency 16 --format json --launch {}", file.display());
        let read = shardfit(&launch).exits(0).json();
        std::fs::remove_file(&file).unwrap();
        assert_eq!((&read["tensor_split"], &read["pp"]), (&"38,42".into(), &2.into()), "{engine}");
    }
}

#[test]
fn a_search_keeps_to_the_stages_that_are_named() {
    let json =
        shardfit("plan llama-3.1-70b --cluster 8xh100-sxm --pp-layers 38,42 --format json").exits(0).json();
    let plans = json["plans"].as_array().unwrap();
    assert!(!plans.is_empty());
    assert!(plans.iter().all(|p| p["pp"] == 2 && p["tensor_split"] == "38,42"));
}

#[test]
fn layers_that_are_not_those_of_the_model_are_refused_with_others_that_are() {
    for (given, cause) in [
        ("40,41", "40,41 are 81 layers, and meta-llama/Meta-Llama-3.1-70B has 80"),
        ("1.5,2", "1.5,2 are not layers of stages"),
        ("80,0", "80,0 are not layers of stages"),
    ] {
        let refused = shardfit(&format!("{QUESTION} --pp-layers {given}")).exits(2).stderr;
        assert!(refused.contains(cause) && refused.contains("for example 40,40"), "{refused}");
    }
    let pinned = shardfit("plan llama-3.1-70b --cluster 8xh100-sxm --pp 4 --pp-layers 38,42").exits(2).stderr;
    assert!(pinned.contains("at: --tensor-split"), "{pinned}");
}
