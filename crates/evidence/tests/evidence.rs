//! What notes, sources and scripts say of public measurements: through the command, and on the shared files where they
//! are at hand.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use shardfit::catalog;
use shardfit::estimate::context::{Context, ContextParts};
use shardfit::estimate::deployment::Deployment;
use shardfit::estimate::memory::LimitOverrides;
use shardfit::model::{self, Scope};
use shardfit::plan::Parallelism;
use shardfit::simulate::{Drive, Lengths, Protocol, Simulation};
use shardfit::workload::{Load, Targets, Workload};
use shardfit_evidence::waves::waves;

/// What the command answers as JSON.
fn evidence(arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_shardfit-evidence"))
        .args(arguments)
        .args(["--format", "json"])
        .env_remove("SHARDFIT_CATALOG")
        .env_remove("SHARDFIT_KERNELS")
        .env("XDG_CONFIG_HOME", "no-such-folder")
        .env("HF_HUB_OFFLINE", "1")
        .output()
        .expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn rows(name: &str, text: &str) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, text).expect("a folder of its own");
    path.display().to_string()
}

fn figure(json: &Value, path: &[&str]) -> f64 {
    let found = path.iter().fold(json, |at, key| &at[*key]);
    found.as_f64().unwrap_or_else(|| panic!("no {path:?} in {json}"))
}

#[test]
fn rows_in_columns_are_predicted_as_the_product_does() {
    let file = rows("counts.csv", "model,total\nQwen--Qwen2.5-7B-Instruct,7615616512\n");
    let json = evidence(&["validate", "params", &file]);
    assert_eq!(figure(&json, &["metrics", "total", "mape"]), 0.0);
}

#[test]
fn features_that_notes_name_make_a_configuration_unknown() {
    let header = "engine,engine_version,model,gpu,gpu_memory_utilization,quality,notes,weights_gib_per_gpu";
    let row = "vllm,0.19.0,Qwen/Qwen3-8B,h100-sxm,0.9,full-log";
    let file = rows("starts.csv", &format!("{header}\n{row},,15.27\n{row},LMCache on,15.27\n"));
    let json = evidence(&["validate", "memory", &file]);
    for group in ["configuration=known", "configuration=not known"] {
        assert_eq!(figure(&json, &["groups", group, "weights_gib_per_gpu", "n"]), 1.0, "{group}");
    }
}

#[test]
fn flags_of_megatrons_tests_are_read_from_notes() {
    // Gated and with untied embeddings the model is larger, and so is what its GPU holds.
    let header =
        "id,source,framework,model,gpu,num_gpus,num_layers,hidden,heads,seq,mbs,gbs,notes,peak_mem_gib";
    let row = "NVIDIA/Megatron-LM,Megatron-LM CI golden,gpt/made_up,h100-sxm,8,12,2048,16,2048,1,8";
    let notes = ["", "swiglu; untie-embeddings-and-output-weights"];
    let predicted = notes.map(|notes| {
        let file = rows("tests.csv", &format!("{header}\na,{row},{notes},1\n"));
        figure(&evidence(&["validate", "training", &file]), &["metrics", "peak_mem_gib", "mae"])
    });
    assert!(predicted[1] > predicted[0] + 0.5, "{predicted:?}");
}

#[test]
fn what_starts_in_a_burst_goes_in_waves_in_both() {
    // Lengths that differ by a tenth up and down, and an engine whose steps with prompts have fixed costs: bunched
    // prompts share them.
    let workload = Workload { load: Load::Concurrency(32), ..Workload::new(1024, 256) };
    let model = model::find("llama-3.1-70b", &[], Scope::Full).expect("in the catalogue");
    let cluster = catalog::cluster("4xh100-sxm").expect("in the catalogue");
    let engine = catalog::engine("trtllm").expect("in the catalogue");
    let parts = ContextParts {
        model: &model,
        cluster: &cluster,
        engine: &engine,
        limits: LimitOverrides::default(),
        kv: None,
        workload,
        electricity: None,
    };
    let context = Context::new(parts).expect("makes sense");
    let split = Parallelism { tp: 4, ..Parallelism::SINGLE };
    let placement = context.check(split).expect("legal");
    let deployment = Deployment::compile(&context, split, placement);
    let replica = deployment.replica();

    let around = |n: u64| Lengths::Uniform { low: n - n / 10, high: n + n / 10 };
    let drive =
        Drive { lengths: (around(1024), around(256)), ..Drive::new(Protocol::InferenceX, &workload, 1) };
    let simulation = Simulation::new(&replica, drive.arrivals(), drive.requests.window(), Targets::default());
    let simulated = simulation.run(&mut ()).expect("no trace, no error").tpot.mean();
    let (even, (_, waves)) = (replica.at(32.0).tpot, waves(&replica, 32.0, (10.0, 0.2 / 12.0_f64.sqrt())));
    assert!((waves.get() / simulated.get() - 1.0).abs() < 0.06, "{waves} and {simulated}");
    assert!(simulated < even && waves < even, "{simulated}, {waves} and {even}");
}

/// A shared file of measured rows, where there is one.
fn truth(file: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/truth").join(file);
    if !path.is_file() {
        eprintln!("skipped: {} is not at hand", path.display());
        return None;
    }
    Some(path)
}

#[test]
fn published_training_runs_are_predicted_within_their_bounds() {
    let Some(file) = truth("training/throughput.csv") else { return };
    // A model that is said to train faster than it does has its bound in the product's own test.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("throughput.csv");
    let rows = std::fs::read_to_string(file).unwrap();
    let kept = rows.lines().filter(|line| !line.contains("Nemotron_3_Super"));
    std::fs::write(&path, kept.map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    let json = evidence(&["validate", "training", &path.display().to_string(), "--by", "quality"]);
    let all = |metric: &str| figure(&json, &["metrics", metric, "mape"]);
    assert!(all("iteration_s") <= 25.0);
    assert!(all("activation_gib") <= 0.1);
    assert!(all("activation_pct_of_tp_baseline") <= 1.0);
    assert!(all("param_opt_gib") <= 2.0);
    for metric in ["tok_s_gpu", "tflops_per_gpu"] {
        let first = |figure_of: &str| figure(&json, &["groups", "quality=A", metric, figure_of]);
        assert!(first("mape") <= 15.0 && first("median_ape") <= 10.0, "{metric}");
    }
}

#[test]
fn published_memory_of_training_is_predicted_within_a_tenth() {
    let Some(file) = truth("training/memory.csv") else { return };
    let json = evidence(&["validate", "training", &file.display().to_string(), "--by", "framework,quality"]);
    for group in ["framework=torchtitan", "framework=torchtune", "framework=LitGPT", "quality=ci-golden"] {
        let off = figure(&json, &["groups", group, "peak_mem_gib", "mape"]);
        assert!(off <= 10.0, "{group} {off}");
    }
}
