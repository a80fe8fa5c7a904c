//! A bounded, seeded load on a live server: the very requests that a simulation of the same question sends.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;
use serde_json::{Value, json};

use super::http::Client;
use super::metrics::{self, Counters};
use super::observation::{Figures, Observation};
use super::record::{Record, Sample};
use super::stream;
use crate::diagnostic::{Code, Diagnostic};
use crate::simulate::Arrival;
use crate::simulate::Drive;
use crate::workload::Load;

/// Most requests in flight from one client: a thread each.
pub const MOST_IN_FLIGHT: u64 = 2048;

/// Most requests of a run.
pub const MOST_REQUESTS: u64 = 100_000;

/// Longest prompt that is written out.
const LONGEST_PROMPT: u64 = 4_000_000;

/// Stack of a thread that waits for one answer.
const STACK: usize = 512 << 10;

/// A request that is sent later than planned by more than this is late.
const LATE: f64 = 0.1;

/// Kinds of failures that are told apart.
const KINDS: usize = 16;

/// Time between two readings of what the server counts.
const READING: Duration = Duration::from_millis(500);

/// How far a run may go.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Time after which no request is sent.
    pub time: Duration,
    /// First token ids of a vocabulary that prompts are drawn from.
    pub vocabulary: u64,
}

/// How a server takes prompts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// `/v1/completions` with token ids: the prompt has exactly as many tokens as are meant.
    Ids,
    /// `/v1/completions` with text.
    Text,
    /// `/v1/chat/completions`.
    Chat,
}

/// What is sent: prompt and output tokens, and when, in seconds from the first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Planned {
    /// When; zero in a closed loop.
    pub at: f64,
    /// Prompt tokens.
    pub prompt: u64,
    /// Output tokens.
    pub output: u64,
}

/// The requests of a drive, in order.
///
/// # Errors
/// [`Code::Range`] for more than one client can send.
pub fn planned(drive: &Drive) -> Result<Vec<Planned>, Diagnostic> {
    let total = drive.requests.total();
    if total > MOST_REQUESTS {
        return Err(Diagnostic::new(Code::Range, format!("{total} requests are more than a run sends"))
            .at("--requests")
            .help(format!("at most {MOST_REQUESTS}")));
    }
    let mut arrivals = drive.arrivals();
    let mut out = Vec::new();
    let mut waits = false;
    while (out.len() as u64) < total {
        match arrivals.next()? {
            Some(arrival) => {
                waits = false;
                out.push(Planned {
                    at: arrival.at.get(),
                    prompt: arrival.prompt.min(LONGEST_PROMPT),
                    output: arrival.output,
                });
            }
            // A closed loop sends the next when one is answered; here only the lengths are of interest.
            None if !waits => {
                arrivals.answered(&Arrival::default(), crate::units::Seconds::ZERO);
                waits = true;
            }
            None => break,
        }
    }
    Ok(out)
}

/// Who asks: the server, the model's name there, and how prompts are put.
#[derive(Clone, Debug)]
struct Asker<'a> {
    client: &'a Client,
    model: String,
    form: Form,
    vocabulary: u64,
}

/// Tells the model that a server has, and its longest request, from `/v1/models`.
fn served(client: &Client) -> Result<(Option<String>, Option<u64>), Diagnostic> {
    let fail = |cause: String| {
        Diagnostic::new(Code::Usage, format!("no server answers: {cause}"))
            .at(client.base().to_owned())
            .help("is it started, and is this its address? --url http://HOST:PORT")
    };
    let (status, text) = client.text("/v1/models", 1 << 20).map_err(fail)?;
    match status {
        401 | 403 => {
            return Err(Diagnostic::new(Code::Usage, "the server wants a key")
                .at(client.base().to_owned())
                .help("--key-variable NAME names the environment variable that holds it"));
        }
        200 => {}
        _ => return Ok((None, None)),
    }
    let answer: Value = serde_json::from_str(&text).unwrap_or_default();
    let first = answer.get("data").and_then(|d| d.get(0));
    let name = first.and_then(|m| m.get("id")).and_then(Value::as_str).map(str::to_owned);
    Ok((name, first.and_then(|m| m.get("max_model_len")).and_then(Value::as_u64)))
}

/// The engine's version as the server tells it: vLLM's `/version`, SGLang's `/get_server_info`, llama.cpp's `/props`.
fn version(client: &Client) -> Option<String> {
    for (path, key) in [
        ("/version", "version"),
        ("/get_server_info", "version"),
        ("/server_info", "version"),
        ("/props", "build_info"),
    ] {
        let Ok((200, text)) = client.text(path, 4 << 20) else { continue };
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        if let Some(version) = answer.get(key).and_then(Value::as_str) {
            return Some(version.to_owned());
        }
    }
    None
}

fn counters(client: &Client) -> Option<Counters> {
    ["/metrics", "/prometheus/metrics"].into_iter().find_map(|path| {
        match client.text(path, metrics::LONGEST) {
            Ok((200, text)) => Some(metrics::read(&text)),
            _ => None,
        }
    })
}

impl Asker<'_> {
    fn body(&self, planned: &Planned, random: &mut Pcg64Mcg) -> String {
        // The first thousand ids of a vocabulary hold its special tokens in most models.
        let low = 1000.min(self.vocabulary / 2);
        let mut body = json!({
            "model": self.model,
            "max_tokens": planned.output,
            "temperature": 0.0,
            "stream": true,
            "stream_options": { "include_usage": true },
            "ignore_eos": true,
        });
        let mut text = || {
            let mut out = String::with_capacity(planned.prompt as usize * 6);
            for _ in 0..planned.prompt {
                out.push_str(WORDS[random.random_range(0..WORDS.len())]);
                out.push(' ');
            }
            out
        };
        match self.form {
            Form::Ids => {
                let ids: Vec<u64> = (0..planned.prompt)
                    .map(|_| random.random_range(low..self.vocabulary.max(low + 1)))
                    .collect();
                body["prompt"] = json!(ids);
            }
            Form::Text => body["prompt"] = json!(text()),
            Form::Chat => body["messages"] = json!([{ "role": "user", "content": text() }]),
        }
        body.to_string()
    }

    fn path(&self) -> &'static str {
        match self.form {
            Form::Ids | Form::Text => "/v1/completions",
            Form::Chat => "/v1/chat/completions",
        }
    }

    /// Sends one request and waits for its end; times in seconds from `start`. Fails with the status, where there was one.
    fn ask(
        &self,
        planned: &Planned,
        seed: u64,
        start: Instant,
    ) -> Result<(f64, stream::Streamed), (Option<u16>, String)> {
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let body = self.body(planned, &mut random);
        let clock = || start.elapsed().as_secs_f64();
        let sent = clock();
        let (status, mut reader) = self.client.stream(self.path(), &body).map_err(|why| (None, why))?;
        if status != 200 {
            let mut bytes = Vec::new();
            let _ = reader.by_ref().take(4096).read_to_end(&mut bytes);
            let said = match serde_json::from_slice::<Value>(&bytes) {
                Ok(error) => format!(": {}", stream::message(&error)),
                Err(_) => String::new(),
            };
            return Err((Some(status), format!("status {status}{said}")));
        }
        stream::read(reader, clock).map(|streamed| (sent, streamed)).map_err(|why| (Some(200), why))
    }
}

/// Short words that most vocabularies hold as one token each.
const WORDS: [&str; 16] = [
    "time", "year", "way", "day", "man", "world", "life", "hand", "part", "child", "eye", "place", "work",
    "week", "case", "point",
];

/// Drives a server and says what was seen.
///
/// # Errors
/// A server that does not answer or answers no request; a load that is more than one client can send.
pub fn run(
    client: &Client,
    model: Option<&str>,
    drive: &Drive,
    bounds: Bounds,
    progress: impl Fn(u64) + Sync,
) -> Result<Observation, Diagnostic> {
    let requests = planned(drive)?;
    let in_flight = match drive.load {
        Load::Concurrency(n) | Load::Users(n) => n,
        Load::Saturate => requests.len() as u64,
        Load::Rate(_) => (requests.len() as u64).min(512),
    };
    if in_flight > MOST_IN_FLIGHT {
        return Err(Diagnostic::new(
            Code::Range,
            format!("{in_flight} requests in flight are more than one client sends"),
        )
        .at("--concurrency")
        .help(format!("at most {MOST_IN_FLIGHT}")));
    }
    let (name, longest) = served(client)?;
    let named = model.map(str::to_owned).or(name.clone());
    let Some(named) = named else {
        return Err(Diagnostic::new(Code::Usage, "the server does not tell its model")
            .at(client.base().to_owned())
            .help("--served-model NAME says what requests name"));
    };
    let most = requests.iter().map(|r| r.prompt + r.output).max().unwrap_or(0);
    if let Some(longest) = longest.filter(|longest| most > *longest) {
        return Err(Diagnostic::new(
            Code::Range,
            format!("requests of {most} tokens, and the server takes {longest} at most"),
        )
        .at("--isl, --osl")
        .help("shorter ones, or a server with a longer --max-model-len"));
    }
    let asker = Asker { client, model: named, form: Form::Ids, vocabulary: bounds.vocabulary };
    let asker = warmed(asker, &requests, drive.seed)?;
    let round_trip_ms = round_trip(client);
    let before = counters(client).unwrap_or_default();
    let (record, peak) = all(&asker, &requests, in_flight, drive, bounds, &progress);
    let after = counters(client).unwrap_or_default();
    if record.samples.is_empty() {
        let why = record.failures.iter().next().map_or("no time".to_owned(), |(why, _)| why.clone());
        return Err(Diagnostic::new(Code::Usage, format!("no request was answered: {why}"))
            .at(client.base().to_owned())
            .help("look at the server's log; --requests 1 --concurrency 1 asks once"));
    }
    let mut measured: Figures = record.figures();
    let counters = after.since(&before).peak(&peak);
    measured.extend(counters.cache_tokens.map(|tokens| ("kv_cache_tokens", tokens)));
    let (isl, osl) = record.lengths().unwrap_or_default();
    Ok(Observation {
        source: client.base().to_owned(),
        model: name,
        version: version(client),
        isl,
        osl,
        concurrency: match drive.load {
            Load::Concurrency(n) => Some(n),
            _ => None,
        },
        rate: match drive.load {
            Load::Rate(rate) => Some(rate.get()),
            _ => None,
        },
        answered: record.samples.len() as u64,
        measured,
        notes: notes(&record, &asker, requests.len()),
        failures: record.failures,
        counters,
        round_trip_ms,
    })
}

fn notes(record: &Record, asker: &Asker, asked: usize) -> Vec<String> {
    let mut out = Vec::new();
    if let Some((n, example)) = &record.wrong_usage {
        out.push(format!("the usage of {n} answers cannot be true ({example}): events are counted instead"));
    }
    if record.late > 0 {
        out.push(format!("{} requests were sent more than {LATE} s late", record.late));
    }
    if record.cut {
        let sent = record.samples.len() as u64 + record.failures.values().sum::<u64>();
        out.push(format!("the time was up after {sent} of {asked} requests"));
    }
    match asker.form {
        Form::Ids => {}
        Form::Text => {
            out.push("the server takes no token ids: prompts are words, counted by the server".into())
        }
        Form::Chat => out.push("the server completes chats alone: prompts are words in its template".into()),
    }
    out
}

/// Finds the form in which the server takes prompts, which warms it up as well.
///
/// # Errors
/// [`Code::Usage`] with what the server says where it takes none.
fn warmed<'a>(mut asker: Asker<'a>, requests: &[Planned], seed: u64) -> Result<Asker<'a>, Diagnostic> {
    let Some(first) = requests.first() else {
        return Err(Diagnostic::new(Code::Range, "no request to send").at("--requests"));
    };
    let probe = Planned { at: 0.0, output: first.output.min(4), ..*first };
    let mut said = String::new();
    // One that fails once is asked again in the exact form, before another one.
    for (form, last) in [(Form::Ids, false), (Form::Ids, true), (Form::Text, true), (Form::Chat, true)] {
        asker.form = form;
        let (status, why) = match asker.ask(&probe, seed ^ 0x5eed, Instant::now()) {
            Ok(_) => return Ok(asker),
            Err(failed) => failed,
        };
        // The first refusal that says something of the request is told.
        if said.is_empty() || !matches!(status, Some(404 | 405)) && said.starts_with("status 40") {
            said = why;
        }
        match status {
            // What it does not take in this form it may take in another.
            Some(400 | 404 | 405 | 422 | 501) if !last => continue,
            Some(400 | 404 | 405 | 422 | 500..=599) => {}
            // A server that breaks now may answer the load: it is asked in the exact form.
            _ => break,
        }
    }
    if said.starts_with("status 5") || said.contains("no end") || said.contains("in time") {
        asker.form = Form::Ids;
        return Ok(asker);
    }
    Err(Diagnostic::new(Code::Usage, format!("the server takes no request: {said}"))
        .at(asker.client.base().to_owned())
        .help("it must answer /v1/completions or /v1/chat/completions with a stream"))
}

/// The least of a few round trips that compute nothing, in milliseconds.
fn round_trip(client: &Client) -> Option<f64> {
    let once = || {
        let start = Instant::now();
        client.text("/health", 4096).ok()?;
        Some(start.elapsed().as_secs_f64() * 1e3)
    };
    (0..5).filter_map(|_| once()).min_by(f64::total_cmp)
}

/// Sends all requests from as many threads as may be in flight, and reads the server's counters meanwhile.
fn all(
    asker: &Asker,
    requests: &[Planned],
    in_flight: u64,
    drive: &Drive,
    bounds: Bounds,
    progress: &(impl Fn(u64) + Sync),
) -> (Record, Counters) {
    let window = drive.requests.window();
    let (next, done, over) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let record = Mutex::new(Record::default());
    let peak = Mutex::new(Counters::default());
    let start = Instant::now();
    let open = matches!(drive.load, Load::Rate(_));
    let work = || loop {
        let n = next.fetch_add(1, Ordering::Relaxed);
        let Some(planned) = usize::try_from(n).ok().and_then(|n| requests.get(n)) else { return };
        if start.elapsed() >= bounds.time {
            lock(&record).cut = true;
            return;
        }
        let due = if open { planned.at } else { 0.0 };
        let wait = due - start.elapsed().as_secs_f64();
        if wait > 0.0 {
            let left = bounds.time.saturating_sub(start.elapsed());
            std::thread::sleep(Duration::from_secs_f64(wait).min(left));
            if start.elapsed() >= bounds.time {
                lock(&record).cut = true;
                return;
            }
        }
        let late = open && wait < -LATE;
        let answer = asker.ask(planned, drive.seed.wrapping_mul(0x9e37_79b9).wrapping_add(n), start);
        if window.contains(&n) {
            keep(&mut lock(&record), planned, answer, late);
        }
        progress(done.fetch_add(1, Ordering::Relaxed) + 1);
    };
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut last = Instant::now();
            while !over.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(20));
                if last.elapsed() >= READING {
                    last = Instant::now();
                    let Some(now) = counters(asker.client) else { return };
                    let mut peak = lock(&peak);
                    *peak = now.peak(&peak);
                }
            }
        });
        let workers: Vec<_> = (0..in_flight)
            .filter_map(|_| std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work).ok())
            .collect();
        for worker in workers {
            let _ = worker.join();
        }
        over.store(true, Ordering::Relaxed);
        let _ = watch.join();
    });
    (record.into_inner().unwrap_or_default(), peak.into_inner().unwrap_or_default())
}

/// A lock that another thread's panic does not take away.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn keep(
    record: &mut Record,
    planned: &Planned,
    answer: Result<(f64, stream::Streamed), (Option<u16>, String)>,
    late: bool,
) {
    record.late += u64::from(late);
    let failed = |failures: &mut BTreeMap<String, u64>, why: String| {
        let known = failures.contains_key(&why) || failures.len() < KINDS;
        *failures.entry(if known { why } else { "other".to_owned() }).or_default() += 1;
    };
    let (sent, streamed) = match answer {
        Ok(answer) => answer,
        Err((_, why)) => return failed(&mut record.failures, why),
    };
    let (Some(first), Some(last)) = (streamed.first, streamed.last) else {
        return failed(&mut record.failures, "an answer without a token".to_owned());
    };
    let (prompt, output) = match streamed.usage {
        // An event brings one token or several, and no answer has more than were asked for.
        Some((prompt, output))
            if output + 1 >= streamed.events
                && output <= planned.output
                && prompt <= 2 * planned.prompt + 4096 =>
        {
            (prompt, output)
        }
        Some((prompt, output)) => {
            let example = format!(
                "{prompt} prompt and {output} output tokens for {} and at most {}, in {} events",
                planned.prompt, planned.output, streamed.events
            );
            let wrong = record.wrong_usage.get_or_insert((0, example));
            wrong.0 += 1;
            (planned.prompt, streamed.events)
        }
        None => (planned.prompt, streamed.events),
    };
    record.samples.push(Sample { ttft: first - sent, e2e: last - sent, ended: last, prompt, output });
}
