//! Where reading of a shell's text stands.

use std::collections::{BTreeMap, BTreeSet};

use super::conditions::Verdict;
use super::frames::Frame;
use super::state::State;
use super::words::{Script, Word};

/// The most that replaced variables, environments and what branches begin with may come to, in bytes: variables that
/// hold each other twice grow without bound. What is beyond stays as it is written, and unknown.
pub(super) const MAX_SPENT: usize = 1 << 22;

/// Commands after which loops are no longer gone through again, and functions no longer called.
pub(super) const MAX_STEPS: usize = 20_000;

/// Rounds of a loop that are gone through.
pub(super) const MAX_ROUNDS: usize = 64;

/// How deep functions call each other, and values stand in values.
pub(super) const MAX_DEPTH: usize = 8;

/// The name by which what a script is given is said.
pub(super) const ARGUMENTS: &str = "its arguments";

/// Reads shell text word by word, and follows what it sets. Nothing is run.
#[derive(Default)]
pub(super) struct Reader {
    pub rest: Vec<char>,
    pub at: usize,
    /// Whether a backslash is a plain character, as in paths of Windows.
    pub powershell: bool,
    /// Whether `$(NAME)` is a variable, as in Kubernetes, and no command.
    pub manifest: bool,
    /// What the script has set so far; only exported names reach later commands.
    pub state: State,
    pub frames: Vec<Frame>,
    /// Where the bodies of functions begin.
    pub functions: BTreeMap<String, usize>,
    /// Functions that were called and arrays that were used.
    pub used: BTreeSet<String>,
    /// Flags that defaults leave out of the variables of the command that is being read.
    pub left_out: Vec<(String, String)>,
    /// What the function that is being read is given.
    pub arguments: Option<Vec<Word>>,
    /// What the last command says as a condition; `None` of one that is none.
    pub status: Option<Verdict>,
    /// Whether the next command stands behind `&&` (true) or `||`, and what the command before is as it is written.
    pub gate: Option<(bool, String)>,
    /// Whether what is replaced stands within double quotes.
    pub in_quotes: bool,
    pub depth: usize,
    pub steps: usize,
    pub spent: usize,
    pub script: Script,
}

impl Reader {
    pub(super) fn peek(&self, ahead: usize) -> Option<char> {
        self.rest.get(self.at + ahead).copied()
    }

    pub(super) fn text(&self, from: usize, to: usize) -> String {
        let all: String = self.rest[from.min(to)..to.min(self.rest.len())].iter().collect();
        let line = all.split_whitespace().collect::<Vec<_>>().join(" ");
        line.trim_end_matches([';', '&', '|', ' ']).to_owned()
    }
}
