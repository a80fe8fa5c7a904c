//! A launch as it would be better: the user's own command with the flags of another plan.

use super::line::{Line, here_document, quoted};
use super::server::Server;
use super::speech;
use crate::diagnostic::Diagnostic;
use crate::plan::Axis;

/// What is to be changed in a launch.
#[derive(Clone, Debug, PartialEq)]
pub struct Changed {
    /// Each figure that differs: what it is, as launched, as it would be better.
    pub differences: Vec<(&'static str, String, String)>,
    /// The whole command of one server, the file of its options before it where it has one.
    pub command: String,
}

/// The launch with the degrees and limits of `plan`. What says nothing to a plan stays as the user wrote it, and so does
/// what he asks for beside it: the longest request, prefixes kept, eager execution, tokens drafted.
///
/// # Errors
/// As [`speech::write`].
pub fn changed(launch: &Server, plan: &Server) -> Result<Changed, Diagnostic> {
    let mut server = plan.clone();
    server.model = launch.model.clone().or(server.model);
    server.version = launch.version.clone().or(server.version);
    server.max_model_len = launch.max_model_len.or(server.max_model_len);
    server.kv = launch.kv.clone().or(server.kv);
    server.weights.clone_from(&launch.weights);
    server.dtype.clone_from(&launch.dtype);
    server.block_size = launch.block_size;
    server.memory_fraction = launch.memory_fraction.or(server.memory_fraction);
    server.prefix_caching = launch.prefix_caching.or(server.prefix_caching);
    server.eager = launch.eager;
    server.largest_graph = launch.largest_graph;
    server.graph_mode.clone_from(&launch.graph_mode);
    server.cpu_offload_gb = launch.cpu_offload_gb;
    server.speculation.clone_from(&launch.speculation);
    // What the user serves with stays his to say.
    server.required.clear();
    let line = speech::write(&server)?;
    let options = line.options.as_ref().map(|(name, keys)| here_document(name, keys)).transpose()?;
    let mut command = options.unwrap_or_default() + line.shell().trim_end();
    for words in launch.kept.iter().filter(|words| !states(&line, &words[0])) {
        let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        command += &format!(" \\\n  {}", words.join(" "));
    }
    Ok(Changed { differences: differences(launch, &server, plan.replicas), command })
}

/// Whether a command line states a flag already.
fn states(line: &Line, flag: &str) -> bool {
    line.arguments.iter().any(|argument| argument.flag == flag)
}

fn differences(was: &Server, is: &Server, replicas: Option<u32>) -> Vec<(&'static str, String, String)> {
    let whole = |n: Option<u64>| n.map_or("the engine's default".to_owned(), |n| n.to_string());
    let degree = |n: Option<u32>| n.unwrap_or(1).to_string();
    let degrees =
        Axis::WRITTEN.map(|axis| (axis.meaning(), degree(was.degree(axis)), degree(is.degree(axis))));
    let rows = [
        ("servers", degree(was.replicas), degree(replicas)),
        ("sequences", whole(was.max_sequences), whole(is.max_sequences)),
        ("tokens of a step", whole(was.max_batched_tokens), whole(is.max_batched_tokens)),
    ];
    degrees.into_iter().chain(rows).filter(|(_, was, is)| was != is).collect()
}
