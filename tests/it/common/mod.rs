//! Running the binary and looking at what it says.

pub mod gguf_file;
pub mod odd;
#[cfg(feature = "fetch")]
pub mod openai;
pub mod schema;
#[cfg(feature = "fetch")]
pub mod server;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The question of the README.
pub const README: &str = "plan llama-3.1-70b --cluster 8xh100-sxm --isl 2048 --osl 512 --ttft 1s --tpot 50ms";

/// How a run ended and what it said.
#[derive(Clone, Debug)]
pub struct Run {
    /// The command line without the program.
    pub line: String,
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// The binary in the repository's root, unaffected by the caller's terminal.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shardfit"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES", "RAYON_NUM_THREADS"] {
        command.env_remove(name);
    }
    on_a_bare_machine(&mut command);
    command
}

/// Keeps out of a run what the tester's machine has: a catalogue, a cache of the hub, a network.
pub fn on_a_bare_machine(command: &mut Command) {
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HF_")) {
        command.env_remove(name);
    }
    command.env("HF_HOME", NOWHERE).env("HF_HUB_OFFLINE", "1");
    command
        .env_remove("SHARDFIT_CATALOG")
        .env_remove("SHARDFIT_KERNELS")
        .env("XDG_CONFIG_HOME", NOWHERE)
        .env("APPDATA", NOWHERE);
}

/// A folder that does not exist.
const NOWHERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/no-such-folder");

/// Runs a command line; single or double quotes hold words together.
pub fn shardfit(line: &str) -> Run {
    shardfit_with(line, &[])
}

/// The same with variables set.
pub fn shardfit_with(line: &str, variables: &[(&str, &str)]) -> Run {
    let output =
        command().args(words(line)).envs(variables.iter().copied()).output().expect("the binary runs");
    run(line, &output)
}

fn run(line: &str, output: &Output) -> Run {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("output is UTF-8");
    Run {
        line: line.to_owned(),
        code: output.status.code().expect("not killed by a signal"),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    }
}

/// Splits a command line at blanks outside quotes.
pub fn words(line: &str) -> Vec<String> {
    let (mut all, mut word, mut quote, mut open) = (Vec::new(), String::new(), None, false);
    for c in line.chars() {
        match (quote, c) {
            (None, '\'' | '"') => (quote, open) = (Some(c), true),
            (Some(q), _) if q == c => quote = None,
            (None, ' ') if word.is_empty() && !open => {}
            (None, ' ') => {
                all.push(std::mem::take(&mut word));
                open = false;
            }
            _ => word.push(c),
        }
    }
    if open || !word.is_empty() {
        all.push(word);
    }
    all
}

impl Run {
    /// Checks the exit status; the whole conversation is shown when it differs.
    #[track_caller]
    pub fn exits(self, code: i32) -> Run {
        assert_eq!(self.code, code, "shardfit {}\n{}{}", self.line, self.stdout, self.stderr);
        self
    }

    /// Checks that stdout holds each of the texts.
    #[track_caller]
    pub fn says(self, texts: &[&str]) -> Run {
        for text in texts {
            assert!(
                self.stdout.contains(text),
                "`{text}` is missing\nshardfit {}\n{}",
                self.line,
                self.stdout
            );
        }
        self
    }

    /// Stdout as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|e| panic!("{e}\nshardfit {}\n{}", self.line, self.stdout))
    }

    /// Stdout as CSV: header, then rows.
    #[track_caller]
    pub fn csv(&self) -> (Vec<String>, Vec<Vec<String>>) {
        parse_csv(&self.stdout)
    }
}

/// Text as a cell of CSV has it: quoted where a spreadsheet would run it.
pub fn spreadsheet_text(text: &str) -> String {
    match text.starts_with(['=', '+', '-', '@', '\t']) {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
}

/// CSV text as header and rows, every row as long as the header.
#[track_caller]
pub fn parse_csv(text: &str) -> (Vec<String>, Vec<Vec<String>>) {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let owned = |r: &csv::StringRecord| r.iter().map(str::to_owned).collect::<Vec<_>>();
    let header = owned(reader.headers().expect("a header"));
    let rows = reader.records().map(|r| owned(&r.expect("rows as long as the header"))).collect();
    (header, rows)
}

/// The value at a dotted path such as `memory.weights_gib`.
#[track_caller]
pub fn at<'a>(json: &'a Value, path: &str) -> &'a Value {
    path.split('.')
        .fold(json, |value, key| value.get(key).unwrap_or_else(|| panic!("no `{path}` in {json:#}")))
}

/// The number at a dotted path.
#[track_caller]
pub fn number(json: &Value, path: &str) -> f64 {
    at(json, path).as_f64().unwrap_or_else(|| panic!("`{path}` is no number in {json:#}"))
}

/// Files in a folder, at any depth.
pub fn files_in(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            found.extend(files_in(&path));
        }
        found.push(path.display().to_string());
    }
    found
}

/// A file of the repository.
#[track_caller]
pub fn document(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect(path)
}

/// A document with the part between `<!-- name -->` and `<!-- end of name -->` replaced.
#[track_caller]
pub fn filled(document: &str, name: &str, text: &str) -> String {
    let (begin, end) = (format!("<!-- {name} -->"), format!("<!-- end of {name} -->"));
    let (before, rest) = document.split_once(&begin).expect(&begin);
    let (_, after) = rest.split_once(&end).expect(&end);
    format!("{before}{begin}\n{text}{end}{after}")
}

/// Compares a document with what it should be, or rewrites it where `UPDATE_README` is set.
#[track_caller]
pub fn settle(path: &str, actual: &str) {
    // A page that is not there yet is written too.
    let written =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap_or_default();
    if actual == written {
        return;
    }
    if std::env::var_os("UPDATE_README").is_some() {
        std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(path), actual).expect(path);
        return;
    }
    let (line, (old, new)) = (1..)
        .zip(written.lines().zip(actual.lines()))
        .find(|(_, (old, new))| old != new)
        .unwrap_or((written.lines().count(), ("", "")));
    panic!(
        "{path} line {line} is out of date; UPDATE_README=1 cargo test rewrites it\n\
         written: {old}\n printed: {new}"
    );
}
