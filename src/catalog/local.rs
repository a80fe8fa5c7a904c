//! The machine that is at hand, and the nodes of a Kubernetes cluster, in the catalogue's words.

use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Read as _};
use std::path::Path;
use std::sync::{LazyLock, OnceLock};

use itertools::Itertools as _;
use regex::Regex;

use super::cluster::Bridged;
use super::gpu::Gpu;
use super::host::Host;
use super::link::{Bridge, Link, LinkKind};
use super::variant::names::slice_id;
use super::{Catalog, Cluster, Entry, Kind, Pools};
use crate::detect::kubernetes::{self, Node};
use crate::detect::{Device, HostFacts, Machine, Vendor};
use crate::diagnostic::{Code, Diagnostic, nearest};
use crate::load;
use crate::units::{Bytes, BytesPerSecond, FlopsPerSecond, Seconds, plural};

/// The name of the machine at hand.
pub const LOCAL: &str = "local";

/// The name of a Kubernetes cluster whose nodes are piped in.
pub const KUBERNETES: &str = "k8s";

/// Machine by machine, asked once in a process.
static HERE: OnceLock<Machine> = OnceLock::new();

/// What was piped in: it can be read once.
static PIPED: OnceLock<Result<String, Diagnostic>> = OnceLock::new();

/// What a machine or a Kubernetes cluster is in the catalogue's words.
#[derive(Clone, Debug, Default)]
pub struct Detected {
    /// GPUs of one kind each.
    pub groups: Vec<Group>,
    /// Devices that no entry describes.
    pub unknown: Vec<Device>,
    /// What was assumed, changed or left out.
    pub notes: Vec<String>,
}

/// GPUs of one kind that were found.
#[derive(Clone, Debug)]
pub struct Group {
    /// As their tool names them.
    pub name: String,
    /// The GPUs, how they are joined and what their host is.
    pub cluster: Cluster,
    /// The devices, as they were found; none of a Kubernetes cluster.
    pub devices: Vec<Device>,
}

impl Catalog {
    /// What `local`, `local:SAVED`, `k8s` or `k8s:SAVED` stands for; `None` for any other name.
    ///
    /// # Errors
    /// [`Code::Usage`] where names are those of entries alone, what is wrong with what was saved.
    pub fn detected(&self, name: &str) -> Option<Result<Detected, Diagnostic>> {
        let (kind, saved) =
            name.trim().split_once(':').map_or((name.trim(), None), |(kind, path)| (kind, Some(path)));
        let is = |known: &str| kind.eq_ignore_ascii_case(known);
        if !is(LOCAL) && !is(KUBERNETES) {
            return None;
        }
        if self.is_sealed() {
            let wrong = Diagnostic::new(Code::Usage, format!("`{kind}` is not asked for here"));
            return Some(Err(wrong.at("cluster").help("name the GPUs, for example 8xh100-sxm")));
        }
        let found = match (is(LOCAL), saved) {
            (true, None) => {
                Ok(self.of_machine(HERE.get_or_init(|| Machine::read(&crate::detect::Outputs::live()))))
            }
            (true, Some(path)) => {
                Machine::detect(Some(Path::new(path))).map(|machine| self.of_machine(&machine))
            }
            (false, _) => {
                nodes(saved).and_then(|(text, place)| Ok(self.of_nodes(&kubernetes::read(&text, &place)?)))
            }
        };
        Some(found)
    }

    /// The entries that a machine's devices are, grouped.
    pub fn of_machine(&self, machine: &Machine) -> Detected {
        let mut all = Detected::default();
        let mut found: Vec<(Gpu, Vec<usize>)> = Vec::new();
        for (index, device) in machine.devices.iter().enumerate() {
            match self.identified(device, machine.host.memory, &mut all.notes) {
                Some(gpu) => match found.iter_mut().find(|(known, _)| known.id == gpu.id) {
                    Some((known, indices)) => {
                        known.memory = known.memory.min(gpu.memory);
                        indices.push(index);
                    }
                    None => found.push((gpu, vec![index])),
                },
                None => all.unknown.push(device.clone()),
            }
        }
        if found.is_empty() {
            for adapter in &machine.adapters {
                match self.identified(adapter, machine.host.memory, &mut all.notes) {
                    Some(gpu) => {
                        let why = format!(
                            "{}: found on the PCI bus alone; its driver's tool did not answer",
                            gpu.name
                        );
                        all.notes.push(why);
                        all.groups.push(group(gpu, &[adapter], machine, &[], &mut all.notes));
                    }
                    None => all.unknown.push(adapter.clone()),
                }
            }
        }
        for (gpu, indices) in found {
            let devices: Vec<&Device> = indices.iter().filter_map(|i| machine.devices.get(*i)).collect();
            let bridged = group(gpu, &devices, machine, &nvidia_places(machine, &indices), &mut all.notes);
            all.groups.push(self.with_collectives(bridged));
        }
        // Graphics of the processor beside cards are for the screen.
        if !all.groups.is_empty() {
            all.unknown.retain(|device| !device.shares_memory);
        }
        if all.groups.is_empty() && all.unknown.iter().all(|device| device.shares_memory) {
            all.groups.extend(self.processor(&machine.host, &mut all.notes));
            if let (true, Some(name)) = (all.groups.is_empty(), &machine.host.processor) {
                all.notes.push(format!("the processor, {name}, is in no catalogue: its memory's bandwidth and its peak are missing"));
            }
        }
        all.notes.extend(all.groups.iter().flat_map(|g| in_use(&g.devices)).collect::<Vec<_>>());
        all.notes = all.notes.into_iter().unique().collect();
        all
    }

    /// A group whose bridge has the collectives of its kind of link.
    fn with_collectives(&self, mut group: Group) -> Group {
        if let Some(bridged) = &mut group.cluster.bridge
            && let Ok(tables) = self.collectives_over(bridged.bridge.link.kind)
        {
            bridged.collectives = tables;
        }
        group
    }

    /// The processors, where there is nothing else.
    fn processor(&self, host: &HostFacts, notes: &mut Vec<String>) -> Option<Group> {
        let name = host.processor.as_deref()?;
        let of_class = |entry: &Entry| self.gpu(entry.id()).ok().filter(|gpu| gpu.platform() == "cpu");
        let wanted = key(name);
        let found = self
            .entries(Kind::Gpu)
            .into_iter()
            .filter(|entry| known_as(entry, &wanted))
            .find_map(|e| of_class(&e));
        let mut gpu = found?;
        let sockets = host.sockets.unwrap_or(1).max(1);
        if let Some(memory) = host.memory {
            gpu.memory = Bytes::new(memory.get() / u64::from(sockets));
        }
        if let Some(rate) = host.bandwidth.filter(|_| host.bandwidth_from.as_deref() != Some("measured")) {
            gpu.bandwidth = rate / f64::from(sockets);
        } else {
            notes.push(format!(
                "{}: memory taken to be {:.1} GB/s a socket, as catalogued",
                gpu.name,
                gpu.bandwidth.get() / 1e9
            ));
        }
        let mut cluster = Cluster::of_nodes(gpu, 1, sockets).ok()?;
        LOCAL.clone_into(&mut cluster.id);
        Some(Group { name: name.to_owned(), cluster, devices: Vec::new() })
    }

    /// The entry that a device is, its memory as the device has it.
    fn identified(&self, device: &Device, host: Option<Bytes>, notes: &mut Vec<String>) -> Option<Gpu> {
        let names: Vec<&str> =
            std::iter::once(&device.name).chain(&device.other_names).map(String::as_str).collect();
        let memory = if device.shares_memory { host } else { device.memory };
        let whole = self.nearest_board(&names, memory, device)?;
        let mut gpu = match &device.slice {
            Some(profile) => self.slice(&whole, profile)?,
            None => whole,
        };
        if let Some(cores) = device.cores.filter(|_| device.vendor == Vendor::Apple)
            && cores != gpu.multiprocessors
        {
            let share = f64::from(cores) / f64::from(gpu.multiprocessors.max(1));
            notes.push(format!(
                "{}: {cores} GPU cores where {} are catalogued; peaks in proportion",
                gpu.name, gpu.multiprocessors
            ));
            gpu.peak = gpu
                .peak
                .into_iter()
                .map(|(dtype, peak): (_, FlopsPerSecond)| (dtype, peak * share))
                .collect();
            gpu.multiprocessors = cores;
        }
        if device.shares_memory {
            self.shared(&mut gpu, device, host, notes);
        } else if let Some(memory) = device.memory.filter(|_| device.slice.is_none()) {
            let ratio = memory.get() as f64 / gpu.board().get().max(1) as f64;
            if !(1.0 / SAME..=SAME).contains(&ratio) {
                notes.push(format!(
                    "{}: {:.1} GiB where {:.1} are catalogued; planned with what is there",
                    gpu.name,
                    memory.as_gib(),
                    gpu.board().as_gib()
                ));
                gpu.memory = gpu.memory.scaled(ratio);
                gpu.board_memory = Some(memory.max(gpu.memory));
            }
        } else if device.slice.is_none() {
            notes.push(format!(
                "{}: no tool said how much memory it has; {:.1} GiB as catalogued",
                gpu.name,
                gpu.memory.as_gib()
            ));
        }
        Some(gpu)
    }

    /// Memory of a GPU that computes in the host's.
    fn shared(&self, gpu: &mut Gpu, device: &Device, host: Option<Bytes>, notes: &mut Vec<String>) {
        let Some(host) = host else { return };
        let nominal = nominal(&gpu.name).unwrap_or(gpu.memory);
        let ratio = host.get() as f64 / nominal.get().max(1) as f64;
        // What kernel and firmware keep is up to an eighth of what is sold.
        if !(0.82..=SAME).contains(&ratio) {
            notes.push(format!(
                "{}: {:.1} GiB of memory where {:.0} are catalogued; planned in proportion",
                gpu.name,
                host.as_gib(),
                nominal.as_gib()
            ));
            gpu.memory = gpu.memory.scaled(ratio);
        }
        if let Some(lent) = device.memory.filter(|lent| *lent > Bytes::gib(1.0)) {
            gpu.memory = lent.min(host.max(lent));
        }
    }

    /// Of the entries that the names fit, the one whose memory is nearest; without it the one that the first means.
    fn nearest_board(&self, names: &[&str], memory: Option<Bytes>, device: &Device) -> Option<Gpu> {
        let entries = self.entries(Kind::Gpu);
        let keys: Vec<String> = names.iter().map(|name| key(name)).filter(|key| !key.is_empty()).collect();
        let fit = |wanted: &String| {
            let direct: Vec<&Entry> = entries.iter().filter(|entry| known_as(entry, wanted)).collect();
            let titles: BTreeSet<String> = direct.iter().map(|entry| key(entry.title())).collect();
            let siblings = entries.iter().filter(|entry| titles.contains(&key(entry.title())));
            let all: BTreeSet<&str> =
                direct.iter().copied().chain(siblings).map(|entry| entry.id()).collect();
            let gpus = all.into_iter().filter_map(|id| self.gpu(id).ok());
            gpus.filter(|gpu| gpu.platform() != "cpu").collect::<Vec<Gpu>>()
        };
        let Some(memory) = memory else {
            // The board that the plain name means, else the one that most names mean.
            let plain = self.meant(Kind::Gpu, &device.name).first().map(|entry| entry.id());
            let gpus = keys.iter().map(fit).find(|gpus| !gpus.is_empty())?;
            let named = gpus.iter().find(|gpu| Some(gpu.id.as_str()) == plain);
            return named.or_else(|| gpus.iter().max_by_key(|gpu| gpu.aliases.len())).cloned();
        };
        let off = |gpu: &Gpu| {
            let own =
                if device.shares_memory { nominal(&gpu.name).unwrap_or(gpu.memory) } else { gpu.board() };
            let memory_off = (memory.get().max(1) as f64 / own.get().max(1) as f64).ln().abs();
            let cores_off = device.cores.is_some_and(|cores| cores != gpu.multiprocessors);
            // Of boards with the memory the one with the cores.
            (memory_off * 50.0).round() + if cores_off { 0.5 } else { 0.0 }
        };
        keys.iter().flat_map(fit).min_by(|a, b| off(a).total_cmp(&off(b)))
    }

    /// A slice of a GPU by its profile, `3g.40gb` or, with media engines, `1g.10gb+me`.
    fn slice(&self, whole: &Gpu, profile: &str) -> Option<Gpu> {
        let profile = profile.split('+').next().unwrap_or(profile).to_ascii_lowercase();
        self.gpu(&slice_id(&whole.id, &profile)).ok()
    }

    /// The entries that nodes' labels name, grouped; a group stands on the nodes that have the most of its GPUs.
    fn of_nodes(&self, nodes: &kubernetes::Nodes) -> Detected {
        let mut all = Detected { notes: nodes.left_out.clone(), ..Detected::default() };
        let alike = nodes.nodes.iter().into_group_map_by(|node| (&node.product, &node.slice));
        for ((product, slice), mut of_kind) in alike.into_iter().sorted_by_key(|(kind, _)| *kind) {
            let Some(first) = of_kind.first() else { continue };
            let device = Device {
                memory: first.memory.filter(|_| slice.is_none()),
                slice: slice.clone(),
                ..Device::named(Vendor::Nvidia, product)
            };
            let Some(gpu) = self.identified(&device, first.host, &mut all.notes) else {
                all.unknown.push(device);
                continue;
            };
            let most = of_kind.iter().map(|node| node.count).max().unwrap_or(1);
            let fewer: Vec<&str> =
                of_kind.iter().filter(|n| n.count != most).map(|n| n.name.as_str()).collect();
            if !fewer.is_empty() {
                all.notes.push(format!(
                    "{}: {} left out: fewer than {most} GPUs a node",
                    gpu.name,
                    fewer.join(", ")
                ));
            }
            of_kind.retain(|node| node.count == most);
            match self.of_alike(gpu, most, &of_kind) {
                Ok(cluster) => {
                    all.groups.push(Group { name: product.clone(), cluster, devices: Vec::new() });
                }
                Err(wrong) => all.notes.push(wrong.cause),
            }
        }
        let twice: Vec<String> = all.groups.iter().map(|g| g.cluster.gpu.id.clone()).duplicates().collect();
        for id in twice {
            let (mut first, mut rest): (Vec<Group>, Vec<Group>) = (Vec::new(), Vec::new());
            for group in all.groups.drain(..) {
                let known =
                    first.iter().any(|f: &Group| f.cluster.gpu.id == id) && group.cluster.gpu.id == id;
                if known { rest.push(group) } else { first.push(group) }
            }
            all.groups = first;
            all.notes.extend(rest.iter().map(|g| format!("{}: left out beside others of {id}", g.name)));
        }
        all
    }

    /// Nodes with as many GPUs of a kind each: the described instance where the catalogue has it, with its links and price.
    fn of_alike(&self, gpu: Gpu, per_node: u32, nodes: &[&Node]) -> Result<Cluster, Diagnostic> {
        let count = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
        let instance = nodes.first().and_then(|node| node.instance.as_deref());
        let described = instance.filter(|name| self.knows(Kind::Cluster, name)).and_then(|name| {
            let cluster = self.cluster(name).ok()?;
            (cluster.gpu.id == gpu.id && cluster.gpus_per_node == per_node && cluster.nodes == 1)
                .then_some(cluster)
        });
        let plain = Cluster::of_nodes(gpu, count, per_node)?;
        Ok(Cluster {
            id: KUBERNETES.to_owned(),
            ..match described {
                Some(one) => Cluster { nodes: plain.nodes, gpus: plain.gpus, ..one },
                None => plain,
            }
        })
    }

    /// The pools of what was detected.
    ///
    /// # Errors
    /// [`Code::UnknownName`] where no entry describes what is there, with the nearest.
    pub(super) fn detected_pools(&self, name: &str, found: Detected) -> Result<Pools, Diagnostic> {
        if found.groups.is_empty() {
            return Err(self.nothing(name, &found));
        }
        let several = found.groups.len() > 1;
        let called = |group: Group| match several {
            true => {
                Cluster { id: format!("{} ({})", group.cluster.id, group.cluster.gpu.id), ..group.cluster }
            }
            false => group.cluster,
        };
        Pools::new(name, found.groups.into_iter().map(called).collect())
    }

    fn nothing(&self, name: &str, found: &Detected) -> Diagnostic {
        let wrong = |cause: String| Diagnostic::new(Code::UnknownName, cause).at(format!("cluster `{name}`"));
        let Some(first) = found.unknown.first() else {
            let why = found.notes.first().map_or(String::new(), |note| format!("; {note}"));
            return wrong(format!("no GPU was found{why}")).help(
                "`shardfit doctor` says what was asked; name the GPUs themselves, for example 2xrtx-3090",
            );
        };
        let entries = self.entries(Kind::Gpu);
        let titles: Vec<&str> = entries.iter().map(|entry| entry.title()).collect();
        let close = nearest(&first.name, &titles)
            .and_then(|title| entries.iter().find(|entry| entry.title() == title))
            .map(|entry| format!("; the nearest name is `{}`", entry.id()))
            .unwrap_or_default();
        let memory = first.memory.map(|m| format!(", {:.1} GiB", m.as_gib())).unwrap_or_default();
        wrong(format!("`{}`{memory} is in no catalogue{close}", first.name)).help(
            "its memory bandwidth and peak are missing: `shardfit doctor` prints a description to complete, which \
             `--catalog DIR` then reads",
        )
    }
}

/// Reported and catalogued memory are one size within this factor: drivers keep up to a few percent.
const SAME: f64 = 1.07;

/// A share of the memory in use beyond this is more than a screen or a runtime takes.
const SCREEN: f64 = 0.06;

fn in_use(devices: &[Device]) -> Option<String> {
    let of = |device: &Device| Some((device.used?, device.memory?));
    let (used, _) =
        devices.iter().filter_map(of).find(|(used, all)| used.get() as f64 > SCREEN * all.get() as f64)?;
    Some(format!(
        "{:.1} GiB of a GPU's memory are in use now; what is planned counts on all of it",
        used.as_gib()
    ))
}

/// The GPUs' places in the matrix of `nvidia-smi topo -m`.
fn nvidia_places(machine: &Machine, indices: &[usize]) -> Vec<usize> {
    let place = |index: &usize| {
        let before = machine.devices.iter().take(*index).filter(|d| d.vendor == Vendor::Nvidia);
        let own = machine.devices.get(*index)?;
        (own.vendor == Vendor::Nvidia && own.slice.is_none()).then(|| before.count())
    };
    indices.iter().filter_map(place).collect()
}

/// GPUs of one kind as a cluster: links as found, the host if its memory's bandwidth is known.
fn group(
    gpu: Gpu,
    devices: &[&Device],
    machine: &Machine,
    places: &[usize],
    notes: &mut Vec<String>,
) -> Group {
    let count = u32::try_from(devices.len()).unwrap_or(1).max(1);
    let name = devices.first().map(|device| device.name.clone()).unwrap_or_default();
    let own_memory = !devices.iter().any(|device| device.shares_memory);
    let mut cluster = match Cluster::of_nodes(gpu.clone(), 1, count) {
        Ok(cluster) => cluster,
        // A machine has fewer GPUs than any limit.
        Err(_) => Cluster { nodes: 1, gpus_per_node: 1, gpus: 1, ..minimal(gpu) },
    };
    LOCAL.clone_into(&mut cluster.id);
    let slots: Vec<BytesPerSecond> =
        devices.iter().filter_map(|d| d.pcie).map(|slot| slot.bandwidth()).collect();
    let slowest = slots.iter().copied().reduce(BytesPerSecond::min);
    if slots.iter().any(|slot| Some(*slot) != slowest) {
        notes.push(format!("{}: unequal slots; the slowest counts", cluster.gpu.name));
    }
    if cluster.scale_up.kind == LinkKind::Pcie
        && let Some(rate) = slowest
        && devices.iter().all(|device| device.slice.is_none())
    {
        cluster.scale_up.bandwidth = rate;
    }
    if count > 1 && machine.topology.is_known() && places.len() == devices.len() {
        joined(&mut cluster, machine, places, slowest, notes);
    }
    if own_memory && let (Some(memory), Some(bandwidth)) = (machine.host.memory, machine.host.bandwidth) {
        cluster.host = Some(Host { memory, bandwidth, link: slowest });
    }
    Group { name, cluster, devices: devices.iter().map(|device| (*device).clone()).collect() }
}

fn minimal(gpu: Gpu) -> Cluster {
    Cluster {
        id: LOCAL.to_owned(),
        gpus_per_node: 1,
        nodes: 1,
        gpus: 1,
        scale_up: gpu.scale_up,
        bridge: None,
        scale_out: gpu.scale_out,
        host: None,
        price: None,
        cards: Vec::new(),
        gpu,
    }
}

/// Links as the matrix has them, where they are not those that the GPU usually has.
fn joined(
    cluster: &mut Cluster,
    machine: &Machine,
    places: &[usize],
    slot: Option<BytesPerSecond>,
    notes: &mut Vec<String>,
) {
    let (gpus, links) = machine.topology.group(places);
    let usual = cluster.scale_up.kind;
    let by_nvlink = matches!(usual, LinkKind::Nvlink | LinkKind::Nvswitch);
    if gpus < 2 && by_nvlink {
        notes.push(format!(
            "{}: the topology has no NVLink that joins them evenly; they meet over PCIe",
            cluster.gpu.name
        ));
        cluster.scale_up = Link {
            kind: LinkKind::Pcie,
            bandwidth: slot.unwrap_or(BytesPerSecond::new(32e9)),
            latency: Seconds::micros(10.0),
            oversubscription: None,
            peer_to_peer: None,
        };
    } else if gpus > 1 && usual == LinkKind::Pcie {
        let rate = machine.topology.rate.unwrap_or(BytesPerSecond::new(link_rate(&cluster.gpu)));
        let link = Link {
            kind: LinkKind::Nvlink,
            bandwidth: rate * f64::from(links),
            latency: Seconds::micros(2.0),
            oversubscription: None,
            peer_to_peer: None,
        };
        let bridge = Bridge { gpus, link };
        cluster.bridge = Some(Bridged { bridge, collectives: super::KernelTables::default() });
    }
}

/// One NVLink and direction: 14.0625 GB/s of the GA102 (NVIDIA Ampere GA102 whitepaper), 25 of the others that have any.
fn link_rate(gpu: &Gpu) -> f64 {
    let is_ga102 = gpu.architecture == "ampere" && gpu.class == super::lookup::PCIE_CLASS;
    if is_ga102 { 14.0625e9 } else { 25e9 }
}

/// What is piped in or saved, and its place in messages.
fn nodes(saved: Option<&str>) -> Result<(String, String), Diagnostic> {
    match saved {
        Some(path) if path != "-" => Ok((load::text_of_results(Path::new(path))?, path.to_owned())),
        _ => {
            let piped = PIPED.get_or_init(|| {
                let how = "kubectl get nodes -o json | shardfit plan … --cluster k8s, or save it and write k8s:nodes.json";
                let mut stdin = std::io::stdin();
                if stdin.is_terminal() {
                    return Err(Diagnostic::new(Code::Usage, "nothing is piped in").at("cluster `k8s`").help(how));
                }
                let mut text = String::new();
                let read = std::io::Read::by_ref(&mut stdin).take(64 * load::MAX_INPUT_BYTES).read_to_string(&mut text);
                match read {
                    Ok(0) => Err(Diagnostic::new(Code::Usage, "nothing is piped in").at("cluster `k8s`").help(how)),
                    Ok(_) => Ok(text),
                    Err(e) => Err(Diagnostic::new(Code::File, format!("cannot read what is piped in: {e}"))),
                }
            });
            piped.clone().map(|text| (text, "standard input".to_owned()))
        }
    }
}

/// Whether an entry goes by a name once makers, sizes of memory and signs are taken from both.
fn known_as(entry: &Entry, wanted: &str) -> bool {
    let names = std::iter::once(entry.id()).chain(entry.other_names()).chain([entry.title()]);
    names.into_iter().any(|name| key(name) == wanted)
}

static SIZE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i-u)(?-u:\b)([0-9]+) ?gi?b(?-u:\b)").expect("a pattern of this file"));
static CORES: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?-u:\b)[0-9]+-core(?-u:\b)|[0-9]+th gen |@.*$| w/ .*$|\((?:r|tm|c|one socket.*|bare)\)")
        .expect("a pattern of this file")
});

/// Words of a name that do not tell one device from another.
const COMMON: [&str; 17] = [
    "nvidia",
    "amd",
    "intel",
    "apple",
    "huawei",
    "corporation",
    "inc",
    "ati",
    "geforce",
    "radeon",
    "graphics",
    "gpu",
    "tesla",
    "quadro",
    "instinct",
    "oam",
    "processor",
];

/// The letters of a name that tell its device from others.
fn key(name: &str) -> String {
    let lower = name.to_lowercase().replace(['®', '™'], " ");
    let plain = CORES.replace_all(&lower, " ");
    let plain = SIZE.replace_all(&plain, " ");
    let words = plain.split(|c: char| !c.is_ascii_alphanumeric() && c != '.');
    words.filter(|word| !word.is_empty() && !COMMON.contains(word) && *word != "cpu").collect()
}

/// The memory that a full name states.
fn nominal(name: &str) -> Option<Bytes> {
    let found = SIZE.captures_iter(name).last()?;
    Some(Bytes::gib(found[1].parse().ok()?))
}

impl Detected {
    /// One line: `2 × NVIDIA GeForce RTX 3090`.
    pub fn brief(&self) -> String {
        let of = |group: &Group| format!("{} × {}", group.cluster.gpus, group.cluster.gpu.name);
        match self.groups.as_slice() {
            [] => "nothing that the catalogue has".to_owned(),
            all => all.iter().map(of).join(" and "),
        }
    }

    /// How many devices no entry describes, in words.
    pub fn unknown_brief(&self) -> Option<String> {
        let names: BTreeSet<&str> = self.unknown.iter().map(|device| device.name.as_str()).collect();
        let count = self.unknown.len() as u64;
        (count > 0)
            .then(|| format!("{} in no catalogue: {}", plural(count, "device"), names.iter().join(", ")))
    }
}
