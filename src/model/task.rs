//! What a model does, by the class that its checkpoint names.

use super::config::Config;

/// What a model does with its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Makes text, one token after another.
    Generation,
    /// Makes one vector of a text, or scores a pair of texts by such vectors.
    Embedding,
    /// Scores a text: classes of it or its tokens, a reward.
    Classification,
    /// Encodes a text whole and makes another, one token after another.
    EncoderDecoder,
    /// Writes down speech.
    Speech,
    /// Makes text by taking the noise out of many tokens at once.
    Diffusion,
}

/// Parts of the names of classes, and what such a class does; the first that is found decides.
const CLASSES: &[(&str, Task)] = &[
    ("ForSequenceClassification", Task::Classification),
    ("ForTokenClassification", Task::Classification),
    ("ForQuestionAnswering", Task::Classification),
    ("ForImageClassification", Task::Classification),
    ("ForMultipleChoice", Task::Classification),
    ("RewardModel", Task::Classification),
    ("ForReward", Task::Classification),
    ("ForProcessReward", Task::Classification),
    ("ForScore", Task::Classification),
    ("LLaDA", Task::Diffusion),
    ("DreamModel", Task::Diffusion),
    ("DreamForCausalLM", Task::Diffusion),
    ("SDARForCausalLM", Task::Diffusion),
    ("SDARMoeForCausalLM", Task::Diffusion),
    ("Diffusion", Task::Diffusion),
    ("Diffu", Task::Diffusion),
    ("ForSpeechSeq2Seq", Task::Speech),
    ("Whisper", Task::Speech),
    ("Moonshine", Task::Speech),
    ("Speech2Text", Task::Speech),
    ("EncoderModel", Task::Embedding),
    ("ForMaskedLM", Task::Embedding),
    ("ForPreTraining", Task::Embedding),
    ("ForTextEncoding", Task::Embedding),
    ("Bidirectional", Task::Embedding),
    ("EmbeddingModel", Task::Embedding),
    ("ForEmbedding", Task::Embedding),
    ("ForRetrieval", Task::Embedding),
];

/// Classes that write though their names end as those of bodies without a head do: of vLLM's `registry.py`, those among
/// `_TEXT_GENERATION_MODELS` and `_MULTIMODAL_MODELS`; of their authors' own repositories, LLaVA's and VILA's, NVLM's.
const WRITERS: [&str; 15] = [
    "AquilaModel",
    "ChatGLMModel",
    "Qwen2_5OmniModel",
    "UltravoxModel",
    "NVLM_D_Model",
    "LlavaLlamaModel",
    "LlavaQwenModel",
    "LlavaQwen2Model",
    "LlavaMistralModel",
    "LlavaMixtralModel",
    "LlavaTopDownLlamaModel",
    "QWenLMHeadModel",
    "GPT2LMHeadModel",
    "InternVLChatModel",
    "SkyworkR1VChatModel",
];

/// Automatic classes that write, of those that `auto_map` may name.
const AUTOMATIC_WRITERS: [&str; 5] = [
    "AutoModelForCausalLM",
    "AutoModelForSeq2SeqLM",
    "AutoModelForConditionalGeneration",
    "AutoModelForImageTextToText",
    "AutoModelForVision2Seq",
];

/// Whether a class is a decoder's body without a head, which gives vectors (E5-Mistral, NV-Embed).
fn is_body(root: &Config, class: &str) -> bool {
    let automatic = root.opt_sub("auto_map").ok().flatten();
    let writes = automatic.is_some_and(|map| AUTOMATIC_WRITERS.iter().any(|writer| map.has(writer)));
    class.ends_with("Model")
        && !writes
        && !WRITERS.contains(&class)
        && !class.ends_with("LMHeadModel")
        && !class.ends_with("ChatModel")
}

/// Where a decoder is read as one that makes vectors by the name of its class alone: a sentence that says so.
pub(super) fn concluded(root: &Config, usual: Task, task: Task) -> Option<String> {
    let class = root.strings("architectures").unwrap_or_default().into_iter().next()?;
    let by_name = usual == Task::Generation && task == Task::Embedding && is_body(root, &class);
    let named = CLASSES.iter().any(|(part, _)| class.contains(part));
    (by_name && !named).then(|| {
        format!(
            "`{class}` is a body without an output projection: the model is read as one that makes vectors"
        )
    })
}

impl Task {
    /// Name as JSON value.
    pub const fn name(self) -> &'static str {
        match self {
            Task::Generation => "generation",
            Task::Embedding => "embedding",
            Task::Classification => "classification",
            Task::EncoderDecoder => "encoder-decoder",
            Task::Speech => "speech",
            Task::Diffusion => "diffusion",
        }
    }

    /// What a model of this kind is called in a sentence.
    pub const fn noun(self) -> &'static str {
        match self {
            Task::Generation => "a decoder",
            Task::Embedding => "an encoder, which makes vectors",
            Task::Classification => "a classifier, which scores texts",
            Task::EncoderDecoder => "an encoder-decoder, whose decoder also looks at the encoded input",
            Task::Speech => "a model of speech, whose decoder looks at encoded sound",
            Task::Diffusion => {
                "a diffusion language model, which writes many tokens at once in several passes"
            }
        }
    }

    /// What the classes in `architectures` do; where none is named, the `usual` task of the type.
    pub(super) fn of(root: &Config, usual: Task) -> Task {
        let classes = root.strings("architectures").unwrap_or_default();
        let both =
            root.bool_or("is_encoder_decoder", false).unwrap_or(false) || usual == Task::EncoderDecoder;
        let Some(class) = classes.first() else { return if both { Task::EncoderDecoder } else { usual } };
        if let Some((_, task)) = CLASSES.iter().find(|(part, _)| class.contains(part)) {
            return *task;
        }
        let decodes = class.contains("ForCausalLM") || class.contains("LMHead");
        match usual {
            Task::Speech => Task::Speech,
            _ if decodes && !matches!(usual, Task::Diffusion) => Task::Generation,
            _ if both => Task::EncoderDecoder,
            Task::Generation if is_body(root, class) => Task::Embedding,
            usual => usual,
        }
    }
}
