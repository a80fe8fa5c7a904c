//! What a file can describe, and what its folder says that it does.

use std::path::Path;
use std::str::FromStr;

use crate::catalog;
use crate::diagnostic::Diagnostic;

/// What a file describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A GPU.
    Gpu,
    /// A cluster.
    Cluster,
    /// A class of GPUs.
    GpuClass,
    /// Kernel coefficients over those of a GPU.
    Kernels,
    /// An engine.
    Engine,
    /// Constants over those of an engine.
    Scheduling,
    /// A training framework.
    Framework,
    /// A scenario for `sweep`.
    Scenario,
    /// A model's `config.json`.
    Model,
    /// What starts servers: a shell script, Compose, Kubernetes and other manifests.
    Launch,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 10] = [
        Kind::Gpu,
        Kind::Cluster,
        Kind::GpuClass,
        Kind::Kernels,
        Kind::Engine,
        Kind::Scheduling,
        Kind::Framework,
        Kind::Scenario,
        Kind::Model,
        Kind::Launch,
    ];

    /// Name as on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Gpu => "gpu",
            Kind::Cluster => "cluster",
            Kind::GpuClass => "class",
            Kind::Kernels => "kernels",
            Kind::Engine => "engine",
            Kind::Scheduling => "scheduling",
            Kind::Framework => "framework",
            Kind::Scenario => "scenario",
            Kind::Model => "model",
            Kind::Launch => "launch",
        }
    }

    /// The kind of a catalogue that the file's folder is named after.
    pub fn of_folder(path: &Path) -> Option<Kind> {
        let folder = path.parent()?.file_name()?.to_str()?;
        let of = |kind: catalog::Kind| match kind {
            catalog::Kind::Gpu => Kind::Gpu,
            catalog::Kind::Cluster => Kind::Cluster,
            catalog::Kind::GpuClass => Kind::GpuClass,
            catalog::Kind::Kernels => Kind::Kernels,
            catalog::Kind::Engine => Kind::Engine,
            catalog::Kind::Scheduling => Kind::Scheduling,
            catalog::Kind::Framework => Kind::Framework,
            catalog::Kind::Model => Kind::Model,
        };
        let is_json = path.extension().is_some_and(|e| e == "json");
        let kind = catalog::Kind::ALL.into_iter().find(|kind| kind.folder() == folder).map(of)?;
        (is_json == (kind == Kind::Model)).then_some(kind)
    }
}

impl FromStr for Kind {
    type Err = Diagnostic;
    fn from_str(text: &str) -> Result<Self, Diagnostic> {
        Kind::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| {
            let names = Kind::ALL.map(Kind::name);
            Diagnostic::unknown("kind of file", text, names, &format!("allowed: {}", names.join(", ")))
        })
    }
}
