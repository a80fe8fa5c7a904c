//! Training plans.

use super::view::{Answered, View};
use crate::diagnostic::{Code, Diagnostic};
use crate::launch::artefact::File;
use crate::report::{self, Format, Trained};
use crate::request::train::Training;
use crate::search::Stop;
use crate::train::TrainingAnswer;

/// The ranking, a plan of it explained, why others are not the best, or a framework's files for the best.
///
/// # Errors
/// A GPU that lacks what training needs; a rank that there is none of; a framework that lacks what the plan needs.
pub fn written(training: &Training, stop: Stop, view: View) -> Result<Answered, Diagnostic> {
    training.jobs(|jobs| {
        let about = |answer, ways| Trained {
            job: &jobs[0].1,
            answer,
            operations: &training.operations,
            price: training.cluster.price,
            convention: training.convention,
            passed_over: training.passed_over.as_deref(),
            ways,
        };
        let answer = training.ask(jobs, &training.axes, stop)?;
        let ways = if answer.best.is_empty() { training.ways(stop)? } else { Vec::new() };
        let trained = about(&answer, &ways);
        let text = match (&training.why_not, training.explain, &training.emit) {
            (Some(axes), ..) => {
                // A degree that suits no split was named there, whatever option is its own.
                let named_there = |d: Diagnostic| if d.code == Code::Usage { d.at("--why-not") } else { d };
                let asked = training.ask(jobs, axes, stop).map_err(named_there)?;
                let trained = about(&asked, &[]);
                view.written(&trained.why_not(answer.best.first()))?
            }
            (_, Some(rank), _) => explained(&trained, rank, view)?,
            (_, _, Some(target)) => {
                let nothing = || {
                    Diagnostic::new(Code::Usage, "no plan is feasible")
                        .at("--emit")
                        .help("run without it to see why")
                };
                let best = answer.best.first().ok_or_else(nothing)?;
                let text = report::emit(target, &jobs[0].1, (&best.plan, training.lora.as_ref()))?;
                if view.format == Format::Json {
                    let name = report::emitted_name(target).to_owned();
                    return Ok(Answered::Files(vec![File { name, text }]));
                }
                text
            }
            _ => view.written(&trained.report())?,
        };
        Ok(Answered::Text { text, found: !answer.best.is_empty() })
    })
}

fn explained(trained: &Trained, rank: u64, view: View) -> Result<String, Diagnostic> {
    let TrainingAnswer { best, .. } = trained.answer;
    let at = usize::try_from(rank - 1).unwrap_or(usize::MAX);
    let estimate = best.get(at).ok_or_else(|| {
        Diagnostic::new(Code::Range, format!("rank {rank} of {} plans", best.len())).at("--explain")
    })?;
    view.written(&trained.explanation(estimate))
}
