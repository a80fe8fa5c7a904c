//! Answers for the terminal: the ranking, the funnel, and why plans fell.

use std::fmt::Write as _;

use itertools::Itertools as _;

use crate::catalog::Cluster;
use crate::estimate::Provenance;
use crate::estimate::estimated::Estimate;
use crate::estimate::figures::Figures;
use crate::estimate::memory::Verdict;
use crate::plan::{Practice, Reason, Stage, UNPROVEN};
use crate::rank::Objective;
use crate::search::{Advice, Answer, Best, Combined, CurrentAnswer, Stopped};
use crate::units::{Seconds, group_thousands, plural};
use crate::workload::{CUT_LENGTHS, Load, Targets, Workload};

use super::batches;
use super::cell::Value;
use super::column::{Column, Situation, shown};
use super::columns::{PLAN_COLUMNS, Plans, Row, all_calibrated, columns};
use super::fit::{Fit, fit_text};
use super::json::describe;
use super::keeping::{forgotten, tiers_text};
use super::page::Page;
use super::remarks::remarks;
use super::sheet::Sheet;
use super::subject::Subject;

/// The ranking and the ledger.
pub fn answer_page(subject: &Subject, answer: &Answer, why: bool) -> Page {
    let deploy = answer.together();
    let bare = |e: &&Estimate| e.service.provenance == Provenance::Uncalibrated;
    let first = match deploy {
        Some(all) => all.plans.iter().find(bare).or(all.plans.first()),
        None => answer.best.first(),
    };
    let mut out = Page::from(headline(subject, first));
    if answer.best.is_empty() && deploy.is_some() {
        let _ = write!(out, "{}", current_text(answer));
        deployed_together(&mut out, subject, answer);
        let _ = writeln!(out, "\nNo plan of one pool alone is feasible.");
    } else if answer.best.is_empty() {
        let said = match answer.stopped {
            Stopped::Complete => "No plan is feasible.".to_owned(),
            _ => {
                let c = &answer.counts;
                let looked = c.plans.saturating_sub(c.unseen);
                format!(
                    "Stopped before a feasible plan was found: {} of {} plans were looked at.",
                    group_thousands(looked),
                    group_thousands(c.plans)
                )
            }
        };
        let _ = write!(out, "{}\n{said}\n", current_text(answer));
    } else {
        let parts = deploy.map_or(&[][..], |all| &all.plans);
        let all = parts.iter().chain(&answer.best).chain(answer.named.iter().map(|named| &named.estimate));
        let said = common_values(&all.map(Row::from).collect::<Vec<_>>());
        if !said.is_empty() {
            let _ = writeln!(out, "{said}");
        }
        let _ = write!(out, "{}", current_text(answer));
        if deploy.is_some() {
            deployed_together(&mut out, subject, answer);
            let idle = answer.best.first().is_some_and(|best| best.idle_gpus > 0);
            let _ = writeln!(out, "\nOne plan alone{}:", if idle { ", which leaves GPUs idle" } else { "" });
        }
        named(&mut out, subject, answer);
        out.push_str("\n");
        out.table(ranking(subject, answer));
        tails(&mut out, answer);
        let _ = write!(out, "{}", answer.best.first().map(tiers_text).unwrap_or_default());
        let sessions = subject.workload.sessions;
        let _ =
            write!(out, "{}", answer.best.first().map(|best| forgotten(best, sessions)).unwrap_or_default());
        for line in remarks(subject, answer) {
            let _ = writeln!(out, "{line}");
        }
        let _ = write!(out, "{}", runner_up(answer));
    }
    if let (Some(combined), None) = (&answer.combined, deploy) {
        let _ = write!(out, "All pools together: {}", together(subject, combined));
    }
    if let (Some(mixed), None) = (&answer.mixed, deploy) {
        let idle = match mixed.idle_gpus {
            0 => String::new(),
            n => format!(" ({n} still idle)"),
        };
        let _ = write!(out, "Replicas of different sizes use {} GPUs{idle}: ", mixed.gpus);
        let _ = write!(out, "{}", together(subject, mixed));
    }
    let _ = write!(out, "\n{}", ledger(subject, answer, why));
    out
}

/// What runs today, in a line, and why the search would not propose it.
fn current_text(answer: &Answer) -> String {
    let Some(CurrentAnswer { current, estimate, reasons }) = &answer.current else { return String::new() };
    let mut out = match estimate {
        None => format!(
            "today: {} × {}: no figures\n",
            current.parallelism,
            plural(current.replicas.into(), "replica")
        ),
        Some(e) => {
            let cost = e.cost_output.map_or(String::new(), |c| format!(", ${:.2}/Mtok out", c.get()));
            format!(
                "today: {} {} × {}, {}, batch {:.0}: {:.0} tok/s, TTFT {}, TPOT {}{cost}, {:.0} W per GPU\n",
                e.engine,
                e.parallelism,
                plural(e.replicas.into(), "replica"),
                plural(e.gpus, "GPU"),
                e.batch.ceil(),
                e.output.get(),
                e.service.ttft,
                e.service.tpot,
                e.energy.power.get()
            )
        }
    };
    for reason in reasons {
        let _ = writeln!(out, "  not an answer, {}: {}", reason.name(), reason.message());
    }
    out
}

/// The best plan on a GPU whose kernels were measured, where the first is on one whose were not.
fn runner_up(answer: &Answer) -> String {
    let Some(next) = answer.calibrated_runner_up() else { return String::new() };
    let cost = next.cost_output.map_or(String::new(), |c| format!(", ${:.2}/Mtok out", c.get()));
    format!(
        "Best with measured kernels: {} × {}, {} {} × {}: {:.0} tok/s, TTFT {}, TPOT {}{cost}.\n",
        next.gpus,
        next.gpu,
        next.engine,
        next.parallelism,
        plural(next.replicas.into(), "replica"),
        next.output.get(),
        next.service.ttft,
        next.service.tpot,
    )
}

/// Pools that a headline lists.
const LISTED: usize = 6;

/// What was asked, and whether what stands first is on a GPU without measurements; of several parts any.
fn headline(s: &Subject, first: Option<&Estimate>) -> String {
    let nodes = |c: &Cluster| match c.nodes {
        0 | 1 => String::new(),
        n => format!(", {} of {}", plural(n.into(), "node"), c.gpus_per_node),
    };
    let pools = match s.kinds().as_slice() {
        [(gpus, gpu, one)] => format!("{}{}", plural((*gpus).into(), gpu.unit()), nodes(one)),
        many if many.len() > LISTED => format!("{} kinds of GPU, a server of each", many.len()),
        several => {
            several.iter().map(|(gpus, gpu, c)| format!("{gpus} × {}{}", gpu.name, nodes(c))).join("; ")
        }
    };
    let mark = match first.filter(|e| e.service.provenance == Provenance::Uncalibrated) {
        Some(e) if s.is_mixed() => format!("; {} uncalibrated", e.gpu),
        Some(_) => ", uncalibrated".to_owned(),
        None => String::new(),
    };
    let mut out = format!("{} on {} ({pools}{mark}){}\n", s.model.id, s.cluster, limits_on(&s.targets));
    let _ = writeln!(out, "{}", describe_workload(s.workload, &s.targets));
    if !s.model.recognised {
        let _ = writeln!(out, "unknown model_type `{}`: read by the general rules", s.model.family);
    }
    out
}

pub(super) fn describe_workload(w: &Workload, asked: &Targets) -> String {
    let load = match w.load {
        Load::Saturate => "batch searched".to_owned(),
        Load::Concurrency(n) => format!("{} in flight", group_thousands(n)),
        Load::Rate(r) => format!("{} req/s", brief_rate(r.get())),
        Load::Users(n) => format!("{} users", group_thousands(n)),
    };
    let reused = match w.reused_prompt() {
        0 => String::new(),
        n => format!(" ({} of it in the prefix cache)", group_thousands(n)),
    };
    let cut = if w.cut { CUT_LENGTHS } else { "" };
    let reused = media(w) + &reused;
    if w.purpose.pools() {
        let window = match w.batch_window > Seconds::ZERO {
            true => format!(", batches held for {}", w.batch_window),
            false => String::new(),
        };
        return format!("{}, isl {}{reused}{cut}, {load}{}{window}", w.purpose.name(), w.isl, targets(asked));
    }
    if let Some(s) = w.sessions {
        let each = |n: u64| group_thousands(n);
        let branches =
            if s.branches > 1 { format!(", {} requests a turn", s.branches) } else { String::new() };
        return format!(
            "sessions of {} turns{branches}: {} system, {} first, {} new and {} output tokens, {} between turns \
             (isl {} in the mean, {} at most), {load}{}{}",
            s.turns,
            each(s.system),
            each(s.first),
            each(s.new),
            each(s.output),
            s.think,
            each(w.isl),
            each(s.longest()),
            targets(asked),
            speculation(w)
        );
    }
    format!("isl {}{reused}, osl {}{cut}, {load}{}{}", w.isl, w.osl, targets(asked), speculation(w))
}

/// What prompts bring beside text, in brackets, if anything.
fn media(w: &Workload) -> String {
    let m = &w.media;
    let of = [("images", m.images), ("video", m.video), ("sound", m.audio)];
    let brought = of.into_iter().filter(|(_, items)| items.count > 0);
    let words =
        brought.map(|(what, items)| format!("{} of {what}", group_thousands(items.all_tokens()))).join(", ");
    if words.is_empty() { words } else { format!(" ({words})") }
}

/// A rate to six digits, as `800k req/day` has many.
fn brief_rate(rate: f64) -> f64 {
    let scale = 10f64.powi(5 - rate.abs().log10().floor() as i32);
    if scale.is_finite() && scale > 0.0 { (rate * scale).round() / scale } else { rate }
}

/// Speculative decoding, after a comma, if it is on.
pub(super) fn speculation(w: &Workload) -> String {
    w.speculation.map_or(String::new(), |s| format!(", speculation: {s}"))
}

/// What the limits on times are on, if there are any.
pub(super) fn limits_on(targets: &Targets) -> String {
    let on: Vec<String> =
        targets.times().map(|(_, at, _)| at.map_or("the mean".into(), |at| at.to_string())).collect();
    let Some(first) = on.first() else { return String::new() };
    let surely = targets
        .confidence
        .map_or(String::new(), |c| format!(", to hold on {c} of servers like those measured"));
    if on.iter().all_equal() {
        return format!(", limits on {first}{surely}");
    }
    let each = targets.times().zip(&on).map(|((name, ..), on)| format!("{on} of {name}"));
    format!(", limits on {}{surely}", each.collect::<Vec<_>>().join(", "))
}

/// Limits on times, each after a comma.
pub(super) fn targets(targets: &Targets) -> String {
    let mut out = String::new();
    for (name, at, limit) in targets.times() {
        let at = at.map_or(String::new(), |at| format!("{at} of "));
        let _ = write!(out, ", {at}{name} ≤ {limit}");
    }
    out
}

/// What all plans have in common, in words, of columns that are then said once.
pub(super) fn common_values(rows: &[Row]) -> String {
    let said = PLAN_COLUMNS.iter().filter_map(|c| Some(format!("{} {}", c.name, c.said_once(rows)?)));
    said.collect::<Vec<_>>().join(", ")
}

/// Adds the plans that are named, where no limit is; what they are; and what the list that follows is ranked by.
fn named(out: &mut Page, subject: &Subject, answer: &Answer) {
    if answer.named.is_empty() {
        return;
    }
    let current = answer.reference();
    let rows: Vec<Row> =
        answer.named.iter().map(|named| Row { rank: None, estimate: &named.estimate, current }).collect();
    let mut sheet = plans(subject, answer, &rows);
    // In the place of a rank.
    if let Some(first) = sheet.columns.first_mut() {
        *first = "plan".to_owned();
    }
    for (row, named) in sheet.rows.iter_mut().zip(&answer.named) {
        if let Some(first) = row.first_mut() {
            *first = named.best.name().into();
        }
    }
    let _ = writeln!(out, "{}", passed_over(answer));
    out.table(sheet);
    for named in &answer.named {
        let _ = writeln!(out, "{}: {}", named.best.name(), named.best.meaning(subject.workload.purpose));
    }
    let by = match answer.objective {
        Objective::Weighted(_) => "the weights given".to_owned(),
        objective => objective.name().to_owned(),
    };
    let _ = writeln!(out, "\nEvery layout, by {by}{}:", ranked_last(answer));
}

/// What layouts come after others whatever they deliver, or count for less.
fn ranked_last(answer: &Answer) -> String {
    let any = |of: &dyn Fn(&Estimate) -> bool| answer.best.iter().any(of);
    let unusual = any(&|e| e.practice == Practice::Unusual).then(|| {
        format!("those that no server is known to be launched as count for 1/{UNPROVEN} of what they deliver")
    });
    let sure = any(&|e| e.verdict == Verdict::Fits);
    let marginal =
        (sure && any(&|e| e.verdict == Verdict::Marginal)).then(|| "marginal ones last".to_owned());
    [unusual, marginal].into_iter().flatten().map(|said| format!("; {said}")).collect()
}

/// How much sooner a request would be answered for a layout that was passed over as none of the named plans to be worth a
/// line.
const SOONER: f64 = 1.2;

/// That a layout of the list answers sooner than the fastest of the named plans, and why it is not named.
fn passed_over(answer: &Answer) -> String {
    let Some(fastest) = answer.named.iter().find(|named| named.best == Best::Fastest) else {
        return String::new();
    };
    let shortest = fastest.estimate.service.e2e;
    let doubt = |e: &Estimate| match (e.verdict, e.practice) {
        (Verdict::Marginal, _) if fastest.estimate.verdict == Verdict::Fits => {
            Some("marginal: it may find no room when it starts")
        }
        (_, Practice::Unusual) if fastest.estimate.practice == Practice::Usual => {
            Some("unusual: no server is known to be launched so")
        }
        _ => None,
    };
    let ranked = answer.best.iter().zip(1..).filter(|(e, _)| e.service.e2e * SOONER < shortest);
    let passed = ranked.filter_map(|(e, rank)| Some((e, rank, doubt(e)?)));
    let sooner = passed.min_by(|(a, ..), (b, ..)| a.service.e2e.total_cmp(&b.service.e2e));
    sooner.map_or(String::new(), |(e, rank, doubt)| {
        format!(
            "\n#{rank} below answers a request {:.1} times as fast as the fastest named plan, and is {doubt}.\n",
            shortest / e.service.e2e
        )
    })
}

/// Adds how the times of what was simulated are spread over requests: of plans that are named and of the list.
fn tails(out: &mut Page, answer: &Answer) {
    let named = answer.named.iter().map(|named| (Value::from(named.best.name()), &named.estimate));
    let ranked = answer.best.iter().zip(1u64..).map(|(estimate, rank)| (Value::from(rank), estimate));
    let simulated: Vec<_> = named.chain(ranked).filter(|(_, estimate)| estimate.verified.is_some()).collect();
    if simulated.is_empty() {
        return;
    }
    // An answer that is made of its input alone has one time.
    let pools = simulated.iter().all(|(_, estimate)| estimate.purpose.pools());
    let tails: Vec<_> = TAILS.iter().filter(|(name, _)| !pools || name.contains("e2e")).collect();
    let columns = || PLAN_COLUMNS.iter().filter(|c| tails.iter().any(|(name, _)| *name == c.name));
    let mut sheet = Sheet::new(std::iter::once("#").chain(tails.iter().map(|(_, heading)| *heading)));
    for (name, estimate) in simulated {
        let row = Row::from(estimate);
        sheet.rows.push(std::iter::once(name).chain(columns().map(|c| (c.of)(&row))).collect());
    }
    sheet.spare = vec!["e2e p50", "TTFT p50", "TPOT p50", "e2e p95", "TPOT p99", "e2e p99"];
    out.push_str("\nAs simulated, ms:\n");
    out.table(sheet);
}

/// Columns of percentiles as simulated, with their headings beside each other.
const TAILS: [(&str, &str); 9] = [
    ("simulated_ttft_p50_ms", "TTFT p50"),
    ("simulated_ttft_p95_ms", "TTFT p95"),
    ("simulated_ttft_p99_ms", "TTFT p99"),
    ("simulated_tpot_p50_ms", "TPOT p50"),
    ("simulated_tpot_p95_ms", "TPOT p95"),
    ("simulated_tpot_p99_ms", "TPOT p99"),
    ("simulated_e2e_p50_ms", "e2e p50"),
    ("simulated_e2e_p95_ms", "e2e p95"),
    ("simulated_e2e_p99_ms", "e2e p99"),
];

/// The best plans.
fn ranking(subject: &Subject, answer: &Answer) -> Sheet {
    let current = answer.reference();
    let row = |(n, estimate)| Row { rank: Some(n), estimate, current };
    plans(subject, answer, &(1u64..).zip(&answer.best).map(row).collect::<Vec<_>>())
}

/// Some plans; columns that say nothing of them are left out.
pub(super) fn plans(subject: &Subject, answer: &Answer, rows: &[Row]) -> Sheet {
    let compared = answer.reference().is_some();
    let shown = Shown {
        several_gpus: subject.is_mixed(),
        by_energy: answer.objective == Objective::Energy,
        pooled: subject.workload.purpose.pools(),
        compared,
    };
    shown_plans(columns(compared), rows, shown)
}

/// What a table of plans is about, as far as that decides which columns it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// GPUs of several kinds were asked about.
    pub several_gpus: bool,
    /// Plans are ranked by energy.
    pub by_energy: bool,
    /// Answers are made of their inputs alone.
    pub pooled: bool,
    /// Plans are compared with what runs today.
    pub compared: bool,
}

impl Shown {
    /// What either is about.
    pub(super) fn or(self, other: Shown) -> Shown {
        Shown {
            several_gpus: self.several_gpus || other.several_gpus,
            by_energy: self.by_energy || other.by_energy,
            pooled: self.pooled || other.pooled,
            compared: self.compared || other.compared,
        }
    }
}

/// Some plans under some of their columns; those that say nothing of them are left out.
pub(super) fn shown_plans<'c>(
    columns: impl Iterator<Item = &'c Column<Plans>>,
    rows: &[Row],
    about: Shown,
) -> Sheet {
    let estimates = || rows.iter().map(|row| row.estimate);
    shown(columns, rows, |situation| match situation {
        Situation::SeveralGpus => about.several_gpus,
        Situation::Uncalibrated => !all_calibrated(estimates()),
        Situation::UnusualLayouts => estimates().any(|e| e.practice == Practice::Unusual),
        Situation::RankedByEnergy => about.by_energy,
        Situation::Pooled => about.pooled,
        Situation::Uncompared => !about.compared,
        Situation::WholeClusters | Situation::BoughtInLots => false,
    })
}

/// Adds what to deploy where it is more than one plan: what all of it delivers, and the plan of each part.
fn deployed_together(out: &mut Page, subject: &Subject, answer: &Answer) {
    let Some(all) = answer.together() else { return };
    let (sum, _) = sum_of(subject, all);
    let what = if subject.is_mixed() { "pools together" } else { "replicas of different sizes" };
    let idle = if all.idle_gpus == 0 { String::new() } else { format!(", {} idle", all.idle_gpus) };
    let _ = writeln!(out, "\n{} in {what}{idle}: {sum}", plural(all.gpus, "GPU"));
    // What rows have in common is said once, of these and of those that follow.
    let of = |estimate| Row { rank: None, estimate, current: answer.reference() };
    let rows: Vec<Row> = all.plans.iter().chain(&answer.best).map(of).collect();
    let mut sheet = plans(subject, answer, &rows);
    sheet.rows.truncate(all.plans.len());
    if let Some(first) = sheet.columns.first_mut() {
        *first = "part".to_owned();
    }
    for (row, n) in sheet.rows.iter_mut().zip(1u64..) {
        if let Some(first) = row.first_mut() {
            *first = n.into();
        }
    }
    out.table(sheet);
}

/// What several pools deliver together, and with which plans.
fn together(s: &Subject, c: &Combined) -> String {
    let (sum, plans) = sum_of(s, c);
    format!("{sum}: {plans}\n")
}

/// What several plans deliver together, and the plans in words.
fn sum_of(s: &Subject, c: &Combined) -> (String, String) {
    let cost = c.cost_output.map_or(String::new(), |cost| format!(" at ${:.2} per million", cost.get()));
    let serves = match (c.serves_rate, s.workload.load) {
        (Some(true), Load::Rate(rate)) => format!(", enough for {} req/s", rate.get()),
        (Some(false), Load::Rate(rate)) => format!(", not enough for {} req/s", rate.get()),
        _ => String::new(),
    };
    let plan = |e: &Estimate| {
        let prefill = e.prefill.as_ref().map_or(String::new(), |p| {
            format!("prefill {} × {} {}, decode ", p.workers, p.gpu, p.parallelism)
        });
        format!(
            "{prefill}{} {} × {}, batch {:.0}",
            e.gpu,
            e.parallelism,
            plural(e.replicas.into(), "replica"),
            e.batch
        )
    };
    let output = match s.workload.purpose.pools() {
        true => String::new(),
        false => format!("{} output tokens/s, ", group_thousands(c.output.get().round() as u64)),
    };
    let sum = format!("{output}{:.1} req/s{cost}{serves}", c.requests.get());
    (sum, c.plans.iter().map(plan).join("; "))
}

/// How many plans there were; why they fell, where that is asked or none is left.
fn ledger(s: &Subject, answer: &Answer, why: bool) -> String {
    let c = &answer.counts;
    let mut out = format!(
        "{}: {} illegal, {} out of memory, {} miss a target, {} feasible",
        plural(c.plans, "plan"),
        group_thousands(c.illegal),
        group_thousands(c.out_of_memory),
        group_thousands(c.target_missed),
        group_thousands(c.feasible)
    );
    let listed = why || answer.best.is_empty();
    out += if listed || answer.rejected.is_empty() { "\n" } else { "; --why tells why they fell\n" };
    for (n, what) in [
        (c.dominated, "proven to be no better than others, and not looked at"),
        (c.unseen, "not looked at: the search was stopped"),
    ] {
        if n > 0 {
            let _ = writeln!(out, "{:>9}  {what}", group_thousands(n));
        }
    }
    for r in answer.rejected.iter().filter(|_| listed) {
        let nearest = if r.reason.stage() == Stage::Illegal { "for example" } else { "nearest" };
        let line = format!("{:>9}  {}", group_thousands(r.count), r.reason.name());
        let on =
            s.gpu_label(&r.nearest).filter(|_| s.is_mixed()).map_or(String::new(), |g| format!(" on {g}"));
        let _ = writeln!(out, "{line}; {nearest} {}{on}: {}", describe(&r.nearest), r.reason.message());
    }
    out
}

/// Every batch of the layouts that are ranked, each with the rank of its layout.
pub fn batches_page(subject: &Subject, answer: &Answer, batches: &[(usize, Estimate)]) -> Page {
    let mut out = Page::default();
    if !batches.is_empty() {
        out.push_str("\nEvery batch of these layouts, in closed form:\n");
        out.table(plans(subject, answer, &batches::rows(answer, batches)));
    }
    out
}

/// One estimate, every figure; of a launch that is `refused` whatever its figures are too.
pub fn estimate_page(
    subject: &Subject,
    estimate: &Estimate,
    (reasons, refused): (&[Reason], bool),
    fit: &Fit,
) -> Page {
    let mut out = Page::from(headline(subject, Some(estimate)));
    let verdict = if reasons.is_empty() && !refused { "feasible" } else { "not feasible" };
    let _ = writeln!(out, "{}: {verdict}", describe(&estimate.plan));
    for reason in reasons {
        let _ = writeln!(out, "  {}: {}", reason.name(), reason.message());
    }
    let row = Row::from(estimate);
    let mut sheet = Sheet::new(["figure", "value", "meaning"]);
    for c in PLAN_COLUMNS {
        // Plans without split pools have no prefill workers, and one estimate is not simulated.
        let value = (c.of)(&row);
        if !(c.optional && value == Value::Missing) {
            sheet.rows.push(vec![Value::Text(c.path()), value, c.about.into()]);
        }
    }
    sheet.spare = vec!["meaning"];
    out.push_str("\n");
    out.table(sheet);
    out.push_str(&tiers_text(estimate));
    out.push_str(&fit_text(estimate, fit));
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
        // As the table of the answer has them.
        let (f, service) = (Figures::from(best), &best.service);
        let delivers = match best.purpose.pools() {
            true => format!("{:.0} req/s, end to end {}", f.output.get(), service.e2e),
            false => format!("{:.0} output tokens/s, TTFT {}, TPOT {}", f.output.get(), f.ttft, f.tpot),
        };
        let _ = writeln!(
            out,
            "  {}: {} × {} replicas, batch {:.0}, {delivers}; {} of weights and {} of KV cache a GPU",
            a.change, best.parallelism, best.replicas, best.batch, best.memory.weights, best.cache.0
        );
    }
    out
}
