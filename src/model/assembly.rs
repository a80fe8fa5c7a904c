//! A configuration and the storage of its weights as a model.

use super::config::Config;
use super::{EncoderSize, Model, Quantisation, Scope, draft, families, rotary};
use crate::diagnostic::{Code, Diagnostic};

/// A model from a configuration and the storage of its weights.
pub(super) fn from_parts(
    root: &Config,
    id: &str,
    scope: Scope,
    quantisation: Quantisation,
) -> Result<Model, Diagnostic> {
    let Some(model_type) = root.opt_str("model_type")? else {
        return Err(Diagnostic::new(Code::Model, "missing field `model_type`")
            .at(id)
            .help("is this a config.json of a language model?"));
    };
    let (recognised, architecture) = match families::of(model_type) {
        Some(family) => {
            let root = root.clone().with_defaults(families::defaults(model_type));
            (true, family.read(&root, scope, families::of)?)
        }
        None => (false, families::read_unknown(root, scope)?),
    };
    let model = Model::build(id, model_type, recognised, scope, architecture, quantisation)?;
    let (encoder, rotary) = (EncoderSize::read(root), rotary::tables(root));
    draft::eagle(root, Model { encoder, rotary, ..model })
}
