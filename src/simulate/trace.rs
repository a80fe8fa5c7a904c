//! A trace of requests from a CSV or JSON-lines file, read as it is needed.

use std::io::BufRead;
use std::path::Path;

use jiff::civil::DateTime;
use serde::Deserialize;

use super::arrivals::{Arrival, Arrivals};
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
}

enum Source {
    Csv { reader: csv::Reader<Box<dyn BufRead>>, columns: [usize; 3], clock: Clock },
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
        let record = csv::StringRecord::new();
        Ok(Trace { source, place, record, origin: None, last: 0.0, speed, left: requests })
    }

    /// The next request with its line and its own time in seconds.
    fn read(&mut self) -> Result<Option<(u64, f64, u64, u64)>, Diagnostic> {
        match &mut self.source {
            Source::Csv { reader, columns: [arrival, prompt, output], clock } => {
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
                let time = clock.read(cell(*arrival)).ok_or_else(|| wrong(cell(*arrival), clock.what()))?;
                Ok(Some((line, time, tokens(*prompt)?, tokens(*output)?)))
            }
            Source::Lines { lines, number } => {
                *number += 1;
                let Some(line) = lines.next() else { return Ok(None) };
                let place = at(&self.place, *number);
                let text = line.map_err(|e| {
                    Diagnostic::new(Code::File, format!("cannot read file: {e}")).at(place.clone())
                })?;
                let parsed: MooncakeLine = load::json(&text, &place)?;
                Ok(Some((*number, parsed.timestamp / 1e3, parsed.input_length, parsed.output_length)))
            }
        }
    }
}

impl Arrivals for Trace {
    fn next(&mut self) -> Result<Option<Arrival>, Diagnostic> {
        if self.left == 0 {
            return Ok(None);
        }
        let Some((line, time, prompt, output)) = self.read()? else { return Ok(None) };
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
        Ok(Some(Arrival { at: Seconds::new(since / self.speed), prompt, output: output.max(1) }))
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
    let columns = [arrival, of("prompt", &PROMPT)?, of("output", &OUTPUT)?];
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
