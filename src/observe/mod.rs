//! What a live server does, beside what is predicted for it.
//!
//! ```text
//! simulate::Drive ─ drive (the same requests, over http and stream) ─→ Record ─┐
//! result files of benchmarks ────────────────────────────────────────────────────┴→ Observation
//! /metrics ─ metrics ─→ Counters ─┘         Observation + predictions ─ explain ─→ Explanation
//!                                           Observation ─ learn ─→ a row of the user's folder
//! ```

#[cfg(feature = "fetch")]
pub mod drive;
pub mod explain;
#[cfg(feature = "fetch")]
pub mod http;
pub mod learn;
pub mod metrics;
pub mod observation;
pub mod record;
pub mod stream;

pub use explain::{Change, Compared, Explanation, Known, Observed};
pub use metrics::Counters;
pub use observation::{FIGURES, Figure, Figures, Observation};
pub use record::{Record, Sample};
