//! Questions in JSON: the answers are the bytes that the command line prints.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::{self, schema};
use serde_json::{Map, Value, json};
use shardfit::ask;
use shardfit::catalog::Catalog;

/// The command line that asks what a request asks.
fn command_line(name: &str, request: &Map<String, Value>) -> Vec<String> {
    let mut words = vec![name.to_owned()];
    words.extend(request.get("model").and_then(Value::as_str).map(str::to_owned));
    if let Some(others) = request.get("others").and_then(Value::as_array) {
        words.extend(others.iter().filter_map(Value::as_str).map(str::to_owned));
    }
    for (key, value) in request.iter().filter(|(key, _)| !matches!(key.as_str(), "model" | "others")) {
        let flag = format!("--{}", key.replace('_', "-"));
        let said = |value: &Value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        match value {
            Value::Bool(true) => words.push(flag),
            Value::Array(list) => {
                words.extend([flag, list.iter().map(said).collect::<Vec<_>>().join(",")]);
            }
            Value::Object(map) => {
                words.extend(map.iter().flat_map(|(gpu, usd)| [flag.clone(), format!("{gpu}={usd}")]));
            }
            other => words.extend([flag, said(other)]),
        }
    }
    words.extend(["--format".to_owned(), "json".to_owned()]);
    words
}

/// Draws from lists, the same each time.
struct Draw(u64);

impl Draw {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % n
    }

    /// A request with the first values of what it must have and some of what it may have.
    fn request(&mut self, must: &[(&str, Value)], may: &[(&str, Value)]) -> Map<String, Value> {
        let mut request = Map::new();
        for (at, (key, values)) in must.iter().chain(may).enumerate() {
            if at >= must.len() && self.below(3) > 0 {
                continue;
            }
            let list = values.as_array().unwrap();
            request.insert((*key).to_owned(), list[self.below(list.len())].clone());
        }
        request
    }
}

/// Requests of a command, some of which make no sense.
fn sampled(command: &str, n: usize) -> Vec<Map<String, Value>> {
    let models = json!(["llama-3.1-8b", "qwen3-8b", "mixtral-8x7b", "deepseek-v2-lite", "no-such-model"]);
    let lengths = json!([128, 1000, 2048, 9000, 500_000]);
    let (must, may) = match command {
        "plan" => (
            vec![
                ("model", models),
                ("cluster", json!(["1xh100-sxm", "2xl40s", "h100-sxm", "2xa100-sxm-80gb", "9xnothing"])),
                ("isl", lengths.clone()),
                ("pp", json!([1])),
            ],
            vec![
                ("osl", lengths),
                ("engine", json!(["vllm", "sglang", "any", ["vllm", "trtllm"], "vllm@0.10"])),
                ("weights", json!(["fp8", ["bf16", "fp8"], "nothing"])),
                ("kv", json!(["fp8"])),
                ("ttft", json!(["500ms", "2 s", "5"])),
                ("tpot", json!(["40ms", "1ms"])),
                ("concurrency", json!([1, 32, 500])),
                ("top", json!([1, 3, 50])),
                ("objective", json!(["cost", "latency", "throughput=2,ttft=1", "beauty"])),
                ("verify", json!([0])),
                ("price", json!([{ "h100-sxm": 1.25 }, { "l40s": 0.5 }])),
                ("max_gpus", json!([1])),
                ("memory_fraction", json!([0.8, 0.95, 2])),
                ("pareto", json!(["per-gpu,tpot", "throughput,ttft"])),
                ("allow_long_context", json!([true])),
            ],
        ),
        "estimate" => (
            vec![("model", models), ("gpu", json!(["h100-sxm", "l40s", "a100-sxm-80gb", "mi300x"]))],
            vec![
                ("tp", json!([1, 2, 3, 8])),
                ("pp", json!([1, 2])),
                ("replicas", json!([1, 4])),
                ("isl", lengths.clone()),
                ("osl", lengths),
                ("concurrency", json!([1, 64, 1000])),
                ("engine", json!(["vllm", "sglang", "trtllm"])),
                ("weights", json!(["fp8", "int4"])),
                ("prefix_hit", json!([0.5, 1.5])),
                ("max_sequences", json!([16, 1024])),
                ("max_batched_tokens", json!([512, 2048])),
                ("explain", json!([true])),
                ("electricity", json!([0.2])),
                ("scope", json!(["text"])),
                ("lora", json!(["rank=16", "rank=x"])),
            ],
        ),
        "size" => (
            vec![
                ("model", json!(["llama-3.1-8b", "qwen3-8b"])),
                ("gpu", json!([["l40s"], ["l40s", "h100-sxm"]])),
                ("rate", json!([1, 20, "300 req/min"])),
                ("max_replica", json!([1])),
            ],
            vec![
                ("tpot", json!(["40ms"])),
                ("headroom", json!(["20%", 0.5])),
                ("spare", json!([1])),
                ("unit", json!([4])),
                ("objective", json!(["gpus"])),
            ],
        ),
        "simulate" => (
            vec![
                ("model", json!(["llama-3.1-8b", "qwen3-8b"])),
                ("gpu", json!(["h100-sxm", "l40s"])),
                ("requests", json!([20, 50])),
            ],
            vec![
                ("concurrency", json!([2, 8])),
                ("isl", json!([200, "uniform:100..300", "lognormal:200,0.5"])),
                ("osl", json!([20, 40])),
                ("seed", json!([7])),
                ("warmup", json!([0, 5])),
                ("ttft", json!(["100ms"])),
            ],
        ),
        "inspect" => (
            vec![("model", models)],
            vec![
                ("others", json!([["qwen3-8b"]])),
                ("mode", json!(["prefill", "decode", "pretrain", "nap"])),
                (
                    "table",
                    json!(["params", "memory", "flops", "intensity", "precision", "context", "training"]),
                ),
                ("batch", json!([1, 16, 0])),
                ("seq", json!([128, 4096])),
                ("gpu", json!(["h100-sxm"])),
                ("no_flash_attention", json!([true])),
                ("no_flash_decoding", json!([true])),
                ("tp", json!([2])),
                ("dp", json!([4])),
                ("recompute", json!(["full"])),
                ("weights", json!(["fp8"])),
                ("ram", json!(["32GB", "32"])),
            ],
        ),
        "train" => (
            vec![
                ("model", json!(["llama-3.1-8b", "qwen3-8b"])),
                ("cluster", json!(["8xh100-sxm"])),
                ("global_batch", json!([8, 16])),
                ("seq", json!([2048])),
                ("tp", json!([1, "1,2"])),
                ("pp", json!([1])),
                ("cp", json!([1])),
            ],
            vec![
                ("tuning", json!(["lora"])),
                ("precision", json!(["fp8", ["bf16", "fp8"]])),
                ("sharding", json!(["zero3", ["zero1", "zero3"]])),
                ("recompute", json!([["none", "full"]])),
                ("tokens", json!(["15T", 3_000_000_000_u64, "many"])),
                ("top", json!([2])),
                ("explain", json!([1, 900])),
                ("mtbf", json!(["50000 h"])),
                ("optimizer", json!(["adam-8bit", "adm"])),
            ],
        ),
        "fit" => (
            vec![
                ("cluster", json!(["1xrtx-4090", "1xm4-max", "2xrtx-3060", "1xrtx-4091"])),
                ("family", json!([["smollm2"], ["llama-3.2-1b", "gemma-3-1b"], "qwen3-0.6b"])),
            ],
            vec![
                ("context", json!([2048, 16384])),
                ("isl", json!([512, 100_000])),
                ("task", json!(["chat", "code", "talk"])),
                ("min_tokens", json!([20, 1000, -1])),
                ("max_memory", json!(["2GiB", "2"])),
                ("weights", json!([["q4_k_m", "bf16"], "q9"])),
                ("license", json!(["permissive", ["apache-2.0"], "mine"])),
                ("since", json!(["2025", "then"])),
                ("all_formats", json!([true])),
                ("top", json!([1, 3])),
            ],
        ),
        _ => (
            vec![("flops", json!(["5.76e23", "1e24", "-1"]))],
            vec![
                ("approach", json!(["1", "2", "3", "4"])),
                ("inference_tokens", json!(["10T"])),
                ("gpu", json!(["h100-sxm"])),
                ("mfu", json!([0.4])),
                ("price", json!([{ "h100-sxm": 2.5 }])),
            ],
        ),
    };
    let mut draw = Draw(command.len() as u64 * 977);
    (0..n).map(|_| draw.request(&must, &may)).collect()
}

#[test]
fn sampled_requests_are_answered_with_the_bytes_of_the_command_line_and_as_their_schema_says() {
    // Models that are not in the catalogue are no question for a hub.
    let counts = [
        ("plan", 40),
        ("estimate", 70),
        ("size", 8),
        ("simulate", 12),
        ("inspect", 70),
        ("train", 16),
        ("budget", 20),
        ("fit", 20),
    ];
    let catalog = Catalog::built_in();
    let (alike, faults) = (AtomicUsize::new(0), AtomicUsize::new(0));
    for (command, n) in counts {
        let requests = sampled(command, n);
        let described = command.parse::<ask::Command>().unwrap().answer_schema();
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let words = command_line(command, request);
                        let theirs = common::command().args(&words).output().unwrap();
                        let (status, said) =
                            (theirs.status.code().unwrap(), String::from_utf8_lossy(&theirs.stderr));
                        let text = Value::Object(request.clone()).to_string();
                        match ask::answer(command, &text, &catalog) {
                            Ok(ours) => {
                                let answer = serde_json::from_str(&ours).unwrap();
                                let faults = schema::faults(&answer, &described);
                                assert!(faults.is_empty(), "{words:?}: {faults:#?}");
                                assert!(status < 2, "{words:?}: {said}");
                                let theirs = String::from_utf8_lossy(&theirs.stdout);
                                assert!(ours == theirs, "{words:?}\n{ours}\n{theirs}");
                                alike.fetch_add(1, Ordering::Relaxed);
                            }
                            Err(fault) => {
                                assert!(status == 2, "{words:?} is refused: {fault}");
                                faults.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                    }
                });
            }
        });
    }
    let (alike, faults) = (alike.into_inner(), faults.into_inner());
    assert!(alike > 100 && faults > 20, "{alike} answers and {faults} faults: the sample is one-sided");
}

#[test]
fn faults_are_cause_place_and_help_in_the_names_of_the_fields() {
    let catalog = Catalog::built_in();
    for (command, request, code, place, said) in [
        ("plan", r#"{"model": "llama-3.1-8b", "cluster": "8xh100-smx"}"#, "unknown-name", None, "h100-sxm"),
        ("plan", r#"{"model": "llama-3.1-8b"}"#, "usage", None, "`cluster`"),
        (
            "train",
            r#"{"model": "llama-3.1-8b", "cluster": "8xh100-sxm", "seq": 1}"#,
            "usage",
            None,
            "`global_batch`",
        ),
        ("train", r#"{"global_batches": 1}"#, "unknown-name", Some("the request"), "`global_batch`"),
        (
            "train",
            r#"{"model": "llama-3.1-8b", "cluster": "8xh100-sxm", "global_batch": 8, "seq": 99999999}"#,
            "range",
            Some("`seq`"),
            "16777216",
        ),
        ("budget", r#"{"gpu_hours": 5, "days": 3}"#, "usage", None, "`days`"),
        ("budget", r#"{"flops": 0}"#, "range", Some("`flops`"), "above zero"),
        ("fit", "{}", "usage", None, "`cluster`"),
        ("fit", r#"{"cluster": "1xrtx-4090", "context": 0}"#, "range", Some("`context`"), "from 1"),
        ("inspect", r#"{"model": "llama-3.1-8b", "tp": 0}"#, "range", Some("`tp`"), "from 1"),
        ("inspect", r#"{"model": "llama-3.1-8b", "table": "context"}"#, "usage", None, "`gpu`"),
        ("inspect", r#"{"model": 5}"#, "syntax", Some("`model`"), "expected a text"),
        ("size", r#"{"model": "llama-3.1-8b", "gpu": "l40s"}"#, "usage", None, "`rate`"),
        (
            "emit",
            r#"{"model": "llama-3.1-8b", "cluster": "8xh100-sxm", "emit": "helm"}"#,
            "unknown-name",
            Some("`emit`"),
            "k8s",
        ),
        ("deploy", "{}", "unknown-name", None, "plan"),
        ("plan", "{", "syntax", None, ""),
    ] {
        let fault = ask::answer(command, request, &catalog).unwrap_err();
        let value = ask::fault(&fault);
        assert_eq!(value["error"]["code"], code, "{request}: {fault}");
        assert_eq!(value["error"]["place"].as_str().filter(|_| place.is_some()), place, "{request}: {fault}");
        assert!(fault.to_string().contains(said), "{request}: {fault}");
        assert!(!fault.to_string().contains("--"), "{request}: {fault}");
    }
}

#[test]
fn a_plan_is_emitted_as_files_with_their_names() {
    let catalog = Catalog::built_in();
    let files = |request: &str| -> Value {
        serde_json::from_str(&ask::answer("emit", request, &catalog).unwrap()).unwrap()
    };
    let best = files(r#"{"model": "llama-3.1-8b", "cluster": "1xh100-sxm", "engine": "vllm"}"#);
    assert!(best["files"][0]["text"].as_str().unwrap().contains("vllm serve"), "{best:#}");
    let given = files(r#"{"model": "llama-3.1-8b", "gpu": "h100-sxm", "tp": 2, "emit": "command,k8s"}"#);
    let names: Vec<&str> =
        given["files"].as_array().unwrap().iter().filter_map(|f| f["name"].as_str()).collect();
    assert!(names.len() >= 2 && names.iter().any(|name| name.ends_with(".yaml")), "{names:?}");
    assert!(given["files"][0]["text"].as_str().unwrap().contains("tensor-parallel-size 2"), "{given:#}");
}

#[test]
fn a_configuration_in_the_request_is_the_model() {
    let catalog = Catalog::built_in();
    let config = json!({
        "_name_or_path": "mine/own-1b", "model_type": "llama", "architectures": ["LlamaForCausalLM"],
        "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32,
        "num_key_value_heads": 8, "vocab_size": 128256, "tie_word_embeddings": true, "torch_dtype": "bfloat16",
        "max_position_embeddings": 8192,
    });
    let request = json!({ "config": config, "gpu": "l40s" }).to_string();
    let answer: Value = serde_json::from_str(&ask::answer("inspect", &request, &catalog).unwrap()).unwrap();
    // 128,256 · 2,048 once, and of each layer 2,048 · (2,048 + 2 · 512 + 2,048) + 3 · 2,048 · 8,192 and two norms; a last norm.
    let layer = 2048 * (2048 + 2 * 512 + 2048) + 3 * 2048 * 8192 + 2 * 2048;
    assert_eq!(answer["params"]["total"], 128_256 * 2048 + 16 * layer + 2048, "{answer:#}");
    let both = r#"{"config": {}, "model": "llama-3.1-8b", "gpu": "l40s"}"#;
    assert!(ask::answer("inspect", both, &catalog).unwrap_err().cause.contains("exclude each other"));
}

#[test]
fn a_sealed_catalogue_reads_no_file_that_a_request_names() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let config = write("config.json", r#"{"model_type": "llama"}"#);
    let yaml = write("gpu.yaml", "id: secret\n");
    let script = write("launch.sh", "vllm serve meta-llama/Llama-3.1-8B -tp 2\n");
    let catalog = Catalog::built_in().sealed();
    let at = folder.path().display().to_string();
    for (command, request) in [
        ("inspect", json!({ "model": config })),
        ("inspect", json!({ "model": at })),
        ("inspect", json!({ "model": "llama-3.1-8b", "others": [config] })),
        ("inspect", json!({ "model": "llama-3.1-8b", "models": [at] })),
        ("inspect", json!({ "model": "llama-3.1-8b", "gpu": yaml })),
        ("inspect", json!({ "model": "nobody/nothing" })),
        ("plan", json!({ "model": "llama-3.1-8b", "cluster": yaml })),
        ("plan", json!({ "model": "llama-3.1-8b", "cluster": "8xh100-sxm", "engine": yaml })),
        ("plan", json!({ "model": "llama-3.1-8b", "cluster": "8xh100-sxm", "kernels": at })),
        ("plan", json!({ "model": "llama-3.1-8b", "cluster": "8xh100-sxm", "draft_model": config })),
        (
            "plan",
            json!({ "model": "llama-3.1-8b", "cluster": "8xh100-sxm", "current": format!("tp=1,gpu={yaml}") }),
        ),
        ("estimate", json!({ "launch": script, "gpu": "h100-sxm" })),
        ("estimate", json!({ "model": "llama-3.1-8b", "gpu": yaml })),
        ("size", json!({ "model": "llama-3.1-8b", "gpu": "l40s", "forecast": script })),
        ("size", json!({ "model": "llama-3.1-8b", "gpu": yaml, "rate": 1 })),
        ("simulate", json!({ "model": "llama-3.1-8b", "gpu": "l40s", "trace": script })),
        (
            "train",
            json!({ "model": "llama-3.1-8b", "cluster": "8xh100-sxm", "global_batch": 8, "seq": 512, "framework": yaml }),
        ),
        ("budget", json!({ "gpu_hours": 5, "gpu": yaml })),
        ("fit", json!({ "cluster": yaml })),
        ("fit", json!({ "cluster": "1xrtx-4090", "models": [at] })),
        ("fit", json!({ "cluster": "1xrtx-4090", "engine": yaml })),
    ] {
        let Value::Object(map) = request.clone() else { panic!("an object") };
        let hub = shardfit::hub::Hub::none();
        let setting = ask::Setting { catalog: &catalog, hub, stop: shardfit::search::Stop::NEVER };
        let answered = ask::answer_map(command.parse().unwrap(), map, &setting, |_| ());
        let fault = answered.map(|a| a.text()).expect_err(&request.to_string()).to_string();
        assert!(!fault.contains("secret") && !fault.contains("line 1"), "{request}: {fault}");
    }
}
