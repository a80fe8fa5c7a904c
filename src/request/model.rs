//! Which model a request is about.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Texts;
use super::checks::exclude;
use crate::catalog::Catalog;
use crate::diagnostic::{Code, Diagnostic};
use crate::hub::Hub;
use crate::model::{self, Model, Scope};

/// Which model, as every kind of request says it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ModelRequest {
    /// Model: a catalogue name, an alias, a path to a config.json, its folder or a GGUF file, or
    /// `org/name[@revision]` on the Hugging Face hub.
    pub model: Option<String>,
    /// What a config.json holds, in place of a name.
    pub config: Option<Map<String, Value>>,
    /// Sizes in place of a model, such as `layers=32,hidden=4096,heads=32,kv=8,ffn=14336,vocab=128256`.
    pub shape: Option<String>,
    /// Folders of config.json files named `<org>--<name>.json`, looked at before the catalogue.
    pub models: Option<Texts>,
    /// Part of a multimodal model: `full` (when left out) or `text`.
    pub scope: Option<String>,
    /// Room for LoRA adapters: `rank=N[,targets=q,k,v,o|all-linear][,count=N]`.
    pub lora: Option<String>,
    /// Model that drafts tokens, named as `model` is.
    pub draft_model: Option<String>,
    /// Whether no hub may be asked.
    pub offline: Option<bool>,
}

/// What a configuration is called that does not name itself.
const UNNAMED: &str = "config.json";

/// Folders of models that are looked at before the catalogue.
///
/// # Errors
/// Where no files may be read.
pub(super) fn folders(models: &Option<Texts>, catalog: &Catalog) -> Result<Vec<PathBuf>, Diagnostic> {
    let folders: Vec<PathBuf> = models.iter().flat_map(|list| &list.0).map(PathBuf::from).collect();
    if !folders.is_empty() {
        catalog.reads_files("--models")?;
    }
    Ok(folders)
}

impl ModelRequest {
    /// Finds the model, with its adapters and the model that drafts for it.
    ///
    /// # Errors
    /// What is wrong with the model or not found, in the names of the command line's options.
    pub fn find(&self, catalog: &Catalog, hub: &Hub) -> Result<Model, Diagnostic> {
        let hub = Hub { offline: hub.offline || self.offline == Some(true), ..hub.clone() };
        let scope = self.scope()?;
        let ways = [
            ("--model", self.model.is_some()),
            ("`config`", self.config.is_some()),
            ("--shape", self.shape.is_some()),
        ];
        let [model, config, shape] = ways;
        let both = |a: (&'static str, bool), b: (&'static str, bool)| (a.0, a.1, b.0, b.1);
        exclude(&[both(model, config), both(model, shape), both(config, shape)])?;
        let folders = folders(&self.models, catalog)?;
        let with_folders = || catalog.clone().with_models(&folders);
        let model = match (&self.shape, &self.config, &self.model) {
            (Some(shape), ..) => model::from_shape(shape).map_err(|d| d.within("--shape"))?,
            (None, Some(config), _) => {
                let own = config.get("_name_or_path").and_then(Value::as_str);
                let name = own.filter(|name| !name.trim().is_empty()).unwrap_or(UNNAMED);
                model::from_config(config, name, scope).map_err(|d| d.within("`config`"))?
            }
            (None, None, Some(name)) => model::find_with(&with_folders()?, name, scope, &hub)?,
            (None, None, None) => {
                return Err(Diagnostic::new(Code::Usage, "name a MODEL or a --shape")
                    .help("for example llama-3.1-70b; `shardfit catalog models` lists all"));
            }
        };
        let model = match &self.lora {
            Some(text) => model.with_lora(&text.parse()?)?,
            None => model,
        };
        match &self.draft_model {
            Some(name) => {
                let draft = model::find_with(&with_folders()?, name, Scope::Full, &hub);
                Ok(model.with_draft(draft.map_err(|d| d.within("--draft-model"))?))
            }
            None => Ok(model),
        }
    }

    fn scope(&self) -> Result<Scope, Diagnostic> {
        match self.scope.as_deref() {
            None | Some("full") => Ok(Scope::Full),
            Some("text") => Ok(Scope::Text),
            Some(other) => Err(Diagnostic::unknown("scope", other, ["full", "text"], "allowed: full, text")),
        }
    }
}
