//! Platforms that start engines themselves: llm-d, Dynamo, KServe, SkyPilot, Ray Serve.

use serde_json::{Map, Value, json};

use super::super::dynamo::{self, Dynamo};
use super::super::line::{Argument, Line, here_document, open, quoted};
use super::super::platform::Platform;
use super::super::release::{Member, Node, Rank, Release};
use super::super::server::{Pool, Server};
use super::parts::{self, File};
use super::sweep::argument_value;
use crate::diagnostic::{Code, Diagnostic};

/// Values of the chart `llm-d-modelservice` 0.4: degrees in `parallelism`, flags as arguments.
pub(super) fn llm_d(release: &Release) -> Result<Vec<File>, Diagnostic> {
    parts::only_vllm(release, "llm-d")?;
    let model = model(release);
    let mut values = json!({
        "modelArtifacts": { "uri": uri(&model), "name": model, "size": size(release), "authSecretName": parts::SECRET },
        "routing": { "servicePort": 8000 },
        "prefill": { "create": false },
    });
    if let Some(folder) = release.members.iter().flat_map(parts::folders).next() {
        values["modelArtifacts"]["mountPath"] = json!(folder);
        values["modelArtifacts"].as_object_mut().expect("made above").remove("authSecretName");
    }
    let split = release.members.len() > 1;
    for member in &release.members {
        let line = member.line()?;
        let degree = ["--tensor-parallel-size", "--data-parallel-size"];
        let rest = line.arguments.iter().filter(|a| !degree.contains(&a.flag.as_str()));
        let args: Vec<String> = rest.flat_map(Argument::words).collect();
        let nodes = member.nodes(release.gpus_per_node);
        let server = &member.server;
        let role = if split && server.pool == Some(Pool::Prefill) { "prefill" } else { "decode" };
        let mut env: Vec<Value> =
            line.variables.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        env.extend(parts::side_channel(member));
        // The chart mounts none: containers have 64 MiB of it by default.
        let kept: Vec<(Value, Value)> =
            std::iter::once(parts::shared_memory()).chain(parts::drives(member)).collect();
        let (mounts, volumes): (Vec<Value>, Vec<Value>) = kept.into_iter().unzip();
        values[role] = json!({
            "create": true,
            "replicas": member.copies,
            "parallelism": {
                "tensor": server.tp.unwrap_or(1),
                "data": server.attention_dp.unwrap_or(1),
                "dataLocal": u64::from(server.attention_dp.unwrap_or(1)).div_ceil(nodes),
            },
            "volumes": volumes,
            "containers": [{
                "name": "vllm",
                "image": parts::image(release, member)?,
                "modelCommand": "vllmServe",
                "args": args,
                "env": env,
                "mountModelVolume": true,
                "volumeMounts": mounts,
                "resources": parts::resources(release, member.gpus.div_ceil(nodes)),
            }],
        });
        if nodes > 1 {
            values["multinode"] = json!(true);
            values[role]["parallelism"]["workers"] = json!(nodes);
            let container = &mut values[role]["containers"][0];
            container["modelCommand"] = json!("custom");
            container["command"] = json!(["/bin/sh", "-c"]);
            container["args"] = json!([of_each_node(release, member, nodes)?]);
        }
    }
    Ok(vec![parts::yaml_with(release, "llm-d-values.yaml", &[values], &parts::needed(release, true))?])
}

/// What every pod of a group runs: the first answers, the others join it by their number. The chart starts leader and
/// workers by the same words.
fn of_each_node(release: &Release, member: &Member, nodes: u64) -> Result<String, Diagnostic> {
    let words = |rank| -> Result<String, Diagnostic> {
        let node = Node { rank, nodes, address: "$(LWS_LEADER_ADDRESS)" };
        let line = member.line_of_node(node, release.gpus_per_node)?;
        Ok(line.words().iter().map(|word| open(word)).collect::<Vec<_>>().join(" "))
    };
    // Beside the routing proxy of decode pods the engine has the port that the chart sends the proxy to.
    let port = if member.server.pool == Some(Pool::Prefill) { 8000 } else { 8200 };
    Ok(format!(
        "if [ \"$LWS_WORKER_INDEX\" -gt 0 ]; then\n  exec {}\nfi\nexec {} --host 0.0.0.0 --port {port}\n",
        words(Rank::Set("LWS_WORKER_INDEX"))?,
        words(Rank::Is(0))?
    ))
}

/// Where a chart or KServe takes a checkpoint from: the hub, or the volume of a claim for one that has a path.
fn uri(model: &str) -> String {
    match model.strip_prefix('/') {
        // The claim's volume is what is seen at the first folder of the path.
        Some(path) => {
            format!("pvc://{}/{}", parts::CLAIM, path.split_once('/').map_or(path, |(_, rest)| rest))
        }
        None => format!("hf://{model}"),
    }
}

/// Room for the checkpoint while it is fetched: a tenth more than its bytes, and what lies beside them.
fn size(release: &Release) -> String {
    const BESIDE_GIB: f64 = 10.0;
    format!("{:.0}Gi", (release.checkpoint.as_gib() * 1.1 + BESIDE_GIB).ceil())
}

/// A DynamoGraphDeployment (`nvidia.com/v1alpha1`): a frontend, and workers of one or two kinds. Its images hold one version
/// of each engine, which the flags are written for.
pub(super) fn dynamo(asked: &Release) -> Result<Vec<File>, Diagnostic> {
    if asked.vendor != "nvidia" {
        let cause = format!("Dynamo's images are of NVIDIA's GPUs, and the plan is on {}", asked.gpu);
        return Err(Diagnostic::new(Code::Usage, cause).at("--emit dynamo").help("write `k8s` or `command`"));
    }
    let engine = asked.members[0].server.engine.as_str();
    let planned = asked.members[0].server.version.as_deref().unwrap_or_default();
    let dynamo = Dynamo::holding(engine, planned)?;
    let held = dynamo.holds(engine).unwrap_or_default();
    let mut release = asked.clone();
    release.members.iter_mut().for_each(|member| member.server.version = Some(held.to_owned()));
    let release = &release;
    let mut notes = vec![match held == planned {
        true => format!("Dynamo {}, whose image holds {engine} {held}", dynamo.version),
        false => format!(
            "Dynamo {}, whose image holds {engine} {held}, the newest that is not newer than {planned}, by whose rules it was planned",
            dynamo.version
        ),
    }];
    let name = release.name();
    let mut services = Map::new();
    let mut documents = Vec::new();
    let runtime = if engine == "trtllm" { "tensorrtllm" } else { engine };
    let image = format!("nvcr.io/nvidia/ai-dynamo/{runtime}-runtime:{}", dynamo.version);
    services.insert(
        "Frontend".into(),
        json!({
            "componentType": "frontend",
            "replicas": 1,
            "extraPodSpec": { "mainContainer": { "image": image } },
        }),
    );
    for member in &release.members {
        let line = member.line()?;
        let server = &member.server;
        let (args, missing) = of_dynamo(dynamo, server, &line)?;
        notes.extend(missing.into_iter().filter(|_| member.role() != "prefill"));
        let nodes = member.nodes(release.gpus_per_node);
        let mut service = json!({
            "componentType": "worker",
            "replicas": member.copies,
            "envFromSecret": parts::SECRET,
            "resources": { "limits": { "gpu": member.gpus.div_ceil(nodes).to_string() } },
            "extraPodSpec": { "mainContainer": {
                "image": image,
                "command": ["python3", "-m", format!("dynamo.{engine}")],
                "args": args,
            } },
        });
        if !line.variables.is_empty() {
            let set = line.variables.iter().map(|(name, value)| json!({ "name": name, "value": value }));
            service["envs"] = set.collect();
        }
        if let Some(pool) = server.pool {
            service["subComponentType"] = json!(if pool == Pool::Prefill { "prefill" } else { "decode" });
        }
        let pod = &mut service["extraPodSpec"];
        let mut mounts = Vec::new();
        let mut volumes = Vec::new();
        if let Some((file, keys)) = &line.options {
            let map = format!("{name}-{}", member.role());
            let text = crate::load::to_yaml(&Value::Object(keys.clone()))?;
            documents.push(json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": map }, "data": { file: text },
            }));
            mounts.push(json!({ "name": "options", "mountPath": OPTIONS }));
            volumes.push(json!({ "name": "options", "configMap": { "name": map } }));
        }
        for folder in parts::folders(member) {
            mounts.push(json!({ "name": parts::CLAIM, "mountPath": folder, "readOnly": true }));
        }
        if !parts::folders(member).is_empty() {
            let claim = json!({ "claimName": parts::CLAIM });
            volumes.push(json!({ "name": parts::CLAIM, "persistentVolumeClaim": claim }));
        }
        if let Some((mount, volume)) = parts::drives(member) {
            mounts.push(mount);
            volumes.push(volume);
        }
        if !mounts.is_empty() {
            pod["mainContainer"]["volumeMounts"] = json!(mounts);
            pod["volumes"] = json!(volumes);
        }
        if nodes > 1 {
            service["multinode"] = json!({ "nodeCount": nodes });
        }
        let role = match server.pool {
            Some(Pool::Prefill) => "PrefillWorker",
            Some(Pool::Decode) => "DecodeWorker",
            None => "Worker",
        };
        services.insert(role.into(), service);
    }
    documents.push(json!({
        "apiVersion": "nvidia.com/v1alpha1",
        "kind": "DynamoGraphDeployment",
        "metadata": { "name": name },
        "spec": { "services": services },
    }));
    notes.extend(parts::needed(release, true));
    Ok(vec![parts::yaml_with(release, "dynamo.yaml", &documents, &notes)?])
}

/// The words of a worker of Dynamo, and what it has none for.
fn of_dynamo(
    dynamo: &Dynamo,
    server: &Server,
    line: &Line,
) -> Result<(Vec<String>, Vec<String>), Diagnostic> {
    let engine = server.engine.as_str();
    let model = server.model.clone().unwrap_or_default();
    let mut missing = Vec::new();
    let mut args = match engine {
        "vllm" => vec!["--model".to_owned(), model],
        "trtllm" => vec!["--model-path".to_owned(), model],
        _ => Vec::new(),
    };
    for argument in &line.arguments {
        match (engine, argument.flag.as_str()) {
            ("trtllm", "--backend") => {}
            ("trtllm", flag) => args.extend(dynamo::of_worker(flag, argument.value(), OPTIONS)?),
            // Which pool a worker is of is told it in its own words; both hand over in either direction (`args.py`).
            ("vllm", "--kv-transfer-config") => {
                let both = |role: &str, text: String| text.replace(role, "kv_both");
                let config = argument.value().unwrap_or_default().to_owned();
                let config = both("kv_consumer", both("kv_producer", config));
                args.extend([argument.flag.clone(), config]);
            }
            _ => match dynamo.of_server(argument) {
                Ok(words) => args.extend(words),
                Err(what) => missing.push(format!("left out: {what}")),
            },
        }
    }
    match (engine, server.pool) {
        ("vllm", Some(pool)) => {
            let mode = if pool == Pool::Prefill { "prefill" } else { "decode" };
            args.extend([dynamo::POOL.1, mode].map(str::to_owned));
        }
        ("sglang", Some(_)) => args.extend(["--host", "0.0.0.0"].map(str::to_owned)),
        _ => {}
    }
    match server.task.as_deref() {
        None => {}
        Some("embed") if engine == "sglang" || dynamo.vllm_embeds => args.push(dynamo::EMBEDS.to_owned()),
        Some(task) => {
            let cause =
                format!("the worker of {engine} in Dynamo {} is not known to do {task}", dynamo.version);
            return Err(Diagnostic::new(Code::Usage, cause)
                .at("--emit dynamo")
                .help("write `k8s` or `command`"));
        }
    }
    Ok((args, missing))
}

/// The folder in which a worker of Dynamo finds its file of options.
const OPTIONS: &str = "/etc/shardfit";

/// An LLMInferenceService (`serving.kserve.io/v1alpha1`): degrees in the spec, flags in a variable.
pub(super) fn kserve(release: &Release) -> Result<Vec<File>, Diagnostic> {
    parts::only_vllm(release, "KServe")?;
    let model = model(release);
    let decode = release.members.last().expect("a release has a member");
    let mut spec = of_kserve(release, decode)?;
    spec["model"] = json!({ "uri": uri(&model), "name": model });
    spec["router"] = json!({ "route": {}, "gateway": {}, "scheduler": {} });
    if release.members.len() > 1 {
        spec["prefill"] = of_kserve(release, &release.members[0])?;
    }
    let mut documents = Vec::new();
    if !model.starts_with('/') {
        // What fetches the checkpoint sees the secrets of the pod's account, not the server's variables
        // (`pkg/credentials/service_account_credentials.go`).
        documents.push(json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": release.name() },
            "secrets": [{ "name": parts::SECRET }],
        }));
        let pools = ["/template", "/worker", "/prefill/template", "/prefill/worker"];
        for pod in pools {
            if let Some(pod) = spec.pointer_mut(pod) {
                pod["serviceAccountName"] = json!(release.name());
            }
        }
    }
    documents.push(json!({
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "LLMInferenceService",
        "metadata": { "name": release.name() },
        "spec": spec,
    }));
    Ok(vec![parts::yaml_with(release, "kserve.yaml", &documents, &parts::needed(release, false))?])
}

/// The servers of a pool. On one node KServe's own command takes the tensor degree alone from the spec; over nodes it has
/// commands for data parallel ranks and none for a pipeline (`config/llmisvcconfig`, `config_merge.go`).
fn of_kserve(release: &Release, member: &Member) -> Result<Value, Diagnostic> {
    let line = member.line()?;
    let server = &member.server;
    let nodes = member.nodes(release.gpus_per_node);
    let ranks = server.attention_dp.unwrap_or(1);
    let over_nodes = nodes > 1;
    if over_nodes && (server.pp.is_some_and(|stages| stages > 1) || ranks <= 1) {
        let cause =
            format!("each server of the plan spans {nodes} nodes without data parallel ranks to deal out");
        return Err(Diagnostic::new(Code::Usage, cause)
            .at("--emit kserve")
            .help("KServe has commands over nodes for data parallel ranks alone; write `k8s` or `slurm`"));
    }
    let mut stated = vec!["--tensor-parallel-size"];
    let mut parallelism = json!({ "tensor": server.tp.unwrap_or(1) });
    if over_nodes {
        stated.extend(["--data-parallel-size", "--enable-expert-parallel"]);
        parallelism["data"] = json!(ranks);
        parallelism["dataLocal"] = json!(u64::from(ranks).div_ceil(nodes));
        if server.ep.is_some_and(|n| n > 1) {
            parallelism["expert"] = json!(true);
        }
    }
    let rest = line.arguments.iter().filter(|a| !stated.contains(&a.flag.as_str()));
    let words: Vec<String> = rest.flat_map(Argument::words).map(|w| quoted(&w)).collect();
    let mut env = parts::environment(&line.variables);
    env.extend(parts::side_channel(member));
    env.push(json!({ "name": "VLLM_ADDITIONAL_ARGS", "value": words.join(" ") }));
    let mut container = json!({
        "name": "main",
        "image": parts::image(release, member)?,
        "env": env,
        "resources": parts::resources(release, member.gpus.div_ceil(nodes)),
        // The engine's own image runs as root, which KServe's pods are refused (its samples of such images say the same).
        "securityContext": { "runAsNonRoot": false },
        // KServe's own waits ten minutes, and a large checkpoint is read for longer.
        "startupProbe": { "failureThreshold": 360, "periodSeconds": 10 },
    });
    let mut pod = json!({});
    if let Some((mount, volume)) = parts::drives(member) {
        container["volumeMounts"] = json!([mount]);
        pod["volumes"] = json!([volume]);
    }
    pod["containers"] = json!([container]);
    let mut out = json!({ "replicas": member.copies, "parallelism": parallelism, "template": pod });
    if over_nodes {
        let mut worker = out["template"].clone();
        // Workers answer nobody.
        worker["containers"][0].as_object_mut().expect("made above").remove("startupProbe");
        out["worker"] = worker;
    }
    Ok(out)
}

/// A SkyPilot task; with several servers a service.
pub(super) fn skypilot(release: &Release) -> Result<Vec<File>, Diagnostic> {
    let [member] = release.members.as_slice() else {
        return Err(Diagnostic::new(
            Code::Usage,
            "a SkyPilot task starts servers of one kind, and the plan has two pools",
        )
        .at("--emit skypilot")
        .help("write `k8s`, `dynamo` or `llm-d` for split pools"));
    };
    if !release.cards.is_empty() {
        let cause = format!("a SkyPilot task asks for GPUs of one kind, and the plan is on {}", release.gpu);
        return Err(Diagnostic::new(Code::Usage, cause)
            .at("--emit skypilot")
            .help("write `command` or `docker` for cards of several kinds"));
    }
    let nodes = member.nodes(release.gpus_per_node);
    if nodes > 1 {
        return Err(Diagnostic::new(Code::Usage, format!("each server of the plan spans {nodes} nodes"))
            .at("--emit skypilot")
            .help("write `k8s` or `slurm` for servers over nodes"));
    }
    let mut line = member.line()?;
    line.set("--host", "0.0.0.0")?;
    line.set("--port", member.port())?;
    if member.server.engine == "llama.cpp" {
        // The image has it there and starts it by that name, which the task replaces (`.devops/cuda.Dockerfile`).
        line.program[0] = "/app/llama-server".to_owned();
    }
    let mut run = String::new();
    if let Some((name, keys)) = &line.options {
        run += &here_document(name, keys)?;
    }
    run += &line.shell();
    let mut task = json!({
        "name": release.name(),
        "resources": {
            "accelerators": { accelerator(&release.gpu): member.gpus },
            "image_id": format!("docker:{}", parts::image(release, member)?),
            "ports": member.port(),
            "disk_size": ((release.checkpoint.as_gib() * 1.1).ceil() as u64 + 100).max(256),
        },
        // Empty unless it is given: `sky launch --secret HF_TOKEN`.
        "secrets": { parts::TOKEN: "" },
        "run": run,
    });
    let folders = parts::folders(member);
    if !folders.is_empty() {
        // From this machine to the same place there.
        let mounts = folders.into_iter().map(|folder| (folder.clone(), Value::from(folder)));
        task["file_mounts"] = Value::Object(mounts.collect());
    }
    if member.copies > 1 {
        task["service"] = json!({
            "readiness_probe": { "path": "/health", "initial_delay_seconds": 3600 },
            "replicas": member.copies,
        });
    }
    let token = format!("needs for a gated model: `--secret {}` when it is launched", parts::TOKEN);
    Ok(vec![parts::yaml_with(release, "sky.yaml", &[task], &[token])?])
}

/// SkyPilot's name of a GPU (its catalogue).
fn accelerator(gpu: &str) -> String {
    let known = [
        ("h100-sxm", "H100"),
        ("h100-pcie", "H100"),
        ("h200-sxm", "H200"),
        ("b200-sxm", "B200"),
        ("b300-sxm", "B300"),
        ("gb200", "GB200"),
        ("a100-sxm-80gb", "A100-80GB"),
        ("a100-pcie-80gb", "A100-80GB"),
        ("a100-sxm-40gb", "A100"),
        ("v100-sxm-32gb", "V100-32GB"),
        ("rtx-pro-6000", "RTXPRO6000"),
    ];
    let found = known.iter().find(|(id, _)| *id == gpu).map(|(_, name)| (*name).to_owned());
    found.unwrap_or_else(|| gpu.to_ascii_uppercase().replace("RTX-", "RTX").replace('-', ""))
}

/// Ray Serve LLM (`ray.serve.llm:build_openai_app`): vLLM's options as `engine_kwargs`.
pub(super) fn ray(release: &Release) -> Result<Vec<File>, Diagnostic> {
    parts::only_vllm(release, "Ray Serve LLM")?;
    let [member] = release.members.as_slice() else {
        return Err(Diagnostic::new(
            Code::Usage,
            "the plan has two pools, and this application is of one kind of server",
        )
        .at("--emit ray")
        .help("plan with --mode aggregated, or write `dynamo`, `llm-d` or `kserve`"));
    };
    if !matches!(release.vendor.as_str(), "nvidia" | "amd" | "intel") {
        let chips = Platform::of(&release.vendor).chips;
        let cause = format!("Ray Serve LLM asks for GPUs, and the plan is on {chips}");
        return Err(Diagnostic::new(Code::Usage, cause).at("--emit ray").help("write `command` or `slurm`"));
    }
    let line = member.line()?;
    let mut kwargs = Map::new();
    for argument in &line.arguments {
        let off = argument.flag.strip_prefix("--no-");
        let key = off.unwrap_or(argument.flag.trim_start_matches('-')).replace('-', "_");
        kwargs.insert(key, argument_value(argument, off.is_none()));
    }
    let model = model(release);
    // Groups of data parallel ranks are an application of their own form (`data-parallel-attention` of Ray's guides), in
    // which one group needs no number: versions before 2.54 take none.
    let groups = member.server.attention_dp.is_some_and(|ranks| ranks > 1);
    let mut config = json!({
        "model_loading_config": { "model_id": model, "model_source": model },
        "engine_kwargs": kwargs,
    });
    if groups {
        // Versions that deal ranks out themselves ask for it, newer ones find the nodes (`serving_patterns/data_parallel`).
        let tensor = u64::from(member.server.tp.unwrap_or(1)) * u64::from(member.server.pp.unwrap_or(1));
        let ranks = u64::from(member.server.attention_dp.unwrap_or(1));
        let each = (release.gpus_per_node / tensor).clamp(1, ranks);
        config["experimental_configs"] = json!({ "dp_size_per_node": each });
    }
    if let Some((_, name)) = RAY_TYPES.iter().find(|(gpu, _)| *gpu == release.gpu) {
        config["accelerator_type"] = json!(name);
    }
    if !groups || member.copies > 1 {
        config["deployment_config"] = json!({ "num_replicas": member.copies });
    }
    if !line.variables.is_empty() {
        let pairs: Map<String, Value> =
            line.variables.iter().map(|(name, value)| (name.clone(), Value::from(value.clone()))).collect();
        config["runtime_env"] = json!({ "env_vars": pairs });
    }
    let (builder, args) = match groups {
        true => ("build_dp_openai_app", json!({ "llm_config": config })),
        false => ("build_openai_app", json!({ "llm_configs": [config] })),
    };
    let document = json!({ "applications": [{
        "name": release.name(),
        "route_prefix": "/",
        "import_path": format!("ray.serve.llm:{builder}"),
        "args": args,
    }] });
    let version = member.server.version.as_deref().unwrap_or_default();
    let mut notes = vec![
        format!(
            "needs: ray[serve,llm] beside vllm {version} on every node; Ray's own images bring a vLLM of their own"
        ),
        format!(
            "needs for a gated model: {} in the environment that the nodes of Ray are started with",
            parts::TOKEN
        ),
    ];
    if groups {
        notes.push("needs: Ray 2.52 or newer, the first with build_dp_openai_app".into());
    }
    Ok(vec![parts::yaml_with(release, "ray-serve.yaml", &[document], &notes)?])
}

/// GPUs by the names that Ray knows (`ray/util/accelerators/accelerators.py`).
const RAY_TYPES: [(&str, &str); 9] = [
    ("v100-sxm-32gb", "V100"),
    ("t4", "T4"),
    ("l4", "L4"),
    ("l40s", "L40S"),
    ("a10g", "A10G"),
    ("h100-sxm", "H100"),
    ("h100-pcie", "H100"),
    ("h200-sxm", "H200"),
    ("b200-sxm", "B200"),
];

fn model(release: &Release) -> String {
    release.members.first().and_then(|m| m.server.model.clone()).unwrap_or_default()
}
