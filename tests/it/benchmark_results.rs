//! `shardfit validate serving` on the result files that benchmarks write.

use crate::common::shardfit;

const FOLDER: &str = "tests/data/results";

fn rows(line: &str) -> Vec<std::collections::HashMap<String, String>> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("rows.csv");
    shardfit(&format!("{line} -o {}", out.display())).exits(0);
    let mut reader = csv::Reader::from_path(out).expect("written");
    reader.deserialize().collect::<Result<_, _>>().expect("CSV")
}

#[test]
fn a_result_of_vllm_is_a_closed_loop_of_its_mean_lengths() {
    let rows = rows(&format!("validate serving {FOLDER}/vllm-closed.json --gpu h100-sxm --engine vllm@0.15"));
    let [row] = rows.as_slice() else { panic!("{} rows", rows.len()) };
    for (column, value) in [
        ("id", "vllm-closed"),
        ("engine", "vllm"),
        ("engine_version", "0.15"),
        ("model", "meta-llama/Llama-3.1-8B-Instruct"),
        ("isl", "1024"),
        ("osl", "256"),
        ("concurrency", "32"),
        ("num_requests", "320"),
        ("protocol", "closed-loop"),
        ("ttft_ms", "240"),
        ("output_tok_s", "1900.7"),
        ("skip_reason", ""),
    ] {
        assert_eq!(row[column], value, "{column}");
    }
    let tpot: f64 = row["predicted_tpot_ms"].parse().expect("a number");
    assert!(tpot > 5.0 && tpot < 20.0, "{tpot}");
}

#[test]
fn what_an_sglang_server_says_of_itself_is_read_and_what_is_told_goes_first() {
    let line = format!("validate serving {FOLDER}/sglang-runs.jsonl --gpu h100-sxm --model qwen3-32b");
    let said = rows(&line);
    assert_eq!(said[0]["engine_version"], "0.5.9");
    assert_eq!((said[0]["tp"].as_str(), said[0]["concurrency"].as_str()), ("2", "16"));
    assert_eq!(said[0]["max_num_batched_tokens"], "8192");
    // The second run says nothing of its server, and was driven at a rate.
    assert_eq!((said[1]["tp"].as_str(), said[1]["rate"].as_str()), ("", "1"));
    assert_eq!(said[1]["protocol"], "open-loop");
    let told = rows(&format!("{line} --tp 4"));
    assert!(told.iter().all(|row| row["tp"] == "4" && row["skip_reason"].is_empty()));
}

#[test]
fn a_report_of_trtllm_bench_is_everything_at_once() {
    let rows = rows(&format!("validate serving {FOLDER}/trtllm-bench.json --gpu h100-sxm"));
    let row = &rows[0];
    assert_eq!(
        (row["tp"].as_str(), row["weight_dtype"].as_str(), row["kv_dtype"].as_str()),
        ("4", "fp8", "fp8")
    );
    assert_eq!((row["protocol"].as_str(), row["num_requests"].as_str()), ("trtllm-bench", "1000"));
    assert_eq!(row["e2e_ms"], "119000");
    assert!(row["predicted_output_tok_s"].parse::<f64>().is_ok());
}

#[test]
fn a_folder_is_all_of_its_result_files_and_each_is_shown() {
    let line = format!("validate serving {FOLDER} --gpu h100-sxm --model llama-3.1-8b");
    let text = shardfit(&line).exits(0).stdout;
    for id in ["vllm-closed", "sglang-runs:1", "sglang-runs:2", "trtllm-bench"] {
        assert!(text.contains(id), "{id} in {text}");
    }
    assert!(text.starts_with("4 rows, 4 predicted"), "{text}");
}
