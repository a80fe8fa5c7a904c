//! Ways to launch engines that are asked for by name: what they change in steps and memory, and how plans of
//! several are told apart.

use crate::common::shardfit;
use serde_json::Value;
use shardfit::catalog::{self, Cluster, Engine};
use shardfit::estimate::context::{Context, ContextParts};
use shardfit::estimate::deployment::Deployment;
use shardfit::estimate::memory::LimitOverrides;
use shardfit::model::operator::Step;
use shardfit::model::{self, Scope};
use shardfit::plan::Parallelism;
use shardfit::units::Seconds;
use shardfit::workload::Workload;

/// Attention data-parallel and experts split over `ranks` GPUs.
fn wide(ranks: u32) -> Parallelism {
    Parallelism { attention_dp: ranks, ep: ranks, ..Parallelism::SINGLE }
}

/// Looks at DeepSeek-V3 on so many GPUs under an engine.
fn deployed<T>(gpu: &str, ranks: u32, engine: &str, look: impl FnOnce(&Deployment) -> T) -> T {
    divided(wide(ranks), gpu, engine, look)
}

/// The same, divided otherwise.
fn divided<T>(by: Parallelism, gpu: &str, engine: &str, look: impl FnOnce(&Deployment) -> T) -> T {
    let ranks = by.tp * by.attention_dp;
    let model = model::find("deepseek-v3", &[], Scope::Full).expect("in the catalogue");
    let cluster = Cluster::of_gpus(catalog::gpu(gpu).unwrap(), ranks).unwrap();
    let engine = catalog::engine(engine).unwrap();
    let context = Context::new(ContextParts {
        model: &model,
        cluster: &cluster,
        engine: &engine,
        limits: LimitOverrides::default(),
        kv: None,
        workload: Workload::new(2000, 100),
        electricity: None,
    })
    .unwrap();
    let placement = context.check(by).unwrap();
    look(&Deployment::compile(&context, by, placement))
}

/// Times of one execution of the operators of a name in a decode step.
fn times(ranks: u32, tokens: f64, name: &str) -> Seconds {
    deployed("h800-sxm", ranks, "sglang@deepep", |d| {
        let lines = d.pipeline.explain(&Step::decode(tokens, 2000.0));
        let line = lines.iter().find(|l| l.operator.name == name).expect("in the step");
        line.time / line.operator.count as f64
    })
}

/// DeepEP's README, low-latency kernels on H800 with a 400 Gbit/s port each: 128 tokens of 7,168 values and
/// eight experts, FP8 there and BF16 back; microseconds.
const LOW_LATENCY: [(u32, f64, f64); 5] =
    [(8, 77.0, 114.0), (16, 118.0, 195.0), (32, 155.0, 273.0), (64, 173.0, 314.0), (128, 192.0, 369.0)];

#[test]
fn exchanging_tokens_takes_what_deepep_measured() {
    for (ranks, dispatch, combine) in LOW_LATENCY {
        for (name, measured) in [("dispatch", dispatch), ("combine", combine)] {
            let estimated = times(ranks, 128.0, name).as_micros();
            let ratio = estimated / measured;
            assert!((0.88..1.1).contains(&ratio), "{name} over {ranks}: {estimated:.0} of {measured} us");
        }
    }
}

/// Time of a decode step of 32 sequences over eight tensor-parallel B200.
fn step_of_eight(engine: &str) -> Seconds {
    let tp = Parallelism { tp: 8, ..Parallelism::SINGLE };
    divided(tp, "b200-sxm", engine, |d| d.pipeline.time(&Step::decode(32.0, 1500.0)).latency)
}

#[test]
fn shared_experts_on_a_stream_of_their_own_save_what_vllm_measured() {
    // DeepSeek-R1 in FP8 on 8 B200 at a batch of 32: 23.35 ms a token became 22.09 (vllm-project/vllm#26440).
    let saved = step_of_eight("vllm@0.11.0") - step_of_eight("vllm@0.11.1");
    assert!((0.8..1.4).contains(&saved.as_millis()), "{saved}");
}

#[test]
fn shared_experts_have_no_stream_of_their_own_on_amd() {
    let tp = Parallelism { tp: 8, ..Parallelism::SINGLE };
    let bounds = |gpu: &str| -> Vec<&str> {
        divided(tp, gpu, "vllm", |d| {
            let lines = d.pipeline.explain(&Step::decode(32.0, 1500.0));
            lines.iter().map(|l| l.bound.name()).collect()
        })
    };
    assert!(bounds("h200-sxm").contains(&"beside") && !bounds("mi300x").contains(&"beside"));
}

#[test]
fn half_batches_of_a_wide_decode_pool_reach_what_was_reported_of_nine_nodes() {
    // 22,282 output tokens/s and node of 8 H100 at 256 sequences a rank of 2,000-token prompts, 100 tokens out
    // (LMSYS, Large-scale EP, 2025-05-05); there over 72 GPUs with 32 redundant experts.
    let per_node = |engine: &str| {
        deployed("h100-sxm", 64, engine, |d| {
            8.0 * 256.0 / d.pipeline.time(&Step::decode(256.0, 2050.0)).latency.get()
        })
    };
    let (overlapped, plain) = (per_node("sglang@deepep-eplb-tbo"), per_node("sglang@deepep-eplb"));
    assert!((0.8..1.25).contains(&(overlapped / 22_282.0)), "{overlapped}");
    // "up to 35 %" is what they gained from it.
    assert!((1.2..1.7).contains(&(overlapped / plain)), "{overlapped} {plain}");
}

#[test]
fn what_half_batches_hide_is_no_more_than_the_exchange_and_no_more_than_the_rest() {
    let step = Step::decode(256.0, 2050.0);
    let (hidden, lines) = deployed("h100-sxm", 16, "sglang@deepep-tbo", |d| {
        (d.pipeline.hidden(&step), d.pipeline.explain(&step))
    });
    let of = |exchange: bool| -> Seconds {
        let exchanges = |name: &str| name == "dispatch" || name == "combine";
        lines.iter().filter(|l| exchanges(l.operator.name) == exchange).map(|l| l.time).sum()
    };
    let least = of(true).min(of(false));
    assert!((hidden / least - 1.0).abs() < 1e-9, "{hidden} {least}");
    assert_eq!(deployed("h100-sxm", 16, "sglang@deepep", |d| d.pipeline.hidden(&step)), Seconds::ZERO);
}

#[test]
fn buffers_of_the_exchange_hold_each_experts_share_four_times() {
    let around = |engine: &str| deployed("h200-sxm", 16, engine, |d| d.memory.non_torch.get());
    // 256 experts, 128 tokens a rank, 7,168 values of 2 bytes; sent and received, twice.
    assert_eq!(around("sglang@deepep") - around("sglang"), 4 * 256 * 128 * 7168 * 2);
    // From 0.21 on vLLM's hold every token of a step, 8,192 by default: VLLM_MOE_DP_CHUNK_SIZE is gone.
    assert_eq!(around("vllm@deepep") - around("vllm"), 4 * 256 * 8192 * 7168 * 2);
    // VLLM_DEEPEP_BUFFER_SIZE_MB of NVLink and, over two nodes, as much between them (`all2all.py`).
    assert_eq!(around("vllm@deepep_ht") - around("vllm"), 2 << 30);
}

#[test]
fn ranks_of_attention_data_parallelism_divide_sglangs_tokens_of_a_step() {
    let prompt_step = |engine: &str| {
        let question = format!(
            "estimate deepseek-v3 --gpu h200-sxm --attention-dp 8 --ep 8 --engine {engine} --isl 8192 --explain"
        );
        let text = shardfit(&question).exits(0).stdout;
        text.lines().find(|l| l.starts_with("Prompt step")).expect("explained").to_owned()
    };
    assert!(prompt_step("sglang").starts_with("Prompt step: 2048 tokens"), "16,384 over 8 ranks");
    assert!(prompt_step("vllm").starts_with("Prompt step: 8192 tokens"), "8,192 each");
}

#[test]
fn launches_and_versions_of_one_engine_are_told_apart() {
    let labels = |engines: &str| {
        let question =
            format!("plan qwen3-30b-a3b --cluster 4xh100-sxm --engine {engines} --top 40 --format json");
        let answer: Value = serde_json::from_str(&shardfit(&question).exits(0).stdout).unwrap();
        let mut names: Vec<String> = answer["plans"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| p["engine"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names.dedup();
        names
    };
    assert_eq!(labels("sglang,sglang@eplb-deepep"), ["sglang", "sglang@deepep-eplb"]);
    assert_eq!(labels("vllm@0.11,vllm@0.19"), ["vllm@0.11.0", "vllm@0.19.0"]);
    assert_eq!(labels("vllm@0.19"), ["vllm"]);
}

#[test]
fn a_launch_that_an_engine_does_not_have_names_those_it_has() {
    let error = shardfit("plan llama-3.1-8b --cluster 1xh100-sxm --engine sglang@deepp").exits(2).stderr;
    assert!(error.contains("did you mean `deepep`?") && error.contains("launched with eplb"), "{error}");
}

#[test]
fn launches_that_make_no_sense_are_found_by_the_checks() {
    let mut engine: Engine = catalog::engine("sglang").unwrap();
    let mode = engine.launches["eplb"];
    engine.launches.insert("Deep-EP".into(), mode);
    let error = engine.validate().unwrap_err();
    assert!(error.to_string().contains("`Deep-EP` cannot be asked for"), "{error}");
    engine.launches.clear();
    let mut mode = catalog::engine("sglang").unwrap().launches["deepep"];
    mode.expert_exchange.as_mut().unwrap().link_efficiency = 0.0;
    engine.launches.insert("deepep".into(), mode);
    let error = engine.validate().unwrap_err();
    assert!(error.to_string().contains("`deepep`: efficiencies lie between 0.01 and 1"), "{error}");
}
