//! `tools/microbenchmark.py`: what it writes is what `validate kernels` reads.

use std::process::{Command, Output};

use crate::common::{command, parse_csv, shardfit};

/// Runs the script; `None` where there is no Python.
fn python(arguments: &[&str]) -> Option<Output> {
    Command::new("python3").current_dir(env!("CARGO_MANIFEST_DIR")).arg("-B").args(arguments).output().ok()
}

const SCRIPT: &str = "tools/microbenchmark.py";

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("output is UTF-8")
}

/// What identifies a row of each class, as `validate kernels` reads it.
const CLASSES: [(&str, &[&str]); 4] = [
    ("gemm", &["gpu", "engine", "dtype", "m", "n", "k"]),
    (
        "context_attention",
        &["gpu", "engine", "batch_size", "isl", "num_heads", "num_key_value_heads", "head_dim"],
    ),
    (
        "generation_attention",
        &["gpu", "engine", "batch_size", "kv_len", "num_heads", "num_key_value_heads", "head_dim"],
    ),
    ("allreduce", &["gpu", "engine", "op", "num_gpus", "message_bytes"]),
];

#[test]
fn a_dry_run_shows_the_columns_that_are_read_and_the_shapes() {
    let Some(output) = python(&[SCRIPT, "--dry-run"]) else {
        eprintln!("skipped: no python3");
        return;
    };
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    for (class, needed) in CLASSES {
        let (_, part) =
            said.split_once(&format!("# {class}: ")).unwrap_or_else(|| panic!("no {class}\n{said}"));
        let (_, part) = part.split_once('\n').unwrap();
        let csv: Vec<&str> = part.lines().take_while(|line| !line.starts_with('#')).collect();
        let (header, rows) = parse_csv(&csv.join("\n"));
        for column in needed.iter().chain(&["kernel_class", "latency_us"]) {
            assert!(header.iter().any(|name| name == column), "{class} lacks {column}: {header:?}");
        }
        assert!(rows.len() >= 40, "{class}: {} shapes", rows.len());
    }
}

#[test]
fn planned_shapes_can_all_be_predicted() {
    let Some(output) = python(&[SCRIPT, "--dry-run", "--only", "gemm", "--gpu", "h100-sxm"]) else {
        eprintln!("skipped: no python3");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gemm.csv");
    let said = text(&output.stdout);
    let (_, csv) = said.split_once('\n').unwrap();
    std::fs::write(&file, csv).unwrap();
    let json = shardfit(&format!("validate kernels {} --format json", file.display())).exits(0).json();
    assert_eq!(json["predicted"], json["rows"]);
}

#[test]
fn without_pytorch_it_says_what_is_missing_and_with_it_its_rows_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().display().to_string();
    let Some(output) = python(&[SCRIPT, "--device", "cpu", "--quick", "--gpu", "h100-sxm", "-o", &here])
    else {
        eprintln!("skipped: no python3");
        return;
    };
    if text(&output.stderr).contains("PyTorch cannot be imported") {
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        eprintln!("rows not checked: PyTorch is not installed");
        return;
    }
    assert!(output.status.success(), "{}", text(&output.stderr));
    for class in ["gemm", "context_attention", "generation_attention"] {
        let file = folder.path().join(format!("h100-sxm__{class}.csv"));
        let run = command().args(["validate", "kernels", "--format", "json"]).arg(&file).output().unwrap();
        let json: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
        assert!(json["rows"].as_u64().unwrap() > 0, "{json}");
        assert_eq!(json["predicted"], json["rows"], "{json}");
        assert_eq!(json["metrics"]["latency_us"]["n"], json["rows"], "{json}");
    }
}
