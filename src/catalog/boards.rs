//! Each board and slice that a GPU's file describes, as a GPU of its own.

use std::collections::BTreeMap;

use super::gpu::Gpu;
use super::kernels::KernelTables;
use super::link::{Link, LinkKind};
use super::variant::{Slice, Variant, names};
use crate::diagnostic::same_letters;
use crate::units::{BytesPerSecond, Seconds};

impl Gpu {
    /// The board or slice of this description that one of `names` means; the description itself where none does.
    pub(super) fn meant_by(mut self, names: &[&str]) -> Gpu {
        let (variants, slices) = (std::mem::take(&mut self.variants), std::mem::take(&mut self.mig));
        let means = |of: &str| names.iter().any(|name| same_letters(name, of));
        if let Some(found) = variants.into_iter().find(|v| means(&v.id) || v.aliases.iter().any(|a| means(a)))
        {
            return self.varied(found);
        }
        let aliases: Vec<&str> = self.aliases.iter().map(String::as_str).collect();
        let called = |profile: &String| {
            means(&names::slice_id(&self.id, profile))
                || names::slice_aliases(&aliases, profile).iter().any(|alias| means(alias))
        };
        match slices.into_iter().find(|(profile, _)| called(profile)) {
            Some((profile, slice)) => self.sliced(&profile, slice),
            None => self,
        }
    }

    /// Every board and slice of the description, each as a GPU of its own.
    pub(super) fn all_variants(&self) -> Vec<Gpu> {
        let boards = self.variants.iter().map(|variant| self.clone().varied(variant.clone()));
        let slices = self.mig.iter().map(|(profile, slice)| self.clone().sliced(profile, *slice));
        boards.chain(slices).collect()
    }

    fn varied(self, by: Variant) -> Gpu {
        Gpu {
            id: by.id,
            name: by.name,
            aliases: by.aliases,
            // What the driver keeps of another size of memory is not known from this one's.
            board_memory: by.board_memory.or(if by.memory.is_some() { None } else { self.board_memory }),
            memory: by.memory.unwrap_or(self.memory),
            bandwidth: by.bandwidth.unwrap_or(self.bandwidth),
            peak: by.peak.unwrap_or(self.peak),
            multiprocessors: by.multiprocessors.unwrap_or(self.multiprocessors),
            cache: by.cache.unwrap_or(self.cache),
            scale_up: by.scale_up.unwrap_or(self.scale_up),
            tdp: by.tdp.unwrap_or(self.tdp),
            idle_power: by.idle_power.unwrap_or(self.idle_power),
            // Another board is rented at another price.
            price: by.price,
            sources: by.sources.into_iter().chain(self.sources).collect(),
            variants: Vec::new(),
            mig: BTreeMap::new(),
            ..self
        }
    }

    fn sliced(self, profile: &str, slice: Slice) -> Gpu {
        let compute = f64::from(slice.multiprocessors) / f64::from(self.multiprocessors.max(1));
        let aliases: Vec<&str> = self.aliases.iter().map(String::as_str).collect();
        Gpu {
            aliases: names::slice_aliases(&aliases, profile),
            name: names::slice_name(&self.name, profile),
            memory: slice.memory,
            board_memory: None,
            bandwidth: self.bandwidth * slice.memory_share,
            peak: self.peak.into_iter().map(|(dtype, peak)| (dtype, peak * compute)).collect(),
            half_sums: self.half_sums.map(|peak| peak * compute),
            multiprocessors: slice.multiprocessors,
            cache: self.cache.scaled(slice.memory_share),
            scale_up: BETWEEN_SLICES,
            scale_out: Link { bandwidth: FROM_A_SHARED_PORT, kind: LinkKind::Ethernet, ..self.scale_out },
            gpus_per_node: 1,
            tdp: self.tdp * compute,
            idle_power: self.idle_power * compute,
            price: None,
            kernels_from: Some(self.kernels_from.unwrap_or_else(|| self.id.clone())),
            kernels: KernelTables::default(),
            id: names::slice_id(&self.id, profile),
            variants: Vec::new(),
            mig: BTreeMap::new(),
            slice: Some(profile.to_owned()),
            ..self
        }
    }
}

/// Slices reach each other through the host's memory: NVIDIA's MIG user guide, "Application considerations", has no
/// peer-to-peer between them. Latency is typical.
const BETWEEN_SLICES: Link = Link {
    kind: LinkKind::Pcie,
    bandwidth: BytesPerSecond::new(16e9),
    latency: Seconds::micros(10.0),
    oversubscription: None,
    peer_to_peer: Some(false),
};

/// A 100 Gbit/s port of the node, shared by eight slices; typical.
const FROM_A_SHARED_PORT: BytesPerSecond = BytesPerSecond::new(12.5 / 8.0 * 1e9);
