//! Kernel latencies that were measured: a database in AIConfigurator's layout, of which a question reads
//! the tables that it needs.
//!
//! `data/<gpu>/<operation>/<engine>/<version>/<file>.parquet`, as `pip download aiconfigurator-core`
//! brings it. Which rows mean what stands in `schema`.

mod columns;
mod database;
#[cfg(feature = "parquet")]
mod decode;
mod folder;
mod reader;
mod schema;
mod table;
mod tables;

pub use database::Database;
pub use table::{Key, Operation, Point, SIZES, Table, Types};
pub use tables::{OfEngine, Tables};

/// The variable that names a kernel database.
pub const VARIABLE: &str = "SHARDFIT_KERNELS";
