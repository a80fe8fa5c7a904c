//! The entries that ship, embedded by `build.rs`: adding a file to `hardware/`, `fits/`,
//! `engines/`, `frameworks/` or `models/` adds an entry.

use super::kind::Kind;

/// One built-in description.
#[derive(Clone, Copy, Debug)]
pub struct BuiltIn {
    /// Identifier.
    pub id: &'static str,
    /// Other names.
    pub aliases: &'static [&'static str],
    /// One line for listings.
    pub title: &'static str,
    /// The description, converted from YAML to JSON when the crate is built (models are JSON as they
    /// are).
    pub json: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/builtin.rs"));

/// Whether a key of kernel tables is that of an engine whose kernels no other engine has (`kernels_apart` of its file).
pub(super) fn is_apart(key: &str) -> bool {
    APART.contains(&key)
}

/// The spreads of measured servers.
pub fn residuals() -> Option<&'static BuiltIn> {
    RESIDUALS.first()
}

/// Every entry of a kind, sorted by identifier.
pub fn entries(kind: Kind) -> &'static [BuiltIn] {
    match kind {
        Kind::Gpu => GPUS,
        Kind::Cluster => CLUSTERS,
        Kind::GpuClass => CLASSES,
        Kind::Engine => ENGINES,
        Kind::Model => MODELS,
        Kind::Framework => FRAMEWORKS,
        Kind::Kernels => FITS,
        Kind::Scheduling => &[],
    }
}
