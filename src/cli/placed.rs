//! Words that stand for an option's value without the option: `plan MODEL 8xH100`, `fit RTX 4090`, `estimate MODEL tp=8`; and
//! launches of engines where a command of ours is expected.

use clap::{Arg, Command};

use crate::catalog::{Catalog, Kind};
use crate::dtype::WeightFormat;
use crate::launch::line::quoted;
use crate::model::{self, Scope};
use crate::request::words::option;

use super::spelling::{launch_at, named};

/// What a command line that cannot be parsed means.
pub enum Meant {
    /// These words, the program's name first.
    Words(Vec<String>),
    /// This is what to say of it.
    Answer { cause: String, help: String },
}

/// Words between others that say nothing of their own.
const FILLERS: [&str; 9] = ["on", "with", "for", "using", "at", "in", "and", "the", "@"];

/// What a command line means whose words stand where no option asks for them; `None` where it cannot be told.
pub fn meant(root: &Command, words: &[String]) -> Option<Meant> {
    if let Some(launch) = launch(root, words) {
        return Some(launch);
    }
    let words: Vec<String> = match words {
        // A whole line in quotes.
        [program, line] if line.contains(' ') => {
            let first = line.split_whitespace().next().unwrap_or_default();
            root.find_subcommand(first)?;
            std::iter::once(program.clone()).chain(line.split_whitespace().map(str::to_owned)).collect()
        }
        words => words.to_vec(),
    };
    let (command, from) = match words.get(1).and_then(|word| root.find_subcommand(word)) {
        Some(command) => (command, 2),
        None => (root.find_subcommand("plan")?, 1),
    };
    let said = read(command, words.get(from..)?);
    if from == 1 {
        return whole(&said, root);
    }
    let placed = said.placed(command)?;
    let mut all = vec![root.get_name().to_owned(), words[1].clone()];
    all.extend(placed);
    (all[1..] != words[1..]).then_some(Meant::Words(all))
}

/// A line that names no command at all: a model and where it runs is a plan, a machine alone what fits there, a model alone
/// what it is.
fn whole(said: &Said, root: &Command) -> Option<Meant> {
    let name = match (
        said.models.as_slice(),
        said.cluster.is_some() || said.options.iter().any(|o| o == "--cluster"),
    ) {
        ([_], true) => "plan",
        ([], true) => "fit",
        ([_], false) => "inspect",
        _ => return None,
    };
    let mut all = vec![root.get_name().to_owned(), name.to_owned()];
    all.extend(said.placed(root.find_subcommand(name)?)?);
    Some(Meant::Words(all))
}

/// A command line taken apart.
#[derive(Default)]
struct Said {
    models: Vec<String>,
    cluster: Option<String>,
    /// Options with their values, as they stand there or as a word amounts to one.
    options: Vec<String>,
    /// Words that mean nothing that is known.
    strange: usize,
}

/// Takes the words after a command apart.
fn read(command: &Command, words: &[String]) -> Said {
    let catalog = Catalog::built_in();
    let mut said = Said::default();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        if word.starts_with('-') && word.len() > 1 {
            let arg = arg(command, word);
            said.options.push(word.clone());
            at += 1;
            let takes = !word.contains('=') && arg.is_some_and(|arg| arg.get_action().takes_values());
            if let Some(value) = words.get(at).filter(|_| takes) {
                said.options.push(value.clone());
                at += 1;
            }
            continue;
        }
        let run = words[at..].iter().take_while(|word| !word.starts_with('-')).count();
        at += said.take(command, &catalog, &words[at..at + run]);
    }
    said
}

/// The argument that a word of a command line names.
fn arg<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    match word.strip_prefix("--") {
        Some(long) => named(command, long.split('=').next().unwrap_or(long)),
        None => {
            let short = word.chars().nth(1);
            command.get_arguments().find(|arg| arg.get_short() == short)
        }
    }
}

impl Said {
    /// Reads the next of words in a row; how many are read.
    fn take(&mut self, command: &Command, catalog: &Catalog, row: &[String]) -> usize {
        let has = |name: &str| named(command, name).and_then(Arg::get_long).map(str::to_owned);
        let Some(word) = row.first() else { return 1 };
        if let Some((name, value)) = word.split_once('=').or_else(|| degree(word)) {
            let name = name.replace('_', "-").to_lowercase();
            if let Some(long) = has(&name).or_else(|| has(option(&format!("-{name}"))?)) {
                self.options.extend([format!("--{long}"), value.to_owned()]);
                return 1;
            }
        }
        // Of words that belong together, as many as make a name.
        for count in (1..=row.len().min(6)).rev() {
            let name = row[..count].join(" ");
            if self.cluster.is_none() && catalog.cluster_is_known(&name) {
                self.cluster = Some(name);
                return count;
            }
            if is_model(catalog, &name) {
                self.models.push(name);
                return count;
            }
        }
        if has("engine").is_some() && catalog.find(Kind::Engine, word).is_ok() {
            self.options.extend(["--engine".to_owned(), word.clone()]);
        } else if has("weights").is_some() && word.parse::<WeightFormat>().is_ok() {
            self.options.extend(["--weights".to_owned(), word.clone()]);
        } else if !FILLERS.contains(&word.to_lowercase().as_str()) {
            self.strange += 1;
        }
        1
    }

    /// The words of a command that say this with its options; `None` where it has none for some of it.
    fn placed(&self, command: &Command) -> Option<Vec<String>> {
        if self.strange > 0 {
            return None;
        }
        let has = |name: &str| command.get_arguments().any(|arg| arg.get_long() == Some(name));
        let mut all = Vec::new();
        let positional = command.get_positionals().next();
        match (self.models.as_slice(), positional) {
            ([], _) => {}
            (models, Some(_)) if models.len() == 1 || command.get_name() == "inspect" => {
                all.extend(models.iter().cloned());
            }
            // What fits is asked of one model by its name.
            ([model], None) if has("family") => {
                let id = Catalog::built_in().find(Kind::Model, model).ok().map(|entry| entry.id().to_owned());
                all.extend(["--family".to_owned(), id.unwrap_or_else(|| model.clone())]);
            }
            _ => return None,
        }
        if let Some(cluster) = &self.cluster {
            // A GPU without a number of them is as many as a plan takes.
            let bare = Catalog::built_in().find(Kind::Gpu, cluster).is_ok();
            let as_gpu = has("gpu") && (!has("cluster") || bare && command.get_name() == "estimate");
            let option = match (as_gpu, has("cluster")) {
                (true, _) => "--gpu",
                (false, true) => "--cluster",
                (false, false) => return None,
            };
            all.extend([option.to_owned(), cluster.clone()]);
        }
        all.extend(self.options.iter().cloned());
        Some(all)
    }
}

/// `tp8` as the degree and its number.
fn degree(word: &str) -> Option<(&str, &str)> {
    let at = word.find(|c: char| c.is_ascii_digit())?;
    let (name, number) = word.split_at(at);
    let is = ["tp", "pp", "ep", "dcp", "cp"].iter().any(|degree| degree.eq_ignore_ascii_case(name));
    (is && number.bytes().all(|b| b.is_ascii_digit())).then_some((name, number))
}

/// Whether a name is a model's: of the catalogue, a path or one on the hub.
fn is_model(catalog: &Catalog, name: &str) -> bool {
    let path = name.ends_with(".json") || name.ends_with(".gguf") || name.starts_with(['.', '/', '~']);
    let hub = crate::hub::Id::parse(name).is_some();
    path || hub || model::find_in(catalog, name, Scope::Full).is_ok()
}

/// The launch of an engine in the place of ours, or after it.
fn launch(root: &Command, words: &[String]) -> Option<Meant> {
    let text: Vec<&str> = words.iter().map(String::as_str).collect();
    // Options before it are ours.
    let place = launch_at(&text);
    // `serve` is a command of ours that takes no model.
    let serves =
        words.get(1).is_some_and(|word| word == "serve") && words.get(2).is_some_and(|w| !w.starts_with('-'));
    let (launch, ours) = match place {
        Some(at) => (words[at..].to_vec(), words[1..at].to_vec()),
        None if serves => {
            (["vllm".to_owned()].into_iter().chain(words[1..].iter().cloned()).collect(), Vec::new())
        }
        None => return None,
    };
    let place = ours.iter().position(|word| word == "--cluster" || word == "--gpu");
    let place = place.and_then(|at| Some([ours.get(at)?.clone(), ours.get(at + 1)?.clone()]));
    let [option, hardware] = place.unwrap_or(["--gpu".to_owned(), "h100-sxm".to_owned()]);
    let program = root.get_name();
    let help = if launch[0] == "ollama" {
        let model = launch.get(2).map_or("MODEL", String::as_str);
        format!(
            "`{program} plan {} --engine ollama --cluster 1xrtx-4090` says how fast it runs there",
            quoted(model)
        )
    } else {
        let line = launch.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
        let line = format!("'{}'", line.replace('\'', "'\\''"));
        format!(
            "`{program} estimate {option} {} --launch {line}` works out what that server does",
            quoted(&hardware)
        )
    };
    let head = launch.iter().take(2).map(String::as_str).collect::<Vec<_>>().join(" ");
    Some(Meant::Answer { cause: format!("`{head}` starts a server, which shardfit does not"), help })
}
