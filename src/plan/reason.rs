//! Why a plan is not an answer: reasons are values, each of which says all of itself in one place.

use crate::dtype::{DType, WeightFormat};
use crate::units::{Bytes, RequestsPerSecond, Seconds};

use super::ledger::Fallen;
use super::why::reasons;

/// Which limit a plan breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Time to first token.
    Ttft,
    /// Time per output token.
    Tpot,
    /// End to end.
    E2e,
}

impl Metric {
    /// As printed.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Ttft => "TTFT",
            Metric::Tpot => "TPOT",
            Metric::E2e => "end-to-end time",
        }
    }
}

/// A reason with the plan that came nearest and how many fell for it.
pub type Rejection = Fallen<Reason, super::Plan>;

fn divides(what: &'static str, degree: &'static str) -> Reason {
    Reason::NotDivisible { what, count: 1, by: 2, degree }
}

fn lacks(mode: &'static str) -> Reason {
    Reason::ModeUnsupported { mode }
}

fn missed(metric: Metric) -> Reason {
    Reason::TargetMissed { metric, want: Seconds::ZERO, got: Seconds::ZERO }
}

fn beyond(unit: &'static str) -> Reason {
    Reason::BudgetExceeded { unit, want: 1.0, got: 2.0 }
}

reasons! {
    /// Why a plan is rejected.
    #[derive(Clone, Copy, Debug, PartialEq)]
    #[non_exhaustive]
    pub enum Reason {
        /// A parallel degree does not divide what it splits.
        NotDivisible {
            /// What is split.
            what: &'static str,
            /// How many there are.
            count: u64,
            /// By which degree.
            by: u32,
            /// Its name.
            degree: &'static str,
        } => {
            stage: Illegal,
            key: [degree, "does not divide", what],
            distance: 1.0,
            message: {
                let near: Vec<String> =
                    (1..=64).filter(|d| count.is_multiple_of(*d)).map(|d| d.to_string()).take(8).collect();
                format!("{degree}={by} does not divide {count} {what}; divisors: {}", near.join(", "))
            },
            guide: match *what {
                "attention heads" => ("heads are not cut", "a divisor; the message lists them"),
                "key-value heads" => (
                    "TP neither divides the key-value heads nor is a multiple of them",
                    "a divisor or a multiple",
                ),
                "copies of the key-value heads" => (
                    "DCP divides a sequence over tensor-parallel ranks that hold the same heads: `tp / kv_heads` \
                     of them, all with latent attention",
                    "a divisor of the copies; a larger TP",
                ),
                "feed-forward blocks" => (
                    "the inner width, or its 128-wide quantisation blocks, would be cut",
                    "a smaller TP; weights that are not stored in blocks",
                ),
                "features of a feed-forward layer" => ("the inner width would be cut unevenly", "a divisor"),
                "experts" => ("ranks would hold unequal numbers of experts", "a divisor of the experts"),
                "ranks of a stage" => ("EP must divide `tp × attention_dp`", "a divisor of the product"),
                _ => (
                    "what EP leaves over would cut an expert's width or its quantisation blocks",
                    "a larger EP",
                ),
            },
            examples: [
                divides("attention heads", "tp"),
                divides("key-value heads", "tp"),
                divides("copies of the key-value heads", "dcp"),
                divides("feed-forward blocks", "tp"),
                divides("features of a feed-forward layer", "tp"),
                divides("experts", "ep"),
                divides("ranks of a stage", "ep"),
                divides("expert width blocks", "expert_tp"),
            ],
        }

        /// Slices of GPUs do not work together.
        SlicesApart {
            /// Slices of a replica.
            gpus: u64,
        } => {
            stage: Illegal,
            key: ["slices_work_alone", "", ""],
            distance: *gpus as f64,
            message: format!("a replica of {gpus} slices: a process sees one slice, and slices exchange nothing"),
            guide: (
                "a process sees one MIG slice, and there is no peer-to-peer between them (NVIDIA's MIG user guide)",
                "replicas of one slice each; a larger slice",
            ),
            examples: [Reason::SlicesApart { gpus: 2 }],
        }

        /// The engine does not put the stages of a replica on GPUs of several kinds.
        KindsUnspanned => {
            stage: Illegal,
            key: ["replica_spans_kinds", "", ""],
            distance: 1.0,
            message: "the engine puts alike ranks on alike GPUs, and these are of several kinds: --engine llama.cpp puts \
                      layers on each by its memory"
                .to_owned(),
            guide: (
                "a replica on GPUs of several kinds: vLLM, SGLang and TensorRT-LLM size every rank alike, so that the \
                 smallest and the slowest GPU sets the pace of all",
                "llama.cpp, whose `--split-mode layer` deals layers out by memory; a replica on each kind",
            ),
            examples: [Reason::KindsUnspanned],
        }

        /// More stages than layers.
        TooManyStages {
            /// Layers.
            layers: u64,
            /// Stages.
            pp: u32,
        } => {
            stage: Illegal,
            key: ["more_stages_than_layers", "", ""],
            distance: 1.0,
            message: format!("pp={pp} exceeds {layers} layers"),
            guide: ("a stage would be empty", "fewer stages"),
            examples: [Reason::TooManyStages { layers: 1, pp: 2 }],
        }

        /// The engine lacks the mode.
        ModeUnsupported {
            /// Which mode.
            mode: &'static str,
        } => {
            stage: Illegal,
            key: ["engine_lacks", mode, ""],
            distance: 1.0,
            message: format!("the engine has no {mode}"),
            guide: match *mode {
                "attention of both kinds at once" => (
                    "attention is tensor parallel or data parallel, never both (TensorRT-LLM)",
                    "TP 1 beside attention data parallel, or TP alone",
                ),
                "partial expert parallel" => (
                    "the engine spreads experts over all ranks of a stage or over none (vLLM)",
                    "EP 1 or `tp × attention_dp`; SGLang or TensorRT-LLM",
                ),
                "decode context parallel of such attention" => (
                    "only the cache of full attention is divided over ranks: no windows, recurrent state or \
                     sparse attention",
                    "DCP 1",
                ),
                "decode context parallel of such a cache" => (
                    "the engine does not divide caches of this type over ranks",
                    "`--kv bf16`; DCP 1",
                ),
                "decode context parallel with speculative decoding" => (
                    "the engine does not divide contexts that end in drafted tokens (vLLM)",
                    "no drafts; DCP 1",
                ),
                _ => ("the engine has no such mode", "another engine"),
            },
            examples: [
                lacks("pipeline parallel"),
                lacks("attention data parallel"),
                lacks("decode context parallel"),
                lacks("decode context parallel of such attention"),
                lacks("decode context parallel of such a cache"),
                lacks("partial expert parallel"),
                lacks("attention of both kinds at once"),
                lacks("split pools"),
            ],
        }

        /// The mode makes no sense for a dense model.
        DenseModel {
            /// Which mode.
            mode: &'static str,
        } => {
            stage: Illegal,
            key: ["dense_model_has_no", mode, ""],
            distance: 1.0,
            message: format!("{mode} needs a mixture of experts"),
            guide: ("the mode needs routed experts", "1"),
            examples: [
                Reason::DenseModel { mode: "expert parallel" },
                Reason::DenseModel { mode: "attention data parallel" },
            ],
        }

        /// The replica needs more GPUs than there are, or straddles nodes without filling them.
        NoPlace {
            /// GPUs of one replica.
            gpus: u64,
            /// GPUs of the cluster.
            of: u64,
        } => {
            stage: Illegal,
            key: ["no_place_on_cluster", "", ""],
            distance: 1.0,
            message: match gpus > of {
                true => format!("a replica of {gpus} GPUs has no place on {of}"),
                false => format!("a replica of {gpus} GPUs has no place on {of}: a stage would straddle nodes"),
            },
            guide: (
                "more GPUs than there are, or a stage that lies in several nodes without filling them",
                "fewer GPUs per replica; a stage size that divides a node or is a multiple of it",
            ),
            examples: [Reason::NoPlace { gpus: 1, of: 8 }],
        }

        /// More replicas than the cluster holds.
        TooManyReplicas {
            /// Replicas asked for.
            replicas: u32,
            /// Replicas that fit.
            most: u32,
        } => {
            stage: Illegal,
            key: ["more_replicas_than_fit", "", ""],
            distance: f64::from(*replicas) / f64::from((*most).max(1)),
            message: format!("{replicas} replicas are too many: the cluster holds {most}"),
            guide: ("more replicas than the cluster has room for", "fewer replicas, or more GPUs"),
            examples: [Reason::TooManyReplicas { replicas: 2, most: 1 }],
        }

        /// Neither the GPU computes in the format nor the engine runs it at 16 bits.
        FormatUnsupported {
            /// The format.
            format: WeightFormat,
        } => {
            stage: Illegal,
            key: ["weight_format_unsupported", "", ""],
            distance: 1.0,
            message: format!(
                "the GPU does not compute in {format} and the engine has no 16-bit fallback"
            ),
            guide: (
                "the engine does not load the format, or the GPU lacks it and the engine cannot widen it",
                "`--weights` with another format",
            ),
            examples: [Reason::FormatUnsupported { format: WeightFormat::Fp8 }],
        }

        /// The engine has no such cache, or the GPU cannot hold it.
        CacheUnsupported {
            /// The type.
            kv: DType,
        } => {
            stage: Illegal,
            key: ["kv_type_unsupported", "", ""],
            distance: 1.0,
            message: format!("the engine or GPU has no {kv} KV cache"),
            guide: ("the engine has no such cache", "`--kv` with another type"),
            examples: [Reason::CacheUnsupported { kv: DType::Fp8 }],
        }

        /// The engine does not run on GPUs of this vendor.
        VendorUnsupported => {
            stage: Illegal,
            key: ["engine_lacks_vendor", "", ""],
            distance: 1.0,
            message: "the engine does not run on such GPUs".to_owned(),
            guide: ("the engine does not run on such GPUs", "another engine"),
            examples: [Reason::VendorUnsupported],
        }

        /// The engine refuses to start with steps of fewer tokens than its batches have sequences.
        StepBelowSequences {
            /// Tokens of a step.
            tokens: u64,
            /// Sequences of a batch.
            sequences: u64,
        } => {
            stage: Illegal,
            key: ["step_below_sequences", "", ""],
            distance: *sequences as f64 / (*tokens).max(1) as f64,
            message: format!(
                "a step of {tokens} tokens is smaller than a batch of {sequences} sequences, and the engine refuses to start \
                 so: at least --max-batched-tokens {sequences}, or --max-sequences {tokens}"
            ),
            guide: (
                "`max_num_batched_tokens` is smaller than `max_num_seqs` (vLLM: `SchedulerConfig`)",
                "a larger `--max-batched-tokens`, or a smaller `--max-sequences`",
            ),
            examples: [Reason::StepBelowSequences { tokens: 1, sequences: 2 }],
        }

        /// The engine refuses the launch that was read, whatever the plan.
        LaunchRefused => {
            stage: Illegal,
            key: ["launch_refused", "", ""],
            distance: 1.0,
            message: "the engine refuses this launch".to_owned(),
            guide: (
                "the engine's version refuses to start so: a flag or a value that it does not take, a request longer than \
                 the model's context, a format that the checkpoint is not in (`--launch`)",
                "what the message says of the flag",
            ),
            examples: [Reason::LaunchRefused],
        }

        /// Not even one request fits.
        OutOfMemory {
            /// What one request at full length needs with everything else.
            need: Bytes,
            /// What the engine may use.
            have: Bytes,
        } => {
            stage: OutOfMemory,
            key: ["out_of_memory", "", ""],
            distance: need.as_f64() / have.as_f64().max(1.0),
            message: format!(
                "one request needs {need} per GPU and {have} may be used: {} short",
                need.saturating_sub(*have)
            ),
            guide: (
                "weights and one request of full length exceed what the engine may use, by more than the \
                 uncertainty",
                "more GPUs per replica, narrower weights or cache, shorter lengths, `--memory-fraction`",
            ),
            examples: [Reason::OutOfMemory { need: Bytes::ZERO, have: Bytes::ZERO }],
        }

        /// What is left to the host does not fit there.
        HostOutOfMemory {
            /// Weights and the cache of one request.
            need: Bytes,
            /// What the server may use.
            have: Bytes,
        } => {
            stage: OutOfMemory,
            key: ["host_out_of_memory", "", ""],
            distance: need.as_f64() / have.as_f64().max(1.0),
            message: format!("what is left to the host needs {need} of its memory and {have} may be used"),
            guide: (
                "what finds no room on the GPUs exceeds the host's memory too",
                "more GPUs or host memory, narrower weights",
            ),
            examples: [Reason::HostOutOfMemory { need: Bytes::ZERO, have: Bytes::ZERO }],
        }

        /// The batch needs more KV cache than is left.
        CacheTooSmall {
            /// KV cache of the batch.
            need: Bytes,
            /// KV cache there is.
            have: Bytes,
        } => {
            stage: OutOfMemory,
            key: ["kv_cache_too_small_for_batch", "", ""],
            distance: need.as_f64() / have.as_f64().max(1.0),
            message: format!("the batch needs {need} of KV cache per GPU and {have} is left"),
            guide: (
                "the layout fits, this batch does not",
                "a smaller batch; the largest that fits is always among the plans",
            ),
            examples: [Reason::CacheTooSmall { need: Bytes::ZERO, have: Bytes::ZERO }],
        }

        /// The batch exceeds the engine's limit on sequences.
        BatchLimit {
            /// Sequences asked for.
            batch: u64,
            /// The engine's limit.
            limit: u64,
        } => {
            stage: OutOfMemory,
            key: ["batch_beyond_engine_limit", "", ""],
            distance: *batch as f64 / (*limit).max(1) as f64,
            message: format!("{batch} sequences exceed the engine's limit of {limit}"),
            guide: ("more sequences than the engine runs at once", "`--max-sequences`, or a smaller batch"),
            examples: [Reason::BatchLimit { batch: 2, limit: 1 }],
        }

        /// The server would start with more sequences than there are blocks for the state of recurrent layers.
        TooManySequences {
            /// Sequences that it starts with.
            sequences: u64,
            /// The largest number that starts.
            most: u64,
        } => {
            stage: OutOfMemory,
            key: ["more_sequences_than_state_blocks", "", ""],
            distance: *sequences as f64 / (*most).max(1) as f64,
            message: format!(
                "the server starts with {sequences} sequences and has blocks for the recurrent state of {most}: it \
                 refuses to start with more"
            ),
            guide: (
                "each sequence of a captured graph takes a block for the state of recurrent layers (vLLM)",
                "`--max-sequences` with at most the number that the message names; `--enforce-eager`",
            ),
            examples: [Reason::TooManySequences { sequences: 2, most: 1 }],
        }

        /// A limit is broken.
        TargetMissed {
            /// Which.
            metric: Metric,
            /// The limit.
            want: Seconds,
            /// The estimate.
            got: Seconds,
        } => {
            stage: TargetMissed,
            key: match metric {
                Metric::Ttft => ["ttft_missed", "", ""],
                Metric::Tpot => ["tpot_missed", "", ""],
                Metric::E2e => ["e2e_missed", "", ""],
            },
            distance: *got / *want,
            message: {
                let beyond = match 100.0 * (*got / *want - 1.0) {
                    little if little < 0.1 => "less than 0.1 %".to_owned(),
                    beyond => format!("{beyond:.1} %"),
                };
                format!("{} {got} misses the target of {want} by {beyond}", metric.name())
            },
            guide: match metric {
                Metric::Ttft => (
                    "mean time to first token above `--ttft`",
                    "smaller batch, more TP, fewer requests per replica",
                ),
                Metric::Tpot => {
                    ("mean time per output token above `--tpot`", "smaller batch, more TP, narrower weights")
                }
                Metric::E2e => (
                    "mean time from request to last token above `--e2e`",
                    "smaller batch, more TP, narrower weights, fewer requests per replica",
                ),
            },
            examples: [missed(Metric::Ttft), missed(Metric::Tpot), missed(Metric::E2e)],
        }

        /// More than the budget allows.
        BudgetExceeded {
            /// Of what.
            unit: &'static str,
            /// The limit.
            want: f64,
            /// The estimate.
            got: f64,
        } => {
            stage: TargetMissed,
            key: match *unit {
                "GPUs" => ["gpu_budget_exceeded", "", ""],
                "W" => ["power_budget_exceeded", "", ""],
                "USD/h" => ["price_budget_exceeded", "", ""],
                _ => ["cost_budget_exceeded", "", ""],
            },
            distance: got / want,
            message: format!("{got:.2} {unit} exceed the {want:.2} allowed"),
            guide: match *unit {
                "GPUs" => ("more GPUs than `--max-gpus`", "fewer replicas, a smaller layout"),
                "USD/h" => (
                    "the GPUs used cost more per hour than `--max-price`, or have no price",
                    "fewer replicas",
                ),
                "W" => ("the GPUs used draw more than `--max-power`", "fewer replicas, a smaller batch"),
                _ => (
                    "a million output tokens cost more than `--max-cost`, or the GPU has no price",
                    "larger batch, narrower weights",
                ),
            },
            examples: [beyond("GPUs"), beyond("USD/h"), beyond("USD/Mtok out"), beyond("W")],
        }

        /// Fewer requests in flight than asked for.
        ConcurrencyMissed {
            /// Requests asked for.
            want: f64,
            /// The estimate.
            got: f64,
        } => {
            stage: TargetMissed,
            key: ["concurrency_missed", "", ""],
            distance: want / got.max(f64::MIN_POSITIVE),
            message: format!("{got:.0} requests in flight fall short of {want:.0}"),
            guide: ("fewer requests in flight than `--min-concurrency`", "larger batch, more replicas"),
            examples: [Reason::ConcurrencyMissed { want: 2.0, got: 1.0 }],
        }

        /// The deployment cannot keep up with the rate.
        RateMissed {
            /// The rate.
            want: RequestsPerSecond,
            /// The most it serves.
            got: RequestsPerSecond,
        } => {
            stage: TargetMissed,
            key: ["rate_missed", "", ""],
            distance: want.get() / got.get().max(f64::MIN_POSITIVE),
            message: format!(
                "each replica serves at most {:.3} req/s of its share of {:.3}",
                got.get(),
                want.get()
            ),
            guide: (
                "a replica cannot serve its share of `--rate` at any concurrency; both rates are per replica",
                "more replicas, more GPUs",
            ),
            examples: [Reason::RateMissed { want: RequestsPerSecond::ZERO, got: RequestsPerSecond::ZERO }],
        }
    }
}
