//! A trace of requests from a CSV or JSON-lines file, read as it is needed.

use std::io::BufRead;
use std::path::Path;
use std::str::FromStr;

use jiff::civil::DateTime;
use serde::Deserialize;

use super::arrivals::{Arrival, Arrivals, Content};
use super::kept::Part;
use super::prefixes;
use crate::diagnostic::{Code, Diagnostic};
use crate::load;
use crate::units::Seconds;

/// Column names that traces use: when a request arrives, its prompt, its output.
///
/// Our own; the Azure LLM inference traces (2023, 2024: `TIMESTAMP` as date and time); Mooncake's
/// (`timestamp` in milliseconds); BurstGPT's (`Timestamp` in seconds); Vidur's.
const ARRIVAL: [(&str, Clock); 6] = [
    ("arrival_s", Clock::Seconds),
    ("arrival_ms", Clock::Milliseconds),
    ("TIMESTAMP", Clock::Date),
    ("timestamp", Clock::Milliseconds),
    ("Timestamp", Clock::Seconds),
    ("arrived_at", Clock::Seconds),
];
const PROMPT: [&str; 5] =
    ["prompt_tokens", "ContextTokens", "input_length", "num_prefill_tokens", "Request tokens"];
const OUTPUT: [&str; 5] =
    ["output_tokens", "GeneratedTokens", "output_length", "num_decode_tokens", "Response tokens"];

/// Which session a request is of, where a trace says so: each then begins with what was said in it before. Our own, and
/// BurstGPT's.
const SESSION: [&str; 2] = ["session", "Session ID"];

/// What requests have a beginning in common, and its tokens; our own.
const PREFIX: [&str; 2] = ["prefix_group", "prefix_tokens"];

/// How a column tells the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clock {
    Seconds,
    Milliseconds,
    Date,
    /// A number of seconds or a date, as its first value is.
    Any,
}

/// The columns of a CSV file, where they are named: `arrival=…,prompt=…,output=…[,session=…]`; `arrival_ms` where times
/// are in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedColumns {
    arrival: Option<String>,
    arrival_ms: Option<String>,
    prompt: Option<String>,
    output: Option<String>,
    session: Option<String>,
}

impl FromStr for NamedColumns {
    type Err = Diagnostic;
    fn from_str(text: &str) -> Result<NamedColumns, Diagnostic> {
        let columns: NamedColumns = load::assignments(text, "--columns")?;
        if columns.arrival.is_some() && columns.arrival_ms.is_some() {
            return Err(
                Diagnostic::new(Code::Usage, "arrival and arrival_ms exclude each other").at("--columns")
            );
        }
        Ok(columns)
    }
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
    /// Which session a request is of.
    session: Option<usize>,
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
    /// The key of the session that it is of, if the trace says one.
    session: Option<u64>,
    /// Whether prompts that have something in common find it in the cache.
    prefix_cache: bool,
    /// The parts of the prompt last read.
    parts: Vec<Part>,
}

impl Trace {
    /// Opens a trace; at most `requests` of it are read, `speed` times as fast as it was recorded.
    ///
    /// # Errors
    /// When the file cannot be read or its columns are none that are known.
    pub fn open(path: &Path, speed: f64, requests: u64) -> Result<Trace, Diagnostic> {
        Trace::open_by(path, &NamedColumns::default(), speed, requests)
    }

    /// The same with columns that are named.
    ///
    /// # Errors
    /// As [`Trace::open`]; a column that the file lacks.
    pub fn open_by(
        path: &Path,
        named: &NamedColumns,
        speed: f64,
        requests: u64,
    ) -> Result<Trace, Diagnostic> {
        let place = path.display().to_string();
        let file: Box<dyn BufRead> = Box::new(load::open(path)?);
        let source = if place.ends_with(".jsonl") {
            Source::Lines { lines: file.lines(), number: 0 }
        } else {
            csv_source(file, &place, named)?
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
            session: None,
            prefix_cache: false,
            parts: Vec::new(),
        })
    }

    /// The same for a server that keeps what prompts have in common.
    #[must_use]
    pub fn with_prefix_cache(mut self) -> Trace {
        self.prefix_cache = true;
        self
    }

    /// The next request as the file states it.
    fn read(&mut self) -> Result<Option<Stated>, Diagnostic> {
        self.blocks.clear();
        self.common = u64::MAX;
        self.session = None;
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
                let (prompt, output) = (tokens(columns.prompt)?, tokens(columns.output)?);
                if let Some((group, length)) = columns.prefix
                    && !cell(group).is_empty()
                {
                    let length = tokens(length)?.min(prompt);
                    self.blocks.extend(prefixes::blocks_of(cell(group), length));
                    self.common = length;
                } else if let Some(session) = columns.session.map(cell)
                    && !session.is_empty()
                {
                    self.session = Some(prefixes::key_of(session));
                }
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
        Ok(Some(Arrival { at: Seconds::new(since / self.speed), prompt, output, ..Arrival::default() }))
    }
}

impl Arrivals for Trace {
    fn next(&mut self) -> Result<Option<Arrival>, Diagnostic> {
        let Some(request) = self.checked()? else { return Ok(None) };
        self.parts.clear();
        if !self.prefix_cache {
            return Ok(Some(request));
        }
        if let Some(key) = self.session {
            // The whole of it: what was said before, as far as the cache has it, and what is new.
            self.parts.push(Part { key, tokens: request.prompt });
        }
        let mut left = request.prompt.min(self.common);
        for key in &self.blocks {
            let tokens = left.min(prefixes::BLOCK);
            left -= tokens;
            self.parts.push(Part { key: *key, tokens });
        }
        Ok(Some(Arrival { content: Content::Blocks(0), ..request }))
    }

    fn skip(&mut self) -> Result<bool, Diagnostic> {
        Ok(self.checked()?.is_some())
    }

    fn answered(&mut self, _: &Arrival, _: Seconds) {}

    fn keeps_prefixes(&self) -> bool {
        self.prefix_cache
    }

    fn parts(&self) -> &[Part] {
        &self.parts
    }
}

fn at(place: &str, line: u64) -> String {
    format!("{place}, line {line}")
}

fn csv_source(file: Box<dyn BufRead>, place: &str, named: &NamedColumns) -> Result<Source, Diagnostic> {
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
    let missing = |what: &str, names: &[&str]| {
        let missing = missing(what, names);
        let help = missing.help.clone().unwrap_or_default();
        missing.help(format!("{help}; or --columns arrival=…,prompt=…,output=… with the names of this file"))
    };
    let own = |name: &str| {
        column(name).ok_or_else(|| {
            let all: Vec<&str> = headers.iter().map(str::trim).collect();
            let list = format!("columns of the file: {}", all.join(", "));
            Diagnostic::unknown("column", name, all, &list).at(at(place, 1))
        })
    };
    let of = |what: &str, stated: &Option<String>, names: &[&str]| match stated {
        Some(name) => own(name),
        None => names.iter().find_map(|n| column(n)).ok_or_else(|| missing(what, names)),
    };
    let (arrival, clock) = match (&named.arrival, &named.arrival_ms) {
        (Some(name), _) => (own(name)?, Clock::Any),
        (None, Some(name)) => (own(name)?, Clock::Milliseconds),
        (None, None) => ARRIVAL
            .iter()
            .find_map(|(name, clock)| column(name).map(|i| (i, *clock)))
            .ok_or_else(|| missing("arrival", &ARRIVAL.map(|(name, _)| name)))?,
    };
    let session = match &named.session {
        Some(name) => Some(own(name)?),
        None => SESSION.iter().find_map(|name| column(name)),
    };
    let prefix = match (column(PREFIX[0]), column(PREFIX[1])) {
        (Some(group), Some(tokens)) => Some((group, tokens)),
        (None, None) => None,
        _ => {
            let cause = format!("columns {} and {} belong together", PREFIX[0], PREFIX[1]);
            return Err(Diagnostic::new(Code::Syntax, cause).at(at(place, 1)));
        }
    };
    let (prompt, output) = (of("prompt", &named.prompt, &PROMPT)?, of("output", &named.output, &OUTPUT)?);
    let columns = Columns { arrival, prompt, output, prefix, session };
    Ok(Source::Csv { reader, columns, clock })
}

/// Seconds from 1970 to 2000.
const SINCE_1970: f64 = 946_684_800.0;

impl Clock {
    fn read(self, text: &str) -> Option<f64> {
        match self {
            Clock::Seconds => text.parse().ok(),
            Clock::Milliseconds => text.parse::<f64>().ok().map(|ms| ms / 1e3),
            Clock::Any => Clock::Seconds.read(text).or_else(|| Clock::Date.read(text)),
            Clock::Date => {
                // With an offset from UTC, as in Azure's 2024 trace, or without.
                if let Ok(stamp) = text.parse::<jiff::Timestamp>() {
                    return Some(stamp.as_nanosecond() as f64 / 1e9 - SINCE_1970);
                }
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
            Clock::Any => "a number of seconds or a date and time such as 2023-11-16T18:15:46Z",
            Clock::Date => "a date and time such as 2023-11-16 18:15:46.6805900",
        }
    }
}
