//! Servers written in their engines' words and read back: the same server, for every engine and described version.

use shardfit::launch::dialect;
use shardfit::launch::release::{Member, Release};
use shardfit::launch::{self, AdapterSlots, Drafts, Pool, Server, artefact};

/// A small generator, so that every run asks the same.
struct Draw(u64);

impl Draw {
    fn below(&mut self, n: u64) -> u64 {
        // Knuth's constants of a linear congruential generator (MMIX).
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize].clone()
    }

    fn maybe<T>(&mut self, value: T) -> Option<T> {
        (self.below(2) == 0).then_some(value)
    }
}

/// What `llama-server` can be told.
fn llama(version: &str, d: &mut Draw) -> Server {
    let file = d.below(2) == 0;
    let (tp, pp) =
        if d.below(2) == 0 || version == "b6100" { (1, d.pick(&[1, 2])) } else { (d.pick(&[1, 2, 4]), 1) };
    let cards = u32::max(tp, pp);
    let first_layers = 1 + d.below(40);
    Server {
        engine: "llama.cpp".into(),
        version: Some(version.into()),
        model: Some(if file { "/models/m-q8_0.gguf" } else { "org/m-GGUF:q4_k_m" }.into()),
        weights: Some(if file { "q8_0" } else { "q4_k_m" }.into()),
        tp: Some(tp),
        pp: Some(pp),
        replicas: (cards > 1).then_some(1),
        gpus: (cards > 1).then_some(cards.into()),
        kv: Some(d.pick(&["q8_0", "fp16"]).into()),
        max_model_len: Some(1 + d.below(200_000)),
        max_sequences: Some(1 + d.below(64)),
        max_batched_tokens: Some(256 << d.below(4)),
        gpu_layers: Some(d.below(90)),
        cpu_moe_layers: d.maybe(first_layers),
        tensor_split: (cards > 1).then(|| vec![1.0; cards as usize]),
        host_cache: d.maybe(5 << 20).filter(|_| version != "b6100"),
        ..Server::default()
    }
}

/// What a server of an engine can be told in a version.
fn server(engine: &str, version: &str, d: &mut Draw) -> Server {
    if engine == "llama.cpp" {
        return llama(version, d);
    }
    let (sglang, trtllm, vllm) = (engine == "sglang", engine == "trtllm", engine == "vllm");
    let mut s = Server {
        engine: engine.into(),
        version: Some(version.into()),
        model: Some(d.pick(&["org/some-model", "/models/a b's"]).into()),
        tp: Some(d.pick(&[1, 2, 4, 8])),
        // SGLang took no pipeline stages before 0.4.10.
        pp: Some(if version == "0.4.6" { 1 } else { d.pick(&[1, 1, 2]) }),
        replicas: Some(1),
        max_model_len: Some(1 + d.below(200_000)),
        max_sequences: Some(1 + d.below(1024)),
        max_batched_tokens: Some(256 << d.below(6)),
        memory_fraction: Some(d.pick(&[0.9, 0.92, 0.85])),
        prefix_caching: Some(d.below(2) == 0),
        ..Server::default()
    };
    if sglang {
        // What is its default has no flag.
        s.prefix_caching = s.prefix_caching.filter(|kept| !kept);
    }
    let groups = d.pick(&[1u32, 1, 2, 8]);
    s.attention_dp = (groups > 1 || !vllm).then_some(groups);
    if trtllm && groups > 1 {
        s.tp = Some(1);
    }
    let kv = if vllm && version == "0.8.5" || version.starts_with("0.4.") || trtllm {
        "fp8"
    } else {
        d.pick(&["fp8", "bf16"])
    };
    s.kv = d.maybe(kv.into());
    let method = match engine {
        "sglang" => "EAGLE",
        "trtllm" => "MTP",
        _ => "mtp",
    };
    let drafts = Drafts { method: Some(method.into()), tokens: Some(3), model: None };
    s.speculation = d.maybe(drafts);
    let all = s.tp.unwrap() * groups;
    s.ep = Some(if d.below(2) == 0 { 1 } else { all });
    let spread = s.ep == Some(all) && all > 1;
    // Before 0.13 vLLM's exchange stood in a variable, which 0.8.5 and 0.11.0 read.
    if spread
        && (sglang || vllm && groups > 1)
        && d.below(2) == 0
        && version != "0.11.0"
        && version != "0.8.5"
    {
        s.launches.push("deepep".into());
    }
    if !trtllm {
        s.pool = d.pick(&[None, None, Some(Pool::Prefill), Some(Pool::Decode)]);
    }
    s.gpus = Some(u64::from(all) * u64::from(s.pp.unwrap()));
    graphs(&mut s, d);
    beside(&mut s, d);
    s
}

/// Room for adapters, and for what leaves the GPUs' cache, where the version has words for it.
fn beside(s: &mut Server, d: &mut Draw) {
    let version = s.version.clone().unwrap();
    let slots = AdapterSlots { count: 1 + d.below(8), rank: d.pick(&[8, 16, 64]) };
    if version != "0.4.6" && d.below(3) == 0 {
        s.adapters = Some(slots);
        s.lora = Some(true);
        let named = s.engine != "vllm" && d.below(2) == 0;
        s.adapted = if named { vec!["q_proj".into(), "v_proj".into()] } else { Vec::new() };
    }
    let tiers = s.engine != "vllm" || !matches!(version.as_str(), "0.8.5" | "0.11.0");
    if tiers && d.below(3) == 0 {
        let unit = if s.engine == "sglang" { 1_000_000_000 } else { 1 << 30 };
        s.host_cache = Some((1 + d.below(256)) * unit);
        let drives = version == "0.33.0" || s.engine == "sglang" && version != "0.4.6";
        s.disk_cache = d.maybe("/mnt/kv-cache".to_owned()).filter(|_| drives);
    }
}

/// Which steps have CUDA graphs, and what stays with the host, where the version has words for it.
fn graphs(s: &mut Server, d: &mut Draw) {
    let sequences = s.max_sequences.unwrap();
    match s.engine.as_str() {
        // Graphs for every batch up to the planned one.
        "sglang" => s.largest_graph = Some(sequences.div_ceil(s.attention_dp.unwrap().into())),
        "trtllm" => s.largest_graph = Some(sequences),
        _ if s.version.as_deref() != Some("0.8.5") => {
            let newer = !matches!(s.version.as_deref(), Some("0.11.0" | "0.13.0" | "0.16.0"));
            s.text_only = d.maybe(true).filter(|_| newer);
            s.images = d.maybe(3);
            s.kv_cache_memory_bytes = d.maybe(49 << 30);
            s.largest_graph = d.maybe(sequences);
            s.graph_mode = d.maybe("full_decode_only".into());
        }
        _ => {}
    }
    if s.engine != "trtllm" {
        s.cpu_offload_gb = d.maybe(10.0);
    }
}

#[test]
fn what_is_written_is_read_as_the_same_server() {
    let mut d = Draw(7);
    let mut asked_of = 0;
    for table in dialect::dialects() {
        for version in &table.versions {
            // 5,000 and more over all engines and versions.
            for _ in 0..180 {
                let asked = server(&table.engine, version, &mut d);
                let line = launch::speech::write(&asked).unwrap_or_else(|e| panic!("{asked:?}: {e:?}"));
                let text = line.shell();
                let files = |name: &str| {
                    let (file, keys) = line.options.as_ref()?;
                    (name == file).then(|| serde_json::to_string(keys).unwrap())
                };
                let found = launch::invocations(&text, &files).unwrap();
                assert_eq!(found.len(), 1, "{text}");
                let mut invocation = found[0].clone();
                invocation.version = asked.version.clone();
                let mut got = launch::speech::read(&invocation, Some(asked.ep.is_some()));
                // What is kept below the GPUs' cache is read, and no plan takes it from a launch.
                got.unread.retain(|note| !note.why.contains("a tier of the cache outside the GPUs"));
                assert!(got.unread.is_empty(), "{text}\n{:?}", got.unread);
                got.without_bearing.clear();
                got.kept.clear();
                got.notes.clear();
                assert_eq!(got, asked, "{version}\n{text}");
                asked_of += 1;
            }
        }
    }
    assert_eq!(asked_of, 180 * 28, "10 versions of vLLM, 12 of SGLang, 3 of TensorRT-LLM, 3 of llama.cpp");
}

/// Where `tools/check_launches.py` finds what the engines' own parsers and the manifests' schemas are asked about.
fn dump(name: &str, text: &str) {
    if let Some(folder) = std::env::var_os("SHARDFIT_LAUNCHES") {
        let path = std::path::Path::new(&folder).join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

#[test]
fn two_thousand_commands_have_flags_and_values_of_their_version_alone() {
    let mut d = Draw(11);
    let (mut commands, mut lines) = (0, String::new());
    // The engines' own parsers are asked about more.
    let each = if std::env::var_os("SHARDFIT_LAUNCHES").is_some() { 400 } else { 75 };
    for table in dialect::dialects() {
        for version in &table.versions {
            for _ in 0..each {
                let asked = server(&table.engine, version, &mut d);
                let line = launch::speech::write(&asked).unwrap();
                let words: Vec<_> = line.flags().iter().map(launch::shell::Word::plain).collect();
                let said = table.read(&words, Some(version));
                let at = format!("{} {version}: {:?}", table.engine, line.words());
                assert!(said.unread.is_empty() && said.positional.is_empty(), "{at}: {:?}", said.unread);
                assert_eq!(said.settings.len(), line.arguments.len(), "{at}");
                for setting in &said.settings {
                    assert!(setting.elsewhere.is_none() && !setting.deprecated, "{at}: {}", setting.written);
                }
                let (engine, words) = (&table.engine, line.words());
                let row = serde_json::json!({ "engine": engine, "version": version, "words": words });
                lines += &format!("{row}\n");
                commands += 1;
            }
        }
    }
    assert_eq!(commands, each * 28);
    dump("commands.jsonl", &lines);
}

#[test]
fn plans_that_estimates_cannot_tell_apart_are_what_tuners_measure() {
    use crate::common::shardfit;
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    shardfit(&format!("plan llama-3.1-70b --cluster 8xh100-sxm --concurrency 64 --emit sweep -o '{out}'"))
        .exits(0);
    let json = |name: &str| -> serde_json::Value {
        serde_json::from_str(&std::fs::read_to_string(folder.path().join(name)).unwrap()).unwrap()
    };
    let (serve, bench) = (json("serve.json"), json("bench.json"));
    let (serve, bench) = (serve.as_object().unwrap(), bench.as_object().unwrap());
    assert!((5..=10).contains(&serve.len()), "{serve:#?}");
    assert!(serve.keys().eq(bench.keys()), "both go by the same names");
    for (name, flags) in serve {
        let gpus = flags["tensor_parallel_size"].as_u64().unwrap()
            * flags.get("pipeline_parallel_size").map_or(1, |n| n.as_u64().unwrap());
        let copies: u64 = name.split("-x").nth(1).unwrap().split('-').next().unwrap().parse().unwrap();
        assert!(gpus * copies <= 8, "{name}: {flags}");
        assert_eq!(bench[name]["max_concurrency"].as_u64().unwrap(), 64u64.div_ceil(copies), "{name}");
    }
    let script = std::fs::read_to_string(folder.path().join("sweep.sh")).unwrap();
    assert!(
        script.contains("vllm bench sweep serve") && script.contains("--serve-params serve.json"),
        "{script}"
    );
    // SGLang's file is of one candidate each.
    let question = "plan llama-3.1-8b --cluster 2xh100-sxm --concurrency 16 --engine sglang --emit sweep";
    let text = shardfit(question).exits(0).stdout;
    assert!(text.contains("base_flags:") && text.contains("python3 -m sglang.bench_serving"), "{text}");
    let run = shardfit("estimate llama-3.1-8b --gpu h100-sxm --emit sweep").exits(2);
    assert!(run.stderr.contains("a sweep is of several plans"), "{}", run.stderr);
}

/// A server of 2 GPUs that every target can start.
fn plain(engine: &str, version: &str) -> Server {
    let experts = engine != "llama.cpp";
    Server {
        engine: engine.into(),
        version: Some(version.into()),
        model: Some(if experts { "org/Some-Model" } else { "/models/m-q4_k_m.gguf" }.into()),
        tp: Some(2),
        pp: Some(1),
        attention_dp: experts.then_some(1),
        ep: experts.then_some(1),
        replicas: Some(1),
        max_model_len: Some(2560),
        max_sequences: Some(96),
        max_batched_tokens: Some(8192),
        memory_fraction: experts.then_some(0.9),
        ..Server::default()
    }
}

fn release(members: Vec<Member>) -> Release {
    Release {
        members,
        vendor: "nvidia".into(),
        gpu: "h100-sxm".into(),
        cards: Vec::new(),
        slice: None,
        prefill_gpu: None,
        part: None,
        gpus_per_node: 8,
        head: vec!["shardfit 0.1.0: a plan".into()],
        isl: 2048,
        osl: 512,
        purpose: shardfit::workload::Purpose::Generate,
        concurrency: 192,
        bench: shardfit::launch::release::Bench::default(),
        described: "org/model --gpu h100-sxm".into(),
        checkpoint: shardfit::units::Bytes::gib(140.0),
        beside: shardfit::launch::release::Beside::default(),
    }
}

/// Plans of each shape: alone, copies on a node, copies over nodes, over nodes with experts, with stages, split.
fn shapes(engine: &str, version: &str) -> Vec<Release> {
    let one = plain(engine, version);
    let of = |server: &Server, copies, gpus| Member { server: server.clone(), copies, gpus };
    let mut out =
        vec![release(vec![of(&one, 1, 2)]), release(vec![of(&one, 4, 2)]), release(vec![of(&one, 20, 2)])];
    if engine == "llama.cpp" {
        return out;
    }
    let wide =
        Server { tp: Some(1), attention_dp: Some(16), ep: Some(16), kv: Some("fp8".into()), ..one.clone() };
    out.push(release(vec![of(&wide, 2, 16)]));
    let tall = Server { tp: Some(8), pp: Some(2), ..one.clone() };
    out.push(release(vec![of(&tall, 1, 16)]));
    let pool = |pool| Server { pool: Some(pool), ..one.clone() };
    out.push(release(vec![of(&pool(Pool::Prefill), 2, 2), of(&pool(Pool::Decode), 2, 2)]));
    out
}

#[test]
fn every_artefact_asks_for_the_gpus_of_the_plan() {
    let mut written = 0;
    for (engine, version) in [
        ("vllm", "0.21.0"),
        ("vllm", "0.33.0"),
        ("sglang", "0.5.14"),
        ("sglang", "0.5.23"),
        ("trtllm", "1.3.0"),
        ("llama.cpp", "b11434"),
    ] {
        for release in shapes(engine, version) {
            for target in artefact::names() {
                // A target that cannot say a plan refuses it and writes nothing.
                let Ok(files) = artefact::write(target, &release) else { continue };
                let find = |name: &str| {
                    let base = name.rsplit('/').next().unwrap();
                    files.iter().find(|f| f.name == base).map(|f| f.text.clone())
                };
                for (n, file) in files.iter().enumerate() {
                    let shape = release.members.iter().map(|m| format!("{}x{}", m.copies, m.gpus));
                    let shape: Vec<String> = shape.collect();
                    let place = format!("{target}/{engine}-{version}-{}-{n}-{}", shape.join("+"), file.name);
                    dump(&place, &file.text);
                }
                let experts = release.members[0].server.ep.is_some();
                let read: Vec<Server> = files
                    .iter()
                    .filter(|f| !f.name.starts_with("trtllm-options") && !f.name.contains("router"))
                    .flat_map(|f| {
                        launch::invocations(&f.text, &find).unwrap_or_else(|e| panic!("{}: {e:?}", f.text))
                    })
                    .map(|i| launch::speech::read(&i, Some(experts)))
                    .collect();
                let at = format!("{engine} {version} {target}: {read:#?}");
                assert!(read.iter().all(|s| s.unread.is_empty()), "{at}");
                assert_eq!(read.iter().filter_map(|s| s.gpus).sum::<u64>(), release.gpus(), "{at}");
                assert_eq!(read.len(), release.members.len(), "{at}");
                for (server, member) in read.iter().zip(&release.members) {
                    let wanted = &member.server;
                    assert_eq!((server.tp, server.pp, server.ep), (wanted.tp, wanted.pp, wanted.ep), "{at}");
                    assert_eq!(server.max_model_len, wanted.max_model_len, "{at}");
                    assert_eq!(server.max_sequences, wanted.max_sequences, "{at}");
                    assert_eq!(server.memory_fraction, wanted.memory_fraction, "{at}");
                }
                written += 1;
            }
        }
    }
    assert!(written > 170, "{written}");
}

/// Limits of the published form of a launch: SGLang's `tp-size` counts all ranks of a stage, its `dp` without attention
/// data parallelism copies (server_args.py); TensorRT-LLM's YAML wins over its command line (serve.py).
#[test]
fn degrees_are_read_as_the_engine_means_them() {
    let read = |text: &str, experts| {
        let found = launch::invocations(text, &|_| None).unwrap();
        launch::speech::read(&found[0], experts)
    };
    let s = read(
        "python3 -m sglang.launch_server --model-path m --tp-size 16 --dp-size 8 --enable-dp-attention",
        Some(true),
    );
    assert_eq!((s.tp, s.attention_dp, s.replicas, s.gpus), (Some(2), Some(8), Some(1), Some(16)));
    let s = read("python3 -m sglang.launch_server --model-path m --tp 4 --dp 2", Some(false));
    assert_eq!((s.tp, s.attention_dp, s.replicas, s.gpus), (Some(4), Some(1), Some(2), Some(8)));
    let s = read("vllm serve m -tp 2 -dp 4 --enable-expert-parallel", None);
    assert_eq!((s.tp, s.attention_dp, s.ep, s.gpus), (Some(2), Some(4), Some(8), Some(8)));
    let s = read("vllm serve m -tp 2 -dp 4", Some(false));
    assert_eq!((s.tp, s.attention_dp, s.replicas, s.gpus), (Some(2), None, Some(4), Some(8)));
    let s = read(
        "cat > o.yml <<EOF\nenable_attention_dp: true\nkv_cache_config:\n  free_gpu_memory_fraction: 0.7\nEOF\n\
         trtllm-serve m --tp_size 8 --ep_size 8 --kv_cache_free_gpu_memory_fraction 0.9 --extra_llm_api_options o.yml",
        Some(true),
    );
    assert_eq!((s.tp, s.attention_dp, s.ep, s.memory_fraction), (Some(1), Some(8), Some(8), Some(0.7)));
    let s = read("llama-server -m m-q4_k_m.gguf -c 65536 -np 4", None);
    assert_eq!((s.max_model_len, s.max_sequences), (Some(16_384), Some(4)));
}

#[test]
fn what_stands_in_a_variable_is_said_and_never_defaulted() {
    let found =
        launch::invocations("vllm serve $MODEL -tp $TP --max-num-seqs 8 \"${MORE[@]}\"", &|_| None).unwrap();
    let s = launch::speech::read(&found[0], None);
    assert_eq!((s.tp, s.pp, s.replicas, s.gpus, s.max_sequences), (None, None, None, None, Some(8)));
    let unread: Vec<&str> = s.unread.iter().map(|n| n.text.as_str()).collect();
    assert_eq!(unread, ["${MORE[@]}", "$MODEL", "-tp $TP"]);
    // A count that is none is not taken for one either.
    let found = launch::invocations("vllm serve m -tp 99999999999", &|_| None).unwrap();
    let s = launch::speech::read(&found[0], None);
    assert_eq!((s.tp, s.gpus, s.unread.len()), (None, None, 1));
}

#[test]
fn copies_of_a_manifest_are_replicas() {
    let compose = "services:\n  v:\n    image: vllm/vllm-openai:v0.11.0\n    command: --model m -tp 2\n    deploy:\n      replicas: 3\n";
    let found = launch::invocations(compose, &|_| None).unwrap();
    let s = launch::speech::read(&found[0], Some(false));
    assert_eq!((s.version.as_deref(), s.tp, s.replicas, s.gpus), (Some("0.11.0"), Some(2), Some(3), Some(6)));
}

/// The published commands that are handed to the project, where they are there.
#[test]
fn public_commands_mean_what_their_engines_take_them_for() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/launch/commands.jsonl");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: {} is not there", path.display());
        return;
    };
    let mut wrong = Vec::new();
    let mut asked = 0;
    for line in text.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let find = |name: &str| {
            let base = name.rsplit('/').next()?;
            let files = row["files"].as_object()?;
            files.iter().find(|(k, _)| k.as_str() == base).and_then(|(_, v)| v.as_str()).map(str::to_owned)
        };
        let meaning = &row["meaning"];
        if meaning["pool"] == "prefill and decode" {
            continue;
        }
        let experts = if meaning["ep"].is_null() { None } else { Some(true) };
        let found = launch::invocations(row["text"].as_str().unwrap(), &find).unwrap();
        let got = serde_json::to_value(launch::speech::read(&found[0], experts)).unwrap();
        for (key, field) in [
            ("tp", "tp"),
            ("pp", "pp"),
            ("attention_dp", "attention_dp"),
            ("ep", "ep"),
            ("replicas", "replicas"),
            ("gpus", "gpus"),
            ("dtype", "dtype"),
            ("kv", "kv"),
            ("max_len", "max_model_len"),
            ("max_seqs", "max_sequences"),
            ("max_batched_tokens", "max_batched_tokens"),
            ("memory_fraction", "memory_fraction"),
            ("prefix_caching", "prefix_caching"),
            ("chunked_prefill", "chunked_prefill"),
            ("eager", "eager"),
            ("pool", "pool"),
        ] {
            asked += 1;
            // Attention data parallelism of one group is none.
            let same = meaning[key] == got[field]
                || key == "attention_dp" && meaning[key].is_null() && got[field] == 1;
            if !same {
                wrong.push(format!("{} {key}: {} for {}", row["id"], got[field], meaning[key]));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {asked}: {wrong:#?}", wrong.len());
}

/// What `--emit` writes, read back: the plan of the same question's JSON.
#[test]
fn emitted_plans_are_those_that_were_ranked() {
    use crate::common::{number, shardfit};
    for question in [
        "plan llama-3.1-70b --cluster 8xh100-sxm --ttft 1s --tpot 50ms --top 1",
        "plan llama-3.1-8b --cluster 8xl40s --rate 10 --top 1",
        "plan qwen3-30b-a3b --cluster 4xh100-sxm --engine sglang --concurrency 64 --top 1",
        "plan deepseek-v3 --cluster 2x8xh200-sxm --top 1",
        "plan deepseek-v3 --cluster 8xb200-sxm --engine trtllm --weights nvfp4 --top 1",
        "plan llama-3.1-8b --cluster 2xrtx-4090 --engine llama.cpp --concurrency 2 --top 1",
    ] {
        let answered = shardfit(&format!("{question} --json"));
        let plan: serde_json::Value = serde_json::from_str(&answered.stdout).unwrap();
        let plan = &plan["plans"][0];
        for target in ["command", "k8s"] {
            let folder = tempfile::tempdir().unwrap();
            let out = folder.path().to_str().unwrap();
            let written = shardfit(&format!("{question} --emit {target} -o '{out}'"));
            assert_eq!((written.code, written.stdout.as_str()), (0, ""), "{}", written.stderr);
            let mut texts: Vec<(String, String)> = std::fs::read_dir(folder.path())
                .unwrap()
                .map(|e| e.unwrap())
                .map(|e| (e.file_name().into_string().unwrap(), std::fs::read_to_string(e.path()).unwrap()))
                .collect();
            texts.sort();
            let (_, text) = texts.iter().find(|(name, _)| !name.contains("options")).unwrap();
            let found = launch::invocations(text, &|_| None).unwrap();
            assert_eq!(found.len(), 1, "{text}");
            let experts = plan["ep"].as_u64() > Some(1)
                || plan["expert_tp"].as_u64() > Some(1)
                || !question.contains("llama");
            let server = launch::speech::read(&found[0], Some(experts));
            assert!(server.unread.is_empty(), "{:?}\n{text}", server.unread);
            let same = |key: &str| plan[key].as_u64().map(|n| n as u32);
            assert_eq!(server.tp, same("tp"), "{text}");
            assert_eq!(server.pp.unwrap_or(1), same("pp").unwrap(), "{text}");
            assert_eq!(server.attention_dp.unwrap_or(1), same("attention_dp").unwrap(), "{text}");
            assert_eq!(server.replicas.unwrap_or(1), same("replicas").unwrap(), "{text}");
            if experts {
                assert_eq!(server.ep, same("ep"), "{text}");
            }
            if let Some(gpus) = server.gpus {
                assert_eq!(gpus as f64, number(plan, "gpus"), "{text}");
            }
        }
    }
}

#[test]
fn a_written_plan_that_is_read_is_estimated_as_the_same_plan() {
    use crate::common::{at, number, shardfit};
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().display().to_string();
    let question = "plan llama-3.1-70b --cluster 8xh100-sxm --ttft 1s --tpot 50ms --top 1";
    let plan: serde_json::Value =
        serde_json::from_str(&shardfit(&format!("{question} --json")).stdout).unwrap();
    shardfit(&format!("{question} --emit command -o '{out}'"));
    let plan = &plan["plans"][0];
    let in_flight = number(plan, "batch") * number(plan, "replicas");
    let launched = format!("estimate --cluster 8xh100-sxm --launch '{out}/serve.sh'");
    let read = shardfit(&format!("{launched} --concurrency {in_flight} --json"));
    assert_eq!(read.code, 0, "{}", read.stderr);
    let read: serde_json::Value = serde_json::from_str(&read.stdout).unwrap();
    for key in ["tp", "pp", "replicas", "gpus", "batch"] {
        assert_eq!(number(&read, key), number(plan, key), "{key}");
    }
    assert_eq!(at(&read, "launch.unread"), &serde_json::json!([]));
    assert_eq!(at(&read, "verdict"), at(plan, "verdict"));
    // The next size of CUDA graphs: steps of eight. The model's whole context finds room.
    let limit = (number(plan, "batch") / 8.0).ceil() * 8.0;
    assert_eq!((number(&read, "max_model_len"), number(&read, "max_sequences")), (131_072.0, limit));
    // Fewer sequences take no longer and leave no less.
    assert!((number(&read, "tpot_ms") / number(plan, "tpot_ms") - 1.0).abs() < 0.02);
    assert!(number(&read, "memory.kv_cache_gib") >= number(plan, "memory.kv_cache_gib"));
}

/// A plan is scored with the limit that its launch states: read back it has the same memory, and the same times where
/// nothing is simulated.
#[test]
fn a_launch_that_is_written_is_the_plan_that_was_scored_memory_included() {
    use crate::common::{at, number, shardfit};
    let questions = [
        ("qwen3-32b --cluster 1xh100-sxm --engine vllm --isl 2048 --osl 128", "--concurrency 64"),
        ("gemma-3-27b --cluster 4xa100-sxm-80gb --engine vllm --isl 2048 --osl 64", "--rate 4"),
        ("qwen3-8b --cluster 1xl40s --engine sglang --isl 1000 --osl 300", "--concurrency 16"),
        ("llama-3.1-8b --cluster 4xl40s --engine sglang --isl 1000 --osl 200", "--rate 2"),
        ("llama-3.1-8b --cluster 2xh100-sxm --engine trtllm --isl 1000 --osl 300", "--concurrency 96"),
        ("gpt-oss-20b --cluster 1xl40s --engine llama.cpp --isl 1000 --osl 300", "--concurrency 8"),
        // Its indexer keeps logits as long as the longest request (vLLM `v1/attention/backends/mla/indexer.py`).
        ("deepseek-v3.2 --cluster 8xh200-sxm --engine vllm --isl 4000 --osl 1000", "--concurrency 16"),
        ("gemma-3-4b-it --cluster 1xrtx-4090 --engine llama.cpp --isl 64 --osl 128", ""),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (n, (question, load)) in questions.into_iter().enumerate() {
        let asked = format!("plan {question} {load} --top 1 --verify 0");
        let plan = shardfit(&format!("{asked} --json")).exits(0).json()["plans"][0].clone();
        let out = folder.path().join(n.to_string());
        shardfit(&format!("{asked} --emit command -o '{}'", out.display())).exits(0);
        let (_, rest) = question.split_once(" --cluster ").unwrap();
        let (cluster, rest) = rest.split_once(' ').unwrap();
        let lengths = &rest[rest.find("--isl").unwrap()..];
        // The folder that was written is a launch.
        let launched = format!("estimate --cluster {cluster} --launch '{}' {lengths} {load}", out.display());
        let read = shardfit(&format!("{launched} --json")).json();
        for key in ["tp", "pp", "ep", "attention_dp", "replicas", "max_sequences", "verdict"] {
            assert_eq!(at(&read, key), at(&plan, key), "{question} {load}: {key}");
        }
        let parts = ["weights", "kv_cache", "activations", "non_torch", "cuda_graphs", "total"];
        let parts = parts.map(|part| format!("memory.{part}_gib"));
        let times = ["ttft_ms", "tpot_ms", "output_tokens_per_s"].map(str::to_owned);
        for key in parts.iter().chain(&times).chain(&["memory.kv_cache_tokens".to_owned()]) {
            let (here, there) = (number(&plan, key), number(&read, key));
            let close = (here - there).abs() <= 1e-6 * here.abs().max(there.abs());
            assert!(close, "{question} {load}: {key} {here} in the plan, {there} of its launch");
        }
    }
}

/// Where a limit is not stated the one that fits is planned: what finds room only beside fewer graphs, and as many slots of
/// llama.cpp as the load needs.
#[test]
fn limits_on_sequences_are_planned() {
    use crate::common::{number, shardfit};
    let first =
        |question: &str| shardfit(&format!("{question} --top 1 --json")).exits(0).json()["plans"][0].clone();
    // Graphs and sampler of 1,024 sequences leave eight of every weight's GPUs no cache at all; those of fewer do.
    let starved =
        "plan deepseek-v3 --cluster 4xgb200 --engine vllm --isl 1000 --osl 512 --concurrency 256 --verify 0";
    assert!(number(&first(starved), "output_tokens_per_s") > 1000.0);
    shardfit(&format!("{starved} --max-sequences 1024")).exits(1);
    let stated = first(&format!("{starved} --max-sequences 96"));
    assert_eq!(number(&stated, "max_sequences"), 96.0);
    // Four slots serve what two GPUs do on eight.
    let slots = "plan gpt-oss-20b --cluster 8xb200-sxm --engine llama.cpp --isl 4000 --osl 4000 --rate 2.87";
    let planned = first(&format!("{slots} --objective cost"));
    assert!(number(&planned, "gpus") <= 2.0, "{planned:#}");
    // One user keeps one slot, and an estimate the engine's own.
    let alone = "llama-3.1-8b --cluster 1xrtx-4090 --engine llama.cpp --weights q4_k_m --concurrency 1";
    assert_eq!(number(&first(&format!("plan {alone}")), "max_sequences"), 1.0);
    let read = shardfit(&format!("estimate {alone} --json")).exits(0).json();
    assert_eq!(number(&read, "max_sequences"), 4.0);
}

#[test]
fn a_launch_that_cannot_be_judged_is_read_all_the_same() {
    use crate::common::{at, shardfit};
    let run = shardfit("estimate --launch 'vllm serve $MODEL -tp 2 --max-num-seqs 7' --json");
    let read: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((run.code, at(&read, "feasible")), (0, &serde_json::Value::Null));
    assert_eq!((at(&read, "tp"), at(&read, "max_sequences")), (&2.into(), &7.into()));
    assert_eq!(at(&read, "launch.unread")[0]["text"], "$MODEL");
    let run = shardfit("estimate --launch 'echo hello' --gpu h100-sxm");
    assert_eq!(run.code, 2, "{}", run.stderr);
    assert!(run.stderr.contains("no launch of a server"), "{}", run.stderr);
}

#[test]
fn a_request_longer_than_the_cache_is_refused_as_engines_do() {
    use crate::common::{at, shardfit};
    let run = shardfit(
        "estimate --launch 'VLLM_ALLOW_LONG_MAX_MODEL_LEN=1 vllm serve Qwen/Qwen3-32B -tp 1 --max-model-len 131072' \
         --gpu h100-sxm --json",
    );
    let read: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((run.code, at(&read, "feasible")), (1, &false.into()));
    assert_eq!(at(&read, "reasons")[0]["reason"], "out_of_memory", "{read:#}");
}

/// The files that a question writes, by name.
fn emitted(question: &str, target: &str) -> std::collections::BTreeMap<String, String> {
    use crate::common::shardfit;
    let folder = tempfile::tempdir().unwrap();
    let run = shardfit(&format!("{question} --emit {target} -o '{}'", folder.path().display()));
    assert_eq!(run.code, 0, "{question}: {}", run.stderr);
    std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|e| (e.file_name().into_string().unwrap(), std::fs::read_to_string(e.path()).unwrap()))
        .collect()
}

/// Words of all commands of a file after a flag or before a value.
fn after<'a>(text: &'a str, flag: &str) -> Vec<&'a str> {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.windows(2).filter(|pair| pair[0] == flag).map(|pair| pair[1].trim_matches('"')).collect()
}

/// Two pools of an engine on one node.
fn two_pools(engine: &str, version: &str) -> Release {
    let pool = |pool| Server { pool: Some(pool), ..plain(engine, version) };
    release(vec![
        Member { server: pool(Pool::Prefill), copies: 2, gpus: 2 },
        Member { server: pool(Pool::Decode), copies: 2, gpus: 2 },
    ])
}

#[test]
fn split_pools_have_a_router_and_nothing_of_one_node_twice() {
    for (engine, version) in [("vllm", "0.33.0"), ("sglang", "0.5.23"), ("trtllm", "1.4.0")] {
        let release = two_pools(engine, version);
        for target in ["command", "docker"] {
            let files = artefact::write(target, &release).unwrap();
            let text = &files[0].text;
            let mut ports: Vec<String> = Vec::new();
            let mut cards: Vec<String> = Vec::new();
            if target == "docker" {
                let read: serde_json::Value = serde_yaml::from_str(text).unwrap();
                let services = read["services"].as_object().unwrap();
                assert_eq!(services.len(), 5, "{text}");
                assert!(services["router"]["command"][0].as_str().unwrap().contains("exec "), "{text}");
                for (name, service) in services.iter().filter(|(name, _)| *name != "router") {
                    assert_eq!(service["network_mode"], "host", "{name}");
                    let words: Vec<&str> =
                        service["command"].as_array().unwrap().iter().map(|w| w.as_str().unwrap()).collect();
                    let at = words.iter().position(|w| *w == "--port").unwrap();
                    ports.push(words[at + 1].to_owned());
                    let ids = &service["deploy"]["resources"]["reservations"]["devices"][0]["device_ids"];
                    cards.extend(ids.as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()));
                }
            } else {
                ports.extend(after(text, "--port").into_iter().take(4).map(str::to_owned));
                let visible = text.lines().filter_map(|l| l.trim().strip_prefix("CUDA_VISIBLE_DEVICES="));
                cards.extend(visible.flat_map(|l| l.trim_end_matches(" \\").split(',')).map(str::to_owned));
                assert!(text.trim_end().ends_with("wait"), "{text}");
            }
            ports.sort();
            cards.sort();
            let usual = release.members[0].port();
            let wanted: Vec<String> = (1..=4).map(|n| (usual + n).to_string()).collect();
            assert_eq!((ports, cards.len()), (wanted, 8), "{engine} {target}: {text}");
            cards.dedup();
            assert_eq!(cards.len(), 8, "{engine} {target}: {text}");
            match engine {
                // docs/model-routing/pd-disaggregation.md of vLLM's router; features/nixl_connector_usage of vLLM.
                "vllm" => {
                    assert!(
                        text.contains("vllm-router") && text.contains("--vllm-pd-disaggregation"),
                        "{text}"
                    );
                    for n in 0..4 {
                        let port = 5600 + 2 * n;
                        assert!(
                            text.contains(&format!("VLLM_NIXL_SIDE_CHANNEL_PORT={port}"))
                                || text.contains(&format!("VLLM_NIXL_SIDE_CHANNEL_PORT: '{port}'"))
                                || text.contains(&format!("VLLM_NIXL_SIDE_CHANNEL_PORT: \"{port}\"")),
                            "{port}: {text}"
                        );
                    }
                }
                // advanced_features/pd_disaggregation of SGLang's docs.
                "sglang" => {
                    assert!(
                        text.contains("sglang_router.launch_router") && text.contains("--pd-disaggregation")
                    );
                    for port in ["8998", "8999"] {
                        assert!(text.contains(port), "{port}: {text}");
                    }
                }
                // examples/disaggregated of TensorRT-LLM.
                _ => {
                    assert!(text.contains("trtllm-serve disaggregated -c trtllm-router.yaml"), "{text}");
                    assert!(text.contains("context_servers:") && text.contains("127.0.0.1:8001"), "{text}");
                }
            }
            // The router is no server, and the servers are those of the plan.
            let found = launch::invocations(text, &|_| None).unwrap();
            let read: Vec<Server> = found.iter().map(|i| launch::speech::read(i, Some(true))).collect();
            let pools: Vec<_> = read.iter().map(|s| (s.pool, s.replicas)).collect();
            assert_eq!(
                pools,
                [(Some(Pool::Prefill), Some(2)), (Some(Pool::Decode), Some(2))],
                "{engine} {target}: {text}"
            );
        }
        let files = artefact::write("k8s", &release).unwrap();
        let names: Vec<&str> = files.iter().map(|f| f.name.as_str()).collect();
        assert_eq!(names, ["k8s-prefill.yaml", "k8s-decode.yaml", "k8s-router.yaml"]);
        let text = &files[2].text;
        for host in ["some-model-prefill-0.some-model-prefill:", "some-model-decode-1.some-model-decode:"] {
            assert!(text.contains(host), "{text}");
        }
        assert!(files[0].text.contains("kind: StatefulSet") && files[0].text.contains("clusterIP: None"));
        assert_eq!(files[0].text.contains("fieldPath: status.podIP"), engine == "vllm", "{}", files[0].text);
    }
}

#[test]
fn servers_of_several_hosts_listen_to_others() {
    // SGLang's and trtllm-serve's default is the host itself.
    for (engine, version) in [("vllm", "0.33.0"), ("sglang", "0.5.23"), ("trtllm", "1.4.0")] {
        let release = Release { gpus_per_node: 4, ..two_pools(engine, version) };
        let text = artefact::write("command", &release).unwrap()[0].text.clone();
        let servers = text.matches("on a node of this pool").count();
        assert_eq!(servers, 2, "{text}");
        assert!(
            after(&text, "--host").iter().filter(|host| **host == "0.0.0.0").count() >= servers,
            "{text}"
        );
    }
    let text = artefact::write("command", &only(plain("sglang", "0.5.23"), 1, 2)).unwrap()[0].text.clone();
    assert!(!text.contains("--host"), "{text}");
}

#[test]
fn slices_and_fabrics_are_asked_for_by_their_names() {
    // NVIDIA's device plugin, MIG strategy `mixed`; its container runtime takes GPU:SLICE.
    let slice = Release {
        gpu: "h100-sxm-mig-3g.40gb".into(),
        slice: Some("3g.40gb".into()),
        gpus_per_node: 1,
        ..only(plain("vllm", "0.33.0"), 1, 1)
    };
    let text = text_of("k8s", &slice);
    assert!(text.contains("nvidia.com/mig-3g.40gb: \"1\"") && !text.contains("nvidia.com/gpu:"), "{text}");
    assert!(text.contains("strategy `mixed`"), "{text}");
    assert!(text_of("docker", &slice).contains("- 0:0"));
    let wide = only(Server { pp: Some(2), ..plain("vllm", "0.33.0") }, 1, 16);
    let (wide, small) = (text_of("k8s", &wide), text_of("k8s", &only(plain("vllm", "0.33.0"), 1, 2)));
    assert!(wide.contains("needs: the nodes' RDMA ports") && !small.contains("RDMA"), "{wide}");
}

#[test]
fn exchanges_are_stated_where_experts_are_spread_alone() {
    // vLLM, `use_all2all_kernels`: expert parallel and data parallel; balancers want the first.
    let of = |ep, ranks| {
        let spread =
            Server { ep: Some(ep), attention_dp: Some(ranks), tp: Some(1), ..plain("vllm", "0.33.0") };
        let launches = ["deepep", "eplb", "dbo"].map(str::to_owned).to_vec();
        text_of("command", &only(Server { launches, ..spread }, 1, 8))
    };
    let (both, neither) = (of(8, 8), of(1, 8));
    for flag in ["--all2all-backend deepep_low_latency", "--enable-eplb", "--enable-dbo"] {
        assert!(both.contains(flag) && !neither.contains(flag), "{flag}: {both} {neither}");
    }
}

#[test]
fn parts_of_a_deployment_on_one_node_stand_beside_each_other() {
    let beside = shardfit::launch::release::Beside { gpus: 4, servers: 3 };
    let one = plain("vllm", "0.33.0");
    let part = Release { beside, ..release(vec![Member { server: one, copies: 2, gpus: 2 }]) };
    let text = artefact::write("command", &part).unwrap()[0].text.clone();
    assert!(text.contains("CUDA_VISIBLE_DEVICES=4,5") && text.contains("CUDA_VISIBLE_DEVICES=6,7"), "{text}");
    assert_eq!(after(&text, "--port"), ["8003", "8004"]);
    let text = artefact::write("docker", &part).unwrap()[0].text.clone();
    assert!(text.contains("- 8003:8000") && text.contains("- 8004:8000"), "{text}");
}

#[test]
fn the_workers_of_a_group_take_the_ranks_after_its_leader() {
    let ranks = |dp, gpus| {
        let one = plain("vllm", "0.33.0");
        let wide = Server { tp: Some(1), attention_dp: Some(dp), ep: Some(dp), ..one };
        release(vec![Member { server: wide, copies: 1, gpus }])
    };
    let text = artefact::write("k8s", &ranks(16, 16)).unwrap()[0].text.clone();
    assert!(text.contains("--data-parallel-start-rank \"$((LWS_WORKER_INDEX * 8))\""), "{text}");
    let text = artefact::write("llm-d", &ranks(16, 16)).unwrap()[0].text.clone();
    assert!(text.contains("--data-parallel-start-rank \"$((LWS_WORKER_INDEX * 8))\""), "{text}");
    assert!(text.contains("modelCommand: custom") && text.contains("workers: 2"), "{text}");
    // The bare name is that of the service by which the group's controller names pods.
    let text = artefact::write("k8s", &ranks(16, 16)).unwrap()[0].text.clone();
    assert!(text.contains("name: some-model-leader"), "{text}");
    let tall = Server { tp: Some(8), attention_dp: Some(2), ep: Some(16), ..plain("vllm", "0.33.0") };
    let text = artefact::write("k8s", &release(vec![Member { server: tall, copies: 1, gpus: 16 }])).unwrap();
    assert!(text[0].text.contains("- $(LWS_WORKER_INDEX)"), "{}", text[0].text);
}

#[test]
fn tensorrt_llm_over_nodes_is_one_world_of_ranks() {
    let wide = Server { tp: Some(1), attention_dp: Some(16), ep: Some(16), ..plain("trtllm", "1.4.0") };
    let release = release(vec![Member { server: wide, copies: 1, gpus: 16 }]);
    let text = artefact::write("command", &release).unwrap()[0].text.clone();
    let launcher = "mpirun -np 16 --hostfile \"$HOSTFILE\" --map-by ppr:8:node";
    assert!(
        text.contains(launcher) && text.matches("trtllm-llmapi-launch trtllm-serve").count() == 1,
        "{text}"
    );
    let text = artefact::write("slurm", &release).unwrap()[0].text.clone();
    assert!(text.contains("#SBATCH --nodes=2\n#SBATCH --ntasks-per-node=8\n"), "{text}");
    assert!(text.contains("srun --mpi=pmix --ntasks=16 --ntasks-per-node=8"), "{text}");
    let refused = artefact::write("k8s", &release).unwrap_err().to_string();
    assert!(refused.contains("MPI") && refused.contains("slurm") && refused.contains("dynamo"), "{refused}");
}

#[test]
fn the_workers_of_dynamo_are_told_in_their_own_words() {
    let text = artefact::write("dynamo", &two_pools("trtllm", "1.4.0")).unwrap()[0].text.clone();
    // components/src/dynamo/trtllm/backend_args.py.
    for word in [
        "--tensor-parallel-size",
        "--max-batch-size",
        "--max-num-tokens",
        "--max-seq-len",
        "--extra-engine-args",
        "/etc/shardfit/trtllm-options-prefill.yaml",
        "--disaggregation-mode",
        "kind: ConfigMap",
        "mountPath: /etc/shardfit",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert!(!text.contains("--tp_size") && !text.contains("--extra_llm_api_options"), "{text}");
    let amd = Release { vendor: "amd".into(), ..two_pools("vllm", "0.33.0") };
    assert!(artefact::write("dynamo", &amd).unwrap_err().to_string().contains("NVIDIA"));
}

#[test]
fn where_no_container_reaches_the_gpu_the_command_is_named() {
    use crate::common::shardfit;
    for target in ["docker", "k8s", "slurm"] {
        let run =
            shardfit(&format!("plan llama-3.1-8b --weights q4_k_m --cluster m3-max-36gb --emit {target}"))
                .exits(2);
        assert!(run.stderr.contains("`command`"), "{}", run.stderr);
    }
    shardfit("plan llama-3.1-8b --weights q4_k_m --cluster m3-max-36gb --emit command").exits(0);
}

#[test]
fn checkpoints_that_have_a_path_are_mounted() {
    let int4 = Server { model: Some("/models/Some-Model-int4".into()), ..plain("vllm", "0.33.0") };
    let release = release(vec![Member { server: int4, copies: 1, gpus: 2 }]);
    let text = artefact::write("docker", &release).unwrap()[0].text.clone();
    assert!(text.contains("- /models:/models:ro"), "{text}");
    let text = artefact::write("k8s", &release).unwrap()[0].text.clone();
    for word in ["claimName: models", "mountPath: /models", "# needs: a PersistentVolumeClaim `models`"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let text = artefact::write("llm-d", &release).unwrap()[0].text.clone();
    assert!(text.contains("uri: pvc://models/Some-Model-int4"), "{text}");
    // The checkpoint's 140 GiB and a tenth, with what lies beside them.
    assert!(text.contains("size: 164Gi"), "{text}");
}

#[test]
fn a_server_of_slurm_has_the_cores_and_memory_that_it_needs() {
    let part = release(vec![Member { server: plain("vllm", "0.33.0"), copies: 4, gpus: 2 }]);
    let text = artefact::write("slurm", &part).unwrap()[0].text.clone();
    assert!(text.contains("#SBATCH --cpus-per-task=12\n#SBATCH --mem=128G\n"), "{text}");
    // Elements of an array may share a node.
    assert!(text.contains("PORT=$((8000 + SLURM_ARRAY_TASK_ID))"), "{text}");
    let whole = Server { tp: Some(8), ..plain("vllm", "0.33.0") };
    let whole = release(vec![Member { server: whole, copies: 1, gpus: 8 }]);
    let text = artefact::write("slurm", &whole).unwrap()[0].text.clone();
    assert!(text.contains("#SBATCH --exclusive\n#SBATCH --mem=0\n"), "{text}");
}

#[test]
fn groups_of_attention_ranks_are_an_application_of_ray_with_its_own_form() {
    let wide = Server { tp: Some(2), attention_dp: Some(2), ep: Some(4), ..plain("vllm", "0.33.0") };
    let text = artefact::write("ray", &release(vec![Member { server: wide, copies: 1, gpus: 4 }])).unwrap()
        [0]
    .text
    .clone();
    assert!(text.contains("ray.serve.llm:build_dp_openai_app") && text.contains("llm_config:"), "{text}");
    assert!(!text.contains("num_replicas"), "{text}");
}

#[test]
fn the_check_measures_the_load_that_was_planned() {
    let head = |question: &str| {
        let files = emitted(question, "command");
        files["serve.sh"].lines().filter(|l| l.starts_with('#')).collect::<Vec<_>>().join("\n")
    };
    // vllm/benchmarks/datasets.py: the common prefix counts beside the random length.
    let text = head(
        "plan llama-3.1-8b --cluster 1xh100-sxm --isl 4096 --osl 256 --concurrency 16 --prefix-hit 0.75",
    );
    assert!(
        text.contains("--random-prefix-len 3072 --random-input-len 1024 --random-output-len 256"),
        "{text}"
    );
    let text = head(
        "plan llama-3.1-8b --cluster 1xh100-sxm --engine sglang --isl 4096 --osl 256 --concurrency 16 --prefix-hit 0.75",
    );
    assert!(
        text.contains("generated-shared-prefix") && text.contains("--gsp-system-prompt-len 3072"),
        "{text}"
    );
    let text = head("plan llama-3.1-8b --cluster 4xl40s --rate 4 --replicas 4 --tp 1");
    assert!(text.contains("--request-rate 1.0000") && !text.contains("--max-concurrency"), "{text}");
    let text = head("plan llama-3.1-8b --cluster 1xh100-sxm --sessions chat --users 20");
    assert!(text.contains("--num-clients 20") && text.contains("4 turns"), "{text}");
    let text = head("plan llama-3.1-8b --cluster 1xh100-sxm --ttft p95:1s --tpot p95:50ms");
    assert!(text.contains("p95 TTFT at most 1000 ms") && text.contains("predicted: mean TTFT"), "{text}");
    assert!(text.contains("as simulated: p95 TTFT"), "{text}");
}

/// Who states no longest request is given a server that takes as long ones as find room, and whose memory is that of the
/// plan.
#[test]
fn a_server_takes_longer_requests_than_the_load_where_nobody_limits_them() {
    use crate::common::{number, shardfit};
    for (question, least) in [
        ("llama-3.1-8b --cluster 1xh100-sxm --concurrency 16", 131_072.0),
        ("llama-3.1-8b --cluster 1xh100-sxm --concurrency 16 --engine sglang", 131_072.0),
        ("llama-3.1-8b --cluster 1xh100-sxm --concurrency 16 --engine trtllm", 131_072.0),
        ("llama-3.1-8b --cluster 1xrtx-4090 --engine llama.cpp --weights q4_k_m --concurrency 4", 24_000.0),
        ("deepseek-v3.2 --cluster 8xh200-sxm --engine vllm --isl 4k --concurrency 16", 163_840.0),
        ("llama-3.1-8b --cluster 1xh100-sxm --sessions chat --users 20", 131_072.0),
    ] {
        let plan: serde_json::Value =
            serde_json::from_str(&shardfit(&format!("plan {question} --top 1 --json")).stdout).unwrap();
        let plan = &plan["plans"][0];
        let files = emitted(&format!("plan {question}"), "command");
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in &files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let cluster: Vec<&str> = question.split_whitespace().skip_while(|w| *w != "--cluster").collect();
        let run = shardfit(&format!(
            "estimate {} --cluster {} --launch '{}/serve.sh' --concurrency 4 --json",
            question.split_whitespace().next().unwrap(),
            cluster[1],
            folder.path().display()
        ));
        assert_eq!(run.code, 0, "{question}: {}", run.stderr);
        let read: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        assert!(number(&read, "max_model_len") >= least, "{question}: {}", files["serve.sh"]);
        assert!(files["serve.sh"].contains("# longest request: "), "{}", files["serve.sh"]);
        // No more memory is set aside for it: a launch leaves as much as the plan does, and llama.cpp's slots are as long.
        if question.contains("sessions") {
            continue;
        }
        let more = number(&read, "memory.kv_cache_gib") / number(plan, "memory.kv_cache_gib");
        assert!((0.99..1.1).contains(&more), "{question}: {read:#}");
        assert!(number(&read, "tpot_ms") <= number(plan, "tpot_ms") * 1.01, "{question}: {read:#}");
        assert_eq!(read["verdict"], plan["verdict"], "{question}");
    }
    // Without it TensorRT-LLM refuses prompts beyond one step.
    let text = &emitted("plan llama-3.1-8b --cluster 1xh100-sxm --engine trtllm --concurrency 8", "command")
        ["serve.sh"];
    assert!(text.contains("enable_chunked_prefill: true"), "{text}");
    let text = &emitted("plan llama-3.1-8b --cluster 1xh100-sxm --max-model-len 8k", "command")["serve.sh"];
    assert!(text.contains("--max-model-len 8000") || text.contains("--max-model-len 8192"), "{text}");
}

#[test]
fn a_draft_model_has_a_name_or_a_place() {
    let eagle = |question: &str| {
        emitted(&format!("plan {question} --speculate eagle3"), "command")["serve.sh"].clone()
    };
    let text = eagle("llama-3.3-70b --cluster 8xh100-sxm --tpot 20ms");
    assert!(text.contains("\"model\":\"yuhuili/EAGLE3-LLaMA3.3-Instruct-70B\""), "{text}");
    let text = eagle("llama-3.1-405b --weights fp8 --cluster 8xh200-sxm --engine sglang");
    assert!(text.contains("--speculative-draft-model-path /models/"), "{text}");
    assert!(text.contains("# needs: an EAGLE-3 head of "), "{text}");
    let text = eagle("llama-3.3-70b --cluster 8xh100-sxm --engine trtllm");
    assert!(text.contains("speculative_model_dir: yuhuili/EAGLE3-LLaMA3.3-Instruct-70B"), "{text}");
    let check = |text: &str| {
        let found = launch::invocations(text, &|_| None).unwrap();
        let server = launch::speech::read(&found[0], Some(false));
        launch::refused::reasons(&server, None).iter().any(|why| why.contains("drafts"))
    };
    // vllm/config/speculative.py: a method that drafts with a model of its own and none named.
    assert!(check(
        "vllm serve m --speculative-config '{\"method\":\"eagle3\",\"num_speculative_tokens\":3}'"
    ));
    assert!(check("python3 -m sglang.launch_server --model-path m --speculative-algorithm EAGLE3"));
    assert!(!check("vllm serve m --speculative-config '{\"method\":\"mtp\",\"num_speculative_tokens\":1}'"));
}

#[test]
fn a_script_of_an_older_version_is_read_as_it_was_written() {
    use crate::common::{at, shardfit};
    let files =
        emitted("plan llama-3.1-8b --cluster 1xh100-sxm --engine sglang@0.5.5 --concurrency 16", "command");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("serve.sh");
    std::fs::write(&path, &files["serve.sh"]).unwrap();
    assert!(files["serve.sh"].contains("# written for sglang 0.5.5"), "{}", files["serve.sh"]);
    let run =
        shardfit(&format!("estimate --cluster 1xh100-sxm --launch '{}' --json", path.display())).exits(0);
    let read: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(at(&read, "launch.unread"), &serde_json::json!([]), "{read:#}");
}

#[test]
fn weights_that_are_quantised_are_not_quantised_again_while_they_load() {
    // vLLM: "Quantization method specified in the model config (mxfp4) does not match …".
    let run = crate::common::shardfit(
        "plan gpt-oss-120b --cluster 8xh100-sxm --weights fp8 --concurrency 64 --emit command",
    )
    .exits(0);
    assert!(!run.stdout.contains("--quantization"), "{}", run.stdout);
    run.says(&["needs: a checkpoint of openai/gpt-oss-120b in fp8", "/models/gpt-oss-120b-fp8"]);
    let run = crate::common::shardfit(
        "plan llama-3.1-8b --cluster 1xh100-sxm --weights fp8 --concurrency 64 --emit command",
    )
    .exits(0);
    run.says(&["--quantization fp8"]);
}

/// The files of a release as one text.
fn text_of(target: &str, release: &Release) -> String {
    let files = artefact::write(target, release).unwrap_or_else(|e| panic!("{target}: {e:?}"));
    files.into_iter().map(|file| file.text).collect()
}

/// Why a target writes nothing.
fn refusal(target: &str, release: &Release) -> String {
    artefact::write(target, release).expect_err("it is refused").to_string()
}

fn only(server: Server, copies: u32, gpus: u64) -> Release {
    release(vec![Member { server, copies, gpus }])
}

/// ai-dynamo 1.6.1 (PyPI): vLLM 0.31.0, SGLang 0.5.21; `dynamo/vllm/args.py` parses with `AsyncEngineArgs` alone and asks a
/// prefill worker for `--kv-transfer-config`.
#[test]
fn workers_of_dynamo_are_written_for_the_engine_that_their_image_holds() {
    let mut pools = two_pools("vllm", "0.33.0");
    for member in &mut pools.members {
        member.server.required = vec![
            vec!["--enable-auto-tool-choice".into()],
            vec!["--tool-call-parser".into(), "deepseek_v31".into()],
            vec!["--trust-remote-code".into()],
        ];
    }
    let text = text_of("dynamo", &pools);
    assert!(text.contains("vllm-runtime:1.6.1") && text.contains("# written for vllm 0.31.0"), "{text}");
    assert_eq!(text.matches("- --disaggregation-mode").count(), 2, "{text}");
    assert_eq!(text.matches(r#"\"kv_role\":\"kv_both\""#).count(), 2, "{text}");
    assert_eq!(text.matches("- --dyn-tool-call-parser\n").count(), 2, "{text}");
    assert!(text.contains("- deepseek_v3_1") && text.contains("- --trust-remote-code"), "{text}");
    assert!(!text.contains("auto-tool-choice") && !text.contains("is-prefill-worker"), "{text}");
    let found = launch::invocations(&text, &|_| None).unwrap();
    let read: Vec<Server> = found.iter().map(|i| launch::speech::read(i, Some(true))).collect();
    let pools: Vec<_> = read.iter().map(|s| (s.pool, s.replicas, s.unread.len())).collect();
    assert_eq!(pools, [(Some(Pool::Prefill), Some(2), 0), (Some(Pool::Decode), Some(2), 0)], "{text}");
    // 0.5.21 has no --attn-dp-size; 0.5.22 has (their own parsers).
    let wide = Server { tp: Some(1), attention_dp: Some(8), ep: Some(8), ..plain("sglang", "0.5.23") };
    let text = text_of("dynamo", &only(wide, 1, 8));
    assert!(text.contains("--enable-dp-attention") && !text.contains("--attn-dp-size"), "{text}");
    assert!(
        text.contains("sglang-runtime:1.6.1") && text.contains("by whose rules it was planned"),
        "{text}"
    );
    let text = text_of("dynamo", &only(plain("sglang", "0.5.18"), 1, 2));
    assert!(text.contains("sglang-runtime:1.5.0"), "{text}");
    let refused = refusal("dynamo", &only(plain("vllm", "0.11.0"), 1, 2));
    assert!(refused.contains("0.16.0"), "{refused}");
}

/// `pip index versions --pre tensorrt-llm`: 1.4.0rc1 is the newest, and there is no 1.4.0.
#[test]
fn an_image_is_of_a_release_that_there_is() {
    let text = text_of("docker", &only(plain("trtllm", "1.4.0"), 1, 2));
    assert!(text.contains("tensorrt-llm/release:1.4.0rc1"), "{text}");
    assert!(refusal("docker", &only(plain("trtllm", "1.8.0"), 1, 2)).contains("no release"));
    let ascend =
        Release { vendor: "ascend".into(), gpu: "ascend-910b".into(), ..only(plain("vllm", "0.13.0"), 4, 2) };
    let text = text_of("docker", &ascend);
    assert!(text.contains("quay.io/ascend/vllm-ascend:v0.13.0") && text.contains("/dev/davinci7"), "{text}");
    let text = text_of("k8s", &ascend);
    assert!(
        text.contains("huawei.com/Ascend910: '2'") || text.contains("huawei.com/Ascend910: \"2\""),
        "{text}"
    );
    assert!(text.contains("- vllm\n") && text.contains("- serve\n"), "the image starts a shell: {text}");
    let cpu =
        Release { vendor: "cpu".into(), gpu: "epyc".into(), ..only(plain("llama.cpp", "b11434"), 1, 1) };
    let text = text_of("docker", &cpu);
    assert!(text.contains("ghcr.io/ggml-org/llama.cpp:server-b11434") && !text.contains("devices"), "{text}");
    let gaudi =
        Release { vendor: "gaudi".into(), gpu: "gaudi3".into(), ..only(plain("vllm", "0.13.0"), 1, 2) };
    assert!(refusal("docker", &gaudi).contains("for Gaudi accelerators is not known here"));
    assert!(refusal("ray", &ascend).contains("Ascend NPUs"));
}

/// `device_control_env_var` of vLLM's platforms and plug-ins.
#[test]
fn servers_of_a_host_are_told_apart_by_the_variable_of_its_chips() {
    for (vendor, gpu, variable) in [
        ("nvidia", "h100-sxm", "CUDA_VISIBLE_DEVICES=2,3"),
        ("amd", "mi300x", "HIP_VISIBLE_DEVICES=2,3"),
        ("intel", "arc-pro-b60", "ZE_AFFINITY_MASK=2,3"),
        ("ascend", "ascend-910b", "ASCEND_RT_VISIBLE_DEVICES=2,3"),
        ("gaudi", "gaudi3", "HABANA_VISIBLE_MODULES=2,3"),
        ("google", "tpu-v6e", "TPU_VISIBLE_CHIPS=2,3"),
        ("aws", "trainium2", "NEURON_RT_VISIBLE_CORES=8,9,10,11,12,13,14,15"),
    ] {
        let release =
            Release { vendor: vendor.into(), gpu: gpu.into(), ..only(plain("vllm", "0.13.0"), 4, 2) };
        let text = text_of("command", &release);
        assert!(text.contains(variable), "{vendor}: {text}");
        assert_eq!(text.contains("CUDA_"), vendor == "nvidia", "{vendor}: {text}");
    }
}

#[test]
fn adapters_that_are_planned_for_find_room_in_every_engine() {
    for (engine, wanted) in [
        ("vllm", &["--enable-lora", "--max-loras 4", "--max-lora-rank 32"][..]),
        // Without adapters at start SGLang asks for the layers too (server_args.py).
        (
            "sglang",
            &["--enable-lora", "--max-loras-per-batch 4", "--max-lora-rank 32", "--lora-target-modules all"],
        ),
        ("trtllm", &["lora_config:", "max_lora_rank: 32", "max_loras: 4", "- attn_dense"]),
    ] {
        let question = format!(
            "plan llama-3.1-8b --cluster 1xh100-sxm --engine {engine} --lora rank=20,count=4 --concurrency 16"
        );
        let question = question.replace("rank=20", if engine == "vllm" { "rank=20" } else { "rank=32" });
        let text = &emitted(&question, "command")["serve.sh"];
        for word in wanted {
            assert!(text.contains(word), "{engine}: {word}: {text}");
        }
        assert!(text.contains("# adapters: 4 at once"), "{text}");
    }
    let old = Server { adapters: Some(AdapterSlots { count: 1, rank: 8 }), ..plain("sglang", "0.4.6") };
    assert!(refusal("command", &only(old, 1, 2)).contains("0.4.10"));
    // common/arg.cpp: one flag with commas from December 2025 on, before one each.
    let files = |version: &str| {
        let slots = Some(AdapterSlots { count: 2, rank: 8 });
        let one = Server { adapters: slots, tp: Some(1), ..plain("llama.cpp", version) };
        text_of("command", &only(one, 1, 1))
    };
    assert!(
        files("b11434").contains("--lora /models/m-q4_k_m-adapter-1.gguf,/models/m-q4_k_m-adapter-2.gguf")
    );
    assert_eq!(files("b6100").matches("--lora /models").count(), 2);
}

/// vLLM: `kv_offloading_size` is in GiB and of all ranks of an engine (`config/cache.py`); SGLang: 1e9 bytes each rank
/// (`mem_cache/pool_host`); TensorRT-LLM: bytes each rank (`KvCacheConfig`); llama.cpp: MiB of the server.
#[test]
fn what_is_planned_to_leave_the_gpus_cache_has_somewhere_to_go() {
    let tiers = |engine: &str, version: &str| Server {
        host_cache: Some(32 << 30),
        prefix_caching: Some(true).filter(|_| engine != "sglang"),
        ..plain(engine, version)
    };
    for (engine, version, wanted) in [
        ("vllm", "0.33.0", "--kv-offloading-size 64"),
        ("sglang", "0.5.23", "--hicache-size 34"),
        ("trtllm", "1.4.0", "host_cache_size: 34359738368"),
        ("llama.cpp", "b11434", "--cache-ram 65536"),
    ] {
        let text = text_of("command", &only(tiers(engine, version), 1, 2));
        assert!(text.contains(wanted), "{engine}: {text}");
    }
    assert!(refusal("command", &only(tiers("vllm", "0.11.0"), 1, 2)).contains("0.13.0"));
    // vllm/v1/kv_offload/tiering: files below the host's memory.
    let below = Server { disk_cache: Some("/mnt/kv-cache".into()), ..tiers("vllm", "0.33.0") };
    let text = text_of("k8s", &only(below.clone(), 1, 2));
    for word in [
        "TieringOffloadingSpec",
        r#"\"root_dir\":\"/mnt/kv-cache\""#,
        "mountPath: /mnt/kv-cache",
        "hostPath:",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let trt = Server { disk_cache: Some("/mnt/kv-cache".into()), ..tiers("trtllm", "1.4.0") };
    assert!(refusal("command", &only(trt, 1, 2)).contains("nvme"));
    let shared = Server { shared_cache: true, ..tiers("vllm", "0.33.0") };
    assert!(refusal("command", &only(shared, 1, 2)).contains("a store that all servers share"));
    // One node of eight GPUs keeps 1 TiB.
    let question = "plan llama-3.1-70b --cluster 8xh100-sxm --sessions chat --users 40 --kv-tiers cpu=1TiB --tp 8 --replicas 1";
    let text = &emitted(question, "command")["serve.sh"];
    assert!(text.contains("--kv-offloading-size 1024"), "{text}");
    assert!(text.contains("# below the GPUs' cache: cpu 1024.00 GiB of each node"), "{text}");
}

/// KServe on one node takes the tensor degree alone from the spec (`config/llmisvcconfig/config-llm-template.yaml`).
#[test]
fn kserve_is_told_every_degree_and_started_as_its_presets_need() {
    let wide = Server { tp: Some(1), attention_dp: Some(8), ep: Some(8), ..plain("vllm", "0.33.0") };
    let text = text_of("kserve", &only(wide, 1, 8));
    let stated = text.split("VLLM_ADDITIONAL_ARGS").nth(1).unwrap();
    assert!(
        stated.contains("--data-parallel-size 8") && stated.contains("--enable-expert-parallel"),
        "{text}"
    );
    let deep = Server { tp: Some(1), pp: Some(4), ..plain("vllm", "0.33.0") };
    assert!(text_of("kserve", &only(deep, 1, 4)).contains("--pipeline-parallel-size 4"));
    let tall = Server { tp: Some(8), pp: Some(2), ..plain("vllm", "0.33.0") };
    assert!(refusal("kserve", &only(tall, 1, 16)).contains("data parallel"));
    let text = text_of("kserve", &two_pools("vllm", "0.33.0"));
    assert_eq!(text.matches("runAsNonRoot: false").count(), 2, "{text}");
    assert_eq!(text.matches("fieldPath: status.podIP").count(), 2, "{text}");
    assert_eq!(text.matches("serviceAccountName: some-model").count(), 2, "{text}");
    assert_eq!(text.matches("failureThreshold: 360").count(), 2, "{text}");
}

#[test]
fn a_volume_holds_what_is_downloaded_whatever_the_engine_makes_of_it() {
    // 8.03e9 parameters of 16 bits are 15.0 GiB; a tenth more and 10 beside them.
    let files = emitted(
        "plan llama-3.1-8b --cluster 1xh100-sxm --weights fp8 --concurrency 16",
        "llm-d,skypilot,ray",
    );
    let text = &files["llm-d-values.yaml"];
    assert!(text.contains("--quantization") && text.contains("size: 27Gi"), "{text}");
    assert!(text.contains("authSecretName: hf-token") && text.contains("mountPath: /dev/shm"), "{text}");
    assert!(files["sky.yaml"].contains("secrets:") && files["sky.yaml"].contains("HF_TOKEN"), "{files:?}");
    let text = &files["ray-serve.yaml"];
    assert!(text.contains("accelerator_type: H100") && text.contains("ray[serve,llm]"), "{text}");
}

/// llama.cpp's `.devops/cuda.Dockerfile`: the program lies in /app and nowhere on the path.
#[test]
fn a_task_names_the_program_where_the_image_has_it() {
    let text = text_of("skypilot", &only(plain("llama.cpp", "b11434"), 1, 2));
    assert!(text.contains("/app/llama-server"), "{text}");
}

#[test]
fn side_channels_of_servers_over_nodes_have_the_address_of_each_node() {
    let wide = Server { tp: Some(1), attention_dp: Some(16), ep: Some(16), ..plain("vllm", "0.33.0") };
    let pool = |pool| Member { server: Server { pool: Some(pool), ..wide.clone() }, copies: 1, gpus: 16 };
    let files = artefact::write("slurm", &release(vec![pool(Pool::Prefill), pool(Pool::Decode)])).unwrap();
    let text = &files.iter().find(|f| f.name == "decode.sbatch").unwrap().text;
    for rank in 0..2 {
        let address = format!("ADDRESS_{rank}=$(srun --nodes=1 --ntasks=1 --relative={rank} hostname -i");
        let used = format!("env VLLM_NIXL_SIDE_CHANNEL_HOST=\"$ADDRESS_{rank}\" vllm serve");
        assert!(text.contains(&address) && text.contains(&used), "{text}");
    }
    assert!(!text.contains("export VLLM_NIXL_SIDE_CHANNEL_HOST"), "{text}");
}

/// Ray 2.52 to 2.54: "dp_size_per_node must be set in experimental_configs" (`serving_patterns/data_parallel/builder.py`).
#[test]
fn ray_is_told_how_many_ranks_a_node_has() {
    let wide = Server { tp: Some(1), attention_dp: Some(16), ep: Some(16), ..plain("vllm", "0.33.0") };
    let text = text_of("ray", &only(wide, 1, 16));
    assert!(text.contains("dp_size_per_node: 8") && text.contains("Ray 2.52 or newer"), "{text}");
}

/// vLLM starts it so by itself (`get_pooling_config`); its publisher's page says what it was made for.
#[test]
fn a_model_that_is_published_to_embed_is_served_so() {
    use crate::common::shardfit;
    let question = "plan qwen3-embedding-8b --cluster 1xl40s --isl 512 --concurrency 64";
    let text = &emitted(&format!("{question} --engine sglang"), "command")["serve.sh"];
    assert!(text.contains("--is-embedding") && text.contains("question: embed"), "{text}");
    let text = &emitted(&format!("{question} --engine sglang --task generate"), "command")["serve.sh"];
    assert!(!text.contains("--is-embedding"), "{text}");
    let run = shardfit(&format!("{question} --engine trtllm --emit command")).exits(2);
    assert!(run.stderr.contains("no server of the task embed"), "{}", run.stderr);
    // tools/server: "input is too large to process. increase the physical batch size".
    let text = &emitted(
        "estimate qwen3-embedding-8b --gpu l40s --engine llama.cpp --weights q8_0 --isl 700 --concurrency 4",
        "command",
    )["serve.sh"];
    let step: u64 = after(text, "--ubatch-size")[0].parse().unwrap();
    let head = text.lines().find(|l| l.starts_with("# longest request: ")).unwrap();
    let longest: u64 = head.split_whitespace().nth(3).unwrap().parse().unwrap();
    assert!((700..=step).contains(&longest), "{text}");
}

#[test]
fn a_server_without_graphs_is_written_without_them_and_read_back_so() {
    // TensorRT-LLM's `cuda_graph_config: null`; SGLang deprecates `--disable-cuda-graph` for a backend of each phase from 0.5.14,
    // and its sizes of graphs say nothing beside either.
    for (engine, word) in [
        ("vllm", "--enforce-eager"),
        ("sglang@0.5.10", "--disable-cuda-graph"),
        ("sglang", "--cuda-graph-backend-decode disabled"),
        ("trtllm", "cuda_graph_config: null"),
    ] {
        let question = format!(
            "estimate qwen3-32b --gpu h100-sxm --engine {engine} --tp 2 --concurrency 8 --enforce-eager"
        );
        let text = emitted(&question, "command").into_values().next().unwrap();
        assert_eq!(text.matches(word).count(), 1, "{text}");
        assert!(!text.contains("--cuda-graph-max-bs") && !text.contains("max_batch_size: 8"), "{text}");
        let found = launch::invocations(&text, &|_| None).unwrap();
        assert_eq!(launch::speech::read(&found[0], None).eager, Some(true), "{engine}");
    }
}

#[test]
fn a_checkpoint_in_another_format_is_read_back_as_that_of_its_model() {
    use crate::common::{number, shardfit};
    // Gemma 3 is stored in 16 bits: vLLM and SGLang make FP8 of it while they load, TensorRT-LLM takes a checkpoint;
    // nobody makes NVFP4 of DeepSeek-R1's blocks of FP8.
    for (engine, model, format) in [
        ("vllm", "google/gemma-3-27b-it", "fp8"),
        ("sglang", "google/gemma-3-27b-it", "fp8"),
        ("trtllm", "google/gemma-3-27b-it", "fp8"),
        ("vllm", "deepseek-ai/DeepSeek-R1", "nvfp4"),
        ("trtllm", "deepseek-ai/DeepSeek-R1", "nvfp4"),
    ] {
        let question = format!(
            "estimate {model} --gpu b200-sxm --engine {engine} --tp 8 --weights {format} --concurrency 64"
        );
        let asked = shardfit(&format!("{question} --json")).exits(0).json();
        for target in ["command", "docker", "k8s"] {
            let folder = tempfile::tempdir().unwrap();
            let place = folder.path().display();
            shardfit(&format!("{question} --emit {target} -o '{place}'")).exits(0);
            let file = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
            let read =
                format!("estimate --launch '{}' --gpu b200-sxm --concurrency 64 --json", file.display());
            let read = shardfit(&read).exits(0).json();
            assert_eq!((&read["model"], &read["weights"]), (&asked["model"], &asked["weights"]), "{read:#}");
            assert_eq!(number(&read, "memory.weights_gib"), number(&asked, "memory.weights_gib"));
            assert_eq!(number(&read, "tpot_ms"), number(&asked, "tpot_ms"), "{engine} {target}");
        }
    }
}
