//! Who may have how much of the KV cache, in tokens.

use crate::estimate::service::Replica;

/// Share of the cache that stays free on admission where it may run out later (vLLM's watermark).
const WATERMARK: f64 = 0.01;

/// The KV cache of a replica as its scheduler sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cache {
    /// Tokens that it holds, of requests of the workload's lengths.
    capacity: f64,
    /// Share of the output that counts on admission.
    reserve: f64,
    /// Tokens of prompts that are being computed.
    prompts: f64,
    /// Tokens that decoding sequences have.
    decoding: f64,
    /// Tokens that requests in the engine have yet to generate.
    owed: f64,
    /// Tokens that several of those in the engine have in common, beyond the first of them.
    alike: f64,
}

impl Cache {
    /// The empty cache of a replica.
    pub fn new(replica: &Replica) -> Cache {
        let s = &replica.engine.scheduling;
        let w = &replica.workload;
        let requests = (replica.cache_batch as f64 * replica.attention_dp as f64).max(1.0);
        Cache {
            capacity: requests * (w.isl as f64 + s.output_reserve * w.osl as f64),
            reserve: s.admission_reserve.unwrap_or(s.output_reserve),
            prompts: 0.0,
            decoding: 0.0,
            owed: 0.0,
            alike: 0.0,
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
        let need = prompt as f64 + self.reserve * output as f64;
        let free = if self.reserve < 1.0 { WATERMARK * self.capacity } else { 0.0 };
        taken + need <= self.capacity - free
    }

    /// Lets a request in, whose prompt is computed now and whose output is owed.
    pub fn admit(&mut self, prompt: u64, output: u64) {
        self.prompts += prompt as f64;
        self.owed += output as f64;
    }

    /// A prompt is computed and its first token out.
    pub fn prefilled(&mut self, prompt: u64) {
        self.prompts -= prompt as f64;
        self.decoding += prompt as f64;
        self.owed -= 1.0;
    }

    /// Decoding sequences have `tokens` more between them.
    pub fn grow(&mut self, tokens: f64) {
        self.decoding += tokens;
        self.owed -= tokens;
    }

    /// A decoding sequence leaves that has `held` tokens and lacks `owed`.
    pub fn release(&mut self, held: f64, owed: f64) {
        self.decoding -= held;
        self.owed -= owed;
    }

    /// Steps that grow it by `tokens` each until it runs out, if it can.
    pub fn steps_left(&self, tokens: f64) -> Option<u64> {
        let room = self.capacity - self.taken();
        (self.reserve < 1.0).then(|| (room / tokens).max(0.0) as u64)
    }
}
