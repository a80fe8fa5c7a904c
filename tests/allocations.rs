//! The hot path of the search allocates nothing: times of steps and estimates of plans.

use shardfit::catalog::{Catalog, Cluster};
use shardfit::estimate::context::{Context, ContextParts};
use shardfit::estimate::deployment::Deployment;
use shardfit::estimate::memory::LimitOverrides;
use shardfit::model::operator::Step;
use shardfit::model::{self, Scope};
use shardfit::plan::Parallelism;
use shardfit::workload::Workload;

/// Allocations of `times` steps of a model on a cluster, of prompts and of decodes.
fn allocations(name: &str, gpu: &str, parallelism: Parallelism) -> u64 {
    let catalog = Catalog::built_in();
    let model = model::find_in(&catalog, name, Scope::Full).expect("a catalogue model");
    let gpus = u32::try_from(parallelism.gpus()).expect("few GPUs");
    let cluster = Cluster::of_gpus(catalog.gpu(gpu).expect("a catalogue GPU"), gpus).expect("a cluster");
    let engine = catalog.engine("vllm").expect("a catalogue engine");
    let context = Context::new(ContextParts {
        model: &model,
        cluster: &cluster,
        engine: &engine,
        limits: LimitOverrides::default(),
        kv: None,
        workload: Workload::new(2048, 512),
        electricity: None,
    })
    .expect("a GPU with figures");
    let deployment = Deployment::new(&context, parallelism).expect("a layout that fits");
    allocation_counter::measure(|| {
        let mut sum = 0.0;
        for sequences in 1..=64 {
            let decode = Step::decode(f64::from(sequences), 2300.0);
            sum += deployment.pipeline.time(&decode).latency.get();
            sum += deployment.pipeline.time(&Step::prefill(1.0, f64::from(sequences) * 64.0)).latency.get();
            sum += deployment.replica().at(f64::from(sequences)).tpot.get();
        }
        assert!(sum > 0.0);
    })
    .count_total
}

#[test]
fn timing_a_dense_step_allocates_nothing() {
    let split = Parallelism { tp: 4, pp: 2, ..Parallelism::SINGLE };
    assert_eq!(allocations("llama-3.1-70b", "h100-sxm", split), 0);
}

#[test]
fn timing_a_step_of_latent_attention_and_experts_allocates_nothing() {
    let split = Parallelism { tp: 8, ep: 8, ..Parallelism::SINGLE };
    assert_eq!(allocations("deepseek-v3", "h200-sxm", split), 0);
}
