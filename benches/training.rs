//! How long a training search takes: the space of Calculon's exhaustive search for GPT-3 175B.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::json;
use shardfit::catalog::{self, Catalog};
use shardfit::model::{self, Scope};
use shardfit::stop::Stop;
use shardfit::train::{Job, Machine, Optimizer, Precision, TrainingAxes, TrainingQuestion, Tuning};

fn calculon(c: &mut Criterion) {
    let config = json!({
        "model_type": "gpt2", "n_layer": 96, "n_embd": 12288, "n_head": 96, "n_inner": 49152,
        "n_positions": 2048, "vocab_size": 51200,
    });
    let map = config.as_object().expect("an object");
    let model = model::from_config(map, "gpt3-175b", Scope::Full).expect("a valid configuration");
    let model = Job::in_precision(&model, Precision::Bf16);
    let cluster = catalog::cluster("4096xa100-sxm-80gb").expect("built in");
    let framework = Catalog::built_in().framework("megatron-2022").expect("built in");
    let engine = catalog::engine(&framework.kernels).expect("built in");
    let machine = Machine::new(&cluster, &framework, &engine).expect("a GPU with kernels");
    let job = Job {
        model: &model,
        machine: &machine,
        sequence: 2048,
        global_batch: 4096,
        optimizer: Optimizer::Adam,
        tuning: Tuning::Full,
        with_prediction: false,
    };
    let jobs = [(Precision::Bf16, job)];
    let axes = TrainingAxes::calculon();
    let question = TrainingQuestion { jobs: &jobs, axes: &axes, top: 10, stop: Stop::NEVER };
    let plans = question.answer().expect("a space").counts.plans;
    let mut group = c.benchmark_group("training");
    group.throughput(Throughput::Elements(plans)).sample_size(10);
    let title = format!("gpt-3 175b on 4096 a100, {plans} plans");
    group.bench_function(title, |b| b.iter(|| black_box(&question).answer().expect("a space")));
    group.finish();
}

criterion_group!(benches, calculon);
criterion_main!(benches);
