//! What a budget buys.

use serde_json::json;

use super::view::{Answered, View};
use crate::diagnostic::Diagnostic;
use crate::report::{self, Budgeted};
use crate::request::budget::{Budgeting, Settled};
use crate::units::Flops;

/// Sizes and tokens by each law.
///
/// # Errors
/// As [`Budgeting::settle`].
pub fn written(budgeting: &Budgeting, view: View) -> Result<Answered, Diagnostic> {
    let Settled { flops, approach, longer, pace } = budgeting.settle()?;
    let hours = |f: Flops| pace.as_ref().map(|p| f.get() / (p.peak.get() * p.mfu) / 3600.0);
    let dollars = |f: Flops| hours(f).zip(pace.as_ref()?.price).map(|(h, p)| h * p.get());
    let answer = Budgeted {
        flops,
        approach,
        longer: &longer,
        hours: &hours,
        dollars: &dollars,
        rate: pace.as_ref().map(|p| {
            json!({
                "gpu": p.gpu, "peak_tflops": report::round(p.peak.get() / 1e12),
                "mfu_percent": report::round(100.0 * p.mfu), "mfu_estimated": p.estimated,
                "usd_per_gpu_hour": p.price.map(|price| price.get()),
            })
        }),
    };
    let View { format, width, .. } = view;
    let text = format.write(width, || Ok(answer.text(width)), || Ok(answer.json()), || Ok(answer.sheet()))?;
    Ok(Answered::found(text))
}
