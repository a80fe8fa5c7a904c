//! What `nvidia-smi` says.

use std::sync::LazyLock;

use regex::Regex;

use super::device::{Device, Pcie, Vendor};
use super::source::{Outputs, Probe};
use crate::units::Bytes;

static LISTED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"^[ \t]*(?:GPU models and configuration[ \t]*:)?[ \t]*GPU ([0-9]+): (.+?)[ \t]*(?:\(UUID.*)?$")
});
static SLICE: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^[ \t]+MIG ([0-9]+g\.[0-9]+gb[^ \t]*)[ \t]+Device[ \t]+[0-9]+"));
static NAMED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^\|[ \t]+([0-9]+)[ \t]+([^ \t].*?)[ \t]+(?:On|Off|N/A|WDDM|TCC|MCDM|ERR!)[ \t]*\|[ \t]*(?:[0-9A-Fa-f]{4,8}:|N/A)",
    )
});
static MEMORY: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\|[ \t]*([0-9]+)[ \t]*MiB[ \t]*/[ \t]*([0-9]+)[ \t]*MiB[ \t]*\|"));
static DRIVER: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?:Driver Version|KMD Version):[ \t]*([0-9.]+)"));

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a pattern of this file")
}

/// NVIDIA's GPUs: those of the query, else those of the table, else those of the list; slices in place of the GPUs that
/// are cut.
pub fn devices(outputs: &Outputs) -> Vec<Device> {
    let list = outputs.of(Probe::NvidiaList);
    let listed = listed(list);
    let mut whole = queried(outputs.of(Probe::NvidiaQuery));
    if whole.is_empty() {
        whole = in_table(outputs.of(Probe::NvidiaTable));
    }
    if whole.is_empty() {
        whole = listed.iter().map(|(_, device, _)| device.clone()).collect();
    }
    for (index, device) in whole.iter_mut().enumerate() {
        // Tables cut long names; lists do not.
        if let (true, Some((_, full, _))) = (device.name.ends_with(".."), listed.get(index)) {
            device.name.clone_from(&full.name);
        }
    }
    let slices = |index: usize| listed.get(index).map(|(.., slices)| slices.as_slice()).unwrap_or_default();
    let cut = |(index, device): (usize, Device)| match slices(index) {
        [] => vec![device],
        profiles => profiles
            .iter()
            .map(|profile| Device {
                slice: Some(profile.clone()),
                memory: None,
                used: None,
                ..device.clone()
            })
            .collect(),
    };
    whole.into_iter().enumerate().flat_map(cut).collect()
}

/// Index, GPU and the profiles of its slices, as `nvidia-smi -L` lists them.
fn listed(text: &str) -> Vec<(String, Device, Vec<String>)> {
    let mut all: Vec<(String, Device, Vec<String>)> = Vec::new();
    for line in text.lines() {
        if let Some(found) = LISTED.captures(line) {
            let device = device(&found[2]);
            all.push((found[1].to_owned(), device, Vec::new()));
        } else if let (Some(found), Some((.., slices))) = (SLICE.captures(line), all.last_mut()) {
            slices.push(found[1].to_owned());
        }
    }
    all
}

fn device(name: &str) -> Device {
    let name = name.trim();
    // Boards whose GPU computes in the processor's memory: nvidia-smi has no memory of theirs.
    let shares = ["orin", "thor", "gb10"].iter().any(|board| name.to_ascii_lowercase().contains(board));
    let plain = name.split(" (").next().unwrap_or(name);
    Device { shares_memory: shares, ..Device::named(Vendor::Nvidia, plain) }
}

/// Rows of `--query-gpu … --format=csv`, by the names of their columns.
fn queried(text: &str) -> Vec<Device> {
    let mut lines = text.lines().filter(|line| line.contains(','));
    let Some(head) = lines.next() else { return Vec::new() };
    let columns: Vec<&str> =
        head.split(',').map(|c| c.trim().split(" [").next().unwrap_or_default()).collect();
    let Some(name) = columns.iter().position(|c| *c == "name") else { return Vec::new() };
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        let cell = |column: &str| {
            let at = columns.iter().position(|c| *c == column)?;
            cells.get(at).copied().filter(|cell| !cell.starts_with('[') && *cell != "N/A")
        };
        let number = |column: &str| cell(column)?.parse::<u32>().ok().filter(|n| (1..=64).contains(n));
        let (generation, lanes) = (number("pcie.link.gen.max"), number("pcie.link.width.max"));
        let device = device(cells.get(name)?);
        Some(Device {
            memory: cell("memory.total").and_then(mebibytes),
            used: cell("memory.used").and_then(mebibytes),
            driver: cell("driver_version").map(str::to_owned),
            capability: cell("compute_cap").map(str::to_owned),
            pcie: generation.zip(lanes).map(|(generation, lanes)| Pcie { generation, lanes }),
            ..device
        })
    };
    lines.filter_map(row).collect()
}

/// GPUs of the table that `nvidia-smi` prints: a line with the name, then one with the memory.
fn in_table(text: &str) -> Vec<Device> {
    let driver = DRIVER.captures(text).map(|found| found[1].to_owned());
    let mut all: Vec<Device> = Vec::new();
    for line in text.lines() {
        if let Some(found) = NAMED.captures(line) {
            all.push(Device { driver: driver.clone(), ..device(&found[2]) });
        } else if let (Some(found), Some(last)) = (MEMORY.captures(line), all.last_mut())
            && last.memory.is_none()
        {
            (last.used, last.memory) = (mebibytes(&found[1]), mebibytes(&found[2]));
        }
    }
    all
}

fn mebibytes(text: &str) -> Option<Bytes> {
    let count: u64 = text.split_whitespace().next()?.parse().ok()?;
    count.checked_mul(1 << 20).filter(|bytes| *bytes > 0).map(Bytes::new)
}
