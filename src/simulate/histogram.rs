//! How often values come, in buckets no wider than a thousandth of what they hold.
//!
//! The buckets are those of HdrHistogram at three significant digits: every whole number up to 2,047 has its own; each
//! doubling above is cut into 1,024. Only those between the least and the greatest value take memory.

/// Buckets of a doubling, as a power of two.
const HALF: u32 = 10;

/// Counts of whole numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Histogram {
    /// Number of the bucket that is counted first.
    first: usize,
    counts: Vec<u64>,
    total: u64,
}

/// The number of the bucket of a value.
fn bucket(value: u64) -> usize {
    // Doublings beyond the first 2,048 values.
    let doublings = (u64::BITS - (value | ((2 << HALF) - 1)).leading_zeros()) - (HALF + 1);
    ((doublings as usize) << HALF) + (value >> doublings) as usize
}

/// The least value of a bucket, and how many it holds as a power of two.
fn values(bucket: usize) -> (u64, u32) {
    let doublings = ((bucket >> HALF) as u32).saturating_sub(1);
    let inside = bucket - ((doublings as usize) << HALF);
    ((inside as u64) << doublings, doublings)
}

impl Histogram {
    /// Counts a value so many times.
    pub(super) fn add(&mut self, value: u64, times: u64) {
        *self.count_of(bucket(value)) += times;
        self.total = self.total.saturating_add(times);
    }

    /// The count of a bucket, which is among those that are counted from now on.
    fn count_of(&mut self, bucket: usize) -> &mut u64 {
        if self.counts.is_empty() {
            self.first = bucket;
        }
        if bucket < self.first {
            // As many again, so that values that fall and fall do not move the others each time.
            let more = (self.first - bucket).max(self.counts.len()).min(self.first);
            self.counts.splice(0..0, std::iter::repeat_n(0, more));
            self.first -= more;
        }
        let place = bucket - self.first;
        if place >= self.counts.len() {
            self.counts.resize(place + 1, 0);
        }
        &mut self.counts[place]
    }

    /// Counts all values of another one.
    pub(super) fn merge(&mut self, other: &Histogram) {
        for (bucket, count) in other.counted() {
            *self.count_of(bucket) += count;
        }
        self.total = self.total.saturating_add(other.total);
    }

    /// How many values were counted.
    pub(super) fn count(&self) -> u64 {
        self.total
    }

    /// The buckets that have any, in order, and how many.
    fn counted(&self) -> impl Iterator<Item = (usize, u64)> {
        (self.first..).zip(self.counts.iter().copied()).filter(|(_, count)| *count > 0)
    }

    /// The middle of each bucket that has any, and how many.
    fn middles(&self) -> impl Iterator<Item = (f64, u64)> {
        self.counted().map(|(bucket, count)| {
            let (least, size) = values(bucket);
            ((least + ((1 << size) >> 1)) as f64, count)
        })
    }

    /// Standard deviation of the middles of their buckets; zero without values.
    pub(super) fn deviation(&self) -> f64 {
        if self.total == 0 {
            return 0.0;
        }
        let total = self.total as f64;
        let mean = self.middles().fold(0.0, |sum, (middle, count)| sum + middle * count as f64 / total);
        let squares = self.middles().fold(0.0, |sum, (middle, count)| {
            let off = middle - mean;
            sum + off * off * count as f64
        });
        (squares / total).sqrt()
    }

    /// The greatest value of the bucket that a share of all values do not exceed; zero without values.
    pub(super) fn quantile(&self, share: f64) -> u64 {
        let wanted = ((share.min(1.0) * self.total as f64).ceil() as u64).max(1);
        let mut below = 0;
        for (bucket, count) in (self.first..).zip(&self.counts) {
            below += count;
            if below >= wanted {
                let (least, size) = values(bucket);
                return least + ((1 << size) - 1);
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_bucket_and_buckets_follow_each_other() {
        for value in (0..5000).chain((12..63).flat_map(|p| [(1 << p) - 1, 1 << p, (1 << p) + 12_345])) {
            let (least, size) = values(bucket(value));
            assert!(least <= value && value - least < 1 << size, "{value}");
            assert!(value < 2048 || (1u64 << size) as f64 / value as f64 <= 1.0 / 1024.0, "{value}");
            assert_eq!(bucket(least + (1 << size)), bucket(value) + 1, "{value}");
        }
        assert_eq!(bucket(u64::MAX), 55 * 1024 - 1);
    }

    #[test]
    fn values_may_come_in_any_order() {
        let values: Vec<u64> = (1..=20_000).map(|n| n * 7_919 % 20_011 * 1_000).collect();
        let (mut mixed, mut sorted, mut halves) =
            (Histogram::default(), Histogram::default(), [Histogram::default(), Histogram::default()]);
        let mut in_order = values.clone();
        in_order.sort_unstable();
        values.iter().for_each(|value| mixed.add(*value, 1));
        in_order.iter().for_each(|value| sorted.add(*value, 1));
        values.iter().enumerate().for_each(|(i, value)| halves[i % 2].add(*value, 1));
        let [mut joined, other] = halves;
        joined.merge(&other);
        for share in [0.0, 0.001, 0.5, 0.95, 0.99, 1.0] {
            assert_eq!(mixed.quantile(share), sorted.quantile(share));
            assert_eq!(mixed.quantile(share), joined.quantile(share));
            let exact = in_order[((share * 20_000.0) as usize).saturating_sub(1)] as f64;
            assert!((mixed.quantile(share) as f64 / exact - 1.0).abs() < 1e-3, "{share}");
        }
        assert_eq!(mixed.deviation().to_bits(), joined.deviation().to_bits());
        // Whole numbers up to n have a variance of (n² − 1)/12.
        assert!((mixed.deviation() / (2e7 / 12f64.sqrt()) - 1.0).abs() < 1e-3, "{}", mixed.deviation());
        assert_eq!((mixed.count(), joined.count()), (20_000, 20_000));
    }

    #[test]
    fn without_values_all_is_zero() {
        let none = Histogram::default();
        assert_eq!((none.count(), none.quantile(0.5), none.deviation()), (0, 0, 0.0));
    }
}
