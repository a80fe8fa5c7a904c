//! shardfit answers one question: which configuration should I deploy?

pub mod catalog;
pub mod cli;
pub mod diagnostic;
pub mod dtype;
pub mod estimate;
pub mod load;
pub mod model;
pub mod plan;
pub mod rank;
pub mod report;
pub mod scenario;
pub mod search;
pub mod units;
pub mod validate;
pub mod workload;
