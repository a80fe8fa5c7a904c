//! Launches that scripts and manifests hold, each the shortest form of a public one: what the text sets is read, what it
//! leaves open is said and never taken for a default, and what runs is not called refused.

use shardfit::launch::{self, Pool, Server};

/// Every server of a text.
fn all(text: &str) -> Vec<Server> {
    let found = launch::invocations(text, &|_| None).unwrap_or_else(|error| panic!("{error}: {text}"));
    found.iter().map(|invocation| launch::speech::read(invocation, Some(true))).collect()
}

/// The only server of a text.
fn only(text: &str) -> Server {
    let mut found = all(text);
    assert_eq!(found.len(), 1, "{text}: {found:?}");
    found.remove(0)
}

/// What of a launch was not read, with the text that it was written in.
fn unread(server: &Server) -> Vec<&str> {
    assert!(server.unread.iter().all(|note| !note.refused), "{:?}", server.unread);
    server.unread.iter().map(|note| note.text.as_str()).collect()
}

#[test]
fn flags_in_a_variable_are_words_where_it_is_not_quoted() {
    // InferenceX, dsr1_fp8_mi355x.sh: `EVAL_CONTEXT_ARGS=""` … `$EVAL_CONTEXT_ARGS`.
    let s = only("X=\"--max-num-seqs 64 --max-model-len 8192\"; vllm serve m -tp 8 $X");
    assert_eq!(
        (s.tp, s.max_sequences, s.max_model_len, unread(&s).len()),
        (Some(8), Some(64), Some(8192), 0)
    );
    let s = only("X=\"\"; vllm serve m --tensor-parallel-size 8 $X");
    assert_eq!((s.tp, unread(&s).len()), (Some(8), 0));
}

#[test]
fn a_branch_that_is_not_known_to_be_taken_leaves_its_flags_open() {
    // InferenceX, dsr1_fp4_b200.sh.
    let sglang = "python3 -m sglang.launch_server --model-path m --tp 8";
    let chunk = |condition: &str| {
        only(&format!(
            "C=16384; if [ {condition} ]; then C=32768; fi; {sglang} --chunked-prefill-size \"$C\""
        ))
    };
    let s = chunk("\"${DPA:-false}\" = \"true\"");
    assert_eq!(s.max_batched_tokens, Some(16_384));
    assert!(s.unread[0].why.contains("nothing sets DPA"), "{:?}", s.unread);
    let s = chunk("\"$DPA\" = \"true\"");
    assert_eq!((s.max_batched_tokens, unread(&s).len()), (None, 1));
    assert!(s.unread[0].why.contains("32768 or 16384"), "{:?}", s.unread);
    assert_eq!(chunk("8 -ge 4").max_batched_tokens, Some(32_768));
    let s = only(
        "A=(--tp 8); if [ \"$DPA\" = 1 ]; then A+=(--dp 8 --enable-dp-attention); fi\n\
         python3 -m sglang.launch_server --model-path m \"${A[@]}\"",
    );
    assert_eq!((s.tp, s.attention_dp, s.gpus), (None, None, None), "{:?}", s.unread);
    assert!(unread(&s).contains(&"--enable-dp-attention"));
    // A flag that a default leaves out is said.
    let s = only(
        "A=(--tp 8); [[ -n \"${KV:-}\" ]] && A+=(--kv-cache-dtype fp8_e4m3)\npython3 -m sglang.launch_server --model-path m \"${A[@]}\"",
    );
    assert_eq!((s.tp, s.kv.as_deref()), (Some(8), None));
    assert!(unread(&s).contains(&"--kv-cache-dtype"), "{:?}", s.unread);
    // What is the same in both branches is known, and one server is started.
    let s = only("if [ $X = 1 ]; then vllm serve m -tp 8; else vllm serve m -tp 8; fi");
    assert_eq!((s.tp, s.replicas), (Some(8), Some(1)));
}

#[test]
fn arrays_that_the_text_sets_hold_its_flags() {
    let s = only(
        "ARGS=(--tensor-parallel-size 8 --kv-cache-dtype fp8); ARGS+=(--max-num-seqs 64)\n\
         vllm serve m \"${ARGS[@]}\" --max-model-len 8192",
    );
    assert_eq!((s.tp, s.kv.as_deref(), s.max_sequences), (Some(8), Some("fp8"), Some(64)));
    assert!(unread(&s).is_empty());
    // A command that is printed before it is run is one server.
    let s = only("CMD=(vllm serve m -tp 2)\nprintf '%q ' \"${CMD[@]}\" | tee log\n\"${CMD[@]}\" &");
    assert_eq!((s.tp, s.replicas), (Some(2), Some(1)));
    // One that it does not set may hold any flag.
    let s = only("python3 -m sglang.launch_server --model-path m --tp-size 8 \"${ARGS[@]}\"");
    assert_eq!((s.tp, s.pp, s.attention_dp, s.gpus), (None, None, None, None));
}

#[test]
fn options_in_a_here_document_are_read_with_what_variables_hold_and_what_is_added() {
    // InferenceX, dsr1_fp8_h200_trt_mtp.sh: a file that is written, and added to in a branch.
    let text = |dp: &str, fraction: &str| {
        format!(
            "F=x.yml\n{dp}{fraction}cat > $F <<EOF\nenable_attention_dp: $DP\nkv_cache_config:\n  dtype: fp8\n  \
             free_gpu_memory_fraction: $FRACTION\n  enable_block_reuse: false\nspeculative_config:\n  \
             decoding_type: MTP\n  num_nextn_predict_layers: 3\nEOF\nif [ \"$DP\" = true ]; then\n\
             cat << EOF >> $F\nattention_dp_config:\n    enable_balance: true\nEOF\nfi\n\
             trtllm-serve m --tp_size=8 --ep_size=8 --extra_llm_api_options=$F"
        )
    };
    let s = only(&text("DP=true\n", "FRACTION=0.75\n"));
    assert_eq!((s.tp, s.attention_dp, s.ep, s.gpus), (Some(1), Some(8), Some(8), Some(8)));
    assert_eq!(
        (s.kv.as_deref(), s.memory_fraction, s.prefix_caching),
        (Some("fp8"), Some(0.75), Some(false))
    );
    assert_eq!(s.speculation.as_ref().and_then(|drafts| drafts.tokens), Some(3));
    assert!(unread(&s).is_empty() && s.launches.is_empty(), "balanced: {:?}", s.launches);
    let s = only(&text("", ""));
    assert_eq!((s.tp, s.attention_dp, s.memory_fraction, s.kv.as_deref()), (None, None, None, Some("fp8")));
    let said = unread(&s).join("\n");
    for name in [
        "enable_attention_dp: $DP",
        "kv_cache_config.free_gpu_memory_fraction: $FRACTION",
        "attention_dp_config",
    ] {
        assert!(said.contains(name), "{name}: {said}");
    }
    // Values that are no plain YAML as they are written (dsr1_fp4_b200_trt.sh).
    let s = only(
        "cat > x.yml <<EOF\nsizes: [${LIST%, }]\nmax_batch_size: 64\nEOF\ntrtllm-serve m --config x.yml --tp_size 4",
    );
    assert_eq!((s.max_sequences, s.tp), (Some(64), Some(4)));
}

#[test]
fn the_tag_of_an_image_is_the_engines_version_where_its_engine_publishes_it() {
    // llm-d v0.9.0 holds vLLM of 0.22 and later: read as vLLM 0.9 its flags would be refused.
    let s = only("docker run ghcr.io/llm-d/llm-d-cuda:v0.9.0 --model m --reasoning-parser nemotron_v3");
    assert_eq!((s.engine.as_str(), s.version.as_deref(), unread(&s).len()), ("vllm", None, 0));
    for (image, version) in [
        ("nvcr.io/nvidia/vllm:25.09-py3", None),
        ("lmcache/vllm-openai:v0.3.1", None),
        ("vllm/vllm-openai:minimax-m3-perf-arm64-13.0.1-7a67223", None),
        ("vllm/vllm-openai:vllm-x86_64-cu13-0.25.1-7a33ba9", Some("0.25.1")),
        ("registry.example/vllm/vllm-openai:v0.11.0", Some("0.11.0")),
        ("quay.io/ascend/vllm-ascend:v0.13.0", Some("0.13.0")),
        ("rocm/vllm:rocm6.4.1_vllm_0.10.1_20250909", Some("0.10.1")),
    ] {
        assert_eq!(launch::invocation::image_version(image).as_deref(), version, "{image}");
    }
}

#[test]
fn kserves_services_are_read_whatever_their_image_and_say_what_is_not() {
    let service = |spec: &str| {
        format!(
            "apiVersion: serving.kserve.io/v1alpha1\nkind: LLMInferenceService\nspec:\n  \
             model: {{uri: \"hf://org/m\", name: org/m}}\n{spec}"
        )
    };
    let s = only(&service(
        "  parallelism: {tensor: 8}\n  kvCacheOffloading: {cpu: 10Gi}\n  template:\n    containers:\n    \
         - {name: sidecar, image: \"a/b:1\"}\n    - {name: main, image: \"ghcr.io/llm-d/llm-d-rocm:v0.9.0\", \
         args: [\"--max-model-len=8192\"]}\n",
    ));
    assert_eq!((s.tp, s.max_model_len, s.version.as_deref()), (Some(8), Some(8192), None));
    assert!(unread(&s)[0].starts_with("kvCacheOffloading"));
    let s = only(&service("  baseRefs: [{name: some-config}]\n"));
    assert_eq!((s.tp, s.gpus), (None, None), "{:?}", s.unread);
    assert!(unread(&s)[0].starts_with("baseRefs"));
}

#[test]
fn a_command_stands_under_any_key_of_a_manifest() {
    // docs of vllm-ascend, multi-node tests: the block is folded, so its lines are one.
    let s = only(
        "deployment:\n  - envs: {A: \"1\"}\n    server_cmd: >\n      vllm serve org/m\n      --host 0.0.0.0\n      \
         --data-parallel-size 2\n      --data-parallel-size-local 1\n      --tensor-parallel-size 8\n  \
         - server_cmd: >\n      vllm serve org/m\n      --headless\n      --data-parallel-size 2\n      \
         --data-parallel-start-rank 1\n      --tensor-parallel-size 8\n",
    );
    assert_eq!((s.tp, s.attention_dp, s.replicas, s.gpus), (Some(8), Some(2), Some(1), Some(16)));
    assert_eq!(only("start: |\n  TP=4\n  vllm serve m -tp $TP\n").tp, Some(4));
}

#[test]
fn places_for_values_are_left_open() {
    // docs of SGLang (EAGLE-3) and vllm-project/recipes.
    let s = only(
        "python3 -m sglang.launch_server --model <target-model-path> --speculative-algorithm EAGLE3 --tp 4",
    );
    assert_eq!((s.tp, s.speculation.and_then(|drafts| drafts.method).as_deref()), (Some(4), Some("EAGLE3")));
    let s = only(
        "vllm serve m -tp 8 --port <port_0> --served-model-name x --max-model-len <n_of_tokens> # up to 131072",
    );
    assert_eq!((s.tp, s.max_model_len, unread(&s)), (Some(8), None, vec!["--max-model-len <n_of_tokens>"]));
    let s = only("vllm serve m -tp 8 --speculative-config '{\"model\": <head>, \"method\": \"eagle3\"}'");
    assert!(unread(&s)[0].starts_with("--speculative-config"));
}

#[test]
fn every_server_of_a_document_is_listed() {
    // docs.ray.io, several models of one application; the first has no flags.
    let found = all(
        "applications:\n- args:\n    llm_configs:\n    - model_loading_config: {model_id: a, model_source: org/a}\n    \
         - model_loading_config: {model_id: b, model_source: org/b}\n      engine_kwargs: {tensor_parallel_size: 2}\n",
    );
    assert_eq!(found.iter().map(|s| s.tp).collect::<Vec<_>>(), [Some(1), Some(2)]);
    // vLLM's production stack.
    let found = all(
        "servingEngineSpec:\n  modelSpec:\n  - {modelURL: org/a, replicaCount: 2, lmcacheConfig: {enabled: true}}\n  \
         - {modelURL: org/b, vllmConfig: {tensorParallelSize: 2}}\n",
    );
    assert_eq!(found.iter().map(|s| s.gpus).collect::<Vec<_>>(), [Some(2), Some(2)]);
    assert!(unread(&found[0])[0].starts_with("lmcacheConfig"));
}

#[test]
fn pods_of_a_stateful_set_are_nodes_of_one_server() {
    // llm-d, guides/agentic-serving, kimi-k3.
    let s = only(
        "apiVersion: apps/v1\nkind: StatefulSet\nspec:\n  replicas: 4\n  template:\n    spec:\n      containers:\n      \
         - image: lmsysorg/sglang:v0.5.18\n        command: [\"/bin/bash\", \"-c\"]\n        args:\n        - |\n          \
         sglang serve --model-path m --tp-size 16 --nnodes 2 --node-rank $POD_INDEX --dist-init-addr a:20000\n",
    );
    assert_eq!((s.tp, s.replicas, s.gpus), (Some(16), Some(2), Some(32)));
}

#[test]
fn skypilots_own_variables_images_and_packages_are_read() {
    let task = |more: &str| {
        only(&format!(
            "resources:\n  accelerators: H100:8\n  image_id: docker:vllm/vllm-openai:v0.10.0\nnum_nodes: 2\n{more}run: |\n  \
             vllm serve m -tp $SKYPILOT_NUM_GPUS_PER_NODE -pp $SKYPILOT_NUM_NODES\n"
        ))
    };
    let s = task("");
    assert_eq!((s.tp, s.pp, s.version.as_deref()), (Some(8), Some(2), Some("0.10.0")));
    assert_eq!(task("setup: |\n  pip install vllm==0.11.0\n").version.as_deref(), Some("0.11.0"));
}

#[test]
fn connectors_inside_a_connector_say_the_pool_and_the_tiers() {
    // llm-d, guides/nemotron-3-ultra.
    let s = only(
        r#"vllm serve m --kv-transfer-config '{"kv_connector":"MultiConnector","kv_role":"kv_both","kv_connector_extra_config":{"connectors":[{"kv_connector":"NixlConnector","kv_role":"kv_consumer"},{"kv_connector":"OffloadingConnector","kv_role":"kv_both"}]}}'"#,
    );
    assert_eq!((s.pool, unread(&s)), (Some(Pool::Decode), vec!["OffloadingConnector"]));
}

#[test]
fn shares_of_rows_are_no_layers_of_stages() {
    let s = only("llama-server -hf org/m -ts 3,1 -sm row");
    assert_eq!((s.tp, s.pp, s.tensor_split.as_ref()), (Some(2), Some(1), None));
    assert_eq!(unread(&s), ["-ts 3,1"]);
}

#[test]
fn copies_of_a_loop_are_counted_and_functions_are_read_with_what_they_are_given() {
    let s = only("for i in 0 1 2 3; do CUDA_VISIBLE_DEVICES=$i vllm serve m --port $((8000 + i)) & done");
    assert_eq!((s.replicas, s.gpus), (Some(4), Some(4)));
    let s = only("start() {\n  vllm serve m -tp \"$1\" --max-num-seqs ${2:-8}\n}\nTP=4\nstart $TP 32");
    assert_eq!((s.tp, s.max_sequences, unread(&s).len()), (Some(4), Some(32), 0));
}

#[test]
fn a_variable_that_newer_versions_ignore_counts_in_those_that_read_it() {
    // vllm/envs.py: `VLLM_ALL2ALL_BACKEND` is gone by 0.16.
    let line = "--model m -dp 8 --enable-expert-parallel";
    let at = |tag: &str| {
        only(&format!("docker run -e VLLM_ALL2ALL_BACKEND=deepep_low_latency vllm/vllm-openai:{tag} {line}"))
            .launches
    };
    assert_eq!(at("v0.11.0"), ["deepep"]);
    let wide = |backend: &str| only(&format!("vllm serve {line} --all2all-backend {backend}")).launches;
    assert_eq!(
        (wide("deepep_high_throughput"), wide("deepep_low_latency")),
        (vec!["deepep_ht".into()], vec!["deepep".into()])
    );
    assert!(at("latest").is_empty() && at("v0.16.0").is_empty());
}

#[test]
fn workers_that_stand_beside_the_flags_are_copies() {
    // InferenceX, benchmarks/multi_node/srt-slurm-recipes: the image alone starts nothing.
    let found = all("identity: {container: {image: \"vllm/vllm-openai:v0.21.0\"}}\n\
         model: {path: m, container: \"vllm/vllm-openai:v0.21.0\"}\n\
         resources: {gpus_per_node: 4, prefill_workers: 6, decode_workers: 1}\nbackend:\n  vllm_config:\n    \
         prefill: {model: org/m, tensor-parallel-size: 2}\n    decode: {model: org/m, tensor-parallel-size: 8}\n");
    let said: Vec<_> = found.iter().map(|s| (s.pool, s.tp, s.replicas, s.version.as_deref())).collect();
    assert_eq!(
        said,
        [
            (Some(Pool::Prefill), Some(2), Some(6), Some("0.21.0")),
            (Some(Pool::Decode), Some(8), Some(1), Some("0.21.0"))
        ]
    );
}

#[test]
fn flags_of_dynamo_are_left_out_with_their_values() {
    // ai-dynamo/dynamo, recipes/deepseek-v4.1-flash.
    let s = only(
        "python3 -m dynamo.vllm --model org/m --disaggregation-mode prefill --dyn-reasoning-parser deepseek_v41 \
         --dyn-enable-structural-tag --tensor-parallel-size 4",
    );
    assert_eq!((s.tp, s.pool, unread(&s).len()), (Some(4), Some(Pool::Prefill), 0));
}
