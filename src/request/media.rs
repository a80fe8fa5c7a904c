//! What prompts bring beside text, as people write it: `8x768x768`, `60s@1fps`, `30s`.

use super::Request;
use crate::diagnostic::{Code, Diagnostic};
use crate::model::Model;
use crate::model::media::{Items, Media};

/// Longest side of a picture accepted, in pixels.
const MAX_SIDE: u64 = 65_536;

/// Most items of a prompt accepted.
const MAX_ITEMS: u64 = 100_000;

/// Longest video or sound accepted: a day.
const MAX_SECONDS: f64 = 86_400.0;

/// A frame of a video where none is named: the usual small format of samples.
const FRAME: (u64, u64) = (640, 360);

impl Request {
    /// What each prompt brings, by the rules of the model's processor.
    ///
    /// # Errors
    /// [`Code::Syntax`] and [`Code::Range`] for what is no amount; [`Code::Model`] for what the model does not take;
    /// [`Code::Usage`] for more than the server takes.
    pub(super) fn media(&self, model: &Model) -> Result<Media, Diagnostic> {
        let mut media = Media::default();
        if let Some(text) = &self.images {
            let (count, width, height) = images(text)?;
            if count > 0 {
                self.takes_pictures("--images", count)?;
                let sight = model.sight.as_ref().ok_or_else(|| lacks(model, "--images", "images"))?;
                media.images = Items { count, ..sight.image(width, height) };
            }
        }
        if let Some(text) = &self.video {
            let (frames, width, height) = video(text)?;
            self.takes_pictures("--video", 0)?;
            let sight = model.sight.as_ref().ok_or_else(|| lacks(model, "--video", "videos"))?;
            media.video =
                sight.video(frames, width, height).ok_or_else(|| lacks(model, "--video", "videos"))?;
        }
        if let Some(text) = &self.audio {
            let length = seconds("--audio", text, "30s")?;
            let hearing = model.hearing.as_ref().ok_or_else(deaf)?;
            media.audio = hearing.sound(length);
        }
        Ok(media)
    }

    /// Checks that the server is said to take so many images.
    fn takes_pictures(&self, flag: &str, count: u64) -> Result<(), Diagnostic> {
        let usage = |cause: String, help: &str| Err(Diagnostic::new(Code::Usage, cause).at(flag).help(help));
        if self.language_model_only == Some(true) {
            return usage("the server takes text alone".into(), "leave out --language-model-only");
        }
        match self.limit_mm_per_prompt {
            Some(limit) if limit < count.max(1) => usage(
                format!("a prompt has {} images and the server takes {limit}", count.max(1)),
                "fewer images, or a larger --limit-mm-per-prompt",
            ),
            _ => Ok(()),
        }
    }
}

fn deaf() -> Diagnostic {
    let cause = "this model takes no sound, or how that becomes tokens is not described";
    Diagnostic::new(Code::Model, cause)
        .at("--audio")
        .help("described: Qwen-Omni, Qwen2-Audio, Voxtral, Gemma 4, Phi-4-multimodal; else count its tokens into --isl")
}

fn lacks(model: &Model, flag: &str, what: &str) -> Diagnostic {
    let cause = match model.sees() {
        true => format!("how {what} become tokens of this model is not described"),
        false => format!("this model takes no {what}"),
    };
    Diagnostic::new(Code::Model, cause).at(flag).help(
        "described: Qwen2-VL to Qwen3.5, Qwen-Omni, GLM-4V, Kimi K2.5, Mistral 3, Gemma 3 and 4, LLaVA, PaliGemma, InternVL, \
         Llama 4; else count its tokens into --isl",
    )
}

/// `[N x] WIDTH x HEIGHT`.
fn images(text: &str) -> Result<(u64, u64, u64), Diagnostic> {
    let wrong =
        |cause: String| Diagnostic::new(Code::Syntax, cause).at("--images").help("for example 8x768x768");
    let numbers: Vec<u64> = text
        .split(['x', '×'])
        .map(|part| part.trim().parse::<u64>())
        .collect::<Result<_, _>>()
        .map_err(|_| wrong(format!("`{text}` is not a number of images and their size")))?;
    let (count, width, height) = match numbers[..] {
        [0] => return Ok((0, 1, 1)),
        [width, height] => (1, width, height),
        [count, width, height] => (count, width, height),
        _ => return Err(wrong(format!("`{text}` is not a number of images and their size"))),
    };
    side("--images", width)?;
    side("--images", height)?;
    items("--images", count)?;
    Ok((count, width, height))
}

/// `60s@1fps[@WIDTHxHEIGHT]`, as frames.
fn video(text: &str) -> Result<(u64, u64, u64), Diagnostic> {
    let wrong = || {
        let cause = format!("`{text}` is not a length, a rate of frames and their size");
        Diagnostic::new(Code::Syntax, cause).at("--video").help("for example 60s@1fps, or 60s@1fps@1280x720")
    };
    let mut parts = text.split('@');
    let length = seconds("--video", parts.next().unwrap_or_default(), "60s@1fps")?;
    let rate = parts.next().ok_or_else(wrong)?.trim().strip_suffix("fps").ok_or_else(wrong)?;
    let rate: f64 = rate.trim().parse().map_err(|_| wrong())?;
    let (width, height) = match parts.next() {
        None => FRAME,
        Some(size) => {
            let (width, height) = size.split_once(['x', '×']).ok_or_else(wrong)?;
            let number = |side: &str| side.trim().parse::<u64>().map_err(|_| wrong());
            (number(width)?, number(height)?)
        }
    };
    if parts.next().is_some() || !(rate > 0.0 && rate <= 1000.0) {
        return Err(wrong());
    }
    side("--video", width)?;
    side("--video", height)?;
    let frames = (length * rate).round().max(1.0) as u64;
    items("--video", frames)?;
    Ok((frames, width, height))
}

fn seconds(flag: &str, text: &str, example: &str) -> Result<f64, Diagnostic> {
    let read: Result<crate::units::Seconds, String> = text.trim().parse();
    let wrong = |cause| Diagnostic::new(Code::Syntax, cause).at(flag).help(format!("for example {example}"));
    let length = read.map_err(wrong)?.get();
    match length > 0.0 && length <= MAX_SECONDS {
        true => Ok(length),
        false => Err(Diagnostic::new(Code::Range, format!("{length} s is out of range"))
            .at(flag)
            .help("up to 24 hours")),
    }
}

fn side(flag: &str, pixels: u64) -> Result<(), Diagnostic> {
    match (1..=MAX_SIDE).contains(&pixels) {
        true => Ok(()),
        false => Err(Diagnostic::new(Code::Range, format!("a side of {pixels} pixels is out of range"))
            .at(flag)
            .help(format!("from 1 to {MAX_SIDE}"))),
    }
}

fn items(flag: &str, count: u64) -> Result<(), Diagnostic> {
    match count <= MAX_ITEMS {
        true => Ok(()),
        false => {
            let cause = format!("{count} pictures in a prompt are out of range");
            Err(Diagnostic::new(Code::Range, cause).at(flag).help(format!("at most {MAX_ITEMS}")))
        }
    }
}
