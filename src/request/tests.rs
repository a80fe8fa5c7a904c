//! Requests as programs write them.

use super::*;
use crate::catalog::Catalog;
use crate::simulate::Lengths;
use crate::units::Seconds;

fn request(text: &str) -> Request {
    Request::from_json(text).unwrap()
}

fn fault(task: Task, text: &str) -> String {
    match Request::from_json(text).and_then(|request| request.resolve(task, &Catalog::built_in())) {
        Err(diagnostic) => diagnostic.to_string(),
        Ok(_) => panic!("{text} is resolved"),
    }
}

#[test]
fn a_request_is_what_was_given_after_writing_and_reading() {
    let text = r#"{"model": "llama-3.1-70b", "cluster": "8xh100-sxm", "isl": 2048, "ttft": "1s", "top": 3,
        "tp": [2, 4], "rate": "300 req/min", "weights": "bf16,fp8", "price": {"h100-sxm": 2.1}, "prefix_hit": "20%"}"#;
    let request = request(text);
    assert_eq!(request.rate.unwrap().0.get(), 5.0);
    assert_eq!(request.ttft, Some(TimeTarget { at: None, limit: Seconds::new(1.0) }));
    assert_eq!(request.weights, Some(Texts(vec!["bf16".into(), "fp8".into()])));
    assert_eq!(request.prefix_hit, Some(ShareEntry(0.2)));
    let written = serde_json::to_string(&request).unwrap();
    assert_eq!(Request::from_json(&written).unwrap(), request);
    assert_eq!(Request::from_map(request.given()).unwrap(), request);
}

#[test]
fn every_field_is_in_the_table_of_fields_in_the_same_order() {
    let Value::Object(all) = serde_json::to_value(Request::default()).unwrap() else { panic!("an object") };
    let named: Vec<&str> = FIELDS.iter().map(|(name, _)| *name).collect();
    assert_eq!(all.keys().map(String::as_str).collect::<Vec<_>>(), named);
}

#[test]
fn faults_are_said_in_the_names_of_the_fields() {
    let of = |more: &str| {
        fault(Task::Plan, &format!(r#"{{"model": "llama-3.1-8b", "cluster": "8xh100-sxm", {more}}}"#))
    };
    for (more, said) in [
        (r#""max_sequence": 3"#, "did you mean `max_sequences`?"),
        (r#""ttft": 5"#, "`5` has no unit"),
        (r#""ttft": "5""#, "has no unit"),
        (r#""seed": 5"#, "it belongs to `simulate`"),
        (r#""concurrency": 5, "rate": 1"#, "`concurrency` and `rate` exclude each other"),
        (r#""tokens_per_user": 0"#, "at: `tokens_per_user`"),
        (r#""memory_fraction": 1.5"#, "at: `memory_fraction`"),
        (r#""isl": 200000"#, "`allow_long_context`"),
        (r#""schema_version": 9"#, "version 1"),
        (r#""speculate": "ngram""#, "depends on the text"),
        (r#""percentile": "p101""#, "at: `percentile`"),
    ] {
        let text = of(more);
        assert!(text.contains(said), "{more}: {text}");
    }
    assert!(fault(Task::Plan, r#"{"model": "llama-3.1-8b"}"#).contains("`cluster`"));
    assert!(
        fault(Task::Estimate, r#"{"model": "llama-3.1-8b", "gpu": "h100-sxm", "tp": [1, 2]}"#)
            .contains("at: `tp`")
    );
    assert!(fault(Task::Plan, "{").contains("ends too early"));
}

#[test]
fn lengths_that_vary_are_planned_at_their_mean_with_room_for_the_longest() {
    let text = r#"{"model": "llama-3.1-8b", "cluster": "h100-sxm", "isl": "uniform:1000..3000", "osl": 200}"#;
    let workload = request(text).resolve(Task::Plan, &Catalog::built_in()).unwrap().workload;
    assert_eq!((workload.isl, workload.osl, workload.longest), (2000, 200, Some(3180)));
}

#[test]
fn each_task_answers_its_request() {
    let catalog = Catalog::built_in();
    let resolve = |task, text: &str| request(text).resolve(task, &catalog).unwrap();
    let one = r#"{"model": "llama-3.1-8b", "gpu": "h100-sxm", "concurrency": 16, "tp": 1}"#;
    let estimated = resolve(Task::Estimate, one).estimate().unwrap();
    assert!(estimated.reasons.is_empty() && estimated.estimate.batch == 16.0);
    let Simulated::Ran { outcome, .. } = resolve(Task::Simulate, one).simulate().unwrap() else {
        panic!("it fits")
    };
    assert_eq!(outcome.requests, 200, "ten requests of each client count, and no fewer than 200");
    let fleet = r#"{"model": "llama-3.1-8b", "gpu": ["l40s", "h100-sxm"], "rate": 20, "ttft": "1s"}"#;
    let sized = resolve(Task::Size, fleet).size().unwrap();
    assert_eq!((sized.sizings.len(), sized.demand.rate.get()), (2, 20.0));
    assert!(sized.best().is_some());
    assert!(resolve(Task::Size, fleet).estimate().is_err());
}

#[test]
fn a_name_of_a_gguf_file_is_asked_about_in_its_format_and_on_what_loads_it() {
    // ollama.com/library; the usual quantisation of its files and of `llama-server -hf` is Q4_K_M.
    let catalog = Catalog::built_in();
    let asked = |more: &str| {
        let text = format!(r#"{{"isl": 512, "osl": 128, {more}}}"#);
        let resolved = request(&text).resolve(Task::Plan, &catalog).unwrap();
        let weights = resolved.precisions[0].weights.map_or("own", |format| format.name());
        (resolved.engines[0].id.clone(), weights, resolved.model.notes.join("; "))
    };
    for (more, engine, weights) in [
        (r#""model": "qwen2.5-coder:32b-instruct-q4_K_M", "cluster": "rtx-4090""#, "llama.cpp", "q4_k_m"),
        (r#""model": "deepseek-r1:32b", "cluster": "2xrtx-4090""#, "llama.cpp", "q4_k_m"),
        (r#""model": "gemma3:27b-it-qat", "cluster": "rtx-5090""#, "llama.cpp", "q4_0"),
        (r#""model": "llama3.1:8b-instruct-fp16", "cluster": "rtx-4090""#, "llama.cpp", "fp16"),
        (r#""model": "unsloth/Llama-3.3-70B-Instruct-GGUF", "cluster": "2xrtx-3090""#, "llama.cpp", "q4_k_m"),
        (r#""model": "hf.co/unsloth/Qwen3-32B-GGUF:Q8_0", "cluster": "2xrtx-3090""#, "llama.cpp", "q8_0"),
        (r#""model": "gemma3:27b", "cluster": "rtx-5090", "engine": "ollama""#, "llama.cpp", "q4_k_m"),
        // MXFP4 from the start: Ollama's file is in it, too.
        (r#""model": "gpt-oss:20b", "cluster": "rtx-4090", "engine": "ollama""#, "llama.cpp", "own"),
        (r#""model": "gpt-oss:20b", "cluster": "rtx-4090""#, "vllm", "own"),
        // What the request says itself wins; of an engine that loads no such file, the usual one is not meant.
        (r#""model": "gemma3:27b", "cluster": "h100-sxm", "weights": "fp8""#, "vllm", "fp8"),
        (r#""model": "gemma3:27b", "cluster": "h100-sxm", "engine": "vllm""#, "vllm", "own"),
        (r#""model": "gemma3:27b", "cluster": "h100-sxm", "enforce_eager": true"#, "vllm", "own"),
        (r#""model": "gemma3:27b-it-q8_0", "cluster": "h100-sxm", "engine": "vllm""#, "vllm", "q8_0"),
        (r#""model": "gemma-3-27b", "cluster": "h100-sxm""#, "vllm", "own"),
        // A size alone is what people call a model: where its checkpoint has room, nobody means a file of four bits.
        (r#""model": "llama3.3:70b", "cluster": "8xh100-sxm""#, "vllm", "own"),
        (r#""model": "llama3.3:70b", "cluster": "2xrtx-3090""#, "llama.cpp", "q4_k_m"),
        (r#""model": "llama3.3:70b-instruct-q4_K_M", "cluster": "8xh100-sxm""#, "llama.cpp", "q4_k_m"),
    ] {
        let (on, stored, notes) = asked(more);
        assert_eq!((on.as_str(), stored), (engine, weights), "{more}");
        let says = notes.contains("is a GGUF file");
        assert_eq!(says, engine == "llama.cpp" || weights == "q8_0", "{more}: {notes}");
    }
    let (.., notes) = asked(r#""model": "unsloth/Qwen3-32B-GGUF:UD-Q4_K_XL", "cluster": "rtx-4090""#);
    assert!(notes.contains("in UD-Q4_K_XL, counted as q4_k_m"), "{notes}");
}

#[test]
fn numbers_may_be_written_as_the_command_line_takes_them() {
    let all = request(
        r#"{"max_model_len": "8k", "max_batched_tokens": "2k,8192", "max_sequences": "1k", "memory_fraction": "90%",
            "top": "3", "batch": 16.0, "isl": 2048.0, "concurrency": "10k", "max_price": "12.5", "exhaustive": "true",
            "enable_prefix_caching": "off", "acceptance": "0.8", "tp": [2.0, 4]}"#,
    );
    assert_eq!(all.max_model_len, Some(8192), "tokens count 1,024 to the k");
    assert_eq!(all.max_batched_tokens, Some(Counts(vec![2048, 8192])));
    assert_eq!(all.max_sequences, Some(Counts(vec![1000])), "sequences count 1,000 to the k");
    assert_eq!((all.memory_fraction, all.acceptance), (Some(0.9), Some(0.8)));
    assert_eq!((all.top, all.concurrency, all.max_price), (Some(3), Some(10_000), Some(12.5)));
    assert_eq!((all.batch, all.tp), (Some(Values(vec![16])), Some(Values(vec![2, 4]))));
    assert_eq!(all.isl.map(|isl| isl.0), Some(Lengths::Fixed(2048)));
    assert_eq!((all.exhaustive, all.enable_prefix_caching), (Some(true), Some(false)));
}

#[test]
fn values_of_another_kind_are_refused_in_plain_words() {
    for (text, said) in [
        (r#"{"max_price": "50%"}"#, "`50%` is not a number"),
        (r#"{"top": "many"}"#, "`many` is not a number"),
        (r#"{"top": -1}"#, "expected a whole number that is not negative, found -1"),
        (r#"{"top": 2.5}"#, "found 2.5"),
        (r#"{"tp": {}}"#, "expected a number, a list [2, 4] or a range 1..4, found an object"),
        (r#"{"cluster": 5}"#, "expected a text, found 5"),
        (r#"{"exhaustive": "perhaps"}"#, "expected true or false, found the text \"perhaps\""),
        (r#"[1]"#, "expected an object, found a list"),
        (r#"{"tp": 2, "tp": 4}"#, "`tp` is given twice"),
    ] {
        let fault = Request::from_json(text).unwrap_err().to_string();
        assert!(fault.contains(said), "{text}: {fault}");
        assert!(!fault.contains("u64") && !fault.contains("invalid type"), "{fault}");
    }
}
