//! The forms that a model can be had in: its own checkpoint, the quantised ones of the catalogue, what engines make of
//! it when they load it, and the usual GGUF files.

use super::need::{Candidate, Question};
use crate::catalog::Engine;
use crate::catalog::published;
use crate::dtype::{DType, WeightFormat};
use crate::model::{self, Model, Scope};
use crate::units::Bytes;

/// Where the weights come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The model's own checkpoint.
    Own,
    /// A checkpoint of the catalogue that was made from it.
    Checkpoint,
    /// The engine quantises the model's own checkpoint when it loads it.
    OnLoading,
    /// A GGUF file, or a checkpoint in INT4: people publish them of most models, and tools make them.
    Made,
}

impl Origin {
    /// Name in answers.
    pub fn name(self) -> &'static str {
        match self {
            Origin::Own => "own",
            Origin::Checkpoint => "checkpoint",
            Origin::OnLoading => "on_loading",
            Origin::Made => "made",
        }
    }
}

/// A model in one form.
pub(super) struct Form {
    /// Catalogue name of the checkpoint that it is, or that it is made of.
    pub checkpoint: String,
    pub model: Model,
    pub format: WeightFormat,
    pub origin: Origin,
    /// What its weights take.
    pub bytes: Bytes,
}

/// How much larger than the checkpoint a form may be made: Q8_0 of a checkpoint in FP8. Nobody widens what is stored
/// narrower.
const WIDER: f64 = 1.08;

/// How much smaller than a checkpoint of four bits a form must be to be made of it at all.
const NARROWER: f64 = 0.95;

/// The GGUF files that people publish of most models; others are looked at where they are named, or every way is.
const USUAL: [WeightFormat; 7] = [
    WeightFormat::Q8_0,
    WeightFormat::Q6K,
    WeightFormat::Q5KM,
    WeightFormat::Q4KM,
    WeightFormat::Iq4Xs,
    WeightFormat::Q3KM,
    WeightFormat::Q2K,
];

impl Question<'_> {
    /// Every form that an engine of the machine may load, those of formats that are not asked for left out.
    pub(super) fn forms(&self, candidate: &Candidate, own: &Model) -> Vec<Form> {
        let form = |checkpoint: &str, model: Model, origin| {
            let (format, bytes) = (model.served_as(), model.checkpoint_bytes());
            Form { checkpoint: checkpoint.to_owned(), model, format, origin, bytes }
        };
        let mut forms = vec![form(&candidate.id, own.clone(), Origin::Own)];
        for id in &candidate.forms {
            // One that cannot be read is said where it is a candidate of its own.
            if let Ok(model) = model::find_in(self.catalog, id, Scope::Full) {
                forms.push(form(id, model, Origin::Checkpoint));
            }
        }
        let stored = own.checkpoint_bytes().as_f64();
        let wide = !own.served_as().is_quantised();
        let most = if own.served_as().element().bits() > 4 { WIDER } else { NARROWER } * stored;
        for format in WeightFormat::ALL {
            let named = |format| self.need.formats.contains(&format);
            let every = self.every_way || !self.need.formats.is_empty();
            let origin = match format {
                format if format.is_ggml() && !every && !USUAL.contains(&format) => continue,
                // One whose loss nobody has published is looked at where it is asked for by name.
                format if format.is_ggml() && !named(format) && published::loss(format).is_none() => continue,
                format if format.is_ggml() => Origin::Made,
                WeightFormat::Fp8 if wide => Origin::OnLoading,
                WeightFormat::Int4 if wide => Origin::Made,
                _ => continue,
            };
            if !self.engines.iter().any(|engine| engine.weight_formats.contains(&format))
                || !self.asks_for(format)
            {
                continue;
            }
            let made = form(&candidate.id, own.clone().with_weights(format), origin);
            let known = forms.iter().any(|other| other.format == format);
            if made.bytes.as_f64() <= most && !known {
                forms.push(made);
            }
        }
        forms.retain(|form| self.asks_for(form.format));
        forms
    }

    fn asks_for(&self, format: WeightFormat) -> bool {
        self.need.formats.is_empty() || self.need.formats.contains(&format)
    }

    /// Whether an engine loads a form on this GPU.
    pub(super) fn loads(&self, engine: &Engine, form: &Form) -> bool {
        let format = form.format;
        let computes = |kind: DType| self.cluster.kinds().any(|gpu| gpu.peak(kind).is_some());
        let fp8 = format != WeightFormat::Fp8
            || computes(DType::Fp8)
            || engine.weight_only_formats.contains(&format);
        engine.weight_formats.contains(&format) && fp8
    }
}
