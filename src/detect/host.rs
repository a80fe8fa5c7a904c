//! The host: its processor, its memory and the modules that it is made of.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use super::source::{Outputs, Probe};
use crate::units::{Bytes, BytesPerSecond};

/// What is known of the host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostFacts {
    /// Processor, as it names itself.
    pub processor: Option<String>,
    /// Sockets that hold one.
    pub sockets: Option<u32>,
    /// Cores of all sockets.
    pub cores: Option<u32>,
    /// Memory in all, as the kernel counts it.
    pub memory: Option<Bytes>,
    /// Memory that may be had now.
    pub available: Option<Bytes>,
    /// Bandwidth of the memory.
    pub bandwidth: Option<BytesPerSecond>,
    /// What that is: `4 channels of DDR5 at 4,800 MT/s`, or `measured`.
    pub bandwidth_from: Option<String>,
}

/// How boards write a channel, the plainer before what may be something else.
static CHANNELS: LazyLock<[Regex; 3]> = LazyLock::new(|| {
    [r"(?i-u)channel[ _-]*([a-p])", r"(?i-u)dimm[ _-]?([a-p])", r"(?i-u)\b([a-h])[0-9]\b"]
        .map(|text| Regex::new(text).expect("a pattern of this file"))
});
static SOCKET: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i-u)\b(?:p|cpu|proc|node)[ _-]?([0-9]+)\b|controller([0-9]+)")
        .expect("a pattern of this file")
});

/// The host that outputs describe.
pub fn read(outputs: &Outputs) -> HostFacts {
    let meminfo = |key: &str| {
        let line = outputs
            .of(Probe::MemInfo)
            .lines()
            .find_map(|line| line.trim().strip_prefix(key)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024).map(Bytes::new)
    };
    let lscpu = |key: &str| {
        let of = |line: &str| Some(line.trim().strip_prefix(key)?.strip_prefix(':')?.trim().to_owned());
        outputs.of(Probe::Lscpu).lines().find_map(of).filter(|value| !value.is_empty())
    };
    let count = |key: &str| lscpu(key)?.parse::<u32>().ok();
    let sockets = count("Socket(s)");
    let per_socket = count("Core(s) per socket");
    let modules = modules(outputs);
    let measured = measured(outputs.of(Probe::Bandwidth));
    let from_modules = bandwidth(&modules);
    HostFacts {
        processor: lscpu("Model name"),
        sockets,
        cores: sockets.zip(per_socket).and_then(|(sockets, cores)| sockets.checked_mul(cores)),
        memory: meminfo("MemTotal"),
        available: meminfo("MemAvailable"),
        bandwidth: from_modules.as_ref().map(|(rate, _)| *rate).or(measured),
        bandwidth_from: from_modules
            .map(|(_, words)| words)
            .or_else(|| measured.map(|_| "measured".to_owned())),
    }
}

/// What `shardfit doctor --measure` printed.
fn measured(text: &str) -> Option<BytesPerSecond> {
    let line = text.lines().find(|line| line.contains("GB/s") && !line.contains('|'))?;
    let rate = line.split("GB/s").next()?.split_whitespace().next_back()?.parse::<f64>().ok()?;
    (rate > 0.0 && rate.is_finite()).then(|| BytesPerSecond::new(rate * 1e9))
}

/// A memory module that is there.
#[derive(Clone, Debug, PartialEq)]
struct Module {
    /// Socket and channel, if its place says so.
    channel: Option<(String, char)>,
    /// Width of its data in bits.
    bits: u32,
    /// Transfers a second, in millions.
    rate: u32,
    kind: String,
}

fn modules(outputs: &Outputs) -> Vec<Module> {
    let text = outputs.of(Probe::Dmidecode);
    let devices = text.split("Memory Device\n").skip(1);
    devices.filter_map(module).collect()
}

fn module(text: &str) -> Option<Module> {
    let text = text.split("\nHandle ").next().unwrap_or(text);
    let value = |key: &str| {
        let of = |line: &str| Some(line.trim().strip_prefix(key)?.strip_prefix(':')?.trim().to_owned());
        text.lines().find_map(of).filter(|value| value != "Unknown")
    };
    let number = |key: &str| value(key)?.split_whitespace().next()?.parse::<u32>().ok();
    if value("Size").is_none_or(|size| !size.starts_with(|c: char| c.is_ascii_digit())) {
        return None;
    }
    let rate = number("Configured Memory Speed").or_else(|| number("Configured Clock Speed"))?;
    let places = [value("Bank Locator"), value("Locator")];
    let letter = |pattern: &Regex| {
        let found = places.iter().flatten().find_map(|place| pattern.captures(place))?;
        found.get(1)?.as_str().chars().next().map(|c| c.to_ascii_uppercase())
    };
    let socket = |place: &String| {
        let found = SOCKET.captures(place)?;
        Some(found.iter().skip(1).flatten().next()?.as_str().to_owned())
    };
    let given = || places.iter().flatten();
    let channel =
        CHANNELS.iter().find_map(letter).map(|letter| (given().find_map(socket).unwrap_or_default(), letter));
    Some(Module {
        channel,
        bits: number("Data Width").unwrap_or(64),
        rate,
        kind: value("Type").unwrap_or_else(|| "memory".to_owned()),
    })
}

/// Channels that hold a module, times their width and rate; nothing where modules do not say in which channel they are.
fn bandwidth(modules: &[Module]) -> Option<(BytesPerSecond, String)> {
    let slowest = modules.iter().map(|m| m.rate).min()?;
    let first = modules.first()?;
    let channels: BTreeSet<&(String, char)> = modules.iter().filter_map(|m| m.channel.as_ref()).collect();
    let count = match modules {
        // A single module has a single channel, wherever it is.
        [_] => 1,
        _ if modules.iter().any(|m| m.channel.is_none()) => return None,
        _ => channels.len(),
    };
    let bytes = f64::from(first.bits) / 8.0;
    let rate = count as f64 * bytes * f64::from(slowest) * 1e6;
    let plural = if count == 1 { "" } else { "s" };
    Some((BytesPerSecond::new(rate), format!("{count} channel{plural} of {} at {slowest} MT/s", first.kind)))
}
