//! Questions that differ in a few options, answered one beside the other.

use super::launched::Read;
use super::view::{Answered, Setting, View};
use super::words::remarks;
use super::{plan, size};
use crate::diagnostic::{Code, Diagnostic};
use crate::rank::Objective;
use crate::report::{self, Best, Compared, Format, Shown, Subject};
use crate::request::{Point, Request, Resolved, Task};
use crate::search::{Question, Stop, Stopped};

/// What became of several questions.
#[derive(Clone, Debug)]
pub struct Beside {
    /// What it says.
    pub answered: Answered,
    /// Questions that there was no time for, or not enough of it.
    pub stopped: usize,
}

/// Answers each point, and writes a row of each: the first plan, the figures of the plan that is given, or the best
/// fleet; as JSON the whole answers, each with what it differs in.
///
/// # Errors
/// What is wrong with one of the questions, in the names of the command line's options; an option that is of one question.
/// A layout that an engine does not take is no error beside others: its row says why.
pub fn written(task: Task, points: &[Point], setting: &Setting, view: View) -> Result<Beside, Diagnostic> {
    points.iter().try_for_each(of_one_question)?;
    let whole = matches!(view.format, Format::Json | Format::Yaml);
    let (mut all, mut answers, mut said, mut stopped) = (Vec::new(), Vec::new(), Vec::new(), 0);
    // The limit of a request on its time is on all of them.
    let begun = std::time::Instant::now();
    let mut limit = None;
    for point in points {
        let until = Stop { deadline: limit.or(setting.stop.deadline), ..setting.stop };
        if !all.is_empty() && until.now() {
            let json = serde_json::json!({ "schema_version": report::ANSWER_VERSION, "stopped": until.why().name() });
            answers.push((point.differs.clone(), json));
            all.push(Compared::unseen(&point.differs));
            stopped += 1;
            continue;
        }
        let resolved = resolved(task, &point.request, setting)?;
        limit = resolved.time_limit.map(|t| begun + std::time::Duration::from_secs_f64(t.get()));
        let stop = Stop { deadline: limit.or(setting.stop.deadline), ..setting.stop };
        let mut row = Compared::new(&point.differs, &Subject::of(&resolved));
        let answer = match task {
            Task::Plan => planned(&point.request, &resolved, stop, &mut row)?,
            Task::Size => sized(&resolved, stop, &mut row)?,
            _ => estimated(&resolved, &mut row)?,
        };
        stopped += usize::from(answer.stopped);
        said.extend(remarks(&resolved).lines().map(str::to_owned));
        if whole {
            answers.push((point.differs.clone(), answer.json));
        }
        all.push(row);
    }
    let mut seen = Vec::new();
    said.retain(|line| {
        !seen.contains(line) && {
            seen.push(line.clone());
            true
        }
    });
    let mut report = report::compared(&all, answers);
    said.iter().for_each(|line| report.page.push_str(&format!("{line}\n")));
    let text = view.written(&report)?;
    let found = all.iter().any(|one| one.best.is_some() && one.why.is_empty());
    Ok(Beside { answered: Answered::Text { text, found }, stopped })
}

/// # Errors
/// [`Code::Usage`] for what is said of one question.
fn of_one_question(point: &Point) -> Result<(), Diagnostic> {
    let request = &point.request;
    let given = [
        ("--explain", request.explain.is_some()),
        ("--why-not", request.why_not.is_some()),
        ("--emit", request.emit.is_some()),
        ("--pareto", request.pareto.is_some()),
        ("--batches", request.batches == Some(true)),
        ("--what-if", request.what_if.is_some()),
        ("--current", request.current.is_some()),
        ("--forecast", request.forecast.is_some()),
    ];
    match given.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((flag, _)) => {
            let differs: Vec<String> =
                point.differs.iter().map(|(field, _)| format!("--{}", field.replace('_', "-"))).collect();
            Err(Diagnostic::new(Code::Usage, format!("{flag} is about one question, and these are several"))
                .at(*flag)
                .help(format!("give one value of {}", differs.join(", "))))
        }
    }
}

/// The question of a point.
fn resolved(task: Task, request: &Request, setting: &Setting) -> Result<Resolved, Diagnostic> {
    let mut filled = request.clone();
    match task {
        Task::Plan => drop(Read::current(&mut filled, setting.catalog, &setting.hub)?),
        _ => drop(Read::into(&mut filled, setting.catalog, &setting.hub)?),
    }
    filled.launch = None;
    filled.resolve_as_flags(task, setting.catalog, setting.hub.clone())
}

/// The whole answer of a point, and whether there was too little time for it.
struct Whole {
    json: serde_json::Value,
    stopped: bool,
}

fn planned(
    request: &Request,
    resolved: &Resolved,
    stop: Stop,
    row: &mut Compared,
) -> Result<Whole, Diagnostic> {
    plan::check(request)?;
    let question = Question { stop, ..resolved.question() };
    let planned = resolved.conclude(&question, question.answer()?)?;
    let answer = &planned.answer;
    row.shown = Shown {
        by_energy: answer.objective == Objective::Energy,
        pooled: resolved.workload.purpose.pools(),
        ..row.shown
    };
    row.ranked = true;
    row.best = answer.best.first().cloned().map(|plan| Best::Plan(Box::new(plan)));
    let stopped = answer.stopped != Stopped::Complete;
    if row.best.is_none() {
        // What got furthest is nearest to a plan.
        let nearest =
            answer.rejected.iter().rev().max_by_key(|r| r.reason.stage()).map(|r| r.reason.message());
        row.why = match (stopped, nearest) {
            (true, _) => "stopped before a feasible plan was found".to_owned(),
            (false, Some(message)) => message,
            (false, None) => "no plan is feasible".to_owned(),
        };
    }
    let json = report::answer_json(&Subject::of(resolved), answer, &planned.advice, &planned.what_if, None);
    Ok(Whole { json, stopped })
}

fn estimated(resolved: &Resolved, row: &mut Compared) -> Result<Whole, Diagnostic> {
    row.shown.pooled = resolved.workload.purpose.pools();
    let subject = Subject::of(resolved);
    match resolved.estimate() {
        Ok(estimated) => {
            let reasons: Vec<String> = estimated.reasons.iter().map(|reason| reason.message()).collect();
            row.why = reasons.join("; ");
            let json =
                report::estimate_answer(&subject, &estimated.estimate, &estimated.reasons, &estimated.fit)
                    .json();
            row.best = Some(Best::Plan(Box::new(estimated.estimate)));
            Ok(Whole { json, stopped: false })
        }
        // A layout that breaks a rule has no figures.
        Err(why) if why.code == Code::Usage => {
            row.why = why.cause.clone();
            let json = serde_json::json!({
                "schema_version": report::ANSWER_VERSION, "feasible": false, "reasons": [{ "message": why.cause }],
            });
            Ok(Whole { json, stopped: false })
        }
        Err(fault) => Err(fault),
    }
}

fn sized(resolved: &Resolved, stop: Stop, row: &mut Compared) -> Result<Whole, Diagnostic> {
    let sized = match resolved.size_until(stop) {
        Err(why) if why.code == Code::Stopped => {
            row.why = why.cause.clone();
            let json = serde_json::json!({ "schema_version": report::ANSWER_VERSION, "fleets": null });
            return Ok(Whole { json, stopped: true });
        }
        sized => sized?,
    };
    let json = size::json(resolved, &sized);
    if sized.best().is_none() {
        let nearest = sized.sizings.iter().find_map(|sizing| sizing.nearest.as_ref());
        row.why = nearest.map_or("no kind of GPU serves this".to_owned(), |r| r.reason.message());
    } else {
        row.best = Some(Best::Fleets(Box::new(sized)));
    }
    Ok(Whole { json, stopped: false })
}
