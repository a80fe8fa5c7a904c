//! What a file describes: by the folder that holds it, else by its keys.

use std::path::Path;
use std::str::FromStr;

use super::schema;
use crate::catalog;
use crate::diagnostic::Diagnostic;
use crate::load::tree::Node;

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
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 9] = [
        Kind::Gpu,
        Kind::Cluster,
        Kind::GpuClass,
        Kind::Kernels,
        Kind::Engine,
        Kind::Scheduling,
        Kind::Framework,
        Kind::Scenario,
        Kind::Model,
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

    /// The kind whose fields a file's keys are: most of them known, fewest required ones missing.
    pub(super) fn of_keys(root: &Node, is_json: bool) -> Option<Kind> {
        if is_json {
            return root.get("model_type").map(|_| Kind::Model);
        }
        let score = |kind: Kind| -> Option<i64> {
            let schema = schema(kind)?;
            let fields = schema.get("properties")?.as_object()?;
            let known = root.entries().iter().filter(|(key, _)| fields.contains_key(&key.value)).count();
            let required = schema.get("required")?.as_array()?;
            let missing = required.iter().filter_map(|r| r.as_str()).filter(|r| root.get(r).is_none());
            (known > 1).then(|| 2 * known as i64 - missing.count() as i64)
        };
        let scores = Kind::ALL.into_iter().filter_map(|kind| score(kind).map(|s| (s, kind)));
        // The first of equals: `max_by_key` would take the last.
        scores.rev().max_by_key(|(score, _)| *score).map(|(_, kind)| kind)
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
