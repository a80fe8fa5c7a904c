//! A scenario with every name resolved, and its cases.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::rank::Objective;
use crate::workload::{Load, Targets, Workload};

use super::cases::Key;
use super::named::{NamedCluster, NamedModel};
use super::search::Search;
use super::training::NamedTraining;
use super::workloads::{NamedTargets, NamedWorkload};

/// A scenario with every name resolved.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What the review is about.
    pub name: String,
    /// More about it.
    pub about: Option<String>,
    /// Its models.
    pub models: Vec<NamedModel>,
    /// Its clusters.
    pub clusters: Vec<NamedCluster>,
    /// Its workloads.
    pub workloads: Vec<NamedWorkload>,
    /// Its targets.
    pub targets: Vec<NamedTargets>,
    /// What the best plans are best at; none where the file does not say.
    pub objectives: Vec<Objective>,
    /// What is trained, where the questions are about training: there are no workloads then.
    pub training: Vec<NamedTraining>,
    /// Where plans are looked for.
    pub search: Search,
    pub(super) keys: Vec<Key>,
    pub(super) comments: BTreeMap<Key, String>,
    /// The first case of each group.
    pub(super) starts: Vec<usize>,
}

/// One question of a scenario.
#[derive(Clone, Debug)]
pub struct Case<'a> {
    /// Number in the scenario, from 0.
    pub number: usize,
    /// The model.
    pub model: &'a NamedModel,
    /// The cluster, with the engines that compete.
    pub cluster: &'a NamedCluster,
    /// The workload as the file describes it.
    pub named: &'a NamedWorkload,
    /// The targets as the file names them.
    pub targets_name: &'a str,
    /// The workload.
    pub workload: Workload,
    /// The targets.
    pub targets: Targets,
    /// What the best plan is best at.
    pub objective: Objective,
    /// A remark on it.
    pub comment: Option<&'a str>,
}

/// What is asked for where the file does not say: all that the GPUs give, or where the load is given, the
/// cheapest way to serve it.
fn usual(workload: &Workload) -> Objective {
    match workload.load {
        Load::Rate(_) | Load::Users(_) => Objective::Cost,
        Load::Saturate | Load::Concurrency(_) => Objective::Throughput,
    }
}

impl Scenario {
    /// Cases in the scenario.
    pub fn size(&self) -> usize {
        self.keys.len()
    }

    /// The case with this number, below [`Scenario::size`]: models outermost, then clusters, workloads,
    /// targets and objectives, each in the order of its list.
    pub fn case(&self, number: usize) -> Case<'_> {
        let key = self.keys[number];
        let workload = &self.workloads[key.workload as usize];
        let targets = &self.targets[key.targets as usize];
        Case {
            number,
            model: &self.models[key.model as usize],
            cluster: &self.clusters[key.cluster as usize],
            named: workload,
            targets_name: &targets.name,
            workload: workload.workload,
            targets: targets.targets,
            objective: self
                .objectives
                .get(key.objective as usize)
                .copied()
                .unwrap_or(usual(&workload.workload)),
            comment: self.comments.get(&key).or(workload.comment.as_ref()).map(String::as_str),
        }
    }

    /// Groups of cases that differ in targets and objective alone: they share every figure and are answered
    /// together.
    pub fn groups(&self) -> usize {
        self.starts.len()
    }

    /// The cases of a group.
    pub fn group(&self, number: usize) -> Range<usize> {
        self.starts[number]..self.starts.get(number + 1).copied().unwrap_or(self.keys.len())
    }
}
