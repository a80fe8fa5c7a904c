//! What no server is faster than: the datasheet's peak and bandwidth.

use crate::model::operator::Step;
use crate::units::{BytesPerSecond, Seconds};

use super::Replica;

/// Times that physics forbids to fall short of, whatever engines make of their kernels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Least {
    /// Of the first token: the prompt's arithmetic at the datasheet's peak.
    pub ttft: Seconds,
    /// Of each token after it: the weights and the cache that its step reads, at the datasheet's bandwidth.
    pub tpot: Seconds,
}

impl Replica<'_> {
    /// The least times of a request where `decoding` sequences of the replica decode together, on GPUs of a bandwidth. Each
    /// drafted token counts as accepted.
    pub fn least(&self, decoding: f64, bandwidth: BytesPerSecond) -> Least {
        let each = (decoding / self.lanes()).max(1.0);
        let decode = self.decode_of(each, self.workload.mean_context());
        let prompt = Step::prefill(1.0, self.workload.computed_prompt() as f64);
        Least {
            ttft: self.pipeline.least(&prompt, bandwidth) / self.micro_batches(),
            tpot: self.pipeline.least(&decode, bandwidth) / (1.0 + self.workload.drafted()),
        }
    }
}
