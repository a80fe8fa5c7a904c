//! `calibrate`: coefficients that are known come out again, what it writes is used, and what it cannot fit
//! is left alone.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::common::shardfit;

/// Sizes of 60 dense products: from single tokens to whole prompts, of models of 8B to 70B.
fn products() -> impl Iterator<Item = (u64, u64, u64)> {
    let rows = [1, 4, 16, 64, 128, 256, 512, 1024, 2048, 8192];
    let weights = [(4096, 4096), (1024, 8192), (14336, 4096), (4096, 14336), (8192, 28672), (28672, 8192)];
    rows.into_iter().flat_map(move |m| weights.map(|(n, k)| (m, n, k)))
}

/// Kernel rows of `count` products on an H100 that reaches 60 % of the peak and of the bandwidth and takes
/// 9 us to launch.
fn rows(count: usize) -> String {
    let mut out = "gpu,kernel_class,engine,dtype,m,n,k,latency_us\n".to_owned();
    for (m, n, k) in products().take(count) {
        let (m_, n_, k_) = (m as f64, n as f64, k as f64);
        let compute = 2.0 * m_ * n_ * k_ / (989e6 * 0.6);
        let memory = 2.0 * (m_ * n_ + n_ * k_ + m_ * k_) / (3.35e6 * 0.6);
        let latency = 9.0 + compute.hypot(memory);
        let _ = writeln!(out, "h100-sxm,gemm,vllm,bfloat16,{m},{n},{k},{latency:.4}");
    }
    out
}

fn written(folder: &Path, text: &str) -> String {
    let file = folder.join("kernels.csv");
    fs::write(&file, text).unwrap();
    file.display().to_string()
}

fn median(json: &serde_json::Value) -> f64 {
    json["metrics"]["latency_us"]["median_ape"].as_f64().unwrap()
}

#[test]
fn known_coefficients_come_out_again_and_the_catalogue_uses_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = written(folder.path(), &rows(60));
    let mine = folder.path().join("mine");
    fs::create_dir_all(mine.join("kernels")).unwrap();
    let target = mine.join("kernels/h100-sxm.yaml");
    let line = format!("calibrate {file} --gpu h100 -o {} --format json", target.display());
    let json = shardfit(&line).exits(0).json();
    let group = &json["groups"][0];
    assert_eq!(group["outcome"], "fitted", "{group}");
    assert_eq!(group["rows"], 60);
    assert!(group["median % before"].as_f64().unwrap() > 20.0, "{group}");
    assert!(group["median % after"].as_f64().unwrap() < 5.0, "{group}");

    // 60 % of the bandwidth bounds the tall and thin products, 60 % of the peak the large ones.
    let yaml = fs::read_to_string(&target).unwrap();
    let value = |name: &str| -> f64 {
        let rest = yaml.split(&format!("{name}: ")).nth(1).unwrap_or_else(|| panic!("{name} in {yaml}"));
        rest.split([',', ' ', '}']).next().unwrap().parse().unwrap()
    };
    assert!((value("compute_efficiency") - 0.6).abs() < 0.05, "{yaml}");
    assert!((value("memory_efficiency") - 0.6).abs() < 0.05, "{yaml}");
    assert!((value("launch") - 9.0).abs() < 1.5, "{yaml}");
    assert!(yaml.contains("range: {from: 1, to: 8192}"), "{yaml}");

    shardfit(&format!("check {}", target.display())).exits(0);
    let before = shardfit(&format!("validate kernels {file} --format json")).exits(0).json();
    let with = format!("validate kernels {file} --format json --catalog {}", mine.display());
    let after = shardfit(&with).exits(0).json();
    assert!(median(&before) > 20.0 && median(&after) < 5.0, "{} {}", median(&before), median(&after));
}

#[test]
fn the_same_rows_give_the_same_coefficients() {
    let folder = tempfile::tempdir().unwrap();
    let file = written(folder.path(), &rows(45));
    let fit = |name: &str| {
        let target = folder.path().join(name);
        shardfit(&format!("calibrate {file} --gpu h100-sxm --source ours -o {}", target.display())).exits(0);
        fs::read_to_string(target).unwrap()
    };
    assert_eq!(fit("one.yaml"), fit("two.yaml"));
}

#[test]
fn fewer_than_40_rows_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = written(folder.path(), &rows(39));
    let target = folder.path().join("few.yaml");
    let run = shardfit(&format!("calibrate {file} --gpu h100-sxm -o {}", target.display())).exits(1);
    assert!(run.stdout.contains("left alone: fewer than 40 rows"), "{}", run.stdout);
    assert!(!target.exists());
}

#[test]
fn rows_of_other_gpus_and_of_the_host_are_left_out_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = rows(60).replacen("latency_us\n", "latency_us,eager_floor_suspect\n", 1);
    text.push_str("a100-sxm-80gb,gemm,vllm,bfloat16,1,4096,4096,20,0\n");
    text.push_str("h100-sxm,gemm,vllm,fp8_block,1,4096,4096,80,1\n");
    let text: String = text
        .lines()
        .map(|line| if line.split(',').count() == 8 { format!("{line},0\n") } else { format!("{line}\n") })
        .collect();
    let file = written(folder.path(), &text);
    let run = shardfit(&format!("calibrate {file} --gpu h100-sxm")).exits(0);
    for said in ["left out 1: of a100-sxm-80gb, not of h100-sxm", "left out 1: eager_floor_suspect"] {
        assert!(run.stdout.contains(said), "{}", run.stdout);
    }
}

#[test]
fn pooling_predicts_each_gpu_by_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let twice = rows(50)
        + &rows(50).lines().skip(1).fold(String::new(), |mut out, line| {
            let _ = writeln!(out, "{}", line.replace("h100-sxm", "h200-sxm"));
            out
        });
    let file = written(folder.path(), &twice);
    let json = shardfit(&format!("calibrate {file} --class datacenter-hbm --format json")).exits(0).json();
    let left_out: Vec<&str> =
        json["by_gpu"].as_array().unwrap().iter().map(|row| row["left out"].as_str().unwrap()).collect();
    assert_eq!(left_out, ["h100-sxm", "h200-sxm"]);
}

#[test]
fn errors_of_kernels_are_grouped_by_decade_of_size() {
    let folder = tempfile::tempdir().unwrap();
    let file = written(folder.path(), &rows(60));
    let json = shardfit(&format!("validate kernels {file} --by decade --format json")).exits(0).json();
    let decades: Vec<&String> = json["groups"].as_object().unwrap().keys().collect();
    assert_eq!(decades, ["decade=1e0", "decade=1e1", "decade=1e2", "decade=1e3"]);
    // Six products of one row and six of four.
    assert_eq!(json["groups"]["decade=1e0"]["latency_us"]["n"], 12);
}

/// Products that wait for their launches: none reaches a quarter of the bandwidth or of the peak.
#[test]
fn rows_of_launches_are_refused_instead_of_fitted() {
    let folder = tempfile::tempdir().unwrap();
    let slow: String = rows(60)
        .lines()
        .map(|line| match line.rsplit_once(',').map(|(row, latency)| (row, latency.parse::<f64>())) {
            Some((row, Ok(latency))) => format!("{row},{:.4}\n", 4.0 * latency),
            _ => format!("{line}\n"),
        })
        .collect();
    let file = written(folder.path(), &slow);
    let target = folder.path().join("slow.yaml");
    let run = shardfit(&format!("calibrate {file} --gpu h100-sxm -o {}", target.display())).exits(1);
    assert!(run.stdout.contains("refused: gemm vllm bf16 reaches 15 % of the bandwidth"), "{}", run.stdout);
    assert!(!target.exists());
}
