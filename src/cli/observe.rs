//! `shardfit observe`: a live server, or what a benchmark measured of it, beside what is predicted for it.

use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};

use crate::ask::launched::Read;
use crate::catalog::Catalog;
use crate::diagnostic::{Code, Diagnostic};
use crate::load;
use crate::observe::explain::explain;
use crate::observe::{Change, Compared, FIGURES, Figures, Known, Observation, Observed, learn, metrics};
use crate::report;
use crate::request::launched::sequences;
use crate::request::{Counts, Deployed, LengthEntry, RateEntry, Request, ShareEntry, Simulated, Task, Texts};
use crate::simulate::Lengths;
#[cfg(feature = "fetch")]
use crate::units::Seconds;
use crate::validate::{RESULT_COLUMNS, Server as Told, read_results, result_row};
use crate::workload::MAX_CONCURRENCY;

use super::common::{EngineArgs, ModelArgs, rate, resolve};
use super::kernels::KernelsArgs;
use super::launch::LaunchArgs;
use super::outcome::Outcome;
use super::output::OutputArgs;
use super::place::PlaceArgs;
use super::speculation::SpeculationArgs;
use super::talk;
use super::values::{count, share};

/// Arguments of `observe`.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
#[command(after_help = "Examples:\n  \
    shardfit observe --url http://127.0.0.1:8000 --launch serve.sh --gpu h100-sxm --concurrency 16\n  \
    shardfit observe --results bench.json --launch serve.sh --gpu h100-sxm --learn mine\n  \
    shardfit observe llama-3.1-8b --gpu l40s --url http://10.0.0.2:8000 --rate 2 --requests 100 --learn mine")]
pub struct ObserveArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    launch: LaunchArgs,
    #[command(flatten)]
    seen: SeenArgs,
    #[command(flatten)]
    load: LoadArgs,
    #[command(flatten)]
    speculation: SpeculationArgs,
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    pub(super) kernels: KernelsArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Where it is seen.
#[derive(Debug, Args)]
#[command(next_help_heading = "Server")]
struct SeenArgs {
    /// Address of an OpenAI-compatible server to drive, e.g. http://127.0.0.1:8000
    #[arg(long, value_name = "URL", required_unless_present = "results", conflicts_with = "results")]
    url: Option<String>,
    /// Result of a benchmark instead: vllm bench serve, SGLang's bench_serving, trtllm-bench, aiperf or GuideLLM;
    /// a file (.json, .jsonl) or a folder of them
    #[arg(long, value_name = "FILE", value_hint = ValueHint::AnyPath)]
    results: Option<PathBuf>,
    /// What the server said at /metrics after that benchmark, saved
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "results")]
    metrics: Option<PathBuf>,
    /// Name of the model in requests [default: the server's first]
    #[arg(long, value_name = "NAME", requires = "url")]
    served_model: Option<String>,
    /// Environment variable that holds the server's key
    #[arg(long, value_name = "NAME", requires = "url")]
    key_variable: Option<String>,
    /// Append what was measured as rows to measured/serving.csv of a folder, from which `calibrate` makes constants
    /// of your own [default folder: shardfit's in the configuration folder]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, num_args = 0..=1)]
    learn: Option<Option<PathBuf>>,
}

/// The load on a live server.
#[derive(Debug, Args)]
#[command(next_help_heading = "Load")]
struct LoadArgs {
    /// Prompt tokens: 512, uniform:LOW..HIGH or lognormal:MEAN,SIGMA [default: 512]
    #[arg(long, value_name = "LENGTHS", allow_hyphen_values = true)]
    isl: Option<String>,
    /// Output tokens, in the same forms [default: 128]
    #[arg(long, value_name = "LENGTHS", allow_hyphen_values = true)]
    osl: Option<String>,
    /// Clients that send their next request when the last is answered [default: 8]
    #[arg(long, value_name = "N", value_parser = count(1..=MAX_CONCURRENCY), conflicts_with = "rate")]
    concurrency: Option<u64>,
    /// Requests per second, however long the answers take
    #[arg(long, value_name = "RATE", allow_hyphen_values = true)]
    rate: Option<String>,
    /// Requests that count [default: four for each client, of a rate a minute's, at least 16]
    #[arg(long, value_name = "N", value_parser = count(1..=100_000))]
    requests: Option<u64>,
    /// Requests in the beginning that do not count
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = count(0..=100_000))]
    warmup: u64,
    /// Share of each prompt that is in the prefix cache, as predicted
    #[arg(long, value_name = "X", value_parser = share)]
    prefix_hit: Option<f64>,
    /// Seed of what is drawn; the same seed sends the same requests
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = count(0..=u64::MAX))]
    seed: u64,
    /// Send nothing after this time
    #[arg(long, value_name = "TIME", default_value = "5min", allow_hyphen_values = true)]
    time_limit: String,
    /// Give an answer up after this time
    #[arg(long, value_name = "TIME", default_value = "2min", allow_hyphen_values = true)]
    request_timeout: String,
}

#[cfg(feature = "fetch")]
fn time(flag: &str, text: &str) -> Result<std::time::Duration, Diagnostic> {
    let seconds =
        text.parse::<Seconds>().map_err(|cause| Diagnostic::new(Code::Range, cause).at(flag.to_owned()))?;
    std::time::Duration::try_from_secs_f64(seconds.get())
        .ok()
        .filter(|t| (0.001..=86_400.0).contains(&t.as_secs_f64()))
        .ok_or_else(|| {
            Diagnostic::new(Code::Range, format!("{text} is from a millisecond to a day")).at(flag.to_owned())
        })
}

/// Lengths as they are spelled: a number is that number and no spread around it.
fn lengths(flag: &str, text: Option<&str>, usual: u64) -> Result<Lengths, Diagnostic> {
    let read = text.map(str::parse::<Lengths>).transpose().map_err(|d| d.at(flag.to_owned()))?;
    Ok(match read.unwrap_or(Lengths::Fixed(usual)) {
        Lengths::Fixed(n) => Lengths::Uniform { low: n, high: n },
        other => other,
    })
}

impl LoadArgs {
    /// Puts the load into a request.
    fn fill(&self, request: &mut Request) -> Result<(), Diagnostic> {
        request.isl = Some(LengthEntry(lengths("--isl", self.isl.as_deref(), 512)?));
        request.osl = Some(LengthEntry(lengths("--osl", self.osl.as_deref(), 128)?));
        request.rate = self.rate.as_deref().map(rate).transpose()?;
        if request.rate.is_none() {
            request.concurrency = Some(self.concurrency.unwrap_or(8));
        }
        request.warmup = Some(self.warmup);
        request.seed = Some(self.seed);
        request.prefix_hit = self.prefix_hit.map(ShareEntry);
        let a_minute = request.rate.as_ref().map(|r| (r.0.get() * 60.0).ceil() as u64);
        let usual = a_minute.unwrap_or(4 * request.concurrency.unwrap_or(1)).clamp(16, 100_000);
        request.requests = Some(self.requests.unwrap_or(usual));
        Ok(())
    }
}

/// A request of one deployment with its load, as simulations take it.
fn driven(request: &Request) -> Request {
    let protocol = match (&request.concurrency, &request.rate) {
        (Some(_), _) => "inferencex",
        (None, Some(_)) => "mlperf-server",
        (None, None) => "trtllm-bench",
    };
    Request { protocol: Some(protocol.to_owned()), ..request.clone() }
}

/// Runs the command.
pub fn run(args: &ObserveArgs, catalog: &Catalog) -> Result<Outcome, Diagnostic> {
    let format = args.output.prepare()?;
    let folder = args.seen.learn.as_ref().map(|given| folder(given.as_deref())).transpose()?;
    let mut request = Request::default();
    args.model.fill(&mut request);
    args.place.fill(&mut request);
    args.speculation.fill(&mut request);
    args.engine.fill(&mut request);
    request.launch.clone_from(&args.launch.launch);
    let launched = Read::into(&mut request, catalog, &args.model.hub()?)?;
    request.launch = None;
    launched.iter().flat_map(Read::remarks).for_each(|remark| talk::say(&remark));
    let (told, rows) = (told(&request, launched.as_ref(), catalog)?, &mut Vec::new());
    let mut observed = Vec::new();
    match (&args.seen.results, &args.seen.url) {
        (Some(path), _) => {
            let place = path.display().to_string();
            let table = read_results(path, &told)?;
            let counters = match &args.seen.metrics {
                Some(path) => metrics::read(&load::text(path)?),
                None => metrics::Counters::default(),
            };
            for n in 0..table.len() {
                let row = table.row(n);
                let wrong = |cause: String| Diagnostic::new(Code::Range, cause).at(place.clone());
                let mut seen = Observation::of_row(&row, &place).map_err(wrong)?;
                seen.counters = counters;
                let mut of_row = request.clone();
                of_row.model.model = of_row.model.model.or(seen.model.clone());
                if of_row.engine.is_none() {
                    let version = row.text("engine_version").map(|v| format!("@{v}")).unwrap_or_default();
                    of_row.engine = row.text("engine").map(|e| Texts(vec![format!("{e}{version}")]));
                }
                take(&mut of_row, &row);
                load_of(&mut of_row, &seen);
                observed.push(beside(&of_row, seen, launched.as_ref(), None, catalog)?);
                rows.push(row.cells().map(str::to_owned).collect::<Vec<_>>());
            }
        }
        (None, Some(url)) => {
            args.load.fill(&mut request)?;
            let seen = live(args, &request, url, catalog)?;
            let asked = request.osl.as_ref().map(|l| l.0.mean());
            let mut cells = seen.cells();
            let mut predicted = request.clone();
            if asked.is_some_and(|asked| seen.osl < asked * 0.95) {
                let n = seen.osl.round().max(1.0) as u64;
                predicted.osl = Some(LengthEntry(Lengths::Uniform { low: n, high: n }));
            }
            cells.entry("engine").or_insert_with(|| engine_of(&request, launched.as_ref()));
            rows.push(result_row(cells, &format!("{} {}", seen.source, now()), url, &told)?);
            observed.push(beside(&predicted, seen, launched.as_ref(), asked, catalog)?);
        }
        (None, None) => {
            return Err(Diagnostic::new(Code::Usage, "nothing to observe").help("--url or --results"));
        }
    }
    let kept = folder.map(|folder| learn::append(&folder, &RESULT_COLUMNS, rows)).transpose()?;
    args.output.report(&report::observation(&observed), format)?;
    if let Some(kept) = kept {
        let engine = rows.first().and_then(|row| row.get(1)).map_or("vllm", String::as_str);
        let (file, constants) = (kept.path.display(), kept.constants.join(format!("{engine}.yaml")));
        talk::say(&format!("learned {} of {} rows: {file} has {}", kept.added, rows.len(), kept.rows));
        talk::say(&format!("next: shardfit calibrate {file} --engine {engine} -o {}", constants.display()));
    }
    let any = observed.iter().any(|o| o.compared.iter().any(|c| c.ratio().is_some()));
    Ok(if any { Outcome::Found } else { Outcome::NothingFeasible })
}

/// The folder that rows are kept in: the user's own unless one is given.
fn folder(given: Option<&Path>) -> Result<PathBuf, Diagnostic> {
    let usual = || {
        Catalog::own_folder().ok_or_else(|| {
            Diagnostic::new(Code::File, "there is no configuration folder").at("--learn").help("--learn DIR")
        })
    };
    let folder = given.map_or_else(usual, |given| Ok(given.to_owned()))?;
    load::make_folder(&folder)?;
    Ok(folder)
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn engine_of(request: &Request, launched: Option<&Read>) -> String {
    let named = request.engine.as_ref().and_then(|e| e.0.first());
    let named = named.map(|e| e.split('@').next().unwrap_or(e).to_owned());
    named.or(launched.map(|l| l.main().engine.clone())).unwrap_or_else(|| "vllm".to_owned())
}

/// What rows are told of the server.
fn told(request: &Request, launched: Option<&Read>, catalog: &Catalog) -> Result<Told, Diagnostic> {
    let server = launched.map(Read::main);
    let degree = |values: &Option<crate::request::Values>| values.as_ref().and_then(|v| v.0.first()).copied();
    let one = |texts: &Option<Texts>| texts.as_ref().and_then(|t| t.0.first()).cloned();
    let gpu = match (&request.cluster, one(&request.gpu)) {
        (_, Some(gpu)) => Some(catalog.gpu(&gpu)?.id),
        (Some(cluster), None) => catalog.pools(cluster)?.pools.first().map(|p| p.gpu.id.clone()),
        (None, None) => None,
    };
    let ranks = |split: Option<u32>| u64::from(split.unwrap_or(1));
    let of_flags = ranks(degree(&request.tp))
        * ranks(degree(&request.pp))
        * ranks(degree(&request.attention_dp))
        * ranks(degree(&request.replicas));
    Ok(Told {
        model: request.model.model.clone(),
        gpu,
        engine: one(&request.engine),
        weights: one(&request.weights),
        split: [degree(&request.tp), degree(&request.pp), degree(&request.ep), degree(&request.attention_dp)],
        gpus: server.and_then(|s| s.gpus).or(Some(of_flags).filter(|_| request.tp.is_some())),
        kv: one(&request.kv),
        max_sequences: server
            .and_then(sequences)
            .or_else(|| request.max_sequences.as_ref().and_then(|Counts(n)| n.first().copied())),
        max_batched_tokens: request.max_batched_tokens.as_ref().and_then(|Counts(n)| n.first().copied()),
        memory_fraction: request.memory_fraction,
    })
}

/// What a row says of its server and the request does not.
fn take(request: &mut Request, row: &crate::validate::Row) {
    let degree = |column: &str| Some(crate::request::Values(vec![row.degree(column)]));
    if request.tp.is_none() && request.prefill.is_none() {
        request.tp = degree("tp");
        request.pp = request.pp.take().or_else(|| degree("pp"));
        request.ep = request.ep.take().or_else(|| degree("ep"));
        request.attention_dp = request.attention_dp.take().or_else(|| degree("attention_dp"));
    }
    if request.max_sequences.is_none() {
        request.max_sequences = row.whole("max_num_seqs").map(|n| Counts(vec![n]));
    }
    if request.max_batched_tokens.is_none() {
        request.max_batched_tokens = row.whole("max_num_batched_tokens").map(|n| Counts(vec![n]));
    }
    request.memory_fraction = request.memory_fraction.or(row.number("gpu_memory_utilization"));
}

/// The load of a row.
fn load_of(request: &mut Request, seen: &Observation) {
    let fixed = |n: f64| {
        let n = n.round().max(1.0) as u64;
        Some(LengthEntry(Lengths::Uniform { low: n, high: n }))
    };
    (request.isl, request.osl) = (fixed(seen.isl), fixed(seen.osl));
    request.concurrency = seen.concurrency;
    request.rate = match seen.concurrency {
        Some(_) => None,
        None => seen.rate.map(|r| RateEntry(crate::units::RequestsPerSecond::new(r))),
    };
    request.requests = Some(seen.answered.max(1)).filter(|_| seen.answered > 0);
    request.warmup = Some(0);
}

/// Drives the server with the requests that the simulation of the same question sends.
#[cfg(feature = "fetch")]
fn live(
    args: &ObserveArgs,
    request: &Request,
    url: &str,
    catalog: &Catalog,
) -> Result<Observation, Diagnostic> {
    use crate::observe::{drive, http};
    let key = args.seen.key_variable.as_ref().map(|name| {
        let unset =
            || Diagnostic::new(Code::Usage, format!("the environment has no `{name}`")).at("--key-variable");
        std::env::var(name).map(http::Key).map_err(|_| unset())
    });
    let resolved = resolve(&driven(request), Task::Simulate, catalog)?;
    let drive = resolved
        .drive()
        .ok_or_else(|| Diagnostic::new(Code::Usage, "a live server is driven with drawn requests"))?;
    let in_flight = request.concurrency.unwrap_or(64) as usize;
    let timeout = time("--request-timeout", &args.load.request_timeout)?;
    let client = http::Client::new(url, timeout, in_flight, key.transpose()?)?;
    let bounds = drive::Bounds {
        time: time("--time-limit", &args.load.time_limit)?,
        vocabulary: resolved.model.vocabulary,
    };
    let bar = super::progress::bar(drive.requests.total(), "requests")?;
    let seen = drive::run(&client, args.seen.served_model.as_deref(), drive, bounds, |n| bar.set_position(n));
    bar.finish_and_clear();
    seen
}

#[cfg(not(feature = "fetch"))]
fn live(_: &ObserveArgs, _: &Request, url: &str, _: &Catalog) -> Result<Observation, Diagnostic> {
    Err(Diagnostic::new(Code::Usage, "this build cannot reach a server")
        .at(url.to_owned())
        .help("build with the feature `fetch`, or read a benchmark's result with --results"))
}

/// Figures of the simulation of a request; none where it cannot run.
fn simulated(request: &Request, catalog: &Catalog) -> Result<Option<Figures>, Diagnostic> {
    let Simulated::Ran { outcome, .. } = resolve(&driven(request), Task::Simulate, catalog)?.simulate()?
    else {
        return Ok(None);
    };
    Ok(Some(Figures::from([
        ("ttft_ms", outcome.ttft.mean().as_millis()),
        ("median_ttft_ms", outcome.ttft.quantile(0.5).as_millis()),
        ("tpot_ms", outcome.tpot.mean().as_millis()),
        ("median_tpot_ms", outcome.tpot.quantile(0.5).as_millis()),
        ("e2e_ms", outcome.e2e.mean().as_millis()),
        ("output_tok_s", outcome.output().get()),
        ("req_s", outcome.rate().get()),
    ])))
}

/// An observation beside what is predicted for it.
fn beside(
    request: &Request,
    seen: Observation,
    launched: Option<&Read>,
    asked: Option<f64>,
    catalog: &Catalog,
) -> Result<Observed, Diagnostic> {
    // An estimate is of the mean lengths and has no protocol.
    let means = |entry: &Option<LengthEntry>| {
        entry.as_ref().map(|l| LengthEntry(Lengths::Fixed(l.0.mean().round().max(1.0) as u64)))
    };
    let plain = Request {
        isl: means(&request.isl),
        osl: means(&request.osl),
        burstiness: None,
        protocol: None,
        requests: None,
        warmup: None,
        seed: None,
        ..request.clone()
    };
    let resolved = resolve(&plain, Task::Estimate, catalog)?;
    let estimated = resolved.estimate()?;
    let estimate = &estimated.estimate;
    let mut predicted = simulated(request, catalog)?.unwrap_or_default();
    if let Some(Deployed::Replicas(split, 1)) = resolved.deployed {
        let tokens = estimate.memory.kv_cache_tokens.saturating_mul(split.attention_dp.into());
        predicted.insert("kv_cache_tokens", tokens as f64);
    }
    let range = |column: &str| {
        let r = estimate.ranges.as_ref()?;
        let (low, high) = match column {
            "ttft_ms" | "median_ttft_ms" => {
                (r.ttft.0 / estimate.service.ttft, r.ttft.1 / estimate.service.ttft)
            }
            "tpot_ms" | "median_tpot_ms" => {
                (r.tpot.0 / estimate.service.tpot, r.tpot.1 / estimate.service.tpot)
            }
            "output_tok_s" | "req_s" if request.rate.is_none() => {
                (r.output.0.get() / estimate.output.get(), r.output.1.get() / estimate.output.get())
            }
            _ => return None,
        };
        let of = predicted.get(column)?;
        Some((of * low, of * high)).filter(|(low, high)| low.is_finite() && high.is_finite())
    };
    let compared: Vec<Compared> = FIGURES
        .into_iter()
        .map(|figure| Compared {
            figure,
            measured: seen.measured.get(figure.column).copied(),
            predicted: predicted.get(figure.column).copied(),
            range: range(figure.column),
        })
        .filter(|c| c.measured.is_some())
        .collect();
    let version = launched.and_then(|l| l.main().version.clone());
    let known = Known {
        version: version.as_deref(),
        osl: asked,
        acceptance: request.acceptance.filter(|_| request.speculate.is_some()),
        prefix_hit: request.prefix_hit.map_or(0.0, |hit| hit.0),
    };
    let again = |change: Change| {
        let mut changed = request.clone();
        match change {
            Change::PrefixHit(hit) => changed.prefix_hit = Some(hit).filter(|h| *h > 0.0).map(ShareEntry),
            Change::Sequences(n) => changed.max_sequences = Some(Counts(vec![n])),
        }
        simulated(&changed, catalog).ok().flatten()
    };
    let explanations = explain(&seen, &compared, &known, again);
    let subject = format!(
        "{} {}, {} × {} on {}, weights {}, KV cache {}",
        estimate.engine,
        estimate.engine_version,
        estimate.parallelism,
        estimate.replicas,
        estimate.gpu,
        estimate.weights.name(),
        estimate.kv.name()
    );
    Ok(Observed { seen, subject, compared, explanations })
}
