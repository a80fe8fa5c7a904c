//! `shardfit sweep`: every case of a scenario file.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use indicatif::{ProgressBar, ProgressStyle};

use crate::catalog::Catalog;
use crate::diagnostic::{Code, Diagnostic};
use crate::scenario::{self, CaseOutcome};
use crate::{load, report};

use super::kernels::{self, KernelsArgs};
use super::{Outcome, talk};

/// Arguments of `sweep`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  shardfit sweep scenarios/review.yaml -o out/")]
pub struct SweepArgs {
    /// Scenario file
    #[arg(value_hint = ValueHint::FilePath)]
    scenario: PathBuf,
    /// Folder for the results: results.csv, made if it does not exist
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    output: PathBuf,
    #[command(flatten)]
    pub(super) kernels: KernelsArgs,
}

/// Runs the command.
pub fn run(args: &SweepArgs, catalog: &Catalog) -> Result<Outcome, Diagnostic> {
    let mut scenario = scenario::read(&args.scenario, catalog)?;
    for (engine, gpu) in scenario.measure(catalog)? {
        kernels::unknown(&engine, &gpu);
    }
    let target = args.output.join("results.csv");
    load::make_folder(&args.output)?;
    load::check_writable(&target)?;
    let bar = progress(scenario.size() as u64)?;
    let answers = scenario::run(&scenario, || bar.inc(1))?;
    bar.finish_and_clear();
    load::write_whole(&target, report::sweep_sheet(&scenario, &answers).csv()?.as_bytes())?;
    let found = answers.iter().filter(|a| matches!(a.outcome, CaseOutcome::Found(_))).count();
    talk::say(&format!(
        "{}: {} cases, {found} with a feasible plan; wrote {}",
        scenario.name,
        answers.len(),
        target.display()
    ));
    Ok(if found > 0 { Outcome::Found } else { Outcome::NothingFeasible })
}

/// A bar with rate and time left on stderr; hidden when quiet or when stderr is no terminal.
fn progress(cases: u64) -> Result<ProgressBar, Diagnostic> {
    if talk::is_quiet() {
        return Ok(ProgressBar::hidden());
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} cases, {per_sec}, {eta} left")
        .map_err(|e| Diagnostic::new(Code::Usage, e.to_string()))?;
    Ok(ProgressBar::new(cases).with_style(style))
}
