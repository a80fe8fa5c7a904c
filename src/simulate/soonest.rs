//! Which of many comes first.

/// Times by number, and the first of them: a tournament in which each pair's earlier one goes on.
#[derive(Clone, Debug)]
pub(super) struct Soonest {
    /// How many take part, a power of two.
    width: usize,
    times: Vec<f64>,
    /// The number of the winner of each match: the last from 1, those that play for it from twice its place.
    winners: Vec<u32>,
}

impl Soonest {
    /// So many, none of which ever comes.
    pub(super) fn new(count: usize) -> Soonest {
        let width = count.next_power_of_two();
        let mut soonest = Soonest { width, times: vec![f64::INFINITY; width], winners: vec![0; width] };
        (1..width).rev().for_each(|place| soonest.play(place));
        soonest
    }

    /// Says when one of them comes.
    pub(super) fn set(&mut self, number: usize, time: f64) {
        self.times[number] = time;
        let mut place = (self.width + number) / 2;
        while place > 0 {
            self.play(place);
            place /= 2;
        }
    }

    /// The first, and when it comes; of those that come together the one with the least number. `None` where none does.
    pub(super) fn first(&self) -> Option<(f64, usize)> {
        let first = self.winner(1);
        let time = self.times[first];
        (time < f64::INFINITY).then_some((time, first))
    }

    fn winner(&self, place: usize) -> usize {
        if place >= self.width { place - self.width } else { self.winners[place] as usize }
    }

    fn play(&mut self, place: usize) {
        if place >= self.width {
            return;
        }
        let (a, b) = (self.winner(2 * place), self.winner(2 * place + 1));
        self.winners[place] = if self.times[b] < self.times[a] { b } else { a } as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_comes_first_and_of_equals_the_least_number() {
        for count in [1usize, 2, 3, 7, 16, 100] {
            let (mut soonest, mut times) = (Soonest::new(count), vec![f64::INFINITY; count]);
            assert_eq!(soonest.first(), None);
            for step in 0..2000usize {
                let (number, time) = (step * 7 % count, (step * 7919 % 101) as f64);
                let time = if step % 5 == 0 { f64::INFINITY } else { time };
                soonest.set(number, time);
                times[number] = time;
                let first = (0..count).min_by(|a, b| times[*a].total_cmp(&times[*b])).unwrap();
                let expected = (times[first] < f64::INFINITY).then_some((times[first], first));
                assert_eq!(soonest.first(), expected);
            }
        }
    }
}
