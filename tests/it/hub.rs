//! Models from a hub: the local cache, then the network, here a server on this machine.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::common::server::{Answer, Request, ranged, serve};
use crate::common::{self, Run, files_in, shardfit_with};

fn config() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/valid/config.json")).unwrap()
}

/// A run that may use the network, with the hub at `endpoint`, and no cache but an empty one.
fn online(line: &str, endpoint: &str, more: &[(&str, &str)]) -> Run {
    let mut variables = vec![
        ("HF_ENDPOINT", endpoint),
        ("HF_HUB_OFFLINE", "0"),
        ("NO_PROXY", "127.0.0.1"),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "5"),
    ];
    variables.extend(more);
    shardfit_with(line, &variables)
}

/// A hub that has this `config.json` for `org/name` and nothing else.
fn hub_with(config: String) -> (String, std::sync::Arc<std::sync::Mutex<Vec<Request>>>) {
    serve(move |request| match request.path.as_str() {
        "/org/name/resolve/main/config.json" => {
            Answer::ok(config.clone()).with("x-repo-commit", "0123456789abcdef")
        }
        path if path.starts_with("/org/name/") => Answer::status(404).with("x-error-code", "EntryNotFound"),
        _ => Answer::status(404).with("x-error-code", "RepoNotFound"),
    })
}

#[test]
fn a_model_that_is_nowhere_at_hand_comes_from_the_hub_and_that_is_said() {
    let (address, seen) = hub_with(config());
    let run = online("inspect org/name --format json", &address, &[]).exits(0);
    let local = common::shardfit("inspect tests/data/valid/config.json --format json").exits(0);
    assert_eq!(run.json()["params"], local.json()["params"]);
    assert_eq!(run.json()["model"], "org/name");
    assert!(run.stderr.contains(&format!("asking {address} for config.json of org/name")), "{}", run.stderr);
    assert!(seen.lock().unwrap().iter().all(|r| r.header("authorization").is_none()));
}

#[test]
fn names_of_the_catalogue_and_paths_never_reach_the_hub() {
    let (address, seen) = hub_with(config());
    for model in ["llama-3.1-8b", "meta-llama/Meta-Llama-3.1-8B", "tests/data/valid/config.json"] {
        online(&format!("inspect {model}"), &address, &[]).exits(0);
    }
    online("inspect llama-3.1-8bb", &address, &[]).exits(2);
    online("inspect tests/data/none.json", &address, &[]).exits(2);
    assert!(seen.lock().unwrap().is_empty());
}

#[test]
fn a_revision_is_asked_for_by_name() {
    let text = config();
    let (address, seen) = serve(move |request| match request.path.as_str() {
        "/org/name/resolve/v2/config.json" => Answer::ok(text.clone()),
        _ => Answer::status(404).with("x-error-code", "EntryNotFound"),
    });
    online("inspect org/name@v2", &address, &[]).exits(0).says(&["org/name@v2"]);
    assert_eq!(seen.lock().unwrap()[0].path, "/org/name/resolve/v2/config.json");
}

#[test]
fn the_token_goes_to_the_hub_and_follows_no_redirect_to_another_host() {
    let text = config();
    let (elsewhere, asked_elsewhere) = serve(move |_| Answer::ok(text.clone()));
    let target = elsewhere.clone();
    let (address, asked) = serve(move |request| match request.path.as_str() {
        // First to another path of the hub itself, then to the other host.
        "/org/name/resolve/main/config.json" => Answer::status(307).with("location", "/moved/config.json"),
        "/moved/config.json" => Answer::status(302).with("location", &format!("{target}/file?signature=1")),
        _ => Answer::status(404).with("x-error-code", "EntryNotFound"),
    });
    online("inspect org/name", &address, &[("HF_TOKEN", "hf_secret")]).exits(0);
    let asked = asked.lock().unwrap();
    assert!(asked.iter().all(|r| r.header("authorization") == Some("Bearer hf_secret")), "{asked:?}");
    assert_eq!(asked[1].path, "/moved/config.json");
    let elsewhere = asked_elsewhere.lock().unwrap();
    assert_eq!(elsewhere[0].path, "/file?signature=1");
    assert!(elsewhere.iter().all(|r| r.header("authorization").is_none()));
}

#[test]
fn the_stored_token_is_used_and_never_printed() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("token"), "hf_stored\n").unwrap();
    let (address, seen) = serve(|_| Answer::status(403).with("x-error-code", "GatedRepo"));
    let home = folder.path().display().to_string();
    let run = online("inspect org/name", &address, &[("HF_HOME", &home)]).exits(2);
    assert_eq!(seen.lock().unwrap()[0].header("authorization"), Some("Bearer hf_stored"));
    assert!(run.stderr.contains("your token is known, but has no access"), "{}", run.stderr);
    assert!(!run.stderr.contains("hf_stored"));
}

#[test]
fn what_a_hub_may_answer_is_told_apart() {
    let long = vec![b' '; usize::try_from(shardfit::load::MAX_INPUT_BYTES).unwrap() + 1];
    let cases: Vec<(&str, Answer, &str)> = vec![
        ("gated", Answer::status(401).with("x-error-code", "GatedRepo"), "`org/name` is gated"),
        ("forbidden", Answer::status(403), "`org/name` is gated"),
        ("private", Answer::status(401).with("x-error-code", "RepoNotFound"), "no model `org/name` that"),
        ("missing", Answer::status(404), "no model `org/name` that"),
        ("revision", Answer::status(404).with("x-error-code", "RevisionNotFound"), "no revision `main`"),
        ("file", Answer::status(404).with("x-error-code", "EntryNotFound"), "`org/name` has no config.json"),
        ("limit", Answer::status(429).with("retry-after", "30"), "too many requests"),
        ("fault", Answer::status(503), "a fault of its own (status 503)"),
        ("odd", Answer::status(418), "status 418"),
        ("loop", Answer::status(302).with("location", "/org/name/resolve/main/config.json"), "more than 5"),
        ("lost", Answer::status(302), "redirects to no address"),
        ("scheme", Answer::status(302).with("location", "file:///etc/passwd"), "redirects to no address"),
        ("malformed", Answer::ok("<html>"), "a web page, not JSON"),
        ("list", Answer::ok("[1]"), "one JSON object"),
        ("empty", Answer::ok(""), "the file is empty"),
        ("binary", Answer::ok([0xff, 0xfe]), "is not text"),
        ("large", Answer::ok(long), "larger than 16 MiB"),
        ("cut off", Answer { length: Some(1000), ..Answer::ok("{") }, "127.0.0.1"),
        ("no model", Answer::ok("{}"), "missing field `model_type`"),
    ];
    for (name, answer, cause) in cases {
        let optional = answer.status == 200;
        let (address, _) = serve(move |request| match request.path.ends_with("hf_quant_config.json") {
            true if optional => Answer::status(404),
            _ => answer.clone(),
        });
        let run = online("inspect org/name", &address, &[]).exits(2);
        let message = run.stderr.split_once("error: ").unwrap().1;
        assert!(message.contains(cause), "{name}: {message}");
        assert_eq!(run.stdout, "", "{name}");
    }
}

#[test]
fn a_slow_hub_is_given_up_on() {
    let (address, _) = serve(|_| Answer { delay: Duration::from_secs(20), ..Answer::ok("{}") });
    let run = online("inspect org/name", &address, &[("HF_HUB_DOWNLOAD_TIMEOUT", "0.2")]).exits(2);
    assert!(run.stderr.contains("did not answer in 0.2 s"), "{}", run.stderr);
    // It sends a beginning, and then nothing.
    let (address, _) = serve(|request| match request.path.ends_with("config.json") {
        true => Answer { length: Some(100), body: b"{".to_vec(), ..Answer::ok("") },
        false => Answer::status(404),
    });
    online("inspect org/name", &address, &[("HF_HUB_DOWNLOAD_TIMEOUT", "0.2")]).exits(2);
}

#[test]
fn a_hub_that_is_not_there_and_a_connection_that_is_not_secure_are_told_apart() {
    let run = online("inspect org/name", "http://127.0.0.1:1", &[]).exits(2);
    assert!(run.stderr.contains("cannot be reached"), "{}", run.stderr);
    let (address, _) = serve(|_| Answer::ok("{}"));
    let secure = address.replace("http://", "https://");
    let run = online("inspect org/name", &secure, &[]).exits(2);
    assert!(run.stderr.contains("no secure connection"), "{}", run.stderr);
}

#[test]
fn offline_asks_nobody() {
    let (address, seen) = hub_with(config());
    let flag = online("inspect org/name --offline", &address, &[]).exits(2);
    let variable = online("inspect org/name", &address, &[("HF_HUB_OFFLINE", "1")]).exits(2);
    for run in [flag, variable] {
        assert!(run.stderr.contains("not in the local cache, and the network is off"), "{}", run.stderr);
    }
    assert!(seen.lock().unwrap().is_empty());
}

#[test]
fn the_local_cache_goes_before_the_hub() {
    let folder = tempfile::tempdir().unwrap();
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let repository = folder.path().join("models--org--name");
    let snapshot = repository.join("snapshots").join(commit);
    fs::create_dir_all(&snapshot).unwrap();
    fs::create_dir_all(repository.join("refs")).unwrap();
    fs::write(repository.join("refs/main"), commit).unwrap();
    fs::write(snapshot.join("config.json"), config()).unwrap();
    let (address, seen) = hub_with("{}".into());
    let cache = folder.path().display().to_string();
    for id in ["org/name".to_owned(), format!("org/name@{commit}")] {
        let run = online(&format!("inspect {id}"), &address, &[("HF_HUB_CACHE", &cache)]).exits(0);
        assert_eq!(run.stderr, "");
    }
    assert!(seen.lock().unwrap().is_empty());
}

#[test]
fn a_quantisation_in_a_file_of_its_own_is_read() {
    let text = config();
    let (address, _) = serve(move |request| match request.path.as_str() {
        "/org/name/resolve/main/config.json" => Answer::ok(text.clone()),
        "/org/name/resolve/main/hf_quant_config.json" => {
            Answer::ok(r#"{"quantization": {"quant_algo": "FP8", "exclude_modules": ["lm_head"]}}"#)
        }
        _ => Answer::status(404).with("x-error-code", "EntryNotFound"),
    });
    let run = online("inspect org/name --format json", &address, &[]).exits(0);
    assert_eq!(run.json()["weights"], "fp8");
}

#[test]
fn a_fetched_model_is_found_in_its_folder_afterwards() {
    let (address, _) = hub_with(config());
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().display();
    let run = online(&format!("fetch org/name -o {here}"), &address, &[]).exits(0);
    assert!(run.stdout.contains("org--name.json") && run.stdout.contains("parameters"), "{}", run.stdout);
    let text = fs::read_to_string(folder.path().join("org--name.json")).unwrap();
    assert!(text.contains("org/name@0123456789abcdef"));
    let (after, fresh) = (
        common::shardfit(&format!("inspect org/name --models {here} --format json")).exits(0).json(),
        common::shardfit("inspect tests/data/valid/config.json --format json").exits(0).json(),
    );
    assert_eq!(after["params"], fresh["params"]);
    online(&format!("fetch org/name --revision main -o {here}/mine.json"), &address, &[]).exits(0);
    assert!(folder.path().join("mine.json").is_file());
}

#[test]
fn a_failed_fetch_writes_nothing() {
    let (address, _) = serve(|_| Answer::ok("{\"truncated\": "));
    let folder = tempfile::tempdir().unwrap();
    for line in
        ["fetch org/name -o {here}", "fetch name -o {here}", "fetch org/name -o {here}/no/such/x.json"]
    {
        online(&line.replace("{here}", &folder.path().display().to_string()), &address, &[]).exits(2);
    }
    assert!(files_in(folder.path()).is_empty());
}

/// The header of a safetensors file with room for its tensors behind it.
fn safetensors(tensors: &[(&str, &[u64])]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let mut at = 0;
    for (name, shape) in tensors {
        let end = at + 2 * shape.iter().product::<u64>();
        let entry = serde_json::json!({"dtype": "BF16", "shape": shape, "data_offsets": [at, end]});
        header.insert((*name).to_owned(), entry);
        at = end;
    }
    let json = serde_json::Value::Object(header).to_string();
    let mut file = (json.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(json.as_bytes());
    file.resize(file.len() + at as usize, 0);
    file
}

const SMALL: &str = r#"{"model_type": "llama", "hidden_size": 8, "num_hidden_layers": 1,
    "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 12, "vocab_size": 20,
    "tie_word_embeddings": false, "torch_dtype": "bfloat16", "max_position_embeddings": 64}"#;

/// Two files of the small model's weights, the second with `norms` as given.
fn shards(norm: &[u64]) -> (Vec<u8>, Vec<u8>) {
    let layer = "model.layers.0";
    let name = |part: &str| format!("{layer}.{part}.weight");
    let first = safetensors(&[
        ("model.embed_tokens.weight", &[20, 8]),
        (&name("self_attn.q_proj"), &[8, 8]),
        (&name("self_attn.k_proj"), &[4, 8]),
        (&name("self_attn.v_proj"), &[4, 8]),
        (&name("self_attn.o_proj"), &[8, 8]),
    ]);
    let second = safetensors(&[
        (&name("mlp.gate_proj"), &[12, 8]),
        (&name("mlp.up_proj"), &[12, 8]),
        (&name("mlp.down_proj"), &[8, 12]),
        (&name("input_layernorm"), &[8]),
        (&name("post_attention_layernorm"), &[8]),
        ("model.norm.weight", norm),
        ("lm_head.weight", &[20, 8]),
    ]);
    (first, second)
}

fn index(files: &[(&str, &[u8])]) -> String {
    let mut map = serde_json::Map::new();
    for (file, bytes) in files {
        for tensor in shardfit::checkpoint::safetensors_header(bytes, file).unwrap() {
            map.insert(tensor.name, serde_json::json!(file));
        }
    }
    serde_json::json!({"metadata": {}, "weight_map": map}).to_string()
}

#[test]
fn weights_on_the_hub_are_verified_by_their_headers_alone() {
    let (first, second) = shards(&[8]);
    let index = index(&[("a.safetensors", &first), ("b.safetensors", &second)]);
    let sizes = (first.len(), second.len());
    let (address, seen) = serve(move |request| match request.path.rsplit('/').next().unwrap() {
        "config.json" => Answer::ok(SMALL),
        "model.safetensors.index.json" => Answer::ok(index.clone()),
        "a.safetensors" => ranged(request, &first),
        "b.safetensors" => ranged(request, &second),
        _ => Answer::status(404).with("x-error-code", "EntryNotFound"),
    });
    let run = online("inspect org/name --verify --format json", &address, &[]).exits(0);
    let json = run.json();
    assert_eq!(
        (json["agrees"].clone(), json["files"].clone(), json["agreeing"].clone()),
        (true.into(), 2.into(), 12.into())
    );
    assert_eq!(json["parameters"]["expected"], json["parameters"]["found"]);
    let seen = seen.lock().unwrap();
    assert!(seen.iter().filter(|r| r.path.ends_with(".safetensors")).all(|r| r.header("range").is_some()));
    assert!(sizes.0 > 0 && sizes.1 > 0);
}

#[test]
fn weights_in_a_folder_are_verified_with_their_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    let here = folder.path().display();
    let (first, second) = shards(&[8]);
    write("config.json", SMALL.as_bytes());
    write("a.safetensors", &first);
    write("b.safetensors", &second);
    write(
        "model.safetensors.index.json",
        index(&[("a.safetensors", &first), ("b.safetensors", &second)]).as_bytes(),
    );
    for line in [
        format!("inspect {here} --verify"),
        format!("inspect {here}/config.json --verify"),
        format!("inspect {here}/config.json --verify {here}/model.safetensors.index.json"),
        format!("inspect {here}/a.safetensors --verify {here}"),
    ] {
        common::shardfit(&line).exits(0).says(&["12 tensors agree", "is what its configuration says"]);
    }
    // A norm of another width is found, named, and tells by the exit status.
    let (_, wrong) = shards(&[9]);
    write("b.safetensors", &wrong);
    let run = common::shardfit(&format!("inspect {here} --verify --format csv")).exits(1);
    let (_, rows) = run.csv();
    assert_eq!(rows, [["shape differs", "model.norm.weight", "", "8", "9"]]);
    // One file alone lacks what is in the other.
    common::shardfit(&format!("inspect {here} --verify {here}/a.safetensors")).exits(1).says(&["missing"]);
}

#[test]
fn weight_files_that_contradict_themselves_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().display();
    let (first, second) = shards(&[8]);
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    write("a.safetensors", &first);
    write("cut.safetensors", &second[..second.len() - 1]);
    write("short.safetensors", b"abc");
    write("long.safetensors", &[0xff; 64]);
    write("outside.safetensors.index.json", br#"{"weight_map": {"x": "../a.safetensors"}}"#);
    write("other.safetensors.index.json", br#"{"weight_map": {"x": "a.safetensors"}}"#);
    write("gone.safetensors.index.json", br#"{"weight_map": {"x": "gone.safetensors"}}"#);
    fs::create_dir(folder.path().join("empty")).unwrap();
    for (file, cause) in [
        ("cut.safetensors", "the file ends before"),
        ("short.safetensors", "shorter than its header"),
        ("long.safetensors", "not a safetensors file"),
        ("outside.safetensors.index.json", "outside its folder"),
        ("other.safetensors.index.json", "which the index does not say"),
        ("gone.safetensors.index.json", "cannot read file"),
        ("empty", "no safetensors files here"),
        ("none", "names no weight files"),
    ] {
        let run = common::shardfit(&format!("inspect llama-3.1-8b --verify {here}/{file}")).exits(2);
        assert!(run.stderr.contains(cause), "{file}: {}", run.stderr);
    }
    // Weights alone are no model.
    let run = common::shardfit(&format!("inspect {here}/a.safetensors")).exits(2);
    assert!(run.stderr.contains("put the model's config.json beside them"), "{}", run.stderr);
}
