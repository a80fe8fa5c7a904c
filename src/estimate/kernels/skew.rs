//! How unevenly tokens fall on experts.

/// Skew of the experts' load under real traffic, as an exponent of the hot rank's excess: 0 is balanced,
/// 1 the mildest skew that the kernel tables were measured with (a power law of exponent 1.01).
pub const EXPERT_SKEW: f64 = 1.0;

/// What a load balancer with redundant experts leaves of it: a fifth; perfect balance is not reached, since
/// it acts on past loads.
pub(super) const BALANCED_SKEW: f64 = 0.2;
