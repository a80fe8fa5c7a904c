//! Lists of lengths, loads, prefix hits and targets: one answer beside the other, each the same as alone.

use crate::common::{number, shardfit};
use serde_json::Value;
use shardfit::ask;
use shardfit::catalog::Catalog;

const ALONE: &str = "plan llama-3.1-8b --cluster 2xh100-sxm --engine vllm --tpot 50ms";

fn rows(text: &str) -> Vec<std::collections::HashMap<String, String>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let names: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let row = |row: Result<csv::StringRecord, _>| {
        names.iter().cloned().zip(row.unwrap().iter().map(str::to_owned)).collect()
    };
    reader.records().map(row).collect()
}

#[test]
fn a_list_of_lengths_and_hits_is_a_table_with_a_row_for_each_combination() {
    let run = shardfit(&format!("{ALONE} --isl 1k,8k --prefix-hit 0,50%")).exits(0);
    insta::assert_snapshot!("compared_plans", run.stdout);
}

#[test]
fn each_answer_beside_others_is_the_one_that_it_is_alone() {
    let several = shardfit(&format!("{ALONE} --isl 1k,8k --concurrency 4,64 --format json")).exits(0).json();
    let several = several.as_array().unwrap().clone();
    assert_eq!(several.len(), 4);
    for (answer, (isl, concurrency)) in several.iter().zip([(1024, 4), (1024, 64), (8192, 4), (8192, 64)]) {
        assert_eq!(answer["differs"], serde_json::json!({ "isl": isl, "concurrency": concurrency }));
        let mut alone = shardfit(&format!("{ALONE} --isl {isl} --concurrency {concurrency} --format json"))
            .exits(0)
            .json();
        alone.as_object_mut().unwrap().insert("differs".into(), answer["differs"].clone());
        assert_eq!(*answer, alone);
    }
}

#[test]
fn rows_of_csv_stand_alone_and_say_why_a_question_has_no_plan() {
    let run =
        shardfit("plan llama-3.1-8b --cluster 1xl40s --engine vllm --isl 2k,16k --ttft 300ms --csv").exits(0);
    let rows = rows(&run.stdout);
    assert_eq!(rows.len(), 2);
    assert_eq!(
        (rows[0]["model"].as_str(), rows[0]["isl"].as_str()),
        ("meta-llama/Meta-Llama-3.1-8B", "2048")
    );
    assert!(rows[0]["output_tokens_per_s"].parse::<f64>().unwrap() > 0.0 && rows[0]["why_not"].is_empty());
    assert_eq!((rows[1]["isl"].as_str(), rows[1]["output_tokens_per_s"].as_str()), ("16384", ""));
    assert!(rows[1]["why_not"].contains("TTFT"), "{}", rows[1]["why_not"]);
}

#[test]
fn estimates_compare_engines_formats_and_degrees_and_say_which_layouts_are_refused() {
    let asked = "estimate llama-3.1-8b --gpu h100-sxm --tp 1,3 --kv bf16,fp8 --concurrency 16 --csv";
    let rows = rows(&shardfit(asked).exits(0).stdout);
    let of = |row: &std::collections::HashMap<String, String>| (row["kv"].clone(), row["tp"].clone());
    let all: Vec<_> = rows.iter().map(of).collect();
    let want = [("bf16", "1"), ("bf16", "3"), ("fp8", "1"), ("fp8", "3")];
    assert_eq!(all, want.map(|(kv, tp)| (kv.to_owned(), tp.to_owned())));
    assert!(rows[1]["why_not"].contains('3') && rows[1]["ttft_ms"].is_empty());
    let tokens = |row: usize| rows[row]["kv_cache_tokens"].parse::<f64>().unwrap();
    assert!((tokens(2) / tokens(0) - 2.0).abs() < 0.01, "half the bytes hold twice the tokens");
}

#[test]
fn sizes_compare_rates_and_targets() {
    let asked = "size llama-3.1-8b --gpu l40s --rate 5,20 --tpot 40ms";
    let json = shardfit(&format!("{asked} --format json")).exits(0).json();
    let gpus: Vec<f64> =
        json.as_array().unwrap().iter().map(|answer| number(&answer["fleets"][0], "fleet_gpus")).collect();
    assert!(gpus[0] <= gpus[1], "{gpus:?}");
    shardfit(asked).exits(0).says(&["rate", "2 questions, the best fleet of each"]);
}

#[test]
fn what_is_about_one_question_and_too_many_combinations_are_refused() {
    let run = shardfit(&format!("{ALONE} --isl 1k,8k --why-not tp=2")).exits(2);
    assert!(
        run.stderr.contains("--why-not is about one question") && run.stderr.contains("--isl"),
        "{}",
        run.stderr
    );
    let many = (1..=40).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let run = shardfit(&format!("{ALONE} --isl {many} --osl {many}")).exits(2);
    assert!(
        run.stderr.contains("40 of --isl, 40 of --osl") && run.stderr.contains("at most 1000"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_request_in_json_takes_lists_as_the_command_line_does() {
    let request = r#"{"model": "llama-3.1-8b", "cluster": "2xh100-sxm", "engine": "vllm", "tpot": "50ms", "isl": [1024, 8192]}"#;
    let text = ask::answer("plan", request, &Catalog::built_in()).unwrap();
    assert_eq!(text, shardfit(&format!("{ALONE} --isl 1k,8k --top 10 --format json")).exits(0).stdout);
    let answers: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answers[1]["workload"]["isl"], 8192);
    let fault = ask::answer(
        "simulate",
        &request.replace("\"cluster\"", "\"gpu\"").replace("2xh100", "h100"),
        &Catalog::built_in(),
    );
    assert!(fault.unwrap_err().to_string().contains("isl"));
}
