//! The search: every plan through the funnel, in parallel, with a ledger of why plans fell. The only
//! user of rayon.
//!
//! Layouts are evaluated independently and merged by associative, commutative operations under total
//! orders, so the answer is the same for any number of threads.

mod advice;
mod answer;
mod batches;
mod candidate;
mod choice;
mod choices;
mod combined;
mod counts;
mod current;
mod dominance;
mod examine;
mod funnel;
mod mixed;
mod mode;
mod named;
mod pairs;
mod parallel;
mod question;
mod region;
pub mod size;
mod split;
mod threads;
mod today;
mod verification;
mod verify;
mod visit;
mod what_if;

pub use crate::estimate::memory::LimitOverrides;
pub use crate::plan::Counts;
pub use crate::stop::{Stop, Stopped};
pub use advice::Advice;
pub use answer::Answer;
pub use choices::{Best, Named};
pub use combined::Combined;
pub use current::{Current, CurrentAnswer};
pub use examine::{Asked, Examined};
pub use mode::Mode;
pub use parallel::{each_in_parallel, in_parallel};
pub use question::{Launch, Question, Variant};
pub use threads::begin as begin_threads;
pub use verification::{Depth, Verification};
pub use what_if::{Knob, WhatIf};
