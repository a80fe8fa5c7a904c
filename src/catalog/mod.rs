//! The catalogue: GPUs, clusters, engines and models by the names people use, built in and from files.

mod builtin;
pub mod cluster;
pub mod engine;
pub mod gpu;
pub mod kernels;
pub mod link;

use std::path::Path;

use serde::de::DeserializeOwned;

use crate::diagnostic::{Code, Diagnostic};
use crate::load;
pub use builtin::Entry;
pub use cluster::{Cluster, ClusterFile, Pools};
pub use engine::Engine;
pub use gpu::Gpu;
pub use kernels::{GpuClass, KernelTables};

/// A kind of catalogue entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `hardware/gpus`.
    Gpu,
    /// `hardware/clusters`.
    Cluster,
    /// `hardware/classes`.
    GpuClass,
    /// `engines`.
    Engine,
    /// `models`.
    Model,
}

impl Kind {
    /// What it is called in a message.
    pub fn noun(self) -> &'static str {
        match self {
            Kind::Gpu => "GPU",
            Kind::Cluster => "cluster",
            Kind::GpuClass => "GPU class",
            Kind::Engine => "engine",
            Kind::Model => "model",
        }
    }

    /// The command that lists all of a kind.
    fn list_hint(self) -> &'static str {
        match self {
            Kind::Gpu => "`shardfit catalog gpus` lists all",
            Kind::Cluster => "`shardfit catalog clusters` and `catalog gpus` list all",
            Kind::GpuClass => "see hardware/classes",
            Kind::Engine => "`shardfit catalog engines` lists all",
            Kind::Model => "`shardfit catalog models` lists all",
        }
    }
}

/// The class whose collectives were measured over PCIe.
const PCIE_CLASS: &str = "gddr-pcie";

/// The class whose collectives were measured over NVLink.
const NVLINK_CLASS: &str = "datacenter-hbm";

/// Every entry of a kind, sorted by identifier.
pub fn entries(kind: Kind) -> &'static [Entry] {
    builtin::entries(kind)
}

/// The entry that a name or alias means, case ignored.
///
/// # Errors
/// [`Code::UnknownName`] with the nearest known name.
pub fn find(kind: Kind, name: &str) -> Result<&'static Entry, Diagnostic> {
    let wanted = name.to_ascii_lowercase();
    let all = entries(kind);
    all.iter()
        .find(|e| e.id.eq_ignore_ascii_case(&wanted))
        .or_else(|| all.iter().find(|e| e.aliases.iter().any(|a| a.eq_ignore_ascii_case(&wanted))))
        .ok_or_else(|| {
            let names = all.iter().flat_map(|e| std::iter::once(e.id).chain(e.aliases.iter().copied()));
            Diagnostic::unknown(kind.noun(), name, names, kind.list_hint())
        })
}

fn parse<T: DeserializeOwned>(entry: &Entry) -> Result<T, Diagnostic> {
    load::json(entry.json, &format!("built-in {}", entry.id))
}

fn looks_like_file(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    lower.ends_with(".yaml") || lower.ends_with(".yml")
}

fn from_file<T: DeserializeOwned>(name: &str) -> Result<T, Diagnostic> {
    load::yaml(&load::text(Path::new(name))?, name)
}

/// Adds the file, if `name` is one.
fn in_file(diagnostic: Diagnostic, name: &str) -> Diagnostic {
    if looks_like_file(name) { diagnostic.within(name) } else { diagnostic }
}

/// A GPU by name, alias or YAML file, with what fills the gaps in its kernel coefficients.
///
/// # Errors
/// [`Code::UnknownName`], or what is wrong with the file.
pub fn gpu(name: &str) -> Result<Gpu, Diagnostic> {
    let mut gpu = described(name)?;
    gpu.stand_ins = stand_ins(&gpu).map_err(|d| in_file(d, name))?;
    Ok(gpu)
}

/// A GPU as its file describes it.
fn described(name: &str) -> Result<Gpu, Diagnostic> {
    let gpu: Gpu = if looks_like_file(name) { from_file(name)? } else { parse(find(Kind::Gpu, name)?)? };
    gpu.validate().and_then(|()| stand_ins_exist(&gpu)).map_err(|d| in_file(d, name))?;
    Ok(gpu)
}

fn stand_ins_exist(of: &Gpu) -> Result<(), Diagnostic> {
    let field = |name: &str| format!("GPU {}, field `{name}`", of.id);
    find(Kind::GpuClass, &of.class).map_err(|d| d.within(field("class")))?;
    match &of.kernels_from {
        Some(name) if !looks_like_file(name) => {
            find(Kind::Gpu, name).map(|_| ()).map_err(|d| d.within(field("kernels_from")))
        }
        _ => Ok(()),
    }
}

/// An engine by name, alias or YAML file.
///
/// # Errors
/// [`Code::UnknownName`], or what is wrong with the file.
pub fn engine(name: &str) -> Result<Engine, Diagnostic> {
    let engine: Engine =
        if looks_like_file(name) { from_file(name)? } else { parse(find(Kind::Engine, name)?)? };
    engine.validate().map_err(|d| in_file(d, name))?;
    Ok(engine)
}

/// All built-in engines.
///
/// # Errors
/// Never for the entries that ship; the type is that of [`engine()`].
pub fn engines() -> Result<Vec<Engine>, Diagnostic> {
    entries(Kind::Engine).iter().map(|e| engine(e.id)).collect()
}

/// What fills the gaps in a GPU's kernel coefficients: those of a GPU of the same architecture if it
/// names one, then the pooled ones of its class.
fn stand_ins(of: &Gpu) -> Result<KernelTables, Diagnostic> {
    let class: GpuClass = parse(find(Kind::GpuClass, &of.class)?)?;
    let mut tables = class.kernels;
    if let Some(base) = &class.base {
        tables = tables.filled_from(class_tables(base)?);
    }
    if of.scale_up.kind == link::LinkKind::Pcie && of.class != PCIE_CLASS {
        tables = tables.with_collectives_of(class_tables(PCIE_CLASS)?);
    }
    if let Some(name) = &of.kernels_from {
        let twin = described(name)?;
        let alike = twin.scale_up.kind == of.scale_up.kind;
        let own =
            if alike { twin.kernels } else { twin.kernels.with_collectives_of(KernelTables::default()) };
        tables = own.filled_from(tables);
    }
    Ok(tables)
}

fn class_tables(name: &str) -> Result<KernelTables, Diagnostic> {
    parse::<GpuClass>(find(Kind::GpuClass, name)?).map(|class| class.kernels)
}

/// A cluster of one kind of GPU, as [`pools`] finds it.
///
/// # Errors
/// As [`pools`]; [`Code::Usage`] when the name stands for several kinds of GPU.
pub fn cluster(name: &str) -> Result<Cluster, Diagnostic> {
    pools(name)?.single()
}

/// A cluster by name, alias, YAML file, or shorthand: `8xh100-sxm`, `4x8xh200-sxm`, `h100-sxm`, and
/// several of these joined by `+`: `8xh100-sxm+8xa100-sxm-80gb`.
///
/// # Errors
/// [`Code::UnknownName`] with the nearest known name, [`Code::Range`] for absurd sizes,
/// [`Code::Catalog`] for two pools of one kind.
pub fn pools(name: &str) -> Result<Pools, Diagnostic> {
    let name = name.trim();
    if looks_like_file(name) {
        let file: ClusterFile = from_file(name)?;
        return described_pools(&file, Some(name)).map_err(|d| d.within(name));
    }
    if let Ok(entry) = find(Kind::Cluster, name) {
        return described_pools(&parse(entry)?, None);
    }
    if !name.contains('+') {
        return shorthand(name).map(Pools::from);
    }
    let parts = name.split('+').map(pools).collect::<Result<Vec<_>, _>>();
    let parts = parts.map_err(|d| d.within(format!("cluster `{name}`")))?;
    Pools::new(name, parts.into_iter().flat_map(|p| p.pools).collect())
}

/// The pools of a cluster's file. A GPU's file is named relative to it.
fn described_pools(file: &ClusterFile, path: Option<&str>) -> Result<Pools, Diagnostic> {
    let all = file.pools()?;
    let several = all.len() > 1;
    let mut pools = Vec::with_capacity(all.len());
    for pool in &all {
        let beside = || Path::new(path.unwrap_or_default()).with_file_name(&pool.gpu);
        let of = if looks_like_file(&pool.gpu) { beside().display().to_string() } else { pool.gpu.clone() };
        let gpu = gpu(&of)?;
        let bridged = match &pool.bridge {
            Some(bridge) => collectives_over(bridge.link.kind)?,
            None => KernelTables::default(),
        };
        let id = if several { format!("{} ({})", file.id, gpu.id) } else { file.id.clone() };
        pools.push(Cluster::from_file(&id, pool, gpu, bridged)?);
    }
    Pools::new(&file.id, pools)
}

/// Pooled coefficients of collectives over links of a kind.
fn collectives_over(kind: link::LinkKind) -> Result<KernelTables, Diagnostic> {
    let class = if kind == link::LinkKind::Pcie { PCIE_CLASS } else { NVLINK_CLASS };
    Ok(KernelTables::default().with_collectives_of(class_tables(class)?))
}

/// `8xh100-sxm`, `4x8xh200-sxm` or `h100-sxm`.
fn shorthand(name: &str) -> Result<Cluster, Diagnostic> {
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
    match find(Kind::Gpu, rest) {
        Ok(entry) => of(&counts, gpu(entry.id)?).map_err(|d| d.within(format!("cluster `{name}`"))),
        Err(unknown_gpu) if !counts.is_empty() => Err(unknown_gpu.within(format!("cluster `{name}`"))),
        Err(_) => Err(unknown_cluster(name)),
    }
}

fn unknown_cluster(name: &str) -> Diagnostic {
    let known = entries(Kind::Cluster)
        .iter()
        .chain(entries(Kind::Gpu))
        .flat_map(|e| std::iter::once(e.id).chain(e.aliases.iter().copied()));
    let list = "write GPUS x GPU, for example 8xh100-sxm, or a name: `shardfit catalog clusters` and \
                `shardfit catalog gpus` list all";
    Diagnostic::unknown("cluster", name, known, list)
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
