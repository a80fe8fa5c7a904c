//! How NVIDIA's GPUs are joined: the matrix of `nvidia-smi topo -m` and the rates of `nvidia-smi nvlink -s`.

use std::sync::LazyLock;

use regex::Regex;

use super::source::{Outputs, Probe};
use crate::units::BytesPerSecond;

/// How GPUs are joined.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Topology {
    /// NVLinks between each two GPUs, in the order of the tool; empty where it said nothing.
    pub links: Vec<Vec<u32>>,
    /// Rate of one link and direction, where the tool says.
    pub rate: Option<BytesPerSecond>,
}

static LINK: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"Link [0-9]+:[ \t]*(?:<inactive>|([0-9.]+) GB/s)").expect("a pattern of this file")
});

impl Topology {
    /// Whether the tool said anything.
    pub fn is_known(&self) -> bool {
        !self.links.is_empty()
    }

    /// Sizes of the groups of these GPUs in which everyone has NVLinks to everyone, and the links between two of them:
    /// `(8, 18)` of a server with NVSwitch, `(2, 4)` of bridged pairs, `(1, 0)` without.
    pub fn group(&self, gpus: &[usize]) -> (u32, u32) {
        let between = |a: usize, b: usize| self.links.get(a).and_then(|row| row.get(b)).copied().unwrap_or(0);
        let joined = |a: usize| gpus.iter().filter(|b| **b != a && between(a, **b) > 0).count();
        let sizes: Vec<usize> = gpus.iter().map(|gpu| joined(*gpu) + 1).collect();
        let (Some(least), Some(most)) = (sizes.iter().min(), sizes.iter().max()) else { return (1, 0) };
        if least != most || !gpus.len().is_multiple_of(*most) {
            return (1, 0);
        }
        let pairs = gpus.iter().flat_map(|a| gpus.iter().map(move |b| (*a, *b)));
        let links = pairs.filter(|(a, b)| a != b).map(|(a, b)| between(a, b)).filter(|n| *n > 0).min();
        (u32::try_from(*most).unwrap_or(1), links.unwrap_or(0))
    }
}

/// The matrix and the rate.
pub fn read(outputs: &Outputs) -> Topology {
    let rates = LINK
        .captures_iter(outputs.of(Probe::NvidiaLinks))
        .filter_map(|found| found.get(1)?.as_str().parse().ok());
    let rate =
        rates.fold(None, |most: Option<f64>, rate: f64| Some(most.map_or(rate, |most| most.max(rate))));
    Topology {
        links: matrix(outputs.of(Probe::NvidiaTopology)),
        rate: rate.filter(|rate| *rate > 0.0).map(|rate| BytesPerSecond::new(rate * 1e9)),
    }
}

fn matrix(text: &str) -> Vec<Vec<u32>> {
    let gpu = |word: &&str| word.strip_prefix("GPU").is_some_and(|n| n.parse::<u32>().is_ok());
    let head = text.lines().map(words).find(|words| {
        words.iter().filter(|w| gpu(w)).count() > 0 && {
            // The line above the rows, which begin with a GPU and its connections.
            !words.contains(&"X")
        }
    });
    let Some(gpus) = head.map(|words| words.iter().filter(|w| gpu(w)).count()) else { return Vec::new() };
    let row = |line: &str| {
        let words = words(line);
        let own = words.first().filter(|word| gpu(word))?;
        let cells: Vec<u32> = words.iter().skip(1).take(gpus).map(|cell| links(cell)).collect();
        let is_row = own.len() < 8 && cells.len() == gpus && words.contains(&"X");
        is_row.then_some(cells)
    };
    let rows: Vec<Vec<u32>> = text.lines().filter_map(row).take(gpus).collect();
    if rows.len() == gpus && gpus > 1 { rows } else { Vec::new() }
}

fn words(line: &str) -> Vec<&str> {
    let line = line.trim_start();
    let line = line.strip_prefix("GPU topology:").unwrap_or(line);
    line.split_whitespace().collect()
}

/// `NV4` is four links.
fn links(cell: &str) -> u32 {
    cell.strip_prefix("NV").and_then(|n| n.parse().ok()).unwrap_or(0)
}
