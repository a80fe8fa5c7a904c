//! placeholder
pub mod catalog;
pub mod diagnostic;
pub mod dtype;
pub mod load;
pub mod model;
pub mod units;
