//! `--kernels`: measured latencies in place of analytical forms.

mod database;
mod silicon;

use std::path::Path;

use crate::common::{shardfit, shardfit_with};
use database::{Cell, records, small, small_attention, write};
use shardfit::catalog::measured::Operation;
use shardfit::catalog::{Catalog, Gpu};
use shardfit::dtype::WeightFormat;
use shardfit::estimate::Basis;
use shardfit::estimate::kernels::Kernels;
use shardfit::estimate::program::Lone;
use shardfit::model::operator::{OperatorKind, Rows, Step};

/// Time in microseconds of a product of bf16 weights, and what it rests on.
fn gemm(kernels: &Kernels, m: f64, n: u64, k: u64) -> (f64, Basis) {
    let format = WeightFormat::Bf16;
    let kind = OperatorKind::Gemm { rows: Rows::Tokens, n, k, format };
    let (time, basis) = Lone::kernel(kernels, kind).time(&Step::decode(m, 1.0));
    (time.as_micros(), basis)
}

/// Runs a check with the kernels of vLLM on an H100, with and without a database.
fn with_both(database: &Path, check: impl Fn(&Kernels, &Kernels)) {
    let catalog = Catalog::built_in().with_kernels(Some(database)).unwrap();
    let engine = catalog.engine("vllm").unwrap();
    let plain: Gpu = catalog.gpu("h100-sxm").unwrap();
    let mut gpu = plain.clone();
    assert!(catalog.measure_gpu(&mut gpu, &engine, &Operation::ALL).unwrap());
    check(&Kernels::new(&gpu, &engine).unwrap(), &Kernels::new(&plain, &engine).unwrap());
}

/// A database whose one product was measured at these rows, in milliseconds.
fn one_product(points: &[(i64, f64)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let row = |(m, ms): &(i64, f64)| ["bfloat16".into(), (*m).into(), 4096.into(), 4096.into(), (*ms).into()];
    let rows: Vec<[Cell; 5]> = points.iter().map(row).collect();
    let columns = ["gemm_dtype", "m", "n", "k", "latency"];
    write(folder.path(), "h100_sxm/gemm/vllm/0.21.0/gemm_perf.parquet", columns, &rows);
    folder
}

#[test]
fn a_measured_point_is_given_as_it_is() {
    let folder = one_product(&[(1, 0.010), (16, 0.012), (256, 0.050)]);
    with_both(folder.path(), |measured, _| {
        for (m, us) in [(1.0, 10.0), (16.0, 12.0), (256.0, 50.0)] {
            let (time, basis) = gemm(measured, m, 4096, 4096);
            assert!((time / us - 1.0).abs() < 1e-9, "{m}: {time}");
            assert_eq!(basis, Basis::Measured);
        }
    });
}

#[test]
fn between_points_time_grows_in_equal_ratios() {
    let folder = one_product(&[(1, 0.010), (16, 0.010), (256, 0.160)]);
    with_both(folder.path(), |measured, _| {
        // Half way between 16 and 256 in logarithms lies 64, and between 10 and 160 us 40.
        assert!((gemm(measured, 64.0, 4096, 4096).0 - 40.0).abs() < 1e-6);
        let times: Vec<f64> = (1..=256).map(|m| gemm(measured, f64::from(m), 4096, 4096).0).collect();
        assert!(times.windows(2).all(|pair| pair[1] >= pair[0] - 1e-9));
    });
}

#[test]
fn beyond_the_last_point_the_form_is_scaled_to_it() {
    let folder = one_product(&[(16, 0.100), (256, 0.300)]);
    with_both(folder.path(), |measured, form| {
        for (m, end, us) in [(4.0, 16.0, 100.0), (4096.0, 256.0, 300.0)] {
            let (time, basis) = gemm(measured, m, 4096, 4096);
            let expected = gemm(form, m, 4096, 4096).0 * us / gemm(form, end, 4096, 4096).0;
            assert!((time / expected - 1.0).abs() < 1e-9, "{m}: {time} {expected}");
            assert_eq!(basis, Basis::Scaled);
        }
    });
}

/// Where every measurement is the same share above the form, so is every shape between and beside them.
#[test]
fn other_shapes_take_the_ratio_of_those_around_them() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = Catalog::built_in();
    let (gpu, engine) = (catalog.gpu("h100-sxm").unwrap(), catalog.engine("vllm").unwrap());
    let form = Kernels::new(&gpu, &engine).unwrap();
    let mut rows = Vec::new();
    for (n, k, m) in [4096_i64, 8192]
        .iter()
        .flat_map(|n| [1024_i64, 8192].map(|k| (*n, k)))
        .flat_map(|(n, k)| [1_i64, 32, 1024].map(|m| (n, k, m)))
    {
        let ms = 1.25 * gemm(&form, m as f64, n as u64, k as u64).0 / 1e3;
        rows.push(["bfloat16".into(), m.into(), n.into(), k.into(), Cell::Real(ms)]);
    }
    let columns = ["gemm_dtype", "m", "n", "k", "latency"];
    write(folder.path(), "h100_sxm/gemm/vllm/0.21.0/gemm_perf.parquet", columns, &rows);
    with_both(folder.path(), |measured, form| {
        for (n, k, basis) in
            [(6144, 2048, Basis::Measured), (5120, 8192, Basis::Measured), (28672, 4096, Basis::Scaled)]
        {
            for m in [1.0, 32.0, 1024.0] {
                let (time, of) = gemm(measured, m, n, k);
                assert!((time / gemm(form, m, n, k).0 / 1.25 - 1.0).abs() < 1e-9, "{n} {k} {m}");
                assert_eq!(of, basis, "{n} {k}");
            }
        }
    });
}

#[test]
fn other_number_types_and_engines_keep_their_forms() {
    let folder = one_product(&[(1, 1.0), (4096, 9.0)]);
    with_both(folder.path(), |measured, form| {
        let format = WeightFormat::Fp8;
        let kind = OperatorKind::Gemm { rows: Rows::Tokens, n: 4096, k: 4096, format };
        let time = |kernels| Lone::kernel(kernels, kind).time(&Step::decode(64.0, 1.0));
        assert_eq!(time(measured), time(form));
        assert_eq!(time(measured).1, Basis::Fitted);
    });
    let catalog = Catalog::built_in().with_kernels(Some(folder.path())).unwrap();
    let sglang = catalog.engine("sglang").unwrap();
    let mut gpu = catalog.gpu("h100-sxm").unwrap();
    assert!(!catalog.measure_gpu(&mut gpu, &sglang, &Operation::ALL).unwrap());
    assert!(gpu.tables_of(&sglang).is_none());
}

const ESTIMATE: &str = "estimate llama-3.1-8b --gpu h100-sxm --concurrency 16";

#[test]
fn an_estimate_says_what_was_measured_and_on_which_version() {
    let folder = tempfile::tempdir().unwrap();
    small(folder.path(), "0.19.0", 1.0);
    small(folder.path(), "0.24.0", 2.0);
    small_attention(folder.path());
    let place = folder.path().display();
    let run = shardfit(&format!("{ESTIMATE} --engine vllm@0.21 --explain --kernels {place}")).exits(0);
    let said = run.stdout;
    // The newest at or below 0.21 where there is one, else the nearest above.
    assert!(said.contains("Measured tables: vllm 0.19.0 (GEMM); vllm 0.24.0 (prefill attention, decode attention); planned with vllm 0.21.0"), "{said}");
    assert!(said.lines().any(|l| l.contains("down_proj") && l.trim_end().ends_with("measured")), "{said}");
    assert!(
        said.lines().any(|l| l.contains("decode_attention") && l.trim_end().ends_with("measured")),
        "{said}"
    );
    assert!(said.lines().any(|l| l.contains("add_norm") && l.trim_end().ends_with("fitted")), "{said}");
    assert!(said.contains("% of it measured"), "{said}");
    let json = shardfit(&format!("{ESTIMATE} --kernels {place} --format json")).exits(0).json();
    assert_eq!(json["provenance"], "measured");
    let json = shardfit(&format!("{ESTIMATE} --engine vllm@0.21 --explain --kernels {place} --format json"))
        .exits(0)
        .json();
    assert_eq!(json["measured_tables"][0]["operation"], "GEMM");
    assert_eq!(json["measured_tables"][0]["version"], "0.19.0");
}

#[test]
fn the_variable_names_the_folder_too_and_every_kind_of_folder_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let site = "lib/python3.12/site-packages/aiconfigurator_core/systems";
    small(&folder.path().join(site), "0.21.0", 3.0);
    let told = |at: &str| {
        let place = folder.path().join(at).display().to_string();
        let flag = shardfit(&format!("{ESTIMATE} --kernels {place} --format json")).exits(0).json();
        let variable =
            shardfit_with(&format!("{ESTIMATE} --format json"), &[("SHARDFIT_KERNELS", place.as_str())]);
        assert_eq!(flag, variable.exits(0).json(), "{at}");
        flag["tpot_ms"].clone()
    };
    let site_packages = "lib/python3.12/site-packages";
    let first = told("");
    for at in [site_packages, &format!("{site_packages}/aiconfigurator_core"), site, &format!("{site}/data")]
    {
        assert_eq!(told(at), first, "{at}");
    }
    assert_ne!(first, shardfit(&format!("{ESTIMATE} --format json")).exits(0).json()["tpot_ms"]);
}

#[test]
fn what_the_database_lacks_is_said_and_estimated_as_before() {
    let folder = tempfile::tempdir().unwrap();
    small(folder.path(), "0.21.0", 1.0);
    let line = "estimate llama-3.1-8b --gpu l40s --concurrency 16";
    let run = shardfit(&format!("{line} --kernels {}", folder.path().display())).exits(0);
    assert_eq!(run.stdout, shardfit(line).exits(0).stdout);
    assert!(run.stderr.contains("the kernel database has nothing of vLLM on NVIDIA L40S"), "{}", run.stderr);
}

#[test]
fn plans_simulations_and_sweeps_take_the_tables_too() {
    let folder = tempfile::tempdir().unwrap();
    small(folder.path(), "0.21.0", 5.0);
    let place = folder.path().display();
    for line in [
        "plan llama-3.1-8b --cluster 2xh100-sxm --isl 512 --osl 64 --format json",
        "simulate llama-3.1-8b --gpu h100-sxm --isl 512 --osl 8 --concurrency 4 --requests 8 --format json",
    ] {
        let (with, without) =
            (shardfit(&format!("{line} --kernels {place}")).exits(0), shardfit(line).exits(0));
        assert_ne!(with.stdout, without.stdout, "{line}");
    }
    let out = tempfile::tempdir().unwrap();
    let results = |name: &str, kernels: &str| {
        let target = out.path().join(name);
        shardfit(&format!("sweep tests/data/valid/scenario.yaml -o {} {kernels}", target.display())).exits(0);
        std::fs::read_to_string(target.join("results.csv")).unwrap()
    };
    assert_ne!(results("with", &format!("--kernels {place}")), results("without", ""));
}

#[test]
fn rows_of_the_tables_themselves_are_predicted_exactly() {
    let folder = tempfile::tempdir().unwrap();
    small(folder.path(), "0.21.0", 1.0);
    let file = folder.path().join("data/h100_sxm/gemm/vllm/0.21.0/gemm_perf.parquet");
    let mut csv = String::from("gpu,kernel_class,engine,dtype,m,n,k,latency_us\n");
    for row in records(&file, |_| true) {
        let us = row["latency"].parse::<f64>().unwrap() * 1e3;
        csv += &format!(
            "h100-sxm,gemm,vllm,{},{},{},{},{us}\n",
            row["gemm_dtype"], row["m"], row["n"], row["k"]
        );
    }
    let rows = folder.path().join("rows.csv");
    std::fs::write(&rows, csv).unwrap();
    let line =
        format!("validate kernels {} --kernels {} --format json", rows.display(), folder.path().display());
    let json = shardfit(&line).exits(0).json();
    assert_eq!(json["predicted"], 24);
    assert!(json["metrics"]["latency_us"]["mape"].as_f64().unwrap() < 1e-3, "{json}");
}

#[test]
fn a_file_without_the_columns_of_its_kind_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let columns = ["gemm_dtype", "m", "n", "latency"];
    let row = ["bfloat16".into(), 1.into(), 8.into(), 0.1.into()];
    write(folder.path(), "h100_sxm/gemm/vllm/0.21.0/gemm_perf.parquet", columns, &[row]);
    let run = shardfit(&format!("{ESTIMATE} --kernels {}", folder.path().display()));
    assert_eq!((run.code, run.stdout.as_str()), (2, ""));
    assert!(run.stderr.contains("it has no column `k`"), "{}", run.stderr);
}
