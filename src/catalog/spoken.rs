//! Names of GPUs and machines as tools, shops and people write them, in the catalogue's own: with the maker, the size of a
//! memory that has only one, the machine that a chip is in, or who rents it out.

use std::collections::BTreeSet;

use super::lookup::names;
use super::{Catalog, ClusterFile, Entry, Gpu, Kind, Pools};
use crate::diagnostic::Diagnostic;
use crate::units::Bytes;

/// Words that say nothing of which GPU it is: makers, series, kinds of memory, networks.
const NOISE: &[&str] = &[
    "nvidia",
    "amd",
    "intel",
    "apple",
    "google",
    "huawei",
    "habana",
    "instinct",
    "geforce",
    "radeon",
    "tesla",
    "quadro",
    "hbm2",
    "hbm2e",
    "hbm3",
    "hbm3e",
    "gddr5",
    "gddr5x",
    "gddr6",
    "gddr6x",
    "gddr7",
    "lpddr5",
    "lpddr5x",
    "ib",
    "infiniband",
    "roce",
    "gpu",
    "gpus",
    "card",
    "cards",
    "chip",
    "graphics",
    "server",
    "node",
    "instance",
    "tensor",
    "core",
    "generation",
    "unified",
    "memory",
    "ram",
    "vram",
    "with",
    "w",
    "r",
    "tm",
    "of",
    "the",
];

/// Machines that are sold with more than one chip: the chip is named beside.
const MACHINES: [&str; 7] =
    ["macbook pro", "macbook air", "mac studio", "mac mini", "mac pro", "imac pro", "imac"];

/// Who rents GPUs out, as people write it and as clusters of the catalogue name it.
const PROVIDERS: &[(&str, &str)] = &[
    ("lambda labs", "lambda"),
    ("lambdalabs", "lambda"),
    ("lambda", "lambda"),
    ("coreweave", "coreweave"),
    ("nebius", "nebius"),
    ("amazon", "aws"),
    ("aws", "aws"),
    ("google cloud", "gcp"),
    ("gcp", "gcp"),
    ("azure", "azure"),
    ("oracle", "oci"),
    ("oci", "oci"),
    ("runpod", "runpod"),
    ("vast ai", "vast"),
    ("vastai", "vast"),
    ("vast", "vast"),
    ("crusoe", "crusoe"),
    ("together ai", "together"),
    ("together", "together"),
    ("hyperstack", "hyperstack"),
    ("hyperbolic", "hyperbolic"),
    ("fluidstack", "fluidstack"),
    ("vultr", "vultr"),
    ("digitalocean", "digitalocean"),
    ("paperspace", "paperspace"),
    ("scaleway", "scaleway"),
    ("tensorwave", "tensorwave"),
    ("modal", "modal"),
    ("tensordock", "tensordock"),
    ("datacrunch", "datacrunch"),
    ("verda", "verda"),
    ("voltage park", "voltage park"),
];

/// How far a memory that engines may use lies from the size on the box: a Mac keeps a quarter for itself, a GiB is more than a
/// GB.
const NEAR_THE_SIZE: std::ops::RangeInclusive<f64> = 0.74..=1.12;

impl Catalog {
    /// The GPU that a name means which is none of the catalogue's as it stands.
    pub(super) fn spoken_gpu(&self, name: &str) -> Option<Entry<'_>> {
        const LONGEST: usize = 96;
        if name.len() > LONGEST {
            return None;
        }
        let mut words =
            split(&MACHINES.iter().fold(spaced(name), |name, machine| name.replace(machine, " ")));
        words.iter_mut().for_each(|word| *word = sized(word));
        join_sizes(&mut words);
        let telling: Vec<String> =
            words.iter().filter(|word| !NOISE.contains(&word.as_str())).cloned().collect();
        let singular = |words: &[String]| -> Vec<String> {
            let one = |word: &String| match word.strip_suffix('s') {
                Some(one) if one.ends_with(|c: char| c.is_ascii_digit()) => one.to_owned(),
                _ => word.clone(),
            };
            words.iter().map(one).collect()
        };
        let found =
            [words, telling.clone(), singular(&telling)].into_iter().find_map(|words| self.of_words(&words));
        if found.is_some() {
            return found;
        }
        // The size of a memory that has only one.
        let (sizes, rest): (Vec<&String>, Vec<&String>) =
            telling.iter().partition(|word| size(word).is_some());
        let [one] = sizes.as_slice() else { return None };
        let rest: Vec<String> = rest.into_iter().cloned().collect();
        let entry = self.of_words(&rest)?;
        let memory = entry.parse::<Gpu>().ok()?.meant_by(&[entry.id()]).memory;
        let size = Bytes::new(size(one)? * 1_000_000_000);
        NEAR_THE_SIZE.contains(&(memory.get() as f64 / size.get() as f64)).then_some(entry)
    }

    /// The GPU that has these words for a name, in whatever order.
    fn of_words(&self, words: &[String]) -> Option<Entry<'_>> {
        if words.is_empty() {
            return None;
        }
        if let [one] = self.meant(Kind::Gpu, &words.join("-")).as_slice() {
            return Some(*one);
        }
        let wanted: BTreeSet<&str> = words.iter().map(String::as_str).collect();
        let alike = |entry: &Entry| {
            names(entry).into_iter().any(|name| {
                let own = split(name);
                own.iter().map(String::as_str).collect::<BTreeSet<_>>() == wanted
            })
        };
        let all = self.entries(Kind::Gpu);
        let mut found = all.into_iter().filter(alike);
        found.next().filter(|_| found.next().is_none())
    }

    /// The GPUs that a name means which says who rents them out: the instance of so many where the catalogue has it, else the
    /// GPUs at the price that they have there, which is none where none is known.
    pub(super) fn rented(&self, name: &str) -> Option<Result<Pools, Diagnostic>> {
        let plain = format!(" {} ", split(name).join(" "));
        let (said, provider) = PROVIDERS.iter().find(|(said, _)| plain.contains(&format!(" {said} ")))?;
        let rest = plain.replace(&format!(" {said} "), " ");
        let rest = rest.trim();
        if rest.is_empty() {
            return None;
        }
        let pools = match self.pools(rest) {
            Ok(pools) => pools,
            Err(_) => return None,
        };
        let [pool] = pools.pools.as_slice() else { return Some(Ok(pools)) };
        let of_provider = |entry: &Entry| {
            let file: ClusterFile = entry.parse().ok()?;
            let is = file.cloud.as_deref() == Some(*provider) && file.pools.is_empty();
            let cluster = is.then(|| self.cluster(entry.id()).ok()).flatten()?;
            (cluster.gpu.id == pool.gpu.id).then_some(cluster)
        };
        let there: Vec<_> = self.entries(Kind::Cluster).iter().filter_map(of_provider).collect();
        if let Some(instance) = there.iter().find(|cluster| cluster.gpus == pool.gpus) {
            return Some(Ok(instance.clone().called(name)));
        }
        let own = pool.gpu.price.as_ref().filter(|price| {
            let source = price.source.to_lowercase();
            source.starts_with(provider)
        });
        let price = there.iter().find_map(|cluster| cluster.price).or(own.map(|price| price.on_demand));
        let mut pool = pool.clone();
        pool.price = price;
        Some(Ok(pool.called(name)))
    }

    /// The entries whose names hold all the words of a name and more, four at most: what is meant by a part of one.
    pub(super) fn holding(&self, name: &str) -> Vec<&str> {
        const MOST: usize = 4;
        let wanted = split(name);
        let wanted: Vec<&String> = wanted.iter().filter(|word| !NOISE.contains(&word.as_str())).collect();
        let mut all = self.entries(Kind::Cluster);
        all.extend(self.entries(Kind::Gpu));
        let holds = |entry: &Entry| {
            names(entry).into_iter().any(|known| {
                let own = split(known);
                wanted.iter().all(|word| own.contains(word))
            })
        };
        let tells = wanted.iter().any(|word| word.bytes().any(|b| b.is_ascii_digit()));
        let found: Vec<&str> =
            all.iter().filter(|entry| tells && holds(entry)).map(|entry| entry.id()).collect();
        if found.len() > MOST { Vec::new() } else { found }
    }
}

/// A name in lower case with spaces between its words.
fn spaced(name: &str) -> String {
    let sign =
        |c: char| c.is_whitespace() || matches!(c, '-' | '_' | '(' | ')' | ',' | '/' | '+' | '®' | '™');
    name.to_lowercase().split(sign).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The words of a name, in lower case; points part words too, as in `vast.ai`, but not the profile of a slice.
fn split(name: &str) -> Vec<String> {
    let words = spaced(name);
    let parts = words.split(' ').flat_map(|word| {
        let slice = word.contains("g.");
        let dotted: Vec<&str> = if slice { vec![word] } else { word.split('.').collect() };
        dotted
    });
    parts.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// `80g` and `80gib` as `80gb`.
fn sized(word: &str) -> String {
    match size(word) {
        Some(gb) => format!("{gb}gb"),
        None => word.to_owned(),
    }
}

/// The size of a memory that a word says, in GB.
fn size(word: &str) -> Option<u64> {
    let digits = word.len() - word.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = word.split_at(digits);
    matches!(unit, "g" | "gb" | "gib").then(|| number.parse().ok()).flatten()
}

/// `128 gb` as `128gb`.
fn join_sizes(words: &mut Vec<String>) {
    let mut at = 1;
    while at < words.len() {
        let number = words[at - 1].bytes().all(|b| b.is_ascii_digit());
        if number && matches!(words[at].as_str(), "gb" | "gib") {
            words[at - 1] = format!("{}gb", words[at - 1]);
            words.remove(at);
        } else {
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_are_known_by_the_names_that_tools_and_shops_give_them() {
        // nvidia-smi, lscpu, system_profiler, shops.
        let catalog = Catalog::built_in();
        for (name, id) in [
            ("RTX 4090 24GB", "rtx-4090"),
            ("NVIDIA H200 141GB HBM3e", "h200-sxm"),
            ("A100-80GB-SXM", "a100-sxm-80gb"),
            ("h100_80g_sxm", "h100-sxm"),
            ("AMD Instinct MI300X", "mi300x"),
            ("Intel Gaudi 3", "gaudi3"),
            ("B200 192GB", "b200-sxm"),
            ("MacBook Pro M4 Max 128GB", "m4-max"),
            ("Mac Studio M3 Ultra", "m3-ultra"),
            ("Strix Halo 128GB", "ryzen-ai-max-395"),
            ("H100s", "h100-sxm"),
        ] {
            assert_eq!(catalog.spoken_gpu(name).map(Entry::id), Some(id), "{name}");
        }
        // Another size is another board.
        for name in ["RTX 4090 80GB", "RTX 9999", "P100 zzz", "24GB"] {
            assert_eq!(catalog.spoken_gpu(name).map(Entry::id), None, "{name}");
        }
    }

    #[test]
    fn a_provider_without_a_known_price_lends_no_other_ones() {
        let catalog = Catalog::built_in();
        let price = |name: &str| catalog.cluster(name).unwrap().price;
        assert_eq!(price("together h100"), None);
        assert!(price("RunPod RTX 4090").is_some());
        assert_eq!(catalog.cluster("vast.ai 4090").unwrap().gpu.id, "rtx-4090");
    }
}
