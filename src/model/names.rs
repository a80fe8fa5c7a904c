//! Names of models as people type them: `llama3.3-70b`, `gemma3:27b`, `mixtral-8x7b-instruct`.

use std::collections::BTreeSet;

use super::assembly::from_parts;
use super::config::{self, Config};
use super::{Quantisation, Scope};
use crate::catalog::{Catalog, Entry, Kind};
use crate::diagnostic::{Code, Diagnostic, brief, folded, same_letters, same_words};
use crate::dtype::{WeightFormat, gguf};

/// Endings that say what a model was tuned for, and not which one it is.
const TUNED: [&str; 5] = ["instruct", "chat", "it", "hf", "thinking"];

/// Endings of files that were tuned from a model and kept its sizes, and of files made with an importance matrix.
const DERIVED: [&str; 5] = ["i1", "imatrix", "abliterated", "uncensored", "heretic"];

/// A name without the address that it is copied with: that of the hub, or the prefix that tools put before Ollama's names.
pub(super) fn plain(name: &str) -> &str {
    let name = name.trim().trim_end_matches('/');
    let addresses = [
        "https://huggingface.co/",
        "http://huggingface.co/",
        "https://hf.co/",
        "huggingface.co/",
        "hf.co/",
        "https://ollama.com/library/",
        "ollama.com/library/",
        "registry.ollama.ai/library/",
        "ollama_chat/",
        "ollama/",
        "huggingface/",
        "openrouter/",
        "hosted_vllm/",
    ];
    let plain = addresses.iter().find_map(|address| name.strip_prefix(address)).unwrap_or(name);
    let page = ["/tree/", "/blob/", "/resolve/"].iter().find_map(|page| plain.split_once(page));
    page.map_or(plain, |(plain, _)| plain)
}

/// The models whose names begin with all words of a name, four at most, the shortest first: what is meant by a family's.
pub(super) fn family<'a>(catalog: &'a Catalog, name: &str) -> Vec<&'a str> {
    const MOST: usize = 4;
    let letters: String = folded(tail(name)).filter(|c| *c != ':').collect();
    let asked = words(&tail(name).replace(':', "-"));
    let of = |entry: &Entry| {
        let own = words(tail(entry.id()));
        // Whole words: `llama3` begins no name of Llama 33.
        let begins = (1..=own.len()).any(|count| own[..count].concat() == letters);
        begins
            || !asked.is_empty()
                && asked.iter().all(|word| own.iter().any(|known| known.starts_with(word.as_str())))
    };
    if letters.chars().filter(|c| c.is_alphabetic()).count() < 3 {
        return Vec::new();
    }
    let mut found: Vec<&str> =
        catalog.entries(Kind::Model).iter().filter(|entry| of(entry)).map(|entry| entry.id()).collect();
    found.sort_by_key(|id| (id.len(), *id));
    found.truncate(MOST);
    found
}

/// The words of a name in lower case.
fn words(name: &str) -> Vec<String> {
    let parts = name.split(|c: char| c.is_whitespace() || matches!(c, '.' | '-' | '_'));
    parts.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

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
        let asked = words(&name);
        let holds = |known: &str| asked.iter().all(|word| words(known).contains(word));
        found = entries.iter().filter(|entry| holds(tail(entry.id()))).copied().collect();
        let least = found.iter().map(|entry| words(tail(entry.id())).len()).min();
        found.retain(|entry| Some(words(tail(entry.id())).len()) == least);
    }
    // Files are named after the publisher too (`Qwen_QwQ-32B-GGUF`), and after what was done to the model.
    if found.is_empty() && typed.is_file {
        let bare = derived(&name);
        let shorter = [Some(bare), bare.split_once('_').map(|(_, model)| model)];
        let shorter = shorter.into_iter().flatten().filter(|shorter| *shorter != name);
        for shorter in shorter {
            if found.is_empty() {
                found = named(&|known| same_words(untuned(known), untuned(shorter)));
            }
        }
    }
    // The size of a model that has only one says nothing new: `deepseek-r1:671b`, `phi4:14b`.
    if found.is_empty()
        && let Some((rest, size)) = name.rsplit_once(['-', ' ', '_'])
        && let Some(size) = parameters(size)
    {
        let near = |entry: &Entry| entry_size(entry).is_some_and(|n| (n / size - 1.0).abs() <= NEAR_THE_SIZE);
        found = named(&|known| same_letters(known, rest));
        found.retain(near);
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

/// How far a model's parameters lie from the size in its name: phi-4's 14.7 B are called 14 B.
const NEAR_THE_SIZE: f64 = 0.07;

/// The parameters that a word names: `671b`, `1.5B`, `350m`.
fn parameters(word: &str) -> Option<f64> {
    let lower = word.to_ascii_lowercase();
    let scale = if lower.ends_with('b') { 1e9 } else { 1e6 };
    let number = lower.strip_suffix(['b', 'm'])?;
    number.parse::<f64>().ok().filter(|n| *n > 0.0).map(|n| n * scale)
}

/// The parameters of an entry.
fn entry_size(entry: &Entry) -> Option<f64> {
    let config = config::parse(&entry.text().ok()?, entry.id()).ok()?;
    let root = Config::new(&config, entry.id());
    let model = from_parts(&root, entry.id(), Scope::Full, Quantisation::read(&root).ok()?).ok()?;
    model.parameters().ok().map(|parameters| parameters.total as f64)
}

/// A name without endings that say what was done to a model that kept its sizes.
fn derived(name: &str) -> &str {
    let mut name = name;
    while let Some((rest, last)) = name.rsplit_once(['-', '.']) {
        if !DERIVED.iter().any(|known| known.eq_ignore_ascii_case(last)) {
            break;
        }
        name = rest;
    }
    name
}

/// What a name says beside which model it is.
struct Typed<'a> {
    /// The model's own name.
    name: String,
    /// The format that it names: `Q4_K_M` of `org/model-GGUF:Q4_K_M` and of `llama3.3:70b-instruct-q4_K_M`.
    format: Option<&'a str>,
    /// Whether it is a repository of files that were made from a model's.
    repacked: bool,
    /// Whether it means a GGUF file: of a repository, of Ollama's library, or by its format.
    is_file: bool,
}

impl<'a> Typed<'a> {
    /// Reads a name without an organisation, or one of GGUF files on the hub; `None` for any other.
    fn read(name: &'a str) -> Option<Typed<'a>> {
        let name = plain(name);
        if let Some(typed) = Typed::of_file(name) {
            return Some(typed);
        }
        if name.contains('/') {
            // LM Studio writes `@q4_k_m`, llama.cpp and Ollama `:Q4_K_M`.
            let (repository, tag) = match name.rsplit_once([':', '@']) {
                Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
                _ => (name, None),
            };
            let tail = tail(repository);
            let cut = tail.len().checked_sub(GGUF.len()).filter(|cut| tail.is_char_boundary(*cut))?;
            let is_gguf = tail[cut..].eq_ignore_ascii_case(GGUF);
            let model = is_gguf.then(|| tail[..cut].to_owned()).filter(|model| !model.is_empty())?;
            let format = tag.filter(|tag| is_format(tag));
            return Some(Typed { name: model, format, repacked: true, is_file: true });
        }
        let of_ollama = name.contains(':');
        let (model, ending) = match name.rsplit_once(['-', ':', ' ']) {
            // `Q4` of people who write no more.
            Some((model, ending))
                if ending.len() == 2
                    && name.contains(' ')
                    && gguf::bits_of(&format!("{ending}_")).is_some() =>
            {
                (model, Some(ending))
            }
            Some((model, ending)) if is_format(ending) && (of_ollama || is_of_llama_cpp(ending)) => {
                (model, Some(ending))
            }
            // Google's files for Ollama that were trained for four bits.
            Some((model, ending)) if of_ollama && ending.eq_ignore_ascii_case("qat") => (model, Some("q4_0")),
            Some((model, ending)) if of_ollama && ending.eq_ignore_ascii_case("latest") => (model, None),
            _ => (name, None),
        };
        let is_file = of_ollama || ending.is_some();
        Some(Typed { name: model.to_owned(), format: ending, repacked: false, is_file })
    }
}

impl<'a> Typed<'a> {
    /// Reads the name of a GGUF file: `Qwen3-30B-A3B-UD-Q4_K_XL.gguf`, `gpt-oss-120b-mxfp4-00001-of-00003.gguf`.
    fn of_file(name: &'a str) -> Option<Typed<'a>> {
        let cut = name.len().checked_sub(".gguf".len()).filter(|cut| name.is_char_boundary(*cut))?;
        let stem = name[cut..].eq_ignore_ascii_case(".gguf").then_some(&name[..cut])?;
        let stem = stem.rsplit(['/', '\\']).next().unwrap_or(stem);
        let part = |text: &str| text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit());
        let whole = stem
            .rsplit_once("-of-")
            .filter(|(_, last)| part(last))
            .and_then(|(rest, _)| rest.rsplit_once('-'));
        let stem = whole.filter(|(_, first)| part(first)).map_or(stem, |(rest, _)| rest);
        let (model, ending) = stem.rsplit_once(['-', '.']).filter(|(_, ending)| is_format(ending))?;
        let model = model.strip_suffix("-UD").unwrap_or(model);
        Some(Typed { name: model.to_owned(), format: Some(ending), repacked: false, is_file: true })
    }
}

/// How repositories of GGUF files end.
const GGUF: &str = "-GGUF";

/// Whether a word is one of the formats that GGUF files come in: `q4_K_M`, `UD-Q4_K_XL`, `iq4_xs`, `fp16`.
fn is_format(word: &str) -> bool {
    is_of_llama_cpp(word)
        || matches!(word.to_ascii_lowercase().as_str(), "fp16" | "f16" | "bf16" | "f32" | "mxfp4")
}

/// Whether a word is one of llama.cpp's own formats, which nothing else is called.
fn is_of_llama_cpp(word: &str) -> bool {
    gguf::bits_of(word).is_some()
}

/// The GGUF file that a name means: of Ollama's library, of a repository of such files, or of a format.
#[derive(Clone, Debug, PartialEq)]
pub struct GgufFile {
    /// How it stores weights: the format that is named, or of those that are described the nearest.
    pub format: WeightFormat,
    /// The format as the name writes it; `None` where it names none and the usual file is meant.
    pub named: Option<String>,
    /// Whether the name is that of a repository of such files.
    pub of_repository: bool,
}

/// What Ollama's library and `llama-server -hf` load where a name says no format
/// (<https://docs.ollama.com/import>, llama.cpp's common/arg.cpp).
const USUAL: WeightFormat = WeightFormat::Q4KM;

/// The GGUF file that a name means; `None` for a name that means a checkpoint.
pub fn gguf_file(name: &str) -> Option<GgufFile> {
    let typed = Typed::read(name.trim()).filter(|typed| typed.is_file)?;
    let format = match typed.format {
        None => USUAL,
        Some(word) => {
            let near = || gguf::near(word).or(gguf::near(&format!("{word}_"))).unwrap_or(USUAL);
            gguf::without_mark(word).parse().unwrap_or_else(|_| near())
        }
    };
    Some(GgufFile { format, named: typed.format.map(str::to_owned), of_repository: typed.repacked })
}

/// What to know of an answer about a name that says more than the model.
pub(super) fn note(asked: &str, entry: &Entry) -> Option<String> {
    // A size of Ollama's is headed by what was asked: which model it is has to be said.
    let sized = asked.contains(':') && heading(entry, asked) == asked.trim();
    let says_more = |typed: &Typed| sized || typed.repacked || typed.format.is_some();
    let typed = Typed::read(asked.trim()).filter(says_more)?;
    let copy = if typed.repacked { ", of which it holds copies in llama.cpp's formats" } else { "" };
    Some(format!("`{}` is read as {}{copy}", brief(asked.trim()), entry.id()))
}

/// The name that an answer is headed by, and that engines download: a repository stays what was asked for; an alias is
/// that of its entry's repositories which says it, else which shares most words with it. A name that is neither is the
/// entry's only where that says all that was asked for: an entry of the same sizes never lends its name to another model.
pub(super) fn heading(entry: &Entry, asked: &str) -> String {
    let asked = asked.trim();
    let aliases = entry.aliases();
    let hub = || aliases.iter().copied().filter(|alias| alias.contains('/'));
    if let Some(repository) = hub().find(|alias| alias.eq_ignore_ascii_case(asked)) {
        return repository.to_owned();
    }
    let repositories: Vec<&str> = [entry.id()].into_iter().chain(hub()).collect();
    if let Some(said) = repositories.iter().find(|name| says(name, asked)) {
        return (*said).to_owned();
    }
    if !aliases.iter().any(|alias| same_words(alias, asked)) {
        return asked.to_owned();
    }
    let own = words(asked);
    let shared = |name: &str| words(tail(name)).iter().filter(|word| own.contains(word)).count();
    // Of equals the first, which is the entry's own.
    let closest = repositories.into_iter().rev().max_by_key(|name| shared(name));
    closest.unwrap_or(asked).to_owned()
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
        for (name, model) in [
            ("hf.co/bartowski/Llama-3.3-70B-Instruct-GGUF:IQ3_XXS", "meta-llama/Llama-3.3-70B-Instruct"),
            ("lmstudio-community/Qwen3-32B-GGUF@q8_0", "Qwen/Qwen3-32B"),
            ("gemma3:27b-it-qat", "google/gemma-3-27b-it"),
            ("phi4:latest", "microsoft/phi-4"),
            ("Llama-3.3-70B-Instruct-Q4_K_M", "meta-llama/Llama-3.3-70B-Instruct"),
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
    fn a_name_of_a_gguf_file_says_its_format() {
        let read = |name: &str| gguf_file(name).map(|file| (file.format.name(), file.named.is_some()));
        for (name, format, named) in [
            ("qwen2.5-coder:32b-instruct-q4_K_M", "q4_k_m", true),
            ("llama3.1:8b-instruct-fp16", "fp16", true),
            ("llama3.1:8b-instruct-q8_0", "q8_0", true),
            ("gemma3:27b-it-qat", "q4_0", true),
            ("gemma3:27b", "q4_k_m", false),
            ("phi4:latest", "q4_k_m", false),
            ("unsloth/Llama-3.3-70B-Instruct-GGUF", "q4_k_m", false),
            ("unsloth/Llama-3.3-70B-Instruct-GGUF:Q4_K_M", "q4_k_m", true),
            ("hf.co/unsloth/Qwen3-32B-GGUF:UD-Q5_K_XL", "q5_k_m", true),
            ("bartowski/Qwen3-32B-GGUF:IQ3_XXS", "iq3_xxs", true),
            ("unsloth/Qwen3-32B-GGUF:UD-IQ2_M", "iq2_m", true),
            ("org/BitNet-GGUF:TQ1_0", "tq1_0", true),
            ("lmstudio-community/Qwen3-32B-gguf@q6_k", "q6_k", true),
            ("ggml-org/gpt-oss-20b-GGUF:MXFP4", "mxfp4", true),
            ("Qwen3-32B-Q5_K_S", "q5_k_s", true),
        ] {
            assert_eq!(read(name), Some((format, named)), "{name}");
        }
        for checkpoint in
            ["phi4", "meta-llama/Llama-3.3-70B-Instruct", "qwen3-32b", "qwen2-7b-q", "model-bf16"]
        {
            assert_eq!(read(checkpoint), None, "{checkpoint}");
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
