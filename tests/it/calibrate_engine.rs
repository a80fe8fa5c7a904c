//! `calibrate --engine`: constants under which servers were made up come out again, what it writes is used,
//! and what it cannot settle is left alone.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::common::shardfit;

/// What the made-up servers have instead of the catalogue's constants.
const TRUE: &str = "id: vllm\nname: true\nscheduling: {request_overhead: 40 ms, step_overhead: 0.8 ms}\n";

/// Servers of two models on one and two H100, from one request at a time to 64, without measurements.
fn servers(engine: &str) -> String {
    let mut out = "id,engine,engine_version,model,gpu,num_gpus,tp,weight_dtype,isl,osl,concurrency,protocol,\
                   ttft_ms,tpot_ms,quality\n"
        .to_owned();
    let layouts = [("llama-3.1-8b", 1), ("llama-3.1-8b", 2), ("qwen3-8b", 1)];
    for (i, (model, tp)) in layouts.into_iter().enumerate() {
        for isl in [256, 1024, 4096] {
            for concurrency in [1, 2, 4, 8, 16, 32, 64] {
                let _ = writeln!(
                    out,
                    "r{i}-{isl}-{concurrency},{engine},0.21.0,{model},h100-sxm,{tp},{tp},bf16,{isl},256,\
                     {concurrency},steady,1,1,A"
                );
            }
        }
    }
    out
}

/// The servers as predicted under the true constants, the predictions written as measurements.
fn measured(folder: &Path) -> String {
    let truth = folder.join("true/scheduling");
    fs::create_dir_all(&truth).unwrap();
    fs::write(truth.join("vllm.yaml"), TRUE).unwrap();
    let rows = folder.join("rows.csv");
    fs::write(&rows, servers("vllm")).unwrap();
    let predicted = folder.join("predicted.csv");
    let line = "validate serving {rows} --estimator steady --catalog {true} -o {out}";
    let line = line
        .replace("{rows}", &rows.display().to_string())
        .replace("{true}", &folder.join("true").display().to_string())
        .replace("{out}", &predicted.display().to_string());
    shardfit(&line).exits(0);
    let mut reader = csv::Reader::from_path(&predicted).unwrap();
    let headers = reader.headers().unwrap().clone();
    let at = |name: &str| headers.iter().position(|h| h == name).unwrap();
    let (ttft, tpot) = (at("predicted_ttft_ms"), at("predicted_tpot_ms"));
    let mut out = servers("vllm").lines().next().unwrap().to_owned() + "\n";
    for record in reader.records() {
        let record = record.unwrap();
        let cells: Vec<&str> = record.iter().take(12).collect();
        let _ = writeln!(out, "{},{},{},A", cells.join(","), &record[ttft], &record[tpot]);
    }
    fs::write(&rows, out).unwrap();
    rows.display().to_string()
}

#[test]
fn constants_of_made_up_servers_come_out_again_and_the_catalogue_uses_them() {
    let folder = tempfile::tempdir().unwrap();
    let rows = measured(folder.path());
    let mine = folder.path().join("mine");
    fs::create_dir_all(mine.join("scheduling")).unwrap();
    let target = mine.join("scheduling/vllm.yaml");
    let line = format!(
        "calibrate {rows} --engine vllm --estimator steady --leave-out model -o {} --format json",
        target.display()
    );
    let json = shardfit(&line).exits(0).json();

    let constant = |name: &str| -> serde_json::Value {
        let all = json["constants"].as_array().unwrap();
        all.iter().find(|c| c["constant"] == name && c["version"] == "newest").unwrap().clone()
    };
    let fitted = |name: &str| constant(name)["fitted"].as_f64().unwrap();
    // 63 rows do not outweigh all of what is held on to, nor tell the front end from first tokens kept back.
    assert!((fitted("request_overhead") - 40.0).abs() < 8.0, "{}", constant("request_overhead"));
    assert!((fitted("step_overhead") - 0.8).abs() < 0.3, "{}", constant("step_overhead"));
    assert!(constant("prefill_latent_overhead")["fitted"].is_null(), "no model has such a mixer");

    let error = |under: &str, metric: &str| -> f64 {
        let all = json["errors"].as_array().unwrap();
        let found = all.iter().find(|e| e["constants"] == under && e["metric"] == metric).unwrap();
        found["median %"].as_f64().unwrap()
    };
    assert!(error("catalogue", "tpot_ms") > 4.0 && error("catalogue", "ttft_ms") > 10.0, "{json}");
    assert!(error("fitted", "tpot_ms") < 2.0 && error("fitted", "ttft_ms") < 3.0, "{json}");
    assert!(error("leaving out model", "tpot_ms") < 3.0, "{json}");

    let used =
        format!("validate serving {rows} --estimator steady --format json --catalog {}", mine.display());
    let json = shardfit(&used).exits(0).json();
    let after = json["metrics"]["tpot_ms"]["median_ape"].as_f64().unwrap();
    assert!(after < 2.0, "{after}");
    let listed = shardfit(&format!("catalog scheduling --catalog {}", mine.display())).exits(0);
    assert!(listed.stdout.contains("vllm as calibrated"), "{}", listed.stdout);
    shardfit(&format!("check {}", target.display())).exits(0);
}

#[test]
fn fewer_than_40_rows_settle_nothing_and_write_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let rows = folder.path().join("rows.csv");
    let few: Vec<String> = servers("vllm").lines().take(31).map(str::to_owned).collect();
    fs::write(&rows, few.join("\n")).unwrap();
    let target = folder.path().join("vllm.yaml");
    let line =
        format!("calibrate {} --engine vllm --estimator steady -o {}", rows.display(), target.display());
    let run = shardfit(&line).exits(1);
    assert!(run.stdout.contains("left alone: fewer than 40 rows move with it"), "{}", run.stdout);
    assert!(!target.exists());
}

#[test]
fn rows_are_chosen_by_engine_and_by_value() {
    let folder = tempfile::tempdir().unwrap();
    let rows = folder.path().join("rows.csv");
    fs::write(&rows, servers("sglang")).unwrap();
    let line = |rest: &str| format!("calibrate {} --estimator steady {rest}", rows.display());
    let none = shardfit(&line("--engine vllm")).exits(2);
    assert!(none.stderr.contains("no row is of vllm"), "{}", none.stderr);
    let none = shardfit(&line("--engine sglang --where quality=B")).exits(2);
    assert!(none.stderr.contains("no row is of sglang"), "{}", none.stderr);
    let wrong = shardfit(&line("--engine sglang --where qualty=A")).exits(2);
    assert!(wrong.stderr.contains("did you mean `quality`"), "{}", wrong.stderr);
    let wrong = shardfit(&line("--engine sglang --leave-out gpus")).exits(2);
    assert!(wrong.stderr.contains("did you mean `gpu`"), "{}", wrong.stderr);
}

#[test]
fn a_file_takes_the_constants_of_one_engine() {
    let folder = tempfile::tempdir().unwrap();
    let rows = folder.path().join("rows.csv");
    fs::write(&rows, servers("vllm")).unwrap();
    let target = folder.path().join("out.yaml");
    let line = format!("calibrate {} --engine vllm,sglang -o {}", rows.display(), target.display());
    let run = shardfit(&line).exits(2);
    assert!(run.stderr.contains("a file holds the constants of one engine"), "{}", run.stderr);
    for flag in ["--leave-out model", "--where quality=A", "--models models"] {
        shardfit(&format!("calibrate {} --gpu h100-sxm {flag}", rows.display())).exits(2);
    }
}
