//! What Huawei's `npu-smi info` says.

use std::sync::LazyLock;

use regex::Regex;

use super::device::{Device, Vendor};
use super::source::{Outputs, Probe};
use crate::units::Bytes;

static NAMED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\|[ \t]*[0-9]+[ \t]+((?:Ascend)?[0-9]{3}[^ \t]*)[ \t]*\|[ \t]*[^ \t]+[ \t]*\|")
        .expect("a pattern of this file")
});
static MEMORY: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\|[ \t]*[0-9]+(?:[ \t]+[0-9]+)?[ \t]*\|[ \t]*[0-9A-Fa-f]{4}:[^ \t]+[ \t]*\|.*?([0-9]+)[ \t]*/[ \t]*([0-9]+)[ \t]*\|[ \t]*$").expect("a pattern of this file")
});

/// Chips of the table, or dies where it counts those: a line with the name, then one with the memory.
pub fn devices(outputs: &Outputs) -> Vec<Device> {
    let mut all: Vec<Device> = Vec::new();
    for line in outputs.of(Probe::NpuSmi).lines() {
        if let Some(found) = NAMED.captures(line) {
            let name = &found[1];
            let full = if name.starts_with("Ascend") { name.to_owned() } else { format!("Ascend {name}") };
            all.push(Device::named(Vendor::Huawei, &full));
        } else if let (Some(found), Some(device)) = (MEMORY.captures(line), all.last_mut()) {
            let mebibytes = |n: &str| n.parse::<u64>().ok()?.checked_mul(1 << 20).map(Bytes::new);
            (device.used, device.memory) = (mebibytes(&found[1]), mebibytes(&found[2]));
        }
    }
    all
}
