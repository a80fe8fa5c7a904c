//! `observe` against a server of our own that replays a simulation.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::openai::{Break, Manner, Server, serve};
use crate::common::{Run, at, number, shardfit};

const LAUNCH: &str =
    "--gpu h100-sxm --launch 'vllm serve meta-llama/Llama-3.1-8B-Instruct --max-num-seqs 64'";
/// Steps so long that what a busy machine adds to each is little beside them.
const LONG_STEPS: &str = "--gpu a100-sxm-80gb --launch 'vllm serve meta-llama/Llama-3.1-70B-Instruct --quantization fp8 --max-num-seqs 64 --max-model-len 4096'";
const LOAD: &str = "--isl 64 --osl 16 --concurrency 4 --requests 16";

fn observe(server: &Server, more: &str) -> Run {
    observe_launched(LAUNCH, server, more)
}

fn observe_launched(launch: &str, server: &Server, more: &str) -> Run {
    shardfit(&format!("observe --url {} {launch} {LOAD} {more} --json", server.address))
}

/// What the simulation of the same question says: TTFT and TPOT in milliseconds.
fn simulated(launch: &str) -> (f64, f64) {
    let load = "--isl uniform:64..64 --osl uniform:16..16 --concurrency 4 --requests 16 --warmup 0";
    let answer = shardfit(&format!("simulate {launch} {load} --protocol inferencex --json")).exits(0).json();
    (number(&answer, "ttft_ms.mean"), number(&answer, "tpot_ms.mean"))
}

/// A server whose steps take `times` as long as simulated.
fn replaying(launch: &str, times: f64) -> Manner {
    let (ttft, tpot) = simulated(launch);
    let ms = |t: f64| Duration::from_secs_f64(t * times / 1e3);
    Manner { ttft: ms(ttft), tpot: ms(tpot), ..Manner::default() }
}

fn only(run: &Run) -> Value {
    at(&run.json(), "observations")[0].clone()
}

fn says(observation: &Value) -> String {
    at(observation, "explanations").as_array().unwrap().iter().map(|e| e["says"].to_string()).collect()
}

#[test]
fn a_server_that_replays_the_simulation_is_as_predicted() {
    let server = serve(replaying(LONG_STEPS, 1.0));
    let seen = only(&observe_launched(LONG_STEPS, &server, "").exits(0));
    // One request finds the form of prompts, sixteen count.
    assert_eq!(
        (number(&seen, "answered"), server.asked.load(std::sync::atomic::Ordering::SeqCst)),
        (16.0, 17)
    );
    assert_eq!((number(&seen, "isl"), number(&seen, "osl")), (64.0, 16.0));
    assert!(server.most.load(std::sync::atomic::Ordering::SeqCst) <= 4, "no more than four at once");
    // A busy machine is late, never early.
    let off = number(&seen, "figures.tpot_ms.difference_pct");
    assert!((-1.0..100.0).contains(&off), "{seen:#}");
}

#[test]
fn a_slow_server_takes_longer_at_every_step() {
    let seen = only(&observe_launched(LONG_STEPS, &serve(replaying(LONG_STEPS, 3.0)), "").exits(0));
    let off = number(&seen, "figures.tpot_ms.difference_pct");
    assert!((195.0..500.0).contains(&off), "{seen:#}");
    assert_eq!(at(&seen, "figures.tpot_ms.within"), &Value::Bool(false));
    assert!(says(&seen).contains("as long as predicted"), "{seen:#}");
}

#[test]
fn failures_are_counted_and_say_what_the_server_says() {
    let server = serve(Manner { fails_each: Some(4), ..Manner::default() });
    let seen = only(&observe(&server, "").exits(0));
    let failures = at(&seen, "failures").as_object().unwrap();
    let (why, n) = failures.iter().next().unwrap();
    assert_eq!(why, "status 500: CUDA error: an illegal memory access");
    assert_eq!(n.as_f64().unwrap() + number(&seen, "answered"), 16.0);
    assert!(says(&seen).contains("failed"), "{seen:#}");
    // Where all fail there is nothing to compare.
    let run = observe(&serve(Manner { fails_each: Some(1), ..Manner::default() }), "").exits(2);
    assert!(run.stderr.contains("illegal memory access"), "{}", run.stderr);
}

#[test]
fn usage_that_cannot_be_true_is_not_believed() {
    for states in [1, 999_999] {
        let seen = only(&observe(&serve(Manner { states: Some(states), ..Manner::default() }), "").exits(0));
        assert_eq!(number(&seen, "osl"), 16.0, "events are counted");
        assert!(at(&seen, "notes").to_string().contains("usage of 16 answers cannot be true"), "{seen:#}");
    }
}

#[test]
fn servers_that_take_words_alone_are_sent_words() {
    let seen = only(&observe(&serve(Manner { words_only: true, ..Manner::default() }), "").exits(0));
    assert_eq!((number(&seen, "isl"), number(&seen, "answered")), (64.0, 16.0));
    assert!(at(&seen, "notes").to_string().contains("prompts are words"), "{seen:#}");
}

#[test]
fn broken_servers_take_bounded_time_and_memory() {
    for (breaks, why) in
        [(Break::Silent, "in time"), (Break::Endless, "more than"), (Break::Html, "nothing that streams")]
    {
        let started = Instant::now();
        let server = serve(Manner { breaks: Some(breaks), ..Manner::default() });
        let load = "--isl 64 --osl 16 --concurrency 4 --requests 4 --request-timeout 500ms --time-limit 3s";
        let run = shardfit(&format!("observe --url {} {LAUNCH} {load}", server.address)).exits(2);
        assert!(run.stderr.contains(why), "{breaks:?}: {}", run.stderr);
        assert!(started.elapsed() < Duration::from_secs(30), "{breaks:?}: {:?}", started.elapsed());
    }
}

#[test]
fn what_the_server_counts_explains_its_figures() {
    let metrics = "vllm:cache_config_info{num_gpu_blocks=\"1000\",block_size=\"16\"} 1\n\
                   vllm:num_requests_running{engine=\"0\"} 2\n";
    let manner = Manner { metrics: metrics.into(), version: "0.11.0".into(), ..replaying(LAUNCH, 1.0) };
    let seen = only(&observe(&serve(manner), "--engine vllm@0.21").exits(0));
    assert_eq!(number(&seen, "figures.kv_cache_tokens.measured"), 16_000.0);
    assert!(says(&seen).contains("the KV cache holds 16000 tokens"), "{seen:#}");
    assert_eq!(at(&seen, "version"), "0.11.0");
}

#[test]
fn no_server_and_wrong_addresses_are_said() {
    let run = shardfit(&format!("observe --url http://127.0.0.1:9 {LAUNCH} {LOAD}")).exits(2);
    assert!(run.stderr.contains("no server answers: the connection is refused"), "{}", run.stderr);
    let run = shardfit(&format!("observe --url ftp://x {LAUNCH} {LOAD}")).exits(2);
    assert!(run.stderr.contains("no address of a server"), "{}", run.stderr);
    let run = shardfit(&format!("observe {LAUNCH} {LOAD}")).exits(2);
    assert!(run.stderr.contains("--url"), "{}", run.stderr);
}

#[test]
fn what_is_learned_is_read_by_validate_and_calibrate() {
    let folder = tempfile::tempdir().unwrap();
    let mine = folder.path().display().to_string();
    let server = serve(replaying(LAUNCH, 1.0));
    let run = observe(&server, &format!("--learn '{mine}'")).exits(0);
    assert!(run.stderr.contains("learned 1 of 1 rows"), "{}", run.stderr);
    let file = format!("{mine}/measured/serving.csv");
    let checked = shardfit(&format!("validate serving '{file}' --json")).exits(0).json();
    assert_eq!((number(&checked, "rows"), number(&checked, "predicted")), (1.0, 1.0));
    // The same measurements are not learned twice.
    let bench = folder.path().join("bench.json");
    let result = serde_json::json!({
        "backend": "vllm", "model_id": "meta-llama/Llama-3.1-8B-Instruct", "max_concurrency": 4, "completed": 40,
        "total_input_tokens": 2560, "total_output_tokens": 640, "mean_ttft_ms": 20.0, "mean_tpot_ms": 7.0,
        "output_throughput": 500.0, "request_throughput": 31.0
    });
    std::fs::write(&bench, result.to_string()).unwrap();
    let learn = format!("observe --results '{}' {LAUNCH} --learn '{mine}' --json", bench.display());
    let seen = only(&shardfit(&learn).exits(0));
    assert_eq!(number(&seen, "figures.tpot_ms.measured"), 7.0);
    assert!(number(&seen, "figures.tpot_ms.predicted") > 4.0);
    // Without a folder it is the user's own.
    let home = [("XDG_CONFIG_HOME", mine.as_str())];
    let usual = format!("observe --results '{}' {LAUNCH} --json --learn", bench.display());
    let kept = crate::common::shardfit_with(&usual, &home).exits(0);
    assert!(kept.stderr.contains("learned 1 of 1 rows"), "{}", kept.stderr);
    assert!(folder.path().join("shardfit/measured/serving.csv").is_file());
    let again = shardfit(&learn).exits(0);
    assert!(
        again.stderr.contains("learned 0 of 1 rows") && again.stderr.contains("has 2"),
        "{}",
        again.stderr
    );
}
