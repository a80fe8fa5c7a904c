//! `shardfit validate`: error of the estimators on measured rows.

use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use itertools::Itertools as _;

use crate::ask::launched::Read;
use crate::catalog::Catalog;
use crate::diagnostic::{Code, Diagnostic};
use crate::dtype::WeightFormat;
use crate::launch;
use crate::load;
use crate::model::{self, Model, Scope};
use crate::report::{self, Format, Report};
use crate::request::launched::sequences;
use crate::request::{ModelRequest, Request};
use crate::validate::memory::{StartLog, Told, compare};
use crate::validate::{
    Estimator, Kind, Predictor, Reader, Server, Unread, is_results, validate, validate_results,
};

use super::fetch;
use super::kernels::KernelsArgs;
use super::launch::LaunchArgs;
use super::outcome::Outcome;
use super::output::{self, FormatArgs, print};
use super::talk;
use super::values::{degree, names};

/// Arguments of `validate`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    shardfit validate serving runs.csv --models configs/ --by engine,gpu\n  \
    shardfit validate serving bench.json --gpu h100-sxm --tp 2 --engine vllm@0.19\n  \
    shardfit validate memory --log server.log --model llama-3.1-8b --gpu h100-sxm")]
pub struct ValidateArgs {
    /// params, memory, kernels, serving or training
    #[arg(value_parser = names(Kind::NAMES), hide_possible_values = true)]
    kind: String,
    /// CSV file of measured rows; of serving also a result file of vllm bench serve, SGLang's bench_serving or
    /// trtllm-bench (.json, .jsonl), or a folder of them
    #[arg(value_hint = ValueHint::FilePath, required_unless_present = "log", conflicts_with = "log")]
    file: Option<PathBuf>,
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    launch: LaunchArgs,
    /// Folder of config.json files named <org>--<name>.json, looked at first
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    models: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) kernels: KernelsArgs,
    /// How servers are estimated: simulate (discrete events, under each row's protocol) or steady (in
    /// closed form, as plan does)
    #[arg(long, default_value = "simulate", value_name = "NAME")]
    #[arg(value_parser = names(Estimator::NAMES), hide_possible_values = true)]
    estimator: String,
    /// Errors by these columns too; `decade` is the power of ten of a kernel's size
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    by: Vec<String>,
    #[command(flatten)]
    format: FormatArgs,
    /// Write every row with its prediction to FILE, in the format of its extension: csv, json, yaml, md or txt
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,
}

/// A server's start-up log in place of a file of rows, and what a log or a result file does not say.
#[derive(Clone, Debug, Args)]
struct LogArgs {
    /// Compare memory with the start-up log of a vLLM, SGLang or TensorRT-LLM server instead
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Server")]
    log: Option<PathBuf>,
    /// The model that it served [default: as the log or result file names it]
    #[arg(long, value_name = "MODEL", help_heading = "Server")]
    model: Option<String>,
    /// The GPU [default: of a log, the one with nearest the memory that it prints]
    #[arg(long, value_name = "GPU", help_heading = "Server")]
    gpu: Option<String>,
    /// The engine and its version, e.g. vllm@0.19 [default: what the file says]
    #[arg(long, value_name = "NAME", help_heading = "Server")]
    engine: Option<String>,
    /// Weights as the server stored them, e.g. fp8 [default: the checkpoint's own]
    #[arg(long, value_name = "FORMAT", help_heading = "Server")]
    #[arg(value_parser = names(WeightFormat::ALL.map(WeightFormat::name)), hide_possible_values = true)]
    weights: Option<String>,
    /// Tensor parallel [default: what the file says]
    #[arg(long, value_name = "N", value_parser = degree, help_heading = "Server")]
    tp: Option<u32>,
    /// Pipeline stages [default: what the file says]
    #[arg(long, value_name = "N", value_parser = degree, help_heading = "Server")]
    pp: Option<u32>,
    /// Expert parallel [default: what the file says]
    #[arg(long, value_name = "N", value_parser = degree, help_heading = "Server")]
    ep: Option<u32>,
    /// Attention data parallel [default: what the file says]
    #[arg(long, value_name = "N", value_parser = degree, help_heading = "Server")]
    attention_dp: Option<u32>,
    /// What the launch says beside: GPUs, cache type, limits.
    #[arg(skip)]
    launched: Option<launch::Server>,
}

impl LogArgs {
    /// The same with what a launch says where it is not told otherwise.
    fn with(&self, launched: Option<Read>) -> LogArgs {
        let Some(launched) = launched else { return self.clone() };
        launched.remarks().iter().for_each(|remark| talk::say(remark));
        let server = launched.main();
        let engine = match &server.version {
            Some(version) => format!("{}@{version}", server.engine),
            None => server.engine.clone(),
        };
        let weights = server.weights.clone().filter(|w| w.parse::<WeightFormat>().is_ok());
        LogArgs {
            log: self.log.clone(),
            model: self.model.clone().or(server.model.clone()),
            gpu: self.gpu.clone(),
            engine: self.engine.clone().or(Some(engine)),
            weights: self.weights.clone().or(weights),
            tp: self.tp.or(server.tp),
            pp: self.pp.or(server.pp),
            ep: self.ep.or(server.ep),
            attention_dp: self.attention_dp.or(server.attention_dp),
            launched: Some(server.clone()),
        }
    }

    /// What is told of the server of result files; unknown names are errors.
    fn server(&self, catalog: &Catalog) -> Result<Server, Diagnostic> {
        self.gpu.as_deref().map(|name| catalog.gpu(name)).transpose()?;
        talk::caveats(&self.engine.as_deref().map(|name| catalog.engine(name)).transpose()?);
        self.model.as_deref().map(|name| model::find_in(catalog, name, Scope::Full)).transpose()?;
        Ok(Server {
            model: self.model.clone(),
            gpu: self.gpu.clone(),
            engine: self.engine.clone(),
            weights: self.weights.clone(),
            split: [self.tp, self.pp, self.ep, self.attention_dp],
            gpus: self.launched.as_ref().and_then(|s| s.gpus),
            kv: self.launched.as_ref().and_then(|s| s.kv.clone()),
            max_sequences: self.launched.as_ref().and_then(sequences),
            max_batched_tokens: self.launched.as_ref().and_then(|s| s.max_batched_tokens),
            memory_fraction: self.launched.as_ref().and_then(|s| s.memory_fraction),
        })
    }

    /// A flag that tells of a server, if one was given.
    fn first(&self) -> Option<&'static str> {
        let [tp, pp, ep, dp] = [self.tp, self.pp, self.ep, self.attention_dp].map(|d| d.is_some());
        let given = [
            ("--model", self.model.is_some()),
            ("--gpu", self.gpu.is_some()),
            ("--engine", self.engine.is_some()),
            ("--weights", self.weights.is_some()),
            ("--tp", tp),
            ("--pp", pp),
            ("--ep", ep),
            ("--attention-dp", dp),
        ];
        given.into_iter().find(|(_, given)| *given).map(|(name, _)| name)
    }

    fn told(&self, catalog: &Catalog) -> Result<Told, Diagnostic> {
        let engine = self.engine.as_deref().map(|name| catalog.engine(name)).transpose()?;
        talk::caveats(&engine);
        Ok(Told {
            gpu: self.gpu.as_deref().map(|name| catalog.gpu(name)).transpose()?,
            engine,
            tp: self.tp,
            pp: self.pp,
            ep: self.ep,
            attention_dp: self.attention_dp,
        })
    }

    /// The model that is named, else the log's.
    fn served(&self, log: &StartLog, catalog: &Catalog) -> Result<Model, Diagnostic> {
        let Some(name) = self.model.as_deref().or(log.model.as_deref()) else {
            return Err(
                Diagnostic::new(Code::Usage, "the log does not name the model").help("name it with --model")
            );
        };
        let model = model::find_in(catalog, name, Scope::Full)?;
        match &self.weights {
            Some(format) => Ok(model.with_weights(format.parse()?)),
            None => Ok(model),
        }
    }
}

/// Compares a log with what is predicted for its server.
fn compare_log(
    args: &ValidateArgs,
    told: &LogArgs,
    path: &Path,
    format: Format,
    catalog: &Catalog,
) -> Result<Outcome, Diagnostic> {
    let place = path.display().to_string();
    let log = StartLog::read(&load::text(path)?);
    let model = told.served(&log, catalog)?;
    let compared = compare(log, &model, &told.told(catalog)?, catalog).map_err(|d| d.within(place))?;
    let width = output::width();
    let text = report::log_comparison(&compared, &model.id).written(format, width)?;
    let text = text.trim_end().to_owned() + "\n";
    match &args.output {
        Some(path) => load::write_whole(path, text.as_bytes())?,
        None => print(&text)?,
    }
    Ok(Outcome::Found)
}

/// Runs the command on rows as `reader` understands them.
pub fn run(args: &ValidateArgs, catalog: &Catalog, reader: &dyn Reader) -> Result<Outcome, Diagnostic> {
    let format = args.format.printed()?;
    let kind: Kind = args.kind.parse()?;
    let of_file = args.output.as_deref().map_or(Ok(None), output::of_file)?;
    if let Some(path) = &args.output {
        load::check_writable(path)?;
    }
    let catalog = catalog.clone().with_models(&args.models)?;
    let launch = args.launch.launch.clone();
    let model = ModelRequest { model: args.log.model.clone(), ..ModelRequest::default() };
    let asked = Request { model, launch, ..Request::default() };
    let launched = Read::of(&asked, &catalog, &fetch::hub(false)?)?.map(|(read, _)| read);
    let told = args.log.with(launched);
    if let Some(log) = &args.log.log {
        if kind != Kind::Memory {
            return Err(Diagnostic::new(Code::Usage, "--log is of memory")
                .help("shardfit validate memory --log FILE"));
        }
        return compare_log(
            args,
            &told,
            log,
            args.format.asked()?.or(of_file).unwrap_or(Format::Table),
            &catalog,
        );
    }
    let file = args.file.as_deref().unwrap_or(Path::new(""));
    let predictor = Predictor { kind, catalog: &catalog, estimator: args.estimator.parse()?, reader };
    let result = if kind == Kind::Serving && is_results(file) {
        validate_results(file, &told.server(&catalog)?, &predictor, &args.by)?
    } else if is_results(file) {
        let cause = format!("result files of benchmarks are of serving, not of {}", args.kind);
        return Err(Diagnostic::new(Code::Usage, cause).at(file.display().to_string()));
    } else if let Some(flag) = args.log.first().or(args.launch.launch.as_ref().map(|_| "--launch")) {
        return Err(Diagnostic::new(Code::Usage, "rows of a CSV file say this in their columns")
            .at(flag)
            .help("the flag is for --log and for result files of benchmarks"));
    } else {
        validate(file, &predictor, &args.by)?
    };
    if let Some(unread) = Unread::sentence(&result.unread) {
        talk::say(&format!("note: {unread}"));
    }
    if matches!(kind, Kind::Memory | Kind::Serving) {
        let rows = (0..result.table.len()).map(|n| result.table.row(n));
        let named = rows.unique_by(|row| (row.text("engine"), row.text("engine_version")));
        talk::caveats(&named.filter_map(|row| row.engine(&catalog).ok()).collect::<Vec<_>>());
    }
    if let Some(path) = &args.output {
        let rows = Report::of_rows(report::predictions_sheet(&result));
        let text = rows.written(of_file.unwrap_or(Format::Csv), None)?;
        load::write_whole(path, text.as_bytes())?;
    }
    output::show(&report::validation(&result), format)?;
    Ok(if result.predicted() > 0 { Outcome::Found } else { Outcome::NothingFeasible })
}
