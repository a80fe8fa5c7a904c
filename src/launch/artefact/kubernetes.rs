//! Kubernetes: Deployment and Service, LeaderWorkerSet (`leaderworkerset.x-k8s.io/v1`) where a server spans nodes.

use serde_json::{Value, json};

use super::super::release::{Member, Node, Rank, Release};
use super::parts::{self, File};
use crate::diagnostic::Diagnostic;
use crate::load;

pub(super) fn kubernetes(release: &Release) -> Result<Vec<File>, Diagnostic> {
    release.members.iter().map(|member| one(release, member)).collect()
}

fn one(release: &Release, member: &Member) -> Result<File, Diagnostic> {
    let name = match release.members.len() {
        1 => release.name(),
        _ => format!("{}-{}", release.name(), member.role()),
    };
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
    let mut selector = labels.clone();
    if nodes > 1 {
        // Only leaders answer requests.
        selector["leaderworkerset.sigs.k8s.io/worker-index"] = json!("0");
    }
    documents.push(json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": name, "labels": labels },
        "spec": {
            "selector": selector,
            "ports": [{ "name": "http", "port": 80, "targetPort": "http" }],
        },
    }));
    let file =
        if release.members.len() == 1 { "k8s.yaml".into() } else { format!("k8s-{}.yaml", member.role()) };
    parts::yaml(release, file, &documents)
}

fn deployment(release: &Release, member: &Member, name: &str, labels: &Value) -> Result<Value, Diagnostic> {
    let line = member.line()?;
    let mut words = member.container_words(&line);
    words.extend(member.listen(member.port()));
    let container = parts::container(member, release, &words, member.gpus)?;
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
    let per_node = release.gpus_per_node;
    let nodes = member.nodes(per_node);
    let node = |rank| Node { rank, nodes, address: "$(LWS_LEADER_ADDRESS)" };
    let leader = member.line_of_node(node(Rank::Is(0)), per_node)?;
    let worker = member.line_of_node(node(Rank::Set("$(LWS_WORKER_INDEX)")), per_node)?;
    let pod = |line: &super::super::line::Line, serves: bool| -> Result<Value, Diagnostic> {
        let mut words = member.container_words(line);
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
