//! Which cases there are: grids, lists and what is left out of them.

use std::collections::BTreeMap;

use super::entry::Names;
use super::file::Selection;
use crate::diagnostic::{Code, Diagnostic};
use crate::load::{self, Located};

/// More cases than one run takes.
pub const MAX_CASES: usize = 1_000_000;

/// A case by its places in the lists of a scenario. The order is that of the results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub model: u32,
    pub cluster: u32,
    pub workload: u32,
    pub targets: u32,
    pub objective: u32,
}

/// The names on each axis; several places may have one name.
pub struct Axes {
    pub models: Vec<String>,
    pub clusters: Vec<String>,
    pub workloads: Vec<String>,
    pub targets: Vec<String>,
    pub objectives: Vec<String>,
}

/// The places of a selection on each axis.
struct Grid {
    axes: [Vec<u32>; 5],
}

impl Grid {
    fn size(&self) -> Option<usize> {
        self.axes.iter().map(Vec::len).try_fold(1usize, usize::checked_mul)
    }

    fn keys(&self) -> impl Iterator<Item = Key> + '_ {
        let [models, clusters, workloads, targets, objectives] = &self.axes;
        let pairs = models.iter().flat_map(move |m| clusters.iter().map(move |c| (*m, *c)));
        let with_loads = pairs.flat_map(move |(m, c)| workloads.iter().map(move |w| (m, c, *w)));
        let with_targets = with_loads.flat_map(move |(m, c, w)| targets.iter().map(move |t| (m, c, w, *t)));
        with_targets.flat_map(move |(model, cluster, workload, targets)| {
            objectives.iter().map(move |o| Key { model, cluster, workload, targets, objective: *o })
        })
    }

    fn holds(&self, key: &Key) -> bool {
        let places = [key.model, key.cluster, key.workload, key.targets, key.objective];
        // Places were collected in order.
        self.axes.iter().zip(places).all(|(axis, place)| axis.binary_search(&place).is_ok())
    }
}

impl Axes {
    fn grid(&self, selection: &Selection) -> Result<Grid, Diagnostic> {
        let axis = |named: &Option<Names>, all: &[String], what: &str| match named {
            None => Ok((0..).zip(all).map(|(place, _)| place).collect()),
            Some(Names(names)) => places(names, all, what),
        };
        Ok(Grid {
            axes: [
                axis(&selection.model, &self.models, "model")?,
                axis(&selection.cluster, &self.clusters, "cluster")?,
                axis(&selection.workload, &self.workloads, "workload")?,
                axis(&selection.targets, &self.targets, "targets")?,
                axis(&selection.objective, &self.objectives, "objective")?,
            ],
        })
    }
}

fn places(names: &[String], all: &[String], what: &str) -> Result<Vec<u32>, Diagnostic> {
    let mut found = Vec::new();
    for name in names {
        let before = found.len();
        found.extend((0..).zip(all).filter(|(_, known)| *known == name).map(|(place, _): (u32, _)| place));
        if found.len() == before {
            let list = format!("this file has {}", all.join(", "));
            return Err(Diagnostic::unknown(what, name, all.iter().map(String::as_str), &list));
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// The cases of a file in the order of its lists, each once, and the remarks on them.
pub struct Cases {
    pub keys: Vec<Key>,
    pub comments: BTreeMap<Key, String>,
}

/// Works out the cases.
///
/// # Errors
/// An unknown name, with its line; too many cases, or none.
pub fn cases(
    axes: &Axes,
    matrix: &[Located<Selection>],
    include: &[Located<Selection>],
    exclude: &[Located<Selection>],
    place: &str,
) -> Result<Cases, Diagnostic> {
    let grid = |entry: &Located<Selection>| {
        axes.grid(&entry.value).map_err(|d| d.within(format!("{place}, line {}", load::line(entry))))
    };
    let mut all = Cases { keys: Vec::new(), comments: BTreeMap::new() };
    if matrix.is_empty() && include.is_empty() {
        all.add(&axes.grid(&Selection::default())?, None, place)?;
    }
    for entry in matrix {
        all.add(&grid(entry)?, entry.value.comment.as_deref(), place)?;
    }
    for entry in exclude {
        let out = grid(entry)?;
        all.keys.retain(|key| !out.holds(key));
        all.comments.retain(|key, _| !out.holds(key));
    }
    for entry in include {
        all.add(&grid(entry)?, entry.value.comment.as_deref(), place)?;
    }
    all.keys.sort_unstable();
    all.keys.dedup();
    if all.keys.is_empty() {
        return Err(Diagnostic::new(Code::Usage, "no cases: `exclude` leaves nothing").at(place));
    }
    Ok(all)
}

impl Cases {
    fn add(&mut self, grid: &Grid, comment: Option<&str>, place: &str) -> Result<(), Diagnostic> {
        let more = grid.size().and_then(|n| n.checked_add(self.keys.len()));
        if more.is_none_or(|n| n > MAX_CASES) {
            return Err(Diagnostic::new(Code::Range, "too many cases")
                .at(place)
                .help(format!("at most {MAX_CASES} in one file")));
        }
        self.keys.extend(grid.keys());
        if let Some(comment) = comment {
            self.comments.extend(grid.keys().map(|key| (key, comment.to_owned())));
        }
        Ok(())
    }
}
