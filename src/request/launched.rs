//! A launch of a server as a request: what the launch says fills in what the person left out.

use super::{Counts, Request, Texts, Values};
use crate::dtype::{DType, WeightFormat};
use crate::launch::{Pool, Server};
use crate::model::Model;

impl Request {
    /// Fills in what is not given from a launched server. The model's own format decides whether a word such as
    /// `--quantization fp8` changes it: a checkpoint that is stored so already stays as it is.
    pub fn take_launch(&mut self, server: &Server, model: Option<&Model>) {
        let degree = |given: &mut Option<Values>, said: Option<u32>| {
            if given.is_none() {
                *given = said.map(|n| Values(vec![n]));
            }
        };
        degree(&mut self.tp, server.tp);
        degree(&mut self.pp, server.pp);
        degree(&mut self.ep, server.ep);
        degree(&mut self.attention_dp, server.attention_dp);
        degree(&mut self.dcp, server.dcp);
        degree(&mut self.replicas, server.replicas);
        self.take_limits(server, model);
    }

    /// Fills in both pools of a launch with split pools.
    pub fn take_pools(&mut self, prefill: &Server, decode: &Server, model: Option<&Model>) {
        let words = |s: &Server| {
            let degrees = [
                ("tp", s.tp),
                ("pp", s.pp),
                ("ep", s.ep),
                ("attention_dp", s.attention_dp),
                ("replicas", s.replicas),
            ];
            let said = degrees.into_iter().filter_map(|(name, n)| n.map(|n| format!("{name}={n}")));
            said.collect::<Vec<_>>().join(",")
        };
        self.prefill.get_or_insert_with(|| words(prefill));
        self.decode.get_or_insert_with(|| words(decode));
        self.take_limits(decode, model);
    }

    fn take_limits(&mut self, server: &Server, model: Option<&Model>) {
        if self.model.is_none() && self.shape.is_none() {
            self.model.clone_from(&server.model);
        }
        if self.engine.is_none() {
            let spelled = match &server.version {
                Some(version) => format!("{}@{version}", server.engine),
                None => server.engine.clone(),
            };
            let launched: Vec<&str> =
                server.launches.iter().map(String::as_str).filter(|l| LAUNCHES.contains(l)).collect();
            let name = match (server.version.is_some(), launched.is_empty()) {
                (_, true) => spelled,
                (true, false) => format!("{spelled}-{}", launched.join("-")),
                (false, false) => format!("{spelled}@{}", launched.join("-")),
            };
            self.engine = Some(Texts(vec![name]));
        }
        if self.weights.is_none() {
            let stored = model.map(|m| m.quantisation.main_format());
            let sixteen = stored.is_none_or(|f| matches!(f, WeightFormat::Bf16 | WeightFormat::Fp16));
            let format = server.weights.as_deref().and_then(|w| w.parse::<WeightFormat>().ok());
            let of_file = server.engine == "llama.cpp";
            self.weights = format.filter(|_| of_file || sixteen).map(|f| Texts(vec![f.name().to_owned()]));
        }
        if self.kv.is_none() {
            let kv = server.kv.as_deref().and_then(|kv| kv.parse::<DType>().ok());
            self.kv = kv.map(|kv| Texts(vec![kv.name().to_owned()]));
        }
        // SGLang counts requests over all ranks of attention data parallel; the planner each rank.
        let ranks = match server.engine.as_str() {
            "sglang" => u64::from(server.attention_dp.unwrap_or(1)),
            _ => 1,
        };
        if self.max_sequences.is_none() {
            self.max_sequences = server.max_sequences.map(|n| Counts(vec![(n / ranks).max(1)]));
        }
        if self.max_batched_tokens.is_none() {
            self.max_batched_tokens = server.max_batched_tokens.map(|n| Counts(vec![n]));
        }
        if self.memory_fraction.is_none() {
            self.memory_fraction = server.memory_fraction;
        }
        if server.engine == "llama.cpp" {
            self.gpu_layers = self.gpu_layers.or(server.gpu_layers.filter(|n| *n < 900));
            match server.cpu_moe_layers {
                Some(u64::MAX) => self.cpu_moe = self.cpu_moe.or(Some(true)),
                layers => self.n_cpu_moe = self.n_cpu_moe.or(layers),
            }
        }
    }
}

/// Ways to launch that engines' descriptions name.
const LAUNCHES: [&str; 4] = ["deepep", "eplb", "dbo", "tbo"];

/// The servers of a launch by what they do: both pools, or the first of them alone.
pub fn pools(servers: &[Server]) -> Option<(&Server, &Server)> {
    let of = |pool| servers.iter().find(|s| s.pool == Some(pool));
    Some((of(Pool::Prefill)?, of(Pool::Decode)?))
}
