use shardfit::{
    catalog, model,
    plan::Precision,
    rank::Objective,
    search::{LimitOverrides, Question},
    units::Seconds,
    workload::*,
};
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let model = model::find(&a[1], &[], model::Scope::Full).unwrap();
    let cluster = catalog::cluster(&a[2]).unwrap();
    let class = catalog::stand_ins(&cluster.gpu).unwrap();
    let engines = vec![catalog::engine(&a[3]).unwrap()];
    let mut w = Workload::new(2048, 512);
    w.targets = Targets { ttft: Some(Seconds::new(1.0)), tpot: Some(Seconds::millis(50.0)), e2e: None };
    let t = std::time::Instant::now();
    let q = Question {
        model: &model,
        cluster: &cluster,
        class: &class,
        engines: &engines,
        workload: w,
        objective: Objective::Throughput,
        precisions: vec![Precision::OWN],
        pins: Default::default(),
        limits: LimitOverrides::default(),
        top: 10,
    };
    let ans = q.answer().unwrap();
    eprintln!("{:?}", t.elapsed());
    println!("{:?}", ans.counts);
    for e in &ans.best {
        println!(
            "{} x{} batch {} max {} out {:.0} /gpu {:.0} ttft {} tpot {} head {} w {} kv {} {:?} {:?}",
            e.parallelism,
            e.replicas,
            e.batch,
            e.max_batch,
            e.output.get(),
            e.output_per_gpu.get(),
            e.service.ttft,
            e.service.tpot,
            e.headroom,
            e.memory.weights,
            e.memory.kv_cache,
            e.verdict,
            e.service.provenance
        );
    }
    for r in &ans.rejected {
        println!("{} {} {}", r.count, r.reason.name(), r.reason.message());
    }
}
