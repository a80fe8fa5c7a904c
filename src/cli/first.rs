//! What people type in the place of a command: other words for one of ours, or for what several of ours do.

use std::ffi::OsString;

use crate::catalog::{Catalog, Kind};

/// Words that stand for a command of ours, with what it is asked for.
const SYNONYMS: &[(&str, &[&str])] = &[
    ("models", &["catalog", "models"]),
    ("gpus", &["catalog", "gpus"]),
    ("clusters", &["catalog", "clusters"]),
    ("instances", &["catalog", "clusters"]),
    ("engines", &["catalog", "engines"]),
    ("frameworks", &["catalog", "frameworks"]),
    ("ls", &["catalog"]),
    ("list", &["catalog"]),
    ("version", &["--version"]),
    ("recommend", &["plan"]),
    ("optimize", &["plan"]),
    ("optimise", &["plan"]),
    ("rank", &["plan"]),
    ("memory", &["inspect"]),
    ("params", &["inspect"]),
    ("parameters", &["inspect"]),
    ("pretrain", &["train"]),
];

/// Words that show what is named.
const SHOWS: [&str; 6] = ["show", "describe", "info", "price", "prices", "pricing"];

/// What to say of a word that is none of our commands, in sentences; `{}` stands for the words after it.
const ANSWERS: &[(&str, &str)] = &[
    (
        "compare",
        "`shardfit plan MODEL --cluster 8xh100-sxm --engine vllm,sglang` puts engines beside each other, `--gpu h100-sxm,h200-sxm` \
         GPUs, `shardfit sweep` the cases of a file",
    ),
    (
        "calc",
        "`shardfit inspect MODEL` counts parameters, memory and FLOPs, `shardfit estimate MODEL --gpu h100-sxm` times and cost",
    ),
    (
        "calculate",
        "`shardfit inspect MODEL` counts parameters, memory and FLOPs, `shardfit estimate MODEL --gpu h100-sxm` times and cost",
    ),
    (
        "vram",
        "`shardfit inspect MODEL` counts a model's memory, `shardfit estimate MODEL --gpu h100-sxm` what an engine takes of a GPU, \
         `shardfit fit --cluster 1xrtx-4090` the models that have room",
    ),
    (
        "bench",
        "`shardfit observe URL MODEL --gpu h100-sxm` drives a live server and compares, `shardfit simulate` runs a plan without one",
    ),
    (
        "benchmark",
        "`shardfit observe URL MODEL --gpu h100-sxm` drives a live server and compares, `shardfit simulate` runs a plan without one",
    ),
    (
        "run",
        "shardfit starts no server: `shardfit plan MODEL --cluster 8xh100-sxm --emit command` prints the command that does, \
         `shardfit simulate` runs a plan in discrete events",
    ),
    (
        "deploy",
        "shardfit starts no server: `shardfit plan MODEL --cluster 8xh100-sxm --emit command` prints the command that does, \
         `--emit kubernetes` its manifest",
    ),
    (
        "launch",
        "`shardfit plan MODEL --cluster 8xh100-sxm --emit command` prints the command that starts a server, `shardfit estimate \
         --launch serve.sh --gpu h100-sxm` works out what one does",
    ),
    (
        "report",
        "`shardfit sweep scenario.yaml` answers every case of a file and writes report.html, `shardfit plan … -o plans.csv` one answer",
    ),
    (
        "finetune",
        "`shardfit train MODEL --cluster 8xh100-sxm --global-batch 128 --seq 4096 --tuning lora` ranks plans; full and qlora are the \
         other tunings",
    ),
    (
        "fine-tune",
        "`shardfit train MODEL --cluster 8xh100-sxm --global-batch 128 --seq 4096 --tuning lora` ranks plans; full and qlora are the \
         other tunings",
    ),
    ("update", "install it again as it was installed; `shardfit --version` says which one this is"),
    ("upgrade", "install it again as it was installed; `shardfit --version` says which one this is"),
    (
        "config",
        "every command takes options alone; `shardfit sweep` answers a scenario file, `shardfit check` looks at one",
    ),
    ("init", "nothing is to be set up: `shardfit plan llama-3.1-70b --cluster 8xh100-sxm` answers"),
    (
        "cost",
        "`shardfit plan MODEL --cluster 8xh100-sxm --objective cost` ranks by dollars, `shardfit catalog gpus` lists prices",
    ),
    ("gpu", "`shardfit catalog gpus` lists them, `shardfit doctor` says what this machine has"),
    ("detect", "`shardfit doctor` says what this machine has"),
    ("capacity", "`shardfit size MODEL --gpu h100-sxm --rate 20` says how many GPUs a load takes"),
];

/// The words with a command of ours in the place of another word for it.
pub(super) fn synonym(mut words: Vec<OsString>) -> Vec<OsString> {
    let Some(first) = words.get(1).and_then(|word| word.to_str()).map(str::to_lowercase) else {
        return words;
    };
    if let Some((_, ours)) = SYNONYMS.iter().find(|(word, _)| *word == first) {
        words.splice(1..2, ours.iter().map(OsString::from));
    } else if SHOWS.contains(&first.as_str()) && words.len() > 2 {
        let named: Vec<&str> = words[2..].iter().filter_map(|word| word.to_str()).collect();
        let name = named.iter().take_while(|word| !word.starts_with('-')).copied().collect::<Vec<_>>();
        let catalog = Catalog::built_in();
        let of = [
            (Kind::Gpu, "gpus"),
            (Kind::Cluster, "clusters"),
            (Kind::Engine, "engines"),
            (Kind::Model, "models"),
        ];
        let joined = name.join(" ");
        if let Some((_, list)) = of.iter().find(|(kind, _)| catalog.find(*kind, &joined).is_ok()) {
            words.splice(1..2 + name.len(), ["catalog", list, joined.as_str()].map(OsString::from));
        }
    }
    words
}

/// What to say of a word that is none of our commands.
pub(super) fn answer(word: &str) -> Option<&'static str> {
    ANSWERS.iter().find(|(known, _)| word.eq_ignore_ascii_case(known)).map(|(_, said)| *said)
}
