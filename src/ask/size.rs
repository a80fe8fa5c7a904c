//! Fleets for a rate.

use serde_json::Value;

use super::view::{Answered, View};
use crate::diagnostic::Diagnostic;
use crate::report::{self, SizeAnswer, Subject};
use crate::request::{Resolved, SizedFleets};
use crate::search::Stop;

/// The smallest or cheapest fleets, and their growth along a forecast.
///
/// # Errors
/// As [`Resolved::size`].
pub fn written(resolved: &Resolved, stop: Stop, view: View) -> Result<Answered, Diagnostic> {
    let sized = &resolved.size_until(stop)?;
    let SizedFleets { sizings, .. } = sized;
    let answer = shown(resolved, sized);
    let subject = Subject::of(resolved);
    let text = view.written(&report::size(&subject, &answer))?;
    Ok(Answered::Text { text, found: sizings.first().is_some_and(|sizing| !sizing.fleets.is_empty()) })
}

/// What is shown of the fleets.
fn shown<'a>(resolved: &Resolved, sized: &'a SizedFleets) -> SizeAnswer<'a> {
    let SizedFleets { demand, sizings, growth } = sized;
    SizeAnswer { demand, sizings, top: resolved.top, growth }
}

/// The fleets as JSON.
pub(super) fn json(resolved: &Resolved, sized: &SizedFleets) -> Value {
    report::size_json(&Subject::of(resolved), &shown(resolved, sized))
}
