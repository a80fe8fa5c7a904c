//! Decode context parallelism: which ranks may divide the tokens of a sequence, what each holds and reads
//! then, what they exchange, and where it can be asked for.

use crate::common::{self, shardfit};
use serde_json::{Value, json};
use shardfit::catalog::{self, Cluster};
use shardfit::dtype::DType;
use shardfit::estimate::context::{Context, ContextParts};
use shardfit::estimate::deployment::Deployment;
use shardfit::estimate::memory::{LimitOverrides, MemoryUse};
use shardfit::model::blocks::RankView;
use shardfit::model::operator::{CollectiveKind, Operator, OperatorKind, RankGroup, Rows, Step};
use shardfit::model::{self, Model, RankGroups, Scope};
use shardfit::plan::Parallelism;
use shardfit::search::{Mode, Question};
use shardfit::workload::Workload;

fn found(name: &str) -> Model {
    model::find(name, &[], Scope::Full).expect("in the catalogue")
}

fn split(tp: u32, dcp: u32) -> Parallelism {
    Parallelism { tp, dcp, ..Parallelism::SINGLE }
}

/// Looks at what all layouts of a question share.
fn with_context<T>(
    (model, gpu, gpus, engine): (&Model, &str, u32, &str),
    kv: Option<DType>,
    workload: Workload,
    look: impl FnOnce(&Context) -> T,
) -> T {
    let cluster = Cluster::of_gpus(catalog::gpu(gpu).unwrap(), gpus).unwrap();
    let engine = catalog::engine(engine).unwrap();
    let limits = LimitOverrides::default();
    let parts =
        ContextParts { model, cluster: &cluster, engine: &engine, limits, kv, workload, electricity: None };
    look(&Context::new(parts).unwrap())
}

fn memory(model: &Model, tp: u32, dcp: u32, length: u64) -> MemoryUse {
    let workload = Workload::new(length - 1, 1);
    with_context((model, "h200-sxm", tp, "vllm"), None, workload, |c| c.memory(split(tp, dcp)))
}

#[test]
fn eight_ranks_hold_eight_times_the_tokens_of_one() {
    let model = found("deepseek-v3");
    let (whole, shared) = (memory(&model, 8, 1, 16_384), memory(&model, 8, 8, 16_384));
    assert_eq!((whole.weights, whole.kv_cache), (shared.weights, shared.kv_cache));
    // 61 layers of 576 16-bit values a token; blocks of 16 tokens, of 128 over eight ranks.
    assert_eq!(whole.per_request.get(), 16_384 * 61 * 576 * 2);
    assert_eq!(whole.per_request, shared.per_request * 8);
    assert_eq!(shared.logged_tokens, 8 * whole.logged_tokens);
    assert_eq!(shared.kv_cache_tokens / 8, whole.kv_cache_tokens);
}

#[test]
fn what_a_rank_holds_of_a_sequence_is_rounded_up_to_its_blocks() {
    let model = found("deepseek-v3");
    let block = 16 * 61 * 576 * 2;
    for (length, dcp, blocks) in [(1, 8, 1), (128, 8, 1), (129, 8, 2), (130, 1, 9), (130, 2, 5)] {
        assert_eq!(memory(&model, 8, dcp, length).per_request.get(), blocks * block, "{length} over {dcp}");
    }
}

/// dphnAI/sonar#1521, which has vLLM's implementation: Qwen3 0.6B with one key-value head on two GPUs starts with
/// 949,296 tokens in 12.67 GiB, and with two context-parallel ranks 1,896,256 in 12.66 GiB.
#[test]
fn published_starts_with_and_without_it_are_met() {
    let mut config: Value =
        serde_json::from_str(include_str!("../../models/Qwen--Qwen3-0.6B.json")).expect("a configuration");
    config["num_key_value_heads"] = json!(1);
    let model = model::from_config(config.as_object().unwrap(), "one head", Scope::Full).unwrap();
    for (dcp, gib, tokens) in [(1, 12.67, 949_296.0), (2, 12.66, 1_896_256.0)] {
        let each = memory(&model, 2, dcp, 16_384).per_request.as_gib() / 16_384.0;
        let off = gib / each / tokens - 1.0;
        // The log has two decimals of the size.
        assert!(off.abs() < 0.005 / gib, "dcp={dcp}: {:.0} tokens, not {tokens}", gib / each);
    }
}

/// Asks the rules; the reason, if there is one.
fn reason(model: &str, (tp, dcp): (u32, u32), engine: &str, kv: Option<DType>) -> Option<String> {
    let model = found(model);
    let case = (&model, "h200-sxm", tp, engine);
    with_context(case, kv, Workload::new(1024, 128), |c| c.check(split(tp, dcp)).err().map(|r| r.message()))
}

/// vLLM `docs/serving/context_parallel_deployment.md`: 8 copies of a latent cache at TP 8, 16 at TP 16, 2 of the
/// 4 key-value heads of Qwen3 235B at TP 8.
#[test]
fn ranks_that_hold_the_same_heads_divide_a_context_and_no_others() {
    for (model, tp, dcp) in
        [("deepseek-r1", 8, 8), ("deepseek-r1", 8, 2), ("kimi-k2", 16, 16), ("kimi-k2", 16, 8)]
    {
        assert_eq!(reason(model, (tp, dcp), "vllm", None), None, "{model} tp={tp} dcp={dcp}");
    }
    assert_eq!(reason("Qwen/Qwen3-30B-A3B", (8, 2), "vllm", None), None);
    let no = |model, degrees, engine, kv| reason(model, degrees, engine, kv).expect("refused");
    assert!(no("Qwen/Qwen3-30B-A3B", (8, 4), "vllm", None).contains("2 copies of the key-value heads"));
    assert!(no("llama-3.1-70b", (8, 2), "vllm", None).contains("divisors: 1"));
    assert!(no("deepseek-r1", (8, 3), "vllm", None).ends_with("divisors: 1, 2, 4, 8"));
}

#[test]
fn engines_divide_the_caches_that_their_version_can() {
    let no = |model, engine, kv| reason(model, (8, 2), engine, kv).expect("refused");
    for engine in ["sglang", "trtllm", "vllm@0.9.2"] {
        assert_eq!(no("deepseek-r1", engine, None), "the engine has no decode context parallel", "{engine}");
    }
    // Latent attention came first.
    assert_eq!(reason("deepseek-r1", (8, 2), "vllm@0.10.2", None), None);
    assert_eq!(reason("qwen3-30b-a3b", (8, 2), "vllm@0.11.0", None), None);
    assert!(no("qwen3-30b-a3b", "vllm@0.10.2", None).ends_with("of such a cache"));
    assert!(no("deepseek-r1", "vllm@0.21", Some(DType::Fp8)).ends_with("of such a cache"));
    assert_eq!(reason("deepseek-r1", (8, 2), "vllm", Some(DType::Fp8)), None);
    assert_eq!(reason("qwen3-30b-a3b", (8, 2), "vllm", Some(DType::Fp8)), None);
    // Windows, an indexer, blocks of keys that are chosen.
    for model in ["gpt-oss-20b", "deepseek-v3.2", "minimax-m3"] {
        assert!(no(model, "vllm", None).ends_with("of such attention"), "{model}");
    }
}

/// The operators of the first layer's attention on one of eight ranks, `context` of which divide each sequence.
fn operators(model: &Model, context: u64) -> Vec<Operator> {
    let group = &model.groups[0];
    let groups = RankGroups { tensor: 8, context, ..RankGroups::SINGLE };
    let view = RankView { groups, formats: group.formats, kv: DType::Bf16 };
    let mut all = Vec::new();
    group.blocks.iter().for_each(|block| block.operators(&view, &mut all));
    all
}

fn named(all: &[Operator], name: &str) -> Operator {
    *all.iter().find(|o| o.name == name).unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn a_rank_reads_its_part_of_a_context_with_the_heads_of_all() {
    let (step, decode) = (Step::decode(32.0, 8192.0), "decode_attention");
    for name in ["deepseek-v3", "Qwen/Qwen3-30B-A3B"] {
        let model = found(name);
        let ranks = if name == "deepseek-v3" { 8 } else { 2 };
        let (one, shared) = (named(&operators(&model, 1), decode), named(&operators(&model, ranks), decode));
        let cache = |o: &Operator| o.traffic_parts(&step, DType::Bf16).cache.get();
        assert!((cache(&one) / cache(&shared) - ranks as f64).abs() < 1e-9, "{name}");
        // As many products: more heads over fewer tokens.
        assert!((one.flops(&step).get() / shared.flops(&step).get() - 1.0).abs() < 1e-9, "{name}");
    }
}

#[test]
fn ranks_exchange_queries_sums_and_outputs_of_decoding_sequences() {
    let model = found("deepseek-v3");
    let all = operators(&model, 8);
    let collective = |name| match named(&all, name).kind {
        OperatorKind::Collective { kind, group, rows, bytes_per_row } => {
            assert_eq!(group, RankGroup::Context, "{name}");
            (kind, rows, bytes_per_row)
        }
        other => panic!("{name} is {other:?}"),
    };
    // 128 heads, each of 512 + 64 values before attention and 512 after it, with one FP32 sum from every rank.
    let (gather, decode) = (CollectiveKind::AllGather, Rows::DecodeSequences);
    assert_eq!(collective("gather_queries"), (gather, decode, 128 * 576 * 2));
    assert_eq!(collective("gather_log_sums"), (gather, decode, 8 * 128 * 4));
    assert_eq!(collective("scatter_outputs"), (CollectiveKind::ReduceScatter, decode, 128 * 512 * 2));
    // A prompt's earlier chunks come together once.
    assert_eq!(collective("gather_prior_latents"), (gather, Rows::PriorTokens, 576 * 2));
    let alone = operators(&model, 1);
    assert!(alone.iter().all(|o| !o.name.starts_with("gather_") && !o.name.starts_with("scatter_")));
    // With grouped queries all tokens of a step pass.
    let grouped = operators(&found("Qwen/Qwen3-30B-A3B"), 2);
    let gathered = named(&grouped, "gather_queries").kind;
    let OperatorKind::Collective { rows, bytes_per_row, .. } = gathered else { panic!("{gathered:?}") };
    assert_eq!((rows, bytes_per_row), (Rows::Tokens, 2 * 4 * 128 * 2));
}

#[test]
fn long_contexts_decode_faster_and_short_ones_slower() {
    let model = found("deepseek-v3");
    let workload = Workload::new(1024, 128);
    with_context((&model, "h200-sxm", 8, "vllm"), None, workload, |context| {
        let step = |dcp, length| {
            let deployment = Deployment::new(context, split(8, dcp)).expect("it fits");
            deployment.pipeline.time(&Step::decode(4.0, length)).latency
        };
        assert!(step(8, 512.0) > step(1, 512.0), "the exchange costs");
        assert!(step(8, 150_000.0) < step(1, 150_000.0), "the cache costs more");
    });
}

/// The splits of a question's space that divide contexts, as `(tp, pp, dcp)`.
fn shared(model: &str, cluster: &str, engine: &str) -> Vec<(u32, u32, u32)> {
    let (model, cluster) = (found(model), catalog::cluster(cluster).unwrap());
    let engines = [catalog::engine(engine).unwrap()];
    let question = Question::new(&model, &cluster, &engines);
    let space = question.spaces().pop().unwrap();
    let splits = (0..space.layouts()).map(|i| space.layout(i).parallelism);
    let mut found: Vec<_> = splits.filter(|s| s.dcp > 1 && s.ep == 1).map(|s| (s.tp, s.pp, s.dcp)).collect();
    found.sort_unstable();
    found
}

#[test]
fn contexts_are_divided_unasked_only_where_the_cache_is_copied() {
    assert!(shared("llama-3.1-70b", "8xh100-sxm", "vllm").is_empty(), "eight heads over eight ranks");
    assert!(shared("deepseek-v3", "8xh200-sxm", "sglang").is_empty());
    assert_eq!(shared("llama-3.1-70b", "16xh100-sxm", "vllm"), [(16, 1, 2)]);
    assert_eq!(shared("deepseek-v3", "4xh200-sxm", "vllm"), [(2, 1, 2), (2, 2, 2), (4, 1, 2), (4, 1, 4)]);
    // Stages of a large cluster stay in a node.
    let large = shared("deepseek-v3", "64xh200-sxm", "vllm");
    assert!(large.contains(&(16, 1, 16)) && large.contains(&(4, 2, 4)) && !large.contains(&(8, 2, 8)));
}

#[test]
fn prefill_workers_do_not_divide_contexts() {
    let (model, cluster) = (found("qwen3-30b-a3b"), catalog::cluster("16xh100-sxm").unwrap());
    let engines = [catalog::engine("vllm").unwrap()];
    for pinned in [vec![], vec![1, 2], vec![2]] {
        let mut question = Question::new(&model, &cluster, &engines);
        (question.mode, question.exhaustive, question.top) = (Mode::Split, true, usize::MAX);
        question.pins.split.dcp.clone_from(&pinned);
        question.pins.split.tp = vec![1, 8];
        let answer = question.answer().unwrap();
        assert!(answer.best.iter().any(|plan| plan.parallelism.dcp == 2), "{pinned:?}");
        let alone = |plan: &_| {
            let plan: &shardfit::estimate::estimated::Estimate = plan;
            plan.prefill.as_ref().is_some_and(|p| p.parallelism.dcp == 1)
        };
        assert!(answer.best.iter().chain(&answer.pareto).all(alone), "{pinned:?}");
    }
}

fn json_of(line: &str) -> Value {
    let run = shardfit(line);
    assert_eq!(run.code, 0, "{line}: {}", run.stderr);
    serde_json::from_str(&run.stdout).expect("JSON")
}

#[test]
fn it_is_asked_for_wherever_other_degrees_are() {
    let plan = json_of("plan deepseek-v3 --cluster 8xh200-sxm --tp 8 --dcp 1,8 --format json");
    let degrees = |plan: &Value| plan["dcp"].as_u64().unwrap();
    let mut all: Vec<u64> = plan["plans"].as_array().unwrap().iter().map(degrees).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all, [1, 8]);
    let long = json_of("plan deepseek-v3 --cluster 8xh200-sxm --decode-context-parallel 2..4 --format json");
    assert!(long["plans"].as_array().unwrap().iter().all(|plan| [2, 4].contains(&degrees(plan))));
    let place = "deepseek-v3 --gpu h200-sxm --tp 8 --dcp 8 --concurrency 16 --format json";
    assert_eq!(degrees(&json_of(&format!("estimate {place}"))), 8);
    assert_eq!(degrees(&json_of(&format!("simulate {place} --requests 32"))), 8);
    let asked = json_of("plan deepseek-v3 --cluster 8xh200-sxm --why-not tp=8,dcp=8 --format json");
    assert_eq!(degrees(&asked["layout"]), 8);
    let workers = "--prefill tp=8 --decode tp=8,dcp=4 --concurrency 16 --format json";
    assert_eq!(degrees(&json_of(&format!("estimate deepseek-v3 --gpu h200-sxm {workers}"))), 4);
    let today = shardfit("plan deepseek-v3 --cluster 8xh200-sxm --current tp=8,dcp=8 --top 1");
    assert!(today.stdout.contains("tp=8 dcp=8"), "{}", today.stdout);
}

#[test]
fn a_scenario_pins_it() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("long.yaml");
    let text = "name: x\nmodels: [deepseek-v3]\nclusters: [8xh200-sxm]\n\
                workloads: [{name: w, isl: 32000, osl: 500}]\nsearch: {tp: 8, dcp: [4]}\n";
    std::fs::write(&scenario, text).unwrap();
    let out = folder.path().join("out");
    shardfit(&format!("sweep {} -o {}", scenario.display(), out.display())).exits(0);
    let (header, rows) = common::parse_csv(&std::fs::read_to_string(out.join("results.csv")).unwrap());
    let column = header.iter().position(|name| name == "dcp").expect("a column");
    assert_eq!(rows[0][column], "4");
}

#[test]
fn an_explanation_lists_what_ranks_exchange() {
    let run = shardfit("plan deepseek-v3 --cluster 8xh200-sxm --tp 8 --dcp 8 --explain 1");
    for name in ["gather_queries", "gather_log_sums", "scale_outputs", "scatter_outputs"] {
        assert!(run.stdout.contains(name), "no {name} in {}", run.stdout);
    }
}

#[test]
fn contexts_that_end_in_drafts_are_not_divided() {
    let line = "estimate deepseek-v3 --gpu h200-sxm --tp 8 --kv bf16 --speculate mtp --acceptance 0.8";
    shardfit(line).exits(0);
    let run = shardfit(&format!("{line} --dcp 2"));
    assert_ne!(run.code, 0, "{}", run.stdout);
    assert!(run.stderr.contains("decode context parallel with speculative decoding"), "{}", run.stderr);
}
