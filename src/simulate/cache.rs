//! Who may have how much of the KV cache, in tokens.

use crate::catalog::engine::FallingReserve;
use crate::estimate::service::Replica;

/// Share of the cache that stays free on admission where it may run out later (vLLM's watermark).
const WATERMARK: f64 = 0.01;

/// The KV cache of a replica as its scheduler sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cache {
    /// Tokens that it holds, of requests of the workload's lengths.
    capacity: f64,
    /// Share of what running sequences have yet to generate that counts on admission.
    reserve: f64,
    /// How it falls, where it does.
    falling: Option<FallingReserve>,
    /// Share of the output of the one that is let in.
    entering: f64,
    /// Tokens of prompts that are being computed.
    prompts: f64,
    /// Tokens that decoding sequences have.
    decoding: f64,
    /// Tokens that requests in the engine have yet to generate.
    owed: f64,
    /// Tokens that several of those in the engine have in common, beyond the first of them.
    alike: f64,
    /// Tokens that were written so far.
    written: f64,
}

impl Cache {
    /// The empty cache of a replica.
    pub fn new(replica: &Replica) -> Cache {
        let s = &replica.engine.scheduling;
        let w = &replica.workload;
        let requests = (replica.cache_batch as f64 * replica.attention_dp as f64).max(1.0);
        Cache {
            capacity: requests * (w.isl as f64 + s.output_held() * w.osl as f64),
            reserve: s.falling_reserve.map_or(s.output_reserve, |falling| falling.from),
            falling: s.falling_reserve,
            entering: s.entering(),
            prompts: 0.0,
            decoding: 0.0,
            owed: 0.0,
            alike: 0.0,
            written: 0.0,
        }
    }

    /// The same of so many tokens.
    #[must_use]
    pub fn holding(self, tokens: f64) -> Cache {
        Cache { capacity: tokens.max(1.0), ..self }
    }

    /// Tokens that nobody in the engine uses.
    pub fn unused(&self) -> f64 {
        self.capacity - self.taken()
    }

    fn taken(&self) -> f64 {
        self.prompts + self.decoding - self.alike
    }

    /// Of the tokens of those in the engine so many more, or fewer, are in common.
    pub fn share_more(&mut self, tokens: f64) {
        self.alike += tokens;
    }

    /// Tokens that decoding sequences have.
    pub fn decoding(&self) -> f64 {
        self.decoding
    }

    /// Share that is taken.
    pub fn share(&self) -> f64 {
        self.taken() / self.capacity
    }

    /// Whether a request finds room beside those in the engine.
    pub fn admits(&self, prompt: u64, output: u64) -> bool {
        let taken = self.taken() + self.reserve * self.owed;
        let need = prompt as f64 + self.entering * output as f64;
        let free = if self.entering < 1.0 { WATERMARK * self.capacity } else { 0.0 };
        taken + need <= self.capacity - free
    }

    /// Up to how many tokens are written before what a sequence of those in the engine has is overwritten, were it to leave
    /// now: all that is free goes first.
    pub fn overwritten_after(&self) -> f64 {
        self.written + self.unused()
    }

    /// Of `tokens` that left when this was said those that are still there: the last go first.
    pub fn still_there(&self, tokens: u64, overwritten_after: f64) -> u64 {
        let gone = (self.written - overwritten_after).max(0.0);
        (tokens as f64 - gone).max(0.0) as u64
    }

    /// Lets a request in, whose prompt is computed now but for what is there, and whose output is owed.
    pub fn admit(&mut self, prompt: u64, there: u64, output: u64) {
        self.prompts += prompt as f64;
        self.written += (prompt - there.min(prompt)) as f64;
        self.owed += output as f64;
    }

    /// A prompt is computed and its first token out.
    pub fn prefilled(&mut self, prompt: u64) {
        self.prompts -= prompt as f64;
        self.decoding += prompt as f64;
        self.owed -= 1.0;
    }

    /// Decoding sequences have `tokens` more between them, after so many steps.
    pub fn grow(&mut self, tokens: f64, steps: u64) {
        self.decoding += tokens;
        self.written += tokens;
        self.owed -= tokens;
        if let Some(falling) = self.falling {
            let by = (falling.from - falling.to) * steps as f64 / falling.steps as f64;
            self.reserve = (self.reserve - by).max(falling.to);
        }
    }

    /// A sequence was thrown out: what counts is what the `sequences` that are left have shown, `generated` tokens between
    /// them.
    pub fn ran_out(&mut self, sequences: u64, generated: f64) {
        if let Some(falling) = self.falling {
            let whole = (generated + self.owed).max(1.0);
            self.reserve = ((generated + (falling.ahead * sequences) as f64) / whole).clamp(falling.to, 1.0);
        }
    }

    /// A decoding sequence leaves that has `held` tokens and lacks `owed`.
    pub fn release(&mut self, held: f64, owed: f64) {
        self.decoding -= held;
        self.owed -= owed;
    }

    /// Steps that grow it by `tokens` each until it runs out, if it can.
    pub fn steps_left(&self, tokens: f64) -> Option<u64> {
        let room = self.capacity - self.taken();
        (self.reserve < 1.0 || self.falling.is_some()).then(|| (room / tokens).max(0.0) as u64)
    }
}
