//! What a cluster's name stands for: a file, a shorthand, or several of these side by side.

use std::path::Path;

use itertools::Itertools as _;

use super::cluster::{self, MAX_GPUS, PoolFile};
use super::link::LinkKind;
use super::lookup::{NVLINK_CLASS, PCIE_CLASS, in_file, names};
use super::{Catalog, Cluster, ClusterFile, KernelTables, Kind, known};
use crate::diagnostic::{Code, Diagnostic};
use crate::load;

/// What a cluster's name stands for: pools of one kind of GPU each. A replica stands in one of them, or, of engines that
/// put stages on several kinds of GPU, on cards of those that share a machine ([`joined`](super::joined)).
#[derive(Clone, Debug, PartialEq)]
pub struct Pools {
    /// Identifier or the shorthand it was asked for by.
    pub id: String,
    /// The pools, at least one, each with a GPU of its own.
    pub pools: Vec<Cluster>,
}

impl Pools {
    /// Pools side by side.
    ///
    /// # Errors
    /// [`Code::Catalog`] when there are none or two hold the same GPU, [`Code::Range`] when they hold
    /// absurdly many together.
    pub fn new(id: &str, pools: Vec<Cluster>) -> Result<Pools, Diagnostic> {
        let place = || format!("cluster {id}");
        if pools.is_empty() {
            return Err(Diagnostic::new(Code::Catalog, "a cluster needs at least one pool").at(place()));
        }
        if let Some(twice) = pools.iter().map(|p| &p.gpu.id).duplicates().next() {
            let cause = format!("two pools of {twice}");
            return Err(Diagnostic::new(Code::Catalog, cause)
                .at(place())
                .help("pools differ in their GPU; write equal GPUs as one pool of more nodes"));
        }
        let all = Pools { id: id.to_owned(), pools };
        if all.gpus() > u64::from(MAX_GPUS) {
            return Err(Diagnostic::new(Code::Range, format!("{} GPUs are out of range", all.gpus()))
                .at(place())
                .help(format!("at most {MAX_GPUS} GPUs")));
        }
        Ok(all)
    }

    /// GPUs in all.
    pub fn gpus(&self) -> u64 {
        self.pools.iter().map(|p| u64::from(p.gpus)).sum()
    }

    /// Whether there are GPUs of several kinds.
    pub fn is_mixed(&self) -> bool {
        self.pools.len() > 1
    }

    /// The only pool.
    ///
    /// # Errors
    /// [`Code::Usage`] when there are several.
    pub fn single(self) -> Result<Cluster, Diagnostic> {
        let mixed = || {
            let names = self.pools.iter().map(|p| format!("{}x{}", p.gpus, p.gpu.id)).join(" and ");
            Diagnostic::new(Code::Usage, format!("{} has several kinds of GPU: {names}", self.id))
                .help("name one of them: this is asked of one kind")
        };
        match self.pools.as_slice() {
            [_] => self.pools.into_iter().next().ok_or_else(|| Diagnostic::new(Code::Catalog, "no pool")),
            _ => Err(mixed()),
        }
    }
}

impl Cluster {
    /// The cluster as pools that go by the name that was asked for.
    pub(super) fn called(self, name: &str) -> Pools {
        Pools::from(Cluster { id: one_line(name), ..self })
    }
}

impl From<Cluster> for Pools {
    fn from(cluster: Cluster) -> Pools {
        Pools { id: cluster.id.clone(), pools: vec![cluster] }
    }
}

impl Catalog {
    /// A cluster of one kind of GPU, as [`Catalog::pools`] finds it.
    ///
    /// # Errors
    /// As [`Catalog::pools`]; [`Code::Usage`] when the name stands for several kinds of GPU.
    pub fn cluster(&self, name: &str) -> Result<Cluster, Diagnostic> {
        self.pools(name)?.single()
    }

    /// A cluster by name, alias, YAML file, or shorthand: `8xh100-sxm`, `8 x H100`, `h100x8`, `4x8xh200-sxm`,
    /// `h100-sxm`, `2xp5.48xlarge`, and several of these joined by `+`: `8xh100-sxm+8xa100-sxm-80gb`; the machine at hand
    /// (`local`) or the nodes of a Kubernetes cluster (`k8s`), as [`Catalog::detected`] finds them. It is called what it
    /// was asked for by.
    ///
    /// # Errors
    /// [`Code::UnknownName`] with the nearest known name, [`Code::Range`] for absurd sizes,
    /// [`Code::Catalog`] for two pools of one kind.
    pub fn pools(&self, name: &str) -> Result<Pools, Diagnostic> {
        let name = name.trim();
        if let Some(found) = self.detected(name) {
            return found.and_then(|found| self.detected_pools(name, found));
        }
        if self.means_file(name) {
            let (file, path): (ClusterFile, _) = self.read(Kind::Cluster, name)?;
            let id = file.id.clone();
            return self.described_pools(&id, &file, &path, 1).map_err(|d| in_file(d, &path));
        }
        if !name.contains('+') {
            return self.shorthand(name);
        }
        let parts = name.split('+').map(|part| self.pools(part)).collect::<Result<Vec<_>, _>>();
        // A plus may stand in a GPU's own name: `Ryzen AI Max+ 395`.
        let inside = name.split('+').all(|part| !part.trim().is_empty());
        if let Some(found) =
            Some(name).filter(|_| parts.is_err() && inside).and_then(|name| self.shorthand(name).ok())
        {
            return Ok(found);
        }
        let parts = parts.map_err(|d| d.within(format!("cluster `{name}`")))?;
        Pools::new(name, parts.into_iter().flat_map(|p| p.pools).collect())
    }

    /// Whether a name stands for a cluster of the catalogue or so many of a GPU.
    pub fn cluster_is_known(&self, name: &str) -> bool {
        !load::is_yaml(name) && self.pools(name).is_ok() || matches!(name, "local" | "k8s")
    }

    /// The clusters of one kind of GPU that a cloud rents out.
    ///
    /// # Errors
    /// [`Code::UnknownName`] with the clouds that are known; what is wrong with a description.
    pub fn of_cloud(&self, cloud: &str) -> Result<Vec<Cluster>, Diagnostic> {
        let (mut known, mut found) = (Vec::new(), Vec::new());
        for entry in self.entries(Kind::Cluster) {
            let file: ClusterFile = entry.parse()?;
            let Some(own) = file.cloud.as_ref().filter(|_| file.pools.is_empty()) else { continue };
            if own.eq_ignore_ascii_case(cloud.trim()) {
                found.push(self.cluster(entry.id())?);
            }
            known.push(own.clone());
        }
        if !found.is_empty() {
            return Ok(found);
        }
        let known: Vec<String> = known.into_iter().sorted().dedup().collect();
        let list = format!("known: {}", known.join(", "));
        Err(Diagnostic::unknown("cloud", cloud, known.iter().map(String::as_str), &list))
    }

    /// The pools of a description, `times` over.
    fn described_pools(
        &self,
        id: &str,
        file: &ClusterFile,
        path: &Option<String>,
        times: u32,
    ) -> Result<Pools, Diagnostic> {
        let mut all = file.pools()?;
        for pool in &mut all {
            pool.nodes = Some(pool.nodes.unwrap_or(1).saturating_mul(times));
        }
        let several = all.len() > 1;
        let mut pools = Vec::with_capacity(all.len());
        for pool in &all {
            let found = self.described_pool(id, pool, path, several);
            let mut found = found.map_err(|d| if several { d.field("pools") } else { d })?;
            // The price of a GPU is that of whoever rents it out cheaply: another cloud asks its own.
            if file.cloud.is_some() {
                found.price = pool.price;
            }
            pools.push(found);
        }
        Pools::new(id, pools).map_err(|d| d.field("pools"))
    }

    fn described_pool(
        &self,
        id: &str,
        pool: &PoolFile,
        path: &Option<String>,
        several: bool,
    ) -> Result<Cluster, Diagnostic> {
        let gpu = match path {
            // A GPU file is named relative to the cluster file.
            Some(path) if load::is_yaml(&pool.gpu) => {
                self.gpu(&Path::new(path).with_file_name(&pool.gpu).display().to_string())
            }
            _ => self.gpu(&pool.gpu),
        };
        let gpu = gpu.map_err(|d| d.field("gpu"))?;
        let bridged = match &pool.bridge {
            Some(bridge) => self.collectives_over(bridge.link.kind)?,
            None => KernelTables::default(),
        };
        let id = if several { format!("{id} ({})", gpu.id) } else { id.to_owned() };
        Cluster::from_file(&id, pool, gpu, bridged)
    }

    /// Pooled coefficients of collectives over links of a kind.
    pub(super) fn collectives_over(&self, kind: LinkKind) -> Result<KernelTables, Diagnostic> {
        let class = if kind == LinkKind::Pcie { PCIE_CLASS } else { NVLINK_CLASS };
        Ok(KernelTables::default().with_collectives_of(self.class_tables(class)?))
    }

    /// A cluster or GPU by name, alone or so many times: the reading that takes the fewest counts from the name
    /// and whose rest is known. Identifiers go before other names, so that files are not read for theirs in vain.
    fn shorthand(&self, name: &str) -> Result<Pools, Diagnostic> {
        let within = |d: Diagnostic| d.within(format!("cluster `{name}`"));
        if self.by_id(Kind::Cluster, name).or_else(|| self.by_alias(Kind::Cluster, name)).is_some() {
            return self.of_clusters(name, &[], name);
        }
        let readings = readings(name);
        let ways = [Way::Id, Way::Name, Way::Spoken];
        for (way, Reading { counts, of }) in ways.into_iter().cartesian_product(&readings) {
            let is = |kind| match way {
                Way::Id => self.by_id(kind, of).is_some(),
                Way::Name => self.knows(kind, of),
                Way::Spoken => kind == Kind::Gpu && self.spoken_gpu(of).is_some(),
            };
            let gpu = (!counts.is_empty() || !is(Kind::Cluster)) && is(Kind::Gpu);
            if gpu || is(Kind::Cluster) {
                let found = numbers(counts).and_then(|counts| match gpu {
                    true => self.of_gpus(&counts, of).map(|cluster| cluster.called(name)),
                    false => self.of_clusters(name, &counts, of),
                });
                return found.map_err(|d| if counts.is_empty() { d } else { within(d) });
            }
        }
        if let Some(of_nodes) = nodes_of(name).filter(|of_nodes| self.pools(of_nodes).is_ok()) {
            return self.pools(&of_nodes).map(|pools| Pools { id: one_line(name), ..pools });
        }
        if let Some(rented) = self.rented(name) {
            return rented;
        }
        match readings.iter().rfind(|reading| name.ends_with(reading.of)) {
            Some(Reading { counts, of }) if !counts.is_empty() => {
                numbers(counts).map_err(within)?;
                Err(within(self.unknown("GPU or cluster", of, Kind::Cluster.list_hint())))
            }
            _ => Err(self.unknown_cluster(name)),
        }
    }

    fn of_gpus(&self, counts: &[u32], gpu: &str) -> Result<Cluster, Diagnostic> {
        let gpu = self.gpu(gpu)?;
        match counts {
            [] => Cluster::of_gpus(gpu, 1),
            [n] => Cluster::of_gpus(gpu, *n),
            [nodes, per_node] => Cluster::of_nodes(gpu, *nodes, *per_node),
            _ => Err(Diagnostic::new(Code::Usage, "too many counts")
                .help("write GPUS x GPU or NODES x GPUS x GPU, for example 4x8xh200-sxm")),
        }
    }

    /// A described cluster, alone or so many times.
    fn of_clusters(&self, name: &str, counts: &[u32], cluster: &str) -> Result<Pools, Diagnostic> {
        let times = match counts {
            [] => 1,
            [0] => return Err(Diagnostic::new(Code::Range, "a cluster needs at least one GPU")),
            [times] => *times,
            _ => {
                return Err(Diagnostic::new(Code::Usage, "too many counts")
                    .help("write TIMES x CLUSTER, for example 2xp5.48xlarge"));
            }
        };
        let (file, path): (ClusterFile, _) = self.read(Kind::Cluster, cluster)?;
        self.described_pools(&one_line(name), &file, &path, times).map_err(|d| in_file(d, &path))
    }

    fn unknown_cluster(&self, name: &str) -> Diagnostic {
        let list = "write GPUS x GPU, for example 8xh100-sxm, or a name: `shardfit catalog clusters` and \
                    `shardfit catalog gpus` list all; a YAML file describes one of your own";
        // `8,h100` and `8-h100` name a count and a GPU as much as `8xh100` does.
        let after = name.trim_start_matches(|c: char| c.is_ascii_digit());
        let count = &name[..name.len() - after.len()];
        let of = after.strip_prefix([',', ';', '-', '_', '/']).map(str::trim);
        let meant =
            of.filter(|of| !count.is_empty() && self.gpu(of).is_ok()).map(|of| format!("{count}x{of}"));
        match meant {
            Some(meant) => self.unknown("cluster", name, list).help(format!("write {meant}")),
            None => self.unknown("cluster", name, list),
        }
    }

    /// A name that is neither a cluster's nor a GPU's.
    fn unknown(&self, what: &str, name: &str, list: &str) -> Diagnostic {
        let mut known = self.entries(Kind::Cluster);
        known.extend(self.entries(Kind::Gpu));
        let unknown = Diagnostic::unknown(what, name, known.iter().flat_map(names), list);
        let holding = self.holding(name).iter().map(|id| format!("`{id}`")).collect::<Vec<_>>();
        match known::answer(Kind::Cluster, name) {
            Some(said) => unknown.help(said),
            None if unknown.help.as_deref() == Some(list) && !holding.is_empty() => {
                unknown.help(format!("write {}; {list}", holding.join(" or ")))
            }
            None => unknown,
        }
    }
}

/// How a name is looked for, in this order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// By identifiers.
    Id,
    /// By all names.
    Name,
    /// By what tools, shops and people call a GPU.
    Spoken,
}

/// A name taken as so many of something.
struct Reading<'a> {
    /// Counts before the name, then those after it: nodes, then GPUs of each, or GPUs alone.
    counts: Vec<&'a str>,
    /// Of what.
    of: &'a str,
}

/// Every way to take counts from a name, those that take fewest first: `8 x H100` is eight of `H100`, and so is
/// `H100x8`, but `rtx4090` is `rtx4090` before it is 4090 of `rt`.
fn readings(name: &str) -> Vec<Reading<'_>> {
    let mut all = vec![Reading { counts: Vec::new(), of: name }];
    let (mut counts, mut rest) = (Vec::new(), name);
    while let Some((count, tail)) = leading_count(rest) {
        counts.push(count);
        rest = tail;
        all.push(Reading { counts: counts.clone(), of: rest });
    }
    let trailing = all.iter().filter_map(|Reading { counts, of }| {
        let (of, count) = trailing_count(of)?;
        Some(Reading { counts: counts.iter().copied().chain([count]).collect(), of })
    });
    let trailing: Vec<_> = trailing.collect();
    all.extend(trailing);
    all.sort_by_key(|reading| reading.counts.len());
    all
}

/// Splits `8xh100-sxm`, `8 x H100` or `8 H100` into 8 and the rest; `None` where no count stands in front.
fn leading_count(text: &str) -> Option<(&str, &str)> {
    let (count, tail) = text.split_at(text.find(|c: char| c != '-' && !c.is_ascii_digit())?);
    let rest = tail.trim_start();
    let tail = match rest.strip_prefix(TIMES) {
        Some(tail) => tail.trim_start(),
        // A space will do before a word.
        None if rest.len() < tail.len() && rest.starts_with(char::is_alphabetic) => rest,
        None => return None,
    };
    (!count.is_empty() && !tail.is_empty()).then_some((count, tail))
}

/// Splits `h100x8`, `H100 x 8` or `H100:8` into the rest and 8.
fn trailing_count(text: &str) -> Option<(&str, &str)> {
    let rest = text.trim_end_matches(|c: char| c.is_ascii_digit());
    let (rest, count) = text.split_at(rest.len());
    let of = rest.trim_end().strip_suffix(|c| c == ':' || TIMES.contains(&c))?.trim_end();
    (!count.is_empty() && !of.is_empty()).then_some((of, count))
}

/// Signs between a count and what is counted.
const TIMES: [char; 4] = ['x', 'X', '×', '*'];

fn numbers(counts: &[&str]) -> Result<Vec<u32>, Diagnostic> {
    let number = |text: &&str| {
        text.parse().map_err(|_| {
            Diagnostic::new(Code::Range, format!("`{text}` is not a number of GPUs"))
                .help(format!("a whole number from 1 to {}", cluster::MAX_GPUS))
        })
    };
    counts.iter().map(number).collect()
}

/// So many nodes of so many: `2 nodes of 8xH100` is `2x8xH100`.
fn nodes_of(name: &str) -> Option<String> {
    let lower = name.trim().to_lowercase();
    let (count, rest) = lower.split_once(' ')?;
    let rest = ["nodes of", "node of", "nodes x", "servers of", "machines of", "nodes"]
        .iter()
        .find_map(|word| rest.trim_start().strip_prefix(word))?;
    let whole = !count.is_empty() && count.bytes().all(|b| b.is_ascii_digit());
    (whole && !rest.trim().is_empty()).then(|| format!("{count}x{}", rest.trim()))
}

/// A name without line ends and runs of spaces.
fn one_line(name: &str) -> String {
    name.split_whitespace().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_of_so_many_are_a_product() {
        assert_eq!(nodes_of("2 nodes of 8xH100").as_deref(), Some("2x8xh100"));
        assert_eq!(nodes_of("nodes of 8"), None);
    }
}
