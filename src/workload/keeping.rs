//! What keeps the prefixes of prompts: tiers below the GPUs' own cache, and where requests are sent.

use std::fmt;
use std::str::FromStr;

use crate::diagnostic::{Code, Diagnostic};
use crate::units::{Bytes, BytesPerSecond, Seconds};

/// How requests are sent to replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Routing {
    /// To the replica that has most of the prompt: the turns of a session stay on one (the routers of SGLang, llm-d,
    /// Dynamo and vLLM's production stack).
    #[default]
    PrefixAware,
    /// In turn, whatever a replica has.
    RoundRobin,
    /// To the replica with the fewest requests, whatever it has.
    LeastLoad,
}

impl Routing {
    /// Every way.
    pub const ALL: [Routing; 3] = [Routing::PrefixAware, Routing::RoundRobin, Routing::LeastLoad];

    /// Name as written and printed.
    pub fn name(self) -> &'static str {
        match self {
            Routing::PrefixAware => "prefix-aware",
            Routing::RoundRobin => "round-robin",
            Routing::LeastLoad => "least-load",
        }
    }

    /// Whether the turns of a session stay on one replica.
    pub fn keeps_sessions(self) -> bool {
        self == Routing::PrefixAware
    }
}

impl FromStr for Routing {
    type Err = Diagnostic;
    fn from_str(text: &str) -> Result<Self, Diagnostic> {
        let names = Routing::ALL.map(Routing::name);
        Routing::ALL.into_iter().find(|r| r.name() == text).ok_or_else(|| {
            Diagnostic::unknown("routing", text, names, &format!("allowed: {}", names.join(", ")))
        })
    }
}

/// What a tier is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TierKind {
    /// Memory of the host, of each node.
    Cpu,
    /// Drives in the node.
    Nvme,
    /// A store over the network that all replicas share.
    Shared,
}

impl TierKind {
    /// Every kind, the fastest first.
    pub const ALL: [TierKind; 3] = [TierKind::Cpu, TierKind::Nvme, TierKind::Shared];

    /// Name as written and printed.
    pub fn name(self) -> &'static str {
        match self {
            TierKind::Cpu => "cpu",
            TierKind::Nvme => "nvme",
            TierKind::Shared => "shared",
        }
    }

    /// From asking for the first byte to having it, where it is not stated: a copy over PCIe, a read of a block of a
    /// drive (both typical), a round trip and a look-up over the network (typical).
    pub fn usual_latency(self) -> Seconds {
        Seconds::micros(match self {
            TierKind::Cpu => 20.0,
            TierKind::Nvme => 200.0,
            TierKind::Shared => 1000.0,
        })
    }
}

/// A place below the GPUs' cache that keeps what was computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tier {
    /// What it is made of.
    pub kind: TierKind,
    /// Bytes of each node; of a shared store in all.
    pub size: Bytes,
    /// Bytes per second that are read, of each GPU for the host's memory and the network, of a node for its drives;
    /// where it is not stated the hardware's.
    pub bandwidth: Option<BytesPerSecond>,
}

/// Tiers, the fastest first.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tiers([Option<Tier>; 3]);

impl Tiers {
    /// What is written so, for help texts.
    pub const FORM: &'static str =
        "cpu=1TiB,nvme=4TB,shared=20TB, each with a bandwidth where it is known: nvme=4TB@14GB/s";

    /// No tiers.
    pub const NONE: Tiers = Tiers([None; 3]);

    /// Those that there are, the fastest first.
    pub fn iter(&self) -> impl Iterator<Item = Tier> + '_ {
        self.0.iter().flatten().copied()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    /// The first `n` of them.
    #[must_use]
    pub fn first(&self, n: usize) -> Tiers {
        let mut some = Tiers::NONE;
        for (place, tier) in some.0.iter_mut().zip(self.iter().take(n)) {
            *place = Some(tier);
        }
        some
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.iter().count()
    }
}

impl FromStr for Tiers {
    type Err = Diagnostic;

    fn from_str(text: &str) -> Result<Self, Diagnostic> {
        let wrong =
            |cause: String| Diagnostic::new(Code::Syntax, cause).help(format!("for example {}", Tiers::FORM));
        let mut tiers = Tiers::NONE;
        for part in text.split(',') {
            let Some((name, value)) = part.split_once('=') else {
                return Err(wrong(format!("`{}` is not TIER=SIZE", part.trim())));
            };
            let names = TierKind::ALL.map(TierKind::name);
            let name = name.trim();
            let Some(place) = TierKind::ALL.iter().position(|kind| kind.name() == name) else {
                return Err(Diagnostic::unknown(
                    "tier",
                    name,
                    names,
                    &format!("allowed: {}", names.join(", ")),
                ));
            };
            let kind = TierKind::ALL[place];
            let (size, bandwidth) = value.split_once('@').map_or((value, None), |(s, b)| (s, Some(b)));
            let size: Bytes = size.trim().parse().map_err(|why| wrong(format!("{name}: {why}")))?;
            let bandwidth = bandwidth
                .map(|text| {
                    text.trim().parse::<BytesPerSecond>().map_err(|why| wrong(format!("{name}: {why}")))
                })
                .transpose()?;
            if size == Bytes::ZERO || bandwidth.is_some_and(|b| !(b.get() > 0.0 && b.get().is_finite())) {
                return Err(Diagnostic::new(
                    Code::Range,
                    format!("{name}: size and bandwidth must be positive"),
                ));
            }
            if tiers.0[place].replace(Tier { kind, size, bandwidth }).is_some() {
                return Err(wrong(format!("{name} is named twice")));
            }
        }
        Ok(tiers)
    }
}

impl fmt::Display for Tiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, tier) in self.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(f, "{comma}{}={}B", tier.kind.name(), tier.size.get())?;
            if let Some(bandwidth) = tier.bandwidth {
                write!(f, "@{}B/s", bandwidth.get())?;
            }
        }
        Ok(())
    }
}

/// How a deployment keeps prefixes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Keeping {
    /// Tiers below the GPUs' cache.
    pub tiers: Tiers,
    /// Where requests are sent.
    pub routing: Routing,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_are_read_with_their_sizes_in_the_order_of_their_speed() {
        let tiers: Tiers = "nvme=4TB@14GB/s, cpu=1TiB".parse().unwrap();
        let all: Vec<Tier> = tiers.iter().collect();
        assert_eq!((all[0].kind, all[0].size), (TierKind::Cpu, Bytes::new(1 << 40)));
        assert_eq!((all[1].size.get(), all[1].bandwidth.unwrap().get()), (4_000_000_000_000, 14e9));
        assert_eq!(tiers.to_string().parse::<Tiers>().unwrap(), tiers);
        assert_eq!((tiers.first(1).count(), tiers.first(9).count()), (1, 2));
    }

    #[test]
    fn what_is_no_tier_is_said_with_those_that_are() {
        let fault = |text: &str| text.parse::<Tiers>().unwrap_err().to_string();
        assert!(fault("nvm=4TB").contains("nvme"));
        assert!(fault("cpu").contains("TIER=SIZE"));
        assert!(fault("cpu=1TiB,cpu=2TiB").contains("twice"));
        assert!(fault("cpu=12").contains("unit") && fault("cpu=0GiB").contains("positive"));
    }
}
