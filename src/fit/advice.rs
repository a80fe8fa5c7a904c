//! What would make a model run that does not: each change is tried on the machine, and only what runs then is said.

use super::found::{Described, Fallen};
use super::need::{Candidate, Need, Question};
use super::way::Way;
use crate::catalog::link::LinkKind;
use crate::catalog::{Cluster, Host};
use crate::diagnostic::Diagnostic;
use crate::model::{self, Scope};
use crate::units::{Bytes, BytesPerSecond, TokensPerSecond};

/// A model above the best that runs, and what would make it run.
#[derive(Clone, Debug, PartialEq)]
pub struct Advised {
    /// The model.
    pub model: Described,
    /// Why it does not run.
    pub why: Fallen,
    /// Changes with which it does, the least first.
    pub suggestions: Vec<Suggestion>,
}

/// One change, and how the model runs then.
#[derive(Clone, Debug, PartialEq)]
pub struct Suggestion {
    /// The change, such as `2 × rtx-4090`.
    pub change: String,
    /// The same as options of the command.
    pub options: String,
    /// How it runs then.
    pub way: Way,
}

/// Host memory that people have, GiB: desktops up to 192, servers beyond.
const HOSTS: [u64; 10] = [32, 64, 96, 128, 192, 256, 384, 512, 768, 1024];

/// Most of a desktop: four modules of 48 GiB on two channels.
const DESKTOP: u64 = 192;

/// Two channels of DDR5-5600: 2 × 8 bytes × 5.6 GT/s.
const DESKTOP_BANDWIDTH: f64 = 89.6e9;

/// Twelve channels of DDR5-4800, EPYC 9004: 12 × 8 bytes × 4.8 GT/s.
const SERVER_BANDWIDTH: f64 = 460.8e9;

/// PCIe 5.0 x16, each way, for GPUs whose own link is another.
const LINK: f64 = 64e9;

/// How many times as many GPUs are tried.
const MORE: [u32; 3] = [2, 4, 8];

impl Question<'_> {
    /// Changes with which a candidate runs: a shorter context, other formats, a slower pace, host memory, more GPUs.
    pub(super) fn suggestions(
        &self,
        candidate: &Candidate,
        why: &Fallen,
    ) -> Result<Vec<Suggestion>, Diagnostic> {
        let Ok(model) = model::find_in(self.catalog, &candidate.id, Scope::Full) else {
            return Ok(Vec::new());
        };
        let tried = |cluster: &Cluster, need: &Need| -> Result<Option<Way>, Diagnostic> {
            // Another machine has no parts of this one.
            let parts = if std::ptr::eq(cluster, self.cluster) { self.parts } else { &[] };
            let other = Question { cluster, parts, need, every_way: false, ..*self };
            Ok(other.runs(candidate, &model)?.ok().and_then(|ways| ways.into_iter().next()))
        };
        let mut found = Vec::new();
        let mut add = |change: String, options: String, way: Option<Way>| {
            found.extend(way.map(|way| Suggestion { change, options, way }));
        };
        let need = self.need;
        let short = need.isl.unwrap_or(1024) + need.osl.unwrap_or(256);
        if need.context > short {
            let shorter = Need {
                context: short,
                context_is_stated: false,
                isl: need.isl.or(Some(1024)),
                osl: need.osl.or(Some(256)),
                ..need.clone()
            };
            let options = format!("--context {short}");
            add(format!("a context of {short} tokens"), options, tried(self.cluster, &shorter)?);
        }
        if !need.formats.is_empty() {
            let free = Need { formats: Vec::new(), ..need.clone() };
            let way = tried(self.cluster, &free)?;
            let format = way.as_ref().map_or("", |way| way.format.name()).to_owned();
            add(format!("weights in {format}"), format!("--weights {format}"), way);
        }
        if let Some(most) = need.most_memory {
            let free = Need { most_memory: None, ..need.clone() };
            let way = tried(self.cluster, &free)?;
            let taken = way.as_ref().map_or(most, |way| way.taken);
            add(format!("{taken} of memory"), format!("--max-memory {:.1}GiB", taken.as_gib() + 0.05), way);
        }
        if let Fallen::TooSlow(slow) = why {
            let pace = slow.speed.get();
            let patient = Need { least: TokensPerSecond::ZERO, ..need.clone() };
            add(
                format!("{pace:.2} tokens/s"),
                format!("--min-tokens {pace:.2}"),
                tried(self.cluster, &patient)?,
            );
        }
        if self.engines.iter().any(|engine| engine.host.is_some()) && self.cluster.has_own_memory() {
            for gib in HOSTS {
                let memory = Bytes::gib(gib as f64);
                if self.cluster.host.is_some_and(|host| host.memory >= memory) {
                    continue;
                }
                let host = self.host_of(gib, memory);
                let with = Cluster { host: Some(host), ..self.cluster.clone() };
                if let Some(way) = tried(&with, need)? {
                    let rate = host.bandwidth.get() / 1e9;
                    let change = format!("{gib} GiB of host memory at {rate} GB/s");
                    add(change, format!("--host {host}"), Some(way));
                    break;
                }
            }
        }
        if self.cluster.has_own_memory() && self.cluster.nodes == 1 && !self.cluster.spans_kinds() {
            for times in MORE {
                let gpus = self.cluster.gpus.saturating_mul(times);
                let more = Cluster::of_gpus(self.cluster.gpu.clone(), gpus).ok();
                let Some(more) = more.filter(|more| more.nodes == 1) else { break };
                let more = Cluster { host: self.cluster.host, ..more };
                if let Some(way) = tried(&more, need)? {
                    let gpu = &self.cluster.gpu.id;
                    add(format!("{gpus} × {gpu}"), format!("--cluster {gpus}x{gpu}"), Some(way));
                    break;
                }
            }
        }
        Ok(found)
    }

    /// A host as people have it with so much memory: at the bandwidth that is known, else that of its kind.
    fn host_of(&self, gib: u64, memory: Bytes) -> Host {
        let kind = if gib <= DESKTOP { DESKTOP_BANDWIDTH } else { SERVER_BANDWIDTH };
        let own = self.cluster.gpu.scale_up.kind == LinkKind::Pcie;
        let known = self.cluster.host;
        Host {
            memory,
            bandwidth: known.map_or(BytesPerSecond::new(kind), |host| host.bandwidth),
            link: known.map_or((!own).then_some(BytesPerSecond::new(LINK)), |host| host.link),
        }
    }
}
