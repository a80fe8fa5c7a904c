//! What macOS says of Apple's chips.

use super::device::{Device, Vendor};
use super::host::HostFacts;
use super::source::{Outputs, Probe};
use crate::units::Bytes;

/// The GPU of an Apple chip, and the memory that it shares with the host.
pub fn devices(outputs: &Outputs, host: &mut HostFacts) -> Vec<Device> {
    let text = outputs.of(Probe::SystemProfiler);
    let value =
        |key: &str| text.lines().find_map(|line| Some(line.trim().strip_prefix(key)?.trim().to_owned()));
    let Some(chip) =
        value("Chip:").or_else(|| value("Chipset Model:")).filter(|chip| chip.starts_with("Apple"))
    else {
        return Vec::new();
    };
    let kernel = |key: &str| {
        let line = outputs.of(Probe::Sysctl).lines().find_map(|line| line.trim().strip_prefix(key))?;
        line.trim_start_matches([':', '=', ' ']).trim().parse::<u64>().ok()
    };
    let stated = value("Memory:").and_then(|m| m.split_whitespace().next()?.parse::<u64>().ok());
    let memory = kernel("hw.memsize").or_else(|| stated?.checked_mul(1 << 30)).map(Bytes::new);
    host.memory = host.memory.or(memory);
    host.processor = host.processor.take().or_else(|| Some(chip.clone()));
    let lent = kernel("iogpu.wired_limit_mb")
        .filter(|n| *n > 0)
        .and_then(|n| n.checked_mul(1 << 20))
        .map(Bytes::new);
    // The processor's cores say of which kind they are; those of the GPU are a bare number.
    let bare = |line: &str| line.trim().strip_prefix("Total Number of Cores:")?.trim().parse::<u32>().ok();
    vec![Device {
        cores: text.lines().find_map(bare),
        memory: lent,
        shares_memory: true,
        ..Device::named(Vendor::Apple, &chip)
    }]
}
