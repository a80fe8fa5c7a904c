//! The parser's errors in the form of all others: what is wrong, where, what is allowed, the nearest name.

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::diagnostic::{Code, Diagnostic, brief, nearest};

/// What the parser found wrong; `words` is the command line.
pub fn diagnostic(error: &clap::Error, root: &Command, words: &[String]) -> Diagnostic {
    let command = words.iter().find_map(|word| root.find_subcommand(word)).unwrap_or(root);
    let parts = Parts { error, root, command };
    match error.kind() {
        ErrorKind::InvalidSubcommand => parts.unknown_command(),
        ErrorKind::UnknownArgument => parts.unknown_argument(),
        ErrorKind::MissingRequiredArgument => parts.missing(),
        ErrorKind::ArgumentConflict => parts.conflict(),
        ErrorKind::InvalidValue if parts.value().is_empty() => parts.no_value(),
        ErrorKind::ValueValidation => parts.bad_value(),
        ErrorKind::InvalidUtf8 => Diagnostic::new(Code::Usage, "the command line is not valid UTF-8"),
        _ => Diagnostic::new(Code::Usage, parts.first_line()).help(parts.pointer()),
    }
}

struct Parts<'a> {
    error: &'a clap::Error,
    root: &'a Command,
    command: &'a Command,
}

impl Parts<'_> {
    fn text(&self, kind: ContextKind) -> String {
        match self.error.get(kind) {
            Some(ContextValue::String(text)) => text.clone(),
            Some(ContextValue::Strings(list)) => list.join(", "),
            _ => String::new(),
        }
    }

    fn value(&self) -> String {
        self.text(ContextKind::InvalidValue)
    }

    fn argument(&self) -> String {
        self.text(ContextKind::InvalidArg)
    }

    /// Where to read on.
    fn pointer(&self) -> String {
        if self.command.get_name() == self.root.get_name() {
            format!("`{} --help` lists the commands", self.root.get_name())
        } else {
            format!("`{} {} --help` lists all options", self.root.get_name(), self.command.get_name())
        }
    }

    fn unknown_command(&self) -> Diagnostic {
        let names: Vec<&str> = self.root.get_subcommands().map(Command::get_name).collect();
        let list = format!("allowed: {}", names.join(", "));
        Diagnostic::unknown(
            "command",
            &self.text(ContextKind::InvalidSubcommand),
            names.iter().copied(),
            &list,
        )
    }

    fn unknown_argument(&self) -> Diagnostic {
        let given = self.argument();
        if !given.starts_with('-') {
            let cause = format!("unexpected `{}`", brief(&given));
            return Diagnostic::new(Code::Usage, cause).help(self.pointer());
        }
        let name = given.split('=').next().unwrap_or(&given);
        let longs: Vec<String> =
            self.command.get_arguments().filter_map(|a| a.get_long()).map(|l| format!("--{l}")).collect();
        let close = nearest(name, &longs.iter().map(String::as_str).collect::<Vec<_>>());
        let elsewhere: Vec<String> = self
            .root
            .get_subcommands()
            .filter(|c| {
                c.get_arguments().any(|a| a.get_long().is_some_and(|l| Some(l) == name.strip_prefix("--")))
            })
            .map(|c| format!("`{}`", c.get_name()))
            .collect();
        let help = match close {
            _ if !elsewhere.is_empty() => format!("`{name}` belongs to {}", elsewhere.join(", ")),
            Some(close) => format!("did you mean `{close}`? {}", self.pointer()),
            None => self.pointer(),
        };
        Diagnostic::new(Code::UnknownName, format!("unknown option `{}`", brief(name))).help(help)
    }

    fn missing(&self) -> Diagnostic {
        let usage = self.command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let example = usage.lines().find(|line| line.trim_start().starts_with(self.root.get_name()));
        let help = match example {
            Some(line) => format!("for example: {}", line.trim()),
            None => self.pointer(),
        };
        let missing = match self.error.get(ContextKind::InvalidArg) {
            Some(ContextValue::Strings(list)) => list.iter().map(|arg| self.with_alternatives(arg)).collect(),
            _ => vec![self.argument()],
        };
        Diagnostic::new(Code::Usage, format!("missing: {}", missing.join(", "))).help(help)
    }

    /// An argument as the usage line writes it, and those that can stand in its place.
    fn with_alternatives(&self, shown: &str) -> String {
        let arguments = self.command.get_arguments();
        let arg = arguments
            .into_iter()
            .find(|arg| arg.to_string().trim_matches(['<', '>', '[', ']']) == shown.trim_matches(['<', '>']));
        let others = arg.map(|arg| self.command.get_arg_conflicts_with(arg)).unwrap_or_default();
        let names = others.iter().map(|other| format!(" or {other}"));
        std::iter::once(shown.to_owned()).chain(names).collect()
    }

    fn conflict(&self) -> Diagnostic {
        let (one, other) = (self.argument(), self.text(ContextKind::PriorArg));
        if one == other || other.is_empty() {
            return Diagnostic::new(Code::Usage, format!("{one} is given twice")).help("give it once");
        }
        Diagnostic::new(Code::Usage, format!("{one} and {other} exclude each other")).help("give one of them")
    }

    fn no_value(&self) -> Diagnostic {
        let allowed = self.text(ContextKind::ValidValue);
        let help = if allowed.is_empty() { self.pointer() } else { format!("allowed: {allowed}") };
        Diagnostic::new(Code::Usage, format!("{} has no value", self.argument())).help(help)
    }

    fn bad_value(&self) -> Diagnostic {
        let cause = match std::error::Error::source(self.error) {
            Some(source) => source.to_string(),
            None => self.first_line(),
        };
        let place = self.argument();
        Diagnostic::new(Code::Range, cause).at(place.split(' ').next().unwrap_or_default())
    }

    fn first_line(&self) -> String {
        let text = self.error.to_string();
        let line = text.lines().next().unwrap_or_default();
        line.strip_prefix("error: ").unwrap_or(line).to_owned()
    }
}
