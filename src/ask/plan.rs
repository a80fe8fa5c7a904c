//! What a search found.

use std::collections::BTreeMap;

use super::emit;
use super::view::{Answered, View};
use super::words::{explained, remarks};
use crate::catalog::Catalog;
use crate::diagnostic::{Code, Diagnostic};
use crate::estimate::estimated::Estimate;
use crate::launch::artefact::File;
use crate::launch::release::Beside;
use crate::launch::{self, artefact};
use crate::report::{self, Report, Row, Sheet, Subject};
use crate::request::{Chosen, Explain, Planned, Request, Resolved, layout};
use crate::search::{Answer, Best, Question};
use crate::workload::Load;

/// Checks what a search is asked for beside its ranking, before any work is done.
///
/// # Errors
/// Options that exclude or require each other, a target that is none, a rank of no plan.
pub fn check(request: &Request) -> Result<(), Diagnostic> {
    emit::targets(request)?;
    let exclude = [
        ("--explain", request.explain.is_some(), "--why-not", request.why_not.is_some()),
        ("--explain", request.explain.is_some(), "--pareto", request.pareto.is_some()),
        ("--why-not", request.why_not.is_some(), "--pareto", request.pareto.is_some()),
        ("--what-if", request.what_if.is_some(), "--explain", request.explain.is_some()),
        ("--what-if", request.what_if.is_some(), "--why-not", request.why_not.is_some()),
        ("--current", request.current.is_some(), "--explain", request.explain.is_some()),
        ("--current", request.current.is_some(), "--why-not", request.why_not.is_some()),
        ("--batches", request.batches == Some(true), "--pareto", request.pareto.is_some()),
        ("--batches", request.batches == Some(true), "--explain", request.explain.is_some()),
        ("--batches", request.batches == Some(true), "--why-not", request.why_not.is_some()),
        ("--emit", request.emit.is_some(), "--explain", request.explain.is_some()),
        ("--emit", request.emit.is_some(), "--why-not", request.why_not.is_some()),
    ];
    if let Some((one, _, other, _)) = exclude.iter().find(|(_, a, _, b)| *a && *b) {
        let cause = format!("{one} and {other} exclude each other");
        return Err(Diagnostic::new(Code::Usage, cause).help("give one of them"));
    }
    if request.rank.is_some() && request.emit.is_none() {
        let cause = "--rank needs --emit: the plan that is written";
        return Err(Diagnostic::new(Code::Usage, cause).at("--rank"));
    }
    match request.explain {
        Some(Explain::This(_)) => {
            Err(Diagnostic::new(Code::Usage, "a search explains the plan of a rank").at("--explain"))
        }
        _ => Ok(()),
    }
}

/// What the search found: the ranking, the plan of a rank explained, or what starts it.
///
/// # Errors
/// A rank that there is none of, a target that cannot say what the plan needs.
pub fn written(
    request: &Request,
    resolved: &Resolved,
    question: &Question,
    planned: &Planned,
    (catalog, view): (&Catalog, View),
) -> Result<Answered, Diagnostic> {
    let Planned { answer, what_if: moved, advice } = planned;
    let subject = &Subject::of(resolved);
    let targets = emit::targets(request)?;
    if !targets.is_empty() && answer.is_found() {
        let mut files = Vec::new();
        let parts = answer.together().filter(|_| request.rank.is_none()).map(|all| all.plans.as_slice());
        let alone = match parts {
            Some(_) => None,
            None => Some(chosen(answer, request.rank.as_ref())?),
        };
        // Parts of one kind of GPU that a node holds stand beside each other on it.
        let mut beside: BTreeMap<&str, Beside> = BTreeMap::new();
        for (part, n) in parts.unwrap_or(&[]).iter().chain(alone).zip(1..) {
            let asked = emit::asked(request, resolved, part.plan.layout.precision, catalog);
            let mut release = question
                .with_deployment(part, |deployment| launch::plan::release(part, deployment, &asked))?;
            release.part = parts.map(|_| format!("{n}-{}", part.gpu));
            let alike = parts.unwrap_or(&[]).iter().filter(|other| other.gpu == part.gpu);
            if alike.map(|other| other.gpus).sum::<u64>() <= release.gpus_per_node {
                let taken = beside.entry(&part.gpu).or_default();
                release.beside = *taken;
                taken.gpus += release.gpus();
                taken.servers += release.servers();
            }
            let prefix = release.part.as_ref().map_or(String::new(), |part| format!("{part}-"));
            let written = emit::files(&targets, &release)?;
            files.extend(written.into_iter().map(|file| File { name: prefix.clone() + &file.name, ..file }));
        }
        if targets.contains(&artefact::SWEEP) {
            let near = near(question, answer, |n| emit::asked(request, resolved, n, catalog))?;
            files.extend(artefact::sweep(&near)?);
        }
        return Ok(Answered::Files(files));
    }
    if let Some(Explain::Rank(rank)) = request.explain {
        let chosen = ranked(answer, rank, "--explain")?;
        let text = question.with_deployment(chosen, |deployment| {
            explained(view, subject, chosen, &deployment.explain(chosen))
        })??;
        return Ok(Answered::Text { text, found: true });
    }
    let batches = match request.batches {
        Some(true) if resolved.workload.load != Load::Saturate => {
            let cause = "the load says how many requests are in flight";
            return Err(Diagnostic::new(Code::Usage, cause)
                .at("--batches")
                .help("leave --concurrency, --rate and --users out to see every batch"));
        }
        Some(true) => question.every_batch(&answer.best)?,
        _ => Vec::new(),
    };
    let front = request.pareto.is_some();
    let plans = if front { &answer.pareto } else { &answer.best };
    let shown = Answer { best: plans.clone(), ..answer.clone() };
    let mut page = report::answer_page(subject, &shown, view.why);
    page.append(report::batches_page(subject, answer, &batches));
    if front {
        page.front(answer);
    }
    page.push_str(&report::what_if_text(answer, moved));
    page.push_str(&report::advice_text(advice));
    page.push_str(hint(question, answer));
    page.push_str(&remarks(resolved));
    let every = (request.batches == Some(true)).then_some(batches.as_slice());
    let value = report::answer_json(subject, answer, advice, moved, every);
    let rows = match every {
        Some(batches) => report::batches_sheet(answer, batches),
        None => sheet(plans, answer, !front),
    };
    let text = view.written(&Report::new(page, value, rows.about(subject.asked())))?;
    Ok(Answered::Text { text, found: answer.is_found() })
}

/// The plan of a rank or a name.
fn chosen<'a>(answer: &'a Answer, which: Option<&Chosen>) -> Result<&'a Estimate, Diagnostic> {
    let name = match which {
        None => return ranked(answer, 1, "--rank"),
        Some(Chosen::Rank(rank)) => return ranked(answer, *rank, "--rank"),
        Some(Chosen::Named(name)) => name,
    };
    let names = Best::ALL.map(Best::key);
    let Some(best) = Best::ALL.into_iter().find(|best| best.key() == name) else {
        let allowed = format!("a rank from 1, or where no limit is named {}", names.join(", "));
        return Err(Diagnostic::unknown("plan", name, names, &allowed).within("--rank"));
    };
    let plan = answer.named.iter().find(|named| named.best == best).map(|named| &named.estimate);
    plan.ok_or_else(|| {
        let cause = format!("this question has no plan called `{name}`");
        let help = "plans are named where neither a load, a batch nor a limit on a time is given";
        Diagnostic::new(Code::Range, cause).at("--rank").help(help)
    })
}

/// The plan of a rank.
fn ranked<'a>(answer: &'a Answer, rank: u64, flag: &str) -> Result<&'a Estimate, Diagnostic> {
    let place = usize::try_from(rank).ok().and_then(|n| n.checked_sub(1));
    place.and_then(|i| answer.best.get(i)).ok_or_else(|| {
        let help = match answer.best.len() {
            0 => "no plan is feasible".to_owned(),
            n => format!("there are {n} ranks; --top shows more"),
        };
        Diagnostic::new(Code::Range, format!("there is no rank {rank}")).at(flag).help(help)
    })
}

/// Plans to measure at least and at most, where there are as many.
const MEASURED: std::ops::RangeInclusive<usize> = 5..=10;

/// The plans that the estimate cannot tell from the best: those whose range of throughput reaches into its own, of its
/// engine and version, the first five of the ranking at least.
fn near<'a>(
    question: &Question,
    answer: &Answer,
    asked: impl Fn(usize) -> launch::plan::Asked<'a>,
) -> Result<Vec<artefact::Candidate>, Diagnostic> {
    let Some(best) = answer.best.first() else { return Ok(Vec::new()) };
    let low = best.ranges.as_ref().map_or(best.output, |r| r.output.0);
    let alike = |e: &&Estimate| e.engine == best.engine && e.engine_version == best.engine_version;
    let mut out = Vec::new();
    for (estimate, rank) in answer.best.iter().filter(alike).zip(1..).take(*MEASURED.end()) {
        let high = estimate.ranges.as_ref().map_or(estimate.output, |r| r.output.1);
        if high < low && rank > *MEASURED.start() {
            break;
        }
        let asked = asked(estimate.plan.layout.precision);
        let release = question.with_deployment(estimate, |d| launch::plan::release(estimate, d, &asked))?;
        let plan = estimate.parallelism.to_string().replace(['=', ' '], "");
        let name = format!("{rank}-{plan}-x{}-b{:.0}", estimate.replicas, estimate.batch.ceil());
        out.push(artefact::Candidate { name, release });
    }
    Ok(out)
}

/// Every column of the plans; where several are to be deployed together those first, without a rank.
fn sheet(plans: &[Estimate], answer: &Answer, with_parts: bool) -> Sheet {
    let current = answer.reference();
    let row = |(estimate, n)| Row { rank: Some(n), estimate, current };
    let parts = answer.together().filter(|_| with_parts).map_or(&[][..], |all| &all.plans);
    let of_part = |estimate| Row { rank: None, estimate, current };
    let rows: Vec<Row> = parts.iter().map(of_part).chain(plans.iter().zip(1..).map(row)).collect();
    let mut sheet = report::plan_sheet(&rows, answer.current.is_some());
    if !parts.is_empty() {
        sheet.columns.insert(0, "deployment".to_owned());
        for (n, row) in sheet.rows.iter_mut().enumerate() {
            row.insert(0, if n < parts.len() { "together" } else { "alone" }.into());
        }
    }
    sheet
}

/// Puts one layout through the funnel and says where it falls.
///
/// # Errors
/// A text that is no layout.
pub fn why_not(
    resolved: &Resolved,
    question: &Question,
    layout: &str,
    view: View,
) -> Result<Answered, Diagnostic> {
    let subject = &Subject::of(resolved);
    let asked = layout::asked("--why-not", layout)?;
    let examined = question.examine(asked)?;
    let text = view.written(&report::examined(subject, asked, &examined))?;
    Ok(Answered::Text { text, found: examined.iter().any(|e| e.outcome.is_ok()) })
}

/// What to say where nothing is feasible and an engine could leave layers with the host.
fn hint(question: &Question, answer: &Answer) -> &'static str {
    let could = question.engines.iter().any(|engine| engine.host.is_some());
    let unknown = question.pools.iter().any(|pool| pool.host.is_none() && pool.has_own_memory());
    match answer.best.is_empty() && could && unknown {
        true => {
            "llama.cpp leaves with the host what finds no room: --host memory=64GiB,bandwidth=83.2GB/s says what that has.\n"
        }
        false => "",
    }
}
