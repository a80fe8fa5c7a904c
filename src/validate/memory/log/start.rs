//! What a start-up log says, and figures out of its lines.

use crate::units::Bytes;

/// What a log says. Sizes are GiB: engines print `GiB` and `GB` alike for it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StartLog {
    /// Engine, by its catalogue name.
    pub engine: Option<&'static str>,
    /// Its version, as printed.
    pub version: Option<String>,
    /// Backend, where a version has several.
    pub backend: Option<&'static str>,
    /// Model, as given to the server.
    pub model: Option<String>,
    /// Tensor-parallel degree.
    pub tp: Option<u32>,
    /// Pipeline stages.
    pub pp: Option<u32>,
    /// Expert-parallel degree.
    pub ep: Option<u32>,
    /// Attention-data-parallel degree.
    pub attention_dp: Option<u32>,
    /// Longest context.
    pub max_model_len: Option<u64>,
    /// Sequences in one batch.
    pub max_sequences: Option<u64>,
    /// Tokens in one step.
    pub max_batched_tokens: Option<u64>,
    /// Memory fraction.
    pub fraction: Option<f64>,
    /// Type of the KV cache, where it is not the engine's default.
    pub kv: Option<String>,
    /// Whether CUDA graphs are off.
    pub eager: bool,
    /// Memory of the GPU.
    pub total: Option<Bytes>,
    /// Weights.
    pub weights: Option<f64>,
    /// Activation peak.
    pub activations: Option<f64>,
    /// Context, libraries, communication buffers.
    pub non_torch: Option<f64>,
    /// CUDA graphs.
    pub cuda_graphs: Option<f64>,
    /// KV cache.
    pub kv_cache: Option<f64>,
    /// Tokens that it holds.
    pub tokens: Option<u64>,
}

/// Sets a value that no earlier line has set.
pub(super) fn first<T>(slot: &mut Option<T>, value: Option<T>) {
    if slot.is_none() {
        *slot = value;
    }
}

/// The number that follows a mark, thousands separated or not.
pub(super) fn number_after(line: &str, mark: &str) -> Option<f64> {
    let rest = &line[line.find(mark)? + mark.len()..];
    number(rest.trim_start_matches([' ', '(', '\'', '"', ':', '=']))
}

/// The number at the start of a text.
pub(super) fn number(text: &str) -> Option<f64> {
    let end =
        text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ',' | '-'))).unwrap_or(text.len());
    let digits: String = text[..end].trim_end_matches(['.', ',']).chars().filter(|c| *c != ',').collect();
    digits.parse().ok().filter(|x: &f64| x.is_finite())
}

/// The memory of a GPU, if it can be one.
pub(super) fn gib(number: Option<f64>) -> Option<Bytes> {
    number.filter(|x| (0.1..1e5).contains(x)).map(Bytes::gib)
}

/// The same as a whole number.
pub(super) fn whole_after(line: &str, mark: &str) -> Option<u64> {
    number_after(line, mark).filter(|x| *x >= 1.0).map(|x| x as u64)
}

/// A parallel degree.
pub(super) fn degree_after(line: &str, mark: &str) -> Option<u32> {
    whole_after(line, mark).and_then(|n| u32::try_from(n).ok())
}

/// The number before a mark: `5.68 GiB for weight`.
pub(super) fn number_before(line: &str, mark: &str) -> Option<f64> {
    let head = line[..line.find(mark)?].trim_end();
    let start = head.rfind(|c: char| !(c.is_ascii_digit() || c == '.')).map_or(0, |i| i + 1);
    head.get(start..)?.parse().ok()
}

/// The word that follows a mark, quotes and brackets taken off.
pub(super) fn word_after(line: &str, mark: &str) -> Option<String> {
    let rest = line[line.find(mark)? + mark.len()..].trim_start_matches([' ', '\'', '"', ':', '=']);
    let end = rest
        .find(|c: char| c.is_whitespace() || matches!(c, ',' | '\'' | '"' | ')' | '}' | '('))
        .unwrap_or(rest.len());
    Some(rest[..end].to_owned()).filter(|word| !word.is_empty() && word != "None")
}
