//! The parser's errors in the form of all others: what is wrong, where, what is allowed, the nearest name.

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::diagnostic::{Code, Diagnostic, brief, slip};
use crate::launch::line::quoted;
use crate::request::{meanings, words};

use super::first;
use super::placed::{Meant, meant};

/// What the parser found wrong; `words` is the command line.
pub fn diagnostic(error: &clap::Error, root: &Command, words: &[String]) -> Diagnostic {
    let command = words.iter().find_map(|word| root.find_subcommand(word)).unwrap_or(root);
    let parts = Parts { error, root, command, words };
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
    words: &'a [String],
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

    /// What the whole line means, where it can be told.
    fn meant(&self) -> Option<Diagnostic> {
        match meant(self.root, self.words)? {
            Meant::Answer { cause, help } => Some(Diagnostic::new(Code::Usage, cause).help(help)),
            Meant::Words(_) => None,
        }
    }

    fn unknown_command(&self) -> Diagnostic {
        if let Some(said) = self.meant() {
            return said;
        }
        let given = self.text(ContextKind::InvalidSubcommand);
        if let Some(said) = first::answer(&given) {
            return Diagnostic::new(Code::UnknownName, format!("unknown command `{}`", brief(&given)))
                .help(said);
        }
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
        if let Some(said) = self.meant() {
            return said;
        }
        if !given.starts_with('-') {
            let cause = format!("unexpected `{}`", brief(&given));
            return Diagnostic::new(Code::Usage, cause).help(self.pointer());
        }
        let name = given.split('=').next().unwrap_or(&given);
        let diagnostic = Diagnostic::new(Code::UnknownName, format!("unknown option `{}`", brief(name)));
        let value = || {
            let after = self.words.iter().skip_while(|word| **word != given).nth(1);
            let value = given.split_once('=').map(|(_, value)| value).or(after.map(String::as_str));
            value.filter(|value| !value.starts_with('-'))
        };
        let has = |option: &str| self.command.get_arguments().any(|arg| arg.get_long() == Some(option));
        let bare = name.trim_start_matches('-');
        let shown = value().map(quoted);
        if let Some(said) = meanings::meaning(self.command.get_name(), bare, shown.as_deref(), has) {
            // The GPU may stand beside the number of them.
            let of = |option: &&String| ["--gpu", "--gpu-type"].contains(&option.as_str());
            let gpu = self.words.iter().skip_while(|word| !of(word)).nth(1);
            return diagnostic.help(match gpu {
                Some(gpu) => said.replace("xGPU`", &format!("x{}`", quoted(&brief(gpu)))),
                None => said,
            });
        }
        let close = self.close(name);
        let ours = words::option(bare).unwrap_or(bare);
        let elsewhere: Vec<String> = self
            .root
            .get_subcommands()
            .filter(|c| c.get_arguments().any(|a| a.get_long() == Some(ours)))
            .map(|c| format!("`{}`", c.get_name()))
            .collect();
        let help = match close {
            _ if !elsewhere.is_empty() && ours != bare => {
                format!("`{name}` is `--{ours}`, which belongs to {}", elsewhere.join(", "))
            }
            _ if !elsewhere.is_empty() => format!("`{name}` belongs to {}", elsewhere.join(", ")),
            Some(close) => format!("did you mean `{}`?", self.mended(name, &close)),
            None => self.pointer(),
        };
        diagnostic.help(help)
    }

    /// The option, by any of its names, that differs from `name` in a slip of the fingers.
    fn close(&self, name: &str) -> Option<String> {
        let names = self.command.get_arguments().flat_map(|arg| {
            let long = arg.get_long().into_iter().map(str::to_owned);
            long.chain(arg.get_all_aliases().into_iter().flatten().map(str::to_owned))
        });
        slip(name.trim_start_matches('-'), names).map(|known| format!("--{known}"))
    }

    /// The user's own command with one option under its right name; the option alone where that would be long.
    fn mended(&self, wrong: &str, right: &str) -> String {
        const LONGEST: usize = 160;
        let word = |word: &String| match word.strip_prefix(wrong) {
            Some(rest) if rest.is_empty() || rest.starts_with('=') => format!("{right}{rest}"),
            _ => quoted(word),
        };
        let command =
            std::iter::once(self.root.get_name().to_owned()).chain(self.words.iter().skip(1).map(word));
        let command = command.collect::<Vec<_>>().join(" ");
        if command.len() <= LONGEST { command } else { right.to_owned() }
    }

    fn missing(&self) -> Diagnostic {
        let usage = self.command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let example = usage.lines().map(str::trim).find(|line| line.starts_with(self.root.get_name()));
        let list = match self.error.get(ContextKind::InvalidArg) {
            Some(ContextValue::Strings(list)) => list.clone(),
            _ => vec![self.argument()],
        };
        let help = match (self.completed(&list, &usage), example) {
            (Some(command), _) => format!("for example: {command}"),
            (None, Some(example)) => format!("for example: {example}"),
            (None, None) => self.pointer(),
        };
        let missing: Vec<String> = list.iter().map(|arg| self.with_alternatives(arg)).collect();
        Diagnostic::new(Code::Usage, format!("missing: {}", missing.join(", "))).help(help)
    }

    /// The user's own command with what it lacks, in the words of the command's examples.
    fn completed(&self, missing: &[String], usage: &str) -> Option<String> {
        const LONGEST: usize = 160;
        let mut command = vec![self.root.get_name().to_owned()];
        command.extend(self.words.iter().skip(1).map(|word| quoted(word)));
        for shown in missing {
            let option = shown.split([' ', '=']).next().filter(|name| name.starts_with("--"))?;
            let mut after = usage.split_whitespace().skip_while(|word| *word != option).skip(1);
            command.extend([option.to_owned(), after.next()?.to_owned()]);
        }
        let command = command.join(" ");
        (command.len() <= LONGEST && self.words.len() > 2).then_some(command)
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
