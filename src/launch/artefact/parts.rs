//! What files of several targets have in common.

use serde_json::{Value, json};

use super::super::line::open;
use super::super::platform::Platform;
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

/// What a container of Kubernetes asks for so that it is given some GPUs; nothing where there are none to ask for. A slice has
/// a resource of its own (NVIDIA's device plugin, strategy `mixed`).
pub(super) fn resources(release: &Release, gpus: u64) -> Value {
    let whole = Platform::of(&release.vendor).resource.map(str::to_owned);
    match release.slice.as_ref().map(|profile| format!("nvidia.com/mig-{profile}")).or(whole) {
        Some(name) => {
            json!({ "limits": { name.clone(): gpus.to_string() }, "requests": { name: gpus.to_string() } })
        }
        None => json!({}),
    }
}

/// The image of a kind of server.
pub(super) fn image(release: &Release, member: &Member) -> Result<String, Diagnostic> {
    member.image(&release.vendor, &release.gpu)
}

/// Shared memory for the ranks of a server, as a volume of Kubernetes: what collectives and the workers of an engine exchange
/// (`--ipc=host` or `--shm-size` of the engines' documentation of Docker).
pub(super) fn shared_memory() -> (Value, Value) {
    let mount = json!({ "name": "shm", "mountPath": "/dev/shm" });
    (mount, json!({ "name": "shm", "emptyDir": { "medium": "Memory", "sizeLimit": "16Gi" } }))
}

/// The folder on the node's drives that a server keeps prefixes in, as it is mounted.
pub(super) fn drives(member: &Member) -> Option<(Value, Value)> {
    let folder = member.server.disk_cache.as_deref()?;
    let mount = json!({ "name": "drives", "mountPath": folder });
    Some((mount, json!({ "name": "drives", "hostPath": { "path": folder, "type": "DirectoryOrCreate" } })))
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

/// The secret of Kubernetes that holds the hub's token, and its key: that which the chart of llm-d and KServe's storage look
/// for, and which a container sees where it is given the whole secret.
pub(super) const SECRET: &str = "hf-token";
pub(super) const TOKEN: &str = "HF_TOKEN";

/// What a manifest needs to be there first.
pub(super) fn needed(release: &Release, secret_is_needed: bool) -> Vec<String> {
    let folders: Vec<String> = release.members.iter().flat_map(folders).collect();
    let claim = folders.first().map(|folder| {
        format!("needs: a PersistentVolumeClaim `{CLAIM}` whose volume is what the pods see at {folder}")
    });
    let whose = format!("a Secret `{SECRET}` whose key {TOKEN} is a token of the hub");
    let secret = match secret_is_needed {
        true => format!("needs: {whose}"),
        false => format!("needs for a gated model: {whose}"),
    };
    let slices = release.slice.as_ref().map(|profile| {
        format!(
            "needs: NVIDIA's device plugin with the strategy `mixed`; with `single` the resource is nvidia.com/gpu, not \
             nvidia.com/mig-{profile}"
        )
    });
    let spans_nodes = release.members.iter().any(|member| member.nodes(release.gpus_per_node) > 1);
    let fabric = (spans_nodes && release.vendor == "nvidia").then(|| {
        "needs: the nodes' RDMA ports in the pods (a resource `rdma/...` of the cluster's own device plugin, and its network or \
         the host's), without which nodes exchange over TCP, several times slower than is counted here"
            .to_owned()
    });
    claim.into_iter().chain(folders.is_empty().then_some(secret)).chain(slices).chain(fabric).collect()
}

/// Environment of a container: the hub's token from a secret, then what the command needs.
pub(super) fn environment(variables: &[(String, String)]) -> Vec<Value> {
    let token = json!({ "name": TOKEN, "valueFrom": { "secretKeyRef": {
        "name": SECRET, "key": TOKEN, "optional": true } } });
    let set = variables.iter().map(|(name, value)| json!({ "name": name, "value": value }));
    std::iter::once(token).chain(set).collect()
}

/// Where decode servers ask for what a prefill server of vLLM holds: at the pod's own address (`vllm/envs.py`; the default is
/// `localhost`).
pub(super) fn side_channel(member: &Member) -> Vec<Value> {
    if member.server.engine != "vllm" || member.server.pool.is_none() {
        return Vec::new();
    }
    vec![
        json!({ "name": "VLLM_NIXL_SIDE_CHANNEL_HOST",
            "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } }),
        json!({ "name": "VLLM_NIXL_SIDE_CHANNEL_PORT", "value": SIDE_CHANNEL.to_string() }),
    ]
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
    env.extend(side_channel(member));
    let own_program = member.image_starts(&release.vendor);
    let (shm, _) = shared_memory();
    let mut out = json!({
        "name": member.role(),
        "image": image(release, member)?,
        "env": env,
        "ports": [{ "containerPort": member.port(), "name": "http" }],
        "resources": resources(release, gpus),
        // Loading weights takes minutes; the server answers /health from then on.
        "startupProbe": { "httpGet": { "path": "/health", "port": "http" }, "periodSeconds": 10, "failureThreshold": 360 },
        "readinessProbe": { "httpGet": { "path": "/health", "port": "http" }, "periodSeconds": 5 },
        "volumeMounts": [
            shm,
            { "name": "cache", "mountPath": "/root/.cache/huggingface" },
        ],
    });
    if let Some((mount, _)) = drives(member) {
        out["volumeMounts"].as_array_mut().expect("made above").push(mount);
    }
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
    let mut out = vec![shared_memory().1, json!({ "name": "cache", "emptyDir": {} })];
    out.extend(drives(member).map(|(_, volume)| volume));
    if !folders(member).is_empty() {
        out.push(json!({ "name": CLAIM, "persistentVolumeClaim": { "claimName": CLAIM } }));
    }
    if member.line()?.options.is_some() {
        out.push(json!({ "name": "options", "configMap": { "name": name } }));
    }
    Ok(out)
}
