//! Which requests of a run count, and what they add up to.

use std::ops::Range;

use super::arrivals::Arrival;
use super::statistics::Outcome;
use crate::units::Seconds;
use crate::workload::Targets;

/// What becomes of the requests of a run. Those whose number lies in the window count, and count as good
/// when they meet the targets; those before are the warm-up, those after keep the load up to the end.
#[derive(Debug)]
pub struct Tally {
    window: Range<u64>,
    targets: Targets,
    admitted: u64,
    /// The time that rates are taken over.
    began: Option<Seconds>,
    ended: Seconds,
    /// When the first request that counts was sent, and the last.
    sent: Option<(Seconds, Seconds)>,
    /// Whether the gaps between tokens are counted one by one.
    gaps: bool,
    /// What was measured so far.
    pub outcome: Outcome,
}

/// A request that has all its tokens.
#[derive(Clone, Copy, Debug)]
pub struct Answered {
    /// The request.
    pub request: Arrival,
    /// Whether it counts.
    pub counts: bool,
    /// From its arrival to its first token as the client sees it.
    pub ttft: Seconds,
    /// When its first token was computed.
    pub first_token: Seconds,
}

impl Tally {
    /// Nothing has happened yet.
    pub fn new(window: Range<u64>, targets: Targets) -> Tally {
        let (ended, outcome) = (Seconds::ZERO, Outcome::default());
        Tally { window, targets, admitted: 0, began: None, ended, sent: None, gaps: true, outcome }
    }

    /// The same where gaps between tokens are not asked about: their means over requests are known without them.
    #[must_use]
    pub fn without_gaps(self) -> Tally {
        Tally { gaps: false, ..self }
    }

    /// So many tokens come as long after the ones before them.
    pub fn gap(&mut self, time: Seconds, tokens: u64) {
        if self.gaps {
            self.outcome.itl.add_many(time, tokens);
        }
    }

    /// Takes up a request: its number in the order of admission, and whether it counts.
    pub fn admit(&mut self, request: Arrival, now: Seconds) -> (u64, bool) {
        let number = self.admitted;
        let counts = self.window.contains(&number);
        self.admitted += 1;
        if counts {
            let (place, all) = (number - self.window.start, self.window.end - self.window.start);
            let quarter = [place < all.div_ceil(4), place >= all - all.div_ceil(4)];
            for (waits, there) in self.outcome.waits.iter_mut().zip(quarter) {
                if there {
                    waits.add(now - request.at);
                }
            }
            let warmed = self.window.start > 0;
            self.began.get_or_insert(if warmed { now } else { request.at });
            if warmed {
                self.ended = now;
                let (first, last) = self.sent.unwrap_or((request.at, request.at));
                self.sent = Some((first.min(request.at), last.max(request.at)));
            }
        }
        (number, counts)
    }

    /// A request ends now. With a warm-up, rates are of all that end while requests that count are being
    /// sent: as many begin in that time as end. Without one, ramp-up and drain belong to the run.
    pub fn answered(&mut self, answered: Answered, now: Seconds) {
        let whole = self.window.start == 0;
        if whole || (self.began.is_some() && self.admitted < self.window.end) {
            self.outcome.answered += 1;
            self.outcome.answered_tokens += answered.request.output;
        }
        if whole {
            self.ended = now;
        }
        if answered.counts {
            self.count(answered, now);
        }
    }

    fn count(&mut self, Answered { request, ttft, first_token, .. }: Answered, now: Seconds) {
        let (o, all) = (&mut self.outcome, self.window.end - self.window.start);
        let half = usize::from(o.requests >= all / 2);
        o.halves[half].add(ttft);
        let e2e = (now - request.at).max(ttft);
        o.whole_halves[half].add(e2e);
        let gaps = request.output.saturating_sub(1);
        let tpot = (now - first_token).max(Seconds::ZERO) / gaps.max(1) as f64;
        o.requests += 1;
        o.prompt_tokens += request.prompt;
        o.reused_tokens += request.reused;
        o.output_tokens += request.output;
        o.ttft.add(ttft);
        o.e2e.add(e2e);
        if gaps > 0 {
            o.tpot.add(tpot);
        }
        let keeps = |limit: Option<Seconds>, got: Seconds| limit.is_none_or(|limit| got <= limit);
        let t = &self.targets;
        let good = keeps(t.ttft, ttft) && keeps(t.tpot, tpot) && keeps(t.e2e, e2e);
        o.good_requests += u64::from(good);
    }

    /// What was measured. Where requests are `bounded`, none are offered that could not be answered.
    pub fn close(mut self, bounded: bool) -> Outcome {
        self.outcome.duration = (self.ended - self.began.unwrap_or(self.ended)).max(Seconds::ZERO);
        let sent = self.sent.filter(|_| !bounded);
        self.outcome.sending = sent.map_or(Seconds::ZERO, |(first, last)| last - first);
        self.outcome
    }
}
