//! A deployment in its engine's own words: launch commands and manifests read as values that a plan is made of.
//!
//! ```text
//! text ─ document (YAML) ┐
//!      └ shell (words) ──┴→ invocation ─ dialect (flags of a version) → speech (one file an engine) → Server
//! Server → speech → Line (a command) → release (servers on nodes) → artefact (scripts, manifests)
//! ```

pub mod artefact;
pub mod better;
pub mod dialect;
pub mod document;
pub mod drafting;
pub mod dynamo;
pub mod invocation;
pub mod keys;
pub mod line;
pub mod plan;
pub mod platform;
pub mod published;
pub mod refused;
pub mod release;
pub mod required;
pub mod server;
pub mod shell;
pub mod speech;

use crate::diagnostic::{Code, Diagnostic};
use crate::dtype::WeightFormat;

pub use invocation::Invocation;
pub use server::{AdapterSlots, Drafts, Note, Pool, Server};

/// The servers that a text starts: shell lines, a script, Compose, Kubernetes and other manifests.
///
/// `find` gives the files that the text names (`--config`, `--extra_llm_api_options`).
///
/// # Errors
/// [`Code::Syntax`] where the text starts no server that is known.
pub fn invocations(text: &str, find: invocation::Find) -> Result<Vec<Invocation>, Diagnostic> {
    if text.len() > MAX_TEXT {
        return Err(Diagnostic::new(
            Code::Range,
            format!("a launch of {} bytes is longer than the {MAX_TEXT} that are read", text.len()),
        )
        .help("name the part that starts the server"));
    }
    let mut found: Vec<Invocation> = match fenced(text) {
        blocks if blocks.is_empty() => in_text(text, find),
        blocks => blocks.iter().flat_map(|block| in_text(block, find)).collect(),
    };
    if let Some((engine, version)) = written_for(text) {
        for server in found.iter_mut().filter(|server| server.engine == engine) {
            server.version.get_or_insert_with(|| version.to_owned());
        }
    }
    if let Some((model, format)) = stated_checkpoint(text) {
        for server in &mut found {
            server.checkpoint = Some((model.to_owned(), format));
        }
    }
    // Commands of other nodes repeat that of the first, which stands for them where it is there.
    if found.iter().any(|server| !server.joins) {
        found.retain(|server| !server.joins);
    } else {
        found.truncate(1);
    }
    let found = merged(found);
    if found.is_empty() {
        return Err(Diagnostic::new(Code::Syntax, "no launch of a server stands in this text").help(
            "known: `vllm serve`, `python -m vllm.entrypoints.openai.api_server`, `python -m sglang.launch_server`, \
             `sglang serve`, `trtllm-serve`, `llama-server`, `docker run` of their images, and manifests that hold one",
        ));
    }
    Ok(found)
}

fn in_text(text: &str, find: invocation::Find) -> Vec<Invocation> {
    match document::read(text, find) {
        Some(found) if !found.is_empty() => {
            found.into_iter().flat_map(|found| expanded(found, find)).collect()
        }
        _ => {
            let all = invocation::in_script(text, find);
            let mut found = merged(all.into_iter().flat_map(|found| expanded(found, find)).collect());
            found.iter_mut().for_each(|f| {
                f.copies =
                    stated_copies(text, None).or_else(|| stated_copies(text, f.pool_said())).or(f.copies);
            });
            found
        }
    }
}

/// The blocks of code in a text of Markdown; none where it has no fences.
fn fenced(text: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<(&str, String)> = None;
    for line in text.lines() {
        let bare = line.trim_start();
        let fence = ["```", "~~~"].into_iter().find(|fence| bare.starts_with(fence));
        match (&mut open, fence) {
            (None, Some(fence)) => open = Some((fence, String::new())),
            (Some((begun, _)), Some(fence)) if *begun == fence && bare.trim() == fence => {
                blocks.extend(open.take().map(|(_, block)| block));
            }
            (Some((_, block)), _) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, None) => {}
        }
    }
    // A text that is cut off ends its last block.
    blocks.extend(open.map(|(_, block)| block));
    blocks
}

/// Files that state both pools are read as the manifests that they are.
fn expanded(found: Invocation, find: invocation::Find) -> Vec<Invocation> {
    match &found.pools {
        Some(pools) => document::read(pools, find).unwrap_or_default(),
        None => vec![found],
    }
}

/// The engine and version that the head of a file written here names.
fn written_for(text: &str) -> Option<(&str, &str)> {
    text.lines().find(|line| line.starts_with(HEAD))?;
    let stated = text.lines().find_map(|line| line.strip_prefix("# ")?.strip_prefix(release::VERSION))?;
    stated.trim().split_once(' ')
}

/// The model and format of the checkpoint that the head of a file written here asks for.
fn stated_checkpoint(text: &str) -> Option<(&str, WeightFormat)> {
    text.lines().find(|line| line.starts_with(HEAD))?;
    text.lines().find_map(|line| release::read_checkpoint_line(line.strip_prefix("# ")?.trim_end()))
}

/// The longest text that is read, in bytes: manifests of whole clusters are a tenth of it.
const MAX_TEXT: usize = 1 << 20;

/// How a head that was written here begins.
const HEAD: &str = "# shardfit ";

/// The number of servers that the head of a script written here states.
fn stated_copies(text: &str, pool: Option<Pool>) -> Option<u32> {
    let ours = text.lines().any(|line| line.starts_with(HEAD));
    let stated = text.lines().find_map(|line| line.strip_prefix(release::copies_line(pool)));
    stated.filter(|_| ours)?.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Copies of one server, told apart by port, host and GPUs alone, as one.
fn merged(found: Vec<Invocation>) -> Vec<Invocation> {
    let mut out: Vec<(Invocation, Vec<String>)> = Vec::new();
    for invocation in found {
        let mut words = Vec::new();
        let mut skip = false;
        for word in &invocation.argv {
            if std::mem::take(&mut skip) {
                continue;
            }
            match word.text.as_str() {
                "--port" | "--host" | "--disaggregation-bootstrap-port" => skip = true,
                text if text.starts_with("--port=") || text.starts_with("--host=") => {}
                text => words.push(text.to_owned()),
            }
        }
        let same = |(other, said): &&mut (Invocation, Vec<String>)| {
            other.engine == invocation.engine
                && *said == words
                && other.pool == invocation.pool
                && other.model == invocation.model
                && other.options == invocation.options
        };
        match out.iter_mut().find(same) {
            Some((first, _)) => {
                let sum = first.copies.unwrap_or(1).saturating_add(invocation.copies.unwrap_or(1));
                first.copies = Some(sum);
            }
            None => out.push((invocation, words)),
        }
    }
    out.into_iter().map(|(invocation, _)| invocation).collect()
}
