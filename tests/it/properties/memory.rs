//! Weights, caches and the memory that they take.

use shardfit::catalog::engine::{CacheLayout, FractionOf};
use shardfit::estimate::memory::MemoryUse;
use shardfit::model::blocks::Block;

use super::*;

proptest! {
    #![proptest_config(config(800))]

    #[test]
    fn weights_per_gpu_never_grow_with_tensor_parallel(d in draw(), tp in 0u32..6, pp in 1u32..9) {
        let model = d.model();
        let at = |tp: u32, ep: u32| heaviest(&model, Parallelism { tp, pp, ep, ..Parallelism::SINGLE });
        let tp = 1 << tp;
        prop_assert!(at(2 * tp, 1) <= at(tp, 1), "{} tp={tp} pp={pp}", model.id);
        prop_assert!(at(2 * tp, 2 * tp) <= at(tp, tp), "{} tp={tp} ep={tp} pp={pp}", model.id);
    }

    #[test]
    fn weights_per_gpu_never_grow_with_stages(d in draw(), tp in 0u32..4, pp in 1u32..20, more in 1u32..20) {
        let model = d.model();
        let at = |pp: u32| heaviest(&model, Parallelism { tp: 1 << tp, pp, ..Parallelism::SINGLE });
        prop_assert!(at(pp + more) <= at(pp), "{} tp={} pp={pp} and {}", model.id, 1 << tp, pp + more);
    }

    #[test]
    fn cache_per_request_never_grows_with_tensor_parallel(d in draw(), tp in 0u32..6) {
        // On one stage. With several, the figure is that of the fullest one, and which one that is may
        // change with the split: DeepSeek-V3 on pp=2 has stages of 31 and 30 layers.
        let owned = Owned::of(&d);
        let context = owned.context();
        let at = |tp: u32| context.memory(Parallelism { tp, ..Parallelism::SINGLE });
        let tp = 1 << tp;
        let (narrow, wide) = (at(tp), at(2 * tp));
        prop_assert!(wide.per_request <= narrow.per_request, "{} tp={tp}", owned.model.id);
        prop_assert!(wide.per_running_request <= narrow.per_running_request, "{} tp={tp}", owned.model.id);
    }

    #[test]
    fn parts_of_the_memory_sum_to_the_total_and_fit_in_the_gpu(d in draw()) {
        with_deployment(&d, |context, deployment| {
            let m = deployment.memory;
            let sum = [m.weights, m.kv_cache, m.activations, m.non_torch, m.cuda_graphs].into_iter().sum();
            prop_assert_eq!(m.total(), sum);
            prop_assert_eq!(m.capacity, context.cluster.gpu.memory);
            if m.kv_cache > Bytes::ZERO {
                // What the engine's rule leaves out of its own fraction (vLLM's graphs up to 0.20) must
                // still find room.
                prop_assert!(m.total() <= m.capacity, "{} of {}", m.total(), m.capacity);
            }
            Ok(())
        })?;
    }

    #[test]
    fn more_memory_never_turns_a_fit_into_a_failure(d in draw(), factor in 1.0..3.0f64) {
        // At equal launch limits: engines raise their defaults on larger GPUs.
        let small = Owned::of(&d);
        let large = small.on(|gpu| gpu.memory = Bytes::ceil(gpu.memory.as_f64() * factor));
        let (a, b) = (small.context(), large.context());
        for (split, _) in legal(&a) {
            let (a, b) = (a.memory(split), b.memory(split));
            prop_assert!(b.verdict() <= a.verdict(), "{} {split}", small.model.id);
            prop_assert!(b.largest_batch() >= a.largest_batch(), "{} {split}", small.model.id);
        }
    }

    #[test]
    fn longer_requests_never_fit_more_sequences(d in draw(), longer in 1u64..50_000) {
        let short = Owned::of(&d);
        let mut long = Owned::of(&d);
        long.workload.isl += longer;
        let (a, b) = (short.context(), long.context());
        for (split, _) in legal(&a) {
            let (a, b) = (a.memory(split), b.memory(split));
            prop_assert!(b.largest_batch() <= a.largest_batch(), "{} {split}", short.model.id);
            // The verdict is that of the stage that holds the fewest requests. Where windows cap part of
            // the cache, another stage may take that place as requests grow and stand on the other side
            // of the uncertainty band: Gemma 3 12B on pp=3 turns from marginal to fits.
            let worsens = b.verdict() >= a.verdict();
            let within_band = split.pp > 1 && a.verdict() == Verdict::Marginal;
            prop_assert!(worsens || within_band, "{} {split}", short.model.id);
        }
    }

    #[test]
    fn weights_and_cache_per_token_never_grow_with_expert_parallel_or_stages(d in draw()) {
        // Between legal splits that differ in one degree, and layer by layer: where an engine puts layers of one kind
        // into groups of a size, stages of nine of Gemma 2 2B's layers pad by more than those of thirteen.
        let owned = Owned::of(&d);
        let mut by_layer = owned.engine.clone();
        by_layer.memory.cache_layout = CacheLayout::Exact;
        let context = owned.context_under(&by_layer);
        let splits: Vec<Parallelism> = legal(&context).into_iter().map(|(split, _)| split).collect();
        let of = |split| context.memory_question(split).by_stage();
        for narrow in &splits {
            for wide in &splits {
                // Ranks that experts do not divide hold one more than others.
                let even = context.divisors.experts.iter().all(|n| n.is_multiple_of(u64::from(wide.ep)));
                let more_experts = Parallelism { ep: wide.ep, ..*narrow } == *wide && wide.ep > narrow.ep && even;
                let more_stages = Parallelism { pp: wide.pp, ..*narrow } == *wide && wide.pp > narrow.pp;
                if !(more_experts || more_stages) {
                    continue;
                }
                let most = |split: Parallelism, part: fn(&MemoryUse) -> Bytes| {
                    of(split).iter().map(|(_, m)| part(m)).max().unwrap()
                };
                let (a, b) = (most(*narrow, |m| m.weights), most(*wide, |m| m.weights));
                // A tied head is copied to the last stage; it may be the heavier half of two.
                prop_assert!(b <= a, "{} {narrow} {a} and {wide} {b}", owned.model.id);
                let (a, b) = (most(*narrow, |m| m.per_request), most(*wide, |m| m.per_request));
                prop_assert!(b <= a, "{} {narrow} {a} and {wide} {b}", owned.model.id);
            }
        }
    }

    #[test]
    fn what_a_rank_holds_of_a_sequence_never_grows_with_those_that_divide_it(d in draw(), more in 1u32..6) {
        let owned = Owned::of(&d);
        let context = owned.context();
        for (split, _) in legal(&context) {
            let wider = Parallelism { dcp: split.dcp << more, ..split };
            if context.check(wider).is_err() {
                continue;
            }
            let (a, b) = (context.memory(split), context.memory(wider));
            prop_assert_eq!((a.weights, a.kv_cache), (b.weights, b.kv_cache));
            prop_assert!(b.per_request <= a.per_request, "{} {split}", owned.model.id);
            prop_assert!(b.largest_batch() >= a.largest_batch(), "{} {split}", owned.model.id);
            prop_assert!(b.kv_cache_tokens >= a.kv_cache_tokens, "{} {split}", owned.model.id);
        }
    }

    #[test]
    fn the_total_grows_with_tensor_parallel_by_the_declared_reserve_at_most(d in draw(), tp in 0u32..5) {
        let owned = Owned::of(&d);
        let context = owned.context();
        let rule = &owned.engine.memory;
        let kinds = [rule.non_torch_pcie, rule.non_torch_rocm].into_iter().flatten();
        let most = kinds.fold(rule.non_torch_multi_gpu, Bytes::max) + rule.non_torch_experts;
        let reserve = most.saturating_sub(rule.non_torch);
        let need = |tp: u32| {
            let m = context.memory(Parallelism { tp, ..Parallelism::SINGLE });
            m.weights + m.per_request + m.activations + m.non_torch + m.cuda_graphs
        };
        let (narrow, wide) = (need(1 << tp), need(2 << tp));
        prop_assert!(wide <= narrow + reserve, "{} on {} by {} tp={}: {narrow}, then {wide}", owned.model.id, context.cluster.gpu.id, owned.engine.id, 1 << tp);
    }

    #[test]
    fn cache_and_the_rest_are_the_budget_and_tokens_fill_the_cache(d in draw()) {
        with_deployment(&d, |context, deployment| {
            let m = deployment.memory;
            if m.kv_cache == Bytes::ZERO {
                return Ok(());
            }
            prop_assert_eq!(m.weights + m.kv_cache, m.for_weights_and_cache);
            let rule = &context.engine.memory;
            if rule.fraction_of == FractionOf::Total {
                let inside = if rule.graphs_inside_fraction { m.cuda_graphs } else { Bytes::ZERO };
                let around = m.activations + m.non_torch + inside;
                let budget = m.weights + m.kv_cache + around;
                prop_assert!(budget <= m.capacity);
            }
            // A window holds the tokens in flight too, and vLLM logs capacity as if it did not; llama.cpp counts windows and
            // states for each slot.
            let apart = |block: &Block| match block {
                Block::Attention(a) => a.window.is_some(),
                Block::Compressed(_) => true,
                Block::Recurrent(_) => rule.cache_layout == CacheLayout::Cells,
                _ => false,
            };
            let grouped = matches!(rule.cache_layout, CacheLayout::Grouped | CacheLayout::GroupedByContext);
            let cells = rule.cache_layout == CacheLayout::Cells;
            if (grouped || cells) && context.model.layer_blocks().any(apart) {
                return Ok(());
            }
            // Tokens of requests at full length: one more would not go in. llama.cpp pads a request to 256 cells.
            let length = context.workload.longest_context();
            let length = if cells { length.next_multiple_of(256) } else { length };
            let place = format!("{} on {} by {}", context.model.id, context.cluster.gpu.id, context.engine.id);
            let bytes = |tokens: u64| tokens as f64 / length as f64 * m.per_request.as_f64();
            let (most, held) = (bytes(m.kv_cache_tokens), m.kv_cache.as_f64());
            prop_assert!(most <= held * (1.0 + SLACK), "{place}: {most} of {held}");
            if m.per_request > Bytes::ZERO {
                prop_assert!(bytes(m.kv_cache_tokens + 1) > held * (1.0 - SLACK), "{place}: {most} of {held}");
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_draft_model_only_ever_adds(d in draw(), small in any::<Index>()) {
        let own = Owned::of(&d);
        let draft = small.get(models()).clone();
        let mut with = Owned::of(&d);
        with.model = with.model.with_draft(draft);
        let (a, b) = (own.context(), with.context());
        let of = |context: &Context| context.memory(Parallelism::SINGLE);
        prop_assert!(of(&b).weights >= of(&a).weights);
        prop_assert!(of(&b).largest_batch() <= of(&a).largest_batch(), "{}", own.model.id);
    }
}
