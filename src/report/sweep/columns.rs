//! The columns of a sweep's results: the case, its best plan, what follows from both.

use itertools::Itertools as _;
use serde_json::{Value as Json, json};

use crate::estimate::estimated::Estimate;
use crate::report::cell::Value;
use crate::report::cell::to_json;
use crate::report::column::{Column, Kind, Rows};
use crate::report::columns::{PLAN_COLUMNS, Plans, Row};
use crate::scenario::{Case, CaseAnswer, CaseOutcome, Enough, GroupAnswer, Scenario};
use crate::units::{RequestsPerSecond, Seconds, plural};
use crate::workload::{Load, Percentile, Percentiles};

/// Hours of a month, for its cost: a twelfth of 8,760.
const HOURS_PER_MONTH: f64 = 730.0;

/// A case, its answer, its best plan and the most that it serves.
pub struct Cell<'a> {
    case: &'a Case<'a>,
    answer: &'a CaseAnswer,
    best: Option<(&'a Estimate, RequestsPerSecond)>,
}

/// Cases of a sweep, as rows.
pub enum Cases {}

impl Rows for Cases {
    type Row<'a> = Cell<'a>;
}

type C = Column<Cases>;

const fn text(name: &'static str, about: &'static str, of: fn(&Cell) -> Value) -> C {
    C::quiet(name, about, of).text()
}

const fn integer(name: &'static str, about: &'static str, of: fn(&Cell) -> Value) -> C {
    C::quiet(name, about, of).integer()
}

const fn real(name: &'static str, about: &'static str, of: fn(&Cell) -> Value) -> C {
    C::quiet(name, about, of)
}

/// What a table says of a column of a sweep, whatever it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Key in every table.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// What it says.
    pub about: &'static str,
    /// Whether the page holds it.
    pub on_page: bool,
}

impl Head {
    fn of<S: Rows>(c: &Column<S>) -> Head {
        Head { name: c.name, kind: c.kind, about: c.about, on_page: c.on_page }
    }
}

fn maybe(text: Option<&str>) -> Value {
    text.map_or(Value::Missing, Value::from)
}

fn on(limit: Option<Seconds>, at: Option<Percentile>) -> Value {
    limit.map_or(Value::Missing, |_| Value::Text(Percentiles::word(at)))
}

fn millis(time: Option<Seconds>) -> Value {
    time.map_or(Value::Missing, |t| t.as_millis().into())
}

/// Columns that name the case.
const BEFORE: &[C] = &[
    integer("case", "number of the case, from 1", |c| (c.case.number as u64 + 1).into()).on_page(),
    text("model", "model, as the scenario names it", |c| c.case.model.name.as_str().into()).on_page(),
    text("cluster", "cluster", |c| c.case.cluster.name.as_str().into()).on_page(),
    text("workload", "workload", |c| c.case.named.name.as_str().into()).on_page(),
    text("targets", "latency targets", |c| c.case.targets_name.into()).on_page(),
    text("objective", "what the best plan is best at", |c| c.case.objective.name().into()).on_page(),
    text("month", "month of a forecast", |c| maybe(c.case.named.month.as_deref())).on_page(),
    text("comment", "remark of the scenario", |c| maybe(c.case.comment)).on_page(),
    integer("isl", "prompt tokens, mean", |c| c.case.workload.isl.into()),
    integer("osl", "output tokens, mean", |c| c.case.workload.osl.into()).on_page(),
    integer("cached_prefix", "prompt tokens that the prefix cache holds", |c| {
        c.case.workload.reused_prompt().into()
    }),
    integer("longest_context", "tokens of the longest request that must fit", |c| {
        c.case.workload.longest_context().into()
    }),
    integer("concurrency", "requests in flight, where given", |c| match c.case.workload.load {
        Load::Concurrency(n) => n.into(),
        _ => Value::Missing,
    }),
    real("rate_per_s", "requests per second to be made for, where given", |c| match c.case.workload.load {
        Load::Rate(rate) => rate.get().into(),
        _ => Value::Missing,
    })
    .on_page(),
    real("mean_rate_per_s", "mean requests per second of a day, where the load has a peak", |c| {
        c.case.named.mean_rate.map_or(Value::Missing, |r| r.get().into())
    }),
    real("target_ttft_ms", "limit of the time to first token", |c| millis(c.case.targets.ttft)),
    text("target_ttft_on", "what that limit is on, mean or a percentile such as p95", |c| {
        on(c.case.targets.ttft, c.case.targets.at.ttft)
    }),
    real("target_tpot_ms", "limit of the time per output token", |c| millis(c.case.targets.tpot)),
    text("target_tpot_on", "what that limit is on", |c| on(c.case.targets.tpot, c.case.targets.at.tpot)),
    real("target_e2e_ms", "limit of the time of a request", |c| millis(c.case.targets.e2e)),
    text("target_e2e_on", "what that limit is on", |c| on(c.case.targets.e2e, c.case.targets.at.e2e)),
    integer("cluster_gpus", "GPUs of the cluster", |c| {
        c.case.cluster.pools.pools.iter().map(|p| u64::from(p.gpus)).sum::<u64>().into()
    }),
    integer("plans", "plans in the space", |c| c.answer.plans.into()),
    integer("feasible", "feasible ones among them", |c| c.answer.feasible.into()),
    text("status", "found, nothing_feasible or context_exceeded", |c| status(c.answer).into()).on_page(),
];

/// Columns that follow from the plan and the case together.
const AFTER: &[C] = &[
    real(
        "capacity_requests_per_s",
        "most requests per second that the plan serves within the targets",
        |c| c.best.map_or(Value::Missing, |(_, most)| most.get().into()),
    )
    .on_page(),
    real("load_headroom_percent", "that above the rate to be made for", |c| {
        match (c.best, c.case.workload.load) {
            (Some((_, most)), Load::Rate(rate)) => (100.0 * (most.get() / rate.get() - 1.0)).into(),
            _ => Value::Missing,
        }
    })
    .on_page(),
    real("cost_usd_per_hour", "dollars per hour, GPUs used", |c| {
        hourly(c).map_or(Value::Missing, Value::from)
    })
    .on_page(),
    real("cost_usd_per_month", "the same for 730 hours", |c| {
        hourly(c).map_or(Value::Missing, |usd| (usd * HOURS_PER_MONTH).into())
    })
    .on_page(),
    real(
        "cost_usd_per_mtok_output_mean",
        "dollars per million output tokens over a day of the mean rate",
        |c| match (hourly(c), c.case.named.mean_rate) {
            (Some(usd), Some(rate)) => {
                (usd / (rate.get() * c.case.workload.osl as f64 * 3600.0) * 1e6).into()
            }
            _ => Value::Missing,
        },
    ),
    text("tightest_target", "target that the plan comes closest to", |c| {
        tightest(c).map_or(Value::Missing, |(name, _)| name.into())
    }),
    real("tightest_target_percent", "how much of it the plan uses", |c| {
        tightest(c).map_or(Value::Missing, |(_, percent)| percent.into())
    }),
    integer(
        "enough_nodes",
        "nodes like those of the cluster that would serve the rate, where it does not",
        |c| enough(c.answer).map_or(Value::Missing, |enough| enough.nodes.into()),
    ),
    integer("enough_gpus", "their GPUs", |c| {
        enough(c.answer).map_or(Value::Missing, |enough| enough.gpus.into())
    }),
    real("enough_usd_per_hour", "what those cost an hour", |c| {
        enough_hourly(c.case, c.answer).map_or(Value::Missing, Into::into)
    }),
    text("reason", "why nothing is feasible: the plan that came nearest", |c| reason(c.case, c.answer))
        .on_page(),
];

/// The columns of a plan in a sweep, which is the best of its case: all but the first, its place.
fn plan_columns() -> impl Iterator<Item = &'static Column<Plans>> {
    PLAN_COLUMNS.iter().skip(1)
}

/// Every column, in order.
pub fn columns() -> Vec<Head> {
    let (before, after) = (BEFORE.iter().map(Head::of), AFTER.iter().map(Head::of));
    before.chain(plan_columns().map(Head::of)).chain(after).collect()
}

/// The cells of a case, in the order of [`columns`].
fn cells(case: &Case, answer: &CaseAnswer) -> Vec<Value> {
    let best = match &answer.outcome {
        CaseOutcome::Found(best, most) => Some((best.as_ref(), *most)),
        _ => None,
    };
    let cell = Cell { case, answer, best };
    let row = best.map(|(best, _)| Row::from(best));
    let plan = plan_columns().map(|c| row.as_ref().map_or(Value::Missing, |row| (c.of)(row)));
    let own = |c: &C| (c.of)(&cell);
    BEFORE.iter().map(own).chain(plan).chain(AFTER.iter().map(own)).collect()
}

/// The answers of a group as the journal keeps them: the cells of each case, and the front.
pub fn group_record(scenario: &Scenario, group: usize, answer: &GroupAnswer) -> (Vec<Json>, Json) {
    let of = |(number, answer): (usize, &CaseAnswer)| {
        Json::Array(cells(&scenario.case(number), answer).iter().map(to_json).collect())
    };
    let cases = scenario.group(group).zip(&answer.cases).map(of).collect();
    (cases, Json::Array(answer.front.iter().map(point).collect()))
}

/// A point of a front: tokens per second of a user and of a GPU, TTFT in milliseconds, dollars per million
/// output tokens, requests in flight, the plan in words.
fn point(e: &Estimate) -> Json {
    let real = |x: f64| to_json(&x.into());
    json!([
        real(1.0 / e.service.tpot.get()),
        real(e.output_per_gpu.get()),
        real(e.service.ttft.as_millis()),
        e.cost_output.map_or(Json::Null, |c| real(c.get())),
        real(e.batch * f64::from(e.replicas)),
        format!("{} {}, {} replicas", e.engine, e.parallelism, e.replicas),
    ])
}

fn status(answer: &CaseAnswer) -> &'static str {
    match &answer.outcome {
        CaseOutcome::Found(..) => "found",
        CaseOutcome::ContextExceeded(_) => "context_exceeded",
        CaseOutcome::NothingFeasible(..) => "nothing_feasible",
    }
}

/// What would serve a case that the cluster does not.
fn enough(answer: &CaseAnswer) -> Option<&Enough> {
    match &answer.outcome {
        CaseOutcome::NothingFeasible(_, enough) => enough.as_deref(),
        CaseOutcome::Found(..) | CaseOutcome::ContextExceeded(_) => None,
    }
}

/// Dollars per hour of what would serve a case, where the GPUs' price is known.
fn enough_hourly(case: &Case, answer: &CaseAnswer) -> Option<f64> {
    let pools = &case.cluster.pools.pools;
    let price = pools.iter().exactly_one().ok()?.price?;
    Some(enough(answer)?.gpus as f64 * price.get())
}

fn reason(case: &Case, answer: &CaseAnswer) -> Value {
    match &answer.outcome {
        CaseOutcome::Found(..) | CaseOutcome::NothingFeasible(None, _) => Value::Missing,
        CaseOutcome::ContextExceeded(why) => why.as_str().into(),
        CaseOutcome::NothingFeasible(Some(r), enough) => {
            let nearest = r.nearest.layout.parallelism;
            let would = enough.as_ref().map_or(String::new(), |e| {
                let nodes = plural(e.nodes, "node");
                let dollars = enough_hourly(case, answer);
                let cost = dollars.map_or(String::new(), |usd| format!(", ${usd:.2} an hour"));
                format!(
                    "not enough; {nodes} ({} GPUs{cost}) would be, {} of {}: ",
                    e.gpus,
                    plural(e.replicas.into(), "replica"),
                    e.parallelism
                )
            });
            Value::Text(format!("{would}{}: nearest {nearest}: {}", r.reason.name(), r.reason.message()))
        }
    }
}

/// Dollars per hour of the GPUs used.
fn hourly(cell: &Cell) -> Option<f64> {
    let (best, _) = cell.best?;
    Some(best.cost_output?.get() * best.output.get() * 3600.0 / 1e6)
}

/// The target that the plan uses most of, in per cent.
fn tightest(cell: &Cell) -> Option<(&'static str, f64)> {
    let (targets, best) = (cell.case.targets, cell.best?.0);
    let closed = (best.service.ttft, best.service.tpot, best.service.e2e);
    let (ttft, tpot, e2e) = best.verified.map_or(closed, |v| (v.ttft, v.tpot, v.e2e));
    let uses = [("ttft", targets.ttft, ttft), ("tpot", targets.tpot, tpot), ("e2e", targets.e2e, e2e)];
    let used = uses.into_iter().filter_map(|(name, want, got)| Some((name, 100.0 * (got / want?))));
    used.max_by(|a, b| a.1.total_cmp(&b.1))
}
