//! A Compose file (compose-spec): one service a server, and the router of split pools.

use serde_json::{Map, Value, json};

use super::super::platform::Platform;
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
            let mut words = member.container_words(&line, &release.vendor);
            words.extend(seat.flags(member).into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]));
            let inside = if split { seat.port as u16 } else { member.port() };
            words.extend(member.listen(inside));
            let own = seat.variables(member).into_iter().map(|(name, value)| (name.to_owned(), value));
            let variables: Vec<(String, String)> = line.variables.iter().cloned().chain(own).collect();
            let mut volumes = vec!["~/.cache/huggingface:/root/.cache/huggingface".to_owned()];
            volumes.extend(parts::folders(member).into_iter().map(|folder| format!("{folder}:{folder}:ro")));
            volumes.extend(member.server.disk_cache.iter().map(|folder| format!("{folder}:{folder}")));
            if release.vendor == "ascend" {
                volumes.extend(ASCEND_DRIVER.map(|place| format!("{place}:{place}")));
            }
            let mut service = json!({
                "image": parts::image(release, member)?,
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
            let shown = Platform::of(&release.vendor).visible.map(|name| (name, seat.shown(release)));
            match (release.vendor.as_str(), shown) {
                ("nvidia", _) => {
                    service["deploy"] = json!({ "resources": { "reservations": { "devices": [
                        { "driver": release.vendor, "device_ids": seat.devices(release), "capabilities": ["gpu"] }
                    ] } } });
                }
                // A container sees the devices that it is given by numbers of its own.
                ("ascend", _) => {
                    let own = seat.cards(release).into_iter().map(|n| format!("/dev/davinci{n}"));
                    let all: Vec<String> = own.chain(ASCEND_DEVICES.map(str::to_owned)).collect();
                    service["devices"] = json!(all);
                }
                (vendor, Some((name, cards))) => {
                    service["devices"] = match vendor {
                        "amd" => json!(["/dev/kfd", "/dev/dri"]),
                        _ => json!(["/dev/dri"]),
                    };
                    if vendor == "amd" {
                        service["group_add"] = json!(["video"]);
                    }
                    service["environment"][name] = json!(cards);
                }
                (_, None) => {}
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
            "image": parts::image(release, member)?,
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

/// What a container of Ascend's NPUs is given beside them: devices of the driver, and what of it lies on the host (quick
/// start of vLLM's plug-in for Ascend, 0.13).
const ASCEND_DEVICES: [&str; 3] = ["/dev/davinci_manager", "/dev/devmm_svm", "/dev/hisi_hdc"];
const ASCEND_DRIVER: [&str; 5] = [
    "/usr/local/dcmi",
    "/usr/local/bin/npu-smi",
    "/usr/local/Ascend/driver/lib64/",
    "/usr/local/Ascend/driver/version.info",
    "/etc/ascend_install.info",
];

fn environment(variables: &[(String, String)]) -> Value {
    let mut out = Map::new();
    out.insert("HF_TOKEN".into(), json!("${HF_TOKEN:-}"));
    out.extend(variables.iter().map(|(name, value)| (name.clone(), Value::from(value.clone()))));
    Value::Object(out)
}
