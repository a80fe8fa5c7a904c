//! Names of models as people type them: `llama3.3-70b`, `gemma3:27b`, `mixtral-8x7b-instruct`.

use std::collections::BTreeSet;

use crate::catalog::{Catalog, Entry, Kind};
use crate::diagnostic::{Code, Diagnostic, brief, folded, same_letters, same_words};

/// Endings that say what a model was tuned for, and not which one it is.
const TUNED: [&str; 4] = ["instruct", "chat", "it", "hf"];

/// The entry that a name without an organisation means, where no entry goes by it as it is written: `:` stands for `-`,
/// as in Ollama's names; then what the name was tuned for is left out. `None` where the catalogue has no such model.
///
/// # Errors
/// [`Code::UnknownName`] naming them where several are meant.
pub(super) fn find<'a>(catalog: &'a Catalog, name: &str) -> Result<Option<Entry<'a>>, Diagnostic> {
    let Some(typed) = Typed::read(name.trim()) else { return Ok(None) };
    let name = typed.name.replace(':', "-");
    let entries = catalog.entries(Kind::Model);
    let named = |is: &dyn Fn(&str) -> bool| -> Vec<Entry<'a>> {
        let goes_by = |e: &&Entry| is(tail(e.id())) || e.aliases().into_iter().any(|alias| is(tail(alias)));
        entries.iter().filter(goes_by).copied().collect()
    };
    // By whole words first: `qwen2-57b` and `qwen2.5-7b` have the same letters.
    let mut found = named(&|known| same_words(known, &name));
    for alike in [same_words, same_letters] {
        if found.is_empty() {
            found = named(&|known| alike(untuned(known), untuned(&name)));
        }
    }
    // A size of Ollama's is one of several models under its name: `deepseek-r1:14b` is the distilled one of 14 B.
    if found.is_empty() && typed.name.contains(':') {
        let words = |name: &str| -> Vec<String> {
            let parts = name.split(|c: char| c.is_whitespace() || matches!(c, '.' | '-' | '_'));
            parts.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
        };
        let asked = words(&name);
        let holds = |known: &str| asked.iter().all(|word| words(known).contains(word));
        found = entries.iter().filter(|entry| holds(tail(entry.id()))).copied().collect();
        let least = found.iter().map(|entry| words(tail(entry.id())).len()).min();
        found.retain(|entry| Some(words(tail(entry.id())).len()) == least);
    }
    // Of a base model and what was tuned from it, the one that is tuned as the name says.
    let tuned = |entry: &Entry| (untuned(entry.id()) == entry.id()) == (untuned(&name) == name);
    if found.len() > 1 && found.iter().any(tuned) {
        found.retain(tuned);
    }
    match found.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(*one)),
        several => {
            let ids: BTreeSet<String> = several.iter().map(|entry| format!("`{}`", entry.id())).collect();
            let help = format!("write {}", ids.into_iter().collect::<Vec<_>>().join(" or "));
            let cause = format!("model `{}` may mean several", brief(&name));
            Err(Diagnostic::new(Code::UnknownName, cause).help(help))
        }
    }
}

/// What a name says beside which model it is.
struct Typed {
    /// The model's own name.
    name: String,
    /// The format that it names: `Q4_K_M` of `org/model-GGUF:Q4_K_M` and of `llama3.3:70b-instruct-q4_K_M`.
    format: Option<String>,
    /// Whether it is a repository of files that were made from a model's.
    repacked: bool,
}

impl Typed {
    /// Reads a name without an organisation, or one of GGUF files on the hub; `None` for any other.
    fn read(name: &str) -> Option<Typed> {
        if name.contains('/') {
            let (repository, tag) = match name.rsplit_once(':') {
                Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag.to_owned())),
                _ => (name, None),
            };
            let tail = tail(repository);
            let cut = tail.len().checked_sub(GGUF.len()).filter(|cut| tail.is_char_boundary(*cut))?;
            let is_gguf = tail[cut..].eq_ignore_ascii_case(GGUF);
            let model = is_gguf.then(|| tail[..cut].to_owned()).filter(|model| !model.is_empty())?;
            return Some(Typed { name: model, format: tag, repacked: true });
        }
        let (model, ending) = match name.rsplit_once('-') {
            Some((model, ending)) if name.contains(':') && is_format(ending) => (model, Some(ending)),
            _ => (name, None),
        };
        Some(Typed { name: model.to_owned(), format: ending.map(str::to_owned), repacked: false })
    }
}

/// How repositories of GGUF files end.
const GGUF: &str = "-GGUF";

/// Whether a word is one of llama.cpp's formats: `q4_K_M`, `iq4_xs`, `fp16`.
fn is_format(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    let bits = lower.strip_prefix("iq").or(lower.strip_prefix('q'));
    bits.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        || matches!(lower.as_str(), "fp16" | "f16" | "bf16")
}

/// What to know of an answer about a name that says more than the model.
pub(super) fn note(asked: &str, entry: &Entry) -> Option<String> {
    // A size of Ollama's is headed by what was asked: which model it is has to be said.
    let sized = asked.contains(':') && heading(entry, asked) == asked.trim();
    let says_more = |typed: &Typed| sized || typed.repacked || typed.format.is_some();
    let typed = Typed::read(asked.trim()).filter(says_more)?;
    let copy = if typed.repacked { ", of which it holds copies in llama.cpp's formats" } else { "" };
    let format = typed.format.map(|format| format.to_ascii_lowercase());
    let format = format.map_or(String::new(), |format| format!("; its format is --weights {format}"));
    Some(format!("`{}` is read as {}{copy}{format}", brief(asked.trim()), entry.id()))
}

/// The name that an answer is headed by: the entry's, or that of one of its aliases on the hub, where it says all that
/// was asked for; else what was asked for. An entry of the same sizes never lends its name to another model.
pub(super) fn heading(entry: &Entry, asked: &str) -> String {
    let asked = asked.trim();
    let hub = entry.aliases().into_iter().filter(|alias| alias.contains('/'));
    let mut full = [entry.id()].into_iter().chain(hub).filter(|name| says(name, asked));
    full.next().unwrap_or(asked).to_owned()
}

/// Whether a name holds all that another says: its letters in a row, and no digit behind its last one, which would
/// be another version.
fn says(name: &str, asked: &str) -> bool {
    let letters = |text: &str| folded(text).filter(|c| *c != ':').collect::<String>();
    let (name, asked) = (letters(name), letters(asked));
    name.match_indices(&asked).any(|(at, part)| {
        let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
        let (before, after) = (name[..at].chars().next_back(), name[at + part.len()..].chars().next());
        let cut = digit(part.chars().next_back()) && digit(after);
        !(cut || digit(part.chars().next()) && digit(before))
    })
}

/// A name without its organisation.
fn tail(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(_, tail)| tail)
}

/// A name without endings that say what it was tuned for.
fn untuned(name: &str) -> &str {
    let ending = |name: &str| {
        let (rest, last) = name.rsplit_once(['-', '_', '.', ' '])?;
        TUNED.iter().any(|t| t.eq_ignore_ascii_case(last)).then_some(rest.len())
    };
    let mut name = name;
    while let Some(length) = ending(name) {
        name = &name[..length];
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_name_was_tuned_for_is_an_ending() {
        assert_eq!(untuned("Llama-2-13b-chat-hf"), "Llama-2-13b");
        assert_eq!(untuned("gemma-3-27b-it"), "gemma-3-27b");
        assert_eq!(untuned("digit"), "digit");
    }

    #[test]
    fn a_size_of_ollamas_and_a_repository_of_gguf_files_mean_the_model_that_they_are_of() {
        // ollama.com/library/deepseek-r1, /llama3.3; huggingface.co/unsloth, /bartowski.
        let catalog = Catalog::built_in();
        let id = |name: &str| find(&catalog, name).map(|found| found.map(|entry| entry.id().to_owned()));
        for (name, model) in [
            ("deepseek-r1:14b", "deepseek-ai/DeepSeek-R1-Distill-Qwen-14B"),
            ("deepseek-r1:1.5b", "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"),
            ("llama3.3:70b-instruct-q4_K_M", "meta-llama/Llama-3.3-70B-Instruct"),
            ("bartowski/Llama-3.3-70B-Instruct-GGUF", "meta-llama/Llama-3.3-70B-Instruct"),
            ("unsloth/Qwen3-32B-GGUF:Q4_K_M", "Qwen/Qwen3-32B"),
        ] {
            assert_eq!(id(name).unwrap().as_deref(), Some(model), "{name}");
        }
        // Two models of this size are distilled from it.
        assert!(id("deepseek-r1:8b").is_err());
        for unknown in ["org/other-GGUF", "org/Qwen3-32B", "deepseek-r1:999b"] {
            assert_eq!(id(unknown).unwrap(), None, "{unknown}");
        }
    }

    #[test]
    fn another_version_is_not_said_by_a_name_that_begins_like_it() {
        assert!(says("google/gemma-3-27b-it", "gemma3:27b"));
        assert!(says("meta-llama/Meta-Llama-3.1-70B", "llama-3.1-70b"));
        assert!(!says("MiniMaxAI/MiniMax-M2.5", "minimax-m2"));
        assert!(!says("meta-llama/Meta-Llama-3.1-70B", "llama-3.3-70b"));
    }
}
