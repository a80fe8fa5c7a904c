//! How much work is accepted at most.

/// Longest prompt or output accepted: beyond any model's context.
pub const MAX_LENGTH: u64 = 100_000_000;

/// Most requests in flight accepted, and most users.
pub const MAX_CONCURRENCY: u64 = 10_000_000;
