//! What `xpu-smi` says, and without it the PCI bus.

use super::device::{Device, Vendor};
use super::lspci;
use super::source::{Outputs, Probe};
use crate::units::Bytes;

/// Intel's discrete GPUs.
pub fn devices(outputs: &Outputs) -> Vec<Device> {
    let mut all: Vec<Device> = Vec::new();
    for line in outputs.of(Probe::XpuSmi).lines() {
        let value = |key: &str| {
            let (_, value) = line.split_once(key)?;
            Some(value.trim_end_matches([' ', '|']).trim())
        };
        if let Some(name) = value("Device Name:") {
            all.push(Device::named(Vendor::Intel, name));
        } else if let (Some(size), Some(device)) = (value("Memory Physical Size:"), all.last_mut()) {
            let mebibytes = size.split_whitespace().next().and_then(|n| n.parse::<f64>().ok());
            device.memory = mebibytes.filter(|n| *n > 0.0).map(|n| Bytes::gib(n / 1024.0));
        } else if let (Some(version), Some(device)) = (value("Driver Version:"), all.last_mut()) {
            device.driver = Some(version.to_owned());
        }
    }
    if all.is_empty() {
        all = lspci::devices(outputs).into_iter().filter(|device| device.vendor == Vendor::Intel).collect();
    }
    all
}
