//! Where requests come from: a closed loop, an open loop, a part of another source.

use std::collections::VecDeque;

use rand::SeedableRng as _;
use rand_distr::{Distribution as _, Gamma};
use rand_pcg::Pcg64Mcg;

use super::Lengths;
use super::kept::Part;
use crate::diagnostic::Diagnostic;
use crate::units::{RequestsPerSecond, Seconds};

/// One request as its client sends it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Arrival {
    /// When it is sent.
    pub at: Seconds,
    /// Prompt tokens.
    pub prompt: u64,
    /// Output tokens.
    pub output: u64,
    /// Prompt tokens whose keys and values are in the cache already; fewer than the prompt has.
    pub reused: u64,
    /// What it says, as far as other prompts may begin with it.
    pub content: Content,
}

/// What a prompt says, as far as others may begin with it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Content {
    /// Nothing is known of it.
    #[default]
    Unknown,
    /// A turn of a session: a beginning that all share, what was said before, and what is new.
    Turn {
        /// Number of the user.
        user: usize,
        /// Number of the session.
        session: u64,
        /// Tokens that it has said before.
        said: u64,
        /// Tokens that all sessions begin with.
        shared: u64,
        /// Whose the new tokens are: the session's, or those of this request alone.
        own: u64,
    },
    /// Blocks that the source names, kept in this place: see [`Arrivals::parts`].
    Blocks(usize),
}

/// A source of requests in the order in which they are sent.
pub trait Arrivals {
    /// The next request, if it is already known when it will be sent.
    ///
    /// # Errors
    /// What is wrong with a trace.
    fn next(&mut self) -> Result<Option<Arrival>, Diagnostic>;

    /// Passes over the next request, which goes elsewhere; false when there is none.
    ///
    /// # Errors
    /// As [`Arrivals::next`].
    fn skip(&mut self) -> Result<bool, Diagnostic> {
        Ok(self.next()?.is_some())
    }

    /// Says that a request has been answered.
    fn answered(&mut self, request: &Arrival, at: Seconds);

    /// Takes a request back that was foreseen and not sent when another was answered, unless nothing may come before it.
    fn reconsider(&mut self, coming: Arrival) -> Option<Arrival> {
        Some(coming)
    }

    /// Whether what prompts find in the cache follows from what was sent before.
    fn keeps_prefixes(&self) -> bool {
        false
    }

    /// What the cache has before the first request, what was not used for longest first.
    fn kept_before(&self) -> Vec<Part> {
        Vec::new()
    }

    /// The parts of the prompt of the request that came last, where its content is [`Content::Blocks`], in any place.
    fn parts(&self) -> &[Part] {
        &[]
    }

    /// Whether requests are sent when others are answered, and not by themselves.
    fn follow_answers(&self) -> bool {
        false
    }

    /// Whether no more than some number of requests is ever unanswered, so that they never come too fast.
    fn are_bounded(&self) -> bool {
        self.follow_answers()
    }
}

impl<A: Arrivals + ?Sized> Arrivals for Box<A> {
    fn next(&mut self) -> Result<Option<Arrival>, Diagnostic> {
        (**self).next()
    }

    fn skip(&mut self) -> Result<bool, Diagnostic> {
        (**self).skip()
    }

    fn answered(&mut self, request: &Arrival, at: Seconds) {
        (**self).answered(request, at);
    }

    fn follow_answers(&self) -> bool {
        (**self).follow_answers()
    }

    fn are_bounded(&self) -> bool {
        (**self).are_bounded()
    }

    fn reconsider(&mut self, coming: Arrival) -> Option<Arrival> {
        (**self).reconsider(coming)
    }

    fn keeps_prefixes(&self) -> bool {
        (**self).keeps_prefixes()
    }

    fn kept_before(&self) -> Vec<Part> {
        (**self).kept_before()
    }

    fn parts(&self) -> &[Part] {
        (**self).parts()
    }
}

/// Draws the lengths of requests.
#[derive(Clone, Debug)]
struct Draw {
    prompts: Lengths,
    outputs: Lengths,
    /// Share of each prompt that is in the cache.
    reused: f64,
    random: Pcg64Mcg,
    left: u64,
}

impl Draw {
    fn new((prompts, outputs): (Lengths, Lengths), requests: u64, seed: u64) -> Draw {
        Draw { prompts, outputs, reused: 0.0, random: Pcg64Mcg::seed_from_u64(seed), left: requests }
    }

    fn at(&mut self, at: Seconds) -> Arrival {
        self.left -= 1;
        let (prompt, output) = (self.prompts.draw(&mut self.random), self.outputs.draw(&mut self.random));
        let reused = ((prompt as f64 * self.reused).round() as u64).min(prompt.saturating_sub(1));
        Arrival { at, prompt, output, reused, content: Content::Unknown }
    }
}

/// A fixed number of clients, each of which sends its next request when its last is answered.
#[derive(Clone, Debug)]
pub struct ClosedLoop {
    draw: Draw,
    /// When clients became free, in order.
    free: VecDeque<Seconds>,
}

impl ClosedLoop {
    /// `clients` clients that send `requests` requests between them, the first of each at time zero.
    pub fn new(clients: u64, requests: u64, lengths: (Lengths, Lengths), seed: u64) -> ClosedLoop {
        let free = (0..clients.min(requests)).map(|_| Seconds::ZERO).collect();
        ClosedLoop { draw: Draw::new(lengths, requests, seed), free }
    }

    /// The same where a share of each prompt is in the cache already.
    #[must_use]
    pub fn reusing(mut self, share: f64) -> ClosedLoop {
        self.draw.reused = share;
        self
    }
}

impl Arrivals for ClosedLoop {
    fn next(&mut self) -> Result<Option<Arrival>, Diagnostic> {
        if self.draw.left == 0 {
            return Ok(None);
        }
        Ok(self.free.pop_front().map(|at| self.draw.at(at)))
    }

    fn answered(&mut self, _: &Arrival, at: Seconds) {
        self.free.push_back(at);
    }

    fn follow_answers(&self) -> bool {
        true
    }
}

/// Requests at a rate, however long the answers take.
#[derive(Clone, Debug)]
pub struct OpenLoop {
    draw: Draw,
    /// Gaps between requests; `None` for equal ones.
    gaps: Option<Gamma<f64>>,
    gap: Seconds,
    next: Seconds,
}

impl OpenLoop {
    /// `requests` requests at a mean `rate`. Gaps are gamma distributed with shape `burstiness`: 1 makes
    /// a Poisson process, less is burstier, infinity is a constant rate.
    pub fn new(
        rate: RequestsPerSecond,
        burstiness: f64,
        requests: u64,
        lengths: (Lengths, Lengths),
        seed: u64,
    ) -> OpenLoop {
        let gap = Seconds::new(1.0 / rate.get());
        let gaps = Gamma::new(burstiness, gap.get() / burstiness).ok().filter(|_| burstiness.is_finite());
        OpenLoop { draw: Draw::new(lengths, requests, seed), gaps, gap, next: Seconds::ZERO }
    }

    /// The same where a share of each prompt is in the cache already.
    #[must_use]
    pub fn reusing(mut self, share: f64) -> OpenLoop {
        self.draw.reused = share;
        self
    }
}

impl Arrivals for OpenLoop {
    fn next(&mut self) -> Result<Option<Arrival>, Diagnostic> {
        if self.draw.left == 0 {
            return Ok(None);
        }
        let gap = match &self.gaps {
            Some(gaps) => Seconds::new(gaps.sample(&mut self.draw.random)),
            None => self.gap,
        };
        let at = self.next;
        self.next += gap;
        Ok(Some(self.draw.at(at)))
    }

    fn answered(&mut self, _: &Arrival, _: Seconds) {}
}

/// What one of several replicas gets of a source when requests go round.
#[derive(Clone, Debug)]
pub struct Share<A> {
    source: A,
    /// Requests to pass on to others before the next of one's own.
    skip: u64,
    replicas: u64,
}

impl<A> Share<A> {
    /// The share of replica number `index` of `replicas`.
    pub fn new(source: A, index: u64, replicas: u64) -> Share<A> {
        Share { source, skip: index, replicas }
    }
}

impl<A: Arrivals> Arrivals for Share<A> {
    fn next(&mut self) -> Result<Option<Arrival>, Diagnostic> {
        for _ in 0..self.skip {
            if !self.source.skip()? {
                return Ok(None);
            }
        }
        self.skip = self.replicas - 1;
        self.source.next()
    }

    fn answered(&mut self, request: &Arrival, at: Seconds) {
        self.source.answered(request, at);
    }

    fn follow_answers(&self) -> bool {
        self.source.follow_answers()
    }

    fn are_bounded(&self) -> bool {
        self.source.are_bounded()
    }

    fn keeps_prefixes(&self) -> bool {
        self.source.keeps_prefixes()
    }

    fn parts(&self) -> &[Part] {
        self.source.parts()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths() -> (Lengths, Lengths) {
        (Lengths::Fixed(10), Lengths::Fixed(5))
    }

    fn all(mut source: impl Arrivals) -> Vec<Arrival> {
        std::iter::from_fn(|| source.next().expect("no trace, no error")).collect()
    }

    #[test]
    fn a_poisson_process_has_the_rate_and_variance_of_one() {
        let rate = RequestsPerSecond::new(5.0);
        let sent = all(OpenLoop::new(rate, 1.0, 20_000, lengths(), 3));
        let gaps: Vec<f64> = sent.windows(2).map(|w| (w[1].at - w[0].at).get()).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((mean * 5.0 - 1.0).abs() < 0.03, "{mean}");
        // The coefficient of variation of exponential gaps is 1.
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.05, "{variance}");
    }

    #[test]
    fn a_constant_rate_has_equal_gaps() {
        let sent = all(OpenLoop::new(RequestsPerSecond::new(4.0), f64::INFINITY, 5, lengths(), 3));
        let times: Vec<f64> = sent.iter().map(|a| a.at.get()).collect();
        assert_eq!(times, [0.0, 0.25, 0.5, 0.75, 1.0]);
    }

    #[test]
    fn shares_of_a_source_are_all_of_it() {
        let source = || OpenLoop::new(RequestsPerSecond::new(4.0), 0.5, 100, lengths(), 9);
        let mut shared: Vec<Arrival> = (0..3).flat_map(|i| all(Share::new(source(), i, 3))).collect();
        shared.sort_by(|a, b| a.at.get().total_cmp(&b.at.get()));
        assert_eq!(shared, all(source()));
    }

    #[test]
    fn a_closed_loop_sends_when_it_is_answered() {
        let mut source = ClosedLoop::new(2, 3, lengths(), 1);
        assert_eq!(all(&mut source).len(), 2);
        let request = Arrival::default();
        source.answered(&request, Seconds::new(7.0));
        assert_eq!(source.next().expect("no error").map(|a| a.at), Some(Seconds::new(7.0)));
        source.answered(&request, Seconds::new(8.0));
        assert_eq!(source.next().expect("no error"), None);
    }

    impl<A: Arrivals> Arrivals for &mut A {
        fn next(&mut self) -> Result<Option<Arrival>, Diagnostic> {
            (**self).next()
        }
        fn answered(&mut self, request: &Arrival, at: Seconds) {
            (**self).answered(request, at);
        }
    }
}
