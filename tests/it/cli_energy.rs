//! Energy, electricity and `--current` through the binary.

use crate::common::{number, shardfit};
use serde_json::Value;

const QUESTION: &str = "plan llama-3.1-70b --cluster 8xh100-sxm";

fn json(rest: &str) -> Value {
    let run = shardfit(&format!("{QUESTION} {rest} --format json"));
    assert!(run.code <= 1, "{}", run.stderr);
    run.json()
}

#[test]
fn energy_figures_agree_with_each_other() {
    for plan in json("")["plans"].as_array().unwrap() {
        let per_output = number(plan, "energy_j_per_output_token");
        let power = number(plan, "power_w_per_gpu") * number(plan, "gpus");
        assert!((power / number(plan, "output_tokens_per_s") / per_output - 1.0).abs() < 1e-4, "{plan:#}");
        // 2,048 tokens in and 512 out: a fifth of the tokens are output.
        assert!((number(plan, "energy_j_per_token") * 5.0 / per_output - 1.0).abs() < 1e-4);
        assert!((number(plan, "energy_kwh_per_mtok_output") * 3.6 / per_output - 1.0).abs() < 1e-4);
        assert!(plan["electricity_usd_per_mtok_output"].is_null());
    }
}

#[test]
fn tables_show_energy_where_plans_are_ranked_by_it() {
    shardfit(&format!("{QUESTION} --objective energy")).exits(0).says(&["J/tok out"]);
    let usual = shardfit(QUESTION).exits(0);
    assert!(!usual.stdout.contains("J/tok"), "{}", usual.stdout);
}

#[test]
fn electricity_raises_the_cost_and_says_by_how_much() {
    let (off, on) = (json("--tp 4 --batch 64"), json("--tp 4 --batch 64 --electricity 0.2 --pue 1.2"));
    let cost = |j: &Value| number(&j["plans"][0], "cost_usd_per_mtok_output");
    let part = number(&on["plans"][0], "electricity_usd_per_mtok_output");
    let kwh = number(&on["plans"][0], "energy_kwh_per_mtok_output");
    assert!((part / (kwh * 0.2 * 1.2) - 1.0).abs() < 1e-4, "{part} {kwh}");
    assert!((cost(&on) - cost(&off) - part).abs() < 1e-4);
}

#[test]
fn every_plan_shows_its_difference_to_what_runs_today() {
    let rest = "--ttft 1s --tpot 50ms --current tp=8 --top 3";
    let json = json(rest);
    let today = &json["current"]["plan"];
    assert_eq!(json["current"]["feasible"], true);
    assert_eq!((today["tp"].as_u64(), today["gpus"].as_u64()), (Some(8), Some(8)));
    for plan in json["plans"].as_array().unwrap() {
        for (delta, figure) in [
            ("delta_output_tokens_per_s_percent", "output_tokens_per_s"),
            ("delta_ttft_percent", "ttft_ms"),
            ("delta_tpot_percent", "tpot_ms"),
            ("delta_cost_percent", "cost_usd_per_mtok_output"),
            ("delta_energy_percent", "energy_j_per_output_token"),
            ("delta_gpus_percent", "gpus"),
        ] {
            let want = 100.0 * (number(plan, figure) / number(today, figure) - 1.0);
            assert!((number(plan, delta) - want).abs() < 1e-2, "{delta}: {want}\n{plan:#}");
        }
    }
    let same = json["plans"].as_array().unwrap().iter().find(|p| p["tp"] == 8).unwrap();
    // The same layout, at the largest batch that holds instead of the largest on the ladder that does.
    assert!((0.0..3.0).contains(&number(same, "delta_output_tokens_per_s_percent")), "{same:#}");
    let (header, _) = shardfit(&format!("{QUESTION} {rest} --format csv")).exits(0).csv();
    assert_eq!(header.iter().filter(|name| name.starts_with("delta_")).count(), 6);
    // One of the three layouts is unusual, so that the table says of each whether it is.
    let table = shardfit(&format!("{QUESTION} {rest} --objective energy")).exits(0);
    assert!(table.stdout.lines().take(10).all(|l| l.chars().count() <= 180), "{}", table.stdout);
    insta::assert_snapshot!("plan_current", table.stdout.lines().take(10).collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_deployment_that_misses_a_target_has_figures_and_the_reason() {
    let json = json("--tpot 20ms --current tp=4,replicas=2,batch=64");
    let (today, reasons) = (&json["current"]["plan"], &json["current"]["reasons"]);
    assert_eq!(json["current"]["feasible"], false);
    assert_eq!(reasons[0]["reason"], "tpot_missed", "{reasons:#}");
    assert!(number(today, "tpot_ms") > 20.0 && number(today, "batch") == 64.0);
    shardfit(&format!("{QUESTION} --tpot 20ms --current tp=4,replicas=2,batch=64"))
        .exits(0)
        .says(&["today: vllm tp=4 × 2 replicas, 8 GPUs, batch 64", "not an answer, tpot_missed"]);
}

#[test]
fn a_deployment_larger_than_the_cluster_is_compared_all_the_same() {
    let json = json("--current tp=8,replicas=2 --top 1");
    assert_eq!(json["current"]["reasons"][0]["reason"], "more_replicas_than_fit");
    assert_eq!(number(&json["plans"][0], "delta_gpus_percent"), -50.0);
}

#[test]
fn a_layout_that_a_rule_forbids_has_no_figures_and_the_rule() {
    let run = shardfit(&format!("{QUESTION} --current tp=3 --top 1")).exits(0);
    let run = run.says(&["today: tp=3 × 1 replica: no figures", "tp=3 does not divide 64 attention heads"]);
    assert!(!run.stdout.contains('Δ'), "{}", run.stdout);
    let json = json("--current tp=3 --top 1");
    assert!(json["current"]["plan"].is_null() && json["plans"][0]["delta_tpot_percent"].is_null());
}

#[test]
fn a_deployment_of_another_engine_and_format_is_estimated_as_such() {
    let json = json("--concurrency 64 --current tp=4,engine=sglang,weights=fp8,kv=fp8");
    let today = &json["current"]["plan"];
    assert_eq!(today["engine"], "sglang");
    assert_eq!((&today["weights"], &today["kv"]), (&Value::from("fp8"), &Value::from("fp8")));
}

#[test]
fn what_runs_today_changes_no_plan() {
    let strip = |mut json: Value| {
        json.as_object_mut().unwrap().remove("current");
        for list in ["plans", "pareto"] {
            for plan in json[list].as_array_mut().unwrap() {
                plan.as_object_mut().unwrap().retain(|name, _| !name.starts_with("delta_"));
            }
        }
        json
    };
    assert_eq!(strip(json("--tpot 40ms --current tp=8")), json("--tpot 40ms"));
}
