//! What the ranks of a training plan hold, and what its layers keep, as sections.

use crate::model::Model;
use crate::train::{Parts, Recompute, TrainingEstimate, Work};

use super::cell::Value;
use super::section::{Section, SectionColumn};
use super::training::memory_parts;

const GIB: f64 = 1_073_741_824.0;
const MIB: f64 = 1_048_576.0;

/// Memory of the ranks of each stage that differs.
pub fn training_memory_section(title: &str, estimate: &TrainingEstimate) -> Section {
    let columns = [("stage", "stage", 1.0), ("stages", "stages", 1.0)];
    let mut section = Section::new("training_memory", format!("Memory of a rank, {title}"), 2, &columns);
    let names = memory_parts(&crate::train::Memory::default()).map(|(name, _)| name);
    section.columns.extend(names.iter().map(|name| SectionColumn {
        name: format!("{name}_bytes"),
        heading: format!("{name} GiB"),
        scale: GIB,
    }));
    for (first, count, memory) in &estimate.stages {
        let parts = memory_parts(memory).map(|(_, bytes)| Value::from(bytes));
        section.rows.push([Value::from(*first), Value::from(*count)].into_iter().chain(parts).collect());
    }
    section
}

/// What one microbatch leaves for backward on a rank, in a layer of each kind and outside of the layers, under
/// every recomputation.
pub fn kept_section(model: &Model, parts: &Parts) -> Section {
    let columns = [("part", "part", 1.0), ("layers", "layers", 1.0)];
    let title = "Kept for backward of one microbatch, by recomputation";
    let mut section = Section::new("training_activations", title, 1, &columns);
    section.columns.extend(Recompute::ALL.iter().map(|r| SectionColumn {
        name: format!("{}_bytes", r.name()),
        heading: format!("{} MiB", r.name()),
        scale: MIB,
    }));
    let mut row = |name: String, layers: u64, work: &Work| {
        let kept = Recompute::ALL.iter().map(|r| Value::from(work.kept[*r as usize]));
        section
            .rows
            .push([Value::from(name.as_str()), Value::from(layers)].into_iter().chain(kept).collect());
    };
    row("embedding".into(), 1, parts.before());
    for (group, work) in model.groups.iter().zip(parts.groups()) {
        let (Some(first), Some(last)) = (group.layers.first(), group.layers.last()) else { continue };
        let name =
            if first == last { format!("layer {first}") } else { format!("a layer of {first}-{last}") };
        row(name, group.layers.len() as u64, work);
    }
    row("head and loss".into(), 1, parts.after());
    section.remarks.push(
        "The loss keeps its FP32 logits; what it holds beside them is `transient`. Layers of one kind are alike."
            .to_owned(),
    );
    section
}
