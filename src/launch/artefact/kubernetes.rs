//! Kubernetes: Deployment and Service, LeaderWorkerSet (`leaderworkerset.x-k8s.io/v1`) where a server spans nodes. Servers
//! of split pools have names of their own (StatefulSet), which their router knows.

use serde_json::{Value, json};

use super::super::release::{Member, Node, Rank, Release};
use super::super::server::Pool;
use super::parts::{self, File};
use super::router::{Address, BOOTSTRAP, Router};
use crate::diagnostic::{Code, Diagnostic};
use crate::load;

pub(super) fn kubernetes(release: &Release) -> Result<Vec<File>, Diagnostic> {
    let mut files: Vec<File> =
        release.members.iter().map(|member| one(release, member)).collect::<Result<_, _>>()?;
    if release.is_split() {
        files.push(router(release)?);
    }
    Ok(files)
}

/// The name of the servers of a kind.
fn named(release: &Release, member: &Member) -> String {
    match release.members.len() {
        1 => release.name(),
        _ => format!("{}-{}", release.name(), member.role()),
    }
}

fn one(release: &Release, member: &Member) -> Result<File, Diagnostic> {
    let name = named(release, member);
    let labels = json!({ "app.kubernetes.io/name": name });
    let mut documents = Vec::new();
    if let Some((file, keys)) = member.line()?.options {
        let text = load::to_yaml(&Value::Object(keys))?;
        documents.push(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": { file: text },
        }));
    }
    let nodes = member.nodes(release.gpus_per_node);
    documents.push(match nodes {
        1 => deployment(release, member, &name, &labels)?,
        _ => over_nodes(release, member, &name, &labels)?,
    });
    let service = |name: &str, spec: Value| {
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": name, "labels": labels }, "spec": spec,
        })
    };
    let port = json!([{ "name": "http", "port": 80, "targetPort": "http" }]);
    match (release.is_split(), nodes) {
        // The controller of LeaderWorkerSets makes the service that names their pods.
        (true, 2..) => {}
        // Each server by its own name, before it is ready: it is asked by name alone.
        (true, _) => documents.push(service(
            &name,
            json!({
                "selector": labels, "clusterIP": "None", "publishNotReadyAddresses": true,
                "ports": [{ "name": "http", "port": member.port(), "targetPort": "http" }],
            }),
        )),
        (false, 2..) => {
            // Only leaders answer requests. The bare name is that of the service which names the group's pods.
            let mut selector = labels.clone();
            selector["leaderworkerset.sigs.k8s.io/worker-index"] = json!("0");
            documents
                .push(service(&format!("{name}-leader"), json!({ "selector": selector, "ports": port })));
        }
        (false, _) => documents.push(service(&name, json!({ "selector": labels, "ports": port }))),
    }
    let file =
        if release.members.len() == 1 { "k8s.yaml".into() } else { format!("k8s-{}.yaml", member.role()) };
    parts::yaml_with(release, file, &documents, &parts::needed(release, false))
}

/// The router of split pools and the service that is asked.
fn router(release: &Release) -> Result<File, Diagnostic> {
    let name = release.name();
    let labels = json!({ "app.kubernetes.io/name": format!("{name}-router") });
    let first = &release.members[0];
    let port = u64::from(first.port());
    let addresses = |pool| -> Vec<Address> {
        let members = release.members.iter().filter(|m| m.server.pool == Some(pool));
        let each = |m: &Member| {
            let set = named(release, m);
            (0..m.copies)
                .map(|n| Address { at: format!("{set}-{n}.{set}:{port}"), bootstrap: BOOTSTRAP })
                .collect::<Vec<_>>()
        };
        members.flat_map(each).collect()
    };
    let router = Router::of(&first.server.engine, &addresses(Pool::Prefill), &addresses(Pool::Decode), port);
    let mut container = json!({
        "name": "router",
        "image": parts::image(release, first)?,
        "command": ["/bin/sh", "-c"],
        "args": [router.installed()],
        "ports": [{ "containerPort": port, "name": "http" }],
    });
    let mut pod = json!({});
    let mut documents = Vec::new();
    if let Some((file, keys)) = &router.options {
        let text = load::to_yaml(&Value::Object(keys.clone()))?;
        documents.push(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": format!("{name}-router") },
            "data": { file: text },
        }));
        container["workingDir"] = json!("/etc/shardfit");
        container["volumeMounts"] = json!([{ "name": "options", "mountPath": "/etc/shardfit" }]);
        pod["volumes"] = json!([{ "name": "options", "configMap": { "name": format!("{name}-router") } }]);
    }
    pod["containers"] = json!([container]);
    documents.push(json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": format!("{name}-router"), "labels": labels },
        "spec": {
            "replicas": 1,
            "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": pod },
        },
    }));
    documents.push(json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": name, "labels": labels },
        "spec": { "selector": labels, "ports": [{ "name": "http", "port": 80, "targetPort": "http" }] },
    }));
    parts::yaml(release, "k8s-router.yaml", &documents)
}

fn deployment(release: &Release, member: &Member, name: &str, labels: &Value) -> Result<Value, Diagnostic> {
    let line = member.line()?;
    let mut words = member.container_words(&line, &release.vendor);
    words.extend(member.listen(member.port()));
    let container = parts::container(member, release, &words, member.gpus)?;
    if release.is_split() {
        return Ok(json!({
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": { "name": name, "labels": labels },
            "spec": {
                "serviceName": name,
                "replicas": member.copies,
                "podManagementPolicy": "Parallel",
                "selector": { "matchLabels": labels },
                "template": {
                    "metadata": { "labels": labels },
                    "spec": { "containers": [container], "volumes": parts::volumes(member, name)? },
                },
            },
        }));
    }
    Ok(json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": name, "labels": labels },
        "spec": {
            "replicas": member.copies,
            "selector": { "matchLabels": labels },
            // A second server cannot start before the first gives its GPUs back.
            "strategy": { "type": "Recreate" },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [container], "volumes": parts::volumes(member, name)? },
            },
        },
    }))
}

/// One group of pods a server: a leader that answers, and workers.
fn over_nodes(release: &Release, member: &Member, name: &str, labels: &Value) -> Result<Value, Diagnostic> {
    if member.server.engine == "trtllm" {
        let cause = "TensorRT-LLM over nodes is one MPI world, and a LeaderWorkerSet starts each pod apart";
        return Err(Diagnostic::new(Code::Usage, cause)
            .at("--emit k8s")
            .help("write `dynamo`, whose operator makes that world, or `slurm` or `command`, which start it with MPI"));
    }
    let per_node = release.gpus_per_node;
    let nodes = member.nodes(per_node);
    let node = |rank| Node { rank, nodes, address: "$(LWS_LEADER_ADDRESS)" };
    let leader = member.line_of_node(node(Rank::Is(0)), per_node)?;
    let worker = member.line_of_node(node(Rank::Set("LWS_WORKER_INDEX")), per_node)?;
    let pod = |line: &super::super::line::Line, serves: bool| -> Result<Value, Diagnostic> {
        let mut words = member.container_words(line, &release.vendor);
        if serves {
            words.extend(member.listen(member.port()));
        }
        let mut container = parts::container(member, release, &words, per_node.min(member.gpus))?;
        if !serves {
            for probe in ["startupProbe", "readinessProbe", "ports"] {
                container.as_object_mut().expect("a container").remove(probe);
            }
        }
        Ok(json!({
            "metadata": { "labels": labels },
            "spec": { "containers": [container], "volumes": parts::volumes(member, name)? },
        }))
    };
    Ok(json!({
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": { "name": name, "labels": labels },
        "spec": {
            "replicas": member.copies,
            "leaderWorkerTemplate": {
                "size": nodes,
                "restartPolicy": "RecreateGroupOnPodRestart",
                "leaderTemplate": pod(&leader, true)?,
                "workerTemplate": pod(&worker, false)?,
            },
        },
    }))
}
