//! `shardfit sweep`: every case of a scenario file.

use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};

use crate::catalog::Catalog;
use crate::diagnostic::Diagnostic;
use crate::load;
use crate::report::sweep::{Comparison, Earlier, about, group_record, write_results};
use crate::scenario::{self, Header, Journal, Reader, Shard};

use super::kernels::{self, KernelsArgs};
use super::{Outcome, output, progress, talk};

/// The journal's name in the folder of the results.
pub const JOURNAL: &str = "journal";

/// Changes that are printed; summary.md and the report have more.
const CHANGES: usize = 20;

/// Arguments of `sweep`.
#[derive(Debug, Args)]
#[command(
    after_help = "The folder then holds results.csv, results.jsonl, results.parquet, summary.md, report.html \
    and the journal, from which a run that was stopped goes on.\n\n\
    Examples:\n  shardfit sweep scenarios/review.yaml -o out/\n  \
    shardfit sweep scenarios/review.yaml -o out/ --resume\n  \
    shardfit sweep scenarios/review.yaml -o part/ --shard 3/16"
)]
pub struct SweepArgs {
    /// Scenario file
    #[arg(value_hint = ValueHint::FilePath)]
    scenario: PathBuf,
    /// Folder for the results, made if it does not exist
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    output: PathBuf,
    /// Go on with the run in DIR that was stopped
    #[arg(long)]
    resume: bool,
    /// Answer part K of N, to be joined by `shardfit merge`
    #[arg(long, value_name = "K/N")]
    shard: Option<String>,
    /// The results.csv of an earlier review: say what has changed since
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    compare: Option<PathBuf>,
    #[command(flatten)]
    pub(super) kernels: KernelsArgs,
}

/// Runs the command.
pub fn run(args: &SweepArgs, catalog: &Catalog) -> Result<Outcome, Diagnostic> {
    let shard = match &args.shard {
        Some(text) => text.parse().map_err(|d: Diagnostic| d.at("--shard"))?,
        None => Shard::WHOLE,
    };
    let mut scenario = scenario::read(&args.scenario, catalog)?;
    for (engine, gpu) in scenario.measure(catalog)? {
        kernels::unknown(&engine, &gpu);
    }
    let earlier = args.compare.as_deref().map(Earlier::read).transpose()?;
    load::make_folder(&args.output)?;
    load::check_writable(&args.output.join("results.csv"))?;
    let path = args.output.join(JOURNAL);
    let header = Header::new(&scenario, shard, about(&scenario));
    let begun = if args.resume { Journal::resume(&path, &header)? } else { Journal::begin(&path, &header)? };
    let left: usize = begun.left.iter().map(|group| scenario.group(*group).len()).sum();
    if begun.done > 0 {
        talk::say(&format!("{} cases were done already, {left} are left", begun.done));
    }
    let bar = progress::bar((begun.done + left) as u64, "cases")?.with_position(begun.done as u64);
    scenario::run(&scenario, &begun.left, |group, answer| {
        let (cases, front) = group_record(&scenario, group, &answer);
        let n = cases.len() as u64;
        begun.journal.add(group, cases, front)?;
        bar.inc(n);
        Ok(())
    })?;
    bar.finish_and_clear();
    // The journal stays locked until all is written, save where a lock keeps out its own process too.
    let _locked = (!cfg!(windows)).then_some(begun);
    write(&path, &args.output, earlier, &scenario.name)
}

/// Writes the results of a finished journal and says so.
pub fn write(
    journal: &Path,
    folder: &Path,
    earlier: Option<Earlier>,
    name: &str,
) -> Result<Outcome, Diagnostic> {
    load::remove_parts(folder)?;
    let mut reader = Reader::open(journal)?;
    let bar = progress::bar(reader.header.cases as u64, "rows")?;
    let (written, comparison) = write_results(&mut reader, folder, earlier, || bar.inc(1))?;
    bar.finish_and_clear();
    if let Some(text) = comparison.as_ref().map(|c: &Comparison| c.markdown(CHANGES)) {
        output::print(&text)?;
    }
    talk::say(&format!(
        "{name}: {} cases, {} with a feasible plan; wrote {}",
        written.cases,
        written.found,
        folder.join("results.csv").display(),
    ));
    talk::say(&format!("for people: {}", folder.join("report.html").display()));
    Ok(if written.found > 0 { Outcome::Found } else { Outcome::NothingFeasible })
}
