//! What variables, sums and substitutions of a shell are replaced by, where the text says what they are.

use super::cursor::{ARGUMENTS, MAX_DEPTH, MAX_ROUNDS, MAX_SPENT, Reader};
use super::state::Value;
use super::sums;
use super::words::{Word, is_name, matches, split};

/// What a variable or a substitution is replaced by: as one word, as the words it is split into, and whether it is an array
/// whose words stand apart within quotes.
pub(super) struct Held {
    pub one: Word,
    pub split: Vec<Word>,
    pub array: bool,
}

impl Held {
    fn text(word: Word) -> Held {
        Held { split: split(&word), one: word, array: false }
    }

    fn value(value: &Value, written: &str) -> Held {
        Held { one: value.word(written), split: value.split(written), array: false }
    }

    fn list(words: Vec<Word>) -> Held {
        let texts: Vec<&str> = words.iter().map(|w| w.text.as_str()).collect();
        let mut one = Word::plain(texts.join(" "));
        for word in &words {
            join(&mut one, word);
        }
        one.unknown |= words.iter().any(|w| w.only_if.is_some());
        Held { one, split: words, array: true }
    }
}

/// What is known of a part holds for the whole.
pub(super) fn join(word: &mut Word, part: &Word) {
    word.unknown |= part.unknown;
    word.assumed = word.assumed.take().or(part.assumed.clone());
    word.why = word.why.take().or(part.why.clone());
    word.only_if = word.only_if.take().or(part.only_if.clone());
}

impl Reader {
    /// A text whose variables are replaced; quotes stay in a here-document alone. Elsewhere it is what a parameter is replaced
    /// by, whose quotes are its own: what stands within single ones is taken as it is written, unless double ones stand around
    /// the whole (POSIX, XCU 2.6.2).
    pub(super) fn inside(&mut self, text: &str, quotes: bool) -> Word {
        let mut out = Word::default();
        if self.depth >= MAX_DEPTH {
            return Word::open(text);
        }
        self.depth += 1;
        let rest = std::mem::replace(&mut self.rest, text.chars().collect());
        let at = std::mem::take(&mut self.at);
        let around = self.in_quotes;
        let (mut single, mut double) = (false, false);
        while let Some(c) = self.peek(0) {
            match c {
                '\'' if !quotes && !double && !around => {
                    single = !single;
                    self.at += 1;
                }
                _ if single => {
                    out.text.push(c);
                    self.at += 1;
                }
                '"' if !quotes => {
                    double = !double;
                    self.at += 1;
                }
                '$' => {
                    self.in_quotes = around || double;
                    let held = self.expansion();
                    self.in_quotes = around;
                    out.text.push_str(&held.one.text);
                    join(&mut out, &held.one);
                }
                '\\' if self.peek(1) == Some('$') => {
                    out.text.push('$');
                    self.at += 2;
                }
                '\\' if !quotes && matches!(self.peek(1), Some('"' | '\\' | '`')) => {
                    out.text.extend(self.peek(1));
                    self.at += 2;
                }
                _ => {
                    out.text.push(c);
                    self.at += 1;
                }
            }
        }
        (self.rest, self.at) = (rest, at);
        self.depth -= 1;
        out
    }

    /// `$NAME`, `${NAME}`, `${NAME:-…}`, `$(( … ))`, `$( … )`: replaced where the text says what they are.
    pub(super) fn expansion(&mut self) -> Held {
        let start = self.at;
        self.at += 1;
        let value = match self.peek(0) {
            Some(open @ ('{' | '(')) => {
                let inner = self.enclosed(open);
                let written = self.text(start, self.at);
                let sum = inner.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
                match (open, sum) {
                    ('(', Some(sum)) => self.sum(sum).map(Held::text),
                    ('(', None) if !(self.manifest && is_name(&inner)) => self.counts(&inner),
                    _ => self.parameter(&inner, &written),
                }
            }
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                let begin = self.at;
                while self.peek(0).is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
                    self.at += 1;
                }
                let name: String = self.rest[begin..self.at].iter().collect();
                self.parameter(&name, &format!("${name}"))
            }
            Some(c) if c.is_ascii_digit() || matches!(c, '@' | '*' | '#') => {
                self.at += 1;
                self.parameter(&c.to_string(), &format!("${c}"))
            }
            _ => None,
        };
        self.spent += value.as_ref().map_or(0, |value| value.one.text.len());
        match value.filter(|_| self.spent <= MAX_SPENT) {
            Some(value) => value,
            None => {
                let word =
                    Word::open(self.rest[start..self.at.min(self.rest.len())].iter().collect::<String>());
                Held { array: false, split: vec![word.clone()], one: word }
            }
        }
    }

    /// `$(seq 0 7)`.
    fn counts(&mut self, inner: &str) -> Option<Held> {
        let arguments = inner.trim().strip_prefix("seq ")?;
        let word = self.inside(arguments, false);
        let numbers: Option<Vec<i64>> = word.text.split_whitespace().map(|n| n.parse().ok()).collect();
        let (first, last) = match numbers?.as_slice() {
            [last] => (1, *last),
            [first, last] => (*first, *last),
            _ => return None,
        };
        let all = (first..=last).take(MAX_ROUNDS).map(|n| n.to_string()).collect::<Vec<_>>();
        Some(Held::text(Word { text: all.join(" "), ..word }))
    }

    /// What stands between an opening character and the one that closes it, which is passed.
    pub(super) fn enclosed(&mut self, open: char) -> String {
        let close = if open == '{' { '}' } else { ')' };
        let mut depth = 0usize;
        let begin = self.at + 1;
        while let Some(c) = self.peek(0) {
            self.at += 1;
            if c == open {
                depth += 1;
            } else if c == close {
                depth -= 1;
                if depth == 0 {
                    break;
                }
            }
        }
        self.rest[begin.min(self.at)..self.at.saturating_sub(1).max(begin).min(self.rest.len())]
            .iter()
            .collect()
    }

    /// What a name holds: a variable, an argument of a function.
    fn lookup(&mut self, name: &str) -> Option<Value> {
        if let Some(flags) = self.state.left_out.get(name) {
            self.left_out.extend(flags.iter().cloned());
        }
        let Ok(place) = name.parse::<usize>() else { return self.state.assigned.get(name).cloned() };
        let arguments = self.arguments.as_ref().filter(|_| place > 0)?;
        Some(Value::Text(arguments.get(place - 1).cloned().unwrap_or_default()))
    }

    /// The value of a parameter: `NAME`, `NAME[@]`, `NAME:-default`, `NAME:=default`, `NAME:+other`, `NAME%.*` …
    fn parameter(&mut self, inner: &str, written: &str) -> Option<Held> {
        if let Some(counted) = inner.strip_prefix('#') {
            return self.length(counted);
        }
        if matches!(inner, "@" | "*") {
            return self.arguments.clone().map(Held::list);
        }
        let end = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inner.len());
        let (name, rest) = inner.split_at(end);
        let place = !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit());
        if !is_name(name) && !place {
            return None;
        }
        if let Some(index) = rest.strip_prefix('[') {
            let (index, rest) = index.split_once(']')?;
            return self.element(name, index, rest);
        }
        let value = self.lookup(name);
        let empty = |word: &Word| word.text.is_empty() && !word.unknown;
        let colon = rest.starts_with(':');
        let operator = rest.strip_prefix(':').unwrap_or(rest);
        let after = operator.get(1..).unwrap_or_default();
        match operator.chars().next() {
            None if !colon => value.map(|value| Held::value(&value, written)),
            Some('-' | '=') => {
                let replaced = match &value {
                    Some(Value::Text(word)) if colon && empty(word) => true,
                    Some(Value::Either(words, condition)) if colon && words.iter().any(empty) => {
                        let (words, condition) = (words.clone(), condition.clone());
                        let default = self.inside(after, false);
                        let words = words.into_iter().map(|w| if empty(&w) { default.clone() } else { w });
                        return Some(Held::value(&Value::Either(words.collect(), condition), written));
                    }
                    Some(_) => false,
                    None => true,
                };
                if !replaced {
                    return value.map(|value| Held::value(&value, written));
                }
                let mut word = self.inside(after, false);
                if word.unknown {
                    return None;
                }
                // A value that the script itself leaves empty is no guess.
                if value.is_none() {
                    word.assumed = Some(if place { format!("argument {name}") } else { name.to_owned() });
                }
                if operator.starts_with('=') {
                    self.state.assigned.insert(name.to_owned(), Value::Text(word.clone()));
                }
                Some(Held::text(word))
            }
            Some('+') => match value? {
                Value::Text(word) if colon && empty(&word) => Some(Held::text(Word::default())),
                Value::Text(word) if word.unknown => None,
                Value::Text(word) => {
                    let mut other = self.inside(after, false);
                    other.assumed = other.assumed.or(word.assumed);
                    Some(Held::text(other))
                }
                Value::Either(words, condition) => {
                    let other = self.inside(after, false);
                    let words =
                        words.iter().map(|w| if colon && empty(w) { Word::default() } else { other.clone() });
                    Some(Held::value(&Value::Either(words.collect(), condition), written))
                }
                Value::List(_) => None,
            },
            Some('?') => value.map(|value| Held::value(&value, written)),
            Some(_) => {
                let Value::Text(word) = value? else { return None };
                if word.unknown {
                    return None;
                }
                let text = self.changed(&word.text, rest)?;
                Some(Held::text(Word { text, ..word }))
            }
            None => None,
        }
    }

    /// `${#NAME}`, `${#NAME[@]}`, `$#`.
    fn length(&mut self, counted: &str) -> Option<Held> {
        let number = |n: usize| Some(Held::text(Word::plain(n.to_string())));
        if counted.is_empty() {
            return match &self.arguments {
                Some(given) => number(given.len()),
                None => Some(Held::text(Word { assumed: Some(ARGUMENTS.to_owned()), ..Word::plain("0") })),
            };
        }
        let name = counted.trim_end_matches("[@]").trim_end_matches("[*]");
        match self.lookup(name)? {
            Value::List(words) if words.iter().all(|w| !w.unknown && w.only_if.is_none()) => {
                number(words.len())
            }
            Value::Text(word) if !word.unknown => {
                number(if name == counted { word.text.chars().count() } else { 1 })
            }
            _ => None,
        }
    }

    /// `${NAME[@]}` with what follows, `${NAME[0]}`.
    fn element(&mut self, name: &str, index: &str, rest: &str) -> Option<Held> {
        let value = self.lookup(name);
        if matches!(index, "@" | "*") {
            self.used.insert(name.to_owned());
            let alone = rest.is_empty()
                || rest.starts_with([':', '-', '+']) && !rest[1..].starts_with(|c: char| c.is_ascii_digit());
            let words = match value.filter(|_| alone)? {
                Value::List(words) => words,
                other => other.split(&format!("${name}")),
            };
            let quoted = Held::list(words);
            return Some(if index == "@" { quoted } else { Held { array: false, ..quoted } });
        }
        let at: usize = self.sum(index)?.text.parse().ok()?;
        match value? {
            Value::List(words) if words.iter().all(|w| w.only_if.is_none()) => {
                words.get(at).cloned().map(Held::text)
            }
            Value::Text(word) if at == 0 => Some(Held::text(word)),
            _ => None,
        }
    }

    /// What is left of a text: `##*/`, `%.*`, `//a/b`, `,,`, `:0:3`.
    fn changed(&mut self, text: &str, operation: &str) -> Option<String> {
        let chars: Vec<char> = text.chars().collect();
        let pattern = |text: &str| text.replace(['"', '\''], "").chars().collect::<Vec<char>>();
        let part = |range: &[char]| range.iter().collect::<String>();
        for (sign, longest) in [("##", true), ("#", false)] {
            if let Some(cut) = operation.strip_prefix(sign) {
                let cut = pattern(cut);
                let mut ends = (0..=chars.len()).filter(|n| matches(&cut, &chars[..*n]));
                let end = if longest { ends.next_back() } else { ends.next() };
                return Some(part(&chars[end.unwrap_or(0)..]));
            }
        }
        for (sign, longest) in [("%%", true), ("%", false)] {
            if let Some(cut) = operation.strip_prefix(sign) {
                let cut = pattern(cut);
                let mut starts = (0..=chars.len()).filter(|n| matches(&cut, &chars[*n..]));
                let start = if longest { starts.next() } else { starts.next_back() };
                return Some(part(&chars[..start.unwrap_or(chars.len())]));
            }
        }
        if let Some(rest) = operation.strip_prefix('/') {
            let (all, rest) = rest.strip_prefix('/').map_or((false, rest), |rest| (true, rest));
            let (from, to) = rest.split_once('/').unwrap_or((rest, ""));
            let plain = !from.is_empty() && !rest.contains(['*', '?', '[', '$']);
            return plain.then(|| if all { text.replace(from, to) } else { text.replacen(from, to, 1) });
        }
        match operation {
            ",," => Some(text.to_lowercase()),
            "^^" => Some(text.to_uppercase()),
            _ => {
                let (from, count) = operation.strip_prefix(':')?.split_once(':')?;
                let (from, count): (usize, usize) = (from.trim().parse().ok()?, count.trim().parse().ok()?);
                Some(chars.iter().skip(from).take(count).collect())
            }
        }
    }

    /// What a sum comes to, where all its variables are known.
    pub(super) fn sum(&mut self, text: &str) -> Option<Word> {
        // `${NAME:-8}` within it is a value of its own.
        let replaced = if text.contains("${") || text.contains("$(") {
            self.inside(text, true)
        } else {
            Word::plain(text)
        };
        if replaced.unknown {
            return None;
        }
        let mut assumed = replaced.assumed;
        let value = sums::sum(&replaced.text, |name| {
            let Some(Value::Text(word)) = self.state.assigned.get(name) else { return None };
            let number = word.text.trim().parse().ok().filter(|_| !word.unknown)?;
            assumed = assumed.take().or(word.assumed.clone());
            Some(number)
        })?;
        Some(Word { assumed, ..Word::plain(value.to_string()) })
    }
}
