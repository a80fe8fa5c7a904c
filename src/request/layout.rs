//! Layouts as text: `tp=4,replicas=2`.

use crate::catalog::Catalog;
use crate::diagnostic::{Code, Diagnostic};
use crate::plan::{Axis, Parallelism, Precision};
use crate::search::{Asked, Current, LimitOverrides};

use crate::plan::degrees::MAX_DEGREE;
use crate::units::whole_number;

/// Keys of a deployment beside its degrees.
const DEPLOYMENT: [&str; 9] = [
    REPLICAS,
    "batch",
    "gpu",
    "engine",
    "weights",
    "kv",
    "max_sequences",
    "max_batched_tokens",
    "memory_fraction",
];

/// Key of the replicas.
pub const REPLICAS: &str = "replicas";

/// Keys of the degrees of a replica.
fn degrees() -> impl Iterator<Item = &'static str> {
    Axis::ALL.into_iter().map(Axis::name)
}

/// `tp=2,pp=1` as a layout, `tp=4,prefill_tp=2` as one with split pools; what is not named is 1.
pub fn asked(flag: &str, text: &str) -> Result<Asked, Diagnostic> {
    let mut asked = Asked { split: Parallelism::SINGLE, prefill: None };
    let keys: Vec<&str> = degrees().chain(Axis::ALL.into_iter().filter_map(Axis::of_prefill)).collect();
    for (key, value) in pairs(flag, text, &keys)? {
        let slot = match Axis::ALL.into_iter().find(|axis| axis.of_prefill() == Some(key)) {
            Some(axis) => Some(asked.prefill.get_or_insert(Parallelism::SINGLE).degree_mut(axis)),
            None => degree(&mut asked.split, key),
        };
        if let Some(slot) = slot {
            *slot = number(flag, key, value)?;
        }
    }
    Ok(asked)
}

/// Which workers of split pools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    /// Those that compute prompts.
    Prefill,
    /// Those that decode.
    Decode,
}

impl Workers {
    /// Whether they can be divided along an axis.
    pub fn have(self, axis: Axis) -> bool {
        self == Workers::Decode || axis.of_prefill().is_some()
    }

    fn keys(self) -> Vec<&'static str> {
        let axes = Axis::ALL.into_iter().filter(|axis| self.have(*axis));
        axes.map(Axis::name).chain([REPLICAS]).collect()
    }
}

/// `tp=2,replicas=3` as workers of one split; what is not named is 1.
pub fn workers(flag: &str, text: &str, of: Workers) -> Result<(Parallelism, u32), Diagnostic> {
    let (mut split, mut count) = (Parallelism::SINGLE, 1);
    for (key, value) in pairs(flag, text, &of.keys())? {
        match degree(&mut split, key) {
            Some(slot) => *slot = number(flag, key, value)?,
            None => count = number(flag, key, value)?,
        }
    }
    Ok((split, count))
}

/// `tp=4,replicas=2,engine=vllm` as a deployment; degrees and replicas that are not named are 1.
pub fn deployment(catalog: &Catalog, flag: &str, text: &str) -> Result<Current, Diagnostic> {
    let mut current = Current {
        gpu: None,
        parallelism: Parallelism::SINGLE,
        replicas: 1,
        batch: None,
        engine: None,
        precision: Precision { weights: None, kv: None },
        limits: LimitOverrides::default(),
    };
    let keys: Vec<&str> = degrees().chain(DEPLOYMENT).collect();
    for (key, value) in pairs(flag, text, &keys)? {
        let within = |d: Diagnostic| d.within(flag.to_owned());
        match key {
            REPLICAS => current.replicas = number(flag, key, value)?,
            "batch" => current.batch = Some(u64::from(number(flag, key, value)?)),
            "gpu" => current.gpu = Some(catalog.gpu(value).map_err(within)?.id),
            "engine" => current.engine = Some(catalog.engine(value).map_err(within)?),
            "weights" => current.precision.weights = Some(value.parse().map_err(within)?),
            "kv" => current.precision.kv = Some(value.parse().map_err(within)?),
            "max_sequences" => current.limits.max_sequences = Some(count(flag, key, value)?),
            "max_batched_tokens" => current.limits.max_batched_tokens = Some(count(flag, key, value)?),
            "memory_fraction" => {
                let share = value.parse().ok().filter(|x: &f64| *x > 0.0 && *x <= 1.0);
                current.limits.memory_fraction = Some(share.ok_or_else(|| {
                    Diagnostic::new(Code::Range, format!("`{value}` is no share, above 0 and at most 1"))
                        .at(format!("{flag}, {key}"))
                })?);
            }
            _ => {
                if let Some(slot) = degree(&mut current.parallelism, key) {
                    *slot = number(flag, key, value)?;
                }
            }
        }
    }
    Ok(current)
}

fn degree<'a>(split: &'a mut Parallelism, key: &str) -> Option<&'a mut u32> {
    Axis::named(key).map(|axis| split.degree_mut(axis))
}

/// The `key=value` pairs of a text, each key once and known.
fn pairs<'a>(
    flag: &str,
    text: &'a str,
    keys: &[&'static str],
) -> Result<Vec<(&'static str, &'a str)>, Diagnostic> {
    let mut found: Vec<(&'static str, &'a str)> = Vec::new();
    for part in text.split([',', ' ']).filter(|t| !t.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let key = keys.iter().find(|k| **k == name.trim()).ok_or_else(|| {
            let list = format!("allowed: {}", keys.join(", "));
            Diagnostic::unknown("axis", name.trim(), keys.iter().copied(), &list).within(flag.to_owned())
        })?;
        if found.iter().any(|(k, _)| k == key) {
            let cause = format!("`{key}` stands twice");
            return Err(Diagnostic::new(Code::Usage, cause).at(flag.to_owned()));
        }
        if value.trim().is_empty() {
            return Err(Diagnostic::new(Code::Syntax, format!("`{part}` has no value"))
                .at(flag.to_owned())
                .help(format!("write {key}=VALUE, for example tp=4,pp=2")));
        }
        found.push((key, value.trim()));
    }
    match found.is_empty() {
        true => Err(Diagnostic::new(Code::Syntax, "names nothing")
            .at(flag.to_owned())
            .help(format!("KEY=VALUE pairs, for example tp=4,pp=2; keys: {}", keys.join(", ")))),
        false => Ok(found),
    }
}

fn count(flag: &str, key: &str, value: &str) -> Result<u64, Diagnostic> {
    whole_number(value, 1..=u64::from(u32::MAX))
        .map_err(|cause| Diagnostic::new(Code::Range, cause).at(format!("{flag}, {key}")))
}

fn number(flag: &str, key: &str, value: &str) -> Result<u32, Diagnostic> {
    let wrong = |cause: String| Diagnostic::new(Code::Range, cause).at(format!("{flag}, {key}"));
    let n = whole_number(value, 1..=MAX_DEGREE.into()).map_err(wrong)?;
    u32::try_from(n).map_err(|_| wrong(format!("{n} is out of range")))
}
