//! How long the questions take that people wait for: a count, one step, one plan, a large space, requests that are asked
//! again, requests that are simulated.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use shardfit::ask;
use shardfit::catalog::{self, Catalog, Engine};
use shardfit::estimate::context::{Context, ContextParts};
use shardfit::estimate::deployment::Deployment;
use shardfit::estimate::memory::LimitOverrides;
use shardfit::model::operator::Step;
use shardfit::model::{self, Scope};
use shardfit::plan::{BatchPoint, Layout, Parallelism, Plan};
use shardfit::rank::Objective;
use shardfit::search::Question;
use shardfit::simulate::{Drive, Protocol, Requests, Simulation};
use shardfit::units::{RequestsPerSecond, Seconds};
use shardfit::workload::{Load, Targets, Workload};

/// A whole question: every plan through the funnel.
fn question(c: &mut Criterion, name: &str, (model, cluster): (&str, &str), engines: &[Engine]) {
    let model = model::find(model, &[], Scope::Full).expect("built in");
    let cluster = catalog::cluster(cluster).expect("built in");
    let targets =
        Targets { ttft: Some(Seconds::new(1.0)), tpot: Some(Seconds::millis(50.0)), ..Targets::default() };
    let question = Question {
        workload: Workload::new(2048, 512),
        targets,
        objective: Objective::Throughput,
        top: 10,
        ..Question::new(&model, &cluster, engines)
    };
    let title = format!("{name}, {} plans", question.spaces()[0].size());
    c.bench_function(&title, |b| b.iter(|| black_box(&question).answer().expect("a valid question")));
}

fn questions(c: &mut Criterion) {
    let vllm = [catalog::engine("vllm").expect("built in")];
    let all = catalog::engines().expect("built in");
    question(c, "plan llama-3.1-70b on 8xh100", ("llama-3.1-70b", "8xh100-sxm"), &vllm);
    question(c, "plan deepseek-v3 on 64xh200, every engine", ("deepseek-v3", "64xh200-sxm"), &all);
}

/// One layout: its steps, its compilation, the estimate of one of its plans.
fn layout(c: &mut Criterion, kind: &str, (model, gpu): (&str, &str), parallelism: Parallelism) {
    let model = model::find(model, &[], Scope::Full).expect("built in");
    let cluster = catalog::cluster(gpu).expect("built in");
    let engine = catalog::engine("vllm").expect("built in");
    let context = Context::new(ContextParts {
        model: &model,
        cluster: &cluster,
        engine: &engine,
        limits: LimitOverrides::default(),
        kv: None,
        workload: Workload::new(2048, 512),
        electricity: None,
    })
    .expect("built in");
    let deployment = Deployment::new(&context, parallelism).expect("a layout that fits");
    let step = Step::decode(64.0, 2304.0);
    c.bench_function(&format!("decode step, {kind}"), |b| {
        b.iter(|| deployment.pipeline.time(black_box(&step)));
    });
    c.bench_function(&format!("compile a layout, {kind}"), |b| {
        b.iter(|| Deployment::new(&context, black_box(parallelism)).expect("fits"));
    });
    let layout = Layout { pool: 0, engine: 0, precision: 0, launch: 0, parallelism };
    let plan = Plan { id: 0, layout, replicas: 1, batch: BatchPoint::Sequences(64), prefill: None };
    c.bench_function(&format!("estimate a plan, {kind}"), |b| {
        b.iter(|| deployment.figures(black_box(plan)).expect("fits"));
    });
}

fn layouts(c: &mut Criterion) {
    let tp4 = Parallelism { tp: 4, ..Parallelism::SINGLE };
    layout(c, "dense", ("llama-3.1-70b", "4xh100-sxm"), tp4);
    let ep8 = Parallelism { tp: 8, ep: 8, ..Parallelism::SINGLE };
    layout(c, "mixture of experts", ("deepseek-v3", "8xh200-sxm"), ep8);
}

fn models(c: &mut Criterion) {
    let model = model::find("deepseek-v3", &[], Scope::Full).expect("built in");
    c.bench_function("count parameters of deepseek-v3", |b| {
        b.iter(|| black_box(&model).parameters().expect("fits in 64 bits"));
    });
    c.bench_function("find deepseek-v3 once more", |b| {
        b.iter(|| model::find(black_box("deepseek-v3"), &[], Scope::Full).expect("built in"));
    });
}

/// Requests in JSON, as a page or a notebook asks them again and again.
fn asked(c: &mut Criterion) {
    let catalog = Catalog::built_in();
    let request = r#"{"model": "llama-3.1-70b", "cluster": "8xh100-sxm", "tp": 8, "concurrency": 64}"#;
    c.bench_function("ask for an estimate", |b| {
        b.iter(|| ask::answer("estimate", black_box(request), &catalog).expect("a plan that fits"));
    });
    let request = r#"{"model": "llama-3.1-70b", "cluster": "8xh100-sxm", "ttft": "1s", "tpot": "50ms"}"#;
    c.bench_function("ask for a plan", |b| {
        b.iter(|| ask::answer("plan", black_box(request), &catalog).expect("plans that hold"));
    });
}

/// A dense model in discrete events: requests a second and core.
fn simulated(c: &mut Criterion) {
    let model = model::find("llama-3.1-70b", &[], Scope::Full).expect("built in");
    let cluster = catalog::cluster("4xh100-sxm").expect("built in");
    let engine = catalog::engine("vllm").expect("built in");
    let parts = ContextParts {
        model: &model,
        cluster: &cluster,
        engine: &engine,
        limits: LimitOverrides::default(),
        kv: None,
        workload: Workload::new(2048, 512),
        electricity: None,
    };
    let context = Context::new(parts).expect("built in");
    let deployment =
        Deployment::new(&context, Parallelism { tp: 4, ..Parallelism::SINGLE }).expect("a layout that fits");
    let replica = deployment.replica();
    let mut group = c.benchmark_group("simulate");
    for (name, load) in [
        ("a closed loop of 64", Load::Concurrency(64)),
        ("3 a second", Load::Rate(RequestsPerSecond::new(3.0))),
    ] {
        let workload = Workload { load, ..context.workload };
        let drive = Drive::new(Protocol::Steady, &workload, 1);
        let drive = Drive { requests: Requests { before: 500, count: 50_000, after: 0 }, ..drive };
        group.throughput(Throughput::Elements(drive.requests.total())).sample_size(10);
        group.bench_function(name, |b| {
            b.iter(|| {
                let window = drive.requests.window();
                let simulation = Simulation::new(&replica, drive.arrivals(), window, Targets::default());
                simulation.run(&mut ()).expect("no trace, no error")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, questions, layouts, models, asked, simulated);
criterion_main!(benches);
