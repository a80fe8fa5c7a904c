//! Composed steps against the sum of the tables' own entries: runs where `$SHARDFIT_TEST_KERNELS` names
//! AIConfigurator's kernel database.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use shardfit::catalog::{Catalog, Cluster};
use shardfit::dtype::DType;
use shardfit::estimate::kernels::Kernels;
use shardfit::estimate::measured::operations;
use shardfit::estimate::program::{Line, Pipeline, Target};
use shardfit::model::operator::{CollectiveKind, OperatorKind, Step};
use shardfit::model::{self, Scope};
use shardfit::plan::{Parallelism, placement};

use super::database::{Record, records};

/// A table as `entry → milliseconds`.
struct Entries(HashMap<Vec<String>, f64>);

impl Entries {
    fn read(path: &Path, key: &[&str], keep: impl Fn(&Record) -> bool) -> Entries {
        let rows = records(path, keep);
        let of = |row: &Record| key.iter().map(|name| row[*name].clone()).collect();
        Entries(rows.iter().map(|row| (of(row), row["latency"].parse().unwrap())).collect())
    }

    fn get(&self, key: &[String]) -> Option<f64> {
        self.0.get(key).copied()
    }
}

/// The tables that one step's operators are looked up in.
struct Silicon {
    gemm: Entries,
    attention: [Entries; 2],
    latent: Option<[Entries; 2]>,
    absorb: Option<Entries>,
    experts: Entries,
    all_reduce: Entries,
}

impl Silicon {
    fn open(data: &Path, engine: &str, version: &str, latent: bool) -> Silicon {
        let file = |folder: &str, name: &str| {
            data.join(folder).join(engine).join(version).join(format!("{name}.parquet"))
        };
        let bf16 = |row: &Record| row["kv_cache_dtype"] == "bfloat16";
        let plain = |row: &Record| bf16(row) && row["window_size"] == "0";
        let heads = ["batch_size", "isl", "step", "num_heads", "num_key_value_heads", "head_dim"];
        let latent_key = ["batch_size", "isl", "step", "num_heads"];
        Silicon {
            gemm: Entries::read(&file("gemm", "gemm_perf"), &["gemm_dtype", "m", "n", "k"], |_| true),
            attention: ["context_attention_perf", "generation_attention_perf"]
                .map(|name| Entries::read(&file("attention", name), &heads, plain)),
            latent: latent.then(|| {
                ["context_mla_perf", "generation_mla_perf"]
                    .map(|name| Entries::read(&file("mla", name), &latent_key, bf16))
            }),
            absorb: latent.then(|| {
                let key = ["op_name", "num_tokens", "num_heads"];
                Entries::read(&file("mla_bmm", "mla_bmm_perf"), &key, |row| row["bmm_dtype"] == "bfloat16")
            }),
            experts: Entries::read(
                &file("moe", "moe_perf"),
                &[
                    "moe_dtype",
                    "num_tokens",
                    "hidden_size",
                    "inter_size",
                    "topk",
                    "num_experts",
                    "moe_tp_size",
                    "moe_ep_size",
                ],
                |row| row["distribution"] == "power_law_1.01",
            ),
            all_reduce: Entries::read(
                &file("comm", "custom_allreduce_perf"),
                &["num_gpus", "message_size"],
                |row| !row.get("backend").is_some_and(|b| b.ends_with("eager")),
            ),
        }
    }

    /// Milliseconds of one execution, by the table's own entries; products whose width was not measured by
    /// the entries around it. `None` where there is no table of such an operator.
    fn entry(&self, kind: &OperatorKind, step: &Step, ranks: u32) -> Option<f64> {
        let key = |parts: &[f64]| parts.iter().map(|x| format!("{x:.0}")).collect::<Vec<_>>();
        match kind {
            OperatorKind::Gemm { rows, n, k, format } => {
                let name = if format.name() == "bf16" { "bfloat16" } else { format.name() };
                self.product(name, rows.count(step), *n as f64, *k as f64)
            }
            OperatorKind::PrefillAttention(a) if step.prefill_tokens > 0.0 => {
                let tokens = step.prefill_tokens / step.prefill_sequences;
                let heads = [a.heads, a.kv_heads, a.head_dim].map(|n| n as f64);
                let at = [step.prefill_sequences, tokens, 0.0, heads[0], heads[1], heads[2]];
                Some(self.attention[0].get(&key(&at)).expect("measured"))
            }
            OperatorKind::DecodeAttention(a) if step.decode_sequences > 0.0 => {
                let heads = [a.heads, a.kv_heads, a.head_dim].map(|n| n as f64);
                let at = [step.decode_sequences, 1.0, step.context - 1.0, heads[0], heads[1], heads[2]];
                Some(self.attention[1].get(&key(&at)).expect("measured"))
            }
            OperatorKind::LatentPrefill(l) if step.prefill_tokens > 0.0 => {
                let tokens = step.prefill_tokens / step.prefill_sequences;
                let at = key(&[step.prefill_sequences, tokens, 0.0, l.heads as f64]);
                Some(self.latent.as_ref()?[0].get(&at).expect("measured"))
            }
            OperatorKind::LatentDecode(l) if step.decode_sequences > 0.0 => {
                let at = key(&[step.decode_sequences, 1.0, step.context - 1.0, l.heads as f64]);
                Some(self.latent.as_ref()?[1].get(&at).expect("measured"))
            }
            OperatorKind::BatchedGemm { rows, batch, n, k } if rows.count(step) > 0.0 => {
                let side = if n > k { "mla_gen_pre" } else { "mla_gen_post" };
                let mut at = vec![side.to_owned()];
                at.extend(key(&[rows.count(step), *batch as f64]));
                Some(self.absorb.as_ref()?.get(&at).expect("measured"))
            }
            OperatorKind::GroupedGemm(e) => {
                let mut at = vec![e.format.name().to_owned()];
                let sizes = [
                    e.all_tokens(step),
                    e.hidden as f64,
                    (e.inner * u64::from(ranks) / e.expert_ranks) as f64,
                ];
                at.extend(key(&sizes));
                let tp = u64::from(ranks) / e.expert_ranks;
                at.extend(key(&[e.top_k as f64, e.experts as f64, tp as f64, e.expert_ranks as f64]));
                Some(self.experts.get(&at).unwrap_or_else(|| panic!("measured: {at:?}")))
            }
            OperatorKind::Collective { kind: CollectiveKind::AllReduce, rows, bytes_per_row, .. } => {
                let elements = rows.count(step) * *bytes_per_row as f64 / 2.0;
                Some(self.message(elements, f64::from(ranks)))
            }
            _ => None,
        }
    }

    /// A product, between entries in the logarithms of both widths and of time.
    fn product(&self, dtype: &str, m: f64, n: f64, k: f64) -> Option<f64> {
        if m <= 0.0 {
            return None;
        }
        let axis = |column: usize| {
            let mut all: Vec<f64> = self.gemm.0.keys().map(|key| key[column].parse().unwrap()).collect();
            all.sort_by(f64::total_cmp);
            all.dedup();
            all
        };
        let (mut sum, mut weights) = (0.0, 0.0);
        for (m, wm) in around(&axis(1), m) {
            for (n, wn) in around(&axis(2), n) {
                for (k, wk) in around(&axis(3), k) {
                    let mut at = vec![dtype.to_owned()];
                    at.extend([m, n, k].map(|x| format!("{x:.0}")));
                    if let Some(ms) = self.gemm.get(&at) {
                        sum += wm * wn * wk * ms.ln();
                        weights += wm * wn * wk;
                    }
                }
            }
        }
        (weights > 0.0).then(|| (sum / weights).exp())
    }

    /// An all-reduce, between entries in the logarithms of size and time.
    fn message(&self, elements: f64, ranks: f64) -> f64 {
        let of_ranks = format!("{ranks:.0}");
        let mut sizes: Vec<f64> = self
            .all_reduce
            .0
            .keys()
            .filter(|key| key[0] == of_ranks)
            .map(|key| key[1].parse().unwrap())
            .collect();
        sizes.sort_by(f64::total_cmp);
        let entry = |size: f64| self.all_reduce.get(&[of_ranks.clone(), format!("{size:.0}")]).unwrap();
        around(&sizes, elements).iter().map(|(size, weight)| weight * entry(*size).ln()).sum::<f64>().exp()
    }
}

/// The values next to `x`, weighted by how near they are in logarithms; the end beyond the ends.
fn around(axis: &[f64], x: f64) -> Vec<(f64, f64)> {
    let above = axis.partition_point(|value| *value < x);
    match (above.checked_sub(1).map(|i| axis[i]), axis.get(above).copied()) {
        (_, Some(exact)) if exact == x => vec![(x, 1.0)],
        (Some(low), Some(high)) => {
            let share = (x / low).ln() / (high / low).ln();
            vec![(low, 1.0 - share), (high, share)]
        }
        (Some(end), None) | (None, Some(end)) => vec![(end, 1.0)],
        (None, None) => Vec::new(),
    }
}

/// One step of a layout, operator by operator.
fn step_of(
    catalog: &Catalog,
    model: &str,
    gpu: &str,
    engine: &str,
    split: Parallelism,
    step: &Step,
) -> Vec<Line> {
    let model = model::find(model, &[], Scope::Text).unwrap();
    let engine = catalog.engine(engine).unwrap();
    let ranks = u32::try_from(split.gpus()).unwrap();
    let mut cluster = Cluster::of_gpus(catalog.gpu(gpu).unwrap(), ranks).unwrap();
    catalog.measure(&mut cluster, std::slice::from_ref(&engine), &operations(&model)).unwrap();
    let kernels = Kernels::new(&cluster.gpu, &engine).unwrap();
    let placement = placement::place(split, &cluster).unwrap();
    let target = Target {
        model: &model,
        kernels: &kernels,
        kinds: &[],
        cluster: &cluster,
        parallelism: split,
        placement,
        kv: DType::Bf16,
        offload: shardfit::plan::Offload::NONE,
        host: None,
        stream: None,
        drafted: 0,
        media: shardfit::model::media::Media::default(),
        prompt_tokens: 0,
    };
    Pipeline::compile(&target).explain(step)
}

/// Composes a step from the tables, and compares the operators that they hold with the sum of entries.
fn check(model: &str, gpu: &str, (engine, version): (&str, &str), split: Parallelism) {
    let Some(root) = std::env::var_os("SHARDFIT_TEST_KERNELS").map(PathBuf::from) else {
        eprintln!("skipped: set SHARDFIT_TEST_KERNELS to AIConfigurator's systems folder");
        return;
    };
    let catalog = Catalog::built_in().with_kernels(Some(&root)).unwrap();
    let data = root.join("data").join(gpu.replace('-', "_"));
    let silicon = Silicon::open(&data, engine, version, model.contains("deepseek"));
    let ranks = u32::try_from(split.gpus()).unwrap();
    for step in [
        Step::decode(64.0, 4096.0),
        Step::decode(8.0, 1024.0),
        Step::prefill(1.0, 2048.0),
        Step::prefill(4.0, 1024.0),
    ] {
        let lines = step_of(&catalog, model, gpu, &format!("{engine}@{version}"), split, &step);
        let (mut ours, mut theirs) = (0.0, 0.0);
        for line in &lines {
            if let Some(ms) = silicon.entry(&line.operator.kind, &step, ranks) {
                ours += line.time.as_millis();
                theirs += ms * line.operator.count as f64;
            }
        }
        let all: f64 = lines.iter().map(|l| l.time.as_millis()).sum();
        eprintln!("{model} {gpu} {engine} {split} {step:?}: {ours:.3} of {all:.3} ms, tables {theirs:.3} ms");
        assert!((ours / theirs - 1.0).abs() < 0.03, "{ours} {theirs}");
        // What no table holds are norms, activations and the like.
        assert!(ours / all > 0.75, "{ours} {all}");
    }
}

fn tp(tp: u32) -> Parallelism {
    Parallelism { tp, ..Parallelism::SINGLE }
}

#[test]
fn steps_of_llama_70b_on_h100_are_within_3_percent_of_the_sum_of_the_tables_entries() {
    for engine in [("vllm", "0.24.0"), ("sglang", "0.5.14"), ("trtllm", "1.3.0rc20")] {
        check("llama-3.1-70b", "h100-sxm", engine, tp(4));
        check("llama-3.1-70b", "h100-sxm", engine, tp(8));
    }
}

#[test]
fn steps_of_deepseek_v3_on_h200_are_within_3_percent_of_the_sum_of_the_tables_entries() {
    for engine in [("sglang", "0.5.14"), ("trtllm", "1.3.0rc20")] {
        check("deepseek-v3", "h200-sxm", engine, tp(8));
        check("deepseek-v3", "h200-sxm", engine, Parallelism { ep: 8, ..tp(8) });
    }
}
