//! The file that a model's name means, where it means one of llama.cpp's: `gemma3:27b`, `org/model-GGUF:Q4_K_M`.

use std::path::Path;

use crate::catalog::{Catalog, Cluster, Engine};
use crate::diagnostic::{Diagnostic, brief};
use crate::model::{GgufFile, Model, gguf_file};
use crate::request::checks::texts;
use crate::request::{Request, Texts};
use crate::workload::Purpose;

/// Bits per parameter up to which a checkpoint is itself of four bits, scales and embeddings included: files of it keep
/// its format.
const FOUR_BITS: f64 = 6.0;

/// Share of the memory that weights may take where a checkpoint is said to have room.
const ROOMY: f64 = 0.9;

impl Request {
    /// The request with the format of the file that its model's name means, and the engines that load such files, and what is
    /// said of it, which is a note of the model too. `None` where the name means a checkpoint, or the request says the format
    /// itself.
    ///
    /// # Errors
    /// An engine that is not known.
    pub(super) fn of_named_file(
        &self,
        catalog: &Catalog,
        pools: &[Cluster],
        purpose: Purpose,
        model: &mut Model,
    ) -> Result<Option<(Request, String)>, Diagnostic> {
        let asked = self.model.model.as_deref().map(str::trim).filter(|_| self.weights.is_none());
        let is_path = |name: &str| !catalog.is_sealed() && Path::new(name).exists();
        let Some(name) = asked.filter(|name| !is_path(name)) else { return Ok(None) };
        let Some(file) = gguf_file(name) else { return Ok(None) };
        let runs = |engine: &Engine| pools.iter().any(|pool| engine.runs_on(&pool.gpu));
        let loads = |engine: &Engine| engine.weight_formats.contains(&file.format);
        let engines: Vec<Engine> = match texts(&self.engine) {
            [] => {
                let all = catalog.engines()?.into_iter();
                all.filter(|e| runs(e) && e.loads_gguf() && loads(e) && self.lacking(e).is_none()).collect()
            }
            [any] if any == "any" => catalog.engines()?,
            named => named.iter().map(|name| catalog.engine(name.trim())).collect::<Result<_, _>>()?,
        };
        // A format that is named is asked for, whatever the engine says of it; the usual one only where it can be meant. A
        // size of Ollama's alone is what people call a model: where the checkpoint has room, it is that one.
        let has_room = |pool: &Cluster| {
            (pool.gpu.memory * u64::from(pool.gpus)).get() as f64 * ROOMY
                > model.checkpoint_bytes().get() as f64
        };
        let is_open = !file.of_repository && self.engine.is_none();
        let is_meant = engines.iter().any(loads)
            && purpose == Purpose::Generate
            && !(is_open && pools.iter().any(has_room));
        if file.named.is_none() && !is_meant {
            return Ok(None);
        }
        let mut request = self.clone();
        let keeps_its_own = keeps_its_own(&file, model);
        if !keeps_its_own {
            request.weights = Some(Texts(vec![file.format.name().to_owned()]));
        }
        if self.engine.is_none() && !engines.is_empty() {
            request.engine = Some(Texts(engines.iter().map(|engine| engine.id.clone()).collect()));
        }
        let others = match self.engine {
            None => "--weights and --engine ask for others",
            Some(_) => "--weights asks for another",
        };
        let said = said(name, &file, keeps_its_own, others);
        model.notes.push(said.clone());
        Ok(Some((request, said)))
    }
}

/// Whether a file that names no format is in the checkpoint's own.
fn keeps_its_own(file: &GgufFile, model: &Model) -> bool {
    file.named.is_none() && bits_per_parameter(model) <= FOUR_BITS
}

/// The model in the formats of the file that its name means, without a machine that it is to run on: of a repository of such
/// files or of a format that is named. A size of Ollama's alone is the checkpoint's name there.
pub(in crate::request) fn stored_as_named(name: &str, sealed: bool, model: Model) -> Model {
    let name = name.trim();
    let file = gguf_file(name).filter(|file| file.of_repository || file.named.is_some());
    let Some(file) = file.filter(|_| sealed || !Path::new(name).exists()) else { return model };
    let keeps_its_own = keeps_its_own(&file, &model);
    let said = said(name, &file, keeps_its_own, "--weights asks for another");
    let mut stored = match keeps_its_own {
        true => model.in_own_gguf().unwrap_or(model),
        false => model.with_weights_in_gguf(file.format),
    };
    stored.notes.push(said);
    stored
}

/// What is asked about in place of the checkpoint.
fn said(name: &str, file: &GgufFile, keeps_its_own: bool, others: &str) -> String {
    let (name, format) = (brief(name), file.format.name());
    let which = match &file.named {
        _ if keeps_its_own => format!("`{name}` is a GGUF file in the checkpoint's own format"),
        None => format!("`{name}` is a GGUF file, usually {format}"),
        Some(word) if word.eq_ignore_ascii_case(format) => format!("`{name}` is a GGUF file in {format}"),
        Some(word) => format!("`{name}` is a GGUF file in {}, counted as {format}", brief(word)),
    };
    format!("{which}; {others}")
}

/// Bits that a parameter of the checkpoint takes, scales included.
fn bits_per_parameter(model: &Model) -> f64 {
    let parameters = model.parameters().map_or(0, |parameters| parameters.total);
    if parameters == 0 {
        f64::INFINITY
    } else {
        model.checkpoint_bytes().get() as f64 * 8.0 / parameters as f64
    }
}
