//! The JSON Schema of each kind of YAML file, made from the types that read it.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::Value;

use super::kind::Kind;
use crate::catalog::{ClusterFile, Engine, Framework, Gpu, GpuClass, KernelOverlay, SchedulingOverlay};
use crate::scenario::ScenarioFile;

/// The schema of a kind (JSON Schema 2020-12); `None` for models and launches, whose files are not ours.
///
/// Beside what the standard has, `x-units` lists the units of a quantity and `x-names` says what a text
/// is the name of: `gpu`, `class`, `engine`, `cluster` or `model`.
pub fn schema(kind: Kind) -> Option<Value> {
    match kind {
        Kind::Gpu => Some(of::<Gpu>("GPU")),
        Kind::Cluster => Some(of::<ClusterFile>("Cluster")),
        Kind::GpuClass => Some(of::<GpuClass>("Class of GPUs")),
        Kind::Kernels => Some(of::<KernelOverlay>("Kernel coefficients of a GPU")),
        Kind::Engine => Some(of::<Engine>("Engine")),
        Kind::Scheduling => Some(of::<SchedulingOverlay>("Scheduling constants of an engine")),
        Kind::Framework => Some(of::<Framework>("Training framework")),
        Kind::Scenario => Some(of::<ScenarioFile>("Scenario")),
        Kind::Model | Kind::Launch => None,
    }
}

fn of<T: JsonSchema>(title: &str) -> Value {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    schema.insert("title".to_owned(), title.into());
    schema.into()
}
