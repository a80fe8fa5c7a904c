//! What goes to stderr beside errors: notes on request, nothing when quiet.

use std::io::Write as _;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Instant;

use clap::builder::styling::{AnsiColor, Style};
use clap::{ArgMatches, Args, Command, parser::ValueSource};
use itertools::Itertools as _;

use crate::catalog::Engine;
use crate::diagnostic::{Diagnostic, spelt_out};
use crate::load;

/// How much a run says on stderr.
#[derive(Clone, Copy, Debug, Args)]
pub struct TalkArgs {
    /// Results and errors only
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Messages")]
    quiet: bool,
    /// Say on stderr which files are read, which defaults are assumed, and how long it takes
    #[arg(short, long, global = true, help_heading = "Messages")]
    verbose: bool,
}

/// Set once, before the command runs.
static LEVEL: OnceLock<Level> = OnceLock::new();

#[derive(Clone, Copy, Debug)]
struct Level {
    quiet: bool,
    verbose: bool,
    started: Instant,
}

impl TalkArgs {
    /// Settles how much this process says.
    pub fn settle(self) {
        let level = Level { quiet: self.quiet, verbose: self.verbose, started: Instant::now() };
        if LEVEL.set(level).is_ok() && self.verbose {
            load::watch(|path: &Path| note(|| format!("read {}", path.display())));
        }
    }
}

/// Whether only results and errors are wanted.
pub fn is_quiet() -> bool {
    LEVEL.get().is_some_and(|level| level.quiet)
}

/// Says something, unless quiet.
pub fn say(text: &str) {
    if !is_quiet() {
        line(text);
    }
}

/// Says something with the time since the start, if verbose.
pub fn note(text: impl FnOnce() -> String) {
    if let Some(level) = LEVEL.get().filter(|level| level.verbose) {
        line(&format!("[{:9.2} ms] {}", level.started.elapsed().as_secs_f64() * 1e3, text()));
    }
}

/// Warns of engines in a version that is newer than those described, each once, unless quiet.
pub fn caveats<'a>(engines: impl IntoIterator<Item = &'a Engine>) {
    let yellow: Style = AnsiColor::Yellow.on_default().bold();
    for caveat in engines.into_iter().filter_map(Engine::caveat).unique() {
        say(&format!("{yellow}warning:{yellow:#} {caveat}"));
    }
}

/// Says what is wrong.
pub fn error(diagnostic: &Diagnostic) {
    let red: Style = AnsiColor::Red.on_default().bold();
    line(&format!("{red}error:{red:#} {diagnostic}"));
}

/// A stderr that is closed or full is no reason to fail.
fn line(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{}", spelt_out(text, true));
}

/// The options that were not given and have a default, as they would be written.
pub fn assumed(command: &Command, matches: &ArgMatches) -> String {
    let Some((name, inner)) = matches.subcommand() else { return String::new() };
    let Some(command) = command.find_subcommand(name) else { return String::new() };
    let default = |arg: &clap::Arg| {
        let (long, value) = (arg.get_long()?, arg.get_default_values().first()?.to_str()?);
        let assumed = inner.value_source(arg.get_id().as_str()) == Some(ValueSource::DefaultValue);
        (assumed && arg.get_action().takes_values()).then(|| format!("--{long} {value}"))
    };
    command.get_arguments().filter_map(default).collect::<Vec<_>>().join(" ")
}

/// Names a file of the user's that is left out.
pub fn left_out(fault: &Diagnostic) {
    say(&format!("note: left out of the catalogue: {fault}"));
}
