//! Ending a search early: a time limit, or Ctrl-C.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::search::Stop;
use crate::units::Seconds;

/// Raised by Ctrl-C.
static ASKED: AtomicBool = AtomicBool::new(false);

/// Stops at the limit, if there is one, and on Ctrl-C: the best found by then is the answer. A second Ctrl-C
/// ends the program.
pub fn stop(limit: Option<Seconds>) -> Stop<'static> {
    let deadline = limit.map(|limit| Instant::now() + std::time::Duration::from_secs_f64(limit.get()));
    let heard = ctrlc::set_handler(|| {
        if ASKED.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    });
    // Where signals cannot be caught, Ctrl-C ends the program as ever.
    Stop { deadline, asked: heard.is_ok().then_some(&ASKED) }
}
