//! The command line in other people's spelling: underscores, words of engines and benchmarks, short forms.

use std::ffi::OsString;
use std::iter::Peekable;
use std::vec::IntoIter;

use clap::{Arg, Command};

use crate::dtype::WeightFormat;
use crate::request::meanings;
use crate::request::words::{WORDS, option};

use super::counts::Counts;
use super::first;

/// Gives every command's options the names that others have for them, where no option of the command has that name.
pub fn with_other_names(root: Command) -> Command {
    root.mut_subcommands(|command| {
        let own: Vec<String> = command
            .get_arguments()
            .flat_map(|arg| {
                let long = arg.get_long().into_iter().map(str::to_owned);
                long.chain(arg.get_all_aliases().into_iter().flatten().map(str::to_owned))
            })
            .collect();
        command.mut_args(|arg| {
            let known = WORDS.iter().find(|word| arg.get_long() == Some(word.option));
            let Some(word) = known else { return arg };
            let free = |name: &&str| !name.starts_with('-') && !own.iter().any(|taken| taken == name);
            let shown = word.spoken().filter(free).collect::<Vec<_>>();
            let hidden = word.others.iter().copied().filter(free).collect::<Vec<_>>();
            arg.visible_aliases(shown).aliases(hidden)
        })
    })
}

/// A command line in our own words.
#[derive(Debug, Default)]
pub struct Spelt {
    /// The words, the program's name first.
    pub words: Vec<OsString>,
    /// What is to be said of those that were left out or put in other words.
    pub notes: Vec<String>,
}

/// The words of a command line with dashes where an option is spelt with underscores, with long options where engines
/// have short ones of several letters (`-ngl 99`), and with the model bare where it follows `--model`, but for commands
/// that have such an option. What engines and frameworks say in other words stands in ours, and what changes nothing is left
/// out, both of which is noted.
pub fn usual(root: &Command, words: Vec<OsString>) -> Spelt {
    // The command line of an engine is answered as it stands.
    if launches(&words) {
        return Spelt { words, notes: Vec::new() };
    }
    let words = first::synonym(words);
    let command = words.iter().skip(1).find_map(|word| root.find_subcommand(word));
    let bare = command.is_none_or(|c| c.get_arguments().all(|arg| arg.get_long() != Some("model")));
    let mut spelling = Spelling { command, out: Vec::new(), notes: Vec::new(), counts: Counts::default() };
    let mut rest = words.into_iter().peekable();
    while let Some(word) = rest.next() {
        if word == "--" {
            spelling.out.push(word);
            break;
        }
        let Some(text) = word.to_str() else {
            spelling.out.push(word);
            continue;
        };
        match text.strip_prefix("--model=") {
            Some(model) if bare => spelling.out.push(model.into()),
            _ if bare && text == "--model" => {}
            _ => spelling.take(&spelt(text), &mut rest),
        }
    }
    spelling.out.extend(rest);
    spelling.finished()
}

struct Spelling<'a> {
    command: Option<&'a Command>,
    out: Vec<OsString>,
    notes: Vec<String>,
    counts: Counts,
}

/// The words that are still to be read.
type Rest = Peekable<IntoIter<OsString>>;

impl Spelling<'_> {
    /// Whether the command has an option of ours.
    fn has(&self, option: &str) -> bool {
        has_option(self.command, option)
    }

    /// Reads one word, with its value where it has one and stands for something else.
    fn take(&mut self, word: &str, rest: &mut Rest) {
        let next = rest.peek().and_then(|next| next.to_str()).map(str::to_owned);
        // vLLM's short form; quiet with us.
        if word == "-q" && self.has("weights") && next.as_deref().is_some_and(is_weight_format) {
            return self.out.push("--weights".into());
        }
        let Some(long) = word.strip_prefix("--").filter(|_| self.command.is_some()) else {
            return self.out.push(word.into());
        };
        let (name, inline) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (long, None),
        };
        if self.command.is_some_and(|command| named(command, name).is_some()) {
            self.out.push(word.into());
            // A number and its unit are one value: `--rate 300 req/s`.
            if inline.is_none()
                && next.as_deref().is_some_and(|n| n.starts_with(|c: char| c.is_ascii_digit()))
            {
                let number = rest.next().unwrap_or_default();
                let unit = rest.next_if(|unit| unit.to_str().is_some_and(is_unit));
                self.out.push(match unit {
                    Some(unit) => format!("{} {}", number.display(), unit.display()).into(),
                    None => number,
                });
            }
            return;
        }
        let command = self.command;
        let value = inline.clone().or(next);
        let mut taken = || {
            if inline.is_none() {
                drop(rest.next())
            }
        };
        let percentile = percentile(name).filter(|(option, _)| self.has(option));
        if let (Some((option, at)), Some(value)) = (percentile, &value) {
            taken();
            self.out.extend([format!("--{option}").into(), format!("{at}:{value}").into()]);
            return;
        }
        if let Some(value) = value.as_deref().filter(|v| !v.starts_with('-') || *v == "-1")
            && self.counts.keep(name, value, &|option| has_option(command, option))
        {
            return taken();
        }
        if name == "enable-lora" && self.has("lora") {
            self.counts.adapters = true;
            return;
        }
        if let Some((says, with_value)) = meanings::rewritten(name, value.as_deref(), |o| self.has(o)) {
            self.notes.push(format!("`{word}` is `{says}`"));
            if with_value {
                taken();
            }
            return self.out.extend(says.split(' ').map(OsString::from));
        }
        if let Some(takes) = meanings::idle(name, |option| self.has(option)) {
            let with = value.filter(|value| inline.is_none() && takes.is_value(value));
            let shown = with.as_ref().map_or(word.to_owned(), |value| format!("{word} {value}"));
            self.notes.push(format!("`{shown}` changes nothing here"));
            if with.is_some() {
                taken();
            }
            return;
        }
        // Keys and values have one type with us: the same word again says nothing new.
        if matches!(name, "ctv" | "cache-type-v")
            && let Some(value) = value.filter(|value| self.out.iter().any(|word| word == value.as_str()))
        {
            taken();
            return self
                .notes
                .push(format!("`{word} {value}` is what `--kv {value}` says of keys and values both"));
        }
        self.out.push(word.into());
    }

    fn finished(self) -> Spelt {
        let Spelling { command, mut out, mut notes, counts } = self;
        if let Some(command) = command {
            counts.settle(command, &mut out, &mut notes);
        }
        Spelt { words: out, notes }
    }
}

/// Whether an engine is started in the place of a command, or after it.
fn launches(words: &[OsString]) -> bool {
    let text: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
    text.len() == words.len() && launch_at(&text).is_some()
}

/// How engines are started: the words that begin it.
const LAUNCHES: [&[&str]; 12] = [
    &["vllm", "serve"],
    &["vllm", "bench"],
    &["sglang", "serve"],
    &["trtllm-serve"],
    &["llama-server"],
    &["llama-cli"],
    &["llama-bench"],
    &["docker", "run"],
    &["python", "-m"],
    &["python3", "-m"],
    &["ollama", "run"],
    &["ollama", "serve"],
];

/// Where among words an engine is started; behind a command's first options at most.
pub(super) fn launch_at(words: &[&str]) -> Option<usize> {
    let begins = |at: &usize| LAUNCHES.iter().any(|launch| words[*at..].starts_with(launch));
    (1..words.len().min(8)).find(begins)
}

/// Whether a command has an option of ours.
fn has_option(command: Option<&Command>, option: &str) -> bool {
    command.is_some_and(|c| c.get_arguments().any(|arg| arg.get_long() == Some(option)))
}

/// The option of a command that goes by a name, as it is long or an alias.
pub(super) fn named<'a>(command: &'a Command, name: &str) -> Option<&'a Arg> {
    command.get_arguments().find(|arg| {
        arg.get_long() == Some(name)
            || arg.get_all_aliases().is_some_and(|aliases| aliases.contains(&name))
            || matches!(name, "help" | "version" | "quiet" | "verbose" | "catalog")
    })
}

fn is_weight_format(text: &str) -> bool {
    text.parse::<WeightFormat>().is_ok()
}

/// Whether a word is a unit that belongs to the number before it.
fn is_unit(text: &str) -> bool {
    matches!(text, "ms" | "s" | "sec" | "seconds" | "minutes" | "rps" | "qps" | "rpm")
        || text.starts_with("req") && text.contains('/')
}

/// The limit on a time and the percentile that a name holds together: `p99-ttft`, `ttft-p99`.
fn percentile(name: &str) -> Option<(&'static str, &str)> {
    let at = |text: &str| {
        text.strip_prefix('p')
            .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
    };
    let (first, last) = name.split_once('-')?;
    let (at, of) = match (at(first), at(last)) {
        (true, _) => (first, last),
        (_, true) => (last, first),
        _ => return None,
    };
    let of = option(of).unwrap_or(of);
    ["ttft", "tpot", "e2e"].into_iter().find(|time| *time == of).map(|time| (time, at))
}

fn spelt(word: &str) -> String {
    let (name, value) = word.split_at(word.find('=').unwrap_or(word.len()));
    if let Some(long) = name.strip_prefix("--") {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if long.contains('_') && long.chars().all(plain) {
            return format!("--{}{value}", long.replace('_', "-"));
        }
    } else if name.starts_with('-') && name.len() > 2 || name == "-c" {
        if let Some(long) = option(name) {
            return format!("--{long}{value}");
        }
        let long = &name[1..];
        if meanings::knows(long) {
            return format!("--{long}{value}");
        }
    }
    word.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_in_the_spelling_of_engines() {
        let words =
            |list: &[&str]| usual(&Command::new("shardfit"), list.iter().map(OsString::from).collect()).words;
        assert_eq!(
            words(&["shardfit", "plan", "--max_num_seqs=64", "-tp", "4", "-q", "--", "--a_b"]),
            ["shardfit", "plan", "--max-num-seqs=64", "--tp", "4", "-q", "--", "--a_b"].map(OsString::from)
        );
        assert_eq!(words(&["--model", "a/b", "--model=c"]), ["a/b", "c"].map(OsString::from));
        assert_eq!(words(&["--what-if", "hbm=+20%"]), ["--what-if", "hbm=+20%"].map(OsString::from));
    }
}
