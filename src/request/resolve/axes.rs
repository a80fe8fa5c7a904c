//! The plan that is given, or the axes that are pinned.

use crate::catalog::Cluster;
use crate::diagnostic::Diagnostic;
use crate::plan::space::Pins;
use crate::plan::{Axis, Degrees, Parallelism};
use crate::request::checks::{list, range, usage};
use crate::request::{Request, SplitWorkers, Task, Values, layout};
use crate::search::Mode;

/// How the GPUs of one plan are used.
#[derive(Clone, Copy, Debug)]
pub enum Deployed {
    /// Equal replicas that do everything.
    Replicas(Parallelism, u32),
    /// Prefill and decode workers.
    Split(SplitWorkers),
}

impl Deployed {
    /// GPUs of one replica; of split pools none.
    pub(super) fn gpus_of_replica(&self) -> usize {
        match self {
            Deployed::Replicas(split, _) => usize::try_from(split.gpus()).unwrap_or(0),
            Deployed::Split(_) => 0,
        }
    }

    /// GPUs of all workers.
    pub fn gpus(&self) -> u64 {
        match self {
            Deployed::Replicas(split, n) => split.gpus().saturating_mul((*n).into()),
            Deployed::Split(workers) => workers.gpus(),
        }
    }
}

impl Request {
    /// The axes that are pinned; of one plan none, it is given whole.
    fn pins(&self, task: Task) -> Pins {
        if task != Task::Plan {
            return Pins::default();
        }
        let pp = match self.pp {
            Some(_) => list(&self.pp),
            None => self.stages_named().into_iter().collect(),
        };
        Pins {
            split: Degrees { pp, ..Degrees::of(|axis| list(self.degrees(axis))) },
            prefill: Degrees::of(|axis| list(self.prefill_degrees(axis))),
            replicas: list(&self.replicas),
            batch: list(&self.batch).into_iter().map(u64::from).collect(),
        }
    }

    /// Whether replicas do everything or pools are split, and the axes that are pinned of them.
    pub(crate) fn space(&self, task: Task) -> Result<(Mode, Pins), Diagnostic> {
        let (pins, mode) = (self.pins(task), self.mode()?);
        let pinned = of_prefill(&pins.prefill).find(|(_, degrees)| !degrees.is_empty());
        if let (Mode::Aggregated, Some((flag, _))) = (mode, pinned) {
            let cause = "prefill workers are pinned, and there are none";
            return Err(usage(cause).at(flag).help("add --mode split or any"));
        }
        Ok((mode, pins))
    }

    /// The plan that is given; degrees that are left out are 1.
    pub(super) fn deployed(&self) -> Result<Deployed, Diagnostic> {
        if let (Some(prefill), Some(decode)) = (&self.prefill, &self.decode) {
            return Ok(Deployed::Split(SplitWorkers {
                prefill: layout::workers("--prefill", prefill, layout::Workers::Prefill)?,
                decode: layout::workers("--decode", decode, layout::Workers::Decode)?,
            }));
        }
        let degree = |flag: &str, values: &Option<Values>| match list(values).as_slice() {
            [] => Ok(1),
            [one] => Ok(*one),
            _ => Err(usage("one plan has one degree of each kind")
                .at(flag)
                .help("`shardfit plan` compares several")),
        };
        let mut split = Parallelism::try_of(|axis| degree(&axis.flag(), self.degrees(axis)))?;
        split.pp = split.pp.max(self.stages_named().unwrap_or(1));
        Ok(Deployed::Replicas(split, degree("--replicas", &self.replicas)?))
    }
}

/// The axes of prefill workers, by their flags.
fn of_prefill(degrees: &Degrees) -> impl Iterator<Item = (String, &Vec<u32>)> {
    Axis::ALL.into_iter().filter_map(|axis| Some((axis.prefill_flag()?, degrees.along(axis))))
}

/// Refuses values of an axis that no pool has GPUs for, before plans are made of them. A single one is refused with the
/// rule that it breaks.
pub(super) fn refuse_degrees_beyond(pins: &Pins, pools: &[Cluster]) -> Result<(), Diagnostic> {
    let most = pools.iter().map(|pool| pool.gpus).max().unwrap_or(0);
    let own = Axis::ALL.into_iter().map(|axis| (axis.flag(), pins.split.along(axis)));
    let mut axes = own.chain(of_prefill(&pins.prefill));
    let beyond = |degrees: &&Vec<u32>| degrees.len() > 1 && degrees.iter().any(|n| *n > most);
    match axes.find(|(_, degrees)| beyond(degrees)) {
        Some((flag, degrees)) => {
            let largest = degrees.iter().max().copied().unwrap_or(0);
            Err(range(&flag, format!("{largest} is more than the cluster has GPUs"))
                .help(format!("degrees of at most {most}")))
        }
        None => Ok(()),
    }
}
