//! The same question gives the same bytes, whatever the number of threads and the run.

mod common;

use common::{shardfit, shardfit_with};

#[test]
fn a_plan_is_the_same_bytes_for_any_number_of_threads_and_from_run_to_run() {
    let line = "plan deepseek-v3 --cluster 8xh200-sxm --engine any --top 50 --format json";
    let first = shardfit(line).exits(0).stdout;
    assert_eq!(shardfit(line).stdout, first);
    for threads in ["1", "2", "8"] {
        let run = shardfit_with(line, &[("RAYON_NUM_THREADS", threads)]);
        assert_eq!(run.stdout, first, "{threads} threads");
    }
}

#[test]
fn a_table_with_its_ledger_is_the_same_for_any_number_of_threads() {
    let line = "plan mixtral-8x22b --cluster 16xa100-sxm-80gb --engine any --tpot 20ms --ttft 500ms";
    let first = shardfit_with(line, &[("RAYON_NUM_THREADS", "1")]).stdout;
    for threads in ["2", "8"] {
        assert_eq!(shardfit_with(line, &[("RAYON_NUM_THREADS", threads)]).stdout, first, "{threads} threads");
    }
}

#[test]
fn a_sweep_is_the_same_bytes_for_any_number_of_threads() {
    let mut results = Vec::new();
    for threads in ["1", "2", "8", "8"] {
        let folder = tempfile::tempdir().unwrap();
        let line = format!("sweep tests/data/valid/scenario.yaml -o {}", folder.path().display());
        assert!(shardfit_with(&line, &[("RAYON_NUM_THREADS", threads)]).code <= 1);
        results.push(std::fs::read(folder.path().join("results.csv")).unwrap());
    }
    assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
}
