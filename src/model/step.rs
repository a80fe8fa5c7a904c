//! A step: the tokens that one pass through the model computes.

/// The tokens that one step processes on one attention-data-parallel rank.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Step {
    /// Prompt tokens computed.
    pub prefill_tokens: f64,
    /// Prompts they belong to.
    pub prefill_sequences: f64,
    /// Tokens of each such prompt already in the cache.
    pub prefill_prior: f64,
    /// Sequences that decode one token each.
    pub decode_sequences: f64,
    /// Mean tokens in the cache of each decoding sequence.
    pub context: f64,
    /// Share by which the ranks of an attention-data-parallel group hold fewer tokens than this one, on
    /// average with itself: prompts need not come to all of them at a time.
    pub idle_share: f64,
    /// Drafted tokens that the step verifies for each decoding sequence, beside its next one.
    pub drafted: f64,
}

impl Step {
    /// A step that only decodes.
    #[inline]
    pub fn decode(sequences: f64, context: f64) -> Step {
        Step { decode_sequences: sequences, context, ..Step::default() }
    }

    /// A step that computes `sequences` whole prompts of `tokens` each.
    pub fn prefill(sequences: f64, tokens: f64) -> Step {
        Step { prefill_tokens: sequences * tokens, prefill_sequences: sequences, ..Step::default() }
    }

    /// Half of its sequences and prompts.
    #[must_use]
    pub fn halved(&self) -> Step {
        Step {
            prefill_tokens: self.prefill_tokens / 2.0,
            prefill_sequences: self.prefill_sequences / 2.0,
            decode_sequences: self.decode_sequences / 2.0,
            ..*self
        }
    }

    /// Tokens that decoding sequences compute: their next one and those that are verified.
    #[inline]
    pub fn decode_tokens(&self) -> f64 {
        self.decode_sequences * self.queries()
    }

    /// Tokens that each decoding sequence computes.
    #[inline]
    pub fn queries(&self) -> f64 {
        1.0 + self.drafted
    }

    /// Tokens in all.
    #[inline]
    pub fn tokens(&self) -> f64 {
        self.prefill_tokens + self.decode_tokens()
    }

    /// Positions whose next token is sampled.
    #[inline]
    pub fn emitting(&self) -> f64 {
        self.prefill_sequences + self.decode_tokens()
    }

    /// Query-key pairs of prompts whose tokens see each other both ways, at most `window` keys per query: `n·min(n, w)`
    /// for each sequence of `n` tokens.
    pub fn pairs_both_ways(&self, window: Option<u64>) -> f64 {
        if self.prefill_sequences <= 0.0 {
            return 0.0;
        }
        let n = self.prefill_prior + self.prefill_tokens / self.prefill_sequences;
        self.prefill_tokens * window.map_or(n, |w| n.min(w as f64))
    }

    /// Query-key pairs of the prompts' causal attention, at most `window` keys per query:
    /// `Σ_{i=p}^{p+n−1} min(i + 1, w)` over each sequence of `n` new tokens after `p`.
    pub fn prefill_pairs(&self, window: Option<u64>) -> f64 {
        if self.prefill_sequences <= 0.0 {
            return 0.0;
        }
        let n = self.prefill_tokens / self.prefill_sequences;
        let end = self.prefill_prior + n;
        let triangle = |x: f64| x * (x + 1.0) / 2.0;
        let capped = |x: f64, w: f64| if x <= w { triangle(x) } else { triangle(w) + (x - w) * w };
        let w = window.map_or(f64::INFINITY, |w| w as f64);
        (capped(end, w) - capped(self.prefill_prior, w)) * self.prefill_sequences
    }
}
