//! What a report is about.

use itertools::Itertools as _;

use crate::catalog::{Cluster, Engine, Gpu};
use crate::estimate::estimated::Estimate;
use crate::model::Model;
use crate::plan::Plan;
use crate::request::Resolved;
use crate::units::Seconds;
use crate::workload::{Load, Percentiles, Targets, Workload};

use super::cell::Value;

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
    /// The targets.
    pub targets: Targets,
}

impl<'a> Subject<'a> {
    /// What a resolved request is about.
    pub fn of(resolved: &'a Resolved) -> Subject<'a> {
        let Resolved { model, cluster, pools, engines, workload, targets, .. } = resolved;
        Subject { model, cluster, pools, engines, workload, targets: *targets }
    }

    /// What to know of the model and the engines.
    pub(super) fn notes(&self) -> Vec<String> {
        let caveats = self.engines.iter().filter_map(Engine::caveat).unique();
        self.model.notes.iter().cloned().chain(caveats).collect()
    }

    /// What was asked, by the names that JSON has: see `Sheet::about`.
    pub fn asked(&self) -> Vec<(&'static str, Value)> {
        asked((&self.model.id, self.cluster), self.workload, &self.targets)
    }

    /// Whether there are GPUs of several kinds.
    pub(super) fn is_mixed(&self) -> bool {
        self.pools.len() > 1
    }

    /// GPUs by their kinds, how many of each and the cluster that they are of: what spans kinds has no others.
    pub(super) fn kinds(&self) -> Vec<(u32, &'a Gpu, &'a Cluster)> {
        let plain = self.pools.iter().filter(|pool| !pool.spans_kinds());
        let own: Vec<_> = plain.map(|pool| (pool.gpus, &pool.gpu, pool)).collect();
        if !own.is_empty() {
            return own;
        }
        let replicas = |pool: &Cluster| pool.gpus / pool.cards_of_replica().unwrap_or(1).max(1);
        let of = |pool: &'a Cluster| pool.cards.iter().map(move |c| (c.each * replicas(pool), &c.gpu, pool));
        self.pools.iter().flat_map(of).collect()
    }

    /// The servers of some plans by their GPU, where they are of several kinds and go by names of their own.
    pub(super) fn servers(&self, of: &[Estimate]) -> Vec<(&'a str, &'a str)> {
        let pools = of.iter().filter_map(|e| self.pools.get(e.plan.layout.pool)).filter(|_| self.is_mixed());
        let named = pools
            .filter(|pool| !pool.spans_kinds() && !pool.id.ends_with(&pool.gpu.id))
            .unique_by(|pool| &pool.id);
        named.map(|pool| (pool.gpu.id.as_str(), pool.id.as_str())).collect()
    }

    /// The GPUs of a plan's pool: one kind, or those that its replicas span.
    pub(super) fn gpus(&self, plan: &Plan) -> impl Iterator<Item = &'a Gpu> {
        self.pools.get(plan.layout.pool).into_iter().flat_map(Cluster::kinds)
    }

    /// What they are called together.
    pub(super) fn gpu_label(&self, plan: &Plan) -> Option<String> {
        self.pools.get(plan.layout.pool).map(Cluster::gpu_label)
    }
}

/// Model, cluster, lengths, load and targets of a question.
pub(super) fn asked(
    (model, cluster): (&str, &str),
    w: &Workload,
    targets: &Targets,
) -> Vec<(&'static str, Value)> {
    let millis = |t: Option<Seconds>| t.map_or(Value::Missing, |t| t.as_millis().into());
    let on =
        |limit: Option<Seconds>, at| limit.map_or(Value::Missing, |_| Value::Text(Percentiles::word(at)));
    let (concurrency, rate) = match w.load {
        Load::Saturate => (Value::Missing, Value::Missing),
        Load::Concurrency(n) => (n.into(), Value::Missing),
        Load::Users(_) => (Value::Missing, Value::Missing),
        Load::Rate(rate) => (Value::Missing, rate.get().into()),
    };
    let users = match w.load {
        Load::Users(n) => n.into(),
        _ => Value::Missing,
    };
    vec![
        ("model", model.into()),
        ("cluster", cluster.into()),
        ("isl", w.isl.into()),
        ("osl", if w.purpose.pools() { Value::Missing } else { w.osl.into() }),
        ("cached_prefix", w.reused_prompt().into()),
        ("concurrency", concurrency),
        ("rate_per_s", rate),
        ("users", users),
        ("target_ttft_ms", millis(targets.ttft)),
        ("target_ttft_on", on(targets.ttft, targets.at.ttft)),
        ("target_tpot_ms", millis(targets.tpot)),
        ("target_tpot_on", on(targets.tpot, targets.at.tpot)),
        ("target_e2e_ms", millis(targets.e2e)),
        ("target_e2e_on", on(targets.e2e, targets.at.e2e)),
    ]
}
