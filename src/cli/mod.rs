//! The command line: one file per command, the only user of clap and indicatif.

mod catalog;
mod check;
mod common;
mod estimate;
mod inspect;
mod layout;
mod output;
mod plan;
mod sweep;
mod validate;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::catalog::Catalog;
use crate::diagnostic::Diagnostic;

/// Which configuration should I deploy?
#[derive(Debug, Parser)]
#[command(name = "shardfit", version, max_term_width = 100, propagate_version = true)]
#[command(after_help = "Exit status: 0 found, 1 nothing feasible, 2 bad input.\n\n\
    Example:\n  shardfit plan llama-3.1-70b --cluster 8xh100-sxm --isl 2048 --osl 512 --ttft 1s --tpot 50ms")]
struct Cli {
    /// Folder of your own gpus/, clusters/, classes/, engines/ and models/, over those built in; may be
    /// given more than once, the first wins
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
    /// Take a model apart: parameters, storage, KV cache
    Inspect(inspect::InspectArgs),
    /// List or show GPUs, clusters, models and engines
    Catalog(catalog::CatalogArgs),
    /// Answer every case of a scenario file
    Sweep(sweep::SweepArgs),
    /// Check descriptions and scenarios: every problem of every file
    Check(check::CheckArgs),
    /// Compare estimates with measured rows
    Validate(validate::ValidateArgs),
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Found,
    NothingFeasible,
    /// Files have problems, and the answer lists them.
    Faulty,
}

/// Parses the arguments and runs the command: 0 found, 1 nothing feasible, 2 bad input.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version go to stdout with success; the rest is bad input.
            let code = if e.use_stderr() { 2 } else { 0 };
            let _ = e.print();
            return ExitCode::from(code);
        }
    };
    let catalog = match Catalog::usual(&cli.catalog) {
        Ok(catalog) => catalog,
        Err(diagnostic) => return refused(&diagnostic),
    };
    let outcome = dispatch(&cli.command, &catalog);
    let code = match &outcome {
        Ok(Outcome::Found) => ExitCode::SUCCESS,
        Ok(Outcome::NothingFeasible) => ExitCode::from(1),
        Ok(Outcome::Faulty) => ExitCode::from(2),
        Err(diagnostic) => refused(diagnostic),
    };
    // Files that the question did not need; one that it needed is the error.
    let needed = outcome.as_ref().err().map(|d| &d.cause);
    catalog.faults().filter(|fault| Some(&fault.cause) != needed).for_each(note);
    code
}

fn refused(diagnostic: &Diagnostic) -> ExitCode {
    anstream::eprintln!("error: {diagnostic}");
    ExitCode::from(2)
}

/// Names a file of the user's that is left out.
fn note(fault: &Diagnostic) {
    anstream::eprintln!("note: left out of the catalogue: {fault}");
}

fn dispatch(command: &Command, catalog: &Catalog) -> Result<Outcome, Diagnostic> {
    match command {
        Command::Plan(args) => plan::run(args, catalog),
        Command::Estimate(args) => estimate::run(args, catalog),
        Command::Inspect(args) => inspect::run(args, catalog),
        Command::Catalog(args) => catalog::run(args, catalog),
        Command::Sweep(args) => sweep::run(args, catalog),
        Command::Check(args) => check::run(args, catalog),
        Command::Validate(args) => validate::run(args, catalog),
    }
}
