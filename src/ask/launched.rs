//! Servers that are described by the command or manifest that starts them.

use std::path::{Path, PathBuf};

use crate::catalog::Catalog;
use crate::catalog::version::Version;
use crate::diagnostic::{Code, Diagnostic};
use crate::estimate::deployment::Deployment;
use crate::estimate::estimated::Estimate;
use crate::hub::Hub;
use crate::launch::{self, Server};
use crate::load;
use crate::model::Model;
use crate::plan::Axis;
use crate::report::Improvement;
use crate::request::launched::pools;
use crate::request::{Better, Estimated, ModelRequest, Request, Resolved, Texts};
use crate::search::Stop;
use itertools::Itertools as _;

/// What runs today where the launch says it.
pub const AS_LAUNCHED: &str = "as launched";

/// A launch as it was read.
pub struct Read {
    /// Each kind of server.
    pub servers: Vec<Server>,
    /// Why their engines would not start them, whatever the hardware.
    pub refused: Vec<String>,
}

/// The launch that the files of a folder make, as `-o` writes them: its scripts, else its manifests, by their names. Several
/// targets in one folder say the same servers again.
fn of_folder(folder: &Path) -> Result<String, Diagnostic> {
    let mut files = load::entries(folder)?;
    files.sort();
    let starts = |text: &str| launch::invocations(text, &|_| None).is_ok_and(|found| !found.is_empty());
    for (endings, between) in [(&["sh", "sbatch"][..], "\n"), (&["yaml", "yml"], "\n---\n")] {
        let named =
            |file: &&PathBuf| file.extension().is_some_and(|ending| endings.iter().any(|e| ending == *e));
        let texts: Vec<String> =
            files.iter().filter(named).filter_map(|file| load::text(file).ok()).collect();
        let texts: Vec<String> = texts.into_iter().filter(|text| starts(text)).collect();
        if !texts.is_empty() {
            return Ok(texts.join(between));
        }
    }
    Err(Diagnostic::new(
        Code::Usage,
        format!("no file in {} starts a server that is known", folder.display()),
    )
    .at("--launch")
    .help("name a folder that `-o` wrote, or the file itself"))
}

impl Read {
    /// Reads the launch of a request, if there is one, and fills in what the request leaves out.
    ///
    /// # Errors
    /// A file that cannot be read, a text that starts no server.
    pub fn into(request: &mut Request, catalog: &Catalog, hub: &Hub) -> Result<Option<Read>, Diagnostic> {
        let Some((mut read, model)) = Read::of(request, catalog, hub)? else { return Ok(None) };
        read.on_gpu(request, catalog);
        let mut notes = match (pools(&read.servers), read.servers.first()) {
            (Some((prefill, decode)), _) => request.take_pools(prefill, decode, model.as_ref()),
            (None, Some(first)) => request.take_launch(first, model.as_ref()),
            (None, None) => Vec::new(),
        };
        let find = |name: &str| {
            let asked = ModelRequest { model: Some(name.to_owned()), ..ModelRequest::default() };
            let models = request.model.models.clone();
            ModelRequest { models, offline: request.model.offline, ..asked }.find(catalog, hub).ok()
        };
        let main = read.main().clone();
        let mut drafting = request.clone();
        notes.extend(drafting.take_drafts(&main, find));
        *request = drafting;
        if let Some(server) = read.servers.iter_mut().find(|server| **server == main) {
            server.unread.extend(notes);
        }
        Ok(Some(read))
    }

    /// Reads the launch of a request, if there is one, and makes it what runs today.
    ///
    /// # Errors
    /// As [`Read::into`]; a launch with split pools or with several kinds of server, which nothing is compared with;
    /// what runs today said to be the launch where there is none.
    pub fn current(request: &mut Request, catalog: &Catalog, hub: &Hub) -> Result<Option<Read>, Diagnostic> {
        let marked = request.current.as_deref() == Some(AS_LAUNCHED);
        request.current.take_if(|_| marked);
        let Some((read, model)) = Read::of(request, catalog, hub)? else {
            return match marked {
                true => Err(Diagnostic::new(Code::Usage, "says nothing of what runs today").at("--current").help(
                    "write --current tp=4,replicas=2, or add --launch with the command or file that starts it",
                )),
                false => Ok(None),
            };
        };
        let [server] = read.servers.as_slice() else {
            let n = read.servers.len();
            return Err(Diagnostic::new(
                Code::Usage,
                format!("plans are compared with one kind of server, and this starts {n}"),
            )
            .at("--launch")
            .help("`shardfit estimate --launch` answers for split pools; name one server's command here"));
        };
        request.take_current(server, model.as_ref())?;
        request.launch = None;
        Ok(Some(read))
    }

    /// vLLM on accelerators that it does not run on by itself is a plug-in under the same command: the engine that is meant
    /// on the GPU which the request names.
    fn on_gpu(&mut self, request: &mut Request, catalog: &Catalog) {
        if request.engine.is_some() || self.main().engine != "vllm" {
            return;
        }
        let gpu = match (&request.cluster, request.gpu.as_ref().map(|named| named.0.as_slice())) {
            (Some(name), _) => {
                catalog.pools(name).ok().and_then(|all| all.pools.first().map(|p| p.gpu.clone()))
            }
            (None, Some([name])) => catalog.gpu(name).ok(),
            _ => None,
        };
        let meant = gpu.and_then(|gpu| {
            let by_itself = catalog.engine("vllm").ok()?.runs_on(&gpu);
            catalog.usual_engine(&gpu).ok().filter(|usual| !by_itself && usual.id.starts_with("vllm-"))
        });
        let Some(usual) = meant else { return };
        let stated = self.main().version.as_ref().map(|version| format!("{}@{version}", usual.id));
        let named = stated.filter(|named| catalog.engine(named).is_ok()).unwrap_or_else(|| usual.id.clone());
        for server in &mut self.servers {
            server.notes.push(format!("read as {}, which is vLLM on such GPUs", usual.id));
        }
        request.engine = Some(Texts(vec![named]));
    }

    /// Reads the launch of a request, if there is one, with the model that it or the request names, where that is at hand.
    ///
    /// # Errors
    /// As [`Read::into`].
    pub fn of(
        request: &Request,
        catalog: &Catalog,
        hub: &Hub,
    ) -> Result<Option<(Read, Option<Model>)>, Diagnostic> {
        let Some(given) = request.launch.clone() else { return Ok(None) };
        let path = Path::new(&given);
        let at_hand = !catalog.is_sealed() && given.len() < 4096;
        let (file, folder) = (at_hand && path.is_file(), at_hand && path.is_dir());
        let text = match (file, folder) {
            (true, _) => load::text(path)?,
            (_, true) => of_folder(path)?,
            _ => given.clone(),
        };
        // Files that the launch names are looked for beside it.
        let beside = match folder {
            true => path,
            false => path.parent().filter(|_| file).unwrap_or(Path::new(".")),
        };
        let find = |name: &str| {
            let base = Path::new(name).file_name().filter(|_| !catalog.is_sealed())?;
            [beside.join(name), beside.join(base)]
                .iter()
                .find(|p| p.is_file())
                .and_then(|p| load::text(p).ok())
        };
        let mut invocations = launch::invocations(&text, &find).map_err(|d| d.at("--launch"))?;
        for invocation in &mut invocations {
            // The version that is asked for says what its flags mean, over a tag and over none.
            invocation.version = asked_version(request, invocation.engine).or(invocation.version.take());
        }
        let named = invocations.iter().find_map(|i| launch::speech::read(i, None).model);
        let asked = ModelRequest { model: request.model.model.clone().or(named), ..request.model.clone() };
        let model: Option<Model> = asked.find(catalog, hub).ok();
        let experts = model.as_ref().map(Model::is_moe);
        let servers: Vec<Server> = invocations.iter().map(|i| launch::speech::read(i, experts)).collect();
        let refused: Vec<String> = servers
            .iter()
            .flat_map(|server| launch::refused::reasons(server, model.as_ref()))
            .unique()
            .collect();
        Ok(Some((Read { servers, refused }, model)))
    }

    /// What was not read and what a reader should know, in sentences, for answers that have no place for it.
    pub fn remarks(&self) -> Vec<String> {
        let mut out = Vec::new();
        if self.left_out() > 0 {
            let n = self.servers.len();
            let which = if pools(&self.servers).is_some() { "one of each pool" } else { "the first" };
            out.push(format!("note: --launch starts {n} kinds of server; {which} is answered for"));
        }
        for note in self.servers.iter().flat_map(|s| &s.unread) {
            out.push(format!("note: not read: {}: {}", crate::diagnostic::brief(&note.text), note.why));
        }
        out.extend(self.servers.iter().flat_map(|s| &s.notes).map(|note| format!("note: {note}")));
        out.extend(self.refused.iter().map(|why| format!("note: the engine refuses this launch: {why}")));
        out
    }

    /// That the degrees of a replica are known: an estimate of a degree that stands in a variable would be of another
    /// server.
    ///
    /// # Errors
    /// [`Code::Usage`] where one stands in a variable and `request`, filled in from the launch, does not say it.
    pub fn stated(&self, request: &Request) -> Result<(), Diagnostic> {
        if pools(&self.servers).is_some() {
            return Ok(());
        }
        let missing = Axis::ALL.into_iter().find(|axis| {
            let main = self.main();
            let none = main.degree(*axis).is_none();
            // vLLM and others leave some degrees out, whose default holds.
            let default = !matches!(axis, Axis::Tensor | Axis::Pipeline) || main.engine == "llama.cpp";
            let open = main.open.contains(axis) || none && !default;
            open && request.degrees(*axis).is_none()
        });
        match missing {
            None => Ok(()),
            Some(axis) => {
                let flag = axis.name().replace('_', "-");
                Err(Diagnostic::new(Code::Usage, format!("the launch leaves {} open", axis.meaning()))
                    .at("--launch")
                    .help(format!("say it with --{flag}, for example --{flag} 2")))
            }
        }
    }

    /// That it can be run: nothing that its engine refuses, and every degree known.
    ///
    /// # Errors
    /// As [`Read::stated`]; [`Code::Usage`] with why the engine refuses it.
    pub fn runs(&self, request: &Request) -> Result<(), Diagnostic> {
        match self.refused.first() {
            Some(why) => {
                let cause = format!("the engine refuses this launch: {why}");
                Err(Diagnostic::new(Code::Usage, cause).at("--launch"))
            }
            None => self.stated(request),
        }
    }

    /// How many kinds of server are left out of an answer, which is about the first.
    pub fn left_out(&self) -> usize {
        let answered = if pools(&self.servers).is_some() { 2 } else { 1 };
        self.servers.len().saturating_sub(answered)
    }

    /// The server that an answer is about: the only one, or the one that decodes.
    pub fn main(&self) -> &Server {
        pools(&self.servers).map_or(&self.servers[0], |(_, decode)| decode)
    }

    /// What was read, in lines for a table.
    pub fn text(&self) -> String {
        let mut out = String::from("read from the launch\n");
        for s in &self.servers {
            let mut said = vec![s.engine.clone()];
            said.extend(s.version.clone());
            let mut say =
                |name: &str, value: Option<String>| said.extend(value.map(|v| format!("{name} {v}")));
            say("model", s.model.clone());
            for axis in Axis::WRITTEN {
                say(axis.name(), s.degree(axis).map(|n| n.to_string()));
            }
            say("replicas", s.replicas.map(|n| n.to_string()));
            say("GPUs", s.gpus.map(|n| n.to_string()));
            say("kv", s.kv.clone());
            say("longest request", s.max_model_len.map(|n| n.to_string()));
            say("sequences", s.max_sequences.map(|n| n.to_string()));
            say("tokens of a step", s.max_batched_tokens.map(|n| n.to_string()));
            say("memory fraction", s.memory_fraction.map(|n| n.to_string()));
            out += &format!("  {}\n", said.join(", "));
            for note in &s.unread {
                out += &format!("  not read: {}: {}\n", crate::diagnostic::brief(&note.text), note.why);
            }
            for note in &s.notes {
                out += &format!("  note: {note}\n");
            }
            if !s.without_bearing.is_empty() {
                out += &format!("  no bearing on the plan: {}\n", s.without_bearing.join(" "));
            }
        }
        for why in &self.refused {
            out += &format!("the engine refuses this launch: {why}\n");
        }
        out
    }

    /// The launch as it would be better on the same GPUs, where it clearly would be.
    ///
    /// # Errors
    /// As [`Resolved::better_than`].
    pub fn better(
        &self,
        resolved: &Resolved,
        estimated: &Estimated,
        (asked, stop): (&launch::plan::Asked, Stop),
    ) -> Result<Option<Improved>, Diagnostic> {
        if !self.refused.is_empty() {
            return Ok(None);
        }
        // What was not read may say anything of the plan.
        let [server] = self.servers.as_slice() else { return Ok(None) };
        if server.unread.iter().any(|note| !note.refused) {
            return Ok(None);
        }
        let release =
            |better: &Estimate, deployment: &Deployment| launch::plan::release(better, deployment, asked);
        let found = resolved.better_than(estimated, server.max_model_len, stop, release)?;
        let Some((better, release)) = found else { return Ok(None) };
        let [member] = release.members.as_slice() else { return Ok(None) };
        let mut plan = Server { replicas: Some(member.copies), ..member.server.clone() };
        let tokens = |limits: &crate::estimate::memory::Limits| limits.max_batched_tokens;
        if server.max_batched_tokens.is_none()
            && tokens(&better.estimate.limits) == tokens(&estimated.estimate.limits)
        {
            plan.max_batched_tokens = None;
        }
        if server.memory_fraction.is_none() {
            plan.memory_fraction = None;
        }
        // A limit that is higher than the plan needs costs nothing and takes bursts.
        let ample = |limit: u64| plan.max_sequences.is_none_or(|planned| limit >= planned);
        if server.max_sequences.is_none_or(ample) {
            plan.max_sequences = server.max_sequences;
        }
        // A version that cannot be told so has no better command.
        let Ok(changed) = launch::better::changed(server, &plan) else { return Ok(None) };
        Ok(Some(Improved { better, changed, copies: member.copies })
            .filter(|i| !i.changed.differences.is_empty()))
    }
}

/// The version that a request names of an engine: `sglang@0.5.5`, as it is written.
fn asked_version(request: &Request, engine: &str) -> Option<String> {
    let [named] = request.engine.as_ref()?.0.as_slice() else { return None };
    let (_, rest) = named.split_once('@').filter(|(name, _)| *name == engine)?;
    let is_version =
        |part: &&str| part.parse::<Version>().is_ok() && part.contains(|c: char| c.is_ascii_digit());
    rest.split('-').find(is_version).map(str::to_owned)
}

/// A launch as it would be better.
pub struct Improved {
    better: Better,
    changed: launch::better::Changed,
    copies: u32,
}

impl Improved {
    /// In lines for a table.
    pub fn text(&self) -> String {
        let estimate = &self.better.estimate;
        let mut out = match self.better.gain {
            Some(gain) => format!("better on the same GPUs: {:.2} times the output", gain),
            None => "what runs on the same GPUs".to_owned(),
        };
        out += &format!(
            " ({:.0} output tokens/s, TTFT {:.0} ms, TPOT {:.1} ms)\n",
            estimate.output.get(),
            estimate.service.ttft.as_millis(),
            estimate.service.tpot.as_millis()
        );
        for (what, was, is) in &self.changed.differences {
            out += &format!("  {what}: {was} → {is}\n");
        }
        if self.copies > 1 {
            out += &format!("  {} servers, each with its own GPUs and port:\n", self.copies);
        }
        out += &self.changed.command.lines().map(|line| format!("  {line}\n")).collect::<String>();
        out
    }

    /// For an answer.
    pub fn improvement(&self) -> Improvement<'_> {
        Improvement { better: &self.better, changed: &self.changed, servers: self.copies }
    }
}
