//! Counts that frameworks ask for one by one and that are one number with us: the steps, samples and epochs of a run, the
//! microbatches of a step, the ranks and targets of adapters.

use std::ffi::OsString;

use clap::Command;

use crate::catalog::Catalog;
use crate::units::{amount, group_thousands, token_count};

/// Largest count that is read.
const MOST: u64 = 1 << 62;

/// What is known of each.
#[derive(Debug, Default)]
pub(super) struct Counts {
    steps: Option<String>,
    samples: Option<String>,
    epochs: Option<String>,
    accumulated: Option<String>,
    rank: Option<String>,
    targets: Option<String>,
    slots: Option<String>,
    /// Whether room for adapters is asked for.
    pub adapters: bool,
}

/// Names of each, the one that is answered with what to say instead first.
const STEPS: [&str; 7] =
    ["max-steps", "steps", "train-iters", "max-iters", "num-steps", "train-steps", "num-iterations"];
const SAMPLES: [&str; 4] = ["train-samples", "samples", "num-samples", "num-train-samples"];
const EPOCHS: [&str; 3] = ["num-epochs", "num-train-epochs", "epochs"];
const ACCUMULATED: [&str; 3] = ["gradient-accumulation-steps", "grad-accum", "gradient-accumulation"];
const RANK: [&str; 4] = ["lora-r", "lora-rank", "max-lora-rank", "peft-lora-r"];
const TARGETS: [&str; 3] = ["lora-target-modules", "lora-targets", "lora-target"];
const SLOTS: [&str; 1] = ["max-loras"];

/// The rank that vLLM has room for unasked (`max_lora_rank`), and that most examples of frameworks train.
const USUAL_RANK: &str = "16";

impl Counts {
    /// Keeps the value of a word that is one of them, for a command that has what it amounts to.
    pub fn keep(&mut self, name: &str, value: &str, has: &dyn Fn(&str) -> bool) -> bool {
        let training = has("global-batch") && has("tokens");
        let slot = match name {
            _ if training && STEPS.contains(&name) => &mut self.steps,
            _ if training && SAMPLES.contains(&name) => &mut self.samples,
            _ if training && EPOCHS.contains(&name) => &mut self.epochs,
            _ if training && ACCUMULATED.contains(&name) => &mut self.accumulated,
            _ if has("lora") && RANK.contains(&name) => &mut self.rank,
            _ if has("lora") && TARGETS.contains(&name) => &mut self.targets,
            _ if has("lora") && SLOTS.contains(&name) => &mut self.slots,
            _ => return false,
        };
        *slot = Some(value.to_owned());
        true
    }

    /// Puts what they amount to at the end of the words, or the words themselves, where it cannot be worked out.
    pub fn settle(self, command: &Command, out: &mut Vec<OsString>, notes: &mut Vec<String>) {
        let given = Given { command, words: out.clone() };
        // A step's sequences.
        let mut batch = given.count("global-batch");
        if let Some(text) = &self.accumulated {
            match (batch, given.batch_of(text)) {
                (Some(_), _) => {
                    let what = "follows from --global-batch, the sequences of a microbatch and the data parallel ranks";
                    notes.push(format!("`--{} {text}` {what}", ACCUMULATED[0]));
                }
                (None, Some((sequences, said))) => {
                    batch = Some(sequences);
                    notes.push(format!("{said} = `--global-batch {sequences}`"));
                    out.extend(["--global-batch".into(), sequences.to_string().into()]);
                }
                (None, None) => out.extend([format!("--{}", ACCUMULATED[0]).into(), text.into()]),
            }
        }
        // A run's tokens.
        let sequence = given.tokens("seq");
        let number = |text: &String| amount(text, 1..=MOST).ok();
        let run = match (&self.steps, &self.samples) {
            (Some(text), _) => {
                let tokens = number(text).zip(batch).zip(sequence);
                let tokens = tokens.and_then(|((n, b), s)| n.checked_mul(b)?.checked_mul(s));
                Some((STEPS[0], text, tokens, "steps × the sequences of a step × the tokens of a sequence"))
            }
            (None, Some(text)) => {
                let tokens = number(text).zip(sequence).and_then(|(n, s)| n.checked_mul(s));
                Some((SAMPLES[0], text, tokens, "samples × the tokens of a sequence"))
            }
            (None, None) => self.epochs.as_ref().map(|text| {
                let dataset = given.value("tokens").filter(|_| given.says("dataset-tokens"));
                let tokens = number(text).zip(dataset.and_then(|text| amount(&text, 1..=MOST).ok()));
                let tokens = tokens.and_then(|(n, d)| n.checked_mul(d));
                (EPOCHS[0], text, tokens, "epochs × the tokens of the data set")
            }),
        };
        match run {
            Some((_, text, Some(tokens), how)) => {
                notes.push(format!("{text} {how} = `--tokens {tokens}`, {} tokens", group_thousands(tokens)));
                given.without("tokens", out);
                out.extend(["--tokens".into(), tokens.to_string().into()]);
            }
            Some((name, text, None, _)) => out.extend([format!("--{name}").into(), text.into()]),
            None => {}
        }
        self.settle_adapters(&given, out, notes);
    }

    fn settle_adapters(&self, given: &Given, out: &mut Vec<OsString>, notes: &mut Vec<String>) {
        let asked = self.adapters || self.rank.is_some() || self.targets.is_some() || self.slots.is_some();
        if !asked || given.value("lora").is_some() {
            return;
        }
        let mut adapters = format!("rank={}", self.rank.as_deref().unwrap_or(USUAL_RANK));
        for (key, value) in [("targets", &self.targets), ("count", &self.slots)] {
            if let Some(value) = value {
                adapters.push_str(&format!(",{key}={}", value.trim_matches(['[', ']'])));
            }
        }
        let mut says = vec!["--lora".to_owned(), adapters];
        if given.has("tuning") && given.value("tuning").is_none() {
            says.extend(["--tuning".to_owned(), "lora".to_owned()]);
        }
        notes.push(format!("the adapters are `{}`", says.join(" ")));
        out.extend(says.into_iter().map(OsString::from));
    }
}

/// What a command line gives already.
struct Given<'a> {
    command: &'a Command,
    words: Vec<OsString>,
}

impl Given<'_> {
    fn has(&self, option: &str) -> bool {
        self.command.get_arguments().any(|arg| arg.get_long() == Some(option))
    }

    /// Whether a word stands there just so.
    fn says(&self, name: &str) -> bool {
        self.place(|own| own == name).is_some()
    }

    /// Where an option stands that goes by a name.
    fn place(&self, is: impl Fn(&str) -> bool) -> Option<usize> {
        let name = |word: &OsString| {
            let long = word.to_str()?.strip_prefix("--")?;
            Some(long.split('=').next().unwrap_or(long).to_owned())
        };
        self.words.iter().position(|word| name(word).is_some_and(|name| is(&name)))
    }

    fn at(&self, option: &str) -> Option<usize> {
        let arg = self.command.get_arguments().find(|arg| arg.get_long() == Some(option))?;
        let aliases = arg.get_all_aliases().unwrap_or_default();
        self.place(|name| name == option || aliases.contains(&name))
    }

    /// The value of an option, by any of its names.
    fn value(&self, option: &str) -> Option<String> {
        let at = self.at(option)?;
        let word = self.words[at].to_str()?;
        match word.split_once('=') {
            Some((_, value)) => Some(value.to_owned()),
            None => self.words.get(at + 1)?.to_str().map(str::to_owned),
        }
    }

    fn count(&self, option: &str) -> Option<u64> {
        amount(&self.value(option)?, 1..=MOST).ok()
    }

    fn tokens(&self, option: &str) -> Option<u64> {
        token_count(&self.value(option)?, 1..=MOST).ok()
    }

    /// Takes an option and its value from words that begin as these do.
    fn without(&self, option: &str, out: &mut Vec<OsString>) {
        if let Some(at) = self.at(option) {
            let length = if self.words[at].to_str().is_some_and(|word| word.contains('=')) { 1 } else { 2 };
            out.drain(at..(at + length).min(out.len()));
        }
    }

    /// The sequences of a step that takes so many microbatches: those of a microbatch and the ranks that work side by side
    /// must be known.
    fn batch_of(&self, accumulated: &str) -> Option<(u64, String)> {
        let each = self.count("micro-batch")?;
        let n = amount(accumulated, 1..=MOST).ok()?;
        let gpus = u64::from(Catalog::built_in().cluster(&self.value("cluster")?).ok()?.gpus);
        let split = ["tp", "pp", "cp"].iter().map(|degree| self.count(degree).unwrap_or(1)).product::<u64>();
        let ranks = gpus.checked_div(split).filter(|ranks| *ranks > 0 && ranks * split == gpus)?;
        let sequences = each.checked_mul(n)?.checked_mul(ranks)?;
        Some((sequences, format!("{each} sequences × {n} microbatches × {ranks} ranks")))
    }
}
