//! What requests see.

use super::*;

proptest! {
    #![proptest_config(config(800))]

    #[test]
    fn steady_state_obeys_littles_law(d in draw(), in_flight in 1u64..3000) {
        let mut owned = Owned::of(&d);
        owned.workload.load = Load::Concurrency(in_flight);
        let context = owned.context();
        for (split, placement) in legal(&context) {
            let deployment = Deployment::compile(&context, split, placement);
            let Ok(e) = deployment.figures(plan(&deployment, BatchPoint::FromLoad)) else { continue };
            let concurrency = e.service.requests.get() * e.service.e2e.get();
            prop_assert!((concurrency / e.batch - 1.0).abs() < 1e-6, "{concurrency} and {}", e.batch);
            prop_assert!((e.batch * f64::from(e.replicas) / in_flight as f64 - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn a_given_rate_is_served_in_as_many_requests_as_littles_law_says(d in draw(), rate in 0.01..50.0f64) {
        let mut owned = Owned::of(&d);
        owned.workload.load = Load::Rate(RequestsPerSecond::new(rate));
        let context = owned.context();
        for (split, placement) in legal(&context) {
            let deployment = Deployment::compile(&context, split, placement);
            let Ok(e) = deployment.figures(plan(&deployment, BatchPoint::FromLoad)) else { continue };
            let served = e.service.requests.get() * f64::from(e.replicas);
            prop_assert!((served / rate - 1.0).abs() < 1e-3, "{served} of {rate}");
            let concurrency = e.service.requests.get() * e.service.e2e.get();
            prop_assert!((concurrency / e.batch - 1.0).abs() < 1e-6, "{concurrency} and {}", e.batch);
        }
    }

    #[test]
    fn service_never_beats_the_arithmetic_of_its_tokens(d in draw(), in_flight in 1u64..3000) {
        let mut owned = Owned::of(&d);
        owned.workload.load = Load::Concurrency(in_flight);
        let context = owned.context();
        let gpu = &owned.cluster.gpu;
        let best = gpu.peak.values().map(|p| p.get()).fold(0.0, f64::max);
        let parts = owned.model.parameters().unwrap();
        let outer = parts.of(model::Component::Embedding) + parts.of(model::Component::LmHead)
            + parts.of(model::Component::Other);
        let flops = 2.0 * parts.active.saturating_sub(outer) as f64;
        for (split, placement) in legal(&context) {
            let deployment = Deployment::compile(&context, split, placement);
            let Ok(e) = deployment.figures(plan(&deployment, BatchPoint::FromLoad)) else { continue };
            let tokens = e.service.requests.get() * (owned.workload.isl + owned.workload.osl - 1) as f64;
            let share = tokens * flops / (best * split.gpus() as f64);
            prop_assert!(share <= 1.0, "{} {split} on {}: {share} of the peak", owned.model.id, gpu.id);
            prop_assert!(e.service.ttft > Seconds::ZERO && e.service.tpot >= Seconds::ZERO);
        }
    }

    #[test]
    fn replicas_never_need_more_gpus_than_there_are(d in draw(), odd in 1u32..40) {
        let mut owned = Owned::of(&d);
        owned.cluster = Cluster::of_gpus(owned.cluster.gpu.clone(), odd).unwrap();
        let context = owned.context();
        for (split, placement) in legal(&context) {
            prop_assert!(placement.max_replicas >= 1);
            prop_assert!(split.gpus() * u64::from(placement.max_replicas) <= u64::from(odd), "{split} on {odd}");
            prop_assert_eq!(u64::from(placement.hops_inside + placement.hops_across), u64::from(split.pp - 1));
        }
    }
}
