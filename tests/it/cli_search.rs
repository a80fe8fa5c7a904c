//! The search on the command line: questions that planners get wrong, limits, fronts, early ends.

use crate::common::shardfit;
use serde_json::Value;

fn plans(json: &Value) -> &[Value] {
    json["plans"].as_array().map_or(&[], Vec::as_slice)
}

fn ask(line: &str) -> Value {
    shardfit(&format!("{line} --format json")).exits(0).json()
}

#[test]
fn on_seven_gpus_idle_ones_are_named() {
    let json = ask("plan llama-3.1-70b --cluster 7xh100-sxm");
    for plan in plans(&json) {
        let (used, idle) = (plan["gpus"].as_u64().unwrap(), plan["idle_gpus"].as_u64().unwrap());
        assert_eq!(used + idle, 7);
    }
    let text = shardfit("plan llama-3.1-70b --cluster 7xh100-sxm").exits(0).stdout;
    let best_idle = plans(&json)[0]["idle_gpus"].as_u64().unwrap();
    assert_eq!(text.contains("GPUs idle"), best_idle > 0);
}

#[test]
fn a_prompt_beyond_the_context_is_an_error_and_tp_3_a_reason() {
    shardfit("plan llama-3.1-70b --cluster 8xh100-sxm --isl 200000").exits(2);
    let json =
        shardfit("plan llama-3.1-70b --cluster 8xh100-sxm --why-not tp=3 --format json").exits(1).json();
    assert!(json.to_string().contains("tp_does_not_divide_attention_heads"));
}

#[test]
fn on_seven_gpus_replicas_of_different_sizes_deliver_more() {
    let json = ask("plan llama-3.1-8b --cluster 7xh100-sxm --tp 2,4 --verify 0");
    let mixed = &json["mixed_replicas"];
    let best = plans(&json)[0]["output_tokens_per_s"].as_f64().unwrap();
    // Three replicas of two leave one idle, as does any mix of twos and fours.
    assert!(mixed.is_null(), "{mixed}");
    let json = ask("plan llama-3.1-70b --cluster 7xh100-sxm --tpot 50ms --verify 0");
    let mixed = &json["mixed_replicas"];
    assert!(
        mixed["output_tokens_per_s"].as_f64().unwrap()
            > plans(&json)[0]["output_tokens_per_s"].as_f64().unwrap()
    );
    let used: u64 = mixed["plans"].as_array().unwrap().iter().map(|p| p["gpus"].as_u64().unwrap()).sum();
    assert_eq!(Some(used), mixed["gpus"].as_u64());
    assert!(used <= 7 && best > 0.0);
    // Eight GPUs hold two replicas of four: nothing is left to mix with.
    assert!(
        ask("plan llama-3.1-70b --cluster 8xh100-sxm --tpot 50ms --verify 0")["mixed_replicas"].is_null()
    );
}

#[test]
fn launches_are_compared() {
    let json = ask("plan llama-3.1-8b --cluster 1xh100-sxm --max-batched-tokens 512,65536 --verify 0");
    let tokens = |p: &Value| p["max_batched_tokens"].as_u64().unwrap();
    let both: Vec<u64> = plans(&json).iter().map(tokens).collect();
    assert!(both.contains(&512) && both.contains(&65_536), "{both:?}");
    // A smaller step holds fewer activations.
    let cache = |n: u64| {
        let plan = plans(&json).iter().find(|p| tokens(p) == n).unwrap();
        plan["memory"]["kv_cache_gib"].as_f64().unwrap()
    };
    assert!(cache(512) > cache(65_536));
    let line = "plan deepseek-v3 --cluster 8xh200-sxm --tpot 30ms --speculate off,mtp --acceptance 0.8";
    let json = ask(&format!("{line} --top 20 --verify 0"));
    let drafts: Vec<u64> = plans(&json).iter().map(|p| p["draft_tokens"].as_u64().unwrap()).collect();
    assert!(drafts.contains(&0) && drafts.contains(&1));
    assert_eq!(drafts[0], 1);
    // Without anything to compare with, `off` is what no flag is.
    let count = |flags: &str| {
        let line = "plan deepseek-v3 --cluster 8xh200-sxm --tpot 30ms --verify 0 --top 20";
        plans(&ask(&format!("{line} {flags}"))).len()
    };
    assert_eq!(count("--speculate off --acceptance 0.8"), count(""));
    shardfit("simulate llama-3.1-8b --gpu h100-sxm --max-sequences 16,32").exits(2);
    shardfit("plan deepseek-v3 --cluster 8xh200-sxm --speculate mtp,ngram --acceptance 0.8").exits(2);
}

#[test]
fn the_first_plans_are_simulated_unasked_where_that_is_cheap() {
    let simulated = |line: &str| {
        let json = ask(line);
        plans(&json).iter().filter(|p| p["simulated_tpot_ms"].is_number()).count()
    };
    let line = "plan llama-3.1-8b --cluster 2xh100-sxm";
    // 64 in flight: 13 requests for each client, one chunk and one decode phase each.
    let small = format!("{line} --concurrency 64");
    assert_eq!((simulated(&small), simulated(&format!("{small} --verify 0"))), (3, 0));
    // The first is always, however long that takes.
    assert!(simulated(&format!("{line} --concurrency 2000")) >= 1);
    assert!(simulated(&format!("{line} --concurrency 2000 --verify 1")) >= 1);
}

#[test]
fn prefill_workers_are_pinned_apart_from_decode_workers() {
    let line = "plan llama-3.1-70b --cluster 16xh100-sxm --mode split --tp 8 --verify 0";
    let json = ask(&format!("{line} --prefill-tp 4 --prefill-pp 1"));
    for plan in plans(&json) {
        assert_eq!((plan["tp"].as_u64(), plan["prefill_tp"].as_u64()), (Some(8), Some(4)));
    }
    assert!(!plans(&json).is_empty());
    // Unpinned they are free, whatever the decode workers are.
    let free = ask(line);
    assert!(plans(&free).iter().all(|p| p["tp"] == 8));
    shardfit("plan llama-3.1-70b --cluster 16xh100-sxm --prefill-tp 4").exits(2);
}

#[test]
fn why_not_examines_split_pools() {
    let line = "plan llama-3.1-70b --cluster 8xh100-sxm --why-not";
    let json = ask(&format!("{line} tp=4,prefill_tp=2"));
    assert_eq!(json["prefill"]["tp"], 2);
    assert_eq!(json["examined"][0]["plan"]["prefill_tp"], 2);
    let json = shardfit(&format!("{line} tp=2,prefill_tp=3 --format json")).exits(1).json();
    assert_eq!(json["examined"][0]["reason"], "tp_does_not_divide_attention_heads");
}

#[test]
fn split_pools_are_ranked_beside_aggregated_plans() {
    let json = ask("plan llama-3.1-70b --cluster 8xh100-sxm --ttft 1s --tpot 50ms --mode any");
    let modes: Vec<&str> = plans(&json).iter().filter_map(|p| p["mode"].as_str()).collect();
    assert!(modes.contains(&"split") && modes.contains(&"aggregated"), "{modes:?}");
    for plan in plans(&json).iter().filter(|p| p["mode"] == "split") {
        let n = |key: &str| plan[key].as_u64().unwrap();
        let prefill = n("prefill_replicas") * n("prefill_tp") * n("prefill_pp");
        assert_eq!(n("gpus"), prefill + n("replicas") * n("tp") * n("pp"));
        assert!(plan["ttft_ms"].as_f64().unwrap() <= 1000.0);
        assert!(plan["prefill_load"].as_f64().unwrap() <= 0.9);
    }
    let space = &json["space"];
    let n = |key: &str| space[key].as_u64().unwrap();
    let parts = ["illegal", "out_of_memory", "target_missed", "feasible", "dominated", "unseen"];
    assert_eq!(parts.iter().map(|k| n(k)).sum::<u64>(), n("plans"));
}

#[test]
fn budgets_are_kept() {
    let line = "plan llama-3.1-8b --cluster 8xh100-sxm --concurrency 64";
    for plan in plans(&ask(&format!("{line} --max-gpus 3"))) {
        assert!(plan["gpus"].as_u64().unwrap() <= 3);
    }
    for plan in plans(&ask(&format!("{line} --max-price 12"))) {
        assert!(plan["price_usd_per_hour"].as_f64().unwrap() <= 12.0);
    }
    for plan in plans(&ask(&format!("{line} --tokens-per-user 100"))) {
        let decides = plan["simulated_tpot_ms"].as_f64().or(plan["tpot_ms"].as_f64());
        assert!(decides.unwrap() <= 10.0, "{plan:#}");
    }
    let json = shardfit(&format!("{line} --max-power 1 --format json")).exits(1).json();
    assert!(json["rejected"].to_string().contains("power_budget_exceeded"));
}

#[test]
fn a_front_over_three_measures_holds_no_dominated_plan() {
    let json = ask("plan llama-3.1-8b --cluster 8xh100-sxm --mode any --pareto throughput,ttft,cost");
    let of = |p: &Value| {
        let n = |key: &str| p[key].as_f64().unwrap();
        [-n("output_tokens_per_s"), n("ttft_ms"), n("cost_usd_per_mtok_output")]
    };
    let front: Vec<[f64; 3]> = json["pareto"].as_array().unwrap().iter().map(of).collect();
    assert!(front.len() > 2);
    for a in &front {
        let beaten = front.iter().any(|b| b != a && b.iter().zip(a).all(|(x, y)| x < y));
        assert!(!beaten);
    }
}

#[test]
fn a_front_is_drawn() {
    let text = shardfit("plan llama-3.1-8b --cluster 8xh100-sxm --pareto").exits(0).stdout;
    assert!(text.contains('●') && text.contains("per-gpu (tok/s/GPU)"));
}

#[test]
fn simulated_plans_say_so_and_keep_a_percentile() {
    let line = "plan llama-3.1-8b --cluster 2xh100-sxm --concurrency 32 --tpot 30ms --verify 2";
    let json = ask(line);
    assert!(plans(&json)[..2].iter().all(|p| p["simulated_ttft_ms"].is_number()));
    let json = ask(&format!("{line} --percentile p99"));
    assert!(plans(&json).iter().all(|p| p["simulated_tpot_ms"].as_f64().unwrap() <= 30.0));
}

#[test]
fn more_memory_never_makes_the_best_plan_worse() {
    let json = ask("plan llama-3.1-70b --cluster 8xh100-sxm --what-if hbm=+20% --what-if price=-50%");
    let (best, moved) = (&plans(&json)[0], json["what_if"].as_array().unwrap());
    let n = |p: &Value, key: &str| p[key].as_f64().unwrap();
    assert!(n(&moved[0]["plan"], "output_tokens_per_s") >= n(best, "output_tokens_per_s"));
    let halved = n(&moved[1]["plan"], "cost_usd_per_mtok_output") / n(best, "cost_usd_per_mtok_output");
    assert!((halved - 0.5).abs() < 1e-3, "{halved}");
}

#[test]
fn a_search_that_is_out_of_time_says_so() {
    let run =
        shardfit("plan deepseek-v3 --cluster 1024xh200-sxm --mode split --time-limit 1ms --format json");
    let json: Value = serde_json::from_str(&run.stdout).expect("JSON all the same");
    assert_eq!(json["space"]["stopped"], "time_limit");
    assert!(json["space"]["unseen"].as_u64().unwrap() > 0);
}

#[test]
fn one_split_deployment_can_be_estimated_and_simulated() {
    let pools = "--gpu h100-sxm --prefill tp=1,replicas=2 --decode tp=2 --concurrency 32";
    let steady = ask(&format!("estimate llama-3.1-8b {pools}"));
    assert_eq!((&steady["mode"], &steady["gpus"]), (&Value::from("split"), &Value::from(4)));
    let json = ask(&format!("simulate llama-3.1-8b {pools}"));
    let text = json.to_string();
    assert!(text.contains("ttft_ms") && text.contains("tpot_ms"));
}
