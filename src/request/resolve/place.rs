//! The GPUs, at the prices of the request.

use itertools::Itertools as _;

use crate::catalog::{Catalog, Cluster, Gpu, Host, Kind, Pools, joined};
use crate::diagnostic::{Code, Diagnostic, brief};
use crate::estimate::power::Electricity;
use crate::load;
use crate::request::checks::{texts, usage, within};
use crate::request::{Prices, Request, Task, any};
use crate::units::{UsdPerHour, UsdPerKilowattHour, Watts};

use super::axes::Deployed;

impl Request {
    /// Puts the host that is named into every pool.
    pub(super) fn put_host(&self, pools: &mut [Cluster]) -> Result<(), Diagnostic> {
        pools.iter_mut().try_for_each(|pool| with_host(pool, &self.host))
    }

    pub(super) fn electricity(&self) -> Result<Option<Electricity>, Diagnostic> {
        let Some(price) = self.electricity else { return Ok(None) };
        let electricity = Electricity {
            price: UsdPerKilowattHour::new(price),
            pue: self.pue.unwrap_or(Electricity::MEAN_PUE),
            host: Watts::new(self.host_watts.unwrap_or(0.0)),
        };
        electricity.validate().map(|()| Some(electricity))
    }

    /// The GPUs at the prices of the request: the pools of the cluster that is named; of one plan also as many of a
    /// kind as it takes; where a fleet is sized, one cluster of each kind.
    pub(super) fn place(
        &self,
        task: Task,
        catalog: &Catalog,
        deployed: Option<&Deployed>,
    ) -> Result<Pools, Diagnostic> {
        let pools = match (task, &self.cluster, texts(&self.gpu)) {
            (Task::Size, ..) => Pools { id: String::new(), pools: self.kinds(catalog)? },
            (Task::Plan, ..) if self.compares_kinds() => self.servers(catalog)?,
            (_, Some(name), _) => catalog.pools(name)?,
            (Task::Plan, None, _) => {
                return Err(
                    usage("missing: --cluster").help("8xh100-sxm, 2x8xh200-sxm, a name or a YAML file")
                );
            }
            (_, None, [gpu]) => {
                let gpus = deployed.map_or(1, Deployed::gpus);
                let gpus = u32::try_from(gpus).unwrap_or(u32::MAX);
                let cluster = of_gpus(catalog, gpu, gpus)?;
                Pools { id: cluster.id.clone(), pools: vec![cluster] }
            }
            (_, None, []) => {
                return Err(usage("name a --gpu or a --cluster")
                    .help("for example --gpu h100-sxm or --cluster 8xh100-sxm"));
            }
            (_, None, _) => {
                return Err(usage("one plan has one kind of GPU")
                    .at("--gpu")
                    .help("`shardfit size` compares several"));
            }
        };
        let pools = Pools { pools: at_prices(catalog, pools.pools, &self.price)?, id: pools.id };
        match task.is_of_one_plan() {
            true => of_one_plan(pools, deployed),
            false => Ok(pools),
        }
    }

    /// Whether a search is over several kinds of GPU that do not stand side by side: one of them is to be chosen.
    pub(in crate::request) fn compares_kinds(&self) -> bool {
        self.gpu.is_some() || self.cluster.as_deref().is_some_and(|name| any::is_any(&parts_of(name)))
    }

    /// A server of each kind of GPU that a search is to choose from.
    fn servers(&self, catalog: &Catalog) -> Result<Pools, Diagnostic> {
        let of_cluster = self.cluster.as_deref().map(parts_of);
        let (flag, list) = match &of_cluster {
            Some(parts) => ("--cluster", parts.as_slice()),
            None => ("--gpu", texts(&self.gpu)),
        };
        let pools = match any::is_any(list) {
            true => any::servers(list, catalog, flag, |gpu| gpu.gpus_per_node)?,
            false => {
                let named = list.iter().unique();
                named
                    .map(|name| of_gpus(catalog, name, catalog.gpu(name)?.gpus_per_node))
                    .collect::<Result<_, _>>()?
            }
        };
        Ok(Pools { id: list.iter().map(|part| part.trim()).join(","), pools })
    }

    /// A cluster for each kind of GPU to choose from: those named, or one as large as the largest replica.
    fn kinds(&self, catalog: &Catalog) -> Result<Vec<Cluster>, Diagnostic> {
        let (clusters, gpus) = (texts(&self.clusters), texts(&self.gpu));
        if clusters.is_empty() && gpus.is_empty() {
            return Err(usage("name a --gpu or --clusters"));
        }
        if any::is_any(clusters) {
            return any::servers(clusters, catalog, "--clusters", |gpu| gpu.gpus_per_node);
        }
        if !clusters.is_empty() {
            return clusters.iter().map(|name| catalog.pools(name)?.single()).collect();
        }
        let most = within("--max-replica", self.max_replica, 1..=1024)?.and_then(|n| u32::try_from(n).ok());
        let size = |gpu: &Gpu| {
            let four = gpu.gpus_per_node.saturating_mul(4);
            most.unwrap_or(four).min(four)
        };
        match any::is_any(gpus) {
            true => any::servers(gpus, catalog, "--gpu", size),
            false => gpus.iter().map(|name| of_gpus(catalog, name, size(&catalog.gpu(name)?))).collect(),
        }
    }
}

/// The only pool; of several the cards on which the stages of the plan lie, all of them.
fn of_one_plan(pools: Pools, deployed: Option<&Deployed>) -> Result<Pools, Diagnostic> {
    let replica = match deployed {
        Some(Deployed::Replicas(split, replicas)) if pools.is_mixed() && split.pp > 1 => {
            Some((split.pp, *replicas))
        }
        _ => None,
    };
    let all = joined(&pools.pools);
    let Some((stages, replicas)) = replica else {
        let help = match all.first().and_then(Cluster::cards_of_replica).filter(|_| pools.is_mixed()) {
            Some(cards) => {
                format!("name one of them, or put a stage on each card: --engine llama.cpp --pp {cards}")
            }
            None => "name one of them: a replica on both needs both in one machine".to_owned(),
        };
        let single = pools.single().map_err(|d| d.help(help))?;
        return Ok(Pools { id: single.id.clone(), pools: vec![single] });
    };
    let whole = |cluster: &&Cluster| {
        cluster.cards.len() == pools.pools.len()
            && u64::from(cluster.gpus) == pools.gpus()
            && cluster.cards_of_replica() == Some(stages)
    };
    match all.iter().find(whole) {
        Some(found) => Ok(Pools { id: pools.id, pools: vec![found.clone()] }),
        None if all.is_empty() => Err(usage(format!("the GPUs of {} do not share a machine", pools.id))
            .at("--cluster")
            .help("stages lie on GPUs of several kinds where up to four kinds stand in the slots of one machine, up to 16 in all")),
        None => {
            let gpus = pools.gpus();
            let cause = format!(
                "{stages} stages in {replicas} replicas are not one for each of the {gpus} GPUs of {}",
                pools.id
            );
            Err(usage(cause).at("--pp").help(format!("--pp {gpus}, or a cluster of the cards that are used")))
        }
    }
}

/// The parts of a list in one text.
fn parts_of(text: &str) -> Vec<String> {
    text.split(',').map(|part| part.trim().to_owned()).collect()
}

/// Puts the host that is named, if one is, into a pool.
pub fn with_host(pool: &mut Cluster, text: &Option<String>) -> Result<(), Diagnostic> {
    let Some(text) = text else { return Ok(()) };
    let host: Host = load::assignments(&host_text(text)?, "--host")?;
    host.validate().map_err(|d| d.at("--host"))?;
    pool.host = Some(host);
    Ok(())
}

/// `gpus` of a GPU in its usual servers, called as they were asked for.
///
/// # Errors
/// An unknown GPU; more GPUs than a cluster has.
pub fn of_gpus(catalog: &Catalog, gpu: &str, gpus: u32) -> Result<Cluster, Diagnostic> {
    let mut cluster = Cluster::of_gpus(catalog.gpu(gpu)?, gpus)?;
    if !load::is_yaml(gpu) {
        cluster.id = format!("{gpus}x{}", gpu.trim());
    }
    Ok(cluster)
}

/// A host's figures, checked to hold both memory and bandwidth: what is missing is said in the option's own words.
fn host_text(text: &str) -> Result<String, Diagnostic> {
    let has =
        |key: &str| text.split(',').any(|part| part.split('=').next().is_some_and(|name| name.trim() == key));
    let bare = !text.contains('=');
    if !bare && has("memory") && has("bandwidth") || text.trim().is_empty() {
        return Ok(text.to_owned());
    }
    let memory = if bare { format!("memory={}", text.trim()) } else { text.to_owned() };
    let mended = match (bare || has("memory"), has("bandwidth")) {
        (true, false) => format!("{memory},bandwidth=89.6GB/s"),
        (false, _) => format!("memory=64GB,{text}"),
        _ => memory,
    };
    let missing = if bare || has("memory") { "bandwidth" } else { "memory" };
    Err(Diagnostic::new(Code::Usage, format!("the host's {missing} is not said")).at("--host").help(format!(
        "--host {mended}; two channels of DDR5-5600 read 89.6GB/s, of DDR4-3200 51.2GB/s, eight of DDR5-4800 307GB/s"
    )))
}

/// Checks a price per GPU and hour.
///
/// # Errors
/// [`Code::Range`] for one below zero, and for what is no number.
pub fn check_price(price: UsdPerHour) -> Result<(), Diagnostic> {
    if price.get() >= 0.0 && price.get().is_finite() {
        return Ok(());
    }
    Err(Diagnostic::new(Code::Range, "a price must not be negative"))
}

/// A cluster at the prices that name its GPU, by a name of the catalogue or its own.
///
/// # Errors
/// [`Code::Usage`] for what is no price, [`Code::UnknownName`] for an unknown GPU.
pub fn priced(catalog: &Catalog, mut cluster: Cluster, prices: &[String]) -> Result<Cluster, Diagnostic> {
    for entry in prices {
        let wrong = |why: &str| {
            usage(format!("`{}`: {why}", brief(entry)))
                .at("--price")
                .help("write GPU=DOLLARS per GPU and hour, for example h100-sxm=2.10")
        };
        let (gpu, dollars) = entry.split_once('=').ok_or_else(|| wrong("expected GPU=DOLLARS"))?;
        let dollars: f64 = dollars.trim().parse().map_err(|_| wrong("not a number"))?;
        let price = UsdPerHour::new(dollars);
        check_price(price).map_err(|_| wrong("must not be negative"))?;
        let own = gpu.trim() == cluster.gpu.id;
        if own || catalog.find(Kind::Gpu, gpu.trim()).map_err(|d| d.within("--price"))?.id() == cluster.gpu.id
        {
            cluster.price = Some(price);
        }
    }
    Ok(cluster)
}

/// The pools at the prices that name their GPUs. A price of a GPU that none of them has would change nothing and is
/// refused.
fn at_prices(
    catalog: &Catalog,
    pools: Vec<Cluster>,
    prices: &Option<Prices>,
) -> Result<Vec<Cluster>, Diagnostic> {
    let prices = prices.as_ref().map_or(&[][..], |prices| &prices.0);
    refuse_idle_prices(catalog, &pools, prices)?;
    pools.into_iter().map(|pool| priced(catalog, pool, prices)).collect()
}

/// The same of one cluster.
pub fn at_price(catalog: &Catalog, cluster: Cluster, prices: &Option<Prices>) -> Result<Cluster, Diagnostic> {
    let mut priced = at_prices(catalog, vec![cluster], prices)?;
    Ok(priced.remove(0))
}

/// Refuses prices of GPUs that the question does not have: they would change nothing.
fn refuse_idle_prices(catalog: &Catalog, pools: &[Cluster], prices: &[String]) -> Result<(), Diagnostic> {
    for entry in prices {
        // What is no price is said where it is read.
        let Some((gpu, _)) = entry.split_once('=') else { continue };
        let Ok(found) = catalog.find(Kind::Gpu, gpu.trim()) else { continue };
        let has = |pool: &Cluster| pool.gpu.id == gpu.trim() || pool.gpu.id == found.id();
        if !pools.iter().any(has) {
            let all = pools.iter().map(|pool| pool.gpu.id.as_str()).unique().join(", ");
            return Err(usage(format!("the question has no {}", found.id()))
                .at("--price")
                .help(format!("it has {all}")));
        }
    }
    Ok(())
}
