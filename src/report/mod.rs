//! Reports: one list of columns, and each output format a view of it. Nothing here computes.

mod breakdown;
mod budget;
mod calibration;
mod check;
mod columns;
mod draw;
mod emit;
mod engine_calibration;
mod examined;
mod explain;
mod fit;
mod format;
mod front;
mod inspect;
mod json;
mod kept;
mod section;
mod simulation;
mod size;
pub mod sweep;
mod table;
mod training;
mod validation;
mod verify;

pub use breakdown::{
    context_section, flops_section, intensity_section, known_section, memory_section, precision_section,
};
pub use budget::Budgeted;
pub use calibration::{calibration_json, calibration_sheet, calibration_text};
pub use check::{check_json, check_sheet, check_text};
pub use columns::{Column, DELTA_COLUMNS, PLAN_COLUMNS, Row, Value, columns};
pub use draw::wrap;
pub use emit::{TARGETS as EMIT_TARGETS, emit};
pub use engine_calibration::{engine_calibration_json, engine_calibration_text, engine_errors_sheet};
pub use examined::{examined_json, examined_sheet, examined_text};
pub use explain::{explanation, explanation_json, explanation_sheet};
pub use fit::Fit;
pub use format::{Format, Sheet};
pub use front::{front_chart, what_if_text};
pub use inspect::{comparison, inspection_json, inspection_text, parameters_section, warning};
pub use json::{answer_json, estimate_json, round};
pub use kept::{kept_section, training_memory_section};
pub use section::{
    Section, SectionColumn, sections_csv, sections_json, sections_markdown, sections_text, side_by_side,
};
pub use simulation::{SimulationSubject, no_simulation, simulation, timeline_sheet};
pub use size::{SizeAnswer, growth_sheet, size_json, size_sheet, size_text};

pub use table::{CUT_LENGTHS, advice_text, answer_text, estimate_text};

pub use training::{Trained, why_not_text};
pub use validation::{
    comparison_json, comparison_sheet, comparison_text, metrics_sheet, predictions_sheet, validation_json,
    validation_text,
};
pub use verify::{verification_json, verification_sheet, verification_text};

use itertools::Itertools as _;

use crate::catalog::{Cluster, Engine, Gpu};
use crate::model::Model;
use crate::plan::Plan;
use crate::units::Seconds;
use crate::workload::{Load, Workload};

/// What every report of a question names.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The model.
    pub model: &'a Model,
    /// The cluster's name.
    pub cluster: &'a str,
    /// Its pools.
    pub pools: &'a [Cluster],
    /// The engines.
    pub engines: &'a [Engine],
    /// The workload.
    pub workload: &'a Workload,
}

impl<'a> Subject<'a> {
    /// A question about GPUs of one kind.
    pub fn new(
        model: &'a Model,
        cluster: &'a Cluster,
        engines: &'a [Engine],
        workload: &'a Workload,
    ) -> Subject<'a> {
        Subject { model, cluster: &cluster.id, pools: std::slice::from_ref(cluster), engines, workload }
    }

    /// What to know of the model and the engines.
    fn notes(&self) -> Vec<String> {
        let caveats = self.engines.iter().filter_map(Engine::caveat).unique();
        self.model.notes.iter().cloned().chain(caveats).collect()
    }

    /// What was asked, by the names that JSON has: see [`Sheet::about`].
    pub fn asked(&self) -> Vec<(&'static str, Value)> {
        asked(&self.model.id, self.cluster, self.workload)
    }

    /// Whether there are GPUs of several kinds.
    fn is_mixed(&self) -> bool {
        self.pools.len() > 1
    }

    /// GPUs of all pools.
    fn gpus(&self) -> u64 {
        self.pools.iter().map(|p| u64::from(p.gpus)).sum()
    }

    /// The GPU of a plan's pool.
    fn gpu(&self, plan: &Plan) -> Option<&'a Gpu> {
        self.pools.get(plan.layout.pool).map(|p| &p.gpu)
    }
}

/// Model, cluster, lengths, load and targets of a question.
fn asked(model: &str, cluster: &str, w: &Workload) -> Vec<(&'static str, Value)> {
    let millis = |t: Option<Seconds>| t.map_or(Value::Missing, |t| t.as_millis().into());
    let (concurrency, rate) = match w.load {
        Load::Saturate => (Value::Missing, Value::Missing),
        Load::Concurrency(n) => (n.into(), Value::Missing),
        Load::Rate(rate) => (Value::Missing, rate.get().into()),
    };
    vec![
        ("model", model.into()),
        ("cluster", cluster.into()),
        ("isl", w.isl.into()),
        ("osl", w.osl.into()),
        ("cached_prefix", w.reused_prompt().into()),
        ("concurrency", concurrency),
        ("rate_per_s", rate),
        ("target_ttft_ms", millis(w.targets.ttft)),
        ("target_tpot_ms", millis(w.targets.tpot)),
        ("target_e2e_ms", millis(w.targets.e2e)),
    ]
}
