//! The columns of measured rows, and what their cells hold. A cell that cannot be read leaves its row out; a column
//! that nobody reads is named. Neither is ever taken for one that is not there.

use itertools::Itertools as _;

use crate::catalog::cluster::MAX_GPUS;
use crate::diagnostic::{brief, nearest};
use crate::dtype::DType;
use crate::workload::{MAX_CONCURRENCY, MAX_LENGTH};

use super::kind::Kind;
use super::rows::{Row, Table};

/// What a cell holds.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cell {
    /// Words, which whoever reads the column judges.
    Text,
    /// A finite number.
    Number,
    /// A time or a rate that was measured; tools write 0 and -1 for what was not.
    Measured,
    /// A number from 0 to this; means of lengths are no whole ones.
    UpTo(f64),
    /// GPUs, or ranks of a kind of parallelism.
    Degree,
    /// A part of the GPU's memory.
    Share,
    /// The number format of a cache, as engines name it.
    Cache,
    /// The number format of a kernel's inputs: 16 bits or FP8.
    Wide,
    /// How often a server was asked: `qps=4`.
    Load,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Words of which one at least is among these.
    Has(&'static [&'static str]),
}

use Cell::{Cache, Degree, Has, Load, Measured, Number, OneOf, Share, Text, UpTo, Wide};

const LENGTH: Cell = UpTo(MAX_LENGTH as f64);
const CONCURRENCY: Cell = UpTo(MAX_CONCURRENCY as f64);
/// Requests of a run: more than any benchmark sends, few enough to be simulated.
const REQUESTS: Cell = UpTo(1e6);
/// Sizes of matrices and of whatever else is counted.
const SIZE: Cell = UpTo(1e12);
/// Whether something is on.
const SWITCH: Cell = OneOf(&["0", "1", "true", "false", "yes", "no"]);

/// Columns that say where a row is from, whatever it measured.
const ABOUT: &[(&str, Cell)] = &[
    ("id", Text),
    ("model", Text),
    ("config", Text),
    ("gpu", Text),
    ("engine", Text),
    ("engine_version", Text),
    ("launches", Text),
    ("weight_dtype", Text),
    ("source", Text),
    ("notes", Text),
    ("note", Text),
    ("date", Text),
    ("raw", Text),
    ("quality", Text),
    ("group", Text),
    ("doubt", Text),
    ("protocol", Text),
    ("metric", Text),
    ("value", Number),
];

const PARAMS: &[(&str, Cell)] = &[
    ("file", Text),
    ("model_type", Text),
    ("class", Text),
    ("scope", Text),
    ("total", Number),
    ("total_untied", Number),
    ("active", Number),
    ("active_if_moe", Number),
    ("kv_bytes_per_token_bf16", Number),
    ("mtp_extra", Number),
    ("embed", Number),
    ("lm_head", Number),
    ("attn", Number),
    ("mlp", Number),
    ("moe_experts", Number),
    ("router", Number),
    ("norm", Number),
    ("ssm", Number),
    ("other", Number),
    ("tie_word_embeddings", Text),
    ("persistent_buffers", Number),
    ("recurrent_state_bytes_bf16", Number),
    ("kv_layers", Number),
    ("hub_safetensors_total", Number),
    ("matched_expression", Text),
    ("our_value", Number),
    ("diff", Number),
    ("config_source", Text),
];

const KERNELS: &[(&str, Cell)] = &[
    ("kernel_class", Text),
    (
        "op",
        OneOf(&["prefill", "decode", "all_reduce", "all_gather", "reduce_scatter", "alltoall", "all_to_all"]),
    ),
    ("kernel", Text),
    ("dtype", Text),
    ("attn_dtype", Wide),
    ("kv_cache_dtype", Wide),
    ("distribution", OneOf(&["balanced", "uniform", "power_law_1.01", "power_law_1.2"])),
    ("eager_floor_suspect", SWITCH),
    ("latency_us", Number),
    ("num_gpus", Degree),
    ("message_bytes", UpTo(1e15)),
    ("m", SIZE),
    ("n", SIZE),
    ("k", SIZE),
    ("batch_size", CONCURRENCY),
    ("isl", LENGTH),
    ("kv_len", LENGTH),
    ("seq_len", LENGTH),
    ("num_heads", SIZE),
    ("num_key_value_heads", SIZE),
    ("head_dim", SIZE),
    ("window_size", LENGTH),
    ("num_tokens", SIZE),
    ("hidden_size", SIZE),
    ("inter_size", SIZE),
    ("topk", SIZE),
    ("num_experts", SIZE),
    ("moe_tp_size", Degree),
    ("moe_ep_size", Degree),
];

/// How a server was started, as rows of its memory and of its times say it.
const START: &[(&str, Cell)] = &[
    ("kv_dtype", Cache),
    ("max_num_seqs", CONCURRENCY),
    ("max_num_batched_tokens", LENGTH),
    ("gpu_memory_utilization", Share),
    ("enforce_eager", SWITCH),
    ("max_cudagraph_capture_size", SIZE),
    ("cudagraph_mode", Text),
    ("cpu_offload_gb", UpTo(65_536.0)),
    ("kv_cache_memory_bytes", Text),
    ("block_size", SIZE),
    ("enable_prefix_caching", SWITCH),
    ("language_model_only", SWITCH),
    ("limit_mm_per_prompt", SIZE),
    ("redundant_experts", SIZE),
];

const MEMORY: &[(&str, Cell)] = &[
    ("gpu_name", Text),
    ("gpu_mem_gib", UpTo(1e6)),
    ("num_gpus", Degree),
    ("tp", Degree),
    ("pp", Degree),
    ("ep", Degree),
    ("dp", Degree),
    ("dcp", Degree),
    ("max_model_len", LENGTH),
    ("weights_gib_per_gpu", Number),
    ("activation_peak_gib", Number),
    ("non_torch_gib", Number),
    ("cuda_graph_gib", Number),
    ("kv_cache_gib_per_gpu", Number),
    ("kv_cache_tokens", Number),
    ("headroom_gib", Number),
];

const SERVING: &[(&str, Cell)] = &[
    ("num_gpus", Degree),
    ("tp", Degree),
    ("pp", Degree),
    ("ep", Degree),
    ("attention_dp", Degree),
    ("dcp", Degree),
    ("prefill_cfg", Text),
    ("decode_cfg", Text),
    ("isl", LENGTH),
    ("osl", LENGTH),
    ("length_sigma", UpTo(10.0)),
    ("statistic", OneOf(&["mean", "median"])),
    ("concurrency", CONCURRENCY),
    ("batch", CONCURRENCY),
    ("mode", Text),
    ("load", Text),
    ("load_value", Load),
    ("qps", UpTo(1e9)),
    ("rate", UpTo(1e9)),
    ("num_requests", REQUESTS),
    ("ttft_ms", Measured),
    ("tpot_ms", Measured),
    ("itl_ms", Measured),
    ("e2e_ms", Measured),
    ("output_tok_s", Measured),
    ("total_tok_s", Measured),
    ("req_s", Measured),
    ("median_ttft_ms", Measured),
    ("median_tpot_ms", Measured),
    ("headroom_gib", Number),
];

/// Widths of heads and experts are words in what is published (`MLA`, `2048x(256+1)`): whoever reads them judges.
const TRAINING: &[(&str, Cell)] = &[
    ("framework", Text),
    ("gpu_full", Text),
    ("gpu_mem_gib", UpTo(1e6)),
    ("num_gpus", Degree),
    ("tp", Degree),
    ("pp", Degree),
    ("vp", Degree),
    ("vpp", Degree),
    ("cp", Degree),
    ("ep", Degree),
    ("etp", Degree),
    ("dp", Text),
    ("dp_fsdp", Text),
    ("fsdp", Text),
    ("sp", Text),
    ("sequence_parallel", Text),
    ("params_b", UpTo(1e6)),
    ("layers", UpTo(1e5)),
    ("num_layers", UpTo(1e5)),
    ("hidden", UpTo(1e7)),
    ("ffn", Text),
    ("heads", UpTo(1e6)),
    ("kv_heads", Text),
    ("kv_groups", UpTo(1e6)),
    ("experts", UpTo(1e5)),
    ("num_experts", UpTo(1e5)),
    ("topk", UpTo(1e5)),
    ("vocab", UpTo(1e9)),
    ("seq", LENGTH),
    ("micro_batch", UpTo(1e6)),
    ("mbs", UpTo(1e6)),
    ("global_batch", UpTo(1e9)),
    ("gbs", UpTo(1e9)),
    ("precision", Has(&["bf16", "fp16", "fp32", "fp8", "float8", "float16", "float32", "nvfp4", "nf4"])),
    ("optimizer_sharding", Text),
    ("recompute", Text),
    ("technique", Text),
    ("unit_note", Text),
    ("mem_allocated_gib", Number),
    ("peak_mem_gib", Number),
    ("tok_s_gpu", Number),
    ("tflops_per_gpu", Number),
    ("iteration_s", Number),
    ("mfu", Number),
    ("time_to_train_min", Number),
];

/// The columns of a kind of measurements.
fn of(kind: Kind) -> impl Iterator<Item = &'static (&'static str, Cell)> + Clone {
    let (own, start): (&[_], &[_]) = match kind {
        Kind::Params => (PARAMS, &[]),
        Kind::Kernels => (KERNELS, &[]),
        Kind::Memory => (MEMORY, START),
        Kind::Serving => (SERVING, START),
        Kind::Training => (TRAINING, &[]),
    };
    own.iter().chain(start).chain(ABOUT)
}

/// What people write where there is nothing to say.
pub(super) fn says_nothing(text: &str) -> bool {
    const NOTHING: [&str; 9] = ["", "-", "n/a", "na", "nan", "none", "null", "not stated", "unknown"];
    NOTHING.iter().any(|word| text.trim().eq_ignore_ascii_case(word))
}

/// Why a row cannot be read: the first of its cells that does not hold what its column does.
pub fn unreadable(row: &Row, kind: Kind) -> Option<String> {
    of(kind).find_map(|(column, cell)| {
        let text = row.text(column).filter(|text| !says_nothing(text))?;
        let wanted = cell.refuses(text)?;
        let mended = mended(text, *cell == Share).filter(|text| cell.refuses(text).is_none());
        let help = mended.map_or(String::new(), |text| format!("; write {text}"));
        Some(format!("{column}: `{}` is not {wanted}{help}", brief(text)))
    })
}

impl Cell {
    /// What a text ought to be, where it is not.
    fn refuses(self, text: &str) -> Option<String> {
        let number = text.parse::<f64>().ok().filter(|x| x.is_finite());
        let lower = text.to_ascii_lowercase();
        let holds = match self {
            Text => true,
            Number => number.is_some(),
            Measured => number.is_some_and(|x| x > 0.0),
            UpTo(most) => number.is_some_and(|x| (0.0..=most).contains(&x)),
            Degree => number.is_some_and(|x| x.fract() == 0.0 && (1.0..=f64::from(MAX_GPUS)).contains(&x)),
            Share => number.is_some_and(|x| x > 0.0 && x <= 1.0),
            Cache => lower == "auto" || lower.starts_with("fp8") || text.parse::<DType>().is_ok(),
            Wide => {
                lower.starts_with("fp8") || ["bfloat16", "bf16", "float16", "fp16"].contains(&lower.as_str())
            }
            Load => text.split_once('=').is_none_or(|(_, rest)| {
                rest.starts_with(|c: char| c.is_ascii_digit()) || rest.eq_ignore_ascii_case("inf")
            }),
            OneOf(words) => words.contains(&lower.as_str()),
            Has(words) => words.iter().any(|word| lower.contains(word)),
        };
        (!holds).then(|| self.describe())
    }

    fn describe(self) -> String {
        match self {
            Text => "text".to_owned(),
            Number => "a number".to_owned(),
            Measured => "a number above 0 (what was not measured stays empty)".to_owned(),
            UpTo(most) => format!("a number from 0 to {most}"),
            Degree => format!("a whole number from 1 to {MAX_GPUS}"),
            Share => "a share above 0 and at most 1".to_owned(),
            Cache => "the number format of a cache: auto, fp8, bf16, fp16".to_owned(),
            Wide => "bfloat16, float16 or fp8".to_owned(),
            Load => "a load such as qps=4".to_owned(),
            OneOf(words) => format!("one of {}", words.join(", ")),
            Has(words) => format!("a number format such as {}", words.join(", ")),
        }
    }
}

/// What a number may have been meant as: `1,024`, `TP4`, `90%`, `8 GPUs`.
fn mended(text: &str, is_share: bool) -> Option<String> {
    let plain = text.replace([',', '_', ' '], "");
    if let Some(percent) = plain.strip_suffix('%') {
        if !is_share {
            return None;
        }
        return Some((percent.parse::<f64>().ok()? / 100.0).to_string());
    }
    // `2k` is 2,048, as lengths are written elsewhere.
    if let Some(thousands) = plain.strip_suffix(['k', 'K']).and_then(|n| n.parse::<f64>().ok()) {
        return Some((thousands * 1024.0).to_string());
    }
    if plain.starts_with('-') {
        return None;
    }
    let digits = plain.trim_matches(|c: char| !c.is_ascii_digit());
    digits.parse::<f64>().ok().map(|x| x.to_string())
}

/// A column that nobody reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Unread {
    /// As its header says.
    pub column: String,
    /// The column that may have been meant.
    pub nearest: Option<&'static str>,
}

impl Unread {
    /// The columns of a table that are not read of this kind of measurements. `read` are those that are asked for
    /// otherwise.
    pub fn of(table: &Table, kind: Kind, read: &[String]) -> Vec<Unread> {
        let known: Vec<&'static str> = of(kind).map(|(name, _)| *name).collect();
        let absent: Vec<&'static str> =
            known.iter().copied().filter(|name| !table.columns.iter().any(|c| c == name)).collect();
        let unread = |column: &&String| !known.contains(&column.as_str()) && !read.contains(column);
        let said = |column: &String| Unread { column: column.clone(), nearest: nearest(column, &absent) };
        table.columns.iter().filter(unread).map(said).collect()
    }

    /// All of them in a sentence; `None` of none.
    pub fn sentence(all: &[Unread]) -> Option<String> {
        let one = |unread: &Unread| match unread.nearest {
            Some(name) => format!("`{}` (did you mean `{name}`?)", brief(&unread.column)),
            None => format!("`{}`", brief(&unread.column)),
        };
        const SHOWN: usize = 20;
        let all: Vec<&Unread> = all.iter().unique().collect();
        let mut names: Vec<String> = all.iter().take(SHOWN).map(|unread| one(unread)).collect();
        if all.len() > SHOWN {
            names.push(format!("{} more", all.len() - SHOWN));
        }
        let (columns, are) = if all.len() == 1 { ("column", "is") } else { ("columns", "are") };
        (!all.is_empty()).then(|| format!("{} {columns} {are} not read: {}", all.len(), names.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(kind: Kind, column: &str, cell: &str) -> Option<String> {
        let table = Table::of_rows(&[column], &[vec![cell.to_owned()]], "rows");
        unreadable(&table.row(0), kind)
    }

    #[test]
    fn a_cell_that_cannot_be_read_is_said_with_what_may_have_been_meant() {
        for (kind, column, cell, said) in [
            (Kind::Serving, "tp", "TP4", "tp: `TP4` is not a whole number from 1 to 1048576; write 4"),
            (Kind::Serving, "isl", "1,024", "isl: `1,024` is not a number from 0 to 100000000; write 1024"),
            (
                Kind::Memory,
                "gpu_memory_utilization",
                "90%",
                "gpu_memory_utilization: `90%` is not a share above 0 and at most 1; write 0.9",
            ),
            (
                Kind::Memory,
                "kv_dtype",
                "fp9",
                "kv_dtype: `fp9` is not the number format of a cache: auto, fp8, bf16, fp16",
            ),
            (Kind::Kernels, "kv_cache_dtype", "fp9", "kv_cache_dtype: `fp9` is not bfloat16, float16 or fp8"),
            (Kind::Serving, "tp", "2.5", "tp: `2.5` is not a whole number from 1 to 1048576"),
            (Kind::Serving, "load_value", "qps=many", "load_value: `qps=many` is not a load such as qps=4"),
            (Kind::Serving, "isl", "2k", "isl: `2k` is not a number from 0 to 100000000; write 2048"),
            (Kind::Serving, "concurrency", "90%", "concurrency: `90%` is not a number from 0 to 10000000"),
            (
                Kind::Serving,
                "ttft_ms",
                "-1",
                "ttft_ms: `-1` is not a number above 0 (what was not measured stays empty)",
            ),
            (Kind::Serving, "osl", "1e20", "osl: `1e20` is not a number from 0 to 100000000"),
        ] {
            assert_eq!(why(kind, column, cell).as_deref(), Some(said));
        }
    }

    #[test]
    fn cells_that_say_nothing_and_those_that_hold_what_they_should_are_read() {
        for (column, cell) in [("tp", "8.0"), ("tp", "-"), ("isl", "1042.3"), ("kv_dtype", "fp8_ds_mla")] {
            assert_eq!(why(Kind::Serving, column, cell), None, "{column} {cell}");
        }
        assert_eq!(why(Kind::Memory, "max_num_seqs", "not stated"), None);
        assert_eq!(why(Kind::Training, "precision", "bf16-true/bnb.nf4"), None);
    }

    #[test]
    fn a_misspelt_column_is_named_with_the_one_that_is_missing() {
        let table = Table::of_rows(&["tp", "weigth_dtype", "host"], &[], "rows");
        let unread = Unread::of(&table, Kind::Serving, &[]);
        assert_eq!(
            Unread::sentence(&unread).as_deref(),
            Some("2 columns are not read: `weigth_dtype` (did you mean `weight_dtype`?), `host`")
        );
        assert!(Unread::of(&table, Kind::Serving, &["weigth_dtype".into(), "host".into()]).is_empty());
    }
}
