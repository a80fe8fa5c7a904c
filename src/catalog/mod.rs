//! The catalogue: GPUs, clusters, engines and models by the names people use, built in and from files.

mod boards;
mod builtin;
mod cards;
pub mod classes;
pub mod cluster;
mod defaults;
pub mod engine;
mod entry;
mod fit;
mod folder;
pub mod framework;
pub mod gpu;
pub mod host;
mod joined;
pub mod kernels;
mod kind;
pub mod known;
mod label;
pub mod launch;
pub mod link;
pub mod local;
mod lookup;
pub mod measured;
mod measuring;
mod memory_rule;
mod modes;
mod options;
mod patch;
mod pools;
mod power;
pub mod price;
mod profile;
pub mod published;
mod reserved;
pub mod residuals;
mod schedule;
mod scheduling;
mod spoken;
mod training;
mod usual;
pub mod variant;
pub mod version;
mod versions;

use crate::diagnostic::Diagnostic;
pub use builtin::BuiltIn;
pub use cards::{Cards, kind_of_stage};
pub use cluster::{Cluster, ClusterFile};
pub use engine::Engine;
pub use entry::Entry;
pub use folder::UserFile;
pub use framework::Framework;
pub use gpu::Gpu;
pub use host::Host;
pub use joined::{joined, joined_for};
pub use kernels::{GpuClass, KernelOverlay, KernelTables};
pub use kind::Kind;
pub use label::engine_of;
pub use local::{Detected, Group};
pub use lookup::{Catalog, DEFAULT_ENGINE};
pub use pools::Pools;
pub use scheduling::{LayerCounts, SchedulingOverlay, SchedulingVersion};

/// What is built in, for the functions of this module.
static BUILT_IN: Catalog = Catalog::built_in();

/// Every built-in entry of a kind, sorted by identifier.
pub fn entries(kind: Kind) -> &'static [BuiltIn] {
    builtin::entries(kind)
}

/// The built-in entry that a name or alias means: [`Catalog::find`].
///
/// # Errors
/// As [`Catalog::find`].
pub fn find(kind: Kind, name: &str) -> Result<Entry<'static>, Diagnostic> {
    BUILT_IN.find(kind, name)
}

/// A built-in GPU, or one from a YAML file: [`Catalog::gpu`].
///
/// # Errors
/// As [`Catalog::gpu`].
pub fn gpu(name: &str) -> Result<Gpu, Diagnostic> {
    BUILT_IN.gpu(name)
}

/// A built-in engine, or one from a YAML file: [`Catalog::engine`].
///
/// # Errors
/// As [`Catalog::engine`].
pub fn engine(name: &str) -> Result<Engine, Diagnostic> {
    BUILT_IN.engine(name)
}

/// The engine that is meant on a built-in GPU when none is named: [`Catalog::usual_engine`].
///
/// # Errors
/// Never for the entries that ship; the type is that of [`engine()`].
pub fn usual_engine(gpu: &Gpu) -> Result<Engine, Diagnostic> {
    BUILT_IN.usual_engine(gpu)
}

/// All built-in engines.
///
/// # Errors
/// As [`Catalog::engines`].
pub fn engines() -> Result<Vec<Engine>, Diagnostic> {
    BUILT_IN.engines()
}

/// A cluster of built-in GPUs of one kind, or one from a YAML file: [`Catalog::cluster`].
///
/// # Errors
/// As [`Catalog::cluster`].
pub fn cluster(name: &str) -> Result<Cluster, Diagnostic> {
    BUILT_IN.cluster(name)
}

/// The pools of a cluster of built-in GPUs, or of one from a YAML file: [`Catalog::pools`].
///
/// # Errors
/// As [`Catalog::pools`].
pub fn pools(name: &str) -> Result<Pools, Diagnostic> {
    BUILT_IN.pools(name)
}
