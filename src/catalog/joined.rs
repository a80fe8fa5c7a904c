//! Cards of several kinds in one machine, of which each replica takes some of every kind.

use itertools::Itertools as _;

use super::cards::Cards;
use super::cluster::Cluster;
use super::engine::Engine;
use super::gpu::Gpu;
use super::link::{Link, LinkKind};
use crate::units::{Bytes, UsdPerHour, Watts};

/// Most kinds that a replica spans.
const MOST_KINDS: usize = 4;

/// Most cards of a replica that spans kinds: as many as llama.cpp drives (`ggml-cuda.h`, `GGML_CUDA_MAX_DEVICES`).
const MOST_CARDS: u32 = 16;

/// Ways to take cards of the same kinds that are looked at one by one; of more, those that leave the fewest idle.
const MOST_WAYS: usize = 16;

impl Cluster {
    /// Whether its replicas span kinds of GPU.
    pub fn spans_kinds(&self) -> bool {
        !self.cards.is_empty()
    }

    /// The kinds of GPU that each of its replicas stands on, in the order of their stages.
    pub fn kinds(&self) -> impl Iterator<Item = &Gpu> {
        let own = self.cards.is_empty().then_some(&self.gpu);
        own.into_iter().chain(self.cards.iter().map(|cards| &cards.gpu))
    }

    /// Cards of each replica that spans kinds; `None` where replicas are of any size, on one kind.
    pub fn cards_of_replica(&self) -> Option<u32> {
        self.spans_kinds().then(|| self.cards.iter().map(|cards| cards.each).sum())
    }

    /// What the GPUs of a replica are called: one name, or how many of which.
    pub fn gpu_label(&self) -> String {
        match self.spans_kinds() {
            false => self.gpu.id.clone(),
            true => self.cards.iter().map(|cards| format!("{}x{}", cards.each, cards.gpu.id)).join("+"),
        }
    }

    /// Power limit of one of its GPUs, in the mean.
    pub fn power_limit(&self) -> Watts {
        self.mean_power(|gpu| gpu.tdp)
    }

    /// Power of one of its GPUs when idle, in the mean.
    pub fn idle_power(&self) -> Watts {
        self.mean_power(|gpu| gpu.idle_power)
    }

    fn mean_power(&self, of: impl Fn(&Gpu) -> Watts) -> Watts {
        let Some(cards) = self.cards_of_replica() else { return of(&self.gpu) };
        let all: f64 = self.cards.iter().map(|cards| of(&cards.gpu).get() * f64::from(cards.each)).sum();
        Watts::new(all / f64::from(cards))
    }

    /// Memory of all its GPUs.
    pub fn memory(&self) -> Bytes {
        match self.cards_of_replica() {
            None => self.gpu.memory * u64::from(self.gpus),
            Some(cards) => {
                self.memory_of_cards().into_iter().sum::<Bytes>() * u64::from(self.gpus / cards.max(1))
            }
        }
    }

    /// Memory of the cards of a replica, one after the other; empty where replicas are on one kind.
    pub fn memory_of_cards(&self) -> Vec<Bytes> {
        let of = |cards: &Cards| std::iter::repeat_n(cards.gpu.memory, cards.each as usize);
        self.cards.iter().flat_map(of).collect()
    }

    /// As many replicas as pools hold of so many cards of each; before each pool the cards of the machine before it.
    fn of_cards(pools: &[(u32, &Cluster)], each: &[u32]) -> Option<Cluster> {
        let (_, first) = pools.first()?;
        let replicas = pools.iter().zip(each).map(|((_, pool), each)| pool.gpus / (*each).max(1)).min()?;
        let cards = pools.iter().zip(each).map(|((before, pool), each)| Cards {
            gpu: pool.gpu.clone(),
            each: *each,
            first: *before,
            price: pool.price,
        });
        let cards: Vec<Cards> = cards.collect();
        let of_one: u32 = each.iter().sum();
        let gpus = of_one.checked_mul(replicas).filter(|gpus| *gpus > 0)?;
        let price = cards.iter().map(|c| c.price.map(|price| price.get() * f64::from(c.each)));
        let price = price.sum::<Option<f64>>().map(|all| UsdPerHour::new(all / f64::from(of_one)));
        let links = pools.iter().map(|(_, pool)| pool.scale_up);
        let cluster = Cluster {
            id: String::new(),
            gpus_per_node: gpus,
            nodes: 1,
            gpus,
            scale_up: links.reduce(narrower)?,
            bridge: None,
            host: first.host.filter(|host| pools.iter().all(|(_, pool)| pool.host == Some(*host))),
            price,
            cards,
            ..(*first).clone()
        };
        Some(Cluster { id: cluster.gpu_label(), ..cluster })
    }
}

/// The link over which two cards hand on what both carry.
fn narrower(a: Link, b: Link) -> Link {
    Link {
        bandwidth: if b.bandwidth < a.bandwidth { b.bandwidth } else { a.bandwidth },
        latency: a.latency.max(b.latency),
        peer_to_peer: Some(a.peer_to_peer != Some(false) && b.peer_to_peer != Some(false)),
        ..a
    }
}

/// The clusters whose replicas span kinds of the pools that can share a machine: two to four kinds of cards in slots of one
/// node each, of one platform, which one program drives. Every choice of cards of each kind; where those are many, the ones
/// of which so many equal replicas use the most.
pub fn joined(pools: &[Cluster]) -> Vec<Cluster> {
    let in_slots = |pool: &&Cluster| {
        pool.nodes == 1
            && pool.scale_up.kind == LinkKind::Pcie
            && pool.has_own_memory()
            && pool.gpu.slice.is_none()
            && !pool.spans_kinds()
    };
    let mut before = 0u32;
    let numbered = pools.iter().filter(in_slots).map(|pool| {
        let first = before;
        before = before.saturating_add(pool.gpus);
        (first, pool)
    });
    let able: Vec<(u32, &Cluster)> = numbered.collect();
    if !(2..=MOST_KINDS).contains(&able.len()) {
        return Vec::new();
    }
    let of = (2..=able.len()).rev().flat_map(|kinds| able.iter().copied().combinations(kinds));
    of.filter(|pools| pools.iter().map(|(_, pool)| pool.gpu.platform()).all_equal())
        .flat_map(|pools| {
            let ways = ways(&pools.iter().map(|(_, pool)| pool.gpus).collect::<Vec<_>>());
            ways.into_iter().filter_map(move |each| Cluster::of_cards(&pools, &each)).collect::<Vec<_>>()
        })
        .collect()
}

/// Those of them that are worth asking engines about: all where one of them spans kinds, else the largest, to say that none
/// does.
pub fn joined_for(pools: &[Cluster], engines: &[Engine]) -> Vec<Cluster> {
    let mut all = joined(pools);
    if !engines.iter().any(|engine| engine.parallel.spans_kinds) {
        all.truncate(1);
    }
    all
}

/// How many of each kind a replica may take, the most first.
fn ways(counts: &[u32]) -> Vec<Vec<u32>> {
    let fits = |each: &Vec<u32>| each.iter().sum::<u32>() <= MOST_CARDS;
    let number: u64 = counts.iter().map(|n| u64::from(*n)).product();
    if number <= MOST_WAYS as u64 {
        let all = counts.iter().map(|n| (1..=*n).rev()).multi_cartesian_product();
        return all.filter(fits).collect();
    }
    let most = counts.iter().copied().min().unwrap_or(0);
    let equal = (1..=most).map(|replicas| counts.iter().map(|n| n / replicas).collect::<Vec<u32>>());
    equal.filter(fits).dedup().take(MOST_WAYS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::pools;

    fn names(cluster: &str) -> Vec<(String, u32)> {
        joined(&pools(cluster).unwrap().pools).into_iter().map(|c| (c.id, c.gpus)).collect()
    }

    #[test]
    fn replicas_take_any_number_of_each_kind_that_shares_the_machine() {
        let of = |all: &[(&str, u32)]| all.iter().map(|(id, n)| ((*id).to_owned(), *n)).collect::<Vec<_>>();
        assert_eq!(names("1xrtx-3090+1xrtx-4060-ti-16gb"), of(&[("1xrtx-3090+1xrtx-4060-ti-16gb", 2)]));
        assert_eq!(
            names("2xrtx-3090+2xrtx-4060-ti-16gb"),
            of(&[
                ("2xrtx-3090+2xrtx-4060-ti-16gb", 4),
                ("2xrtx-3090+1xrtx-4060-ti-16gb", 3),
                ("1xrtx-3090+2xrtx-4060-ti-16gb", 3),
                ("1xrtx-3090+1xrtx-4060-ti-16gb", 4),
            ])
        );
        // Three kinds, and each two of them.
        assert_eq!(names("1xrtx-3090+1xrtx-4060-ti-16gb+1xrtx-4090").len(), 4);
    }

    #[test]
    fn what_does_not_share_a_machine_is_not_joined() {
        for apart in ["8xh100-sxm+8xa100-sxm-80gb", "8xh200-sxm+8xl40s", "1xrtx-3090+1xrx-7900-xtx"] {
            assert_eq!(names(apart), Vec::new(), "{apart}");
        }
    }

    #[test]
    fn the_narrowest_slot_and_the_sum_of_prices_count() {
        let both = &joined(&pools("1xrtx-3090+1xrtx-4060-ti-16gb").unwrap().pools)[0];
        // PCIe 4.0 of 8 lanes, though the other card has 16.
        assert_eq!(both.scale_up.bandwidth.get(), 16e9);
        assert_eq!(both.price, None, "one of them has no price");
        assert_eq!(both.cards_of_replica(), Some(2));
    }

    #[test]
    fn of_many_cards_the_ways_with_equal_replicas_are_looked_at() {
        assert_eq!(ways(&[8, 4]), [[8, 4], [4, 2], [2, 1]].map(Vec::from));
        assert!(ways(&[100, 100, 100, 100]).len() <= MOST_WAYS);
    }
}
