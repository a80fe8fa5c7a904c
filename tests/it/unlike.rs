//! Cards of several kinds in one replica: llama.cpp puts layers on each, by default by their memory.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::common::{number, shardfit};

const CARDS: &str = "1xrtx-3090+1xrtx-4060-ti-16gb";
const QUESTION: &str = "qwen2.5-32b --engine llama.cpp --weights q6_k --isl 1024 --osl 256";

fn estimate(more: &str) -> Value {
    shardfit(&format!("estimate {QUESTION} --concurrency 1 --format json {more}")).exits(0).json()
}

/// A folder with a copy of the RTX 3090 under another name, at a memory bandwidth.
fn with_copy(bandwidth: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let own = fs::read_to_string("hardware/gpus/rtx-3090.yaml").unwrap();
    let line = |line: &str| match line.split(':').next() {
        Some("id") => "id: my-card".to_owned(),
        Some("name") => "name: My card".to_owned(),
        Some("aliases") => "kernels_from: rtx-3090".to_owned(),
        Some("bandwidth") => format!("bandwidth: {bandwidth}"),
        _ => line.to_owned(),
    };
    let text = own.lines().map(line).collect::<Vec<_>>().join("\n");
    fs::create_dir_all(folder.path().join("gpus")).unwrap();
    fs::write(folder.path().join("gpus/my-card.yaml"), text).unwrap();
    folder
}

fn catalog(folder: &Path) -> String {
    format!("--catalog {}", folder.display())
}

#[test]
fn each_card_holds_its_own_layers_in_its_own_memory() {
    let shape = "--shape layers=28,hidden=1024,heads=16,kv=8,head_dim=128,ffn=3072,vocab=151936";
    let line = format!(
        "estimate {shape} --engine llama.cpp --weights fp16 --isl 1024 --osl 1 --cluster {CARDS} --tensor-split 3,2 --format json"
    );
    let json = shardfit(&line).exits(0).json();
    let stages = json["room"]["stages"].as_array().unwrap();
    let gpus: Vec<&str> = stages.iter().map(|s| s["gpu"].as_str().unwrap()).collect();
    assert_eq!(gpus, ["rtx-3090", "rtx-4060-ti-16gb"]);
    // 29 units with the output projection: those below 3/5 of the way are 0 to 17.
    let layers: Vec<u64> = stages.iter().map(|s| s["layers"].as_u64().unwrap()).collect();
    assert_eq!(layers, [18, 10]);
    // Queries and output of 2,048, keys and values of 1,024, three matrices of 3,072; the output projection with the last.
    let gib = 1024f64.powi(3);
    let layer = 2.0 * 1024.0 * (2.0 * 2048.0 + 2.0 * 1024.0 + 3.0 * 3072.0) / gib;
    let head = 2.0 * 1024.0 * 151_936.0 / gib;
    for (stage, weights, capacity) in
        [(&stages[0], 18.0 * layer, 23.56), (&stages[1], 10.0 * layer + head, 15.59)]
    {
        let of = |name: &str| stage[name].as_f64().unwrap();
        assert!((of("weights_gib") / weights - 1.0).abs() < 1e-3, "{weights} GiB: {stage}");
        assert!((of("capacity_gib") - capacity).abs() < 0.01, "{stage}");
        // What is told leaves nothing else free: the cache has what 0.4 GiB of context and the compute buffer leave.
        let cache = of("capacity_gib") - of("weights_gib") - of("activations_gib") - 0.4;
        assert!((of("kv_cache_gib") / cache - 1.0).abs() < 2e-3, "{cache} GiB of cache: {stage}");
    }
}

#[test]
fn layers_lie_by_free_memory_unless_told_and_the_rest_follows() {
    let json = estimate(&format!("--cluster {CARDS} --pp 2"));
    // 65 units of 64 layers and the output projection: 23.56 GiB of 39.15 are 39.1 of them.
    assert_eq!((&json["tensor_split"], &json["gpu"]), (&"40,25".into(), &CARDS.into()));
    assert_eq!((&json["gpus"], &json["pp"], &json["idle_gpus"]), (&2.into(), &2.into(), &0.into()));
    let priced =
        estimate(&format!("--cluster {CARDS} --pp 2 --price rtx-3090=0.3 --price rtx-4060-ti-16gb=0.1"));
    assert!((number(&priced, "price_usd_per_hour") - 0.4).abs() < 1e-9);
    // Between both idle, 20 W and 12 W, and both at their limits, 350 W and 165 W.
    let watts = 2.0 * number(&json, "power_w_per_gpu");
    assert!(watts > 32.0 && watts < 515.0, "{watts} W");
}

#[test]
fn two_equal_halves_by_two_names_are_two_stages_on_one_kind() {
    let folder = with_copy("936 GB/s");
    let halves = format!("--cluster 1xrtx-3090+1xmy-card --pp 2 {}", catalog(folder.path()));
    for more in ["--tensor-split 33,32", "", "--tensor-split 40,25", "--concurrency 4"] {
        let line = |of: &str| match more.starts_with("--concurrency") {
            true => format!("estimate {QUESTION} --format json {of} {more}"),
            false => format!("estimate {QUESTION} --concurrency 1 --format json {of} {more}"),
        };
        let (two, one) = (
            shardfit(&line(&halves)).exits(0).json(),
            shardfit(&line("--cluster 2xrtx-3090 --pp 2")).exits(0).json(),
        );
        for name in [
            "ttft_ms",
            "tpot_ms",
            "e2e_ms",
            "output_tokens_per_s",
            "max_batch",
            "power_w_per_gpu",
            "price_usd_per_hour",
            "energy_j_per_output_token",
        ] {
            let (a, b) = (number(&two, name), number(&one, name));
            assert!((a / b - 1.0).abs() < 1e-4, "{name} {more}: {a} on two names, {b} on one");
        }
        assert_eq!(two["memory"], one["memory"], "{more}");
        let held = |json: &Value| {
            let stages = json["room"]["stages"].as_array().unwrap().clone();
            stages
                .into_iter()
                .map(|mut s| s.as_object_mut().unwrap().remove("gpu").map(|_| s))
                .collect::<Vec<_>>()
        };
        assert_eq!(held(&two), held(&one), "{more}");
    }
}

#[test]
fn a_slower_second_card_never_makes_a_plan_faster() {
    let times = ["936 GB/s", "600 GB/s", "300 GB/s"].map(|bandwidth| {
        let folder = with_copy(bandwidth);
        let json = estimate(&format!("--cluster 1xrtx-3090+1xmy-card --pp 2 {}", catalog(folder.path())));
        (number(&json, "tpot_ms"), number(&json, "ttft_ms"))
    });
    assert!(times.windows(2).all(|pair| pair[1].0 > pair[0].0 && pair[1].1 >= pair[0].1), "{times:?}");
}

#[test]
fn more_layers_on_the_faster_card_are_never_slower() {
    let of = |split: &str| {
        let json = estimate(&format!("--cluster {CARDS} --tensor-split {split}"));
        assert_eq!(json["tensor_split"], split);
        number(&json, "tpot_ms")
    };
    let times = ["33,32", "40,25", "45,20", "50,15"].map(of);
    assert!(times.is_sorted_by(|a, b| a >= b), "{times:?}");
    // 17 layers of 0.37 GiB (14.9 GiB in 40 of them) read at 936 in place of 288 GB/s: 16.4 ms at the datasheets' figures.
    let saved = times[0] - times[3];
    let figures = 17.0 * 14.9 / 40.0 * 1.073_741_824 * (1e3 / 288.0 - 1e3 / 936.0);
    assert!(saved > figures && saved < 1.3 * figures, "{saved} ms, by the datasheets {figures}");
    // A step is read one card after the other: no faster than each card's bytes at its bandwidth.
    let json = estimate(&format!("--cluster {CARDS} --pp 2"));
    let weights = |n: usize| json["room"]["stages"][n]["weights_gib"].as_f64().unwrap() * 1.073_741_824;
    let least = 1e3 * (weights(0) / 936.0 + weights(1) / 288.0);
    let tpot = number(&json, "tpot_ms");
    assert!(tpot > least && tpot < 1.5 * least, "{tpot} ms, at least {least} ms");
}

#[test]
fn a_search_offers_replicas_on_both_beside_those_on_one() {
    let json = shardfit(&format!("plan {QUESTION} --cluster {CARDS} --format json")).exits(0).json();
    let plans = json["plans"].as_array().unwrap();
    // 25 GiB of weights find room on neither alone.
    assert!(plans.iter().all(|p| p["gpu"] == CARDS && p["idle_gpus"] == 0 && p["gpus"] == 2), "{plans:#?}");
    let best = shardfit(&format!(
        "plan llama-3.1-8b --engine llama.cpp --weights q4_0 --cluster {CARDS} --format json"
    ));
    let best = best.exits(0).json();
    let on: Vec<&str> =
        best["plans"].as_array().unwrap().iter().map(|p| p["gpu"].as_str().unwrap()).collect();
    assert!(["rtx-3090", "rtx-4060-ti-16gb", CARDS].iter().all(|gpu| on.contains(gpu)), "{on:?}");
    // Side by side stand the cards alone: what spans them takes both.
    let parts = best["combined"]["plans"].as_array().unwrap();
    assert!(parts.iter().all(|part| part["gpu"] != CARDS) && best["combined"]["gpus"] == 2);
    // Those on one card are what they are on it alone.
    let alone =
        shardfit("plan llama-3.1-8b --engine llama.cpp --weights q4_0 --cluster 1xrtx-3090 --format json");
    let of = |json: &Value| {
        let plans = json["plans"].as_array().unwrap().clone();
        plans.into_iter().find(|p| p["gpu"] == "rtx-3090").map(|p| p["output_tokens_per_s"].clone())
    };
    assert_eq!(of(&best), of(&alone.exits(0).json()));
}

#[test]
fn replicas_take_cards_of_each_kind_and_say_which() {
    let line = format!("plan {QUESTION} --cluster 2xrtx-3090+2xrtx-4060-ti-16gb --tensor-split 50,15");
    let json = shardfit(&format!("{line} --format json")).exits(0).json();
    let best = &json["plans"][0];
    assert_eq!((&best["gpu"], &best["replicas"], &best["gpus"]), (&CARDS.into(), &2.into(), &4.into()));
    let script = shardfit(&format!("{line} --emit command")).exits(0).stdout;
    for words in [
        "CUDA_VISIBLE_DEVICES=0,2",
        "CUDA_VISIBLE_DEVICES=1,3",
        "--tensor-split 50,15",
        "cards: 50 layers on rtx-3090, then 14 layers on rtx-4060-ti-16gb",
    ] {
        assert!(script.contains(words), "{words}: {script}");
    }
    let refused = shardfit(&format!("{line} --emit skypilot")).exits(2).stderr;
    assert!(refused.contains("GPUs of one kind"), "{refused}");
    let compose = shardfit(&format!("{line} --emit docker")).exits(0).stdout;
    assert!(compose.contains("device_ids:\n            - \"0\"\n            - \"2\""), "{compose}");
}

#[test]
fn the_command_that_is_written_reads_back_as_the_same_plan() {
    let folder = tempfile::tempdir().unwrap();
    for split in ["", "--tensor-split 50,15", "--tensor-split 1,1"] {
        let plan = format!("plan {QUESTION} --cluster {CARDS} {split}");
        let planned = shardfit(&format!("{plan} --format json")).exits(0).json()["plans"][0].clone();
        let file = folder.path().join("serve.sh");
        fs::write(&file, shardfit(&format!("{plan} --emit command")).exits(0).stdout).unwrap();
        let read = format!(
            "estimate --cluster {CARDS} --isl 1024 --osl 256 --launch {} --format json",
            file.display()
        );
        let read = shardfit(&read).exits(0).json();
        for name in ["gpu", "pp", "tensor_split", "ttft_ms", "tpot_ms", "output_tokens_per_s"] {
            assert_eq!(read[name], planned[name], "{name} {split}");
        }
        assert_eq!(read["batch"], planned["batch"], "{split}");
    }
}

#[test]
fn a_host_keeps_what_finds_no_room_on_both() {
    let line = format!(
        "plan llama-3.1-70b --cluster {CARDS} --engine llama.cpp --weights q4_k_m --isl 1024 --osl 256 --format json"
    );
    assert_eq!(shardfit(&line).exits(1).json()["plans"], Value::Array(Vec::new()));
    let json = shardfit(&format!("{line} --host memory=64GiB,bandwidth=83.2GB/s")).exits(0).json();
    let plans = json["plans"].as_array().unwrap();
    let both = plans.iter().find(|p| p["gpu"] == CARDS).expect("a replica on both");
    let one = plans.iter().find(|p| p["gpu"] == "rtx-3090").expect("a replica on one");
    assert!(number(both, "gpu_layers") > number(one, "gpu_layers"));
    assert!(number(both, "output_tokens_per_s") > number(one, "output_tokens_per_s"));
}

#[test]
fn engines_that_size_ranks_alike_say_so() {
    let line =
        format!("plan qwen2.5-32b --weights int4 --cluster {CARDS} --engine vllm --isl 1024 --osl 256");
    let json = shardfit(&format!("{line} --format json")).exits(0).json();
    let fell = json["rejected"].as_array().unwrap();
    let spans = fell.iter().find(|r| r["reason"] == "replica_spans_kinds").expect("a reason");
    assert_eq!(spans["nearest_miss"]["gpu"], CARDS);
    shardfit(&line)
        .exits(0)
        .says(&["No replica of vllm stands on several kinds of GPU", "--engine llama.cpp"]);
    let refused = format!("estimate qwen2.5-32b --weights int4 --cluster {CARDS} --engine vllm --pp 2");
    let said = shardfit(&refused).exits(2).stderr;
    assert!(said.contains("the engine puts alike ranks on alike GPUs"), "{said}");
}

#[test]
fn what_cannot_be_is_refused_with_what_can() {
    let line = |rest: &str| shardfit(&format!("estimate {QUESTION} {rest}")).exits(2).stderr;
    let one = line(&format!("--cluster {CARDS}"));
    assert!(one.contains("put a stage on each card: --engine llama.cpp --pp 2"), "{one}");
    let three = line(&format!("--cluster {CARDS} --pp 3"));
    assert!(three.contains("at: --pp") && three.contains("--pp 2"), "{three}");
    let numbers = line(&format!("--cluster {CARDS} --pp 2 --tensor-split 1,2,3"));
    assert!(numbers.contains("3 numbers for 2 stages"), "{numbers}");
    let tensor = line(&format!("--cluster {CARDS} --pp 2 --tp 2"));
    assert!(tensor.contains("error"), "{tensor}");
    for apart in ["1xh100-sxm+1xa100-sxm-80gb", "1xrtx-3090+1xrx-7900-xtx"] {
        let said = line(&format!("--cluster {apart} --pp 2"));
        assert!(said.contains("do not share a machine"), "{apart}: {said}");
    }
}

#[test]
fn fit_runs_models_on_both_cards_and_on_each() {
    let fit = |cluster: &str| {
        let line = format!(
            "fit --cluster {cluster} --engine llama.cpp --family qwen2.5 --weights q6_k --all-formats --top 100 --format json"
        );
        shardfit(&line).exits(0).json()
    };
    let (both, one) = (fit(CARDS), fit("1xrtx-3090"));
    let rows = both["models"].as_array().unwrap();
    let ways = |model: &str| {
        let of = rows.iter().filter(|row| row["model"].as_str().unwrap().ends_with(model));
        of.map(|row| row["gpu"].as_str().unwrap()).collect::<Vec<_>>()
    };
    // 25 GiB of weights find room on both alone; 6 GiB are fastest on the faster card.
    assert_eq!(ways("/Qwen2.5-32B"), [CARDS]);
    assert_eq!(ways("/Qwen2.5-7B").first(), Some(&"rtx-3090"));
    assert!(ways("/Qwen2.5-7B").contains(&CARDS) && ways("/Qwen2.5-7B").contains(&"rtx-4060-ti-16gb"));
    let speed = |json: &Value, gpu: &str| {
        let rows = json["models"].as_array().unwrap().clone();
        let is = |row: &Value| row["gpu"] == gpu && row["model"].as_str().unwrap().ends_with("/Qwen2.5-7B");
        rows.into_iter().find(is).map(|row| row["tokens_per_s"].clone())
    };
    assert_eq!(speed(&both, "rtx-3090"), speed(&one, "rtx-3090"));
    assert_eq!((&both["gpu"], &both["gpus"]), (&CARDS.into(), &2.into()));
    let said =
        shardfit(&format!("fit --cluster {CARDS} --engine llama.cpp --family qwen2.5-32b --weights q6_k"));
    let said = said.exits(0).stdout;
    assert!(said.contains(&format!("--cluster {CARDS} --engine llama.cpp --weights q6_k --pp 2")), "{said}");
}

#[test]
fn a_sweep_looks_at_replicas_on_both() {
    let folder = tempfile::tempdir().unwrap();
    let (file, out) = (folder.path().join("mixed.yaml"), folder.path().join("out"));
    let text = format!(
        "name: mixed\nmodels: [{{model: qwen2.5-32b, weights: q6_k}}]\nclusters: [\"{CARDS}\", 1xrtx-3090]\nengines: [llama.cpp]\nworkloads:\n  - {{name: chat, isl: 1024, osl: 256}}\n"
    );
    fs::write(&file, text).unwrap();
    shardfit(&format!("sweep {} -o {} --quiet", file.display(), out.display())).exits(0);
    let mut rows = csv::Reader::from_path(out.join("results.csv")).unwrap();
    let header = rows.headers().unwrap().clone();
    let column = |name: &str| header.iter().position(|h| h == name).unwrap();
    let rows: Vec<csv::StringRecord> = rows.records().map(Result::unwrap).collect();
    let (gpu, gpus, layers) = (column("gpu"), column("gpus"), column("tensor_split"));
    assert_eq!((&rows[0][gpu], &rows[0][gpus], &rows[0][layers]), (CARDS, "2", "40,25"));
    assert_eq!(&rows[1][gpus], "", "{rows:?}");
}
