//! What answers of several kinds say.

use super::view::View;
use crate::catalog::{Cluster, DEFAULT_ENGINE, Engine, Gpu};
use crate::diagnostic::Diagnostic;
use crate::estimate::estimated::Estimate;
use crate::estimate::explanation::Explanation;
use crate::report::{self, Subject};
use crate::request::Resolved;

/// An estimate explained operator by operator.
pub fn explained(
    view: View,
    subject: &Subject,
    estimate: &Estimate,
    explanation: &Explanation,
) -> Result<String, Diagnostic> {
    view.written(&report::explanation(subject, estimate, explanation))
}

/// What to say about the choice of engines: a file that the model's name means, one that was not asked for, a version newer
/// than those described.
pub fn remarks(resolved: &Resolved) -> String {
    let mut text = resolved.named_file.as_ref().map_or(String::new(), |said| format!("{said}.\n"));
    let named = resolved.named_file.is_some();
    for engine in &resolved.engines {
        text += &usual(resolved, engine).filter(|_| !named).unwrap_or_default();
        if let Some(caveat) = engine.caveat() {
            text += &format!("{caveat}.\n");
        }
    }
    text
}

/// That an engine is the usual one on a GPU, where nobody named it and another is meant elsewhere.
fn usual(resolved: &Resolved, engine: &Engine) -> Option<String> {
    let claims = |gpu: &Gpu| engine.default_for.iter().any(|p| p == gpu.platform());
    let pool: &Cluster = resolved.pools.iter().find(|pool| claims(&pool.gpu))?;
    (!resolved.engine_is_named && engine.id != DEFAULT_ENGINE).then(|| {
        let (id, gpu) = (&engine.id, &pool.gpu.name);
        format!(
            "No --engine was named: {id} is the usual one on {gpu}, where {DEFAULT_ENGINE} does not run.\n"
        )
    })
}
