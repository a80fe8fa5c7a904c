//! `shardfit plan`: rank every plan.

use std::time::Instant;

use clap::Args;

use crate::ask::launched::Read;
use crate::ask::{self, Answered, Setting, View};
use crate::catalog::Catalog;
use crate::diagnostic::{Code, Diagnostic};
use crate::rank::Objective;
use crate::request::{Chosen, Explain, Lists, Request, Task, Texts, Values};
use crate::search::{Mode, Question, Stopped};
use crate::units::{Seconds, group_thousands};

use super::common::{
    ElectricityArgs, EngineArgs, ModelArgs, WorkloadArgs, compared, degrees, prices, resolve,
};
use super::emit::{self, EmitArgs};
use super::kernels::KernelsArgs;
use super::launch::LaunchArgs;
use super::limits::LimitArgs;
use super::outcome::Outcome;
use super::output::OutputArgs;
use super::stop::stop;
use super::talk;
use super::values::{count, names};

/// Arguments of `plan`.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
#[command(after_help = "Examples:\n  \
    shardfit plan llama-3.1-70b --cluster 8xh100-sxm --isl 2048 --osl 512 --ttft 1s --tpot 50ms\n  \
    shardfit plan deepseek-v3 --cluster 2x8xh200-sxm --engine any --rate 10 --objective cost\n  \
    shardfit plan llama-3.1-70b --cluster 8xh100-sxm --isl 1k,8k --prefix-hit 0,50% --tpot 50ms\n  \
    shardfit plan ./config.json --cluster 4xl40s --weights fp8 --explain 1\n  \
    shardfit plan llama-3.1-70b --gpu any,vendor=nvidia,measured --rate 5 --tpot 50ms\n  \
    shardfit plan --cluster 8xh100-sxm --current --launch serve.sh\n  \
    shardfit plan llama-3.1-70b --cluster 8xh100-sxm --why-not tp=2,pp=1 --format json")]
pub struct PlanArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// GPUs: 8xh100-sxm, 2x8xh200-sxm, a name, a YAML file, several kinds: 8xh100-sxm+8xa100-sxm-80gb; local is this
    /// machine, k8s the nodes that kubectl get nodes -o json lists; any for a usual server of each GPU that has a price,
    /// to choose from, with filters after it: any,vendor=nvidia,memory=80GiB,price=3,cloud=aws,measured
    #[arg(long, value_name = "CLUSTER", allow_hyphen_values = true, required_unless_present = "gpu")]
    cluster: Option<String>,
    /// Kinds of GPU to choose from, a usual server of each, e.g. l40s,h100-sxm; any as of --cluster
    #[arg(long, value_name = "GPU", value_delimiter = ',', conflicts_with = "cluster")]
    gpu: Vec<String>,
    #[command(flatten)]
    workload: WorkloadArgs,
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    pub(super) kernels: KernelsArgs,
    /// throughput, per-gpu, latency, cost or energy, or weights of several: throughput=2,ttft=1
    /// [default: throughput, of kinds of GPU to choose from cost]
    #[arg(long, value_name = "NAME", help_heading = "Ranking")]
    #[arg(value_parser = names(Objective::ALL.map(Objective::name)), hide_possible_values = true)]
    objective: Option<String>,
    /// Plans to show, one per layout
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = count(1..=EVERY), help_heading = "Ranking")]
    top: u64,
    /// Show the Pareto front instead of the ranking, over two or three of throughput, per-gpu, ttft, tpot,
    /// latency, cost, energy and gpus [default: per-gpu,tpot]
    #[arg(long, help_heading = "Ranking", conflicts_with_all = ["explain", "why_not"], value_name = "MEASURES")]
    #[arg(num_args = 0..=1, default_missing_value = "per-gpu,tpot")]
    pareto: Option<String>,
    /// Explain the plan of this rank, operator by operator
    #[arg(long, value_name = "RANK", help_heading = "Ranking", conflicts_with = "why_not")]
    #[arg(value_parser = count(1..=100_000))]
    explain: Option<u64>,
    /// Show every feasible layout
    #[arg(long, help_heading = "Ranking", conflicts_with = "top")]
    all: bool,
    /// Show every feasible batch of the layouts that are shown, each in a row under the rank of its layout
    #[arg(long, help_heading = "Ranking", conflicts_with_all = ["explain", "why_not", "pareto"])]
    batches: bool,
    /// List why plans fell, with how many and which came nearest, where some did not
    #[arg(long, help_heading = "Ranking", conflicts_with_all = ["explain", "why_not"])]
    why: bool,
    /// Say why a layout is not an answer, e.g. "tp=2,pp=1"; of split pools, "tp=4,prefill_tp=2"
    #[arg(long, value_name = "LAYOUT", help_heading = "Ranking")]
    why_not: Option<String>,
    /// Make sure that the first K plans hold the targets as simulated, at their largest batch or fewest replicas
    /// that do; 0 for the closed form alone [default: the first, and more where that takes little]
    #[arg(long, value_name = "K", value_parser = count(0..=1000), help_heading = "Ranking")]
    verify: Option<u64>,
    /// Hold the targets at this percentile, as simulated, where they name none themselves, e.g. p95
    /// [default: the mean]
    #[arg(long, value_name = "P", help_heading = "Targets")]
    percentile: Option<String>,
    /// Plan for limits on times that hold on a real server with this chance, by those measured, e.g. 90% [default: as
    /// estimated]
    #[arg(long, value_name = "CHANCE", help_heading = "Targets")]
    confidence: Option<String>,
    /// How the best plan moves when GPUs differ, e.g. hbm=+20%; of hbm, bandwidth, compute, scale-up, scale-out
    /// and price
    #[arg(long, value_name = "NAME=±N%", allow_hyphen_values = true, help_heading = "Ranking")]
    #[arg(conflicts_with_all = ["explain", "why_not"])]
    what_if: Vec<String>,
    /// What runs today, e.g. "tp=4,replicas=2": every plan shows its difference. Keys: tp, pp, ep,
    /// attention_dp, dcp, replicas, batch, gpu, engine, weights, kv, max_sequences, max_batched_tokens,
    /// memory_fraction. Alone: what --launch starts
    #[arg(long, value_name = "DEPLOYMENT", help_heading = "Ranking", conflicts_with_all = ["explain", "why_not"])]
    #[arg(num_args = 0..=1, default_missing_value = ask::launched::AS_LAUNCHED)]
    current: Option<String>,
    #[command(flatten)]
    launch: LaunchArgs,
    /// Price per GPU and hour in dollars, e.g. h100-sxm=2.10
    #[arg(long, value_name = "GPU=USD", help_heading = "Ranking")]
    price: Vec<String>,
    #[command(flatten)]
    electricity: ElectricityArgs,
    #[command(flatten)]
    pins: PinArgs,
    #[command(flatten)]
    budget: LimitArgs,
    /// aggregated (every replica does everything), split (pools of prefill and decode workers) or any
    #[arg(long, default_value = "aggregated", value_name = "MODE", help_heading = "Search")]
    #[arg(value_parser = names(Mode::ALL.map(Mode::name)), hide_possible_values = true)]
    mode: String,
    /// Look at every plan, even those proven to be no better than others; the answer is the same
    #[arg(long, help_heading = "Search")]
    exhaustive: bool,
    /// Stop after this time with the best found by then, e.g. 500ms; Ctrl-C does the same
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, help_heading = "Search")]
    time_limit: Option<String>,
    #[command(flatten)]
    emit: EmitArgs,
    /// The plan that --emit writes, by its rank, or where no limit is named fastest, balanced or most_throughput
    /// [default: 1; where several pools, or replicas of different sizes, deliver more, all parts of those]
    #[arg(long, value_name = "RANK", requires = "emit", help_heading = "Launch")]
    rank: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
    /// Print times to stderr
    #[arg(long, help_heading = "Output")]
    timings: bool,
}

/// As many layouts as are ever ranked.
const EVERY: u64 = 100_000;

/// Axes to pin: a value, a list (2,4) or a range (1..4).
#[derive(Debug, Args)]
struct PinArgs {
    /// Tensor parallel; with split pools, as the others, of the decode workers
    #[arg(long, value_name = "N", help_heading = "Pinned axes (a value, a list 2,4 or a range 1..4)")]
    tp: Option<String>,
    /// Pipeline stages
    #[arg(long, value_name = "N", help_heading = "Pinned axes (a value, a list 2,4 or a range 1..4)")]
    pp: Option<String>,
    /// Expert parallel
    #[arg(long, value_name = "N", help_heading = "Pinned axes (a value, a list 2,4 or a range 1..4)")]
    ep: Option<String>,
    /// Attention data parallel
    #[arg(long, value_name = "N", help_heading = "Pinned axes (a value, a list 2,4 or a range 1..4)")]
    attention_dp: Option<String>,
    /// Decode context parallel: tensor-parallel ranks that hold the same key-value heads divide the tokens of
    /// each sequence [default: powers of two where some hold the same, without attention data parallel]
    #[arg(long, value_name = "N", help_heading = "Pinned axes (a value, a list 2,4 or a range 1..4)")]
    dcp: Option<String>,
    /// Replicas
    #[arg(long, value_name = "N", help_heading = "Pinned axes (a value, a list 2,4 or a range 1..4)")]
    replicas: Option<String>,
    /// Requests in flight on each replica
    #[arg(long, value_name = "N", help_heading = "Pinned axes (a value, a list 2,4 or a range 1..4)")]
    batch: Option<String>,
    /// Tensor parallel of the prefill workers
    #[arg(long, value_name = "N", help_heading = "Pinned axes (a value, a list 2,4 or a range 1..4)")]
    prefill_tp: Option<String>,
    /// Pipeline stages of the prefill workers
    #[arg(long, value_name = "N", help_heading = "Pinned axes (a value, a list 2,4 or a range 1..4)")]
    prefill_pp: Option<String>,
    /// Expert parallel of the prefill workers
    #[arg(long, value_name = "N", help_heading = "Pinned axes (a value, a list 2,4 or a range 1..4)")]
    prefill_ep: Option<String>,
    /// Attention data parallel of the prefill workers
    #[arg(long, value_name = "N", help_heading = "Pinned axes (a value, a list 2,4 or a range 1..4)")]
    prefill_attention_dp: Option<String>,
}

impl PinArgs {
    fn fill(&self, request: &mut Request) -> Result<(), Diagnostic> {
        let values = |flag: &str, text: &Option<String>| match text {
            None => Ok(None),
            text => degrees(flag, text).map(|all| Some(Values(all))),
        };
        request.tp = values("--tp", &self.tp)?;
        request.pp = values("--pp", &self.pp)?;
        request.ep = values("--ep", &self.ep)?;
        request.attention_dp = values("--attention-dp", &self.attention_dp)?;
        request.dcp = values("--dcp", &self.dcp)?;
        request.prefill_tp = values("--prefill-tp", &self.prefill_tp)?;
        request.prefill_pp = values("--prefill-pp", &self.prefill_pp)?;
        request.prefill_ep = values("--prefill-ep", &self.prefill_ep)?;
        request.prefill_attention_dp = values("--prefill-attention-dp", &self.prefill_attention_dp)?;
        request.replicas = values("--replicas", &self.replicas)?;
        request.batch = values("--batch", &self.batch)?;
        Ok(())
    }
}

impl PlanArgs {
    /// What is asked, with the first of several values, and the lists of them.
    fn request(&self) -> Result<(Request, Lists), Diagnostic> {
        let mut lists = Lists::default();
        let limit = |text: &String| {
            text.parse::<Seconds>().map_err(|cause| Diagnostic::new(Code::Range, cause).at("--time-limit"))
        };
        let mut request = Request {
            cluster: self.cluster.clone(),
            gpu: Texts::given(&self.gpu),
            objective: self.objective.clone(),
            top: Some(if self.all { EVERY } else { self.top }),
            batches: self.batches.then_some(true),
            pareto: self.pareto.clone(),
            verify: self.verify,
            percentile: self.percentile.clone(),
            confidence: self.confidence.clone(),
            what_if: Texts::given(&self.what_if),
            current: self.current.clone(),
            launch: self.launch.launch.clone(),
            price: prices(&self.price),
            mode: Some(self.mode.clone()),
            exhaustive: self.exhaustive.then_some(true),
            time_limit: self.time_limit.as_ref().map(limit).transpose()?,
            explain: self.explain.map(Explain::Rank),
            why_not: self.why_not.clone(),
            emit: self.emit.given(),
            rank: self.rank.as_deref().map(Chosen::from),
            ..Request::default()
        };
        self.model.fill(&mut request);
        self.workload.fill(&mut request, &mut lists)?;
        self.engine.fill(&mut request);
        self.electricity.fill(&mut request);
        self.pins.fill(&mut request)?;
        self.budget.fill(&mut request);
        Ok((request, lists))
    }
}

/// Runs the command.
pub fn run(args: &PlanArgs, catalog: &Catalog) -> Result<Outcome, Diagnostic> {
    let started = Instant::now();
    let (mut request, lists) = args.request()?;
    ask::plan::check(&request)?;
    let format = if request.emit.is_none() { args.output.prepare()? } else { emit::prepare(&args.output)? };
    let view = View { why: args.why, ..View::new(format, args.output.width()) };
    let points = request.with_lists(&lists, Task::Plan)?;
    if points.len() > 1 {
        let setting = Setting { catalog, hub: args.model.hub()?, stop: stop(None) };
        return compared(Task::Plan, &points, &setting, (&args.output, view));
    }
    let launched = Read::current(&mut request, catalog, &args.model.hub()?)?;
    launched.iter().flat_map(Read::remarks).for_each(|remark| talk::say(&remark));
    let resolved = resolve(&request, Task::Plan, catalog)?;
    let question = Question { stop: stop(resolved.time_limit), ..resolved.question() };
    let loaded = started.elapsed();
    if let Some(layout) = &request.why_not {
        let examined = ask::plan::why_not(&resolved, &question, layout, view)?;
        return args.output.answer(&examined);
    }
    let answer = question.answer()?;
    let planned = resolved.conclude(&question, answer)?;
    let searched = started.elapsed();
    let answered = ask::plan::written(&request, &resolved, &question, &planned, (catalog, view))?;
    let outcome = match request.emit {
        None => args.output.answer(&answered)?,
        Some(_) => emit::answer(&args.output, &answered)?,
    };
    if matches!(answered, Answered::Files(_)) {
        return Ok(outcome);
    }
    let answer = &planned.answer;
    talk::note(|| format!("walked {} plans", group_thousands(answer.counts.plans)));
    if answer.stopped != Stopped::Complete {
        talk::say(&format!(
            "note: stopped early ({}): {} of {} plans were not looked at",
            answer.stopped.name(),
            group_thousands(answer.counts.unseen),
            group_thousands(answer.counts.plans)
        ));
    }
    if args.timings {
        let ms = |d: std::time::Duration| d.as_secs_f64() * 1e3;
        anstream::eprintln!(
            "load {:.2} ms, search {:.2} ms, report {:.2} ms",
            ms(loaded),
            ms(searched - loaded),
            ms(started.elapsed() - searched)
        );
    }
    Ok(match (!answer.is_found(), answer.stopped) {
        (false, _) => outcome,
        (true, Stopped::Complete) => Outcome::NothingFeasible,
        (true, _) => Outcome::Stopped,
    })
}
