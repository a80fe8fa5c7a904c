//! What is wrong with an input, where, and what would mend it.
//!
//! Wrong input is a [`Diagnostic`]; an infeasible plan is a value of the ledger, never an error.

use std::borrow::Cow;
use std::fmt;

use itertools::Itertools as _;

/// A problem with what the user gave: cause, place, allowed values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// What kind of problem, for tests and for `docs/errors.md`.
    pub code: Code,
    /// One sentence: what is wrong.
    pub cause: String,
    /// File, line, flag or field, where there is one.
    pub place: Option<String>,
    /// What is allowed, or the nearest valid name.
    pub help: Option<String>,
    /// The field of the file at fault, for example `memory.fraction`, so that its line can be found.
    pub field: Option<String>,
}

/// Kinds of wrong input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Code {
    /// A GPU, cluster, engine, model or case that no catalogue knows.
    UnknownName,
    /// A file that is missing, unreadable, too large or not writable.
    File,
    /// Text that is not YAML, JSON or a quantity with its unit.
    Syntax,
    /// A `config.json` that does not describe a model.
    Model,
    /// A hardware or engine description that contradicts itself.
    Catalog,
    /// A number outside what makes sense.
    Range,
    /// Options that exclude or require each other.
    Usage,
    /// A hub that cannot be reached, or does not have or give what was asked for.
    Hub,
    /// Work that was stopped before it had an answer.
    Stopped,
}

/// What a message means and what to do about it: a row of `docs/errors.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guide {
    /// What it means.
    pub meaning: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
}

impl Code {
    /// Every kind, in order.
    pub const ALL: [Code; 9] = [
        Code::UnknownName,
        Code::File,
        Code::Syntax,
        Code::Model,
        Code::Catalog,
        Code::Range,
        Code::Usage,
        Code::Hub,
        Code::Stopped,
    ];

    /// Stable name, as printed.
    pub fn name(self) -> &'static str {
        match self {
            Code::UnknownName => "unknown-name",
            Code::File => "file",
            Code::Syntax => "syntax",
            Code::Model => "model",
            Code::Catalog => "catalog",
            Code::Range => "range",
            Code::Usage => "usage",
            Code::Hub => "hub",
            Code::Stopped => "stopped",
        }
    }

    /// What it means and what to do about it.
    pub fn guide(self) -> Guide {
        let (meaning, remedy) = match self {
            Code::UnknownName => (
                "a command, option, GPU, cluster, engine, model, format, objective, column or key that nobody knows",
                "the nearest name, which the message offers, or the list that it names; case does not matter in \
                 catalogue names, and aliases work",
            ),
            Code::File => (
                "a file that is missing, a folder, larger than 16 MiB, not UTF-8, or a target that cannot be \
                 written",
                "targets are checked before any work is done, and written whole or not at all: mend the path or \
                 its permissions and run again; a folder that `--catalog` or `$SHARDFIT_CATALOG` names must exist \
                 and hold `gpus/`, `clusters/`, `classes/`, `engines/` or `models/`",
            ),
            Code::Syntax => (
                "text that is not YAML, JSON, a number or a quantity with its unit; unknown and duplicate keys \
                 in files too, since a misspelt key would otherwise be ignored in silence",
                "quantities carry units: `500ms`, `80 GB`, `3.35 TB/s`, `2.10 USD/h`; GB is 10⁹ bytes and GiB \
                 2³⁰; counts are whole numbers in digits",
            ),
            Code::Model => (
                "a `config.json` or `--shape` that does not describe a decoder: a missing field, an impossible \
                 size, an unknown quantisation method",
                "check that the file is the complete `config.json` of a language model; for an unknown \
                 quantisation, take `quantization_config` out and name the storage with `--weights`",
            ),
            Code::Catalog => (
                "a hardware or engine description that contradicts itself: no 16-bit peak, idle power above the \
                 limit, a share outside 0 to 1, an `id` that is not the file's name",
                "the message names the field, and its line in a file of yours; `shardfit check` lists all that is \
                 wrong with a file at once",
            ),
            Code::Range => (
                "a number outside what makes sense: no tokens, a negative target, a million nodes, a prompt \
                 longer than the model's context",
                "the message says what is allowed",
            ),
            Code::Hub => (
                "a model that is not at hand and that the Hugging Face hub does not give",
                "a path to the model's `config.json` always works; what the hub answers is listed below",
            ),
            Code::Stopped => (
                "work that ended before it had an answer: its time was up, or somebody asked for its end; the exit \
                 status is 3, since what was not looked at may be feasible",
                "more time, or a smaller question: fewer engines, GPUs or degrees, fewer requests of a simulation",
            ),
            Code::Usage => (
                "options that are missing, exclude or require each other, or degrees that break a rule of the \
                 tables below: all of those pinned in `plan`, or those of an `estimate`",
                "`--help` of the command shows its options with an example",
            ),
        };
        Guide { meaning, remedy }
    }
}

impl Diagnostic {
    /// A problem without a place yet.
    pub fn new(code: Code, cause: impl Into<String>) -> Self {
        Diagnostic { code, cause: cause.into(), place: None, help: None, field: None }
    }
    /// Adds where.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.place = Some(place.into());
        self
    }
    /// Adds where, unless a closer place is already named.
    #[must_use]
    pub fn within(mut self, place: impl Into<String>) -> Self {
        self.place = Some(match self.place {
            Some(inner) => format!("{}, {inner}", place.into()),
            None => place.into(),
        });
        self
    }
    /// Adds the field at fault. It is not printed: cause and place name it.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }
    /// The field at fault: as set, or as the place names it.
    pub fn field_name(&self) -> Option<&str> {
        let named = || self.place.as_deref()?.rsplit_once("field `").map(|(_, f)| f.trim_end_matches('`'));
        self.field.as_deref().or_else(named)
    }
    /// Adds what is allowed.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
    /// Adds what is allowed, where there is something to say.
    #[must_use]
    pub fn help_with(self, help: Option<String>) -> Self {
        match help {
            Some(help) => self.help(help),
            None => self,
        }
    }
    /// `name` is not one of `known`: names the nearest and says how to list the rest.
    pub fn unknown<'a>(what: &str, name: &str, known: impl IntoIterator<Item = &'a str>, list: &str) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        let hint = match nearest(name, &known) {
            Some(close) => format!("did you mean `{close}`? {list}"),
            None => list.to_owned(),
        };
        Diagnostic::new(Code::UnknownName, format!("unknown {what} `{}`", brief(name))).help(hint)
    }
}

/// The letters and digits of a name, in lower case, and every sign but spaces, dots, dashes and underscores:
/// what tells names apart. People write `RTX 4090`, `rtx4090` and `rtx-4090`, and mean one thing.
pub fn folded(name: &str) -> impl Iterator<Item = char> + '_ {
    let counts = |c: &char| !c.is_whitespace() && !matches!(c, '.' | '-' | '_');
    name.chars().filter(counts).flat_map(char::to_lowercase)
}

/// Whether two names have the same words, in whatever case and whatever stands between them: `Qwen2 57B` is
/// `qwen2-57b` and not `qwen2.5-7b`, which has the same letters.
pub fn same_words(one: &str, other: &str) -> bool {
    let words = |name: &str| {
        let parts = name.split(|c: char| c.is_whitespace() || matches!(c, '.' | '-' | '_'));
        parts.filter(|word| !word.is_empty()).map(str::to_lowercase).collect::<Vec<_>>()
    };
    same_letters(one, other) && words(one) == words(other)
}

/// Whether two names differ in case, spaces, dots, dashes and underscores alone.
pub fn same_letters(one: &str, other: &str) -> bool {
    folded(one).eq(folded(other))
}

/// The known name that `name` is in all but a slip of the fingers: the same numbers, and of its letters a quarter at most
/// others, missing or exchanged; where there is none, the one whose numbers differ by a digit that is struck once too often or too
/// seldom (`h1000`, `fp88`). Names that are near by their letters alone mean another thing: `P100` is no `A100`, and
/// `--qpm` no `--qps`.
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    // Text that is longer than any name is none that was mistyped, and takes long to compare.
    const LONGEST: usize = 256;
    if name.len() > LONGEST {
        return None;
    }
    let (wanted, numbers) = parts(name);
    let far = |known: &str, same: fn(&[String], &[String]) -> bool| {
        let (letters, of) = parts(known);
        let longer = letters.chars().count().max(wanted.chars().count());
        let distance = strsim::damerau_levenshtein(&letters, &wanted);
        // Two neighbours exchanged are a slip in the shortest name too.
        let exchanged = distance == 1 && letters.chars().sorted().eq(wanted.chars().sorted());
        (same(&of, &numbers) && (distance * 4 <= longer || exchanged)).then_some(distance)
    };
    let near = |same: fn(&[String], &[String]) -> bool| {
        let near = known.iter().filter_map(|k| Some((far(k, same)?, k.len().abs_diff(name.len()), *k)));
        near.min().map(|(_, _, k)| k)
    };
    near(|a, b| a == b).or_else(|| near(stuttered))
}

/// Whether lists of numbers differ in one digit that is there once more beside its like.
fn stuttered(a: &[String], b: &[String]) -> bool {
    let once = |a: &String, b: &String| {
        let runs = |text: &str| text.chars().dedup().collect::<String>();
        a.len().abs_diff(b.len()) == 1 && runs(a) == runs(b)
    };
    let mut unlike = a.iter().zip(b).filter(|(a, b)| a != b);
    a.len() == b.len() && unlike.next().is_some_and(|(a, b)| once(a, b)) && unlike.next().is_none()
}

/// The letters of a name in lower case, and its numbers in their order.
fn parts(name: &str) -> (String, Vec<String>) {
    let mut signs: Vec<char> = name.chars().flat_map(char::to_lowercase).collect();
    // The letter O after a digit is a zero that was mistyped, where no letter follows.
    for at in 1..signs.len() {
        let ends = signs.get(at + 1).is_none_or(|next| !next.is_alphabetic());
        if signs[at] == 'o' && signs[at - 1].is_ascii_digit() && ends {
            signs[at] = '0';
        }
    }
    let typed: String = signs.into_iter().collect();
    let letters = folded(&typed).filter(|c| !c.is_ascii_digit()).collect();
    let numbers = typed.split(|c: char| !c.is_ascii_digit()).filter(|number| !number.is_empty());
    (letters, numbers.map(str::to_owned).collect())
}

/// As [`nearest`], of names that are owned.
pub fn slip(name: &str, known: impl IntoIterator<Item = String>) -> Option<String> {
    let known: Vec<String> = known.into_iter().collect();
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    nearest(name, &names).map(str::to_owned)
}

/// What the user wrote, short enough for a message and on one line.
pub fn brief(text: &str) -> String {
    const LONGEST: usize = 60;
    let line = text.replace(['\n', '\r', '\t'], " ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// Text with its control characters spelt out, those of its lines and tabs apart and, where it is `styled` by this program,
/// colours: what comes from foreign files cannot steer a terminal.
pub fn spelt_out(text: &str, styled: bool) -> Cow<'_, str> {
    let steers = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, c)) =
        rest.find(steers).and_then(|at| Some((&rest[..at], rest[at..].chars().next()?)))
    {
        out.push_str(before);
        rest = &rest[before.len()..];
        let kept = if styled { style(rest) } else { 0 };
        match kept {
            0 => out.extend(c.escape_default()),
            kept => out.push_str(&rest[..kept]),
        }
        rest = &rest[kept.max(c.len_utf8())..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Bytes of the sequence that sets a colour or weight at the beginning of a text (ECMA-48, SGR); 0 without one.
fn style(text: &str) -> usize {
    let Some(after) = text.strip_prefix("\u{1b}[") else { return 0 };
    match after.find(|c: char| !c.is_ascii_digit() && c != ';') {
        Some(end) if after[end..].starts_with('m') => "\u{1b}[".len() + end + 1,
        _ => 0,
    }
}

/// Text that can neither steer nor flood a terminal: control characters, those of the text's own lines
/// apart, are spelt out, and words longer than any path are cut.
fn tame(text: &str) -> String {
    const LONGEST: usize = 240;
    let mut out = String::with_capacity(text.len());
    let mut word = 0;
    for c in text.chars() {
        word = if c.is_whitespace() { 0 } else { word + 1 };
        match c {
            _ if word > LONGEST + 1 => {}
            _ if word == LONGEST + 1 => out.push('…'),
            c if c.is_control() && c != '\n' => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", tame(&self.cause))?;
        if let Some(place) = &self.place {
            write!(f, "\n  at: {}", tame(place))?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n  help: {}", tame(help))?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostic {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_names_the_nearest_valid_name() {
        let d = Diagnostic::unknown("GPU", "h100-smx", ["h100-sxm", "a100-sxm-80gb"], "");
        assert!(d.help.unwrap().contains("`h100-sxm`"));
    }

    #[test]
    fn control_characters_are_spelt_out_and_colours_of_our_own_stay() {
        let text = "a\u{1b}[1;31mred\u{1b}[0m\u{1b}[2J\u{9b}b\tc\n";
        assert_eq!(spelt_out(text, true), "a\u{1b}[1;31mred\u{1b}[0m\\u{1b}[2J\\u{9b}b\tc\n");
        assert!(!spelt_out(text, false).contains('\u{1b}'));
        assert!(matches!(spelt_out("plain\n", false), Cow::Borrowed(_)));
    }

    #[test]
    fn a_long_name_is_cut_and_control_characters_are_spelt_out() {
        let d = Diagnostic::unknown("model", &format!("\u{1b}[31m{}", "é".repeat(100_000)), [], "");
        let said = d.to_string();
        assert!(said.contains("\\u{1b}[31m") && said.contains('…'), "{said}");
        assert!(said.len() < 300 && !said.contains('\u{1b}'), "{said}");
    }

    #[test]
    fn names_are_compared_by_letters_and_digits() {
        assert!(same_letters("RTX 4090", "rtx-4090") && same_letters("p5.48xlarge", "P5_48xlarge"));
        assert!(!same_letters("org/name", "orgname") && !same_letters("a10", "a10g"));
        assert!(same_letters("qwen2-57b", "qwen2.5-7b") && !same_words("qwen2-57b", "qwen2.5-7b"));
        assert!(same_words("Qwen2.5 7B", "qwen2-5_7b"));
    }

    #[test]
    fn an_unrelated_name_gets_no_guess() {
        assert_eq!(nearest("zzzzqq", &["h100-sxm", "l4"]), None);
        for (name, other) in [
            ("P100", "a100"),
            ("qpm", "qps"),
            ("rtx 4090 24gb", "rtx-4090-48gb"),
            ("llama4", "llama-405b"),
            ("magistral", "ministral-8b"),
            ("train-iters", "train-tokens"),
        ] {
            assert_eq!(nearest(name, &[other]), None, "{name}");
        }
        assert_eq!(nearest("h1000", &["h100", "h200"]), Some("h100"));
        assert_eq!(nearest("h300", &["h100", "h200"]), None);
        assert_eq!(nearest("rxt-4090", &["rtx-3090", "rtx-4090"]), Some("rtx-4090"));
        assert_eq!(nearest("consurrency", &["concurrency"]), Some("concurrency"));
        assert_eq!(nearest(&"h100-sxm".repeat(100), &["h100-sxm"]), None);
    }
}
