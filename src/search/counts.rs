//! The numbers of replicas of a layout under a load: each has its fate, and few are looked at.
//!
//! A load is spread over the replicas, so that each has less to do the more there are, and what they cost grows with
//! them: whether a number is an answer changes at one or two numbers. A ladder of them is looked at; between two
//! neighbours on it that fare differently the number at which that changes is found by bisection, and the numbers
//! between two that fare alike fare as they do.

use crate::estimate::deployment::Deployment;
use crate::estimate::figures::Figures;
use crate::plan::{Plan, Reason};
use crate::workload::Targets;

/// Numbers that are all looked at; beyond, four steps to a doubling.
const EACH: u32 = 16;

/// The numbers of replicas of one layout that were looked at, in order.
pub(super) struct Numbers {
    looked: Vec<(u32, Result<Figures, Reason>)>,
    /// The most that the cluster holds.
    hold: u32,
    /// The most that the space has.
    most: u32,
}

/// The numbers under some targets.
pub(super) struct Sorted {
    /// Those that hold and were looked at.
    pub(super) holding: Vec<Figures>,
    /// How many more hold.
    pub(super) between: u64,
    /// Those that were looked at and fall, how many fall with each, and why.
    pub(super) fell: Vec<(u32, u64, Reason)>,
}

/// Whether a number is an answer under some targets, or why not.
fn fate(outcome: &Result<Figures, Reason>, targets: &Targets) -> Option<Reason> {
    match outcome {
        Ok(figures) => figures.missed(targets),
        Err(reason) => Some(*reason),
    }
}

/// 1 to [`EACH`], then quarters of doublings, and the last.
fn ladder(most: u32) -> impl Iterator<Item = u32> {
    let next = |n: &u32| n.checked_add(if *n < EACH { 1 } else { 1 << (n.ilog2() - 2) });
    std::iter::successors(Some(1u32), next).take_while(move |n| *n < most).chain([most])
}

impl Numbers {
    /// Looks at as many numbers, of one to `most`, as it takes to know the fate of each under all of the targets.
    pub(super) fn of(
        deployment: &Deployment,
        most: u32,
        targets: &[Targets],
        plan: impl Fn(u32) -> Plan,
    ) -> Numbers {
        let hold = most.min(deployment.placement.max_replicas).max(1);
        let look = |n: u32| (n, deployment.score(plan(n)));
        let mut looked: Vec<_> = ladder(hold).map(look).collect();
        for targets in targets {
            let mut place = 1;
            while place < looked.len() {
                let ((a, before), (b, after)) = (&looked[place - 1], &looked[place]);
                let changes = fate(before, targets).is_some() != fate(after, targets).is_some();
                if changes && b - a > 1 {
                    let middle = a.midpoint(*b);
                    looked.insert(place, look(middle));
                } else {
                    place += 1;
                }
            }
        }
        Numbers { looked, hold, most }
    }

    /// Sorts all numbers under some targets.
    pub(super) fn sorted(&self, targets: &Targets) -> Sorted {
        let mut sorted = Sorted { holding: Vec::new(), between: 0, fell: Vec::new() };
        let mut before = 0;
        for (n, outcome) in &self.looked {
            let between = u64::from(n - before - 1);
            match (fate(outcome, targets), outcome) {
                (None, Ok(figures)) => {
                    sorted.between += between;
                    sorted.holding.push(*figures);
                }
                (Some(reason), _) => sorted.fell.push((*n, between + 1, reason)),
                (None, Err(reason)) => sorted.fell.push((*n, between + 1, *reason)),
            }
            before = *n;
        }
        if let Some(beyond @ 1..) = self.most.checked_sub(self.hold) {
            let reason = Reason::TooManyReplicas { replicas: self.hold + 1, most: self.hold };
            sorted.fell.push((self.hold + 1, u64::from(beyond), reason));
        }
        sorted
    }

    /// The figures of all that were looked at and have some.
    pub(super) fn figures(&self) -> impl Iterator<Item = &Figures> {
        self.looked.iter().filter_map(|(_, outcome)| outcome.as_ref().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ladder_holds_every_small_number_and_the_last() {
        let all: Vec<u32> = ladder(75).collect();
        assert_eq!(all[..16], (1..=16).collect::<Vec<_>>());
        assert_eq!(all[16..], [20, 24, 28, 32, 40, 48, 56, 64, 75]);
        assert_eq!(ladder(1).collect::<Vec<_>>(), [1]);
    }
}
