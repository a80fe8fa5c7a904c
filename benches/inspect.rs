//! How long it takes to count every catalogue model, to read and count it, and to take one apart.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use shardfit::catalog::{self, Kind};
use shardfit::estimate::breakdown::{Breakdown, Mode, Setting};
use shardfit::model::{self, Model, Scope};

fn find(name: &str) -> Model {
    model::find(name, &[], Scope::Full).expect("built in")
}

fn counts(c: &mut Criterion) {
    let names: Vec<&str> = catalog::entries(Kind::Model).iter().map(|e| e.id).collect();
    let models: Vec<Model> = names.iter().map(|name| find(name)).collect();
    let count = |m: &Model| m.parameters().expect("fits in 64 bits").total;
    c.bench_function(&format!("count all {} catalogue models", models.len()), |b| {
        b.iter(|| black_box(&models).iter().map(count).fold(0, u64::wrapping_add));
    });
    c.bench_function(&format!("read and count all {} catalogue models", models.len()), |b| {
        b.iter(|| black_box(&names).iter().map(|name| count(&find(name))).fold(0, u64::wrapping_add));
    });
    for name in ["llama-3.1-8b", "deepseek-v3"] {
        let model = find(name);
        c.bench_function(&format!("count {name}"), |b| b.iter(|| count(black_box(&model))));
        let setting = Setting::new(Mode::Prefill);
        c.bench_function(&format!("take {name} apart"), |b| {
            b.iter(|| Breakdown::of(black_box(&model), &setting, None));
        });
    }
}

criterion_group!(benches, counts);
criterion_main!(benches);
