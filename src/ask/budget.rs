//! What a budget buys.

use super::view::{Answered, View};
use crate::diagnostic::Diagnostic;
use crate::report::Budgeted;
use crate::request::budget::{Budgeting, Settled};

/// Sizes and tokens by each law.
///
/// # Errors
/// As [`Budgeting::settle`].
pub fn written(budgeting: &Budgeting, view: View) -> Result<Answered, Diagnostic> {
    let Settled { flops, approach, longer, pace } = budgeting.settle()?;
    let answer = Budgeted { flops, approach, longer: &longer, pace: pace.as_ref() };
    view.written(&answer.report()).map(Answered::found)
}
