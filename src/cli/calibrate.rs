//! `shardfit calibrate`: kernel coefficients, and constants of engines, from measured rows.

use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueHint};

use crate::calibrate::engine::{Asked, Servers, overlay_yaml};
use crate::calibrate::{Outcome as Fate, Questions, Subject, overlay};
use crate::catalog::Catalog;
use crate::diagnostic::{Code, Diagnostic};
use crate::load;
use crate::report::{self, Format};
use crate::validate::{Estimator, Reader, Unread};

use super::outcome::Outcome;
use super::output::{self, FormatArgs};
use super::values::names;
use super::{progress, talk};

/// Arguments of `calibrate`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("subject").required(true).args(["gpu", "class", "engine"]))]
#[command(after_help = "Examples:\n  \
    shardfit calibrate kernels.csv --gpu h100-sxm -o mine/kernels/h100-sxm.yaml\n  \
    shardfit plan llama-3.1-70b --cluster 8xh100-sxm --catalog mine\n  \
    shardfit calibrate servers.csv --engine vllm --leave-out model -o mine/scheduling/vllm.yaml")]
pub struct CalibrateArgs {
    /// CSV files of measured kernels, or of measured servers as `validate serving` reads them
    #[arg(required = true, value_hint = ValueHint::FilePath, value_name = "ROWS.csv")]
    files: Vec<PathBuf>,
    /// GPU that kernels were measured on
    #[arg(long, value_name = "NAME")]
    gpu: Option<String>,
    /// Class of GPUs to pool kernels of all of them for
    #[arg(long, value_name = "NAME")]
    class: Option<String>,
    /// Engines whose scheduling constants to fit to servers
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    engine: Vec<String>,
    /// Who measured, on what and when, to be kept with the coefficients
    #[arg(long, value_name = "TEXT")]
    source: Option<String>,
    #[command(flatten)]
    format: FormatArgs,
    /// Write what is new to FILE: kernels/NAME.yaml, of an engine scheduling/NAME.yaml, in a folder for
    /// --catalog
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,
    #[command(flatten)]
    servers: ServersArgs,
}

/// How servers are read and fitted.
#[derive(Debug, Args)]
#[command(next_help_heading = "Servers")]
struct ServersArgs {
    /// Folder of config.json files named <org>--<name>.json, looked at first
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with_all = ["gpu", "class"])]
    models: Vec<PathBuf>,
    /// How servers are estimated: simulate or steady
    #[arg(long, default_value = "simulate", value_name = "NAME", conflicts_with_all = ["gpu", "class"])]
    #[arg(value_parser = names(Estimator::NAMES), hide_possible_values = true)]
    estimator: String,
    /// Only rows with this value in this column; may be given more than once
    #[arg(long = "where", value_name = "COLUMN=VALUE", conflicts_with_all = ["gpu", "class"])]
    only: Vec<String>,
    /// Columns whose values to leave out in turn: errors on rows that the constants were not fitted to
    #[arg(long, value_name = "COLUMN", value_delimiter = ',', conflicts_with_all = ["gpu", "class"])]
    leave_out: Vec<String>,
}

impl ServersArgs {
    fn only(&self) -> Result<Vec<(String, String)>, Diagnostic> {
        let pair = |text: &String| {
            let wrong = || {
                Diagnostic::new(Code::Usage, format!("`{text}` is not COLUMN=VALUE"))
                    .at("--where")
                    .help("e.g. --where quality=A")
            };
            let (column, value) = text.split_once('=').ok_or_else(wrong)?;
            Ok((column.trim().to_owned(), value.trim().to_owned()))
        };
        self.only.iter().map(pair).collect()
    }
}

impl CalibrateArgs {
    fn subject(&self) -> Subject {
        match (&self.gpu, &self.class) {
            (Some(gpu), _) => Subject::Gpu(gpu.clone()),
            (None, class) => Subject::Class(class.clone().unwrap_or_default()),
        }
    }

    fn source(&self) -> String {
        let files = self.files.iter().filter_map(|file| file.file_name()).map(|name| name.to_string_lossy());
        let files: Vec<_> = files.collect();
        self.source.clone().unwrap_or_else(|| format!("shardfit calibrate {}", files.join(" ")))
    }
}

/// Fits constants of engines.
fn run_engines(
    args: &CalibrateArgs,
    format: Format,
    catalog: &Catalog,
    reader: &dyn Reader,
) -> Result<Outcome, Diagnostic> {
    if args.output.is_some() && args.engine.len() > 1 {
        return Err(Diagnostic::new(Code::Usage, "a file holds the constants of one engine")
            .at("--output")
            .help("run it once for each engine"));
    }
    let catalog = catalog.clone().with_models(&args.servers.models)?;
    let asked = Asked {
        engines: args.engine.clone(),
        estimator: args.servers.estimator.parse()?,
        only: args.servers.only()?,
        leave_out: args.servers.leave_out.clone(),
    };
    let servers = Servers::read(&args.files, asked, &catalog, reader)?;
    note_unread(&servers.unread);
    let bar = progress::bar(servers.passes() as u64, "passes")?;
    let calibration = servers.answer(|| bar.inc(1))?;
    bar.finish_and_clear();
    output::show(&report::engine_calibration(&calibration), format)?;
    let engine = calibration.constants.first().map_or("", |c| c.engine.as_str());
    write_new(args, overlay_yaml(&calibration, engine, &args.source()))?;
    Ok(if calibration.is_new() { Outcome::Found } else { Outcome::NothingFeasible })
}

fn note_unread(unread: &[Unread]) {
    if let Some(unread) = Unread::sentence(unread) {
        talk::say(&format!("note: {unread}"));
    }
}

/// Writes the file that was asked for, if there is anything new.
fn write_new(args: &CalibrateArgs, yaml: Option<String>) -> Result<(), Diagnostic> {
    match (&args.output, yaml) {
        (Some(path), Some(yaml)) => load::write_whole(path, yaml.as_bytes())?,
        (Some(path), None) => talk::say(&format!("nothing new; {} is not written", path.display())),
        (None, _) => {}
    }
    Ok(())
}

/// Runs the command on rows as `reader` understands them.
pub fn run(args: &CalibrateArgs, catalog: &Catalog, reader: &dyn Reader) -> Result<Outcome, Diagnostic> {
    let format = args.format.printed()?;
    if let Some(path) = &args.output {
        if !load::is_yaml(&path.to_string_lossy()) {
            let cause = format!("`{}` is not read from a catalogue", path.display());
            return Err(Diagnostic::new(Code::Usage, cause)
                .at("--output")
                .help("coefficients are kept in a .yaml file"));
        }
        load::check_writable(path)?;
    }
    if !args.engine.is_empty() {
        return run_engines(args, format, catalog, reader);
    }
    let questions = Questions::read(&args.files, args.subject(), catalog)?;
    note_unread(&questions.unread);
    let bar = progress::bar(questions.len() as u64, "fits")?;
    let calibration = questions.answer(|| bar.inc(1))?;
    bar.finish_and_clear();
    output::show(&report::calibration(&calibration), format)?;
    write_new(args, overlay(&calibration, &args.source()))?;
    let any = calibration.groups.iter().any(|g| matches!(g.outcome, Fate::Fitted(_) | Fate::Kept));
    Ok(if any { Outcome::Found } else { Outcome::NothingFeasible })
}
