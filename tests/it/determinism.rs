//! The same question gives the same bytes, whatever the number of threads and the run.

use crate::common::{shardfit, shardfit_with};
use shardfit::catalog;
use shardfit::model::{self, Scope};
use shardfit::rank::Objective;
use shardfit::search::{Question, Variant};
use shardfit::units::{RequestsPerSecond, Seconds};
use shardfit::workload::{Load, Targets, Workload};

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
        let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
        let parquet = cfg!(feature = "parquet").then_some("results.parquet");
        results.push(["results.csv", "report.html"].into_iter().chain(parquet).map(read).collect::<Vec<_>>());
    }
    assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn questions_that_share_their_figures_have_the_answers_of_single_ones() {
    let model = model::find("qwen3-30b-a3b", &[], Scope::Full).unwrap();
    let cluster = catalog::cluster("4xh100-sxm").unwrap();
    let engines = catalog::engines().unwrap();
    let tpot = |ms| Targets { tpot: Some(Seconds::millis(ms)), ..Targets::default() };
    let targets =
        [tpot(12.0), tpot(40.0), Targets { ttft: Some(Seconds::new(0.1)), ..tpot(30.0) }, Targets::default()];
    let pairs = targets
        .into_iter()
        .flat_map(|targets| Objective::ALL.map(|objective| Variant { targets, objective }));
    let variants: Vec<Variant> = pairs.collect();
    for load in [Load::Saturate, Load::Rate(RequestsPerSecond::new(9.0))] {
        let workload = Workload { load, ..Workload::new(1500, 300) };
        let question = Question { workload, top: 3, ..Question::new(&model, &cluster, &engines) };
        for (variant, together) in variants.iter().zip(question.answers(&variants).unwrap()) {
            let Variant { targets, objective } = *variant;
            let alone = Question { targets, objective, ..question.clone() };
            assert_eq!(alone.answer().unwrap(), together, "{variant:?}");
        }
    }
}
