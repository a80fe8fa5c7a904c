//! What a cluster's name stands for: a file, a shorthand, or several of these side by side.

use std::path::Path;

use itertools::Itertools as _;

use super::cluster::{self, MAX_GPUS, PoolFile};
use super::link::LinkKind;
use super::{
    Catalog, Cluster, ClusterFile, Gpu, KernelTables, Kind, NVLINK_CLASS, PCIE_CLASS, in_file, names,
};
use crate::diagnostic::{Code, Diagnostic};
use crate::load;

/// What a cluster's name stands for: pools of one kind of GPU each. A replica never spans pools.
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
                .help("name one of them: a replica never spans kinds of GPU")
        };
        match self.pools.as_slice() {
            [_] => self.pools.into_iter().next().ok_or_else(|| Diagnostic::new(Code::Catalog, "no pool")),
            _ => Err(mixed()),
        }
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

    /// A cluster by name, alias, YAML file, or shorthand: `8xh100-sxm`, `4x8xh200-sxm`, `h100-sxm`, and
    /// several of these joined by `+`: `8xh100-sxm+8xa100-sxm-80gb`.
    ///
    /// # Errors
    /// [`Code::UnknownName`] with the nearest known name, [`Code::Range`] for absurd sizes,
    /// [`Code::Catalog`] for two pools of one kind.
    pub fn pools(&self, name: &str) -> Result<Pools, Diagnostic> {
        let name = name.trim();
        if load::is_yaml(name) || self.lookup(Kind::Cluster, name).is_some() {
            let (file, path): (ClusterFile, _) = self.read(Kind::Cluster, name)?;
            return self.described_pools(&file, &path).map_err(|d| in_file(d, &path));
        }
        if !name.contains('+') {
            return self.shorthand(name).map(Pools::from);
        }
        let parts = name.split('+').map(|part| self.pools(part)).collect::<Result<Vec<_>, _>>();
        let parts = parts.map_err(|d| d.within(format!("cluster `{name}`")))?;
        Pools::new(name, parts.into_iter().flat_map(|p| p.pools).collect())
    }

    fn described_pools(&self, file: &ClusterFile, path: &Option<String>) -> Result<Pools, Diagnostic> {
        let all = file.pools()?;
        let several = all.len() > 1;
        let mut pools = Vec::with_capacity(all.len());
        for pool in &all {
            let found = self.described_pool(file, pool, path, several);
            pools.push(found.map_err(|d| if several { d.field("pools") } else { d })?);
        }
        Pools::new(&file.id, pools).map_err(|d| d.field("pools"))
    }

    fn described_pool(
        &self,
        file: &ClusterFile,
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
        let id = if several { format!("{} ({})", file.id, gpu.id) } else { file.id.clone() };
        Cluster::from_file(&id, pool, gpu, bridged)
    }

    /// Pooled coefficients of collectives over links of a kind.
    fn collectives_over(&self, kind: LinkKind) -> Result<KernelTables, Diagnostic> {
        let class = if kind == LinkKind::Pcie { PCIE_CLASS } else { NVLINK_CLASS };
        Ok(KernelTables::default().with_collectives_of(self.class_tables(class)?))
    }

    /// `8xh100-sxm`, `4x8xh200-sxm` or `h100-sxm`.
    fn shorthand(&self, name: &str) -> Result<Cluster, Diagnostic> {
        let mut counts = Vec::new();
        let mut rest = name;
        while let Some((count, tail)) = leading_count(rest) {
            counts.push(count.map_err(|d| d.within(format!("cluster `{name}`")))?);
            rest = tail;
        }
        let of = |counts: &[u32], gpu: Gpu| match counts {
            [] => Cluster::of_gpus(gpu, 1),
            [n] => Cluster::of_gpus(gpu, *n),
            [nodes, per_node] => Cluster::of_nodes(gpu, *nodes, *per_node),
            _ => Err(Diagnostic::new(Code::Usage, "too many counts")
                .help("write GPUS x GPU or NODES x GPUS x GPU, for example 4x8xh200-sxm")),
        };
        match self.find(Kind::Gpu, rest) {
            Ok(entry) => {
                of(&counts, self.gpu(entry.id())?).map_err(|d| d.within(format!("cluster `{name}`")))
            }
            Err(unknown_gpu) if !counts.is_empty() => Err(unknown_gpu.within(format!("cluster `{name}`"))),
            Err(_) => Err(self.unknown_cluster(name)),
        }
    }

    fn unknown_cluster(&self, name: &str) -> Diagnostic {
        let mut known = self.entries(Kind::Cluster);
        known.extend(self.entries(Kind::Gpu));
        let list = "write GPUS x GPU, for example 8xh100-sxm, or a name: `shardfit catalog clusters` and \
                    `shardfit catalog gpus` list all";
        Diagnostic::unknown("cluster", name, known.iter().flat_map(names), list)
    }
}

/// Splits `8xh100-sxm` into 8 and `h100-sxm`; `None` where no `<digits>x` stands in front.
fn leading_count(text: &str) -> Option<(Result<u32, Diagnostic>, &str)> {
    let digits = text.len() - text.trim_start_matches(|c: char| c == '-' || c.is_ascii_digit()).len();
    let tail = text[digits..].strip_prefix(['x', 'X', '×'])?;
    let count = text.get(..digits).filter(|d| !d.is_empty())?;
    let parsed = count.parse().map_err(|_| {
        Diagnostic::new(Code::Range, format!("`{count}` is not a number of GPUs"))
            .help(format!("a whole number from 1 to {}", cluster::MAX_GPUS))
    });
    Some((parsed, tail))
}
