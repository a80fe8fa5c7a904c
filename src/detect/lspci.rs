//! Display adapters on the PCI bus, as `lspci -nn` names them.

use std::sync::LazyLock;

use regex::Regex;

use super::device::{Device, Vendor};
use super::source::{Outputs, Probe};

/// Classes of the PCI code and ID assignment: VGA, 3D and other display controllers, processing accelerators.
static ADAPTER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\[(?:0300|0302|0380|1200)\]: (.+?)[ \t]*\[(10de|1002|8086):([0-9a-f]{4})\]")
        .expect("a pattern of this file")
});

/// Adapters of vendors whose names are known, integrated graphics of Intel's processors left out.
pub fn devices(outputs: &Outputs) -> Vec<Device> {
    let device = |line: &str| {
        let found = ADAPTER.captures(line)?;
        let vendor = match &found[2] {
            "10de" => Vendor::Nvidia,
            "1002" => Vendor::Amd,
            _ => Vendor::Intel,
        };
        // `Navi 31 [Radeon RX 7900 XT/7900 XTX/7900M]`: the product's names stand in brackets.
        let text = found[1].trim();
        let bracketed =
            text.rfind('[').filter(|_| text.ends_with(']')).map(|at| &text[at + 1..text.len() - 1]);
        let known = bracketed.filter(|name| !name.contains("AMD/ATI"));
        if vendor == Vendor::Intel && known.is_none() {
            return None;
        }
        let mut names = known.unwrap_or(text).split('/').map(str::trim).filter(|name| !name.is_empty());
        let mut device = Device::named(vendor, names.next()?);
        device.other_names = names.map(str::to_owned).collect();
        Some(device)
    };
    outputs.of(Probe::Lspci).lines().filter_map(device).collect()
}
