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
    let name = name.trim().replace(':', "-");
    if name.contains('/') {
        return Ok(None);
    }
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
    fn another_version_is_not_said_by_a_name_that_begins_like_it() {
        assert!(says("google/gemma-3-27b-it", "gemma3:27b"));
        assert!(says("meta-llama/Meta-Llama-3.1-70B", "llama-3.1-70b"));
        assert!(!says("MiniMaxAI/MiniMax-M2.5", "minimax-m2"));
        assert!(!says("meta-llama/Meta-Llama-3.1-70B", "llama-3.3-70b"));
    }
}
