//! Fleets for a rate.

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
    let SizedFleets { demand, sizings, growth } = &resolved.size_until(stop)?;
    let answer = SizeAnswer { demand, sizings, top: resolved.top, growth };
    let subject = Subject::of(resolved);
    let text = view.format.write(
        view.width,
        || Ok(report::size_text(&subject, &answer, view.width)),
        || Ok(report::size_json(&subject, &answer)),
        || match sizings.first() {
            Some(sizing) if !growth.is_empty() => {
                let subject = Subject { cluster: &sizing.cluster.id, ..subject };
                Ok(report::growth_sheet(growth).about(subject.asked()))
            }
            _ => Ok(report::size_sheet(&subject, &answer)),
        },
    )?;
    Ok(Answered::Text { text, found: sizings.first().is_some_and(|sizing| !sizing.fleets.is_empty()) })
}
