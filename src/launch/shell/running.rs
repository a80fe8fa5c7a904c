//! Follows a script: what it sets, which branches it takes, what it writes. Nothing is run.

use std::collections::{BTreeMap, VecDeque};

use super::conditions::{self, Verdict};
use super::cursor::{ARGUMENTS, MAX_DEPTH, MAX_ROUNDS, MAX_SPENT, MAX_STEPS, Reader};
use super::frames::{Branch, Frame, Kind};
use super::lexing::{End, Simple, Target};
use super::state::{State, Value};
use super::words::{Command, Token, Word, Written, matches, set};

impl Reader {
    /// Reads all of it, then what functions that are never called and arrays that are never used hold.
    pub(super) fn all(&mut self) {
        self.run();
        let bodies: Vec<(String, usize)> = self.functions.iter().map(|(n, at)| (n.clone(), *at)).collect();
        let begun = self.script.commands.len();
        for (name, body) in bodies {
            if !self.used.contains(&name) {
                self.call(body, None, self.rest.len());
                self.run();
            }
        }
        self.script.held = self.script.commands.split_off(begun.min(self.script.commands.len()));
        let arrays = self.state.assigned.iter().filter(|(name, _)| !self.used.contains(*name));
        let held: Vec<Command> = arrays
            .filter_map(|(_, value)| match value {
                Value::List(words) if words.len() > 1 => Some(Command {
                    words: words.clone(),
                    variables: self.environment(),
                    ..Command::default()
                }),
                _ => None,
            })
            .collect();
        self.script.held.extend(held);
        self.script.files = std::mem::take(&mut self.state.files);
    }

    fn run(&mut self) {
        loop {
            self.steps += 1;
            let awaits = self
                .frames
                .last()
                .is_some_and(|f| matches!(f.kind, Kind::Case(_)) && f.branch == Branch::Before);
            if awaits {
                if self.pattern() {
                    continue;
                }
                if self.peek(0).is_none() {
                    break;
                }
            }
            let begin = self.at;
            let (simple, end) = self.command();
            let written = self.text(begin, self.at);
            match end {
                End::Keyword(word) => {
                    self.keyword(word, begin);
                    continue;
                }
                End::Function => {
                    self.define(simple.tokens.first().map_or("", |t| t.word.text.as_str()).to_owned());
                    continue;
                }
                _ => {}
            }
            let empty = simple.tokens.is_empty() && simple.here.is_none();
            if !empty {
                self.gated(begin);
                self.simple(simple, begin);
            }
            match end {
                End::And => self.gate = Some((true, written)),
                End::Or => self.gate = Some((false, written)),
                End::Branch => self.end_branch(),
                // A function that is called last is still to be read.
                End::Text if self.at >= self.rest.len() => break,
                _ => {}
            }
        }
        while !self.frames.is_empty() {
            self.finish();
        }
    }

    /// What is set now, for a branch that begins.
    fn snapshot(&mut self) -> State {
        self.spent += self.state.len();
        if self.spent > MAX_SPENT {
            // Nothing is replaced from here on.
            self.state = State::default();
        }
        self.state.clone()
    }

    fn push(&mut self, kind: Kind, asked_at: usize) {
        let before = self.snapshot();
        self.frames.push(Frame::new(kind, before, asked_at, self.script.commands.len()));
    }

    /// Begins a command behind `&&` or `||`, if it is one.
    fn gated(&mut self, begin: usize) {
        let Some((and, written)) = self.gate.take() else { return };
        let verdict = match (and, self.status.clone()) {
            (true, None) => return,
            (true, Some(verdict)) => verdict,
            (false, Some(verdict)) => verdict.not(),
            (false, None) => Verdict::default(),
        };
        self.push(Kind::Chain(self.status.clone()), begin);
        let condition = if and { written } else { format!("not: {written}") };
        self.begin(Some(verdict), condition);
    }

    fn begin(&mut self, verdict: Option<Verdict>, condition: String) {
        let commands = self.script.commands.len();
        if let Some(frame) = self.frames.last_mut() {
            frame.begin(verdict, condition, commands);
        }
    }

    /// Ends a branch: the next one begins with what was set before the first.
    fn end_branch(&mut self) {
        let Some(frame) = self.frames.last_mut() else { return };
        let state = std::mem::take(&mut self.state);
        frame.end_branch(state, &mut self.script.commands);
        self.spent += frame.before.len();
        self.state = if self.spent <= MAX_SPENT { frame.before.clone() } else { State::default() };
    }

    /// Ends what was begun last.
    fn finish(&mut self) {
        let Some(mut frame) = self.frames.pop() else { return };
        match std::mem::replace(&mut frame.kind, Kind::Group) {
            Kind::Group => {}
            Kind::Function(_) => {
                self.state = std::mem::take(&mut frame.before);
                self.script.commands.truncate(frame.start());
            }
            Kind::Call { back, arguments, hidden } => {
                self.at = back;
                self.arguments = arguments;
                for (name, value) in hidden.into_iter().rev() {
                    match value {
                        Some(value) => self.state.assigned.insert(name, value),
                        None => self.state.assigned.remove(&name),
                    };
                }
            }
            kind => {
                if let Kind::Chain(before) = kind {
                    match frame.branch {
                        Branch::Skipped | Branch::Against(_) => self.status = before,
                        Branch::Open => self.status = Some(Verdict::default()),
                        _ => {}
                    }
                }
                let begun = frame.branch != Branch::Before;
                let state = std::mem::take(&mut self.state);
                let plain = !begun && frame.is_new();
                frame.end_branch(state, &mut self.script.commands);
                self.state = if plain { frame.before } else { frame.after() };
            }
        }
        // A command behind `&&` ends with what it is.
        if self.frames.last().is_some_and(|f| matches!(f.kind, Kind::Chain(_))) {
            self.finish();
        }
    }

    fn keyword(&mut self, word: &'static str, begin: usize) {
        if matches!(word, "if" | "while" | "until" | "{") {
            self.gated(begin);
        }
        let top = self.frames.last().map(|f| &f.kind);
        match (word, top) {
            ("if", _) => {
                self.push(Kind::If, self.at);
                self.status = None;
            }
            ("while" | "until", _) => {
                self.push(Kind::While(word == "until"), self.at);
                self.status = None;
            }
            ("{", _) => self.push(Kind::Group, self.at),
            ("then", Some(Kind::If)) => {
                let from = self.frames.last().map_or(0, |f| f.asked_at);
                let verdict = self.status.take().unwrap_or_default();
                let condition = self.text(from, begin);
                self.begin(Some(verdict), condition);
            }
            ("elif", Some(Kind::If)) => {
                self.end_branch();
                let at = self.at;
                if let Some(frame) = self.frames.last_mut() {
                    frame.asked_at = at;
                }
                self.status = None;
            }
            ("else", Some(Kind::If)) => {
                self.end_branch();
                let condition = self.frames.last().map_or(String::new(), |f| format!("not: {}", f.condition));
                self.begin(None, condition);
            }
            ("do", Some(Kind::While(until))) => {
                let until = *until;
                let from = self.frames.last().map_or(0, |f| f.asked_at);
                let verdict = self.status.take().unwrap_or_default();
                let condition = self.text(from, begin);
                self.begin(Some(if until { verdict.not() } else { verdict }), condition);
            }
            ("do", Some(Kind::For { .. })) => self.first_round(begin),
            ("done", Some(Kind::For { .. })) => {
                let goes_on = self.next_round();
                if !goes_on {
                    self.finish();
                }
            }
            ("fi", Some(Kind::If)) | ("esac", Some(Kind::Case(_))) | ("done", Some(Kind::While(_))) => {
                self.finish();
                self.status = None;
            }
            ("}", Some(Kind::Function(name))) => {
                let (name, body) = (name.clone(), self.frames.last().map_or(0, |f| f.asked_at));
                self.functions.insert(name, body);
                self.finish();
            }
            ("}", Some(Kind::Group | Kind::Call { .. })) => {
                self.finish();
                self.status = None;
            }
            _ => {}
        }
    }

    /// The first round of a `for` loop, or the only one where its values are not known.
    fn first_round(&mut self, begin: usize) {
        let (at, commands) = (self.at, self.script.commands.len());
        let Some(frame) = self.frames.last_mut() else { return };
        let from = frame.asked_at;
        let Kind::For { name, values, body, round } = &mut frame.kind else { return };
        (*body, *round) = (at, commands);
        let unknown = values.iter().any(|v| v.unknown || v.only_if.is_some());
        let first = values.pop_front();
        let (verdict, value) = match first {
            _ if unknown => {
                values.clear();
                (Verdict::default(), Word::open(format!("${name}")))
            }
            Some(value) => (Verdict::of(true), value),
            None => (Verdict::of(false), Word::default()),
        };
        self.state.assigned.insert(name.clone(), Value::Text(value));
        let condition = self.text(from, begin);
        self.begin(Some(verdict), condition);
    }

    /// The next round of a `for` loop, if there is one. A command that differs in nothing from one of an earlier round
    /// is the same server, started again.
    fn next_round(&mut self) -> bool {
        let (steps, commands) = (self.steps, &mut self.script.commands);
        let Some(frame) = self.frames.last_mut() else { return false };
        let start = frame.start();
        let Kind::For { name, values, body, round } = &mut frame.kind else { return false };
        let (body, from) = (*body, (*round).min(commands.len()));
        let mut own = commands.split_off(from);
        let before = &commands[start.min(from)..];
        own.retain(|c| !before.iter().any(|b| b.words == c.words && b.variables == c.variables));
        commands.extend(own);
        let Some(value) = values.pop_front().filter(|_| steps <= MAX_STEPS) else { return false };
        *round = commands.len();
        self.state.assigned.insert(name.clone(), Value::Text(value));
        self.at = body;
        true
    }

    /// Begins the body of a function, which is read when it is called.
    fn define(&mut self, name: String) {
        while self.peek(0).is_some_and(char::is_whitespace) {
            self.at += 1;
        }
        if self.peek(0) == Some('{') {
            self.at += 1;
            let at = self.at;
            self.push(Kind::Function(name), at);
        }
    }

    fn call(&mut self, body: usize, arguments: Option<Vec<Word>>, back: usize) {
        let arguments = std::mem::replace(&mut self.arguments, arguments);
        let at = self.at;
        let kind = Kind::Call { back, arguments, hidden: Vec::new() };
        self.frames.push(Frame::new(kind, State::default(), at, self.script.commands.len()));
        self.at = body;
    }

    /// The patterns of a branch of `case`; false where the text is none.
    fn pattern(&mut self) -> bool {
        loop {
            match self.peek(0) {
                Some(c) if c.is_whitespace() || c == ';' => self.at += 1,
                Some('#') => self.skip_line(),
                _ => break,
            }
        }
        let begin = self.at;
        let rest = &self.rest[self.at..];
        let word: String = rest.iter().take(5).collect();
        if word.trim_end_matches([';', ')', '\n', ' ']) == "esac" {
            return false;
        }
        let Some(end) = rest.iter().take(4096).position(|c| *c == ')') else {
            self.frames.pop();
            return true;
        };
        let written: String = rest[..end].iter().collect();
        self.at += end + 1;
        let subject = match self.frames.last().map(|f| &f.kind) {
            Some(Kind::Case(subject)) => subject.clone(),
            _ => return true,
        };
        let any = written.trim() == "*";
        let fits = written.trim_start_matches('(').split('|').any(|pattern| {
            let bare = pattern.trim().replace(['"', '\''], "");
            let chars = |text: &str| text.chars().collect::<Vec<char>>();
            matches(&chars(&bare), &chars(&subject.text))
        });
        let known = !subject.unknown && !written.contains('$');
        let verdict = Verdict { holds: known.then_some(fits), assumed: subject.assumed.clone() };
        let condition = format!("case {} in {}", subject.text, self.text(begin, self.at));
        self.begin((!any).then_some(verdict), condition);
        true
    }

    /// What later commands are given.
    fn environment(&self) -> BTreeMap<String, Word> {
        let held =
            |name: &String| Some((name.clone(), self.state.assigned.get(name)?.word(&format!("${name}"))));
        self.state.exported.iter().filter_map(held).collect()
    }

    /// Files a command and what it assigns.
    fn simple(&mut self, simple: Simple, begin: usize) {
        let Simple { tokens, here, target } = simple;
        let is = |at: usize, word: &str| tokens.get(at).is_some_and(|t| t.bare && t.word.text == word);
        if (is(0, "for") || is(0, "select")) && is(2, "in") {
            let values: VecDeque<Word> =
                tokens[3..].iter().flat_map(|t| counted(&t.word)).take(MAX_ROUNDS).collect();
            let name = tokens[1].word.text.clone();
            self.push(Kind::For { name, values, body: self.at, round: 0 }, begin);
            return;
        }
        if is(0, "case") && is(2, "in") {
            self.push(Kind::Case(tokens[1].word.clone()), begin);
            return;
        }
        if is(0, "function") && tokens.len() == 2 {
            self.define(tokens[1].word.text.clone());
            return;
        }
        if is(0, "exit") || is(0, "return") {
            for frame in self.frames.iter_mut().rev() {
                frame.leaves = true;
                if !matches!(frame.kind, Kind::Group) {
                    break;
                }
            }
        }
        self.status = conditions::verdict(&tokens);
        let left_out = std::mem::take(&mut self.left_out);
        if is(0, "getopts") {
            self.status = Some(Verdict { holds: Some(false), assumed: Some(ARGUMENTS.to_owned()) });
        }
        let cost: usize = self.state.exported.iter().map(|name| name.len() + 16).sum();
        self.spent += cost;
        let mut variables = if self.spent <= MAX_SPENT { self.environment() } else { BTreeMap::new() };
        let sets = |t: &&Token| t.array.is_some() || t.assigns && set(&t.word.text).is_some();
        let count = tokens.iter().take_while(sets).count();
        let (given, words) = tokens.split_at(count);
        let first = words.first().map_or("", |t| t.word.text.as_str());
        let exports = matches!(first, "export" | "declare" | "set" | "typeset" | "local" | "readonly");
        let (own, shown) = (matches!(first, "local"), matches!(first, "export" | "set"));
        let shown = shown || words.iter().any(|t| t.word.text == "-x") && exports;
        for token in if exports { &words[1..] } else { given } {
            let Some((name, value, adds)) = set(&token.word.text) else {
                let named = &token.word.text;
                if shown && self.state.assigned.contains_key(named) {
                    self.state.exported.insert(named.clone());
                }
                continue;
            };
            let value = Word { text: value.to_owned(), ..token.word.clone() };
            if !exports && !words.is_empty() {
                variables.insert(name.to_owned(), value);
                continue;
            }
            if own {
                self.hide(name);
            }
            if !adds {
                self.state.left_out.remove(name);
            }
            if !left_out.is_empty() {
                self.state.left_out.entry(name.to_owned()).or_default().extend(left_out.iter().cloned());
            }
            self.assign(name, value, token.array.clone(), adds);
            if shown {
                self.state.exported.insert(name.to_owned());
            }
        }
        if is(0, "unset") {
            for token in &words[1..] {
                self.state.assigned.remove(&token.word.text);
            }
        }
        if is(0, "shift")
            && let Some(arguments) = &mut self.arguments
        {
            let n = words.get(1).and_then(|t| t.word.text.parse().ok()).unwrap_or(1usize);
            arguments.drain(..n.min(arguments.len()));
        }
        let words: Vec<Word> = words.iter().map(|t| t.word.clone()).collect();
        let input = self.write(&words, here, target);
        let body = words.first().and_then(|w| self.functions.get(&w.text)).copied();
        if let Some(body) = body {
            let calls = self.frames.iter().filter(|f| matches!(f.kind, Kind::Call { .. })).count();
            self.used.insert(words[0].text.clone());
            if calls < MAX_DEPTH && self.steps <= MAX_STEPS {
                let back = self.at;
                self.call(body, Some(words[1..].to_vec()), back);
                return;
            }
        }
        if !words.is_empty() && !exports {
            self.script.commands.push(Command { variables, words, input, left_out, ..Command::default() });
        }
        if self.frames.last().is_some_and(|f| matches!(f.kind, Kind::Chain(_))) {
            self.finish();
        }
    }

    /// A function's own variable, which hides one around it until the function ends.
    fn hide(&mut self, name: &str) {
        let before = self.state.assigned.get(name).cloned();
        let call = self.frames.iter_mut().rev().find_map(|f| match &mut f.kind {
            Kind::Call { hidden, .. } => Some(hidden),
            _ => None,
        });
        if let Some(hidden) = call.filter(|hidden| !hidden.iter().any(|(n, _)| n == name)) {
            hidden.push((name.to_owned(), before));
        }
    }

    fn assign(&mut self, name: &str, value: Word, array: Option<Vec<Word>>, adds: bool) {
        let held = self.state.assigned.get_mut(name).filter(|_| adds);
        match (held, array) {
            (Some(Value::List(words)), Some(more)) => words.extend(more),
            (Some(text), Some(more)) => {
                let mut words = text.split(&format!("${name}"));
                words.extend(more);
                *text = Value::List(words);
            }
            (None, Some(mut words)) => {
                if adds {
                    words.insert(0, Word::open(format!("${{{name}[@]}}")));
                }
                self.state.assigned.insert(name.to_owned(), Value::List(words));
            }
            (Some(held), None) => held.append(&value),
            (None, None) => {
                let value = match adds {
                    true => Word { text: format!("${name}{}", value.text), unknown: true, ..value },
                    false => value,
                };
                self.state.assigned.insert(name.to_owned(), Value::Text(value));
            }
        }
    }

    /// What a command writes to a file; gives back what it reads from a here-document.
    fn write(&mut self, words: &[Word], here: Option<Written>, target: Option<Target>) -> Option<String> {
        let first = words.first().map_or("", |w| w.text.as_str());
        let path = target.as_ref().map(|t| t.path.clone()).or_else(|| {
            words.iter().skip(1).find(|w| first == "tee" && !w.text.starts_with('-')).map(|w| w.text.clone())
        });
        let adds = target.is_some_and(|t| t.adds) || first == "tee" && words.iter().any(|w| w.text == "-a");
        let text = match (first, here) {
            ("echo", None) => {
                let shown = words[1..].iter().filter(|w| !matches!(w.text.as_str(), "-e" | "-n"));
                Some(Written::plain(shown.map(|w| w.text.as_str()).collect::<Vec<_>>().join(" ") + "\n"))
            }
            ("cat" | "tee" | "", Some(text)) => Some(text),
            (_, Some(text)) => return Some(text.text),
            (_, None) => None,
        };
        match (path, text) {
            (Some(path), Some(text)) => match self.state.files.get_mut(&path).filter(|_| adds) {
                Some(file) => file.append(&text),
                None => {
                    self.state.files.insert(path, Written { changed: adds, ..text });
                }
            },
            // Another program writes it, or changes what stands in it.
            (Some(path), None) => {
                if let Some(file) = self.state.files.get_mut(&path) {
                    file.changed = true;
                }
            }
            (None, _) if words.iter().any(|w| w.text.starts_with("-i")) => {
                for word in words {
                    if let Some(file) = self.state.files.get_mut(&word.text) {
                        file.changed = true;
                    }
                }
            }
            _ => {}
        }
        None
    }
}

/// The values of `{0..3}`; other words as they are.
fn counted(word: &Word) -> Vec<Word> {
    let range =
        word.text.strip_prefix('{').and_then(|w| w.strip_suffix('}')).and_then(|w| w.split_once(".."));
    match range.map(|(first, last)| (first.parse::<i64>(), last.parse::<i64>())) {
        Some((Ok(first), Ok(last))) => {
            (first..=last).take(MAX_ROUNDS).map(|n| Word::plain(n.to_string())).collect()
        }
        _ => vec![word.clone()],
    }
}
