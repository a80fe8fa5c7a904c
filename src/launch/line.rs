//! A command line to be written: flags in the spelling of one version, variables, and the file beside it.

use serde_json::{Map, Value};

use super::dialect::{self, Dialect, Takes};
use crate::diagnostic::{Code, Diagnostic};
use crate::load;

/// One argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// The flag, as this version spells it.
    pub flag: String,
    /// What follows it: nothing after a switch, several after a list.
    pub values: Vec<String>,
}

impl Argument {
    /// The first thing that follows it.
    pub fn value(&self) -> Option<&str> {
        self.values.first().map(String::as_str)
    }

    /// The flag and what follows it.
    pub fn words(&self) -> impl Iterator<Item = String> + use<> {
        std::iter::once(self.flag.clone()).chain(self.values.clone())
    }
}

/// A server's command line.
#[derive(Clone, Debug)]
pub struct Line {
    /// The program, with the model where it stands bare.
    pub program: Vec<String>,
    /// Its flags, in the order in which a reader wants them.
    pub arguments: Vec<Argument>,
    /// Environment that it needs.
    pub variables: Vec<(String, String)>,
    /// Options that stand in a YAML file beside it: its name and keys (TensorRT-LLM).
    pub options: Option<(String, Map<String, Value>)>,
    /// What has to be there beside the command: a checkpoint in another format, a router.
    pub needs: Vec<String>,
    dialect: &'static Dialect,
    version: String,
}

impl Line {
    /// Begins a command of an engine with flags.
    pub fn new(engine: &str, version: Option<&str>, program: Vec<String>) -> Line {
        let dialect = dialect::dialect(engine).expect("written for engines with flags");
        let version = dialect.version_for(version).to_owned();
        Line {
            program,
            arguments: Vec::new(),
            variables: Vec::new(),
            options: None,
            needs: Vec::new(),
            dialect,
            version,
        }
    }

    /// The described version whose flags are used.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Whether the version takes a flag.
    pub fn takes(&self, flag: &str) -> bool {
        self.dialect.flag(&self.version, flag).is_some_and(|f| !f.removed)
    }

    /// Adds a flag with a value, spelled as asked.
    ///
    /// # Errors
    /// [`Code::Usage`] where the version has no such flag or does not take the value: the plan cannot be said.
    pub fn set(&mut self, flag: &str, value: impl ToString) -> Result<(), Diagnostic> {
        self.list(flag, vec![value.to_string()])
    }

    /// Adds a flag with several values.
    ///
    /// # Errors
    /// As [`Line::set`].
    pub fn list(&mut self, flag: &str, values: Vec<String>) -> Result<(), Diagnostic> {
        let form = self.form(flag)?;
        let strange = values.iter().find(|value| !form.choices.is_empty() && !form.choices.contains(value));
        if let Some(value) = strange {
            return Err(Diagnostic::new(
                Code::Usage,
                format!("{} {} does not take {value} for {flag}", self.dialect.engine, self.version),
            )
            .at("--emit")
            .help(format!("it takes {}", form.choices.join(", "))));
        }
        debug_assert!(!matches!(form.takes, Takes::Switch | Takes::Toggle), "{flag} takes no value");
        debug_assert!(values.len() == 1 || form.takes == Takes::List, "{flag} takes one value");
        self.arguments.push(Argument { flag: flag.to_owned(), values });
        Ok(())
    }

    /// That the version has a flag.
    ///
    /// # Errors
    /// [`Code::Usage`] where it has not, with the versions that do.
    pub fn has(&self, flag: &str) -> Result<(), Diagnostic> {
        self.form(flag).map(|_| ())
    }

    /// The only values that the version takes for a flag; none where it is no choice.
    pub fn choices(&self, flag: &str) -> &'static [String] {
        self.dialect.flag(&self.version, flag).map_or(&[], |form| form.choices.as_slice())
    }

    /// That the engine has no word for a part of the plan.
    pub fn lacks(&self, what: &str) -> Diagnostic {
        let cause =
            format!("{} {} has no {what}, which the plan rests on", self.dialect.engine, self.version);
        Diagnostic::new(Code::Usage, cause).at("--emit")
    }

    /// Adds a switch.
    ///
    /// # Errors
    /// [`Code::Usage`] where the version has no such flag.
    pub fn switch(&mut self, flag: &str) -> Result<(), Diagnostic> {
        self.form(flag)?;
        self.arguments.push(Argument { flag: flag.to_owned(), values: Vec::new() });
        Ok(())
    }

    /// Adds what a model needs beside the plan; what this version does not take is named as missing.
    pub fn require(&mut self, flags: &[Vec<String>]) {
        for words in flags {
            let Some((flag, values)) = words.split_first() else { continue };
            if self.arguments.iter().any(|argument| argument.flag == *flag) {
                continue;
            }
            let added = match values.first() {
                Some(value) => self.set(flag, value),
                None => self.switch(flag),
            };
            if added.is_err() {
                let (engine, version) = (&self.dialect.engine, &self.version);
                self.needs.push(format!("{}, which {engine} {version} does not take", words.join(" ")));
            }
        }
    }

    fn form(&self, flag: &str) -> Result<&'static dialect::Flag, Diagnostic> {
        let form = self.dialect.flag(&self.version, flag).filter(|f| !f.removed);
        form.ok_or_else(|| {
            let spans: Vec<String> = self
                .dialect
                .flags
                .iter()
                .filter(|f| !f.removed && f.is(flag))
                .map(|f| format!("{} to {}", f.from, f.until))
                .collect();
            let help = match spans.is_empty() {
                true => format!("no described version of {} has it", self.dialect.engine),
                false => format!("versions that have it: {}", spans.join(", ")),
            };
            Diagnostic::new(
                Code::Usage,
                format!("{} {} has no {flag}, which the plan needs", self.dialect.engine, self.version),
            )
            .at("--emit")
            .help(help)
        })
    }

    /// Program and flags as words.
    pub fn words(&self) -> Vec<String> {
        let mut out = self.program.clone();
        out.extend(self.flags());
        out
    }

    /// The flags as words.
    pub fn flags(&self) -> Vec<String> {
        self.arguments.iter().flat_map(Argument::words).collect()
    }

    /// As shell text, one flag a line.
    pub fn shell(&self) -> String {
        let mut out = String::new();
        for (name, value) in &self.variables {
            out += &format!("{name}={} \\\n", quoted(value));
        }
        out += &self.program.iter().map(|w| quoted(w)).collect::<Vec<_>>().join(" ");
        for argument in &self.arguments {
            out += &format!(" \\\n  {}", argument.flag);
            for value in &argument.values {
                out += &format!(" {}", quoted(value));
            }
        }
        out.push('\n');
        out
    }
}

/// A word in which a shell puts in the variables that it names, and works out `$((…))`.
pub fn open(word: &str) -> String {
    match word.contains('$') {
        true => format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\"")),
        false => quoted(word),
    }
}

/// A file of options as a POSIX shell writes it, its name and its keys.
///
/// # Errors
/// When it cannot be written as YAML.
pub fn here_document(name: &str, keys: &Map<String, Value>) -> Result<String, Diagnostic> {
    let body = load::to_yaml(&Value::Object(keys.clone()))?;
    Ok(format!("cat > {} <<'EOF'\n{}\nEOF\n", quoted(name), body.trim_end()))
}

/// A word as a POSIX shell takes it whole: `$NAME` stays as it is written ([`open`] puts variables in).
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}
