//! Conditions of shells, as far as the text settles them: `[ … ]`, `[[ … ]]`, `test`, `(( … ))`.

use super::words::{Token, Word, matches};

/// What a condition comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Whether it holds; `None` where the text does not settle it.
    pub holds: Option<bool>,
    /// A variable that nothing sets and whose default in the text it rests on.
    pub assumed: Option<String>,
}

impl Verdict {
    /// One that is settled.
    pub(super) fn of(holds: bool) -> Verdict {
        Verdict { holds: Some(holds), assumed: None }
    }

    /// Its opposite.
    pub(super) fn not(self) -> Verdict {
        Verdict { holds: self.holds.map(|holds| !holds), ..self }
    }

    /// Both, or one of two.
    fn joined(self, other: Verdict, both: bool) -> Verdict {
        // One that does not hold decides of both, one that holds decides of either.
        let decisive = Some(!both);
        if self.holds == decisive && self.assumed.is_none() {
            return self;
        }
        if other.holds == decisive && (other.assumed.is_none() || self.holds != decisive) {
            return other;
        }
        let holds = match (self.holds, other.holds) {
            (Some(a), Some(b)) => Some(if both { a && b } else { a || b }),
            (Some(a), None) | (None, Some(a)) if a != both => Some(a),
            _ => None,
        };
        Verdict { holds, assumed: self.assumed.or(other.assumed) }
    }
}

/// What a command says as a condition: its words with what was not quoted; `None` of a command that is none.
pub(super) fn verdict(words: &[Token]) -> Option<Verdict> {
    let first = words.first().filter(|token| token.bare)?;
    let last = words.last().map_or("", |token| token.word.text.as_str());
    match first.word.text.as_str() {
        "true" | ":" => Some(Verdict::of(true)),
        "false" => Some(Verdict::of(false)),
        "!" if words.get(1).is_some_and(|next| next.word.text != "!") => {
            verdict(&words[1..]).map(Verdict::not)
        }
        "test" => Some(Test { words: &words[1..], at: 0, depth: 0 }.all()),
        "[" if last == "]" => Some(Test { words: &words[1..words.len() - 1], at: 0, depth: 0 }.all()),
        "[[" if last == "]]" => Some(Test { words: &words[1..words.len() - 1], at: 0, depth: 0 }.all()),
        _ => None,
    }
}

/// How deep conditions may be nested.
const MAX_BRACKETS: usize = 16;

struct Test<'a> {
    words: &'a [Token],
    at: usize,
    depth: usize,
}

impl Test<'_> {
    fn all(&mut self) -> Verdict {
        let value = self.either();
        if self.at == self.words.len() { value } else { Verdict::default() }
    }

    /// The next word where it is an operator of these.
    fn take(&mut self, operators: &[&str]) -> bool {
        let found =
            self.words.get(self.at).is_some_and(|t| t.bare && operators.contains(&t.word.text.as_str()));
        self.at += usize::from(found);
        found
    }

    fn either(&mut self) -> Verdict {
        let mut value = self.both();
        while self.take(&["||", "-o"]) {
            let next = self.both();
            value = value.joined(next, false);
        }
        value
    }

    fn both(&mut self) -> Verdict {
        let mut value = self.one();
        while self.take(&["&&", "-a"]) {
            let next = self.one();
            value = value.joined(next, true);
        }
        value
    }

    fn one(&mut self) -> Verdict {
        let mut turned = false;
        while self.take(&["!"]) {
            turned = !turned;
        }
        if turned {
            return self.one().not();
        }
        if self.take(&["("]) {
            self.depth += 1;
            let value = if self.depth > MAX_BRACKETS { Verdict::default() } else { self.either() };
            self.depth -= 1;
            self.take(&[")"]);
            return value;
        }
        let Some(Token { word: left, bare, .. }) = self.words.get(self.at) else { return Verdict::of(false) };
        self.at += 1;
        // `-n x` and `-z x`; `-n` alone is a word that is not empty.
        if *bare && matches!(left.text.as_str(), "-n" | "-z") {
            let Some(Token { word, .. }) = self.words.get(self.at) else {
                return Verdict::of(left.text == "-z");
            };
            self.at += 1;
            let empty = word.text.is_empty();
            return known(&[word], |_| Some((left.text == "-z") == empty));
        }
        let file = |text: &str| {
            text.len() == 2 && text.starts_with('-') && "abcdefghkprstuvwxGLNOS".contains(&text[1..])
        };
        if *bare && file(&left.text) && self.words.len() > self.at {
            self.at += 1;
            return Verdict::default();
        }
        let operator = self.words.get(self.at).filter(|t| t.bare).map_or("", |t| t.word.text.as_str());
        let compares = matches!(
            operator,
            "=" | "==" | "!=" | "=~" | "-eq" | "-ne" | "-lt" | "-le" | "-gt" | "-ge" | "<" | ">"
        );
        if !compares {
            let filled = !left.text.is_empty();
            return known(&[left], |_| Some(filled));
        }
        self.at += 1;
        let Some(Token { word: right, bare, .. }) = self.words.get(self.at) else {
            return Verdict::default();
        };
        self.at += 1;
        let number = |word: &Word| word.text.trim().parse::<i64>().ok();
        let same = || match *bare {
            true => {
                let chars = |text: &str| text.chars().collect::<Vec<char>>();
                matches(&chars(&right.text), &chars(&left.text))
            }
            false => left.text == right.text,
        };
        known(&[left, right], |_| match operator {
            "=" | "==" => Some(same()),
            "!=" => Some(!same()),
            "=~" | "<" | ">" => None,
            _ => {
                let order = number(left)?.cmp(&number(right)?);
                Some(match operator {
                    "-eq" => order.is_eq(),
                    "-ne" => order.is_ne(),
                    "-lt" => order.is_lt(),
                    "-le" => order.is_le(),
                    "-gt" => order.is_gt(),
                    _ => order.is_ge(),
                })
            }
        })
    }
}

/// A verdict over words, where all of them are known.
fn known(words: &[&Word], holds: impl Fn(()) -> Option<bool>) -> Verdict {
    if words.iter().any(|word| word.unknown || word.only_if.is_some()) {
        return Verdict::default();
    }
    let assumed = words.iter().find_map(|word| word.assumed.clone());
    Verdict { holds: holds(()), assumed }
}
