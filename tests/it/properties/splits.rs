//! What ranks hold together.

use super::*;

proptest! {
    #![proptest_config(config(800))]

    #[test]
    fn ranks_together_store_the_whole_checkpoint(
        d in draw(), tp in 0u32..6, dp in 0u32..4, pp in 1u32..12, ep in 0u32..10,
    ) {
        let model = d.model();
        let (tp, attention_dp) = (1 << tp, 1 << dp);
        let ep = (1u32 << ep).min(tp * attention_dp);
        let split = Parallelism { tp, pp, ep, attention_dp, dcp: 1 };
        let ranks = split.stage_ranks();
        let stages = stage_layers(&model, pp);
        let last = stages.len() - 1;
        let stored: Bytes = stages
            .iter()
            .enumerate()
            .map(|(i, c)| weights_on_rank(&model, split.groups(), c, (i == 0, i == last)) * ranks)
            .sum();
        prop_assert!(stored >= model.checkpoint_bytes(), "{} {split}", model.id);
    }

    #[test]
    fn split_tensors_are_stored_once_and_the_rest_on_every_rank(
        d in draw(), tp in 0u32..6, dp in 0u32..4, ep in 0u32..10,
    ) {
        let model = d.model();
        let (tensor, attention_data) = (1u64 << tp, 1u64 << dp);
        let ranks = tensor * attention_data;
        let expert = (1u64 << ep).min(ranks);
        let groups = RankGroups { tensor, attention_data, expert, expert_tensor: ranks / expert, context: 1 };
        for (t, format, _) in tensors(&model) {
            let (whole, all) = (t.stored(format).get(), t.stored_on_rank(format, groups).get() * ranks);
            // What a rank holds is rounded up to a byte, in each copy.
            let rounding = ranks * t.copies;
            let copies_of_all = match t.split {
                Split::Replicated => Some(ranks),
                Split::Tensor { units } if units.is_multiple_of(tensor) => Some(attention_data),
                Split::Tensor { units } if tensor.is_multiple_of(units) => Some(attention_data * tensor / units),
                Split::Experts { inner }
                    if t.copies.is_multiple_of(expert) && inner.is_multiple_of(groups.expert_tensor) =>
                {
                    Some(1)
                }
                _ => None,
            };
            if let Some(n) = copies_of_all {
                let expected = whole * n;
                prop_assert!(all >= expected && all <= expected + rounding, "{} {}: {all} and {expected}", model.id, t.name);
            }
            prop_assert!(all >= whole, "{} {}", model.id, t.name);
        }
    }
}

/// Every way to divide eight ranks and fewer, with one to three stages.
fn splits() -> Vec<Parallelism> {
    let mut splits = Vec::new();
    for (tp, attention_dp) in [(1, 1), (2, 1), (4, 1), (8, 1), (1, 2), (2, 2), (1, 8), (2, 4)] {
        for ep in [1, 2, 4, 8].into_iter().filter(|ep| (tp * attention_dp) % ep == 0) {
            splits.extend([1, 2, 3].map(|pp| Parallelism { tp, pp, ep, attention_dp, dcp: 1 }));
        }
    }
    splits
}

/// What all ranks of a stage hold of a tensor, as the table of splits in `docs/model.md` §1 declares it:
/// `None` where it does not divide evenly.
fn declared(t: &Tensor, storage: Storage, groups: RankGroups) -> Option<u64> {
    let (ranks, whole) = (groups.ranks(), t.stored(storage).get());
    let copies = match t.split {
        Split::Replicated => ranks,
        Split::Tensor { units } if units.is_multiple_of(groups.tensor) => groups.attention_data,
        Split::Tensor { units } if groups.tensor.is_multiple_of(units) => ranks / units,
        Split::Experts { inner }
            if t.copies.is_multiple_of(groups.expert) && inner.is_multiple_of(groups.expert_tensor) =>
        {
            1
        }
        Split::Vocabulary if t.rows.is_multiple_of(64 * groups.tensor) => groups.attention_data,
        _ => return None,
    };
    Some(whole * copies)
}

#[test]
fn ranks_hold_the_checkpoint_and_the_replicas_that_the_splits_declare() {
    for model in models() {
        for split in splits() {
            let (groups, stages) = (split.groups(), stage_layers(model, split.pp));
            let last = stages.len() - 1;
            let held: u64 = stages
                .iter()
                .enumerate()
                .map(|(i, c)| weights_on_rank(model, groups, c, (i == 0, i == last)).get() * groups.ranks())
                .sum();
            // A tied embedding stands on the first and on the last stage.
            let copy = model.tied_head().filter(|_| last > 0);
            let copy = copy.map(|head| (head.clone(), model.quantisation.outside(&head), 1));
            let (mut low, mut rounding) = (0, 0);
            let mut uneven = 0;
            for (t, storage, layers) in tensors(model).into_iter().chain(copy) {
                match declared(&t, storage, groups) {
                    Some(bytes) => low += bytes * layers,
                    None => uneven += t.stored_on_rank(storage, groups).get() * groups.ranks() * layers,
                }
                // What a rank holds is rounded up to a byte, in each copy.
                rounding += groups.ranks() * t.copies * layers;
            }
            let expected = low + uneven;
            assert!(
                held >= expected && held <= expected + rounding,
                "{} {split}: {held} held, {expected} declared",
                model.id
            );
            assert!(held >= model.checkpoint_bytes().get(), "{} {split}", model.id);
        }
    }
}
