//! Answers for the terminal: the ranking, the funnel, and why plans fell.

use std::fmt::Write as _;

use crate::estimate::deployment::Estimate;
use crate::plan::Reason;
use crate::plan::reason::Stage;
use crate::search::{Advice, Answer};
use crate::units::{group_thousands, plural};
use crate::workload::{Load, Workload};

use super::Subject;
use super::columns::{Column, PLAN_COLUMNS, Row, Value};
use super::format::Sheet;
use super::json::describe;

/// The ranking and the ledger.
pub fn answer_text(subject: &Subject, answer: &Answer, width: Option<u16>) -> String {
    let mut out = headline(subject);
    if answer.best.is_empty() {
        let _ = writeln!(out, "\nNo plan is feasible.");
    } else {
        let said = common_values(&answer.best);
        if !said.is_empty() {
            let _ = writeln!(out, "{said}");
        }
        let _ = writeln!(out, "\n{}", ranking(&answer.best).table(width));
        let _ = write!(out, "{}", remarks(subject, &answer.best));
    }
    let _ = write!(out, "\n{}", ledger(answer));
    out
}

/// What was asked.
fn headline(s: &Subject) -> String {
    let c = s.cluster;
    let per_node = if c.nodes > 1 {
        format!(", {} of {}", plural(c.nodes.into(), "node"), c.gpus_per_node)
    } else {
        String::new()
    };
    let gpus = plural(c.gpus.into(), "GPU");
    let mut out = format!("{} on {} ({gpus}{per_node})\n", s.model.id, c.id);
    let _ = writeln!(out, "{}", describe_workload(s.workload));
    if !s.model.recognised {
        let _ = writeln!(out, "unknown model_type `{}`: read by the general rules", s.model.family);
    }
    out
}

fn describe_workload(w: &Workload) -> String {
    let load = match w.load {
        Load::Saturate => "batch searched".to_owned(),
        Load::Concurrency(n) => format!("{} in flight", group_thousands(n)),
        Load::Rate(r) => format!("{} req/s", r.get()),
    };
    let mut out = format!("isl {}, osl {}, {load}", w.isl, w.osl);
    let t = &w.targets;
    for (name, limit) in [("TTFT", t.ttft), ("TPOT", t.tpot), ("end to end", t.e2e)] {
        if let Some(limit) = limit {
            let _ = write!(out, ", {name} ≤ {limit}");
        }
    }
    out
}

/// Columns that say the same in every plan are said once, above the table.
const SAID_ONCE: [&str; 3] = ["engine", "weights", "kv"];

/// Columns that a narrow terminal can do without, the first to go first.
const SPARE: [&str; 8] = [
    "headroom_gib",
    "idle_gpus",
    "kv",
    "expert_tp",
    "weights",
    "output_tokens_per_s",
    "gpus",
    "cost_usd_per_mtok_output",
];

/// The columns of [`SAID_ONCE`] that hold one value, in words.
fn common_values(plans: &[Estimate]) -> String {
    let mut said = Vec::new();
    for column in PLAN_COLUMNS.iter().filter(|c| SAID_ONCE.contains(&c.name)) {
        if let Some(value) = common(column, plans) {
            said.push(format!("{} {value}", column.name));
        }
    }
    said.join(", ")
}

fn common(column: &Column, plans: &[Estimate]) -> Option<String> {
    let mut values = plans.iter().map(|estimate| (column.of)(&Row { rank: None, estimate }));
    match values.next()? {
        Value::Text(first) => values.all(|v| v == Value::Text(first.clone())).then_some(first),
        _ => None,
    }
}

/// The best plans; columns that hold the same trivial value in every row are left out.
fn ranking(plans: &[Estimate]) -> Sheet {
    let rows: Vec<Row> =
        plans.iter().zip(1u64..).map(|(estimate, n)| Row { rank: Some(n), estimate }).collect();
    let trivial = |c: &Column| {
        if SAID_ONCE.contains(&c.name) {
            return common(c, plans).is_some();
        }
        let unused = match c.name {
            "ep" | "attention_dp" | "expert_tp" => Value::Integer(1),
            "idle_gpus" => Value::Integer(0),
            "cost_usd_per_mtok_output" => Value::Missing,
            _ => return false,
        };
        rows.iter().all(|r| (c.of)(r) == unused)
    };
    let columns: Vec<&Column> = PLAN_COLUMNS.iter().filter(|c| c.heading.is_some() && !trivial(c)).collect();
    let mut sheet = Sheet::new(columns.iter().filter_map(|c| c.heading));
    let cell = |c: &Column, row: &Row| match (c.of)(row) {
        Value::Real(x) if c.name == "batch" => Value::Integer(x.ceil() as u64),
        value => value,
    };
    sheet.spare = SPARE.iter().filter_map(|name| columns.iter().find(|c| c.name == *name)?.heading).collect();
    sheet.rows = rows.iter().map(|row| columns.iter().map(|c| cell(c, row)).collect()).collect();
    sheet
}

fn remarks(s: &Subject, best: &[Estimate]) -> String {
    let mut out = String::new();
    let first = &best[0];
    if first.idle_gpus > 0 {
        let _ = writeln!(out, "The best plan leaves {} of {} GPUs idle.", first.idle_gpus, s.cluster.gpus);
    }
    if first.service.provenance != crate::estimate::Provenance::Fitted {
        let _ = writeln!(
            out,
            "Kernel times are {}: where {} has not been measured on {}, other engines' kernels or {} stand in.",
            first.service.provenance.name(),
            first.engine,
            s.cluster.gpu.name,
            s.cluster
                .gpu
                .kernels_from
                .as_ref()
                .map_or("class defaults".into(), |twin| format!("those of {twin}"))
        );
    }
    out
}

fn ledger(answer: &Answer) -> String {
    let c = &answer.counts;
    let mut out = format!(
        "{}: {} illegal, {} out of memory, {} miss a target, {} feasible\n",
        plural(c.plans, "plan"),
        group_thousands(c.illegal),
        group_thousands(c.out_of_memory),
        group_thousands(c.target_missed),
        group_thousands(c.feasible)
    );
    for r in &answer.rejected {
        let nearest = if r.reason.stage() == Stage::Illegal { "for example" } else { "nearest" };
        let line = format!("{:>9}  {}", group_thousands(r.count), r.reason.name());
        let _ = writeln!(out, "{line}; {nearest} {}: {}", describe(&r.nearest), r.reason.message());
    }
    out
}

/// One estimate, every figure.
pub fn estimate_text(
    subject: &Subject,
    estimate: &Estimate,
    reasons: &[Reason],
    width: Option<u16>,
) -> String {
    let mut out = headline(subject);
    let verdict = if reasons.is_empty() { "feasible" } else { "not feasible" };
    let _ = writeln!(out, "{}: {verdict}", estimate.parallelism);
    for reason in reasons {
        let _ = writeln!(out, "  {}: {}", reason.name(), reason.message());
    }
    let row = Row { rank: None, estimate };
    let mut sheet = Sheet::new(["figure", "value", "meaning"]);
    for c in PLAN_COLUMNS.iter().filter(|c| c.name != "rank") {
        let name = c.group.map_or(c.name.to_owned(), |g| format!("{g}.{}", c.name));
        sheet.rows.push(vec![Value::Text(name), (c.of)(&row), c.about.into()]);
    }
    sheet.spare = vec!["meaning"];
    let _ = writeln!(out, "\n{}", sheet.table(width));
    out
}

/// What would make a question answerable.
pub fn advice_text(advice: &[Advice]) -> String {
    let mut out = String::new();
    if advice.is_empty() {
        return out;
    }
    let _ = writeln!(out, "\nWhat would make it work:");
    for a in advice {
        let best = &a.best;
        let _ = writeln!(
            out,
            "  {}: {} × {} replicas, batch {:.0}, {:.0} output tokens/s, TTFT {}, TPOT {}",
            a.change,
            best.parallelism,
            best.replicas,
            best.batch,
            best.output.get(),
            best.service.ttft,
            best.service.tpot
        );
    }
    out
}
