//! Launches as people paste them: every spelling that an engine's parser takes, variables that the text itself sets,
//! texts around the command.

use shardfit::launch::{self, Pool, Server};

/// The only server of a text.
fn only(text: &str) -> Server {
    let found = launch::invocations(text, &|_| None).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(found.len(), 1, "{text}: {found:?}");
    launch::speech::read(&found[0], Some(false))
}

#[test]
fn short_flags_take_their_value_after_an_equals_sign() {
    // `argparse._parse_optional` splits any option at its first `=`.
    let s = only("vllm serve m -tp=4 -pp=2 -dp=8");
    assert_eq!((s.tp, s.pp, s.replicas, s.gpus), (Some(4), Some(2), Some(8), Some(64)));
    assert!(s.unread.is_empty(), "{:?}", s.unread);
}

#[test]
fn levels_of_optimisation_stand_behind_a_capital_o() {
    // `FlexibleArgumentParser.parse_args` (vllm/utils): `-O3`, `-O=3` and `-O.level=3` are one.
    for line in ["vllm serve m -O3 -tp 2", "vllm serve m -O=3 -tp 2"] {
        let s = only(line);
        assert!(s.unread.is_empty() && s.tp == Some(2), "{line}: {:?}", s.unread);
    }
    let s = only("docker run vllm/vllm-openai:v0.11.0 --model m -O.level=3 -O3 -tp 2");
    assert!(s.unread.is_empty() && s.elsewhere.is_empty() && s.tp == Some(2), "{:?}", s.unread);
}

#[test]
fn graphs_of_sglang_are_off_by_any_of_its_words_and_the_object_counts_first() {
    // `parse_cuda_graph_config` (sglang/srt/arg_groups/cuda_graph_hook.py, 0.5.23).
    let graphs = |flags: &str| {
        let s = only(&format!("python3 -m sglang.launch_server --model-path m --tp-size 2 {flags}"));
        (s.eager, s.largest_graph)
    };
    assert_eq!(graphs("--disable-cuda-graph"), (Some(true), None));
    assert_eq!(graphs("--disable-decode-cuda-graph"), (Some(true), None));
    assert_eq!(graphs("--cuda-graph-backend-decode disabled"), (Some(true), None));
    assert_eq!(graphs("--cuda-graph-backend-prefill disabled"), (None, None));
    assert_eq!(graphs("--disable-decode-cuda-graph --cuda-graph-backend-decode full"), (Some(false), None));
    let object = r#"--cuda-graph-config '{"decode": {"backend": "disabled", "max_bs": 64}}'"#;
    assert_eq!(graphs(object), (Some(true), Some(64)));
    assert_eq!(graphs(&format!("{object} --cuda-graph-max-bs-decode 32")), (Some(true), Some(64)));
}

#[test]
fn variables_have_the_value_that_the_text_gives_them() {
    let s = only("vllm serve m -tp ${TP:-2} --max-model-len $((32*1024)) --max-num-seqs $(( (2 + 6) * 8 ))");
    assert_eq!((s.tp, s.max_model_len, s.max_sequences), (Some(2), Some(32_768), Some(64)));
    // Whoever reads it is told what was assumed.
    assert_eq!(s.unread.len(), 1, "{:?}", s.unread);
    assert_eq!(s.unread[0].why, "read as 2, what the text has where nothing sets TP");
    let s = only("TP=4\nPP=2\nvllm serve m -tp ${TP:-2} --max-num-seqs $((TP * PP))");
    assert_eq!((s.tp, s.max_sequences, s.unread.len()), (Some(4), Some(8), 0));
    let s = only("vllm serve m -tp $((GPUS / 2))");
    assert_eq!((s.tp, s.unread.len()), (None, 1), "{:?}", s.unread);
}

#[test]
fn a_default_that_is_assigned_holds_for_what_follows() {
    let s = only(": ${TP:=4}\nvllm serve m --tensor-parallel-size ${TP} --max-model-len ${LEN:=16384}");
    assert_eq!((s.tp, s.max_model_len), (Some(4), Some(16_384)));
}

#[test]
fn the_command_of_a_second_node_alone_stands_for_its_server() {
    let second = "vllm serve m --tensor-parallel-size 8 --pipeline-parallel-size 2 --nnodes 2 --node-rank 1 --headless";
    let s = only(second);
    assert_eq!((s.tp, s.pp), (Some(8), Some(2)));
    // Beside the first node's it is not a server of its own.
    assert_eq!(
        only(&format!("{}\n{second}", second.replace("--node-rank 1 --headless", "--node-rank 0"))).gpus,
        s.gpus
    );
}

#[test]
fn adapters_take_the_slots_that_the_launch_asks_for() {
    // `create_lora_weights` (vllm/lora/layers): 8 slots of rank 64, 81,920 rows and columns a layer, 32 layers, 2 bytes.
    let asked = |more: &str| {
        let line = format!("vllm serve meta-llama/Llama-3.1-8B-Instruct --max-model-len 8192 {more}");
        judged_text(&line, "").1["memory"]["weights_gib"].as_f64().unwrap()
    };
    let slots = asked("--enable-lora --max-loras 8 --max-lora-rank 64") - asked("");
    assert!((slots - 2.5).abs() < 1e-3, "{slots}");
}

#[test]
fn a_changed_configuration_changes_the_longest_request_or_is_said_not_to_be_counted() {
    let yarn = r#"{"rope_type":"yarn","factor":4.0,"original_max_position_embeddings":32768}"#;
    for changes in [
        r#"--hf-overrides '{"max_position_embeddings":131072}'"#.to_owned(),
        format!("--rope-scaling '{yarn}'"),
        format!(r#"--hf-overrides '{{"rope_scaling":{yarn},"max_position_embeddings":131072}}'"#),
    ] {
        let s = only(&format!("vllm serve Qwen/Qwen3-8B {changes}"));
        assert_eq!((s.max_model_len, s.unread.len()), (Some(131_072), 0), "{changes}");
    }
    let s = only(r#"vllm serve deepseek-ai/DeepSeek-V3 --hf-overrides '{"num_hidden_layers":8}'"#);
    assert!(s.unread[0].why.contains("counted as published"), "{:?}", s.unread);
}

#[test]
fn a_container_reads_the_variables_of_its_own_environment() {
    let container = |command: &str| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nspec:\n  replicas: 3\n  template:\n    spec:\n      containers:\n      \
             - image: vllm/vllm-openai:v0.11.0\n        {command}\n        env:\n        - {{name: TP, value: \"2\"}}\n        \
             - {{name: LEN, value: \"16384\"}}\n"
        )
    };
    for command in [
        r#"args: ["--model", "m", "--tensor-parallel-size", "$(TP)", "--max-model-len=$(LEN)"]"#,
        r#"command: ["/bin/sh", "-c", "exec vllm serve m -tp $TP --max-model-len ${LEN}"]"#,
    ] {
        let s = only(&container(command));
        assert_eq!((s.tp, s.max_model_len, s.replicas, s.gpus), (Some(2), Some(16_384), Some(3), Some(6)));
        assert!(s.unread.is_empty(), "{:?}", s.unread);
    }
    let s = only("docker run -e TP=4 vllm/vllm-openai:v0.11.0 sh -c 'vllm serve m -tp $TP'");
    assert_eq!(s.tp, Some(4));
}

#[test]
fn compose_takes_what_stands_behind_a_dash_where_nothing_is_set() {
    // docs.docker.com/reference/compose-file/interpolation: `${VARIABLE:-default}`.
    let s = only(
        "services:\n  v:\n    image: vllm/vllm-openai:${TAG:-v0.11.0}\n    \
         command: --model m --tensor-parallel-size ${TP:-2}\n    deploy:\n      replicas: ${N:-3}\n",
    );
    assert_eq!((s.version.as_deref(), s.tp, s.replicas), (Some("0.11.0"), Some(2), Some(3)));
    assert_eq!(s.unread.len(), 3, "{:?}", s.unread);
}

#[test]
fn a_command_is_found_in_what_people_paste_around_it() {
    for text in [
        "Start it:\n\n```bash\nvllm serve org/m \\\n  -tp 2\n```\n\nIt's up when it says so.",
        "tmux new -d -s llm \"vllm serve org/m -tp 2\"",
        "tmux send-keys -t llm 'vllm serve org/m -tp 2' C-m",
        "ssh gpu1 \"cd /srv && nohup vllm serve org/m -tp 2 > log 2>&1 &\"",
        "nohup vllm serve org/m -tp 2 > log 2>&1 &",
    ] {
        let s = only(text);
        assert_eq!((s.model.as_deref(), s.tp), (Some("org/m"), Some(2)), "{text}");
    }
    assert!(launch::invocations("echo \"vllm serve org/m -tp 2\"", &|_| None).is_err(), "it is only said");
}

#[test]
fn a_ray_service_holds_its_servers_in_a_text() {
    // docs.ray.io, RayService: `serveConfigV2` is a text of YAML.
    let s = only(
        "apiVersion: ray.io/v1\nkind: RayService\nspec:\n  serveConfigV2: |\n    applications:\n    - name: llm\n      \
         import_path: ray.serve.llm:build_openai_app\n      args:\n        llm_configs:\n        \
         - model_loading_config: {model_source: org/m}\n          engine_kwargs: {tensor_parallel_size: 2}\n          \
         deployment_config: {autoscaling_config: {min_replicas: 3}}\n  rayClusterConfig:\n    workerGroupSpecs:\n    \
         - {replicas: 1, template: {spec: {containers: [{image: \"rayproject/ray-llm:2.46.0\"}]}}}\n",
    );
    assert_eq!((s.model.as_deref(), s.tp, s.replicas), (Some("org/m"), Some(2), Some(3)));
}

#[test]
fn kserves_runtime_of_hugging_face_models_takes_vllms_flags_beside_its_own() {
    // kserve/python/huggingfaceserver/huggingfaceserver/__main__.py.
    let s = only(
        "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nspec:\n  predictor:\n    minReplicas: 2\n    \
         model:\n      modelFormat: {name: huggingface}\n      args: [\"--model_name=q\", \"--model_id=org/m\", \
         \"--tensor-parallel-size=2\", \"--max-model-len=8192\"]\n",
    );
    assert_eq!(
        (s.engine.as_str(), s.model.as_deref(), s.tp, s.max_model_len, s.replicas),
        ("vllm", Some("org/m"), Some(2), Some(8192), Some(2))
    );
    assert!(s.unread.is_empty(), "{:?}", s.unread);
}

#[test]
fn dynamos_workers_have_flags_of_their_own() {
    // ai-dynamo/dynamo, components/src/dynamo/vllm/args.py and trtllm/backend_args.py.
    let s = only("python3 -m dynamo.vllm --model org/m --connector nixl --is-decode-worker -tp 2");
    assert_eq!((s.tp, s.pool, s.unread.len()), (Some(2), Some(Pool::Decode), 0), "{:?}", s.unread);
    let s = only(
        "python3 -m dynamo.trtllm --model-path org/m --tensor-parallel-size 2 --max-batch-size 64 \
         --disaggregation-mode prefill --free-gpu-memory-fraction 0.8",
    );
    assert_eq!(
        (s.model.as_deref(), s.tp, s.max_sequences, s.memory_fraction, s.pool),
        (Some("org/m"), Some(2), Some(64), Some(0.8), Some(Pool::Prefill))
    );
    assert!(s.unread.is_empty(), "{:?}", s.unread);
}

#[test]
fn the_version_that_is_asked_for_says_what_flags_mean() {
    use crate::common::{at, shardfit};
    // `--cuda-graph-max-bs` is ambiguous to SGLang 0.5.23 and whole in 0.5.5.
    let line =
        "python3 -m sglang.launch_server --model-path Qwen/Qwen3-8B --tp-size 2 --cuda-graph-max-bs 64";
    let unread = |question: &str| {
        let run = shardfit(&format!("estimate --gpu h100-sxm {question} --json"));
        let read: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        at(&read, "launch.unread").as_array().unwrap().len()
    };
    assert_eq!(unread(&format!("--engine sglang@0.5.5 --launch '{line}'")), 0);
    assert_eq!(unread(&format!("--engine sglang@0.5.23 --launch '{line}'")), 1);
    // So does the head of a file that was written here.
    let head = "# shardfit 0.1.0: Qwen/Qwen3-8B on 2xh100-sxm\n# written for sglang 0.5.5\n";
    let found = launch::invocations(&format!("{head}{line}\n"), &|_| None).unwrap();
    assert_eq!(found[0].version.as_deref(), Some("0.5.5"));
    assert!(launch::speech::read(&found[0], None).unread.is_empty());
}

/// What `estimate --launch` says: its exit code and its answer.
fn judged(question: &str) -> (i32, serde_json::Value) {
    let run = crate::common::shardfit(&format!("estimate --gpu h100-sxm {question} --json"));
    let read = serde_json::from_str(&run.stdout).unwrap_or_else(|_| panic!("{question}: {}", run.stderr));
    (run.code, read)
}

/// The key and the sentence of the first reason of an answer that refuses.
fn refused(question: &str) -> (String, String) {
    let (code, read) = judged(question);
    assert_eq!((code, &read["feasible"]), (1, &false.into()), "{question}: {read:#}");
    let text = |field: &str| read["reasons"][0][field].as_str().unwrap_or_default().to_owned();
    (text("reason"), text("message"))
}

#[test]
fn what_an_engine_refuses_at_start_is_not_feasible() {
    for (line, key, says) in [
        // vllm/config/model.py, `_get_and_verify_max_len`; the model's context is 40,960.
        ("vllm serve Qwen/Qwen3-8B --max-model-len 131072", "launch_refused", "context of 40960 tokens"),
        // sglang/srt/configs/model_config.py, from 0.5.1 on.
        (
            "python3 -m sglang.launch_server --model-path Qwen/Qwen3-8B --context-length 131072",
            "launch_refused",
            "context of 40960 tokens",
        ),
        ("vllm serve Qwen/Qwen3-8B -tp 3", "tp_does_not_divide_attention_heads", "32 attention heads"),
        ("vllm serve Qwen/Qwen3-8B --gpu-memory-utilization 95", "launch_refused", "from 0 to 1"),
        ("vllm serve Qwen/Qwen3-8B --tensor-parallel-size=two", "launch_refused", "a whole number"),
        ("vllm serve Qwen/Qwen3-8B --max-modellen 4096", "launch_refused", "did you mean --max-model-len"),
        // vllm/model_executor/model_loader/weight_utils.py: "Cannot find the config file for awq".
        ("vllm serve Qwen/Qwen3-8B --quantization awq", "launch_refused", "stored in bf16"),
        // `vllm serve --help` of both versions: gone by 0.19.
        (
            "docker run vllm/vllm-openai:v0.33.0 --model Qwen/Qwen3-8B --swap-space 16",
            "launch_refused",
            "a flag of 0.8.5 to 0.16.0",
        ),
    ] {
        let (reason, message) = refused(&format!("--launch '{line}'"));
        assert_eq!(reason, key, "{line}: {message}");
        assert!(message.contains(says), "{line}: {message}");
    }
}

#[test]
fn a_launch_that_is_refused_is_not_simulated() {
    let run = crate::common::shardfit(
        "simulate --gpu h100-sxm --launch 'vllm serve Qwen/Qwen3-8B --gpu-memory-utilization 95'",
    );
    assert_eq!(run.code, 2, "{}", run.stdout);
    assert!(run.stderr.contains("the engine refuses this launch"), "{}", run.stderr);
}

#[test]
fn what_an_engine_takes_is_not_refused() {
    for line in [
        "VLLM_ALLOW_LONG_MAX_MODEL_LEN=1 vllm serve Qwen/Qwen3-8B --max-model-len 65536",
        // As it stands on the model's card: the launch changes the configuration.
        "vllm serve Qwen/Qwen3-8B --rope-scaling.rope_type yarn --rope-scaling.factor 4.0 --max-model-len 131072",
        "docker run lmsysorg/sglang:v0.4.6 python3 -m sglang.launch_server --model-path Qwen/Qwen3-8B --context-length 65536",
        "vllm serve Qwen/Qwen3-8B-AWQ --quantization awq",
        "vllm serve Qwen/Qwen3-8B --quantization fp8",
        // A flag of older versions, and no version is stated; one between two that are described.
        "vllm serve Qwen/Qwen3-8B --swap-space 16",
        "docker run vllm/vllm-openai:v0.10.2 --model Qwen/Qwen3-8B --runner generate",
        "vllm serve Qwen/Qwen3-8B --max-model-len -1",
    ] {
        let question = format!("--launch '{line}'");
        let (code, read) = judged(&question);
        assert_eq!((code, &read["feasible"]), (0, &true.into()), "{question}: {:#}", read["reasons"]);
    }
}

#[test]
fn a_degree_in_a_variable_is_not_judged_until_it_is_said() {
    let (code, read) = judged("--launch 'vllm serve Qwen/Qwen3-8B -tp $TP'");
    assert_eq!(
        (code, &read["feasible"], &read["tp"]),
        (0, &serde_json::Value::Null, &serde_json::Value::Null)
    );
    assert!(read["notes"][0].as_str().unwrap().contains("leaves"), "{:#}", read["notes"]);
    let (code, read) = judged("--tp 2 --launch 'vllm serve Qwen/Qwen3-8B -tp $TP'");
    assert_eq!((code, &read["feasible"]), (0, &true.into()), "{:#}", read["reasons"]);
}

const LLAMA: &str = "vllm serve meta-llama/Llama-3.1-8B-Instruct --speculative-config";

fn judged_drafting(config: &str, more: &str) -> (i32, serde_json::Value) {
    judged_text(&format!("{LLAMA} '{config}'\n"), &format!("--concurrency 8 {more}"))
}

/// What `estimate` says of a script with quotes of its own: it stands in a file.
fn judged_text(text: &str, more: &str) -> (i32, serde_json::Value) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("serve.sh");
    std::fs::write(&file, text).unwrap();
    judged(&format!("{more} --launch {}", file.display()))
}

#[test]
fn what_a_launch_drafts_is_in_its_times_and_in_its_memory() {
    let (_, plain) = judged("--concurrency 8 --launch 'vllm serve meta-llama/Llama-3.1-8B-Instruct'");
    // A head that is not at hand is said, and a usual one is counted.
    let (code, eagle) = judged_drafting(
        r#"{"method":"eagle3","model":"org/a-head-that-is-not-at-hand","num_speculative_tokens":3}"#,
        "--offline",
    );
    assert_eq!((code, &eagle["draft_tokens"]), (0, &3.into()), "{:#}", eagle["reasons"]);
    let number = |of: &serde_json::Value, at: &str| of.pointer(at).unwrap().as_f64().unwrap();
    assert!(number(&eagle, "/tpot_ms") < 0.75 * number(&plain, "/tpot_ms"));
    assert!(number(&eagle, "/memory/weights_gib") > number(&plain, "/memory/weights_gib") + 0.2);
    assert!(eagle["launch"]["unread"][0]["why"].as_str().unwrap().contains("not at hand"));
    // How often lookups are accepted is the text's own: said, and counted where it is given.
    let ngram = r#"{"method":"ngram","num_speculative_tokens":4}"#;
    let (_, unsaid) = judged_drafting(ngram, "");
    assert_eq!(number(&unsaid, "/tpot_ms"), number(&plain, "/tpot_ms"));
    assert!(unsaid["launch"]["unread"][0]["why"].as_str().unwrap().contains("--acceptance"));
    let (_, given) = judged_drafting(ngram, "--acceptance 0.6");
    assert!(number(&given, "/tpot_ms") < number(&plain, "/tpot_ms"), "{:#}", given["launch"]);
    // A model that is known drafts with its own weights: 0.6 B in 16 bits.
    let (_, draft) = judged_drafting(
        r#"{"model":"meta-llama/Llama-3.2-1B-Instruct","num_speculative_tokens":4}"#,
        "--acceptance 0.6",
    );
    assert!(number(&draft, "/memory/weights_gib") > number(&plain, "/memory/weights_gib") + 2.0);
}

#[test]
fn drafts_that_nothing_makes_are_refused() {
    for (config, says) in [
        // vllm/config/speculative.py: "num_speculative_tokens was provided but without speculative model."
        (r#"{"method":"eagle3","num_speculative_tokens":3}"#, "without a model that drafts"),
        (r#"{"method":"mtp","num_speculative_tokens":1}"#, "no multi-token-prediction layers"),
    ] {
        let (code, read) = judged_drafting(config, "");
        assert_eq!((code, &read["feasible"]), (1, &false.into()), "{config}");
        let message = read["reasons"][0]["message"].as_str().unwrap();
        assert!(message.contains(says), "{config}: {message}");
    }
}

#[test]
fn a_release_older_than_the_models_class_refuses_it() {
    use crate::common::shardfit;
    // vllm/model_executor/models/registry.py: GptOssForCausalLM from 0.10.1 on.
    let (reason, message) =
        refused("--launch 'docker run vllm/vllm-openai:v0.8.5 --model openai/gpt-oss-120b -tp 2'");
    assert_eq!(reason, "launch_refused");
    assert!(message.contains("0.10.1"), "{message}");
    for command in ["plan", "estimate"] {
        let place = if command == "plan" { "--cluster 8xh100-sxm" } else { "--gpu h100-sxm --tp 2" };
        let run = shardfit(&format!("{command} openai/gpt-oss-120b {place} --engine vllm@0.8.5"));
        assert_eq!(run.code, 2, "{}", run.stdout);
        assert!(run.stderr.contains("does not know GptOssForCausalLM: 0.10.1 does"), "{}", run.stderr);
    }
    let (code, _) =
        judged("--launch 'docker run vllm/vllm-openai:v0.10.1 --model openai/gpt-oss-120b -tp 2'");
    assert_eq!(code, 0);
}

#[test]
fn variables_that_hold_each_other_do_not_grow_without_bound() {
    // 10 · 4⁴⁰ bytes, were they written out.
    let text = format!("A=xxxxxxxxxx\n{}vllm serve m -tp 2 --revision $A", "A=$A$A$A$A\n".repeat(40));
    let s = only(&text);
    assert_eq!(s.tp, Some(2));
    // A line of a million flags is cut, and said.
    let s = only(&format!("vllm serve m {}", "--nope ".repeat(100_000)));
    assert!(s.unread.iter().any(|note| note.why.contains("are not read")));
    assert!(
        launch::invocations(&"vllm serve m ".repeat(100_000), &|_| None).is_err(),
        "longer than a launch"
    );
}

#[test]
fn an_image_of_dynamo_carries_dynamos_version() {
    let s = only(
        "docker run nvcr.io/nvidia/ai-dynamo/vllm-runtime:1.5.0 python3 -m dynamo.vllm --model org/m -tp 2",
    );
    assert_eq!((s.version, s.tp), (None, Some(2)));
}

#[test]
fn formats_that_engines_make_while_they_load_are_in_the_weights() {
    let weights = |flags: &str| {
        let (_, read) = judged(&format!("--concurrency 8 --launch 'vllm serve Qwen/Qwen3-8B {flags}'"));
        read.pointer("/memory/weights_gib").unwrap_or_else(|| panic!("{read:#}")).as_f64().unwrap()
    };
    let stored = weights("");
    // NF4: 4 bits and a 32-bit scale for 64 weights; embedding and head stay in 16 bits.
    let four = weights("--quantization bitsandbytes");
    assert!((0.3..0.45).contains(&(four / stored)), "{four} of {stored}");
    let wide = weights("--dtype float32");
    assert!((1.9..2.05).contains(&(wide / stored)), "{wide} of {stored}");
    // `int4wo`: sglang/srt/layers/torchao_utils.py.
    let s = only(
        "docker run lmsysorg/sglang:v0.5.5 python3 -m sglang.launch_server --model-path m --torchao-config int4wo-128",
    );
    assert_eq!(s.weights.as_deref(), Some("int4"));
}

#[test]
fn what_caps_a_cache_or_divides_attention_otherwise_is_said() {
    for (line, flag) in [
        ("vllm serve m --num-gpu-blocks-override 1000", "--num-gpu-blocks-override 1000"),
        (
            "python3 -m sglang.launch_server --model-path m --max-total-tokens 65536",
            "--max-total-tokens 65536",
        ),
        ("python3 -m sglang.launch_server --model-path m --tp 8 --attn-cp-size 2", "--attn-cp-size 2"),
    ] {
        let s = only(line);
        assert!(s.unread.iter().any(|note| note.text == flag && !note.refused), "{line}: {:?}", s.unread);
    }
}

#[test]
fn a_launch_that_pools_is_estimated_as_one_that_embeds() {
    for line in [
        "vllm serve Qwen/Qwen3-8B --runner pooling",
        "python3 -m sglang.launch_server --model-path Qwen/Qwen3-8B --is-embedding",
    ] {
        let (_, read) = judged(&format!("--launch '{line}'"));
        assert_eq!(read.pointer("/workload/task"), Some(&"embed".into()), "{line}");
    }
}

#[test]
fn experts_that_patterns_leave_with_the_host_are_counted() {
    let (_, read) = judged_text(
        "llama-server -m Qwen3-30B-A3B-Q4_K_M.gguf -c 8192 -np 1 -ot \"blk\\.(1[0-9]|2[0-9])\\.ffn_.*_exps.=CPU\"\n",
        "Qwen/Qwen3-30B-A3B --host memory=256GiB,bandwidth=200GB/s",
    );
    assert!(
        read["launch"]["unread"]
            .as_array()
            .unwrap()
            .iter()
            .any(|n| n["why"].as_str().unwrap().contains("20 layers")),
        "{:#}",
        read["launch"]["unread"]
    );
    let s = only("llama-server -m m.gguf -cmoe");
    assert_eq!(serde_json::to_value(&s).unwrap()["cpu_moe_layers"], serde_json::Value::Null);
}

#[test]
fn better_is_on_the_gpus_of_the_launch_alone() {
    let line = "vllm serve meta-llama/Llama-3.1-8B-Instruct -tp 2 --max-num-seqs 64";
    let run = crate::common::shardfit(&format!(
        "estimate --cluster 8xh100-sxm --concurrency 32 --launch '{line}' --json"
    ));
    let read: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    if let Some(better) = read["better"].as_object() {
        // One server of two GPUs or two of one.
        assert!(better["servers"].as_u64().unwrap() <= 2, "{better:#?}");
        let changes = better["changes"].as_array().unwrap();
        assert!(!changes.iter().any(|change| change["what"] == "sequences"), "{better:#?}");
    }
}

#[test]
fn vllm_on_accelerators_of_others_is_the_plug_in_for_them() {
    for gpu in ["ascend-910b2", "gaudi3", "tpu-v6e"] {
        let question = format!(
            "estimate --gpu {gpu} --launch 'vllm serve Qwen/Qwen3-8B -tp 2 --max-model-len 8192' --json"
        );
        let run = crate::common::shardfit(&question);
        let read: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!(read["feasible"], true, "{gpu}: {:#}", read["reasons"]);
        assert!(read["engine"].as_str().unwrap().starts_with("vllm-"), "{gpu}: {}", read["engine"]);
    }
}

#[test]
fn a_launch_with_a_degree_that_a_branch_decides_is_not_judged_until_it_is_said() {
    let text = "A=(--tp 8); if [ \"$DPA\" = 1 ]; then A+=(--dp 8 --enable-dp-attention); fi\n\
                python3 -m sglang.launch_server --model-path Qwen/Qwen3-30B-A3B \"${A[@]}\"\n";
    let (code, read) = judged_text(text, "");
    assert_eq!(
        (code, &read["feasible"], &read["tp"]),
        (0, &serde_json::Value::Null, &serde_json::Value::Null)
    );
    let (code, read) = judged_text(text, "--tp 8 --attention-dp 1 --ep 1 --concurrency 8");
    assert_eq!((code, &read["feasible"]), (0, &true.into()), "{:#}", read["notes"]);
}

#[test]
fn a_launch_without_room_is_judged_though_a_better_one_has_other_limits() {
    // Chunks of 16,384 tokens leave no room on GPUs of 80 GB; the plan that would be better takes smaller ones.
    let launch = "sglang serve --model-path Qwen/Qwen3-235B-A22B --tp 8 --dp 4 --enable-dp-attention --chunked-prefill-size 16384";
    let run = crate::common::shardfit(&format!("estimate --gpu h100-sxm --launch '{launch}' --json"));
    let answer: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(answer["verdict"], "does_not_fit", "{}", run.stderr);
    assert!(!run.stdout.contains("does not belong"), "{}", run.stdout);
}

#[test]
fn flash_attention_of_llama_cpp_takes_a_word() {
    // common/arg.cpp, b11434: "unknown value for --flash-attn"; `is_truthy` and `is_falsey` of the same file.
    let refused = |flags: &str| {
        let s = only(&format!("llama-server -m m.gguf -c 4096 -np 1 {flags}"));
        s.unread.iter().any(|note| note.refused)
    };
    for taken in
        ["-fa on", "-fa off", "-fa auto", "-fa 1", "--flash-attn enabled", "-fa -1", "-fa on -ctv q8_0"]
    {
        assert!(!refused(taken), "{taken}");
    }
    assert!(refused("-fa maybe") && refused("--split-mode rows"));
    // llama-context.cpp: "V cache quantization requires flash_attn".
    assert!(refused("-fa off -ctv q8_0") && refused("-fa 0 -ctk q8_0 -ctv q4_0"));
    assert!(!refused("-fa off -ctk q8_0") && !refused("-ctv q8_0"));
    // Without a word it is of older builds, and that is what is said.
    let bare = only("llama-server -m m.gguf -fa -np 1");
    assert!(bare.notes.iter().any(|note| note.contains("without a value is of b6100")), "{:?}", bare.notes);
    assert_eq!(bare.max_sequences, Some(1));
}
