//! `shardfit sweep`: every case of a scenario file.

use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};

use crate::catalog::Catalog;
use crate::diagnostic::{Code, Diagnostic};
use crate::load;
use crate::report::sweep::{Comparison, Earlier, about, group_record, training_row, write_results};
use crate::report::{Sheet, Value};
use crate::scenario::{self, Header, Journal, Reader, Scenario, Shard};

use super::kernels::{self, KernelsArgs};
use super::outcome::Outcome;
use super::{output, progress, talk};

/// Changes that are printed; summary.md and the report have more.
const CHANGES: usize = 20;

/// Arguments of `sweep`.
#[derive(Debug, Args)]
#[command(
    after_help = "The folder then holds results.csv, results.jsonl, summary.md, report.html and the journal, from \
    which a run that was stopped goes on; results.parquet too where shardfit is built with the feature `parquet`. \
    Of a scenario with `training` it holds results.csv and results.json.\n\n\
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
    if !scenario.training.is_empty() {
        return train(args, &scenario);
    }
    talk::caveats(scenario.clusters.iter().flat_map(|cluster| &cluster.engines));
    for (engine, gpu) in scenario.measure(catalog)? {
        kernels::unknown(&engine, &gpu);
    }
    let earlier = args.compare.as_deref().map(Earlier::read).transpose()?;
    load::make_folder(&args.output)?;
    load::check_writable(&args.output.join("results.csv"))?;
    let path = args.output.join(Journal::NAME);
    let header = Header::new(&scenario, shard, about(&scenario));
    let begun = if args.resume { Journal::resume(&path, &header)? } else { Journal::begin(&path, &header)? };
    let left: usize = begun.left.iter().map(|group| scenario.group(*group).len()).sum();
    if begun.damaged > 0 {
        talk::say(&format!("{} damaged records of the journal are answered again", begun.damaged));
    }
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
    begun.journal.sync()?;
    // The folder stays locked until all is written.
    let written = write(&path, &args.output, earlier, &header);
    drop(begun);
    written
}

/// Answers the questions about training: results.csv and results.json, written at the end.
fn train(args: &SweepArgs, scenario: &Scenario) -> Result<Outcome, Diagnostic> {
    let flags =
        [("--resume", args.resume), ("--shard", args.shard.is_some()), ("--compare", args.compare.is_some())];
    if let Some((flag, _)) = flags.iter().find(|(_, given)| *given) {
        return Err(Diagnostic::new(Code::Usage, "questions about training are answered in one go").at(*flag));
    }
    load::make_folder(&args.output)?;
    let _lock = load::lock(&args.output)?;
    let path = args.output.join("results.csv");
    load::check_writable(&path)?;
    let cases: Vec<_> = scenario.training_cases().collect();
    let bar = progress::bar(cases.len() as u64, "cases")?;
    let mut all: Option<Sheet> = None;
    for case in &cases {
        let row = training_row(case)?;
        match &mut all {
            Some(sheet) => sheet.rows.extend(row.rows),
            None => all = Some(row),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let sheet = all.unwrap_or_default();
    load::write_whole(&path, sheet.csv()?.as_bytes())?;
    load::write_whole(&args.output.join("results.json"), format!("{:#}\n", sheet.json()).as_bytes())?;
    let reason = sheet.columns.len().saturating_sub(1);
    let found = sheet.rows.iter().filter(|row| row.get(reason) == Some(&Value::Missing)).count();
    talk::say(&format!(
        "{}: {} cases, {found} with a feasible plan; wrote {}",
        scenario.name,
        cases.len(),
        path.display()
    ));
    Ok(if found > 0 { Outcome::Found } else { Outcome::NothingFeasible })
}

/// Writes the results of a finished journal and says so.
pub fn write(
    journal: &Path,
    folder: &Path,
    earlier: Option<Earlier>,
    header: &Header,
) -> Result<Outcome, Diagnostic> {
    load::remove_parts(folder)?;
    let mut reader = Reader::open(journal)?;
    if reader.header != *header {
        return Err(Diagnostic::new(Code::File, "another run has written here meanwhile")
            .at(journal.display().to_string())
            .help("run it again, to another folder"));
    }
    let name = header.about["name"].as_str().unwrap_or_default();
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
    if let Some(text) = &written.uncalibrated {
        talk::say(&format!("note: {text}"));
    }
    talk::say(&format!("for people: {}", folder.join("report.html").display()));
    Ok(if written.found > 0 { Outcome::Found } else { Outcome::NothingFeasible })
}
