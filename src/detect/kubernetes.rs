//! What the nodes of a Kubernetes cluster say: labels and capacity of `kubectl get nodes -o json`.

use serde_json::Value;

use crate::diagnostic::{Code, Diagnostic};
use crate::units::Bytes;

/// A node with accelerators.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// The instance of its cloud (`p5.48xlarge`).
    pub instance: Option<String>,
    /// What its GPUs are called.
    pub product: String,
    /// Memory of one, where a label says.
    pub memory: Option<Bytes>,
    /// Profile of the slices that its GPUs are cut into.
    pub slice: Option<String>,
    /// How many it has.
    pub count: u32,
    /// Memory of the node.
    pub host: Option<Bytes>,
}

/// Nodes with accelerators, and what was left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Nodes {
    /// Nodes that take work.
    pub nodes: Vec<Node>,
    /// Why others do not count.
    pub left_out: Vec<String>,
}

/// Resources under which device plug-ins offer whole GPUs, and the labels that name them, the better first: NVIDIA's GPU
/// feature discovery, AMD's node labeller, Intel's and Habana's plug-ins, Huawei's.
const RESOURCES: [(&str, &[&str]); 6] = [
    (
        "nvidia.com/gpu",
        &["nvidia.com/gpu.product", "cloud.google.com/gke-accelerator", "k8s.amazonaws.com/accelerator"],
    ),
    ("amd.com/gpu", &["amd.com/gpu.product-name", "beta.amd.com/gpu.product-name"]),
    ("gpu.intel.com/xe", &["gpu.intel.com/product"]),
    ("gpu.intel.com/i915", &["gpu.intel.com/product"]),
    ("habana.ai/gaudi", &["habana.ai/device-type", "habana.ai/hpu.product"]),
    ("huawei.com/Ascend910", &["node.kubernetes.io/npu.chip.name", "accelerator"]),
];

/// Reads the nodes.
///
/// # Errors
/// [`Code::Syntax`] for what is no JSON, [`Code::Usage`] for JSON that lists no nodes or none with accelerators.
pub fn read(text: &str, place: &str) -> Result<Nodes, Diagnostic> {
    let how = "kubectl get nodes -o json";
    let value: Value = serde_json::from_str(text).map_err(|e| {
        Diagnostic::new(Code::Syntax, format!("no JSON: {e}"))
            .at(place.to_owned())
            .help(format!("save `{how}`"))
    })?;
    let one = std::slice::from_ref(&value);
    let items = value.get("items").and_then(Value::as_array).map_or(one, Vec::as_slice);
    if !items
        .iter()
        .any(|item| item.get("kind").is_none_or(|kind| kind == "Node") && item.get("status").is_some())
    {
        let wrong = Diagnostic::new(Code::Usage, "no nodes of a Kubernetes cluster").at(place.to_owned());
        return Err(wrong.help(format!("save `{how}`")));
    }
    let mut all = Nodes::default();
    for item in items {
        add(item, &mut all);
    }
    if all.nodes.is_empty() {
        let mut cause = format!("none of {} nodes offers accelerators that take work", items.len());
        if let Some(first) = all.left_out.first() {
            cause += &format!("; {first}");
        }
        let resources = RESOURCES.map(|(resource, _)| resource).join(", ");
        let help = format!(
            "device plug-ins offer them as {resources}; GPU feature discovery labels say what they are"
        );
        return Err(Diagnostic::new(Code::Usage, cause).at(place.to_owned()).help(help));
    }
    Ok(all)
}

fn add(item: &Value, all: &mut Nodes) {
    let text = |path: &str| item.pointer(path).and_then(Value::as_str);
    let name = text("/metadata/name").unwrap_or("a node").to_owned();
    let label =
        |key: &str| item.pointer("/metadata/labels").and_then(|l| l.get(key)?.as_str()).map(str::to_owned);
    let offers = |resource: &str| {
        let of = |kind: &str| item.get("status")?.get(kind)?.get(resource);
        let value = of("allocatable").or_else(|| of("capacity"))?;
        value
            .as_str()
            .and_then(|n| n.parse::<u32>().ok())
            .or_else(|| value.as_u64().and_then(|n| u32::try_from(n).ok()))
    };
    let host = text("/status/capacity/memory").and_then(quantity);
    let instance =
        label("node.kubernetes.io/instance-type").or_else(|| label("beta.kubernetes.io/instance-type"));
    let mut found = Vec::new();
    for (resource, labels) in RESOURCES {
        let count = offers(resource).unwrap_or(0);
        if count == 0 {
            continue;
        }
        let product = match resource {
            "habana.ai/gaudi" => labels.iter().find_map(|l| label(l)).or_else(|| Some("gaudi2".to_owned())),
            _ => labels.iter().find_map(|l| label(l)),
        };
        let Some(product) = product else {
            all.left_out.push(format!("{name}: {count} of {resource} without the label `{}`", labels[0]));
            continue;
        };
        let replicas =
            label("nvidia.com/gpu.replicas").and_then(|n| n.parse::<u32>().ok()).unwrap_or(1).max(1);
        let (product, slice) = product_and_slice(&product);
        // Shared GPUs are offered once for each who may share them.
        let count = if resource == "nvidia.com/gpu" { count / replicas.min(count) } else { count };
        let memory = label("nvidia.com/gpu.memory").and_then(|m| m.parse::<u64>().ok()?.checked_mul(1 << 20));
        let gigabytes = label("amd.com/gpu.vram")
            .and_then(|m| m.trim_end_matches('G').parse::<u64>().ok()?.checked_mul(1 << 30));
        found.push((product, slice, count, memory.or(gigabytes).map(Bytes::new)));
    }
    found.extend(slices(item, &label));
    if found.is_empty() {
        return;
    }
    let ready = item.pointer("/status/conditions").and_then(Value::as_array).is_none_or(|conditions| {
        conditions.iter().filter(|c| c["type"] == "Ready").all(|c| c["status"] == "True")
    });
    if !ready || item.pointer("/spec/unschedulable") == Some(&Value::Bool(true)) {
        let why = if ready { "is cordoned" } else { "is not ready" };
        all.left_out.push(format!("{name} {why}"));
        return;
    }
    for (product, slice, count, memory) in found {
        let (name, instance) = (name.clone(), instance.clone());
        all.nodes.push(Node { name, instance, product, memory, slice, count, host });
    }
}

/// Slices that the mixed strategy offers under names of their own: `nvidia.com/mig-3g.40gb`.
type Offer = (String, Option<String>, u32, Option<Bytes>);
fn slices(item: &Value, label: &impl Fn(&str) -> Option<String>) -> Vec<Offer> {
    let offered = item.pointer("/status/allocatable").or_else(|| item.pointer("/status/capacity"));
    let Some(product) = label("nvidia.com/gpu.product") else { return Vec::new() };
    let offer = |(key, value): (&String, &Value)| {
        let profile = key.strip_prefix("nvidia.com/mig-")?;
        let count = value.as_str()?.parse::<u32>().ok().filter(|n| *n > 0)?;
        Some((product_and_slice(&product).0, Some(profile.to_owned()), count, None))
    };
    offered.and_then(Value::as_object).into_iter().flatten().filter_map(offer).collect()
}

/// `NVIDIA-A100-SXM4-80GB-MIG-3g.40gb` is the GPU and its slice; `-SHARED` says that several may use one.
fn product_and_slice(label: &str) -> (String, Option<String>) {
    let label = label.strip_suffix("-SHARED").unwrap_or(label);
    match label.split_once("-MIG-") {
        Some((product, profile)) => (product.to_owned(), Some(profile.to_owned())),
        None => (label.to_owned(), None),
    }
}

/// Kubernetes' own quantities of memory: `1056270380Ki`.
fn quantity(text: &str) -> Option<Bytes> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor: u64 = match &text[digits.len()..] {
        "" => 1,
        "k" => 1000,
        "Ki" => 1 << 10,
        "M" => 1_000_000,
        "Mi" => 1 << 20,
        "G" => 1_000_000_000,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor).map(Bytes::new)
}
