//! How each engine says a launch: one file an engine, reading and writing side by side.

mod changed;
pub mod llama_cpp;
pub mod sglang;
pub mod trtllm;
pub mod vllm;
mod words;

use super::dialect::Said;
use super::invocation::Invocation;
use super::line::Line;
use super::server::{Note, Server};
use crate::diagnostic::Diagnostic;

/// Variables that say how many layers each pipeline stage has (`get_pp_indices` in `vllm/distributed/utils.py` and
/// `sglang/srt/distributed/utils.py`); TensorRT-LLM has an option and llama.cpp a flag.
const STAGE_LAYERS: [(&str, &str); 2] =
    [("vllm", "VLLM_PP_LAYER_PARTITION"), ("sglang", "SGLANG_PP_LAYER_PARTITION")];

fn stage_layers_of(engine: &str) -> Option<&'static str> {
    STAGE_LAYERS.iter().find(|(of, _)| *of == engine).map(|(_, variable)| *variable)
}

/// The layers of each stage, where a variable says them.
fn read_stage_layers(invocation: &Invocation, server: &mut Server) {
    let Some(variable) = stage_layers_of(invocation.engine) else { return };
    let Some(word) = invocation.variables.get(variable) else { return };
    let layers: Option<Vec<f64>> =
        word.text.split(',').map(|n| n.trim().parse::<u32>().ok().map(f64::from)).collect();
    match layers {
        Some(layers) if !word.unknown => server.tensor_split = Some(layers),
        _ => server.unread.push(Note {
            text: format!("{variable}={}", word.text),
            why: "it is not the layers of each pipeline stage, such as 21,19".into(),
            refused: !word.unknown,
        }),
    }
}

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
    read_stage_layers(invocation, &mut server);
    server
}

/// Writes the command of one server.
///
/// # Errors
/// Where its version cannot be told to do what it says, with the versions that can.
pub fn write(server: &Server) -> Result<Line, Diagnostic> {
    let mut line = match server.engine.as_str() {
        "sglang" => sglang::write(server),
        "trtllm" => trtllm::write(server),
        "llama.cpp" => llama_cpp::write(server),
        _ => vllm::write(server),
    }?;
    if let (Some(variable), Some(layers)) = (stage_layers_of(&server.engine), &server.tensor_split) {
        let layers: Vec<String> = layers.iter().map(f64::to_string).collect();
        line.variables.push((variable.to_owned(), layers.join(",")));
    }
    Ok(line)
}
