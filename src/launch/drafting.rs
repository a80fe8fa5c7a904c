//! What drafts tokens, in the engines' own words.

use super::server::Drafts;
use crate::workload::Draft;

/// What drafts tokens in a launch, in the planner's terms; why it is not known otherwise. Engines' own names:
/// `vllm/config/speculative.py`, `sglang/srt/speculative/spec_info.py`, `decoding_type` in `tensorrt_llm/llmapi/llm_args.py`,
/// `--spec-type` in llama.cpp's `common/arg.cpp`.
pub fn draft(drafts: &Drafts) -> Result<Draft, String> {
    let named = |part: &str| drafts.model.as_ref().is_some_and(|m| m.to_ascii_lowercase().contains(part));
    let method = drafts.method.as_deref().map(|m| m.to_ascii_lowercase().replace('-', "_"));
    Ok(match method.as_deref() {
        // Without a word the name of the drafting model decides, and without one the model's own layers draft.
        None if named("eagle") => Draft::Eagle3,
        None if drafts.model.is_some() => Draft::Model,
        None => Draft::Layers,
        Some(m) if m.ends_with("mtp") || m == "nextn" => Draft::Layers,
        // SGLang drafts with a model's own prediction layers under this name where no head is named.
        Some("eagle") if drafts.model.is_none() => Draft::Layers,
        Some("eagle" | "eagle3" | "draft_eagle3") => Draft::Eagle3,
        Some("draft_model" | "standalone" | "drafttarget" | "draft_simple" | "draft") => Draft::Model,
        Some(m) if m.contains("ngram") || matches!(m, "suffix" | "prompt_lookup") => Draft::Lookup,
        Some(m) => {
            let known = Draft::NOT_DESCRIBED.iter().find(|(name, _)| *name == m);
            return Err(
                known.map_or("how it drafts is not described".to_owned(), |(_, why)| (*why).to_owned())
            );
        }
    })
}
