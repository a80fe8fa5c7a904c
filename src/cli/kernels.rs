//! `--kernels`: measured kernel latencies in place of fitted forms.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::catalog::Catalog;
use crate::diagnostic::Diagnostic;

use super::talk;

/// Where measured kernels are.
#[derive(Clone, Debug, Args)]
pub struct KernelsArgs {
    /// Measured kernel latencies in AIConfigurator's layout, in place of fitted forms where they have data:
    /// its systems folder, an unpacked wheel, or the environment it is installed in
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = "Engine")]
    kernels: Option<PathBuf>,
}

impl KernelsArgs {
    /// The catalogue with the kernel database, if one is named here or by `$SHARDFIT_KERNELS`.
    pub fn catalog(&self, catalog: Catalog) -> Result<Catalog, Diagnostic> {
        catalog.with_kernels(self.kernels.as_deref())
    }
}

/// Says that nothing was measured.
pub fn unknown(engine: &str, gpu: &str) {
    talk::say(&format!(
        "note: the kernel database has nothing of {engine} on {gpu}; fitted forms are used there"
    ));
}
