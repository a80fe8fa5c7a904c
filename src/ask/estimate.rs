//! One plan in every detail, and launches that were read and not judged.

use super::emit;
use super::launched::{Improved, Read};
use super::view::{Answered, Setting, View};
use super::words::{explained, remarks};
use crate::diagnostic::{Code, Diagnostic};
use crate::estimate::explanation::Explanation;
use crate::estimate::memory::Verdict;
use crate::launch;
use crate::plan::Reason;
use crate::report::{self, Format, Page, Report, Row, Subject};
use crate::request::{Estimated, Explain, Request, Resolved, Task};

/// What an estimate came to.
#[derive(Clone, Debug)]
pub struct Judged {
    /// What it says.
    pub answered: Answered,
    /// The request as it was resolved, where it was.
    pub resolved: Option<Resolved>,
    /// Kinds of server that a launch starts beside the one that is answered for.
    pub left_out: usize,
}

/// What an estimate says: its figures, the plan explained, or what starts it.
///
/// # Errors
/// What is wrong with the request, in the names of the command line's options. A launch that was read and cannot be
/// judged is answered all the same, with the reason why not.
pub fn written(request: &Request, setting: &Setting, view: View) -> Result<Judged, Diagnostic> {
    if emit::targets(request)?.contains(&launch::artefact::SWEEP) {
        return Err(Diagnostic::new(Code::Usage, "a sweep is of several plans, and an estimate of one")
            .at("--emit")
            .help("`shardfit plan --emit sweep` writes those that estimates cannot tell apart"));
    }
    if let Some(Explain::Rank(_)) = request.explain {
        return Err(
            Diagnostic::new(Code::Usage, "an estimate is of one plan, which has no rank").at("--explain")
        );
    }
    let mut filled = request.clone();
    let launched = Read::into(&mut filled, setting.catalog, &setting.hub)?;
    filled.launch = None;
    let resolved = filled.resolve_as_flags(Task::Estimate, setting.catalog, setting.hub.clone());
    let left_out = launched.as_ref().map_or(0, Read::left_out);
    let stated = launched.as_ref().map_or(Ok(()), |launched| launched.stated(&filled));
    let mut illegal = None;
    let judged = resolved.and_then(|resolved| {
        stated?;
        illegal = launched.as_ref().and_then(|_| resolved.illegal());
        let answered = judged(&filled, &resolved, launched.as_ref(), setting, view)?;
        Ok(Judged { answered, resolved: Some(resolved), left_out })
    });
    match (judged, &launched) {
        // What the launch says is read all the same; why it was not judged is said.
        (Err(why), Some(launched)) => {
            let text = unjudged(view, launched, &why, illegal.as_ref())?;
            let found = launched.refused.is_empty() && illegal.is_none();
            Ok(Judged { answered: Answered::Text { text, found }, resolved: None, left_out })
        }
        (judged, _) => judged,
    }
}

fn judged(
    request: &Request,
    resolved: &Resolved,
    launched: Option<&Read>,
    setting: &Setting,
    view: View,
) -> Result<Answered, Diagnostic> {
    let targets = emit::targets(request)?;
    let asked = emit::asked(request, resolved, 0, setting.catalog);
    let explain = request.explain == Some(Explain::This(true));
    let (estimated, (explanation, release)) = resolved.estimate_and(|deployment, estimate| {
        let starts = !targets.is_empty() && estimate.verdict != Verdict::DoesNotFit;
        (
            explain.then(|| deployment.explain(estimate)),
            starts.then(|| launch::plan::release(estimate, deployment, &asked)),
        )
    })?;
    if let Some(release) = &release {
        return emit::files(&targets, release).map(Answered::Files);
    }
    let subject = Subject::of(resolved);
    let better = match launched.filter(|_| !explain) {
        Some(launched) => launched.better(resolved, &estimated, (&asked, setting.stop))?,
        None => None,
    };
    let mut text = render(view, &subject, &estimated, (explanation.as_ref(), launched, better.as_ref()))?;
    if view.format == Format::Table {
        text += &remarks(resolved);
    }
    let refused = launched.is_some_and(|launched| !launched.refused.is_empty());
    Ok(Answered::Text { text, found: estimated.reasons.is_empty() && !refused })
}

/// A launch that was read and could not be judged: without a GPU, with a model that is not at hand, with a layout that
/// the engine refuses. What it says is printed, and why there are no figures.
fn unjudged(
    view: View,
    launched: &Read,
    why: &Diagnostic,
    illegal: Option<&Reason>,
) -> Result<String, Diagnostic> {
    let verdict = if illegal.is_some() { "does not start" } else { "not judged" };
    let main = (launched.servers.as_slice(), launched.main());
    view.written(&Report::new(
        format!("{}{verdict}: {why}\n", launched.text()),
        report::unjudged_json(main, why, (&launched.refused, illegal)),
        report::launched_sheet(launched.main()),
    ))
}

fn render(
    view: View,
    subject: &Subject,
    Estimated { estimate, reasons, fit }: &Estimated,
    (explanation, launched, better): (Option<&Explanation>, Option<&Read>, Option<&Improved>),
) -> Result<String, Diagnostic> {
    if let Some(explanation) = explanation {
        return explained(view, subject, estimate, explanation);
    }
    let mut page = Page::from(launched.map(|l| l.text() + "\n").unwrap_or_default());
    let refused = launched.is_some_and(|l| !l.refused.is_empty());
    page.append(report::estimate_page(subject, estimate, (reasons, refused), fit));
    page.push_str(&better.map(|b| format!("\n{}", b.text())).unwrap_or_default());
    let answer = report::estimate_answer(subject, estimate, reasons, fit);
    let better = better.map(Improved::improvement);
    let value = match launched {
        Some(read) => answer.launched(&read.servers, (read.main(), &read.refused), better).json(),
        None => answer.json(),
    };
    let rows = report::plan_sheet(&[Row::from(estimate)], false).about(subject.asked());
    view.written(&Report::new(page, value, rows))
}
