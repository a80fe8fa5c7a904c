//! Weights on a rank: what it holds of each tensor, how engines pad it, and how it lies in memory.

use super::inventory::{Inventory, Stored};
use super::question::MemoryQuestion;
use super::stages::StageLayers;
use crate::catalog::engine::{Allocator, PackedPadding};
use crate::dtype::{DType, WeightFormat};
use crate::model::{Model, RankGroups, Role, Scope, Split, Storage, Tensor, TensorClass};
use crate::units::Bytes;

/// Weights on the fullest rank of a stage, byte by byte: embedding on the first stage, head on the last,
/// a copy of a tied embedding on both.
pub fn weights_on_rank(
    model: &Model,
    groups: RankGroups,
    counts: &[u64],
    (first, last): (bool, bool),
) -> Bytes {
    let inventory = Inventory::of(model);
    let exact = Weights::exact(model, &inventory, groups);
    exact.of_stage(&StageLayers { layers: counts.to_vec(), experts: counts.to_vec(), first, last })
}

/// Weights of a rank of a stage as the question's engine holds them, its rotary tables with them.
pub(super) fn on_rank(q: &MemoryQuestion, stage: &StageLayers) -> Bytes {
    let rule = &q.engine.memory;
    let native = q.gpu.peak(DType::Fp4).is_some();
    let padding = rule.mxfp4_padding.map(|p| match native {
        true => PackedPadding { hidden: p.native, inner: p.native_inner.unwrap_or(p.native), ..p },
        false if q.gpu.architecture == "hopper" => PackedPadding { inner: p.hopper.unwrap_or(p.inner), ..p },
        false => p,
    });
    let tables: Bytes = q.model.rotary.iter().map(|t| rule.rotary_value * t.values()).sum();
    let groups = q.parallelism.groups();
    // Where host and GPU share a memory, the embedding is in it either way.
    let host_embedding = rule.host_embedding && !matches!(q.gpu.platform(), "apple" | "cpu");
    let scales_left = if native { Bytes::ZERO } else { rule.fp4_scales_left };
    let of = |model, inventory| Weights {
        allocator: rule.allocator,
        padding,
        host_embedding,
        scales_left,
        absorbed_copies: rule.absorbed_copies,
        redundant_experts: q.limits.start.redundant_experts,
        towers: q.sees() || !q.model.sees(),
        ..Weights::exact(model, inventory, groups)
    };
    // A draft model stands whole on the last stage.
    let draft = q.model.draft.as_deref().zip(q.inventory.draft()).filter(|_| stage.last);
    let draft = draft.map_or(Bytes::ZERO, |(draft, inventory)| {
        let layers: Vec<u64> = draft.groups.iter().map(|g| g.layers.len() as u64).collect();
        let whole = StageLayers { experts: layers.clone(), layers, first: true, last: true };
        of(draft, inventory).of_stage(&whole)
    });
    of(q.model, q.inventory).of_stage(stage) + tables + draft
}

/// What the host's memory holds: the layers that are with it, the experts of others, and the embedding; a tied
/// head is the embedding itself.
pub(super) fn on_host(q: &MemoryQuestion, host: &StageLayers) -> Bytes {
    let exact = Weights::exact(q.model, q.inventory, q.parallelism.groups());
    let after = if host.last { q.inventory.after() } else { &[] };
    exact.allocated(q.inventory.before().iter().chain(after)) + exact.of_layers(host)
}

/// The weights of a stage's layers on a rank: what may stay in the host's memory.
pub(super) fn of_layers(q: &MemoryQuestion, stage: &StageLayers) -> Bytes {
    let exact = Weights {
        redundant_experts: q.limits.start.redundant_experts,
        ..Weights::exact(q.model, q.inventory, q.parallelism.groups())
    };
    exact.of_layers(stage)
}

/// The weights of a layer of a stage in the mean.
pub(super) fn layer(q: &MemoryQuestion, stage: &StageLayers) -> Bytes {
    Bytes::new(of_layers(q, stage).get() / stage.count().max(1))
}

/// The largest tensor that is with the host, of its layers.
pub(super) fn largest_on_host(q: &MemoryQuestion, host: &StageLayers) -> Bytes {
    let groups = q.parallelism.groups();
    let held = q.inventory.layers().zip(host.layers.iter().zip(&host.experts));
    let tensors = held.flat_map(|(tensors, (layers, experts))| {
        let (layers, experts) = (*layers > 0, *experts > 0);
        tensors.iter().filter(move |(tensor, _)| layers || experts && is_expert(tensor))
    });
    tensors.map(|(tensor, storage)| tensor.stored_on_rank(*storage, groups)).max().unwrap_or(Bytes::ZERO)
}

/// The output projection, tied or not.
pub(super) fn head(q: &MemoryQuestion) -> Bytes {
    let groups = q.parallelism.groups();
    let of = |(tensor, storage): &Stored| tensor.stored_on_rank(*storage, groups);
    q.inventory.after().iter().chain(q.inventory.tied_head()).map(of).max().unwrap_or(Bytes::ZERO)
}

/// Whether it is a matrix of all routed experts of a layer.
fn is_expert(tensor: &Tensor) -> bool {
    matches!(tensor.split, Split::Experts { .. })
}

struct Weights<'a> {
    model: &'a Model,
    inventory: &'a Inventory,
    groups: RankGroups,
    allocator: Allocator,
    padding: Option<PackedPadding>,
    host_embedding: bool,
    scales_left: Bytes,
    absorbed_copies: bool,
    /// Experts of a layer that are held a second time, over all ranks.
    redundant_experts: u64,
    /// Whether encoders of images are loaded.
    towers: bool,
}

impl<'a> Weights<'a> {
    /// The tensors alone.
    fn exact(model: &'a Model, inventory: &'a Inventory, groups: RankGroups) -> Weights<'a> {
        Weights {
            model,
            inventory,
            groups,
            allocator: Allocator::Exact,
            padding: None,
            host_embedding: false,
            scales_left: Bytes::ZERO,
            absorbed_copies: false,
            redundant_experts: 0,
            towers: true,
        }
    }

    fn of_stage(&self, stage: &StageLayers) -> Bytes {
        let (model, all) = (self.model, self.inventory);
        let some = |wanted: bool, of: &'a [Stored]| if wanted { of } else { &[] };
        let before = some(stage.first && !self.host_embedding, all.before());
        let towers = some(stage.first && model.scope == Scope::Full && self.towers, all.towers());
        let after = some(stage.last, all.after());
        let tied = some(stage.last && (!stage.first || self.host_embedding), all.tied_head());
        let outside = before.iter().chain(towers).chain(after).chain(tied);
        self.allocated(outside) + self.of_layers(stage)
    }

    /// The layers of a part; it may have more or fewer of their experts than of the rest.
    fn of_layers(&self, part: &StageLayers) -> Bytes {
        let mut bytes = Bytes::ZERO;
        for (tensors, (layers, experts)) in self.inventory.layers().zip(part.layers.iter().zip(&part.experts))
        {
            if layers == experts {
                if *layers > 0 {
                    bytes += self.allocated(tensors.iter()) * *layers;
                }
                continue;
            }
            bytes += self.allocated(tensors.iter().filter(|(t, _)| !is_expert(t))) * *layers;
            bytes += self.allocated(tensors.iter().filter(|(t, _)| is_expert(t))) * *experts;
        }
        bytes
    }

    /// Bytes of tensors as they are allocated: engines fuse the projections of one input into one tensor,
    /// and stack a layer's experts. Scales are small tensors of their own.
    fn allocated<'t>(&self, tensors: impl Iterator<Item = &'t Stored>) -> Bytes {
        let mut total = Bytes::ZERO;
        let mut held = Bytes::ZERO;
        for (tensor, storage) in tensors {
            let bytes = self.on_rank(tensor, storage.elements());
            total += self.on_rank(tensor, *storage).saturating_sub(bytes) + self.beside(tensor, *storage);
            let copies = if is_expert(tensor) { 1 } else { tensor.copies.max(1) };
            let small = matches!(tensor.class, TensorClass::Vector | TensorClass::Adapter);
            if small || copies > 1 {
                // Biases may stand between matrices that join.
                total += self.block(Bytes::new(bytes.get() / copies)) * copies;
            } else if tensor.joins {
                held += bytes;
            } else {
                total += self.block(held);
                held = bytes;
            }
        }
        total + self.block(held)
    }

    /// What loading leaves beside a tensor: DeepSeek-V4's FP4 scales in the type they were loaded in, and the
    /// halves of the matrix that expands latents, which attention over latents multiplies by.
    fn beside(&self, tensor: &Tensor, storage: Storage) -> Bytes {
        let around = self.model.quantisation.storage.is_some_and(|s| s.format != WeightFormat::Mxfp4);
        if around && is_expert(tensor) && storage.format == WeightFormat::Mxfp4 {
            let scales =
                self.on_rank(tensor, storage).saturating_sub(self.on_rank(tensor, storage.elements()));
            return self.scales_left * scales.get();
        }
        if self.absorbed_copies && tensor.role == Role::ExpandKeys {
            return tensor.stored_on_rank(WeightFormat::Bf16, self.groups);
        }
        Bytes::ZERO
    }

    /// What a rank holds of a tensor, padded as its kernels want it.
    fn on_rank(&self, tensor: &Tensor, storage: Storage) -> Bytes {
        match (self.padding, tensor.split) {
            (Some(pad), Split::Experts { inner }) if storage.format == WeightFormat::Mxfp4 => {
                let down = tensor.role == Role::Return;
                let (width, own) =
                    if down { (tensor.rows, tensor.columns) } else { (tensor.columns, tensor.rows) };
                let share =
                    inner.div_ceil(self.groups.expert_tensor).max(1).saturating_mul(own / inner.max(1));
                let (width, share) = (width.next_multiple_of(pad.hidden), share.next_multiple_of(pad.inner));
                let (rows, columns) = if down { (width, share) } else { (share, width) };
                let one = storage.stored_bytes(rows, columns).unwrap_or(u64::MAX);
                Bytes::new(one) * self.experts_of(tensor)
            }
            (_, Split::Experts { .. }) if self.redundant_experts > 0 => {
                let own = tensor.stored_on_rank(storage, self.groups);
                Bytes::new(own.get() / tensor.copies.div_ceil(self.groups.expert).max(1))
                    * self.experts_of(tensor)
            }
            _ => tensor.stored_on_rank(storage, self.groups),
        }
    }

    /// Experts on the fullest rank, with those that are held a second time.
    fn experts_of(&self, tensor: &Tensor) -> u64 {
        tensor.copies.saturating_add(self.redundant_experts).div_ceil(self.groups.expert)
    }

    /// What the allocator takes for one tensor. PyTorch's hands out pieces of segments; tensors of 10 MiB
    /// and more get a segment in whole 2 MiB, of which it splits off the rest only where that exceeds
    /// 1 MiB (`c10/cuda/CUDACachingAllocator.cpp`: `kMinLargeAlloc`, `kRoundLarge`, `kSmallSize`).
    fn block(&self, tensor: Bytes) -> Bytes {
        const MIB: u64 = 1 << 20;
        let bytes = tensor.get();
        if self.allocator == Allocator::Exact || bytes < 10 * MIB {
            return tensor;
        }
        let segment = bytes.div_ceil(2 * MIB).saturating_mul(2 * MIB);
        let whole = self.allocator == Allocator::Segments || segment - bytes <= MIB;
        Bytes::new(if whole { segment } else { bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::memory::stage_layers;
    use crate::model::find;

    #[test]
    fn uneven_stages_put_the_rest_before_the_last() {
        let model = find("llama-3.1-405b", &[], Scope::Full).unwrap();
        let layers: Vec<u64> = stage_layers(&model, 4).iter().map(|c| c.iter().sum()).collect();
        assert_eq!(layers, [31, 32, 32, 31]);
    }

    #[test]
    fn stages_hold_every_layer_once() {
        let model = find("deepseek-v3", &[], Scope::Full).unwrap();
        for pp in 1..=61 {
            let stages = stage_layers(&model, pp);
            assert_eq!(stages.len(), pp as usize);
            let held: Vec<u64> = (0..model.groups.len()).map(|g| stages.iter().map(|s| s[g]).sum()).collect();
            let expected: Vec<u64> = model.groups.iter().map(|g| g.layers.len() as u64).collect();
            assert_eq!(held, expected);
        }
    }

    #[test]
    fn pytorch_keeps_what_it_does_not_split_off() {
        // Qwen2.5-7B: 2 MiB a layer beside its parameters, 14.25 GiB in vLLM's logs.
        let model = find("qwen2.5-7b", &[], Scope::Full).unwrap();
        let inventory = Inventory::of(&model);
        let of = |allocator| {
            let w = Weights { allocator, ..Weights::exact(&model, &inventory, RankGroups::SINGLE) };
            w.of_stage(&StageLayers { layers: vec![28], experts: vec![28], first: true, last: true }).as_gib()
        };
        let (exact, blocks) = (of(Allocator::Exact), of(Allocator::Blocks));
        assert!((exact - 14.185).abs() < 0.001, "{exact}");
        assert!((blocks - 14.240).abs() < 0.003, "{blocks}");
        assert!(of(Allocator::Segments) >= blocks);
    }

    #[test]
    fn experts_in_mxfp4_are_padded_as_their_kernels_want_them() {
        use crate::catalog::{self, Cluster};
        use crate::estimate::context::{Context, ContextParts};
        let model = find("gpt-oss-120b", &[], Scope::Full).unwrap();
        let cluster = Cluster::of_gpus(catalog::gpu("h100-sxm").unwrap(), 1).unwrap();
        let of = |engine: &str| {
            let engine = catalog::engine(engine).unwrap();
            let parts = ContextParts {
                model: &model,
                cluster: &cluster,
                engine: &engine,
                limits: crate::estimate::memory::LimitOverrides::default(),
                kv: None,
                workload: crate::workload::Workload::new(4095, 1),
                electricity: None,
            };
            let split = crate::plan::Parallelism { tp: 1, pp: 1, ep: 1, attention_dp: 1, dcp: 1 };
            Context::new(parts).unwrap().memory_question(split).answer().weights.as_gib()
        };
        // Marlin: https://github.com/vllm-project/vllm/issues/23278. Triton: 64.38 GiB in issues/33155.
        assert!((of("vllm@0.11.0") - 65.965).abs() < 0.1, "{}", of("vllm@0.11.0"));
        assert!((of("vllm@0.14.1") - 64.38).abs() < 0.25, "{}", of("vllm@0.14.1"));
    }

    #[test]
    fn loading_leaves_copies_and_scales_beside_the_tensors() {
        let of = |name, absorbed_copies, scales_left| {
            let model = find(name, &[], Scope::Full).unwrap();
            let inventory = Inventory::of(&model);
            let w = Weights {
                absorbed_copies,
                scales_left,
                ..Weights::exact(&model, &inventory, RankGroups::SINGLE)
            };
            let layers: Vec<u64> = model.groups.iter().map(|g| g.layers.len() as u64).collect();
            w.of_stage(&StageLayers { experts: layers.clone(), layers, first: true, last: true }).as_gib()
        };
        // 61 layers of 128 heads, 128 features of keys and of values each, over latents of 512.
        let copies = of("deepseek-v3", true, Bytes::ZERO) - of("deepseek-v3", false, Bytes::ZERO);
        assert!((copies - 61.0 * 128.0 * 256.0 * 512.0 * 2.0 / f64::from(1 << 30)).abs() < 1e-6, "{copies}");
        // A scale for every 32 of 1.55e12 elements; eight H200 logged 22 GiB each.
        let scales = of("deepseek-v4-pro", false, Bytes::new(4)) - of("deepseek-v4-pro", false, Bytes::ZERO);
        assert!((scales / 8.0 - 22.5).abs() < 0.1, "{scales}");
        assert_eq!(of("gpt-oss-20b", false, Bytes::new(4)), of("gpt-oss-20b", false, Bytes::ZERO));
    }
}
