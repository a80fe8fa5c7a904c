//! A model's breakdown as sections: memory, FLOPs, arithmetic intensity, precision, contexts, known sizes.

use crate::estimate::breakdown::{
    Breakdown, Footprint, HOST_SHARE, MemoryPart, Mode, Part, Rung, Setting, Speed, recommended_memory,
};
use crate::model::{Component, Parameters};
use crate::units::{Bytes, group_thousands, plural, si};
use crate::validate::KnownSize;

use super::cell::Value;
use super::section::{Section, SectionColumn};

const GIB: f64 = 1_073_741_824.0;

fn percent(part: f64, of: f64) -> Value {
    if of > 0.0 { Value::Real(100.0 * part / of) } else { Value::Missing }
}

/// What is asked, in words.
fn headline(setting: &Setting) -> String {
    let sequences = plural(setting.batch, "sequence");
    let tokens = group_thousands(setting.tokens);
    let what = match setting.mode {
        Mode::Pretrain => format!("{sequences} of {tokens} tokens, forward and backward"),
        Mode::Prefill => format!("{sequences} of {tokens} tokens"),
        Mode::Decode => format!("one token for each of {sequences} at context {tokens}"),
    };
    format!("{}: {what}", setting.mode.name())
}

/// Memory by component.
pub fn memory_section(setting: &Setting, parts: &[(Component, MemoryPart)], total: &MemoryPart) -> Section {
    let training = setting.mode == Mode::Pretrain;
    let mut columns = vec![("component", "component", 1.0), ("weights_bytes", "weights GiB", GIB)];
    if training {
        columns
            .extend([("gradients_bytes", "gradients GiB", GIB), ("optimizer_bytes", "optimizer GiB", GIB)]);
    } else {
        columns.push(("cache_bytes", "cache GiB", GIB));
    }
    columns.extend([
        ("activations_bytes", "activations GiB", GIB),
        ("total_bytes", "total GiB", GIB),
        ("percent", "%", 1.0),
    ]);
    let mut section = Section::new("memory", format!("Memory, {}", headline(setting)), 1, &columns);
    let all = total.total().as_f64();
    let row = |name: &str, m: &MemoryPart| {
        let mut row: Vec<Value> = vec![name.into(), m.weights.get().into()];
        if training {
            row.extend([m.gradients.get().into(), m.optimizer.get().into()]);
        } else {
            row.push(m.cache.get().into());
        }
        row.extend([m.activations.get().into(), m.total().get().into(), percent(m.total().as_f64(), all)]);
        row
    };
    section.rows = parts.iter().map(|(c, m)| row(c.name(), m)).collect();
    section.total = Some(row("total", total));
    section.remarks.push(if training {
        let states = "Weights, gradients and Adam's states take 16 bytes a parameter (ZeRO, §3.1)".to_owned();
        format!("{states}; activations are kept from all layers, without recomputation.")
    } else {
        "Activations are those of the largest kernel; of the components' the largest is in the total."
            .to_owned()
    });
    section
}

/// FLOPs by part, beside the usual rule.
pub fn flops_section(setting: &Setting, breakdown: &Breakdown, count: &Parameters) -> Section {
    let columns = [
        ("component", "component", 1.0),
        ("part", "part", 1.0),
        ("flops", "GFLOP", 1e9),
        ("flops_per_token", "MFLOP per token", 1e6),
        ("percent", "%", 1.0),
    ];
    let mut section = Section::new("flops", format!("FLOPs, {}", headline(setting)), 2, &columns);
    let all = breakdown.flops().get();
    let tokens = setting.computed_tokens();
    let row = |component: &str, part: &str, flops: f64| {
        vec![component.into(), part.into(), flops.into(), (flops / tokens).into(), percent(flops, all)]
    };
    let parts = breakdown.parts.iter().filter(|p| p.flops.get() > 0.0);
    section.rows = parts.map(|p| row(p.component.name(), p.name, p.flops.get())).collect();
    section.total = Some(row("total", "", all));
    let (factor, name) = if setting.mode == Mode::Pretrain { (6.0, "6ND") } else { (2.0, "2ND") };
    let rule = factor * count.active as f64 * tokens;
    let between = breakdown.flops_between_tokens().get();
    section.remarks.push(format!(
        "{name} with {} active parameters is {} GFLOP; the parts without attention between tokens are {:.1} % of it.",
        si(count.active as f64),
        group_thousands((rule / 1e9).round() as u64),
        100.0 * (all - between) / rule
    ));
    section
}

/// Traffic and intensity by part; with a device, what bounds each and its roofline time.
pub fn intensity_section(setting: &Setting, breakdown: &Breakdown, device: Option<&str>) -> Section {
    let mut columns = vec![
        ("component", "component", 1.0),
        ("part", "part", 1.0),
        ("flops", "GFLOP", 1e9),
        ("weights_bytes", "weights MB", 1e6),
        ("activations_bytes", "act. MB", 1e6),
        ("cache_bytes", "cache MB", 1e6),
        ("flops_per_byte", "FLOP/B", 1.0),
    ];
    if device.is_some() {
        columns.extend([
            ("bound", "bound", 1.0),
            ("ridge_flops_per_byte", "ridge", 1.0),
            ("time_us", "us", 1.0),
            ("time_percent", "%", 1.0),
        ]);
    }
    let title = format!("Arithmetic intensity, {}", headline(setting));
    let mut section = Section::new("intensity", title, 2, &columns);
    let time = breakdown.time().get();
    let row = |component: &str, name: &str, p: &Part| {
        let t = p.traffic;
        let mut row: Vec<Value> = vec![
            component.into(),
            name.into(),
            p.flops.get().into(),
            t.weights.get().into(),
            t.activations.get().into(),
            t.cache.get().into(),
            p.intensity().map_or(Value::Missing, Value::Real),
        ];
        if device.is_some() {
            row.extend([
                p.bound().name().into(),
                p.ridge().map_or(Value::Missing, Value::Real),
                p.time.as_micros().into(),
                percent(p.time.get(), time),
            ]);
        }
        row
    };
    section.rows = breakdown.parts.iter().map(|p| row(p.component.name(), p.name, p)).collect();
    section.total = breakdown.whole().map(|whole| row("total", "", &whole));
    if device.is_none() && setting.attention.flash && setting.mode != Mode::Decode {
        section.remarks.push(format!(
            "Every block of {} queries reads its keys and values anew; with --gpu, what the GPU's cache holds is \
             read once.",
            setting.attention.query_block
        ));
    }
    if let Some(name) = device {
        section.remarks.push(format!(
            "Times are the roofline of {name} at datasheet peak and bandwidth: no kernel is faster, most are slower."
        ));
    }
    section
}

/// Size, recommended memory and speed in each precision.
pub fn precision_section(setting: &Setting, rows: &[(Footprint, Vec<Speed>)]) -> Section {
    let columns = [
        ("precision", "precision", 1.0),
        ("stored_as", "stored as", 1.0),
        ("weights_bytes", "weights GiB", GIB),
        ("cache_bytes", "cache GiB", GIB),
        ("recommended_ram_bytes", "RAM GiB", GIB),
    ];
    let title = format!(
        "Precisions, {} at context {}",
        plural(setting.batch, "sequence"),
        group_thousands(setting.tokens)
    );
    let mut section = Section::new("precision", title, 1, &columns);
    let devices = rows.first().map(|(_, speeds)| speeds.as_slice()).unwrap_or_default();
    section.columns.extend(devices.iter().map(|s| SectionColumn {
        name: format!("tokens_per_s_{}", s.device),
        heading: format!("tok/s {}", s.device),
        scale: 1.0,
    }));
    let bytes = |b: Bytes| Value::Integer(b.get());
    for (f, speeds) in rows {
        let mut row = vec![
            f.precision.name.into(),
            f.precision.format.name().into(),
            bytes(f.weights),
            bytes(f.cache),
            recommended_memory(f.need()).map_or(Value::Missing, bytes),
        ];
        row.extend(speeds.iter().map(|s| s.rate.map_or(Value::Missing, |r| Value::Real(r.get()))));
        section.rows.push(row);
    }
    section.remarks.push(format!(
        "RAM: the smallest usual size of which {:.0} % holds weights and cache. Speeds are upper bounds: one \
         sequence, every byte at datasheet bandwidth; none where the model does not fit.",
        100.0 * HOST_SHARE
    ));
    section
}

/// How many sequences of each length fit.
pub fn context_section(place: &str, rungs: &[Rung]) -> Section {
    let columns = [
        ("context", "context", 1.0),
        ("cache_bytes_per_sequence", "cache of a sequence, GiB per GPU", GIB),
        ("sequences", "sequences", 1.0),
        ("verdict", "memory", 1.0),
    ];
    let mut section = Section::new("context_ladder", format!("Sequences that fit on {place}"), 1, &columns);
    section.rows = rungs
        .iter()
        .map(|r| {
            let cells = [r.context.into(), r.per_sequence.get().into(), r.sequences.into()];
            cells.into_iter().chain([r.verdict.name().into()]).collect()
        })
        .collect();
    if let Some(Rung { memory: m, .. }) = rungs.first() {
        section.remarks.push(format!(
            "Per GPU: {} weights, {} activations, {} CUDA graphs, {} other, {} left for cache.",
            m.weights, m.activations, m.cuda_graphs, m.non_torch, m.kv_cache
        ));
    }
    section
}

/// Published sizes and ours.
///
/// For people the publisher's name is left out, and what is counted differently stands below the table.
pub fn known_section(known: &[KnownSize], for_people: bool) -> Section {
    let mut columns = vec![
        ("model", "model", 1.0),
        ("published_total", "published B", 1e9),
        ("total", "ours B", 1e9),
        ("error_percent", "error %", 1.0),
        ("published_active", "active B", 1e9),
        ("active", "ours B", 1e9),
        ("active_error_percent", "error %", 1.0),
        ("verdict", "verdict", 1.0),
        ("source", "source", 1.0),
    ];
    if !for_people {
        columns.push(("difference", "difference", 1.0));
    }
    let mut section = Section::new("known", "Published sizes recomputed", 1, &columns);
    let shown = |name: &str| match name.rsplit_once('/') {
        Some((_, short)) if for_people => short.to_owned(),
        _ => name.to_owned(),
    };
    section.rows = known
        .iter()
        .map(|k| {
            let mut row = vec![
                Value::Text(shown(&k.model)),
                k.total.into(),
                k.our_total.into(),
                k.error_percent().into(),
                k.active.map_or(Value::Missing, Value::Integer),
                k.our_active.into(),
                k.active_error_percent().map_or(Value::Missing, Value::Real),
                if k.passes() { "pass" } else { "FAIL" }.into(),
                k.source.as_str().into(),
            ];
            if !for_people {
                row.push(k.differs.as_deref().map_or(Value::Missing, Value::from));
            }
            row
        })
        .collect();
    if for_people {
        let failed = known.iter().filter(|k| !k.passes()).count();
        section.remarks.push(match failed {
            0 => format!("All {} pass: as published, with what is counted differently.", known.len()),
            failed => format!("{failed} of {} fail: not what was published.", known.len()),
        });
        let differs = |k: &KnownSize| k.differs.as_ref().map(|d| format!("{}: {d}", shown(&k.model)));
        section.remarks.extend(known.iter().filter_map(differs));
    }
    section
}
