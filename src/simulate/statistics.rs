//! Means and percentiles of a stream, in memory that does not grow with it.

use crate::units::{RequestsPerSecond, Seconds, TokensPerSecond};

use super::places::Places;

/// The spread of a time over requests: mean exact, percentiles to three significant digits.
#[derive(Clone, Debug, Default)]
pub struct Spread {
    sum: f64,
    /// Counted in nanoseconds, up to 584 years.
    places: Places,
}

impl Spread {
    /// Adds a value.
    pub fn add(&mut self, value: Seconds) {
        self.add_many(value, 1);
    }

    /// Adds a value `times` times.
    pub fn add_many(&mut self, value: Seconds, times: u64) {
        self.sum += value.get() * times as f64;
        self.places.add(rounded(value.get() * 1e9), times);
    }

    /// Adds all values of another spread.
    pub fn merge(&mut self, other: &Spread) {
        self.sum += other.sum;
        self.places.merge(&other.places);
    }

    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.places.count()
    }

    /// Mean; zero without values.
    pub fn mean(&self) -> Seconds {
        match self.count() {
            0 => Seconds::ZERO,
            n => Seconds::new(self.sum / n as f64),
        }
    }

    /// Standard deviation; zero without values.
    pub fn deviation(&self) -> Seconds {
        Seconds::new(self.places.deviation() * 1e-9)
    }

    /// The value that a share of all do not exceed; zero without values.
    pub fn quantile(&self, share: f64) -> Seconds {
        Seconds::new(self.places.quantile(share) as f64 * 1e-9)
    }
}

/// The nearest whole number, zero below; a half goes up. It is exact: a cast cuts off, and so is the difference.
fn rounded(x: f64) -> u64 {
    let whole = x as u64;
    whole.saturating_add(u64::from(x - whole as f64 >= 0.5))
}

/// Share of the requests that come that a server answers as fast as they come: below it, it is overloaded, its
/// queue grows for as long as the run lasts, and so do its times.
pub const SUSTAINED: f64 = 0.97;

/// Share of a run that lies between the middle of its first quarter and that of its last.
const BETWEEN_QUARTERS: f64 = 0.75;

/// How many times as long the second half of a run waits as the first where its queue grows. Of a server that keeps up
/// both halves of a thousand requests differ by less, but for one that has next to no time left.
const RISING: f64 = 1.5;

/// How many times as long requests of the second half of a run take as those of the first where the server still fills. The
/// mean of two hundred whose lengths vary by a fifth is known to one per cent.
const FILLING: f64 = 1.1;

/// Fewest requests of each half that say so.
const FEWEST_TO_RISE: u64 = 200;

/// A mean that is added to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mean {
    count: u64,
    sum: Seconds,
}

impl Mean {
    /// Adds a value.
    pub fn add(&mut self, value: Seconds) {
        self.count += 1;
        self.sum += value;
    }

    /// Adds all values of another one.
    pub fn merge(&mut self, other: Mean) {
        self.count += other.count;
        self.sum += other.sum;
    }

    /// The mean; zero without values.
    pub fn of(self) -> Seconds {
        self.sum / self.count.max(1) as f64
    }
}

/// What a simulation measures, over the requests that count.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Request sent to first token.
    pub ttft: Spread,
    /// The same of the first half of the requests that count, and of the second.
    pub halves: [Mean; 2],
    /// Request sent to last token of the same halves.
    pub whole_halves: [Mean; 2],
    /// Request sent to let in, of the first quarter of the requests that count and of the last.
    pub waits: [Mean; 2],
    /// Mean gap between the tokens of a request.
    pub tpot: Spread,
    /// Gap between two tokens, every one of them.
    pub itl: Spread,
    /// Request sent to last token.
    pub e2e: Spread,
    /// Requests answered.
    pub requests: u64,
    /// Those that met every target.
    pub good_requests: u64,
    /// Prompt tokens.
    pub prompt_tokens: u64,
    /// Of them those that were in the prefix cache and not computed.
    pub reused_tokens: u64,
    /// Prompt tokens that were loaded from tiers below the GPUs' cache, of all requests.
    pub loaded_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// The time that rates are taken over: after a warm-up, from when the first of them was let in to
    /// when the last was; else from when the first was sent to the last token of any.
    pub duration: Seconds,
    /// After a warm-up, from when the first of them was sent to when the last was; else zero, and where requests are
    /// sent when others are answered: those never come too fast.
    pub sending: Seconds,
    /// Times that a sequence lost its cache to others and had to be computed again, of all requests.
    pub preemptions: u64,
    /// Requests answered in that time, be they counted or not.
    pub answered: u64,
    /// Their output tokens.
    pub answered_tokens: u64,
}

impl Outcome {
    /// Output tokens per second.
    pub fn output(&self) -> TokensPerSecond {
        TokensPerSecond::new(self.per_second(self.answered_tokens))
    }

    /// Requests per second.
    pub fn rate(&self) -> RequestsPerSecond {
        RequestsPerSecond::new(self.per_second(self.answered))
    }

    /// Requests per second that were sent meanwhile; `None` without a warm-up, and where they wait for answers.
    pub fn offered(&self) -> Option<RequestsPerSecond> {
        let sent = self.requests as f64 / self.sending.get();
        (self.sending > Seconds::ZERO).then(|| RequestsPerSecond::new(sent))
    }

    /// Whether requests came faster than they were answered; see [`SUSTAINED`].
    ///
    /// Fewer are answered than come while a server fills, too, be it ever so slowly; where it does not keep up those that
    /// come later wait longer to be let in, by as much of the time between them as it falls behind.
    pub fn overloaded(&self) -> bool {
        let [first, last] = self.waits.map(Mean::of);
        let behind = last - first > self.sending * ((1.0 - SUSTAINED) * BETWEEN_QUARTERS);
        behind && self.offered().is_some_and(|offered| self.rate() < offered * SUSTAINED)
    }

    /// Whether the queue grew while it was measured: the second half of the requests waited so much longer for their first
    /// token than the first that what was measured depends on how long that was. Only of requests that come by themselves.
    pub fn rises(&self) -> bool {
        let [first, second] = self.halves.map(|half| half.of());
        let many = self.halves.iter().all(|half| half.count >= FEWEST_TO_RISE);
        many && self.sending > Seconds::ZERO && second > first * RISING
    }

    /// Whether the server was still filling while it was measured: requests of the second half took so much longer to their
    /// last token than those of the first. Of a server that has little time left it takes many latencies until it is as full
    /// as it gets.
    pub fn fills(&self) -> bool {
        let [first, second] = self.whole_halves.map(Mean::of);
        let many = self.whole_halves.iter().all(|half| half.count >= FEWEST_TO_RISE);
        many && self.sending > Seconds::ZERO && second > first * FILLING
    }

    /// Share of the prompt tokens that were in the prefix cache.
    pub fn prefix_hit(&self) -> f64 {
        self.reused_tokens as f64 / self.prompt_tokens.max(1) as f64
    }

    /// Requests per second that met every target.
    pub fn goodput(&self) -> RequestsPerSecond {
        RequestsPerSecond::new(self.rate().get() * self.good_requests as f64 / self.requests.max(1) as f64)
    }

    fn per_second(&self, count: u64) -> f64 {
        if self.duration > Seconds::ZERO { count as f64 / self.duration.get() } else { 0.0 }
    }

    /// Takes in what another replica served meanwhile.
    pub fn merge(&mut self, other: &Outcome) {
        self.ttft.merge(&other.ttft);
        self.halves.iter_mut().zip(other.halves).for_each(|(half, more)| half.merge(more));
        self.whole_halves.iter_mut().zip(other.whole_halves).for_each(|(half, more)| half.merge(more));
        self.waits.iter_mut().zip(other.waits).for_each(|(quarter, more)| quarter.merge(more));
        self.tpot.merge(&other.tpot);
        self.itl.merge(&other.itl);
        self.e2e.merge(&other.e2e);
        self.requests += other.requests;
        self.good_requests += other.good_requests;
        self.prompt_tokens += other.prompt_tokens;
        self.reused_tokens += other.reused_tokens;
        self.loaded_tokens += other.loaded_tokens;
        self.output_tokens += other.output_tokens;
        self.duration = self.duration.max(other.duration);
        self.sending = self.sending.max(other.sending);
        self.preemptions += other.preemptions;
        self.answered += other.answered;
        self.answered_tokens += other.answered_tokens;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_to_three_digits_over_nine_decades() {
        let mut spread = Spread::default();
        (1..=1000).for_each(|ms| spread.add(Seconds::millis(f64::from(ms))));
        for (share, expected) in [(0.5, 0.5), (0.9, 0.9), (0.99, 0.99)] {
            let got = spread.quantile(share).get();
            assert!((got / expected - 1.0).abs() < 2e-3, "{share}: {got}");
        }
        assert!((spread.mean().get() - 0.5005).abs() < 1e-9);
        spread.add(Seconds::new(4e6));
        assert!((spread.quantile(1.0).get() / 4e6 - 1.0).abs() < 1e-3);
    }
}
