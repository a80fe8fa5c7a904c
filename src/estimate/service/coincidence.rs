//! How many prompts coincide: requests end independently, each is followed by a prompt in its own lane, and the
//! fullest lane sets the pace of all. And how busy a lane is that requests take turns at.

use crate::powers::power;

/// Beyond this mean a lane's count is taken to be normal.
const MANY: f64 = 30.0;

/// Euler's constant.
const EULER: f64 = 0.577_215_664_9;

/// Lanes whose sequences end at random.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lanes {
    /// Lanes, or parts of a replica that are counted as one.
    pub count: f64,
    /// Sequences in each.
    pub sequences: f64,
    /// Share of them that ends between two looks.
    pub ends: f64,
    /// Prompts that make one row: where they are dealt out in turn to ranks that count as one, one for each rank.
    pub row: f64,
}

/// What falls due between two looks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Due {
    /// Chance that there is a prompt.
    pub any: f64,
    /// Expected rows in the fullest lane.
    pub fullest: f64,
    /// Expected rounds until the fullest lane is done, with room for so many rows in each.
    pub rounds: f64,
}

impl Lanes {
    /// The expected largest of `count` binomial counts: with `F` for the distribution of one,
    /// `E[max] = Σ_j (1 − F(j)^count)`, and of what follows from it.
    pub fn due(&self, room: f64) -> Due {
        let Lanes { count, sequences, ends, row } = *self;
        let mean = sequences * ends;
        if mean <= 0.0 {
            return Due::default();
        }
        if mean > MANY {
            let spread = (mean * (1.0 - ends).max(0.0)).sqrt();
            let fullest = (mean + spread * largest_normal(count)).min(sequences) / row;
            return Due { any: 1.0, fullest, rounds: (fullest / room).max(1.0) };
        }
        let stays = (1.0 - ends).max(1e-9);
        let mut chance = power(stays, sequences);
        let mut below = chance;
        let mut due = Due { any: self.exceeds(below), ..Due::default() };
        let (mut i, mut rows) = (0.0, 0.0);
        loop {
            let tail = self.exceeds(below);
            // `i` is the most prompts of `rows` rows.
            if i == (rows * row).floor() {
                due.fullest += tail;
                due.rounds += tail * (((rows + 1.0) / room).ceil() - (rows / room).ceil());
                rows += 1.0;
            }
            if tail < 1e-9 || i >= sequences {
                return due;
            }
            chance *= (sequences - i) / (i + 1.0) * (ends / stays);
            i += 1.0;
            below = (below + chance).min(1.0);
        }
    }

    /// Chance that some lane exceeds what one stays below with this chance.
    fn exceeds(&self, below: f64) -> f64 {
        let all = if self.count <= 1.0 { below } else { power(below, self.count) };
        (1.0 - all).max(0.0)
    }
}

/// Expected largest of `n` standard normal values (Gumbel limit, as of Cramér 1946, §28.6); none of one.
pub(super) fn largest_normal(n: f64) -> f64 {
    if n <= 1.0 {
        return 0.0;
    }
    let high = (2.0 * n.ln()).sqrt();
    let about =
        high - (n.ln().max(f64::MIN_POSITIVE).ln() + (4.0 * std::f64::consts::PI).ln()) / (2.0 * high);
    (about + EULER / high).max(0.0)
}

/// The load of a lane of `n` requests that each decode for `away` steps, wait, and take `service` steps of it.
///
/// With `ρ` for the load, `ρ/service` requests come in each step, each once in `away + service·ρ/(2(1 − ρ))` steps: a
/// quadratic equation in `ρ`.
pub(super) fn closed_load(n: f64, away: f64, service: f64) -> f64 {
    let (a, b) = (2.0 * away - service, 2.0 * (away + n * service));
    let c = 2.0 * n * service;
    let root = (b * b - 4.0 * a * c).max(0.0).sqrt();
    // The smaller solution, in the form that loses no digits and holds for `a = 0`.
    (2.0 * c / (b + root)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-6
    }

    #[test]
    fn the_fullest_of_two_lanes_is_what_counting_says() {
        // Counts of two coins are 0, 1, 2 with chances 1/4, 1/2, 1/4: the larger of two such exceeds 0 with 15/16
        // and 1 with 7/16.
        let lanes = Lanes { count: 2.0, sequences: 2.0, ends: 0.5, row: 1.0 };
        let due = lanes.due(1.0);
        assert!(near(due.any, 15.0 / 16.0) && near(due.fullest, 22.0 / 16.0), "{due:?}");
        assert!(near(due.rounds, due.fullest));
        assert!(near(lanes.due(2.0).rounds, 15.0 / 16.0));
        // With room for half of one, each takes two rounds.
        assert!(near(lanes.due(0.5).rounds, 44.0 / 16.0));
    }

    #[test]
    fn prompts_that_are_dealt_out_in_turn_fill_rows() {
        // Of four coins: one row of two for 1 or 2 heads (10/16), two rows for 3 or 4 (5/16).
        let due = Lanes { count: 1.0, sequences: 4.0, ends: 0.5, row: 2.0 }.due(1.0);
        assert!(near(due.fullest, 20.0 / 16.0), "{due:?}");
        // Two and a half ranks, on average: a row of two at least.
        let due = Lanes { count: 1.0, sequences: 4.0, ends: 0.5, row: 2.5 }.due(1.0);
        assert!(near(due.fullest, 20.0 / 16.0), "{due:?}");
    }

    #[test]
    fn where_all_end_at_once_each_lane_has_all() {
        let due = Lanes { count: 8.0, sequences: 5.0, ends: 1.0, row: 1.0 }.due(4.0);
        assert!(near(due.fullest, 5.0) && near(due.rounds, 2.0), "{due:?}");
        let many = Lanes { count: 8.0, sequences: 500.0, ends: 1.0, row: 1.0 }.due(100.0);
        assert!(near(many.fullest, 500.0) && near(many.rounds, 5.0), "{many:?}");
    }

    #[test]
    fn few_and_many_prompts_join_without_a_jump() {
        let at = |mean: f64| {
            Lanes { count: 8.0, sequences: 1000.0, ends: mean / 1000.0, row: 1.0 }.due(1.0).fullest
        };
        let jump = at(MANY * 1.000_001) / at(MANY);
        assert!((jump - 1.0).abs() < 0.02, "{jump}");
        // Eight normal values: 1.42 standard deviations (Harter 1961), here in the limit's approximation.
        assert!((largest_normal(8.0) - 1.42).abs() < 0.15);
    }

    #[test]
    fn requests_that_take_turns_load_a_lane_as_they_are_many() {
        // Few: each comes once in `away`. Many: the lane never rests.
        let few = closed_load(1.0, 10_000.0, 1.0);
        assert!((few * 10_000.0 - 1.0).abs() < 1e-3, "{few}");
        assert!(closed_load(10_000.0, 100.0, 1.0) > 0.98);
        // It solves its equation: ρ/s·(away + s·ρ/(2(1 − ρ))) = n.
        let (n, away, s) = (54.0, 128.0, 1.3);
        let load = closed_load(n, away, s);
        let back = load / s * (away + s * load / (2.0 * (1.0 - load)));
        assert!((back / n - 1.0).abs() < 1e-9, "{load} {back}");
    }
}
