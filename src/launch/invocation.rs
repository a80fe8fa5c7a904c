//! Commands that start a server, found in shell text: behind `docker run`, `mpirun`, `sh -c`, environment and modules.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::dialect;
use super::server::{Note, Pool};
use super::shell::{self, Command, Script, Word, Written};
use crate::dtype::WeightFormat;

/// One server as it is started.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Invocation {
    /// Engine id of the catalogue; one of those with a [`dialect`].
    pub engine: &'static str,
    /// Its version, from the image's tag or a pinned package.
    pub version: Option<String>,
    /// What stands after the program.
    pub argv: Vec<Word>,
    /// Whether the first word that belongs to no flag is the model.
    pub takes_model: bool,
    /// The model, where a manifest names it beside the command.
    pub model: Option<String>,
    /// The model that the checkpoint is of and the format that it is in, where the head of the file says both.
    pub checkpoint: Option<(String, WeightFormat)>,
    /// Its environment.
    pub variables: BTreeMap<String, Word>,
    /// Keys of the YAML that the command names.
    pub options: Map<String, Value>,
    /// Files that the command names and that were not found.
    pub missing_files: Vec<String>,
    /// The text of the file that states both pools, where the command names one (`trtllm-serve disaggregated -c`).
    pub pools: Option<String>,
    /// Copies that a manifest asks for.
    pub copies: Option<u32>,
    /// Whether it joins a server that another command starts.
    pub joins: bool,
    /// Whether an array of further flags stands in a variable: no default can be taken for what it may set.
    pub open_ended: bool,
    /// The pool that a manifest names.
    pub pool: Option<Pool>,
    /// What was not read on the way.
    pub unread: Vec<Note>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// Gives the text of a file that a launch names, if there is one.
pub type Find<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Gives a file that a launch names, as far as the script around it tells what stands in it.
type Look<'a> = &'a dyn Fn(&str) -> Option<Written>;

/// How deep commands in commands (`sh -c "…"`) are looked into.
const MAX_DEPTH: usize = 4;

/// The servers that a script starts, in order; second nodes of the same server left out.
pub fn in_script(text: &str, find: Find) -> Vec<Invocation> {
    in_script_of(text, &BTreeMap::new(), None, find)
}

/// The servers that a script starts in an environment, in an image that tells their version.
pub fn in_script_of(
    text: &str,
    variables: &BTreeMap<String, Word>,
    image: Option<&str>,
    find: Find,
) -> Vec<Invocation> {
    let look = |name: &str| find(name).map(Written::plain);
    within(&inside(text, variables), &look, image.map_or(Image::None, Image::Holds), 0)
}

/// The servers of a container: its image and its words; `words` may be those of `sh -c`.
pub fn in_container(
    image: Option<&str>,
    words: Vec<Word>,
    variables: &BTreeMap<String, Word>,
    find: Find,
) -> Vec<Invocation> {
    let script = Script {
        commands: vec![Command { variables: variables.clone(), words, ..Command::default() }],
        ..Script::default()
    };
    let look = |name: &str| find(name).map(Written::plain);
    within(&script, &look, image.map_or(Image::None, Image::Runs), 0)
}

/// The image around a command.
#[derive(Clone, Copy)]
enum Image<'a> {
    None,
    /// Its own program takes the words.
    Runs(&'a str),
    /// A shell inside it runs them: the image tells the version alone.
    Holds(&'a str),
}

impl<'a> Image<'a> {
    fn name(self) -> Option<&'a str> {
        match self {
            Image::None => None,
            Image::Runs(name) | Image::Holds(name) => Some(name),
        }
    }
}

fn within(script: &Script, find: Look, image: Image, depth: usize) -> Vec<Invocation> {
    let found = among(&script.commands, script, find, image, depth);
    // What is held and not run stands for what is run elsewhere: a text may be a part of a script.
    if found.is_empty() { among(&script.held, script, find, image, depth) } else { found }
}

fn among(commands: &[Command], script: &Script, find: Look, image: Image, depth: usize) -> Vec<Invocation> {
    let mut out: Vec<Invocation> = Vec::new();
    let mut pinned: BTreeMap<&'static str, String> = BTreeMap::new();
    let look = |name: &str| {
        let same = |path: &&String| *path == name || path.rsplit('/').next() == name.rsplit('/').next();
        script.files.keys().find(same).map(|path| script.files[path].clone()).or_else(|| find(name))
    };
    for command in commands {
        pin(command, &mut pinned);
        for mut found in one(command, &look, image, depth) {
            // What is installed inside an image takes the place of what it brought.
            let brought = match image {
                Image::Holds(name) => image_version(name),
                _ => None,
            };
            let pinned = pinned.get(found.engine).cloned();
            found.version = match brought.is_some() && found.version == brought {
                true => pinned.or(found.version),
                false => found.version.or(pinned),
            };
            found.joins = is_second_node(&found);
            let settled = command.only_if.as_ref().map(|condition| {
                (condition.clone(), "whether this server is started is not settled by this text".to_owned())
            });
            let assumed = command.assumed.as_ref().map(|name| {
                (
                    name.clone(),
                    format!("read as started, which is what the text has where nothing sets {name}"),
                )
            });
            let left_out = command.left_out.iter().map(|(flag, name)| {
                (flag.clone(), format!("left out, which is what the text has where nothing sets {name}"))
            });
            for (text, why) in settled.into_iter().chain(assumed).chain(left_out) {
                found.unread.push(Note { text, why, refused: false });
            }
            out.push(found);
        }
    }
    out
}

/// `pip install vllm==0.8.5` before it.
fn pin(command: &Command, pinned: &mut BTreeMap<&'static str, String>) {
    let stated = |word: &&Word| !word.unknown && word.only_if.is_none() && command.only_if.is_none();
    for word in command.words.iter().filter(stated) {
        let Some((package, version)) = word.text.split_once("==") else { continue };
        let package = package.split('[').next().unwrap_or(package);
        let engine = match package {
            "vllm" => "vllm",
            "sglang" => "sglang",
            "tensorrt-llm" | "tensorrt_llm" => "trtllm",
            _ => continue,
        };
        if let Some(version) = tag_version(version) {
            pinned.insert(engine, version);
        }
    }
}

/// Whether it joins a server that another command starts.
fn is_second_node(found: &Invocation) -> bool {
    let after = |flag: &str| {
        let at = found.argv.iter().position(|w| w.text == flag)?;
        found.argv.get(at + 1).map(|w| w.text.clone())
    };
    let inline = |flag: &str| {
        let prefix = format!("{flag}=");
        found.argv.iter().find_map(|w| w.text.strip_prefix(&prefix).map(str::to_owned))
    };
    let rank = after("--node-rank").or_else(|| inline("--node-rank"));
    rank.is_some_and(|r| r.parse::<u64>().is_ok_and(|r| r > 0))
        || found.argv.iter().any(|w| w.text == "--headless")
        || after("--data-parallel-start-rank").is_some_and(|r| r.parse::<u64>().is_ok_and(|r| r > 0))
}

/// The servers of one command.
fn one(command: &Command, find: Look, image: Image, depth: usize) -> Vec<Invocation> {
    let words = &command.words;
    let first = words.first().map_or("", |w| base(&w.text));
    let contained =
        matches!(first, "docker" | "podman" | "nerdctl" | "apptainer" | "singularity") || first == "sudo";
    let image_at = words.iter().position(|w| contained && engine_of_image(&w.text).is_some());
    let mut variables = command.variables.clone();
    variables.extend(given_to_container(&words[..image_at.unwrap_or(0)]));
    // A script behind `-c`, or a whole command line in one word.
    if depth < MAX_DEPTH {
        let named = image_at.map(|at| words[at].text.as_str());
        let outer = named.or(image.name()).map_or(Image::None, Image::Holds);
        let shell_at = words.iter().position(|w| matches!(base(&w.text), "sh" | "bash" | "zsh" | "ash"));
        let flag = |w: &Word| w.text.starts_with('-') && !w.text.starts_with("--") && w.text.ends_with('c');
        if let Some(at) = shell_at
            && let Some(c) = words[at + 1..].iter().position(flag)
            && let Some(script) = words.get(at + 2 + c)
        {
            return within(&inside(&script.text, &variables), find, outer, depth + 1);
        }
        // A script that a here-document holds: read by a shell, or written to a file that one runs.
        let runs =
            shell_at.is_some() || matches!(first, "srun" | "ssh" | "source" | ".") || first.ends_with(".sh");
        if runs && entry(words).is_none() {
            let file = shell_at.map_or(0, |at| at + 1);
            let named = words[file.min(words.len())..].iter().find(|w| !w.text.starts_with('-'));
            let held =
                named.filter(|w| w.text.ends_with(".sh")).and_then(|w| find(&w.text)).map(|file| file.text);
            if let Some(script) = command.input.clone().or(held) {
                return within(&inside(&script, &variables), find, outer, depth + 1);
            }
        }
        // `tmux new -d "vllm serve …"`, `ssh host "…"`: whoever runs it is told the line in one word.
        let speaks = matches!(first, "echo" | "printf" | "grep" | "sed" | "awk" | "git" | "cat" | "curl");
        if speaks {
            return Vec::new();
        }
        if entry(words).is_none() {
            let lines = words.iter().filter(|w| w.text.trim().contains(char::is_whitespace));
            let found: Vec<Invocation> = lines
                .flat_map(|line| within(&inside(&line.text, &variables), find, outer, depth + 1))
                .collect();
            if !found.is_empty() {
                return found;
            }
        }
    }
    let mut image = image;
    if let Some(at) = image_at {
        image = Image::Runs(&words[at].text);
    }
    let (engine, argv, takes_model) = match entry(words) {
        Some((engine, after, takes_model)) => (engine, words[after..].to_vec(), takes_model),
        None => {
            let after = image_at.map(|at| at + 1);
            // A shell, or another program, takes the place of the image's own.
            let own = words.get(after.unwrap_or(0)).is_none_or(|w| {
                let program = base(&w.text);
                !["bash", "sh", "zsh", "ash", "python", "python3", "sleep", "tail", "env"].contains(&program)
            });
            let runs = match image {
                Image::Runs(name) if own => engine_of_image(name),
                _ => None,
            };
            match runs {
                // The image's own program takes the words: those after the image, or all of a container's.
                Some(engine) if after.is_some() || !contained => {
                    (engine, words[after.unwrap_or(0)..].to_vec(), engine != "llama.cpp")
                }
                _ => return Vec::new(),
            }
        }
    };
    if engine == "trtllm" && argv.first().is_some_and(|w| w.text == "disaggregated") {
        let file = argv.iter().skip_while(|w| !matches!(w.text.as_str(), "-c" | "--config_file")).nth(1);
        let text = file.and_then(|f| find(&f.text));
        return vec![Invocation {
            engine,
            missing_files: file.filter(|_| text.is_none()).map(|f| f.text.clone()).into_iter().collect(),
            pools: text.map(|file| file.text),
            open_ended: true,
            ..Invocation::default()
        }];
    }
    let mut found = Invocation {
        engine,
        version: image.name().and_then(image_version),
        argv,
        takes_model,
        variables,
        ..Invocation::default()
    };
    found.take_workers_own(words.iter().find_map(|w| w.text.strip_prefix("dynamo.")).is_some());
    found.take_variables();
    found.take_files(find);
    vec![found]
}

/// What `docker run -e NAME=value` gives to the container.
fn given_to_container(words: &[Word]) -> BTreeMap<String, Word> {
    let mut out = BTreeMap::new();
    for (i, word) in words.iter().enumerate() {
        let stated = match word.text.as_str() {
            "-e" | "--env" => words.get(i + 1).map(|w| w.text.as_str()),
            other => other.strip_prefix("--env=").or(other.strip_prefix("-e=")),
        };
        if let Some((name, value)) = stated.and_then(shell::assignment) {
            out.insert(name.to_owned(), Word { unknown: value.contains('$'), ..Word::plain(value) });
        }
    }
    out
}

/// A script inside a command, whose commands have the variables around it.
fn inside(text: &str, variables: &BTreeMap<String, Word>) -> Script {
    let mut script = shell::read_in(text, variables);
    for command in &mut script.commands {
        let mut all = variables.clone();
        all.extend(std::mem::take(&mut command.variables));
        command.variables = all;
    }
    script
}

/// Flags of Dynamo's workers with a value that say nothing of a plan (`components/src/dynamo/*/args.py` and
/// `backend_args.py`).
const DYNAMO_VALUES: [&str; 12] = [
    "--connector",
    "--migration-limit",
    "--endpoint",
    "--namespace",
    "--discovery-backend",
    "--store-kv",
    "--request-plane",
    "--event-plane",
    "--custom-jinja-template",
    "--disaggregation-strategy",
    "--modality",
    "--kv-block-size",
];

/// Its switches that say nothing of a plan.
const DYNAMO_SWITCHES: [&str; 6] = [
    super::dynamo::EMBEDS,
    "--publish-events-and-metrics",
    "--use-vllm-tokenizer",
    "--use-sglang-tokenizer",
    "--enable-local-indexer",
    "--durable-kv-events",
];

impl Invocation {
    /// Flags of Dynamo's workers (`components/src/dynamo/*/args.py`) that are not the engine's.
    fn take_workers_own(&mut self, dynamo: bool) {
        let mut kept = Vec::with_capacity(self.argv.len());
        let mut words = std::mem::take(&mut self.argv).into_iter().peekable();
        while let Some(word) = words.next() {
            match word.text.as_str() {
                "--is-prefill-worker" => self.pool = Some(Pool::Prefill),
                "--is-decode-worker" => self.pool = Some(Pool::Decode),
                // Some have a value.
                own if own.starts_with("--dyn-") => {
                    let valued = !own.contains('=');
                    words.next_if(|next| valued && !next.text.starts_with('-'));
                }
                _ => kept.push(word),
            }
        }
        self.argv = kept;
        if dynamo {
            self.take_dynamo();
        }
        // Its worker of TensorRT-LLM names the model by a flag.
        if self.engine == "trtllm"
            && let Some(at) =
                self.argv.iter().position(|w| matches!(w.text.as_str(), "--model-path" | "--model"))
        {
            let mut words = self.argv.drain(at..(at + 2).min(self.argv.len()));
            self.model = words.nth(1).map(|w| w.text);
        }
    }

    fn take_dynamo(&mut self) {
        let mut out = Vec::with_capacity(self.argv.len());
        let mut words = std::mem::take(&mut self.argv).into_iter().peekable();
        while let Some(word) = words.next() {
            let (flag, inline) = match word.text.split_once('=') {
                Some((flag, value)) => (flag, Some(value)),
                None => (word.text.as_str(), None),
            };
            let of_engine = if self.engine == "trtllm" { super::dynamo::of_engine(flag) } else { flag };
            let renamed = Some(of_engine).filter(|of_engine| *of_engine != flag);
            let pool = flag == "--disaggregation-mode" && self.engine != "sglang";
            let value = flag == "--override-engine-args" && self.engine == "trtllm";
            let named = flag == "--served-model-name" && self.engine == "trtllm";
            let dropped = named || DYNAMO_VALUES.contains(&flag);
            if dropped || pool || value {
                let mut values: Vec<String> = inline.map(str::to_owned).into_iter().collect();
                while inline.is_none() && words.peek().is_some_and(|w| !w.text.starts_with('-')) {
                    values.extend(words.next().map(|w| w.text));
                }
                match values.first().map(String::as_str) {
                    Some("prefill") if pool => self.pool = Some(Pool::Prefill),
                    Some("decode") if pool => self.pool = Some(Pool::Decode),
                    Some(text) if value => match super::keys::mapping(text) {
                        Some(keys) => self.options.extend(keys),
                        None => self.unread.push(Note {
                            text: format!("{flag} {text}"),
                            why: "it is no object of options".into(),
                            refused: true,
                        }),
                    },
                    _ => {}
                }
            } else if let Some(to) = renamed {
                match inline.map(str::to_owned) {
                    Some(value) => out.push(Word { text: format!("{to}={value}"), ..word }),
                    None => out.push(Word::plain(to)),
                }
            } else if !DYNAMO_SWITCHES.contains(&flag) {
                out.push(word);
            }
        }
        self.argv = out;
    }

    /// Nodes of the server, where its words say them: `--nnodes`, or data parallel ranks over those of a node.
    pub fn nodes(&self) -> Option<u32> {
        let after = |flag: &str| {
            let inline = format!("{flag}=");
            let at = self.argv.iter().position(|w| w.text == flag || w.text.starts_with(&inline))?;
            let word = self.argv[at]
                .text
                .strip_prefix(&inline)
                .or(self.argv.get(at + 1).map(|w| w.text.as_str()))?;
            word.parse::<u32>().ok().filter(|n| *n > 0)
        };
        let ranks = || {
            let all = after("--data-parallel-size").or_else(|| after("-dp"))?;
            Some(all.div_ceil(after("--data-parallel-size-local").or_else(|| after("-dpl"))?))
        };
        after("--nnodes").or_else(ranks)
    }

    /// The pool that its manifest or its own words name.
    pub fn pool_said(&self) -> Option<Pool> {
        self.pool.or_else(|| {
            let said = |word: &str| {
                self.argv.iter().any(|w| w.text == word || w.text.contains(&format!("\"{word}\"")))
            };
            let prefill = said("prefill") || said("kv_producer") || said("CONTEXT");
            let decode = said("decode") || said("kv_consumer") || said("GENERATION");
            match (prefill, decode) {
                (true, false) => Some(Pool::Prefill),
                (false, true) => Some(Pool::Decode),
                _ => None,
            }
        })
    }

    /// Variables that stand for flags: llama.cpp's `LLAMA_ARG_…`, `VLLM_ADDITIONAL_ARGS` of KServe.
    fn take_variables(&mut self) {
        if let Some(more) = self.variables.get("VLLM_ADDITIONAL_ARGS").filter(|_| self.engine == "vllm") {
            let more = shell::read(&more.text);
            self.argv.extend(more.commands.into_iter().flat_map(|c| c.words));
        }
        if self.engine != "llama.cpp" {
            return;
        }
        let table = dialect::dialect("llama.cpp").expect("it has flags");
        let version = table.version_for(self.version.as_deref());
        let mut front = Vec::new();
        for (name, value) in self.variables.iter().filter(|(name, _)| name.starts_with("LLAMA_ARG_")) {
            match table.at(version).find(|f| f.variable.as_deref() == Some(name)) {
                Some(flag) => {
                    front.push(Word::plain(&flag.name));
                    if !matches!(flag.takes, dialect::Takes::Switch | dialect::Takes::Toggle) {
                        front.push(value.clone());
                    }
                }
                None => self.unread.push(Note {
                    text: format!("{name}={}", value.text),
                    why: format!("no flag of llama.cpp {version} is set by this variable"),
                    refused: false,
                }),
            }
        }
        // The command line wins over variables.
        front.append(&mut self.argv);
        self.argv = front;
    }

    /// Files that flags name: TensorRT-LLM's options, `--config` of vLLM and SGLang with flags as keys.
    fn take_files(&mut self, find: Look) {
        let flags: &[&str] = match self.engine {
            "trtllm" => &["--extra_llm_api_options", "--config"],
            "vllm" | "sglang" => &["--config"],
            _ => return,
        };
        let mut front = Vec::new();
        for i in 0..self.argv.len() {
            let (flag, inline) = match self.argv[i].text.split_once('=') {
                Some((flag, value)) => (flag, Some(value.to_owned())),
                None => (self.argv[i].text.as_str(), None),
            };
            if !flags.contains(&flag) {
                continue;
            }
            let only_if = self.argv[i].only_if.clone();
            let Some(name) = inline.or_else(|| self.argv.get(i + 1).map(|w| w.text.clone())) else {
                continue;
            };
            let Some(file) = find(&name) else {
                self.missing_files.push(name);
                continue;
            };
            let mut keys = super::keys::any_of(&file);
            if let (Some(condition), Some(keys)) = (only_if, &mut keys) {
                super::keys::leave_open(keys, &condition);
            }
            self.take_file_notes(&name, &file, keys.is_some());
            match keys {
                Some(keys) if self.engine == "trtllm" => self.options.extend(keys),
                Some(keys) => {
                    front.extend(super::keys::flags(&keys));
                    self.model =
                        self.model.take().or(keys.get("model").and_then(Value::as_str).map(str::to_owned));
                }
                None => self.open_ended = true,
            }
        }
        // What stands on the command line wins.
        front.append(&mut self.argv);
        self.argv = front;
        if self.engine != "trtllm" {
            for name in std::mem::take(&mut self.missing_files) {
                self.open_ended = true;
                self.unread.push(Note {
                    text: name,
                    why: "this file of flags was not found; it may hold any flag, so no default is taken"
                        .into(),
                    refused: false,
                });
            }
        }
    }

    /// What is to be said of a file that the script around it writes.
    fn take_file_notes(&mut self, name: &str, file: &Written, is_read: bool) {
        let mut say = |text: &str, why: String| {
            self.unread.push(Note { text: text.to_owned(), why, refused: false });
        };
        if !is_read {
            say(
                name,
                "what stands in this file is no mapping of options; it may hold any, so no default is taken"
                    .into(),
            );
        }
        if file.changed {
            say(name, "another program changes this file: what stands in it then is not in this text".into());
        }
        for (written, word) in &file.assumed {
            let variable = word.assumed.as_deref().unwrap_or_default();
            say(written, format!("read as {}, what the text has where nothing sets {variable}", word.text));
        }
    }
}

/// The last part of a path, without `.exe`.
fn base(word: &str) -> &str {
    let name = word.rsplit(['/', '\\']).next().unwrap_or(word);
    name.strip_suffix(".exe").unwrap_or(name)
}

/// Where a server's program stands: its engine, the first word after it, and whether the model may follow bare.
fn entry(words: &[Word]) -> Option<(&'static str, usize, bool)> {
    for (i, word) in words.iter().enumerate() {
        let next = words.get(i + 1).map(|w| w.text.as_str());
        match (base(&word.text), next) {
            ("vllm", Some("serve")) => return Some(("vllm", i + 2, true)),
            ("sglang", Some("serve")) => return Some(("sglang", i + 2, true)),
            ("trtllm-serve", Some("serve")) => return Some(("trtllm", i + 2, true)),
            ("trtllm-serve", _) => return Some(("trtllm", i + 1, true)),
            ("llama-server", _) => return Some(("llama.cpp", i + 1, false)),
            ("api_server.py", _) => return Some(("vllm", i + 1, false)),
            ("launch_server.py", _) => return Some(("sglang", i + 1, false)),
            ("-m", Some(module)) => match module {
                "vllm.entrypoints.openai.api_server" | "vllm.entrypoints.api_server" | "dynamo.vllm" => {
                    return Some(("vllm", i + 2, false));
                }
                "vllm.entrypoints.cli.main" => {
                    return Some((
                        "vllm",
                        i + 2 + usize::from(words.get(i + 2).is_some_and(|w| w.text == "serve")),
                        true,
                    ));
                }
                "sglang.launch_server" | "sglang_router.launch_server" | "dynamo.sglang" => {
                    return Some(("sglang", i + 2, false));
                }
                "dynamo.trtllm" | "tensorrt_llm.commands.serve" => return Some(("trtllm", i + 2, true)),
                _ => {}
            },
            _ => {}
        }
    }
    None
}

/// The engine that an image starts by itself.
pub fn engine_of_image(image: &str) -> Option<&'static str> {
    let name = image.split('@').next().unwrap_or(image);
    if !name.contains('/') || name.starts_with('-') || name.starts_with('/') || name.starts_with('.') {
        return None;
    }
    let (path, tag) = match name.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, tag),
        _ => (name, ""),
    };
    let path = path.to_ascii_lowercase();
    let last = path.rsplit('/').next().unwrap_or(&path);
    match last {
        "vllm-openai" | "vllm-openai-rocm" | "vllm-openai-cpu" => Some("vllm"),
        "vllm" | "vllm-dev" | "vllm-tpu" | "vllm-ascend" | "llm-d" => Some("vllm"),
        // llm-d's builds of vLLM: `llm-d-cuda`, `llm-d-rocm`, `llm-d-xpu`, `llm-d-cpu`; its other images are no engines.
        _ if LLM_D.iter().any(|build| last == format!("llm-d-{build}")) => Some("vllm"),
        "sglang" | "sglang-rocm" => Some("sglang"),
        "llama.cpp" if tag.contains("server") => Some("llama.cpp"),
        "release" if path.contains("tensorrt-llm") => Some("trtllm"),
        _ => None,
    }
}

/// llm-d's builds of vLLM (`docker/` of github.com/llm-d/llm-d).
const LLM_D: [&str; 7] = ["cuda", "cuda-dev", "rocm", "xpu", "hpu", "cpu", "aws"];

/// Where images carry their engine's version in their tag: what the path ends with. Others carry their own: llm-d's,
/// Dynamo's, NVIDIA's by month, LMCache's, vLLM-Omni's.
const TAGGED: [&str; 16] = [
    "vllm/vllm-openai",
    "vllm/vllm-openai-rocm",
    "vllm/vllm-openai-cpu",
    "vllm/vllm-tpu",
    "vllm-ascend",
    "rocm/vllm",
    "rocm/vllm-dev",
    "intel/vllm",
    "lmsysorg/sglang",
    "lmsysorg/sglang-rocm",
    "rocm/sgl-dev",
    "tensorrt-llm/release",
    "ggml-org/llama.cpp",
    "ggerganov/llama.cpp",
    "vllm-cpu-release-repo",
    "vllm-release-repo",
];

/// The version in an image's tag, where its engine publishes it under its own version.
pub fn image_version(image: &str) -> Option<String> {
    let name = image.split('@').next().unwrap_or(image);
    let (path, tag) = name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'))?;
    let path = path.to_ascii_lowercase();
    TAGGED.iter().any(|end| path.ends_with(end)).then(|| tag_version(tag)).flatten()
}

/// The largest first number of a version that an engine may have.
const LARGEST_MAJOR: u32 = 2;

/// `v0.6.4`, `0.5.2-cu126`, `server-cuda-b9509`, `1.3.0rc3`: the part that is a version.
fn tag_version(tag: &str) -> Option<String> {
    tag.split(['-', '_', '+', ',']).find_map(|part| {
        let bare = part.strip_prefix('v').unwrap_or(part);
        // Larger numbers are of CUDA: no engine has come to them.
        let first = bare.split('.').next().and_then(|n| n.parse::<u32>().ok());
        let dotted = bare.contains('.') && first.is_some_and(|n| n <= LARGEST_MAJOR);
        let build =
            part.strip_prefix('b').is_some_and(|n| n.len() >= 4 && n.bytes().all(|b| b.is_ascii_digit()));
        match (dotted, build) {
            (true, _) => Some(bare.to_owned()),
            (_, true) => Some(part.to_owned()),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(text: &str) -> Invocation {
        let mut found = in_script(text, &|_| None);
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    #[test]
    fn the_program_is_found_behind_what_wraps_it() {
        for (text, engine, first) in [
            ("mpirun -n 1 --allow-run-as-root trtllm-serve m --tp_size 8", "trtllm", "m"),
            (
                "CUDA_VISIBLE_DEVICES=0 nohup python3 -m sglang.launch_server --model-path m &",
                "sglang",
                "--model-path",
            ),
            ("bash -lc \"cd /x && vllm serve m -tp 2\"", "vllm", "m"),
            ("./build/bin/llama-server -m x.gguf", "llama.cpp", "-m"),
            ("docker run --gpus all -p 8000:8000 vllm/vllm-openai:v0.6.4 --model m", "vllm", "--model"),
            (
                "docker run lmsysorg/sglang:latest python3 -m sglang.launch_server --model m",
                "sglang",
                "--model",
            ),
        ] {
            let found = only(text);
            assert_eq!((found.engine, found.argv[0].text.as_str()), (engine, first), "{text}");
        }
        assert_eq!(only("docker run vllm/vllm-openai:v0.6.4 --model m").version.as_deref(), Some("0.6.4"));
        assert_eq!(only("pip install vllm==0.8.5\nvllm serve m").version.as_deref(), Some("0.8.5"));
    }

    #[test]
    fn the_second_node_is_not_a_second_server() {
        let text = "python -m sglang.launch_server --model-path m --tp 16 --nnodes 2 --node-rank 0\n\
                    python -m sglang.launch_server --model-path m --tp 16 --nnodes 2 --node-rank 1";
        let joins: Vec<bool> = in_script(text, &|_| None).iter().map(|found| found.joins).collect();
        assert_eq!(joins, [false, true]);
        assert_eq!(crate::launch::invocations(text, &|_| None).unwrap().len(), 1);
    }

    #[test]
    fn an_array_that_is_not_set_leaves_every_default_open() {
        let found = only("vllm serve m \"${ARGS[@]}\" --port 1");
        let server = crate::launch::speech::read(&found, None);
        assert_eq!((server.tp, server.unread[0].text.as_str()), (None, "${ARGS[@]}"));
    }

    #[test]
    fn tags_hold_versions_or_not() {
        for (image, version) in [
            ("vllm/vllm-openai:v0.11.0", Some("0.11.0")),
            ("lmsysorg/sglang:v0.5.2-cu126", Some("0.5.2")),
            ("ghcr.io/ggml-org/llama.cpp:server-cuda-b9509", Some("b9509")),
            ("nvcr.io/nvidia/tensorrt-llm/release:1.3.0rc3", Some("1.3.0rc3")),
            ("vllm/vllm-openai:latest", None),
            ("vllm/vllm-openai:glm51", None),
        ] {
            assert_eq!(image_version(image).as_deref(), version, "{image}");
        }
    }
}
