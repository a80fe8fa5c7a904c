//! What AMD's tools say, and without them the kernel's driver.

use serde_json::Value;

use super::device::{Device, Pcie, Vendor};
use super::host::HostFacts;
use super::lspci;
use super::source::{Outputs, Probe};
use crate::units::Bytes;

/// AMD's GPUs: as `rocm-smi`, `amd-smi` or `rocminfo` counts them, else as the kernel's driver does.
pub fn devices(outputs: &Outputs, host: &HostFacts) -> Vec<Device> {
    let agents = agents(outputs.of(Probe::RocmInfo));
    let mut all = with_json(outputs.of(Probe::RocmSmi));
    if all.is_empty() {
        all = with_tree(outputs.of(Probe::AmdSmi));
    }
    if all.is_empty() {
        all.clone_from(&agents);
    }
    if all.is_empty() {
        all = of_driver(outputs);
    }
    let cards = cards(outputs.of(Probe::Sysfs));
    // Agents and devices are in one order where there are as many of both.
    let alike = agents.len() == all.len();
    for (index, device) in all.iter_mut().enumerate() {
        if let Some(agent) = agents.get(index).filter(|_| alike) {
            device.capability = device.capability.take().or_else(|| agent.capability.clone());
            device.cores = device.cores.or(agent.cores);
            device.memory = device.memory.or(agent.memory);
            device.shares_memory |= agent.shares_memory;
            if agent.name != device.name {
                device.other_names.push(agent.name.clone());
            }
        }
        if let Some(card) = cards.get(index) {
            device.memory = device.memory.or(card.vram);
            device.used = device.used.or(card.used);
            if device.shares_memory {
                device.memory = card.vram.max(card.gtt).or(device.memory);
            }
        }
        // Processors with graphics name them: `AMD RYZEN AI MAX+ 395 w/ Radeon 8060S`.
        if device.shares_memory
            && let Some((_, graphics)) = host.processor.as_deref().and_then(|name| name.split_once("w/ "))
        {
            device.other_names.push(graphics.trim().to_owned());
        }
    }
    all
}

fn with_json(text: &str) -> Vec<Device> {
    let Some(start) = text.find('{') else { return Vec::new() };
    let Ok(Value::Object(all)) = serde_json::from_str::<Value>(text[start..].trim()) else {
        return Vec::new();
    };
    let driver = all.get("system").and_then(|s| s.get("Driver version")?.as_str()).map(str::to_owned);
    let mut cards: Vec<(u32, &Value)> =
        all.iter().filter_map(|(key, card)| Some((key.strip_prefix("card")?.parse().ok()?, card))).collect();
    cards.sort_by_key(|(number, _)| *number);
    let device = |(_, card): &(u32, &Value)| {
        let of = |wanted: &[&str]| {
            let card = card.as_object()?;
            let found = card.iter().find(|(key, _)| wanted.iter().any(|w| key.eq_ignore_ascii_case(w)))?;
            found.1.as_str().filter(|text| !text.is_empty() && *text != "N/A")
        };
        let names: Vec<&str> = [of(&["Card Series", "Device Name", "Market Name"]), of(&["Card Model"])]
            .into_iter()
            .flatten()
            .collect();
        let bytes = |key: &str| of(&[key])?.trim().parse().ok().map(Bytes::new);
        let mut found = Device::named(Vendor::Amd, names.first()?);
        found.other_names = names.iter().skip(1).map(|name| (*name).to_owned()).collect();
        found.memory = bytes("VRAM Total Memory (B)");
        found.used = bytes("VRAM Total Used Memory (B)");
        found.driver.clone_from(&driver);
        found.capability = of(&["GFX Version"]).map(str::to_owned);
        Some(found)
    };
    cards.iter().filter_map(device).collect()
}

/// `amd-smi static`: a tree of `KEY: value`, a branch for each GPU.
fn with_tree(text: &str) -> Vec<Device> {
    let mut all: Vec<Device> = Vec::new();
    let mut branch = "";
    for line in text.lines() {
        let Some((key, value)) = line.trim().split_once(':') else { continue };
        let value = value.trim();
        if value.is_empty() {
            branch = key;
            continue;
        }
        if key == "GPU" {
            all.push(Device::named(Vendor::Amd, ""));
            continue;
        }
        let Some(device) = all.last_mut() else { continue };
        match (branch, key) {
            ("ASIC", "MARKET_NAME") => value.clone_into(&mut device.name),
            ("ASIC", "NUM_COMPUTE_UNITS") => device.cores = value.parse().ok(),
            ("ASIC", "TARGET_GRAPHICS_VERSION") => device.capability = Some(value.to_owned()),
            ("DRIVER", "VERSION") => device.driver = Some(value.to_owned()),
            ("VRAM", "SIZE") => {
                let megabytes = value.split_whitespace().next().and_then(|n| n.parse::<u64>().ok());
                device.memory = megabytes.and_then(|n| n.checked_mul(1 << 20)).map(Bytes::new);
            }
            ("BUS", "MAX_PCIE_WIDTH") => {
                device.pcie = value.parse().ok().map(|lanes| Pcie { generation: 4, lanes });
            }
            ("BUS", "PCIE_INTERFACE_VERSION") => {
                let generation = value.rsplit(' ').next().and_then(|n| n.parse().ok());
                device.pcie =
                    device.pcie.zip(generation).map(|(slot, generation)| Pcie { generation, ..slot });
            }
            _ => {}
        }
    }
    all.retain(|device| !device.name.is_empty() && device.name != "N/A");
    all
}

/// Agents of `rocminfo` that are GPUs.
fn agents(text: &str) -> Vec<Device> {
    let mut all = Vec::new();
    for agent in text.split("\nAgent ").skip(1) {
        let value = |key: &str| {
            let line = agent.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix(':'))?;
            Some(line.trim()).filter(|value| !value.is_empty())
        };
        if value("Device Type") != Some("GPU") {
            continue;
        }
        let Some(name) = value("Marketing Name").or_else(|| value("Name")) else { continue };
        let mut device = Device::named(Vendor::Amd, name);
        device.capability = value("Name").map(str::to_owned);
        device.cores = value("Compute Unit").and_then(|n| n.parse().ok());
        device.shares_memory = value("Memory Properties").is_some_and(|p| p.contains("APU"))
            || value("Name").is_some_and(|name| INTEGRATED.contains(&name));
        // The first pool is the memory: `25149440(0x17fc000) KB`.
        let kilobytes = value("Size").and_then(|size| size.split('(').next()?.trim().parse::<u64>().ok());
        device.memory = kilobytes.and_then(|n| n.checked_mul(1024)).filter(|n| *n > 0).map(Bytes::new);
        all.push(device);
    }
    all
}

/// Targets of AMD's compiler that are graphics of a processor (LLVM, User Guide for the AMDGPU backend, "Processors").
const INTEGRATED: [&str; 9] =
    ["gfx902", "gfx90c", "gfx1035", "gfx1036", "gfx1037", "gfx1103", "gfx1150", "gfx1151", "gfx1152"];

/// A card as the kernel's driver describes it.
#[derive(Clone, Copy, Debug, Default)]
struct Card {
    vram: Option<Bytes>,
    used: Option<Bytes>,
    gtt: Option<Bytes>,
    pcie: Option<Pcie>,
}

/// AMD's cards of `/sys/class/drm`, from lines `path:value`.
fn cards(text: &str) -> Vec<Card> {
    let mut all: Vec<(String, bool, Card)> = Vec::new();
    for line in text.lines() {
        let Some((path, value)) = line.rsplit_once(':') else { continue };
        let Some((card, file)) = path.split_once("/device/") else { continue };
        let name = card.rsplit('/').next().unwrap_or(card);
        if all.last().is_none_or(|(last, ..)| last != name) {
            all.push((name.to_owned(), false, Card::default()));
        }
        let Some((_, amd, card)) = all.last_mut() else { continue };
        let bytes = || value.trim().parse().ok().filter(|n| *n > 0).map(Bytes::new);
        match file {
            "vendor" => *amd = value.trim() == "0x1002",
            "mem_info_vram_total" => card.vram = bytes(),
            "mem_info_vram_used" => card.used = bytes(),
            "mem_info_gtt_total" => card.gtt = bytes(),
            "max_link_speed" => {
                let gigatransfers = value.split_whitespace().next().and_then(|n| n.parse::<f64>().ok());
                let generation = gigatransfers.and_then(generation);
                card.pcie = generation.map(|generation| Pcie { generation, lanes: 16 });
            }
            "max_link_width" => {
                let lanes = value.trim().parse().ok();
                card.pcie = card.pcie.zip(lanes).map(|(slot, lanes)| Pcie { lanes, ..slot });
            }
            _ => {}
        }
    }
    all.into_iter().filter(|(_, amd, _)| *amd).map(|(.., card)| card).collect()
}

/// The generation of PCI Express by its transfers a second.
fn generation(gigatransfers: f64) -> Option<u32> {
    [(2.5, 1), (5.0, 2), (8.0, 3), (16.0, 4), (32.0, 5), (64.0, 6)]
        .iter()
        .find(|(rate, _)| (gigatransfers - rate).abs() < 0.3)
        .map(|(_, generation)| *generation)
}

/// Cards that the kernel drives, by their names on the PCI bus.
fn of_driver(outputs: &Outputs) -> Vec<Device> {
    let cards = cards(outputs.of(Probe::Sysfs));
    let adapters = lspci::devices(outputs).into_iter().filter(|device| device.vendor == Vendor::Amd);
    let join = |(device, card): (Device, &Card)| Device {
        memory: card.vram,
        used: card.used,
        // On the processor's own graphics the driver lends more of the host's memory than it calls its own.
        shares_memory: card.gtt > card.vram && card.vram < Some(Bytes::gib(3.0)),
        pcie: card.pcie,
        ..device
    };
    adapters.zip(&cards).map(join).collect()
}
