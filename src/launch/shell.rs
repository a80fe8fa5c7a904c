//! Shell text as words: quotes, continuations, assignments, here-documents. Nothing is run.
//!
//! Only what launch scripts of public recipes need is understood (POSIX `sh`, arrays of `bash`, continuations of
//! PowerShell). A word whose value the text does not hold, since it stands in a variable that is set elsewhere or in
//! a command substitution, is marked as such and never guessed.

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
}

impl Word {
    /// A word that is known.
    pub fn plain(text: impl Into<String>) -> Word {
        Word { text: text.into(), ..Word::default() }
    }
}

/// A simple command: its words, and what was assigned before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// Environment that the command is given: what `export` set before, then assignments in front of it.
    pub variables: BTreeMap<String, Word>,
    /// Its words.
    pub words: Vec<Word>,
}

/// What a script says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// Its commands, in order.
    pub commands: Vec<Command>,
    /// Files that here-documents write, by path.
    pub files: BTreeMap<String, String>,
}

/// Reads a script.
pub fn read(text: &str) -> Script {
    read_in(text, &BTreeMap::new())
}

/// Reads a script that runs in an environment, as that of a container.
pub fn read_in(text: &str, environment: &BTreeMap<String, Word>) -> Script {
    let text = text.trim_start_matches('\u{feff}');
    let powershell = text.lines().any(|l| l.trim_end().ends_with(" `"));
    let assigned = environment.clone();
    let mut reader = Reader { rest: text.chars().collect(), powershell, assigned, ..Reader::default() };
    reader.run();
    reader.script
}

/// A word of a manifest, whose variables are replaced as Kubernetes (`$(NAME)`), Compose and shells do: those that the
/// environment sets, and `${NAME:-2}`, where it does not, by what the text has for that case.
pub fn expanded(word: &Word, environment: &BTreeMap<String, Word>) -> Word {
    if !word.unknown || !word.text.contains('$') {
        return word.clone();
    }
    let assigned = environment.clone();
    let mut reader =
        Reader { rest: word.text.chars().collect(), assigned, manifest: true, ..Reader::default() };
    let mut out = Word { assumed: word.assumed.clone(), ..Word::default() };
    while let Some(c) = reader.peek(0) {
        if c == '$' {
            reader.expansion(&mut out);
        } else {
            out.text.push(c);
            reader.at += 1;
        }
    }
    out.unknown |= out.text.contains("{{");
    out
}

#[derive(Default)]
struct Reader {
    rest: Vec<char>,
    at: usize,
    /// Whether a backslash is a plain character, as in paths of Windows.
    powershell: bool,
    /// Whether `$(NAME)` is a variable, as in Kubernetes, and no command.
    manifest: bool,
    /// What the script has assigned so far; only exported names reach later commands.
    assigned: BTreeMap<String, Word>,
    exported: BTreeMap<String, Word>,
    /// Bytes that variables were replaced by, and that environments of commands took.
    spent: usize,
    script: Script,
}

/// The most that replaced variables and environments may come to, in bytes: variables that hold each other twice grow
/// without bound. What is beyond stays as it is written, and unknown.
const MAX_SPENT: usize = 1 << 22;

/// A here-document, and the file that it is written to.
struct Here {
    text: String,
    target: Option<String>,
}

/// What ends a word list.
#[derive(PartialEq, Eq)]
enum End {
    Command,
    Text,
}

impl Reader {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.rest.get(self.at + ahead).copied()
    }

    fn run(&mut self) {
        loop {
            let (command, here, end) = self.command();
            self.keep(command, here);
            if end == End::Text {
                return;
            }
        }
    }

    /// Files a command and what it assigns.
    fn keep(&mut self, words: Vec<Word>, here: Option<Here>) {
        self.spent += self.exported.iter().map(|(name, word)| name.len() + word.text.len()).sum::<usize>();
        let mut variables = if self.spent <= MAX_SPENT { self.exported.clone() } else { BTreeMap::new() };
        let assignments = words.iter().take_while(|w| assignment(&w.text).is_some()).count();
        let (set, words) = words.split_at(assignments);
        let exports = words.first().is_some_and(|w| matches!(w.text.as_str(), "export" | "declare" | "set"));
        let stated = if exports { &words[1..] } else { set };
        for word in stated {
            if let Some((name, value)) = assignment(&word.text) {
                let value = Word { text: value.to_owned(), ..word.clone() };
                if exports {
                    self.exported.insert(name.to_owned(), value.clone());
                }
                if exports || words.is_empty() {
                    self.assigned.insert(name.to_owned(), value);
                } else {
                    variables.insert(name.to_owned(), value);
                }
            } else if exports && let Some(value) = self.assigned.get(&word.text) {
                self.exported.insert(word.text.clone(), value.clone());
            }
        }
        if let Some(Here { text: contents, target }) = here {
            let target = target.or_else(|| {
                let tee = words.first().is_some_and(|w| w.text == "tee");
                words.iter().skip(1).find(|w| tee && !w.text.starts_with('-')).map(|w| w.text.clone())
            });
            if let Some(target) = target {
                self.script.files.insert(target, contents);
            }
        }
        if !words.is_empty() && !exports {
            self.script.commands.push(Command { variables, words: words.to_vec() });
        }
    }

    /// The next command: its words, and a here-document with the file that it is written to.
    fn command(&mut self) -> (Vec<Word>, Option<Here>, End) {
        let mut words: Vec<Word> = Vec::new();
        let mut marker: Option<(String, bool)> = None;
        let mut target = None;
        let mut array = false;
        loop {
            let Some(c) = self.peek(0) else {
                return (words, None, End::Text);
            };
            match c {
                '\n' if array => self.at += 1,
                '\n' => {
                    self.at += 1;
                    let here = marker.take().map(|(name, tabs)| Here {
                        text: self.here_document(&name, tabs),
                        target: target.take(),
                    });
                    return (words, here, End::Command);
                }
                ' ' | '\t' | '\r' => self.at += 1,
                '\\' if self.continues(1) => self.skip_line(),
                '`' if self.continues(1) => self.skip_line(),
                '#' => {
                    while self.peek(0).is_some_and(|c| c != '\n') {
                        self.at += 1;
                    }
                }
                ';' | '|' => {
                    self.at += 1;
                    if marker.is_none() {
                        return (words, None, End::Command);
                    }
                }
                '&' if self.peek(1) == Some('>') => self.at += 1,
                '&' => {
                    self.at += 1;
                    if marker.is_none() {
                        return (words, None, End::Command);
                    }
                }
                '<' if self.peek(1) == Some('<') && self.peek(2) != Some('<') => {
                    self.at += 2;
                    let tabs = self.peek(0) == Some('-');
                    self.at += usize::from(tabs);
                    self.blanks();
                    marker = Some((self.word().text, tabs));
                }
                '<' | '>' => {
                    let write = c == '>';
                    while self.peek(0).is_some_and(|c| matches!(c, '<' | '>' | '&')) {
                        self.at += 1;
                    }
                    self.blanks();
                    let file = self.word().text;
                    if write && !file.is_empty() {
                        target.get_or_insert(file);
                    }
                }
                '(' => {
                    self.at += 1;
                    // `NAME=( … )` is an array: its words are a command that is run later.
                    if words.last().is_some_and(|w| w.text.ends_with('=') && assignment(&w.text).is_some()) {
                        words.pop();
                    }
                    array = true;
                }
                ')' => {
                    self.at += 1;
                    return (words, None, End::Command);
                }
                '{' | '}' if self.peek(1).is_none_or(char::is_whitespace) => self.at += 1,
                _ => {
                    let before = self.at;
                    let word = self.word();
                    if self.at == before {
                        // A character that begins nothing: passed over, so that reading always ends.
                        self.at += 1;
                        continue;
                    }
                    // The number of a redirected stream, `2>&1`, is no word.
                    let digits = !word.text.is_empty() && word.text.bytes().all(|b| b.is_ascii_digit());
                    if !(digits && matches!(self.peek(0), Some('<' | '>'))) {
                        words.push(word);
                    }
                }
            }
        }
    }

    /// Whether blanks and the end of the line follow.
    fn continues(&self, mut ahead: usize) -> bool {
        while matches!(self.peek(ahead), Some(' ' | '\t' | '\r')) {
            ahead += 1;
        }
        matches!(self.peek(ahead), Some('\n') | None)
    }

    fn skip_line(&mut self) {
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

    /// The lines up to the one that is the marker.
    fn here_document(&mut self, marker: &str, tabs: bool) -> String {
        let mut out = String::new();
        while self.at < self.rest.len() {
            let end =
                self.rest[self.at..].iter().position(|c| *c == '\n').map_or(self.rest.len(), |n| self.at + n);
            let line: String = self.rest[self.at..end].iter().collect();
            self.at = (end + 1).min(self.rest.len());
            let line = if tabs { line.trim_start_matches('\t') } else { &line };
            if line.trim() == marker {
                break;
            }
            out.push_str(line.trim_end_matches('\r'));
            out.push('\n');
        }
        out
    }

    /// One word, up to a blank or an operator outside quotes.
    fn word(&mut self) -> Word {
        let mut out = Word::default();
        while let Some(c) = self.peek(0) {
            match c {
                ' ' | '\t' | '\n' | '\r' | ';' | '|' | '&' | '<' | '>' | '(' | ')' => break,
                '\'' => {
                    self.at += 1;
                    while let Some(c) = self.peek(0) {
                        self.at += 1;
                        if c == '\'' {
                            break;
                        }
                        out.text.push(c);
                    }
                }
                '"' => self.quoted(&mut out),
                '\\' if self.continues(1) => break,
                '\\' => {
                    self.at += 1;
                    // `.\llama-server.exe` of Windows keeps its backslashes before letters of a path.
                    match self.peek(0) {
                        Some(c) if c.is_ascii_alphanumeric() => {
                            out.text.push('\\');
                            out.text.push(c);
                        }
                        Some(c) => out.text.push(c),
                        None => {}
                    }
                    self.at += 1;
                }
                '$' => self.expansion(&mut out),
                '`' if self.continues(1) => break,
                '`' => {
                    self.at += 1;
                    out.text.push('`');
                    out.unknown = true;
                    while let Some(c) = self.peek(0) {
                        self.at += 1;
                        out.text.push(c);
                        if c == '`' {
                            break;
                        }
                    }
                }
                _ => {
                    out.text.push(c);
                    self.at += 1;
                }
            }
        }
        out
    }

    fn quoted(&mut self, out: &mut Word) {
        self.at += 1;
        while let Some(c) = self.peek(0) {
            match c {
                '"' => {
                    self.at += 1;
                    return;
                }
                '\\' if self.powershell => {
                    out.text.push('\\');
                    self.at += 1;
                }
                '\\' => match self.peek(1) {
                    Some('\n') => self.at += 2,
                    Some(c @ ('"' | '\\' | '$' | '`')) => {
                        out.text.push(c);
                        self.at += 2;
                    }
                    _ => {
                        out.text.push('\\');
                        self.at += 1;
                    }
                },
                '$' => self.expansion(out),
                _ => {
                    out.text.push(c);
                    self.at += 1;
                }
            }
        }
    }

    /// `$NAME`, `${NAME}`, `${NAME:-…}`, `$(( … ))`, `$( … )`: replaced where the text says what they are.
    fn expansion(&mut self, out: &mut Word) {
        let start = self.at;
        self.at += 1;
        let value = match self.peek(0) {
            Some(open @ ('{' | '(')) => {
                let inner = self.enclosed(open);
                let sum = inner.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
                match (open, sum) {
                    ('(', Some(sum)) => self.sum(sum),
                    ('(', None) if !(self.manifest && is_name(&inner)) => None,
                    _ => self.parameter(&inner),
                }
            }
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                let begin = self.at;
                while self.peek(0).is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
                    self.at += 1;
                }
                let name: String = self.rest[begin..self.at].iter().collect();
                self.parameter(&name)
            }
            _ => None,
        };
        self.spent += value.as_ref().map_or(0, |value| value.text.len());
        match value.filter(|_| self.spent <= MAX_SPENT) {
            Some(value) => {
                out.text.push_str(&value.text);
                out.unknown |= value.unknown;
                out.assumed = out.assumed.take().or(value.assumed);
            }
            None => {
                out.text.extend(&self.rest[start..self.at]);
                out.unknown = true;
            }
        }
    }

    /// What stands between an opening character and the one that closes it, which is passed.
    fn enclosed(&mut self, open: char) -> String {
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
        self.rest[begin.min(self.at)..self.at.saturating_sub(1).max(begin)].iter().collect()
    }

    /// The value of a parameter; `NAME:=default` and `NAME=default` set it where nothing else does.
    fn parameter(&mut self, inner: &str) -> Option<Word> {
        let word = self.value(inner)?;
        if let Some(name) = word.assumed.clone().filter(|name| {
            inner
                .strip_prefix(name.as_str())
                .is_some_and(|rest| rest.trim_start_matches(':').starts_with('='))
        }) {
            self.assigned.insert(name, word.clone());
        }
        Some(word)
    }

    /// The value of `NAME`, or of `NAME:-default`, `NAME-default`, `NAME:=default` and `NAME=default` where nothing sets it.
    fn value(&self, inner: &str) -> Option<Word> {
        let (name, default) = match inner.split_once(['-', '=']) {
            Some((name, default)) => (name.strip_suffix(':').unwrap_or(name), Some(default)),
            None => (inner, None),
        };
        if !is_name(name) {
            return None;
        }
        if let Some(set) = self.assigned.get(name).filter(|set| default.is_none() || !set.text.is_empty()) {
            return Some(set.clone());
        }
        let default = default.filter(|text| !text.contains(['$', '`']))?.trim_matches(['"', '\'']);
        Some(Word { assumed: Some(name.to_owned()), ..Word::plain(default) })
    }

    /// What whole numbers come to: `32*1024`, `TP * PP`, in the order of C.
    fn sum(&self, text: &str) -> Option<Word> {
        let mut tokens: Vec<String> = Vec::new();
        for c in text.chars().filter(|c| *c != '$' && *c != '{' && *c != '}') {
            let joins = c.is_ascii_alphanumeric() || c == '_';
            match tokens.last_mut() {
                Some(last) if joins && last.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_') => {
                    last.push(c)
                }
                _ => tokens.push(c.to_string()),
            }
        }
        tokens.retain(|token| !token.trim().is_empty());
        let mut figures = Vec::new();
        let mut assumed = None;
        for token in tokens {
            figures.push(match token.parse::<i64>() {
                Ok(number) => Figure::Number(number),
                Err(_) if is_name(&token) => {
                    let value = self.value(&token).filter(|w| !w.unknown)?;
                    let number = value.text.trim().parse().ok()?;
                    assumed = assumed.or(value.assumed);
                    Figure::Number(number)
                }
                Err(_) => Figure::Sign(token.chars().next()?),
            });
        }
        let mut at = 0;
        let value = terms(&figures, &mut at, 0)?;
        (at == figures.len()).then(|| Word { assumed, ..Word::plain(value.to_string()) })
    }
}

/// A part of a sum.
#[derive(Clone, Copy)]
enum Figure {
    Number(i64),
    Sign(char),
}

/// How deep sums may be nested.
const MAX_BRACKETS: usize = 16;

/// Terms that are added; `None` where it is no sum of whole numbers, or too large.
fn terms(figures: &[Figure], at: &mut usize, depth: usize) -> Option<i64> {
    let mut value = factors(figures, at, depth)?;
    while let Some(Figure::Sign(sign @ ('+' | '-'))) = figures.get(*at) {
        *at += 1;
        let next = factors(figures, at, depth)?;
        value = if *sign == '+' { value.checked_add(next)? } else { value.checked_sub(next)? };
    }
    Some(value)
}

fn factors(figures: &[Figure], at: &mut usize, depth: usize) -> Option<i64> {
    let mut value = factor(figures, at, depth)?;
    while let Some(Figure::Sign(sign @ ('*' | '/' | '%'))) = figures.get(*at) {
        *at += 1;
        let next = factor(figures, at, depth)?;
        value = match sign {
            '*' => value.checked_mul(next)?,
            '/' => value.checked_div(next)?,
            _ => value.checked_rem(next)?,
        };
    }
    Some(value)
}

fn factor(figures: &[Figure], at: &mut usize, depth: usize) -> Option<i64> {
    let figure = figures.get(*at)?;
    *at += 1;
    match figure {
        Figure::Number(number) => Some(*number),
        Figure::Sign('(') if depth < MAX_BRACKETS => {
            let value = terms(figures, at, depth + 1)?;
            *at += 1;
            matches!(figures.get(*at - 1), Some(Figure::Sign(')'))).then_some(value)
        }
        Figure::Sign(_) => None,
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// `NAME=value`, split.
pub fn assignment(text: &str) -> Option<(&str, &str)> {
    text.split_once('=').filter(|(name, _)| is_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(text: &str) -> Vec<Vec<String>> {
        let words = |c: &Command| c.words.iter().map(|w| w.text.clone()).collect();
        read(text).commands.iter().map(words).collect()
    }

    #[test]
    fn continuations_quotes_and_redirections_are_those_of_the_shell() {
        let text = "vllm serve \"my model\" \\\n  --config '{\"a\": 1}' \\\n  -tp 2 > log.txt 2>&1 &\necho done # said";
        assert_eq!(
            commands(text),
            [vec!["vllm", "serve", "my model", "--config", "{\"a\": 1}", "-tp", "2"], vec!["echo", "done"]]
        );
    }

    #[test]
    fn a_variable_that_the_script_sets_is_read_and_another_is_unknown() {
        let script = read("TP=8\nexport MODEL=org/name\nX=1 vllm serve $MODEL -tp ${TP} --port \"$PORT\"");
        let command = &script.commands[0];
        let said: Vec<_> = command.words.iter().map(|w| (w.text.as_str(), w.unknown)).collect();
        assert_eq!(
            said,
            [
                ("vllm", false),
                ("serve", false),
                ("org/name", false),
                ("-tp", false),
                ("8", false),
                ("--port", false),
                ("$PORT", true)
            ]
        );
        assert_eq!(command.variables["X"].text, "1");
        assert_eq!(command.variables["MODEL"].text, "org/name");
        assert!(!command.variables.contains_key("TP"), "not exported");
    }

    #[test]
    fn a_default_inside_a_variable_is_its_value_where_nothing_sets_it_and_is_said() {
        let word = |text: &str| read(text).commands[0].words[1].clone();
        assert_eq!(
            word("serve ${TP:-8}"),
            Word { text: "8".into(), unknown: false, assumed: Some("TP".into()) }
        );
        assert_eq!(word("TP=4; serve ${TP:-8}"), Word::plain("4"));
        assert_eq!(word("TP=${TP:-8}\nserve $((TP / 2))").assumed.as_deref(), Some("TP"));
    }

    #[test]
    fn here_documents_are_files() {
        let script = read(
            "cat > /tmp/x.yml <<EOF\nenable_attention_dp: true\nEOF\ntrtllm-serve m --config /tmp/x.yml",
        );
        assert_eq!(script.files["/tmp/x.yml"], "enable_attention_dp: true\n");
        assert_eq!(script.commands.last().unwrap().words[0].text, "trtllm-serve");
    }

    #[test]
    fn an_array_is_the_command_that_it_holds() {
        assert_eq!(
            commands("CMD=(\n  vllm serve m\n  -tp 2\n)\n\"${CMD[@]}\" &")[0],
            ["vllm", "serve", "m", "-tp", "2"]
        );
    }

    #[test]
    fn powershell_continues_lines_with_backticks() {
        assert_eq!(
            commands("llama-server.exe --parallel 4 `\n   --model \"${base}\\file.gguf\""),
            [["llama-server.exe", "--parallel", "4", "--model", "${base}\\file.gguf"]]
        );
    }

    #[test]
    fn any_text_ends() {
        for text in ["$(", "${", "'", "\"", "<<", "<<<", "`", "\\", "a=(", ")(", "$", "&>", "2>", "<<EOF\nx"]
        {
            read(text);
        }
    }
}
