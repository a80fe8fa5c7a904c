//! Adapters: of the layers that are asked for those that engines take.

use itertools::Itertools as _;

use crate::catalog::{Engine, engine_of};
use crate::diagnostic::{Code, Diagnostic};
use crate::launch::{published, speech};
use crate::model::{Lora, Model};
use crate::request::Request;

/// Of some layers those that the launch of an engine can name.
fn taken(engine: &Engine, layers: Vec<String>, model: &Model) -> Vec<String> {
    let (name, version) = (engine_of(&engine.id), engine.version.to_string());
    let version = published::release_of(name, &version).unwrap_or(version);
    speech::adaptable(name, Some(&version), layers, model.is_moe())
}

impl Request {
    /// The adapters that are asked for. Of layers that are named, engines that lack one are left out; where none are, the
    /// model gets adapters of those that every engine takes.
    pub(super) fn adapters(
        &self,
        engines: &mut Vec<Engine>,
        model: &mut Model,
    ) -> Result<Option<Lora>, Diagnostic> {
        let Some(text) = &self.model.lora else { return Ok(None) };
        let lora: Lora = text.parse()?;
        let all = model.linear_layers(&lora);
        let lacks = |engine: &Engine| {
            let taken = taken(engine, all.clone(), model);
            all.iter().find(|layer| !taken.contains(layer)).cloned()
        };
        if self.launched {
            return Ok(Some(lora));
        }
        if !lora.targets.is_empty() {
            let first = engines.first().and_then(|engine| Some((engine.label(), lacks(engine)?)));
            engines.retain(|engine| lacks(engine).is_none());
            return match (first, engines.is_empty()) {
                (Some((engine, layer)), true) => {
                    Err(Diagnostic::new(Code::Usage, format!("{engine} has no adapter of {layer}"))
                        .at("--lora")
                        .help("leave targets out for the layers that it takes"))
                }
                _ => Ok(Some(lora)),
            };
        }
        let left = engines.iter().fold(all.clone(), |layers, engine| taken(engine, layers, model));
        if left.len() == all.len() {
            return Ok(Some(lora));
        }
        let names = engines.iter().map(Engine::label).unique().join(" and ");
        if left.is_empty() {
            let cause = format!("{names} can name no layer of this model for adapters: {}", all.join(", "));
            return Err(Diagnostic::new(Code::Usage, cause).at("--lora").help("plan with --engine vllm"));
        }
        let out = all.iter().filter(|layer| !left.contains(layer)).join(", ");
        let lora = Lora { targets: left, ..lora };
        *model = model.clone().with_other_lora(&lora)?;
        model.notes.push(format!(
            "adapters are of {}: {names} cannot name {out} for adapters",
            lora.targets.join(", ")
        ));
        Ok(Some(lora))
    }
}
