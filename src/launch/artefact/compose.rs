//! A Compose file (compose-spec): one service a server.

use serde_json::{Map, Value, json};

use super::super::release::Release;
use super::parts::{self, File};
use crate::diagnostic::{Code, Diagnostic};
use crate::load;

pub(super) fn compose(release: &Release) -> Result<Vec<File>, Diagnostic> {
    let mut services = Map::new();
    let mut configs = Map::new();
    let mut next_gpu = 0;
    let mut port = None;
    for member in &release.members {
        if member.nodes(release.gpus_per_node) > 1 || !release.fits_a_node() {
            return Err(Diagnostic::new(
                Code::Usage,
                format!(
                    "the plan takes {} GPUs, and a Compose file starts those of one node",
                    release.gpus()
                ),
            )
            .at("--emit docker")
            .help("write `k8s` or `slurm` for several nodes, or plan for one node"));
        }
        let line = member.line()?;
        for copy in 0..member.copies {
            let name = match member.copies {
                1 => member.role().to_owned(),
                _ => format!("{}-{copy}", member.role()),
            };
            let host = *port.get_or_insert(u64::from(member.port()));
            let mut words = member.container_words(&line);
            words.extend(member.listen(member.port()));
            let ids: Vec<String> = (next_gpu..next_gpu + member.gpus).map(|n| n.to_string()).collect();
            next_gpu += member.gpus;
            let mut service = json!({
                "image": member.image(&release.vendor)?,
                "command": words,
                "ports": [format!("{host}:{}", member.port())],
                "ipc": "host",
                "volumes": ["~/.cache/huggingface:/root/.cache/huggingface"],
                "environment": environment(&line.variables),
                "restart": "unless-stopped",
            });
            port = Some(host + 1);
            if release.vendor == "amd" {
                service["devices"] = json!(["/dev/kfd", "/dev/dri"]);
                service["group_add"] = json!(["video"]);
                service["environment"]["HIP_VISIBLE_DEVICES"] = json!(ids.join(","));
            } else {
                service["deploy"] = json!({ "resources": { "reservations": { "devices": [
                    { "driver": release.vendor, "device_ids": ids, "capabilities": ["gpu"] }
                ] } } });
            }
            if let Some((file, keys)) = &line.options {
                let text = load::to_yaml(&Value::Object(keys.clone()))?;
                configs.insert("options".into(), json!({ "content": text }));
                service["configs"] = json!([{ "source": "options", "target": format!("/{file}") }]);
                service["working_dir"] = json!("/");
            }
            services.insert(name, service);
        }
    }
    let mut document = json!({ "services": services });
    if !configs.is_empty() {
        document["configs"] = Value::Object(configs);
    }
    Ok(vec![parts::yaml(release, "compose.yaml", &[document])?])
}

fn environment(variables: &[(String, String)]) -> Value {
    let mut out = Map::new();
    out.insert("HF_TOKEN".into(), json!("${HF_TOKEN:-}"));
    out.extend(variables.iter().map(|(name, value)| (name.clone(), Value::from(value.clone()))));
    Value::Object(out)
}
