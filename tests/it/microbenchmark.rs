//! `tools/microbenchmark.py`: what it writes is what `validate kernels` reads. What public benchmarks of single kernels
//! measured, and what coefficients say of a kernel.

use std::process::{Command, Output};

use shardfit::catalog::{self, Kind, entries};
use shardfit::dtype::{DType, WeightFormat};
use shardfit::estimate::kernels::Kernels;
use shardfit::model::operator::{ExpertsShape, Step};

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

/// One layer of Qwen3-30B-A3B in FP8 on an H100 as `benchmark_moe.py` timed it before and after
/// vllm-project/vllm#24700 changed the tiles that Triton's kernel takes where none were tuned, in us.
const BEFORE_AND_AFTER: [(f64, f64, f64); 5] = [
    (1.0, 44.54, 40.44),
    (16.0, 185.40, 164.64),
    (64.0, 262.73, 237.26),
    (256.0, 355.49, 262.38),
    (512.0, 391.86, 286.24),
];

#[test]
fn fp8_experts_under_vllm_take_what_its_own_benchmark_measured() {
    let (gpu, mut engine) = (catalog::gpu("h100-sxm").unwrap(), catalog::engine("vllm").unwrap());
    engine.scheduling.launch_share = 1.0;
    let kernels = Kernels::new(&gpu, &engine).unwrap();
    let (kernel, fitted) = kernels.experts(WeightFormat::Fp8);
    assert!(!fitted, "the block form stands in");
    let layer = ExpertsShape {
        experts: 128,
        top_k: 8,
        hidden: 2048,
        inner: 768,
        matrices: 3,
        expert_ranks: 1,
        attention_data: 1,
        exchanged: false,
        format: WeightFormat::Fp8,
    };
    for (tokens, before, after) in BEFORE_AND_AFTER {
        let time = kernel.time(&layer, &Step::decode(tokens, 1.0)).time.as_micros();
        assert!((0.95 * after..1.12 * after).contains(&time), "{tokens} tokens: {time} us, {after} measured");
        assert!(
            (0.74 * before..1.05 * before).contains(&time),
            "{tokens} tokens: {time} us, {before} before"
        );
    }
}

#[test]
fn products_that_were_measured_or_stand_in_are_of_kernels_that_servers_run() {
    let engines = catalog::engines().unwrap();
    let (mut products, mut stand_ins) = (0, 0);
    for gpu in entries(Kind::Gpu).iter().map(|entry| catalog::gpu(entry.id).unwrap()) {
        for engine in engines.iter().filter(|engine| engine.runs_on(&gpu)) {
            let kernels = Kernels::new(&gpu, engine).unwrap();
            for format in WeightFormat::ALL {
                let ((gemm, measured), (experts, _)) = (kernels.gemm(format), kernels.experts(format));
                let (stand_in, forms) =
                    (experts.form().stand_in, gpu.kernels.grouped_gemm.get(engine.kernel_key()));
                let own = forms.is_some_and(|forms| forms.contains_key(format.name()));
                let of = format!("{} {} {}", gpu.id, engine.id, format.name());
                // Without products of bytes (sm_60 has no DP4A) llama.cpp unpacks weights slower than the memory gives them.
                let unpacks = engine.reads_gguf() && gpu.peak(DType::Int8).is_none();
                for (reached, counts) in [(gemm.reached(), measured), (experts.reached(), own)] {
                    assert!(!counts || unpacks || reached.is_plausible(), "{of}: {reached:?}");
                    products += u32::from(counts);
                }
                stand_ins += u32::from(stand_in);
            }
        }
    }
    assert!(products > 100 && stand_ins >= 5, "{products} products, {stand_ins} stand in");
}
