//! Every GPU of the catalogue that filters let through, in place of names.

use crate::catalog::{Catalog, Gpu, Kind};
use crate::diagnostic::{Code, Diagnostic, brief};
use crate::units::{Bytes, UsdPerHour};

/// What stands for every GPU.
pub(super) const ANY: &str = "any";

/// What a GPU must be, beside having a price: fleets are ranked by it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Filter {
    vendor: Option<String>,
    memory: Option<Bytes>,
    price: Option<UsdPerHour>,
    measured: bool,
}

impl Filter {
    /// What follows `any`: `vendor=nvidia`, `memory=80GiB`, `price=3`, `measured`.
    fn parse(parts: &[String], flag: &str) -> Result<Filter, Diagnostic> {
        let mut filter = Filter::default();
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let wrong = |cause: String| {
                Diagnostic::new(Code::Range, format!("`{}`: {cause}", brief(part))).at(flag.to_owned())
            };
            match (key.trim(), value.trim()) {
                ("vendor", vendor) if !vendor.is_empty() => filter.vendor = Some(vendor.to_owned()),
                ("memory", least) => filter.memory = Some(least.parse().map_err(wrong)?),
                ("price", most) => {
                    let most: f64 = most.parse().map_err(|_| wrong("not a number of dollars".to_owned()))?;
                    filter.price = Some(UsdPerHour::new(most));
                }
                ("measured", "") => filter.measured = true,
                _ => {
                    let known = ["vendor", "memory", "price", "measured"];
                    let list = "after `any`: vendor=nvidia, memory=80GiB (at least), price=3 (dollars an hour at most), measured";
                    return Err(Diagnostic::unknown("filter", part, known, list).within(flag));
                }
            }
        }
        Ok(filter)
    }

    fn takes(&self, gpu: &Gpu) -> bool {
        let price = gpu.price.as_ref().map(|price| price.on_demand);
        self.vendor.as_ref().is_none_or(|vendor| gpu.platform().eq_ignore_ascii_case(vendor))
            && self.memory.is_none_or(|least| gpu.memory >= least)
            && price.is_some_and(|price| self.price.is_none_or(|most| price <= most))
            && (!self.measured || gpu.is_measured())
    }
}

/// The GPUs that a list names: itself, or where it begins with `any` every one with a price that its filters let through.
///
/// # Errors
/// An unknown filter, a value that is none, filters that let none through.
pub(super) fn gpus(list: &[String], catalog: &Catalog, flag: &str) -> Result<Vec<String>, Diagnostic> {
    let Some((_, filters)) = list.split_first().filter(|(first, _)| first.trim() == ANY) else {
        return Ok(list.to_vec());
    };
    let filter = Filter::parse(filters, flag)?;
    let mut all = Vec::new();
    for entry in catalog.entries(Kind::Gpu) {
        let gpu = catalog.gpu(entry.id())?;
        if filter.takes(&gpu) {
            all.push(gpu.id);
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
