//! A replica's engine in discrete events: what [`crate::estimate::service`] says in closed form, step by
//! step under the engine's own scheduling, with tails, bursts and traces.
//!
//! Deterministic for a seed. Steps in which nothing but the contexts changes are taken together, so the
//! work grows with the number of requests and not with their tokens, and memory with the requests in
//! flight and not with the length of the trace.

mod arrivals;
mod cache;
mod clock;
mod kept;
mod lanes;
mod lengths;
mod moment;
mod places;
mod prefixes;
mod protocol;
mod routed;
mod scheduler;
mod sessions;
mod slots;
mod soonest;
mod split;
mod statistics;
mod tally;
mod timeline;
mod trace;

pub use arrivals::{Arrival, Arrivals, ClosedLoop, Content, OpenLoop, Share};
pub use clock::Timings;
pub use lengths::Lengths;
pub use protocol::{DEFAULT_REQUESTS, Drive, Protocol, Requests};
pub use routed::Routed;
pub use scheduler::{Observer, Simulation, State};
pub use sessions::{SessionLoop, Turns};
pub use split::{SplitSimulation, Workers};
pub use statistics::{Mean, Outcome, SUSTAINED, Spread};
pub use timeline::{Interval, Timeline};
pub use trace::{NamedColumns, Trace};
