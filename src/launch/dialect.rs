//! What each version of an engine takes on its command line, as its own parser tells it, and a command line read by it.
//!
//! The tables are `flags/<engine>.json`, made by `tools/launch_flags.py` from the engines' releases: one line
//! for each form of a flag, with the span of versions that take it so.

use std::sync::OnceLock;

use serde::Deserialize;

use super::shell::Word;
use crate::diagnostic::nearest;

/// What follows a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Takes {
    /// Nothing.
    Switch,
    /// Nothing; a negated spelling turns it off.
    Toggle,
    /// One value.
    Value,
    /// One value or several.
    List,
    /// A value that may be left out.
    Optional,
}

/// What a value is read as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Kind {
    /// Any text.
    #[default]
    #[serde(rename = "text")]
    Text,
    /// A whole number.
    #[serde(rename = "integer")]
    Integer,
    /// A whole number with a suffix: 1k = 1,000 and 1K = 1,024.
    #[serde(rename = "size")]
    Size,
    /// A number.
    #[serde(rename = "number")]
    Number,
    /// A JSON object.
    #[serde(rename = "json")]
    Json,
    /// A JSON object or a word.
    #[serde(rename = "json or text")]
    JsonOrText,
}

/// One form of a flag.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flag {
    /// Its main spelling.
    pub name: String,
    /// The first described version that takes it so.
    pub from: String,
    /// The last.
    pub until: String,
    /// What follows it.
    pub takes: Takes,
    /// What the value is.
    #[serde(default)]
    pub kind: Kind,
    /// Other spellings.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Spellings that turn it off.
    #[serde(default)]
    pub negated: Vec<String>,
    /// An environment variable that sets it.
    #[serde(default)]
    pub variable: Option<String>,
    /// The only values, where it is a choice.
    #[serde(default)]
    pub choices: Vec<String>,
    /// Whether the engine warns of its use.
    #[serde(default)]
    pub deprecated: bool,
    /// Whether the engine refuses it by name.
    #[serde(default)]
    pub removed: bool,
}

impl Flag {
    /// Whether it is turned off by this spelling of it.
    fn is_off(&self, spelling: &str) -> bool {
        let no = |s: &str| s.starts_with("--no-") && !self.name.starts_with("--no-");
        self.negated.iter().any(|n| n == spelling)
            || self.takes == Takes::Toggle
                && (no(spelling)
                    || spelling.strip_prefix("--disable-").is_some_and(|rest| {
                        self.name.ends_with(rest) && !self.name.starts_with("--disable-")
                    }))
    }

    /// Whether a spelling is one of its own.
    pub fn is(&self, spelling: &str) -> bool {
        self.spellings().any(|s| s == spelling)
    }

    /// Whether a word is one of its choices, or means one of `on`, `off` and `auto` where those are.
    fn takes_word(&self, word: &str) -> bool {
        let means = |choice: &String| match choice.as_str() {
            "on" => ON.contains(&word),
            "off" => OFF.contains(&word),
            "auto" => AUTO.contains(&word),
            other => other == word,
        };
        self.choices.iter().any(|choice| choice == word || means(choice))
    }

    fn spellings(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.name.as_str())
            .chain(self.aliases.iter().map(String::as_str))
            .chain(self.negated.iter().map(String::as_str))
    }
}

/// The flags of one engine over its versions.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dialect {
    /// Engine id of the catalogue.
    pub engine: String,
    /// Versions whose flags are known, oldest first.
    pub versions: Vec<String>,
    /// Every form of every flag.
    pub flags: Vec<Flag>,
}

/// One flag of a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The form of the flag.
    pub form: &'static Flag,
    /// What follows a dot in its name: `method` of `--speculative-config.method`.
    pub path: Option<String>,
    /// As it was written.
    pub written: String,
    /// What follows; empty for a switch.
    pub values: Vec<Word>,
    /// False where a negated spelling turns it off.
    pub on: bool,
    /// The versions that take it so, where those asked for do not: `from` and `until`.
    pub elsewhere: Option<(String, String)>,
    /// Whether the version that is stated surely does not take it: it is described, or those before and after it are.
    pub refused: bool,
    /// Whether the version in use warns of it.
    pub deprecated: bool,
    /// The condition that decides whether it stands there, where the text does not settle it.
    pub only_if: Option<String>,
}

impl Setting {
    /// Whether a spelling is one of its flag's.
    pub fn is(&self, spelling: &str) -> bool {
        self.form.is(spelling)
    }

    /// Its only value, if it is known.
    pub fn value(&self) -> Option<&str> {
        self.values.first().filter(|w| !w.unknown && self.only_if.is_none()).map(|w| w.text.as_str())
    }

    /// Whether its value stands in a variable.
    pub fn is_unknown(&self) -> bool {
        self.values.iter().any(|w| w.unknown)
    }
}

/// A part of a command line that says nothing that is understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// As it was written.
    pub text: String,
    /// Why it was not read, and what may be meant.
    pub why: String,
    /// Whether the engine would refuse it (an unknown flag, a wrong value) rather than it being unknown to us.
    pub refused: bool,
}

/// A command line, flag by flag.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// What is set.
    pub settings: Vec<Setting>,
    /// Words that belong to no flag.
    pub positional: Vec<Word>,
    /// What was not understood.
    pub unread: Vec<Unread>,
}

impl Said {
    /// Whether a flag stands there whose count was not read, since it is in a variable or is none: its default does not
    /// hold either.
    pub fn leaves_open(&self, flag: &str) -> bool {
        let count = |s: &Setting| s.value().and_then(|v| v.trim().parse::<u32>().ok()).filter(|n| *n > 0);
        self.get(flag).is_some_and(|s| count(s).is_none())
    }

    /// Whether a flag may stand there or not, by a condition that the text does not settle.
    pub fn is_unsure(&self, flag: &str) -> bool {
        self.get(flag).is_some_and(|setting| setting.only_if.is_some())
    }

    /// The last setting of a flag by any of its spellings: a later one wins, as in every engine's parser.
    pub fn get(&self, flag: &str) -> Option<&Setting> {
        self.settings.iter().rev().find(|s| s.path.is_none() && s.is(flag))
    }
}

/// Words that turn a flag of llama.cpp off where it takes `off`, those that turn it on and those that leave it to the server
/// (`common/arg.cpp`: `is_falsey`, `is_truthy`, `is_autoy`).
pub const OFF: [&str; 4] = ["off", "disabled", "false", "0"];
const ON: [&str; 4] = ["on", "enabled", "true", "1"];
const AUTO: [&str; 2] = ["auto", "-1"];

/// Most words of a command line that are read; long ones have a few hundred.
const MAX_WORDS: usize = 4096;

/// Unknown flags that are answered with the nearest known one; the others are only named.
const MAX_HINTS: usize = 32;

/// The built-in tables.
pub fn dialects() -> &'static [Dialect] {
    static TABLES: OnceLock<Vec<Dialect>> = OnceLock::new();
    TABLES.get_or_init(|| {
        let read = |text: &str| serde_json::from_str(text).expect("a test reads every table");
        vec![
            read(include_str!("../../flags/vllm.json")),
            read(include_str!("../../flags/sglang.json")),
            read(include_str!("../../flags/trtllm.json")),
            read(include_str!("../../flags/llama.cpp.json")),
        ]
    })
}

/// The table of an engine, if it has one.
pub fn dialect(engine: &str) -> Option<&'static Dialect> {
    dialects().iter().find(|d| d.engine == engine)
}

/// Parts of a version as numbers, for order: `0.5.10.post1` is after `0.5.10`.
fn order(version: &str) -> Vec<u64> {
    let digits = version.split(|c: char| !c.is_ascii_digit());
    digits.filter(|d| !d.is_empty()).map(|d| d.parse().unwrap_or(u64::MAX)).collect()
}

/// Whether a version is another one or newer.
pub fn is_at_least(version: &str, other: &str) -> bool {
    order(version) >= order(other)
}

impl Dialect {
    /// The described version that stands for the one in use: the newest that is not newer, or the oldest; of builds
    /// the nearest.
    pub fn version_for(&self, version: Option<&str>) -> &str {
        let newest = self.versions.last().expect("a table has a version");
        let Some(asked) = version.map(order).filter(|v| !v.is_empty()) else { return newest };
        // Builds are numbered by commits: the nearest one knows best.
        if let [build] = asked.as_slice() {
            let away = |v: &&String| order(v).first().map_or(u64::MAX, |n| n.abs_diff(*build));
            return self.versions.iter().min_by_key(away).unwrap_or(newest);
        }
        let found = self.versions.iter().rev().find(|v| order(v) <= asked);
        found.or(self.versions.first()).expect("a table has a version")
    }

    /// Whether the engine's parser is Python's `argparse`, which takes `-tp=4` and unambiguous beginnings of names.
    fn is_argparse(&self) -> bool {
        matches!(self.engine.as_str(), "vllm" | "sglang")
    }

    /// What vLLM's parser makes of its short spellings before it reads them, and the words that are used up: `-O2`, `-O 2` and
    /// `-O=2` are levels of optimisation, a field of the compilation's settings in versions that have no flag for them;
    /// `-cc.key=value` and `-O.key=value` are such settings (`utils/argparse_utils.py`,
    /// `FlexibleArgumentParser.parse_args`, 0.33; `utils/__init__.py`, 0.10).
    fn long_form(&'static self, word: &Word, next: Option<&Word>, version: &str) -> Option<(Word, usize)> {
        if self.engine != "vllm" {
            return None;
        }
        let long = |text: String, taken| Some((Word { text, ..word.clone() }, taken));
        let setting = ["-cc.", "-O."].into_iter().find_map(|dotted| word.text.strip_prefix(dotted));
        if let Some(path) = setting {
            return long(format!("--compilation-config.{path}"), 1);
        }
        let rest = word.text.strip_prefix("-O")?;
        let (level, taken) = match next {
            Some(next) if rest.is_empty() => (next.text.as_str(), 2),
            _ => (rest.strip_prefix('=').unwrap_or(rest), 1),
        };
        if level.is_empty() || !level.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        match self.flag(version, "--optimization-level") {
            Some(_) => long(format!("--optimization-level={level}"), taken),
            None => long(format!("--compilation-config.level={level}"), taken),
        }
    }

    fn rank(&self, version: &str) -> usize {
        self.versions.iter().position(|v| v == version).unwrap_or(0)
    }

    /// The forms of flags that a described version takes.
    pub fn at(&'static self, version: &str) -> impl Iterator<Item = &'static Flag> {
        let rank = self.rank(version);
        self.flags.iter().filter(move |f| (self.rank(&f.from)..=self.rank(&f.until)).contains(&rank))
    }

    /// A flag of a described version by one of its spellings.
    pub fn flag(&'static self, version: &str, name: &str) -> Option<&'static Flag> {
        self.at(version).find(|f| f.spellings().any(|s| s == name))
    }

    /// How the engine reads dashes and underscores in names: `vllm` takes both, SGLang and llama.cpp dashes only,
    /// TensorRT-LLM underscores only (dashes from its newest line on are not assumed).
    fn spelled(&self, flag: &str) -> String {
        match (self.engine.as_str(), flag.strip_prefix("--")) {
            ("vllm", Some(rest)) => {
                let (name, path) = rest.split_once('.').map_or((rest, ""), |(n, p)| (n, p));
                let dot = if path.is_empty() { "" } else { "." };
                format!("--{}{dot}{path}", name.replace('_', "-"))
            }
            _ => flag.to_owned(),
        }
    }

    /// Reads a command line by the flags of a version. Abbreviations are resolved as `argparse` does, while they are
    /// unique; a flag that only other versions take is read and says so.
    pub fn read(&'static self, words: &[Word], version: Option<&str>) -> Said {
        let stated = version;
        let version = self.version_for(version);
        let mut said = Said::default();
        if let Some(beyond) = words.get(MAX_WORDS) {
            said.unread.push(Unread {
                text: beyond.text.chars().take(80).collect(),
                why: format!("the {} words from here on are not read", words.len() - MAX_WORDS),
                refused: false,
            });
        }
        let words = &words[..words.len().min(MAX_WORDS)];
        let mut i = 0;
        // What may not stand there is refused by no engine.
        let mut unsure = (false, said.unread.len());
        while i < words.len() {
            if unsure.0 {
                said.unread[unsure.1..].iter_mut().for_each(|unread| unread.refused = false);
            }
            unsure = (words[i].only_if.is_some(), said.unread.len());
            let short = self.long_form(&words[i], words.get(i + 1), version);
            let (word, taken) = match &short {
                Some((long, taken)) => (long, *taken),
                None => (&words[i], 1),
            };
            i += taken;
            let is_flag = word.text.starts_with('-')
                && word.text.len() > 1
                && !word.text[1..].starts_with(|c: char| c.is_ascii_digit() || c == '.');
            if !is_flag {
                said.positional.push(word.clone());
                continue;
            }
            let (spelling, inline) = match word.text.split_once('=') {
                Some((flag, value)) if flag.starts_with("--") || self.is_argparse() => {
                    (flag, Some(Word { text: value.to_owned(), ..word.clone() }))
                }
                _ => (word.text.as_str(), None),
            };
            let asked = self.spelled(spelling);
            let (base, path) = match asked.split_once('.') {
                Some((base, path)) if base.starts_with("--") || self.engine == "vllm" => {
                    (base.to_owned(), Some(path.to_owned()))
                }
                _ => (asked.clone(), None),
            };
            let Some((flag, elsewhere)) = self.find(&base, (stated, version), &mut said, &word.text) else {
                // Its value, if it looks like one, is part of what was not read.
                if inline.is_none()
                    && words.get(i).is_some_and(|w| !w.text.starts_with('-'))
                    && let Some(last) = said.unread.last_mut()
                {
                    last.text = format!("{} {}", last.text, words[i].text);
                    i += 1;
                }
                continue;
            };
            // `-fa -sm row` of builds before it took a value: the next flag is not its value.
            let next = words.get(i).map_or("", |w| w.text.as_str());
            let eaten = next.starts_with('-')
                && !flag.choices.is_empty()
                && !flag.takes_word(next)
                && flag.takes == Takes::Value
                && inline.is_none();
            let bare = self.flags.iter().rev().find(|f| eaten && f.is(&base) && f.takes == Takes::Switch);
            let (flag, elsewhere) = match bare {
                Some(older) => {
                    let needs =
                        format!("{} {version} needs a value: {}", self.engine, flag.choices.join(", "));
                    said.unread.push(Unread {
                        text: word.text.clone(),
                        why: needs,
                        refused: stated.is_some(),
                    });
                    (older, Some((older.from.clone(), older.until.clone())))
                }
                None => (flag, elsewhere),
            };
            let on = !flag.is_off(&base);
            let mut values = Vec::new();
            match (flag.takes, inline) {
                (Takes::Switch | Takes::Toggle, Some(value)) => {
                    said.unread.push(Unread {
                        text: word.text.clone(),
                        why: format!("{} is a switch and takes no value", flag.name),
                        refused: true,
                    });
                    // What is meant is plain, and the engine refuses it: read, and said.
                    let off =
                        matches!(value.text.to_ascii_lowercase().as_str(), "false" | "0" | "off" | "no");
                    said.settings.push(Setting {
                        form: flag,
                        path: None,
                        written: word.text.clone(),
                        values,
                        on: on != off,
                        refused: elsewhere.is_some() && !unsure.0 && self.surely_lacks(stated, &base),
                        elsewhere,
                        deprecated: flag.deprecated,
                        only_if: word.only_if.clone(),
                    });
                    continue;
                }
                (Takes::Switch | Takes::Toggle, None) => {}
                (_, Some(value)) => values.push(value),
                (Takes::Value, None) if on => match words.get(i) {
                    Some(value) => {
                        values.push(value.clone());
                        i += 1;
                    }
                    None => {
                        said.unread.push(Unread {
                            text: word.text.clone(),
                            why: format!("{} needs a value", flag.name),
                            refused: true,
                        });
                        continue;
                    }
                },
                (Takes::Optional, None) => {
                    if let Some(value) = words.get(i).filter(|w| !w.text.starts_with('-') && !w.unknown) {
                        values.push(value.clone());
                        i += 1;
                    }
                }
                (Takes::List, None) => {
                    // A variable behind values may hold further flags as well.
                    let more = |w: &&Word, any: bool| !(w.text.starts_with("--") || any && w.unknown);
                    while let Some(value) = words.get(i).filter(|w| more(w, !values.is_empty())) {
                        values.push(value.clone());
                        i += 1;
                    }
                }
                (Takes::Value, None) => {}
            }
            if let Some(problem) = self.problem(flag, &values, path.is_some()) {
                // Where no version is stated it may be one that takes the value.
                let valued = |f: &Flag| !matches!(f.takes, Takes::Switch | Takes::Toggle);
                let taken =
                    |f: &&Flag| f.is(&flag.name) && valued(f) && self.problem(f, &values, false).is_none();
                let refused = stated.is_some() || !self.flags.iter().any(|f| taken(&f));
                said.unread.push(Unread { text: word.text.clone(), why: problem, refused });
            }
            let only_if =
                word.only_if.clone().or_else(|| values.iter().find_map(|value| value.only_if.clone()));
            said.settings.push(Setting {
                form: flag,
                path,
                written: word.text.clone(),
                values,
                on,
                refused: elsewhere.is_some() && !unsure.0 && self.surely_lacks(stated, &base),
                elsewhere,
                deprecated: flag.deprecated,
                only_if,
            });
        }
        if unsure.0 {
            said.unread[unsure.1..].iter_mut().for_each(|unread| unread.refused = false);
        }
        said
    }

    /// Whether the version that is stated takes no such flag: it is described, or lies between two that do not.
    fn surely_lacks(&'static self, stated: Option<&str>, spelling: &str) -> bool {
        let Some(asked) = stated else { return false };
        let below = self.version_for(stated);
        let at = self.rank(below);
        let after = self.versions.get(at + 1).filter(|_| order(below) != order(asked));
        let takes = |version: &str| self.at(version).any(|f| !f.removed && self.answers(f, spelling));
        !takes(below) && !after.is_some_and(|version| takes(version))
    }

    /// Why the engine's parser would refuse a value.
    fn problem(&self, flag: &Flag, values: &[Word], inside: bool) -> Option<String> {
        if inside {
            return None;
        }
        for value in values.iter().filter(|v| !v.unknown) {
            let text = value.text.trim();
            let wrong = match flag.kind {
                Kind::Integer => text.parse::<i64>().is_err(),
                Kind::Number => text.parse::<f64>().is_err(),
                // -1 is `auto` in numbers (`human_readable_int_or_auto`).
                Kind::Size => size(text).is_none() && !matches!(text, "auto" | "-1"),
                Kind::Json => !text.is_empty() && serde_json::from_str::<serde_json::Value>(text).is_err(),
                Kind::Text | Kind::JsonOrText => !flag.choices.is_empty() && !flag.takes_word(text),
            };
            // llama.cpp spells some numbers as words (`--n-gpu-layers all`).
            if wrong && (self.engine != "llama.cpp" || flag.kind == Kind::Text) {
                let allowed = match flag.kind {
                    Kind::Integer => "a whole number".to_owned(),
                    Kind::Number => "a number".to_owned(),
                    Kind::Size => "a whole number, as 32768, 32k or 32K".to_owned(),
                    Kind::Json => "a JSON object".to_owned(),
                    Kind::Text | Kind::JsonOrText => {
                        let near =
                            nearest(text, &flag.choices.iter().map(String::as_str).collect::<Vec<_>>());
                        near.map_or_else(|| flag.choices.join(", "), |near| format!("{near}, among others"))
                    }
                };
                return Some(format!("`{text}` is no value of {}: {allowed}", flag.name));
            }
        }
        None
    }

    /// The flag that a spelling names in a version, or else in the nearest other one.
    fn find(
        &'static self,
        spelling: &str,
        (stated, version): (Option<&str>, &str),
        said: &mut Said,
        written: &str,
    ) -> Option<(&'static Flag, Option<(String, String)>)> {
        let here: Vec<&'static Flag> = self.at(version).collect();
        if let Some(flag) = here.iter().find(|f| self.answers(f, spelling)) {
            if flag.removed {
                said.unread.push(Unread {
                    text: written.to_owned(),
                    why: format!("{} {version} refuses it: it was removed", self.engine),
                    refused: true,
                });
                return None;
            }
            return Some((flag, None));
        }
        // argparse takes an unambiguous beginning of a long flag; llama.cpp's and click's parsers do not.
        let abbreviates = self.is_argparse() && spelling.starts_with("--");
        if abbreviates {
            let begins = |f: &&&'static Flag| f.spellings().any(|s| s.starts_with(spelling));
            let found: Vec<&&'static Flag> = here.iter().filter(begins).collect();
            if let [flag] = found.as_slice() {
                return Some((flag, None));
            }
            if found.len() > 1 {
                let names: Vec<&str> = found.iter().map(|f| f.name.as_str()).take(3).collect();
                let older = self.flags.iter().rev().find(|f| self.answers(f, spelling));
                said.unread.push(Unread {
                    text: written.to_owned(),
                    why: format!(
                        "{} {version} refuses it: ambiguous, could be {}",
                        self.engine,
                        names.join(", ")
                    ),
                    refused: stated.is_some() || older.is_none(),
                });
                // An older version took it whole: what it meant there is known.
                return older.map(|f| (f, Some((f.from.clone(), f.until.clone()))));
            }
        }
        let rank = self.rank(version);
        let distance = |f: &&Flag| {
            let (from, until) = (self.rank(&f.from), self.rank(&f.until));
            if rank < from { from - rank } else { rank.saturating_sub(until) }
        };
        let other =
            self.flags.iter().filter(|f| !f.removed && self.answers(f, spelling)).min_by_key(distance);
        if let Some(flag) = other {
            return Some((flag, Some((flag.from.clone(), flag.until.clone()))));
        }
        let names: Vec<&str> = here.iter().flat_map(|f| f.spellings()).collect();
        let underscored = spelling.replace('_', "-");
        let dashed = format!("--{}", spelling.trim_start_matches('-').replace('-', "_"));
        // What is meant is plain, and the engine refuses it: read, and said.
        let meant = |f: &&&'static Flag| self.answers(f, &underscored) || self.answers(f, &dashed);
        if let Some(flag) = here.iter().find(meant).filter(|f| !f.removed) {
            let name = flag.spellings().find(|s| *s == underscored || *s == dashed).unwrap_or(&flag.name);
            said.unread.push(Unread {
                text: written.to_owned(),
                why: format!("{} {version} refuses it; did you mean {name}?", self.engine),
                refused: true,
            });
            return Some((flag, None));
        }
        let near = if said.unread.len() < MAX_HINTS { nearest(spelling, &names) } else { None };
        let hint = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
        said.unread.push(Unread {
            text: written.to_owned(),
            why: format!("no described version of {} takes it{hint}", self.engine),
            refused: true,
        });
        None
    }

    /// Whether a spelling names a flag, negated forms of toggles among them.
    fn answers(&self, flag: &Flag, spelling: &str) -> bool {
        flag.spellings().any(|s| s == spelling)
            || flag.takes == Takes::Toggle
                && self.engine == "vllm"
                && spelling
                    .strip_prefix("--no-")
                    .is_some_and(|rest| flag.name.strip_prefix("--") == Some(rest))
    }
}

/// A whole number as vLLM reads it: `32k` is 32,000 and `32K` 32,768 (`vllm/engine/arg_utils.py`,
/// `human_readable_int`).
pub fn size(text: &str) -> Option<u64> {
    let text = text.trim();
    if let Ok(plain) = text.parse() {
        return Some(plain);
    }
    let last = text.chars().last()?;
    let number: f64 = text[..text.len() - last.len_utf8()].parse().ok()?;
    let (unit, whole): (f64, bool) = match last {
        'k' => (1e3, false),
        'm' => (1e6, false),
        'g' => (1e9, false),
        't' => (1e12, false),
        'K' => (1024.0, true),
        'M' => (1024.0 * 1024.0, true),
        'G' => (1024.0 * 1024.0 * 1024.0, true),
        'T' => (1024.0 * 1024.0 * 1024.0 * 1024.0, true),
        _ => return None,
    };
    let value = number * unit;
    // Decimal fractions make sense of decimal units only: `25.6k`, never `25.6K`.
    (value.is_finite() && (0.0..=1e18).contains(&value) && !(whole && number.fract() != 0.0))
        .then_some(value as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(engine: &str, version: Option<&str>, line: &str) -> Said {
        let words: Vec<Word> = line.split_whitespace().map(Word::plain).collect();
        dialect(engine).unwrap().read(&words, version)
    }

    #[test]
    fn every_table_is_read_and_its_spans_are_known_versions() {
        for table in dialects() {
            for flag in &table.flags {
                let (from, until) = (table.rank(&flag.from), table.rank(&flag.until));
                assert!(
                    from <= until && table.versions.contains(&flag.from),
                    "{} {}",
                    table.engine,
                    flag.name
                );
            }
        }
        assert_eq!(dialect("vllm").unwrap().versions.last().unwrap(), "0.33.0");
    }

    #[test]
    fn vllm_takes_underscores_and_values_after_equals_signs() {
        let said =
            read("vllm", Some("0.21.0"), "--tensor_parallel_size 2 --gpu_memory_utilization=0.98 org/m");
        assert_eq!(said.get("--tensor-parallel-size").unwrap().value(), Some("2"));
        assert_eq!(said.get("--gpu-memory-utilization").unwrap().value(), Some("0.98"));
        assert_eq!(said.positional, [Word::plain("org/m")]);
        assert!(said.unread.is_empty());
    }

    #[test]
    fn switches_of_vllm_are_turned_off_by_no() {
        let said = read("vllm", None, "--no-enable-prefix-caching --enable-chunked-prefill");
        assert!(!said.get("--enable-prefix-caching").unwrap().on);
        assert!(said.get("--enable-chunked-prefill").unwrap().on);
    }

    #[test]
    fn an_abbreviation_is_what_argparse_takes_it_for() {
        // Refused by SGLang 0.5.23 as ambiguous, whole in 0.5.5 (`launch_server --help` of both).
        let old = read("sglang", Some("0.5.5"), "--cuda-graph-max-bs 512 --tp 4");
        assert!(old.unread.is_empty(), "{:?}", old.unread);
        assert_eq!(old.get("--tp-size").or(old.get("--tensor-parallel-size")).unwrap().value(), Some("4"));
        let new = read("sglang", Some("0.5.23"), "--cuda-graph-max-bs 512");
        assert!(new.unread[0].why.contains("ambiguous"), "{:?}", new.unread);
    }

    #[test]
    fn a_flag_of_other_versions_is_read_and_says_which() {
        let said = read("sglang", Some("0.5.23"), "--enable-deepep-moe");
        let (from, until) = said.get("--enable-deepep-moe").unwrap().elsewhere.clone().unwrap();
        assert_eq!((from.as_str(), until.as_str()), ("0.4.6", "0.4.10"));
    }

    #[test]
    fn an_unknown_flag_is_said_with_the_nearest_and_swallows_its_value_only() {
        let said = read("vllm", None, "--max-modellen 4096 --tensor-parallel-size 2");
        assert_eq!(said.unread[0].text, "--max-modellen 4096");
        assert!(said.unread[0].why.contains("--max-model-len"), "{:?}", said.unread);
        assert_eq!(said.get("--tensor-parallel-size").unwrap().value(), Some("2"));
        // SGLang never takes underscores.
        let said = read("sglang", None, "--tp_size 4");
        assert!(said.unread[0].why.contains("--tp-size"), "{:?}", said.unread);
    }

    #[test]
    fn sizes_are_decimal_in_small_and_binary_in_capital_letters() {
        assert_eq!(
            [size("32k"), size("32K"), size("25.6k"), size("25.6K"), size("x")],
            [Some(32_000), Some(32_768), Some(25_600), None, None]
        );
    }
}
