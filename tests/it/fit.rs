//! Which models run on a machine: `fit`.

use crate::common::{self, shardfit};
use serde_json::Value;
use shardfit::report::FIT_COLUMNS;

fn answer(line: &str) -> Value {
    shardfit(&format!("fit {line} --format json")).exits(0).json()
}

fn models(answer: &Value) -> &Vec<Value> {
    answer["models"].as_array().unwrap()
}

fn model<'a>(answer: &'a Value, name: &str) -> &'a Value {
    models(answer).iter().find(|m| m["model"] == name).unwrap_or_else(|| panic!("{name} in {answer:#}"))
}

fn names(answer: &Value) -> Vec<&str> {
    models(answer).iter().filter_map(|m| m["model"].as_str()).collect()
}

#[test]
fn models_are_ranked_by_their_published_score_then_by_size() {
    let found = answer("--cluster 1xrtx-4090 --family gemma-2,gemma-3 --top 100");
    // arena.ai of 21 August 2026: 1366, 1342, 1303, 1289, 1267, 1200; nothing of 1B and 270M, nor of the base models.
    let scored: Vec<(&str, f64)> =
        models(&found).iter().filter_map(|m| Some((m["model"].as_str()?, m["score"].as_f64()?))).collect();
    assert_eq!(
        scored,
        [
            ("google/gemma-3-27b-it", 1366.0),
            ("google/gemma-3-12b-it", 1342.0),
            ("google/gemma-3-4b-it", 1303.0),
            ("google/gemma-2-27b-it", 1289.0),
            ("google/gemma-2-9b-it", 1267.0),
            ("google/gemma-2-2b-it", 1200.0),
        ]
    );
    let rest = &models(&found)[scored.len()..];
    let sizes: Vec<f64> = rest.iter().map(|m| m["parameters_b"].as_f64().unwrap()).collect();
    assert!(!sizes.is_empty() && sizes.windows(2).all(|pair| pair[0] >= pair[1]), "{sizes:?}");
    assert_eq!(found["measure"]["date"], "2026-08-21");
    // Faster and worse, along the front.
    let front: Vec<&Value> = models(&found).iter().filter(|m| m["on_front"] == "yes").collect();
    let speeds: Vec<f64> = front.iter().map(|m| m["tokens_per_s"].as_f64().unwrap()).collect();
    assert!(front.len() > 2 && speeds.windows(2).all(|pair| pair[0] < pair[1]), "{speeds:?}");
}

#[test]
fn a_way_is_what_estimate_says_of_it() {
    let found = answer("--cluster 1xrtx-4090 --family llama-3.1-8b --engine llama.cpp --weights q4_k_m");
    let way = model(&found, "meta-llama/Llama-3.1-8B-Instruct");
    let said: Value = shardfit(
        "estimate meta-llama/Llama-3.1-8B-Instruct --gpu rtx-4090 --engine llama.cpp --weights q4_k_m --concurrency 1 \
         --max-model-len 8192 --format json",
    )
    .exits(0)
    .json();
    let close = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-4;
    assert!(close(
        way["tokens_per_s"].as_f64().unwrap(),
        said["output_tokens_per_s_per_user"].as_f64().unwrap()
    ));
    assert!(close(way["ttft_ms"].as_f64().unwrap(), said["ttft_ms"].as_f64().unwrap()));
    assert_eq!(way["room_tokens"], said["room"]["longest_context_tokens"]);
    // Q4_K_M of Llama 3 8B raises perplexity by 2.816 % (llama.cpp, tools/perplexity/README.md).
    assert!(close(way["loss_percent"].as_f64().unwrap(), 2.816));
}

#[test]
fn what_is_suggested_runs_when_it_is_done() {
    let asked = "--family qwen3-32b,qwen3-14b";
    let found: Value = answer(&format!("--cluster 1xrtx-3060 {asked}"));
    let above = &found["next_better"][0];
    assert_eq!(
        (&above["model"], &above["reason"]),
        (&"Qwen/Qwen3-32B".into(), &"no_room".into()),
        "{found:#}"
    );
    let suggestions = above["suggestions"].as_array().unwrap();
    assert!(
        suggestions.iter().any(|s| s["options"].as_str().unwrap().starts_with("--host memory=")),
        "{above:#}"
    );
    assert!(
        suggestions.iter().any(|s| s["options"].as_str().unwrap().starts_with("--cluster ")),
        "{above:#}"
    );
    for suggestion in suggestions {
        let options = suggestion["options"].as_str().unwrap();
        let machine = if options.contains("--cluster") { "" } else { "--cluster 1xrtx-3060" };
        let then = answer(&format!("{machine} {asked} {options}"));
        let runs = model(&then, "Qwen/Qwen3-32B");
        for figure in ["weights", "engine", "tokens_per_s", "room_tokens", "host_gib"] {
            assert_eq!(runs[figure], suggestion["way"][figure], "{options}: {figure}");
        }
    }
}

#[test]
fn experts_stay_with_a_host_whose_memory_is_known() {
    let line = "--cluster 1xrtx-3060 --family qwen3-30b-a3b --engine llama.cpp --weights q4_k_m";
    let without = shardfit(&format!("fit {line} --format json")).exits(1).json();
    assert_eq!(names(&without), Vec::<&str>::new());
    let with = answer(&format!("{line} --host memory=64GiB,bandwidth=83.2GB/s"));
    let way = model(&with, "Qwen/Qwen3-30B-A3B-Instruct-2507");
    // 17.3 GiB of weights on a card of 12: some experts do not fit, and all attention does.
    assert!(way["n_cpu_moe"].as_u64().unwrap() > 0 && way["gpu_layers"].is_null(), "{way:#}");
    assert!(way["host_gib"].as_f64().unwrap() > 5.0 && way["memory_gib"].as_f64().unwrap() < 12.0, "{way:#}");
}

#[test]
fn filters_leave_what_they_ask_for() {
    let of = |filter: &str| {
        answer(&format!(
            "--cluster 1xrtx-4090 --top 500 --family qwen2.5-7b,qwen2.5-coder-7b,qwen2.5-vl-7b,llama-3.1-8b,llama-3.2 {filter}"
        ))
    };
    let all = of("");
    for m in models(&of("--license permissive")) {
        assert!(["apache-2.0", "mit"].contains(&m["license"].as_str().unwrap()), "{m:#}");
    }
    for m in models(&of("--since 2024-12")) {
        assert!(m["released"].as_str().unwrap() >= "2024-12", "{m:#}");
    }
    let code = of("--task code");
    assert!(names(&code).iter().all(|name| name.contains("Coder")), "{:?}", names(&code));
    let vision = of("--task vision");
    assert!(names(&vision).iter().any(|name| name.contains("Qwen2.5-VL")));
    assert!(
        names(&vision).iter().all(|name| name.contains("VL") || name.contains("Vision")),
        "{:?}",
        names(&vision)
    );
    assert_eq!(vision["measure"]["id"], "arena-vision");
    assert!(models(&of("--min-tokens 100")).iter().all(|m| m["tokens_per_s"].as_f64().unwrap() >= 100.0));
    assert!(models(&of("--max-memory 8GiB")).iter().all(|m| m["memory_gib"].as_f64().unwrap() <= 8.0));
    assert!(models(&of("--context 65536")).iter().all(|m| m["room_tokens"].as_u64().unwrap() >= 65536));
    assert!(models(&all).len() > models(&code).len());
    let vectors = answer("--cluster 1xrtx-4090 --task embedding");
    assert!(
        names(&vectors).contains(&"Qwen/Qwen3-Embedding-8B") && vectors["measure"].is_null(),
        "{vectors:#}"
    );
}

#[test]
fn every_way_is_listed_where_all_formats_are_asked_for() {
    let line = "--cluster 1xrtx-4090 --family llama-3.1-8b-instruct --engine llama.cpp,vllm";
    let (one, every) = (answer(line), answer(&format!("{line} --all-formats")));
    assert_eq!(models(&one).len(), 1);
    let ways: Vec<(&str, &str)> = models(&every)
        .iter()
        .map(|m| (m["engine"].as_str().unwrap(), m["weights"].as_str().unwrap()))
        .collect();
    for way in
        [("llama.cpp", "q8_0"), ("llama.cpp", "q2_k"), ("vllm", "bf16"), ("vllm", "fp8"), ("vllm", "int4")]
    {
        assert!(ways.contains(&way), "{way:?} in {ways:?}");
    }
    // Checkpoints of the catalogue that were made from it are ways of it, and no models of their own.
    let made = |m: &&Value| m["checkpoint"] == "hugging-quants/Meta-Llama-3.1-8B-Instruct-AWQ-INT4";
    assert!(models(&every).iter().any(|m| made(&m)), "{every:#}");
    assert_eq!(models(&one)[0], models(&every)[0]);
}

#[test]
fn a_quantised_checkpoint_is_not_widened() {
    let found = answer("--cluster 1xrtx-4090 --family gpt-oss-20b --all-formats --top 50");
    let formats: Vec<&str> = models(&found).iter().filter_map(|m| m["weights"].as_str()).collect();
    assert!(
        formats.contains(&"mxfp4") && !formats.contains(&"q8_0") && !formats.contains(&"q5_0"),
        "{formats:?}"
    );
}

#[test]
fn several_cards_divide_a_model_or_serve_copies() {
    let found = answer("--cluster 2xrtx-3090 --family llama-3.3-70b,llama-3.2-1b --engine llama.cpp,vllm");
    let large = model(&found, "meta-llama/Llama-3.3-70B-Instruct");
    assert_eq!(large["tp"].as_u64().unwrap() * large["pp"].as_u64().unwrap(), 2, "{large:#}");
    assert!(large["memory_gib"].as_f64().unwrap() < 24.0);
}

#[test]
fn the_answer_is_the_same_for_any_number_of_threads() {
    let said = |threads: &str| {
        let words = "fit --cluster 1xrtx-4070 --family mistral,phi --format json".split(' ');
        let run = common::command().args(words).env("RAYON_NUM_THREADS", threads).output().unwrap();
        assert!(run.status.success());
        String::from_utf8(run.stdout).unwrap()
    };
    assert_eq!(said("1"), said("5"));
}

#[test]
fn each_format_holds_every_column() {
    let line = "fit --cluster 1xm4-max --family smollm2";
    let csv = shardfit(&format!("{line} --format csv")).exits(0).stdout;
    let header = csv.lines().next().unwrap();
    let columns = FIT_COLUMNS.iter().map(|column| column.name);
    let expected: Vec<&str> = ["cluster", "context", "isl", "osl"].into_iter().chain(columns).collect();
    assert_eq!(header.split(',').collect::<Vec<_>>(), expected);
    let text = shardfit(line).exits(0).stdout;
    for said in ["Arena text score of 2026-08-21", "models run on 1xm4-max", "llama.cpp"] {
        assert!(text.contains(said), "{said} in\n{text}");
    }
    assert!(shardfit(&format!("{line} --format md")).exits(0).stdout.starts_with('|'));
    let yaml = shardfit(&format!("{line} --format yaml")).exits(0).stdout;
    assert!(yaml.starts_with("schema_version: 1"), "{yaml}");
}

#[test]
fn bad_input_says_what_is_allowed() {
    for (options, said) in [
        ("--cluster 1xrxt-4090", "rtx-4090"),
        ("--cluster 1xrtx-4090 --task chatting", "chat, code, vision, embedding, reasoning"),
        ("--cluster 1xrtx-4090 --license apache2", "apache-2.0"),
        ("--cluster 1xrtx-4090 --since yesterday", "2025-06-30"),
        ("--cluster 1xrtx-4090 --since 2025-13", "2025-06-30"),
        ("--cluster 1xrtx-4090 --max-memory 16", "16GiB"),
        ("--cluster 1xrtx-4090 --max-memory 0GiB", "16GiB"),
        ("--cluster 1xrtx-4090 --min-tokens -5", "--min-tokens"),
        ("--cluster 1xrtx-4090 --min-tokens nan", "--min-tokens"),
        ("--cluster 1xrtx-4090 --weights q44", "q4_k_m"),
        ("--cluster 1xrtx-4090 --engine vllm --weights q4_k_m", "no engine that is asked for loads q4_k_m"),
        ("--cluster 1xm4-max --engine vllm", "llama.cpp"),
        ("--cluster 1xrtx-4090 --context 100 --isl 2000", "exceed a conversation of 100"),
        ("--cluster 1xrtx-4090 --host memory=64GiB", "bandwidth"),
        ("--cluster 1xh100-sxm+1xa100-sxm-80gb", "several kinds of GPU"),
        ("--cluster 1xrtx-4090 --kv fp12", "fp8"),
        ("", "--cluster"),
    ] {
        let run = shardfit(&format!("fit {options}")).exits(2);
        assert!(run.stderr.contains(said), "fit {options}\n{}", run.stderr);
    }
    let nothing = shardfit("fit --cluster 1xrtx-4090 --family no-such-family").exits(1);
    assert!(nothing.stdout.contains("No model runs"), "{}", nothing.stdout);
}

#[test]
fn a_way_is_the_fastest_for_one_user_unless_all_would_lose_much() {
    // Eight cards: one user gains nothing beyond four, and two copies serve twice as many.
    let all = answer("--cluster 8xrtx-4090 --family gpt-oss");
    let way = model(&all, "openai/gpt-oss-20b");
    assert_eq!((&way["tp"], &way["replicas"]), (&4.into(), &2.into()), "{way}");
}

#[test]
fn the_first_way_is_followed_by_the_command_that_starts_it() {
    for machine in
        ["--cluster 1xrtx-4090 --task chat", "--cluster 2xrtx-3090 --family qwen3", "--cluster 1xm3-max-36gb"]
    {
        let listed = answer(&format!("{machine} --top 1"));
        let row = &models(&listed)[0];
        let run = shardfit(&format!("fit {machine} --top 1")).exits(0);
        let (_, command) = run.stdout.split_once("`shardfit ").expect("a command");
        let command = command.split('`').next().expect("its end");
        let started = shardfit(command).exits(0).stdout;
        assert!(started.contains("llama-server") || started.contains("serve"), "{started}");
        // The server that starts is the one of the row: one user's speed, and room for the conversation that was asked for.
        let same = shardfit(&command.replace("--emit command", "--format json")).exits(0);
        let same: Value = serde_json::from_str(&same.stdout).unwrap();
        let tpot = same["tpot_ms"].as_f64().expect("its time");
        let speed = row["tokens_per_s"].as_f64().expect("a speed");
        assert!((1e3 / tpot / speed - 1.0).abs() < 1e-3, "{command}: {tpot} ms, {speed} tokens/s");
        assert!(started.contains("longest request: 8192 tokens"), "{started}");
    }
}

#[test]
fn every_way_that_is_listed_has_the_room_that_is_promised() {
    let line = "fit --cluster 2xrtx-3090 --family llama-3.3,qwen3-next --all-formats --format json";
    let run = shardfit(line).exits(0);
    for row in run.json()["models"].as_array().expect("a list") {
        assert!(row["room_tokens"].as_u64().is_none_or(|room| room >= 8192), "{row}");
    }
}

#[test]
fn memory_that_is_the_hosts_cannot_be_added_to() {
    // Strix Halo, GB10 and Jetson have the memory that is soldered beside them.
    for machine in ["1xstrix-halo", "1xgb10", "1xjetson-thor"] {
        let said = shardfit(&format!("fit --cluster {machine} --family qwen3-8b,glm-5")).exits(0).stdout;
        assert!(!said.contains("host memory") && !said.contains("--host"), "{machine}: {said}");
    }
}

#[test]
fn a_machine_named_with_spaces_is_quoted_in_the_command() {
    let said = shardfit("fit --cluster \"RTX 4090\" --family qwen3-8b").exits(0).stdout;
    assert!(said.contains("--cluster 'RTX 4090' "), "{said}");
}

#[test]
fn one_slot_has_the_windows_of_one() {
    // gemma-4-31B-it in Q4_K_M on 24 GB: the command that is written has one slot, whose layers with windows of 1,024 tokens
    // have 1,536 cells each and not those of four slots.
    let found = answer("--cluster 1xrtx-4090 --family gemma-4-31b --engine llama.cpp --weights q4_k_m");
    let row = model(&found, "google/gemma-4-31B-it");
    assert_eq!(row["verdict"], "fits", "{row}");
    assert!(row["room_tokens"].as_u64().unwrap() > 25_000, "{row}");
}
