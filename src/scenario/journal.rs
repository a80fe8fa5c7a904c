//! The journal of a sweep: what it answers, then a record for each group of cases as it is done. A run that
//! was killed goes on from it, and those of several machines are put together.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::Scenario;
use crate::diagnostic::{Code, Diagnostic};
use crate::load::records::{self, Span, Writer, digest};
use crate::load::{self, Lock};

/// Number of the journal's form; another one is not read.
const FORM: u32 = 2;

/// Most shards of a run.
const MAX_SHARDS: usize = 1_000_000;

/// A part of a run: the groups whose number leaves `index − 1` when divided by `of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Which part, from 1.
    pub index: usize,
    /// Of how many.
    pub of: usize,
}

impl Shard {
    /// The whole run.
    pub const WHOLE: Shard = Shard { index: 1, of: 1 };

    /// Whether a group is part of it.
    pub fn holds(self, group: usize) -> bool {
        group % self.of == self.index - 1
    }

    /// Its groups, of a run of so many.
    pub fn groups(self, all: usize) -> impl Iterator<Item = usize> {
        (self.index - 1..all).step_by(self.of)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl FromStr for Shard {
    type Err = Diagnostic;
    /// Reads `3/16`.
    fn from_str(text: &str) -> Result<Shard, Diagnostic> {
        let number = |part: &str| part.trim().parse::<usize>().ok();
        let parts = text.split_once('/').and_then(|(index, of)| Some((number(index)?, number(of)?)));
        match parts {
            Some((index, of)) if (1..=of).contains(&index) && of <= MAX_SHARDS => Ok(Shard { index, of }),
            _ => Err(Diagnostic::new(
                Code::Range,
                format!("`{}` is not a shard", crate::diagnostic::brief(text)),
            )
            .help("write K/N, K from 1 to N, for example 3/16")),
        }
    }
}

/// What a journal is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    form: u32,
    /// shardfit's version.
    version: String,
    /// Checksum of the sources and data that it was built from.
    build: String,
    /// Checksum of all that the scenario asks.
    scenario: String,
    /// Checksum of the models and clusters that it asks about, as the catalogue and its own prices have them.
    catalogue: String,
    /// The part that is answered.
    pub shard: Shard,
    /// Cases of the whole run.
    pub cases: usize,
    /// Groups of the whole run.
    pub groups: usize,
    /// What results repeat about the run.
    pub about: Json,
}

impl Header {
    /// The header of a run.
    pub fn new(scenario: &Scenario, shard: Shard, about: Json) -> Header {
        // Every field, so that one which is added is part of the question or does not compile.
        let Scenario {
            name,
            about: words,
            models,
            clusters,
            workloads,
            targets,
            objectives,
            training,
            search,
            keys,
            comments,
            starts,
        } = scenario;
        let asked =
            ((name, words, comments), (workloads, targets, objectives), (training, search, keys, starts));
        Header {
            form: FORM,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            build: env!("SHARDFIT_BUILD").to_owned(),
            scenario: digest(&asked),
            catalogue: digest(&(models, clusters)),
            shard,
            cases: scenario.size(),
            groups: scenario.groups(),
            about,
        }
    }

    /// The scenario's name.
    fn name(&self) -> Option<&str> {
        self.about.get("name")?.as_str()
    }

    /// Why a journal of another header is not one of this run.
    fn differs(&self, journal: &Header) -> Option<String> {
        let what = match () {
            () if journal.version != self.version => {
                format!("it was written by shardfit {}, this is {}", journal.version, self.version)
            }
            () if journal.build != self.build => {
                format!("it was written by another build of shardfit {}", self.version)
            }
            () if journal.scenario != self.scenario => "the scenario has changed since".to_owned(),
            () if journal.catalogue != self.catalogue => {
                "what the catalogue says of its models, GPUs or engines has changed since".to_owned()
            }
            () if journal.shard != self.shard => {
                format!("it is of shard {}, this is {}", journal.shard, self.shard)
            }
            () => return None,
        };
        Some(what)
    }
}

/// A journal that is written.
#[derive(Debug)]
pub struct Journal {
    writer: Mutex<Writer>,
    /// Keeps other runs out of its folder.
    _lock: Lock,
}

/// A journal that is gone on with.
#[derive(Debug)]
pub struct Resumed {
    /// The journal.
    pub journal: Journal,
    /// The groups that it lacks.
    pub left: Vec<usize>,
    /// Cases that it holds.
    pub done: usize,
    /// Records that were damaged, and are of groups that are left.
    pub damaged: u64,
}

impl Journal {
    /// The journal's name in the folder of the results.
    pub const NAME: &str = "journal";

    /// Begins a run, in place of a finished one of the scenario of its name.
    ///
    /// # Errors
    /// [`Code::File`] when another run writes to its folder, an unfinished one or one of a scenario of another name is there,
    /// or the file cannot be written.
    pub fn begin(path: &Path, header: &Header) -> Result<Resumed, Diagnostic> {
        let lock = lock(path)?;
        Journal::begun(path, header, lock)
    }

    fn begun(path: &Path, header: &Header, lock: Lock) -> Result<Resumed, Diagnostic> {
        spare(path, header)?;
        let writer = Mutex::new(Writer::create(path, &line(header)?)?);
        let left = header.shard.groups(header.groups).collect();
        Ok(Resumed { journal: Journal { writer, _lock: lock }, left, done: 0, damaged: 0 })
    }

    /// Goes on with a run; begins it where there is no journal yet. What is damaged of it is left to be answered.
    ///
    /// # Errors
    /// [`Code::Usage`] when the journal is of another scenario, catalogue, version or shard; otherwise as
    /// [`Journal::begin`].
    pub fn resume(path: &Path, header: &Header) -> Result<Resumed, Diagnostic> {
        let lock = lock(path)?;
        if !path.exists() {
            return Journal::begun(path, header, lock);
        }
        let old = Reader::open(path)?;
        if let Some(difference) = header.differs(&old.header) {
            return Err(Diagnostic::new(
                Code::Usage,
                format!("this journal cannot be resumed: {difference}"),
            )
            .at(path.display().to_string())
            .help("write to another folder, or remove the file to begin again"));
        }
        let left = header.shard.groups(header.groups).filter(|g| !old.spans.contains_key(g)).collect();
        let writer = Mutex::new(Writer::append_to(path, old.whole.end)?);
        let journal = Journal { writer, _lock: lock };
        Ok(Resumed { journal, left, done: old.cases_done, damaged: old.whole.damaged })
    }

    /// Has the disk hold every answer.
    ///
    /// # Errors
    /// [`Code::File`] when it cannot.
    pub fn sync(&self) -> Result<(), Diagnostic> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).sync()
    }

    /// Adds the answers of a group, in one write.
    ///
    /// # Errors
    /// [`Code::File`] when the disk is full, for example.
    pub fn add(&self, group: usize, cases: Vec<Json>, front: Json) -> Result<(), Diagnostic> {
        let record = line(&Record { group, cases, front })?;
        // A thread that panicked has not left half a record: the write is one call.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).append(&record)
    }
}

/// The lock of a journal's folder.
fn lock(path: &Path) -> Result<Lock, Diagnostic> {
    load::lock(path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

/// Refuses to write over the journal of an unfinished run, and over results of a scenario of another name: a folder that is
/// mistyped is no reason to lose them.
fn spare(path: &Path, header: &Header) -> Result<(), Diagnostic> {
    if !path.exists() {
        return Ok(());
    }
    let there = Reader::open(path)?;
    match there.missing() {
        0 => match (there.header.name(), header.name()) {
            (Some(theirs), Some(ours)) if theirs != ours => {
                let cause =
                    format!("the results of another scenario are here: {}", crate::diagnostic::brief(theirs));
                Err(Diagnostic::new(Code::File, cause)
                    .at(path.display().to_string())
                    .help("write to another folder; remove the file to have it written over"))
            }
            _ => Ok(()),
        },
        missing => {
            let cause = format!("an unfinished run is here: {missing} of its groups are missing");
            Err(Diagnostic::new(Code::File, cause)
                .at(path.display().to_string())
                .help("--resume goes on with it; remove the file to begin again"))
        }
    }
}

fn line(value: &impl Serialize) -> Result<String, Diagnostic> {
    serde_json::to_string(value)
        .map_err(|e| Diagnostic::new(Code::File, format!("cannot write the journal: {e}")))
}

/// The answers of a group as a journal keeps them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Its number.
    pub group: usize,
    /// The cells of each case.
    pub cases: Vec<Json>,
    /// Points of the Pareto front without targets.
    pub front: Json,
}

/// A journal that is read.
#[derive(Debug)]
pub struct Reader {
    /// What it is about.
    pub header: Header,
    spans: BTreeMap<usize, Span>,
    cases_done: usize,
    whole: records::Whole,
    path: PathBuf,
    records: records::Reader,
}

/// What is read of a record before it is needed.
#[derive(Deserialize)]
struct Outline {
    group: usize,
    cases: Vec<serde::de::IgnoredAny>,
}

impl Reader {
    /// Opens a journal and notes where each group stands.
    ///
    /// # Errors
    /// [`Code::File`] when it cannot be read, is damaged, or is no journal of this form.
    pub fn open(path: &Path) -> Result<Reader, Diagnostic> {
        let place = path.display().to_string();
        let foreign = || {
            Diagnostic::new(Code::File, "this is not the journal of a sweep, or one of another form")
                .at(place.clone())
                .help("remove it, or write to another folder")
        };
        let (mut header, mut spans, mut cases_done) = (None, BTreeMap::new(), 0);
        let whole = records::read(path, |span, record| {
            let Some(header): &Option<Header> = &header else {
                let first: Header = serde_json::from_str(record).map_err(|_| foreign())?;
                header = Some(first).filter(|h| h.form == FORM && h.shard.index > 0 && h.shard.of > 0);
                return header.as_ref().map(|_| ()).ok_or_else(foreign);
            };
            let outline: Outline = serde_json::from_str(record).map_err(|_| foreign())?;
            if !header.shard.holds(outline.group) || outline.group >= header.groups {
                let cause = format!("group {} is not of the journal's shard", outline.group);
                return Err(Diagnostic::new(Code::File, cause).at(place.clone()));
            }
            // One question has one answer: a group that was answered again says the same.
            if spans.insert(outline.group, span).is_none() {
                cases_done += outline.cases.len();
            }
            Ok(())
        })?;
        let header = header.ok_or_else(foreign)?;
        let records = records::Reader::open(path)?;
        Ok(Reader { header, spans, cases_done, whole, path: path.to_owned(), records })
    }

    /// Groups of its shard that it lacks.
    pub fn missing(&self) -> usize {
        self.header.shard.groups(self.header.groups).count() - self.spans.len()
    }

    /// The groups that it holds, in order.
    pub fn groups(&self) -> Vec<usize> {
        self.spans.keys().copied().collect()
    }

    /// The answers of a group, if it holds them.
    ///
    /// # Errors
    /// [`Code::File`] when the file has changed since it was opened.
    pub fn group(&mut self, group: usize) -> Result<Option<Record>, Diagnostic> {
        match self.spans.get(&group) {
            Some(span) => {
                load::json(&self.records.record(*span)?, &self.path.display().to_string()).map(Some)
            }
            None => Ok(None),
        }
    }
}

/// Puts the journals of all shards of a run together in a new one.
///
/// # Errors
/// As [`check_shards`]; [`Code::File`] when an unfinished run is there, another writes there, or the new one cannot
/// be written.
pub fn merge(journals: &[PathBuf], to: &Path) -> Result<Merged, Diagnostic> {
    let mut parts = shards(journals)?;
    let Some(first) = parts.first() else { return Err(nothing()) };
    let whole = Header { shard: Shard::WHOLE, ..first.header.clone() };
    let lock = lock(to)?;
    spare(to, &whole)?;
    let of = parts.len();
    let answers = (0..whole.groups).filter_map(|group| match parts[group % of].group(group) {
        Ok(record) => record.map(|record| line(&record)),
        Err(e) => Some(Err(e)),
    });
    records::write_all(to, std::iter::once(line(&whole)).chain(answers))?;
    Ok(Merged { header: whole, _lock: lock })
}

/// The shards of a run put together, in a folder that no other run writes as long as this lives.
#[derive(Debug)]
pub struct Merged {
    /// What the journal is about.
    pub header: Header,
    _lock: Lock,
}

/// Whether journals are all the shards of one run.
///
/// # Errors
/// [`Code::Usage`] when they are of different runs, when a shard is there twice or not at all, or when one
/// is not finished.
pub fn check_shards(journals: &[PathBuf]) -> Result<(), Diagnostic> {
    shards(journals).map(drop)
}

fn nothing() -> Diagnostic {
    Diagnostic::new(Code::Usage, "nothing to merge")
}

/// The journals of all shards, in order.
fn shards(journals: &[PathBuf]) -> Result<Vec<Reader>, Diagnostic> {
    let readers = journals.iter().map(|path| Reader::open(path)).collect::<Result<Vec<_>, _>>()?;
    let Some(first) = readers.first() else { return Err(nothing()) };
    let (of, first_path) = (first.header.shard.of, first.path.display().to_string());
    let whole = Header { shard: Shard::WHOLE, ..first.header.clone() };
    let mut parts: BTreeMap<usize, Reader> = BTreeMap::new();
    for reader in readers {
        let shard = reader.header.shard;
        let wrong = |cause: String| Diagnostic::new(Code::Usage, cause).at(reader.path.display().to_string());
        let own = Header { shard: Shard::WHOLE, ..reader.header.clone() };
        if let Some(difference) = own.differs(&whole) {
            return Err(wrong(format!("not of the same run as {first_path}: {difference}")));
        }
        if shard.of != of {
            return Err(wrong(format!("this is shard {shard}, the first is one of {of}")));
        }
        if reader.missing() > 0 {
            let cause = format!("shard {shard} is not finished: {} groups are missing", reader.missing());
            return Err(wrong(cause).help("run it again with --resume"));
        }
        if let Some(before) = parts.get(&shard.index) {
            return Err(wrong(format!("shard {shard} is in {} too", before.path.display())));
        }
        parts.insert(shard.index, reader);
    }
    let absent = (1..=of).filter(|index| !parts.contains_key(index));
    let absent: Vec<String> = absent.map(|index| Shard { index, of }.to_string()).collect();
    if absent.is_empty() {
        return Ok(parts.into_values().collect());
    }
    let some = absent.iter().take(8).cloned().collect::<Vec<_>>().join(", ");
    Err(Diagnostic::new(Code::Usage, format!("{} of {of} shards are missing: {some}", absent.len())))
}
