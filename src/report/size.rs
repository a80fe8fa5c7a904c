//! Fleets that serve a rate, and how one grows.

use std::fmt::Write as _;

use itertools::Itertools as _;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value as Json;

use crate::catalog::Engine;
use crate::estimate::Provenance;
use crate::request::SizedFleets;
use crate::search::size::{Demand, Fleet, HOURS_PER_MONTH, Sizing, Step, Unit};
use crate::units::{group_thousands, plural};

use super::answer::{self, ANSWER_VERSION, Digits, WorkloadAnswer};
use super::column::{self, Cells, Column, Idle, List, Rows, Show, Situation};
use super::columns::{PLAN_COLUMNS, Row, all_calibrated};
use super::format::Report;
use super::json::{PlanAnswer, Unranked};
use super::page::Page;
use super::sheet::Sheet;
use super::subject::Subject;
use super::table::{describe_workload, limits_on};

/// What was asked and found.
#[derive(Clone, Copy, Debug)]
pub struct SizeAnswer<'a> {
    /// The demand.
    pub demand: &'a Demand,
    /// What each kind of GPU offers, the best first.
    pub sizings: &'a [Sizing],
    /// Fleets of each that are shown.
    pub top: usize,
    /// The best fleet along a forecast; empty without one.
    pub growth: &'a [Step],
}

impl<'a> SizeAnswer<'a> {
    /// See [`Sizing::calibrated_runner_up`].
    fn runner_up(&self) -> Option<(&'a Sizing, &'a Fleet)> {
        Sizing::calibrated_runner_up(self.sizings, self.demand.least)
    }

    fn rows(&self) -> impl Iterator<Item = FleetRow<'a>> {
        let (top, demand) = (self.top, self.demand);
        self.sizings.iter().flat_map(move |sizing| {
            sizing.fleets.iter().take(top).map(move |fleet| FleetRow { sizing, fleet, demand })
        })
    }
}

/// One fleet of a kind of GPU, and the demand that it serves.
pub struct FleetRow<'a> {
    sizing: &'a Sizing,
    fleet: &'a Fleet,
    demand: &'a Demand,
}

impl<'a> FleetRow<'a> {
    /// The best of all fleets.
    pub(super) fn best(sized: &'a SizedFleets) -> Option<FleetRow<'a>> {
        let (sizing, fleet) = sized.best()?;
        Some(FleetRow { sizing, fleet, demand: &sized.demand })
    }

    /// Its replica, as a row of plans.
    pub(super) fn replica(&self) -> Row<'a> {
        Row::from(&self.fleet.replica)
    }
}

/// Fleets, as rows.
pub enum Fleets {}

impl Rows for Fleets {
    type Row<'a> = FleetRow<'a>;
}

type C = Column<Fleets>;

/// Columns of a fleet, before those of its replica.
pub const FLEET_COLUMNS: &[C] = &[
    C::shown("cluster", "cluster", "cluster that it stands in", |r| r.sizing.cluster.id.as_str().into())
        .text()
        .when(Show::In(Situation::WholeClusters)),
    C::shown("fleet_replicas", "replicas", "replicas of the fleet", |r| r.fleet.replicas.into()).integer(),
    C::shown("fleet_gpus", "gpus", "GPUs that they use", |r| r.fleet.gpus.into()).integer(),
    C::shown("bought_gpus", "bought", "GPUs that are bought for them", |r| r.fleet.bought.into())
        .integer()
        .when(Show::In(Situation::BoughtInLots)),
    C::shown(
        "capacity_requests_per_s_per_replica",
        "req/s each",
        "most requests per second that a replica serves within the targets",
        |r| r.fleet.capacity.get().into(),
    )
    .spare(5),
    C::shown("utilisation_percent", "used %", "share of the fleet's capacity that the demand takes", |r| {
        (100.0 * r.fleet.utilisation).into()
    })
    .spare(4),
    C::shown("cost_usd_per_hour", "$/h", "dollars per hour, GPUs bought", |r| {
        r.fleet.price.map(|p| p.get()).into()
    })
    .nullable()
    .spare(3),
    C::shown("cost_usd_per_month", "$/month", "dollars per month of 730 hours, GPUs bought", |r| {
        r.fleet.price.map(|p| p.get() * HOURS_PER_MONTH).into()
    })
    .nullable(),
    C::shown(
        "cost_usd_per_mtok_output_fleet",
        "$/Mtok out",
        "dollars per million output tokens of the demand, GPUs bought",
        |r| {
            let replica = &r.fleet.replica;
            let tokens = r.demand.rate.get() * replica.output.get() / replica.service.requests.get();
            let price = r.fleet.price.filter(|_| !replica.purpose.pools());
            price.map(|p| p.get() / (tokens * 3600.0) * 1e6).into()
        },
    )
    .when(Show::Unless(Idle::Missing))
    .spare(1),
    C::shown(
        "cost_usd_per_million_requests_fleet",
        "$/M req",
        "dollars per million requests of the demand, GPUs bought, of embedding and reranking",
        |r| {
            let price = r.fleet.price.filter(|_| r.fleet.replica.purpose.pools());
            price.map(|p| p.get() / (r.demand.rate.get() * 3600.0) * 1e6).into()
        },
    )
    .when(Show::Unless(Idle::Missing))
    .optional(),
    C::shown(
        "tpot_uncertainty_percent",
        "TPOT ±%",
        "half the range of eight of ten measured servers of the class, over its middle",
        |r| {
            let tpot = r.fleet.replica.ranges.as_ref().map(|ranges| ranges.tpot);
            tpot.map(|(low, high)| 100.0 * ((high - low) / (high + low))).into()
        },
    )
    .when(Show::Unless(Idle::Missing))
    .spare(2),
];

/// Every column of every fleet.
fn size_sheet(subject: &Subject, answer: &SizeAnswer) -> Sheet {
    let fleets: Vec<FleetRow> = answer.rows().collect();
    let replicas: Vec<Row> = fleets.iter().map(|r| Row::from(&r.fleet.replica)).collect();
    // What is of a whole deployment would mislead beside the fleet.
    let of_one = PLAN_COLUMNS.iter().filter(|c| !c.of_deployment);
    column::sheet(FLEET_COLUMNS.iter(), &fleets)
        .beside(column::sheet(of_one, &replicas))
        .about(subject.asked())
}

/// Months of a forecast, as rows.
enum Months {}

impl Rows for Months {
    type Row<'a> = Step;
}

impl List for Months {
    type Of = Months;
    const NAME: &'static str = "Month";
    fn columns() -> &'static [Column<Months>] {
        MONTH_COLUMNS
    }
}

type MonthColumn = Column<Months>;

const MONTH_COLUMNS: &[MonthColumn] = &[
    MonthColumn::shown("month", "month", "month of the forecast", |s| s.month.as_str().into()).text(),
    MonthColumn::shown("rate_per_s", "req/s", "requests per second that are asked", |s| s.rate.get().into()),
    MonthColumn::shown("replicas", "replicas", "replicas that serve them", |s| s.replicas.into()).integer(),
    MonthColumn::shown("needed_gpus", "needs", "GPUs that are needed", |s| s.needed.into()).integer(),
    MonthColumn::shown("bought_gpus", "buy", "GPUs that are bought", |s| s.bought.into()).integer(),
    MonthColumn::shown("owned_gpus", "owned", "GPUs that are owned then", |s| s.owned.into()).integer(),
    MonthColumn::shown(
        "utilisation_percent",
        "used %",
        "share of the fleet's capacity that the demand takes",
        |s| (100.0 * s.utilisation).into(),
    ),
    MonthColumn::shown("cost_usd_per_month", "$/month", "dollars of the month", |s| s.cost.into()).nullable(),
];

/// The months of a forecast.
fn growth_sheet(steps: &[Step]) -> Sheet {
    column::sheet(MONTH_COLUMNS.iter(), steps)
}

/// Fleets for a rate, ranked; along a forecast the rows are its months.
pub fn size(subject: &Subject, answer: &SizeAnswer) -> Report {
    let rows = match answer.sizings.first() {
        Some(sizing) if !answer.growth.is_empty() => {
            let subject = Subject { cluster: &sizing.cluster.id, ..*subject };
            growth_sheet(answer.growth).about(subject.asked())
        }
        _ => size_sheet(subject, answer),
    };
    Report::new(size_page(subject, answer), size_json(subject, answer), rows)
}

fn size_page(subject: &Subject, answer: &SizeAnswer) -> Page {
    let d = answer.demand;
    let (workload, targets) = (subject.workload, &subject.targets);
    let what =
        format!("{}{}\n{}", subject.model.id, limits_on(targets), describe_workload(workload, targets));
    let mut out = Page::from(what);
    let unit = match d.unit {
        Unit::Gpus(1) => String::new(),
        Unit::Gpus(n) => format!(", GPUs bought in {n}s"),
        Unit::Clusters => ", whole clusters".to_owned(),
    };
    let spare =
        if d.spare > 0 { format!(", {} spare", plural(d.spare.into(), "replica")) } else { String::new() };
    let _ = writeln!(out, "\n{:.0} % headroom{spare}{unit}", 100.0 * d.headroom);
    match answer.sizings.first().and_then(|s| s.fleets.first().map(|f| (s, f))) {
        None => out.push_str("\nNo kind of GPU serves this.\n"),
        Some((sizing, best)) => {
            let _ = writeln!(out, "\n{}", headline(d.unit, sizing, best));
            if best.replica.service.provenance == Provenance::Uncalibrated {
                let gpu = &sizing.cluster.gpu.name;
                let _ = writeln!(out, "Uncalibrated: no kernels were measured on {gpu}, others stand in.");
                let next = match answer.runner_up() {
                    Some((sizing, fleet)) => headline(d.unit, sizing, fleet),
                    None => "none of these GPUs; name one that was measured to compare".to_owned(),
                };
                let _ = writeln!(out, "Best with measured kernels: {next}");
            }
            out.push_str("\n");
            out.table(fleets(answer));
            out.push_str(&prices(answer));
        }
    }
    for sizing in answer.sizings.iter().filter(|s| s.fleets.is_empty()) {
        let why = sizing.nearest.as_ref().map_or("no layout is legal".to_owned(), |r| {
            format!("nearest {}: {}", r.nearest.layout.parallelism, r.reason.message())
        });
        let _ = writeln!(out, "{}: none; {why}", sizing.cluster.id);
    }
    if !answer.growth.is_empty() {
        let _ = writeln!(out, "\nThe first row month by month, GPUs bought when first needed and kept:\n");
        let months = column::shown(MONTH_COLUMNS.iter(), answer.growth, |_| false);
        out.table(months);
    }
    for caveat in subject.engines.iter().filter_map(Engine::caveat).unique() {
        let _ = writeln!(out, "{caveat}.");
    }
    out
}

/// Of what kind and day the prices are.
fn prices(answer: &SizeAnswer) -> String {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for FleetRow { sizing, .. } in answer.rows() {
        let gpu = &sizing.cluster.gpu;
        // A price that the user gives has no day.
        let listed = gpu.price.as_ref().filter(|price| sizing.cluster.price == Some(price.on_demand));
        if let Some(price) = listed.filter(|_| seen.iter().all(|(id, _)| *id != gpu.id)) {
            seen.push((&gpu.id, &price.date));
        }
    }
    let Some((_, first)) = seen.first() else { return String::new() };
    if seen.iter().all(|(_, date)| date == first) {
        return format!("Prices are on demand, of {first}.\n");
    }
    let each = seen.iter().map(|(gpu, date)| format!("{gpu} {date}")).join(", ");
    format!("Prices are on demand, of different days: {each}; --price gpu=USD states yours.\n")
}

/// GPUs or clusters, replicas and cost of a fleet in a line.
fn headline(unit: Unit, sizing: &Sizing, best: &Fleet) -> String {
    let cost = best.price.map_or(String::new(), |p| {
        let monthly = group_thousands((p.get() * HOURS_PER_MONTH).round() as u64);
        format!(", ${:.2} an hour, ${monthly} a month", p.get())
    });
    let (times, of) = match unit {
        Unit::Gpus(_) => (best.bought, &sizing.cluster.gpu.id),
        Unit::Clusters => (best.bought / u64::from(sizing.cluster.gpus.max(1)), &sizing.cluster.id),
    };
    let mark = match best.replica.service.provenance {
        Provenance::Uncalibrated => " (uncalibrated)",
        _ => "",
    };
    format!(
        "{times} × {of}{mark}: {} of {} with {}{cost}",
        plural(best.replicas.into(), "replica"),
        best.replica.engine,
        best.replica.parallelism
    )
}

/// The fleets as a table: the cluster, a replica, the rest of the fleet.
fn fleets(answer: &SizeAnswer) -> Sheet {
    fleet_table(&answer.rows().collect::<Vec<_>>(), answer.demand.unit != Unit::Clusters)
}

/// The columns of some fleets that a terminal shows; of which GPU each is, where that is asked for.
pub(super) fn fleet_table(fleets: &[FleetRow], with_gpu: bool) -> Sheet {
    let replicas: Vec<Row> = fleets.iter().map(FleetRow::replica).collect();
    let whole = fleets.iter().any(|r| r.demand.unit == Unit::Clusters);
    let holds = |situation| match situation {
        // A cluster says its GPU, and two may hold the same.
        Situation::SeveralGpus => with_gpu && !whole,
        Situation::WholeClusters => whole,
        Situation::Uncalibrated => !all_calibrated(fleets.iter().map(|r| &r.fleet.replica)),
        Situation::BoughtInLots => fleets.iter().any(|r| r.fleet.bought != r.fleet.gpus),
        Situation::Pooled => fleets.iter().any(|r| r.fleet.replica.purpose.pools()),
        Situation::UnusualLayouts | Situation::RankedByEnergy | Situation::Uncompared => false,
    };
    let (cluster, own) = FLEET_COLUMNS.split_at(1);
    let replica: Vec<_> = PLAN_COLUMNS.iter().filter_map(|c| Some(c.when(c.of_fleet?))).collect();
    column::shown(cluster.iter(), fleets, holds)
        .beside(column::shown(replica.iter(), &replicas, holds))
        .beside(column::shown(own.iter(), fleets, holds))
}

impl List for Fleets {
    type Of = Fleets;
    const NAME: &'static str = "FleetColumns";
    fn columns() -> &'static [Column<Fleets>] {
        FLEET_COLUMNS
    }
}

/// Fleets that serve a rate.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Fleets")]
pub(super) struct FleetsAnswer<'a> {
    /// Version of the form of answers.
    schema_version: u64,
    /// Model.
    model: &'a str,
    /// Lengths, load and targets.
    workload: WorkloadAnswer,
    /// Requests per second that the fleets serve.
    rate_per_s: Digits,
    /// Share of capacity that is kept free beside them.
    headroom_percent: Digits,
    /// Replicas that are kept beside those that are needed.
    spare_replicas: u32,
    /// How GPUs are bought.
    unit: UnitAnswer,
    /// The best fleets of each kind of GPU, the best kind first.
    fleets: Vec<FleetAnswer>,
    /// The best fleet whose kernels were measured on its GPU; null where the first one's were.
    calibrated_runner_up: Option<FleetAnswer>,
    /// Kinds of GPU that serve this with no fleet.
    none: Vec<NoFleet<'a>>,
    /// The first fleet month by month; empty without a forecast.
    growth: Vec<Cells<Months>>,
    /// What to know of the model and the engines.
    notes: Vec<String>,
}

/// How GPUs are bought: so many at a time, or by whole clusters.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Lot")]
enum UnitAnswer {
    /// So many GPUs at a time.
    Gpus(u32),
    /// The word `cluster`.
    Clusters(&'static str),
}

/// A fleet.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Fleet")]
struct FleetAnswer {
    #[serde(flatten)]
    cells: Cells<Fleets>,
    /// One replica of it.
    replica: PlanAnswer<Unranked>,
}

impl From<FleetRow<'_>> for FleetAnswer {
    fn from(row: FleetRow) -> FleetAnswer {
        FleetAnswer { cells: Cells::of(&row), replica: (&row.fleet.replica).into() }
    }
}

/// A kind of GPU that serves this with no fleet.
#[derive(Serialize, JsonSchema)]
struct NoFleet<'a> {
    /// The cluster.
    cluster: &'a str,
    /// Key of the reason of what came nearest; null where no layout is legal.
    reason: Option<String>,
    /// The reason in a sentence.
    message: Option<String>,
}

/// The answer as JSON.
pub fn size_json(subject: &Subject, answer: &SizeAnswer) -> Json {
    let d = answer.demand;
    let runner_up = answer.runner_up().map(|(sizing, fleet)| FleetRow { sizing, fleet, demand: d });
    let without = answer.sizings.iter().filter(|s| s.fleets.is_empty());
    answer::json(&FleetsAnswer {
        schema_version: ANSWER_VERSION,
        model: &subject.model.id,
        workload: WorkloadAnswer::of(subject.workload, &subject.targets),
        rate_per_s: Digits(d.rate.get()),
        headroom_percent: Digits(100.0 * d.headroom),
        spare_replicas: d.spare,
        unit: match d.unit {
            Unit::Gpus(n) => UnitAnswer::Gpus(n),
            Unit::Clusters => UnitAnswer::Clusters("cluster"),
        },
        fleets: answer.rows().map(FleetAnswer::from).collect(),
        calibrated_runner_up: runner_up.map(FleetAnswer::from),
        none: without
            .map(|s| NoFleet {
                cluster: &s.cluster.id,
                reason: s.nearest.as_ref().map(|r| r.reason.name()),
                message: s.nearest.as_ref().map(|r| r.reason.message()),
            })
            .collect(),
        growth: answer.growth.iter().map(Cells::of).collect(),
        notes: subject.notes(),
    })
}
