//! Requests of a trace that go to the replica which has most of their beginning.

use std::collections::HashMap;

use super::arrivals::{Arrival, Arrivals, Content};
use super::kept::Part;
use crate::diagnostic::Diagnostic;
use crate::units::Seconds;

/// Beginnings that a router remembers, twice over.
const REMEMBERED: usize = 1 << 20;

/// How far the tokens sent to a replica may lie above the fewest and it still gets what it has the beginning of: a share of
/// them, and tokens on top (SGLang's router, `cache_aware`: a ratio of 1.5 and a difference of 64 requests).
const UNEVEN: (f64, f64) = (1.5, 1e5);

/// Where beginnings were sent, the oldest forgotten.
#[derive(Debug)]
struct Router {
    recent: HashMap<u64, u64>,
    before: HashMap<u64, u64>,
    sent: Vec<f64>,
    turn: u64,
}

impl Router {
    fn known(&self, key: u64) -> Option<u64> {
        self.recent.get(&key).or_else(|| self.before.get(&key)).copied()
    }

    /// The replica of a prompt of these parts, of `tokens` in all.
    fn choose(&mut self, parts: &[Part], tokens: u64) -> u64 {
        if parts.is_empty() {
            self.turn = (self.turn + 1) % self.sent.len() as u64;
            return self.turn;
        }
        let mut found = (0, None);
        for part in parts {
            match self.known(part.key) {
                Some(replica) => found = (found.0 + part.tokens, Some(replica)),
                None => break,
            }
        }
        let least = (0..self.sent.len()).min_by(|a, b| self.sent[*a].total_cmp(&self.sent[*b])).unwrap_or(0);
        let most = self.sent[least] * UNEVEN.0 + UNEVEN.1;
        let has = found.1.filter(|replica| self.sent[*replica as usize] <= most);
        let chosen = has.unwrap_or(least as u64);
        let fresh = if has.is_some() { tokens.saturating_sub(found.0) } else { tokens };
        self.sent[chosen as usize] += fresh as f64;
        for part in parts {
            self.recent.insert(part.key, chosen);
        }
        if self.recent.len() > REMEMBERED {
            self.before = std::mem::take(&mut self.recent);
        }
        chosen
    }
}

/// What one of several replicas gets of a source whose router looks at prefixes.
#[derive(Debug)]
pub struct Routed<A> {
    source: A,
    index: u64,
    router: Router,
}

impl<A> Routed<A> {
    /// The share of replica number `index` of `replicas`.
    pub fn new(source: A, index: u64, replicas: u64) -> Routed<A> {
        let sent = vec![0.0; replicas.max(1) as usize];
        let router =
            Router { recent: HashMap::new(), before: HashMap::new(), sent, turn: replicas.max(1) - 1 };
        Routed { source, index, router }
    }
}

impl<A: Arrivals> Arrivals for Routed<A> {
    fn next(&mut self) -> Result<Option<Arrival>, Diagnostic> {
        while let Some(request) = self.source.next()? {
            let parts = match request.content {
                Content::Blocks(_) => self.source.parts(),
                _ => &[],
            };
            if self.router.choose(parts, request.prompt) == self.index {
                return Ok(Some(request));
            }
        }
        Ok(None)
    }

    fn answered(&mut self, request: &Arrival, at: Seconds) {
        self.source.answered(request, at);
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

    #[test]
    fn prompts_with_one_beginning_stay_together_and_others_even_out() {
        let mut router =
            Router { recent: HashMap::new(), before: HashMap::new(), sent: vec![0.0; 2], turn: 1 };
        let prompt = |key: u64| [Part { key, tokens: 512 }, Part { key: key + 100, tokens: 512 }];
        let first = router.choose(&prompt(1), 1024);
        let second = router.choose(&prompt(2), 1024);
        assert_ne!(first, second);
        assert_eq!((router.choose(&prompt(1), 2048), router.choose(&prompt(2), 2048)), (first, second));
        // Without a beginning in turn.
        assert_ne!(router.choose(&[], 5), router.choose(&[], 5));
    }
}
