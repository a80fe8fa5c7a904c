//! What the entries of `workloads` and `targets` come to: inheritance, lengths, loads.

use std::path::Path;

use super::file::{TargetsEntry, WorkloadEntry};
use crate::diagnostic::{Code, Diagnostic};
use crate::request::{LengthEntry, Request, ShareEntry, Task, Texts};
use crate::simulate::{Arrivals as _, Lengths, Trace};
use crate::units::{RequestsPerSecond, group_thousands};
use crate::workload::{Draft, Load, Targets, Workload, forecast};

/// Most requests of a trace.
const MAX_TRACE: u64 = 5_000_000;

/// Hours of a day.
const HOURS: usize = 24;

/// A workload of a scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedWorkload {
    /// What results call it.
    pub name: String,
    /// The entry that it comes from: a forecast makes several.
    pub entry: String,
    /// Month of the forecast.
    pub month: Option<String>,
    /// Mean lengths and the load to be made for.
    pub workload: Workload,
    /// Mean rate over the day, where it differs from the load.
    pub mean_rate: Option<RequestsPerSecond>,
    /// Lengths and load in words.
    pub words: String,
    /// A remark.
    pub comment: Option<String>,
}

/// Targets of a scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedTargets {
    /// What results call them.
    pub name: String,
    /// The limits.
    pub targets: Targets,
}

fn usage(cause: impl Into<String>) -> Diagnostic {
    Diagnostic::new(Code::Usage, cause)
}

/// The entry that `like` names among those above.
fn above<'a, T>(
    like: Option<&str>,
    earlier: &'a [T],
    name: impl Fn(&T) -> Option<&str>,
    what: &str,
) -> Result<Option<&'a T>, Diagnostic> {
    let Some(like) = like else { return Ok(None) };
    let found = earlier.iter().find(|e| name(e) == Some(like));
    let known: Vec<&str> = earlier.iter().filter_map(&name).collect();
    let list =
        format!("{what} above it: {}", if known.is_empty() { "none".into() } else { known.join(", ") });
    found.map(Some).ok_or_else(|| Diagnostic::unknown(what, like, known, &list))
}

impl TargetsEntry {
    /// The entry with what it inherits.
    ///
    /// # Errors
    /// [`Code::UnknownName`] when `like` names nothing above.
    pub fn inherit(
        &self,
        earlier: &[TargetsEntry],
        defaults: &TargetsEntry,
    ) -> Result<TargetsEntry, Diagnostic> {
        let base =
            above(self.like.as_deref(), earlier, |e| e.name.as_deref(), "targets")?.unwrap_or(defaults);
        Ok(TargetsEntry {
            name: self.name.clone(),
            like: None,
            ttft: self.ttft.or(base.ttft),
            tpot: self.tpot.or(base.tpot),
            e2e: self.e2e.or(base.e2e),
            percentile: self.percentile.clone().or(base.percentile.clone()),
            confidence: self.confidence.clone().or(base.confidence.clone()),
        })
    }

    /// The limits under their name.
    ///
    /// # Errors
    /// A missing name, a limit that is not positive.
    pub fn named(&self) -> Result<NamedTargets, Diagnostic> {
        let name = self.name.clone().ok_or_else(|| usage("missing field `name`"))?;
        Ok(NamedTargets { name, targets: self.limits()? })
    }

    /// The limits.
    ///
    /// # Errors
    /// A limit that is not positive, a confidence that is none.
    pub fn limits(&self) -> Result<Targets, Diagnostic> {
        let request = Request {
            ttft: self.ttft,
            tpot: self.tpot,
            e2e: self.e2e,
            percentile: self.percentile.clone(),
            confidence: self.confidence.clone(),
            ..Request::default()
        };
        request.confidence()?;
        // A confidence that targets without limits inherit says nothing of them.
        match self.ttft.or(self.tpot).or(self.e2e) {
            None => Ok(Targets::default()),
            Some(_) => request.targets(Task::Plan),
        }
    }
}

impl WorkloadEntry {
    /// The entry with what it inherits. One that names lengths of its own does not have those of a trace
    /// above it, and one that names a load does not have another's.
    ///
    /// # Errors
    /// [`Code::UnknownName`] when `like` names nothing above.
    pub fn inherit(
        &self,
        earlier: &[WorkloadEntry],
        defaults: &WorkloadEntry,
    ) -> Result<WorkloadEntry, Diagnostic> {
        let base =
            above(self.like.as_deref(), earlier, |e| e.name.as_deref(), "workload")?.unwrap_or(defaults);
        let traced = self.trace.is_some() || self.sessions.is_some();
        let other_load = self.concurrency.is_some()
            || self.rate.is_some()
            || self.requests_per_day.is_some()
            || self.forecast.is_some();
        let by_users = self.users.is_some() || self.requests_per_user.is_some();
        let keeps = !other_load && !by_users;
        let shaped = self.profile.is_some() || self.peak_factor.is_some() || self.concurrency.is_some();
        Ok(WorkloadEntry {
            name: self.name.clone(),
            like: None,
            comment: self.comment.clone().or_else(|| base.comment.clone()),
            isl: self.isl.clone().or_else(|| base.isl.clone().filter(|_| !traced)),
            osl: self.osl.clone().or_else(|| base.osl.clone().filter(|_| !traced)),
            task: self.task.or(base.task),
            batch_window: self.batch_window.or(base.batch_window),
            sessions: self.sessions.clone().or_else(|| {
                let lengths = self.isl.is_some() || self.osl.is_some() || self.trace.is_some();
                base.sessions.clone().filter(|_| !lengths)
            }),
            trace: self.trace.clone().or_else(|| base.trace.clone().filter(|_| self.sessions.is_none())),
            prefix_hit: self.prefix_hit.or(base.prefix_hit),
            speculation: self.speculation.clone().or_else(|| base.speculation.clone()),
            concurrency: self.concurrency.or(base.concurrency.filter(|_| keeps)),
            rate: self.rate.or(base.rate.filter(|_| keeps)),
            requests_per_day: self.requests_per_day.or(base.requests_per_day.filter(|_| keeps)),
            forecast: self.forecast.clone().or_else(|| base.forecast.clone().filter(|_| keeps)),
            users: self.users.or(base.users.filter(|_| !other_load)),
            requests_per_user: self.requests_per_user.or(base.requests_per_user.filter(|_| !other_load)),
            peak_factor: self.peak_factor.or(base.peak_factor.filter(|_| !shaped)),
            profile: self.profile.clone().or_else(|| base.profile.clone().filter(|_| !shaped)),
        })
    }

    /// The workloads that the entry stands for: one, or one for each month of a forecast. Files are beside
    /// `folder`.
    ///
    /// # Errors
    /// What is missing, contradicts itself or is out of range; what is wrong with a trace or a forecast.
    pub fn named(&self, folder: &Path) -> Result<Vec<NamedWorkload>, Diagnostic> {
        let entry = self.name.clone().ok_or_else(|| usage("missing field `name`"))?;
        let trace = self.trace.as_ref().map(|file| Measured::read(&folder.join(file))).transpose()?;
        let lengths = self.lengths(trace.as_ref())?;
        let named = |name: String, month, load: Sized| -> Result<NamedWorkload, Diagnostic> {
            let workload = lengths.under(load.load)?;
            let words = format!("{}; {}", self.in_words(&workload), load.words);
            let (entry, comment) = (entry.clone(), self.comment.clone());
            Ok(NamedWorkload { name, entry, month, workload, mean_rate: load.mean, words, comment })
        };
        let Some(file) = &self.forecast else {
            return Ok(vec![named(entry.clone(), None, self.sized(self.mean_load(trace.as_ref())?)?)?]);
        };
        if self.has_load() {
            return Err(usage("a forecast and another load exclude each other"));
        }
        let months = forecast::read(&folder.join(file))?;
        let each = months.into_iter().map(|m| {
            let load = self.sized(Some(Load::Rate(m.rate)))?;
            named(format!("{entry} {}", m.month), Some(m.month), load)
        });
        each.collect()
    }

    fn has_load(&self) -> bool {
        self.concurrency.is_some()
            || self.rate.is_some()
            || self.users.is_some()
            || self.requests_per_user.is_some()
            || self.requests_per_day.is_some()
    }

    /// The load before its peak; none where the batch is searched.
    fn mean_load(&self, trace: Option<&Measured>) -> Result<Option<Load>, Diagnostic> {
        if self.concurrency.is_some() && self.rate.is_some() {
            return Err(usage("concurrency and rate exclude each other"));
        }
        let users = match (self.users, self.requests_per_user) {
            (Some(users), None) if self.sessions.is_some() => Some(Load::Users(users)),
            (Some(users), Some(each)) => Some(Load::Rate(each * users as f64)),
            (None, None) => None,
            _ => {
                return Err(usage("`users` and `requests_per_user` belong together")
                    .help("or `users` beside `sessions`"));
            }
        };
        let day = |n: u64| Load::Rate(RequestsPerSecond::new(n as f64 / 86_400.0));
        let ways = [
            self.concurrency.map(Load::Concurrency),
            self.rate.map(|rate| Load::Rate(rate.0)),
            users,
            self.requests_per_day.map(day),
        ];
        let mut given = ways.into_iter().flatten();
        let load = given.next();
        if given.next().is_some() {
            return Err(usage("concurrency, rate, users and requests_per_day exclude each other"));
        }
        Ok(load.or(trace.and_then(|t| t.rate).map(Load::Rate)))
    }

    /// The load to be made for: the mean one times its peak factor.
    fn sized(&self, mean: Option<Load>) -> Result<Sized, Diagnostic> {
        let peak = match (self.peak_factor, &self.profile) {
            (Some(_), Some(_)) => return Err(usage("peak_factor and profile exclude each other")),
            (factor, None) => factor,
            (None, Some(hours)) => Some(peak_of(hours)?),
        };
        if let Some(factor) = peak
            && !(1.0..=1e6).contains(&factor)
        {
            return Err(Diagnostic::new(Code::Range, format!("peak_factor {factor} is out of range"))
                .help("the busiest hour over the mean one, at least 1"));
        }
        match (mean, peak) {
            (Some(Load::Rate(rate)), Some(factor)) => {
                let top = rate * factor;
                let words =
                    format!("{} req/s in the busiest hour, {} in the mean one", short(top), short(rate));
                Ok(Sized { load: Load::Rate(top), mean: Some(rate), words })
            }
            (Some(Load::Users(n)), Some(factor)) => {
                let top = (n as f64 * factor).ceil() as u64;
                let words = format!("{} users in the busiest hour", group_thousands(top));
                Ok(Sized { load: Load::Users(top), mean: None, words })
            }
            (_, Some(_)) => Err(usage("a peak needs a rate, users or requests per day")),
            (Some(load), None) => Ok(Sized { load, mean: None, words: in_words(load) }),
            (None, None) => Ok(Sized { load: Load::Saturate, mean: None, words: in_words(Load::Saturate) }),
        }
    }

    /// What it asks for beside the load, and its mean lengths: those of a trace where the entry has none, with the 99th
    /// percentile of the trace's contexts.
    fn lengths(&self, trace: Option<&Measured>) -> Result<Asked, Diagnostic> {
        let purpose = self.task.unwrap_or_default();
        if trace.is_some() && (self.sessions.is_some() || purpose.pools()) {
            return Err(usage("a trace says lengths of texts that are generated")
                .at("`trace`")
                .help("leave it out beside `sessions` and beside a `task` that makes no text"));
        }
        let of = |own: &Option<LengthEntry>, traced: Option<f64>| {
            own.clone().or(traced.map(|mean| LengthEntry(Lengths::Fixed((mean.round() as u64).max(1)))))
        };
        let (isl, osl) = (of(&self.isl, trace.map(|t| t.prompt)), of(&self.osl, trace.map(|t| t.output)));
        let needed = [("isl", isl.is_none()), ("osl", osl.is_none() && !purpose.pools())];
        if let (None, Some((field, _))) = (&self.sessions, needed.iter().find(|(_, missing)| *missing)) {
            return Err(usage(format!("missing field `{field}`")).help("or a `trace`"));
        }
        let whole_trace = trace.filter(|_| self.isl.is_none() && self.osl.is_none());
        let speculation = self.speculation.as_ref();
        let request = Request {
            isl,
            osl,
            min_context: whole_trace.map(|trace| trace.p99),
            batch_window: self.batch_window.map(|window| format!("{} s", window.get())),
            sessions: self.sessions.clone(),
            prefix_hit: self.prefix_hit.filter(|hit| *hit != 0.0).map(ShareEntry),
            speculate: speculation.map(|s| Texts(vec![s.draft.clone()])),
            draft_tokens: speculation.and_then(|s| s.tokens).map(u64::from),
            acceptance: speculation.map(|s| s.acceptance),
            ..Request::default()
        };
        request.consistent(Task::Plan)?;
        request.suits(purpose)?;
        let lengths = request.lengths(Task::Plan, purpose, None)?;
        Ok(Asked { lengths: request.with_room(lengths)?, request })
    }

    /// Lengths in words.
    fn in_words(&self, workload: &Workload) -> String {
        let (prompt, output) = (group_thousands(workload.isl), group_thousands(workload.osl));
        if workload.purpose.pools() {
            let purpose = workload.purpose;
            return format!("{}: {} of {prompt} tokens", purpose.name(), purpose.inputs());
        }
        if let Some(sessions) = workload.sessions {
            let turns = sessions.turns;
            return format!(
                "sessions of {turns} turns, {prompt} prompt and {output} output tokens in the mean"
            );
        }
        let mut words = format!("{prompt} prompt and {output} output tokens");
        if let Some(longest) = workload.longest {
            words += &format!(" in the mean, {} together in one of a hundred", group_thousands(longest));
        }
        if workload.cached_prefix > 0 {
            words += &format!(", {:.0} % of the prompt cached", 100.0 * self.prefix_hit.unwrap_or(0.0));
        }
        if let Some(speculation) = workload.speculation {
            words += &format!(", speculation: {speculation}");
        }
        words
    }
}

/// What an entry asks for beside the load, and its mean lengths.
struct Asked {
    request: Request,
    lengths: Workload,
}

impl Asked {
    /// What is served under a load.
    fn under(&self, load: Load) -> Result<Workload, Diagnostic> {
        let workload = self.request.under(load, self.lengths, Task::Plan)?;
        match workload.speculation.map(|speculation| speculation.draft) {
            Some(Draft::Model | Draft::Eagle3) => {
                Err(Diagnostic::new(Code::Range, "a sweep names no draft model").help("allowed: mtp, ngram"))
            }
            _ => Ok(workload),
        }
    }
}

/// A load to be made for.
struct Sized {
    load: Load,
    mean: Option<RequestsPerSecond>,
    words: String,
}

/// Three significant digits, without zeros at the end.
fn short(rate: RequestsPerSecond) -> String {
    let digits = (2 - rate.get().abs().max(1e-9).log10().floor() as i32).clamp(0, 9) as usize;
    let text = format!("{:.digits$}", rate.get());
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn in_words(load: Load) -> String {
    match load {
        Load::Saturate => "as much as it serves".to_owned(),
        Load::Concurrency(n) => format!("{} in flight", group_thousands(n)),
        Load::Rate(rate) => format!("{} req/s", short(rate)),
        Load::Users(n) => format!("{} users", group_thousands(n)),
    }
}

/// The busiest hour of a day over the mean one.
fn peak_of(hours: &[f64]) -> Result<f64, Diagnostic> {
    let wrong = |cause: String| Diagnostic::new(Code::Range, cause).at("profile");
    if hours.len() != HOURS {
        return Err(wrong(format!("a profile has {HOURS} hours, this one {}", hours.len())));
    }
    if hours.iter().any(|h| !(0.0..=1e9).contains(h)) {
        return Err(wrong("the load of an hour is not negative".into()));
    }
    let mean = hours.iter().sum::<f64>() / HOURS as f64;
    let most = hours.iter().copied().fold(0.0, f64::max);
    if mean > 0.0 { Ok(most / mean) } else { Err(wrong("a day without any load".into())) }
}

/// What a trace says about its requests.
struct Measured {
    prompt: f64,
    output: f64,
    p99: u64,
    rate: Option<RequestsPerSecond>,
}

impl Measured {
    fn read(path: &Path) -> Result<Measured, Diagnostic> {
        let mut trace = Trace::open(path, 1.0, MAX_TRACE + 1)?;
        let (mut prompt, mut output, mut last, mut contexts) = (0.0, 0.0, 0.0, Vec::new());
        while let Some(request) = trace.next()? {
            prompt += request.prompt as f64;
            output += request.output as f64;
            last = request.at.get();
            contexts.push(request.prompt.saturating_add(request.output));
            if contexts.len() as u64 > MAX_TRACE {
                let cause = format!("the trace has more than {} requests", group_thousands(MAX_TRACE));
                return Err(Diagnostic::new(Code::Range, cause)
                    .at(path.display().to_string())
                    .help("cut it to the part that the question is about"));
            }
        }
        let n = contexts.len() as f64;
        if contexts.is_empty() {
            return Err(
                Diagnostic::new(Code::Range, "the trace has no requests").at(path.display().to_string())
            );
        }
        let rate = (last > 0.0 && n > 1.0).then(|| RequestsPerSecond::new((n - 1.0) / last));
        Ok(Measured { prompt: prompt / n, output: output / n, p99: Lengths::Empirical(contexts).p99(), rate })
    }
}
