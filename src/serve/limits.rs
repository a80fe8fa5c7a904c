//! How much is done for strangers.

use std::time::Duration;

/// What is allowed at once and at most.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Questions that are worked on at once.
    pub at_once: usize,
    /// Of these, questions that stand for several: a list of lengths or loads is as much work as all its combinations.
    pub lists: usize,
    /// Questions that wait for their turn; more are turned away.
    pub waiting: usize,
    /// Connections that are open at once; more wait to be accepted.
    pub connections: usize,
    /// Bytes of a request.
    pub body: usize,
    /// Requests of more than 32 KiB that are read at once.
    pub large: usize,
    /// From the first byte of a request to its last.
    pub reading: Duration,
    /// After which a search ends with the best found by then.
    pub answering: Duration,
    /// Long questions that run at once.
    pub jobs: usize,
    /// Requests that a simulation sends at most.
    pub requests: u64,
}

impl Bounds {
    /// For a machine with so many cores.
    pub fn for_cores(cores: usize) -> Bounds {
        Bounds {
            at_once: cores.max(1),
            // A single question finds a place whatever lists are asked.
            lists: cores.saturating_sub(1).max(1),
            waiting: 12_000,
            connections: 16_384,
            body: 2 << 20,
            large: 64,
            reading: Duration::from_secs(10),
            answering: Duration::from_secs(30),
            jobs: cores.clamp(1, 4),
            requests: 2_000_000,
        }
    }
}
