//! Branches and loops that are being read, and which of them are run.

use std::collections::VecDeque;

use super::conditions::Verdict;
use super::state::{State, Value};
use super::words::{Command, Word};

/// What a part of a script that has an end of its own is.
#[derive(Debug)]
pub(super) enum Kind {
    /// `if … fi`.
    If,
    /// `case … esac`, with what is compared.
    Case(Word),
    /// `while … done` and, with true, `until … done`.
    While(bool),
    /// `for … done`: its variable, the values that are left, where its body begins, the first command of this round.
    For { name: String, values: VecDeque<Word>, body: usize, round: usize },
    /// `{ … }`.
    Group,
    /// The body of a function that is being defined.
    Function(String),
    /// A function that is called: where to go on, the arguments around it, what its own variables hid.
    Call { back: usize, arguments: Option<Vec<Word>>, hidden: Vec<(String, Option<Value>)> },
    /// One command behind `&&` or `||`, and what the command before says as a condition.
    Chain(Option<Verdict>),
}

/// Whether a branch is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Branch {
    /// No branch has begun.
    Before,
    /// It is.
    Taken,
    /// It is not.
    Skipped,
    /// The text does not settle it.
    Open,
    /// It is, by a variable's default in the text.
    ByDefault(String),
    /// It is not, by a variable's default in the text.
    Against(String),
}

/// A part of a script that has an end of its own.
#[derive(Debug)]
pub(super) struct Frame {
    pub kind: Kind,
    /// What is set before it.
    pub before: State,
    /// What is set at the ends of branches that may be run.
    ends: Vec<State>,
    /// What is set at the ends of branches that a default leaves out.
    against: Vec<(State, String)>,
    /// Whether the branch that is being read is run.
    pub branch: Branch,
    /// Where the condition that is being read begins.
    pub asked_at: usize,
    /// The condition of the branch that is being read, as it is written.
    pub condition: String,
    /// The first condition.
    first: String,
    /// Commands before the branch that is being read, and before all of it.
    branch_from: usize,
    from: usize,
    /// Whether a branch before is run for sure, or by which default.
    passed: bool,
    passed_by: Option<String>,
    /// Whether a branch before may be run, and by which default one is not.
    open: bool,
    left_out: Option<String>,
    /// Whether it has a branch for everything else.
    otherwise: bool,
    /// Whether the branch that is being read ends the script.
    pub leaves: bool,
}

impl Frame {
    pub(super) fn new(kind: Kind, before: State, asked_at: usize, commands: usize) -> Frame {
        Frame {
            kind,
            before,
            ends: Vec::new(),
            against: Vec::new(),
            branch: Branch::Before,
            asked_at,
            condition: String::new(),
            first: String::new(),
            branch_from: commands,
            from: commands,
            passed: false,
            passed_by: None,
            open: false,
            left_out: None,
            otherwise: false,
            leaves: false,
        }
    }

    /// Commands before it.
    pub(super) fn start(&self) -> usize {
        self.from
    }

    /// Whether no branch of it has begun.
    pub(super) fn is_new(&self) -> bool {
        self.first.is_empty() && self.ends.is_empty() && self.against.is_empty()
    }

    /// Begins a branch under a condition; one for everything else has none.
    pub(super) fn begin(&mut self, verdict: Option<Verdict>, condition: String, commands: usize) {
        if self.first.is_empty() {
            self.first.clone_from(&condition);
        }
        self.condition = condition;
        self.branch_from = commands;
        self.leaves = false;
        self.otherwise |= verdict.is_none();
        let verdict = verdict.unwrap_or_else(|| Verdict::of(true));
        self.branch = match (self.passed, &self.passed_by, verdict.holds) {
            (true, _, _) => Branch::Skipped,
            (_, Some(name), _) => Branch::Against(name.clone()),
            (_, _, None) => Branch::Open,
            (_, _, Some(false)) => match verdict.assumed {
                Some(name) => Branch::Against(name),
                None => Branch::Skipped,
            },
            (_, _, Some(true)) => {
                if self.open {
                    Branch::Open
                } else {
                    match verdict.assumed.or(self.left_out.clone()) {
                        Some(name) => Branch::ByDefault(name),
                        None => Branch::Taken,
                    }
                }
            }
        };
        match &self.branch {
            Branch::Taken => self.passed = true,
            Branch::ByDefault(name) => self.passed_by = Some(name.clone()),
            Branch::Against(name) => self.left_out = Some(name.clone()),
            Branch::Open => self.open = true,
            Branch::Skipped | Branch::Before => {}
        }
    }

    /// Ends the branch that is being read; what it set is handed over, and what its commands rest on is said.
    pub(super) fn end_branch(&mut self, state: State, commands: &mut Vec<Command>) {
        let from = self.branch_from.min(commands.len());
        match std::mem::replace(&mut self.branch, Branch::Before) {
            Branch::Before => self.before = state,
            Branch::Skipped => commands.truncate(from),
            Branch::Against(name) => {
                commands.truncate(from);
                if !self.leaves {
                    self.against.push((state, name));
                }
            }
            Branch::Taken => self.ends.extend((!self.leaves).then_some(state)),
            Branch::ByDefault(name) => {
                for command in &mut commands[from..] {
                    command.assumed.get_or_insert_with(|| name.clone());
                }
                self.ends.extend((!self.leaves).then_some(state));
            }
            Branch::Open => {
                let mut own = commands.split_off(from);
                // What every branch runs alike is run, once.
                let before: Vec<Command> = commands[self.from.min(from)..].to_vec();
                own.retain(|command| {
                    !before.iter().any(|b| b.words == command.words && b.variables == command.variables)
                });
                for command in &mut own {
                    command.only_if.get_or_insert_with(|| self.condition.clone());
                }
                commands.extend(own);
                self.ends.extend((!self.leaves).then_some(state));
            }
        }
    }

    /// What holds after it.
    pub(super) fn after(mut self) -> State {
        if !self.otherwise && !self.passed {
            match self.passed_by.take() {
                Some(name) => self.against.push((self.before.clone(), name)),
                None => self.ends.push(self.before.clone()),
            }
        }
        let mut ends = self.ends.into_iter();
        let first = ends.next().unwrap_or(self.before);
        let all = ends.fold(first, |one, other| one.joined(other, &self.first));
        self.against.into_iter().fold(all, |chosen, (other, name)| chosen.assumed(&other, &name))
    }
}
