//! A configuration and the storage of its weights as a model.

use super::config::{self, Config};
use super::{
    EncoderSize, Model, Quantisation, Scope, Task, draft, families, media, other_files, outputs, rotary,
    task, unread,
};
use crate::diagnostic::Diagnostic;

/// What the general rules fail at in a type that is not known: the type goes first, and a field that decoders have does not
/// make a whole file a fragment.
fn unknown(model_type: &str, failed: Diagnostic) -> Diagnostic {
    let cause =
        format!("model_type `{model_type}` is not known, and the general rules fail: {}", failed.cause);
    let is_missing = failed.help.as_deref() == Some(config::INCOMPLETE);
    let failed = Diagnostic { cause, ..failed };
    match is_missing {
        true => failed.help(
            "only decoders are read without knowing their type: give its sizes with --shape, or name a model of the same sizes",
        ),
        false => failed,
    }
}

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
    // A type that nobody knows may name a class that is known.
    let class = root.strings("architectures")?.into_iter().next();
    let class = class.filter(|_| families::of(model_type).is_none());
    let known = class.as_deref().and_then(families::of_class);
    let family = families::of(known.unwrap_or(model_type));
    let usual = family.map_or(Task::Generation, families::Family::task);
    let (recognised, mut architecture) = match family {
        Some(family) => {
            let root = watched.clone().with_defaults(families::defaults(known.unwrap_or(model_type)));
            (true, family.read(&root, scope, families::of)?)
        }
        None => (false, families::read_unknown(&watched, scope).map_err(|d| unknown(model_type, d))?),
    };
    if let (Some(known), Some(class)) = (known, &class) {
        architecture
            .notes
            .push(format!("model_type `{model_type}` is not known: read as `{known}`, by its class {class}"));
    }
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
    let model = Model::build(id, known.unwrap_or(model_type), recognised, scope, architecture, quantisation)?;
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
