//! What is asked for: what is served (prompt and output lengths, load), and the targets that an answer must meet.

mod bounds;
mod confidence;
pub mod forecast;
mod keeping;
mod percentile;
mod purpose;
mod sessions;
mod speculation;
mod targets;

use crate::diagnostic::{Code, Diagnostic};
use crate::model::media::Media;
use crate::units::{RequestsPerSecond, Seconds, TokensPerSecond};

pub use bounds::{MAX_CONCURRENCY, MAX_LENGTH};
pub use confidence::Confidence;
pub use keeping::{Keeping, Routing, Tier, TierKind, Tiers};
pub use percentile::{Percentile, Percentiles};
pub use purpose::Purpose;
pub use sessions::{MAX_BRANCHES, MAX_TURNS, Sessions};
pub use speculation::{Draft, MAX_DRAFTED, Published, Speculation};
pub use targets::{Budget, Targets};

/// Longest time that a batch waits for more inputs.
pub const MAX_BATCH_WINDOW: Seconds = Seconds::new(10.0);

/// What is said of lengths that nobody asked for and that the context is too short for.
pub const CUT_LENGTHS: &str = " (the default lengths, cut to the model's context)";

/// How much work arrives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Load {
    /// As much as the deployment takes: the batch is searched.
    Saturate,
    /// This many requests in flight over the whole deployment, each followed by the next at once.
    Concurrency(u64),
    /// This many requests a second over the whole deployment.
    Rate(RequestsPerSecond),
    /// This many users of sessions over the whole deployment, each of whom waits for an answer and thinks before the
    /// next turn.
    Users(u64),
}

/// Share by which a bisection for a rate may miss it.
const ROUNDING: f64 = 1e-6;

/// What a deployment serves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Workload {
    /// Prompt tokens (ISL).
    pub isl: u64,
    /// Output tokens (OSL); 1 where answers are pooled, which are one vector or score each.
    pub osl: u64,
    /// What prompts bring beside text; its tokens are part of `isl`.
    pub media: Media,
    /// What answers are made of.
    pub purpose: Purpose,
    /// How long the first input of a batch that is not full waits for others, where answers are pooled.
    pub batch_window: Seconds,
    /// Prompt tokens whose keys and values are in the cache already (a shared prefix), below `isl`: they
    /// are read and not computed.
    pub cached_prefix: u64,
    /// Whether lengths that nobody asked for were cut to the model's context.
    pub cut: bool,
    /// Tokens of the longest request that must fit, where lengths vary; prompt and output where `None`.
    pub longest: Option<u64>,
    /// Sessions, where requests are turns of them: lengths are then the means over their turns, and what is in the
    /// prefix cache follows.
    pub sessions: Option<Sessions>,
    /// Speculative decoding, if it is on.
    pub speculation: Option<Speculation>,
    /// Load.
    pub load: Load,
}

impl Workload {
    /// Lengths used when none are given.
    pub const DEFAULT_ISL: u64 = 2048;
    /// Lengths used when none are given.
    pub const DEFAULT_OSL: u64 = 512;

    /// A saturating workload of these lengths.
    pub fn new(isl: u64, osl: u64) -> Workload {
        Workload {
            isl,
            osl,
            media: Media::default(),
            purpose: Purpose::Generate,
            batch_window: Seconds::ZERO,
            cached_prefix: 0,
            cut: false,
            longest: None,
            sessions: None,
            speculation: None,
            load: Load::Saturate,
        }
    }

    /// A saturating workload of sessions, at the mean lengths of their turns and with room for the last of them.
    pub fn of_sessions(sessions: Sessions) -> Workload {
        let usual = Workload::new(sessions.mean_prompt(), sessions.output);
        Workload { sessions: Some(sessions), longest: Some(sessions.longest()), ..usual }
    }

    /// Tokens that every prompt begins with and that the cache holds once.
    pub fn shared_prompt(&self) -> u64 {
        self.sessions.map_or(0, |sessions| sessions.system)
    }

    /// A saturating workload of the lengths that were asked for, in a model's context. Those that were not are
    /// [`Workload::DEFAULT_ISL`] and [`Workload::DEFAULT_OSL`], or where the context is too short for them what it
    /// leaves: in the same proportion where neither was asked for, all that is left beside one that was.
    pub fn of_lengths(isl: Option<u64>, osl: Option<u64>, max_context: Option<u64>) -> Workload {
        let usual = Workload::new(isl.unwrap_or(Self::DEFAULT_ISL), osl.unwrap_or(Self::DEFAULT_OSL));
        let Some(context) = max_context.filter(|context| usual.context() > *context) else { return usual };
        let (isl, osl) = match (isl, osl) {
            (None, None) => {
                let output = context * Self::DEFAULT_OSL / (Self::DEFAULT_ISL + Self::DEFAULT_OSL);
                (context.saturating_sub(output), output)
            }
            (Some(isl), None) => (isl, context.saturating_sub(isl)),
            (None, Some(osl)) => (context.saturating_sub(osl), osl),
            // What was asked for is refused where it does not fit, never changed.
            (Some(_), Some(_)) => return usual,
        };
        // Beside a length that fills the context there is nothing to cut to.
        if isl == 0 || osl == 0 { usual } else { Workload { cut: true, ..Workload::new(isl, osl) } }
    }

    /// A saturating workload of inputs that are pooled, of `isl` tokens, [`Purpose::DEFAULT_ISL`] or a shorter model's
    /// context where none are given.
    pub fn pooled(purpose: Purpose, isl: Option<u64>, max_context: Option<u64>) -> Workload {
        let usual = Purpose::DEFAULT_ISL.min(max_context.unwrap_or(u64::MAX)).max(1);
        let cut = isl.is_none() && usual < Purpose::DEFAULT_ISL;
        Workload { purpose, cut, ..Workload::new(isl.unwrap_or(usual), 1) }
    }

    /// The same whose prompts bring more beside their text.
    #[must_use]
    pub fn with_media(self, media: Media) -> Workload {
        let tokens = media.tokens();
        let longest = self.longest.map(|longest| longest.saturating_add(tokens));
        Workload { isl: self.isl.saturating_add(tokens), longest, media, ..self }
    }

    /// Prompt tokens that are computed: at least the last, whose output is the first token.
    pub fn computed_prompt(&self) -> u64 {
        self.isl.saturating_sub(self.cached_prefix).max(1)
    }

    /// Prompt tokens that are read from the cache instead of being computed.
    pub fn reused_prompt(&self) -> u64 {
        self.isl.saturating_sub(self.computed_prompt())
    }

    /// Tokens of the longest request that must fit.
    pub fn longest_context(&self) -> u64 {
        self.longest.map_or(self.context(), |longest| longest.max(self.context()))
    }

    /// Tokens of one request when it ends.
    pub fn context(&self) -> u64 {
        // Lengths are checked after they are put together.
        if self.purpose.pools() { self.isl } else { self.isl.saturating_add(self.osl) }
    }

    /// Mean tokens in the cache of a decoding request.
    pub fn mean_context(&self) -> f64 {
        self.isl as f64 + self.osl as f64 / 2.0
    }

    /// Tokens that a decode step verifies for each sequence beyond the one it would compute anyway.
    pub fn drafted(&self) -> f64 {
        self.speculation.map_or(0.0, |s| f64::from(s.tokens))
    }

    /// Tokens that a decode step yields for each sequence.
    pub fn yielded(&self) -> f64 {
        self.speculation.map_or(1.0, |s| s.yielded())
    }

    /// Whether requests come at a rate, however long the answers take.
    pub fn has_rate(&self) -> bool {
        matches!(self.load, Load::Rate(_))
    }

    /// The output of a deployment that serves the workload: under a rate all that do deliver the same, which the
    /// search for their concurrency finds to within rounding. Plans that deliver the same are then ranked by what
    /// they take, and not by the rounding.
    pub fn exact_output(&self, found: TokensPerSecond) -> TokensPerSecond {
        match self.load {
            Load::Rate(rate) => {
                let asked = TokensPerSecond::new(rate.get() * self.osl as f64);
                if (found / asked - 1.0).abs() < ROUNDING { asked } else { found }
            }
            Load::Saturate | Load::Concurrency(_) | Load::Users(_) => found,
        }
    }

    /// Checks every figure.
    ///
    /// # Errors
    /// [`Code::Range`] naming it.
    pub fn validate(&self) -> Result<(), Diagnostic> {
        let range = |name: &str, n: u64, max: u64| match n {
            0 => Err(Diagnostic::new(Code::Range, format!("{name} must be at least 1"))),
            n if n > max => Err(Diagnostic::new(Code::Range, format!("{name} {n} is out of range"))
                .help(format!("at most {max}"))),
            _ => Ok(()),
        };
        range("isl", self.isl, MAX_LENGTH)?;
        range("osl", self.osl, MAX_LENGTH)?;
        if self.cached_prefix >= self.isl.max(1) {
            let cause =
                format!("a cached prefix of {} is the whole prompt of {}", self.cached_prefix, self.isl);
            return Err(Diagnostic::new(Code::Range, cause).help("at least one token is always computed"));
        }
        if !(self.batch_window.get() >= 0.0 && self.batch_window <= MAX_BATCH_WINDOW) {
            let cause = format!("a batch window of {} is out of range", self.batch_window);
            return Err(Diagnostic::new(Code::Range, cause).at("--batch-window").help("at most 10 s"));
        }
        match self.load {
            Load::Saturate => {}
            Load::Concurrency(n) => range("concurrency", n, MAX_CONCURRENCY)?,
            Load::Users(n) => range("users", n, MAX_CONCURRENCY)?,
            Load::Rate(r) if r.get() > 0.0 && r.get() <= 1e9 => {}
            Load::Rate(rate) if rate.get().is_infinite() => {
                return Err(Diagnostic::new(
                    Code::Range,
                    "a rate without end is as many requests as a server takes",
                )
                .help(
                    "leave the rate out: the best batch is searched; --concurrency N is so many in flight",
                ));
            }
            Load::Rate(_) => {
                return Err(Diagnostic::new(Code::Range, "rate must lie in (0, 1e9] req/s").field("rate"));
            }
        }
        self.sessions.map_or(Ok(()), |s| s.validate())?;
        self.speculation.map_or(Ok(()), |s| s.validate())
    }

    /// Checks that requests fit in the model's context.
    ///
    /// # Errors
    /// [`Code::Range`] when prompt and output exceed it.
    pub fn fits_context(&self, max_context: Option<u64>) -> Result<(), Diagnostic> {
        match max_context {
            Some(max) if self.context() <= max && self.longest_context() > max => {
                let longest = self.longest_context();
                if self.sessions.is_some() {
                    let cause = format!(
                        "the last turn of a session has {longest} tokens, beyond the model's context of {max}"
                    );
                    return Err(Diagnostic::new(Code::Range, cause)
                        .help("fewer or shorter turns, or a model with a longer context"));
                }
                let cause = format!(
                    "one request in a hundred has {longest} tokens, beyond the model's context of {max}"
                );
                Err(Diagnostic::new(Code::Range, cause)
                    .help("a model with a longer context, or shorter lengths"))
            }
            Some(max) if self.context() > max => {
                let cause = match self.purpose.pools() {
                    true => format!("isl {} exceeds the model's context of {max}", self.isl),
                    false => format!(
                        "isl {} + osl {} = {} tokens exceed the model's context of {max}",
                        self.isl,
                        self.osl,
                        self.context()
                    ),
                };
                Err(Diagnostic::new(Code::Range, cause)
                    .help("shorten the lengths, or say --allow-long-context if the server extends it"))
            }
            _ => Ok(()),
        }
    }
}
