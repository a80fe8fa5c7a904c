//! What a case of a sweep costs: cases that share their figures with others, and many beside each other, where
//! the time per case must not grow with their number.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use shardfit::catalog::Catalog;
use shardfit::scenario::{self, Scenario};

/// One small model on one GPU with so many workloads and targets.
fn scenario(workloads: usize, targets: usize) -> Scenario {
    let mut text = String::from("name: bench\nmodels: [llama-3.1-8b]\nclusters: [1xl40s]\nworkloads:\n");
    for n in 0..workloads {
        text += &format!("  - {{name: w{n}, isl: {}, osl: 200, concurrency: 8}}\n", 500 + n);
    }
    text += "targets:\n";
    for n in 1..=targets {
        text += &format!("  - {{name: t{n}, tpot: {} ms}}\n", 10 * n);
    }
    scenario::parse(&text, "bench.yaml", &Catalog::built_in()).expect("a valid scenario")
}

fn answer(scenario: &Scenario) {
    let groups: Vec<usize> = (0..scenario.groups()).collect();
    scenario::run(scenario, &groups, |_, answer| {
        black_box(answer);
        Ok(())
    })
    .expect("every question can be asked");
}

fn cases(c: &mut Criterion) {
    let mut group = c.benchmark_group("sweep");
    for workloads in [100, 1000, 10_000] {
        let scenario = scenario(workloads, 1);
        group.throughput(Throughput::Elements(scenario.size() as u64)).sample_size(10);
        group.bench_function(format!("{} cases", scenario.size()), |b| b.iter(|| answer(&scenario)));
    }
    let shared = scenario(100, 10);
    group.throughput(Throughput::Elements(shared.size() as u64));
    group.bench_function("1000 cases in 100 groups", |b| b.iter(|| answer(&shared)));
    group.finish();
}

criterion_group!(benches, cases);
criterion_main!(benches);
