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
use super::shell::Word;
use crate::diagnostic::{Code, Diagnostic};

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

/// Of linear layers that adapters may change, those that the launch of an engine can name; all where it names none. Those
/// of a mixture's experts have the names of shared ones, and plans have no room for adapters of experts.
pub fn adaptable(engine: &str, version: Option<&str>, layers: Vec<String>, experts: bool) -> Vec<String> {
    let of_experts = |layer: &str| experts && matches!(layer, "gate_proj" | "up_proj" | "down_proj");
    let known: Vec<&str> = match engine {
        "trtllm" => trtllm::MODULES.iter().map(|(of, _)| *of).collect(),
        "sglang" => {
            let line = Line::new(engine, version, Vec::new());
            line.choices("--lora-target-modules").iter().map(String::as_str).collect()
        }
        _ => return layers,
    };
    let takes = |layer: &String| known.is_empty() || known.contains(&layer.as_str());
    layers.into_iter().filter(|layer| takes(layer) && !of_experts(layer)).collect()
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
    let mut said: Said = dialect.read(&invocation.argv, invocation.version.as_deref());
    let mut invocation = invocation.clone();
    take_open_words(&mut invocation, &mut said, &mut server);
    match invocation.engine {
        "sglang" => sglang::read(&invocation, &said, experts, &mut server),
        "trtllm" => trtllm::read(&invocation, &said, experts, &mut server),
        "llama.cpp" => llama_cpp::read(&invocation, &said, &mut server),
        _ => vllm::read(&invocation, &said, experts, &mut server),
    }
    read_stage_layers(&invocation, &mut server);
    if let Some((model, format)) = &invocation.checkpoint {
        let at = server.model.replace(model.clone()).unwrap_or_default();
        server.notes.push(format!(
            "the checkpoint at {at} is read as {model} in {}, as the head says",
            format.name()
        ));
        server.checkpoint = Some(format.name());
    }
    take_siblings(&mut server);
    server
}

/// Flags by which programs beside an engine are told that share its command: vLLM-Omni (`vllm serve --omni`) and SGLang's
/// servers of images and video (`sglang serve`, `sglang/multimodal_gen/runtime/server_args.py`).
const SIBLINGS: [(&str, &[&str]); 2] = [
    ("vllm", &["--omni", "--stage-configs-path"]),
    ("sglang", &["--num-gpus", "--ulysses-degree", "--ring-degree", "--sp-degree", "--dit-cpu-offload"]),
];

/// Where a sibling of the engine is started, nothing of it is refused by the engine.
fn take_siblings(server: &mut Server) {
    let own =
        SIBLINGS.iter().find(|(engine, _)| *engine == server.engine).map_or(&[][..], |(_, flags)| *flags);
    let said = |note: &Note| {
        let flag = note.text.split([' ', '=']).next().unwrap_or_default();
        own.contains(&flag)
    };
    if !server.unread.iter().any(said) {
        return;
    }
    for note in server.unread.iter_mut().chain(&mut server.elsewhere) {
        note.refused = false;
    }
    let why =
        "this starts a server of images, sound or video, which is not described: read as the engine's own";
    server.notes.push(why.into());
}

/// Words that belong to no flag and whose text is not there. An array (`"${ARGS[@]}"`, `"$@"`) and dots may hold any flag;
/// one variable (`$EXTRA`) is read as empty, which is said.
fn take_open_words(invocation: &mut Invocation, said: &mut Said, server: &mut Server) {
    // The first one is the model, where it may follow bare.
    let named = ["--model", "--model-path"].iter().any(|flag| said.get(flag).is_some());
    let model = invocation.takes_model && !named && invocation.model.is_none();
    let (first, rest) = said.positional.split_at(usize::from(model).min(said.positional.len()));
    // An array cannot be the model alone.
    let several = |text: &str| {
        ["[@]", "[*]", "$@", "$*"].iter().any(|all| text.contains(all))
            || matches!(text, "..." | "…" | "[...]")
    };
    let array = |word: &Word| word.unknown && several(&word.text);
    let (mut kept, mut open) = (Vec::new(), Vec::new());
    for (word, is_model) in first.iter().map(|w| (w, true)).chain(rest.iter().map(|w| (w, false))) {
        if array(word) || word.unknown && !is_model { &mut open } else { &mut kept }.push(word.clone());
    }
    said.positional = kept;
    for word in open {
        let any = array(&word);
        invocation.open_ended |= any;
        let why = word.why.as_deref();
        let why = match any {
            true => format!(
                "{}; it may hold any flag, so no default is taken",
                why.unwrap_or(match word.text.contains('$') {
                    true => "an array that this text does not set",
                    false => "what is left out of this text",
                })
            ),
            false => {
                format!("{}; read as if it were empty", why.unwrap_or("what it holds is not in this text"))
            }
        };
        server.unread.push(Note { text: word.text, why, refused: false });
    }
}

/// Writes the command of one server.
///
/// # Errors
/// Where its version cannot be told to do what it says, with the versions that can.
pub fn write(server: &Server) -> Result<Line, Diagnostic> {
    let unsaid = |cause: &str, help: &str| {
        let cause = format!("{cause}, which no command of {} alone starts", server.engine);
        Err(Diagnostic::new(Code::Usage, cause).at("--emit").help(help))
    };
    if server.shared_cache {
        let help = "leave `shared` out of --kv-tiers; stores such as Mooncake's or LMCache's are set up by their own documents";
        return unsaid("the plan keeps prefixes in a store that all servers share", help);
    }
    if server.disk_cache.is_some() && server.host_cache.is_none() {
        let help = "name the host's memory too, for example --kv-tiers cpu=256GiB,nvme=4TB";
        return unsaid("the plan keeps prefixes on drives without the host's memory between", help);
    }
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
