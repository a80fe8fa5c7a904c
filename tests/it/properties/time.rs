//! Times of steps.

use super::*;

proptest! {
    #![proptest_config(config(800))]

    #[test]
    fn a_faster_gpu_never_slows_a_step(
        d in draw(), bandwidth in 1.0..4.0f64, peak in 1.0..4.0f64,
        prompt in 0u32..9000, sequences in 0u32..600, context in 1u32..40_000,
    ) {
        let step = Step {
            prefill_tokens: f64::from(prompt),
            prefill_sequences: if prompt > 0 { 1.0 } else { 0.0 },
            decode_sequences: f64::from(sequences),
            context: f64::from(context),
            ..Step::default()
        };
        let fast = Owned::of(&d).on(|gpu| {
            gpu.bandwidth = gpu.bandwidth * bandwidth;
            gpu.peak.values_mut().for_each(|p| *p = *p * peak);
        });
        let fast = fast.context();
        with_deployment(&d, |_, slow| {
            let fast = Deployment::compile(&fast, slow.parallelism, slow.placement);
            let (slow, fast) = (slow.pipeline.time(&step), fast.pipeline.time(&step));
            prop_assert!(fast.latency.get() <= slow.latency.get() * (1.0 + SLACK), "{slow:?} {fast:?}");
            prop_assert!(fast.interval.get() <= slow.interval.get() * (1.0 + SLACK), "{slow:?} {fast:?}");
            Ok(())
        })?;
    }

    #[test]
    fn more_work_never_takes_less_time(
        d in draw(), prompt in 1u32..9000, more_prompt in 0u32..2000, sequences in 0u32..600,
        more_sequences in 0u32..200, context in 1u32..40_000, more_context in 0u32..20_000,
        prior in 0u32..20_000, more_prior in 0u32..20_000,
    ) {
        let step = |prompt: u32, sequences: u32, context: u32, prior: u32| Step {
            prefill_tokens: f64::from(prompt),
            prefill_sequences: 1.0,
            prefill_prior: f64::from(prior),
            decode_sequences: f64::from(sequences),
            context: f64::from(context),
            ..Step::default()
        };
        with_deployment(&d, |_, deployment| {
            let base = step(prompt, sequences, context, prior);
            let least = deployment.pipeline.time(&base).latency.get();
            for more in [
                step(prompt + more_prompt, sequences, context, prior),
                step(prompt, sequences + more_sequences, context, prior),
                step(prompt, sequences, context + more_context, prior),
                step(prompt, sequences, context, prior + more_prior),
            ] {
                let time = deployment.pipeline.time(&more).latency.get();
                prop_assert!(time >= least * (1.0 - SLACK), "{more:?} {time} < {least} of {base:?}");
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_step_never_beats_the_roofline(
        d in draw(), prompt in 0u32..9000, sequences in 0u32..600, context in 1u32..40_000,
    ) {
        let step = Step {
            prefill_tokens: f64::from(prompt),
            prefill_sequences: if prompt > 0 { 1.0 } else { 0.0 },
            decode_sequences: f64::from(sequences),
            context: f64::from(context),
            ..Step::default()
        };
        with_deployment(&d, |c, deployment| {
            let lines = deployment.pipeline.explain(&step);
            let floors = lines.iter().map(|l| {
                let (compute, memory) = roofline(&l.operator, &step, &c.cluster.gpu);
                (compute * l.operator.count as f64, memory * l.operator.count as f64)
            });
            let (compute, memory) = floors.fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
            let time = deployment.pipeline.time(&step).latency.get();
            prop_assert!(
                time * above_datasheet(&c.cluster.gpu) >= compute.max(memory) * (1.0 - SLACK),
                "{} on {} with {} {}: {time} < {compute} or {memory}",
                c.model.id, c.cluster.gpu.id, c.engine.id, deployment.parallelism
            );
            Ok(())
        })?;
    }
}

/// Times of loaded steps under vLLM in a format of weights: 64 and 256 sequences that decode, and the prompts of those
/// that come after them, four tokens for each of an answer.
fn loaded_steps(model: &Model, (gpu, tp): (&str, u32), format: WeightFormat) -> [f64; 2] {
    let cluster = Cluster::of_gpus(catalog::gpu(gpu).unwrap(), 8).unwrap();
    let engine = engines().iter().find(|engine| engine.id == "vllm").unwrap();
    let model = model.clone().with_weights(format);
    let limits = LimitOverrides::default();
    let owned = Owned { model, cluster, engine, limits, workload: Workload::new(2048, 512) };
    let context = owned.context();
    let splits = [tp, 4, 2].map(|tp| Parallelism { tp, ..Parallelism::SINGLE });
    let legal =
        splits.into_iter().find_map(|split| context.check(split).ok().map(|placement| (split, placement)));
    let (split, placement) = legal.unwrap();
    let deployment = Deployment::compile(&context, split, placement);
    let loaded = |sequences: f64| Step {
        prefill_tokens: 4.0 * sequences,
        prefill_sequences: 1.0,
        decode_sequences: sequences,
        context: 2304.0,
        ..Step::default()
    };
    [loaded(64.0), loaded(256.0)].map(|step| deployment.pipeline.time(&step).latency.get())
}

#[test]
fn fp8_weights_never_slow_a_loaded_mixture_on_hopper() {
    let mixtures: Vec<&Model> = models().iter().filter(|model| model.is_moe()).collect();
    assert!(mixtures.len() > 30, "{}", mixtures.len());
    for (model, gpu) in mixtures.into_iter().cartesian_product(["h100-sxm", "h200-sxm"]) {
        // As many ranks as 16-bit weights need: more leave each so little that launches decide.
        let bytes = heaviest(&model.clone().with_weights(WeightFormat::Bf16), Parallelism::SINGLE).as_f64();
        let tp = if bytes < 60e9 { 1 } else { 8 };
        let wide = loaded_steps(model, (gpu, tp), WeightFormat::Bf16);
        let narrow = loaded_steps(model, (gpu, tp), WeightFormat::Fp8);
        for (narrow, wide) in narrow.into_iter().zip(wide) {
            assert!(narrow <= 1.1 * wide, "{} on {tp} {gpu}: {narrow} s, {wide} s in 16 bits", model.id);
        }
    }
}
