//! How engines are launched: limits, what stays with the host, how prefixes are kept.

use itertools::Itertools as _;

use crate::diagnostic::{Code, Diagnostic};
use crate::estimate::memory::{Captured, GraphMode, Start};
use crate::plan::{Offload, Shares};
use crate::request::checks::{list, share, texts, usage, within};
use crate::request::overrides::layers_with_host_experts;
use crate::request::{Counts, Request, Task};
use crate::search::{Launch, LimitOverrides};
use crate::units::Bytes;
use crate::workload::{Keeping, Routing, Tiers};

/// Largest launch limit accepted.
pub const MAX_LIMIT: u64 = 1 << 30;

/// Most layers that an option may name.
pub const MAX_LAYERS: u64 = 100_000;

/// Most GiB of weights that may stay with the host.
const MAX_OFFLOAD: f64 = 65_536.0;

/// An amount of memory: with a unit, or bytes.
fn bytes_of(text: &str) -> Result<Bytes, Diagnostic> {
    let wrong = |cause: String| {
        Diagnostic::new(Code::Syntax, cause).at("--kv-cache-memory-bytes").help("for example 49GiB")
    };
    let bytes = match text.trim().parse::<u64>() {
        Ok(bytes) => Bytes::new(bytes),
        Err(_) => text.parse().map_err(wrong)?,
    };
    match bytes {
        Bytes::ZERO => Err(wrong("a cache of no bytes".into())),
        bytes => Ok(bytes),
    }
}

impl Request {
    /// How prefixes are kept.
    pub(super) fn keeping(&self) -> Result<Keeping, Diagnostic> {
        let tiers =
            self.kv_tiers.as_deref().map(|text| text.parse::<Tiers>().map_err(|d| d.within("--kv-tiers")));
        let routing =
            self.routing.as_deref().map(|text| text.parse::<Routing>().map_err(|d| d.within("--routing")));
        Ok(Keeping {
            tiers: tiers.transpose()?.unwrap_or_default(),
            routing: routing.transpose()?.unwrap_or_default(),
        })
    }

    /// Which steps have CUDA graphs.
    pub(super) fn captured(&self) -> Result<Captured, Diagnostic> {
        let mode = self.cudagraph_mode.as_deref().map(str::parse::<GraphMode>).transpose();
        Ok(Captured {
            largest: within("--max-cudagraph-capture-size", self.max_cudagraph_capture_size, 1..=MAX_LIMIT)?,
            mode: mode.map_err(|d| d.at("--cudagraph-mode"))?,
            unpadded: false,
        })
    }

    /// Bytes of weights that stay in the host's memory.
    fn offloaded(&self) -> Result<Bytes, Diagnostic> {
        let gib = self.cpu_offload_gb.unwrap_or(0.0);
        match gib {
            0.0..=MAX_OFFLOAD => Ok(Bytes::gib(gib)),
            _ => Err(Diagnostic::new(
                Code::Range,
                format!("{gib} is out of range; expected GiB from 0 to {MAX_OFFLOAD}"),
            )
            .at("--cpu-offload-gb")),
        }
    }

    /// What is stated of the start beside limits.
    fn start(&self) -> Result<Start, Diagnostic> {
        let cache = self.kv_cache_memory_bytes.as_deref().map(bytes_of).transpose()?;
        Ok(Start {
            length: self.max_model_len,
            eager: self.enforce_eager == Some(true),
            captured: self.captured()?,
            offloaded: self.offloaded()?,
            cache,
            block: within("--block-size", self.block_size, 1..=1 << 16)?,
            prefixes: self.enable_prefix_caching,
            text_only: self.language_model_only == Some(true),
            images: self.limit_mm_per_prompt,
            redundant_experts: within("--redundant-experts", self.redundant_experts, 0..=1 << 16)?
                .unwrap_or(0),
            shares_cells: self.shares_cells,
            launched: self.launched,
        })
    }

    /// The launches that compete: every pair of limits, with speculation or both ways.
    pub(crate) fn launches(&self, task: Task) -> Result<Vec<Launch>, Diagnostic> {
        let offload = self.offload()?;
        let stages = offload.shares.map(|shares| shares.gpus());
        let pinned = |n: usize| {
            matches!(list(&self.pp).as_slice(), [] | [_])
                && self.stages_named().is_none_or(|pp| pp as usize == n)
        };
        match stages {
            Some(n) if task != Task::Plan || !pinned(n) => Err(usage("plans differ in their stages")
                .at("--tensor-split")
                .help("it pins --pp; `shardfit plan` and `shardfit estimate` take it")),
            _ => {
                self.launches_with(offload, self.speculates_or_not(), matches!(task, Task::Plan | Task::Size))
            }
        }
    }

    /// Stages of a replica: those of `pp`, else one for each number of how layers are dealt out.
    pub(super) fn stages_named(&self) -> Option<u32> {
        match (list(&self.pp).as_slice(), texts(&self.tensor_split).len()) {
            ([pp, ..], _) => Some(*pp),
            ([], 0) => None,
            ([], stages) => Some(u32::try_from(stages).unwrap_or(u32::MAX)),
        }
    }

    fn launches_with(&self, offload: Offload, both: bool, planned: bool) -> Result<Vec<Launch>, Diagnostic> {
        let or_default = |flag: &str, set: &Option<Counts>| match set {
            None => Ok(vec![None]),
            Some(set) => {
                let each = set.0.iter().unique().map(|n| within(flag, Some(*n), 1..=MAX_LIMIT));
                each.collect::<Result<Vec<_>, _>>()
            }
        };
        let memory_fraction = share("--memory-fraction", self.memory_fraction)?;
        let pairs = or_default("--max-sequences", &self.max_sequences)?
            .into_iter()
            .cartesian_product(or_default("--max-batched-tokens", &self.max_batched_tokens)?)
            .cartesian_product(if both { vec![true, false] } else { vec![true] });
        let start = self.start()?;
        let keeping = self.keeping()?;
        let launch = |((max_sequences, max_batched_tokens), speculates)| Launch {
            limits: LimitOverrides {
                max_sequences,
                max_batched_tokens,
                memory_fraction,
                offload,
                start,
                keeping,
                planned,
            },
            speculates,
        };
        Ok(pairs.map(launch).collect())
    }

    /// The launch of one plan of `pp` stages: proportions of the GPUs must name each.
    pub(crate) fn launch_of_one_plan(&self, pp: u32) -> Result<Launch, Diagnostic> {
        let offload = self.offload()?;
        if let Some(n) = offload.shares.map(|shares| shares.gpus()).filter(|n| *n as u64 != u64::from(pp)) {
            return Err(usage(format!("{n} numbers for {pp} stages"))
                .at("--tensor-split")
                .help("one for each stage of --pp"));
        }
        match self.launches_with(offload, false, false)?.as_slice() {
            [one] => Ok(*one),
            _ => Err(usage("one plan has one limit of each kind")
                .at("--max-sequences, --max-batched-tokens")
                .help("`shardfit plan` compares several")),
        }
    }

    /// What stays with the host.
    fn offload(&self) -> Result<Offload, Diagnostic> {
        let shares = match texts(&self.tensor_split) {
            [] => None,
            parts => {
                let wrong = |part: &String| {
                    Diagnostic::new(Code::Syntax, format!("`{part}` is not a number"))
                        .at("--tensor-split")
                        .help("one number for each GPU, for example 3,1")
                };
                let parts = parts.iter().map(|part| part.trim().parse::<f64>().map_err(|_| wrong(part)));
                let parts = parts.collect::<Result<Vec<_>, _>>()?;
                Some(Shares::new(&parts).map_err(|d| d.at("--tensor-split"))?)
            }
        };
        self.check_split_mode()?;
        let host_experts = match texts(&self.override_tensor) {
            [] if self.cpu_moe == Some(true) => Some(MAX_LAYERS),
            [] => within("--n-cpu-moe", self.n_cpu_moe, 0..=MAX_LAYERS)?,
            patterns => Some(layers_with_host_experts(patterns, MAX_LAYERS)?),
        };
        Ok(Offload {
            gpu_layers: within("--gpu-layers", self.gpu_layers, 0..=MAX_LAYERS)?,
            host_experts,
            shares,
        })
    }

    /// Matrices that are divided by rows over GPUs are not described.
    fn check_split_mode(&self) -> Result<(), Diagnostic> {
        let help = match self.split_mode.as_deref() {
            None | Some("layer") => return Ok(()),
            Some("none") => "one GPU is what a plan without --pp has, or a cluster of one",
            _ => "only `layer` is described, llama.cpp's default: whole layers on each GPU",
        };
        let mode = self.split_mode.as_deref().unwrap_or_default();
        Err(usage(format!("the split mode `{mode}` is not described")).at("--split-mode").help(help))
    }
}
