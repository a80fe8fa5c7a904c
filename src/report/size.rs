//! Fleets that serve a rate, and how one grows.

use std::fmt::Write as _;

use itertools::Itertools as _;
use serde_json::{Map, Value as Json, json};

use crate::catalog::Engine;
use crate::estimate::Provenance;
use crate::search::size::{Demand, Fleet, HOURS_PER_MONTH, Sizing, Step, Unit};
use crate::units::{group_thousands, plural};

use super::answer::{ANSWER_VERSION, WorkloadAnswer};
use super::cell::{round, to_json};
use super::columns::PLAN_COLUMNS;
use super::columns::{Row, Value, all_calibrated};
use super::json::plan_object;
use super::sheet::Sheet;
use super::subject::Subject;
use super::table::describe_workload;

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

    fn fleets(&self) -> impl Iterator<Item = (&Sizing, &Fleet)> {
        self.sizings.iter().flat_map(|s| s.fleets.iter().take(self.top).map(move |fleet| (s, fleet)))
    }
}

/// A column of a fleet.
struct FleetColumn {
    name: &'static str,
    heading: &'static str,
    of: fn(&Sizing, &Fleet, &Demand) -> Value,
}

fn money(x: Option<f64>) -> Value {
    x.map_or(Value::Missing, Value::from)
}

/// Columns of a fleet, before those of its replica.
const FLEET_COLUMNS: &[FleetColumn] = &[
    FleetColumn { name: "cluster", heading: "cluster", of: |s, _, _| s.cluster.id.as_str().into() },
    FleetColumn { name: "fleet_replicas", heading: "replicas", of: |_, f, _| f.replicas.into() },
    FleetColumn { name: "fleet_gpus", heading: "gpus", of: |_, f, _| f.gpus.into() },
    FleetColumn { name: "bought_gpus", heading: "bought", of: |_, f, _| f.bought.into() },
    FleetColumn {
        name: "capacity_requests_per_s_per_replica",
        heading: "req/s each",
        of: |_, f, _| f.capacity.get().into(),
    },
    FleetColumn {
        name: "utilisation_percent",
        heading: "used %",
        of: |_, f, _| (100.0 * f.utilisation).into(),
    },
    FleetColumn { name: "cost_usd_per_hour", heading: "$/h", of: |_, f, _| money(f.price.map(|p| p.get())) },
    FleetColumn {
        name: "cost_usd_per_month",
        heading: "$/month",
        of: |_, f, _| money(f.price.map(|p| p.get() * HOURS_PER_MONTH)),
    },
    FleetColumn {
        name: "cost_usd_per_mtok_output_fleet",
        heading: "$/Mtok out",
        of: |_, f, d| {
            let tokens = d.rate.get() * f.replica.output.get() / f.replica.service.requests.get();
            money(f.price.map(|p| p.get() / (tokens * 3600.0) * 1e6))
        },
    },
];

/// Columns of a replica that a terminal shows.
const REPLICA_SHOWN: [&str; 11] =
    ["gpu", "engine", "tp", "pp", "ep", "attention_dp", "dcp", "ttft_ms", "tpot_ms", "verdict", "provenance"];

/// Columns of a plan that are of one replica and would mislead beside those of the fleet.
const OF_ONE: [&str; 6] =
    ["rank", "replicas", "gpus", "idle_gpus", "cost_usd_per_mtok_output", "cost_usd_per_mtok_total"];

/// Every column of every fleet.
pub fn size_sheet(subject: &Subject, answer: &SizeAnswer) -> Sheet {
    let plan = || PLAN_COLUMNS.iter().filter(|c| !OF_ONE.contains(&c.name));
    let mut sheet = Sheet::new(FLEET_COLUMNS.iter().map(|c| c.name).chain(plan().map(|c| c.name)));
    for (sizing, fleet) in answer.fleets() {
        let row = Row::from(&fleet.replica);
        let own = FLEET_COLUMNS.iter().map(|c| (c.of)(sizing, fleet, answer.demand));
        sheet.rows.push(own.chain(plan().map(|c| (c.of)(&row))).collect());
    }
    sheet.about(subject.asked())
}

/// The months of a forecast.
pub fn growth_sheet(steps: &[Step]) -> Sheet {
    let names = [
        "month",
        "rate_per_s",
        "replicas",
        "needed_gpus",
        "bought_gpus",
        "owned_gpus",
        "utilisation_percent",
        "cost_usd_per_month",
    ];
    let mut sheet = Sheet::new(names);
    sheet.rows = steps
        .iter()
        .map(|s| {
            vec![
                s.month.as_str().into(),
                s.rate.get().into(),
                s.replicas.into(),
                s.needed.into(),
                s.bought.into(),
                s.owned.into(),
                (100.0 * s.utilisation).into(),
                money(s.cost),
            ]
        })
        .collect();
    sheet
}

/// The answer for the terminal.
pub fn size_text(subject: &Subject, answer: &SizeAnswer, width: Option<u16>) -> String {
    let d = answer.demand;
    let mut out = format!("{}\n{}", subject.model.id, describe_workload(subject.workload));
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
            let _ = writeln!(out, "\n{}", fleets(answer).table(width));
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
        let mut sheet = growth_sheet(answer.growth);
        let heads = ["month", "req/s", "replicas", "needs", "buy", "owned", "used %", "$/month"];
        sheet.columns = heads.map(str::to_owned).to_vec();
        let _ = writeln!(out, "{}", sheet.table(width));
    }
    subject
        .engines
        .iter()
        .filter_map(Engine::caveat)
        .unique()
        .for_each(|caveat| out.extend([&caveat, ".\n"]));
    out
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

/// The fleets as a table; degrees that are 1 in all of them are left out.
fn fleets(answer: &SizeAnswer) -> Sheet {
    let all: Vec<(&Sizing, &Fleet)> = answer.fleets().collect();
    let one = |c: &super::Column| {
        let degree = ["pp", "ep", "attention_dp", "dcp"].contains(&c.name);
        degree && all.iter().all(|(_, f)| (c.of)(&Row::from(&f.replica)) == Value::Integer(1))
    };
    let measured = all_calibrated(all.iter().map(|(_, fleet)| &fleet.replica));
    // A cluster says its GPU, and two may hold the same.
    let whole = answer.demand.unit == Unit::Clusters;
    let left_out = |name: &str| (name == "gpu" && whole) || (name == "provenance" && measured);
    let shown = |c: &&super::Column| REPLICA_SHOWN.contains(&c.name) && !one(c) && !left_out(c.name);
    let replica: Vec<_> = PLAN_COLUMNS.iter().filter(shown).collect();
    let same = all.iter().all(|(_, f)| f.bought == f.gpus);
    let (cluster, rest): (Vec<_>, Vec<_>) = FLEET_COLUMNS.iter().partition(|c| c.name == "cluster");
    let cluster: Vec<_> = cluster.into_iter().filter(|_| whole).collect();
    let own: Vec<_> = rest.into_iter().filter(|c| !(same && c.name == "bought_gpus")).collect();
    let heads = (cluster.iter().map(|c| c.heading))
        .chain(replica.iter().map(|c| c.heading.unwrap_or(c.name)))
        .chain(own.iter().map(|c| c.heading));
    let mut sheet = Sheet::new(heads);
    for (sizing, fleet) in &all {
        let row = Row::from(&fleet.replica);
        let of_fleet = |c: &&FleetColumn| (c.of)(sizing, fleet, answer.demand);
        let of_replica = replica.iter().map(|c| (c.of)(&row));
        let cells = cluster.iter().map(of_fleet).chain(of_replica).chain(own.iter().map(of_fleet));
        sheet.rows.push(cells.collect());
    }
    sheet
}

/// The answer as JSON.
pub fn size_json(subject: &Subject, answer: &SizeAnswer) -> Json {
    let d = answer.demand;
    let unit = match d.unit {
        Unit::Gpus(n) => json!(n),
        Unit::Clusters => json!("cluster"),
    };
    let object = |(sizing, fleet): (&Sizing, &Fleet)| {
        let own = FLEET_COLUMNS.iter().map(|c| (c.name.to_owned(), to_json(&(c.of)(sizing, fleet, d))));
        let mut map: Map<String, Json> = own.collect();
        let mut replica = plan_object(&Row::from(&fleet.replica), false);
        replica.remove("rank");
        map.insert("replica".into(), Json::Object(replica));
        Json::Object(map)
    };
    let none = answer.sizings.iter().filter(|s| s.fleets.is_empty()).map(|s| {
        json!({
            "cluster": s.cluster.id,
            "reason": s.nearest.as_ref().map(|r| r.reason.name()),
            "message": s.nearest.as_ref().map(|r| r.reason.message()),
        })
    });
    json!({
        "schema_version": ANSWER_VERSION,
        "model": subject.model.id,
        "workload": WorkloadAnswer::from(subject.workload),
        "rate_per_s": round(d.rate.get()),
        "headroom_percent": round(100.0 * d.headroom),
        "spare_replicas": d.spare,
        "unit": unit,
        "fleets": answer.fleets().map(object).collect::<Vec<_>>(),
        "calibrated_runner_up": answer.runner_up().map(object),
        "none": none.collect::<Vec<_>>(),
        "growth": growth_sheet(answer.growth).json(),
        "notes": subject.notes(),
    })
}
