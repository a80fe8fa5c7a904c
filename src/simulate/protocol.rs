//! How public benchmarks drive a server, so that what is compared is what was measured.

use std::ops::Range;
use std::str::FromStr;

use super::arrivals::{Arrivals, ClosedLoop, OpenLoop};
use super::lengths::Lengths;
use super::sessions::{SessionLoop, Turns};
use crate::diagnostic::{Code, Diagnostic};
use crate::workload::{Load, Routing, Workload};

/// A way to drive a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// The long run: ramp-up is left out, lengths vary by a fifth so that requests do not march in step.
    Steady,
    /// InferenceX, and `vllm bench serve` as it calls it: a closed loop of ten requests per client, lengths
    /// uniform from 0.8 to 1.0 of the nominal ones, the first burst counted.
    InferenceX,
    /// `trtllm-bench throughput`: all requests at once, lengths fixed, ramp-up and drain counted.
    TrtllmBench,
    /// MLPerf Inference, server scenario: a Poisson process, all requests counted.
    MlperfServer,
}

/// Requests that a run sends unless told otherwise.
pub const DEFAULT_REQUESTS: u64 = 2000;

/// Requests per client of a closed loop (InferenceX).
const PER_CLIENT: u64 = 10;

/// Fewest requests that count in a steady closed loop: lengths vary by a fifth, and the mean of ten of them by 4 %.
const FEWEST: u64 = 200;

/// How many times the latency of a request a steady run under a rate lasts: before what counts, while it counts,
/// and after. A queue forgets how it began after a few, and a mean over thirty of them settles to about 2 %.
const LATENCIES: (f64, f64, f64) = (4.0, 30.0, 2.0);

/// Requests per user of sessions that count, and the fewest.
const TURNS_PER_USER: u64 = 5;
const FEWEST_TURNS: u64 = 1000;

/// Requests per client before and after those that count in a steady run.
const WARMUP_PER_CLIENT: u64 = 2;
const COOLDOWN_PER_CLIENT: u64 = 1;

impl Protocol {
    /// Every protocol.
    pub const ALL: [Protocol; 4] =
        [Protocol::Steady, Protocol::InferenceX, Protocol::TrtllmBench, Protocol::MlperfServer];

    /// Name as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Steady => "steady",
            Protocol::InferenceX => "inferencex",
            Protocol::TrtllmBench => "trtllm-bench",
            Protocol::MlperfServer => "mlperf-server",
        }
    }

    /// The lengths that stand for a nominal one.
    pub fn lengths(self, nominal: u64) -> Lengths {
        match self {
            Protocol::Steady => {
                let part = nominal / 5;
                Lengths::Uniform { low: (nominal - part).max(1), high: nominal.saturating_add(part) }
            }
            Protocol::InferenceX => Lengths::from_share(nominal, 0.8),
            Protocol::TrtllmBench | Protocol::MlperfServer => Lengths::Fixed(nominal),
        }
    }

    /// Requests to send before those that count, those that count, and those after.
    pub fn requests(self, load: Load) -> Requests {
        let count = match load {
            Load::Concurrency(n) => PER_CLIENT.saturating_mul(n),
            Load::Rate(_) | Load::Saturate => DEFAULT_REQUESTS,
            Load::Users(n) => TURNS_PER_USER.saturating_mul(n).max(FEWEST_TURNS),
        };
        match (self, load) {
            (Protocol::Steady, Load::Concurrency(n)) => Requests {
                before: WARMUP_PER_CLIENT * n,
                count: count.max(FEWEST),
                after: COOLDOWN_PER_CLIENT * n,
            },
            (_, Load::Users(n)) => Requests { before: 3 * n, count, after: n.div_ceil(4) },
            (Protocol::Steady, Load::Rate(_)) => Requests { before: count / 10, count, after: 0 },
            _ => Requests { before: 0, count, after: 0 },
        }
    }

    /// Requests of a steady run under a rate that keeps `in_flight` of them in the server: by Little's law as many
    /// come during one latency. At least `fewest` count.
    pub fn requests_under_rate(in_flight: f64, fewest: u64) -> Requests {
        let during = |latencies: f64| (latencies * in_flight).ceil().max(1.0) as u64;
        let (before, count, after) = LATENCIES;
        let count = during(count).max(fewest);
        Requests { before: during(before).max(count / 10), count, after: during(after) }
    }

    /// Checks that a load suits the protocol.
    ///
    /// # Errors
    /// [`Code::Usage`] saying which load it takes.
    pub fn takes(self, load: Load) -> Result<(), Diagnostic> {
        let fits = match self {
            Protocol::Steady => true,
            Protocol::InferenceX => matches!(load, Load::Concurrency(_)),
            Protocol::TrtllmBench => load == Load::Saturate,
            Protocol::MlperfServer => matches!(load, Load::Rate(_)),
        };
        let needs = match self {
            Protocol::InferenceX => "a --concurrency",
            Protocol::MlperfServer => "a --rate",
            Protocol::TrtllmBench | Protocol::Steady => "neither --concurrency nor --rate",
        };
        if fits {
            return Ok(());
        }
        Err(Diagnostic::new(Code::Usage, format!("{} takes {needs}", self.name())).at("--protocol"))
    }
}

/// Requests of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requests {
    /// Sent first; they warm the server up.
    pub before: u64,
    /// Those that count.
    pub count: u64,
    /// Sent last; they keep the load up until those that count have ended.
    pub after: u64,
}

impl Requests {
    /// All that are sent.
    pub fn total(&self) -> u64 {
        self.before.saturating_add(self.count).saturating_add(self.after)
    }

    /// So many times as many of each.
    #[must_use]
    pub fn times(&self, n: u64) -> Requests {
        let of = |requests: u64| requests.saturating_mul(n);
        Requests { before: of(self.before), count: of(self.count), after: of(self.after) }
    }

    /// The numbers of those that count.
    pub fn window(&self) -> Range<u64> {
        self.before..self.before.saturating_add(self.count)
    }

    /// What falls to replica number `index` of `replicas` when requests are dealt out in turn.
    pub fn part(&self, index: u64, replicas: u64) -> Requests {
        let part = |n: u64| n / replicas + u64::from(index < n % replicas);
        Requests { before: part(self.before), count: part(self.count), after: part(self.after) }
    }
}

impl FromStr for Protocol {
    type Err = Diagnostic;
    fn from_str(text: &str) -> Result<Self, Diagnostic> {
        let names = Protocol::ALL.map(Protocol::name);
        Protocol::ALL.into_iter().find(|p| p.name() == text).ok_or_else(|| {
            Diagnostic::unknown("protocol", text, names, &format!("allowed: {}", names.join(", ")))
        })
    }
}

/// A run of requests whose lengths are drawn.
#[derive(Clone, Debug)]
pub struct Drive {
    /// Lengths of prompts and outputs.
    pub lengths: (Lengths, Lengths),
    /// Share of each prompt that is in the cache already.
    pub reused: f64,
    /// Load on one replica. Saturated: all requests at once.
    pub load: Load,
    /// Gamma shape of the gaps of an open loop; 1 is Poisson, infinity a constant rate.
    pub burstiness: f64,
    /// Requests to send.
    pub requests: Requests,
    /// Seed of everything drawn.
    pub seed: u64,
    /// Sessions, where requests are turns of them.
    pub sessions: Option<Turns>,
}

impl Drive {
    /// What a protocol makes of a workload.
    pub fn new(protocol: Protocol, workload: &Workload, seed: u64) -> Drive {
        let lengths = (protocol.lengths(workload.isl), protocol.lengths(workload.osl));
        let requests = protocol.requests(workload.load);
        let reused = workload.reused_prompt() as f64 / workload.isl.max(1) as f64;
        let sessions = workload.sessions.map(|sessions| Turns {
            sessions,
            lengths: [sessions.first, sessions.new, sessions.output].map(|n| protocol.lengths(n.max(1))),
            replicas: 1,
        });
        Drive { lengths, reused, load: workload.load, burstiness: 1.0, requests, seed, sessions }
    }

    /// The same where turns go to any of so many replicas, unless routing keeps sessions on one.
    #[must_use]
    pub fn spread(mut self, routing: Routing, replicas: u64) -> Drive {
        if let (Some(turns), false) = (&mut self.sessions, routing.keeps_sessions()) {
            turns.replicas = replicas.max(1);
            if let Load::Users(n) = &mut self.load {
                *n = n.saturating_mul(replicas.max(1));
            }
        }
        self
    }

    /// The source of its requests.
    pub fn arrivals(&self) -> Box<dyn Arrivals> {
        let (lengths, total) = (self.lengths.clone(), self.requests.total());
        if let (Some(turns), Load::Users(n)) = (&self.sessions, self.load) {
            return Box::new(SessionLoop::new(turns.clone(), n, total, self.seed));
        }
        match self.load {
            Load::Concurrency(n) | Load::Users(n) => {
                Box::new(ClosedLoop::new(n, total, lengths, self.seed).reusing(self.reused))
            }
            Load::Saturate => {
                Box::new(ClosedLoop::new(total, total, lengths, self.seed).reusing(self.reused))
            }
            Load::Rate(rate) => {
                let source = OpenLoop::new(rate, self.burstiness, total, lengths, self.seed);
                Box::new(source.reusing(self.reused))
            }
        }
    }
}
