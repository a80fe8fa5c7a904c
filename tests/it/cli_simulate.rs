//! `shardfit simulate` through the binary.

use std::fs;

use crate::common::shardfit;

const CHAT: &str =
    "simulate llama-3.1-8b --gpu l40s --rate 2 --isl lognormal:900,0.8 --osl uniform:50..400 --requests 300";

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let once = shardfit(CHAT).exits(0).stdout;
    assert_eq!(shardfit(CHAT).exits(0).stdout, once);
    assert_ne!(shardfit(&format!("{CHAT} --seed 2")).exits(0).stdout, once);
}

#[test]
fn percentiles_are_in_order_and_an_open_loop_serves_its_rate() {
    let json = shardfit(&format!("{} --format json", CHAT.replace("300", "3000"))).exits(0).json();
    for metric in ["ttft_ms", "tpot_ms", "itl_ms", "e2e_ms"] {
        let at = |q: &str| json[metric][q].as_f64().unwrap();
        assert!(at("p50") <= at("p90") && at("p90") <= at("p95") && at("p95") <= at("p99"), "{metric}");
    }
    let rate = json["requests_per_s"].as_f64().unwrap();
    assert!((rate / 2.0 - 1.0).abs() < 0.06, "{rate} of 2 requests a second");
}

#[test]
fn a_trace_is_played_and_its_timeline_written() {
    let folder = tempfile::tempdir().unwrap();
    let timeline = folder.path().join("queue.csv");
    let line = format!(
        "simulate llama-3.1-8b --gpu l40s --trace tests/data/valid/trace.csv --timeline {} --format json",
        timeline.display()
    );
    let json = shardfit(&line).exits(0).json();
    assert_eq!(json["requests"], 4);
    assert_eq!(json["prompt_tokens"], 374 + 396 + 879 + 91);
    assert_eq!(json["output_tokens"], 44 + 109 + 55 + 16);
    let text = fs::read_to_string(timeline).unwrap();
    assert_eq!(text.lines().next(), Some("start_s,running,waiting,kv_cache_percent,answered"));
}

#[test]
fn targets_give_the_goodput() {
    let json = shardfit(&format!("{CHAT} --ttft 1ms --format json")).exits(0).json();
    assert_eq!(json["good_requests"], 0);
    assert_eq!(json["goodput_requests_per_s"], 0.0);
}

#[test]
fn what_does_not_fit_is_an_answer() {
    let line = "simulate llama-3.1-70b --gpu l40s";
    shardfit(line).exits(1).says(&["cannot run, out_of_memory"]);
    assert_eq!(shardfit(&format!("{line} --format json")).exits(1).json()["reason"], "out_of_memory");
}
