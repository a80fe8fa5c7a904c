//! A trace of requests from a CSV or JSON-lines file, read as it is needed.

use std::io::BufRead;
use std::path::Path;

use jiff::civil::DateTime;
use serde::Deserialize;

use super::arrivals::{Arrival, Arrivals};
use super::prefixes::{self, Prefixes};
use crate::diagnostic::{Code, Diagnostic};
use crate::load;
use crate::units::Seconds;

/// Column names that traces use: when a request arrives, its prompt, its output.
///
/// Our own; the Azure LLM inference traces (2023, 2024: `TIMESTAMP` as date and time); Mooncake's
/// (`timestamp` in milliseconds); Vidur's.
const ARRIVAL: [(&str, Clock); 5] = [
    ("arrival_s", Clock::Seconds),
    ("arrival_ms", Clock::Milliseconds),
    ("TIMESTAMP", Clock::Date),
    ("timestamp", Clock::Milliseconds),
    ("arrived_at", Clock::Seconds),
];
const PROMPT: [&str; 4] = ["prompt_tokens", "ContextTokens", "input_length", "num_prefill_tokens"];
const OUTPUT: [&str; 4] = ["output_tokens", "GeneratedTokens", "output_length", "num_decode_tokens"];

/// What requests have a beginning in common, and its tokens; our own.
const PREFIX: [&str; 2] = ["prefix_group", "prefix_tokens"];

/// How a column tells the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clock {
    Seconds,
    Milliseconds,
    Date,
}

/// A line of Mooncake's traces.
#[derive(Debug, Deserialize)]
struct MooncakeLine {
    timestamp: f64,
    input_length: u64,
    output_length: u64,
    #[serde(default)]
    hash_ids: Vec<u64>,
}

/// A request as its line states it.
struct Stated {
    line: u64,
    time: f64,
    prompt: u64,
    output: u64,
}

/// Columns of a CSV file.
struct Columns {
    arrival: usize,
    prompt: usize,
    output: usize,
    /// What requests share a beginning, and how many tokens it has.
    prefix: Option<(usize, usize)>,
}

enum Source {
    Csv { reader: csv::Reader<Box<dyn BufRead>>, columns: Columns, clock: Clock },
    Lines { lines: std::io::Lines<Box<dyn BufRead>>, number: u64 },
}

/// Requests from a file.
pub struct Trace {
    source: Source,
    place: String,
    record: csv::StringRecord,
    /// The time of the first request; the others count from it.
    origin: Option<f64>,
    last: f64,
    /// Trace seconds per simulated second.
    speed: f64,
    left: u64,
    /// Blocks of the prompt last read that others may have too, in order.
    blocks: Vec<u64>,
    /// Tokens of that prompt which others may have too.
    common: u64,
    prefixes: Option<Prefixes>,
}

impl Trace {
    /// Opens a trace; at most `requests` of it are read, `speed` times as fast as it was recorded.
    ///
    /// # Errors
    /// When the file cannot be read or its columns are none that are known.
    pub fn open(path: &Path, speed: f64, requests: u64) -> Result<Trace, Diagnostic> {
        let place = path.display().to_string();
        let file: Box<dyn BufRead> = Box::new(load::open(path)?);
        let source = if place.ends_with(".jsonl") {
            Source::Lines { lines: file.lines(), number: 0 }
        } else {
            csv_source(file, &place)?
        };
        Ok(Trace {
            source,
            place,
            record: csv::StringRecord::new(),
            origin: None,
            last: 0.0,
            speed,
            left: requests,
            blocks: Vec::new(),
            common: 0,
            prefixes: None,
        })
    }

    /// The same for a server that keeps what prompts have in common, in a cache of this many tokens.
    #[must_use]
    pub fn with_prefix_cache(mut self, tokens: u64) -> Trace {
        self.prefixes = Some(Prefixes::new(tokens));
        self
    }

    /// The next request as the file states it.
    fn read(&mut self) -> Result<Option<Stated>, Diagnostic> {
        self.blocks.clear();
        self.common = u64::MAX;
        match &mut self.source {
            Source::Csv { reader, columns, clock } => {
                let more = reader.read_record(&mut self.record).map_err(|e| {
                    let line = e.position().map_or(0, csv::Position::line);
                    Diagnostic::new(Code::Syntax, format!("not valid CSV: {e}")).at(at(&self.place, line))
                })?;
                if !more {
                    return Ok(None);
                }
                let line = self.record.position().map_or(0, csv::Position::line);
                let cell = |i: usize| self.record.get(i).unwrap_or("").trim();
                let wrong = |text: &str, what: &str| {
                    Diagnostic::new(Code::Syntax, format!("`{text}` is not {what}")).at(at(&self.place, line))
                };
                let tokens =
                    |i: usize| cell(i).parse::<u64>().map_err(|_| wrong(cell(i), "a whole number of tokens"));
                let arrival = cell(columns.arrival);
                let time = clock.read(arrival).ok_or_else(|| wrong(arrival, clock.what()))?;
                if let Some((group, length)) = columns.prefix
                    && !cell(group).is_empty()
                {
                    let length = tokens(length)?;
                    self.blocks.extend(prefixes::blocks_of(cell(group), length));
                    self.common = length;
                }
                let (prompt, output) = (tokens(columns.prompt)?, tokens(columns.output)?);
                Ok(Some(Stated { line, time, prompt, output }))
            }
            Source::Lines { lines, number } => {
                *number += 1;
                let Some(line) = lines.next() else { return Ok(None) };
                let place = at(&self.place, *number);
                let text = line.map_err(|e| {
                    Diagnostic::new(Code::File, format!("cannot read file: {e}")).at(place.clone())
                })?;
                let parsed: MooncakeLine = load::json(&text, &place)?;
                self.blocks = parsed.hash_ids;
                let (prompt, output) = (parsed.input_length, parsed.output_length);
                Ok(Some(Stated { line: *number, time: parsed.timestamp / 1e3, prompt, output }))
            }
        }
    }

    /// The next request, checked; nothing of it is in the cache yet.
    fn checked(&mut self) -> Result<Option<Arrival>, Diagnostic> {
        if self.left == 0 {
            return Ok(None);
        }
        let Some(Stated { line, time, prompt, output }) = self.read()? else { return Ok(None) };
        let fail = |cause: String| Diagnostic::new(Code::Range, cause).at(at(&self.place, line));
        let since = time - *self.origin.get_or_insert(time);
        if !(since >= self.last && since.is_finite()) {
            return Err(fail("requests must be in the order of their arrival".into())
                .help("sort the trace by its time column"));
        }
        let most = crate::workload::MAX_LENGTH;
        if prompt == 0 || prompt > most || output > most {
            return Err(fail(format!("prompt {prompt} or output {output} is out of range"))
                .help(format!("prompts of 1 to {most} tokens, outputs of at most as many")));
        }
        self.last = since;
        self.left -= 1;
        // An answer of no tokens still computes its prompt.
        let output = output.max(1);
        Ok(Some(Arrival { at: Seconds::new(since / self.speed), prompt, output, reused: 0 }))
    }
}

impl Arrivals for Trace {
    fn next(&mut self) -> Result<Option<Arrival>, Diagnostic> {
        let Some(request) = self.checked()? else { return Ok(None) };
        let found = self.prefixes.as_mut().map_or(0, |p| p.take(&self.blocks));
        Ok(Some(Arrival { reused: found.min(self.common).min(request.prompt - 1), ..request }))
    }

    fn skip(&mut self) -> Result<bool, Diagnostic> {
        Ok(self.checked()?.is_some())
    }

    fn answered(&mut self, _: Seconds) {}
}

fn at(place: &str, line: u64) -> String {
    format!("{place}, line {line}")
}

fn csv_source(file: Box<dyn BufRead>, place: &str) -> Result<Source, Diagnostic> {
    let mut reader = csv::ReaderBuilder::new().from_reader(file);
    let headers = reader
        .headers()
        .map_err(|e| Diagnostic::new(Code::Syntax, format!("not valid CSV: {e}")).at(place.to_owned()))?
        .clone();
    let column = |name: &str| headers.iter().position(|h| h.trim() == name);
    let missing = |what: &str, names: &[&str]| {
        Diagnostic::new(Code::Syntax, format!("no column for the {what}"))
            .at(at(place, 1))
            .help(format!("one of {}", names.join(", ")))
    };
    let of =
        |what: &str, names: &[&str]| names.iter().find_map(|n| column(n)).ok_or_else(|| missing(what, names));
    let (arrival, clock) = ARRIVAL
        .iter()
        .find_map(|(name, clock)| column(name).map(|i| (i, *clock)))
        .ok_or_else(|| missing("arrival", &ARRIVAL.map(|(name, _)| name)))?;
    let prefix = match (column(PREFIX[0]), column(PREFIX[1])) {
        (Some(group), Some(tokens)) => Some((group, tokens)),
        (None, None) => None,
        _ => {
            let cause = format!("columns {} and {} belong together", PREFIX[0], PREFIX[1]);
            return Err(Diagnostic::new(Code::Syntax, cause).at(at(place, 1)));
        }
    };
    let (prompt, output) = (of("prompt", &PROMPT)?, of("output", &OUTPUT)?);
    let columns = Columns { arrival, prompt, output, prefix };
    Ok(Source::Csv { reader, columns, clock })
}

impl Clock {
    fn read(self, text: &str) -> Option<f64> {
        match self {
            Clock::Seconds => text.parse().ok(),
            Clock::Milliseconds => text.parse::<f64>().ok().map(|ms| ms / 1e3),
            Clock::Date => {
                // Azure's 2024 trace ends its times with an offset, which is always zero.
                let text = text.trim_end_matches('Z').trim_end_matches("+00:00");
                let date: DateTime = text.parse().ok()?;
                let since = date.duration_since(DateTime::constant(2000, 1, 1, 0, 0, 0, 0));
                Some(since.as_secs_f64())
            }
        }
    }

    fn what(self) -> &'static str {
        match self {
            Clock::Seconds => "a number of seconds",
            Clock::Milliseconds => "a number of milliseconds",
            Clock::Date => "a date and time such as 2023-11-16 18:15:46.6805900",
        }
    }
}
