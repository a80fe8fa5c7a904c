//! A configuration and the storage of its weights as a model.

use super::config::Config;
use super::{
    EncoderSize, Model, Quantisation, Scope, Task, draft, families, media, other_files, outputs, rotary,
    task, unread,
};
use crate::diagnostic::Diagnostic;

/// A model from a configuration and the storage of its weights.
pub(super) fn from_parts(
    root: &Config,
    id: &str,
    scope: Scope,
    quantisation: Quantisation,
) -> Result<Model, Diagnostic> {
    let Some(model_type) = root.opt_str("model_type")? else {
        return Err(other_files::without_type(root).at(id));
    };
    let watched = root.clone().watched();
    let family = families::of(model_type);
    let usual = family.map_or(Task::Generation, families::Family::task);
    let (recognised, mut architecture) = match family {
        Some(family) => {
            let root = watched.clone().with_defaults(families::defaults(model_type));
            (true, family.read(&root, scope, families::of)?)
        }
        None => (false, families::read_unknown(&watched, scope)?),
    };
    let without_towers = scope == Scope::Text || architecture.text_only || families::names_text_class(root);
    let task = Task::of(root, usual);
    if matches!(family.map(|family| family.reader), Some(families::Reader::LanguageModel(_)) | None) {
        outputs::of_task(root, task, &mut architecture);
    }
    let named = families::named_predictions(&watched);
    let unread_predictions = if architecture.mtp.is_empty() { named } else { 0 };
    if unread_predictions > 0 && task == Task::Generation {
        architecture.notes.push(format!(
            "prediction layers that its file names ({unread_predictions}) are not read by shardfit: they are in no total, \
             and mtp cannot draft with them"
        ));
    }
    architecture.notes.extend(task::concluded(root, usual, task));
    architecture.notes.extend(unread::note(&watched, without_towers));
    let tensors = architecture.layers.iter().map(|blocks| {
        let mut all = Vec::new();
        blocks.iter().for_each(|block| block.tensors(&mut all));
        all
    });
    architecture.notes.extend(quantisation.unmet(tensors));
    let model = Model::build(id, model_type, recognised, scope, architecture, quantisation)?;
    let (encoder, rotary) = (EncoderSize::read(root), rotary::tables(root));
    let (sight, hearing) = match model.sees() {
        true => (media::sight(root), media::hearing(root)),
        false => (None, None),
    };
    let residual_streams = rotary::text(root).opt_size("hc_mult").ok().flatten().unwrap_or(1).max(1);
    draft::eagle(
        root,
        Model { encoder, sight, hearing, rotary, residual_streams, task, unread_predictions, ..model },
    )
}
