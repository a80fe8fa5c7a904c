//! What drives a simulation.

use std::path::{Path, PathBuf};

use crate::diagnostic::{Code, Diagnostic};
use crate::estimate::deployment::Deployment;
use crate::request::checks::{range, usage, within};
use crate::request::{LengthEntry, Request};
use crate::simulate::{
    Arrivals as _, DEFAULT_REQUESTS, Drive, Lengths, NamedColumns, Protocol, Requests, Trace,
};
use crate::units::RequestsPerSecond;
use crate::workload::{CUT_LENGTHS, Load, Workload};

/// Requests that a run sends at most: weeks of a large fleet's traffic.
pub const MAX_REQUESTS: u64 = 1_000_000_000;

/// Where the requests of a simulation come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Drawn.
    Drawn {
        /// Their lengths and load.
        drive: Drive,
        /// The protocol that says how many there are, where the request does not.
        protocol: Protocol,
        /// How many count, where the request says so.
        count: Option<u64>,
        /// How many come before, where the request says so.
        before: Option<u64>,
    },
    /// Read from a file.
    Trace {
        /// The file.
        path: PathBuf,
        /// Its columns, where they are named.
        columns: NamedColumns,
        /// How many times as fast it is played.
        speed: f64,
        /// Those that are sent and count.
        requests: Requests,
        /// Whether prompts that it says have something in common share their cache.
        prefix_cache: bool,
    },
}

impl Source {
    /// The source with the users that its load comes to on so many replicas, where requests are turns of sessions.
    pub(in crate::request) fn of_users(self, deployment: &Deployment, replicas: u32) -> Source {
        let Source::Drawn { mut drive, protocol, count, before } = self else { return self };
        if let Some(turns) = &mut drive.sessions {
            let users = deployment.users(replicas).round().max(1.0) as u64;
            drive.load = Load::Users(users);
            let long = protocol.requests(drive.load);
            let (count, before) = (count.unwrap_or(long.count), before.unwrap_or(long.before));
            drive.requests = Requests { before, count, ..long };
            if !deployment.limits.keeping.routing.keeps_sessions() {
                turns.replicas = u64::from(replicas);
            }
        }
        Source::Drawn { drive, protocol, count, before }
    }

    /// The source with as many requests as its protocol takes where `in_flight` of them are in the server at a rate,
    /// unless the user says how many.
    pub(in crate::request) fn lasting(self, in_flight: impl FnOnce(RequestsPerSecond) -> f64) -> Source {
        let Source::Drawn { mut drive, protocol, count, before } = self else { return self };
        if let (Load::Rate(rate), Protocol::Steady) = (drive.load, protocol) {
            let long = Protocol::requests_under_rate(in_flight(rate), DEFAULT_REQUESTS);
            let (count, before) = (count.unwrap_or(long.count), before.unwrap_or(long.before));
            drive.requests = Requests { before, count, ..long };
        }
        Source::Drawn { drive, protocol, count, before }
    }
}

impl Request {
    /// The columns of a trace, where they are named.
    pub(super) fn named_columns(&self) -> Result<NamedColumns, Diagnostic> {
        self.columns.as_deref().map_or(Ok(NamedColumns::default()), str::parse)
    }

    /// Requests to take from a trace at most, warm-up included.
    pub(super) fn trace_requests(&self) -> u64 {
        self.requests.unwrap_or(MAX_REQUESTS).saturating_add(self.warmup.unwrap_or(0))
    }

    pub(super) fn source(&self, workload: &Workload, in_trace: u64) -> Result<Source, Diagnostic> {
        let (burstiness, speed) = (self.burstiness.unwrap_or(1.0), self.speed.unwrap_or(1.0));
        if burstiness.is_nan() || burstiness <= 0.0 {
            return Err(range("--burstiness", "must be positive"));
        }
        if !(speed > 0.0 && speed.is_finite()) {
            return Err(range("--speed", "must be positive"));
        }
        within("--requests", self.requests, 1..=MAX_REQUESTS)?;
        within("--warmup", self.warmup, 0..=MAX_REQUESTS)?;
        if let Some(path) = &self.trace {
            let before = self.warmup.unwrap_or(0);
            let requests = Requests { before, count: in_trace.saturating_sub(before), after: 0 };
            let prefix_cache = self.no_prefix_cache != Some(true);
            let columns = self.named_columns()?;
            return Ok(Source::Trace { path: path.into(), columns, speed, requests, prefix_cache });
        }
        let protocol = self.protocol.as_deref().map_or(Ok(Protocol::Steady), str::parse::<Protocol>)?;
        protocol.takes(workload.load)?;
        if workload.sessions.is_some() && protocol != Protocol::Steady {
            let cause = format!("{} sends requests that have nothing in common", protocol.name());
            return Err(usage(cause).at("--protocol").help("leave it out beside --sessions"));
        }
        let mut drive = Drive::new(protocol, workload, self.seed.unwrap_or(1));
        // A distribution that is spelled out is taken as it is.
        for (entry, lengths) in [(&self.isl, &mut drive.lengths.0), (&self.osl, &mut drive.lengths.1)] {
            if let Some(LengthEntry(spelled)) = entry
                && !matches!(spelled, Lengths::Fixed(_))
            {
                *lengths = spelled.clone();
            }
        }
        drive.burstiness = burstiness;
        drive.requests.count = self.requests.unwrap_or(drive.requests.count);
        drive.requests.before = self.warmup.unwrap_or(drive.requests.before);
        Ok(Source::Drawn { drive, protocol, count: self.requests, before: self.warmup })
    }

    /// What drives a simulation, in words.
    pub(super) fn drive_in_words(&self, workload: &Workload) -> String {
        if let Some(path) = &self.trace {
            let speed = self.speed.unwrap_or(1.0);
            let speed = if speed == 1.0 { String::new() } else { format!(" at {speed} times its speed") };
            return format!("trace {path}{speed}");
        }
        let load = match workload.load {
            Load::Saturate => "all requests at once".to_owned(),
            Load::Concurrency(n) => format!("{n} in flight"),
            Load::Rate(rate) => format!("{} req/s", rate.get()),
            Load::Users(n) => format!("{n} users"),
        };
        if let Some(sessions) = workload.sessions {
            return format!("sessions {sessions}, {load}, protocol {}", Protocol::Steady.name());
        }
        let hit =
            self.prefix_hit.map_or(String::new(), |hit| format!(" ({:.0} % of it cached)", 100.0 * hit.0));
        let words = |entry: &Option<LengthEntry>, mean: u64| {
            entry.as_ref().map_or(mean.to_string(), |entry| entry.0.to_string())
        };
        let (isl, osl) = (words(&self.isl, workload.isl), words(&self.osl, workload.osl));
        let cut = if workload.cut { CUT_LENGTHS } else { "" };
        let protocol = self.protocol.as_deref().unwrap_or(Protocol::Steady.name());
        match workload.purpose.pools() {
            true => format!("{}, isl {isl}{hit}{cut}, {load}, protocol {protocol}", workload.purpose.name()),
            false => format!("isl {isl}{hit}, osl {osl}{cut}, {load}, protocol {protocol}"),
        }
    }
}

/// Mean lengths of a trace, which the memory estimate needs before the run, and how many requests it has.
pub(super) fn mean_of_trace(
    path: &Path,
    columns: &NamedColumns,
    requests: u64,
) -> Result<(Workload, u64), Diagnostic> {
    let mut trace = Trace::open_by(path, columns, 1.0, requests)?;
    let (mut n, mut prompt, mut output) = (0u64, 0.0, 0.0);
    while let Some(next) = trace.next()? {
        n += 1;
        prompt += next.prompt as f64;
        output += next.output as f64;
    }
    if n == 0 {
        return Err(Diagnostic::new(Code::Range, "the trace holds no request").at(path.display().to_string()));
    }
    let mean = |sum: f64| (sum / n as f64).round().max(1.0) as u64;
    Ok((Workload::new(mean(prompt), mean(output)), n))
}
