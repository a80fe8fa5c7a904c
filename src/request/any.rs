//! Every GPU of the catalogue that filters let through, in place of names.

use crate::catalog::{Catalog, Cluster, Gpu, Kind};
use crate::diagnostic::{Code, Diagnostic, brief};
use crate::units::{Bytes, UsdPerHour};

/// What stands for every GPU.
const ANY: &str = "any";

/// What follows it, in words.
const FILTERS: &str = "after `any`: vendor=nvidia, memory=80GiB (at least), price=3 (dollars per GPU and hour at most), \
                       cloud=aws (the servers that it rents out), measured";

/// What a GPU and its server must be, beside having a price: they are ranked by it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Filter {
    vendor: Option<String>,
    memory: Option<Bytes>,
    price: Option<UsdPerHour>,
    cloud: Option<String>,
    measured: bool,
}

/// Whether a list begins with what stands for every GPU.
pub(super) fn is_any(list: &[String]) -> bool {
    list.first().is_some_and(|first| first.trim() == ANY)
}

impl Filter {
    /// What follows `any`.
    fn parse(parts: &[String], flag: &str) -> Result<Filter, Diagnostic> {
        let mut filter = Filter::default();
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let wrong = |cause: String| {
                Diagnostic::new(Code::Range, format!("`{}`: {cause}", brief(part))).at(flag.to_owned())
            };
            match (key.trim(), value.trim()) {
                ("vendor", vendor) if !vendor.is_empty() => filter.vendor = Some(vendor.to_owned()),
                ("cloud", cloud) if !cloud.is_empty() => filter.cloud = Some(cloud.to_owned()),
                ("memory", least) => filter.memory = Some(least.parse().map_err(wrong)?),
                ("price", most) => {
                    let most: f64 = most.parse().map_err(|_| wrong("not a number of dollars".to_owned()))?;
                    filter.price = Some(UsdPerHour::new(most));
                }
                ("measured" | "calibrated", "") => filter.measured = true,
                _ => {
                    let known = ["vendor", "memory", "price", "cloud", "measured"];
                    return Err(Diagnostic::unknown("filter", part, known, FILTERS).within(flag));
                }
            }
        }
        Ok(filter)
    }

    fn takes(&self, gpu: &Gpu, price: Option<UsdPerHour>) -> bool {
        self.vendor.as_ref().is_none_or(|vendor| gpu.platform().eq_ignore_ascii_case(vendor))
            && self.memory.is_none_or(|least| gpu.memory >= least)
            && price.is_some_and(|price| self.price.is_none_or(|most| price <= most))
            && (!self.measured || gpu.is_measured())
    }
}

/// A server of each GPU that the filters of a list let through, the GPUs in order: the usual one, or of a cloud the
/// cheapest by the GPU. `size` says how many GPUs a usual one has.
///
/// # Errors
/// An unknown filter or cloud, a value that is none, filters that let none through.
pub(super) fn servers(
    list: &[String],
    catalog: &Catalog,
    flag: &str,
    size: impl Fn(&Gpu) -> u32,
) -> Result<Vec<Cluster>, Diagnostic> {
    let filter = Filter::parse(list.get(1..).unwrap_or_default(), flag)?;
    let mut all: Vec<Cluster> = Vec::new();
    match &filter.cloud {
        None => {
            for entry in catalog.entries(Kind::Gpu) {
                let gpu = catalog.gpu(entry.id())?;
                if filter.takes(&gpu, gpu.price.as_ref().map(|price| price.on_demand)) {
                    let gpus = size(&gpu);
                    all.push(Cluster::of_gpus(gpu, gpus)?);
                }
            }
        }
        Some(cloud) => {
            let mut rented = catalog.of_cloud(cloud).map_err(|d| d.within(flag))?;
            rented.retain(|server| filter.takes(&server.gpu, server.price));
            // The cheapest of each GPU; of those the larger, on which more plans stand.
            let price = |server: &Cluster| server.price.map_or(f64::INFINITY, |price| price.get());
            rented.sort_by(|a, b| {
                let same = a.gpu.id.cmp(&b.gpu.id).then_with(|| price(a).total_cmp(&price(b)));
                same.then_with(|| b.gpus.cmp(&a.gpus))
            });
            rented.dedup_by(|later, earlier| later.gpu.id == earlier.gpu.id);
            all = rented;
        }
    }
    match all.is_empty() {
        true => {
            let cause = "no GPU of the catalogue with a price is so";
            Err(Diagnostic::new(Code::Range, cause)
                .at(flag.to_owned())
                .help("`shardfit catalog gpus` lists all"))
        }
        false => Ok(all),
    }
}
