//! Split pools: the search prunes without changing the answer, the closed form agrees with the simulation,
//! and what must hold of any plan does.

use proptest::prelude::*;

use shardfit::catalog::{self, Catalog};
use shardfit::estimate::context::{Context, ContextParts};
use shardfit::estimate::deployment::Deployment;
use shardfit::estimate::memory::LimitOverrides;
use shardfit::estimate::pairing::{Pair, Worker};
use shardfit::model::{self, Model, Scope};
use shardfit::plan::space::Pins;
use shardfit::plan::{Degrees, Parallelism, Precision};
use shardfit::rank::{Front, Measure, Objective};
use shardfit::search::{Answer, Mode, Question};
use shardfit::simulate::{Drive, Protocol, SplitSimulation, Workers};
use shardfit::units::{RequestsPerSecond, Seconds};
use shardfit::workload::{Budget, Load, Percentiles, Targets, Workload};

fn found(name: &str) -> Model {
    model::find(name, &[], Scope::Full).expect("in the catalogue")
}

fn tensor(tp: u32) -> Parallelism {
    Parallelism { tp, ..Parallelism::SINGLE }
}

/// A question of a proptest case.
#[derive(Clone, Debug)]
struct Case {
    model: &'static str,
    cluster: &'static str,
    engine: &'static str,
    isl: u64,
    osl: u64,
    load: Load,
    targets: Targets,
    objective: Objective,
    front: Vec<Measure>,
    mode: Mode,
    /// Decode context parallel, if pinned.
    dcp: Vec<u32>,
}

impl Case {
    fn answer(&self, exhaustive: bool) -> Answer {
        let model = found(self.model);
        let pools = Catalog::built_in().pools(self.cluster).expect("a cluster").pools;
        let engines = [catalog::engine(self.engine).expect("in the catalogue")];
        let lengths = Workload::new(self.isl, self.osl);
        let question = Question {
            pools: &pools,
            workload: Workload { load: self.load, ..lengths },
            targets: self.targets,
            objective: self.objective,
            precisions: vec![Precision::OWN],
            mode: self.mode,
            front: Front::new(self.front.clone()).expect("two or three"),
            exhaustive,
            pins: Pins { split: Degrees { dcp: self.dcp.clone(), ..Degrees::default() }, ..Pins::default() },
            ..Question::new(&model, &pools[0], &engines)
        };
        question.answer().expect("a question that can be asked")
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let models = prop::sample::select(vec!["llama-3.1-8b", "qwen3-30b-a3b", "llama-3.1-70b"]);
    let clusters = prop::sample::select(vec![
        "8xh100-sxm",
        "7xh100-sxm",
        "16xh200-sxm",
        "4xl40s",
        "8xh100-sxm+8xa100-sxm-80gb",
    ]);
    let engines = prop::sample::select(vec!["vllm", "sglang", "trtllm"]);
    let load = prop_oneof![
        2 => Just(Load::Saturate),
        1 => (1u64..400).prop_map(Load::Concurrency),
        1 => (0.05f64..40.0).prop_map(|r| Load::Rate(RequestsPerSecond::new(r))),
    ];
    let times = |ms: std::ops::Range<f64>| prop::option::of(ms.prop_map(Seconds::millis));
    let budget = prop::option::of(2u64..12).prop_map(|gpus| Budget { gpus, ..Budget::default() });
    let targets = (times(50.0..3000.0), times(8.0..80.0), budget).prop_map(|(ttft, tpot, budget)| Targets {
        at: Percentiles::MEANS,
        ttft,
        tpot,
        e2e: None,
        confidence: None,
        budget,
    });
    let weights: Objective = "throughput=2,ttft=1".parse().expect("weights");
    let objectives = prop::sample::select([Objective::ALL.to_vec(), vec![weights]].concat());
    let fronts = prop::sample::select(vec![
        vec![Measure::PerGpu, Measure::Tpot],
        vec![Measure::Throughput, Measure::Ttft, Measure::Cost],
        vec![Measure::Energy, Measure::Latency],
        vec![Measure::Gpus, Measure::Throughput],
    ]);
    let modes = prop::sample::select(vec![Mode::Split, Mode::Any]);
    let lengths = (64u64..6000, 1u64..1500);
    let contexts = prop::sample::select(vec![vec![], vec![], vec![1, 2]]);
    (models, clusters, engines, lengths, load, targets, objectives, fronts, (modes, contexts)).prop_map(
        |(model, cluster, engine, (isl, osl), load, targets, objective, front, (mode, dcp))| Case {
            model,
            cluster,
            engine,
            isl,
            osl,
            load,
            targets,
            objective,
            front,
            mode,
            dcp,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn pruning_changes_neither_the_ranking_nor_the_front(case in cases()) {
        let (pruned, all) = (case.answer(false), case.answer(true));
        prop_assert_eq!(&pruned.best, &all.best);
        prop_assert_eq!(&pruned.pareto, &all.pareto);
        prop_assert_eq!(pruned.counts.plans, all.counts.plans);
        prop_assert_eq!(all.counts.dominated, 0);
        for counts in [pruned.counts, all.counts] {
            let parts = counts.illegal + counts.out_of_memory + counts.target_missed + counts.feasible;
            prop_assert_eq!(parts + counts.dominated, counts.plans);
        }
    }

    #[test]
    fn a_plan_never_uses_more_gpus_than_there_are(case in cases()) {
        let pools = Catalog::built_in().pools(case.cluster).expect("a cluster").pools;
        let all: u64 = pools.iter().map(|p| u64::from(p.gpus)).sum();
        let answer = case.answer(false);
        for plan in answer.best.iter().chain(&answer.pareto) {
            prop_assert_eq!(plan.gpus + plan.idle_gpus, all);
            let prefill = plan.prefill.as_ref().map_or(0, |p| p.parallelism.gpus() * u64::from(p.workers));
            prop_assert_eq!(plan.gpus, prefill + plan.parallelism.gpus() * u64::from(plan.replicas));
        }
    }
}

/// Both workers of a split deployment on as many GPUs as it takes.
fn with_pair<T>(
    (model, gpu, engine): (&str, &str, &str),
    (prefill, x): (Parallelism, u32),
    (decode, y): (Parallelism, u32),
    workload: Workload,
    look: impl FnOnce(&Pair, (&Deployment, &Deployment)) -> T,
) -> T {
    let model = found(model);
    let gpus = prefill.gpus() * u64::from(x) + decode.gpus() * u64::from(y);
    let cluster = catalog::cluster(&format!("{gpus}x{gpu}")).expect("in the catalogue");
    let engine = catalog::engine(engine).expect("in the catalogue");
    let context = Context::new(ContextParts {
        model: &model,
        cluster: &cluster,
        engine: &engine,
        limits: LimitOverrides::default(),
        kv: None,
        workload,
        electricity: None,
    })
    .expect("the GPU has all figures");
    let compile = |split| Deployment::new(&context, split).expect("it fits");
    let (p, d) = (compile(prefill), compile(decode));
    let (from, to) = (Worker::of(&p), Worker::of(&d));
    let transfer = from.transfer_to(&to);
    let pair = Pair { prefill: &from, prefill_workers: x, decode: &to, decode_workers: y, transfer };
    look(&pair, (&p, &d))
}

#[test]
fn the_closed_form_and_the_simulation_of_split_pools_agree() {
    for (engine, clients, isl, osl) in [
        ("vllm", 16, 1024, 512),
        ("vllm", 128, 2048, 512),
        ("trtllm", 64, 1024, 1024),
        ("sglang", 64, 512, 512),
    ] {
        let load = Load::Concurrency(clients);
        let workload = Workload { load, ..Workload::new(isl, osl) };
        let case = ("llama-3.1-8b", "h100-sxm", engine);
        with_pair(case, (tensor(1), 2), (tensor(2), 1), workload, |pair, (p, d)| {
            let steady = pair.split().at(clients as f64);
            let drive = Drive::new(Protocol::Steady, &workload, 1);
            let (p, d) = (p.replica(), d.replica());
            let simulated = SplitSimulation::new(
                Workers { replica: &p, count: 2 },
                Workers { replica: &d, count: 1 },
                pair.transfer.time,
                drive.arrivals(),
                drive.requests.window(),
                Targets::default(),
            )
            .run(&())
            .expect("no trace, no error");
            let off = |a: f64, b: f64| (a / b - 1.0).abs();
            let tpot = off(simulated.tpot.mean().get(), steady.tpot.get());
            assert!(tpot < 0.05, "{engine} at {clients}: TPOT off by {tpot:.3}");
            let output = off(simulated.output().get(), steady.rate.get() * osl as f64);
            assert!(output < 0.05, "{engine} at {clients}: throughput off by {output:.3}");
        });
    }
}

#[test]
fn under_a_rate_the_first_tokens_of_split_pools_come_as_they_do_in_the_simulation() {
    for (engine, isl, osl) in [("vllm", 2048, 512), ("trtllm", 1024, 128), ("sglang", 8192, 256)] {
        for busy in [0.1, 0.4] {
            let plain = Workload::new(isl, osl);
            let case = ("llama-3.1-8b", "h100-sxm", engine);
            with_pair(case, (tensor(1), 2), (tensor(1), 2), plain, |pair, (p, d)| {
                let split = pair.split();
                let capacity = split.prefill.capacity().get() * 2.0;
                let most = capacity.min(split.decode.rate(split.decode.most).get() * 2.0);
                let rate = RequestsPerSecond::new(most * busy);
                let sequences = split.decode.sequences_at(rate / 2.0).expect("it keeps up");
                let steady = split.at_sequences(sequences);
                let workload = Workload { load: Load::Rate(rate), ..plain };
                let mut drive = Drive::new(Protocol::Steady, &workload, 1);
                drive.requests = Protocol::requests_under_rate(rate.get() * steady.e2e.get(), 2000);
                let (p, d) = (p.replica(), d.replica());
                let simulated = SplitSimulation::new(
                    Workers { replica: &p, count: 2 },
                    Workers { replica: &d, count: 2 },
                    pair.transfer.time,
                    drive.arrivals(),
                    drive.requests.window(),
                    Targets::default(),
                )
                .run(&())
                .expect("no trace, no error");
                let off = |a: f64, b: f64| (a / b - 1.0).abs();
                let ttft = off(steady.ttft.get(), simulated.ttft.mean().get());
                assert!(ttft < 0.15, "{engine} {isl}/{osl} at {busy}: TTFT off by {ttft:.3}");
            });
        }
    }
}

#[test]
fn a_decode_step_holds_no_prompt_and_so_is_shorter_than_in_an_aggregated_replica() {
    let workload = Workload::new(2048, 512);
    let case = ("llama-3.1-70b", "h100-sxm", "vllm");
    with_pair(case, (tensor(4), 1), (tensor(4), 1), workload, |pair, (_, d)| {
        let (split, whole) = (pair.split().at_sequences(64.0), d.replica().at(64.0));
        assert!(split.tpot < whole.tpot);
        let step = d.replica().decode_step_at(64.0, workload.mean_context());
        assert!((split.tpot / step - 1.0).abs() < 1e-9, "nothing but a decode step");
    });
}

#[test]
fn the_cache_of_a_prompt_crosses_the_link_inside_a_node() {
    // Llama 3.1 70B: 2 · 80 layers · 8 KV heads · 128 · 2 B = 320 KiB a token, over four ranks 80 KiB.
    let workload = Workload::new(2048, 512);
    let case = ("llama-3.1-70b", "h100-sxm", "vllm");
    with_pair(case, (tensor(4), 1), (tensor(4), 1), workload, |pair, _| {
        assert_eq!(pair.transfer.bytes.get(), 2048 * 80 * 1024);
        let link = pair.decode.context.cluster.scale_up;
        let time = link.latency.get() + (2048.0 * 80.0 * 1024.0) / link.bandwidth.get();
        assert!((pair.transfer.time.get() / time - 1.0).abs() < 1e-9);
    });
}

#[test]
fn prefill_workers_that_cannot_keep_up_bound_the_throughput() {
    let workload = Workload::new(8000, 64);
    let case = ("llama-3.1-70b", "h100-sxm", "vllm");
    with_pair(case, (tensor(4), 1), (tensor(4), 1), workload, |pair, _| {
        let service = pair.split().at(400.0);
        let most = pair.prefill.prefill.capacity();
        assert!(service.rate <= most && service.rate.get() > 0.95 * most.get());
        // Little's law: what is in flight is the rate times the time.
        assert!((service.rate.get() * service.e2e.get() / 400.0 - 1.0).abs() < 0.01);
    });
}

#[test]
fn different_gpus_may_prefill_and_decode() {
    let case = Case {
        model: "llama-3.1-70b",
        cluster: "8xh100-sxm+8xa100-sxm-80gb",
        engine: "vllm",
        isl: 2048,
        osl: 512,
        load: Load::Saturate,
        targets: Targets::default(),
        objective: Objective::Throughput,
        front: vec![Measure::PerGpu, Measure::Tpot],
        mode: Mode::Split,
        dcp: Vec::new(),
    };
    let answer = case.answer(false);
    let mixed =
        |e: &&shardfit::estimate::estimated::Estimate| e.prefill.as_ref().is_some_and(|p| p.gpu != e.gpu);
    assert!(answer.best.iter().find(mixed).is_some(), "H100 prefill for A100, or the other way round");
}
