//! Platforms that start engines themselves: llm-d, Dynamo, KServe, SkyPilot, Ray Serve.

use serde_json::{Map, Value, json};

use super::super::line::quoted;
use super::super::release::{Member, Release};
use super::super::server::Pool;
use super::parts::{self, File};
use crate::diagnostic::{Code, Diagnostic};

/// Values of the chart `llm-d-modelservice` 0.4: degrees in `parallelism`, flags as arguments.
pub(super) fn llm_d(release: &Release) -> Result<Vec<File>, Diagnostic> {
    parts::only_vllm(release, "llm-d")?;
    let model = model(release);
    let mut values = json!({
        "modelArtifacts": { "uri": format!("hf://{model}"), "name": model, "size": "500Gi" },
        "routing": { "servicePort": 8000 },
        "prefill": { "create": false },
    });
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
                "mountModelVolume": true,
                "resources": {
                    "limits": { parts::resource(&release.vendor): member.gpus.div_ceil(nodes).to_string() },
                    "requests": { parts::resource(&release.vendor): member.gpus.div_ceil(nodes).to_string() },
                },
            }],
        });
        if nodes > 1 {
            values["multinode"] = json!(true);
        }
    }
    Ok(vec![parts::yaml(release, "llm-d-values.yaml", &[values])?])
}

/// A DynamoGraphDeployment (`nvidia.com/v1alpha1`): a frontend, and workers of one or two kinds.
pub(super) fn dynamo(release: &Release) -> Result<Vec<File>, Diagnostic> {
    let name = release.name();
    let mut services = Map::new();
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
        args.extend(kept.flat_map(|a| std::iter::once(a.flag.clone()).chain(a.value.clone())));
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
    let document = json!({
        "apiVersion": "nvidia.com/v1alpha1",
        "kind": "DynamoGraphDeployment",
        "metadata": { "name": name },
        "spec": { "services": services },
    });
    let mut files = vec![parts::yaml(release, "dynamo.yaml", &[document])?];
    for member in &release.members {
        if let Some((name, keys)) = member.line()?.options {
            files.push(File { name, text: crate::load::to_yaml(&Value::Object(keys))? });
        }
    }
    Ok(files)
}

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
    spec["model"] = json!({ "uri": format!("hf://{model}"), "name": model });
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
    Ok(vec![parts::yaml(release, "kserve.yaml", &[document])?])
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
            "disk_size": 1024,
        },
        "run": run,
    });
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
    let mut config = json!({
        "model_loading_config": { "model_id": model, "model_source": model },
        "deployment_config": { "num_replicas": member.copies },
        "engine_kwargs": kwargs,
    });
    if !line.variables.is_empty() {
        let pairs: Map<String, Value> =
            line.variables.iter().map(|(name, value)| (name.clone(), Value::from(value.clone()))).collect();
        config["runtime_env"] = json!({ "env_vars": pairs });
    }
    let document = json!({ "applications": [{
        "name": release.name(),
        "route_prefix": "/",
        "import_path": "ray.serve.llm:build_openai_app",
        "args": { "llm_configs": [config] },
    }] });
    Ok(vec![parts::yaml(release, "ray-serve.yaml", &[document])?])
}

fn model(release: &Release) -> String {
    release.members.first().and_then(|m| m.server.model.clone()).unwrap_or_default()
}
