//! A small OpenAI-compatible server on this machine that replays what a simulation says: each answer's first token after
//! the simulated time to it, each further token after the simulated time of one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How it behaves.
#[derive(Clone, Debug)]
pub struct Manner {
    /// Time to the first token.
    pub ttft: Duration,
    /// Time of each further one.
    pub tpot: Duration,
    /// Every so many requests fail with status 500.
    pub fails_each: Option<u64>,
    /// Output tokens that it states, whatever it sends.
    pub states: Option<u64>,
    /// Answers that never end, or are no events at all.
    pub breaks: Option<Break>,
    /// Whether prompts of token ids are refused.
    pub words_only: bool,
    /// What stands at `/metrics`.
    pub metrics: String,
    /// What stands at `/version`.
    pub version: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Break {
    /// The connection stays open and nothing comes.
    Silent,
    /// A line without an end.
    Endless,
    /// A page of HTML.
    Html,
}

impl Default for Manner {
    fn default() -> Manner {
        Manner {
            ttft: Duration::from_millis(20),
            tpot: Duration::from_millis(5),
            fails_each: None,
            states: None,
            breaks: None,
            words_only: false,
            metrics: String::new(),
            version: "0.21.0".into(),
        }
    }
}

/// A running server; it stops with the test.
pub struct Server {
    pub address: String,
    /// Completions that it was asked for.
    pub asked: Arc<AtomicU64>,
    /// Most that it answered at once.
    pub most: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

pub fn serve(manner: Manner) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = format!("http://{}", listener.local_addr().expect("bound"));
    let (asked, most, now) =
        (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let stop = Arc::new(AtomicBool::new(false));
    let (a, m, s, manner) = (asked.clone(), most.clone(), stop.clone(), Arc::new(manner));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if s.load(Ordering::Relaxed) {
                return;
            }
            let (a, m, n, manner) = (a.clone(), m.clone(), now.clone(), manner.clone());
            std::thread::spawn(move || converse(stream, &manner, &a, &m, &n));
        }
    });
    Server { address, asked, most, stop }
}

/// The requests of one connection.
fn converse(stream: TcpStream, manner: &Manner, asked: &AtomicU64, most: &AtomicU64, now: &AtomicU64) {
    let _ = stream.set_nodelay(true);
    let mut writer = stream.try_clone().expect("a socket");
    let mut reader = BufReader::new(stream);
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first).unwrap_or(0) == 0 {
            return;
        }
        let path = first.split(' ').nth(1).unwrap_or("/").to_owned();
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if line.trim().is_empty() {
                break;
            }
            if let Some(n) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = n.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let said = match path.as_str() {
            "/v1/models" => json!({ "data": [{ "id": "the-model", "max_model_len": 8192 }] }).to_string(),
            "/version" => json!({ "version": manner.version }).to_string(),
            "/metrics" => manner.metrics.clone(),
            "/health" => String::new(),
            "/v1/completions" => {
                let n = asked.fetch_add(1, Ordering::SeqCst);
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let ended = complete(&mut writer, &body, manner, n, now);
                match ended {
                    Ok(true) => continue,
                    _ => return,
                }
            }
            _ => {
                let _ = write!(writer, "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
                continue;
            }
        };
        if write!(writer, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{said}", said.len()).is_err() {
            return;
        }
    }
}

/// Counts one answer as under way until it is dropped.
struct Busy<'a>(&'a AtomicU64);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn refuse(writer: &mut TcpStream, status: u16, message: &str) -> std::io::Result<bool> {
    let body = json!({ "error": { "message": message } }).to_string();
    write!(writer, "HTTP/1.1 {status} No\r\ncontent-length: {}\r\n\r\n{body}", body.len())?;
    Ok(true)
}

/// Streams one answer; whether the connection goes on.
fn complete(
    writer: &mut TcpStream,
    body: &[u8],
    manner: &Manner,
    n: u64,
    now: &AtomicU64,
) -> std::io::Result<bool> {
    let busy = Busy(now);
    let begun = Instant::now();
    let asked: Value = serde_json::from_slice(body).unwrap_or_default();
    let prompt = match &asked["prompt"] {
        Value::Array(_) if manner.words_only => return refuse(writer, 400, "prompts are text here"),
        Value::Array(ids) => ids.len(),
        Value::String(text) => text.split_whitespace().count(),
        _ => return refuse(writer, 422, "no prompt"),
    };
    if manner.fails_each.is_some_and(|each| n % each == each - 1) {
        return refuse(writer, 500, "CUDA error: an illegal memory access");
    }
    write!(
        writer,
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    )?;
    let mut send = |text: &str| -> std::io::Result<()> {
        write!(writer, "{:x}\r\n{text}\r\n", text.len())?;
        writer.flush()
    };
    match manner.breaks {
        Some(Break::Silent) => {
            std::thread::sleep(Duration::from_secs(5));
            return Ok(false);
        }
        Some(Break::Endless) => loop {
            send(&"data: x".repeat(10_000))?;
        },
        Some(Break::Html) => {
            send("<html>gateway</html>\n")?;
            send("")?;
            return Ok(true);
        }
        None => {}
    }
    let tokens = asked["max_tokens"].as_u64().unwrap_or(1);
    for token in 0..tokens {
        // To the planned instant, so that sleeps that last longer do not add up.
        let due = manner.ttft + manner.tpot * token as u32;
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
        let end = if token + 1 == tokens { json!("length") } else { Value::Null };
        send(&format!("data: {}\n\n", json!({ "choices": [{ "text": "a", "finish_reason": end }] })))?;
    }
    let usage = json!({ "prompt_tokens": prompt, "completion_tokens": manner.states.unwrap_or(tokens) });
    send(&format!("data: {}\n\n", json!({ "choices": [], "usage": usage })))?;
    // Whoever reads the end may ask again at once.
    drop(busy);
    send("data: [DONE]\n\n")?;
    send("")?;
    Ok(true)
}
