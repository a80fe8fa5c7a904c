//! What was found of a machine, what each engine would find there, and a description to complete of what is unknown.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value as Json;

use super::answer::{self, ANSWER_VERSION, kind, schema};
use super::cell::Value;
use super::format::Report;
use super::page::Page;
use super::section::{Section, Sections, sections_markdown, sections_page, sections_sheet};
use crate::catalog::link::{Link, LinkKind};
use crate::catalog::{Cluster, Detected, Engine, Group};
use crate::detect::{Device, HostFacts, Machine, Vendor};

/// A machine as its tools describe it and as the catalogue understands it.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    /// What its tools say.
    pub machine: Machine,
    /// What the catalogue makes of that.
    pub detected: Detected,
    /// Engines that may run there.
    pub engines: Vec<Engine>,
    /// The name that means this machine: `local`, or `local:SAVED`.
    pub name: String,
}

impl Diagnosis {
    /// Every section: devices, host, engines.
    fn sections(&self) -> Vec<Section> {
        vec![self.devices(), host(&self.machine.host), self.engine_table()]
    }

    fn devices(&self) -> Section {
        let mut section = Section::new(
            "gpus",
            "GPUs",
            1,
            &[
                ("device", "device", 1.0),
                ("count", "count", 1.0),
                ("gpu", "catalogue", 1.0),
                ("memory_gib", "memory GiB", 1.0),
                ("used_gib", "in use GiB", 1.0),
                ("capability", "capability", 1.0),
                ("driver", "driver", 1.0),
                ("link", "joined by", 1.0),
            ],
        );
        section.rows.extend(self.detected.groups.iter().map(known));
        section.rows.extend(self.detected.unknown.iter().map(unknown));
        if section.rows.is_empty() {
            section
                .remarks
                .push("No tool of a GPU's vendor answered, and no GPU is on the PCI bus.".to_owned());
        }
        section.remarks.extend(self.detected.notes.iter().map(|note| sentence(note)));
        section
    }

    fn engine_table(&self) -> Section {
        let columns = [
            ("engine", "engine", 1.0),
            ("gpu", "GPU", 1.0),
            ("runs", "runs", 1.0),
            ("kernels", "kernels", 1.0),
        ];
        let mut section = Section::new("engines", "Engines", 2, &columns);
        for group in &self.detected.groups {
            let gpu = &group.cluster.gpu;
            for engine in self.engines.iter().filter(|engine| engine.runs_on(gpu)) {
                let own = gpu.kernels.gemm.keys().any(|key| key == engine.kernel_key());
                section.rows.push(vec![
                    Value::Text(format!("{} {}", engine.id, engine.version)),
                    Value::Text(gpu.id.clone()),
                    "yes".into(),
                    if own { "fitted to this GPU" } else { "not calibrated on this GPU" }.into(),
                ]);
            }
        }
        let others =
            self.engines.iter().filter(|e| !self.detected.groups.iter().any(|g| e.runs_on(&g.cluster.gpu)));
        let others: Vec<&str> = others.map(|engine| engine.id.as_str()).collect();
        if !others.is_empty() && !section.rows.is_empty() {
            section.remarks.push(format!("Not for this hardware: {}.", others.join(", ")));
        }
        section
    }

    /// The sections, what is missing, the name to use.
    pub fn report(&self) -> Report {
        let sections = self.sections();
        let rows = sections_sheet(&sections);
        let markdown = Some(sections_markdown(&sections));
        Report { markdown, ..Report::new(self.page(), self.json(), rows) }
    }

    fn page(&self) -> Page {
        let mut out = sections_page(&self.sections());
        if !self.machine.missing.is_empty() {
            out.push_str("Not known\n\n");
            self.machine.missing.iter().for_each(|missing| {
                let _ = writeln!(out, "  {missing}");
            });
            out.push_str("\n");
        }
        match self.detected.groups.is_empty() {
            false => {
                let _ = writeln!(out, "`--cluster {}` is {}.", self.name, self.detected.brief());
            }
            true => out.push_str("Nothing here that the catalogue can plan with.\n"),
        }
        for device in first_of_each(&self.detected.unknown) {
            let _ = write!(
                out,
                "\nA description of {} to complete, as DIR/gpus/{}.yaml of `--catalog DIR`:\n\n",
                device.name,
                id(&device.name)
            );
            out.verbatim(description(device));
        }
        out
    }

    fn json(&self) -> Json {
        answer::json(&DoctorAnswer {
            schema_version: ANSWER_VERSION,
            cluster: &self.name,
            is: self.detected.brief(),
            missing: &self.machine.missing,
            tables: Sections(&self.sections()),
        })
    }
}

/// What was found of a machine.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Doctor")]
struct DoctorAnswer<'a> {
    /// Version of the form of answers.
    schema_version: u64,
    /// The name that means this machine as a cluster.
    cluster: &'a str,
    /// What it is, in a few words.
    is: String,
    /// What is not known of it.
    missing: &'a [String],
    #[serde(flatten)]
    tables: Sections<'a>,
}

/// The JSON Schema of what `doctor` answers.
pub(super) fn doctor_schema() -> Json {
    schema("DoctorAnswer", &[kind::<DoctorAnswer>])
}

fn first_of_each(devices: &[Device]) -> Vec<&Device> {
    let mut all: Vec<&Device> = Vec::new();
    for device in devices {
        if all.iter().all(|known| known.name != device.name) {
            all.push(device);
        }
    }
    all
}

fn known(group: &Group) -> Vec<Value> {
    let first = group.devices.first();
    let text = |of: fn(&Device) -> Option<String>| first.and_then(of).map_or(Value::Missing, Value::Text);
    let used = group.devices.iter().filter_map(|device| device.used).max();
    vec![
        Value::Text(group.name.clone()),
        u64::from(group.cluster.gpus).into(),
        Value::Text(group.cluster.gpu.id.clone()),
        group.cluster.gpu.board().as_gib().into(),
        used.map_or(Value::Missing, |used| used.as_gib().into()),
        text(|device| device.capability.clone()),
        text(|device| device.driver.clone()),
        Value::Text(joined(&group.cluster)),
    ]
}

fn unknown(device: &Device) -> Vec<Value> {
    let text = |value: &Option<String>| value.clone().map_or(Value::Missing, Value::Text);
    vec![
        Value::Text(device.name.clone()),
        1u64.into(),
        "none".into(),
        device.memory.map_or(Value::Missing, |memory| memory.as_gib().into()),
        device.used.map_or(Value::Missing, |used| used.as_gib().into()),
        text(&device.capability),
        text(&device.driver),
        Value::Missing,
    ]
}

fn joined(cluster: &Cluster) -> String {
    let link = |link: &Link| {
        let rate = link.bandwidth.get() / 1e9;
        let host = if link.through_host() && cluster.gpus > 1 { " through the host" } else { "" };
        format!("{} {rate:.1} GB/s{host}", link.kind.name())
    };
    let own = match (cluster.gpus, cluster.scale_up.kind) {
        (1, kind) if kind != LinkKind::Pcie => "alone".to_owned(),
        _ => link(&cluster.scale_up),
    };
    match &cluster.bridge {
        Some(bridged) => {
            format!("{}, {} in groups of {}", own, link(&bridged.bridge.link), bridged.bridge.gpus)
        }
        None => own,
    }
}

fn host(facts: &HostFacts) -> Section {
    let columns = [
        ("processor", "processor", 1.0),
        ("sockets", "sockets", 1.0),
        ("memory_gib", "memory GiB", 1.0),
        ("available_gib", "available GiB", 1.0),
        ("bandwidth_gb_per_s", "bandwidth GB/s", 1.0),
        ("bandwidth_from", "which is", 1.0),
    ];
    let mut section = Section::new("host", "Host", 1, &columns);
    section.rows.push(vec![
        facts.processor.clone().map_or(Value::Missing, Value::Text),
        facts.sockets.map_or(Value::Missing, |n| u64::from(n).into()),
        facts.memory.map_or(Value::Missing, |memory| memory.as_gib().into()),
        facts.available.map_or(Value::Missing, |memory| memory.as_gib().into()),
        facts.bandwidth.map_or(Value::Missing, |rate| (rate.get() / 1e9).into()),
        facts.bandwidth_from.clone().map_or(Value::Missing, Value::Text),
    ]);
    section
}

fn sentence(note: &str) -> String {
    format!("{}.", note.trim_end_matches('.'))
}

/// A name as an identifier.
fn id(name: &str) -> String {
    let lower = name.to_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words
        .filter(|word| !["nvidia", "amd", "intel", "r", "tm", "gpu", "geforce"].contains(word))
        .collect::<Vec<_>>()
        .join("-")
}

/// The class of a device: whose kernels stand in for its own.
fn class(device: &Device) -> &'static str {
    let capability = device.capability.as_deref().unwrap_or_default();
    match device.vendor {
        // NVIDIA, CUDA programming guide, "Compute capabilities": GV100, GA100, GH100, GB100 and GB300.
        Vendor::Nvidia if ["7.0", "8.0", "9.0", "10.0", "10.3"].contains(&capability) => "datacenter-hbm",
        // LLVM, user guide for the AMDGPU backend: CDNA and its successors.
        Vendor::Amd if ["gfx908", "gfx90a", "gfx942", "gfx950"].contains(&capability) => "cdna",
        Vendor::Apple => "apple",
        Vendor::Huawei => "ascend",
        Vendor::Nvidia | Vendor::Amd | Vendor::Intel => "gddr-pcie",
    }
}

/// What is known of a device as a GPU's file, and what is not as lines to complete.
fn description(device: &Device) -> String {
    let memory = device.memory.map_or("… GiB # not reported".to_owned(), |m| {
        format!("{:.2} GiB # less what the driver keeps: cudaMemGetInfo", m.as_gib())
    });
    let slot =
        device.pcie.map_or("32 GB/s".to_owned(), |slot| format!("{} GB/s", slot.bandwidth().get() / 1e9));
    format!(
        "id: {}\nname: {}\nvendor: {}\narchitecture: … # e.g. ada\nclass: {}\nmemory: {memory}\n\
         bandwidth: … GB/s # datasheet\npeak: # dense, datasheet\n  fp32: … TFLOP/s\n  fp16: … TFLOP/s\n\
         multiprocessors: {}\ncache: … MB\nscale_up: {{kind: pcie, bandwidth: {slot}, latency: 10 us}}\n\
         scale_out: {{kind: ethernet, bandwidth: 10 Gbit/s, latency: 15 us}}\ngpus_per_node: 1\ntdp: … W\n\
         idle_power: 20 W\nsources: [\"…\"]\n",
        id(&device.name),
        device.name,
        device.vendor.name().to_lowercase(),
        class(device),
        device.cores.map_or("…".to_owned(), |cores| cores.to_string()),
    )
}
