//! Platforms that start engines themselves: llm-d, Dynamo, KServe, SkyPilot, Ray Serve.

use serde_json::{Map, Value, json};

use super::super::dynamo::of_worker;
use super::super::line::{open, quoted};
use super::super::release::{Member, Node, Rank, Release};
use super::super::server::Pool;
use super::parts::{self, File};
use super::router::SIDE_CHANNEL;
use crate::diagnostic::{Code, Diagnostic};

/// Values of the chart `llm-d-modelservice` 0.4: degrees in `parallelism`, flags as arguments.
pub(super) fn llm_d(release: &Release) -> Result<Vec<File>, Diagnostic> {
    parts::only_vllm(release, "llm-d")?;
    let model = model(release);
    let mut values = json!({
        "modelArtifacts": { "uri": uri(&model), "name": model, "size": size(release) },
        "routing": { "servicePort": 8000 },
        "prefill": { "create": false },
    });
    if let Some(folder) = release.members.iter().flat_map(parts::folders).next() {
        values["modelArtifacts"]["mountPath"] = json!(folder);
    }
    let split = release.members.len() > 1;
    for member in &release.members {
        let line = member.line()?;
        let degree = ["--tensor-parallel-size", "--data-parallel-size"];
        let rest = line.arguments.iter().filter(|a| !degree.contains(&a.flag.as_str()));
        let args: Vec<String> =
            rest.flat_map(|a| std::iter::once(a.flag.clone()).chain(a.value.clone())).collect();
        let nodes = member.nodes(release.gpus_per_node);
        let server = &member.server;
        let role = if split && server.pool == Some(Pool::Prefill) { "prefill" } else { "decode" };
        let mut env: Vec<Value> =
            line.variables.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        if split {
            env.push(json!({ "name": "VLLM_NIXL_SIDE_CHANNEL_HOST",
                "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } }));
            env.push(json!({ "name": "VLLM_NIXL_SIDE_CHANNEL_PORT", "value": SIDE_CHANNEL.to_string() }));
        }
        values[role] = json!({
            "create": true,
            "replicas": member.copies,
            "parallelism": {
                "tensor": server.tp.unwrap_or(1),
                "data": server.attention_dp.unwrap_or(1),
                "dataLocal": u64::from(server.attention_dp.unwrap_or(1)).div_ceil(nodes),
            },
            "containers": [{
                "name": "vllm",
                "image": member.image(&release.vendor)?,
                "modelCommand": "vllmServe",
                "args": args,
                "env": env,
                "mountModelVolume": true,
                "resources": {
                    "limits": { parts::resource(&release.vendor): member.gpus.div_ceil(nodes).to_string() },
                    "requests": { parts::resource(&release.vendor): member.gpus.div_ceil(nodes).to_string() },
                },
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
    Ok(vec![parts::yaml_with(release, "llm-d-values.yaml", &[values], &parts::claimed(release))?])
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

/// A DynamoGraphDeployment (`nvidia.com/v1alpha1`): a frontend, and workers of one or two kinds.
pub(super) fn dynamo(release: &Release) -> Result<Vec<File>, Diagnostic> {
    if release.vendor != "nvidia" {
        let cause = format!("Dynamo's images are of NVIDIA's GPUs, and the plan is on {}", release.gpu);
        return Err(Diagnostic::new(Code::Usage, cause).at("--emit dynamo").help("write `k8s` or `command`"));
    }
    let name = release.name();
    let mut services = Map::new();
    let mut documents = Vec::new();
    let engine = &release.members[0].server.engine;
    let runtime = match engine.as_str() {
        "vllm" | "sglang" => engine.clone(),
        "trtllm" => "tensorrtllm".to_owned(),
        other => {
            return Err(Diagnostic::new(Code::Usage, format!("Dynamo has no worker of {other}"))
                .at("--emit dynamo")
                .help("plan with --engine vllm, sglang or trtllm"));
        }
    };
    // The runtime's releases hold one version of each engine; this is the newest whose manifests have these fields.
    let image = format!("nvcr.io/nvidia/ai-dynamo/{runtime}-runtime:1.5.0");
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
        let mut args = match engine.as_str() {
            "vllm" => vec!["--model".to_owned(), server.model.clone().unwrap_or_default()],
            "trtllm" => vec!["--model-path".to_owned(), server.model.clone().unwrap_or_default()],
            _ => Vec::new(),
        };
        // The workers connect pools themselves.
        let own = ["--kv-transfer-config", "--backend"];
        let kept = line.arguments.iter().filter(|a| !own.contains(&a.flag.as_str()));
        if engine == "trtllm" {
            for argument in kept {
                args.extend(of_worker(&argument.flag, argument.value.as_deref(), OPTIONS)?);
            }
        } else {
            args.extend(kept.flat_map(|a| std::iter::once(a.flag.clone()).chain(a.value.clone())));
        }
        if engine == "sglang" && server.pool.is_some() {
            args.extend(["--host", "0.0.0.0"].map(str::to_owned));
        }
        if server.pool == Some(Pool::Prefill) && engine == "vllm" {
            args.push("--is-prefill-worker".into());
        }
        let nodes = member.nodes(release.gpus_per_node);
        let mut service = json!({
            "componentType": "worker",
            "replicas": member.copies,
            "envFromSecret": "hf-token",
            "resources": { "limits": { "gpu": member.gpus.div_ceil(nodes).to_string() } },
            "extraPodSpec": { "mainContainer": {
                "image": image,
                "command": ["python3", "-m", format!("dynamo.{engine}")],
                "args": args,
            } },
        });
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
    Ok(vec![parts::yaml_with(release, "dynamo.yaml", &documents, &parts::claimed(release))?])
}

/// The folder in which a worker of Dynamo finds its file of options.
const OPTIONS: &str = "/etc/shardfit";

/// An LLMInferenceService (`serving.kserve.io/v1alpha1`): degrees in the spec, flags in a variable.
pub(super) fn kserve(release: &Release) -> Result<Vec<File>, Diagnostic> {
    parts::only_vllm(release, "KServe")?;
    let model = model(release);
    let workload = |member: &Member| -> Result<Value, Diagnostic> {
        let line = member.line()?;
        let server = &member.server;
        let degrees = [
            "--tensor-parallel-size",
            "--pipeline-parallel-size",
            "--data-parallel-size",
            "--enable-expert-parallel",
        ];
        let rest = line.arguments.iter().filter(|a| !degrees.contains(&a.flag.as_str()));
        let words: Vec<String> = rest
            .flat_map(|a| std::iter::once(a.flag.clone()).chain(a.value.clone()))
            .map(|w| quoted(&w))
            .collect();
        let nodes = member.nodes(release.gpus_per_node);
        let mut parallelism = json!({ "tensor": server.tp.unwrap_or(1) });
        if let Some(stages) = server.pp.filter(|n| *n > 1) {
            parallelism["pipeline"] = json!(stages);
        }
        if let Some(ranks) = server.attention_dp.filter(|n| *n > 1) {
            parallelism["data"] = json!(ranks);
            parallelism["dataLocal"] = json!(u64::from(ranks).div_ceil(nodes));
        }
        if server.ep.is_some_and(|n| n > 1) {
            parallelism["expert"] = json!(true);
        }
        let mut env = parts::environment(&line.variables);
        env.push(json!({ "name": "VLLM_ADDITIONAL_ARGS", "value": words.join(" ") }));
        let pod = json!({ "containers": [{
            "name": "main",
            "image": member.image(&release.vendor)?,
            "env": env,
            "resources": {
                "limits": { parts::resource(&release.vendor): member.gpus.div_ceil(nodes).to_string() },
                "requests": { parts::resource(&release.vendor): member.gpus.div_ceil(nodes).to_string() },
            },
        }] });
        let mut out = json!({ "replicas": member.copies, "parallelism": parallelism, "template": pod });
        if nodes > 1 {
            out["worker"] = out["template"].clone();
        }
        Ok(out)
    };
    let decode = release.members.last().expect("a release has a member");
    let mut spec = workload(decode)?;
    spec["model"] = json!({ "uri": uri(&model), "name": model });
    spec["router"] = json!({ "route": {}, "gateway": {}, "scheduler": {} });
    if release.members.len() > 1 {
        spec["prefill"] = workload(&release.members[0])?;
    }
    let document = json!({
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "LLMInferenceService",
        "metadata": { "name": release.name() },
        "spec": spec,
    });
    Ok(vec![parts::yaml_with(release, "kserve.yaml", &[document], &parts::claimed(release))?])
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
    let nodes = member.nodes(release.gpus_per_node);
    if nodes > 1 {
        return Err(Diagnostic::new(Code::Usage, format!("each server of the plan spans {nodes} nodes"))
            .at("--emit skypilot")
            .help("write `k8s` or `slurm` for servers over nodes"));
    }
    let mut line = member.line()?;
    line.set("--host", "0.0.0.0")?;
    line.set("--port", member.port())?;
    let mut run = String::new();
    if let Some((name, keys)) = &line.options {
        let body = crate::load::to_yaml(&Value::Object(keys.clone()))?;
        run += &format!("cat > {name} <<'EOF'\n{}\nEOF\n", body.trim_end());
    }
    run += &line.shell();
    let mut task = json!({
        "name": release.name(),
        "resources": {
            "accelerators": { accelerator(&release.gpu): member.gpus },
            "image_id": format!("docker:{}", member.image(&release.vendor)?),
            "ports": member.port(),
            "disk_size": ((release.checkpoint.as_gib() * 1.1).ceil() as u64 + 100).max(256),
        },
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
    Ok(vec![parts::yaml(release, "sky.yaml", &[task])?])
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
    let line = member.line()?;
    let mut kwargs = Map::new();
    for argument in &line.arguments {
        let off = argument.flag.strip_prefix("--no-");
        let key = off.unwrap_or(argument.flag.trim_start_matches('-')).replace('-', "_");
        let value = match &argument.value {
            None => Value::Bool(off.is_none()),
            Some(text) => serde_json::from_str(text).unwrap_or_else(|_| Value::from(text.clone())),
        };
        kwargs.insert(key, value);
    }
    let model = model(release);
    // Groups of data parallel ranks are an application of their own form (`data-parallel-attention` of Ray's guides), in
    // which one group needs no number: versions before 2.54 take none.
    let groups = member.server.attention_dp.is_some_and(|ranks| ranks > 1);
    let mut config = json!({
        "model_loading_config": { "model_id": model, "model_source": model },
        "engine_kwargs": kwargs,
    });
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
    Ok(vec![parts::yaml(release, "ray-serve.yaml", &[document])?])
}

fn model(release: &Release) -> String {
    release.members.first().and_then(|m| m.server.model.clone()).unwrap_or_default()
}
