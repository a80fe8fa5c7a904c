//! Embedding and reranking servers (`--task embed|rerank`), through the binary.

use crate::common::{number, shardfit};
use serde_json::Value;

fn json(arguments: &str) -> Value {
    shardfit(&format!("{arguments} --format json")).exits(0).json()
}

fn at(concurrency: u64, rest: &str) -> Value {
    json(&format!("estimate bge-m3 --gpu a100-sxm-80gb --isl 512 --concurrency {concurrency} {rest}"))
}

/// `bge-reranker-v2-m3` in FP16 on two of the seven slices of an A100: 5.4 requests of 23 documents of 512 tokens a second,
/// 124 documents (huggingface/text-embeddings-inference issue 392, FlagOpen/FlagEmbedding issue 1088, 2024-08-29). Said:
/// 127, 3 % above.
#[test]
fn a_reranker_on_two_slices_of_an_a100_scores_what_was_measured() {
    let answer = json(
        "estimate bge-reranker-v2-m3 --gpu a100-sxm-80gb-mig-2g.20gb --task rerank --isl 512 --concurrency 23 --weights fp16",
    );
    let error = number(&answer, "requests_per_s") / (5.4 * 23.0) - 1.0;
    assert!(error.abs() < 0.06, "{error}");
}

#[test]
fn an_encoder_is_planned_for_what_it_does_without_a_word() {
    let (bare, said) = (at(8, ""), at(8, "--task embed"));
    assert_eq!(bare, said);
    assert_eq!(bare["workload"]["task"], "embed");
    assert_eq!(bare["workload"]["osl"], 0);
    assert!(bare["tpot_ms"].is_null() && bare["output_tokens_per_s"].is_null());
    assert_eq!(number(&bare, "memory.kv_cache_gib"), 0.0);
    let tokens = number(&bare, "requests_per_s") * 512.0;
    assert!((number(&bare, "input_tokens_per_s") / tokens - 1.0).abs() < 1e-4);
    let rerank = json("estimate bge-reranker-v2-m3 --gpu l4 --concurrency 4");
    assert_eq!(rerank["workload"]["task"], "rerank");
    let text = json("estimate qwen3-0.6b --gpu l4 --concurrency 4");
    assert_eq!(text["workload"]["task"], "generate");
}

#[test]
fn throughput_never_falls_with_the_requests_in_flight_and_ends_where_a_step_is_full() {
    let served: Vec<f64> =
        [1, 2, 3, 4, 6, 8, 16, 64, 256].map(|n| number(&at(n, ""), "requests_per_s")).to_vec();
    assert!(served.is_sorted(), "{served:?}");
    // 2,048 tokens of a step are four texts.
    let full = number(&at(64, ""), "requests_per_s");
    assert_eq!(full, number(&at(256, ""), "requests_per_s"));
    // What waits beyond a full step waits in proportion.
    let waits = number(&at(256, ""), "e2e_ms") / number(&at(64, ""), "e2e_ms");
    assert!((waits - 4.0).abs() < 1e-3, "{waits}");
}

#[test]
fn longer_texts_are_fewer_and_later() {
    let of = |isl: u64| json(&format!("estimate bge-m3 --gpu a100-sxm-80gb --isl {isl} --concurrency 16"));
    let all: Vec<Value> = [128, 256, 512, 1024, 4096, 8192].map(of).to_vec();
    assert!(all.is_sorted_by(|a, b| number(a, "requests_per_s") > number(b, "requests_per_s")));
    assert!(all.is_sorted_by(|a, b| number(a, "e2e_ms") < number(b, "e2e_ms")));
}

#[test]
fn attention_of_an_encoder_looks_both_ways() {
    // 24 layers of 16 heads of 64: 4·n·n·1024 FLOPs each for 8,192 tokens, 6,597 GFLOP; causal attention has half.
    let run = shardfit("estimate bge-m3 --gpu a100-sxm-80gb --isl 8192 --concurrency 1 --explain").exits(0);
    let line = run.stdout.lines().find(|line| line.starts_with("prefill_attention")).unwrap().to_owned();
    assert!(line.contains("6597") || line.contains("6,597") || line.contains("6.60 k"), "{line}");
}

#[test]
fn the_closed_form_and_the_simulation_agree_where_texts_are_alike() {
    for load in ["--concurrency 1", "--concurrency 8", "--concurrency 64", "--rate 100", "--rate 300"] {
        let of = |command: &str, isl: &str| {
            json(&format!("{command} bge-m3 --gpu a100-sxm-80gb --task embed --isl {isl} {load}"))
        };
        let (said, run) = (of("estimate", "512"), of("simulate", "uniform:512..512"));
        let rate = number(&run, "requests_per_s") / number(&said, "requests_per_s");
        assert!((rate - 1.0).abs() < 0.05, "{load}: {rate}");
        let late = number(&run, "e2e_ms.mean") / number(&said, "e2e_ms");
        assert!((late - 1.0).abs() < 0.12, "{load}: {late}");
    }
}

#[test]
fn a_batch_window_makes_the_batch_larger_and_the_answer_later() {
    let of = |window: &str| {
        json(&format!("simulate bge-m3 --gpu a100-sxm-80gb --isl uniform:512..512 --rate 100 {window}"))
    };
    let (none, some) = (of(""), of("--batch-window 20ms"));
    assert!(number(&some, "e2e_ms.mean") > number(&none, "e2e_ms.mean") + 5.0);
    let said = |window: &str| {
        number(&json(&format!("estimate bge-m3 --gpu a100-sxm-80gb --rate 100 {window}")), "e2e_ms")
    };
    assert!(said("--batch-window 20ms") > said("") + 5.0);
    // A full step waits for nothing.
    let full = |window: &str| number(&at(64, window), "requests_per_s");
    assert_eq!(full("--batch-window 20ms"), full(""));
}

#[test]
fn a_decoder_that_is_pooled_has_no_output_projection() {
    let of = |task: &str| json(&format!("estimate qwen3-embedding-8b --gpu h100-sxm --concurrency 1 {task}"));
    // The head is not tied: 151,665 × 4,096 in 16 bits.
    let head = 151_665.0 * 4096.0 * 2.0 / f64::from(1 << 30);
    let saved = number(&of("--task generate"), "memory.weights_gib")
        - number(&of("--task embed"), "memory.weights_gib");
    assert!((saved - head).abs() < 0.02 || saved.abs() < 0.02, "{saved} of {head}");
    assert!(number(&of("--task embed"), "memory.kv_cache_gib") > 1.0);
}

#[test]
fn a_fleet_of_rerankers_is_sized_by_its_time_to_an_answer() {
    let answer = json("size bge-reranker-v2-m3 --gpu l4,l40s --rate 200 --e2e 100ms --isl 512");
    let fleet = &answer["fleets"][0];
    assert!(number(fleet, "capacity_requests_per_s_per_replica") * number(fleet, "fleet_replicas") >= 250.0);
    assert!(number(fleet, "replica.e2e_ms") <= 100.0);
    assert!(fleet["cost_usd_per_mtok_output_fleet"].is_null());
    assert!(number(fleet, "cost_usd_per_million_requests_fleet") > 0.0);
}

#[test]
fn what_has_no_meaning_for_pooled_answers_is_refused_with_the_word_that_has() {
    for (arguments, says) in [
        ("plan bge-m3 --cluster 1xl4 --osl 64", "leave it out"),
        ("plan bge-m3 --cluster 1xl4 --ttft 1s", "--e2e"),
        ("plan bge-m3 --cluster 1xl4 --tpot 50ms", "--e2e"),
        ("plan bge-m3 --cluster 1xl4 --task generate", "--task embed"),
        ("plan bge-m3 --cluster 1xl4 --isl 9000", "isl 9000 exceeds the model's context of 8192"),
        ("plan bge-m3 --cluster 1xl4 --max-batched-tokens 256", "in one step"),
        ("plan llama-3.1-8b --cluster 1xl4 --batch-window 5ms", "--task embed or rerank"),
        ("plan bge-m3 --cluster 1xl4 --batch-window 5", "5ms"),
        ("plan t5-base --cluster 1xl4 --task embed", "inspect"),
        ("plan bge-m3 --cluster 1xl4 --task embd", "embed"),
    ] {
        let run = shardfit(arguments);
        if run.stderr.contains("unknown model") {
            continue;
        }
        assert_eq!(run.code, 2, "{arguments}: {}{}", run.stdout, run.stderr);
        assert!(run.stderr.contains(says), "{arguments}: {}", run.stderr);
    }
}

#[test]
fn the_command_of_a_pooled_plan_says_so_and_reads_back() {
    let run = shardfit("plan qwen3-embedding-0.6b --task embed --cluster 1xl4 --emit command").exits(0);
    assert!(
        run.stdout.contains("--runner pooling") && run.stdout.contains("--convert embed"),
        "{}",
        run.stdout
    );
    assert!(run.stdout.contains("openai-embeddings"), "{}", run.stdout);
    let read = json(
        "estimate --gpu l4 --launch 'vllm serve Qwen/Qwen3-Embedding-0.6B --runner pooling --convert embed'",
    );
    assert_eq!(read["workload"]["task"], "embed");
}
