//! How each engine says a launch: one file an engine, reading and writing side by side.

pub mod llama_cpp;
pub mod sglang;
pub mod trtllm;
pub mod vllm;
mod words;

use super::dialect::Said;
use super::invocation::Invocation;
use super::line::Line;
use super::server::Server;
use crate::diagnostic::Diagnostic;

/// Reads what an invocation says. `experts` is whether the model is a mixture, where that is known: data parallel
/// ranks of a mixture share its experts, those of a dense model are copies.
pub fn read(invocation: &Invocation, experts: Option<bool>) -> Server {
    let mut server = Server {
        engine: invocation.engine.to_owned(),
        version: invocation.version.clone(),
        unread: invocation.unread.clone(),
        notes: invocation.notes.clone(),
        ..Server::default()
    };
    let dialect =
        super::dialect::dialect(invocation.engine).expect("an invocation is of an engine with flags");
    let said: Said = dialect.read(&invocation.argv, invocation.version.as_deref());
    match invocation.engine {
        "sglang" => sglang::read(invocation, &said, experts, &mut server),
        "trtllm" => trtllm::read(invocation, &said, experts, &mut server),
        "llama.cpp" => llama_cpp::read(invocation, &said, &mut server),
        _ => vllm::read(invocation, &said, experts, &mut server),
    }
    server
}

/// Writes the command of one server.
///
/// # Errors
/// Where its version cannot be told to do what it says, with the versions that can.
pub fn write(server: &Server) -> Result<Line, Diagnostic> {
    match server.engine.as_str() {
        "sglang" => sglang::write(server),
        "trtllm" => trtllm::write(server),
        "llama.cpp" => llama_cpp::write(server),
        _ => vllm::write(server),
    }
}
