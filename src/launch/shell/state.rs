//! What a script has set so far, and what becomes of it where branches meet.

use std::collections::{BTreeMap, BTreeSet};

use super::words::{Word, Written, either, split};

/// What a variable holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A text.
    Text(Word),
    /// An array.
    List(Vec<Word>),
    /// One of several texts, by a condition that is not settled.
    Either(Vec<Word>, String),
}

/// Values that are told apart; more are only said not to be known.
const MAX_VALUES: usize = 8;

impl Value {
    /// The texts that it may be.
    fn texts(&self) -> Option<Vec<Word>> {
        match self {
            Value::Text(word) => Some(vec![word.clone()]),
            Value::Either(words, _) => Some(words.clone()),
            Value::List(_) => None,
        }
    }

    /// As one word, under the name by which it is written.
    pub(super) fn word(&self, written: &str) -> Word {
        match self {
            Value::Text(word) => word.clone(),
            Value::List(words) => words.first().cloned().unwrap_or_default(),
            Value::Either(words, condition) => {
                Word { why: Some(why(words, condition)), ..Word::open(written) }
            }
        }
    }

    /// As the words that a shell splits it into where it is not quoted.
    pub(super) fn split(&self, written: &str) -> Vec<Word> {
        match self {
            Value::Text(word) => split(word),
            Value::List(words) => words.first().map(split).unwrap_or_default(),
            Value::Either(values, condition) => {
                let parts: Vec<Vec<Word>> = values.iter().map(split).collect();
                let plain = |words: &Vec<Word>| words.len() == 1 && !words[0].text.starts_with('-');
                if parts.iter().all(plain) {
                    return vec![self.word(written)];
                }
                let mut parts = parts.into_iter();
                let first = parts.next().unwrap_or_default();
                parts.fold(first, |one, other| either(&one, &other, condition))
            }
        }
    }

    /// All words of an array, or those of a text.
    fn words(&self) -> Vec<Word> {
        match self {
            Value::List(words) => words.clone(),
            other => other.split(""),
        }
    }

    /// Adds to its end, as `NAME+=value` does.
    pub(super) fn append(&mut self, more: &Word) {
        let add = |word: &mut Word| {
            word.text.push_str(&more.text);
            word.unknown |= more.unknown;
            word.assumed = word.assumed.take().or(more.assumed.clone());
            word.why = word.why.take().or(more.why.clone());
        };
        match self {
            Value::Text(word) => add(word),
            Value::List(words) => match words.first_mut() {
                Some(first) => add(first),
                None => words.push(more.clone()),
            },
            Value::Either(words, _) => words.iter_mut().for_each(add),
        }
    }

    /// What it takes, in bytes.
    pub(super) fn len(&self) -> usize {
        let words = match self {
            Value::Text(word) => std::slice::from_ref(word),
            Value::List(words) | Value::Either(words, _) => words,
        };
        words.iter().map(|word| word.text.len() + 1).sum()
    }

    /// Says on which default it rests.
    fn assume(&mut self, name: &str) {
        let words = match self {
            Value::Text(word) => std::slice::from_mut(word),
            Value::List(words) | Value::Either(words, _) => words.as_mut_slice(),
        };
        for word in words {
            word.assumed.get_or_insert_with(|| name.to_owned());
        }
    }
}

/// Why a value that branches decide is not known.
fn why(words: &[Word], condition: &str) -> String {
    let shown: Vec<&str> =
        words.iter().map(|w| if w.text.is_empty() { "nothing" } else { w.text.as_str() }).collect();
    format!("it is {}, by what this text does not settle: {condition}", shown.join(" or "))
}

/// What is set at a place of a script.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    /// Variables.
    pub assigned: BTreeMap<String, Value>,
    /// Names of those that later commands are given.
    pub exported: BTreeSet<String>,
    /// Flags that a default leaves out of a variable, each with the variable whose default it is.
    pub left_out: BTreeMap<String, Vec<(String, String)>>,
    /// Files.
    pub files: BTreeMap<String, Written>,
}

impl State {
    /// What it takes, in bytes.
    pub(super) fn len(&self) -> usize {
        let variables = self.assigned.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        variables + self.files.values().map(|file| file.text.len() * (1 + file.others.len())).sum::<usize>()
    }

    /// What holds after either of two branches, of which a condition that is not settled decides.
    pub(super) fn joined(self, mut other: State, condition: &str) -> State {
        let mut out = State { exported: &self.exported | &other.exported, ..State::default() };
        out.left_out = self.left_out;
        out.left_out.append(&mut other.left_out);
        let unset = |name: &str| Value::Text(Word::open(format!("${name}")));
        for (name, value) in self.assigned {
            let others = other.assigned.remove(&name).unwrap_or_else(|| unset(&name));
            let value = meet(value, others, condition);
            out.assigned.insert(name, value);
        }
        for (name, value) in other.assigned {
            let value = meet(unset(&name), value, condition);
            out.assigned.insert(name, value);
        }
        for (path, mut file) in self.files {
            let others = other.files.remove(&path).unwrap_or_default();
            join(&mut file, others);
            out.files.insert(path, file);
        }
        for (path, others) in other.files {
            let mut file = Written::default();
            join(&mut file, others);
            out.files.insert(path, file);
        }
        out
    }

    /// What holds after a branch that is taken by a variable's default, beside one that is not.
    pub(super) fn assumed(mut self, other: &State, name: &str) -> State {
        for (variable, value) in &mut self.assigned {
            if other.assigned.get(variable) != Some(value) {
                let there = value.words();
                let others = other.assigned.get(variable).map_or(Vec::new(), Value::words);
                let flags = others
                    .iter()
                    .filter(|w| w.text.starts_with('-') && !there.iter().any(|t| t.text == w.text));
                let flags: Vec<(String, String)> = flags.map(|w| (w.text.clone(), name.to_owned())).collect();
                if !flags.is_empty() {
                    self.left_out.entry(variable.clone()).or_default().extend(flags);
                }
                value.assume(name);
            }
        }
        for variable in other.assigned.keys() {
            if !self.assigned.contains_key(variable) {
                self.assigned.insert(variable.clone(), Value::Text(Word::open(format!("${variable}"))));
            }
        }
        let read = |text: &str| Word { assumed: Some(name.to_owned()), ..Word::plain(text) };
        for (path, file) in &mut self.files {
            if other.files.get(path) != Some(file) {
                file.assumed.push((path.clone(), read("written")));
            }
        }
        for path in
            other.files.keys().filter(|path| !self.files.contains_key(*path)).cloned().collect::<Vec<_>>()
        {
            let file = Written { assumed: vec![(path.clone(), read("not written"))], ..Written::default() };
            self.files.insert(path, file);
        }
        self
    }
}

fn join(file: &mut Written, others: Written) {
    file.changed |= others.changed;
    for text in std::iter::once(others.text).chain(others.others) {
        if text != file.text && !file.others.contains(&text) {
            file.others.push(text);
        }
    }
    for assumed in others.assumed {
        if !file.assumed.contains(&assumed) {
            file.assumed.push(assumed);
        }
    }
    if file.others.len() > MAX_VALUES {
        file.changed = true;
        file.others.truncate(MAX_VALUES);
    }
}

fn meet(one: Value, other: Value, condition: &str) -> Value {
    if one == other {
        return one;
    }
    let list = |value: &Value| match value {
        Value::List(words) => words.clone(),
        Value::Text(word) if word.unknown => {
            vec![Word::open(format!("${{{}[@]}}", word.text.trim_matches(['$', '{', '}'])))]
        }
        other => other.split(""),
    };
    let (Some(mut words), Some(more)) = (one.texts(), other.texts()) else {
        return Value::List(either(&list(&one), &list(&other), condition));
    };
    let first = match (&one, &other) {
        (Value::Either(_, first), _) | (_, Value::Either(_, first)) => first.clone(),
        _ => condition.to_owned(),
    };
    for word in more {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    match words.len() > MAX_VALUES {
        true => {
            Value::Text(Word { why: Some(why(&words[..MAX_VALUES], &first)), ..Word::open("$(one of many)") })
        }
        false => Value::Either(words, first),
    }
}
