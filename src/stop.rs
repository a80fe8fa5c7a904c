//! When work ends before it is done.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::diagnostic::{Code, Diagnostic};

/// When to stop: at a time, or when a flag is raised.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stop<'a> {
    /// The time.
    pub deadline: Option<Instant>,
    /// Raised by whoever wants the work to end.
    pub asked: Option<&'a AtomicBool>,
}

/// Why a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Everything was looked at.
    Complete,
    /// The time was up.
    TimeLimit,
    /// It was asked to.
    Interrupted,
}

impl Stopped {
    /// As JSON value.
    pub fn name(self) -> &'static str {
        match self {
            Stopped::Complete => "complete",
            Stopped::TimeLimit => "time_limit",
            Stopped::Interrupted => "interrupted",
        }
    }
}

impl Stop<'_> {
    /// Never.
    pub const NEVER: Stop<'static> = Stop { deadline: None, asked: None };

    /// Whether it is time.
    pub fn now(&self) -> bool {
        self.is_asked() || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    fn is_asked(&self) -> bool {
        self.asked.is_some_and(|flag| flag.load(Ordering::Relaxed))
    }

    /// Goes on, unless it is time: that there is no answer then.
    ///
    /// # Errors
    /// [`Code::Stopped`].
    pub fn check(&self) -> Result<(), Diagnostic> {
        if self.now() { Err(self.unanswered()) } else { Ok(()) }
    }

    /// That the work ended before there was an answer.
    pub fn unanswered(&self) -> Diagnostic {
        match self.why() {
            Stopped::Interrupted => Diagnostic::new(Code::Stopped, "stopped before there was an answer"),
            _ => Diagnostic::new(Code::Stopped, "the time was up before there was an answer"),
        }
    }

    /// Why it stopped, if it did.
    pub fn why(&self) -> Stopped {
        if self.is_asked() { Stopped::Interrupted } else { Stopped::TimeLimit }
    }
}
