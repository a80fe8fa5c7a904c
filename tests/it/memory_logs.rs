//! Start-up logs of servers beside their predictions, and what the verdicts say of servers that ran and of
//! servers that did not.

use std::path::{Path, PathBuf};

use crate::common::shardfit;
use serde_json::Value;
use shardfit::catalog::Catalog;
use shardfit::estimate::memory::Verdict;
use shardfit::load;
use shardfit::validate::Table;
use shardfit::validate::memory::{account, assumed, unknowns};

/// The value of a part in a comparison.
fn part(json: &Value, name: &str, figure: &str) -> f64 {
    let parts = json["parts"].as_array().unwrap();
    let row = parts.iter().find(|p| p["part"] == name).unwrap();
    row[figure].as_f64().unwrap_or_else(|| panic!("{name} {figure}: {row}"))
}

fn compared(arguments: &str) -> Value {
    shardfit(&format!("validate memory --log tests/data/logs/{arguments} --format json")).exits(0).json()
}

#[test]
fn a_log_of_vllm_says_all_that_the_comparison_needs() {
    let json = compared("vllm-0.19.log");
    assert_eq!((json["engine"].as_str(), json["gpu"].as_str()), (Some("vllm 0.19.0"), Some("h100-sxm")));
    assert_eq!(json["max_num_seqs"], 1024);
    for (name, logged) in [
        ("weights_gib", 14.99),
        ("activations_gib", 1.89),
        ("non_torch_gib", 0.25),
        ("cuda_graphs_gib", 0.91),
        ("kv_cache_gib", 58.11),
        ("kv_cache_tokens", 476_000.0),
    ] {
        assert_eq!(part(&json, name, "logged"), logged, "{name}");
    }
    assert!(part(&json, "kv_cache_gib", "difference").abs() < 0.1);
    assert!(part(&json, "kv_cache_tokens", "difference %").abs() < 0.2);
    assert_eq!(json["assumed"].as_array().map(Vec::len), Some(0));
}

#[test]
fn a_log_of_the_v0_engine_is_read_by_its_profile() {
    let json = compared("vllm-0.7-v0.log --model qwen2.5-14b --tp 2 --engine vllm@v0");
    assert_eq!(part(&json, "weights_gib", "logged"), 13.9476);
    assert_eq!(part(&json, "kv_cache_gib", "logged"), 8.69);
    assert!(part(&json, "weights_gib", "difference %").abs() < 1.0);
}

#[test]
fn newer_versions_of_vllm_print_weights_and_the_rest_together() {
    let json = compared("vllm-0.27.log --model llama-3.1-8b --gpu a100-sxm-80gb --engine vllm@0.27");
    assert!((part(&json, "non_torch_gib", "logged") - 0.26).abs() < 1e-9);
    assert!(part(&json, "kv_cache_gib", "difference").abs() < 0.4);
    let said = json["assumed"].to_string();
    assert!(said.contains("max_num_seqs") && said.contains("memory fraction"), "{said}");
}

#[test]
fn a_log_of_sglang_gives_its_arguments_and_its_pool() {
    let json = compared("sglang.log --gpu rtx-4090");
    assert_eq!(json["parallelism"].as_str(), Some("tp=4"));
    assert_eq!(part(&json, "kv_cache_gib", "logged"), 11.38);
    assert!(part(&json, "weights_gib", "difference %").abs() < 1.0);
    assert!(part(&json, "kv_cache_tokens", "difference %").abs() < 3.0);
}

#[test]
fn a_fraction_that_sglang_works_out_is_met() {
    // Graphs of prompts are part of what it reserves: https://github.com/sgl-project/sglang, start-up of May 2026.
    let json = compared("sglang-graphs.log --gpu gb300 --engine sglang@0.5.10");
    assert_eq!(part(&json, "kv_cache_gib", "logged"), 234.56);
    assert!(part(&json, "kv_cache_gib", "difference").abs() < 0.1);
    assert!(part(&json, "kv_cache_tokens", "difference %").abs() < 0.1);
}

#[test]
fn a_log_of_tensorrt_llm_gives_the_pool_and_the_limits() {
    let json = compared("trtllm.log --model llama-3.1-8b --weights fp8 --gpu rtx-5090");
    assert_eq!(
        (json["max_num_seqs"].as_u64(), json["max_num_batched_tokens"].as_u64()),
        (Some(2048), Some(1024))
    );
    assert_eq!(part(&json, "kv_cache_tokens", "logged"), 263_008.0);
    assert!(part(&json, "kv_cache_gib", "difference").abs() < 2.0);
}

fn table(path: &Path) -> Table {
    Table::parse(&load::text(path).unwrap(), "rows").unwrap()
}

#[test]
fn servers_that_ran_out_of_memory_are_never_said_to_fit() {
    let table = table(Path::new("tests/data/out_of_memory.csv"));
    let catalog = Catalog::built_in();
    assert!(table.len() >= 10);
    for i in 0..table.len() {
        let row = table.row(i);
        let memory = account(&row, &catalog).unwrap_or_else(|why| panic!("{}: {why}", row.id()));
        assert_ne!(memory.verdict(), Verdict::Fits, "{}: {memory:?}", row.id());
    }
}

#[test]
fn caches_are_as_large_as_public_logs_say() {
    let table = table(Path::new("tests/data/start_ups.csv"));
    let catalog = Catalog::built_in();
    let mut offs = Vec::new();
    for i in 0..table.len() {
        let row = table.row(i);
        let memory = account(&row, &catalog).unwrap_or_else(|why| panic!("{}: {why}", row.id()));
        let logged = |column: &str| row.text(column).and_then(|text| text.parse::<f64>().ok());
        let off = memory.kv_cache.as_gib() - logged("kv_cache_gib_per_gpu").unwrap();
        assert!(off.abs() < memory.band.as_gib(), "{}: {off:+.2} GiB", row.id());
        offs.push(off.abs());
        let tokens = memory.logged_tokens as f64 / logged("kv_cache_tokens").unwrap() - 1.0;
        assert!(tokens.abs() < 0.05, "{}: {:+.1} %", row.id(), tokens * 100.0);
        if let Some(weights) = logged("weights_gib_per_gpu") {
            assert!((memory.weights.as_gib() - weights).abs() < 0.1, "{}", row.id());
        }
    }
    offs.sort_by(f64::total_cmp);
    assert!(offs.len() >= 12 && offs[offs.len() / 2] < 0.3, "{offs:?}");
}

#[test]
fn a_video_as_long_as_the_context_makes_a_close_fit_uncertain() {
    // https://github.com/vllm-project/vllm/issues/18124: the start-up profile runs out of memory.
    let of = |isl: u32| {
        let plan = "estimate tests/data/qwen2.5-vl-3b.json --gpu rtx-4090 --engine vllm@0.10";
        shardfit(&format!("{plan} --isl {isl} --osl 1")).stdout
    };
    assert!(of(127_999).contains("Memory: marginal"), "{}", of(127_999));
    assert!(of(4096).contains("Memory: fits"), "{}", of(4096));
}

/// Rows of the shared logs whose configuration is not what their columns say: their notes tell.
const NOT_AS_STATED: [&str; 5] = [
    "m-0100", // a smaller model than the configuration that is named
    "m-0107", // did not start
    "m-0108", // did not start
    "m-0163", // did not start
    "m-0178", // three quarters of the experts in host memory
];

#[test]
fn servers_that_ran_are_never_said_not_to_fit() {
    let shared = PathBuf::from("../shared/truth");
    let file = shared.join("memory/serving.csv");
    if !file.is_file() {
        return;
    }
    let table = table(&file);
    let catalog = Catalog::built_in().with_models(&[shared.join("params/models")]).unwrap();
    let mut asked = 0;
    for i in 0..table.len() {
        let row = table.row(i);
        let Ok(memory) = account(&row, &catalog) else { continue };
        if NOT_AS_STATED.contains(&row.id().as_str()) || row.text("quality") == Some("suspect") {
            continue;
        }
        asked += 1;
        let said = format!("{}: {:?}, assumed {:?}", row.id(), memory, assumed(&row));
        assert_ne!(memory.verdict(), Verdict::DoesNotFit, "{said}");
    }
    assert!(asked > 80, "{asked}");
}

#[test]
fn rows_of_known_configuration_are_told_from_others() {
    let header = "id,engine,engine_version,model,gpu,gpu_mem_gib,gpu_memory_utilization,quality,doubt,\
                  weights_gib_per_gpu,activation_peak_gib,non_torch_gib,kv_cache_gib_per_gpu";
    let why = |row: &str| {
        let table = Table::parse(&format!("{header}\n{row}\n"), "rows").unwrap();
        unknowns(&table.row(0), &Catalog::built_in()).join("; ")
    };
    for (row, expected) in [
        ("a,vllm,0.19.0 (V1),Qwen/Qwen3-8B,h100-sxm,79.19,0.95,full-log,,15.27,2.21,0.25,57.5", ""),
        ("b,vllm,0.11.x (V1),Qwen/Qwen3-8B,,79.18,0.9,table,,,,,", ""),
        ("c,sglang,0.5.x,Qwen/Qwen3-8B,h100-sxm,,0.88,log-lines,,,,,", "covers versions that differ"),
        ("d,vllm,0.26.1rc0 fork,Qwen/Qwen3-8B,h100-sxm,,0.9,full-log,,,,,", "no release"),
        ("e,vllm,0.99.0,Qwen/Qwen3-8B,h100-sxm,,0.9,full-log,,,,,", "newer than 0.33.0"),
        ("f,vllm,0.19.0,Qwen/Qwen3-8B,,,0.9,full-log,,,,,", "the GPU is not stated"),
        ("g,vllm,0.19.0,Qwen/Qwen3-8B,h100-sxm,,,full-log,,,,,", "the memory fraction is not stated"),
        ("h,vllm,0.19.0,Qwen3-8B class,h100-sxm,,0.9,full-log,,,,,", "described, not named"),
        ("i,vllm,0.19.0,Qwen/Qwen3-8B,h100-sxm,,0.9,suspect,,,,,", "the source is suspect"),
        (
            "j,vllm,0.19.0,Qwen/Qwen3-8B,h100-sxm,,0.9,full-log,behind a cache connector,,,,",
            "a cache connector",
        ),
        ("k,trtllm,0.8.0,Qwen/Qwen3-8B,h100-sxm,,0.9,full-log,,,,,", "was compiled for"),
        // The parts of gpt-oss-120b in llm-d's table of vLLM 0.11.
        ("l,vllm,0.11.x,o,h100-sxm,79.18,0.9,table,,64.38,7.38,0.13,3.33", "add up to 0.95"),
    ] {
        let said = why(row);
        assert!(said.contains(expected) && said.is_empty() == expected.is_empty(), "{row}: {said}");
    }
}

/// What an explanation says of memory, before it comes to the operators.
fn explained(plan: &str) -> String {
    let steps = shardfit(&format!("estimate {plan} --explain")).stdout;
    let memory = steps.lines().take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("TPOT"));
    let room = shardfit(&format!("estimate {plan}")).stdout;
    let room = room.lines().skip_while(|line| !line.starts_with("Memory: "));
    memory.chain(room).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_memory_of_well_known_servers_is_explained() {
    for (name, plan) in [
        ("deepseek_r1", "deepseek-r1 --gpu h200-sxm --tp 8 --concurrency 64"),
        ("gpt_oss_120b", "gpt-oss-120b --gpu h100-sxm --concurrency 16"),
        ("llama_70b", "llama-3.1-70b --gpu h100-sxm --concurrency 16"),
    ] {
        insta::assert_snapshot!(format!("memory_{name}"), explained(plan));
    }
}
