//! `shardfit plan` through the binary.

use std::fs;
use std::io::Read as _;
use std::process::Stdio;

use crate::common::{README, at, command, number, shardfit, shardfit_with, spreadsheet_text, words};
use serde_json::Value;

/// Fields of one plan that scripts lean on.
const PLAN_FIELDS: &[&str] = &[
    "rank",
    "tp",
    "pp",
    "ep",
    "attention_dp",
    "expert_tp",
    "replicas",
    "gpus",
    "idle_gpus",
    "max_batch",
    "engine",
    "mode",
    "verdict",
    "ttft_ms",
    "tpot_ms",
    "output_tokens_per_s",
    "output_tokens_per_s_per_gpu",
    "cost_usd_per_mtok_output",
    "cost_usd_per_mtok_total",
    "power_w_per_gpu",
    "energy_j_per_output_token",
    "energy_j_per_token",
    "energy_kwh_per_mtok_output",
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

fn plans(json: &Value) -> &Vec<Value> {
    json["plans"].as_array().expect("a list of plans")
}

fn plan_json(rest: &str) -> Value {
    let run = shardfit(&format!("plan {rest} --format json"));
    assert!(run.code <= 1, "{}", run.stderr);
    run.json()
}

#[track_caller]
fn parts_of_the_space_sum_to_plans(json: &Value) {
    let parts = ["illegal", "out_of_memory", "target_missed", "feasible"];
    let sum: u64 = parts.iter().map(|p| json["space"][p].as_u64().expect("a count")).sum();
    assert_eq!(json["space"]["plans"].as_u64(), Some(sum), "{}", json["space"]);
}

#[test]
fn the_readme_question_has_feasible_plans() {
    let run =
        shardfit(README).exits(0).says(&["TTFT ms", "TPOT ms", "tok/s", "plans:", "illegal", "feasible"]);
    insta::assert_snapshot!("plan_readme", run.stdout);
}

#[test]
fn every_plan_of_the_readme_question_meets_its_targets() {
    let json = shardfit(&format!("{README} --format json")).exits(0).json();
    assert!(!plans(&json).is_empty());
    for plan in plans(&json).iter().chain(json["pareto"].as_array().unwrap()) {
        assert!(number(plan, "ttft_ms") <= 1000.0 && number(plan, "tpot_ms") <= 50.0, "{plan:#}");
    }
}

#[test]
fn ranks_count_from_one_and_follow_the_objective() {
    for (objective, field, sign) in [
        ("throughput", "output_tokens_per_s", -1.0),
        ("latency", "e2e_ms", 1.0),
        ("cost", "cost_usd_per_mtok_output", 1.0),
        ("energy", "energy_j_per_output_token", 1.0),
    ] {
        let json =
            plan_json(&format!("llama-3.1-8b --cluster 8xh100-sxm --objective {objective} --verify 0"));
        let list = plans(&json);
        assert!(list.len() > 1);
        for (i, plan) in list.iter().enumerate() {
            assert_eq!(plan["rank"].as_u64(), Some(i as u64 + 1));
        }
        // Plans that only just fit come after those that do, whatever the objective; layouts that no server is known to
        // have count as half as good.
        let class = |p: &Value| p["verdict"] != "fits";
        assert!(list.is_sorted_by_key(class), "{objective}");
        let weighed = |p: &Value| {
            let handicap: f64 = if p["practice"] == "usual" { 1.0 } else { 2.0 };
            sign * number(p, field) * handicap.powf(sign)
        };
        for alike in list.chunk_by(|a, b| class(a) == class(b)) {
            let figures: Vec<f64> = alike.iter().map(weighed).collect();
            assert!(figures.is_sorted(), "{objective}: {figures:?}");
        }
    }
}

#[test]
fn the_json_of_a_plan_has_every_field_that_scripts_lean_on() {
    let json = plan_json("llama-3.1-70b --cluster 8xh100-sxm --ttft 1s");
    for key in ["plans", "illegal", "out_of_memory", "target_missed", "feasible"] {
        assert!(at(&json, &format!("space.{key}")).is_u64());
    }
    for key in ["pareto", "rejected", "plans"] {
        assert!(at(&json, key).is_array(), "{key}");
    }
    for field in PLAN_FIELDS {
        plans(&json).iter().for_each(|plan| assert!(!at(plan, field).is_null(), "{field}"));
    }
    for rejection in json["rejected"].as_array().unwrap() {
        assert!(rejection["reason"].is_string() && rejection["count"].is_u64());
        assert!(at(rejection, "nearest_miss.message").is_string(), "{rejection:#}");
    }
}

#[test]
fn the_parts_of_the_space_sum_to_its_plans() {
    for question in [
        "llama-3.1-70b --cluster 8xh100-sxm --ttft 1s --tpot 50ms",
        "llama-3.1-70b --cluster 1xl4",
        "mixtral-8x22b --cluster 16xa100-sxm-80gb --engine any --weights bf16,int4",
        "deepseek-v3 --cluster 2x8xh200-sxm --rate 5",
        "qwen3-30b-a3b --cluster 3xl40s --concurrency 40",
    ] {
        let json = plan_json(question);
        parts_of_the_space_sum_to_plans(&json);
        let rejected: u64 =
            json["rejected"].as_array().unwrap().iter().map(|r| r["count"].as_u64().unwrap()).sum();
        let feasible = json["space"]["feasible"].as_u64().unwrap();
        assert_eq!(json["space"]["plans"].as_u64(), Some(rejected + feasible), "{question}");
    }
}

#[test]
fn csv_has_the_columns_and_the_figures_of_json() {
    let json = plan_json("llama-3.1-70b --cluster 8xh100-sxm");
    let (header, rows) = shardfit("plan llama-3.1-70b --cluster 8xh100-sxm --format csv").exits(0).csv();
    let mut flat = Vec::new();
    for (key, value) in plans(&json)[0].as_object().unwrap() {
        match value.as_object() {
            Some(inner) => flat.extend(inner.keys().cloned()),
            None => flat.push(key.clone()),
        }
    }
    // What was asked stands before.
    let asked = header.len() - flat.len();
    assert_eq!((header[0].as_str(), header[1].as_str()), ("model", "cluster"));
    assert_eq!(header[asked..], flat);
    assert_eq!(rows.len(), plans(&json).len());
    for (row, plan) in rows.iter().zip(plans(&json)) {
        for (name, cell) in header.iter().zip(row).skip(asked) {
            let value = plan.get(name).unwrap_or_else(|| &plan["memory"][name]);
            let text = value.as_str().map_or_else(|| value.to_string(), spreadsheet_text);
            assert_eq!(*cell, if value.is_null() { String::new() } else { text }, "{name}");
        }
    }
}

#[test]
fn yaml_says_what_json_says() {
    let json = plan_json("llama-3.1-8b --cluster 2xl40s --top 2");
    let yaml = shardfit("plan llama-3.1-8b --cluster 2xl40s --top 2 --format yaml").exits(0);
    let read: Value = shardfit::load::yaml(&yaml.stdout, "stdout").expect("valid YAML");
    assert_eq!(read, json);
}

#[test]
fn markdown_is_one_table_with_a_row_per_plan() {
    let run = shardfit("plan llama-3.1-8b --cluster 2xl40s --top 3 --format md").exits(0);
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(lines.len(), 2 + 3, "{}", run.stdout);
    assert!(lines[1].chars().all(|c| "|-: ".contains(c)), "{}", lines[1]);
    let bars = lines[0].matches('|').count();
    assert!(lines.iter().all(|l| l.starts_with('|') && l.ends_with('|') && l.matches('|').count() == bars));
}

#[test]
fn a_question_without_an_answer_exits_1_with_the_ledger_and_advice() {
    let run = shardfit("plan llama-3.1-70b --cluster 1xh100-sxm")
        .exits(1)
        .says(&["No plan is feasible", "out_of_memory; nearest tp=1", "GiB short", "What would make it work"])
        .says(&["--weights fp8", "2xh100-sxm"]);
    insta::assert_snapshot!("plan_nothing_feasible", run.stdout);
}

#[test]
fn advice_holds_when_it_is_followed() {
    // Each line names flags; the question with them has an answer.
    for (question, cluster) in [
        ("plan llama-3.1-70b", "1xh100-sxm"),
        ("plan llama-3.1-405b", "1xh100-sxm"),
        ("plan llama-3.1-70b", "1xrtx-4090"),
    ] {
        let run = shardfit(&format!("{question} --cluster {cluster} --format json")).exits(1);
        let advice = run.json()["advice"].as_array().unwrap().clone();
        assert!(!advice.is_empty(), "{question} {cluster}");
        let fewest = number(&advice[0]["plan"], "gpus");
        assert!(advice.iter().all(|a| number(&a["plan"], "gpus") >= fewest), "{question}: fewer GPUs first");
        for line in advice {
            let flags: Vec<&str> =
                line["change"].as_str().unwrap().split(['(', ')']).skip(1).step_by(2).collect();
            let place = if flags.iter().any(|f| f.contains("--cluster")) { "" } else { cluster };
            let place = if place.is_empty() { String::new() } else { format!("--cluster {place}") };
            shardfit(&format!("{question} {place} {} --verify 0", flags.join(" "))).exits(0);
        }
    }
}

#[test]
fn a_gguf_format_selects_the_engine_that_takes_it() {
    let json = plan_json("llama-3.1-8b --cluster 1xrtx-4090 --weights q4_k_m --top 1 --verify 0");
    assert_eq!(plans(&json)[0]["engine"], "llama.cpp");
    // One that is named is asked, and says that it has none.
    shardfit("plan llama-3.1-8b --cluster 1xrtx-4090 --weights q4_k_m --engine vllm").exits(1);
    let json = plan_json("llama-3.1-8b --cluster 1xh100-sxm --weights fp8 --top 1 --verify 0");
    assert_eq!(plans(&json)[0]["engine"], "vllm");
}

#[test]
fn a_question_without_an_answer_is_still_valid_json_and_csv() {
    let json = shardfit("plan llama-3.1-70b --cluster 1xl4 --format json").exits(1).json();
    assert!(plans(&json).is_empty());
    assert_eq!(number(&json, "space.feasible"), 0.0);
    assert_eq!(at(&json["rejected"][0], "reason"), "out_of_memory");
    let (_, rows) = shardfit("plan llama-3.1-70b --cluster 1xl4 --format csv").exits(1).csv();
    assert!(rows.is_empty());
}

#[test]
fn impossible_targets_say_which_target_was_missed() {
    let json = shardfit("plan llama-3.1-70b --cluster 8xh100-sxm --tpot 1ms --format json").exits(1).json();
    let reasons: Vec<_> = json["rejected"].as_array().unwrap().iter().map(|r| r["reason"].clone()).collect();
    assert!(reasons.iter().any(|r| r == "tpot_missed"), "{reasons:?}");
    let table = shardfit("plan llama-3.1-70b --cluster 8xh100-sxm --tpot 1ms").exits(1);
    assert!(table.stdout.contains("misses the target of 1.00 ms"), "{}", table.stdout);
    assert!(table.stdout.contains("no latency targets"), "{}", table.stdout);
}

#[test]
fn explain_shows_the_operators_of_a_rank() {
    let run = shardfit(&format!("{README} --explain 1")).exits(0).says(&[
        "qkv_proj",
        "decode_attention",
        "prefill_attention",
        "attention_all_reduce",
    ]);
    insta::assert_snapshot!("plan_explain", run.stdout);
}

#[test]
fn explaining_a_rank_that_does_not_exist_is_bad_input() {
    for (rank, said) in [("99", "no rank 99"), ("0", "a whole number from 1")] {
        let run = shardfit(&format!("{README} --explain {rank}")).exits(2);
        assert_eq!(run.stdout, "");
        assert!(run.stderr.contains(said), "{}", run.stderr);
    }
}

#[test]
fn the_pareto_front_trades_time_per_token_for_throughput() {
    let json = plan_json("llama-3.1-70b --cluster 8xh100-sxm");
    let front = json["pareto"].as_array().unwrap();
    assert!(front.len() > 2);
    let figures: Vec<_> =
        front.iter().map(|p| (number(p, "tpot_ms"), number(p, "output_tokens_per_s_per_gpu"))).collect();
    for pair in figures.windows(2) {
        assert!(pair[0].0 <= pair[1].0 && pair[0].1 < pair[1].1, "{pair:?}");
    }
    let (_, rows) = shardfit("plan llama-3.1-70b --cluster 8xh100-sxm --pareto --format csv").exits(0).csv();
    assert_eq!(rows.len(), front.len());
    shardfit("plan llama-3.1-70b --cluster 8xh100-sxm --pareto").exits(0);
}

#[test]
fn why_not_names_the_rule_that_a_layout_breaks() {
    shardfit("plan llama-3.1-70b --cluster 8xh100-sxm --why-not tp=3")
        .exits(1)
        .says(&["tp=3 does not divide 64 attention heads", "divisors: 1, 2, 4, 8"]);
    shardfit("plan llama-3.1-70b --cluster 8xh100-sxm --why-not tp=1").exits(1).says(&["GiB short"]);
    shardfit("plan llama-3.1-70b --cluster 8xh100-sxm --why-not tp=4,pp=4").exits(1).says(&["no place"]);
    shardfit("plan llama-3.1-8b --cluster 8xh100-sxm --why-not ep=2").exits(1).says(&["mixture of experts"]);
}

#[test]
fn why_not_of_a_good_layout_says_that_it_is_feasible() {
    shardfit("plan llama-3.1-70b --cluster 8xh100-sxm --why-not 'tp=4, pp=1'").exits(0).says(&["feasible"]);
}

#[test]
fn why_not_answers_for_every_engine_and_format() {
    let run =
        shardfit("plan llama-3.1-70b --cluster 8xh100-sxm --engine any --weights bf16,fp8 --why-not tp=8")
            .exits(0);
    assert_eq!(run.stdout.lines().count(), 8, "{}", run.stdout);
}

#[test]
fn a_result_file_holds_what_stdout_would() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plans.json");
    let to_file = shardfit(&format!("{README} --format json -o {}", path.display())).exits(0);
    assert_eq!(to_file.stdout, "");
    assert_eq!(fs::read_to_string(&path).unwrap(), shardfit(&format!("{README} --format json")).stdout);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
}

#[test]
fn an_error_leaves_an_existing_result_file_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plans.csv");
    fs::write(&path, "last week's plans\n").unwrap();
    let line = |rest: &str| format!("plan llama-3.1-70b --cluster 8xh100-sxm {rest} -o {}", path.display());
    for rest in ["--isl 0", "--explain 99", "--cluster 8xh100-smx", "--format xlsx", "--why-not tp=x"] {
        assert_eq!(shardfit(&line(rest)).code, 2, "{rest}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "last week's plans\n", "{rest}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn llama_405b_in_bf16_runs_on_two_nodes_with_tp_8_and_pp_2() {
    let json = plan_json("llama-3.1-405b --cluster 16xh100-sxm --weights bf16");
    let found = plans(&json).iter().find(|p| p["tp"] == 8 && p["pp"] == 2);
    let plan = found.unwrap_or_else(|| panic!("{json:#}"));
    assert_eq!(plan["gpus"], 16);
    // 405.85 B parameters of two bytes over sixteen GPUs: at least 47 GiB each.
    assert!((47.0..52.0).contains(&number(plan, "memory.weights_gib")), "{plan:#}");
    let one_node = plan_json("llama-3.1-405b --cluster 8xh100-sxm --weights bf16");
    assert_eq!(number(&one_node, "space.feasible"), 0.0);
}

#[test]
fn gpus_that_no_plan_uses_are_named() {
    let json = plan_json("llama-3.1-70b --cluster 7xh100-sxm");
    let best = &plans(&json)[0];
    assert!(number(best, "idle_gpus") > 0.0, "{best:#}");
    for plan in plans(&json) {
        assert_eq!(number(plan, "gpus") + number(plan, "idle_gpus"), 7.0);
    }
    shardfit("plan llama-3.1-70b --cluster 7xh100-sxm").exits(0).says(&["idle", "of 7 GPUs idle"]);
}

#[test]
fn no_plan_uses_more_gpus_than_there_are() {
    for (question, gpus) in [
        ("llama-3.1-70b --cluster 7xh100-sxm", 7.0),
        ("mixtral-8x22b --cluster 12xa100-sxm-80gb --engine any", 12.0),
        ("deepseek-v3 --cluster 3x8xh200-sxm --engine any", 24.0),
        ("llama-3.1-8b --cluster 5xl40s --concurrency 64", 5.0),
    ] {
        let json = plan_json(&format!("{question} --top 1000"));
        assert!(!plans(&json).is_empty(), "{question}");
        for plan in plans(&json) {
            let split = number(plan, "tp") * number(plan, "pp") * number(plan, "attention_dp");
            assert_eq!(split * number(plan, "replicas"), number(plan, "gpus"), "{plan:#}");
            assert_eq!(number(plan, "gpus") + number(plan, "idle_gpus"), gpus, "{plan:#}");
            let ranks_of_experts = number(plan, "ep") * number(plan, "expert_tp");
            let ranks = number(plan, "tp") * number(plan, "attention_dp");
            let dense = question.starts_with("llama");
            assert_eq!(ranks_of_experts, if dense { 1.0 } else { ranks }, "{plan:#}");
        }
    }
}

#[test]
fn three_ranks_for_64_heads_is_a_reason_not_a_crash() {
    let reason = "tp=3 does not divide 64 attention heads";
    // Among others it is a line of the ledger; alone it is a wrong pin.
    shardfit("plan llama-3.1-70b --cluster 8xh100-sxm --tp 3,4 --why").exits(0).says(&[reason]);
    let alone = shardfit("plan llama-3.1-70b --cluster 8xh100-sxm --tp 3").exits(2);
    assert!(alone.stderr.contains(reason), "{}", alone.stderr);
}

#[test]
fn pins_leave_only_the_layouts_asked_for() {
    let json = plan_json("llama-3.1-70b --cluster 8xh100-sxm --tp 4,8 --pp 1 --batch 16");
    assert!(!plans(&json).is_empty());
    for plan in plans(&json) {
        assert!(plan["tp"] == 4 || plan["tp"] == 8);
        assert!(plan["pp"] == 1 && number(plan, "batch") == 16.0, "{plan:#}");
    }
}

#[test]
fn a_prompt_beyond_the_context_is_bad_input_unless_allowed() {
    let question = "plan llama-3.1-8b --cluster 8xh100-sxm --isl 200000";
    let run = shardfit(question).exits(2);
    assert!(run.stderr.contains("131072") && run.stderr.contains("--allow-long-context"), "{}", run.stderr);
    shardfit(&format!("{question} --allow-long-context")).exits(0);
}

#[test]
fn a_given_concurrency_is_shared_by_the_replicas() {
    let json = plan_json("llama-3.1-8b --cluster 8xh100-sxm --concurrency 64");
    assert!(!plans(&json).is_empty());
    for plan in plans(&json) {
        let in_flight = number(plan, "batch") * number(plan, "replicas");
        assert!((in_flight - 64.0).abs() < 1e-3, "{plan:#}");
    }
}

#[test]
fn every_plan_for_a_rate_serves_that_rate() {
    let json = plan_json("llama-3.1-8b --cluster 8xh100-sxm --rate '300 req/min'");
    assert!(!plans(&json).is_empty());
    for plan in plans(&json) {
        assert!((number(plan, "requests_per_s") - 5.0).abs() < 0.05, "{plan:#}");
    }
    let too_fast = shardfit("plan llama-3.1-70b --cluster 4xh100-sxm --rate 5000").exits(1);
    assert!(too_fast.stdout.contains("rate_missed"), "{}", too_fast.stdout);
}

#[test]
fn any_engine_means_all_that_run_on_the_gpu() {
    let one = plan_json("llama-3.1-70b --cluster 8xh100-sxm");
    let all = plan_json("llama-3.1-70b --cluster 8xh100-sxm --engine any --top 100");
    let two = plan_json("llama-3.1-70b --cluster 8xh100-sxm --engine vllm,trtllm");
    assert_eq!(number(&all, "space.plans"), 4.0 * number(&one, "space.plans"));
    assert_eq!(number(&two, "space.plans"), 2.0 * number(&one, "space.plans"));
    for engine in ["vllm", "sglang", "trtllm", "llama.cpp"] {
        assert!(plans(&all).iter().any(|p| p["engine"] == engine), "{engine}");
    }
}

#[test]
fn narrower_weights_and_cache_take_less_memory() {
    let at_tp8 = |rest: &str| {
        let json = plan_json(&format!("llama-3.1-70b --cluster 8xh100-sxm --tp 8 --pp 1 {rest}"));
        plans(&json)[0].clone()
    };
    let (wide, narrow) = (at_tp8(""), at_tp8("--weights fp8 --kv fp8"));
    assert_eq!((&narrow["weights"], &narrow["kv"]), (&"fp8".into(), &"fp8".into()));
    assert!(number(&narrow, "memory.weights_gib") < 0.55 * number(&wide, "memory.weights_gib"));
    assert!(number(&narrow, "memory.kv_cache_tokens") > 2.0 * number(&wide, "memory.kv_cache_tokens"));
}

#[test]
fn an_fp8_format_on_a_gpu_without_it_never_computes_in_fp8() {
    // A100 has no FP8 arithmetic; vLLM widens FP8 weights to 16 bits, TensorRT-LLM does not.
    let run = shardfit("plan llama-3.1-8b --cluster 1xa100-sxm-80gb --engine trtllm --weights fp8").exits(1);
    assert!(run.stdout.contains("does not compute in fp8"), "{}", run.stdout);
}

#[test]
fn doubling_the_price_doubles_the_cost_and_nothing_else() {
    let of = |usd: &str| plan_json(&format!("llama-3.1-70b --cluster 8xh100-sxm --price h100-sxm={usd}"));
    let (cheap, dear) = (of("1.5"), of("3"));
    for (a, b) in plans(&cheap).iter().zip(plans(&dear)) {
        let ratio = number(b, "cost_usd_per_mtok_output") / number(a, "cost_usd_per_mtok_output");
        assert!((ratio - 2.0).abs() < 1e-4, "{ratio}");
        assert_eq!(a["output_tokens_per_s"], b["output_tokens_per_s"]);
        let per_output = number(a, "cost_usd_per_mtok_output") / number(a, "cost_usd_per_mtok_total");
        assert!((per_output - (2048.0 + 512.0) / 512.0).abs() < 1e-3, "{per_output}");
    }
}

#[test]
fn a_price_of_a_gpu_that_another_pool_has_is_taken() {
    let line = "plan llama-3.1-8b --cluster 2xh100-sxm+2xl4 --format json";
    let (own, dear) = (shardfit(line).exits(0), shardfit(&format!("{line} --price l4=9")).exits(0));
    assert_ne!(own.stdout, dear.stdout);
}

#[test]
fn stdout_is_the_result_and_stderr_the_talk() {
    let plain = shardfit(&format!("{README} --format json")).exits(0);
    assert_eq!(plain.stderr, "");
    let timed = shardfit(&format!("{README} --format json --timings")).exits(0);
    assert_eq!(timed.stdout, plain.stdout);
    assert!(timed.stderr.contains("search"), "{}", timed.stderr);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = command()
        .args(words("plan deepseek-v3 --cluster 8xh200-sxm --engine any --top 1000 --format json"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}

#[test]
fn nothing_is_coloured_in_a_pipe_or_with_no_color() {
    for variables in [&[][..], &[("NO_COLOR", "1")], &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]] {
        for line in [README, "plan llama-3.1-70b --cluster nowhere", "plan --nonsense", "--help"] {
            let run = shardfit_with(line, variables);
            assert!(!run.stdout.contains('\x1b') && !run.stderr.contains('\x1b'), "{line} {variables:?}");
        }
    }
}

#[test]
fn tables_are_as_wide_as_they_need_in_a_pipe() {
    let narrow = shardfit_with(README, &[("COLUMNS", "40")]);
    assert_eq!(narrow.stdout, shardfit(README).stdout);
}

#[test]
fn uncalibrated_times_say_so() {
    let json = plan_json("llama-3.1-8b --cluster 1xmi300x");
    assert!(plans(&json).iter().all(|p| p["provenance"] != "fitted"));
    shardfit("plan llama-3.1-8b --cluster 1xmi300x").exits(0).says(&["Kernel times are uncalibrated"]);
}

#[test]
fn an_answer_is_headed_by_the_name_that_was_asked_for() {
    for cluster in ["8 x H100", "h100x8", "2xp5.48xlarge", "ND96isr_H100_v5"] {
        let line = format!("plan llama-3.1-8b --cluster '{cluster}' --top 1 --verify 0");
        let head = shardfit(&line).exits(0).stdout;
        assert!(head.lines().next().unwrap().contains(&format!(" on {cluster} (")), "{head}");
        assert_eq!(plan_json(&format!("llama-3.1-8b --cluster '{cluster}' --top 1"))["cluster"], cluster);
    }
    shardfit("estimate llama-3.1-8b --gpu 'RTX 4090'").says(&[" on 1xRTX 4090 (1 GPU, uncalibrated)"]);
}

#[test]
fn a_version_that_nobody_described_is_warned_of_wherever_an_engine_is_named() {
    let newest = shardfit::catalog::engine("vllm").unwrap().version;
    let said = format!(
        "vllm 0.99.0 is newer than {newest}, the newest that is described: the rules of vllm {newest} stand in"
    );
    let lines = [
        "plan llama-3.1-8b --cluster 2xh100-sxm --top 1 --engine vllm@0.99",
        "estimate llama-3.1-8b --gpu h100-sxm --engine vllm@0.99",
        "size llama-3.1-8b --gpu h100-sxm --rate 5 --engine vllm@0.99",
        "simulate llama-3.1-8b --gpu h100-sxm --concurrency 4 --requests 20 --engine vllm@0.99",
    ];
    for line in lines {
        let table = shardfit(line).exits(0).says(&[&said]);
        assert!(table.stderr.contains(&format!("warning: {said}")), "{line}\n{}", table.stderr);
        let json = shardfit(&format!("{line} --json")).exits(0);
        assert!(json.stderr.contains(&format!("warning: {said}")), "{line}\n{}", json.stderr);
        let notes = json.json()["notes"].as_array().unwrap().clone();
        assert!(notes.iter().any(|note| note.as_str().unwrap().starts_with(&said)), "{line}\n{notes:?}");
        // One that cannot be: which there are is said instead.
        let impossible = shardfit(&line.replace("@0.99", "@0.0.1")).exits(2);
        assert!(impossible.stderr.contains(&format!("{newest} and later")), "{line}\n{}", impossible.stderr);
    }
    let today = "plan llama-3.1-8b --cluster 2xh100-sxm --top 1 --current tp=1,engine=vllm@0.99";
    assert!(shardfit(today).exits(0).stderr.contains(&said));
    let folder = tempfile::tempdir().unwrap();
    let rows = folder.path().join("rows.csv");
    fs::write(&rows, "id,engine,engine_version,model,gpu,tp,kv_cache_gib_per_gpu\n1,vllm,0.99.0,llama-3.1-8b,h100-sxm,1,40\n").unwrap();
    let run = shardfit(&format!("validate memory {}", rows.display()));
    assert!(run.stderr.contains(&said), "{}{}", run.stdout, run.stderr);
}

#[test]
fn plans_on_a_gpu_without_measurements_are_marked_in_head_and_table() {
    let run = shardfit("plan llama-3.1-8b --cluster 8xmi300x --top 2 --verify 0").exits(0);
    run.clone().says(&["8xmi300x (8 GPUs, uncalibrated)", "kernels", "Kernel times are uncalibrated"]);
    let marked = run.stdout.lines().filter(|line| line.contains("uncalibrated")).count();
    assert_eq!(marked, 7, "head, three plans that are named, two rows and a remark\n{}", run.stdout);
    let plain = shardfit("plan llama-3.1-8b --cluster 8xh100-sxm --top 2 --verify 0").exits(0);
    assert!(!plain.stdout.contains("uncalibrated") && !plain.stdout.contains("kernels"), "{}", plain.stdout);
    // Where GPUs compete, the best that was measured stands beside.
    let mixed = "plan llama-3.1-8b --cluster 8xh100-sxm+8xmi300x --top 1 --verify 0";
    shardfit(mixed).exits(0).says(&["mi300x uncalibrated)", "Best with measured kernels: 8 × h100-sxm"]);
    let json = shardfit(&format!("{mixed} --json")).exits(0).json();
    assert_eq!(json["calibrated_runner_up"]["gpu"], "h100-sxm");
    assert_eq!(json["calibrated_runner_up"]["provenance"], "fitted");
}

#[test]
fn without_limits_three_plans_are_named_and_leave_a_tenth_of_the_cache() {
    for question in [
        "deepseek-v3 --cluster 8xh200-sxm",
        "llama-3.1-70b --cluster 8xh100-sxm",
        "qwen3-32b --cluster 4xh100-sxm",
    ] {
        let json = plan_json(&format!("{question} --top 3"));
        let named = |name: &str| json["named"][name].clone();
        let [fastest, balanced, most] = ["fastest", "balanced", "most_throughput"].map(named);
        assert!(number(&fastest, "e2e_ms") < number(&balanced, "e2e_ms"), "{question}");
        assert!(number(&balanced, "e2e_ms") < number(&most, "e2e_ms"), "{question}");
        assert!(number(&fastest, "output_tokens_per_s") < number(&balanced, "output_tokens_per_s"));
        assert!(number(&balanced, "output_tokens_per_s") < number(&most, "output_tokens_per_s"));
        let worth = |p: &Value| number(p, "output_tokens_per_s") / number(p, "e2e_ms");
        assert!(worth(&balanced) >= worth(&fastest) && worth(&balanced) >= worth(&most), "{question}");
        for plan in [&fastest, &balanced, &most].into_iter().chain(plans(&json)) {
            assert!(
                number(plan, "headroom_gib") >= 0.1 * number(&plan["memory"], "kv_cache_gib"),
                "{question}"
            );
            assert!(
                number(plan, "simulated_e2e_p99_ms") > number(plan, "simulated_e2e_p50_ms"),
                "{question}"
            );
        }
        assert_eq!(most["tp"], plans(&json)[0]["tp"], "{question}: the list by throughput begins with it");
    }
    let limited = plan_json("qwen3-32b --cluster 4xh100-sxm --tpot 40ms --top 1");
    assert!(limited["named"].is_null());
    let emitted = shardfit("plan qwen3-32b --cluster 4xh100-sxm --emit command --rank balanced").exits(0);
    let batch = number(&plan_json("qwen3-32b --cluster 4xh100-sxm --top 1")["named"]["balanced"], "batch");
    emitted.says(&[&format!("--max-num-seqs {batch}")]);
    let run =
        shardfit("plan qwen3-32b --cluster 4xh100-sxm --tpot 40ms --emit command --rank balanced").exits(2);
    assert!(run.stderr.contains("this question has no plan called `balanced`"), "{}", run.stderr);
    let run = shardfit("plan qwen3-32b --cluster 4xh100-sxm --emit command --rank balance").exits(2);
    assert!(run.stderr.contains("did you mean `balanced`"), "{}", run.stderr);
}

/// No published launch on a node with NVLink has pipeline stages inside it: `truth/reports/launches.csv`, InferenceX.
#[test]
fn stages_inside_a_node_with_nvlink_come_after_layouts_that_are_run_unless_twice_as_good() {
    for question in [
        "deepseek-v3 --cluster 8xh200-sxm",
        "llama-3.1-70b --cluster 8xh100-sxm",
        "qwen3-235b-a22b --cluster 8xh200-sxm --tpot 40ms",
    ] {
        let json = plan_json(&format!("{question} --top 20 --verify 0"));
        assert!(plans(&json).iter().any(|p| p["pp"] == 1), "{question}");
        assert_eq!(plans(&json)[0]["pp"], 1, "{question}");
        let weighed =
            |p: &Value| number(p, "output_tokens_per_s") * if p["practice"] == "usual" { 1.0 } else { 0.5 };
        assert!(plans(&json).is_sorted_by(|a, b| weighed(a) >= weighed(b)), "{question}");
        assert!(plans(&json).iter().all(|p| (p["practice"] == "unusual") == (p["pp"] != 1)), "{question}");
    }
    // Over PCIe stages are common, and where a question pins them they are the answer.
    let pcie = plan_json("llama-3.1-8b --cluster 4xl40s --top 20 --verify 0");
    assert!(plans(&pcie).iter().all(|p| p["practice"] == "usual"));
    assert_eq!(plans(&plan_json("llama-3.1-70b --cluster 8xh100-sxm --pp 2 --top 1"))[0]["pp"], 2);
}

#[test]
fn a_limit_at_a_percentile_holds_as_simulated_and_is_named_in_the_first_line() {
    let question = "llama-3.1-8b --cluster 2xl40s --isl 1024 --osl 256 --top 2";
    let first = |limits: &str| plans(&plan_json(&format!("{question} {limits}")))[0].clone();
    let (mean, tail) = (first("--ttft 400ms"), first("--ttft p95:400ms"));
    assert!(
        number(&tail, "simulated_ttft_p95_ms") <= 400.0 && number(&mean, "simulated_ttft_p95_ms") > 400.0
    );
    assert_eq!(number(&tail, "simulated_ttft_ms"), number(&tail, "simulated_ttft_p95_ms"));
    assert!(number(&tail, "simulated_output_tokens_per_s") <= number(&mean, "simulated_output_tokens_per_s"));
    assert_eq!(first("--ttft 400ms --percentile p95"), tail);
    let head = |limits: &str| {
        let run = shardfit(&format!("plan {question} {limits}")).exits(0);
        run.stdout.lines().next().unwrap_or_default().to_owned()
    };
    assert!(head("--ttft 400ms --tpot 40ms").ends_with(", limits on the mean"));
    assert!(head("--ttft p95:400ms").ends_with(", limits on p95"));
    assert!(head("--ttft p95:400ms --tpot 40ms").ends_with(", limits on p95 of TTFT, the mean of TPOT"));
    for (wrong, said) in [
        ("--ttft p100:1s", "`p100` is not a percentile"),
        ("--ttft p95:1s --verify 0", "only what is simulated"),
    ] {
        let run = shardfit(&format!("plan {question} {wrong}")).exits(2);
        assert!(run.stderr.contains(said), "{}", run.stderr);
    }
    let run = shardfit("estimate llama-3.1-8b --gpu l40s --ttft p95:1s").exits(2);
    assert!(run.stderr.contains("holds no limit at a percentile"), "{}", run.stderr);
}

/// vLLM refuses to start where one request of the model's whole context finds no room: v1/core/kv_cache_utils.py.
#[test]
fn a_plan_that_does_not_start_at_the_default_length_names_the_flag_that_it_needs() {
    let question = "llama-3.1-70b --cluster 2xh100-sxm --top 1 --verify 0";
    let plan = plans(&plan_json(question))[0].clone();
    let flag = plan["needs_flag"].as_str().expect("a flag").to_owned();
    let tokens: f64 = flag.strip_prefix("--max-model-len ").unwrap().parse().unwrap();
    assert!((2560.0..131_072.0).contains(&tokens), "{flag}");
    assert!(tokens <= number(&plan["memory"], "kv_cache_tokens"), "{flag}");
    shardfit(&format!("plan {question}")).exits(0).says(&[&format!("The best plan starts with {flag}:")]);
    // The whole context of 131,072 tokens fits four of them, and SGLang starts without.
    let smaller = "llama-3.1-70b --cluster 2xh100-sxm --engine sglang --max-batched-tokens 2048";
    for without in ["llama-3.1-70b --cluster 4xh100-sxm", smaller] {
        assert!(plans(&plan_json(&format!("{without} --top 1 --verify 0")))[0]["needs_flag"].is_null());
    }
}

#[test]
fn a_server_whose_cache_holds_no_request_is_no_plan_and_the_engines_own_knobs_are_offered() {
    // What SGLang keeps back for steps of 8,192 tokens leaves the weights of 70B on two H100 no cache (-0.7 GiB): memory is
    // known to about that, so that such a launch may start, and nobody deploys it.
    let question = "llama-3.1-70b --cluster 2xh100-sxm --engine sglang --top 1 --verify 0";
    let run = shardfit(&format!("plan {question}")).exits(1);
    assert!(run.stdout.contains("--max-batched-tokens 2048"), "{}", run.stdout);
}

#[test]
fn a_plan_far_below_its_limits_is_surer_to_hold_than_one_at_them() {
    let first = |limits: &str| {
        let json = plan_json(&format!("llama-3.1-8b --cluster 1xh100-sxm --concurrency 16 --top 1 {limits}"));
        plans(&json)[0].clone()
    };
    let times = first("");
    assert!(times["holds_percent"].is_null(), "nothing is to be held");
    let tpot = number(&times, "simulated_tpot_ms");
    let at = |share: f64| number(&first(&format!("--tpot {}ms", tpot * share)), "holds_percent");
    let (near, far) = (at(1.01), at(1.5));
    assert!((30.0..=80.0).contains(&near) && far >= 95.0, "{near} {far}");
    assert_eq!(far, at(1.5));
}

#[test]
fn batches_lists_every_batch_of_the_layouts_with_that_of_the_plan_among_them() {
    let asked = "--cluster 2xh100-sxm --tpot 30ms --top 3 --batches --verify 0";
    let json = plan_json(&format!("llama-3.1-8b {asked}"));
    let batches = json["batches"].as_array().unwrap();
    for plan in plans(&json) {
        let of: Vec<&Value> = batches.iter().filter(|b| b["rank"] == plan["rank"]).collect();
        assert!(of.len() > 3, "{}", of.len());
        assert!(of.iter().all(|b| b["tp"] == plan["tp"] && number(b, "tpot_ms") <= 30.0));
        assert!(of.windows(2).all(|pair| number(pair[0], "batch") < number(pair[1], "batch")));
        assert!(
            of.iter().any(|b| b["batch"] == plan["batch"] && b["tpot_ms"] == plan["tpot_ms"]),
            "{plan:#}"
        );
    }
    let (_, rows) = shardfit(&format!("plan llama-3.1-8b {asked} --csv")).exits(0).csv();
    assert_eq!(rows.len(), batches.len());
    shardfit("plan llama-3.1-8b --cluster 2xh100-sxm --concurrency 8 --batches").exits(2);
}

#[test]
fn where_no_thread_can_be_had_one_does_the_work() {
    let line = "plan llama-3.1-8b --cluster 2xh100-sxm --tpot 30ms --format json";
    // No stack of such a size can be had, and so no thread.
    let alone = shardfit_with(line, &[("RUST_MIN_STACK", "100000000000000000")]).exits(0);
    assert_eq!(alone.stdout, shardfit(line).exits(0).stdout);
}

#[test]
fn slices_of_gpus_work_alone() {
    // A process sees one MIG slice: NVIDIA's MIG user guide, "Application considerations".
    let run =
        shardfit("plan llama-3.2-1b --cluster 4xa100-sxm-80gb-mig-1g.10gb --concurrency 8 --format json");
    let answer = run.exits(0).json();
    for plan in answer["plans"].as_array().expect("a list") {
        assert_eq!((&plan["tp"], &plan["pp"]), (&1.into(), &1.into()), "{plan}");
    }
    let fell = answer["rejected"].as_array().expect("a list").iter();
    assert!(fell.filter(|r| r["reason"] == "slices_work_alone").count() == 1, "{answer}");
}

#[test]
fn an_fp8_cache_comes_with_the_formats_whose_checkpoints_say_so() {
    // TensorRT-LLM, KvCacheConfig.dtype auto: ModelOpt's FP8 and NVFP4 checkpoints say an FP8 cache, MXFP4 and block FP8 none.
    let kv = |asked: &str| {
        let run = shardfit(&format!("estimate {asked} --engine trtllm --format json"));
        run.exits(0).json()["kv"].as_str().expect("a type").to_owned()
    };
    assert_eq!(kv("llama-3.3-70b --gpu h100-sxm --tp 4 --weights fp8"), "fp8");
    assert_eq!(kv("gpt-oss-120b --gpu h100-sxm --tp 2"), "bf16");
    assert_eq!(kv("qwen3-32b-fp8 --gpu h100-sxm"), "bf16");
}

#[test]
fn words_that_mean_another_option_are_answered_for_the_command_at_hand() {
    for (line, said) in [
        ("fit --gpu rtx-4090", "`--cluster 1xrtx-4090`"),
        ("fit --cluster 1xrtx-4090 --ctx 32k", "`--context 32k`"),
        ("plan llama-3.1-8b --cluster 1xl4 --ctx 32k", "`--max-model-len 32k`"),
        ("train llama-3.1-8b --cluster 8xh100-sxm --batch-size 8", "`--micro-batch 8`"),
        ("size llama-3.1-8b --gpu l40s --rate 5 --budget 300", "`--objective cost`"),
        ("plan llama-3.1-8b --cluster 8xl40s --budget 300", "`--max-price 300`"),
    ] {
        let run = shardfit(line).exits(2);
        assert!(run.stderr.contains(said), "{line}\n{}", run.stderr);
    }
}

#[test]
fn amounts_are_read_as_people_write_them() {
    shardfit("budget --dollars 100k --gpu h100-sxm").exits(0).says(&["25,063", "100,000"]);
    // 800,000 in 86,400 s.
    shardfit("plan llama-3.1-8b --cluster 8xh100-sxm --rate \"800k req/day\" --top 1")
        .exits(0)
        .says(&["9.25926 req/s"]);
}

#[test]
fn caches_that_are_too_small_for_their_users_are_said_to_be() {
    let asked = "plan llama-3.3-70b --cluster 8xh100-sxm --sessions coding-agent --top 1";
    shardfit(&format!("{asked} --users 40"))
        .exits(0)
        .says(&["The caches are too small for 40 users", "--kv-tiers"]);
    let few = shardfit(&format!("{asked} --users 2")).exits(0);
    assert!(!few.stdout.contains("too small"), "{}", few.stdout);
}
