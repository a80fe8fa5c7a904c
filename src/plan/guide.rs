//! What each reason means and what to do about it: the tables of `docs/errors.md`.

use crate::diagnostic::Guide;
use crate::dtype::{DType, WeightFormat};
use crate::units::{Bytes, RequestsPerSecond, Seconds};

use super::reason::{Metric, Reason};

impl Reason {
    /// One of each, as far as the names of [`Reason::name`] differ.
    pub fn examples() -> Vec<Reason> {
        let divides = |what, degree| Reason::NotDivisible { what, count: 1, by: 2, degree };
        let missed = |metric| Reason::TargetMissed { metric, want: Seconds::ZERO, got: Seconds::ZERO };
        let (need, have) = (Bytes::ZERO, Bytes::ZERO);
        let (want, got) = (RequestsPerSecond::ZERO, RequestsPerSecond::ZERO);
        vec![
            divides("attention heads", "tp"),
            divides("key-value heads", "tp"),
            divides("copies of the key-value heads", "dcp"),
            divides("feed-forward blocks", "tp"),
            divides("experts", "ep"),
            divides("ranks of a stage", "ep"),
            divides("expert width blocks", "expert_tp"),
            Reason::TooManyStages { layers: 1, pp: 2 },
            Reason::ModeUnsupported { mode: "pipeline parallel" },
            Reason::ModeUnsupported { mode: "attention data parallel" },
            Reason::ModeUnsupported { mode: "decode context parallel" },
            Reason::ModeUnsupported { mode: "decode context parallel of such attention" },
            Reason::ModeUnsupported { mode: "decode context parallel of such a cache" },
            Reason::ModeUnsupported { mode: "partial expert parallel" },
            Reason::ModeUnsupported { mode: "split pools" },
            Reason::DenseModel { mode: "expert parallel" },
            Reason::DenseModel { mode: "attention data parallel" },
            Reason::NoPlace { gpus: 1 },
            Reason::TooManyReplicas { replicas: 2, most: 1 },
            Reason::FormatUnsupported { format: WeightFormat::Fp8 },
            Reason::CacheUnsupported { kv: DType::Fp8 },
            Reason::VendorUnsupported,
            Reason::OutOfMemory { need, have },
            Reason::HostOutOfMemory { need, have },
            Reason::CacheTooSmall { need, have },
            Reason::BatchLimit { batch: 2, limit: 1 },
            missed(Metric::Ttft),
            missed(Metric::Tpot),
            missed(Metric::E2e),
            Reason::BudgetExceeded { unit: "GPUs", want: 1.0, got: 2.0 },
            Reason::BudgetExceeded { unit: "USD/h", want: 1.0, got: 2.0 },
            Reason::BudgetExceeded { unit: "USD/Mtok out", want: 1.0, got: 2.0 },
            Reason::BudgetExceeded { unit: "W", want: 1.0, got: 2.0 },
            Reason::ConcurrencyMissed { want: 2.0, got: 1.0 },
            Reason::RateMissed { want, got },
        ]
    }

    /// What it means and what to do about it.
    pub fn guide(&self) -> Guide {
        let (meaning, remedy) = match self {
            Reason::NotDivisible { what: "attention heads", .. } => {
                ("heads are not cut", "a divisor; the message lists them")
            }
            Reason::NotDivisible { what: "key-value heads", .. } => (
                "TP neither divides the key-value heads nor is a multiple of them",
                "a divisor or a multiple",
            ),
            Reason::NotDivisible { what: "copies of the key-value heads", .. } => (
                "DCP divides a sequence over tensor-parallel ranks that hold the same heads: `tp / kv_heads` of \
                 them, all with latent attention",
                "a divisor of the copies; a larger TP",
            ),
            Reason::NotDivisible { what: "feed-forward blocks", .. } => (
                "the inner width, or its 128-wide quantisation blocks, would be cut",
                "a smaller TP; weights that are not stored in blocks",
            ),
            Reason::NotDivisible { what: "experts", .. } => {
                ("ranks would hold unequal numbers of experts", "a divisor of the experts")
            }
            Reason::NotDivisible { what: "ranks of a stage", .. } => {
                ("EP must divide `tp × attention_dp`", "a divisor of the product")
            }
            Reason::NotDivisible { .. } => {
                ("what EP leaves over would cut an expert's width or its quantisation blocks", "a larger EP")
            }
            Reason::TooManyStages { .. } => ("a stage would be empty", "fewer stages"),
            Reason::ModeUnsupported { mode: "partial expert parallel" } => (
                "the engine spreads experts over all ranks of a stage or over none (vLLM)",
                "EP 1 or `tp × attention_dp`; SGLang or TensorRT-LLM",
            ),
            Reason::ModeUnsupported { mode: "decode context parallel of such attention" } => (
                "only the cache of full attention is divided over ranks: no windows, recurrent state or sparse \
                 attention",
                "DCP 1",
            ),
            Reason::ModeUnsupported { mode: "decode context parallel of such a cache" } => {
                ("the engine does not divide caches of this type over ranks", "`--kv bf16`; DCP 1")
            }
            Reason::ModeUnsupported { mode: "decode context parallel with speculative decoding" } => {
                ("the engine does not divide contexts that end in drafted tokens (vLLM)", "no drafts; DCP 1")
            }
            Reason::ModeUnsupported { .. } => ("the engine has no such mode", "another engine"),
            Reason::DenseModel { .. } => ("the mode needs routed experts", "1"),
            Reason::TooManyReplicas { .. } => {
                ("more replicas than the cluster has room for", "fewer replicas, or more GPUs")
            }
            Reason::NoPlace { .. } => (
                "more GPUs than there are, or a stage that lies in several nodes without filling them",
                "fewer GPUs per replica; a stage size that divides a node or is a multiple of it",
            ),
            Reason::FormatUnsupported { .. } => (
                "the engine does not load the format, or the GPU lacks it and the engine cannot widen it",
                "`--weights` with another format",
            ),
            Reason::CacheUnsupported { .. } => ("the engine has no such cache", "`--kv` with another type"),
            Reason::VendorUnsupported => ("the engine does not run on such GPUs", "another engine"),
            Reason::OutOfMemory { .. } => (
                "weights and one request of full length exceed what the engine may use, by more than the \
                 uncertainty",
                "more GPUs per replica, narrower weights or cache, shorter lengths, `--memory-fraction`",
            ),
            Reason::HostOutOfMemory { .. } => (
                "what finds no room on the GPUs exceeds the host's memory too",
                "more GPUs or host memory, narrower weights",
            ),
            Reason::CacheTooSmall { .. } => (
                "the layout fits, this batch does not",
                "a smaller batch; the largest that fits is always among the plans",
            ),
            Reason::BatchLimit { .. } => {
                ("more sequences than the engine runs at once", "`--max-sequences`, or a smaller batch")
            }
            Reason::TargetMissed { metric: Metric::Ttft, .. } => (
                "mean time to first token above `--ttft`",
                "smaller batch, more TP, fewer requests per replica",
            ),
            Reason::TargetMissed { metric: Metric::Tpot, .. } => {
                ("mean time per output token above `--tpot`", "smaller batch, more TP, narrower weights")
            }
            Reason::TargetMissed { metric: Metric::E2e, .. } => (
                "mean time from request to last token above `--e2e`",
                "smaller batch, more TP, narrower weights, fewer requests per replica",
            ),
            Reason::BudgetExceeded { unit: "GPUs", .. } => {
                ("more GPUs than `--max-gpus`", "fewer replicas, a smaller layout")
            }
            Reason::BudgetExceeded { unit: "USD/h", .. } => {
                ("the GPUs used cost more per hour than `--max-price`, or have no price", "fewer replicas")
            }
            Reason::BudgetExceeded { unit: "W", .. } => {
                ("the GPUs used draw more than `--max-power`", "fewer replicas, a smaller batch")
            }
            Reason::BudgetExceeded { .. } => (
                "a million output tokens cost more than `--max-cost`, or the GPU has no price",
                "larger batch, narrower weights",
            ),
            Reason::ConcurrencyMissed { .. } => {
                ("fewer requests in flight than `--min-concurrency`", "larger batch, more replicas")
            }
            Reason::RateMissed { .. } => (
                "a replica cannot serve its share of `--rate` at any concurrency; both rates are per replica",
                "more replicas, more GPUs",
            ),
        };
        Guide { meaning, remedy }
    }
}
