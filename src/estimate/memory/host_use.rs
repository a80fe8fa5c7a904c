//! What a replica has in the host's memory.

use crate::units::Bytes;

/// What a replica has in the host's memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HostUse {
    /// Weights, the embedding among them.
    pub weights: Bytes,
    /// Cache of one request at full length, of the layers that are there.
    pub per_request: Bytes,
    /// Cache of one request at its mean length.
    pub per_running_request: Bytes,
    /// What it may take; no limit where the host is not known.
    pub usable: Bytes,
}

impl HostUse {
    /// Weights and one request at full length.
    pub fn need(&self) -> Bytes {
        self.weights + self.per_request
    }

    /// Whether so many requests at full length find room.
    pub fn holds(&self, batch: u64) -> bool {
        self.weights + self.per_request * batch <= self.usable
    }

    /// Requests in flight that find room.
    pub fn largest_batch(&self) -> u64 {
        match self.per_running_request.get() {
            0 => u64::MAX,
            each => self.usable.saturating_sub(self.weights).get() / each,
        }
    }
}
