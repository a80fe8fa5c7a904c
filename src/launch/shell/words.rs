//! What a script is read as: words, commands, files that it writes.

use std::collections::BTreeMap;

/// One word after quotes are removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word {
    /// The text, variables that the script itself sets replaced; others as written, with their `$`.
    pub text: String,
    /// Whether part of it stands in a variable or a substitution whose value is not in the text.
    pub unknown: bool,
    /// A variable in it that nothing sets and that is read as what the text has for that case: `TP` of `${TP:-2}`.
    pub assumed: Option<String>,
    /// Why it is not known, where more can be said than that nothing sets a variable: the values that branches give it.
    pub why: Option<String>,
    /// The condition that decides whether it stands there at all, where the text does not settle it.
    pub only_if: Option<String>,
}

impl Word {
    /// A word that is known.
    pub fn plain(text: impl Into<String>) -> Word {
        Word { text: text.into(), ..Word::default() }
    }

    /// A word that is not known, as it is written.
    pub fn open(text: impl Into<String>) -> Word {
        Word { text: text.into(), unknown: true, ..Word::default() }
    }
}

/// A simple command: its words, and what was assigned before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// Environment that the command is given: what `export` set before, then assignments in front of it.
    pub variables: BTreeMap<String, Word>,
    /// Its words.
    pub words: Vec<Word>,
    /// The condition that decides whether it is run, where the text does not settle it.
    pub only_if: Option<String>,
    /// The variable that nothing sets and by whose default in the text it is run.
    pub assumed: Option<String>,
    /// Flags that a default in the text leaves out of it, each with the variable whose default it is.
    pub left_out: Vec<(String, String)>,
    /// What a here-document gives to its standard input.
    pub input: Option<String>,
}

/// A file that a script writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// What stands in it; variables that are not known as they are written.
    pub text: String,
    /// What may stand in it instead, by conditions that the text does not settle.
    pub others: Vec<String>,
    /// Words in it that are read as what the text has where nothing sets a variable, as written and as read.
    pub assumed: Vec<(String, Word)>,
    /// Whether another program changes it afterwards.
    pub changed: bool,
}

impl Written {
    /// A file that holds a text.
    pub fn plain(text: impl Into<String>) -> Written {
        Written { text: text.into(), ..Written::default() }
    }

    /// Adds to its end.
    pub(super) fn append(&mut self, more: &Written) {
        for text in std::iter::once(&mut self.text).chain(&mut self.others) {
            text.push_str(&more.text);
        }
        self.assumed.extend(more.assumed.iter().cloned());
    }
}

/// One word as a command line has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Token {
    pub word: Word,
    /// Whether nothing of it was quoted or replaced.
    pub bare: bool,
    /// Whether it assigns: `NAME=…` in a place where that is no argument.
    pub assigns: bool,
    /// The words of `NAME=( … )`.
    pub array: Option<Vec<Word>>,
}

impl Token {
    /// One that is written so.
    pub(super) fn bare(text: String) -> Token {
        Token { word: Word::plain(text), bare: true, ..Token::default() }
    }

    /// One that was replaced.
    pub(super) fn of(word: Word) -> Token {
        Token { word, ..Token::default() }
    }
}

/// What a script says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// Its commands, in order.
    pub commands: Vec<Command>,
    /// What it holds and does not run: bodies of functions that are not called, arrays that are not used.
    pub held: Vec<Command>,
    /// Files that it writes, by path.
    pub files: BTreeMap<String, Written>,
}

/// Whether a text is the name of a variable.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// `NAME=value`, split.
pub fn assignment(text: &str) -> Option<(&str, &str)> {
    text.split_once('=').filter(|(name, _)| is_name(name))
}

/// `NAME=value` or `NAME+=value`, split, and whether it adds to what the name holds.
pub(super) fn set(text: &str) -> Option<(&str, &str, bool)> {
    let (name, value) = text.split_once('=')?;
    let (name, adds) = name.strip_suffix('+').map_or((name, false), |name| (name, true));
    is_name(name).then_some((name, value, adds))
}

/// The words of a text that a shell splits at blanks: those that hold a variable are unknown where the text is.
pub(super) fn split(word: &Word) -> Vec<Word> {
    let mut out: Vec<Word> = Vec::new();
    let mut piece = String::new();
    let mut depth = 0usize;
    let mut opened = None;
    let part = |piece: &mut String, out: &mut Vec<Word>| {
        if !piece.is_empty() {
            let text = std::mem::take(piece);
            let unknown = word.unknown && text.contains(['$', '`']);
            out.push(Word { unknown, text, ..word.clone() });
        }
    };
    for c in word.text.chars() {
        match c {
            '{' | '(' if opened.is_some() || piece.ends_with('$') => {
                opened = opened.or(Some(c));
                depth += usize::from(opened == Some(c));
            }
            '}' | ')' if opened.is_some_and(|o| (o == '{') == (c == '}')) => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    opened = None;
                }
            }
            _ => {}
        }
        let inside = word.unknown && opened.is_some();
        if c.is_whitespace() && !inside {
            part(&mut piece, &mut out);
        } else {
            piece.push(c);
        }
    }
    part(&mut piece, &mut out);
    out
}

/// A flag with the words after it, or one word that is none.
fn groups(words: &[Word]) -> Vec<&[Word]> {
    let is_flag = |w: &Word| w.text.starts_with('-') && w.text.len() > 1;
    let mut out = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let mut end = at + 1;
        if is_flag(&words[at]) {
            end += words[end..].iter().take_while(|w| !is_flag(w)).count();
        }
        out.push(&words[at..end]);
        at = end;
    }
    out
}

/// Two lists of words, of which a condition that is not settled decides: what stands in both stands there, the rest may.
pub(super) fn either(one: &[Word], other: &[Word], condition: &str) -> Vec<Word> {
    let (first, second) = (groups(one), groups(other));
    let maybe = |group: &[Word], out: &mut Vec<Word>| {
        let marked = group.iter().cloned().map(|mut word| {
            word.only_if.get_or_insert_with(|| condition.to_owned());
            word
        });
        out.extend(marked);
    };
    let mut out = Vec::new();
    let mut left: Vec<&[Word]> = second.clone();
    for group in first {
        match left.iter().position(|of| *of == group) {
            Some(at) => {
                left.remove(at);
                out.extend_from_slice(group);
            }
            None => maybe(group, &mut out),
        }
    }
    left.into_iter().for_each(|group| maybe(group, &mut out));
    out
}

/// Whether a text is of a shell's pattern: `*` and `?`, sets of characters.
pub(super) fn matches(pattern: &[char], text: &[char]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
                continue;
            }
            Some('?') => {
                p += 1;
                t += 1;
                continue;
            }
            Some('[') if pattern[p..].contains(&']') => {
                let end = p + pattern[p..].iter().position(|c| *c == ']').unwrap_or(0);
                let inner = &pattern[p + 1..end];
                let (not, inner) = match inner.first() {
                    Some('!' | '^') => (true, &inner[1..]),
                    _ => (false, inner),
                };
                let ranged = inner.windows(3).any(|w| w[1] == '-' && (w[0]..=w[2]).contains(&text[t]));
                if (ranged || inner.contains(&text[t])) != not {
                    p = end + 1;
                    t += 1;
                    continue;
                }
            }
            Some(c) if *c == text[t] => {
                p += 1;
                t += 1;
                continue;
            }
            _ => {}
        }
        match star {
            Some((at, from)) => {
                star = Some((at, from + 1));
                p = at + 1;
                t = from + 1;
            }
            None => return false,
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}
