//! `shardfit sweep` through the binary.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use crate::common::{self, parse_csv, shardfit};

const SCENARIO: &str = "tests/data/valid/scenario.yaml";

/// Models × clusters × workloads × targets of that file.
const CASES: usize = 3 * 3 * 3 * 2;

fn sweep(scenario: &str, folder: &Path) -> common::Run {
    shardfit(&format!("sweep {scenario} -o {}", folder.display()))
}

/// The rows of a sweep, each as a function from column to cell.
fn results(folder: &Path) -> (Vec<String>, Vec<Vec<String>>) {
    parse_csv(&fs::read_to_string(folder.join("results.csv")).expect("results.csv"))
}

#[test]
fn a_sweep_answers_every_case_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let run = sweep(SCENARIO, folder.path()).exits(0);
    assert_eq!(run.stdout, "");
    assert!(run.stderr.contains(&format!("{CASES} cases")), "{}", run.stderr);
    let (header, rows) = results(folder.path());
    let cell = |row: &[String], name: &str| row[header.iter().position(|c| c == name).unwrap()].clone();
    assert_eq!(rows.len(), CASES);
    for (row, number) in rows.iter().zip(1..) {
        assert_eq!(cell(row, "case"), number.to_string());
        let found = cell(row, "status") == "found";
        assert_eq!(found, cell(row, "feasible") != "0", "{row:?}");
        assert_eq!(found, !cell(row, "tpot_ms").is_empty(), "{row:?}");
        assert_eq!(found, cell(row, "reason").is_empty(), "{row:?}");
    }
    let statuses: std::collections::BTreeSet<_> = rows.iter().map(|r| cell(r, "status")).collect();
    let expected = ["context_exceeded", "found", "nothing_feasible"].map(str::to_owned);
    assert_eq!(statuses.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn a_scenario_says_where_plans_are_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("review.yaml");
    let text = "name: x\nmodels: [llama-3.1-70b]\nclusters: [8xh100-sxm]\n\
                workloads: [{name: w, isl: 2000, osl: 500}]\ntargets: [{name: t, tpot: 50 ms}]\n\
                search: {mode: split, tp: [4], prefill_tp: 1..2, max_batched_tokens: 4096}\n";
    fs::write(&scenario, text).unwrap();
    let out = folder.path().join("out");
    sweep(&scenario.display().to_string(), &out).exits(0);
    let (header, rows) = results(&out);
    let cell = |name: &str| rows[0][header.iter().position(|c| c == name).unwrap()].as_str();
    assert_eq!((cell("mode"), cell("tp"), cell("max_batched_tokens")), ("split", "4", "4096"));
    assert!(["1", "2"].contains(&cell("prefill_tp")));
}

#[test]
fn a_case_of_a_sweep_has_the_best_plan_of_the_same_question() {
    let folder = tempfile::tempdir().unwrap();
    sweep(SCENARIO, folder.path()).exits(0);
    let (header, rows) = results(folder.path());
    let column = |name: &str| header.iter().position(|c| c == name).unwrap();
    let wanted = |row: &&Vec<String>| {
        row[column("model")].ends_with("Llama-3.1-8B")
            && row[column("cluster")] == "2xl40s"
            && row[column("workload")] == "chat"
            && row[column("targets")] == "interactive"
    };
    let row = rows.iter().find(wanted).expect("the case");
    let (plan_header, plans) = shardfit(
        "plan llama-3.1-8b --cluster 2xl40s --isl 1024 --osl 256 --ttft 2s --tpot 60ms --engine vllm,sglang \
         --top 1 --format csv",
    )
    .exits(0)
    .csv();
    for (name, cell) in plan_header.iter().zip(&plans[0]).filter(|(name, _)| *name != "rank") {
        assert_eq!(&row[column(name)], cell, "{name}");
    }
}

#[test]
fn the_columns_of_a_plan_are_those_of_a_sweep() {
    let folder = tempfile::tempdir().unwrap();
    sweep(SCENARIO, folder.path()).exits(0);
    let (header, _) = results(folder.path());
    let (plan, _) = shardfit("plan llama-3.1-8b --cluster 1xl40s --format csv").exits(0).csv();
    assert!(plan.iter().filter(|c| *c != "rank").all(|c| header.contains(c)), "{header:?}");
}

#[test]
fn a_sweep_makes_its_folder_and_leaves_nothing_else_there() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("a/b");
    sweep(SCENARIO, &inner).exits(0);
    let files: Vec<_> = fs::read_dir(&inner).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(files.contains(&"results.csv".into()), "{files:?}");
    assert!(files.iter().all(|f| !f.to_string_lossy().starts_with('.')), "{files:?}");
}

#[test]
fn quiet_says_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let run = shardfit(&format!("sweep {SCENARIO} -q -o {}", folder.path().display())).exits(0);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""));
}

#[test]
fn a_sweep_in_which_nothing_is_feasible_exits_1_with_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    sweep("tests/data/valid/hopeless.yaml", folder.path()).exits(1);
    assert_eq!(results(folder.path()).1.len(), 1);
}

#[test]
fn answers_on_gpus_without_measurements_are_marked_beside_the_best_that_was_measured() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("review.yaml");
    let text = "name: x\nmodels: [llama-3.1-8b]\nclusters: [8xmi300x, 8xh100-sxm]\n\
                workloads: [{name: w, isl: 2000, osl: 500}]\ntargets: [{name: t, tpot: 50 ms}]\n\
                engines: [vllm@0.99]\n";
    fs::write(&scenario, text).unwrap();
    let out = folder.path().join("out");
    let run = sweep(&scenario.display().to_string(), &out).exits(0);
    assert!(run.stderr.contains("note: 1 of 1 answers are on GPUs that are uncalibrated"), "{}", run.stderr);
    assert!(run.stderr.contains("warning: vllm 0.99.0 is newer than"), "{}", run.stderr);
    let summary = fs::read_to_string(out.join("summary.md")).unwrap();
    let row = summary.lines().find(|line| line.contains("| w | t |")).expect("the answer");
    let cells: Vec<&str> = row.split('|').map(str::trim).collect();
    assert_eq!(cells[4], "8xmi300x (uncalibrated)", "{row}");
    assert!(cells[12].starts_with("8xh100-sxm: vllm tp=") && cells[12].ends_with("/Mtok out"), "{row}");
    assert!(summary.contains("vllm 0.99.0 is newer than"), "{summary}");
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    let data = page.split("\"calibrated\":{\"cluster\":\"").nth(1).expect("a runner-up in the page");
    assert!(data.starts_with("8xh100-sxm\""));
}

#[test]
fn prices_of_a_scenario_are_those_that_its_summary_shows() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = "name: prices\nmodels: [llama-3.1-8b]\nclusters: [4xl40s]\nprices: {l40s: 0.50 USD/h}\n\
                    workloads: [{name: w, isl: 1000, osl: 250, rate: 5 req/s}]\ntargets: [{name: t, tpot: 40ms}]\n";
    let file = folder.path().join("prices.yaml");
    fs::write(&file, scenario).unwrap();
    let out = folder.path().join("out");
    shardfit(&format!("sweep {} -o {} --quiet", file.display(), out.display())).exits(0);
    let summary = fs::read_to_string(out.join("summary.md")).unwrap();
    assert!(summary.contains("| 0.50 | stated by the scenario |"), "{summary}");
}

#[test]
fn the_best_plan_of_a_case_keeps_its_targets_as_simulated_and_on_percentiles() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = "name: held\nmodels: [llama-3.1-8b]\nclusters: [4xl40s]\n\
                    workloads: [{name: w, isl: 1000, osl: 250, rate: 5 req/s}]\n\
                    targets: [{name: mean, tpot: 40ms}, {name: late, tpot: p95:40ms}, {name: all, tpot: 40ms, percentile: p95}]\n";
    let file = folder.path().join("held.yaml");
    fs::write(&file, scenario).unwrap();
    let out = folder.path().join("out");
    shardfit(&format!("sweep {} -o {} --quiet", file.display(), out.display())).exits(0);
    let mut results = csv::Reader::from_path(out.join("results.csv")).unwrap();
    let rows: Vec<HashMap<String, String>> = results.deserialize().collect::<Result<_, _>>().unwrap();
    let of = |row: &HashMap<String, String>, key: &str| row[key].parse::<f64>().unwrap();
    assert_eq!(
        rows.iter().map(|row| row["target_tpot_on"].as_str()).collect::<Vec<_>>(),
        ["mean", "p95", "p95"]
    );
    assert!(rows.iter().all(|row| of(row, "simulated_tpot_ms") <= 40.0), "{rows:?}");
    assert!(of(&rows[1], "simulated_tpot_p95_ms") <= 40.0);
    assert_eq!(rows[1]["simulated_tpot_ms"], rows[2]["simulated_tpot_ms"]);
    // The closed form alone has no percentiles.
    fs::write(&file, format!("{scenario}search: {{verify: 0}}\n")).unwrap();
    let run = shardfit(&format!("sweep {} -o {} --quiet", file.display(), folder.path().join("b").display()))
        .exits(2);
    assert!(run.stderr.contains("only what is simulated has percentiles"), "{}", run.stderr);
}
