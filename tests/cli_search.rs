//! The search on the command line: questions that planners get wrong, limits, fronts, early ends.

mod common;

use common::shardfit;
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
        assert!(plan["tpot_ms"].as_f64().unwrap() <= 10.0);
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
