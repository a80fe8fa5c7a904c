//! Shell text as simple commands: words, quotes, arrays, redirections, here-documents.

use super::cursor::{MAX_ROUNDS, Reader};
use super::expansion::join;
use super::state::Value;
use super::words::{Token, Word, Written, is_name, set};

/// Words that begin or end a part of a script where they stand first.
const KEYWORDS: [&str; 12] =
    ["if", "then", "elif", "else", "fi", "while", "until", "do", "done", "esac", "{", "}"];

/// A here-document, and whether its variables stay as they are written.
struct Marker {
    name: String,
    tabs: bool,
    literal: bool,
}

/// Where a command writes.
pub(super) struct Target {
    pub path: String,
    pub adds: bool,
}

/// A simple command as it is written.
#[derive(Default)]
pub(super) struct Simple {
    pub tokens: Vec<Token>,
    pub here: Option<Written>,
    pub target: Option<Target>,
}

/// What ends a word list.
#[derive(PartialEq, Eq)]
pub(super) enum End {
    Command,
    And,
    Or,
    /// `;;`.
    Branch,
    Keyword(&'static str),
    /// `name ()`.
    Function,
    Text,
}

impl Reader {
    /// The next command as it is written.
    pub(super) fn command(&mut self) -> (Simple, End) {
        let mut out = Simple::default();
        let mut marker: Option<Marker> = None;
        loop {
            let Some(c) = self.peek(0) else { return (out, End::Text) };
            let tests = out
                .tokens
                .iter()
                .take(2)
                .find(|t| t.word.text != "!")
                .is_some_and(|t| t.bare && t.word.text == "[[")
                && out.tokens.last().is_some_and(|t| t.word.text != "]]");
            if tests && matches!(c, '&' | '|' | '(' | ')' | '<' | '>') {
                let doubled = matches!(c, '&' | '|') && self.peek(1) == Some(c);
                let text = c.to_string().repeat(1 + usize::from(doubled));
                self.at += text.len();
                out.tokens.push(Token::bare(text));
                continue;
            }
            match c {
                '\n' if tests || marker.is_none() && !out.tokens.is_empty() && self.flag_follows() => {
                    self.at += 1
                }
                '\n' => {
                    self.at += 1;
                    out.here = marker.take().map(|marker| self.here_document(&marker));
                    return (out, End::Command);
                }
                ' ' | '\t' | '\r' => self.at += 1,
                '\\' | '`' if self.continues(1) => self.skip_line(),
                '#' => {
                    while self.peek(0).is_some_and(|c| c != '\n') {
                        self.at += 1;
                    }
                }
                ';' if self.peek(1) == Some(';') => {
                    self.at += 2;
                    return (out, End::Branch);
                }
                '&' | '|' if self.peek(1) == Some(c) => {
                    self.at += 2;
                    if marker.is_none() {
                        // The line goes on behind it.
                        while self.peek(0).is_some_and(char::is_whitespace) {
                            self.at += 1;
                        }
                        return (out, if c == '&' { End::And } else { End::Or });
                    }
                }
                '&' if self.peek(1) == Some('>') => self.at += 1,
                ';' | '|' | '&' => {
                    self.at += 1;
                    if marker.is_none() {
                        return (out, End::Command);
                    }
                }
                '<' if self.peek(1) == Some('<') && self.peek(2) != Some('<') => {
                    self.at += 2;
                    let tabs = self.peek(0) == Some('-');
                    self.at += usize::from(tabs);
                    self.blanks();
                    let literal = matches!(self.peek(0), Some('\'' | '"' | '\\'));
                    self.at += usize::from(self.peek(0) == Some('\\'));
                    marker = Some(Marker { name: self.single(), tabs, literal });
                }
                '<' | '>' if self.placeholder().is_none() => {
                    let write = c == '>';
                    let begin = self.at;
                    while self.peek(0).is_some_and(|c| matches!(c, '<' | '>' | '&')) {
                        self.at += 1;
                    }
                    let adds = self.at - begin == 2 && self.peek(0) != Some('&');
                    self.blanks();
                    let path = self.single();
                    if write && !path.is_empty() && out.target.is_none() {
                        out.target = Some(Target { path, adds });
                    }
                }
                '(' => self.bracket(&mut out),
                ')' => {
                    self.at += 1;
                    return (out, End::Command);
                }
                _ => {
                    let before = self.at;
                    let assigns = out.tokens.iter().all(|t| t.assigns)
                        || out.tokens.first().is_some_and(|t| {
                            t.bare
                                && matches!(
                                    t.word.text.as_str(),
                                    "export" | "declare" | "local" | "readonly" | "set" | "typeset"
                                )
                        });
                    let words = self.word(assigns, !tests);
                    if self.at == before {
                        // A character that begins nothing: passed over, so that reading always ends.
                        self.at += 1;
                        continue;
                    }
                    if let ([only], true) = (words.as_slice(), out.tokens.is_empty())
                        && let Some(keyword) =
                            KEYWORDS.into_iter().find(|k| only.bare && only.word.text == *k)
                    {
                        return (out, End::Keyword(keyword));
                    }
                    // The number of a redirected stream, `2>&1`, is no word.
                    let digits = |t: &Token| {
                        !t.word.text.is_empty() && t.word.text.bytes().all(|b| b.is_ascii_digit())
                    };
                    let stream =
                        words.len() == 1 && digits(&words[0]) && matches!(self.peek(0), Some('<' | '>'));
                    if !stream {
                        out.tokens.extend(words);
                    }
                    let case = |at: usize, word: &str| {
                        out.tokens.get(at).is_some_and(|t| t.bare && t.word.text == word)
                    };
                    if out.tokens.len() == 3 && case(0, "case") && case(2, "in") {
                        return (out, End::Command);
                    }
                }
            }
            if self.defines(&out) {
                return (out, End::Function);
            }
        }
    }

    /// Whether `name ()` was read.
    fn defines(&mut self, simple: &Simple) -> bool {
        let named = simple.tokens.len() == 1 && simple.tokens[0].bare && !simple.tokens[0].assigns;
        let mut ahead = 0;
        while matches!(self.peek(ahead), Some(' ' | '\t')) {
            ahead += 1;
        }
        if !named || self.peek(ahead) != Some('(') {
            return false;
        }
        ahead += 1;
        while matches!(self.peek(ahead), Some(' ' | '\t')) {
            ahead += 1;
        }
        let found = self.peek(ahead) == Some(')');
        if found {
            self.at += ahead + 1;
        }
        found
    }

    /// What begins with a bracket: an array, a sum, commands of their own.
    fn bracket(&mut self, out: &mut Simple) {
        let array =
            out.tokens.last().is_some_and(|t| t.word.text.ends_with('=') && set(&t.word.text).is_some());
        if array {
            self.at += 1;
            let words = self.array();
            if let Some(last) = out.tokens.last_mut() {
                last.array = Some(words);
            }
            return;
        }
        let looped = out.tokens.len() == 1 && out.tokens[0].bare && out.tokens[0].word.text == "for";
        if self.peek(1) != Some('(') || !(out.tokens.is_empty() || looped) {
            self.at += 1;
            return;
        }
        let inner = self.enclosed('(');
        let inner = inner.trim_matches(['(', ')']).trim().to_owned();
        if looped {
            let (name, values) = self.counter(&inner);
            out.tokens.extend([Token::bare(name), Token::bare("in".to_owned())]);
            out.tokens.extend(values.into_iter().map(Token::of));
            return;
        }
        self.step(&inner);
        let value = self.sum(&inner).unwrap_or_else(|| Word::open(format!("(({inner}))")));
        let bare = |text: &str| Token::bare(text.to_owned());
        out.tokens.extend([bare("["), Token::of(value), bare("-ne"), bare("0"), bare("]")]);
    }

    /// `((NAME++))`, `((NAME += 8))`: what it leaves in the variable.
    fn step(&mut self, inner: &str) {
        let end = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inner.len());
        let (name, rest) = inner.split_at(end);
        let rest = rest.trim();
        let to = match rest {
            "++" => format!("{name}+1"),
            "--" => format!("{name}-1"),
            _ => match rest.split_once('=') {
                Some((sign @ ("+" | "-" | "*" | "/"), by)) => format!("{name}{sign}({by})"),
                Some(("", value)) if !value.starts_with('=') => value.to_owned(),
                _ => return,
            },
        };
        if is_name(name) {
            let value = self.sum(&to).unwrap_or_else(|| Word::open(format!("$(({to}))")));
            self.state.assigned.insert(name.to_owned(), Value::Text(value));
        }
    }

    /// The variable and the values of `for ((i=0; i<8; i++))`.
    fn counter(&mut self, inner: &str) -> (String, Vec<Word>) {
        let parts: Vec<&str> = inner.split(';').map(str::trim).collect();
        let name = parts[0].split('=').next().unwrap_or_default().trim().to_owned();
        let number = |reader: &mut Reader, text: &str| {
            reader.sum(text).filter(|w| !w.unknown).and_then(|w| w.text.parse::<i64>().ok())
        };
        let open = vec![Word::open(format!("${name}"))];
        let (Some((_, first)), Some(last)) = (parts[0].split_once('='), parts.get(1)) else {
            return (name, open);
        };
        let one = parts.get(2).is_some_and(|step| step.contains("++"));
        let (bound, more) = match (last.split_once("<="), last.split_once('<')) {
            (Some((_, bound)), _) => (bound, 1),
            (_, Some((_, bound))) => (bound, 0),
            _ => return (name, open),
        };
        match (number(self, first), number(self, bound)) {
            (Some(first), Some(bound)) if one => {
                let end = bound.saturating_add(more);
                (name, (first..end).take(MAX_ROUNDS).map(|n| Word::plain(n.to_string())).collect())
            }
            _ => (name, open),
        }
    }

    /// The words of an array, up to the bracket that closes it.
    fn array(&mut self) -> Vec<Word> {
        let mut out = Vec::new();
        while let Some(c) = self.peek(0) {
            match c {
                ')' => {
                    self.at += 1;
                    break;
                }
                '#' | '\\' if c == '#' || self.continues(1) => self.skip_line(),
                c if c.is_whitespace() => self.at += 1,
                _ => {
                    let before = self.at;
                    out.extend(self.word(false, true).into_iter().map(|t| t.word));
                    self.at += usize::from(self.at == before);
                }
            }
        }
        out
    }

    /// Whether the next line begins with a flag, which no command does: it goes on with the one before, as in texts whose
    /// lines a manifest folds.
    fn flag_follows(&self) -> bool {
        let mut ahead = 1;
        while matches!(self.peek(ahead), Some(' ' | '\t')) {
            ahead += 1;
        }
        let dashes = (ahead..ahead + 2).take_while(|n| self.peek(*n) == Some('-')).count();
        dashes > 0 && self.peek(ahead + dashes).is_some_and(|c| c.is_ascii_alphabetic())
    }

    /// Whether blanks and the end of the line follow.
    fn continues(&self, mut ahead: usize) -> bool {
        while matches!(self.peek(ahead), Some(' ' | '\t' | '\r')) {
            ahead += 1;
        }
        matches!(self.peek(ahead), Some('\n') | None)
    }

    pub(super) fn skip_line(&mut self) {
        while let Some(c) = self.peek(0) {
            self.at += 1;
            if c == '\n' {
                return;
            }
        }
    }

    fn blanks(&mut self) {
        while matches!(self.peek(0), Some(' ' | '\t')) {
            self.at += 1;
        }
    }

    /// The text of one word, blanks within variables kept.
    fn single(&mut self) -> String {
        self.word(false, false).into_iter().next().map_or(String::new(), |t| t.word.text)
    }

    /// The lines up to the one that is the marker.
    fn here_document(&mut self, marker: &Marker) -> Written {
        let mut text = String::new();
        while self.at < self.rest.len() {
            let end =
                self.rest[self.at..].iter().position(|c| *c == '\n').map_or(self.rest.len(), |n| self.at + n);
            let line: String = self.rest[self.at..end].iter().collect();
            self.at = (end + 1).min(self.rest.len());
            let line = if marker.tabs { line.trim_start_matches('\t') } else { &line };
            if line.trim() == marker.name {
                break;
            }
            text.push_str(line.trim_end_matches('\r'));
            text.push('\n');
        }
        if marker.literal || !text.contains('$') {
            return Written::plain(text);
        }
        let mut out = Written::default();
        for line in text.split_inclusive('\n') {
            let word = self.inside(line, true);
            if word.assumed.is_some() {
                out.assumed.push((
                    line.trim().to_owned(),
                    Word { text: word.text.trim().to_owned(), ..word.clone() },
                ));
            }
            out.text.push_str(&word.text);
        }
        out
    }

    /// A place for a value that the reader is to fill in, `<your model>`: its length, where one stands here.
    fn placeholder(&self) -> Option<usize> {
        if self.peek(0) != Some('<') {
            return None;
        }
        let rest = &self.rest[self.at + 1..];
        let end = rest.iter().take(64).position(|c| *c == '>')?;
        let inner = &rest[..end];
        let named = inner.first().is_some_and(|c| c.is_alphanumeric() || *c == '.');
        let plain = !inner
            .iter()
            .any(|c| matches!(c, '<' | '$' | ';' | '|' | '&' | '"' | '\'' | '\n' | '(' | ')' | '='));
        let closed = inner.last().is_some_and(|c| !c.is_whitespace());
        (named && plain && closed).then_some(end + 2)
    }

    /// `{{ … }}` of a template: its length, where one stands here.
    fn template(&self) -> Option<usize> {
        let rest = &self.rest[self.at..];
        let end = rest.windows(2).take(256).position(|pair| pair == ['}', '}'])?;
        (rest.starts_with(&['{', '{']) && !rest[..end].contains(&'\n')).then_some(end + 2)
    }

    /// One word as it is written, up to a blank or an operator outside quotes; as many as its variables hold, where it
    /// `splits`.
    fn word(&mut self, assigns: bool, splits: bool) -> Vec<Token> {
        let mut done: Vec<Token> = Vec::new();
        let mut out = Token { bare: true, ..Token::default() };
        let mut begun = false;
        while let Some(c) = self.peek(0) {
            match c {
                '<' if self.placeholder().is_some() => {
                    let length = self.placeholder().unwrap_or(1);
                    out.word.text.extend(&self.rest[self.at..self.at + length]);
                    out.word.unknown = true;
                    (out.bare, begun) = (false, true);
                    self.at += length;
                }
                ' ' | '\t' | '\n' | '\r' | ';' | '|' | '&' | '<' | '>' | '(' | ')' => break,
                '\'' => {
                    (out.bare, begun) = (false, true);
                    self.at += 1;
                    while let Some(c) = self.peek(0) {
                        self.at += 1;
                        if c == '\'' {
                            break;
                        }
                        out.word.text.push(c);
                    }
                }
                '"' => {
                    out.bare = false;
                    begun = self.quoted(&mut out, &mut done) || begun;
                }
                '\\' if self.continues(1) => break,
                '\\' => {
                    begun = true;
                    self.at += 1;
                    // `.\llama-server.exe` of Windows keeps its backslashes before letters of a path.
                    match self.peek(0) {
                        Some(c) if c.is_ascii_alphanumeric() => {
                            out.word.text.push('\\');
                            out.word.text.push(c);
                        }
                        Some(c) => out.word.text.push(c),
                        None => {}
                    }
                    self.at += 1;
                }
                '{' if self.template().is_some() => {
                    let length = self.template().unwrap_or(1);
                    out.word.text.extend(&self.rest[self.at..self.at + length]);
                    out.word.unknown = true;
                    (out.bare, begun) = (false, true);
                    self.at += length;
                }
                '$' => {
                    let sets = assigns && set(&out.word.text).is_some();
                    out.assigns = out.assigns || sets;
                    out.bare = false;
                    let held = self.expansion();
                    match splits && !sets {
                        true => begun = spread(&held.split, &mut out, &mut done) || begun,
                        false => {
                            out.word.text.push_str(&held.one.text);
                            join(&mut out.word, &held.one);
                            begun = true;
                        }
                    }
                }
                '`' if self.continues(1) => break,
                '`' => {
                    begun = true;
                    self.at += 1;
                    out.word.text.push('`');
                    out.word.unknown = true;
                    out.bare = false;
                    while let Some(c) = self.peek(0) {
                        self.at += 1;
                        out.word.text.push(c);
                        if c == '`' {
                            break;
                        }
                    }
                }
                _ => {
                    begun = true;
                    out.word.text.push(c);
                    self.at += 1;
                    if c == '=' && assigns && set(&out.word.text).is_some() {
                        out.assigns = true;
                    }
                }
            }
        }
        if begun {
            out.word.unknown |= is_left_open(&out.word.text, out.bare);
            done.push(out);
        }
        done
    }

    /// What stands in double quotes; false where it is an array of nothing.
    fn quoted(&mut self, out: &mut Token, done: &mut Vec<Token>) -> bool {
        self.at += 1;
        let begin = self.at;
        let mut any = false;
        while let Some(c) = self.peek(0) {
            match c {
                '"' => {
                    self.at += 1;
                    return any || self.at == begin + 1;
                }
                '\\' if self.powershell => {
                    out.word.text.push('\\');
                    self.at += 1;
                    any = true;
                }
                '\\' => {
                    any = true;
                    match self.peek(1) {
                        Some('\n') => self.at += 2,
                        Some(c @ ('"' | '\\' | '$' | '`')) => {
                            out.word.text.push(c);
                            self.at += 2;
                        }
                        _ => {
                            out.word.text.push('\\');
                            self.at += 1;
                        }
                    }
                }
                '$' => {
                    let around = std::mem::replace(&mut self.in_quotes, true);
                    let held = self.expansion();
                    self.in_quotes = around;
                    match held.array {
                        true => any = spread(&held.split, out, done) || any,
                        false => {
                            out.word.text.push_str(&held.one.text);
                            join(&mut out.word, &held.one);
                            any = true;
                        }
                    }
                }
                _ => {
                    out.word.text.push(c);
                    self.at += 1;
                    any = true;
                }
            }
        }
        true
    }
}

/// Puts words at the end of one that is being read; false where there are none.
fn spread(words: &[Word], out: &mut Token, done: &mut Vec<Token>) -> bool {
    for (i, word) in words.iter().enumerate() {
        if i > 0 {
            done.push(std::mem::take(out));
        }
        out.word.text.push_str(&word.text);
        join(&mut out.word, word);
    }
    !words.is_empty()
}

/// Whether a word stands for what its reader is to fill in: `<model>` in quotes, `{model}`, dots.
fn is_left_open(text: &str, bare: bool) -> bool {
    let named = |inner: &str| {
        !inner.is_empty()
            && inner.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ' ' | '.'))
    };
    let angled = text.strip_prefix('<').and_then(|t| t.strip_suffix('>')).is_some_and(named);
    let braced = || text.trim_start_matches('{').trim_end_matches('}');
    // JSON has no double brace that opens, and no angles outside its texts.
    let template = text.contains("{{") && text.contains("}}");
    let places =
        || text.split('<').skip(1).any(|part| part.split_once('>').is_some_and(|(inner, _)| named(inner)));
    angled
        || template
        || text.starts_with('{') && places()
        || bare
            && (matches!(text, "..." | "…" | "[...]")
                || text.starts_with('{') && text.ends_with('}') && is_name(braced().trim()))
}
