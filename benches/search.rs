//! How long the questions take that people wait for: a count, one step, one plan, a large space.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use shardfit::catalog::{self, Engine};
use shardfit::estimate::context::{Context, ContextParts};
use shardfit::estimate::deployment::Deployment;
use shardfit::estimate::memory::LimitOverrides;
use shardfit::model::operator::Step;
use shardfit::model::{self, Scope};
use shardfit::plan::{BatchPoint, Layout, Parallelism, Plan};
use shardfit::rank::Objective;
use shardfit::search::Question;
use shardfit::units::Seconds;
use shardfit::workload::{Targets, Workload};

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
    c.bench_function("read deepseek-v3 from its config.json", |b| {
        b.iter(|| model::find(black_box("deepseek-v3"), &[], Scope::Full).expect("built in"));
    });
}

criterion_group!(benches, questions, layouts, models);
criterion_main!(benches);
