//! `shardfit plan`: rank every plan.

use std::time::Instant;

use clap::Args;

use crate::catalog::Catalog;
use crate::diagnostic::{Code, Diagnostic};
use crate::estimate::deployment::Estimate;
use crate::plan::Degrees;
use crate::plan::space::Pins;
use crate::rank::{Front, Measure, Objective};
use crate::report::{self, Format, Row, Sheet, Subject};
use crate::search::{Answer, Check, Mode, Question, Stopped, UNASKED_PLANS, WhatIf};
use crate::units::group_thousands;

use super::common::{ElectricityArgs, EngineArgs, ModelArgs, WorkloadArgs, degrees, explained, pools};
use super::kernels::{self, KernelsArgs};
use super::layout;
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
    shardfit plan ./config.json --cluster 4xl40s --weights fp8 --explain 1\n  \
    shardfit plan llama-3.1-70b --cluster 8xh100-sxm --why-not tp=2,pp=1 --format json")]
pub struct PlanArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// GPUs: 8xh100-sxm, 2x8xh200-sxm, a name, a YAML file, or several kinds: 8xh100-sxm+8xa100-sxm-80gb
    #[arg(long, value_name = "CLUSTER", allow_hyphen_values = true)]
    cluster: String,
    #[command(flatten)]
    workload: WorkloadArgs,
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    pub(super) kernels: KernelsArgs,
    /// throughput, per-gpu, latency, cost or energy, or weights of several: throughput=2,ttft=1
    #[arg(long, default_value = "throughput", value_name = "NAME", help_heading = "Ranking")]
    #[arg(value_parser = names(Objective::ALL.map(Objective::name)), hide_possible_values = true)]
    objective: String,
    /// Plans to show, one per layout
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = count(1..=100_000), help_heading = "Ranking")]
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
    /// Say why a layout is not an answer, e.g. "tp=2,pp=1"; of split pools, "tp=4,prefill_tp=2"
    #[arg(long, value_name = "LAYOUT", help_heading = "Ranking")]
    why_not: Option<String>,
    /// Simulate the first K plans, drop those that miss a target and rank by that; 0 for none [default: up to
    /// 3, where that is worth some 20 ms, and none is dropped]
    #[arg(long, value_name = "K", value_parser = count(0..=1000), help_heading = "Ranking")]
    verify: Option<u64>,
    /// Hold the targets at this percentile, as simulated, instead of on the mean [default with --verify: mean]
    #[arg(long, value_name = "P", help_heading = "Ranking", requires = "verify")]
    percentile: Option<String>,
    /// How the best plan moves when GPUs differ, e.g. hbm=+20%; of hbm, bandwidth, compute, scale-up, scale-out
    /// and price
    #[arg(long, value_name = "NAME=±N%", allow_hyphen_values = true, help_heading = "Ranking")]
    #[arg(conflicts_with_all = ["explain", "why_not"])]
    what_if: Vec<String>,
    /// What runs today, e.g. "tp=4,replicas=2": every plan shows its difference. Keys: tp, pp, ep,
    /// attention_dp, dcp, replicas, batch, gpu, engine, weights, kv
    #[arg(long, value_name = "DEPLOYMENT", help_heading = "Ranking", conflicts_with_all = ["explain", "why_not"])]
    current: Option<String>,
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
    output: OutputArgs,
    /// Print times to stderr
    #[arg(long, help_heading = "Output")]
    timings: bool,
}

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
    #[arg(long, visible_alias = "decode-context-parallel", alias = "decode-context-parallel-size")]
    #[arg(value_name = "N", help_heading = "Pinned axes (a value, a list 2,4 or a range 1..4)")]
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
    fn pins(&self) -> Result<Pins, Diagnostic> {
        Ok(Pins {
            split: Degrees {
                tp: degrees("--tp", &self.tp)?,
                pp: degrees("--pp", &self.pp)?,
                ep: degrees("--ep", &self.ep)?,
                attention_dp: degrees("--attention-dp", &self.attention_dp)?,
                dcp: degrees("--dcp", &self.dcp)?,
            },
            prefill: Degrees {
                tp: degrees("--prefill-tp", &self.prefill_tp)?,
                pp: degrees("--prefill-pp", &self.prefill_pp)?,
                ep: degrees("--prefill-ep", &self.prefill_ep)?,
                attention_dp: degrees("--prefill-attention-dp", &self.prefill_attention_dp)?,
                dcp: Vec::new(),
            },
            replicas: degrees("--replicas", &self.replicas)?,
            batch: degrees("--batch", &self.batch)?.into_iter().map(u64::from).collect(),
        })
    }
}

/// Runs the command.
pub fn run(args: &PlanArgs, catalog: &Catalog) -> Result<Outcome, Diagnostic> {
    let started = Instant::now();
    let format = args.output.prepare()?;
    let objective: Objective = args.objective.parse()?;
    let model = args.model.find(catalog)?;
    let workload = args.budget.applied(args.workload.workload(&model)?)?;
    let stop = stop(args.time_limit.as_deref())?;
    let mut cluster = pools(catalog, &args.cluster, &args.price)?;
    args.engine.host.on(&mut cluster.pools)?;
    let engines = args.engine.engines(catalog, &cluster.pools)?;
    let current =
        args.current.as_deref().map(|text| layout::deployment(catalog, "--current", text)).transpose()?;
    let named = current.iter().filter_map(|c| c.engine.clone());
    let measured: Vec<_> = engines.iter().cloned().chain(named).collect();
    kernels::measure(catalog, &mut cluster.pools, &measured, &model)?;
    let check = args.check()?;
    let top = usize::try_from(args.top).unwrap_or(usize::MAX);
    let (pins, mode) = (args.pins.pins()?, args.mode()?);
    if mode == Mode::Aggregated && pins.prefill != Degrees::default() {
        let cause = "prefill workers are pinned, and there are none";
        return Err(Diagnostic::new(Code::Usage, cause).at("--prefill-…").help("add --mode split or any"));
    }
    let question = Question {
        model: &model,
        pools: &cluster.pools,
        engines: &engines,
        workload,
        objective,
        precisions: args.engine.precisions()?,
        pins,
        launches: args.engine.launches(args.workload.speculates_or_not())?,
        electricity: args.electricity.electricity()?,
        current,
        // Beside those that are shown, some to take the place of plans that a simulation drops.
        top: top.saturating_add(check.map_or(UNASKED_PLANS, |c| c.plans)),
        mode,
        front: args.front()?,
        exhaustive: args.exhaustive,
        stop,
    };
    let subject = Subject {
        model: &model,
        cluster: &cluster.id,
        pools: &cluster.pools,
        engines: &engines,
        workload: &workload,
    };
    let loaded = started.elapsed();
    if let Some(layout) = &args.why_not {
        return why_not(args, format, &subject, &question, layout);
    }
    let what_if: Vec<WhatIf> = args
        .what_if
        .iter()
        .map(|text| text.parse::<WhatIf>().map_err(|d| d.within("--what-if")))
        .collect::<Result<_, _>>()?;
    let answer = question.answer()?;
    let found = started.elapsed();
    let check = match check {
        Some(check) => check,
        None if answer.stopped == Stopped::Complete => question.worth_verifying(&answer),
        None => Check { plans: 0, percentile: None, drops: false },
    };
    let mut answer = question.verify(answer, check)?;
    answer.best.truncate(top);
    let moved = what_if
        .iter()
        .map(|change| Ok((*change, question.what_if(change)?)))
        .collect::<Result<Vec<_>, Diagnostic>>()?;
    refuse_impossible_pins(&question, &answer)?;
    let searched = started.elapsed();
    args.output.emit(&render(args, format, &subject, &question, &answer, &moved)?)?;
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
            "load {:.2} ms, search {:.2} ms, verify {:.2} ms, report {:.2} ms",
            ms(loaded),
            ms(found - loaded),
            ms(searched - found),
            ms(started.elapsed() - searched)
        );
    }
    Ok(if answer.best.is_empty() { Outcome::NothingFeasible } else { Outcome::Found })
}

impl PlanArgs {
    fn mode(&self) -> Result<Mode, Diagnostic> {
        self.mode.parse::<Mode>().map_err(|d| d.within("--mode"))
    }

    fn check(&self) -> Result<Option<Check>, Diagnostic> {
        let wrong = || {
            Diagnostic::new(Code::Range, "not a percentile")
                .at("--percentile")
                .help("50 to 99.9, for example p99")
        };
        let percentile = self.percentile.as_deref().map(|text| {
            let number = text.trim().trim_start_matches('p').parse::<f64>().ok();
            number.filter(|p| (50.0..=99.9).contains(p)).map(|p| p / 100.0).ok_or_else(wrong)
        });
        let percentile = percentile.transpose()?;
        Ok(self.verify.map(|k| Check {
            plans: usize::try_from(k).unwrap_or(usize::MAX),
            percentile,
            drops: true,
        }))
    }

    fn front(&self) -> Result<Front, Diagnostic> {
        let Some(text) = &self.pareto else { return Ok(Front::default()) };
        let measures = text.split(',').map(|name| name.trim().parse::<Measure>());
        let front = measures.collect::<Result<Vec<_>, _>>().and_then(Front::new);
        front.map_err(|d| d.within("--pareto"))
    }
}

/// Degrees that the user asks for and no layout can have are bad input, not an empty answer.
fn refuse_impossible_pins(question: &Question, answer: &Answer) -> Result<(), Diagnostic> {
    let all_illegal = answer.counts.illegal == answer.counts.plans;
    match answer.rejected.first() {
        Some(first) if all_illegal && question.pins != Pins::default() => {
            let layout = first.nearest.layout.parallelism;
            Err(Diagnostic::new(Code::Usage, first.reason.message()).at(format!("{layout}, as pinned")))
        }
        _ => Ok(()),
    }
}

fn render(
    args: &PlanArgs,
    format: Format,
    subject: &Subject,
    question: &Question,
    answer: &Answer,
    moved: &[(WhatIf, Option<Estimate>)],
) -> Result<String, Diagnostic> {
    let width = args.output.width();
    if let Some(rank) = args.explain {
        let place = usize::try_from(rank).ok().and_then(|n| n.checked_sub(1));
        let chosen = place.and_then(|i| answer.best.get(i)).ok_or_else(|| {
            let help = match answer.best.len() {
                0 => "no plan is feasible".to_owned(),
                n => format!("there are {n} ranks; --top shows more"),
            };
            Diagnostic::new(Code::Range, format!("there is no rank {rank}")).at("--explain").help(help)
        })?;
        return question.with_deployment(chosen, |deployment| {
            explained(format, width, subject, chosen, &deployment.explain(chosen))
        })?;
    }
    let plans = if args.pareto.is_some() { &answer.pareto } else { &answer.best };
    let advice = if answer.best.is_empty() { question.advice()? } else { Vec::new() };
    format.write(
        width,
        || {
            let shown = Answer { best: plans.clone(), ..answer.clone() };
            Ok(report::answer_text(subject, &shown, width)
                + &if args.pareto.is_some() { report::front_chart(answer, width) } else { String::new() }
                + &report::what_if_text(answer, moved)
                + &report::advice_text(&advice)
                + args.engine.host.hint(question, answer)
                + &args.engine.remarks(question.engines, question.pools))
        },
        || Ok(report::answer_json(subject, answer, &advice, moved)),
        || Ok(sheet(plans, answer).about(subject.asked())),
    )
}

/// Every column of the plans.
fn sheet(plans: &[Estimate], answer: &Answer) -> Sheet {
    let columns = || report::columns(answer.current.is_some());
    let mut sheet = Sheet::new(columns().map(|c| c.name));
    for (estimate, n) in plans.iter().zip(1..) {
        let row = Row { rank: Some(n), estimate, current: answer.reference() };
        sheet.rows.push(columns().map(|c| (c.of)(&row)).collect());
    }
    sheet
}

/// Puts one layout through the funnel and says where it falls.
fn why_not(
    args: &PlanArgs,
    format: Format,
    subject: &Subject,
    question: &Question,
    layout: &str,
) -> Result<Outcome, Diagnostic> {
    let asked = layout::asked("--why-not", layout)?;
    let examined = question.examine(asked)?;
    let text = format.write(
        args.output.width(),
        || Ok(report::examined_text(subject, asked, &examined)),
        || Ok(report::examined_json(subject, asked, &examined)),
        || Ok(report::examined_sheet(asked, &examined).about(subject.asked())),
    )?;
    args.output.emit(&text)?;
    let feasible = examined.iter().any(|e| e.outcome.is_ok());
    Ok(if feasible { Outcome::Found } else { Outcome::NothingFeasible })
}
