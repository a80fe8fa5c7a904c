//! What a catalogue has entries of.

/// A kind of catalogue entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `hardware/gpus`.
    Gpu,
    /// `hardware/clusters`.
    Cluster,
    /// `fits/classes`.
    GpuClass,
    /// `engines`.
    Engine,
    /// `models`.
    Model,
    /// `frameworks`: what trains models.
    Framework,
    /// `fits/kernels`, `kernels` in a folder of the user's: kernel coefficients of a GPU that is described elsewhere.
    Kernels,
    /// `scheduling`: constants over those of an engine; only users have them.
    Scheduling,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 8] = [
        Kind::Gpu,
        Kind::Cluster,
        Kind::GpuClass,
        Kind::Engine,
        Kind::Model,
        Kind::Framework,
        Kind::Kernels,
        Kind::Scheduling,
    ];

    /// The folder of a catalogue that holds it.
    pub fn folder(self) -> &'static str {
        match self {
            Kind::Gpu => "gpus",
            Kind::Cluster => "clusters",
            Kind::GpuClass => "classes",
            Kind::Engine => "engines",
            Kind::Model => "models",
            Kind::Framework => "frameworks",
            Kind::Kernels => "kernels",
            Kind::Scheduling => "scheduling",
        }
    }

    /// What it is called in a message.
    pub fn noun(self) -> &'static str {
        match self {
            Kind::Gpu => "GPU",
            Kind::Cluster => "cluster",
            Kind::GpuClass => "GPU class",
            Kind::Engine => "engine",
            Kind::Model => "model",
            Kind::Framework => "framework",
            Kind::Kernels => "kernel coefficients",
            Kind::Scheduling => "scheduling constants",
        }
    }

    /// The command that lists all of a kind.
    pub(super) fn list_hint(self) -> &'static str {
        match self {
            Kind::Gpu => "`shardfit catalog gpus` lists all",
            Kind::Cluster => "`shardfit catalog clusters` and `catalog gpus` list all",
            Kind::GpuClass => "`shardfit catalog classes` lists all",
            Kind::Engine => "`shardfit catalog engines` lists all",
            Kind::Model => "`shardfit catalog models` lists all",
            Kind::Framework => "`shardfit catalog frameworks` lists all",
            Kind::Kernels => "`shardfit catalog kernels` lists all",
            Kind::Scheduling => "`shardfit catalog scheduling` lists all",
        }
    }
}
