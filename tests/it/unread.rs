//! What cannot be read, counted or finished is said: it is never a default, a cut, or "nothing feasible".

use std::fs;
use std::time::{Duration, Instant};

use crate::common::{Run, shardfit};

const HEADER: &str = "id,engine,model,gpu,tp,isl,osl,concurrency,ttft_ms,tpot_ms,kv_dtype";

/// Validates rows of servers in closed form.
fn validated(header: &str, rows: &[&str], rest: &str) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rows.csv");
    fs::write(&file, format!("{header}\n{}\n", rows.join("\n"))).unwrap();
    shardfit(&format!("validate serving {} --estimator steady {rest}", file.display()))
}

#[test]
fn a_row_whose_cell_cannot_be_read_is_skipped_with_its_reason() {
    let good = "good,vllm,llama-3.1-8b,h100-sxm,1,1024,128,8,50,8,";
    for (cells, said) in [
        ("bad,vllm,llama-3.1-8b,h100-sxm,TP4,1024,128,8,50,8,", "tp: `TP4` is not a whole number"),
        ("bad,vllm,llama-3.1-8b,h100-sxm,1,\"1,024\",128,8,50,8,", "isl: `1,024` is not a number"),
        ("bad,vllm,llama-3.1-8b,h100-sxm,1,1024,128,8,50,8,fp9", "kv_dtype: `fp9` is not the number format"),
        ("bad,vllm,llama-3.1-8b,h100-sxm,1,1024,128,8,fifty,8,", "ttft_ms: `fifty` is not a number"),
        ("bad,vllm,llama-3.1-8b,h100-sxm,1,1024,4e9,8,50,8,", "osl: `4e9` is not a number from 0 to"),
    ] {
        let run = validated(HEADER, &[good, cells], "").exits(0);
        assert!(run.stdout.contains("2 rows, 1 predicted"), "{}", run.stdout);
        assert!(run.stdout.contains(&format!("skipped 1: {said}")), "{}", run.stdout);
    }
}

#[test]
fn columns_that_nobody_reads_are_named_once_with_the_nearest_that_is_read() {
    let header = HEADER.replace("kv_dtype", "kv_dtyp");
    let row = "a,vllm,llama-3.1-8b,h100-sxm,1,1024,128,8,50,8,fp8";
    let run = validated(&header, &[row, row], "").exits(0);
    let said = "1 column is not read: `kv_dtyp` (did you mean `kv_dtype`?)";
    assert_eq!(run.stderr.matches(said).count(), 1, "{}", run.stderr);
    assert!(!validated(HEADER, &[row], "").exits(0).stderr.contains("not read"));
}

#[test]
fn a_header_that_is_none_is_refused_with_its_line() {
    let row = "a,vllm,llama-3.1-8b,h100-sxm,1,1024,128,8,50,8,";
    let twice = HEADER.replace("kv_dtype", "tp");
    for (header, row, said) in [
        (twice.as_str(), row, "two columns are named `tp`"),
        ("id;engine;tp", "a;vllm;1", "columns are separated by something else than commas"),
        // A number in groups of three is two cells where it is not quoted.
        (HEADER, "a,vllm,llama-3.1-8b,h100-sxm,1,1,024,128,8,50,8,", "line 2"),
    ] {
        let run = validated(header, &[row], "").exits(2);
        assert!(run.stderr.contains(said), "{}", run.stderr);
    }
}

#[test]
fn kernels_whose_cells_cannot_be_read_are_not_fitted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kernels.csv");
    let header = "gpu,kernel_class,engine,dtype,m,n,k,latency_us,latncy";
    fs::write(&file, format!("{header}\nh100-sxm,gemm,vllm,bfloat16,1k,4096,4096,9.5,1\n")).unwrap();
    let run = shardfit(&format!("calibrate {} --gpu h100-sxm", file.display())).exits(2);
    assert!(run.stderr.contains("m: `1k` is not a number from 0 to"), "{}", run.stderr);
}

#[test]
fn a_comparison_with_figures_that_are_no_numbers_is_refused_with_line_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let sweep = |rest: &str| {
        shardfit(&format!("sweep tests/data/valid/scenario.yaml -q -o {} {rest}", out.display()))
    };
    sweep("").exits(0);
    let text = fs::read_to_string(out.join("results.csv")).unwrap();
    let (header, rows) = crate::common::parse_csv(&text);
    let column = header.iter().position(|c| c == "ttft_ms").unwrap();
    let found = rows.iter().position(|row| !row[column].is_empty()).unwrap();
    let old = folder.path().join("old.csv");
    let line = text.lines().nth(found + 1).unwrap();
    fs::write(&old, text.replacen(line, &line.replacen(&rows[found][column], "fast", 1), 1)).unwrap();
    let run = sweep(&format!("--compare {}", old.display())).exits(2);
    let place = format!("line {}, column `", found + 2);
    assert!(run.stderr.contains("`fast` is not a number") && run.stderr.contains(&place), "{}", run.stderr);
}

#[test]
fn a_price_of_a_gpu_that_the_question_has_not_is_an_error() {
    let run = shardfit("plan llama-3.1-8b --cluster 1xl40s --price h100-sxm=2.1").exits(2);
    assert!(run.stderr.contains("the question has no h100-sxm") && run.stderr.contains("it has l40s"));
    shardfit("plan llama-3.1-8b --cluster 1xl40s --price l40s=0.9").exits(0);
    shardfit("train llama-3.1-8b --cluster 8xh100-sxm --global-batch 64 --seq 4096 --price l40s=1").exits(2);
}

#[test]
fn a_bare_number_of_headroom_is_of_per_cent() {
    let sized = |headroom: &str| {
        let line = "size llama-3.1-8b --gpu l40s --rate 20 --isl 1024 --osl 256 --tpot 60ms --format csv";
        shardfit(&format!("{line} --headroom {headroom}")).exits(0).stdout
    };
    assert_eq!(sized("20"), sized("20%"));
    assert_eq!(sized("0.2"), sized("20%"));
    assert_ne!(sized("150%"), sized("20%"));
}

#[test]
fn questions_with_more_plans_than_can_be_counted_or_held_are_refused() {
    let all = "1..65536";
    for (line, said) in [
        (format!("--cluster 8xh100-sxm --tp {all}"), "65536 is more than the cluster has GPUs"),
        (
            format!("--cluster 65536xh100-sxm --tp {all} --pp {all} --attention-dp {all} --ep {all}"),
            "more than 2^64 plans",
        ),
        (format!("--cluster 8xh100-sxm --replicas {all} --batch {all}"), "numbers of replicas and batches"),
    ] {
        let begun = Instant::now();
        let run = shardfit(&format!("plan llama-3.1-8b {line}")).exits(2);
        assert!(run.stderr.contains(said), "{}", run.stderr);
        assert!(begun.elapsed() < Duration::from_secs(10), "{line}");
    }
}

#[test]
fn a_search_without_time_says_so_and_is_not_infeasible() {
    let run = shardfit("plan llama-3.1-70b --cluster 8xh100-sxm --time-limit 1us").exits(3);
    assert!(run.stdout.contains("Stopped before a feasible plan was found: 0 of"), "{}", run.stdout);
    assert!(!run.stdout.contains("No plan is feasible") && run.stderr.contains("stopped early"));
    let json = shardfit("plan llama-3.1-70b --cluster 8xh100-sxm --time-limit 1us --format json").exits(3);
    assert_eq!(json.json()["space"]["stopped"], "time_limit");
}

#[test]
fn what_runs_today_is_told_whatever_became_of_the_search() {
    let current = "--current tp=4,replicas=2 --format json";
    let whole = shardfit(&format!("plan llama-3.1-70b --cluster 8xh100-sxm {current}")).exits(0).json();
    let line = format!("plan llama-3.1-70b --cluster 8xh100-sxm --time-limit 1us {current}");
    let stopped = shardfit(&line).exits(3).json();
    assert!(whole["current"].is_object());
    assert_eq!(stopped["current"], whole["current"]);
}

#[test]
fn wide_ranges_keep_the_time_limit() {
    for line in [
        "plan deepseek-v3 --cluster 4096xh200-sxm --tp 1..4096 --pp 1..4096 --attention-dp 1..4096 --ep 1..4096",
        "plan llama-3.1-8b --cluster 8xh100-sxm --batch 1..65536",
        "plan llama-3.1-70b --cluster 512xh100-sxm --rate 50 --ttft 1s --tpot 50ms --verify 50",
    ] {
        let begun = Instant::now();
        let run = shardfit(&format!("{line} --time-limit 200ms --format json"));
        assert!([0, 3].contains(&run.code), "{} {}", run.code, run.stderr);
        // Beside the limit: start, catalogue, and a machine that has other things to do.
        assert!(begun.elapsed() < Duration::from_secs(5), "{line}: {:?}", begun.elapsed());
    }
}
