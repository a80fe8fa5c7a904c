//! What files of several targets have in common.

use serde_json::{Value, json};

use super::super::line::open;
use super::super::release::{Member, Release};
use super::router::SIDE_CHANNEL;
use crate::diagnostic::{Code, Diagnostic};
use crate::load;

/// A file to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// A YAML file with the release's head; several documents where there are several.
pub(super) fn yaml(
    release: &Release,
    name: impl Into<String>,
    documents: &[Value],
) -> Result<File, Diagnostic> {
    yaml_with(release, name, documents, &[])
}

/// A YAML file with the release's head and more lines at its end.
pub(super) fn yaml_with(
    release: &Release,
    name: impl Into<String>,
    documents: &[Value],
    more: &[String],
) -> Result<File, Diagnostic> {
    let texts = documents.iter().map(load::to_yaml).collect::<Result<Vec<_>, _>>()?;
    let body: Vec<String> = texts.iter().map(|t| t.trim_end().to_owned() + "\n").collect();
    let more: String = more.iter().map(|line| format!("# {line}\n")).collect();
    Ok(File { name: name.into(), text: release.comments() + &more + &body.join("---\n") })
}

/// The resource of Kubernetes by which a vendor's GPUs are asked for (the vendors' device plugins).
pub(super) fn resource(vendor: &str) -> &'static str {
    match vendor {
        "amd" => "amd.com/gpu",
        "intel" => "gpu.intel.com/xe",
        "habana" | "gaudi" => "habana.ai/gaudi",
        "google" => "google.com/tpu",
        "aws" => "aws.amazon.com/neuron",
        _ => "nvidia.com/gpu",
    }
}

/// A target that only vLLM's plans can be written for.
pub(super) fn only_vllm(release: &Release, target: &str) -> Result<(), Diagnostic> {
    match release.members.iter().find(|m| m.server.engine != "vllm") {
        Some(member) => Err(Diagnostic::new(
            Code::Usage,
            format!("{target} starts vLLM, and the plan is of {}", member.server.engine),
        )
        .at("--emit")
        .help("plan with --engine vllm, or write `command`, `docker`, `k8s` or `slurm`")),
        None => Ok(()),
    }
}

/// Folders outside of the hub's cache that a server reads: those of models and drafts that are named by a path.
pub(super) fn folders(member: &Member) -> Vec<String> {
    let server = &member.server;
    let draft = server.speculation.as_ref().and_then(|drafts| drafts.model.as_deref());
    let mut out = Vec::new();
    for path in [server.model.as_deref(), draft].into_iter().flatten() {
        let folder = match path.rsplit_once('/') {
            // Files and folders beside each other are mounted once.
            Some((folder, _)) if folder.starts_with('/') => folder.to_owned(),
            Some(("", _)) => path.to_owned(),
            _ => continue,
        };
        if !out.contains(&folder) {
            out.push(folder);
        }
    }
    out
}

/// The claim of Kubernetes on the volume that holds checkpoints which no hub has.
pub(super) const CLAIM: &str = "models";

/// What a manifest needs to be there first.
pub(super) fn claimed(release: &Release) -> Vec<String> {
    let folders: Vec<String> = release.members.iter().flat_map(folders).collect();
    match folders.first() {
        Some(folder) => vec![format!(
            "needs: a PersistentVolumeClaim `{CLAIM}` whose volume is what the pods see at {folder}"
        )],
        None => Vec::new(),
    }
}

/// Environment of a container: the hub's token from a secret, then what the command needs.
pub(super) fn environment(variables: &[(String, String)]) -> Vec<Value> {
    let token = json!({ "name": "HF_TOKEN", "valueFrom": { "secretKeyRef": {
        "name": "hf-token", "key": "token", "optional": true } } });
    let set = variables.iter().map(|(name, value)| json!({ "name": name, "value": value }));
    std::iter::once(token).chain(set).collect()
}

/// A container of Kubernetes with its GPUs, port and probes.
pub(super) fn container(
    member: &Member,
    release: &Release,
    words: &[String],
    gpus: u64,
) -> Result<Value, Diagnostic> {
    let line = member.line()?;
    let mut env = environment(&line.variables);
    if member.server.engine == "vllm" && member.server.pool.is_some() {
        // Where decode servers ask for what a prefill server holds (`vllm/envs.py`).
        env.push(json!({ "name": "VLLM_NIXL_SIDE_CHANNEL_HOST",
            "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } }));
        env.push(json!({ "name": "VLLM_NIXL_SIDE_CHANNEL_PORT", "value": SIDE_CHANNEL.to_string() }));
    }
    let own_program = matches!(member.server.engine.as_str(), "vllm" | "llama.cpp");
    let mut out = json!({
        "name": member.role(),
        "image": member.image(&release.vendor)?,
        "env": env,
        "ports": [{ "containerPort": member.port(), "name": "http" }],
        "resources": {
            "limits": { resource(&release.vendor): gpus.to_string() },
            "requests": { resource(&release.vendor): gpus.to_string() },
        },
        // Loading weights takes minutes; the server answers /health from then on.
        "startupProbe": { "httpGet": { "path": "/health", "port": "http" }, "periodSeconds": 10, "failureThreshold": 360 },
        "readinessProbe": { "httpGet": { "path": "/health", "port": "http" }, "periodSeconds": 5 },
        "volumeMounts": [
            { "name": "shm", "mountPath": "/dev/shm" },
            { "name": "cache", "mountPath": "/root/.cache/huggingface" },
        ],
    });
    for folder in folders(member) {
        let mount = json!({ "name": CLAIM, "mountPath": folder, "readOnly": true });
        out["volumeMounts"].as_array_mut().expect("made above").push(mount);
    }
    // What a shell works out is left to a shell.
    let worked_out = words.iter().any(|word| word.contains("$(("));
    if worked_out {
        let words = match words {
            // `vllm serve` takes its model bare.
            [model, name, rest @ ..] if own_program && model == "--model" => {
                ["vllm", "serve", name].map(str::to_owned).into_iter().chain(rest.iter().cloned()).collect()
            }
            _ => words.to_vec(),
        };
        let opened: Vec<String> = words.iter().map(|word| open(word)).collect();
        out["command"] = json!(["/bin/sh", "-c"]);
        out["args"] = json!([format!("exec {}", opened.join(" "))]);
    } else {
        out[if own_program { "args" } else { "command" }] = json!(words);
    }
    if let Some((name, _)) = &line.options {
        let mount =
            json!({ "name": "options", "mountPath": format!("/etc/shardfit/{name}"), "subPath": name });
        out["volumeMounts"].as_array_mut().expect("made above").push(mount);
        let path = format!("/etc/shardfit/{name}");
        let words: Vec<String> =
            words.iter().map(|w| if w == name { path.clone() } else { w.clone() }).collect();
        out["command"] = json!(words);
    }
    Ok(out)
}

/// Volumes of a pod: shared memory for the ranks, the hub's cache, and a file of options.
pub(super) fn volumes(member: &Member, name: &str) -> Result<Vec<Value>, Diagnostic> {
    let mut out = vec![
        json!({ "name": "shm", "emptyDir": { "medium": "Memory", "sizeLimit": "16Gi" } }),
        json!({ "name": "cache", "emptyDir": {} }),
    ];
    if !folders(member).is_empty() {
        out.push(json!({ "name": CLAIM, "persistentVolumeClaim": { "claimName": CLAIM } }));
    }
    if member.line()?.options.is_some() {
        out.push(json!({ "name": "options", "configMap": { "name": name } }));
    }
    Ok(out)
}
