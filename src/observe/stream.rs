//! Server-sent events of an OpenAI-compatible server: when the first and the last token came, and how many there were.
//!
//! Nothing of an answer is kept; a line and an answer have a longest length, so that no server can fill memory.

use std::io::Read;

use serde::Deserialize;

/// Longest line of an answer, in bytes.
const LONGEST_LINE: usize = 1 << 20;

/// Longest answer, in bytes.
const LONGEST_ANSWER: u64 = 256 << 20;

/// Longest message of an error that is kept, in characters.
const LONGEST_MESSAGE: usize = 200;

/// What an answer came to; times as `clock` gives them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Streamed {
    /// When the first token came.
    pub first: Option<f64>,
    /// When the last one came.
    pub last: Option<f64>,
    /// Events that brought text.
    pub events: u64,
    /// Prompt and output tokens as the server states them.
    pub usage: Option<(u64, u64)>,
}

#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Usage>,
    error: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Choice {
    text: Option<String>,
    delta: Option<Delta>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<String>,
    #[serde(alias = "reasoning")]
    reasoning_content: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
}

impl Choice {
    /// Whether it brings a token: text, or nothing visible where the answer goes on (half a character).
    fn brings(&self) -> bool {
        let said = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        let delta = self.delta.as_ref().is_some_and(|d| said(&d.content) || said(&d.reasoning_content));
        said(&self.text) || delta || (self.text.is_some() && self.finish_reason.is_none())
    }
}

/// Reads an answer to its end.
///
/// # Errors
/// Why it is none: an error that the server states, a line or an answer that is too long, a connection that breaks, an
/// answer without its end.
pub fn read(mut body: impl Read, clock: impl Fn() -> f64) -> Result<Streamed, String> {
    let mut out = Streamed::default();
    let (mut line, mut buffer, mut total) = (Vec::new(), [0u8; 8192], 0u64);
    loop {
        let n = body.read(&mut buffer).map_err(|e| broken(&e))?;
        if n == 0 {
            return match out.first {
                Some(_) => Err("the answer has no end".to_owned()),
                None => Err("the server answers nothing that streams".to_owned()),
            };
        }
        total += n as u64;
        if total > LONGEST_ANSWER {
            return Err(format!("an answer of more than {} MiB", LONGEST_ANSWER >> 20));
        }
        let now = clock();
        for &byte in &buffer[..n] {
            match byte {
                b'\n' => {
                    if event(&line, now, &mut out)? {
                        return Ok(out);
                    }
                    line.clear();
                }
                _ if line.len() >= LONGEST_LINE => {
                    return Err(format!("a line of more than {} MiB", LONGEST_LINE >> 20));
                }
                _ => line.push(byte),
            }
        }
    }
}

/// Takes one line; true at the end of the answer.
fn event(line: &[u8], now: f64, out: &mut Streamed) -> Result<bool, String> {
    let Some(data) = line.trim_ascii().strip_prefix(b"data:").map(<[u8]>::trim_ascii) else {
        return Ok(false);
    };
    if data == b"[DONE]" {
        return Ok(true);
    }
    let event: Event = serde_json::from_slice(data).map_err(|_| "an event that is no JSON".to_owned())?;
    if let Some(error) = event.error {
        return Err(format!("the server states an error: {}", message(&error)));
    }
    if event.choices.iter().any(Choice::brings) {
        out.first = out.first.or(Some(now));
        out.last = Some(now);
        out.events += 1;
    }
    if let Some(usage) = event.usage {
        out.usage = Some((usage.prompt_tokens, usage.completion_tokens));
    }
    Ok(false)
}

/// What an error object says.
pub fn message(error: &serde_json::Value) -> String {
    let inner = error.get("error").unwrap_or(error);
    let text = inner.get("message").or(inner.get("detail")).and_then(serde_json::Value::as_str);
    let text = text.map_or_else(|| inner.to_string(), str::to_owned);
    text.chars().take(LONGEST_MESSAGE).collect::<String>().replace(['\n', '\r'], " ")
}

fn broken(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::TimedOut | std::io::ErrorKind::WouldBlock => "no answer in time".to_owned(),
        _ if error.to_string().contains("timeout") => "no answer in time".to_owned(),
        _ => "the connection broke".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Streamed, String> {
        let tick = std::cell::Cell::new(0.0);
        read(text.as_bytes(), || {
            tick.set(tick.get() + 1.0);
            tick.get()
        })
    }

    #[test]
    fn tokens_are_events_with_text_and_usage_is_the_servers() {
        let s = of("data: {\"choices\":[{\"text\":\"a\",\"finish_reason\":null}]}\n\n\
             data: {\"choices\":[{\"text\":\"b\",\"finish_reason\":\"length\"}]}\n\n\
             data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n")
        .unwrap();
        assert_eq!((s.events, s.usage, s.first), (2, Some((7, 2)), Some(1.0)));
        // A role alone is no token.
        let s = of("data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\
             data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"x\"}}]}\ndata: [DONE]\n")
        .unwrap();
        assert_eq!(s.events, 1);
    }

    #[test]
    fn what_is_no_answer_says_why() {
        assert_eq!(of("").unwrap_err(), "the server answers nothing that streams");
        assert_eq!(of("data: {\"choices\":[{\"text\":\"a\"}]}\n").unwrap_err(), "the answer has no end");
        assert_eq!(of("data: {oops\n").unwrap_err(), "an event that is no JSON");
        assert_eq!(
            of("data: {\"error\":{\"message\":\"out of memory\"}}\n").unwrap_err(),
            "the server states an error: out of memory"
        );
        let long = format!("data: {}", "x".repeat(LONGEST_LINE + 1));
        assert_eq!(of(&long).unwrap_err(), "a line of more than 1 MiB");
    }
}
