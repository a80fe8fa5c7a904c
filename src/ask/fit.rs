//! Which models run on a machine.

use super::view::{Answered, View};
use crate::diagnostic::Diagnostic;
use crate::report::Fitted;
use crate::request::fit::Fitting;

/// The models that run, ranked, and what would make the next better ones run.
///
/// # Errors
/// As [`Fitting::answer`].
pub fn written(fitting: &Fitting, view: View) -> Result<Answered, Diagnostic> {
    let answer = fitting.answer()?;
    let fitted = Fitted {
        cluster: &fitting.cluster,
        engines: &fitting.engines,
        need: &fitting.need,
        lengths: fitting.lengths,
        top: fitting.top,
        answer: &answer,
    };
    Ok(Answered::Text { text: view.written(&fitted.report())?, found: !answer.running.is_empty() })
}
