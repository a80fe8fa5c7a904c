//! Why no split has the degrees that were named: which of them it is, and what stands in its place.

use itertools::Itertools as _;

use crate::diagnostic::{Code, Diagnostic};
use crate::units::{group_thousands, plural};

use super::job::Job;
use super::rules::rule_of_split;
use super::space::{Outer, TrainingAxes};

/// Most degrees that a message lists.
const MOST_LISTED: usize = 16;

/// A degree that can be named.
struct Degree {
    /// Its option.
    flag: &'static str,
    /// What messages call it.
    name: &'static str,
    /// The values that were named.
    named: fn(&mut TrainingAxes) -> &mut Vec<u32>,
    /// Its value in a split.
    of: fn(&Outer) -> u32,
}

const DEGREES: [Degree; 7] = [
    Degree { flag: "--tp", name: "tp", named: |a| &mut a.tp, of: |o| o.split.tp },
    Degree { flag: "--pp", name: "pp", named: |a| &mut a.pp, of: |o| o.split.pp },
    Degree { flag: "--cp", name: "cp", named: |a| &mut a.cp, of: |o| o.split.cp },
    Degree { flag: "--ep", name: "ep", named: |a| &mut a.ep, of: |o| o.split.ep },
    Degree { flag: "--expert-tp", name: "expert_tp", named: |a| &mut a.expert_tp, of: |o| o.split.expert_tp },
    Degree {
        flag: "--micro-batch",
        name: "a microbatch",
        named: |a| &mut a.micro_batch,
        of: |o| o.micro_batch,
    },
    Degree { flag: "--vp", name: "vp", named: |a| &mut a.chunks, of: |o| o.chunks },
];

impl Degree {
    /// What was named of it, where that is not everything: a degree of 1 suits every split.
    fn pinned(&self, axes: &TrainingAxes) -> Option<Vec<u32>> {
        let named = (self.named)(&mut axes.clone()).clone();
        (!named.is_empty() && !named.contains(&1)).then_some(named)
    }

    /// The axes with every value of it.
    fn free(&self, axes: &TrainingAxes) -> TrainingAxes {
        let mut axes = axes.clone();
        (self.named)(&mut axes).clear();
        axes
    }

    /// It as it was named, e.g. `tp = 3`.
    fn said(&self, axes: &TrainingAxes) -> String {
        let named = self.pinned(axes).unwrap_or_default();
        format!("{} = {}", self.name, named.iter().join(", "))
    }

    /// Its values in the splits of some axes, those that break no rule of splits where there are any.
    fn allowed(&self, axes: &TrainingAxes, job: &Job) -> Vec<u32> {
        let all = splits(axes, job);
        let values = |legal: bool| {
            let of = all.iter().filter(|o| !legal || rule_of_split(job, o).is_none());
            of.map(self.of).sorted_unstable().dedup().collect_vec()
        };
        Some(values(true)).filter(|legal| !legal.is_empty()).unwrap_or_else(|| values(false))
    }

    /// Why no split at all has the values that were named of it.
    fn wrong(&self, axes: &TrainingAxes, job: &Job) -> String {
        let named = self.pinned(axes).unwrap_or_default();
        let said = self.said(axes);
        let gpus = job.machine.cluster.gpus;
        let verb = if named.len() == 1 { "divides" } else { "divide" };
        match self.flag {
            "--micro-batch" => format!(
                "a microbatch of {} {verb} no rank's part of a global batch of {}",
                named.iter().join(", "),
                group_thousands(job.global_batch)
            ),
            "--vp" => format!("{said}: the layers of no stage divide into as many chunks"),
            _ if named.iter().all(|n| !gpus.is_multiple_of(*n)) => {
                let not = if named.len() == 1 { "does not divide" } else { "do not divide" };
                format!("{said} {not} {}", plural(gpus.into(), "GPU"))
            }
            "--tp" => format!("{said}: the model has fewer attention heads, or none that divide so"),
            "--pp" => format!("{said}: the model has fewer layers, or none that divide so"),
            "--ep" => format!("{said}: the model has fewer experts"),
            _ => format!("{said} divides no group of ranks"),
        }
    }
}

fn splits(axes: &TrainingAxes, job: &Job) -> Vec<Outer> {
    axes.outer(job.model, job.machine.cluster.gpus, job.global_batch)
}

fn listed(values: &[u32]) -> String {
    let more = if values.len() > MOST_LISTED { ", …" } else { "" };
    format!("{}{more}", values.iter().take(MOST_LISTED).join(", "))
}

/// Why no split has the degrees of `axes`: the one that suits no split, or else those that do not go together; each with the
/// values that do.
pub(super) fn fault(axes: &TrainingAxes, job: &Job) -> Diagnostic {
    let pinned: Vec<&Degree> = DEGREES.iter().filter(|d| d.pinned(axes).is_some()).collect();
    let all_free = pinned.iter().fold(axes.clone(), |axes, d| d.free(&axes));
    for degree in &pinned {
        let mut alone = all_free.clone();
        *(degree.named)(&mut alone) = degree.pinned(axes).unwrap_or_default();
        if splits(&alone, job).is_empty() {
            let beside = degree.allowed(&degree.free(axes), job);
            let allowed = if beside.is_empty() { degree.allowed(&all_free, job) } else { beside };
            return Diagnostic::new(Code::Usage, degree.wrong(axes, job))
                .at(degree.flag)
                .help(format!("allowed: {}", listed(&allowed)));
        }
    }
    let together = pinned.iter().map(|d| d.said(axes)).join(" and ");
    let of_gpus = pinned.iter().all(|d| matches!(d.flag, "--tp" | "--pp" | "--cp"));
    let place = || format!(" on {}", plural(job.machine.cluster.gpus.into(), "GPU"));
    let cause = format!("{together} do not go together{}", if of_gpus { place() } else { String::new() });
    let ways = pinned.iter().filter_map(|d| {
        let allowed = d.allowed(&d.free(axes), job);
        (!allowed.is_empty()).then(|| format!("{} {}", d.flag, listed(&allowed)))
    });
    let ways = ways.collect_vec();
    let help = match ways.is_empty() {
        false => format!("with the others as they are: {}", ways.join("; or ")),
        true => "leave one of them out".to_owned(),
    };
    let place = pinned.iter().map(|d| d.flag).join(", ");
    Diagnostic::new(Code::Usage, cause).at(place).help(help)
}
