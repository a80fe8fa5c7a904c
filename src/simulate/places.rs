//! Counts of whole numbers in places whose width grows with the number, as in an HDR histogram of three significant
//! digits. Only the stretch of places between the least and the largest number is held: most runs count times of one or
//! two orders of magnitude.

/// Numbers below `2^FINE` have a place each; from there on each doubling has half as many places.
const FINE: u32 = 11;

/// Places of a doubling.
const HALF: usize = 1 << (FINE - 1);

/// Places that are added at least when the stretch grows.
const MORE: usize = 256;

/// How many numbers lie in each place.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    /// The place of the first count.
    first: usize,
    counts: Vec<u64>,
    count: u64,
}

/// The place of a number.
fn place(number: u64) -> usize {
    let wider = wider(number);
    // Below the first doubling there are places for all of it.
    (((wider as usize) + 1) << (FINE - 1)) + (number >> wider) as usize - HALF
}

/// How many times the place of a number is doubled in width.
fn wider(number: u64) -> u32 {
    const MASK: u64 = (1 << FINE) - 1;
    u64::BITS - FINE - (number | MASK).leading_zeros()
}

/// The least number of a place, and how many there are.
fn numbers(place: usize) -> (u64, u64) {
    match (place / HALF).checked_sub(1) {
        None => (place as u64, 1),
        Some(wider) => (((place % HALF + HALF) as u64) << wider, 1 << wider),
    }
}

impl Places {
    /// Adds a number `times` times.
    pub(super) fn add(&mut self, number: u64, times: u64) {
        let place = place(number);
        if place.wrapping_sub(self.first) >= self.counts.len() {
            if times == 0 {
                return;
            }
            self.reach(place);
        }
        self.counts[place - self.first] += times;
        self.count += times;
    }

    /// Makes the stretch reach a place, and some beyond it.
    fn reach(&mut self, place: usize) {
        if self.counts.is_empty() {
            self.first = place;
        }
        if place < self.first {
            let first = place.saturating_sub(MORE);
            self.counts.splice(..0, std::iter::repeat_n(0, self.first - first));
            self.first = first;
        } else {
            self.counts.resize(place - self.first + 1 + MORE, 0);
        }
    }

    /// Adds all numbers of others.
    pub(super) fn merge(&mut self, other: &Places) {
        let (Some(first), Some(last)) = (
            other.counts.iter().position(|count| *count > 0),
            other.counts.iter().rposition(|count| *count > 0),
        ) else {
            return;
        };
        for place in [other.first + first, other.first + last] {
            if place.wrapping_sub(self.first) >= self.counts.len() {
                self.reach(place);
            }
        }
        let from = other.first + first - self.first;
        let pairs = self.counts[from..].iter_mut().zip(&other.counts[first..=last]);
        pairs.for_each(|(own, more)| *own += more);
        self.count += other.count;
    }

    /// How many numbers there are.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The middle of each place that has numbers, the least first, and how many it has.
    fn middles(&self) -> impl Iterator<Item = (f64, f64)> {
        let some = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        some.map(|(i, count)| {
            let (least, width) = numbers(self.first + i);
            ((least + width / 2) as f64, *count as f64)
        })
    }

    /// The standard deviation, numbers taken to lie in the middle of their places; zero without any.
    pub(super) fn deviation(&self) -> f64 {
        if self.count == 0 {
            return 0.0;
        }
        let all = self.count as f64;
        let mean = self.middles().fold(0.0, |sum, (middle, count)| sum + middle * count / all);
        let squares = self.middles().fold(0.0, |sum, (middle, count)| {
            let away = middle - mean;
            sum + away * away * count
        });
        (squares / all).sqrt()
    }

    /// The largest number of the place that a share of all do not exceed; zero without any.
    pub(super) fn quantile(&self, share: f64) -> u64 {
        let wanted = ((share.min(1.0) * self.count as f64).ceil() as u64).max(1);
        let (mut below, mut from) = (0, 0);
        // Several at once, which takes a fraction of the time.
        for several in self.counts.chunks(16) {
            let more: u64 = several.iter().sum();
            if below + more >= wanted {
                break;
            }
            below += more;
            from += several.len();
        }
        let reached = self.counts[from.min(self.counts.len())..].iter().position(|count| {
            below += count;
            below >= wanted
        });
        reached.map_or(0, |i| {
            let (least, width) = numbers(self.first + from + i);
            least + (width - 1)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn places_follow_each_other_without_gaps_and_are_a_thousandth_wide() {
        let (mut least, mut place_of_last) = (0u64, None);
        for place in 0..20 * HALF {
            let (from, width) = numbers(place);
            assert_eq!(from, least, "{place}");
            assert_eq!((super::place(from), super::place(from + width - 1)), (place, place));
            assert!(width == 1 || width as f64 <= from as f64 / 1000.0, "{place}");
            least = from + width;
            place_of_last = Some(place);
        }
        assert_eq!(place_of_last, Some(20 * HALF - 1));
        assert_eq!(super::place(u64::MAX), 55 * HALF - 1);
        let (from, width) = numbers(55 * HALF - 1);
        assert_eq!(from + (width - 1), u64::MAX);
    }

    proptest! {
        #[test]
        fn quantiles_and_deviations_are_those_of_the_numbers(
            numbers in prop::collection::vec(0u64..5_000_000_000, 1..300), cut in 0usize..300,
        ) {
            let (mut all, mut parts) = (Places::default(), [Places::default(), Places::default()]);
            for (i, number) in numbers.iter().enumerate() {
                all.add(*number, 1);
                parts[usize::from(i >= cut)].add(*number, 1);
            }
            let [mut one, other] = parts;
            one.merge(&other);
            let mut sorted = numbers.clone();
            sorted.sort_unstable();
            let mean = numbers.iter().map(|n| *n as f64).sum::<f64>() / numbers.len() as f64;
            let squares: f64 = numbers.iter().map(|n| (*n as f64 - mean).powi(2)).sum();
            let deviation = (squares / numbers.len() as f64).sqrt();
            for places in [&all, &one] {
                prop_assert_eq!(places.count(), numbers.len() as u64);
                prop_assert!((places.deviation() - deviation).abs() <= 1e-3 * (mean + deviation));
                for share in [0.0, 0.01, 0.5, 0.9, 0.99, 1.0] {
                    let rank = ((share * numbers.len() as f64).ceil() as usize).max(1) - 1;
                    let (got, exact) = (places.quantile(share), sorted[rank]);
                    prop_assert!(got >= exact && got as f64 <= exact as f64 * 1.001, "{got} {exact}");
                }
            }
        }
    }

    #[test]
    fn nothing_has_no_quantile() {
        let mut places = Places::default();
        places.add(5, 0);
        assert_eq!((places.quantile(0.5), places.deviation(), places.count()), (0, 0.0, 0));
    }
}
