//! A Compose file (compose-spec): one service a server, and the router of split pools.

use serde_json::{Map, Value, json};

use super::super::release::Release;
use super::super::server::Pool;
use super::parts::{self, File};
use super::router::{Address, Router, Seats};
use crate::diagnostic::{Code, Diagnostic};
use crate::load;

pub(super) fn compose(release: &Release) -> Result<Vec<File>, Diagnostic> {
    let mut services = Map::new();
    let mut configs = Map::new();
    let mut seats = Seats::of(release);
    // Servers of split pools find each other at ports of the host.
    let split = release.is_split();
    let (mut prefill, mut decode): (Vec<Address>, Vec<Address>) = (Vec::new(), Vec::new());
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
            let seat = seats.take(member);
            let address = Address { at: format!("127.0.0.1:{}", seat.port), bootstrap: seat.bootstrap };
            match member.server.pool {
                Some(Pool::Prefill) => prefill.push(address),
                _ => decode.push(address),
            }
            let mut words = member.container_words(&line);
            words.extend(seat.flags(member).into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]));
            let inside = if split { seat.port as u16 } else { member.port() };
            words.extend(member.listen(inside));
            let own = seat.variables(member).into_iter().map(|(name, value)| (name.to_owned(), value));
            let variables: Vec<(String, String)> = line.variables.iter().cloned().chain(own).collect();
            let mut volumes = vec!["~/.cache/huggingface:/root/.cache/huggingface".to_owned()];
            volumes.extend(parts::folders(member).into_iter().map(|folder| format!("{folder}:{folder}:ro")));
            let mut service = json!({
                "image": member.image(&release.vendor)?,
                "command": words,
                "ipc": "host",
                "volumes": volumes,
                "environment": environment(&variables),
                "restart": "unless-stopped",
            });
            match split {
                true => service["network_mode"] = json!("host"),
                false => service["ports"] = json!([format!("{}:{}", seat.port, member.port())]),
            }
            if release.vendor == "amd" {
                service["devices"] = json!(["/dev/kfd", "/dev/dri"]);
                service["group_add"] = json!(["video"]);
                service["environment"]["HIP_VISIBLE_DEVICES"] = json!(seat.cards().join(","));
            } else if release.vendor == "intel" {
                service["devices"] = json!(["/dev/dri"]);
                service["environment"]["ZE_AFFINITY_MASK"] = json!(seat.cards().join(","));
            } else {
                service["deploy"] = json!({ "resources": { "reservations": { "devices": [
                    { "driver": release.vendor, "device_ids": seat.cards(), "capabilities": ["gpu"] }
                ] } } });
            }
            if let Some((file, keys)) = &line.options {
                let text = load::to_yaml(&Value::Object(keys.clone()))?;
                let source = file.trim_end_matches(".yaml");
                configs.insert(source.into(), json!({ "content": text }));
                service["configs"] = json!([{ "source": source, "target": format!("/{file}") }]);
                service["working_dir"] = json!("/");
            }
            services.insert(name, service);
        }
    }
    if let Some(port) = seats.router() {
        let member = &release.members[0];
        let router = Router::of(&member.server.engine, &prefill, &decode, port);
        let mut service = json!({
            "image": member.image(&release.vendor)?,
            "entrypoint": ["/bin/sh", "-c"],
            "command": [router.installed()],
            "network_mode": "host",
            "depends_on": services.keys().collect::<Vec<_>>(),
            "restart": "unless-stopped",
        });
        if let Some((file, keys)) = &router.options {
            let text = load::to_yaml(&Value::Object(keys.clone()))?;
            configs.insert("router".into(), json!({ "content": text }));
            service["configs"] = json!([{ "source": "router", "target": format!("/{file}") }]);
            service["working_dir"] = json!("/");
        }
        services.insert("router".into(), service);
    }
    let mut document = json!({ "name": release.name(), "services": services });
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
