//! The command line: one file per command, the only user of clap and indicatif.

mod budget;
mod calibrate;
mod catalog;
mod check;
mod common;
mod completions;
mod counts;
mod doctor;
mod emit;
mod estimate;
mod fetch;
mod first;
mod fit;
mod guide;
mod host;
mod inputs;
mod inspect;
mod kernels;
mod launch;
mod limits;
mod man;
mod mcp;
mod measured;
mod merge;
mod observe;
mod outcome;
mod output;
mod place;
mod placed;
mod plan;
mod progress;
mod refusal;
#[cfg(feature = "web")]
mod serve;
mod sessions;
mod simulate;
mod size;
mod speculation;
mod spelling;
mod split;
mod start;
mod stop;
mod sweep;
mod talk;
mod train;
mod validate;
mod values;
mod verify;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::catalog::Catalog;
use crate::diagnostic::{Code, Diagnostic};
use crate::validate::{Columns, Reader};
use measured::Measured;
use outcome::Outcome;

/// What a person who types the name alone is shown.
const TO_BEGIN_WITH: &str = "Which configuration should I deploy? To begin with:

  What is the best way to serve a model on these GPUs?
    shardfit plan llama-3.1-70b --cluster 8xh100-sxm --ttft 1s --tpot 50ms

  Which models run on this card, and how fast?
    shardfit fit --cluster 1xrtx-4090

  How many GPUs does this load take?
    shardfit size llama-3.1-8b --gpu l40s,h100-sxm --rate 20 --tpot 40ms

`shardfit serve` answers in a browser; `shardfit --help` lists all commands, each with examples.";

/// Which configuration should I deploy?
#[derive(Debug, Parser)]
#[command(name = "shardfit", version, max_term_width = 100, propagate_version = true)]
#[command(
    after_help = "Exit status: 0 found, 1 nothing feasible or weights that differ, 2 bad input, 3 stopped before there was an answer.\n\n\
    Example:\n  shardfit plan llama-3.1-70b --cluster 8xh100-sxm --isl 2048 --osl 512 --ttft 1s --tpot 50ms"
)]
struct Cli {
    #[command(flatten)]
    talk: talk::TalkArgs,
    /// Folder of your own gpus/, clusters/, classes/, engines/, models/, kernels/ and scheduling/, over those
    /// built in; may be given more than once, the first wins
    #[arg(long, global = true, value_name = "DIR", help_heading = "Catalogue")]
    catalog: Vec<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Rank every plan for a model on a cluster under a workload
    Plan(Box<plan::PlanArgs>),
    /// Work out one plan in every detail
    Estimate(Box<estimate::EstimateArgs>),
    /// Find the smallest or cheapest fleet for a rate, and its growth along a forecast
    Size(Box<size::SizeArgs>),
    /// Which models run on a machine: in which formats, how fast, how well
    Fit(Box<fit::FitArgs>),
    /// Run one plan in discrete events: percentiles, goodput, queues, traces
    Simulate(Box<simulate::SimulateArgs>),
    /// Drive a live server, or read a benchmark's result, and compare with what is predicted
    Observe(Box<observe::ObserveArgs>),
    /// Rank every plan to train a model on a cluster
    Train(Box<train::TrainArgs>),
    /// How large a model a budget buys: parameters, tokens, loss
    Budget(Box<budget::BudgetArgs>),
    /// Take models apart: parameters, storage, KV cache, FLOPs, what bounds each part
    Inspect(Box<inspect::InspectArgs>),
    /// List or show GPUs, clusters, models and engines
    Catalog(catalog::CatalogArgs),
    /// What this machine is, what engines would find on it, and what is not known
    Doctor(doctor::DoctorArgs),
    /// Answer every case of a scenario file
    Sweep(sweep::SweepArgs),
    /// Join the shards of a sweep
    Merge(merge::MergeArgs),
    /// Check descriptions and scenarios: every problem of every file
    Check(check::CheckArgs),
    /// Compare estimates with measured rows
    Validate(Box<validate::ValidateArgs>),
    /// Fit kernel coefficients, or the constants of engines, to measured rows
    Calibrate(calibrate::CalibrateArgs),
    /// Keep a model's description from the Hugging Face hub
    Fetch(fetch::FetchArgs),
    /// Answer in a browser and over HTTP: the page, the API
    #[cfg(feature = "web")]
    Serve(serve::ServeArgs),
    /// Answer an agent over the Model Context Protocol, on stdin and stdout
    Mcp(mcp::McpArgs),
    /// Print a script that completes commands, options and names in a shell
    Completions(completions::CompletionsArgs),
    /// Print the manual page, or write one per command
    Man(man::ManArgs),
}

/// Runs the command that this process was started with; its exit status is that of [`run_words`].
pub fn run() -> ExitCode {
    ExitCode::from(run_words(std::env::args_os().collect()))
}

/// Parses words, the program's name first, and runs the command: 0 found, 1 nothing feasible or weights that differ,
/// 2 bad input, 3 stopped before there was an answer.
pub fn run_words(words: Vec<OsString>) -> u8 {
    let mut command = command();
    if words.len() <= 1 {
        anstream::println!("{TO_BEGIN_WITH}");
        return guided();
    }
    let Read { parsed, words, notes } = read(&mut command, words);
    let (cli, matches) = match parsed.and_then(|m| Ok((Cli::from_arg_matches(&m)?, m))) {
        Ok(parsed) => parsed,
        Err(e) => return refuse(&e, &command, &words),
    };
    cli.talk.settle();
    notes.iter().for_each(|note| talk::say(&format!("note: {note}")));
    talk::note(|| format!("assumed: {}", talk::assumed(&command, &matches)));
    let code = answer(&cli);
    talk::note(|| "done".to_owned());
    code
}

/// A command line as it is understood.
struct Read {
    parsed: Result<clap::ArgMatches, clap::Error>,
    words: Vec<OsString>,
    /// What is to be said of words that were put in others.
    notes: Vec<String>,
}

/// Parses words in whatever spelling; where some of them stand without their option, they are put in their place.
fn read(command: &mut clap::Command, words: Vec<OsString>) -> Read {
    let spelling::Spelt { words, mut notes } = spelling::usual(command, words);
    let parsed = command.try_get_matches_from_mut(&words);
    let strange = |e: &clap::Error| {
        let word = e.get(clap::error::ContextKind::InvalidArg).map(ToString::to_string);
        e.kind() == ErrorKind::InvalidSubcommand
            || e.kind() == ErrorKind::UnknownArgument && word.is_some_and(|word| !word.starts_with('-'))
            || e.kind() == ErrorKind::MissingRequiredArgument
    };
    let Err(e) = &parsed else { return Read { parsed, words, notes } };
    let text: Option<Vec<String>> = words.iter().map(|word| word.to_str().map(str::to_owned)).collect();
    if let Some(text) = text.filter(|_| strange(e))
        && let Some(placed::Meant::Words(meant)) = placed::meant(command, &text)
        && meant != text
    {
        let line = meant.iter().map(|word| crate::launch::line::quoted(word)).collect::<Vec<_>>().join(" ");
        notes.push(format!("read as `{line}`"));
        let words: Vec<OsString> = meant.into_iter().map(OsString::from).collect();
        return Read { parsed: command.try_get_matches_from_mut(&words), words, notes };
    }
    Read { parsed, words, notes }
}

/// Asks a person on a terminal what a command needs and runs it; anything else has been told what there is.
fn guided() -> u8 {
    use std::io::IsTerminal as _;
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return 0;
    }
    anstream::println!("\nOr answer a few questions: Enter takes what is in brackets, q ends.\n");
    let catalog = match Catalog::usual(&[]) {
        Ok(catalog) => catalog,
        Err(diagnostic) => return refused(&diagnostic),
    };
    match guide::converse(&catalog, std::io::stdin().lock(), std::io::stdout()) {
        Ok(Some(words)) => run_words(words.into_iter().map(OsString::from).collect()),
        // A terminal that goes away ends the conversation.
        Ok(None) | Err(_) => 0,
    }
}

/// Runs a command quietly and gives its exit status, as of [`run_words`], and what it prints.
///
/// # Errors
/// What is wrong with the words, or with what they name.
pub fn printed(words: Vec<OsString>) -> Result<(u8, String), Diagnostic> {
    let mut command = command();
    let Read { parsed, words, .. } = read(&mut command, words);
    let cli = match parsed.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(e) if !e.use_stderr() => return Ok((0, e.render().to_string())),
        Err(e) => {
            let words: Vec<String> = words.iter().map(|w| w.to_string_lossy().into_owned()).collect();
            return Err(refusal::diagnostic(&e, &command, &words));
        }
    };
    let catalog = Catalog::usual(&cli.catalog).and_then(|catalog| with_kernels(&cli.command, catalog))?;
    let (outcome, text) = output::kept(|| dispatch(&cli.command, &catalog));
    Ok((outcome?.status(), text))
}

/// Parses the arguments of a program of this name and runs its command, `validate` or `calibrate`, on rows as `reader`
/// understands them. The exit codes are those of [`run`].
pub fn run_on_measurements(name: &'static str, reader: &dyn Reader) -> ExitCode {
    ExitCode::from(measurements(name, reader))
}

fn measurements(name: &'static str, reader: &dyn Reader) -> u8 {
    let mut command = Measured::command().name(name);
    let words: Vec<OsString> = std::env::args_os().collect();
    let parsed = command.try_get_matches_from_mut(&words);
    let asked = match parsed.and_then(|matches| Measured::from_arg_matches(&matches)) {
        Ok(asked) => asked,
        Err(e) => return refuse(&e, &command, &words),
    };
    asked.talk.settle();
    let usual = Catalog::usual(&asked.catalog);
    match &asked.command {
        measured::Command::Validate(args) => {
            let catalog = usual.and_then(|catalog| args.kernels.catalog(catalog));
            answer_with(catalog, |catalog| validate::run(args, catalog, reader))
        }
        measured::Command::Calibrate(args) => {
            answer_with(usual, |catalog| calibrate::run(args, catalog, reader))
        }
    }
}

fn answer(cli: &Cli) -> u8 {
    let usual = Catalog::usual(&cli.catalog);
    let catalog = usual.and_then(|catalog| with_kernels(&cli.command, catalog));
    answer_with(catalog, |catalog| dispatch(&cli.command, catalog))
}

/// Runs a command and names the user's files that it did without.
fn answer_with(
    catalog: Result<Catalog, Diagnostic>,
    command: impl FnOnce(&Catalog) -> Result<Outcome, Diagnostic>,
) -> u8 {
    let catalog = match catalog {
        Ok(catalog) => catalog,
        Err(diagnostic) => return refused(&diagnostic),
    };
    let outcome = command(&catalog);
    let code = match &outcome {
        Ok(outcome) => outcome.status(),
        Err(diagnostic) => refused(diagnostic),
    };
    // One that the question needed is the error.
    let needed = outcome.as_ref().err().map(|d| &d.cause);
    catalog.faults().filter(|fault| Some(&fault.cause) != needed).for_each(talk::left_out);
    code
}

/// The catalogue with measured kernels, for the commands that estimate.
fn with_kernels(command: &Command, catalog: Catalog) -> Result<Catalog, Diagnostic> {
    let named = match command {
        Command::Plan(args) => &args.kernels,
        Command::Estimate(args) => &args.kernels,
        Command::Simulate(args) => &args.kernels,
        Command::Observe(args) => &args.kernels,
        Command::Sweep(args) => &args.kernels,
        Command::Validate(args) => &args.kernels,
        _ => return Ok(catalog),
    };
    named.catalog(catalog)
}

fn refused(diagnostic: &Diagnostic) -> u8 {
    talk::error(diagnostic);
    match diagnostic.code {
        Code::Stopped => Outcome::Stopped.status(),
        _ => 2,
    }
}

/// Help and version go to stdout with success; the rest is bad input.
fn refuse(error: &clap::Error, command: &clap::Command, words: &[OsString]) -> u8 {
    if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return if error.use_stderr() { 2 } else { 0 };
    }
    let words: Vec<String> = words.iter().map(|w| w.to_string_lossy().into_owned()).collect();
    talk::error(&refusal::diagnostic(error, command, &words));
    2
}

/// The command as the parser knows it, for documents and tests.
pub fn command() -> clap::Command {
    spelling::with_other_names(Cli::command())
}

/// Whether a command looks at plans in parallel.
fn searches(command: &Command) -> bool {
    !matches!(
        command,
        Command::Catalog(_)
            | Command::Check(_)
            | Command::Completions(_)
            | Command::Doctor(_)
            | Command::Fetch(_)
            | Command::Man(_)
            | Command::Merge(_)
    )
}

fn dispatch(asked: &Command, catalog: &Catalog) -> Result<Outcome, Diagnostic> {
    if searches(asked) {
        crate::search::begin_threads();
    }
    match asked {
        Command::Plan(args) => plan::run(args, catalog),
        Command::Estimate(args) => estimate::run(args, catalog),
        Command::Size(args) => size::run(args, catalog),
        Command::Fit(args) => fit::run(args, catalog),
        Command::Simulate(args) => simulate::run(args, catalog),
        Command::Observe(args) => observe::run(args, catalog),
        Command::Train(args) => train::run(args, catalog),
        Command::Budget(args) => budget::run(args, catalog),
        Command::Inspect(args) => inspect::run(args, catalog),
        Command::Catalog(args) => catalog::run(args, catalog),
        Command::Doctor(args) => doctor::run(args, catalog),
        Command::Sweep(args) => sweep::run(args, catalog),
        Command::Merge(args) => merge::run(args),
        Command::Check(args) => check::run(args, catalog),
        Command::Validate(args) => validate::run(args, catalog, &Columns),
        Command::Calibrate(args) => calibrate::run(args, catalog, &Columns),
        Command::Fetch(args) => fetch::run(args),
        #[cfg(feature = "web")]
        Command::Serve(args) => serve::run(args, catalog),
        Command::Mcp(args) => mcp::run(args, catalog),
        Command::Completions(args) => completions::run(args, command()),
        Command::Man(args) => man::run(args, command()),
    }
}
