//! The space of plans.

use super::*;

proptest! {
    #![proptest_config(config(48))]

    #[test]
    fn every_plan_is_counted_once(
        d in draw(), load in 0u32..3, size in 1u64..500, ttft in prop::option::of(1u32..3000),
        tpot in prop::option::of(1u32..100),
    ) {
        let mut owned = Owned::of(&d);
        owned.workload.load = match load {
            0 => Load::Saturate,
            1 => Load::Concurrency(size),
            _ => Load::Rate(RequestsPerSecond::new(size as f64 / 50.0)),
        };
        let ms = |t: Option<u32>| t.map(|t| Seconds::millis(f64::from(t)));
        let targets = Targets { ttft: ms(ttft), tpot: ms(tpot), ..Targets::default() };
        let question = Question {
            workload: owned.workload,
            targets,
            objective: Objective::Throughput,
            top: 5,
            ..Question::new(&owned.model, &owned.cluster, std::slice::from_ref(owned.engine))
        };
        let answer = question.answer().unwrap();
        let c = answer.counts;
        prop_assert_eq!(c.plans, question.spaces().iter().map(PlanSpace::size).sum::<u64>());
        prop_assert_eq!(c.plans, c.illegal + c.out_of_memory + c.target_missed + c.feasible);
        prop_assert_eq!(c.plans, c.feasible + answer.rejected.iter().map(|r| r.count).sum::<u64>());
        prop_assert_eq!(answer.best.is_empty(), c.feasible == 0);
        prop_assert_eq!(answer.pareto.is_empty(), c.feasible == 0);
        for plan in answer.best.iter().chain(&answer.pareto) {
            prop_assert!(plan.gpus + plan.idle_gpus == u64::from(owned.cluster.gpus));
            prop_assert!(targets.ttft.is_none_or(|t| plan.service.ttft <= t));
            prop_assert!(targets.tpot.is_none_or(|t| plan.service.tpot <= t));
            let covers = |p: &Estimate| p.output_per_gpu >= plan.output_per_gpu && p.service.tpot <= plan.service.tpot;
            prop_assert!(answer.pareto.iter().any(covers));
        }
    }
}
