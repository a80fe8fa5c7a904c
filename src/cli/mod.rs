//! The command line: one file per command, the only user of clap and indicatif.

mod catalog;
mod common;
mod estimate;
mod inspect;
mod output;
mod plan;
mod sweep;
mod validate;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::diagnostic::Diagnostic;

/// Which configuration should I deploy?
#[derive(Debug, Parser)]
#[command(name = "shardfit", version, max_term_width = 100, propagate_version = true)]
#[command(after_help = "Exit status: 0 found, 1 nothing feasible, 2 bad input.\n\n\
    Example:\n  shardfit plan llama-3.1-70b --cluster 8xh100-sxm --isl 2048 --osl 512 --ttft 1s --tpot 50ms")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Rank every plan for a model on a cluster under a workload
    Plan(Box<plan::PlanArgs>),
    /// Work out one plan in every detail
    Estimate(Box<estimate::EstimateArgs>),
    /// Take models apart: parameters, storage, KV cache, FLOPs, what bounds each part
    Inspect(Box<inspect::InspectArgs>),
    /// List or show GPUs, clusters, models and engines
    Catalog(catalog::CatalogArgs),
    /// Answer every case of a scenario file
    Sweep(sweep::SweepArgs),
    /// Compare estimates with measured rows
    Validate(validate::ValidateArgs),
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Found,
    NothingFeasible,
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
    match dispatch(&cli.command) {
        Ok(Outcome::Found) => ExitCode::SUCCESS,
        Ok(Outcome::NothingFeasible) => ExitCode::from(1),
        Err(diagnostic) => {
            anstream::eprintln!("error: {diagnostic}");
            ExitCode::from(2)
        }
    }
}

fn dispatch(command: &Command) -> Result<Outcome, Diagnostic> {
    match command {
        Command::Plan(args) => plan::run(args),
        Command::Estimate(args) => estimate::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Catalog(args) => catalog::run(args),
        Command::Sweep(args) => sweep::run(args),
        Command::Validate(args) => validate::run(args),
    }
}
