//! Sessions: users whose turns follow each other, each prompt beginning with all that was said before.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Deserialize;

use super::bounds::MAX_LENGTH;
use crate::diagnostic::{Code, Diagnostic};
use crate::load;
use crate::units::Seconds;

/// Most turns of a session.
pub const MAX_TURNS: u64 = 10_000;

/// Most requests that a turn sends at once.
pub const MAX_BRANCHES: u64 = 64;

/// Longest mean time between turns: a week.
const MAX_THINK: f64 = 604_800.0;

/// How users talk to a deployment. A session has `turns`; in each the user sends `new` tokens after all that was said
/// before, waits for the answer and then thinks, for an exponentially distributed time. After the last turn the next
/// session begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sessions {
    /// Turns of a session.
    pub turns: u64,
    /// Tokens that begin every prompt of every user: system prompt and tools.
    pub system: u64,
    /// Tokens of the first turn that no other session has, beside the system prompt: a document, a repository.
    pub first: u64,
    /// Tokens that each later turn adds: what the user writes, what tools return.
    pub new: u64,
    /// Tokens of an answer. They belong to the prompts that follow.
    pub output: u64,
    /// Mean time from an answer to the next turn.
    pub think: Seconds,
    /// Requests that a turn sends at once after the same history, such as sub-agents; the session goes on from the
    /// first of them when all are answered.
    pub branches: u64,
}

/// A published load under a name.
struct Preset {
    name: &'static str,
    sessions: Sessions,
}

/// Sessions by name. What each rests on stands in `docs/sessions.md`.
///
/// - `chat`: turns, user and answer tokens of ShareGPT as WildChat's authors count it (Zhao et al. 2024, table 1: 3.51
///   turns, 94 and 348 tokens). The time between turns is not published with it; a minute is typical of people.
/// - `coding-agent`: `kv-cache-tester`'s 739 traces of Claude Code as LMCache describes them (blog of 12 May 2026): a
///   shared beginning of 12 to 25 thousand tokens, prompts of 20 to 150 thousand, 93 to 97 % of each seen before.
/// - `rag`: Mooncake's conversation trace (Qin et al., FAST '25, table 2): prompts of 12,035 tokens and answers of 343 in
///   the mean, 40 % of the prompts seen before.
/// - `deep-research`: Mooncake's tool and agent trace (the same table): 8,596 and 182 tokens, 59 % seen before; the
///   requests of a turn go out three at a time.
const PRESETS: [Preset; 4] = [
    Preset { name: "chat", sessions: of((4, 0, 94), (94, 348), 60.0, 1) },
    Preset { name: "coding-agent", sessions: of((40, 18_000, 20_000), (1_800, 500), 12.0, 1) },
    Preset { name: "rag", sessions: of((2, 1_500, 8_400), (3_600, 343), 45.0, 1) },
    Preset { name: "deep-research", sessions: of((6, 2_500, 2_600), (1_200, 182), 8.0, 3) },
];

const fn of(
    (turns, system, first): (u64, u64, u64),
    (new, output): (u64, u64),
    think: f64,
    branches: u64,
) -> Sessions {
    Sessions { turns, system, first, new, output, think: Seconds::new(think), branches }
}

/// The options of [`Sessions`] as they are written.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Written {
    turns: Option<u64>,
    system: Option<u64>,
    first: Option<u64>,
    new: Option<u64>,
    output: Option<u64>,
    think: Option<Seconds>,
    branches: Option<u64>,
}

impl Sessions {
    /// The names of published loads.
    pub fn names() -> impl Iterator<Item = &'static str> {
        PRESETS.iter().map(|preset| preset.name)
    }

    /// What is written so, for help texts.
    pub const FORM: &'static str = "turns=12,system=4000,new=600,output=300,think=20s[,first=…,branches=…], or chat, coding-agent, rag, \
         deep-research, each with what differs after it: chat,think=30s";

    /// Tokens beyond the system prompt that a session has said after a turn, its answer included; turns from 1.
    pub fn said(&self, turn: u64) -> f64 {
        match turn {
            0 => 0.0,
            n => self.first as f64 + (n - 1) as f64 * self.new as f64 + n as f64 * self.output as f64,
        }
    }

    /// Tokens of the prompt of a turn, from 1.
    pub fn prompt(&self, turn: u64) -> f64 {
        self.system as f64 + self.said(turn) - self.output as f64
    }

    /// Mean tokens of a prompt.
    pub fn mean_prompt(&self) -> u64 {
        let middle = (self.prompt(1) + self.prompt(self.turns)) / 2.0;
        (middle.round() as u64).max(1)
    }

    /// Tokens of the longest request, answer included.
    pub fn longest(&self) -> u64 {
        (self.system as f64 + self.said(self.turns)) as u64
    }

    /// The share of all prompt tokens that were said before or belong to the system prompt: what a cache without end
    /// would hold.
    pub fn most_hits(&self) -> f64 {
        let all: f64 = self.mean_prompt() as f64;
        let mean_history = self.history();
        ((self.system as f64 + mean_history) / all).min(1.0)
    }

    /// Mean tokens of a session that a turn finds said before it.
    fn history(&self) -> f64 {
        let n = self.turns as f64;
        self.sum_said(self.turns - 1) / n
    }

    /// What was said after each of the first `turns`, added up.
    pub fn sum_said(&self, turns: u64) -> f64 {
        let n = turns as f64;
        let each = (self.new + self.output) as f64;
        n * (self.first + self.output) as f64 + each * n * (n - 1.0).max(0.0) / 2.0
    }

    /// Checks every figure.
    ///
    /// # Errors
    /// [`Code::Range`] naming it.
    pub fn validate(&self) -> Result<(), Diagnostic> {
        let wrong = |cause: String, help: String| Err(Diagnostic::new(Code::Range, cause).help(help));
        let count = |name: &str, n: u64, from: u64, to: u64| match (from..=to).contains(&n) {
            true => Ok(()),
            false => wrong(format!("{name}={n} is out of range"), format!("from {from} to {to}")),
        };
        count("turns", self.turns, 1, MAX_TURNS)?;
        count("branches", self.branches, 1, MAX_BRANCHES)?;
        count("output", self.output, 1, MAX_LENGTH)?;
        count("new", self.new, 0, MAX_LENGTH)?;
        count("first", self.first, 0, MAX_LENGTH)?;
        count("system", self.system, 0, MAX_LENGTH)?;
        if self.new == 0 && self.turns > 1 {
            return wrong("new=0: a turn says nothing".into(), "at least 1 token".into());
        }
        if self.system + self.first == 0 {
            return wrong(
                "the first prompt has no tokens".into(),
                "system=, first= or new= of at least 1".into(),
            );
        }
        if self.longest() > MAX_LENGTH {
            let cause = format!("the last turn has {} tokens", self.longest());
            return wrong(cause, format!("at most {MAX_LENGTH}"));
        }
        if !(0.0..=MAX_THINK).contains(&self.think.get()) {
            return wrong(format!("think={} is out of range", self.think), "from 0 s to a week".into());
        }
        Ok(())
    }
}

impl FromStr for Sessions {
    type Err = Diagnostic;

    /// Reads `turns=12,system=4000,new=600,output=300,think=20s`, a name, or a name with what differs after it.
    fn from_str(text: &str) -> Result<Self, Diagnostic> {
        let (name, rest) = match text.split_once(',') {
            Some((name, rest)) if !name.contains('=') => (Some(name.trim()), rest),
            None if !text.contains('=') => (Some(text.trim()), ""),
            _ => (None, text),
        };
        let base = match name {
            Some(name) => Some(preset(name)?),
            None => None,
        };
        let written = match rest.trim() {
            "" => Written::default(),
            rest => load::assignments::<Written>(rest, "--sessions")?,
        };
        let sessions = written.over(base)?;
        sessions.validate()?;
        Ok(sessions)
    }
}

fn preset(name: &str) -> Result<Sessions, Diagnostic> {
    let found = PRESETS.iter().find(|preset| preset.name == name);
    found.map(|preset| preset.sessions).ok_or_else(|| {
        let names: Vec<&str> = Sessions::names().collect();
        let list = format!("allowed: {}, or turns=…,new=…,output=…,think=…", names.join(", "));
        Diagnostic::unknown("sessions", name, names, &list)
    })
}

impl Written {
    /// What is written, over a published load or over nothing.
    fn over(self, base: Option<Sessions>) -> Result<Sessions, Diagnostic> {
        let missing = |name: &str| {
            Diagnostic::new(Code::Usage, format!("`{name}` is missing"))
                .help(format!("for example {}", Sessions::FORM))
        };
        let of = |written: Option<u64>, base: Option<u64>, name: &str| {
            written.or(base).ok_or_else(|| missing(name))
        };
        let new = of(self.new, base.map(|b| b.new), "new")?;
        // A preset's first turn stands unless what a turn adds is changed alone.
        let first = self.first.or(base.map(|b| b.first)).unwrap_or(new);
        Ok(Sessions {
            turns: of(self.turns, base.map(|b| b.turns), "turns")?,
            system: self.system.or(base.map(|b| b.system)).unwrap_or(0),
            first,
            new,
            output: of(self.output, base.map(|b| b.output), "output")?,
            think: self.think.or(base.map(|b| b.think)).ok_or_else(|| missing("think"))?,
            branches: self.branches.or(base.map(|b| b.branches)).unwrap_or(1),
        })
    }
}

impl fmt::Display for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sessions { turns, system, first, new, output, think, branches } = self;
        write!(f, "turns={turns},system={system},first={first},new={new},output={output}")?;
        write!(f, ",think={}s,branches={branches}", think.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_grow_by_what_each_turn_adds_and_what_was_answered() {
        let s: Sessions = "turns=12,system=4000,new=600,output=300,think=20s".parse().unwrap();
        assert_eq!((s.prompt(1), s.prompt(2), s.prompt(12)), (4600.0, 5500.0, 14500.0));
        assert_eq!((s.mean_prompt(), s.longest()), (9550, 14800));
        // Of twelve prompts of 114,600 tokens, 48,000 are the system prompt and 59,400 were said before.
        assert!((s.most_hits() - 107_400.0 / 114_600.0).abs() < 1e-9, "{}", s.most_hits());
        let again: Sessions = s.to_string().parse().unwrap();
        assert_eq!(again, s);
    }

    #[test]
    fn a_name_takes_what_differs_after_it() {
        let s: Sessions = "coding-agent,turns=10,think=5s".parse().unwrap();
        assert_eq!((s.turns, s.think.get(), s.system), (10, 5.0, 18_000));
        let all: Sessions = "coding-agent".parse().unwrap();
        // 93 to 97 % of each prompt was seen before; 97.3 with these sizes.
        assert!((0.93..=0.975).contains(&all.most_hits()), "{}", all.most_hits());
        assert!(all.prompt(1) >= 20_000.0 && all.longest() <= 150_000);
        // Mooncake's two traces: mean prompt, and the share of it that was seen before.
        for (name, prompt, hits) in [("rag", 12_035.0, 0.40), ("deep-research", 8_596.0, 0.59)] {
            let s: Sessions = name.parse().unwrap();
            assert!((s.mean_prompt() as f64 / prompt - 1.0).abs() < 0.05, "{name}: {}", s.mean_prompt());
            assert!(s.most_hits() >= hits, "{name}: {}", s.most_hits());
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_what_is_allowed() {
        let fault = |text: &str| text.parse::<Sessions>().unwrap_err().to_string();
        assert!(fault("coding-agnet").contains("coding-agent"));
        assert!(fault("turns=0,new=1,output=1,think=1s").contains("turns=0"));
        assert!(fault("turns=2,new=1,output=1").contains("`think` is missing"));
        assert!(fault("turns=2,new=1,output=1,think=5").contains("unit"));
        assert!(fault("turns=2,new=1,outputs=1,think=5s").contains("output"));
    }
}
