//! What is served: lengths, media, sessions and load, in the model's context.

use std::path::Path;

use crate::diagnostic::{Code, Diagnostic};
use crate::model::Model;
use crate::request::checks::{range, share, usage, within};
use crate::request::{LengthEntry, Request, Task};
use crate::search::Mode;
use crate::search::size::Demand;
use crate::simulate::Lengths;
use crate::units::Seconds;
use crate::workload::{Load, Purpose, Sessions, Workload};

use super::drive::mean_of_trace;

/// Cached tokens of a prompt at a hit rate; the last token is always computed.
fn cached(hit: Option<f64>, isl: u64) -> u64 {
    hit.map_or(0, |share| ((isl as f64 * share).round() as u64).min(isl.saturating_sub(1)))
}

impl Request {
    /// Mean lengths and load, checked against the model's context; and how many requests a trace has.
    pub(super) fn workload(
        &self,
        task: Task,
        model: &Model,
        purpose: Purpose,
        demand: Option<&Demand>,
    ) -> Result<(Workload, u64), Diagnostic> {
        let media = self.media(model)?;
        let varies = self.isl.as_ref().is_some_and(|isl| !matches!(isl.0, Lengths::Fixed(_)));
        if !media.is_empty() && self.sessions.is_some() {
            return Err(usage("turns of sessions are text")
                .at("--images, --video, --audio")
                .help("count their tokens into first= and new="));
        }
        if !media.is_empty() && (self.trace.is_some() || varies && task == Task::Simulate) {
            return Err(usage("images and sound come to prompts of a given length")
                .at("--images, --video, --audio")
                .help("give --isl as a number, or count their tokens into the lengths"));
        }
        let (lengths, in_trace) = match &self.trace {
            Some(file) => mean_of_trace(Path::new(file), &self.named_columns()?, self.trace_requests())?,
            None => {
                let context = model.max_context.filter(|_| self.allow_long_context != Some(true));
                // What a prompt brings beside text takes its part.
                let beside = |n: u64| n.saturating_sub(media.tokens()).max(2);
                let context = context.into_iter().chain(self.max_model_len).min().map(beside);
                (self.lengths(task, purpose, context)?.with_media(media), 0)
            }
        };
        let load = match demand {
            Some(demand) => demand.users.map_or(Load::Rate(demand.rate), Load::Users),
            None => self.load(),
        };
        let workload = self.under(load, lengths, task)?;
        if self.allow_long_context != Some(true) {
            workload.fits_context(model.max_context).map_err(|d| d.at(model.id.clone()))?;
        }
        self.served(&workload, model)?;
        Ok((self.with_room(workload)?, in_trace))
    }

    /// Mean lengths: those of the turns of sessions; else those that are given, and what is left out cut to a context
    /// that is shorter; where they vary, with the context that one request in a hundred exceeds. A simulation draws
    /// lengths itself.
    pub(crate) fn lengths(
        &self,
        task: Task,
        purpose: Purpose,
        context: Option<u64>,
    ) -> Result<Workload, Diagnostic> {
        if let Some(sessions) = self.sessions()? {
            return Ok(Workload::of_sessions(sessions));
        }
        let mean = |entry: &Option<LengthEntry>| match entry.as_ref().map(|entry| &entry.0) {
            Some(Lengths::Fixed(n)) => Some(*n),
            varying => varying.map(|lengths| lengths.mean().round().max(1.0) as u64),
        };
        let means = match purpose.pools() {
            true => Workload::pooled(purpose, mean(&self.isl), context),
            false => Workload::of_lengths(mean(&self.isl), mean(&self.osl), context),
        };
        let most = |entry: &Option<LengthEntry>, mean| entry.as_ref().map_or(mean, |entry| entry.0.p99());
        let varies = |entry: &Option<LengthEntry>| {
            entry.as_ref().is_some_and(|entry| !matches!(entry.0, Lengths::Fixed(_)))
        };
        let longest = (task != Task::Simulate && (varies(&self.isl) || varies(&self.osl))).then(|| {
            match purpose.pools() {
                true => most(&self.isl, means.isl),
                false => most(&self.isl, means.isl).saturating_add(most(&self.osl, means.osl)),
            }
        });
        Ok(Workload { longest, ..means })
    }

    /// The load that is given, saturated where none is.
    pub(crate) fn load(&self) -> Load {
        match (self.concurrency, self.rate, self.users) {
            (Some(n), ..) => Load::Concurrency(n),
            (None, Some(rate), _) => Load::Rate(rate.0),
            (None, None, Some(users)) => Load::Users(users),
            (None, None, None) => Load::Saturate,
        }
    }

    /// Lengths under a load, with what is cached, drafted and waited for; checked.
    pub(crate) fn under(&self, load: Load, lengths: Workload, task: Task) -> Result<Workload, Diagnostic> {
        // Nothing in the cache is as good as nothing said.
        let hit = share("--prefix-hit", self.prefix_hit.map(|hit| hit.0).filter(|hit| *hit != 0.0))?;
        let batch_window = self.batch_window()?;
        let cached_prefix = cached(hit, lengths.isl);
        let speculation = if task.is_of_one_plan() { self.one_speculation()? } else { self.speculation()? };
        let workload = Workload { cached_prefix, batch_window, load, speculation, ..lengths };
        workload.validate().map(|()| workload).map_err(|d| match d.field_name() {
            Some("rate") if self.rate.is_some() => d.at("--rate"),
            _ => d,
        })
    }

    /// The workload with room for the longest request that must fit.
    pub(crate) fn with_room(&self, workload: Workload) -> Result<Workload, Diagnostic> {
        let least = within("--min-context", self.min_context, 1..=crate::workload::MAX_LENGTH)?;
        Ok(Workload { longest: least.or(workload.longest), ..workload })
    }

    /// Checks that nothing is said of tokens that come out where answers are pooled.
    pub(crate) fn suits(&self, purpose: Purpose) -> Result<(), Diagnostic> {
        if !purpose.pools() {
            return match self.batch_window {
                None => Ok(()),
                Some(_) => Err(usage("a server that decodes lets requests in as they come")
                    .at("--batch-window")
                    .help("it belongs to --task embed or rerank")),
            };
        }
        let name = purpose.name();
        let meaningless = [
            ("--osl", self.osl.is_some(), "leave it out: an answer is made of the input alone"),
            ("--ttft", self.ttft.is_some(), "--e2e limits the time from request to answer"),
            ("--tpot", self.tpot.is_some(), "--e2e limits the time from request to answer"),
            (
                "--tokens-per-user",
                self.tokens_per_user.is_some(),
                "--e2e limits the time from request to answer",
            ),
            ("--speculate", self.speculate.is_some(), "leave it out: there is nothing to draft"),
            ("--sessions", self.sessions.is_some(), "--isl says the tokens of an input"),
            (
                "--prefill",
                self.prefill.is_some() || self.decode.is_some(),
                "--tp and --replicas say the plan",
            ),
            ("--trace", self.trace.is_some(), "--isl takes distributions, --rate and --concurrency the load"),
            (
                "--mode",
                self.mode.as_deref().is_some_and(|mode| mode != Mode::Aggregated.name()),
                "leave it out: there is no decode pool to split off",
            ),
        ];
        match meaningless.iter().find(|(_, given, _)| *given) {
            Some((flag, _, help)) => {
                Err(usage(format!("{flag} means nothing to --task {name}: no token is decoded"))
                    .at(*flag)
                    .help(*help))
            }
            None => Ok(()),
        }
    }

    /// How long a batch waits for more inputs.
    fn batch_window(&self) -> Result<Seconds, Diagnostic> {
        let Some(text) = &self.batch_window else { return Ok(Seconds::ZERO) };
        let wrong = |cause| Diagnostic::new(Code::Syntax, cause).at("--batch-window").help("for example 5ms");
        text.parse().map_err(wrong)
    }

    /// The sessions that requests are turns of, if they are.
    fn sessions(&self) -> Result<Option<Sessions>, Diagnostic> {
        self.sessions
            .as_deref()
            .map(|text| text.parse::<Sessions>().map_err(|d| d.within("--sessions")))
            .transpose()
    }

    /// Checks that requests are no longer than the server takes.
    fn served(&self, workload: &Workload, model: &Model) -> Result<(), Diagnostic> {
        let most = within("--max-model-len", self.max_model_len, 1..=crate::workload::MAX_LENGTH)?;
        let longer = model.max_context.zip(most).filter(|(context, most)| most > context);
        // A launch may stretch positions in words that are not read; its length is held against the cache.
        let strict = self.allow_long_context != Some(true) && !self.launched;
        if let Some((context, most)) = longer.filter(|_| strict) {
            let cause =
                format!("a longest request of {most} tokens exceeds the model's context of {context}");
            return Err(range("--max-model-len", cause)
                .help("a shorter one, or say --allow-long-context if the server extends it"));
        }
        match most.filter(|most| workload.context() > *most) {
            Some(most) => {
                let cause = match workload {
                    Workload { isl, purpose, .. } if purpose.pools() => {
                        format!("isl {isl} exceeds the longest request of {most}")
                    }
                    Workload { isl, osl, .. } => {
                        format!("isl {isl} + osl {osl} tokens exceed the longest request of {most}")
                    }
                };
                Err(range("--max-model-len", cause).help("shorter lengths, or a longer --max-model-len"))
            }
            None => Ok(()),
        }
    }
}
